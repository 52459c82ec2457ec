"""Laws of the views: each against the definition, or a network whose answer is known in closed form."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import landscape as ls
from landscape import losses, tasks, views
from landscape.initialisers import irnn
from landscape.models import RNN, Dense, Stack
from landscape.tasks import Episode
from landscape.training import begin
from landscape.views.gradients import biases

KEY = jax.random.key(3)
EPS = float(np.finfo(np.float32).eps)


def latch(count=4, time=6):
    return tasks.episodes(ls.latch(), KEY, count, time)


@pytest.mark.parametrize("cell", [ls.SRNN(w=0.9), ls.GRU(b_z=0.5)])
def test_the_gradient_by_lag_is_that_by_each_steps_own_biases(cell):
    """Against finite differences of the loss by biases moved at one step alone, in float64."""
    with jax.enable_x64(True):
        model = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), RNN(cell=cell))
        episodes = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), latch(1))
        found = views.gradient_by_lag(model, episodes, losses.squared_error)
        names = [name for name in ("b", "b_z", "b_r", "b_h") if hasattr(cell, name)]

        def loss(name, at, step):
            state = model.initial()
            for t, x in enumerate(episodes.x[0]):
                value = getattr(model.cell, name) + (step if t == at else 0)
                state = dataclasses.replace(model.cell, **{name: value}).step(state, x)
            return float((state.h - episodes.target[0]) ** 2)

        for lag in (0, 2, 5):
            slopes = [(loss(n, 5 - lag, 1e-5) - loss(n, 5 - lag, -1e-5)) / 2e-5 for n in names]
            assert found.gradient.sel(lag=lag).item() == pytest.approx(np.linalg.norm(slopes), rel=1e-6)


def test_an_irnn_passes_its_gradient_on_unchanged_while_its_units_are_active():
    """Identity and active ReLUs: the same at every lag (Le, Jaitly & Hinton 2015)."""
    model = begin(ls.IRNN(), KEY, irnn, units=3, inputs=1, outputs=4)
    x = np.abs(np.random.default_rng(0).normal(1, 0.1, (5, 7, 1))).astype(np.float32)
    model = dataclasses.replace(model, cell=dataclasses.replace(model.cell, u=jnp.full((1, 3), 0.01)))
    episodes = Episode(x=x, target=np.arange(5) % 4)
    found = views.gradient_by_lag(model, episodes, losses.classes.loss).gradient
    np.testing.assert_allclose(found, found[0], rtol=20 * EPS)


def test_a_linear_unit_forgets_by_its_weight_at_every_lag():
    model = RNN(cell=jax.tree.map(jnp.asarray, ls.cells.LinearRNN(w=0.5, b=0.1)))
    found = views.gradient_by_lag(model, latch(), losses.squared_error)
    np.testing.assert_allclose(found.gradient / found.gradient[0], 0.5 ** np.arange(6.0), rtol=20 * EPS)
    assert (np.diff(found.quantiles, axis=0) >= 0).all()


def test_each_layer_of_a_stack_counts_in_the_gradient_by_lag():
    one, two = begin(ls.SRNN(), KEY, outputs=None), begin(Stack(layers=(ls.SRNN(), ls.SRNN())), KEY, outputs=None)
    assert len(biases(one.cell)) == 1
    assert len(biases(two.cell)) == 2
    assert (views.gradient_by_lag(two, latch(), losses.squared_error).gradient > 0).all()


@pytest.mark.parametrize("cell", [ls.LSTM(), ls.GRU()])
def test_shares_of_shut_and_open_gates_are_counts_of_their_values(cell):
    model = begin(cell, KEY, units=3, inputs=1)
    episodes = dataclasses.replace(latch(), x=20 * latch().x[..., None])
    found = views.saturation(model, episodes)
    assert ((found.left + found.right) <= 1 + EPS).all()
    gate = found.gate.values[0]
    values = []
    for x in episodes.x:
        state = model.cell.initial()
        for one in x:
            parts = (getattr(model.cell, f"{kind}_{gate}") for kind in "wub")
            w, u, b = parts
            values.append(1 / (1 + np.exp(-(state.h @ w + one @ u + b))))
            state = model.cell.step(state, one)
    np.testing.assert_allclose(found.left.sel(gate=gate), (np.array(values) < 0.1).mean(0), atol=EPS)
    np.testing.assert_allclose(found.right.sel(gate=gate), (np.array(values) > 0.9).mean(0), atol=EPS)
    assert found.left.max() > 0
    assert (views.saturation(model, episodes, low=0.5, high=0.5).left > found.left).any()


def test_a_linear_unit_recovers_from_noise_by_its_weight():
    cell = jax.tree.map(jnp.asarray, ls.cells.LinearRNN(w=0.5, u=1.0, b=1.0))
    episodes = Episode(x=np.zeros((8, 30), np.float32), target=np.zeros(8))
    found = views.recovery(RNN(cell=cell), episodes, KEY, burst=3, noise=0.1).distance
    # |s' - s| falls by w a step; |s| has come to 2 but for what is 2 w^t below it.
    np.testing.assert_allclose(found.values[10:15] / found.values[9:14], 0.5, rtol=1e-2)
    assert found[0] > 0
    louder = views.recovery(RNN(cell=cell), episodes, KEY, burst=3, noise=0.2).distance
    np.testing.assert_allclose(louder.values[:9] / found.values[:9], 2, rtol=1e-3)


@pytest.mark.slow
def test_a_burst_of_symbols_begins_where_it_is_told_to_and_replaces_as_often_as_told():
    """A unit that holds what it read last: it differs where the last symbol of the burst was replaced, and then not."""
    cell = ls.cells.LinearRNN(w=jnp.zeros((1, 1)), u=jnp.float32([[1], [2]]), b=jnp.zeros(1))
    episodes = Episode(x=np.tile(np.int32([0, 0, 1, 0, 1]), (400, 1)), target=np.zeros(400))
    found = views.recovery(RNN(cell=cell), episodes, KEY, burst=1, noise=0.5, since=2)
    # Of two symbols the other one is drawn for half of those that are replaced; |2 - 1| / |2| is what it makes.
    assert found.sizes == {"time": 3, "episode": 400}
    np.testing.assert_allclose(np.unique(found.each[:, 0]), [0, 0.5])
    assert float(found.distance[0]) == pytest.approx(0.5 * 0.25, abs=4 * 0.5 * (0.25 * 0.75 / 400) ** 0.5)
    assert (found.distance[1:] == 0).all()
    assert (views.recovery(RNN(cell=cell), episodes, KEY, burst=1, noise=0.0).distance == 0).all()


def path(states):
    """One episode of states (time, number)."""
    return xarray.DataArray(
        np.array([states], np.float32), {"part": ("number", ["h"] * len(states[0]))}, ("episode", "time", "number")
    )


def test_states_are_those_of_the_scan_and_say_what_they_are():
    model = begin(Stack(layers=(ls.SRNN(), ls.LSTM())), KEY, units=2, inputs=1, outputs=None)
    model, x = dataclasses.replace(model, readout=None), latch(2, 3).x[..., None]
    found = views.states(model, Episode(x=x, target=np.zeros(2)))
    assert found.part.values.tolist() == ["layers.0.h"] * 2 + ["layers.1.h"] * 2 + ["layers.1.c"] * 2
    np.testing.assert_allclose(found[1, :, 2:4], ls.run(model, x[1]), atol=4 * EPS)
    moved = views.states(model, Episode(x=x, target=np.zeros(2)), start=0.5)
    assert np.abs(moved - found).max() > 0.01


def test_a_circle_turns_by_equal_angles_and_a_line_not_at_all():
    angle = np.radians(30) * np.arange(9)
    circle = views.traces(path(np.stack([np.cos(angle), np.sin(angle)], 1)))
    assert circle.turn.item() == pytest.approx(30, abs=1e-3)
    assert circle.length.item() == pytest.approx(8 * 2 * np.sin(np.radians(15)), rel=1e-5)
    assert views.traces(path([[1, 0], [2, 0], [4, 0]])).turn.item() == 0
    back = views.traces(path([[1, 0], [2, 0], [2, 0], [1, 0], [2, 0]]))  # a step of length 0 has no angle
    assert back.turn.item() == 180


def test_a_unit_responds_to_the_symbol_that_moves_it():
    """The first unit is high after symbol 1, the second low after symbol 2 in half of the cases, the third stays."""
    read = np.array([[0, 1, 0, 2, 0, 0, 2, 0, 1, 0]])
    states = np.zeros((10, 3))
    states[read[0] == 1, 0] = 5
    states[3, 1] = -5
    found = views.responses(path(states), read)
    np.testing.assert_array_equal(found.share, [[0, 0, 0], [1, 0, 0], [0, 0.5, 0]])
    np.testing.assert_array_equal(found["count"], [6, 2, 2])


def test_spectra_of_a_rotation_that_shrinks_are_its_own():
    angle, size = 0.3, 0.9
    w = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    cell = ls.cells.LinearRNN(w=jnp.asarray(w, jnp.float32), u=jnp.zeros((1, 2)), b=jnp.zeros(2))
    found = views.spectra(RNN(cell=cell, readout=Dense()), jnp.zeros((9, 1)))
    np.testing.assert_allclose(np.abs(found.eigenvalue), size, rtol=4 * EPS)
    np.testing.assert_allclose(np.abs(np.angle(found.eigenvalue)), angle, rtol=20 * EPS)
    np.testing.assert_allclose(found.singular, size, rtol=4 * EPS)
    np.testing.assert_allclose(found.lyapunov, np.log(size), rtol=20 * EPS)


@pytest.mark.slow
def test_the_largest_exponent_of_a_driven_unit_is_the_mean_log_slope():
    cell, x = jax.tree.map(jnp.asarray, ls.SRNN(w=1.5)), latch(1, 20).x[0]
    found = views.spectra(RNN(cell=cell), x)
    h = np.concatenate([[0], np.asarray(ls.run(cell, x))])
    want = np.mean(np.log(1.5 * (1 - h[1:].astype(float) ** 2)))
    assert found.lyapunov.item() == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda: views.saturation(ls.SRNN(), latch()), TypeError, "gates are known of an LSTM .* not of SRNN"),
        (lambda: views.saturation(ls.cells.LSTMPeephole(), latch()), TypeError, "an LSTM without peepholes"),
        (lambda: views.recovery(ls.SRNN(), latch(), KEY, 6, 0.1), ValueError, "burst must be 1 to 5 steps"),
        (lambda: views.recovery(ls.SRNN(), latch(), KEY, 4, 0.1, since=2), ValueError, "burst must be 1 to 3 steps"),
        (lambda: views.traces(path([[0, 0], [1, 0]])), ValueError, "a turn needs three states or more"),
        (lambda: views.responses(path([[0, 0], [1, 0]]), np.zeros((1, 3), int)), ValueError, "2 states and 3 symbols"),
        (
            lambda: views.gradient_by_lag(RNN(cell=_Bare()), latch(), losses.squared_error),
            ValueError,
            "has no biases b",
        ),
    ],
)
def test_what_cannot_be_viewed_is_refused_in_a_sentence(ask, error, message):
    with pytest.raises(error, match=message):
        ask()


class _Bare(ls.Cell):
    """A cell of nothing."""


jax.tree_util.register_pytree_node(_Bare, lambda cell: ((), None), lambda _, leaves: _Bare())

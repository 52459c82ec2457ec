"""Laws of the views: each against the definition, or a network whose answer is known in closed form."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import landscape as ls
from landscape import losses, tasks, views
from landscape.initialisers import irnn
from landscape.models import RNN, Dense, Stack
from landscape.tasks import Episode
from landscape.training import begin

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
    assert len(views._biases(one.cell)) == 1
    assert len(views._biases(two.cell)) == 2
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


def test_spectra_of_a_rotation_that_shrinks_are_its_own():
    angle, size = 0.3, 0.9
    w = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    cell = ls.cells.LinearRNN(w=jnp.asarray(w, jnp.float32), u=jnp.zeros((1, 2)), b=jnp.zeros(2))
    found = views.spectra(RNN(cell=cell, readout=Dense()), jnp.zeros((9, 1)))
    np.testing.assert_allclose(np.abs(found.eigenvalue), size, rtol=4 * EPS)
    np.testing.assert_allclose(np.abs(np.angle(found.eigenvalue)), angle, rtol=20 * EPS)
    np.testing.assert_allclose(found.singular, size, rtol=4 * EPS)
    np.testing.assert_allclose(found.lyapunov, np.log(size), rtol=20 * EPS)


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
        (
            lambda: views.recovery(ls.SRNN(), Episode(x=np.zeros((2, 4), int), target=np.zeros(2)), KEY, 1, 0.1),
            ValueError,
            "noise is added to inputs that are numbers",
        ),
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

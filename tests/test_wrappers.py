"""Laws of cells round cells: a masked layer is the small one, a truncated gradient is that of a state held constant."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import landscape as ls
from landscape import cells, losses, tasks
from landscape.initialisers import keras3
from landscape.models import Sized, Stack, Truncated
from landscape.tasks import Episode, time_first
from landscape.training import begin, fit, forward, reverse, steps
from landscape.tree import params

UNITS, SMALL, TIME = 5, 3, 6
KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def episodes():
    """Strings of the grammar, cut after a few steps, time first."""
    return time_first(jax.jit(lambda: tasks.episodes(tasks.reber(), KEY, 8, TIME))())


def cut(part, units):
    """A layer or a readout of the first units alone: the upper left corners of its matrices."""
    kept = {}
    for name, field in params(part).items():
        if (leaf := getattr(part, name)) is not None:
            at = tuple(slice(units) if axis == "unit" else slice(None) for axis in field.metadata["axes"])
            kept[name] = leaf[at]
    return dataclasses.replace(part, **kept)


def both(cell):
    """A layer of five units of which three are in use, and a layer of these three."""
    whole = begin(cell, KEY, units=UNITS, inputs=7, outputs=7)
    return whole, ls.RNN(cell=cut(whole.cell, SMALL), readout=cut(whole.readout, SMALL))


@pytest.mark.parametrize(
    "make", [cells.LogisticRNN, *[pytest.param(c, marks=pytest.mark.slow) for c in (cells.GRU, cells.FGR, cells.MUT1)]]
)
def test_a_masked_layer_answers_as_the_small_one(make, episodes):
    whole, small = both(make())
    run = jax.jit(ls.run)
    masked = ls.RNN(cell=Sized(cell=whole.cell, size=jnp.float32(SMALL)), readout=whole.readout)
    # A logistic unit of weight 0 answers 1/2: the state is masked, not the weights. Sums of 5 and of 3 terms.
    np.testing.assert_allclose(run(masked, episodes.x[:, 0]), run(small, episodes.x[:, 0]), rtol=1e-5, atol=1e-6)
    wider = dataclasses.replace(masked, cell=Sized(cell=whole.cell, size=jnp.float32(SMALL + 1)))
    assert np.abs(run(wider, episodes.x[:, 0]) - run(small, episodes.x[:, 0])).max() > 1e-3


def test_after_ten_updates_a_masked_layer_is_still_the_small_one_and_all_else_as_it_was(episodes):
    whole, small = both(cells.LSTMPeephole())
    rule, through = optax.sgd(0.5, momentum=0.9, nesterov=True), reverse(losses.classes)
    update = steps.step(lambda m, e: through.gradient(m, e, jnp.arange(8), jnp.int32(TIME)), rule)

    @jax.jit
    def train(model):
        return jax.lax.scan(lambda s, _: update.update(s, episodes), update.init(model), length=10)[0].model

    masked = ls.RNN(cell=Sized(cell=whole.cell, size=jnp.float32(SMALL)), readout=whole.readout)
    after, alone = train(masked), train(small)
    assert after.cell.size == SMALL
    for part, own, begun in ((after.cell.cell, alone.cell, whole.cell), (after.readout, alone.readout, whole.readout)):
        for got, expected in zip(*map(jax.tree.leaves, (cut(part, SMALL), own)), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)  # ten updates of sums in another order
        for name, field in params(part).items():
            if "unit" in field.metadata["axes"] and getattr(part, name) is not None:
                at = tuple(slice(SMALL, None) if axis == "unit" else slice(None) for axis in field.metadata["axes"])
                np.testing.assert_array_equal(getattr(part, name)[at], getattr(begun, name)[at])
    assert np.abs(alone.cell.w_f - small.cell.w_f).max() > 1e-3  # there was something to learn


def test_a_fit_moves_the_units_in_use_and_no_others():
    x = np.random.default_rng(1).normal(size=(10, TIME)).astype("f4")
    model = begin(Sized(cell=cells.SRNN(), size=2), KEY, units=4)  # a size that is a number, not an array
    fitted = fit(KEY, model, Episode(x=x, target=np.sign(x[:, 0])), optax.sgd(0.1), epochs=1, batch=4)
    moved = np.asarray(fitted.model.cell.cell.w != model.cell.cell.w)
    assert moved[:2, :2].all()
    assert moved.sum() == 4


@pytest.mark.parametrize("size", [0, UNITS + 1])
def test_a_size_that_the_layer_does_not_have_is_refused(size):
    whole = keras3(cells.SRNN(), KEY, UNITS, 7)
    with pytest.raises(ValueError, match=f"size must be 1 to {UNITS}, the units of the layer; given {size}"):
        ls.run(Sized(cell=whole, size=size), np.zeros((2, 7), np.float32))


def gradient(model, x, target):
    """d loss / d model of one answer after all steps."""
    return jax.jit(jax.grad(lambda model: losses.squared_error(ls.run(model, x)[-1], target)))(model)


def test_the_truncated_gradient_of_a_unit_without_recurrence_is_the_full_one():
    x, target = jnp.linspace(-1, 1, 4), jnp.float32(0.3)
    for w, same in ((0.0, True), (0.8, False)):
        cell = cells.LSTM1997(w_i=jnp.float32(w), w_g=jnp.float32(w), w_o=jnp.float32(w), u_i=jnp.float32(0.5))
        cell = jax.tree.map(jnp.float32, cell)
        full, cutoff = gradient(cell, x, target), gradient(Truncated(cell=cell), x, target).cell
        assert ls.run(Truncated(cell=cell), x)[-1] == ls.run(cell, x)[-1]
        known = [name for name in params(cell) if getattr(cell, name) is not None]
        near = [np.allclose(getattr(full, n), getattr(cutoff, n), rtol=1e-5, atol=1e-7) for n in known]
        assert all(near) == same


def test_along_c_a_truncated_error_of_the_cell_of_1997_never_decays():
    cell = keras3(cells.LSTM1997(), KEY, SMALL, 1)
    x = jax.random.normal(KEY, (40, 1))

    def last(c, cell):
        begun = cell.initial()._replace(c=c)
        return jax.lax.scan(lambda s, one: (cell.step(s, one), None), begun, x)[0].c

    carousel = jax.jit(jax.jacobian(last))
    np.testing.assert_array_equal(carousel(jnp.ones(SMALL), Truncated(cell=cell)), np.eye(SMALL))
    assert np.abs(carousel(jnp.ones(SMALL), cell) - np.eye(SMALL)).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("route", [forward, reverse])
def test_training_sees_the_truncated_gradient(route):
    if route is forward:
        model, x = begin(Truncated(cell=cells.LSTM()), KEY, outputs=None), jax.random.normal(KEY, (4, 2))
    else:
        model = begin(Truncated(cell=cells.LSTM()), KEY, outputs=None, units=2, inputs=1)
        x = jax.random.normal(KEY, (4, 2, 1))
    data, through = Episode(x=x, target=jnp.array([0.5, -0.5])), route(losses.raw)
    got = jax.jit(lambda m: through.gradient(m, data, jnp.arange(2), jnp.int32(4))[1])(model)
    each = [gradient(model, x[:, i], data.target[i]) for i in range(2)]
    for one, first, second in zip(*map(jax.tree.leaves, (got, *each)), strict=True):
        np.testing.assert_allclose(one, (first + second) / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_wrapped_cell_is_started_as_it_would_be_alone_in_a_stack_too():
    alone, wrapped = (keras3(c, KEY, SMALL, 2) for c in (cells.GRU(), Truncated(cell=cells.GRU())))
    for one, other in zip(*map(jax.tree.leaves, (alone, wrapped)), strict=True):
        np.testing.assert_array_equal(one, other)
    stack = begin(Truncated(cell=Stack(layers=(cells.SRNN(), cells.SRNN()))), KEY, units=2, inputs=7, outputs=7)
    lowest = gradient(stack, jnp.array([1, 2, 3]), jnp.zeros(7)).cell.cell.layers[0].u
    assert np.flatnonzero(np.any(lowest != 0, 1)).tolist() == [3]  # all a layer knows of is its last symbol

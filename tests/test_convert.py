"""Laws of exchanging weights with Keras and flax.linen, and of running inside flax."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from landscape import cells
from landscape.convert import as_layer, as_linen, as_unit, from_keras, from_linen, to_keras, to_linen
from landscape.initialisers import flax, keras3
from landscape.models import RNN, Dense, run
from landscape.tasks import episodes, latch
from landscape.tree import params

KEY = jax.random.key(11)
EPS = float(np.finfo(np.float32).eps)
PLAIN = [cells.SRNN, cells.LSTM, cells.HardLSTM, cells.GRU, cells.GRUResetAfter, cells.HardGRU]


def filled(cell, units=3, inputs=2):
    """``cell`` as a layer with every parameter random, biases too."""
    layer = jax.eval_shape(lambda key: flax(cell, key, units, inputs), KEY)
    rng = np.random.default_rng(5)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), layer)


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


# The LSTM(1) that zyxue trained on latching with T = 30 in Keras 2.1.5 (stats.SE 340898), gates i, f, c, o, and its
# Dense(1) with a logistic output.
STORED = [
    np.array([[-0.62243706, -0.28811961, -0.73529279, -0.00072615035]], np.float32),
    np.array([[-0.4820581, 0.07788572, 1.189156, 0.00288322]], np.float32),
    np.array([0.7042295, 1.9541454, 0.08221795, 2.5031848], np.float32),
    np.array([[-2.760926]], np.float32),
    np.array([0.11520614], np.float32),
]


def replay(make):
    """Answers of the stored net to 500 latching episodes of each class, (class, episode)."""
    model = as_unit(from_keras(RNN(cell=make(), readout=Dense()), STORED))
    x = episodes(latch(0.1), KEY, 1000, 30).x
    final = jax.jit(jax.vmap(lambda x: jax.nn.sigmoid(run(model, x)[-1])))(x)
    return np.asarray(final).reshape(-1, 2).T


def test_stored_keras_net_answers_as_keras_did():
    plus, minus = replay(cells.HardLSTM)
    medians = np.sort([np.median(plus), np.median(minus)])
    np.testing.assert_allclose(medians, [0.0662822, 0.9466260], atol=2e-7)
    high, low = (plus, minus) if np.median(plus) > 0.5 else (minus, plus)
    assert np.max(np.abs(high - 0.9466260)) < 1e-5
    assert np.max(np.abs(low - 0.0662822)) < 6e-5
    # The answers that Keras gave to two episodes of each class lie among ours.
    for ours, theirs in ((high, [0.9466272, 0.9466257]), (low, [0.0662808, 0.0662825])):
        assert np.all((ours.min() < theirs) & (theirs < ours.max()))


def test_logistic_gates_are_not_what_that_net_was_trained_with():
    medians = np.sort(np.median(replay(cells.LSTM), axis=1))
    assert np.all(np.abs(medians - [0.0662822, 0.9466260]) > 0.01)
    np.testing.assert_allclose(medians, [0.08052, 0.93498], atol=1e-5)


@pytest.mark.parametrize("make", PLAIN)
def test_keras_round_trip_is_exact(make):
    cell = filled(make())
    same(from_keras(make(), to_keras(cell)), cell)
    assert [array.ndim for array in to_keras(cell)] == [2, 2, 2 if make is cells.GRUResetAfter else 1]


@pytest.mark.parametrize("make", [cells.SRNN, cells.LSTM, cells.GRU])
def test_weights_from_keras_come_back_exactly(make):
    rng = np.random.default_rng(0)
    wide = 3 * len(make().gates)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((2, wide), (3, wide), (wide,))]
    for got, want in zip(to_keras(from_keras(make(), weights)), weights, strict=True):
        np.testing.assert_array_equal(got, want, strict=True)


def test_keras_concatenates_gates_as_the_step_reads_them():
    """Keras' own LSTM in NumPy: one product, then the parts i, f, c, o."""
    cell = filled(cells.HardLSTM())
    kernel, recurrent, bias = to_keras(cell)
    h, c, x = np.array([0.1, -0.2, 0.3]), np.array([0.5, 0.4, -0.3]), np.array([1.0, -1.0])
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c_next = oracles.clip(f) * c + oracles.clip(i) * np.tanh(g)
    state = cell.step(cells.LSTMState(jnp.float32(h), jnp.float32(c)), jnp.float32(x))
    np.testing.assert_allclose(state.c, c_next, atol=16 * EPS)
    np.testing.assert_allclose(state.h, oracles.clip(o) * np.tanh(c_next), atol=16 * EPS)


def test_both_biases_of_a_reset_after_gru_act_as_in_keras():
    """Keras' own GRU in NumPy: recurrent bias inside the product that the reset gate multiplies."""
    rng = np.random.default_rng(1)
    kernel, recurrent, bias = (rng.normal(size=shape) for shape in ((2, 9), (3, 9), (2, 9)))
    h, x = rng.normal(size=3), rng.normal(size=2)
    (z, r, g), (z_h, r_h, g_h) = np.split(x @ kernel + bias[0], 3), np.split(h @ recurrent + bias[1], 3)
    z, r = oracles.s(z + z_h), oracles.s(r + r_h)
    expected = z * h + (1 - z) * np.tanh(g + r * g_h)
    cell = from_keras(cells.GRUResetAfter(), [np.float32(a) for a in (kernel, recurrent, bias)])
    got = cell.step(cells.State(jnp.float32(h)), jnp.float32(x)).h
    np.testing.assert_allclose(got, expected, atol=16 * EPS)
    np.testing.assert_array_equal(from_keras(cells.GRU(reset_after=True), to_keras(cell)).c_h, cell.c_h)


def test_a_model_converts_with_and_without_its_readout():
    model = RNN(cell=filled(cells.GRU()), readout=Dense(w=jnp.ones((3, 2)), b=jnp.zeros(2)))
    same(from_keras(RNN(cell=cells.GRU(), readout=Dense()), to_keras(model)), model)
    bare = RNN(cell=model.cell)
    same(from_keras(RNN(cell=cells.GRU()), to_keras(bare)), bare)
    assert len(to_keras(model)) == len(to_keras(bare)) + 2


@pytest.mark.parametrize(
    ("like", "shapes"),
    [
        (cells.LSTM(), [(2, 12), (3, 12)]),
        (cells.LSTM(), [(2, 9), (3, 9), (9,)]),
        (cells.GRU(), [(2, 9), (3, 9), (2, 9)]),
        (cells.GRUResetAfter(), [(2, 9), (3, 9), (9,)]),
        (Dense(), [(3, 2), (3,)]),
        (Dense(), [(3, 2)]),
    ],
)
def test_arrays_of_other_shapes_are_refused(like, shapes):
    with pytest.raises(ValueError, match="are not the weights of the Keras layer like"):
        from_keras(like, [np.zeros(shape) for shape in shapes])


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (cells.MUT3(), "no layer like MUT3; convert an SRNN, an LSTM or a GRU"),
        (cells.LSTMPeephole(), "no LSTM with p_f, with p_i, with p_o"),
        (cells.LSTM1997(), "no LSTM without b_f, without u_f, without w_f"),
        (cells.GRUChung(), "GRU keeps with z"),
    ],
)
def test_cells_that_frameworks_lack_are_refused(cell, words):
    for convert in (to_keras, to_linen, lambda cell: from_keras(cell, []), lambda cell: from_linen(cell, {})):
        with pytest.raises(TypeError, match=words):
            convert(cell)


LINEN = [(cells.SRNN, nn.SimpleCell), (cells.LSTM, nn.LSTMCell), (cells.LSTM, nn.OptimizedLSTMCell)]
LINEN += [(cells.GRUResetAfter, nn.GRUCell)]


@pytest.mark.parametrize(("make", "theirs"), LINEN)
def test_linen_parameters_come_back_exactly(make, theirs):
    module = theirs(features=3)
    x = jnp.zeros(2)
    shapes = jax.eval_shape(module.init, KEY, module.initialize_carry(KEY, x.shape), x)["params"]
    rng = np.random.default_rng(2)
    weights = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)
    same(to_linen(from_linen(make(), weights)), weights)
    cell = filled(make())
    same(from_linen(make(), to_linen(cell)), cell)


def test_foreign_linen_parameters_are_refused():
    with pytest.raises(ValueError, match=r"SRNN has \['h.kernel', 'i.bias', 'i.kernel'\], given \['h.kernel'\]"):
        from_linen(cells.SRNN(), {"h": {"kernel": np.zeros((3, 3))}})
    with pytest.raises(TypeError, match="give GRUResetAfter"):
        to_linen(filled(cells.GRU()))


def test_one_unit_and_a_layer_of_one_are_the_same_model():
    unit = RNN(cell=keras3(cells.LSTMPeephole(p_f=0.5), KEY), readout=Dense(w=2.0, b=0.5))
    layer = as_layer(unit)
    assert layer.cell.w_f.shape == (1, 1)
    assert layer.cell.p_f.shape == (1,)
    same(as_unit(layer), jax.tree.map(jnp.asarray, unit))
    same(as_layer(layer), layer)
    x = jax.random.normal(KEY, (20,))
    np.testing.assert_allclose(run(layer, x[:, None])[:, 0], run(unit, x), atol=8 * EPS)


@pytest.mark.parametrize(("units", "inputs", "shape"), [(None, 4, (4, 1)), (4, None, (1, 4)), (4, 2, (2, 4))])
def test_a_missing_axis_is_found_by_what_else_is_missing(units, inputs, shape):
    cell = keras3(cells.GRU(), KEY, units, inputs)
    layer = as_layer(cell)
    assert layer.u_z.shape == shape
    np.testing.assert_array_equal(np.ravel(layer.u_z), np.ravel(cell.u_z))


@pytest.mark.parametrize(("w", "b", "shape"), [((4,), (4,), (1, 4)), ((4,), (), (4, 1)), ((), (), (1, 1))])
def test_a_readout_gets_the_axis_that_it_lacks(w, b, shape):
    assert as_layer(Dense(w=jnp.ones(w), b=jnp.zeros(b))).w.shape == shape


def test_many_units_are_not_one():
    with pytest.raises(ValueError, match="w is of 3 units; only a layer of one"):
        as_unit(filled(cells.SRNN()))
    with pytest.raises(ValueError, match="w is of 3 units"):
        as_unit(Dense(w=jnp.ones((3, 1)), b=jnp.zeros(1)))


CARRIED = ["SRNN", "CIFG", "FGR"]  # the three kinds of state; one with absent parameters


@pytest.mark.parametrize("name", CARRIED)
def test_a_cell_inside_flax_runs_as_it_does_outside(name):
    make = cells.known()[name]
    module = nn.RNN(as_linen(make)(features=3))
    x = jax.random.normal(KEY, (4, 9, 2))
    variables = module.init(KEY, x)
    weights = variables["params"]["cell"]
    blank = make()
    axes = {n: f.metadata["axes"] for n, f in params(blank).items() if getattr(blank, n) is not None}
    assert {n: w.shape for n, w in weights.items()} == {
        n: tuple({"unit": 3, "input": 2}[axis] for axis in named) for n, named in axes.items()
    }
    cell = dataclasses.replace(blank, **weights)
    outside = jax.vmap(lambda x: run(cell, x))(x)
    np.testing.assert_allclose(jax.jit(module.apply)(variables, x), outside, atol=32 * EPS)


def test_a_cell_inside_flax_starts_as_its_initialiser_says():
    x = jnp.zeros((1, 5, 2))
    start = lambda initialise: nn.RNN(as_linen(cells.LSTM, initialise)(features=3)).init(KEY, x)["params"]["cell"]  # noqa: E731
    together, apart = start(keras3), start(flax)
    w = np.concatenate([together[f"w_{gate}"] for gate in "ifgo"], axis=1)
    np.testing.assert_allclose(w @ w.T, np.eye(3), atol=16 * EPS)
    np.testing.assert_allclose(apart["w_i"] @ apart["w_i"].T, np.eye(3), atol=16 * EPS)
    assert [together["b_f"][0], apart["b_f"][0]] == [1, 0]


def test_a_bidirectional_layer_of_our_cells_reads_both_ways():
    layer = lambda: nn.RNN(as_linen(cells.GRU)(features=3))  # noqa: E731
    both = nn.Bidirectional(layer(), layer())
    x = jax.random.normal(KEY, (1, 6, 2))
    variables = both.init(KEY, x)
    y = both.apply(variables, x)
    assert y.shape == (1, 6, 6)
    backward = dataclasses.replace(cells.GRU(), **variables["params"]["backward_rnn"]["cell"])
    np.testing.assert_allclose(y[0, ::-1, 3:], run(backward, x[0, ::-1]), atol=32 * EPS)


def test_padding_does_not_reach_the_last_state():
    module = nn.RNN(as_linen(cells.LSTM)(features=3), return_carry=True)
    x = jax.random.normal(KEY, (2, 7, 2))
    variables = module.init(KEY, x)
    carry, _ = module.apply(variables, x, seq_lengths=jnp.array([4, 7]))
    cut, _ = module.apply(variables, x[:1, :4])
    np.testing.assert_allclose(carry.c[0], cut.c[0], atol=8 * EPS)


def test_flax_is_told_in_one_sentence_when_a_cell_does_not_fit_its_input():
    x = jnp.zeros((1, 5, 2))
    with pytest.raises(TypeError, match=r"MUT1 cannot step on an input of shape \(2,\)"):
        nn.RNN(as_linen(cells.MUT1)(features=3)).init(KEY, x)
    projected = nn.RNN(as_linen(functools.partial(cells.MUT1, p=0.0))(features=3))
    assert projected.init(KEY, x)["params"]["cell"]["p"].shape == (2, 3)

"""Laws of the initialisers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape import cells
from landscape.cells import known
from landscape.initialisers import (
    chrono,
    flax,
    irnn,
    keras2,
    keras3,
    linear,
    orthogonal,
    pytorch,
    readout,
    svd_orthogonal,
    with_multiplier,
)
from landscape.models import RNN, run
from landscape.tree import params

EPS = float(np.finfo(np.float32).eps)
KEY = jax.random.key(7)
KEYS = jax.random.split(KEY, 2000)


def mapped(make, keys):
    """What ``make`` makes of every key, by one program."""
    return jax.jit(jax.vmap(make))(keys)


def numbers(tree) -> int:
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def side_by_side(cell, kind):
    return np.concatenate([getattr(cell, f"{kind}_{gate}" if gate else kind) for gate in cell.gates], axis=1)


@pytest.mark.parametrize("initialise", [keras2, keras3, flax, irnn, pytorch])
@pytest.mark.parametrize("name", known())
def test_every_cell_gets_the_shapes_that_its_axes_name(name, initialise):
    def shapes(units, inputs):
        cell = jax.eval_shape(lambda key: initialise(known()[name](), key, units, inputs), KEY)
        return {n: getattr(cell, n).shape for n in params(cell) if getattr(cell, n) is not None}

    own = known()[name]()
    axes = {n: field.metadata["axes"] for n, field in params(own).items() if getattr(own, n) is not None}
    assert shapes(3, 2) == {
        n: tuple({"unit": 3, "block": 3, "input": 2}[a] for a in named) for n, named in axes.items()
    }
    assert shapes(None, None) == dict.fromkeys(axes, ())
    assert shapes(None, 2) == {n: (2,) if named[0] == "input" else () for n, named in axes.items()}


@pytest.mark.parametrize(
    ("make", "one", "eight"), [(cells.SRNN, 3, 80), (cells.HardLSTM, 12, 320), (cells.HardGRU, 9, 240)]
)
def test_parameter_counts_are_those_keras_prints(make, one, eight):
    def model(key, units=None, inputs=None):
        return RNN(cell=keras2(make(), key, units, inputs), readout=readout(key, units, outputs=2))

    for counts, sizes in (((one, 4), ()), ((eight, 18), (8, 1))):
        shapes = jax.eval_shape(lambda key, sizes=sizes: model(key, *sizes), KEY)
        assert tuple(numbers(part) for part in (shapes.cell, shapes.readout)) == counts


@pytest.mark.parametrize("initialise", [keras2, keras3])
@pytest.mark.parametrize("make", [cells.SRNN, cells.LSTM])
def test_keras_recurrent_matrix_has_orthonormal_rows_over_all_gates(make, initialise):
    w = side_by_side(jax.jit(lambda key: initialise(make(), key, 8, 2))(KEY), "w")
    np.testing.assert_allclose(w @ w.T, np.eye(8), atol=32 * EPS)


def test_flax_makes_each_gate_orthogonal_alone():
    cell = flax(cells.LSTM(), KEY, 8, 2)
    for w in (cell.w_i, cell.w_f, cell.w_g, cell.w_o):
        np.testing.assert_allclose(w @ w.T, np.eye(8), atol=32 * EPS)
    assert not np.allclose(cell.w_i, cell.w_f)
    # Draws side by side cannot all be orthogonal alone: this is what sets the conventions apart.
    assert not np.allclose(keras3(cells.LSTM(), KEY, 8, 2).w_i @ keras3(cells.LSTM(), KEY, 8, 2).w_i.T, np.eye(8))


@pytest.mark.parametrize("initialise", [keras2, keras3, flax])
def test_one_simple_unit_starts_on_the_boundary_with_either_sign(initialise):
    w = mapped(lambda key: initialise(cells.SRNN(), key).w, KEYS)
    assert set(np.unique(w)) == {-1.0, 1.0}
    assert abs(np.mean(w)) < 4 / np.sqrt(len(KEYS))  # four standard errors of a fair coin


@pytest.mark.parametrize(("initialise", "artefact"), [(keras2, True), (keras3, False)])
def test_recurrent_weights_of_one_gated_unit_are_a_unit_vector_whose_signs_keras2_fixed(initialise, artefact):
    cell = mapped(lambda key: initialise(cells.LSTM(), key), KEYS)
    w = np.stack([cell.w_i, cell.w_f, cell.w_g, cell.w_o])
    np.testing.assert_allclose(np.linalg.norm(w, axis=0), 1, atol=8 * EPS)
    coin = 4 * 0.5 / np.sqrt(len(KEYS))
    assert np.mean(w[1:] > 0, axis=1) == pytest.approx(0.5, abs=coin)
    # LAPACK returns the first singular vector of a row with a negative first component, every time.
    assert np.mean(w[0] > 0) == (0 if artefact else pytest.approx(0.5, abs=coin))


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 1), (2, 8)])
def test_orthogonal_is_that_of_jax_and_of_one_unit_without_lapack(shape):
    drawn = jax.jit(lambda key: orthogonal(key, shape))
    np.testing.assert_allclose(drawn(KEY), jax.nn.initializers.orthogonal()(KEY, shape), rtol=0, atol=2 * EPS)
    assert ("custom_call" in drawn.lower(KEY).as_text()) is (1 not in shape)


def test_svd_orthogonal_is_made_of_the_singular_vectors():
    w = np.asarray(svd_orthogonal(KEY, (3, 12)))
    normal = np.asarray(jax.random.normal(KEY, (3, 12)))
    np.testing.assert_allclose(w @ w.T, np.eye(3), atol=16 * EPS)
    np.testing.assert_allclose(w.T @ w @ normal.T, normal.T, atol=32 * EPS)  # same row space


@pytest.mark.parametrize(
    ("make", "units", "inputs", "limit"),
    [
        (cells.SRNN, None, None, 1.7320508),
        (cells.LSTM, None, None, 1.0954451),
        (cells.GRU, None, None, 1.2247449),
        (cells.LSTM, 2, 3, np.sqrt(6 / (3 + 8))),
    ],
)
@pytest.mark.parametrize("initialise", [keras2, keras3])
def test_glorot_limit_counts_all_gates_as_outputs(make, units, inputs, limit, initialise):
    keys = KEYS if units is None else KEYS[:100]
    cell = mapped(lambda key: initialise(make(), key, units, inputs), keys)
    u = np.concatenate([np.ravel(getattr(cell, f"u_{gate}" if gate else "u")) for gate in cell.gates])
    assert 0.99 * limit < np.max(np.abs(u)) <= limit
    # The variance of a uniform is limit²/3; of its sample, (limit²/3)² 4/5 / n.
    assert np.var(u) == pytest.approx(limit**2 / 3, rel=4 * np.sqrt(0.8 / len(u)))


def test_flax_input_weights_are_lecun_normal_cut_at_two_sigma():
    cell = jax.jit(lambda key: flax(cells.LSTM(), key, 64, 16))(KEY)
    u = np.ravel([cell.u_i, cell.u_f, cell.u_g, cell.u_o])
    assert np.var(u) == pytest.approx(1 / 16, rel=4 * np.sqrt(2 / len(u)))
    assert 0.99 < np.max(np.abs(u)) / (2 / np.sqrt(16) / 0.87962566) <= 1  # sd of a normal cut at two


def test_biases_are_zero_but_for_the_forget_gate_of_keras():
    for initialise, forget in ((keras2, 1), (keras3, 1), (flax, 0), (irnn, 0)):
        cell = initialise(cells.LSTM(b_i=5.0, b_f=5.0, b_g=5.0, b_o=5.0), KEY, 3, 2)
        assert [float(b[0]) for b in (cell.b_i, cell.b_f, cell.b_g, cell.b_o)] == [0, forget, 0, 0]
    assert keras2(cells.Pascanu(), KEY).b == 0


def test_what_no_convention_knows_keeps_the_value_of_the_cell():
    cell = keras3(cells.LSTMPeephole(p_f=0.25), KEY, 3, 2)
    np.testing.assert_array_equal(cell.p_f, [0.25] * 3)
    np.testing.assert_array_equal(keras3(cells.LeakyRNN(a=0.125), KEY, 3, 2).a, [0.125] * 3)
    assert keras3(cells.NFG(), KEY, 3, 2).w_f is None
    assert cells.NOAF().h_act is keras3(cells.NOAF(), KEY, 3, 2).h_act


def test_irnn_copies_its_state_and_hardly_sees_its_input():
    cell = jax.jit(lambda key: irnn(cells.IRNN(), key, 64, 64))(KEY)
    np.testing.assert_array_equal(cell.w, np.eye(64))
    assert np.std(cell.u) == pytest.approx(1e-3, rel=4 / np.sqrt(2 * 64**2))
    start = jnp.abs(jax.random.normal(KEY, (64,)))
    np.testing.assert_array_equal(run(cell, jnp.zeros((50, 64)), start=start)[-1], start)


def test_chrono_spreads_the_memories_uniformly_up_to_the_longest():
    cell = mapped(lambda key: chrono(100)(cells.LSTM(), key), KEYS)
    np.testing.assert_array_equal(cell.b_i, -cell.b_f)
    steps = np.exp(cell.b_f)
    assert 1 <= steps.min() < 1.3
    assert 98.7 < steps.max() <= 99 * (1 + 8 * EPS)
    assert np.mean(steps) == pytest.approx(50, abs=4 * 98 / np.sqrt(12 * len(KEYS)))
    np.testing.assert_array_equal(
        chrono(100)(cells.LSTM(), KEY).w_g, keras3(cells.LSTM(), jax.random.split(KEY)[0]).w_g
    )


def test_chrono_gives_the_sign_that_keeps():
    def kept(cell):
        """How much of a state of 1 is left after a step without candidate: (steps - 1)/steps or so."""
        blank = {
            n: jnp.zeros_like(getattr(cell, n)) for n in params(cell) if n[0] in "wu" and getattr(cell, n) is not None
        }
        quiet = dataclasses.replace(cell, **blank)
        return float(quiet.step(quiet.initial(jnp.float32(1.0)), jnp.float32(0.0)).h)

    for make in (cells.GRU, cells.GRUChung, cells.MUT1, cells.MUT3):
        cell = chrono(1e6)(make(), KEY)
        steps = np.exp(abs(float(cell.b_z)))
        assert kept(cell) == pytest.approx(steps / (1 + steps), rel=8 * EPS)
        assert steps > 100
    coupled, open_in = chrono(1e6)(cells.CIFG(), KEY), chrono(1e6)(cells.NIG(), KEY)
    assert float(coupled.b_i) < -4
    assert coupled.b_f is None
    assert float(open_in.b_f) > 4
    assert open_in.b_i is None


def test_chrono_refuses_what_has_no_gate_and_no_time():
    with pytest.raises(ValueError, match="more than 2 steps, given 2"):
        chrono(2)
    with pytest.raises(TypeError, match="SRNN has none"):
        chrono(10)(cells.SRNN(), KEY)


MULTIPLIED = [
    cells.SRNN(u=0.7),
    cells.SoftsignRNN(),
    cells.LinearRNN(),
    cells.TanhMap(),
    cells.LeakyRNN(a=0.3),
    cells.GRU(b_z=0.4, b_r=-0.3, w_z=0.8, w_r=-1.2),
    cells.GRUResetAfter(b_z=0.4, b_r=-0.3, w_r=0.9),
    cells.GRUChung(b_z=0.4, b_r=-0.3),
    cells.HardGRU(b_z=0.4, b_r=-0.3),
    cells.MUT1(b_z=0.4, b_r=-0.3),
    cells.MUT2(b_z=0.4, b_r=-0.3, w_z=2.0),
    cells.MUT3(b_z=0.4, b_r=-0.3, w_z=2.0),
    cells.LSTM(b_i=0.2, b_o=-0.4, w_i=1.1, w_f=-0.7, w_o=0.6),
    cells.HardLSTM(b_i=0.2, b_o=-0.4),
    cells.LSTM1997(b_i=0.2, b_o=-0.4),
    cells.LSTMPeephole(p_i=1.0, p_f=-1.0, p_o=2.0),
    cells.NIG(b_o=0.3),
    cells.NOG(b_i=0.3),
    cells.CIFG(b_i=0.3),
]


@pytest.mark.parametrize("cell", MULTIPLIED, ids=lambda cell: type(cell).__name__)
@pytest.mark.parametrize("mu", [1.0, -0.6])
def test_the_jacobian_of_a_step_at_the_origin_has_the_multiplier_asked_for(cell, mu):
    aimed = with_multiplier(cell, mu)
    zero = aimed.initial(jnp.float32(0.0))
    np.testing.assert_array_equal(jax.tree.leaves(aimed.step(zero, jnp.float32(0.0))), jax.tree.leaves(zero))
    jacobian = jax.jacfwd(lambda state: aimed.step(state, jnp.float32(0.0)))(zero)
    rows = [jax.tree.leaves(row) for row in jacobian[: len(jax.tree.leaves(zero))]]
    # One unit has at most one eigenvalue that is not zero (the gated ones keep c alone), so the trace is it.
    assert np.trace(np.asarray(rows)) == pytest.approx(mu, abs=32 * EPS)
    assert np.linalg.det(np.asarray(rows)) == pytest.approx(0 if len(rows) > 1 else mu, abs=32 * EPS)


def test_pitchforks_lie_where_published():
    assert with_multiplier(cells.LSTM(), 1.0).w_g == pytest.approx(1.0757656854, rel=4 * EPS)
    assert with_multiplier(cells.HardLSTM(), 1.0).w_g == pytest.approx(1.2, rel=4 * EPS)
    assert with_multiplier(cells.GRU(), 1.0).w_h == pytest.approx(2.0, rel=4 * EPS)


def test_a_multiplier_of_a_layer_holds_for_each_unit_alone():
    layer = with_multiplier(keras3(cells.GRU(), KEY, 3, 2), 0.9)
    jacobian = jax.jacfwd(lambda h: layer.step(cells.State(h), jnp.zeros(2)).h)(jnp.zeros(3))
    np.testing.assert_allclose(jacobian, 0.9 * np.eye(3), atol=8 * EPS)


def test_a_multiplier_may_be_traced_and_mapped():
    mus = jnp.array([0.5, 1.0])
    aimed = jax.jit(jax.vmap(lambda key, mu: with_multiplier(keras2(cells.SRNN(), key), mu)))(KEYS[:2], mus)
    np.testing.assert_array_equal(aimed.w, mus)


def test_multipliers_without_a_formula_are_refused():
    with pytest.raises(ValueError, match=r"passes through it with a slope, given .*sigmoid"):
        with_multiplier(cells.LogisticRNN(), 1.0)
    with pytest.raises(ValueError, match="given relu"):
        with_multiplier(cells.IRNN(), 1.0)
    with pytest.raises(TypeError, match="origin multiplier of LSTM"):
        with_multiplier(cells.FGR(), 1.0)


@pytest.mark.parametrize("initialise", [keras2, keras3, flax, irnn, pytorch])
def test_mapping_over_keys_equals_one_by_one(initialise):
    every = mapped(lambda key: initialise(cells.SRNN(), key, 2, 3), KEYS[:3])
    alone = [initialise(cells.SRNN(), key, 2, 3) for key in KEYS[:3]]
    for many, *ones in zip(jax.tree.leaves(every), *map(jax.tree.leaves, alone), strict=True):
        np.testing.assert_allclose(many, np.stack(ones), atol=8 * EPS)
    assert not np.allclose(every.u[0], every.u[1])


@pytest.mark.parametrize(("outputs", "limit"), [(None, np.sqrt(3)), (2, np.sqrt(2))])
def test_readout_is_glorot_uniform_over_units_and_outputs(outputs, limit):
    dense = mapped(lambda key: readout(key, outputs=outputs), KEYS)
    w = np.ravel(dense.w)
    assert 0.99 * limit < np.max(np.abs(w)) <= limit
    assert np.var(w) == pytest.approx(limit**2 / 3, rel=4 * np.sqrt(0.8 / len(w)))
    assert not np.any(dense.b)
    assert readout(KEY, 8, 2)(jnp.ones(8)).shape == (2,)
    assert readout(KEY, 8)(jnp.ones(8)).shape == ()


@pytest.mark.parametrize("units", [None, 4])
def test_pytorch_draws_every_weight_and_both_biases_alike(units):
    """U(-1/sqrt(units), 1/sqrt(units)): a weight has variance 1/(3 units), the sum of two biases twice that."""
    many = jax.vmap(lambda key: pytorch(cells.LSTM(), key, units))(jax.random.split(jax.random.key(0), 2000))
    reach = (units or 1) ** -0.5
    for name in ("w_f", "u_o", "b_f", "b_g"):
        values, draws = np.asarray(getattr(many, name)), 2 if name[0] == "b" else 1
        assert draws * reach * 0.9 < np.abs(values).max() <= draws * reach
        assert values.var() == pytest.approx(draws * reach**2 / 3, rel=0.1)  # 2,000 draws or more: .03
        assert abs(values.mean()) < 0.1 * reach
    assert np.corrcoef(np.ravel(many.w_f), np.ravel(many.w_g))[0, 1] == pytest.approx(0, abs=0.1)


def test_pytorch_keeps_one_bias_in_the_reset_product_where_the_cell_has_it():
    many = jax.vmap(lambda key: pytorch(cells.GRUResetAfter(), key))(jax.random.split(jax.random.key(0), 2000))
    for name, reach in (("b_h", 1), ("c_h", 1), ("b_z", 2)):
        assert 0.9 * reach < np.abs(getattr(many, name)).max() <= reach
    with_peepholes = pytorch(cells.LSTMPeephole(), jax.random.key(0), 3)
    assert with_peepholes.p_i.shape == (3,)


@pytest.mark.parametrize("outputs", [None, 2])
def test_the_readout_of_pytorch_has_a_random_bias(outputs):
    made = jax.vmap(lambda key: linear(key, 4, outputs))(jax.random.split(jax.random.key(1), 2000))
    shape = () if outputs is None else (outputs,)
    assert (made.w.shape[1:], made.b.shape[1:]) == ((4, *shape), shape)
    for values in (made.w, made.b):
        assert 0.45 < np.abs(values).max() <= 0.5

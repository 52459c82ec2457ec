"""Laws of the recurrent cells."""

import dataclasses
import itertools
import re
import types
import zlib
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from landscape import cells
from landscape.cells import Cell, State, check, known
from landscape.convert import to_linen
from landscape.models import run
from landscape.tree import dot, param, params, pytree, static

KNOWN = known()
WIDTH = {"MUT1": 3, "MUT2": 3}  # as printed, their inputs are as many as their units
NOISE = {"BengioLatch": 1}  # inputs beyond those that have weights
EPS = np.finfo(np.float64).eps


def example(name: str, make: Any = None, units: int | None = 3, inputs: int | None = 2) -> tuple[Cell, Any, Any]:
    """A cell with random parameters, a random state and a random input, the same for every call."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    cell = (make or KNOWN[name])()
    inputs = inputs and WIDTH.get(name, inputs)
    sizes = {"unit": units, "input": inputs, "block": units}

    def draw(axes: tuple[str, ...]) -> Any:
        return jnp.asarray(rng.normal(size=[sizes[axis] for axis in axes if sizes[axis]]))

    fields = {n: field for n, field in params(cell).items() if getattr(cell, n) is not None}
    cell = dataclasses.replace(cell, **{n: draw(field.metadata["axes"]) for n, field in fields.items()})
    state = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), cell.initial())
    extra = NOISE.get(name, 0)
    shape = (2 * extra + extra,) if inputs is None and extra else () if inputs is None else (inputs + extra,)
    return cell, state, jnp.asarray(rng.normal(size=shape))


def plain(cell: Cell, state: Any, x: Any) -> tuple[dict, tuple, Any]:
    """The same in NumPy, with every axis that one unit and one input lack."""
    values = {n: np.asarray(getattr(cell, n)) for n in params(cell) if getattr(cell, n) is not None}
    full = {n: a.reshape((1,) * len(params(cell)[n].metadata["axes"])) if a.ndim == 0 else a for n, a in values.items()}
    return full, tuple(np.atleast_1d(leaf) for leaf in jax.tree.leaves(state)), np.atleast_1d(x)


@pytest.mark.parametrize("units", [None, 3], ids=["one unit", "layer"])
@pytest.mark.parametrize("name", KNOWN)
def test_step_equals_the_equation_in_numpy(name, units):
    oracle = getattr(oracles, name, None)
    assert oracle is not None, f"write the plain-NumPy step of {name} into tests/oracles.py"
    with jax.enable_x64(True):
        cell, state, x = example(name, units=units, inputs=units and 2)
        after = jax.tree.leaves(jax.jit(lambda cell, state, x: cell.step(state, x))(cell, state, x))
    expected = oracle(*plain(cell, state, x))
    assert len(after) == len(expected)
    for got, want in zip(after, expected, strict=True):
        # A step adds and multiplies some twenty numbers of order one.
        np.testing.assert_allclose(np.atleast_1d(got), want, rtol=40 * EPS, atol=40 * EPS)


@pytest.mark.parametrize("name", ["MUT1", "MUT2"])
def test_a_projection_frees_mutants_from_the_size_of_their_input(name):
    with jax.enable_x64(True):
        cell, state, x = example("MUT3", make=lambda: KNOWN[name](p=0.0))
        assert x.shape != state.h.shape
        after = cell.step(state, x)
    np.testing.assert_allclose(after.h, getattr(oracles, name)(*plain(cell, state, x))[0], rtol=40 * EPS)


@pytest.mark.parametrize("name", KNOWN)
def test_one_unit_is_a_layer_of_one(name):
    with jax.enable_x64(True):
        unit, state, x = example(name, units=None, inputs=None)
        wide = x.shape[:1] or (1,)
        shapes = {"unit": 1, "block": 1, "input": wide[0] - NOISE.get(name, 0)}
        values = {n: getattr(unit, n) for n in params(unit) if getattr(unit, n) is not None}
        if name == "BengioLatch":
            values["e"] = values["e"] * jnp.array([-1.0, 1.0])
        axes = {n: params(unit)[n].metadata["axes"] for n in values}
        layer = dataclasses.replace(unit, **{n: v.reshape([shapes[a] for a in axes[n]]) for n, v in values.items()})
        wide_state = jax.tree.map(lambda leaf: leaf[None], state)
        one, many = unit.step(state, x), layer.step(wide_state, x.reshape(wide))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        assert a.shape == ()
        assert b.shape == (1,)
        np.testing.assert_allclose(a, b[0], rtol=4 * EPS)


def test_the_hard_gate_is_a_line_cut_off_at_0_and_1():
    x = np.array([-9.0, -2.6, -2.5, 0.0, 1.0, 2.5, 2.6, 9.0])
    np.testing.assert_allclose(cells.hard_sigmoid(x), [0, 0, 0, 0.5, 0.7, 1, 1, 1], rtol=2e-7)  # float32


def flags() -> Iterator:
    """Every static choice of every cell class, with another choice."""
    for name, make in KNOWN.items():
        for field in dataclasses.fields(make) if isinstance(make, type) else ():
            if (
                field.metadata.get("static") and field.name != "size"
            ):  # that of a block changes shapes: see its own test
                other = (not field.default) if isinstance(field.default, bool) else cells.hard_sigmoid
                yield pytest.param(name, {field.name: other}, id=f"{name}-{field.name}")


@pytest.mark.parametrize(("name", "change"), list(flags()))
def test_every_static_choice_changes_the_step(name, change):
    cell, state, x = example(name)
    other = dataclasses.replace(cell, **change).step(state, x)
    assert not np.allclose(cell.step(state, x).h, other.h, rtol=1e-3)


def test_named_variants_of_the_lstm_all_differ():
    common, _, _ = example("FGR")

    def after(name):
        cell = KNOWN[name]()
        shared = {n: getattr(common, n) for n in params(cell) if getattr(cell, n) is not None}
        cell = dataclasses.replace(cell, **shared)
        return np.asarray(run(cell, jnp.ones((2, 2)))[-1])  # two steps: gates and peepholes have a past only then

    steps = {name: after(name) for name, make in KNOWN.items() if type(make()) is cells.LSTM}
    assert {"NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR"} < set(steps)
    for a, b in itertools.combinations(steps, 2):
        assert np.allclose(steps[a], steps[b]) == ({a, b} == {"LSTM", "NP"}), (a, b)


def test_a_closed_gate_cannot_be_given_weights():
    with pytest.raises(TypeError, match="w_f"):
        cells.NFG(w_f=1.0)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("SRNN", nn.SimpleCell), ("LSTM", nn.LSTMCell), ("LSTM", nn.OptimizedLSTMCell), ("GRUResetAfter", nn.GRUCell)],
)
def test_sequences_equal_those_of_flax(name, theirs):
    cell, _, _ = example(name)
    x = jax.random.normal(jax.random.key(1), (17, 2))
    weights = {"params": {"cell": to_linen(cell)}}
    expected = nn.RNN(theirs(features=3)).apply(weights, x)
    # Seventeen contracting steps in float32.
    np.testing.assert_allclose(run(cell, x), expected, atol=64 * np.finfo(np.float32).eps)


def test_softsign_unit_without_drive_is_a_moebius_map():
    w, h0, length = 1.5, 0.7, 50
    with jax.enable_x64(True):
        path = run(cells.SoftsignRNN(w=w, u=0.0), jnp.zeros(length), start=h0)
        negative = run(cells.SoftsignRNN(w=-w, u=0.0), jnp.zeros(length), start=h0)
    t = np.arange(1, length + 1)
    inverse = w**-t / h0 + (1 - w**-t) / (1 - 1 / w)  # the map is affine in 1/h
    np.testing.assert_allclose(path, 1 / inverse, rtol=length * EPS)
    np.testing.assert_allclose(negative, (-1.0) ** t / inverse, rtol=length * EPS)
    assert path[-1] == pytest.approx(0.33333333360716855, rel=length * EPS)


def test_frozen_gates_make_the_cell_state_a_geometric_sum():
    x = np.random.default_rng(3).normal(size=30)
    with jax.enable_x64(True):
        h = run(cells.FrozenLSTM(b_i=0.3, b_f=0.8, b_o=0.6, u_g=1.2, b_g=-0.1), jnp.asarray(x))
    c = sum(0.8 ** (29 - t) * 0.3 * np.tanh(1.2 * x[t] - 0.1) for t in range(30))
    assert h[-1] == pytest.approx(0.6 * np.tanh(c), rel=30 * EPS)


def test_a_leak_of_one_forgets_the_leak():
    cell, state, x = example("LeakyRNN")
    whole = dataclasses.replace(cell, a=jnp.ones(3))
    simple = cells.SRNN(w=cell.w, u=cell.u, b=cell.b)
    np.testing.assert_array_equal(whole.step(state, x).h, simple.step(state, x).h)


def test_the_1997_cell_squashes_within_its_published_ranges():
    cell = cells.LSTM1997(b_i=50.0, b_o=50.0)  # both gates open
    for x, sign in ((100.0, 1), (-100.0, -1)):
        state = cell.step(cell.initial(), jnp.asarray(x))
        assert state.c == sign * 2  # g lies in [-2, 2]
        assert state.h == pytest.approx(sign * (2 / (1 + np.exp(-2)) - 1), rel=1e-6)  # h in [-1, 1]
    held = cell.step(cell.initial()._replace(c=jnp.float32(5.0)), jnp.asarray(0.0))
    assert held.c == 5.0  # nothing is ever forgotten


@pytest.mark.parametrize("name", ["MUT1", "MUT2", "MUT3"])
@pytest.mark.parametrize(("bias", "keeps"), [(-200.0, True), (200.0, False)])
def test_update_gate_of_mutants_lets_the_candidate_in(name, bias, keeps):
    cell, state, x = example(name)
    after = dataclasses.replace(cell, b_z=jnp.full(3, bias)).step(state, x)
    assert np.array_equal(after.h, state.h) == keeps


@pytest.mark.parametrize("name", KNOWN)
def test_every_cell_names_its_equation_and_passes_its_own_check(name):
    cell, _, x = example(name, units=None, inputs=None)
    assert re.match(r"``[^`]+ = [^`]+``", KNOWN[name].__doc__), "the docstring begins with ``the equation``"
    assert len(KNOWN[name].__doc__.splitlines()[0]) <= 120
    check(cell, x.shape)
    check(example(name)[0], example(name)[2].shape)
    if name not in NOISE:
        check(KNOWN[name]())


def test_known_lists_the_public_cells_of_a_module_in_order():
    assert list(KNOWN)[:2] == ["SRNN", "LogisticRNN"]
    assert {"Pascanu", "GRUResetAfter", "LSTM", "CIFG", "MUT2", "FGR"} <= set(KNOWN)
    assert not {"Cell", "State", "known", "drive"} & set(KNOWN)
    module = types.ModuleType("mine")
    source = """
from landscape.cells import Cell, LSTM, SRNN
from landscape.tree import pytree
@pytree
class Mine(Cell): pass
def Deep(**values) -> "LSTM": return LSTM(**values)
def helper(x) -> float: return x
def untyped(x): return x
class _Hidden(Cell): pass
"""
    exec(source, module.__dict__)
    assert list(known(module)) == ["Mine", "Deep"]


@pytree
class Wrong(Cell):
    """``h' = something else``."""

    w: Any = param("unit", "unit", default=1.0)
    u: Any = param("input", "unit", default=1.0)
    after: Any = static(None)

    def step(self, state, x):
        return self.after(self, state, x)


@pytest.mark.parametrize(
    ("after", "error", "match"),
    [
        (lambda cell, s, x: State(jnp.stack([s.h, x])), ValueError, r"returns State\(h=float32\[2\]\).*h=float32\[\]"),
        (lambda cell, s, x: State(s.h.astype(jnp.int32)), TypeError, r"returns State\(h=int32\[\]\).*h=float32\[\]"),
        (lambda cell, s, x: s.h, TypeError, r"returns float32\[\]; it must return a state like initial"),
        (lambda cell, s, x: None, TypeError, r"returns None; it must return a state"),
        (lambda cell, s, x: (s.h,), TypeError, r"returns \(float32\[\],\); it must return"),
        (lambda cell, s, x: State(s.h + cell.v), TypeError, "cannot step on an input of shape .*no attribute 'v'"),
        (lambda cell, s, x: State(s.h if cell.w > 0 else x), TypeError, "cannot step .* traced"),
        (lambda cell, s, x: State(jnp.ones((2, 3)) @ jnp.ones(2)), TypeError, "cannot step"),
    ],
)
def test_a_wrong_step_is_refused_in_one_sentence_before_any_scan(after, error, match):
    with pytest.raises(error, match=match) as caught:
        check(Wrong(after=after))
    assert "\n" not in str(caught.value)
    check(Wrong(after=lambda cell, s, x: State(dot(s.h, cell.w) + dot(x, cell.u))))


def test_a_cell_that_is_no_pytree_or_has_no_step_or_no_state_is_refused():
    class Bare(Cell):
        w = param("unit", "unit", default=1.0)

    class Formless(Cell):
        b: Any = param("input")

    class Stepless(Cell):
        b: Any = param("unit")

    class Headless(Cell):
        b: Any = param("unit")

        def initial(self, h=0.0):
            return (self.b,)

    with pytest.raises(TypeError, match="write @pytree above its class"):
        check(Bare())
    with pytest.raises(TypeError, match=r"no parameter declared as param\('unit'"):
        check(pytree(Formless)())
    with pytest.raises(TypeError, match="must define step"):
        check(pytree(Stepless)())
    with pytest.raises(TypeError, match="has no h; return State"):
        check(pytree(Headless)())


def test_check_sees_the_width_of_the_input():
    check(example("LSTM")[0], (2,))
    with pytest.raises(TypeError, match=r"LSTM cannot step on an input of shape \(4,\)"):
        check(example("LSTM")[0], (4,))


def test_a_run_that_mixes_dtypes_says_so_in_one_sentence():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        cell = cells.SRNN(w=np.float32(1), u=np.float32(1), b=np.float32(0))
        said = (
            r"a state of float64 from one of float32: parameters are float32 and inputs float64; give all of them one"
        )
        with pytest.raises(TypeError, match=said):
            run(cell, np.zeros(3))
        assert run(cell, np.zeros(3, np.float32)).dtype == np.float32
    with pytest.raises(TypeError, match="shapes do not match"):
        run(cells.SRNN(), np.zeros((3, 2), np.float32))

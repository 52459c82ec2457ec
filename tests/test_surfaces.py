"""Laws of surfaces: every value and derivative against another route, whatever the blocks, lengths and directions."""

import functools
import itertools
import math
import os
import platform
import resource
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape import cells, devices, tasks
from landscape.cells import GRU, LSTM, SRNN, BengioLatch, Cell, Pascanu, State, TanhMap
from landscape.engine import Evaluator
from landscape.function import Function
from landscape.losses import raw
from landscape.models import RNN, Dense, run
from landscape.planes import named_leaves, plane, span
from landscape.recurrence import Recurrence
from landscape.risk import Risk
from landscape.surfaces import surface, values
from landscape.tasks import Task
from landscape.training import begin
from landscape.tree import param, pytree

EPS = np.finfo(np.float32).eps


def by_reverse_mode(evaluator: Evaluator, points: np.ndarray, length: int, derivative: Any) -> Any:
    """The mean loss of a run of ``length`` steps, differentiated as a function of the coordinates by JAX itself."""
    task, (drawn, _) = evaluator.problem.task, evaluator.problem.data

    def loss(point: jax.Array, x: jax.Array, target: jax.Array) -> jax.Array:
        answers = jax.vmap(lambda x: run(evaluator.plane.at(list(point)), x, task.start)[-1], 1)(x)
        return jnp.mean(jax.vmap(task.loss)(answers, target))

    at = functools.partial(derivative(loss), x=drawn.x[:length], target=drawn.target)
    return jax.jit(jax.vmap(at))(points)


def points_of(count: int, seed: int = 0, coordinates: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.5, 1.5, (count, coordinates)).astype("float32")


def first_two(cell: Cell) -> list[str]:
    return list(named_leaves(RNN(cell=cell)))[:2]


def evaluator_of(name: str, dtype: str) -> Evaluator:
    cell = cells.known()[name]()
    task = tasks.bengio() if isinstance(cell, BengioLatch) else tasks.latch()
    made = plane(cell, **{name: [-1.0, 1.0] for name in first_two(cell)})
    return Evaluator(made, Recurrence(task, [5], episodes=4, dtype=dtype))


@pytest.mark.parametrize("name", ["BengioLatch", "LSTM", "SRNN"])
def test_forward_gradient_equals_reverse_gradient(name: str) -> None:
    evaluator = evaluator_of(name, "float32")
    points = points_of(6)
    got = evaluator(points)
    loss, gradient = by_reverse_mode(evaluator, points, 5, jax.value_and_grad)
    np.testing.assert_allclose(got["loss"][0], loss, rtol=50 * EPS, atol=10 * EPS)
    for k, coordinate in enumerate(evaluator.plane.axes):
        # five steps of a cell are about a hundred roundings of values of order one
        np.testing.assert_allclose(got[f"d_{coordinate}"][0], gradient[:, k], rtol=200 * EPS, atol=100 * EPS)


@pytest.mark.parametrize("name", sorted(cells.known()))
def test_the_gradient_of_every_cell_is_the_slope_of_its_loss(name: str) -> None:
    """By central differences in float64: h**2 of a third derivative of order one, and rounding of the loss over h."""
    evaluator, points, h = evaluator_of(name, "float64"), points_of(6).astype("float64"), 1e-5
    shifts = np.array([(0, 0), (h, 0), (-h, 0), (0, h), (0, -h)])
    got = evaluator((points + shifts[:, None]).reshape(-1, 2))
    loss = got["loss"][0].reshape(5, 6)
    for k, coordinate in enumerate(evaluator.plane.axes):
        slope = (loss[2 * k + 1] - loss[2 * k + 2]) / (2 * h)
        np.testing.assert_allclose(got[f"d_{coordinate}"][0, :6], slope, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("cell", "axes"),
    [(SRNN(), ("w", "b")), (GRU(), ("w_h", "b_z")), (LSTM(), ("b_f", "w_g")), (TanhMap(), ("w", "u", "b"))],
)
def test_hessian_equals_jax_hessian(cell: Cell, axes: tuple) -> None:
    made = plane(cell, **{name: [-1.0, 1.0] for name in axes})
    evaluator = Evaluator(made, Recurrence(tasks.latch(), [3, 6], order=2, episodes=4))
    points = points_of(5, coordinates=len(axes))
    got = evaluator(points)
    hessian = by_reverse_mode(evaluator, points, 6, jax.hessian)
    for k, first in enumerate(axes):
        for l, second in enumerate(axes[k:], k):
            np.testing.assert_allclose(got[f"d_{first}_{second}"][1], hessian[:, k, l], rtol=2e-4, atol=500 * EPS)


def test_order_chooses_what_is_computed_and_never_changes_the_rest() -> None:
    made, points = plane(SRNN(), w=[0, 1], b=[0, 1]), points_of(7)
    zero, one, two = (values(made, Recurrence(tasks.latch(), [2, 9], order=order), points) for order in (0, 1, 2))
    assert list(zero) == ["loss"]
    assert list(one) == ["loss", "d_w", "d_b", "log10_gradient"]
    assert list(two) == [*one, "d_w_w", "d_w_b", "d_b_b"]
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=20 * EPS, atol=EPS)
    np.testing.assert_allclose(zero["loss"], one["loss"], rtol=4 * EPS)


@pytest.mark.parametrize("task", [tasks.latch(), tasks.relay()])
def test_entry_at_a_length_equals_a_run_of_that_length(task: Task) -> None:
    made, points = plane(SRNN(), w=[0, 1], b=[0, 1]), points_of(9)
    together = values(made, Recurrence(task, [1, 3, 20]), points)
    for row, length in enumerate([1, 3, 20]):
        alone = values(made, Recurrence(task, [length]), points)
        for name, value in together.items():
            np.testing.assert_allclose(alone[name][0], value[row], rtol=20 * EPS, atol=EPS)


def test_every_length_in_one_pass_equals_chosen_lengths() -> None:
    made, points = plane(GRU(), w_h=[0, 1], b_z=[0, 1]), points_of(9)
    every = values(made, Recurrence(tasks.latch(), range(1, 21)), points)
    some = values(made, Recurrence(tasks.latch(), [4, 5, 20]), points)
    for name, value in every.items():
        np.testing.assert_allclose(value[[3, 4, 19]], some[name], rtol=20 * EPS, atol=EPS)


@pytest.mark.optimised
def test_value_at_a_point_does_not_depend_on_the_points_beside_it() -> None:
    made, points = plane(LSTM(), b_f=[0, 1], w_g=[0, 1]), points_of(3000)
    small = Evaluator(made, Recurrence(tasks.latch(), range(1, 12))).resize(600)
    large = Evaluator(made, Recurrence(tasks.latch(), range(1, 12))).resize(3000)
    assert large.size > small.size
    one, other, shifted = small(points), large(points), large(points[1:])
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])
        np.testing.assert_array_equal(value[:, 1:], shifted[name])


@pytest.mark.parametrize("shape", [(101,), (41, 41), (128, 128), (3, 50_000), (256, 256), (40, 40, 40), (4096, 4096)])
def test_blocks_in_memory_are_as_large_as_a_moment_allows(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for workers, (width, moment) in itertools.product((1, 2, 3, 16), ((1600, 8000), (1600, 250_000), (12, 3), (12, 0))):
        monkeypatch.setattr(devices, "threads", lambda workers=workers: workers)
        usual = devices.block_shape(shape, width)
        few = devices.few_blocks(shape, usual, width, moment)
        assert few[1:] == usual[1:]
        assert few[0] >= usual[0]
        if few != usual:
            assert math.prod(shape) >= moment > 3
            one_less = math.prod((few[0] - 1, *few[1:]))  # rows are whole, so that all are used
            assert one_less * width < devices.BLOCK_BYTES
            assert one_less < moment
            assert few[0] <= -(-shape[0] // workers)  # a share for everybody


def test_blocks_in_memory_stay_small_where_a_point_takes_long_or_nobody_knows() -> None:
    x, y = np.ones((2000, 20), "f4"), np.zeros((2000, 20), "f4")
    wide = begin(LSTM(), jax.random.key(0), units=32)
    displaced = {"a": jax.tree.map(jnp.ones_like, wide), "b": jax.tree.map(jnp.ones_like, wide)}
    model, axis = {"w": np.ones((20, 20), "f4")}, np.linspace(-1, 1, 201)
    dense = span(model, {"a": model, "b": model}, a=axis, b=axis)
    for made, problem in (
        (span(wide, displaced, a=axis, b=axis), Recurrence(tasks.latch(), range(1, 101))),
        (dense, Risk(lambda params, x: x @ params["w"], (x, y), raw)),  # its steps are examples
        (dense, Function(lambda params, data: jnp.sum(params["w"]))),  # its one step may take a minute
    ):
        evaluator = Evaluator(made, problem)
        usual = devices.block_shape(made.shape, evaluator.width, problem.steps, problem.least)
        assert devices.few_blocks(made.shape, usual, evaluator.width, evaluator.moment) == usual
        assert math.prod(made.shape) >= 8 * math.prod(usual)  # so that progress is seen


@pytest.mark.optimised
def test_a_surface_of_a_moment_is_one_block_for_each_core_with_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "threads", lambda: 2)
    made = plane(SRNN(), w=np.linspace(-1, 1, 64), b=np.linspace(-1, 1, 128))
    found = {}
    weights = len(jax.tree.leaves(made.affine.origin))
    for moment in (2**13, 2**15):  # steps, of 2**14 in all
        done: list[int] = []
        monkeypatch.setattr(devices, "MOMENT", moment * weights)
        found[moment] = surface(
            made, tasks.latch(), [1], episodes=2, progress=lambda s, done=done: done.append(s.blocks)
        )
        assert done == ([2] * 2 if moment == 2**13 else [8] * 8)
    np.testing.assert_array_equal(*(each.d_w.values for each in found.values()))


@pytest.mark.optimised
def test_named_plane_equals_span_along_unit_directions() -> None:
    cell = LSTM()
    zero = jax.tree.map(lambda leaf: 0.0, cell)
    unit = lambda name: type(cell)(**{f: getattr(zero, f) for f in vars(zero)} | {name: 1.0})  # noqa: E731
    named = plane(cell, b_f=[0, 1], w_g=[0, 1])
    spanned = span(cell, {"p": unit("b_f"), "q": unit("w_g")}, p=[0, 1], q=[0, 1])
    points = np.float32([[0.25, 0.5], [-1.0, 2.0], [3.0, -0.75]])  # sums with the held values are exact
    one = values(named, Recurrence(tasks.latch(), [6]), points + np.float32([1.0, 1.0]))
    other = values(spanned, Recurrence(tasks.latch(), [6]), points)
    for name, twin in zip(one, other, strict=True):
        np.testing.assert_array_equal(one[name], other[twin])


def test_tied_parameters_move_together_and_their_derivatives_add() -> None:
    tied = plane(LSTM(), ties={"gates": ("b_i", "b_o")}, gates=[0, 1], w_g=[0, 1])
    both = plane(LSTM(), b_i=[0, 1], b_o=[0, 1], w_g=[0, 1])
    points = points_of(5)
    one = values(tied, Recurrence(tasks.latch(), [6]), points)
    other = values(both, Recurrence(tasks.latch(), [6]), points[:, [0, 0, 1]])
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=4 * EPS)
    np.testing.assert_allclose(one["d_gates"], other["d_b_i"] + other["d_b_o"], rtol=100 * EPS, atol=EPS)


@pytree
class Quadratic(Cell):
    """``h' = theta' D theta / 2``: a loss whose every plane is known exactly."""

    theta: Any = param("unit", default=0.0)
    curvature: Any = param("unit", default=1.0)

    def initial(self, h: Any = 0.0) -> State:
        return State(jnp.zeros_like(self.theta[0]) + h)

    def step(self, state: State, x: Any) -> State:
        return State(jnp.sum(self.curvature * self.theta**2) / 2)


def test_quadratic_surface_is_exact_on_any_plane() -> None:
    rng = np.random.default_rng(1)
    theta, curvature, one, two = rng.normal(size=(4, 400))
    cell = Quadratic(theta=theta, curvature=curvature)
    still = np.zeros(400)
    directions = {"p": Quadratic(theta=one, curvature=still), "q": Quadratic(theta=two, curvature=still)}
    made = span(cell, directions, p=np.linspace(-1, 1, 41), q=np.linspace(-1, 1, 17))  # odd and not square
    task = Task(tasks.reach().sample, loss=lambda y, target: y)
    ds = surface(made, task, [1], order=2, dtype="float64")
    p, q = np.meshgrid(ds.p, ds.q, indexing="ij")
    here, slope = theta @ (curvature * theta) / 2, [(curvature * theta) @ d for d in (one, two)]
    h = [[a @ (curvature * b) for a in (one, two)] for b in (one, two)]
    exact = here + p * slope[0] + q * slope[1] + (p * p * h[0][0] + 2 * p * q * h[0][1] + q * q * h[1][1]) / 2
    tolerance = {"rtol": 1e-13, "atol": 1e-11}  # 400 products of order one, in float64
    np.testing.assert_allclose(ds.loss[0], exact, **tolerance)
    np.testing.assert_allclose(ds.d_p[0], slope[0] + p * h[0][0] + q * h[0][1], **tolerance)
    np.testing.assert_allclose(ds.d_p_q[0], np.full(p.shape, h[0][1]), **tolerance)
    np.testing.assert_allclose(ds.d_q_q[0], np.full(p.shape, h[1][1]), **tolerance)
    np.testing.assert_allclose(float(ds.loss[0].sel(p=0, q=0)), here, rtol=1e-13)


def test_gradient_logarithm_is_right_where_the_gradient_overflows() -> None:
    # tanh map at w = 2, b = 0, h = 0: dh_T/db = 2^T - 1, so E = (h - 1)^2 has dE/db = -2 (2^T - 1) and dE/dw = 0
    lengths = [1, 10, 100, 127, 128, 1000, 100_000]
    got = values(plane(TanhMap(), w=[0, 1], b=[0, 1]), Recurrence(tasks.reach(), lengths), [[2.0, 0.0]])
    exact = np.array([float(np.log10(2.0 * (2**n - 1))) if n < 900 else (n + 1) * np.log10(2) for n in lengths])
    np.testing.assert_allclose(got["log10_gradient"][:, 0], exact, rtol=4 * EPS)
    assert got["d_b"][1, 0] == -2046
    assert np.isneginf(got["d_b"][-1, 0])
    assert not got["d_w"].any()


def test_gradient_logarithm_is_the_norm_of_the_gradient() -> None:
    got = values(plane(GRU(), w_h=[0, 1], b_z=[0, 1]), Recurrence(tasks.latch(), range(1, 30)), points_of(50))
    norm = np.hypot(got["d_w_h"].astype(float), got["d_b_z"].astype(float))
    np.testing.assert_allclose(got["log10_gradient"], np.log10(norm), rtol=10 * EPS, atol=4 * EPS)


def test_state_that_overflows_stays_in_the_surface_and_is_counted() -> None:
    made = plane(cells.LinearRNN(), w=np.linspace(1, 50, 5), b=np.linspace(-1, 1, 4))
    ds = surface(made, tasks.latch(), [1, 100], order=1)
    assert np.isfinite(ds.loss[0]).all()
    assert ds.attrs["nonfinite"] == int((~np.isfinite(ds.loss)).sum()) > 0
    assert ds.loss.attrs["nonfinite"] == ds.attrs["nonfinite"]


def test_surface_is_a_function_of_its_settings_alone() -> None:
    made = plane(SRNN(), w=np.linspace(-2, 2, 6), b=np.linspace(-1, 1, 5))
    before = jax.tree.leaves(made.affine)
    first, again = (surface(made, tasks.latch(), [1, 5]) for _ in range(2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert all(a is b for a, b in zip(before, jax.tree.leaves(made.affine), strict=True))
    changed = [
        surface(made, tasks.latch(), [1, 5], seed=1),
        surface(made, tasks.latch(), [1, 5], episodes=16),
        surface(made, tasks.latch(noise=0.3), [1, 5]),
        surface(plane(SRNN(u=0.5), w=made.axes["w"], b=made.axes["b"]), tasks.latch(), [1, 5]),
        surface(made, tasks.latch(), [1, 5], dtype="float64"),
    ]
    for other in changed:
        assert not np.array_equal(first.loss, other.loss)
        assert first.attrs["settings"] != other.attrs["settings"]
    np.testing.assert_allclose(first.loss, changed[-1].loss, rtol=200 * EPS)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator is told what to keep")
def test_memory_that_one_surface_freed_serves_the_next() -> None:
    """Page faults of the last of a few calls are fewer than the pages of its result: they are a tenth of the time."""
    there = plane(SRNN(), w=np.linspace(-3, 3, 96), b=np.linspace(-2, 2, 96))
    faults, pages = [], 0.0
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        pages = surface(there, tasks.latch(), range(1, 51), episodes=4).nbytes / resource.getpagesize()
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    assert min(faults) < pages / 2, faults


def test_origin_agrees_with_the_plain_scan_and_with_the_grid() -> None:
    made = plane(SRNN(w=1.0, b=0.5), w=np.linspace(0, 2, 5), b=np.linspace(0, 1, 3))
    ds = surface(made, tasks.latch(), [1, 4, 30])
    assert ds.attrs["origin"] == '{"w": 1.0, "b": 0.5}'
    assert ds.attrs["origin_loss"] == float(ds.loss.sel(length=30, w=1.0, b=0.5))
    assert ds.attrs["origin_loss"] == pytest.approx(ds.attrs["origin_loss_by_another_route"], rel=float(50 * EPS))


def test_readout_parameters_are_coordinates_too() -> None:
    model = RNN(cell=SRNN(), readout=Dense(w=2.0, b=0.25))
    point = np.float32([[1.5, -0.5]])
    got = values(plane(model, **{"w": [0, 1], "readout.b": [0, 1]}), Recurrence(tasks.latch(), [4]), point)
    evaluator = Evaluator(plane(model, **{"w": [0, 1], "readout.b": [0, 1]}), Recurrence(tasks.latch(), [4]))
    loss, gradient = by_reverse_mode(evaluator, point, 4, jax.value_and_grad)
    np.testing.assert_allclose(got["loss"][0], loss, rtol=10 * EPS)
    np.testing.assert_allclose(got["d_readout.b"][0], gradient[:, 1], rtol=20 * EPS)


def test_a_layer_has_surfaces_too() -> None:
    rng = np.random.default_rng(0)
    layer = lambda s: SRNN(w=s * rng.normal(size=(3, 3)), u=s * rng.normal(size=(1, 3)), b=s * rng.normal(size=3))  # noqa: E731
    head = lambda s: Dense(w=s * rng.normal(size=(3, 1)), b=np.zeros(1))  # noqa: E731
    model, one, two = (RNN(cell=layer(s), readout=head(s)) for s in (0.7, 0.3, 0.3))
    made = span(model, {"p": one, "q": two}, p=[0, 1], q=[0, 1])
    task = Task(lambda *a: jax.tree.map(lambda x: x, wide(tasks.latch().sample(*a))), classes=2)
    evaluator = Evaluator(made, Recurrence(task, [6], order=2, episodes=4))
    points = points_of(4)
    got = evaluator(points)
    loss, gradient = by_reverse_mode(evaluator, points, 6, jax.value_and_grad)
    np.testing.assert_allclose(got["loss"][0], loss, rtol=50 * EPS)
    np.testing.assert_allclose(got["d_p"][0], gradient[:, 0], rtol=500 * EPS, atol=100 * EPS)


def wide(episode: tasks.Episode) -> tasks.Episode:
    """The episode with an input axis, as a layer reads it."""
    return tasks.Episode(x=episode.x[:, None], target=episode.target)


@pytest.mark.parametrize("lengths", [[], [0, 1], [3, 2], [2, 2], [1.5], [[1, 2]]])
def test_lengths_that_cannot_be_are_refused(lengths: list) -> None:
    with pytest.raises(ValueError, match="lengths must be increasing whole numbers from 1 up"):
        surface(plane(SRNN(), w=[0, 1], b=[0, 1]), tasks.latch(), lengths)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"order": 3}, "order must be 0"),
        ({"dtype": "float16"}, "dtype must be"),
        ({"episodes": 0}, "episodes must be a whole number from 1 up"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        surface(plane(Pascanu(), w=[0, 1], b=[0, 1]), tasks.pascanu(), [1], **setting)


SEVERAL = """
import sys, numpy as np, jax, landscape as ls
x, y = map(int, sys.argv[2:])
made = ls.plane(ls.LSTM(u_f=0.5), w_g=np.linspace(-3, 3, x), b_f=np.linspace(-2, 2, y))
found = ls.surface(made, ls.latch(), [3, 7], order=2, episodes=4)
np.savez(sys.argv[1], devices=jax.local_device_count(), **{str(k): v.values for k, v in found.data_vars.items()})
"""


@pytest.mark.optimised
@pytest.mark.parametrize(("count", "sides"), [(2, (40, 40)), pytest.param(4, (37, 41), marks=pytest.mark.slow)])
def test_several_devices_change_no_bit_of_a_gated_cell_with_its_hessian_also_where_points_do_not_divide(
    tmp_path: Any, count: int, sides: tuple[int, int]
) -> None:
    made = plane(LSTM(u_f=0.5), w_g=np.linspace(-3, 3, sides[0]), b_f=np.linspace(-2, 2, sides[1]))
    one = surface(made, tasks.latch(), [3, 7], order=2, episodes=4)
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={count}", "JAX_PLATFORMS": "cpu"}
    words = [sys.executable, "-c", SEVERAL, str(tmp_path / "several.npz"), *map(str, sides)]
    subprocess.run(words, check=True, env=os.environ | flags)
    several = np.load(tmp_path / "several.npz")
    assert several["devices"] == count
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], several[name])

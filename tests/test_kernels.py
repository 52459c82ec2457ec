"""Laws of kernels: a fused program is the same function traced differently, or says in a sentence why there is none."""

import dataclasses
import importlib.util
import itertools
import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import landscape as ls
from landscape import bench, cells, cli, devices, losses, tasks, training
from landscape.cells import Cell, State
from landscape.cli import machine
from landscape.descent.paths import Ends, Paths, Walk
from landscape.engine import Evaluator, routes
from landscape.engine.jets import Jet, push
from landscape.kernels import surfaces, walks
from landscape.kernels.epochs import epoch
from landscape.kernels.lanes import Unfusable, boxed, is_box, lanes
from landscape.planes import named_leaves
from landscape.recurrence import _blocks
from landscape.training import runs
from landscape.training.steps import begun, step
from landscape.tree import dot, param, pytree

EPS = float(np.finfo(np.float32).eps)
ROOT = Path(__file__).parents[1]


@pytree
class Sine(Cell):
    """A user's cell: numbers are stacked, multiplied by a matrix and indexed, as users do."""

    w: Any = param("unit", "unit", default=1.0)
    u: Any = param("input", "unit", default=1.0)
    b: Any = param("unit")

    def step(self, state: State, x: Any) -> State:
        v = jnp.array([[0.9, 0.1], [0.2, 0.8]], state.h.dtype) @ jnp.stack([state.h, x])
        return State(jnp.sin(dot(v[0], self.w) + dot(v[1], self.u) + jax.nn.softplus(self.b)))


@pytree
class Iterated(Sine):
    """A cell whose step is a loop, which has no elementwise form."""

    def step(self, state: State, x: Any) -> State:
        return State(jax.lax.fori_loop(0, 3, lambda _, h: jnp.sin(self.w * h + x + self.b), state.h))


def plane(cell: Cell, **axes: Any) -> ls.Plane:
    """The plane of two parameters of a cell, the first two unless named."""
    first = list(named_leaves(ls.RNN(cell=cell)))[:2]
    return ls.plane(cell, **(axes or {name: np.linspace(-2, 2, 8) for name in first}))


def task_of(cell: Cell) -> ls.Task:
    return tasks.bengio() if isinstance(cell, cells.BengioLatch) else tasks.latch()


FUNCTIONS = {
    "softmax of stacked numbers": lambda a, b: jax.nn.softmax(jnp.stack([a, b, a * b]))[1],
    "argmax of what may be NaN": lambda a, b: jnp.argmax(jnp.stack([a, jnp.sqrt(b), a])).astype(a.dtype),
    "a product of matrices": lambda a, b: (jnp.array([[1.0, 2.0], [3.0, 4.0]], a.dtype) @ jnp.stack([a, b])).sum(),
    "slices, reversed, of a padded row": lambda a, b: jnp.pad(jnp.stack([a, b]), 1)[::-1][1:3] @ jnp.stack([b, a]),
    "a gradient of indexed numbers": lambda a, b: jax.grad(lambda v: jnp.prod(v[:1]) * v[1] ** 3)(jnp.stack([a, b]))[0],
    "a choice of constants": lambda a, b: jnp.where(
        a > b, jnp.arange(3.0)[1].astype(a.dtype), jnp.max(jnp.stack([a, b]))
    ),
}


def test_a_function_on_lanes_is_the_mapped_function() -> None:
    lane = [jnp.asarray(row) for row in np.random.default_rng(0).normal(size=(2, 5)).astype("float32")]
    got, want = jax.jit(lambda *lane: [{n: by(f)(*lane) for n, f in FUNCTIONS.items()} for by in (lanes, jax.vmap)])(
        *lane
    )
    for name in FUNCTIONS:
        np.testing.assert_allclose(got[name], want[name], rtol=4 * EPS, atol=EPS, err_msg=name)


def test_lanes_of_episodes_and_points_broadcast_and_keep_boxes_and_floats() -> None:
    column, row = jnp.ones((4, 1)), jnp.arange(3.0)
    made = lanes(lambda x, p, box, zero: (x * p, box[::-1], type(zero) is float))(
        column, row, boxed([row, column], (2,)), 0.0
    )
    assert made[0].shape == (4, 3)
    assert is_box(made[1])
    assert made[1][0] is column
    assert made[2] is True or made[2] == 1


EVERY = {**cells.known(), "Sine": Sine}


def stepped(cell: Cell) -> Any:
    """``(p, q, h, x) -> jet`` of one step of a cell from a state of numbers ``h`` that has all derivatives."""
    made, channels = plane(cell), tasks.check(task_of(cell), ls.RNN(cell=cell)).x.shape[1:]

    def step(p: Any, q: Any, h: Any, x: Any) -> Jet:
        state = jax.tree.map(lambda _: h, cell.initial())
        jet = Jet(state, (state,) * 2, {})
        x = jnp.broadcast_to(x, channels)
        return push(lambda p, s: made.affine.at(p).step(s, x), (p, q), (x.sum(), h), jet)

    return step


def test_a_step_of_every_cell_on_lanes_is_its_mapped_step_with_derivatives() -> None:
    steps = {name: stepped(make()) for name, make in EVERY.items()}
    lane = [jnp.asarray(row) for row in np.random.default_rng(0).uniform(-1, 1, (4, 3)).astype("float32")]
    got, want = jax.jit(lambda *lane: [{n: by(f)(*lane) for n, f in steps.items()} for by in (lanes, jax.vmap)])(*lane)
    for name in steps:
        for one, other in zip(jax.tree.leaves(got[name]), jax.tree.leaves(want[name]), strict=True):
            one = np.broadcast_to(one, other.shape)
            np.testing.assert_allclose(one, other, rtol=40 * EPS, atol=40 * EPS, err_msg=name)


def both(cell: Cell, problem: ls.Recurrence, **axes: Any) -> tuple[dict, dict]:
    """What the scan and the interpreted kernel make of a problem on a plane."""
    made = plane(cell, **axes)
    points = np.random.default_rng(0).uniform(-2, 2, (130, len(made.axes)))  # a block of 128 and two more
    with routes.interpreted():
        fused = Evaluator(made, problem).resize(len(points))
    assert fused.route.fused
    return ls.values(made, problem, points), fused(points)


@pytest.mark.parametrize(
    ("cell", "problem", "registers"),
    [
        (Sine(), ls.Recurrence(tasks.latch(), range(1, 6), episodes=3), 96),  # one lane is no episode, none chaotic yet
        (ls.LSTM(), ls.Recurrence(tasks.relay(), [4, 6], episodes=4), 12),  # two passes of two, each length anew
        (ls.SRNN(), ls.Recurrence(tasks.echo(1), [2, 5], order=0, episodes=2), 96),  # an answer after every step
        (cells.BengioLatch(), ls.Recurrence(tasks.bengio(), range(1, 6), order=0, episodes=2), 96),  # a vector input
        (cells.Pascanu(), ls.Recurrence(tasks.pascanu(), [4], order=2), 96),
        pytest.param(ls.GRU(), ls.Recurrence(tasks.echo(-1), [3, 4], episodes=3), 24, marks=pytest.mark.slow),
        pytest.param(ls.SRNN(), ls.Recurrence(tasks.parity(), [2, 5], order=2), 96, marks=pytest.mark.slow),
        pytest.param(ls.GRU(), ls.Recurrence(tasks.relay(), [2, 5], order=2), 96, marks=pytest.mark.slow),
        *(
            pytest.param(make(), ls.Recurrence(tasks.latch(), lengths, order=order), 96, marks=pytest.mark.slow)
            for make in (ls.SRNN, ls.GRU, ls.LSTM)
            for order in (0, 1, 2)
            for lengths in (range(1, 17), [5, 20])
        ),
    ],
)
def test_the_kernel_is_the_scan_to_four_roundings_of_the_largest_value(
    cell: Cell, problem: ls.Recurrence, registers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surfaces, "REGISTERS", registers)
    want, got = both(cell, problem)
    assert list(want) == list(got)
    for name in want:
        if name != "log10_gradient":  # the logarithm of what cancels is as far off as that is
            np.testing.assert_allclose(got[name], want[name], rtol=0, atol=4 * EPS * np.abs(want[name]).max())


def test_what_overflows_overflows_alike_and_its_logarithm_stays() -> None:
    problem = ls.Recurrence(tasks.latch(), [100], episodes=2)
    want, got = both(cells.LinearRNN(), problem, w=np.linspace(1, 60, 4), b=np.linspace(-1, 1, 4))
    assert not np.isfinite(want["d_w"]).all()
    assert np.isfinite(want["log10_gradient"]).any()
    for name in want:
        np.testing.assert_array_equal(np.isfinite(got[name]), np.isfinite(want[name]))


@pytest.mark.slow
def test_of_a_chaotic_cell_the_kernel_is_as_far_from_the_truth_as_the_scan() -> None:
    """Roundings grow by a factor a step: the two routes differ by far more than these, and neither is nearer."""
    problem = ls.Recurrence(tasks.latch(), [60], order=0, episodes=2)
    want, got = both(Sine(), problem, w=np.linspace(-2, 2, 4), u=np.linspace(-2, 2, 4))
    points = np.random.default_rng(0).uniform(-2, 2, (130, 2)).astype("float32")
    made = plane(Sine(), w=np.linspace(-2, 2, 4), u=np.linspace(-2, 2, 4))
    exact = ls.values(made, dataclasses.replace(problem, dtype="float64"), points)["loss"]
    far, near = (np.abs(each["loss"] - exact).max() for each in (got, want))
    assert far > 100 * EPS
    assert 1 / 10 < far / near < 10


CLIPPED = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.3, momentum=0.5))


def walk(kind: type, optimiser: Any, steps: int, problem: Any) -> Any:
    """What an optimiser does on Pascanu's plane."""
    return kind(dataclasses.replace(problem, order=1), optimiser, steps, ("w", "b"))


@pytest.mark.parametrize(
    ("kind", "optimiser", "problem"),
    [
        (Ends, CLIPPED, ls.Recurrence(tasks.pascanu(), [4])),
        pytest.param(Paths, CLIPPED, ls.Recurrence(tasks.pascanu(), [4]), marks=pytest.mark.slow),
        pytest.param(
            Ends, training.keras_adam(0.1), ls.Recurrence(tasks.latch(), [7], episodes=3), marks=pytest.mark.slow
        ),
        pytest.param(Paths, optax.rmsprop(0.1), ls.Recurrence(tasks.latch(), [7], episodes=3), marks=pytest.mark.slow),
    ],
)
def test_all_updates_in_one_kernel_are_the_scan_of_them(kind: type, optimiser: Any, problem: Any) -> None:
    """To 1e-3 after six updates: each moves the next point, and a wall makes an ulp grow. What happened is the same."""
    made = plane(cells.Pascanu(), w=[0.0, 1.0], b=[0.0, 1.0])
    points = np.random.default_rng(0).uniform(-1, 1, (130, 2)).astype("float32")
    with routes.interpreted():
        fused = Evaluator(made, walk(kind, optimiser, 6, problem)).resize(130)
    assert isinstance(fused.route.kernel, walks.Launched)
    want, got = Evaluator(made, walk(kind, optimiser, 6, problem)).resize(130)(points), fused(points)
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-3, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(("kind", "optimiser"), [(Ends, training.keras_adam(0.1)), (Paths, CLIPPED)])
def test_all_updates_are_one_launch_on_a_gpu(kind: type, optimiser: Any) -> None:
    made = plane(cells.Pascanu(), w=[0.0, 1.0], b=[0.0, 1.0])
    walked = walk(kind, optimiser, 6, ls.Recurrence(tasks.pascanu(), [4]))
    affine = Evaluator(made, walked)._affine
    assert for_cuda(walked.fused(affine), affine, np.zeros((2, 128), np.float32), walked.data) == 1


def test_a_walk_whose_episodes_do_not_fit_into_registers_launches_every_look() -> None:
    made = plane(cells.Pascanu(), w=[0.0, 1.0], b=[0.0, 1.0])
    ends = walk(Ends, CLIPPED, 6, ls.Recurrence(tasks.latch(), [4], episodes=512))
    assert isinstance(ends.fused(Evaluator(made, ends)._affine), Walk)


def for_cuda(program: Any, *args: Any) -> int:
    """Kernels in a program made for an H200 that is not there: jax 0.12 asks which device it is for."""
    card = jax.sharding.AbstractDevice("NVIDIA H200", 132, "gpu")
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=card)):
        made = jax.jit(program).trace(*args).lower(lowering_platforms=("cuda",))
    return made.as_text().count("__gpu$xla.gpu.triton")


@pytest.mark.parametrize(
    "name",
    [
        name if isinstance(make, type) else pytest.param(name, marks=pytest.mark.slow)  # variants of the same class
        for name, make in EVERY.items()
    ],
)
def test_the_kernel_of_every_cell_is_made_for_cuda_without_a_device(name: str) -> None:
    cell = EVERY[name]()
    problem = ls.Recurrence(task_of(cell), [3, 7], order=1, episodes=4)
    evaluator = Evaluator(plane(cell), problem)
    kernel = problem.fused(evaluator._affine)
    points = jax.ShapeDtypeStruct((2, surfaces.POINTS), "float32")
    assert for_cuda(kernel, evaluator._affine, points, problem.data) == 1


@pytest.mark.parametrize("task", [tasks.relay(), tasks.echo(-1)], ids=str)
def test_tasks_that_draw_lengths_anew_or_answer_at_every_step_are_one_launch(task: ls.Task) -> None:
    problem = ls.Recurrence(task, [3, 7], order=1, episodes=4)
    affine = Evaluator(plane(ls.SRNN()), problem)._affine
    points = jax.ShapeDtypeStruct((2, surfaces.POINTS), "float32")
    assert for_cuda(problem.fused(affine), affine, points, problem.data) == 1


def open_loops(program: Any, *args: Any) -> int:
    """Loops of a program whose ends are not known when it is compiled: a GPU asks its host after every turn of them."""
    return str(jax.make_jaxpr(program)(*args)).count("= while[")


@pytest.mark.parametrize(
    ("task", "lengths"),
    [
        (tasks.relay(), [4, 6]),
        pytest.param(tasks.latch(), [2, 9], marks=pytest.mark.slow),
        pytest.param(tasks.latch(), [20, 60], marks=pytest.mark.slow),
        pytest.param(tasks.echo(1), [2, 4], marks=pytest.mark.slow),
        pytest.param(tasks.echo(-1), [9, 18], marks=pytest.mark.slow),
    ],
)
def test_an_accelerator_knows_the_ends_of_all_loops_of_a_surface_which_is_the_same(
    task: ls.Task, lengths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = ls.Recurrence(task, lengths, order=1, episodes=2)
    here = problem.kernel
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    there = problem.kernel
    args = Evaluator(plane(ls.SRNN()), problem)._affine, np.float32([[-1, 0.5, 2], [0, -1, 1]]), problem.data
    assert open_loops(here, *args) > 0 == open_loops(there, *args)
    for one, other in zip(jax.jit(there)(*args), jax.jit(here)(*args), strict=True):
        largest = np.abs(other[np.isfinite(other)]).max()  # the logarithm of no gradient is -inf
        np.testing.assert_allclose(one, other, rtol=0, atol=4 * EPS * largest)


@pytest.mark.parametrize("lengths", [[1, 2, 3], [2, 9], [20, 50, 100], [7]])
@pytest.mark.parametrize("nested", [True, False])
def test_blocks_of_steps_are_every_step_of_every_row_once_and_in_order(lengths: list[int], nested: bool) -> None:
    block = math.gcd(*lengths)
    found = [(row, since + t) for row, since in _blocks(lengths, block, nested).tolist() for t in range(block)]
    begun = [0, *lengths[:-1]] if nested else [0] * len(lengths)
    both = enumerate(zip(begun, lengths, strict=True))
    assert found == [(row, t) for row, (since, until) in both for t in range(since, until)]


@pytest.mark.parametrize("units", [None, 2])
def test_the_ends_of_all_loops_of_training_are_known_if_its_length_is(units: int | None) -> None:
    x = np.zeros((8, 5) if units is None else (8, 5, 1), np.float32)
    data = ls.Episode(x=x, target=np.zeros(8, np.float32))
    shape = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 3))

    def trained(keys: Any, length: Any) -> Any:
        def one(key: Any) -> Any:
            model = training.begin(ls.SRNN(), key, units=units, inputs=units and 1)
            options: dict[str, Any] = {"epochs": 1, "batch": 4, "validation": data}
            return training.fit(key, model, data, training.keras_adam(), length=length, **options).record

        return jax.vmap(one)(keys)

    epochs = 1  # of which it is not known how many there are
    assert open_loops(lambda keys: trained(keys, None), shape) == epochs
    assert open_loops(trained, shape, np.int32(4)) > epochs


def test_the_ends_of_all_loops_of_a_map_of_trainability_are_known_on_an_accelerator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, ends = plane(cells.Pascanu()), walk(Ends, CLIPPED, 6, ls.Recurrence(tasks.pascanu(), [4]))
    affine, points = Evaluator(made, ends)._affine, np.zeros((2, 128), np.float32)
    assert open_loops(ends.kernel, affine, points, ends.data) > 0
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert open_loops(ends.kernel, affine, points, ends.data) == 0
    assert for_cuda(ends.fused(affine), affine, points, ends.data) == 1


def test_the_ends_of_all_loops_of_a_stream_are_known_on_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.zeros((2, 12, 1), np.float32)
    data = ls.Episode(x=x, target=np.zeros((2, 12), np.int32), mask=np.ones((2, 12), np.float32))
    model = training.begin(ls.SRNN(), jax.random.key(0), units=2, inputs=1)
    streamed = lambda: training.stream(model, data, training.keras_adam(), steps=4, validation=data).record  # noqa: E731
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert open_loops(streamed) == 0


def sloped(length: Any) -> Any:
    """The gradient of one unit on a minibatch, as a function of nothing."""
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    data, model = ls.Episode(x=x, target=np.sign(x[0])), training.begin(ls.SRNN(), jax.random.key(1))
    return lambda: training.gradients.forward(losses.softmax).gradient(model, data, np.arange(4), length)


def test_steps_of_one_unit_go_by_several_a_turn_where_an_accelerator_knows_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = f"unroll={devices.TURN}"
    assert turns not in str(jax.make_jaxpr(sloped(6))())
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert turns in str(jax.make_jaxpr(sloped(6))())
    assert turns not in str(jax.make_jaxpr(sloped(jnp.int32(6)))())


@pytest.mark.slow
def test_a_turn_of_several_steps_trains_as_one_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    want = jax.jit(sloped(6))()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    got = jax.jit(sloped(6))()  # a turn of four steps, and two more
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(one, other, rtol=10 * EPS, atol=EPS)


@pytest.mark.slow
def test_each_length_of_layers_is_a_program_of_its_own_on_an_accelerator_with_the_same_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def curves() -> Any:
        setup = lambda key: (training.begin(ls.SRNN(), key, units=3), training.keras_adam())  # noqa: E731
        return training.curves(setup, tasks.latch(), [2, 5], seeds=3, count=40, epochs=2, batch=8)

    want = curves()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    got = curves()
    for name in want.data_vars:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-5, err_msg=str(name))


LAYER = ls.SRNN(w=np.eye(9, dtype="float32"), u=np.zeros(9, "float32"), b=np.zeros(9, "float32"))


@pytest.mark.parametrize(
    ("made", "problem", "why"),
    [
        (plane(Iterated()), ls.Recurrence(tasks.latch(), [2]), "scan|while on numbers that differ"),
        (ls.span(LAYER, {"p": LAYER}, p=(0, 1)), ls.Recurrence(tasks.latch(), [2]), "state of 9 numbers"),
        (plane(ls.SRNN()), ls.Function(lambda model, data: model.cell.w), "Function has no fused kernel"),
    ],
)
def test_what_cannot_be_written_as_a_kernel_says_so_and_is_scanned(made: ls.Plane, problem: Any, why: str) -> None:
    with routes.interpreted():
        evaluator = Evaluator(made, problem)
    assert evaluator.route.kernel == problem.kernel
    assert not evaluator.route.fused
    with pytest.raises(Unfusable, match=why):
        problem.fused(evaluator._affine)


def test_a_cpu_scans_and_a_route_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = ls.Recurrence(tasks.latch(), [2], episodes=2)
    monkeypatch.setenv(routes.SETTING, "fused")
    assert "on a CPU the scan is the fast route" in Evaluator(plane(ls.SRNN()), problem).route.why
    with routes.interpreted():
        assert Evaluator(plane(ls.SRNN()), problem).route.fused
        routes.turn("scan")
        assert Evaluator(plane(ls.SRNN()), problem).route.why == "kernels are turned off by --route scan"
    with pytest.raises(ValueError, match="a route is one of fused, scan; given 'quick'"):
        routes.turn("quick")


def test_a_kernel_that_the_compiler_refuses_is_one_warning_and_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise NotImplementedError("Unimplemented primitive in Pallas GPU lowering: erf.\nMore.")

    problem = ls.Recurrence(tasks.latch(), [2], episodes=2)
    with routes.interpreted():
        evaluator = Evaluator(plane(ls.SRNN()), problem)
    evaluator.route = evaluator.route._replace(kernel=refused)
    with pytest.warns(
        RuntimeWarning, match="fused kernel failed here: NotImplementedError: .* erf.; the scan computes"
    ):
        got = evaluator([[0.5, 0.5]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = evaluator([[0.5, 0.5]])
    np.testing.assert_array_equal(got["loss"], again["loss"])


def planted(monkeypatch: pytest.MonkeyPatch, spills: Any) -> list:
    """Kernels as they are asked for on a GPU whose compiler refuses those that spill registers; it computes nothing."""
    asked = []

    def part(self: Evaluator, points: Any, size: int, kernel: Any, device: int) -> list:
        asked.append(kernel)
        if routes.Route(kernel).options and spills(kernel):
            raise RuntimeError("CANCELLED: Compilation result discarded due to register spilling")
        return [np.zeros((1, len(points)))] * len(self.names)

    monkeypatch.setattr(routes, "hindrance", lambda: "")
    monkeypatch.setattr(routes, "_spilt", set())
    monkeypatch.setattr(Evaluator, "_part", part)
    return asked


@pytest.mark.parametrize(("held", "passes"), [(16, [16]), (4, [16, 8, 4]), (0, [16, 8, 4, 2, 1, 0])])
def test_a_pass_has_as_many_episodes_as_the_compiler_keeps_in_registers_which_is_remembered(
    held: int, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that spills however few they are is taken as it is, with as many as are thought to fit: 0."""
    asked = planted(monkeypatch, lambda kernel: kernel.each > held)
    problem = ls.Recurrence(tasks.latch(), [2], episodes=16)
    for _ in range(2):
        Evaluator(plane(ls.SRNN()), problem)([[0.5, 0.5]])
    assert [kernel.each for kernel in asked] == [*passes, passes[-1]]
    Evaluator(plane(ls.GRU()), problem)([[0.5, 0.5]])  # of other shapes, of which nothing is known
    assert asked[len(passes) + 1].each == 16


def test_a_compiler_that_cannot_be_asked_is_one_that_refuses() -> None:
    with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option") as refused:
        jax.jit(lambda: 0, compiler_options={"xla_gpu_fail_on_what_nobody_knows": True})()
    assert devices.spilt(refused.value)


def test_the_episodes_of_a_pass_are_tried_from_twice_what_a_thread_is_thought_to_hold() -> None:
    def most(cell: Cell, episodes: int, order: int = 1) -> int:
        problem = ls.Recurrence(tasks.latch(), [2], order=order, episodes=episodes)
        return problem.fused(Evaluator(plane(cell), problem)._affine).each

    assert [most(ls.SRNN(), episodes) for episodes in (3, 512)] == [4, 64]
    assert most(ls.LSTM(), 512, order=2) == 16


def test_updates_that_spill_registers_launch_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = planted(monkeypatch, lambda kernel: True)
    made, ends = (
        plane(cells.Pascanu(), w=[0.0, 1.0], b=[0.0, 1.0]),
        walk(Ends, CLIPPED, 6, ls.Recurrence(tasks.pascanu(), [4])),
    )
    Evaluator(made, ends)([[0.5, 0.5]])
    assert [type(kernel) for kernel in asked] == [walks.Launched, Walk]


def test_results_of_an_accelerator_come_through_pages_that_it_writes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.arange(4, dtype=jnp.int32)}
    put, kinds = jax.device_put, []

    def seen(tree: Any, where: Any) -> Any:
        kinds.extend(leaf.memory_kind for leaf in jax.tree.leaves(where))
        return put(tree, where)

    monkeypatch.setattr(jax, "device_put", seen)
    here = devices.fetched(tree)
    assert kinds == []
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    there = devices.fetched(tree)
    assert kinds == ["pinned_host"] * 2
    for name in tree:
        assert type(there[name]) is np.ndarray
        np.testing.assert_array_equal(there[name], here[name])


def test_a_block_that_does_not_fit_into_the_device_is_halved_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = Evaluator(plane(ls.SRNN()), ls.Recurrence(tasks.latch(), [2], episodes=2)).resize(300)
    points = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    want, part = evaluator(points), Evaluator._part

    def small(self: Evaluator, points: Any, size: int, *rest: Any) -> Any:
        if size > 256:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
        return part(self, points, size, *rest)

    monkeypatch.setattr(Evaluator, "_part", small)
    with pytest.warns(RuntimeWarning, match="512 points did not fit into the memory of the device; 256"):
        got = evaluator(points)
    assert evaluator.size == 256
    np.testing.assert_allclose(got["loss"], want["loss"], rtol=4 * EPS)


def test_runs_that_do_not_fit_into_the_device_are_halved_and_said() -> None:
    def computed(size: int) -> int:
        if size > 10:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
        return size

    with (
        pytest.warns(RuntimeWarning, match="20 runs did not fit into the memory of the device; 10 are trained"),
        pytest.warns(RuntimeWarning, match="40 runs did not fit into the memory of the device; 20 are trained"),
    ):
        assert runs._in_memory(computed, 40) == 10
    with pytest.raises(RuntimeError, match="RESOURCE_EXHAUSTED"):
        runs._in_memory(lambda size: computed(11), 1)
    with pytest.raises(ValueError, match="another reason"):
        runs._in_memory(lambda size: int("another reason"), 40)


def test_training_whose_kernel_the_compiler_refuses_is_one_warning_and_the_scan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Scanned(Exception):
        pass

    def compiled(*_: Any) -> Any:
        if routes.hindrance():
            raise Scanned("by the scan")
        raise NotImplementedError("Unimplemented primitive in Pallas GPU lowering: erf.\nMore.")

    monkeypatch.setattr(runs, "_compiled", compiled)
    setup = lambda key: (training.begin(ls.SRNN(), key), training.keras_adam())  # noqa: E731
    with routes.interpreted(), pytest.raises(Scanned, match="by the scan"), pytest.warns() as said:
        training.curves(setup, tasks.latch(), [2], seeds=2, count=40)
    (only,) = said
    assert "the fused kernel failed here: NotImplementedError: Unimplemented primitive" in str(only.message)


OPTIMISERS = {
    "Adam of Keras, flattened": training.keras_adam,
    "clipping and momentum": lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(rate, momentum=0.9)),
    "RMSProp": optax.rmsprop,
}


def fitted(make: Any, cell: Cell, **options: Any) -> training.Fit:
    """Three runs of their own rate, 5 updates each."""
    data = tasks.episodes(options.pop("task", tasks.latch()), jax.random.key(0), 15, 4)
    rates, keys = jnp.float32([0.01, 0.03, 0.1]), jax.random.split(jax.random.key(1), 3)

    def one(key: Any, rate: Any) -> training.Fit:
        settings = {"epochs": 1, "batch": 3, "validation": data, **options}
        outputs = None if options.get("objective") in (losses.sigmoid, losses.raw) else 2
        return training.fit(key, training.begin(cell, key, outputs=outputs), data, make(rate), **settings)

    return jax.vmap(one)(keys, rates)


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        pytest.param("clipping and momentum", losses.sigmoid, marks=pytest.mark.slow),
        *(pytest.param(name, losses.softmax, marks=pytest.mark.slow) for name in OPTIMISERS),
    ],
)
def test_an_epoch_in_one_kernel_is_the_scan_of_its_updates_for_any_optimiser(name: str, objective: Any) -> None:
    want = jax.jit(lambda: fitted(OPTIMISERS[name], ls.SRNN(), objective=objective))()
    with routes.interpreted():
        got = jax.jit(lambda: fitted(OPTIMISERS[name], ls.SRNN(), objective=objective))()
    np.testing.assert_array_equal(got.record.accuracy, want.record.accuracy)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        # roundings of five updates, each of which may divide by a running root mean square
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("masked", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_updates_in_one_kernel_are_those_of_the_scan_one_after_the_other(masked: bool) -> None:
    """Three runs, each with its rate and its batches, of which two share a block of lanes; an answer, or four."""
    optimiser = lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(rate, momentum=0.9))  # noqa: E731
    rng = np.random.default_rng(0)
    x, batches = rng.normal(size=(4, 15)).astype("float32"), rng.integers(0, 15, (3, 5, 16)).astype("int32")
    weights = rng.uniform(size=(4, 15)).astype("float32") if masked else None
    data = ls.Episode(x=x, target=np.sign(x if masked else x[0]), mask=weights)
    numbers = rng.uniform(-1, 1, (3, 5)).astype("float32")

    def made(updates: Any) -> Any:
        def one(rate: Any, number: Any, batches: Any) -> Any:
            cell = ls.SRNN(w=number[0], u=number[1], b=number[2])
            model = ls.RNN(cell=cell, readout=ls.Dense(w=number[3], b=number[4]))
            return updates(optimiser(rate), begun(optimiser(rate), model), batches)

        return jax.jit(jax.vmap(one))(np.float32([0.01, 0.03, 0.1]), numbers, batches)

    def scanned(optimiser: Any, state: Any, batches: Any) -> Any:
        update = step(training.gradients.forward(losses.sigmoid).gradient, optimiser).update
        return jax.lax.scan(lambda state, index: update(state, data, index, 3), state, batches)

    fused = lambda optimiser, *args: epoch(losses.sigmoid, 0.0, optimiser, True)(args[0], data, args[1], 3)  # noqa: E731
    got, want = made(fused), made(scanned)
    np.testing.assert_array_equal(got[1].score.loss[:, 0], want[1].score.loss[:, 0])  # before there are any updates
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)  # roundings of five updates


def launches(cell: Cell, make: Any, **options: Any) -> int:
    """Kernels in the training of three runs, as it is made for cuda without a device."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "hindrance", lambda: "")
        return for_cuda(lambda: fitted(make, cell, **options))


@pytest.mark.parametrize(
    "cell",
    [Sine(), *(pytest.param(make(), marks=pytest.mark.slow) for make in (ls.SRNN, ls.GRU, ls.LSTM))],
    ids=lambda cell: type(cell).__name__,
)
def test_an_epoch_of_all_runs_is_one_launch_on_a_gpu(cell: Cell) -> None:
    assert launches(cell, training.keras_adam) == 1


def test_an_epoch_with_an_answer_at_every_step_is_one_launch_on_a_gpu() -> None:
    assert launches(ls.SRNN(), optax.sgd, task=tasks.echo(1), objective=losses.raw) == 1


@pytest.mark.slow
@pytest.mark.parametrize("own_data", [False, True])
def test_all_lengths_of_curves_in_one_launch_are_those_of_length_after_length(own_data: bool) -> None:
    def curves() -> Any:
        setup = lambda key, rate: (training.begin(ls.SRNN(), key), training.keras_adam(rate))  # noqa: E731
        options: dict[str, Any] = {"count": 40, "epochs": 2, "batch": 8, "own_data": own_data}
        return training.curves(setup, tasks.latch(), [2, 5], seeds=3, settings={"rate": [0.01, 0.1]}, **options)

    want = curves()
    with routes.interpreted():
        got = curves()
    for name in want.data_vars:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-3, atol=1e-4, err_msg=str(name))


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda rate: optax.apply_if_finite(optax.sgd(rate), 3), {}),  # a choice between two programs
        (optax.sgd, {"watch": lambda state: state.step}),
        (optax.sgd, {"route": training.gradients.reverse}),
    ],
)
def test_training_that_cannot_be_one_launch_is_scanned(make: Any, options: dict) -> None:
    assert launches(ls.SRNN(), make, **options) == 0


def test_the_command_says_what_was_found_and_which_route_each_job_takes(capsys: Any) -> None:
    assert cli.main(["devices"]) == 0
    said = capsys.readouterr().out
    assert "cpu" in said
    assert "every job takes the scan: no accelerator was found, and on a CPU the scan is the fast route" in said
    first = itertools.islice(machine.jobs(), 5)  # of the first cell
    with routes.interpreted():
        found = [*first, ("a job", "this is why")]
        assert [why for _, why in found] == [*[""] * 5, "this is why"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(machine, "jobs", lambda: found)
            assert cli.main(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:-1] == [f"{found[-2][0]:44}fused", f"{'a job':44}scan: this is why"]


def test_a_command_turns_kernels_off(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(routes.SETTING, "fused")
    words = ["surface", "SRNN", "latch", "w=0:1:3", "--lengths", "2", "--out", str(tmp_path / "s.zarr")]
    with routes.interpreted():
        assert cli.main([*words, "--route", "scan"]) == 0
        assert routes.hindrance() == "kernels are turned off by --route scan"


def test_the_table_of_a_machine_has_both_routes_of_a_job_and_is_plain_data() -> None:
    found = bench.table(small=True, chosen=lambda job: job.name == "Pascanu, order 0")
    assert json.loads(json.dumps(found)) == found
    job = found["jobs"]["Pascanu, order 0"]
    assert {"seconds", "compiling", "copying", "steps_per_second"} <= set(job["fused"]) & set(job["scan"])
    assert job["fused"]["ulp"]["loss"] <= 4
    assert any("times as fast as the scan, " in line for line in bench.lines(found))


def accelerator() -> Any:
    """The benchmark of GPUs, as a module."""
    spec = importlib.util.spec_from_file_location("accelerator", ROOT / "benchmarks" / "accelerator.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_benchmark_runs_every_job_by_all_routes_and_writes_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "argv", ["accelerator.py", "--small", "--out", str(tmp_path / "found.json")])
    accelerator().main()
    found = json.loads((tmp_path / "found.json").read_text())
    assert {"device", "version_jax", "git_commit", "seconds"} <= set(found)
    for name, job in found["jobs"].items():
        assert "seconds" in job["fused"]
        assert job["scan"]["copying_pinned"] is not None
        assert ("loops" in job) == (" on latch" in name or "order" in name)
        assert max(job["fused"].get("ulp", {"": 0}).values()) < 100
    assert "in all, written to" in capsys.readouterr().out


def test_a_ratio_to_pytorch_is_that_of_steps_a_second_and_none_where_nothing_is_fused() -> None:
    jobs = {"Pascanu, order 0": {"fused": {"steps_per_second": 50.0}}, "Pascanu, order 1": {"fused": {"why": "no GPU"}}}
    assert accelerator().beside(jobs, {"loss_per_second": 5.0, "gradient_per_second": 1.0}) == {"loss": 10.0}


def test_a_tpu_is_not_asked_for_float64_and_takes_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    with pytest.raises(ValueError, match="a TPU does not compute in float64; ask for float32"):
        Evaluator(plane(ls.SRNN()), ls.Recurrence(tasks.latch(), [2], dtype="float64"))
    assert routes.hindrance() == "kernels have never run on a TPU, where the scan is used"


@pytest.mark.parametrize("points", [1, 64, 65, 20_971, 40_000, 66_000, 1_000_000])
@pytest.mark.parametrize("episodes", [1, 2, 32])
def test_tiles_are_whole_equal_and_compute_little_for_nothing(points: int, episodes: int) -> None:
    evaluator = Evaluator(plane(ls.SRNN()), ls.Recurrence(tasks.latch(), [2], episodes=episodes)).resize(points)
    assert evaluator.size % evaluator.tile == 0
    assert devices.tile_points(episodes, evaluator.size) == evaluator.tile
    assert points <= evaluator.size
    computed = -(-points // evaluator.tile) * evaluator.tile  # tiles without a point are not
    assert points < 5000 or computed <= 1.125 * points

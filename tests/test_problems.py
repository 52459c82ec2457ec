"""Laws of problems: any model on a plane, derivatives against JAX's own, and one sentence for what cannot be asked."""

import dataclasses
import functools
import json
import runpy
import threading
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import landscape as ls
from landscape import cliffs, descent, dynamics, extras, names, recurrence, specs, tasks
from landscape.blocks import Memory
from landscape.engine import Evaluator, Problem, fill

optimised = pytest.mark.optimised  # laws of bits

EPS = float(np.finfo(np.float32).eps)
AXES = {"a": np.linspace(-1, 1, 5), "b": np.linspace(-1, 1, 3)}


def network(params: dict, data: tuple) -> jax.Array:
    x, y = (jnp.asarray(part, params["first"]["w"].dtype) for part in data)  # the tests forbid promotion
    hidden = jnp.tanh(x @ params["first"]["w"] + params["first"]["b"][None])
    return jnp.mean((hidden @ params["second"]["w"] - y) ** 2)


def parameters(key: int = 0) -> dict:
    draw = np.random.default_rng(key).normal
    first = {"w": draw(size=(3, 4)).astype("f4"), "b": draw(size=4).astype("f4")}
    return {"first": first, "second": {"w": draw(size=(4, 2)).astype("f4")}}


DATA = tuple(np.random.default_rng(9).normal(size=shape).astype("f4") for shape in ((8, 3), (8, 2)))
MADE = ls.span(parameters(), {"a": parameters(1), "b": parameters(2)}, **AXES)
NETWORK = ls.Function(network, DATA, order=2)


@pytest.fixture(scope="module")
def drawn() -> Any:
    return ls.surface(MADE, NETWORK)


@optimised
def test_any_function_of_a_pytree_has_the_gradient_and_hessian_of_jax_itself(drawn: Any) -> None:
    points = np.stack(np.meshgrid(*AXES.values(), indexing="ij"), -1).reshape(-1, 2).astype("f4")
    at = lambda p: network(MADE.at(list(p)), DATA)  # noqa: E731
    loss, slope, bend = (jax.jit(jax.vmap(f(at)))(points) for f in (lambda f: f, jax.grad, jax.hessian))
    size = float(np.abs(bend).max())  # a thousand roundings, at random, of terms up to the largest second derivative
    for name, expected in {
        "loss": loss,
        "d_a": slope[:, 0],
        "d_b": slope[:, 1],
        "d_a_a": bend[:, 0, 0],
        "d_a_b": bend[:, 0, 1],
        "d_b_b": bend[:, 1, 1],
    }.items():
        np.testing.assert_allclose(drawn[name].values.ravel(), expected, rtol=0, atol=32 * EPS * size)
    norm = np.log10(np.linalg.norm(slope, axis=1))
    np.testing.assert_allclose(drawn["log10_gradient"].values.ravel(), norm, rtol=0, atol=1e-5)


@optimised
def test_a_problem_without_lengths_has_the_dims_of_its_plane_alone(drawn: Any) -> None:
    assert drawn["loss"].dims == ("a", "b")
    assert drawn["loss"].shape == (5, 3)
    assert "length" not in drawn.variables
    assert drawn.attrs["title"] == "dict on network: loss over a, b"


@optimised
def test_the_centre_of_the_surface_is_the_loss_of_the_model_itself(drawn: Any) -> None:
    centre = float(drawn["loss"].sel(a=0, b=0))
    assert centre == pytest.approx(float(network(parameters(), DATA)), rel=8 * EPS)
    assert drawn.attrs["origin_loss_by_another_route"] == pytest.approx(centre, rel=8 * EPS)


@optimised
def test_a_store_of_any_model_is_the_surface_in_memory_and_completes_itself(drawn: Any, tmp_path: Any) -> None:
    kept = ls.surface(MADE, NETWORK, out=tmp_path / "any.zarr")
    again = ls.surface(MADE, NETWORK, out=tmp_path / "any.zarr")
    for name in drawn.data_vars:
        np.testing.assert_array_equal(kept[name], drawn[name])
        np.testing.assert_array_equal(again[name], drawn[name])
    with pytest.raises(ValueError, match="other settings"):
        ls.surface(MADE, ls.Function(network, (DATA[0], 2 * DATA[1]), order=2), out=tmp_path / "any.zarr")


def test_integers_keys_and_half_precision_keep_their_dtype_and_numbers_follow_the_problem() -> None:
    model = {"n": np.arange(3), "key": jax.random.key(0), "half": jnp.ones(2, jnp.bfloat16), "w": 1.0}
    seen = {}

    def loss(model: dict, data: Any) -> jax.Array:
        seen.update({name: leaf.dtype for name, leaf in model.items()})
        return jnp.sum(model["half"].astype("f4")) * model["w"] + model["n"][1].astype("f4")

    along = {**jax.tree.map(lambda _: np.float32(0), model), "half": jnp.ones(2, jnp.bfloat16)}
    found = ls.surface(ls.span(model, {"a": along}, a=(0.0, 1.0)), ls.Function(loss))
    assert seen["half"] == jnp.bfloat16
    assert (seen["n"].kind, seen["w"]) == ("i", np.float32)
    assert jnp.issubdtype(seen["key"], jax.dtypes.prng_key)
    np.testing.assert_array_equal(found["loss"], [3.0, 5.0])
    np.testing.assert_array_equal(found["d_a"], [2.0, 2.0])


def test_the_dtype_of_a_problem_is_that_of_its_results() -> None:
    wide = ls.surface(MADE, NETWORK, order=1, dtype="float64")
    assert wide["loss"].dtype == np.float64
    assert set(wide.data_vars) == {"loss", "d_a", "d_b", "log10_gradient"}


SMALL = ls.plane(ls.SRNN(), w=(-1.0, 0.0, 1.0), b=(-1.0, 1.0))


@optimised
def test_a_task_with_lengths_is_short_for_its_recurrence() -> None:
    short = ls.surface(SMALL, ls.latch(), [1, 3], episodes=4, seed=2, order=0)
    long = ls.surface(SMALL, ls.Recurrence(ls.latch(), [1, 3], episodes=4, seed=2, order=0))
    assert short.attrs["settings"] == long.attrs["settings"]
    np.testing.assert_array_equal(short["loss"], long["loss"])


@optimised
def test_equal_problems_share_one_program() -> None:
    first, again = (ls.Recurrence(ls.latch(0.1), [1, 3], episodes=4) for _ in range(2))
    assert first.kernel == again.kernel
    assert hash(first.kernel) == hash(again.kernel)
    assert first.kernel != dataclasses.replace(first, order=2).kernel
    assert Evaluator(SMALL, first).route.kernel == Evaluator(SMALL, again).route.kernel


@optimised
@pytest.mark.parametrize("task", [tasks.latch(), tasks.echo()], ids=str)
def test_what_draws_is_compiled_with_little_effort_to_the_same_bits(task: ls.Task) -> None:
    found = recurrence.draw_all(task, jax.random.key(3), 8, np.asarray([2, 37], np.int32))
    plain = jax.jit(lambda key: tasks.episodes(task, key, 8, 37))(jax.random.key(3))
    jax.tree.map(np.testing.assert_array_equal, found, tasks.time_first(plain))


@optimised
def test_tasks_that_are_not_nested_are_drawn_by_one_program_for_all_lengths() -> None:
    draw = recurrence._drawing(False)
    before = draw._cache_size()
    every = ls.Recurrence(tasks.parity(0.25), range(1, 9), episodes=4).data[0]
    assert draw._cache_size() == before + 1
    one = ls.Recurrence(tasks.parity(0.25), [5], episodes=4).data[0]
    np.testing.assert_array_equal(every.x[4][:5], one.x[0])
    np.testing.assert_array_equal(every.target[4], one.target[0])


def test_what_is_computed_is_traced_once_for_its_shapes_and_its_loop() -> None:
    """Tracing is Python: a third of what a user waits for before the first surface."""
    traced = []

    def loss(params: dict, data: tuple) -> jax.Array:
        traced.append(params)
        return network(params, data)

    evaluator = Evaluator(MADE, ls.Function(loss, DATA, order=0)).resize(4096)
    del traced[:]
    evaluator(np.zeros((4096, 2)))
    assert len(traced) == 1


def test_no_point_gives_no_values() -> None:
    found = ls.values(SMALL, ls.Recurrence(ls.latch(), [1, 3], episodes=4), np.zeros((0, 2)))
    assert {values.shape for values in found.values()} == {(2, 0)}


class Counted(Problem):
    """Rows of two leading dimensions: 10 i + j + p."""

    def __hash__(self) -> int:
        return 0

    @property
    def kernel(self) -> Any:
        row = jnp.arange(6.0)[:, None]
        return lambda affine, points, data: [10 * (row // 3) + row % 3 + points[:1]]

    leading = property(lambda self: {"step": np.arange(2), "length": np.arange(1, 4)})
    settings = property(lambda self: {"dtype": "float32"})

    def variables(self, coordinates: Any) -> list[str]:
        return ["loss"]


def test_a_problem_may_have_any_leading_dimensions_and_rows_run_over_the_last_one_fastest() -> None:
    found = ls.surface(ls.plane(ls.SRNN(), w=(0.0, 0.5)), Counted())
    assert found["loss"].dims == ("step", "length", "w")
    expected = np.arange(2)[:, None, None] * 10 + np.arange(3)[:, None] + np.array([0.0, 0.5])
    np.testing.assert_array_equal(found["loss"], expected)


def test_parameters_may_be_called_as_the_arguments_of_plane_are() -> None:
    assert list(ls.plane({"model": 1.0, "ties": 2.0}, model=(0.0, 1.0)).axes) == ["model"]
    tied = ls.plane({"model": 1.0, "ties": 2.0}, ties={"t": ("ties",)}, t=(0.0, 1.0))
    assert tied.at([5.0])["ties"] == 5.0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: ls.plane(ls.SRNN, w=(0, 1)), r"given SRNN itself; call it: SRNN\(\)"),
        (lambda: ls.plane(ls.SRNN()), "needs a coordinate or more"),
        (lambda: ls.plane(ls.SRNN(), ties=[1], w=(0, 1)), "ties must map a coordinate to parameters"),
        (lambda: ls.plane(ls.SRNN(w="a"), b=(0, 1)), "w of SRNN must be a number, given 'a'"),
        (lambda: ls.surface(SMALL, ls.latch, [1]), r"given the function latch; call it: latch\(\)"),
        (lambda: ls.surface(ls.SRNN(), ls.latch(), [1]), "plane must be what landscape.plane or landscape.span makes"),
        (lambda: ls.surface(SMALL, ls.latch()), "a task needs the lengths"),
        (lambda: ls.surface(SMALL, ls.Recurrence(ls.latch(), [1]), sed=3), "Recurrence has no setting 'sed'"),
        (lambda: ls.surface(SMALL, ls.latch(), [1], seed=0.5), "seed must be a whole number from 0 to 4294967295"),
        (lambda: ls.Recurrence(ls.latch(), [1], seed=2**32), "seed must be a whole number from 0 to 4294967295"),
        (lambda: ls.surface(SMALL, VECTOR, [1]), r"the loss of task must be one number, and is of shape \(2,\)"),
        (lambda: ls.surface(SMALL, ls.latch(), [1], episodes=2.5), "episodes must be a whole number from 1 up"),
        (lambda: ls.surface(SMALL, ls.latch(), [True, 2]), "lengths must be increasing whole numbers"),
        (lambda: ls.surface(SMALL, ls.latch(), [1], order=True), "order must be 0"),
        (lambda: ls.surface(MADE, ls.latch(), [1]), "the plane holds dict: give landscape.Function"),
        (lambda: ls.surface(MADE, ls.Function(lambda m, d: m["first"]["b"])), r"must return one number, it returns"),
        (lambda: ls.surface(MADE, ls.Function("loss")), "loss must be a function of a model and data"),
        (lambda: ls.surface(ls.plane({"d_w": 0.0, "w": 0.0}, w=(0, 1), d_w=(0, 1)), NETWORK), "cannot be called 'd_w'"),
        (lambda: ls.plane({"loss": 0.0}, loss=(0, 1)), "cannot be called 'loss'"),
        (lambda: cliffs.cut(SMALL, PROBLEM, {"q": 1.0}, (0, 1)), "an end of a cut names q; the coordinates .* w, b"),
        (lambda: cliffs.cut(SMALL, PROBLEM, (1.0,), (0, 1)), "a number for each of w, b"),
        (lambda: cliffs.refine(SMALL, PROBLEM, -1), "threshold must be a positive change of the loss"),
        (lambda: descent.paths(SMALL, ls.latch(), optax.sgd(0.1), [(0, 0)], 3), "problem must be one such as"),
        (lambda: descent.paths(SMALL, PROBLEM, optax.sgd(0.1), [(0, 0)], 3), "the problem has 2 of length"),
        (lambda: descent.paths(SMALL, PROBLEM, optax.sgd(0.1), [(0, 0)], 2.5), "steps must be a whole number"),
        (lambda: dynamics.attractor(ls.SRNN(), steps=1.5), "steps must be a whole number from 1 up, given 1.5"),
        (lambda: ls.surface(SMALL, PROBLEM, out=3), "a store is given by its path"),
        (lambda: ls.open_surface(3), "a store is given by its path"),
    ],
)
def test_a_wrong_call_gets_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


PROBLEM = ls.Recurrence(ls.latch(), [1, 3], episodes=4)
VECTOR = ls.Task(ls.latch().sample, lambda y, target: jnp.stack([y, target]))


def test_lines_are_not_measured_afresh_by_another_problem() -> None:
    made = ls.plane(ls.SRNN(), w=np.linspace(0.5, 3, 17), b=np.linspace(-1, 1, 17))
    problem = ls.Recurrence(ls.latch(), [5, 9], episodes=4)
    lines = cliffs.ridge(ls.surface(made, problem, order=2))
    with pytest.raises(ValueError, match="lines are of another problem: seed is 0 there and 5 here"):
        cliffs.polish(made, dataclasses.replace(problem, seed=5), lines)
    with pytest.raises(ValueError, match="lines are of another problem: task"):
        cliffs.limit(made, ls.Recurrence(ls.latch(0.3), [5], episodes=4), lines)
    with pytest.raises(ValueError, match=r"lines are of another problem: (held|axes)"):
        cliffs.polish(ls.plane(ls.SRNN(), b=(-1, 1), u=(0, 1)), problem, lines)


@optimised
def test_a_map_of_trainability_is_kept_block_by_block_and_resumed(tmp_path: Any, monkeypatch: Any) -> None:
    made = ls.plane(ls.SRNN(), w=np.linspace(0, 2, 96), b=np.linspace(-1, 1, 96))
    problem, rate = ls.Recurrence(ls.latch(), [3], episodes=2), optax.sgd(0.1)
    whole = descent.trainability(made, problem, rate, 3)
    states = []

    def stop(state: Any) -> None:
        states.append(state)
        raise KeyboardInterrupt("enough")

    with pytest.raises(KeyboardInterrupt, match="enough"):
        descent.trainability(made, problem, rate, 3, out=tmp_path / "map.zarr", progress=stop)
    assert 0 < states[0].done < states[0].blocks
    again: list = []
    kept = descent.trainability(made, problem, rate, 3, out=tmp_path / "map.zarr", progress=again.append)
    assert again[-1].fresh < again[-1].blocks
    for name in whole.data_vars:
        np.testing.assert_array_equal(kept[name], whole[name])
    with pytest.raises(ValueError, match="other settings"):
        descent.trainability(made, problem, optax.sgd(0.2), 3, out=tmp_path / "map.zarr")


def test_functions_of_the_same_make_have_one_fingerprint() -> None:
    assert specs.of_function(optax.sgd(0.1).update) == specs.of_function(optax.sgd(0.1).update)
    each = [optax.sgd(0.1), optax.sgd(0.2), optax.adam(0.1), optax.chain(optax.clip(1.0), optax.sgd(0.1))]
    assert len({specs.of_function(one.update) for one in each}) == len(each)


def test_a_model_made_of_classes_and_of_other_models_has_a_fingerprint_that_tells_them_apart() -> None:
    class Of(nn.Module):
        part: Any
        inner: Any = None

    each = [Of(nn.SimpleCell), Of(nn.GRUCell), Of(None, nn.Dense(3)), Of(None, nn.Dense(4)), Of(np.float32)]
    found = [specs.of_function([one.apply, {"part": one.part, "inner": one.inner}]) for one in each]
    assert len(set(found)) == len(each)
    assert found[3] == specs.of_function([each[3].apply, {"part": None, "inner": nn.Dense(4)}])


class Scaled:
    """A model whose number is an attribute: what is called, or what a method is of."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(self, params: Any, x: Any) -> Any:
        return self.scale * params["a"] * x


def closed(scale: float) -> Any:
    return lambda params, x: scale * params["a"] * x


def default(scale: float) -> Any:
    def net(params: Any, x: Any, scale: float = scale) -> Any:
        return scale * params["a"] * x

    return net


def bound(scale: float) -> Any:
    return Scaled(scale).__call__


def partly(scale: float) -> Any:
    return functools.partial(lambda scale, params, x: scale * params["a"] * x, scale)


def compiled(scale: float) -> Any:
    return jax.jit(closed(scale))


@pytest.mark.parametrize("make", [Scaled, closed, default, bound, partly, compiled])
def test_numbers_that_a_function_holds_are_settings_of_what_is_computed(make: Any) -> None:
    """Else a store of one scale would be given for another's."""
    x = np.ones(4, "f4")
    asked = {
        "function": lambda f: ls.Function(f),
        "risk": lambda f: ls.Risk(f, (x, x), ls.losses.raw),
        "task": lambda f: ls.Recurrence(tasks.Task(f, ls.losses.squared_error), [3]),
        "cell": lambda f: specs.of_cell(ls.SRNN(act=f)),
    }
    for what, problem in asked.items():
        said = [getattr(made := problem(make(scale)), "settings", made) for scale in (2.0, 2.0, 3.0)]
        assert said[0] == said[1] != said[2], what


def test_the_module_of_a_function_is_its_files_name_however_it_came_to_be_run(tmp_path: Any) -> None:
    (tmp_path / "mine.py").write_text("def make(s):\n    return lambda x: s * x\n\nMADE = make(2.0)\n")
    given = names.module(str(tmp_path / "mine.py")).MADE
    run = runpy.run_path(str(tmp_path / "mine.py"), run_name="mine")["MADE"]
    assert given.__module__ != run.__module__
    assert specs.of_function(given) == specs.of_function(run)


def test_digests_tell_dtypes_and_imaginary_parts_apart() -> None:
    one = np.float32([1.0, 2.0])
    same = [specs.digest(array) for array in (one, one.astype("f8"), np.array([1, 2]))]
    other = [specs.digest(array) for array in (jnp.asarray(one, jnp.bfloat16), np.float16(one), one + 1j, one + 2j)]
    assert len(set(same)) == 1
    assert len({*same, *other}) == 5


def test_a_description_of_cell_task_and_plane_is_data_and_makes_them_again() -> None:
    cell = ls.cells.NOAF(b_f=2.0)
    made = ls.plane(cell, ties={"g": ("b_i", "b_o")}, g=(-1.0, 0.0, 2.0), w_g=(0.0, 1.0))
    task = tasks.two_sequence(evidence=2)
    settings = json.loads(json.dumps({**specs.of_plane(made), **specs.of_task(task)}))
    assert settings["cell"] == {"name": "LSTM", "options": settings["cell"]["options"]}
    assert settings["task"] == {"name": "two_sequence", "options": {"evidence": 2, "noise": 0.2**0.5}}
    again, same = specs.remade(settings, made.axes)
    assert same is task
    assert jax.tree.all(jax.tree.map(np.array_equal, again.affine, made.affine))


def test_names_in_a_description_are_those_of_this_package_alone(tmp_path: Any) -> None:
    (tmp_path / "payload.py").write_text("open('ran', 'w')")
    settings = {**specs.of_plane(SMALL), **specs.of_task(ls.latch())}
    for name in (f"{tmp_path}/payload.py:latch", "os.system", "__import__", "episodes", "Task"):
        assert specs.task({**settings, "task": {"name": name, "options": {}}}) is None
        assert specs.remade({**settings, "task": name}, SMALL.axes) is None
        assert specs.remade({**settings, "cell": {"name": name, "options": {}}}, SMALL.axes) is None


def test_descriptions_of_older_stores_are_read_as_those_of_today() -> None:
    settings = {**specs.of_plane(SMALL), **specs.of_task(ls.latch(0.3))}
    axes = {name: {**axis, "moves": name} for name, axis in settings["axes"].items()}
    old = {**settings, "cell": "SRNN", "task": "latch(noise=0.3)", "axes": axes}
    assert specs.current(old) == specs.current(settings)
    _, task = specs.remade(old, SMALL.axes)
    assert task is ls.latch(0.3)


def test_large_arrays_are_described_by_shape_and_digest() -> None:
    layer = ls.SRNN(w=np.eye(9), u=np.zeros((1, 9)), b=np.zeros(9))
    held = specs.of_plane(ls.span(layer, {"a": layer, "b": layer}, a=(0, 1), b=(0, 1)))
    assert "w" not in held["held"]
    big = ls.models.RNN(cell=layer, readout=ls.Dense(w=np.float64(1.0)))
    assert specs.of_plane(ls.plane(big, **{"readout.w": (0.0, 1.0)}))["held"]["w"]["shape"] == [9, 9]


def test_computing_in_memory_needs_no_room_of_the_disk() -> None:
    import subprocess
    import sys

    code = (
        "import sys, landscape as ls; ls.surface(ls.plane(ls.SRNN(), w=(0, 1)), ls.latch(), [1]);"
        "sys.exit('landscape.store' in sys.modules or 'zarr' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("points", [np.zeros((4, 3)), np.arange(10.0).reshape(2, 5), np.zeros(2), 1.0])
def test_points_of_another_shape_are_refused(points: Any) -> None:
    with pytest.raises(ValueError, match=r"points must be \(point, coordinate\), a column for each of a, b; given"):
        ls.values(MADE, NETWORK, points)
    assert ls.values(MADE, NETWORK, [])["loss"].shape == (0,)


def test_names_that_two_derivatives_would_have_are_refused() -> None:
    made = ls.plane({"a": 1.0, "b": 2.0, "a_b": 3.0}, a=[0, 1], b=[0, 1], a_b=[0, 1])
    with pytest.raises(ValueError, match="'d_a_b' would be the name of two derivatives; rename a coordinate"):
        Evaluator(made, ls.Function(lambda m, _: m["a"] * m["b"] + m["a_b"], order=2))
    Evaluator(made, ls.Function(lambda m, _: m["a"] * m["b"] + m["a_b"]))


def test_an_axis_that_the_dtype_does_not_tell_apart_is_refused() -> None:
    fine = ls.plane(ls.SRNN(), w=3 + np.linspace(0, 1e-5, 201))
    with pytest.raises(
        ValueError, match="values of w are nearer to each other than float32 tells apart; ask for dtype"
    ):
        ls.surface(fine, ls.latch(), [3])
    assert len(np.unique(ls.surface(fine, ls.latch(), [3], dtype="float64").loss)) == 201


def test_a_loss_of_whole_numbers_has_no_derivative() -> None:
    made = ls.span({"a": np.float32(1.0)}, {"a": {"a": np.float32(1)}}, a=[-1.0, 1.0])
    count = lambda m, _: (m["a"] > 0).astype("i4")  # noqa: E731
    assert ls.surface(made, ls.Function(count, order=0)).loss.values.tolist() == [0, 1]
    with pytest.raises(TypeError, match="returns int32, which has no derivative; ask for order=0"):
        ls.surface(made, ls.Function(count))


def test_what_results_come_as_is_imported_beside_the_compiler(monkeypatch: Any) -> None:
    """A tenth of the wait for a first surface. Each of the two waits here until the other has begun."""
    importing, compiling, met, rows = threading.Event(), threading.Event(), [], Evaluator.rows

    def imported() -> None:
        importing.set()
        met.append(compiling.wait(30))

    def compiled(*given: Any) -> list:
        compiling.set()
        met.append(importing.wait(30))
        return rows(*given)

    monkeypatch.setattr(extras, "import_xarray", imported)
    monkeypatch.setattr(Evaluator, "rows", compiled)
    ls.surface(SMALL, PROBLEM)
    assert len(met) > 1
    assert all(met)


def test_filling_stops_all_threads_at_the_first_error() -> None:
    evaluator = Evaluator(SMALL, PROBLEM)

    class Full(Memory):
        def write(self, index: int, results: dict) -> None:
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        fill(
            evaluator.resize(64), Full(evaluator.leading, SMALL.axes, dict.fromkeys(evaluator.names, "float32"), (1, 1))
        )

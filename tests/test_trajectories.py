"""Laws of trajectories: what is kept is read, by whatever loop; what lies off the plane is told."""

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray

import landscape as ls
from landscape import directions, explorer, plots, store, trajectories
from landscape.losses import raw

EPS = float(np.finfo(np.float32).eps)
rng = np.random.default_rng


def predict(params: dict, x: Any) -> jax.Array:
    return jnp.tanh(x @ params["hidden"]["kernel"] + params["hidden"]["bias"][None]) @ params["out"]["kernel"]


X, Y = rng(7).normal(size=(40, 4)).astype("f4"), rng(8).integers(0, 3, 40)
RISK = ls.Risk(predict, (X, Y), batch=40)
START = {
    "hidden": {"kernel": rng(1).normal(size=(4, 5)).astype("f4"), "bias": np.zeros(5, "f4")},
    "out": {"kernel": rng(2).normal(size=(5, 3)).astype("f4")},
}


@pytest.fixture(scope="module")
def walk() -> Any:
    """Models of 24 steps of gradient descent, as a scan returns them."""
    optimiser = optax.sgd(0.3, momentum=0.9)

    def loss(params: dict) -> jax.Array:
        return jnp.mean(jax.vmap(ls.cross_entropy)(predict(params, jnp.asarray(X)), jnp.asarray(Y)))

    def step(carry: tuple, _: None) -> tuple:
        params, state = carry
        moves, state = optimiser.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, moves), state), params

    start = jax.tree.map(jnp.asarray, START)
    return jax.device_get(jax.lax.scan(step, (start, optimiser.init(start)), length=24)[1])


def at(models: Any, k: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[k], models)


# Keeping


def test_what_a_loop_keeps_is_what_a_scan_returns_and_any_zarr_reader_sees_it(walk: Any, tmp_path: Path) -> None:
    with trajectories.record(tmp_path / "walk.zarr") as keep:
        for k in range(24):
            keep(10 * k, at(walk, k))
        assert keep.steps == list(range(0, 240, 10))
    found = trajectories.read(tmp_path / "walk.zarr")
    assert found.steps.tolist() == list(range(0, 240, 10))
    jax.tree.map(np.testing.assert_array_equal, found.models, walk)
    ds = xarray.open_zarr(tmp_path / "walk.zarr", chunks=None)
    assert ds["parameters"].dims == ("step", "number")
    told = json.loads(ds.attrs["settings"])["leaves"]
    assert (told[0]["name"], told[0]["shape"]) == ("hidden.bias", [5])


def test_a_run_begun_again_passes_over_what_is_kept_and_goes_on(walk: Any, tmp_path: Path) -> None:
    path = tmp_path / "walk.zarr"
    for count in (3, 5):
        with trajectories.record(path) as keep:
            for k in range(count):
                keep(k, at(walk, k))
    assert trajectories.read(path).steps.tolist() == [0, 1, 2, 3, 4]
    with (
        trajectories.record(path) as keep,
        pytest.raises(ValueError, match="another model at step 2; give another path"),
    ):
        keep(2, at(walk, 9))
    with trajectories.record(path) as keep, pytest.raises(store.StoreError, match=r"leaves: .* there, .* asked"):
        keep(9, {"other": np.zeros(3, "f4")})


def test_a_step_before_the_last_is_refused(walk: Any, tmp_path: Path) -> None:
    with trajectories.record(tmp_path / "walk.zarr") as keep:
        keep(5, at(walk, 5))
        with pytest.raises(ValueError, match="step = 4 does not come after 5"):
            keep(4, at(walk, 4))


@pytest.mark.slow
def test_what_is_kept_survives_kill(tmp_path: Path) -> None:
    path = tmp_path / "walk.zarr"
    code = f"""
import numpy as np
from landscape import trajectories
with trajectories.record({str(path)!r}) as keep:
    for k in range(100000):
        keep(k, {{"w": np.full(7, k, "f4")}})
        print(k, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for _ in range(5):
            last = int(run.stdout.readline())
        os.kill(run.pid, signal.SIGKILL)
    found = trajectories.read(path)
    assert len(found.steps) > last
    np.testing.assert_array_equal(found.models["w"], np.repeat(found.steps[:, None], 7, axis=1))


class Pair(NamedTuple):
    w: Any
    count: Any
    half: Any


def test_models_that_are_no_dictionaries_are_read_like_one_of_them_and_integers_stay(tmp_path: Path) -> None:
    models = [Pair(np.full(2, k, "f8") / 3, np.int32(k), jnp.full(3, k / 4, jnp.bfloat16)) for k in range(3)]
    with trajectories.record(tmp_path / "pair.zarr") as keep:
        for k, model in enumerate(models):
            keep(k, model)
    with pytest.raises(ValueError, match="no dictionary of parameters; give one of its models as like="):
        trajectories.read(tmp_path / "pair.zarr")
    found = trajectories.read(tmp_path / "pair.zarr", models[2]).models
    np.testing.assert_array_equal(found.w, [model.w for model in models])
    np.testing.assert_array_equal(found.half, [np.asarray(model.half, "f8") for model in models])
    assert found.count.tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match=r"another model than was recorded: w of shape \(5,\)"):
        trajectories.read(tmp_path / "pair.zarr", models[2]._replace(w=np.zeros(5)))


def test_what_is_no_trajectory_is_said_in_one_sentence(tmp_path: Path) -> None:
    store.save(xarray.Dataset({"x": ("step", [1.0])}), tmp_path / "other.zarr", {})
    with pytest.raises(
        store.StoreError, match=r"other\.zarr holds no trajectory; landscape\.trajectories\.record writes"
    ):
        trajectories.read(tmp_path / "other.zarr")
    with (
        trajectories.record(tmp_path / "none.zarr") as keep,
        pytest.raises(ValueError, match="no parameters of floating point, so there is no path"),
    ):
        keep(0, {"n": np.arange(3)})


# Projecting


@pytest.fixture(scope="module")
def found(walk: Any) -> Any:
    return trajectories.project(walk, ("a", "b"), RISK)


def test_the_loss_of_a_step_is_that_of_its_model_and_the_loss_in_the_plane_that_of_the_surface(
    walk: Any, found: Any
) -> None:
    for k in (0, 7, 23):
        assert found["loss"].values[k] == pytest.approx(float(RISK(at(walk, k))), rel=4 * EPS)
    around = directions.principal(walk, at(walk, -1), ("a", "b"))
    plane = ls.span(at(walk, -1), around, a=found["a"].values[[0, 23]][::-1], b=[0, 1])
    with pytest.raises(ValueError, match="increasing"):
        ls.span(at(walk, -1), around, a=[1, 0], b=[0, 1])
    height = ls.values(plane, RISK, [[found["a"].values[0], found["b"].values[0]]])["loss"]
    assert found["loss_in_plane"].values[0] == pytest.approx(height[0], rel=4 * EPS)


def test_at_the_start_the_plane_shows_a_height_that_is_not_the_models_and_at_the_end_it_shows_it(found: Any) -> None:
    assert abs(found["loss"].values[0] - found["loss_in_plane"].values[0]) > 0.01
    assert found["off_plane"].values[0] > 0.1
    assert found["loss"].values[-1] == found["loss_in_plane"].values[-1]  # the anchor: bit for bit
    assert found["off_plane"].values[-1] == 0
    assert 0.8 < found.attrs["explained"] < 1


def test_coordinates_and_off_plane_make_up_the_distance(found: Any) -> None:
    squares = found["a"] ** 2 + found["b"] ** 2 + found["off_plane"] ** 2
    np.testing.assert_allclose(squares, found["distance"] ** 2, rtol=1e-6, atol=1e-20)  # directions are float32


def test_a_path_and_the_models_it_holds_are_the_same_trajectory(walk: Any, found: Any, tmp_path: Path) -> None:
    with trajectories.record(tmp_path / "walk.zarr") as keep:
        for k in range(24):
            keep(k, at(walk, k))
    xarray.testing.assert_identical(trajectories.project(tmp_path / "walk.zarr", ("a", "b"), RISK), found)


def test_any_directions_will_do(walk: Any) -> None:
    around = directions.random(at(walk, -1), jax.random.key(0), ("a", "b"))
    other = trajectories.project(walk, ("b", "a"), RISK, around)
    assert list(other.data_vars)[:2] == ["b", "a"]
    assert (other.attrs["made"]["made"], other.attrs["made"]["rule"]) == ("random", "last")
    assert other.attrs["explained"] < 0.5
    with pytest.raises(ValueError, match="the directions are called a, b, and the names are p, q"):
        trajectories.project(walk, ("p", "q"), RISK, around)


def test_every_length_of_a_problem_is_projected() -> None:
    """Of two parameters that move, the plane shows all."""
    models = ls.SRNN(w=np.linspace(0.5, 1.5, 4, dtype="f4"), u=np.ones(4, "f4"), b=np.float32([0, 0.2, 0.1, 0]))
    found = trajectories.project(models, ("a", "b"), ls.Recurrence(ls.latch(), [1, 5]))
    assert found["loss"].dims == ("length", "step")
    np.testing.assert_allclose(found["loss"], found["loss_in_plane"], rtol=8 * EPS)
    assert found.attrs["explained"] == pytest.approx(1, abs=4 * EPS)


def test_a_trajectory_of_one_step_spans_nothing(walk: Any) -> None:
    one = jax.tree.map(lambda leaf: leaf[:1], walk)
    with pytest.raises(
        ValueError, match="a trajectory of 1 steps about its anchor spans 0 directions, and 2 are asked"
    ):
        trajectories.project(one, ("a", "b"), RISK)


# Drawing


def test_the_figure_draws_the_path_over_the_surface_and_both_losses(walk: Any, found: Any) -> None:
    around = directions.principal(walk, at(walk, -1), ("a", "b"))
    axis = np.linspace(-1, 3, 5)
    surface = ls.surface(ls.span(at(walk, -1), around, a=axis, b=axis), RISK, order=0)
    figure = plots.trajectory(found, surface, title="walk")
    lines = {line.get_label(): line.get_xydata() for ax in figure.axes for line in ax.get_lines()}
    for label, name in {
        "of the model": "loss",
        "of its projection": "loss_in_plane",
        "off the plane": "off_plane",
    }.items():
        np.testing.assert_array_equal(lines[label], np.stack([found["step"], found[name]], axis=1))
    path = figure.axes[0].get_lines()[0].get_xydata()
    np.testing.assert_array_equal(path, np.stack([found["a"], found["b"]], axis=1))
    assert figure.get_suptitle().strip() == "walk"
    assert len(plots.trajectory(found).axes) == len(figure.axes) - 1  # no bar of colours


def test_what_cannot_be_drawn_as_a_path_is_said_in_one_sentence(walk: Any, found: Any) -> None:
    with pytest.raises(ValueError, match=r"finds along two coordinates; given a, loss, loss_in_plane"):
        plots.trajectory(found.drop_vars("b"))
    around = directions.random(at(walk, -1), jax.random.key(0), ("p", "q"))
    other = ls.surface(ls.span(at(walk, -1), around, p=[0, 1], q=[0, 1]), RISK, order=0)
    with pytest.raises(ValueError, match="the surface is over p, q, the path over a, b"):
        plots.trajectory(found, other)


# Descents of a risk

INPUTS, TARGETS = rng(11).normal(size=(12, 3)), rng(12).normal(size=12)


def linear(params: dict, x: Any) -> jax.Array:
    return x @ params["w"]


LINEAR = ls.Risk(linear, (INPUTS, TARGETS), raw, batch=5, dtype="float64")
BEGUN = {"w": np.array([1.0, -2.0, 0.5]), "label": np.int32(7)}


def test_a_descent_goes_down_the_gradient_over_all_data_step_by_step() -> None:
    found = trajectories.descend(LINEAR, BEGUN, optax.sgd(0.1), [0, 1, 4])
    w, path = BEGUN["w"], [BEGUN["w"]]
    for _ in range(4):
        w = w - 0.1 * 2 / 12 * INPUTS.T @ (INPUTS @ w - TARGETS)
        path.append(w)
    np.testing.assert_array_equal(found.steps, [0, 1, 4])
    np.testing.assert_allclose(found.models["w"], np.stack(path)[[0, 1, 4]], rtol=0, atol=1e-14)
    np.testing.assert_array_equal(found.models["label"], [7, 7, 7])


def test_a_descent_is_the_same_whichever_models_are_kept_and_draws_by_its_key() -> None:
    rule = optax.sgd(0.1)  # one rule, one program
    walk = lambda at, key: trajectories.descend(LINEAR, BEGUN, rule, at, jax.random.key(key), 4).models["w"]  # noqa: E731
    few, many, other = walk([0, 5], 0), walk([0, 1, 2, 5], 0), walk([5], 1)
    np.testing.assert_array_equal(few[-1], many[-1])
    assert np.any(many[1] != many[2])
    assert np.any(few[-1] != other[-1])
    drawn = np.asarray(jax.random.randint(jax.random.fold_in(jax.random.key(0), 0), (4,), 0, 12))
    slope = 2 / 4 * INPUTS[drawn].T @ (INPUTS[drawn] @ BEGUN["w"] - TARGETS[drawn])
    np.testing.assert_allclose(many[1], BEGUN["w"] - 0.1 * slope, rtol=0, atol=1e-14)


def test_a_descent_that_cannot_be_is_refused_in_one_sentence() -> None:
    walk = functools.partial(trajectories.descend, LINEAR, BEGUN, optax.sgd(0.1))
    for at in ([], [1, 1], [-1, 2], [0.5], 3):
        with pytest.raises(ValueError, match="increasing whole numbers of updates from 0 up"):
            walk(at)
    with pytest.raises(ValueError, match="give both batch= and key=, or neither"):
        walk([1], batch=4)
    with pytest.raises(ValueError, match="batch must be a whole number from 1 up"):
        walk([1], key=jax.random.key(0), batch=0)
    stream = ls.Risk(linear, lambda: iter([(INPUTS, TARGETS)]), raw)
    with pytest.raises(ValueError, match="a descent draws from arrays"):
        trajectories.descend(stream, BEGUN, optax.sgd(0.1), [1])


# The path over a page


def test_the_path_of_training_stands_over_the_page_of_its_plane_alone(walk: Any, tmp_path: Path) -> None:
    found = trajectories.project(walk, ("a", "b"), RISK)
    last = jax.tree.map(lambda leaf: np.asarray(leaf[-1]), walk)
    around = directions.principal(walk, last, ("a", "b"))
    axes = {"a": np.linspace(-1, 2, 3), "b": np.linspace(-1, 1, 3)}
    made = ls.surface(ls.span(last, around, **axes), RISK)
    store.save(found, tmp_path / "way.zarr", {})
    for one in (found, store.open_surface(tmp_path / "way.zarr")):
        page = explorer.contents(made, trajectory=one)
        (line,) = (line for line in page["lines"] if line["name"] == "training path")
        for k, name in enumerate(axes):
            np.testing.assert_allclose(line["points"][0][k], found[name], rtol=1e-6, atol=1e-12)
        assert f"at its first step the loss is {float(found.loss[0]):.4g}" in page["note"]
        assert f"where it is drawn {float(found.loss_in_plane[0]):.4g}" in page["note"]
    assert not explorer.contents(made)["lines"]
    other = directions.random(last, jax.random.key(0), ("a", "b"), directions.every)
    with pytest.raises(ValueError, match="projected by other directions than the surface"):
        explorer.contents(ls.surface(ls.span(last, other, **axes), RISK), trajectory=found)
    with pytest.raises(ValueError, match="projected by another model than the surface"):
        explorer.contents(ls.surface(ls.span(START, around, **axes), RISK), trajectory=found)
    with pytest.raises(ValueError, match="the surface is over a, b, and the path over p, q"):
        explorer.contents(made, trajectory=found.rename(a="p", b="q"))

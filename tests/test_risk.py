"""Laws of the risk of any model: exact on quadratics, the same however data and grid are cut, one sentence else."""

import dataclasses
import functools
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import landscape as ls
from landscape.losses import classes, raw, squared_error
from landscape.risk import Batches

optimised = pytest.mark.optimised  # laws of bits

EPS = float(np.finfo(np.float32).eps)
AXES = {"a": np.linspace(-1, 1, 5), "b": np.linspace(-1, 1, 3)}
rng = np.random.default_rng


def predict(params: dict, x: Any) -> jax.Array:
    """A small MLP with logits."""
    hidden = jnp.tanh(x @ params["w"] + params["b"][None])
    return hidden @ params["v"]


def parameters(seed: int) -> dict:
    draw = rng(seed).normal
    shapes = {"w": (4, 6), "b": (6,), "v": (6, 3)}
    return {name: draw(size=shape).astype("f4") for name, shape in shapes.items()}


X, Y = rng(7).normal(size=(50, 4)).astype("f4"), rng(8).integers(0, 3, 50)
PLANE = ls.span(parameters(0), {"a": parameters(1), "b": parameters(2)}, **AXES)
RISK = ls.Risk(predict, (X, Y), classes, batch=16, order=2)


@pytest.fixture(scope="module")
def made() -> Any:
    return ls.surface(PLANE, RISK)


def quadratic(params: Any, x: Any) -> jax.Array:
    return x @ params


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_surface_of_a_quadratic_is_exact(seed: int) -> None:
    x, y = rng(seed).normal(size=(20, 4)), rng(seed + 9).normal(size=20)
    centre, one, two = rng(seed + 20).normal(size=(3, 4))
    plane = ls.span(centre, {"a": one, "b": two}, **AXES)
    found = ls.surface(plane, ls.Risk(quadratic, (x, y), raw, batch=8, order=2, dtype="float64"))
    points = np.stack(np.meshgrid(*AXES.values(), indexing="ij"), -1)
    along = np.stack([one, two])
    miss = (centre + points @ along) @ x.T - y
    slopes, bends = 2 * miss @ (along @ x.T).T / 20, 2 * (along @ x.T) @ (along @ x.T).T / 20
    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=100 * np.finfo(float).eps * np.mean(miss**2))
    close(found["loss"], np.mean(miss**2, -1))
    close(found["d_a"], slopes[..., 0])
    close(found["d_b"], slopes[..., 1])
    for name, bend in {"d_a_a": bends[0, 0], "d_a_b": bends[0, 1], "d_b_b": bends[1, 1]}.items():
        close(found[name], np.full((5, 3), bend))
    close(found["log10_gradient"], np.log10(np.linalg.norm(slopes, axis=-1)))


@optimised
def test_its_dims_are_those_of_its_plane_alone(made: Any) -> None:
    assert made["loss"].dims == ("a", "b")
    assert "length" not in made.variables
    assert made.attrs["title"] == "predict on 50 examples: loss over a, b"


@pytest.mark.slow
def test_one_coordinate_is_a_line_and_three_a_volume() -> None:
    along = {name: parameters(k) for k, name in enumerate("abc", 1)}
    risk = dataclasses.replace(RISK, order=1)
    line = ls.surface(ls.span(parameters(0), {"a": along["a"]}, a=AXES["a"]), risk)
    volume = ls.surface(ls.span(parameters(0), along, **AXES, c=(-1.0, 0.0)), risk)
    assert (line["loss"].dims, volume["loss"].dims) == (("a",), ("a", "b", "c"))
    assert set(volume.data_vars) == {"loss", "d_a", "d_b", "d_c", "log10_gradient"}
    np.testing.assert_array_equal(line["loss"], volume["loss"].sel(b=0, c=0))


@optimised
def test_derivatives_are_those_of_reverse_mode_at_every_point(made: Any) -> None:
    points = np.stack(np.meshgrid(*AXES.values(), indexing="ij"), -1).reshape(-1, 2).astype("f4")
    at = lambda p: jnp.mean(jax.vmap(classes.loss)(predict(PLANE.at(list(p)), X), Y))  # noqa: E731
    slope, bend = (jax.jit(jax.vmap(f(at)))(points) for f in (jax.grad, jax.hessian))
    size = float(np.abs(bend).max())
    for name, expected in {"d_a": slope[:, 0], "d_b": slope[:, 1], "d_a_b": bend[:, 0, 1]}.items():
        np.testing.assert_allclose(made[name].values.ravel(), expected, rtol=0, atol=32 * EPS * size)


@optimised
@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_centre_is_the_loss_of_the_model_bit_for_bit(order: int) -> None:
    found = ls.surface(PLANE, RISK, order=order)
    assert float(found["loss"].sel(a=0, b=0)) == RISK(parameters(0))


@optimised
def test_the_model_is_as_it_was(made: Any) -> None:
    model = parameters(0)
    ls.surface(ls.span(model, {"a": parameters(1)}, a=AXES["a"]), RISK, order=0)
    assert jax.tree.all(jax.tree.map(np.array_equal, model, parameters(0)))


@optimised
def test_every_store_holds_its_origin_and_derivatives_there_by_another_route(made: Any) -> None:
    ours, other = (json.loads(made.attrs[f"origin_derivatives{by}"]) for by in ("", "_by_another_route"))
    assert made.attrs["origin_loss"] == pytest.approx(made.attrs["origin_loss_by_another_route"], rel=8 * EPS)
    assert list(ours) == ["d_a", "d_b", "d_a_a", "d_a_b", "d_b_b"]
    size = max(map(abs, other.values()))
    for name, value in other.items():
        assert ours[name] == pytest.approx(value, abs=32 * EPS * size)


def pieces(*cuts: int) -> Any:
    """A stream of the same data, cut elsewhere."""
    edges = [0, *cuts, 50]
    return lambda: ((X[i:j], Y[i:j]) for i, j in itertools.pairwise(edges))


@optimised
@pytest.mark.parametrize("cuts", [(), (1,), (16, 32, 48), (3, 5, 41)])
def test_a_stream_gives_the_bits_of_arrays_however_it_is_cut(made: Any, cuts: tuple) -> None:
    found = ls.surface(PLANE, ls.Risk(predict, pieces(*cuts), classes, batch=16, order=2))
    for name in made.data_vars:
        np.testing.assert_array_equal(found[name], made[name])
    assert json.loads(found.attrs["settings"]) == json.loads(made.attrs["settings"])


def test_a_stream_is_read_once_for_a_block_of_points_and_once_before() -> None:
    calls = []

    def stream() -> Any:
        calls.append(1)
        return pieces(10, 30)()

    states: list = []
    ls.surface(PLANE, ls.Risk(predict, stream, batch=16, order=0), progress=states.append)
    # once to count, once begun for the program, once for the block, twice for the origin by two routes
    assert len(calls) == 1 + 1 + states[-1].blocks + 2


@optimised
def test_a_value_does_not_depend_on_what_is_asked_beside_it(made: Any) -> None:
    chosen = np.array([[-1.0, 1.0], [0.5, 0.0], [1.0, 1.0]])
    found = ls.values(PLANE, RISK, chosen)
    for k, (a, b) in enumerate(chosen):
        for name in made.data_vars:
            assert found[name][k] == made[name].sel(a=a, b=b).item()


@optimised
@pytest.mark.parametrize("batch", [1, 7, 49, 50, 64])
def test_values_are_within_4_ulp_whatever_the_batch(made: Any, batch: int) -> None:
    found = ls.surface(PLANE, RISK, batch=batch, order=0)
    np.testing.assert_array_max_ulp(found["loss"].values, made["loss"].values, 4)


@optimised
@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_derivatives_are_within_a_few_ulp_of_their_largest_whatever_the_batch(made: Any, batch: int) -> None:
    """Of the largest, as terms cancel where a slope is near 0: there its own ulp are as many as there are examples.

    A slope is a sum of a few float32 products for each unit, a curvature one of some ten: 4 and 16 ulp.
    """
    found = ls.surface(PLANE, RISK, batch=batch)
    for name in [name for name in made if name.startswith("d_")]:
        ulp = np.spacing(np.abs(made[name].values).max())
        assert np.abs(found[name].values - made[name].values).max() <= (16 if name.count("_") > 1 else 4) * ulp


SEVERAL = """
import sys, numpy as np, jax, landscape as ls
sys.path.insert(0, sys.argv[2])
import test_risk
found = ls.surface(test_risk.wide(), test_risk.RISK, order=1)
np.savez(sys.argv[1], devices=jax.local_device_count(), **{str(k): v.values for k, v in found.data_vars.items()})
"""


def wide() -> ls.Plane:
    """A plane of three blocks of points."""
    return ls.span(parameters(0), {"a": parameters(1), "b": parameters(2)}, a=np.linspace(-1, 1, 12), b=np.arange(13.0))


@optimised
@pytest.mark.slow
def test_values_are_within_4_ulp_whatever_the_number_of_devices(tmp_path: Path) -> None:
    one, file = ls.surface(wide(), RISK, order=1), tmp_path / "two.npz"
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", SEVERAL, file, Path(__file__).parent], check=True, env=os.environ | flags)
    two = np.load(file)
    assert two["devices"] == 2
    for name in one.data_vars:
        np.testing.assert_array_max_ulp(two[name], one[name].values, 4)


def test_the_last_batch_is_weighted_and_no_example_dropped_or_repeated() -> None:
    x, y = np.ones((7, 1)), np.array([0.0, 0, 0, 0, 0, 0, 7])
    plane = ls.span(np.zeros(1), {"a": np.ones(1)}, a=(0.0, 1.0))
    for batch in (2, 3, 4, 5, 6, 7):
        found = ls.surface(plane, ls.Risk(quadratic, (x, y), raw, batch=batch, dtype="float64"))
        np.testing.assert_allclose(found["loss"], [7.0, 6.0], rtol=1e-15)  # 49 / 7, (6 + 36) / 7
        np.testing.assert_allclose(found["d_a"], [-2.0, 0.0], atol=1e-15)


def test_what_fills_a_batch_up_does_not_count_were_it_nan() -> None:
    score = ls.risk.Score(quadratic, squared_error)
    x = np.array([[1.0], [np.nan]], "f4")
    batch = ls.risk.Batch(x, np.zeros(2, "f4"), np.array([1.0, 0.0], "f4"))
    value, slope = jax.jvp(lambda p: score.total(p, batch), (jnp.ones(1),), (jnp.ones(1),))
    assert (float(value), float(slope)) == (1.0, 2.0)


def test_batches_are_as_even_as_it_goes_and_only_the_last_is_filled() -> None:
    def sizes(**other: Any) -> list:
        return [(len(batch.weights), int(batch.weights.sum())) for batch in Batches((X, Y), 16, "float32", **other)]

    assert sizes() == [(13, 13)] * 3 + [(13, 11)]
    assert sizes(filled=False) == [(13, 13)] * 3 + [(11, 11)]


def test_nan_and_inf_of_real_examples_are_results() -> None:
    plane = ls.span(np.zeros(1, "f4"), {"a": np.ones(1, "f4")}, a=(0.0, 1e30))
    found = ls.surface(plane, ls.Risk(quadratic, (np.ones((3, 1), "f4"), np.zeros(3, "f4")), raw, batch=2))
    np.testing.assert_array_equal(found["loss"], [0.0, np.inf])
    assert found.attrs["nonfinite"] == 1


def recurrent(params: dict, x: Any) -> jax.Array:
    """Logits of a small recurrent net after every step: (example, time, class)."""

    def step(h: jax.Array, x: jax.Array) -> tuple:
        h = jnp.tanh(h @ params["r"] + x @ params["w"])
        return h, h @ params["v"]

    start = jnp.zeros((x.shape[0], 5), x.dtype)
    return jnp.moveaxis(jax.lax.scan(step, start, jnp.moveaxis(x, 1, 0))[1], 0, 1)


def recurrence(seed: int) -> dict:
    draw = rng(seed).normal
    return {name: draw(size=shape).astype("f4") / 2 for name, shape in {"r": (5, 5), "w": (2, 5), "v": (5, 3)}.items()}


@pytest.mark.slow
def test_the_entry_at_a_length_is_the_run_cut_there_with_derivatives() -> None:
    x, lengths = rng(3).normal(size=(10, 7, 2)).astype("f4"), (1, 4, 7)
    plane = ls.span(recurrence(0), {"a": recurrence(1), "b": recurrence(2)}, **AXES)
    every = ls.surface(plane, ls.Risk(recurrent, (x, Y[:10]), batch=4, order=2, lengths=lengths))
    assert every["loss"].dims == ("length", "a", "b")
    for length in lengths:
        last = lambda params, x: recurrent(params, x)[:, -1]  # noqa: E731
        cut = ls.surface(plane, ls.Risk(last, (x[:, :length], Y[:10]), batch=4, order=2))
        for name in cut.data_vars:
            size = 64 * EPS * float(np.abs(cut["d_a_a" if name.count("_") == 2 else name]).max())
            np.testing.assert_allclose(every[name].sel(length=length), cut[name], rtol=0, atol=size)
    assert every.attrs["origin_loss"] == pytest.approx(every.attrs["origin_loss_by_another_route"], rel=8 * EPS)


def test_lengths_may_be_asked_of_a_surface_as_of_a_task() -> None:
    x = rng(3).normal(size=(10, 7, 2)).astype("f4")
    plane = ls.span(recurrence(0), {"a": recurrence(1)}, a=AXES["a"])
    found = ls.surface(plane, ls.Risk(recurrent, (x, Y[:10]), order=0), [2, 3])
    np.testing.assert_array_equal(found["length"], [2, 3])


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.slow
def test_a_surface_at_every_checkpoint_is_that_around_each_of_them(timed: bool) -> None:
    x = rng(3).normal(size=(10, 7, 2)).astype("f4")
    settings = {"lengths": (2, 7)} if timed else {}
    predict = recurrent if timed else (lambda params, x: recurrent(params, x)[:, -1])
    risk = ls.Risk(predict, (x, Y[:10]), batch=4, order=2, **settings)
    models = [recurrence(seed) for seed in (4, 5, 6)]
    stack = jax.tree.map(lambda *leaves: np.stack(leaves), *models)
    along = {"a": recurrence(1), "b": recurrence(2)}
    made = ls.surface(ls.span(models[0], along, **AXES), ls.Checkpoints(risk, stack, at=[0, 10, 50]))
    assert made["loss"].dims == ("step", *(["length"] if timed else []), "a", "b")
    np.testing.assert_array_equal(made["step"], [0, 10, 50])
    for step, model in zip((0, 10, 50), models, strict=True):
        alone = ls.surface(ls.span(model, along, **AXES), risk)
        for name in alone.data_vars:
            size = 64 * EPS * float(np.abs(alone["d_a_a" if name.count("_") == 2 else name]).max())
            np.testing.assert_allclose(made[name].sel(step=step), alone[name], rtol=0, atol=size)
    assert made.attrs["origin_loss"] == pytest.approx(made.attrs["origin_loss_by_another_route"], rel=8 * EPS)


@pytest.mark.parametrize(
    ("models", "settings", "sentence"),
    [
        ({"w": np.ones((3, 2)), "b": np.ones(2)}, {}, "one axis of steps in front of every array"),
        (np.ones((3, 4)), {"at": [3, 2, 1]}, "at must be 3 increasing whole numbers"),
        (np.ones((3, 5)), {}, r"models must be pytrees like the plane's, .* of shapes \[\(4,\)\], with steps in front"),
    ],
)
def test_checkpoints_that_do_not_fit_get_one_sentence(models: Any, settings: dict, sentence: str) -> None:
    plane = ls.span(np.zeros(4), {"a": np.ones(4)}, a=(0.0, 1.0))
    with pytest.raises(ValueError, match=sentence):
        ls.surface(plane, ls.Checkpoints(ls.Risk(quadratic, (X, Y), raw), models, **settings))

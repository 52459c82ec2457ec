"""Laws of connectivity: what a barrier is, curves that are drawn as they are, and units brought back into order."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import landscape as ls
from landscape import connectivity, directions
from landscape.losses import raw

KEY = jax.random.key(0)
rng = np.random.default_rng
LAYERS = [
    [("one.kernel", 1), ("one.bias", 0), ("two.kernel", 0)],
    [("two.kernel", 1), ("two.bias", 0), ("out.kernel", 0)],
]


def mlp(params: dict, x: Any) -> jax.Array:
    for name in ("one", "two"):
        x = jnp.tanh(x @ params[name]["kernel"] + params[name]["bias"][None])
    return x @ params["out"]["kernel"]


def layers(seed: int, units: tuple[int, int] = (12, 9)) -> dict:
    draw = rng(seed).normal
    shapes = {"one": (3, units[0]), "two": units, "out": (units[1], 2)}
    made: dict = {name: {"kernel": draw(size=shape)} for name, shape in shapes.items()}
    for name in ("one", "two"):
        made[name]["bias"] = draw(size=shapes[name][1])
    return made


X = rng(1).normal(size=(30, 3))
RISK = ls.Risk(mlp, (X, mlp(layers(0), X)), raw, batch=30, dtype="float64")


# Two wells, (x² - 1)² + y² with a wall between them at x = 0


def wells(p: Any, _: Any = None) -> jax.Array:
    return (p["x"] ** 2 - 1) ** 2 * (1 - 0.9 * jnp.exp(-((p["y"] - 1) ** 2))) + 0.1 * p["y"] ** 2


LEFT, RIGHT = ({"x": np.float32(x), "y": np.float32(0)} for x in (-1, 1))
WELLS = ls.Function(wells, order=0)


def test_a_barrier_is_the_largest_rise_above_the_line_between_the_ends() -> None:
    found = connectivity.barrier(LEFT, RIGHT, WELLS, points=5)
    t = np.linspace(0, 1, 5)
    expected = [float(wells({"x": 2 * s - 1, "y": 0.0})) for s in t]
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-6)
    assert float(found["barrier"]) == pytest.approx(expected[2], rel=1e-6)
    slope = ls.Function(lambda p, _: p["x"], order=0)
    assert float(connectivity.barrier(LEFT, RIGHT, slope)["barrier"]) == pytest.approx(0, abs=1e-6)
    hollow = ls.Function(lambda p, _: p["x"] ** 2, order=0)
    assert float(connectivity.barrier(LEFT, RIGHT, hollow)["barrier"]) == 0  # at the ends, never below


def test_the_ends_of_a_path_are_the_models_bit_for_bit() -> None:
    a, b = layers(2), layers(3)
    found = connectivity.barrier(a, b, RISK, points=3)
    assert found["loss"].values[0] == RISK(a)
    assert found["loss"].values[-1] == pytest.approx(float(RISK(b)), rel=1e-14)


def test_every_length_has_its_barrier() -> None:
    a, b = ls.SRNN(w=1.5, u=1.0, b=0.0), ls.SRNN(w=-1.5, u=-1.0, b=0.0)
    found = connectivity.barrier(a, b, ls.Recurrence(ls.latch(), [1, 4]), points=5)
    assert found["loss"].dims == ("length", "t")
    assert found["barrier"].dims == ("length",)


def test_a_trained_curve_goes_round_the_wall() -> None:
    bend, met = connectivity.bent(lambda p, key: wells(p), LEFT, RIGHT, KEY, optax.sgd(0.2, momentum=0.9), steps=200)
    line, curve = (connectivity.barrier(LEFT, RIGHT, WELLS, bend=c) for c in (None, bend))
    assert float(curve["barrier"]) < 0.5 * float(line["barrier"])
    assert (line.attrs["path"], curve.attrs["path"]) == ("line", "Bezier curve")
    assert met[-50:].mean() < met[:50].mean()
    t = 0.3
    at = connectivity.bezier(LEFT, bend, RIGHT, t)
    whole = connectivity.barrier(LEFT, RIGHT, WELLS, points=11, bend=bend)
    assert float(whole["loss"].sel(t=t, method="nearest")) == pytest.approx(float(wells(at)), rel=1e-5)


def test_a_bezier_curve_lies_in_the_plane_through_its_ends_and_its_bend() -> None:
    a, bend, b = (layers(seed) for seed in (2, 3, 4))
    around = directions.between([a, b, bend], ("along", "across"))
    curve = [connectivity.bezier(a, bend, b, t) for t in np.linspace(0, 1, 7)]
    where = directions.place(around, a, jax.tree.map(lambda *leaves: np.stack(leaves), *curve))
    assert where.off_plane.max() < 1e-12 * where.distance.max()
    np.testing.assert_allclose(where.coordinates[[0, -1]], [[0, 0], [1, 0]], atol=1e-12)


# Alignment


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_planted_permutation_is_recovered_exactly(noise: float) -> None:
    a = layers(5)
    orders = [rng(6).permutation(12), rng(7).permutation(9)]
    b = connectivity.permuted(a, LAYERS, orders)
    b = jax.tree.map(lambda leaf: leaf + noise * rng(8).normal(size=leaf.shape), b)
    found = connectivity.align(a, b, LAYERS)
    for order, planted in zip(found.orders, orders, strict=True):
        np.testing.assert_array_equal(planted[order], np.arange(len(planted)))
    if not noise:
        jax.tree.map(np.testing.assert_array_equal, found.params, a)


def test_alignment_leaves_the_function_alone_and_takes_the_barrier_away() -> None:
    a = layers(0)  # the risk's own: its loss is 0
    b = connectivity.permuted(a, LAYERS, [rng(6).permutation(12), rng(7).permutation(9)])
    found = connectivity.align(a, b, LAYERS)
    np.testing.assert_allclose(mlp(b, X), mlp(a, X), rtol=0, atol=1e-5)  # in float32, summed in another order
    assert float(connectivity.barrier(a, b, RISK)["barrier"]) > 0.1
    assert float(connectivity.barrier(a, found.params, RISK)["barrier"]) < 1e-12


def test_alignment_of_strangers_makes_them_more_alike() -> None:
    a, b = layers(5), layers(9)
    like = lambda x, y: sum(float(np.vdot(p, q)) for p, q in zip(*map(jax.tree.leaves, (x, y)), strict=True))  # noqa: E731
    assert like(a, connectivity.align(a, b, LAYERS).params) > like(a, b) + 1
    np.testing.assert_allclose(mlp(connectivity.align(a, b, LAYERS).params, X), mlp(b, X), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda a: connectivity.align(a, a, [[("one.kernl", 1)]]), "no leaf 'one.kernl'; .*did you mean 'one.kernel'"),
        (
            lambda a: connectivity.align(a, a, [[("one.kernel", 0), ("one.bias", 0)]]),
            r"as many in every leaf .*\(3, 12\)",
        ),
        (
            lambda a: connectivity.align(a, a, [[("one.bias", 1)]]),
            "as many in every leaf of both models; given one.bias",
        ),
        (lambda a: connectivity.barrier(a, a, RISK, points=1), "at least its two ends, given 1 points"),
        (
            lambda a: connectivity.bent(lambda p, key: p["one"]["bias"], a, a, KEY, optax.sgd(0.1)),
            "loss must return one number for a model and a key, it returns",
        ),
    ],
)
def test_what_connects_nothing_is_said_in_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        call(layers(0))

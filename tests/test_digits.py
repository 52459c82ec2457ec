"""Two networks on digits: what a line, an order of units and a bend between them cost, and what a plane hides."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import landscape as ls
from landscape import connectivity, curvature, trajectories

datasets = pytest.importorskip("sklearn.datasets", reason="the extra 'data' is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.optimised]  # a minute

ADAM = optax.adam(1e-3)
LAYERS = [[("one.w", 1), ("one.b", 0), ("two.w", 0)]]


def predict(p: dict, x: Any) -> jax.Array:
    return jax.nn.relu(x @ p["one"]["w"] + p["one"]["b"][None]) @ p["two"]["w"] + p["two"]["b"][None]


def begin(seed: int, units: int) -> dict:
    keys = jax.random.split(jax.random.key(seed), 2)
    w, v = jax.random.normal(keys[0], (64, units)) / 32**0.5, jax.random.normal(keys[1], (units, 10))
    return {"one": {"w": w, "b": jnp.zeros(units)}, "two": {"w": v * (2 / units) ** 0.5, "b": jnp.zeros(10)}}


@pytest.fixture(scope="module")
def risk() -> Any:
    x, y = datasets.load_digits(return_X_y=True)
    return ls.Risk(predict, ((x / 16).astype("f4"), y.astype("i4")), batch=1797)


def drawn(risk: Any) -> Any:
    """The loss of 128 random examples."""
    x, y = map(jnp.asarray, risk.data.data)

    def loss(p: dict, key: jax.Array) -> jax.Array:
        batch = jax.random.randint(key, (128,), 0, len(x))
        return jnp.mean(jax.vmap(ls.cross_entropy)(predict(p, x[batch]), y[batch]))

    return loss


def trained(risk: Any, seed: int, units: int, steps: int) -> Any:
    """The models of a training, (step, ...)."""
    slope = jax.grad(drawn(risk))

    def step(carry: tuple, key: jax.Array) -> tuple:
        p, state = carry
        moves, state = ADAM.update(slope(p, key), state)
        return (optax.apply_updates(p, moves), state), p

    start = begin(seed, units)
    keys = jax.random.split(jax.random.key(10 + seed), steps)
    with jax.numpy_dtype_promotion("standard"):  # optax 0.2.8 raises a float to an integer power in Adam
        return jax.device_get(jax.jit(lambda p: jax.lax.scan(step, (p, ADAM.init(p)), keys)[1])(start))


@pytest.fixture(scope="module")
def minima(risk: Any) -> Any:
    return [jax.tree.map(lambda leaf: leaf[-1], trained(risk, seed, 256, 1500)) for seed in (0, 1)]


def test_alignment_and_a_bend_take_away_the_barrier_between_two_minima(risk: Any, minima: Any) -> None:
    """As run: .156 on the line, .013 aligned, .002 along the curve."""
    a, b = minima
    assert max(risk(a), risk(b)) < 0.02
    high = lambda one, **how: float(connectivity.barrier(a, one, risk, **how)["barrier"])  # noqa: E731
    assert high(b) > 0.1
    assert high(connectivity.align(a, b, LAYERS).params) < 0.05
    with jax.numpy_dtype_promotion("standard"):
        bend, _ = connectivity.bent(drawn(risk), a, b, jax.random.key(5), ADAM, steps=1500)
    assert high(b, bend=bend) < 0.01


def test_a_planted_permutation_of_256_trained_units_is_recovered_exactly(minima: Any) -> None:
    order = np.random.default_rng(0).permutation(256)
    found = connectivity.align(minima[0], connectivity.permuted(minima[0], LAYERS, [order]), LAYERS)
    np.testing.assert_array_equal(order[found.orders[0]], np.arange(256))
    jax.tree.map(np.testing.assert_array_equal, found.params, minima[0])


def test_a_plane_that_explains_99_percent_hides_a_tenth_of_the_loss_at_the_start(risk: Any) -> None:
    """As the README says: 99.4 % of the squared distances explained, 2.38 true, 2.14 in the plane; training rounds."""
    walk = jax.tree.map(lambda leaf: leaf[::20], trained(risk, 3, 64, 600))
    found = trajectories.project(walk, ("a", "b"), risk)
    assert found.attrs["explained"] == pytest.approx(0.994, abs=0.001)
    assert found["loss"].values[0] == pytest.approx(2.38, abs=0.005)
    assert found["loss_in_plane"].values[0] == pytest.approx(2.14, abs=0.02)


def test_the_largest_eigenvalues_of_a_trained_network_are_certified_in_single_precision(risk: Any, minima: Any) -> None:
    found = curvature.top(curvature.hessian(risk, minima[0]), 9, jax.random.key(0))  # classes less 1 (Papyan 2020)
    assert found["residual"].max() < 1e-3 * found["value"].max()

"""Laws of jets: derivatives are the chain rule's, and powers of two are exact wherever they are kept."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape.engine import jets
from landscape.engine.jets import Jet, fold, pairs, push, rescale, shifted

optimised = pytest.mark.optimised  # laws of bits
power = jax.jit(jets.power, static_argnums=1)
exponent, load, log10_norm = (jax.jit(law) for law in (jets.exponent, jets.load, jets.log10_norm))


@optimised
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_and_exponents_are_exact(dtype: str) -> None:
    info = np.finfo(dtype)
    e = np.arange(info.minexp, info.maxexp)
    with jax.enable_x64(dtype == "float64"):
        np.testing.assert_array_equal(power(e, dtype), np.ldexp(np.ones((), dtype), e))
        np.testing.assert_array_equal(exponent(power(e, dtype)), e)
        np.testing.assert_array_equal(power(np.array([info.minexp - 1, 10**6]), dtype), [0, 2.0 ** (info.maxexp - 1)])


@optimised
def test_exponent_is_the_floor_of_the_logarithm() -> None:
    x = np.random.default_rng(0).lognormal(0, 20, 1000).astype("float32") * np.float32([1, -1] * 500)
    x[:2] = 0, np.inf
    np.testing.assert_array_equal(exponent(x), [-127, 128, *(np.frexp(x[2:])[1] - 1)])


@optimised
def test_load_is_ldexp_and_overflows_to_infinity() -> None:
    m = np.float32([0.75, -1.5, 3e-30, 0.0, np.inf, 1.0, 1.0])
    e = np.int32([100, -100, 200, 500, 3, 128, 100_000])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(load(m, e), np.ldexp(m, e))


def test_norm_of_numbers_beyond_the_range_of_the_type() -> None:
    mantissas = [np.float32([0.75, 0.0, 0.0, 1e-20]), np.float32([1.0, 1.0, 0.0, 1e20])]
    exponents = np.int32([[100_000, 100_000, 7, 0], [100_000, 3, 7, 0]])
    exact = [np.log10(1.25) + 100_000 * np.log10(2), 3 * np.log10(2), -np.inf, 20.0]
    np.testing.assert_allclose(log10_norm(mantissas, exponents), exact, rtol=3e-7)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 32])
def test_fold_is_the_reduction(rows: int) -> None:
    a = np.random.default_rng(0).normal(size=(rows, 5)).astype("float32")
    total, largest = jax.jit(lambda a: (fold(jnp.add, a), fold(jnp.maximum, a)))(a)
    np.testing.assert_allclose(total, a.sum(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(largest, a.max(0))


def test_push_is_the_chain_rule_to_second_order() -> None:
    def inner(p: tuple, s: jax.Array) -> jax.Array:
        return jnp.sin(p[0] * s) + p[1] ** 2 * s

    def outer(p: tuple, s: jax.Array) -> jax.Array:
        return jnp.exp(-p[1] * s) * p[0]

    def whole(p: tuple) -> jax.Array:
        return outer(p, inner(p, jnp.float32(0.7)))

    @jax.jit
    def both(point: tuple, scale: tuple) -> tuple:
        zero = jnp.float32(0)
        jet = Jet(jnp.float32(0.7), (zero, zero), dict.fromkeys(pairs(2), zero))
        jet = push(outer, point, scale, push(inner, point, scale, jet))
        return jet, whole(point), jax.grad(whole)(point), jax.hessian(whole)(point)

    scale = (np.float32(0.25), np.float32(2.0))
    jet, value, gradient, hessian = both((np.float32(0.3), np.float32(-0.6)), scale)
    np.testing.assert_allclose(jet.value, value, rtol=1e-6)
    for k in range(2):
        np.testing.assert_allclose(jet.first[k], gradient[k] * scale[k], rtol=2e-6)
    for k, l in pairs(2):
        np.testing.assert_allclose(jet.second[k, l], hessian[k][l] * scale[k] * scale[l], rtol=5e-6)


@jax.jit
def rescaled(jet: Jet, old: tuple) -> Any:
    exponents, powers, shift = rescale(jet, old)
    return exponents, powers, shifted(jet, shift)


@optimised
def test_rescaling_changes_no_value() -> None:
    rng = np.random.default_rng(0)
    draw = lambda: rng.lognormal(0, 5, (4, 6)).astype("float32")  # noqa: E731
    before = Jet(draw(), (draw(), draw()), {kl: draw() for kl in pairs(2)})
    old = (np.full(6, 20, np.int32),) * 2
    exponents, powers, after = rescaled(before, old)
    old, exponents = ([np.asarray(e)[None] for e in each] for each in (old, exponents))  # (batch, point)
    assert min(int(e.min()) for e in exponents) >= 0
    np.testing.assert_array_equal(np.stack(powers), np.ldexp(np.float32(1), -np.concatenate(exponents)))
    for k in range(2):
        assert np.abs(after.first[k]).max() < 1
        np.testing.assert_array_equal(load(before.first[k], old[k]), load(after.first[k], exponents[k]))
    for k, l in pairs(2):
        kept, moved = load(before.second[k, l], old[k] + old[l]), load(after.second[k, l], exponents[k] + exponents[l])
        np.testing.assert_array_equal(kept, moved)

"""The same roots by routes that share no line with the package: SciPy on plain NumPy, decimals, long simulation."""

import functools
import math
from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from scipy.optimize import brentq

from landscape import dynamics
from landscape.cells import GRU, LSTM, Pascanu


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


NAMES = {
    "Pascanu": ("w", "b"),
    "GRU": ("w_z", "w_r", "w_h", "b_z", "b_r", "b_h"),
    "LSTM": ("w_i", "w_f", "w_g", "w_o", "b_i", "b_f", "b_g", "b_o"),
}


@functools.partial(jax.jit, static_argnums=0)
def rests(kind, drawn):
    cell = {"Pascanu": Pascanu, "GRU": GRU, "LSTM": LSTM}[kind]
    return jax.vmap(lambda v: dynamics.fixed_points(cell(**dict(zip(NAMES[kind], v, strict=True)))))(drawn)


def scanned(kind, p):
    """All roots of h' - h on a dense grid of h, by Brent's method, in plain NumPy."""
    s = oracles.s

    def g(h):
        if kind == "Pascanu":
            return p["w"] * s(h) + p["b"] - h
        if kind == "GRU":
            return np.tanh(p["w_h"] * s(p["w_r"] * h + p["b_r"]) * h + p["b_h"]) - h
        gate = {a: s(p[f"w_{a}"] * h + p[f"b_{a}"]) for a in "io"}
        forgotten = s(-(p["w_f"] * h + p["b_f"]))  # 1 - f, without cancellation
        return gate["o"] * np.tanh(gate["i"] * np.tanh(p["w_g"] * h + p["b_g"]) / forgotten) - h

    h = np.concatenate([-1 + np.geomspace(1e-12, 1e-3, 2000), np.linspace(-0.999, 0.999, 60_000)])
    h = np.unique(np.concatenate([h, -h] if kind != "Pascanu" else [np.linspace(-40, 40, 80_001)]))
    change = np.nonzero(np.diff(np.sign(g(h))))[0]
    return np.array([brentq(g, h[k], h[k + 1], xtol=1e-15, rtol=1e-14) for k in change])


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("Pascanu", 60),
        pytest.param("GRU", 200, marks=pytest.mark.slow),
        pytest.param("LSTM", 300, marks=pytest.mark.slow),
    ],
    ids=["Pascanu", "GRU", "LSTM"],
)
def test_all_roots_of_random_units_are_those_of_an_independent_root_finder(kind, count):
    drawn = 2.5 * np.asarray(jax.random.normal(jax.random.key(4), (count, len(NAMES[kind]))))
    orbits = rests(kind, drawn)
    if kind == "Pascanu":
        drawn = np.array([[8.0, -4.0]]) + drawn  # around the middle of its cusp
        orbits = rests(kind, drawn)
    several = 0
    for row, h, multiplier in zip(drawn, np.asarray(orbits.state.h), np.asarray(orbits.multiplier), strict=True):
        expected = scanned(kind, dict(zip(NAMES[kind], row, strict=True)))
        found = h[np.isfinite(h)]
        assert len(found) == len(expected)
        # A root is as uncertain as rounding over the slope there; a stable one with m near 1 by more.
        np.testing.assert_allclose(found, expected, atol=1e-11)
        assert np.isfinite(multiplier[: len(found)]).all()
        several += len(found) > 1
    assert several > 2


def test_roots_and_multipliers_of_random_units_agree_with_forty_digit_arithmetic():
    low, high = jnp.array([-8.0, -4.0]), jnp.array([8.0, 1.0])
    drawn = np.asarray(jax.random.uniform(jax.random.key(9), (60, 2), minval=low, maxval=high))
    orbits = rests("Pascanu", drawn)
    with localcontext(prec=40):
        for (w, b), states, multipliers in zip(drawn, orbits.state.h, orbits.multiplier, strict=True):
            for h, multiplier in zip(np.asarray(states), np.asarray(multipliers), strict=True):
                if not math.isfinite(h):
                    continue
                a, wide, bias = Decimal(float(h)), Decimal(float(w)), Decimal(float(b))
                for _ in range(6):
                    s = 1 / (1 + (-a).exp())
                    a -= (wide * s + bias - a) / (wide * s * (1 - s) - 1)
                s = 1 / (1 + (-a).exp())
                exact = float(wide * s * (1 - s))
                # Rounding of w f + b, a few units of |w| + |b|, over the distance of the multiplier from 1.
                unsure = 4 * np.finfo(float).eps * (abs(w) + abs(b) + 1)
                assert abs(h - float(a)) < unsure / abs(1 - exact)
                assert abs(multiplier - exact) < unsure * (1 + abs(w) / abs(1 - exact))


@pytest.mark.slow
def test_no_random_unit_of_a_hundred_thousand_keeps_its_bits_otherwise_than_the_bound_says():
    """Simulated to the end: those within 1e-3 of the edge go on a thousand times longer, so that none is undecided."""

    @jax.jit
    def kept(w, u, b, steps):
        ends = [jax.lax.fori_loop(0, steps, lambda _, a: w * jnp.tanh(a) + b, u * bit + b) for bit in (-1.0, 1.0)]
        return (jnp.sign(ends[0]) == -jnp.sign(u)) & (jnp.sign(ends[1]) == jnp.sign(u))

    low = jnp.array([[0.5], [-3.0], [-2.0]])
    w, u, b = np.asarray(
        jax.random.uniform(jax.random.key(1), (3, 100_000), minval=low, maxval=jnp.array([[4.0], [3.0], [2.0]]))
    )
    margin = np.asarray(np.abs(b) - dynamics.latching_bound(w, u))
    stored = np.array(kept(w, u, b, 1000))
    close = np.abs(margin) < 1e-3
    assert np.abs(margin).min() > 1e-9
    stored[close] = kept(w[close], u[close], b[close], 1_000_000)
    np.testing.assert_array_equal(stored, np.asarray(dynamics.latches(w, u, b)))
    assert 0.1 < stored.mean() < 0.9

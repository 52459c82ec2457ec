"""Is a basin cliff the same at every length, when it is looked at closely enough?

    landscape run collapse
    python figures/collapse.py

Pascanu's map x' = w logistic(x) + b from x_0 = .5, where x_0 is the unstable fixed point at b_c, with multiplier lam.
In z = (b - b_c) lam**T / (lam - 1) all lengths should tend to one curve, x_T -> Phi(z): the Poincare function,
Phi(lam z) = F(Phi(z)), Phi(0) = x_0, Phi'(0) = 1, with corrections of order T lam**-T.

Expected at w = 5: the largest distance of logistic(x_T) from the curve is .15 at length 10, 1.0e-3 at 50, 6.7e-7 at 100
and 1.4e-13 at 200. That takes the distance from x_0 as the state: with b itself in float64 it comes nearest at length
110, 1.6e-7, where rounding outgrows what is left, and at length 200 the state is off by .06. Less than a second.
"""

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from landscape import dynamics
from landscape.cells import Pascanu, logistic
from landscape.models import run as orbit


def run(
    w: float = 5.0,
    lengths: tuple[int, ...] = tuple(range(10, 201, 10)),
    start: float = 0.5,
    reach: float = 4.0,
    points: int = 401,
) -> xarray.Dataset:
    """``profile`` (length, z), logistic(x_T), and ``curve`` (z,), logistic(Phi), to the last digit at any length.

    They follow x - x_0, see `deviation`. ``plain`` (length, z) follows x in float64 with the bias itself, as any
    program does. ``residual`` and ``plain_residual`` (length,) are the largest distances from the curve.
    """
    T, z = np.array(lengths), np.linspace(-reach, reach, points)
    with jax.enable_x64(True):
        line = dynamics.cliff_line(logistic, w, start)
        middle, multiplier = float(line.b), float(line.multiplier)
        if not multiplier > 1:
            raise ValueError(f"there is no basin cliff at w = {w:g}: x_0 = {start:g} has multiplier {multiplier:.4g}")
        push = z * (multiplier - 1) * multiplier ** -T[:, None].astype(float)
        ends = lambda b, t: orbit(Pascanu(w=w, b=b), jnp.zeros(T[-1]), start)[t - 1]  # noqa: E731
        plain = np.asarray(jax.jit(jax.vmap(jax.vmap(ends, (0, None))))(middle + push, T))
    ahead = int(np.ceil(45 / np.log(multiplier)))  # z lam**-ahead lies below the rounding of z
    curve = at(start, deviation(w, start, z * multiplier**-ahead, 0.0, ahead))
    profile = at(start, np.stack([deviation(w, start, 0 * z, p, t) for p, t in zip(push, T, strict=True)]))
    plain = 1 / (1 + np.exp(-plain))
    found = {"profile": (("length", "z"), profile), "plain": (("length", "z"), plain), "curve": ("z", curve)}
    found |= {
        "residual": ("length", abs(profile - curve).max(1)),
        "plain_residual": ("length", abs(plain - curve).max(1)),
    }
    ds = xarray.Dataset(found, {"length": T, "z": z}, {"w": w, "start": start, "b": middle, "multiplier": multiplier})
    return ds.assign_attrs(finding=sentence(ds))


def at(start: float, y: np.ndarray) -> np.ndarray:
    """logistic(start + y)."""
    return 1 / (1 + np.exp(-(start + y)))


def deviation(w: float, start: float, first: np.ndarray, push: np.ndarray | float, steps: int) -> np.ndarray:
    """``x_t - x_0`` after ``steps`` steps with the bias b_c + ``push``, from ``x_0 + first``.

    y' = w (s(x_0 + y) - s(x_0)) + push, and the difference of logistics is s (1 - s) expm1(y) / (1 + s expm1(y)): no
    digits cancel, however thin the cliff.
    """
    s, y = at(start, 0.0), first
    for _ in range(steps):
        y = w * s * (1 - s) * np.expm1(y) / (1 + s * np.expm1(y)) + push
    return y


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    first, last = (int(results.length[i]) for i in (0, -1))
    decay = results.residual / (results.length * results.multiplier ** -results.length.astype(float))
    best = int(results.plain_residual.argmin("length"))
    return (
        f"At w = {results.w:g} (multiplier λ = {results.multiplier:.4f}) the largest distance from the limit curve "
        f"falls from {float(results.residual[0]):.2g} at length {first} to {float(results.residual[-1]):.1e} at length "
        f"{last}, as {float(decay[-1]):.2f} T λ^-T. A program that adds the bias itself comes nearest at length "
        f"{int(results.length[best])}, {float(results.plain_residual[best]):.1e}; then the rounding of float64 outgrows what is left, and "
        f"at length {last} it is off by {float(results.plain_residual[-1]):.2g}."
    )


if __name__ == "__main__":
    print(sentence(run()))

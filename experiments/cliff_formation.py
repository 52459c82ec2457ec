"""How do cliffs form in the loss of a recurrent unit that must keep one bit, as the sequence grows?

    landscape run cliff_formation

SRNN, GRU and LSTM on latching with noise .1, over the recurrent weight and the bias of the unit that stores the bit.
All other parameters are as the cells start: gates at rest, the LSTM's forget bias 1.

Expected: a smooth bowl at length 1; from length 10 on a dark region in which both bits are kept, and a cliff around it.
The region begins at w = 1 (SRNN), w_h = 2 (GRU), w_g = 4 (1 - logistic(1)) = 1.076 (LSTM), where the silent state loses
its stability; its edge settles on the closed-form curve of `boundary`, less the noise. A few seconds on two cores.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from landscape.cells import GRU, LSTM, SRNN
from landscape.planes import plane
from landscape.surfaces import surface
from landscape.tasks import latch


def run(
    points: int = 161,
    lengths: tuple[int, ...] = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 100),
    noise: float = 0.1,
    episodes: int = 32,
    seed: int = 0,
    bias: float = 1.5,
    out: str | None = "results/cliff_formation",
) -> dict[str, xarray.Dataset]:
    """A surface for each cell, and as ``NAME_boundary`` the curve within which a unit without noise keeps both bits."""
    b = np.linspace(-bias, bias, points)
    planes = {
        "SRNN": plane(SRNN(), w=np.linspace(0, 4, points), b=b),
        "GRU": plane(GRU(), w_h=np.linspace(0, 8, points), b_h=b),
        "LSTM": plane(LSTM(), w_g=np.linspace(0, 8, points), b_g=b),
    }
    folder = Path(out) if out else None
    results = {}
    for name, axes in planes.items():
        where = folder and folder / f"{name}.zarr"
        results[name] = surface(axes, latch(noise), lengths, episodes=episodes, seed=seed, out=where)
    for name in planes:
        results[f"{name}_boundary"] = curve = boundary(*MAPS[name])
        if folder:
            curve.to_zarr(folder / f"{name}_boundary.zarr", mode="w", zarr_format=3, consolidated=False)
    return results


FORGET = 1 / (1 + np.exp(-1.0))
# After the bit, each cell is a map of one state s, and s is a fixed point on the line b = a(s) - w r(s). `first` is the
# state that bit +1 leaves (input weight 1). SRNN: s = h; GRU: s = h, z = r = 1/2; LSTM: s = c, i = o = 1/2, f = FORGET.
MAPS: dict[str, tuple[Callable, Callable, Callable]] = {
    "SRNN": (jnp.arctanh, lambda s: s, lambda b: jnp.tanh(1 + b)),
    "GRU": (jnp.arctanh, lambda s: s / 2, lambda b: jnp.tanh(1 + b) / 2),
    "LSTM": (lambda s: jnp.arctanh(2 * (1 - FORGET) * s), lambda s: jnp.tanh(s) / 2, lambda b: jnp.tanh(1 + b) / 2),
}


def boundary(a: Callable, r: Callable, first: Callable, count: int = 400) -> xarray.Dataset:
    """The curve in (w, b) within which both bits are kept for ever, without noise: (point,) from one end to the other.

    Bit +1 is lost as b falls, either at the fold, where the state that holds it vanishes (w r' = a'), or already where
    the first state is the unstable one: w = (a - b) / r at s = first(b). Bit -1 is lost at the mirror image.
    """
    slope = lambda f, s: jax.vmap(jax.grad(f))(s)  # noqa: E731
    s = jnp.linspace(1e-3, 0.999, count)
    w = slope(a, s) / slope(r, s)
    fold = (w, a(s) - w * r(s))
    held = first(fold[1]) >= s
    b = jnp.linspace(0, -0.999, count)
    s = first(b)
    w = (a(s) - b) / r(s)
    basin = (w, b)
    unstable = w * slope(r, s) > slope(a, s)
    w, b = (np.concatenate([f[held], g[unstable]]) for f, g in zip(fold, basin, strict=True))
    curve = {"w": ("point", np.concatenate([w[::-1], w])), "b": ("point", np.concatenate([-b[::-1], b]))}
    return xarray.Dataset(curve, attrs={"long_name": "a unit without noise just keeps both bits"})


def steepest(ds: xarray.Dataset) -> xarray.DataArray:
    """The largest step of the loss between neighbouring points of the grid, at each length."""
    axes = [name for name in ds.loss.dims if name != "length"]
    steps = [abs(ds.loss.diff(axis)).max(axes) for axis in axes]
    return xarray.concat(steps, "axis").max("axis")


def sentence(results: Mapping[str, xarray.Dataset]) -> str:
    """What the figure shows, in numbers from the data."""
    parts = []
    for name in MAPS:
        steps = steepest(results[name])
        parts.append(f"{float(steps[0]):.2f} to {float(steps[-1]):.2f} ({name})")
    first, last = (int(results["SRNN"].length[i]) for i in (0, -1))
    return (
        f"From length {first} to length {last} the largest step of the loss between neighbouring points grows from "
        f"{', '.join(parts)}: a bowl becomes a cliff around the weights that keep both bits."
    )


if __name__ == "__main__":
    print(sentence(run()))

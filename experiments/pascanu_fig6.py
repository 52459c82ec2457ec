"""Where is the wall of Pascanu, Mikolov & Bengio (2013), fig. 6, and how steep is it?

    landscape run pascanu_fig6

One logistic unit without input, x' = w logistic(x) + b from x_0 = .5, is to end with logistic(x_T) = .7.

Expected: for w > 4.2553 the wall stands at every length on the line b = .5 - .62246 w, on which x_0 is the unstable
fixed point. At w = 5 the loss falls from .353 at .05 below the line to .017 at .05 above it; the largest gradient is
5.5 at length 10 and 6.8e3 at length 50, and grows as 1.175**T.
A grid sees a fraction of it. A few seconds on two cores.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray

from landscape import provenance
from landscape.cells import Pascanu, logistic
from landscape.dynamics import cliff_line
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.surfaces import surface, values
from landscape.tasks import pascanu

START = 0.5


def run(
    points: int = 201,
    lengths: tuple[int, ...] = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50),
    w: tuple[float, float] = (4.5, 5.4),
    b: tuple[float, float] = (-3.0, -1.0),
    at: float = 5.0,
    out: str | None = "results/pascanu_fig6",
) -> dict[str, xarray.Dataset]:
    """``surface`` over (w, b); ``cliff``, the closed-form line; ``cut`` across it at w = ``at``, see `cut`."""
    axes = plane(Pascanu(), w=np.linspace(*w, points), b=np.linspace(*b, points))
    folder = Path(out) if out else None
    over = surface(axes, pascanu(START), lengths, out=folder and folder / "surface.zarr")
    results = {"surface": over, "cliff": cliff(axes.axes["w"]), "cut": cut(axes, lengths, at)}
    for name in ("cliff", "cut") if folder else ():
        results[name].to_zarr(folder / f"{name}.zarr", mode="w", zarr_format=3, consolidated=False)
    return results


def cliff(w: np.ndarray) -> xarray.Dataset:
    """The bias of the wall in the limit of long sequences (`landscape.dynamics.cliff_line`)."""
    b = np.asarray(cliff_line(logistic, w, START).b)
    return xarray.Dataset({"b": ("w", b, {"long_name": "start state on the boundary of its basin"})}, {"w": w})


def cut(axes, lengths: tuple[int, ...], at: float, reach: float = 0.05) -> xarray.Dataset:
    """Loss and log10 gradient across the wall at w = ``at``, at offsets from 1e-7 to ``reach`` on both sides of it."""
    wall = float(cliff(np.array([at])).b[0])
    steps = np.geomspace(1e-7, reach, 500)
    offset = np.concatenate([-steps[::-1], [0.0], steps])
    found = values(
        axes,
        Recurrence(pascanu(START), lengths, dtype="float64"),
        np.stack([np.full_like(offset, at), wall + offset], -1),
    )
    data = {name: (("length", "offset"), found[name]) for name in ("loss", "log10_gradient")}
    return xarray.Dataset(data, {"length": list(lengths), "offset": offset}, {"w": at, "b": wall, **provenance.here()})


def sentence(results: Mapping[str, xarray.Dataset]) -> str:
    """What the figure shows, in numbers from the data."""
    over, line = results["surface"], results["cut"]
    last = int(line.length[-1])
    low, high = (float(line.loss.sel(length=last)[i]) for i in (-1, 0))
    early = int(line.length[int(np.argmin(np.abs(line.length.values - 10)))])
    peak = {t: float(10 ** line.log10_gradient.sel(length=t).max()) for t in (early, last)}
    column = over.log10_gradient.sel(length=last).sel(w=line.attrs["w"], method="nearest")
    seen = float(10 ** column.max())
    slope = float(results["cliff"].b.polyfit("w", 1).polyfit_coefficients[0])  # minus logistic(START)
    return (
        f"At w = {line.attrs['w']:g} and length {last} the loss falls from {high:.3f} to {low:.3f} across "
        f"b = {line.attrs['b']:.4f}, where a closed form puts the wall, and the gradient has grown from "
        f"{peak[early]:.1f} at length {early} to {peak[last]:,.0f}; the grid beside it sees at most {seen:.2g}. "
        f"The wall is the line b = {START:g} - {-slope:.5f} w, for w above {-1 / (slope * (1 + slope)):.4f}."
    )


if __name__ == "__main__":
    print(sentence(run()))

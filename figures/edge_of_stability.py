"""The edge of stability, from the store of ``experiments/edge_of_stability.py``.

    python figures/edge_of_stability.py [STORE] [FOLDER]

Above, the loss of full-batch gradient descent at each rate; below, the largest eigenvalue of the Hessian and, dashed,
2 / rate, above which descent on a quadratic is unstable; right, where it is in the end against 2 / rate. A second.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.look import WIDTH
from landscape.plots.parts import headed


def title(ds: xarray.Dataset) -> str:
    """The finding, from the numbers: at how many rates the late curvature is within a sixth of 2 / rate."""
    ratio = ratios(ds).median(["step", "seed"])
    near = int((abs(ratio - 1) < 0.15).sum())
    return f"At {near} of {ratio.size} rates gradient descent ends where the largest curvature is 2 / rate"


def ratios(ds: xarray.Dataset) -> xarray.DataArray:
    """λ rate / 2 over the last half of training."""
    part = ds.isel(step=slice(ds.sizes["step"] // 2, None))
    return part.sharpness * part.rate / 2


def page(ds: xarray.Dataset) -> Figure:
    """Loss and sharpness by update for each rate, and the late sharpness against 2 / rate."""
    made = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    grid = made.add_gridspec(2, 2, width_ratios=(1.6, 1), height_ratios=(1, 1.5))
    loss, sharp, end = (made.add_subplot(part) for part in (grid[0, 0], grid[1, 0], grid[:, 1]))
    for (colour, mark), rate in zip(LINES, ds.rate.values, strict=False):
        for one in ds.sel(rate=rate).transpose("seed", "step").seed.values:
            run = ds.sel(rate=rate, seed=one)
            loss.plot(ds.step, run.loss, color=colour, linewidth=0.8)
            sharp.plot(ds.step, run.sharpness, color=colour, linewidth=0.8)
            late = run.sharpness.values[ds.sizes["step"] // 2 :]
            low, middle, high = np.nanquantile(late, [0, 0.5, 1])
            bars = [[middle - low], [high - middle]]
            end.errorbar(2 / rate, middle, bars, color=colour, marker=mark, markersize=4, capsize=2, linestyle="")
        sharp.axhline(2 / rate, color=colour, linestyle="--", linewidth=0.8)
    ends = 2 / np.array([ds.rate.max() * 1.2, ds.rate.min() / 1.2])
    end.plot(ends, ends, "--", color="0.4", linewidth=0.8)
    loss.set(yscale="log", ylabel="training loss")
    sharp.set(yscale="log", xlabel="updates", ylabel="largest eigenvalue λ of the Hessian")
    end.set(xscale="log", yscale="log", xlabel="2 / rate", ylabel="λ over the last half of training")
    for axis in (loss.yaxis, sharp.yaxis, end.xaxis, end.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    for ax, name in zip((loss, sharp, end), ("a  loss", "b  curvature", "c  where it stays"), strict=True):
        ax.set_title(name, loc="left")
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    handles = [
        Line2D([], [], color=c, marker=m, markersize=3, label=f"rate {rate:g}")
        for (c, m), rate in zip(LINES, ds.rate.values, strict=False)
    ]
    handles.append(Line2D([], [], color="0.4", linestyle="--", linewidth=0.8, label="λ = 2 / rate"))
    note = (
        f"scikit-learn's digits ({ds.attrs['examples']:,} images of 8 x 8, not MNIST), 64-{ds.attrs['units']}-"
        f"{ds.attrs['units']}-10 tanh units, half the squared error, gradient descent on all data; a line for each of "
        f"{ds.sizes['seed']} starts. λ by Lanczos in float64 sums, residuals at most {float(ds.residual.max()):.2g}. "
        "c: median, bars from the least to the largest of the last half."
    )
    headed(made, title(ds), [note], handles, columns=6)
    return made


draw = plots.drawing(__file__, page, "whether gradient descent ends where the largest curvature is 2 / rate")

if __name__ == "__main__":
    plots.command(draw)

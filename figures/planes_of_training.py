"""Planes through the training of layers, from the result of ``experiments/planes_of_training.py``.

    python figures/planes_of_training.py [STORE] [FOLDER]

For each task a row of maps, a cell each: the gradient at the last length, contours of the loss, both paths of training;
below it the steepest slope by length, where it is, how far the gradient reaches back, and the path's way off the plane.
"""

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.look import NONFINITE
from landscape.plots.parts import headed

CLIPPED, FREE = "white", "#ffb000"
RANGE = {"vmin": -2.0, "vmax": 3.0}  # of the colours, log10 |gradient|
COLOURS = mpl.colormaps["cividis"].with_extremes(bad=NONFINITE)
WORSE = 0.1  # nats by which a loss at the end is called higher


def paths(ax, one: xarray.Dataset) -> None:
    """Both ways of training over the plane, the one without clipping below."""
    edge = [withStroke(linewidth=2.2, foreground="black")]
    for k, colour in ((1, FREE), (0, CLIPPED)):
        x, y = (one[name].isel(threshold=k).values for name in ("at_along", "at_across"))
        ax.plot(x, y, color=colour, linewidth=1.0, path_effects=edge, zorder=3)
        ax.plot(x[-1], y[-1], "o", color=colour, markeredgecolor="black", markersize=4, zorder=4)
    ax.plot(0, 0, "s", color="white", markeredgecolor="black", markersize=4, zorder=4)


def maps(figure, axes, ds: xarray.Dataset, task: str) -> None:
    """The gradient at the last length, with contours of the loss and the paths."""
    shown = ds.log10_gradient.sel(task=task).isel(length=-1).transpose("cell", "across", "along")
    for ax, cell in zip(axes, ds.cell.values, strict=True):
        one = ds.sel(task=task, cell=cell)
        loss = one.loss.isel(length=-1).transpose("across", "along")
        mesh = ax.pcolormesh(ds.along, ds.across, shown.sel(cell=cell), cmap=COLOURS, rasterized=True, **RANGE)
        levels = np.quantile(loss.values[np.isfinite(loss.values)], np.linspace(0.05, 0.9, 6))
        ax.contour(ds.along, ds.across, loss, levels=np.unique(levels), colors="white", linewidths=0.4, alpha=0.7)
        paths(ax, one)
        last = one.at_loss.isel(step=-1).values
        ends = " and ".join(f"{v:.2f}" if np.isfinite(v) else "lost" for v in last)
        ax.set_title(f"{cell.replace(', inputs', ',')}\nloss {ends}", loc="left")
        ax.set(
            xlim=(float(ds.along[0]), float(ds.along[-1])),
            ylim=(float(ds.across[0]), float(ds.across[-1])),
            xlabel="along",
        )
    axes[0].set(ylabel=f"{task}\nacross")
    figure.colorbar(mesh, ax=list(axes), pad=0.01, extend="both").set_label("log₁₀ |gradient|")


def lines(axes, ds: xarray.Dataset, task: str, inks: dict) -> None:
    """Slopes and places by length, gradient by lag, and distance off the plane."""
    slope, place, lag, off = axes
    for cell, (colour, _) in inks.items():
        one = ds.sel(task=task, cell=cell)
        slope.plot(ds.length, one.slope.sel(line="across"), color=colour)
        slope.plot(ds.length, one.slope.sel(line="near"), ":", color=colour, linewidth=0.9)
        place.plot(ds.length, one.place.sel(line="across"), ".", color=colour, markersize=2.5)
        for when, dash in (("before", ":"), ("after", "-")):
            lag.plot(ds.lag, one.gradient.sel(when=when), dash, color=colour, linewidth=1)
        k = ds.lag.values
        after = one.sel(when="after")
        lag.plot(k, float(after.gradient[0]) * np.exp(float(after.exponent) * k), "--", color=colour, linewidth=0.6)
        for which, dash in ((0, "-"), (1, ":")):
            way = one.isel(threshold=which)
            off.plot(1 + way.updates, way.off_plane / way.distance.max(), dash, color=colour, linewidth=1)
    slope.set(yscale="log", ylim=(1e-1, 1e6), xlabel="length", ylabel="steepest slope")
    place.set(xlabel="length", ylabel="where, across")
    lag.set(yscale="log", xlabel="lag k", ylabel="|dL/da| at T − k")
    bottom = float(np.nanmax(ds.gradient.sel(task=task))) * 1e-6
    lag.set_ylim(bottom=bottom)
    off.set(xscale="log", ylim=(0, 1.02), xlabel="updates", ylabel="off plane / way")
    for ax in axes:
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)


def title(ds: xarray.Dataset) -> str:
    """How many trainings fare worse without clipping, in numbers."""
    clipped, free = (ds.at_loss.isel(step=-1, threshold=k).values.ravel() for k in (0, 1))
    lost, higher = int(np.isnan(free).sum()), int((free > clipped + WORSE).sum())
    return f"Without clipping {lost} of {len(free)} trainings are lost and {higher} end higher by more than {WORSE:g}"


def page(ds: xarray.Dataset) -> Figure:
    """A row of maps and a row of lines for each task."""
    count = ds.sizes["task"]
    made = Figure(figsize=(7.2, 0.9 + 3.7 * count), layout="constrained")
    inks = dict(zip(map(str, ds.cell.values), LINES, strict=False))
    parts = made.subfigures(2 * count, 1, squeeze=False, height_ratios=(1.15, 1) * count)[:, 0]
    for k, task in enumerate(map(str, ds.task.values)):
        maps(parts[2 * k], parts[2 * k].subplots(1, ds.sizes["cell"], sharey=True, squeeze=False)[0], ds, task)
        lines(parts[2 * k + 1].subplots(1, 4), ds, task, inks)
    handles = [Line2D([], [], color=colour, label=name) for name, (colour, _) in inks.items()]
    handles += [Patch(color=NONFINITE, label="inf or NaN")] * bool(np.isnan(ds.log10_gradient.isel(length=-1)).any())
    note = (
        f"Layers of 32 units, T = {int(ds.length[-1])}, 64 episodes; SGD, momentum .9; one run each. Maps: gradient "
        "on the plane at length T, contours of the loss; square: start; white: clipped to a norm of 1, yellow: not "
        "clipped; losses are those of the last models. Below: the steepest slope of the loss on the line across "
        "through the clipped network (dotted: within .2 of it), and where it is; gradient by lag (dotted: before "
        "training; dashed: exp(-k/t), t by the Lyapunov exponent after); how far the way is off the plane, over its "
        "longest distance from the start (dotted: not clipped)."
    )
    headed(made, title(ds), [note], handles, columns=5)
    return made


draw = plots.drawing(__file__, page, "loss and gradient over planes of training, and the paths that cross them")

if __name__ == "__main__":
    plots.command(draw)

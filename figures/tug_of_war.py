"""Where each part of the gradient pulls memory, and where training goes; from ``experiments/tug_of_war.py``.

    python figures/tug_of_war.py [STORE] [FOLDER]

Top: arrows over the plane of what the gate keeps and what the loop returns, tinted by which part pulls harder. Below,
over the same plane: where training began, how it went, and where it ended. Five seconds.
"""

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.look import WIDTH
from landscape.plots.parts import headed

SIGNAL, BLIND, LEARNT = "#0072B2", "#D55E00", "#007A55"
SOLVED, MOST = 0.95, 12
TINT = LinearSegmentedColormap.from_list("parts", ["#f0bd9b", "#ffffff", "#a9cfe8"])
GATE = {"LSTM": "forget gate f", "GRU": "update gate z"}
LOOP = {"LSTM": r"loop $i\,o\,w_g$", "GRU": r"loop $r\,w_h$"}
STEP = {"LSTM": lambda keep, loop: keep + loop, "GRU": lambda keep, loop: keep + (1 - keep) * loop}


def field(ax: Axes, one: xarray.Dataset) -> QuadContourSet:
    """Which part of the gradient is the larger, as a tint, and the mean direction of each over draws."""
    size = np.linalg.norm(one.pull, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log10(np.median(size[..., 0], -1) / np.median(size[..., 1], -1))
        mean = np.nan_to_num(one.pull.values / size[..., None]).mean(-3)
    keep, loop = np.meshgrid(one.keep, one.loop)
    tint = ax.contourf(keep, loop, np.clip(ratio, -4, 4), np.linspace(-4, 4, 17), cmap=TINT, norm=TwoSlopeNorm(0))
    at = np.s_[2::3, 2::3]
    for part, colour in enumerate((SIGNAL, BLIND)):
        u, v = np.moveaxis(mean[at][..., part, :], -1, 0)
        look = {"angles": "xy", "scale_units": "width", "scale": 11, "width": 0.009, "zorder": 3}
        ax.quiver(keep[at], loop[at], u, v, color=colour, **look)
    return tint


def lines(ax: Axes, one: xarray.Dataset, cell: str) -> None:
    """Where a step keeps all of a small memory, with its sign or turned."""
    fine = np.meshgrid(*(np.interp(np.linspace(0, 1, 400), np.linspace(0, 1, len(a)), a) for a in (one.keep, one.loop)))
    style = {"levels": [-1, 1], "colors": "black", "linestyles": [":", "--"], "linewidths": 1, "zorder": 4}
    ax.contour(*fine, STEP[cell](*fine), **style)


def paths(ax: Axes, one: xarray.Dataset) -> None:
    """Where every run began and ended, and how the first `MOST` went; those that learned in a colour of their own."""
    for k, (place, accuracy) in enumerate(zip(one.place.values, one.accuracy.values, strict=True)):
        good = accuracy > SOLVED
        colour, mark, above = (LEARNT, "o", 1) if good else ("0.5", "x", 0)
        if k < MOST:
            ax.plot(*place.T, color=colour, linewidth=0.7, alpha=0.6, zorder=3 + above)
        ax.plot(*place[-1], mark, color=colour, markersize=4, zorder=5 + above)
    begun = {"markerfacecolor": "white", "markersize": 3, "markeredgewidth": 0.7, "zorder": 7}
    ax.plot(*one.place.values[:, 0].T, "o", color="black", **begun)


def axes(ax: Axes, cell: str, keep: np.ndarray, loop: np.ndarray) -> None:
    """The bias of the gate even, the loop even near 0 and by ratio beyond."""
    ax.set_xscale("logit")
    ax.set_yscale("asinh", linear_width=1)
    across = (0.01, 0.5, 0.99, 0.9999) if keep[-1] > 0.999 else (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
    up = (-30, -10, -3, -1, 0, 1, 3) if loop[0] < -3 else (-0.5, 0, 0.5, 1, 1.5)
    ax.set_xticks([t for t in across if keep[0] <= t <= keep[-1]], minor=False)
    ax.set_yticks([t for t in up if loop[0] <= t <= loop[-1]], minor=False)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.set(xlim=keep[[0, -1]], ylim=loop[[0, -1]], xlabel=GATE[cell], ylabel=LOOP[cell])


def legend() -> list[Line2D]:
    """What is drawn, in words."""
    arrow = {"marker": r"$\rightarrow$", "markersize": 11, "linestyle": ""}
    start = {"marker": "o", "markersize": 3, "linestyle": "", "markerfacecolor": "white"}
    return [
        Line2D([], [], color=SIGNAL, label="pull of the part that sees the labels", **arrow),
        Line2D([], [], color=BLIND, label="pull of the label-blind part", **arrow),
        Line2D([], [], color="black", linestyle="--", linewidth=1, label="a step keeps all of a small memory"),
        Line2D([], [], color=LEARNT, marker="o", markersize=4, linewidth=0.8, label="run that learns, and its end"),
        Line2D([], [], color="0.5", marker="x", markersize=4, linewidth=0.8, label="run that does not"),
        Line2D([], [], color="black", linestyle=":", linewidth=1, label="it keeps all, with the sign turned"),
        Line2D([], [], color="black", label="start of a run", **start),
    ]


def title(start: xarray.Dataset, runs: xarray.Dataset) -> str:
    """The finding, in numbers from the data."""
    more = (start.pull.sel(part="blind", axis="keep") > 0).mean("draw")
    learned = (runs.accuracy.isel(rate=-1) > SOLVED).sum("run")
    of = runs.sizes["run"]
    return (
        f"The label-blind part of the gradient shuts the LSTM's forget gate (in {1 - float(more.sel(cell='LSTM')):.0%} "
        f"of starts) and opens the GRU's update gate ({float(more.sel(cell='GRU')):.0%}): at a rate of "
        f"{float(runs.rate[-1]):g}, {int(learned.sel(cell='LSTM'))} of {of} LSTM and {int(learned.sel(cell='GRU'))} of "
        f"{of} GRU units learn"
    )


def page(pulled: xarray.Dataset, start: xarray.Dataset, runs: xarray.Dataset) -> Figure:
    """A column for each cell: the field above, the runs at the largest rate below."""
    figure = Figure(figsize=(WIDTH, 7.6), layout="constrained")
    grid = figure.subplots(2, 2)
    rate = float(runs.rate[-1])
    for (top, below), cell in zip(grid.T, GATE, strict=True):
        under, one = (ds.sel(cell=cell).isel(rate=-1) for ds in (pulled, runs))
        tint = field(top, under)
        paths(below, one)
        for ax in (top, below):
            lines(ax, under, cell)
            axes(ax, cell, under.keep.values, under.loop.values)
        top.set_title(f"{cell}: where either part pulls", loc="left")
        learned = [int((runs.accuracy.sel(cell=cell, rate=r) > SOLVED).sum()) for r in runs.rate]
        told = f"{cell}, Adam at {rate:g}: {learned[-1]} of {runs.sizes['run']} learn"
        below.set_title(f"{told}\n(at {float(runs.rate[0]):g}: {learned[0]})", loc="left")
    bar = figure.colorbar(tint, ax=grid[0], location="right", shrink=0.9, aspect=22, pad=0.015, ticks=range(-4, 5, 2))
    bar.set_ticklabels(["≤ 10⁻⁴", "10⁻²", "1", "10²", "≥ 10⁴"])
    bar.set_label("labels' pull over the blind pull")
    count, epochs, length = (pulled.attrs[name] for name in ("count", "epochs", "length"))
    note = (
        f"Latching one bit for T = {length} steps of noise SD 0.1; gates as at their biases, which the horizontal axes "
        f"are even in. Arrows: direction of gradient descent in this plane, mean over {pulled.sizes['draw']} default "
        f"starts moved to the place, short where these disagree; with a readout of the wrong sign the blue ones turn "
        f"round; tint: medians. Runs: default starts, {count:,} episodes, batch 16, {epochs} epochs; the ends of all "
        f"and the paths of the first {MOST}; some leave the frame. Learned: more than {SOLVED:g} of the validation "
        f"episodes right."
    )
    headed(figure, title(start, runs), [note], legend())
    return figure


draw = plots.drawing(
    __file__, page, "where either part of the gradient pulls memory, and where training goes", "field", "start", "paths"
)

if __name__ == "__main__":
    plots.command(draw)

"""Where each part of the gradient pulls memory, and where training goes; from ``experiments/tug_of_war.py``.

    python figures/tug_of_war.py [STORE] [FOLDER]

Arrows over the plane of what the gate keeps and what the loop returns, tinted by which part pulls harder, and the
places of some runs along training. Five seconds.
"""

from typing import Any

import numpy as np
import xarray
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.parts import headed

SIGNAL, BLIND, SOLVED, MOST = "#0072B2", "#D55E00", 0.95, 10
TINT = LinearSegmentedColormap.from_list("parts", ["#f0bd9b", "#ffffff", "#a9cfe8"])
GATE = {"LSTM": "forget gate f", "GRU": "update gate z"}
LOOP = {"LSTM": r"loop $i\,o\,w_g$", "GRU": r"loop $r\,w_h$"}
STEP = {"LSTM": lambda keep, loop: keep + loop, "GRU": lambda keep, loop: keep + (1 - keep) * loop}


def pull(ax: Any, one: xarray.Dataset, cell: str) -> Any:
    """Both arrows at each place, the mean direction over draws, and behind them which part is the larger."""
    size = np.linalg.norm(one.pull, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log10(np.median(size[..., 0], -1) / np.median(size[..., 1], -1))
        mean = np.nan_to_num(one.pull.values / size[..., None]).mean(-3)
    keep, loop = np.meshgrid(one.keep, one.loop)
    tint = ax.contourf(keep, loop, np.clip(ratio, -4, 4), np.linspace(-4, 4, 17), cmap=TINT, norm=TwoSlopeNorm(0))
    at = np.s_[1::2, 1::2]
    for part, colour in enumerate((SIGNAL, BLIND)):
        u, v = np.moveaxis(mean[at][..., part, :], -1, 0)
        ax.quiver(
            keep[at], loop[at], u, v, color=colour, angles="xy", scale_units="width", scale=17, width=0.006, zorder=3
        )
    fine = np.meshgrid(*(np.interp(np.linspace(0, 1, 400), np.linspace(0, 1, len(a)), a) for a in (one.keep, one.loop)))
    style = {"levels": [-1, 1], "colors": "black", "linestyles": [":", "--"], "linewidths": 1, "zorder": 4}
    ax.contour(*fine, STEP[cell](*fine), **style)
    return tint


def paths(ax: Any, one: xarray.Dataset) -> None:
    """The first `MOST` runs: where they began, how they went, and whether they learned."""
    for place, accuracy in zip(one.place.values[:MOST], one.accuracy.values[:MOST], strict=True):
        good = accuracy > SOLVED
        colour = "black" if good else "0.45"
        ax.plot(*place.T, color=colour, linewidth=0.8, zorder=5)
        ax.plot(*place[0], "o", color=colour, markerfacecolor="white", markersize=2.5, markeredgewidth=0.7, zorder=6)
        ax.plot(*place[-1], "o" if good else "x", color=colour, markersize=3.5, zorder=7)


def axes(ax: Any, cell: str, keep: np.ndarray, loop: np.ndarray) -> None:
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
    small = {"marker": "o", "markersize": 2.5, "linewidth": 0.8}
    return [
        Line2D([], [], color=SIGNAL, label="pull of the part that sees the labels", **arrow),
        Line2D([], [], color=BLIND, label="pull of the label-blind part", **arrow),
        Line2D([], [], color="black", linestyle="--", linewidth=1, label="a step keeps all of a small memory"),
        Line2D([], [], color="black", label="run that learns, from circle to dot", markerfacecolor="white", **small),
        Line2D([], [], color="0.45", label="run that does not, to cross", markerfacecolor="white", **small),
        Line2D([], [], color="black", linestyle=":", linewidth=1, label="it keeps all, with the sign turned"),
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


def page(field: xarray.Dataset, start: xarray.Dataset, runs: xarray.Dataset) -> Figure:
    """A column for each cell, a row for each rate."""
    figure = Figure(figsize=(7.2, 8.2), layout="constrained")
    grid = figure.subplots(2, 2)
    for column, cell in enumerate(GATE):
        for ax, rate in zip(grid[:, column], runs.rate.values, strict=True):
            one, under = runs.sel(cell=cell, rate=rate), field.sel(cell=cell, rate=rate)
            tint = pull(ax, under, cell)
            axes(ax, cell, under.keep.values, under.loop.values)
            paths(ax, one)
            learned = int((one.accuracy > SOLVED).sum())
            ax.set_title(f"{cell}, Adam at {rate:g}: {learned} of {one.sizes['run']} learn", loc="left")
    bar = figure.colorbar(
        tint, ax=grid, orientation="horizontal", shrink=0.5, aspect=40, pad=0.015, ticks=range(-4, 5, 2)
    )
    bar.set_ticklabels(["≤ 10⁻⁴", "10⁻²", "1", "10²", "≥ 10⁴"])
    bar.set_label("pull of the part that sees the labels, over that of the blind part (medians)")
    count, epochs, length = (field.attrs[name] for name in ("count", "epochs", "length"))
    note = (
        f"Latching one bit for T = {length} steps of noise SD 0.1; gates as at their biases, which the horizontal axes "
        f"are even in. Arrows: direction of gradient descent in this plane, mean over {field.sizes['draw']} default "
        f"starts moved to the place, short where these disagree; with a readout of the wrong sign the blue ones turn "
        f"round. Paths: the first {MOST} of {runs.sizes['run']} runs from default starts, {count:,} episodes, batch "
        f"16, {epochs} epochs; some leave the frame. Learned: more than {SOLVED:g} of the validation episodes right."
    )
    headed(figure, title(start, runs), [note], legend())
    return figure


draw = plots.drawing(
    __file__, page, "where either part of the gradient pulls memory, and where training goes", "field", "start", "paths"
)

if __name__ == "__main__":
    plots.command(draw)

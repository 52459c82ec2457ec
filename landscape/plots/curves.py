"""Curves of training: how often runs succeed, with intervals, above the mean and SD of their accuracy."""

import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from landscape.plots.look import Look, drawn
from landscape.plots.parts import headed
from landscape.success import successes

#: A colour and a mark for each line, told apart by the colour-blind (Okabe & Ito 2008).
LINES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))
AXES = {
    "length": "sequence length (steps)",
    "rate": "learning rate (dimensionless)",
    "units": "units in the layer",
}


def short(ds: xarray.Dataset) -> xarray.Dataset:
    """The same with cells by their short names, without the "Hard" of their gates."""
    return ds.assign_coords(cell=[str(cell).removeprefix("Hard") for cell in ds.cell.values])


Colors = Sequence[ColorType] | None


def inks(colors: Colors) -> Iterator[tuple[ColorType, str]]:
    """A colour and a mark for each line in turn; the colours of the user where given."""
    marks = itertools.cycle(mark for _, mark in LINES)
    return zip(itertools.cycle(colors or [color for color, _ in LINES]), marks, strict=False)


def success(
    ax: Axes, ds: xarray.Dataset, along: str, lines: str = "cell", above: float = 0.99, colors: Colors = None
) -> None:
    """Share of runs with an accuracy greater than ``above``, one curve for each of ``lines``, with Wilson intervals.

    Beside them, where the Dataset has them: ``guessed``, the share of random weights that solve the task, dotted, and
    ``published``, open marks.
    """
    found = successes(ds.accuracy, above)
    for (colour, mark), name in zip(inks(colors), ds[lines].values, strict=False):
        given = _finished(ds.sel({lines: name}), along)
        curve = found.sel({lines: name, along: given[along]})
        if not given.sizes[along]:
            continue
        x = curve[along].values
        ax.plot(x, curve.share, color=colour, marker=mark, markersize=3, label=str(name))
        ax.fill_between(x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
        if "guessed" in ds:
            ax.plot(x, np.broadcast_to(given.guessed, x.shape), color=colour, linestyle=":", linewidth=0.9)
        if "published" in ds and np.isfinite(given.published).any():
            style: dict[str, Any] = {"markerfacecolor": "white", "markersize": 4.5, "markeredgewidth": 0.8, "zorder": 3}
            ax.plot(x, given.published, mark, color=colour, **style)
    ax.set(ylim=(-0.03, 1.03))


def _finished(ds: xarray.Dataset, along: str) -> xarray.Dataset:
    """The part of a curve that has been computed: a sweep may be drawn before it is complete."""
    return ds.isel({along: np.flatnonzero(np.isfinite(ds.accuracy).any("seed"))})


def means(ax: Axes, ds: xarray.Dataset, along: str, lines: str = "cell", colors: Colors = None) -> None:
    """Mean accuracy of the runs, with bars of one SD of the runs, as far as accuracies reach: none is beyond [0, 1]."""
    found = successes(ds.accuracy)
    for (colour, mark), name in zip(inks(colors), ds[lines].values, strict=False):
        curve = found.sel({lines: name, along: _finished(ds.sel({lines: name}), along)[along]})
        bars: dict[str, Any] = {"elinewidth": 0.6, "capsize": 1.5, "capthick": 0.6}
        mean = curve["mean"].values
        reach = np.minimum(curve.sd.values, [mean, 1 - mean])
        ax.errorbar(curve[along], curve["mean"], reach, color=colour, marker=mark, markersize=3, **bars)


@drawn
def training(
    panels: Mapping[str, xarray.Dataset],
    along: str = "length",
    *,
    lines: str = "cell",
    above: float = 0.99,
    scale: str = "linear",
    note: str = "",
    look: Look,
) -> Figure:
    """A column for each of ``panels``: the success rate on top, mean accuracy ± SD below.

    Each Dataset has ``accuracy`` over (``lines``, ``along``, "seed"), as `landscape.training.curves` makes it, and
    may have ``guessed`` and ``published``, see `success`. ``scale`` is that of the axis ``along``. The other keywords
    are those of `Look`; to draw one panel into axes of yours there are `success` and `means`.
    """
    figure = look.figure((min(5.2 + 1.2 * (len(panels) - 1), 9.2), 4.4), 2 * len(panels))
    grid = figure.subplots(2, len(panels), sharex="col", sharey="row", squeeze=False)
    for i, (name, ds) in enumerate(panels.items()):
        top, below = grid[:, i]
        success(top, ds, along, lines, above, look.colors)
        means(below, ds, along, lines, look.colors)
        top.set(title=textwrap.fill(name, 38), xscale=scale)
        below.set(xlabel=look.xlabel or AXES.get(along, along))
    grid[0, 0].set(ylabel=look.label or f"share of runs with\naccuracy {threshold(above)}")
    grid[1, 0].set(ylabel=look.ylabel or "validation accuracy\n(mean ± SD of runs)")
    for ax in grid.flat:
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    handles = dict(zip(*reversed(grid[0, 0].get_legend_handles_labels()), strict=True))
    handles |= {k: v for ax in grid[0] for v, k in zip(*ax.get_legend_handles_labels(), strict=True)}
    caption = look.captioned([explained(panels, above), note])
    headed(figure, look.titled("Success of training"), caption, [*handles.values()], len(handles))
    return figure


def threshold(above: float) -> str:
    """``> 0.99``; ``≥ 0.99`` where the bound stands just below two digits, so that these themselves are in."""
    near = round(above, 2)
    return f"≥ {near:g}" if 0 < near - above < 1e-3 else f"> {above:g}"


def explained(panels: Mapping[str, xarray.Dataset], above: float) -> str:
    """What the lines, bands and marks of `training` are."""
    sets = list(panels.values())
    runs = sorted({ds.sizes["seed"] for ds in sets})
    parts = [f"Bands: Wilson intervals of 95 % of {' or '.join(map(str, runs))} runs."]
    if any("guessed" in ds for ds in sets):
        parts.append("Dotted: share of random weights from U[-100, 100] that solve the task with no training.")
    if any("published" in ds and np.isfinite(ds.published).any() for ds in sets):
        parts.append("Open marks: published, 30 runs.")
    return " ".join(parts)

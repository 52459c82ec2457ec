"""Cliffs over the loss: where they stand, of which kind they are, how fast they grow."""

import math

import xarray
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from landscape.plots.still import formation

KINDS = {  # colour, style of line, and what it is
    "basin": ("#ff9f1c", "-", "basin cliff"),
    "fold": ("white", "-", "fold cliff"),
    "unknown": ("#e8e8e8", ":", "cliff of unknown kind"),
    "none": ("0.6", "-.", "slope, no cliff"),
}
THIN, THICK = 1.0, 4.0  # points
NUMBERED = 12  # of the lines, the largest


def cliffs(loss: xarray.Dataset, curves: xarray.Dataset, found: xarray.Dataset) -> Figure:
    """The loss at one length, and over it the lines that `landscape.cliffs.describe` ``found``.

    ``curves`` are those of `landscape.cliffs.join`. The first twelve lines are numbered. Colours are kinds; a basin
    cliff is 1 to 4 points wide, for a multiplier of 1 to 2 and more.
    """
    figure = formation(loss, lengths=[int(loss["length"].values[-1])])
    ax = figure.axes[0]
    names = [str(name) for name in curves.attrs["coordinates"]]
    handles: dict[str, Artist] = {}
    for rank in range(found.sizes["line"]):
        cliff = found.isel(line=rank)
        colour, style, what = KINDS[str(cliff["kind"].item())]
        curve = curves.isel(point=(curves["line"] == cliff["line"]).values)
        wide = {"linewidth": width(cliff), "path_effects": [withStroke(linewidth=width(cliff) + 1, foreground="black")]}
        (line,) = ax.plot(*(curve[name].values for name in names), style, color=colour, label=what, gid=what, **wide)
        handles.setdefault(what, line)
        if rank < NUMBERED:
            at, edge = [cliff[name].item() for name in names], [withStroke(linewidth=1.5, foreground="black")]
            ax.annotate(str(rank + 1), at, color="white", fontsize=7, path_effects=edge)
    if handles:
        figure.legend(handles=[*handles.values()], loc="outside upper right", ncols=2, frameon=False, fontsize=7)
    return figure


def width(cliff: xarray.Dataset) -> float:
    """The width of the line of a cliff in points, by its growth."""
    if str(cliff["kind"].item()) != "basin":
        return THIN
    return THIN + (THICK - THIN) * min(max(math.log2(cliff["multiplier"].item()), 0.0), 1.0)

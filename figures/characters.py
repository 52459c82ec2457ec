"""Networks and n-grams on text, from the result of ``experiments/characters.py``.

    python figures/characters.py [STORE] [FOLDER]

The grid of losses beside n-grams; which n-gram networks are nearest to by epoch; gates that are always shut or open, a
dot for each unit; markers that one unit tells; how probable the right closing bracket is, by the distance to its mate;
why errors were made. Two seconds.
"""

import itertools

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed

DASHES = ("-", "--", ":", "-.")
MARKS = {"i": "o", "f": "s", "o": "^", "z": "D", "r": "v"}


def title(ds: xarray.Dataset) -> str:
    """Who predicts the text better, in numbers."""
    best, gram = float(ds.nats.min()), float(ds.ngram.min())
    first = str(ds.cell.values[int(ds.nats.min(("layers", "size")).values.argmin())])
    order = int(ds.ngram.values.argmin()) + 1
    verb = "predicts the text better than" if best < gram else "does not yet reach"
    return f"The best network ({first}, {best:.2f} nats a character) {verb} the best n-gram (order {order}, {gram:.2f})"


def grid(ax, ds: xarray.Dataset, inks: dict) -> None:
    """Loss on the test text by layers, a line for each cell and size; n-grams at the side."""
    for cell, (colour, mark) in inks.items():
        for size, dash in zip(ds.size.values, DASHES, strict=False):
            ax.plot(ds.layers, ds.nats.sel(cell=cell, size=size), dash, color=colour, marker=mark, markersize=4)
    low, high = float(ds.nats.min()), float(ds.nats.max())
    room = 0.15 * (high - low) + 0.05
    right = float(ds.layers.max()) + 0.15
    for n in (*ds.order.values.tolist(), int(ds.n[-1])):
        loss = float(ds.ngram.sel(n=n))
        if min(low, float(ds.ngram.min())) - room < loss < high + room and n in (2, 3, 4, 20):
            ax.axhline(loss, color="0.4", linewidth=0.7, zorder=0)
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            ax.annotate(f"{n}-gram", (right, loss), va="center", color="0.25", bbox=box)
    ax.set_xticks(ds.layers.values)
    ax.set(xlim=(0.8, right + 0.7), xlabel="layers", ylabel="test loss (nats a character)")
    ax.set_title("a  networks of one size", loc="left")


def near(ax, ds: xarray.Dataset, inks: dict) -> None:
    """How far networks of one layer, of the largest size, are from each n-gram, after the first and the last epoch."""
    for cell, (colour, mark) in inks.items():
        one = ds.kl.sel(cell=cell).isel(layers=0, size=-1)
        for epoch, dash in ((0, ":"), (-1, "-")):
            ax.plot(ds.order, one.isel(epoch=epoch), dash, color=colour, marker=mark, markersize=3)
    ax.set_xticks(ds.order.values)
    ax.set(xlabel="order n", ylabel="KL(network | n-gram), nats")
    ax.set_title("b  first epoch dotted, last solid", loc="left")


def gates(ax, ds: xarray.Dataset, inks: dict) -> None:
    """Shares of characters at which each unit's gates are open and shut."""
    for cell in ("GRU", "LSTM"):
        for k, gate in enumerate(ds[f"gate_{cell}"].values if f"left_{cell}" in ds else ()):
            right, left = (ds[f"{side}_{cell}"].values[k] for side in ("right", "left"))
            style = {"s": 9, "facecolors": "none", "edgecolors": inks[cell][0], "linewidths": 0.7}
            ax.scatter(right, left, marker=MARKS[str(gate)], label=f"{cell} {gate}", **style)
    ax.plot([0, 1], [1, 0], color="0.7", linewidth=0.8)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="open (> .9), share of characters", ylabel="shut (< .1)")
    if ax.collections:
        ax.legend(loc="upper right", handletextpad=0.1, borderpad=0.2)
    ax.set_title("c  gates, one layer, a dot a unit", loc="left")


def markers(ax, ds: xarray.Dataset, inks: dict) -> None:
    """The most that one number of a network's state tells of each marker, and of the marker moved along the text."""
    x, wide = np.arange(ds.sizes["marker"]), 0.8 / len(inks)
    for k, (cell, (colour, _)) in enumerate(inks.items()):
        at, one = x + (k - (len(inks) - 1) / 2) * wide, ds.sel(cell=cell).isel(layers=0, size=-1)
        ax.bar(at, one.marker_r, 0.9 * wide, color=colour)
        ax.bar(at, one.moved_r, 0.9 * wide, color="white", alpha=0.55, edgecolor="0.2", hatch="////", linewidth=0.5)
    ax.set_xticks(x, [str(name) for name in ds.marker.values])
    ax.set(ylim=(0, 1), ylabel="largest |r| of a unit")
    ax.set_title("d  markers; hatched: moved", loc="left")


def brackets(ax, ds: xarray.Dataset, inks: dict) -> None:
    """Mean probability of the closing bracket that comes, by its distance; the number of them above."""
    x = np.arange(ds.sizes["bin"])
    for cell, (colour, mark) in inks.items():
        ax.plot(x, ds.bracket.sel(cell=cell).isel(layers=0, size=-1), color=colour, marker=mark, markersize=3)
    ax.plot(x, ds.ngram_bracket, color="0.3", marker="P", markersize=4)
    ends = [*(int(low) for low in ds.bin.values), 80]
    counts = ds.brackets.values
    ax.set_xticks(x, [f"{a}-{b - 1}\n({c})" for (a, b), c in zip(itertools.pairwise(ends), counts, strict=True)])
    ax.set(ylim=(0, None), xlabel="distance (how many)", ylabel="mean P(closing bracket)")
    ax.set_title("e  brackets that close", loc="left")


def errors(ax, ds: xarray.Dataset, inks: dict) -> None:
    """Shares of the errors by the first excuse that applies."""
    y, wide = np.arange(ds.sizes["kind"])[::-1], 0.8 / len(inks)
    for k, (cell, (colour, _)) in enumerate(inks.items()):
        one = ds.errors.sel(cell=cell).isel(layers=0, size=-1)
        ax.barh(y + ((len(inks) - 1) / 2 - k) * wide, 100 * one, 0.9 * wide, color=colour)
    ax.set_yticks(y, [str(kind) for kind in ds.kind.values])
    ax.set(xlabel="% of errors (P < ½)")
    ax.set_title("f  why errors are made", loc="left", x=-0.6)


def page(ds: xarray.Dataset) -> Figure:
    """Six panels: losses, n-grams, gates, markers, brackets, errors."""
    made = Figure(figsize=(7.2, 8.0), layout="constrained")
    axes, inks = made.subplots(3, 2), dict(zip(map(str, ds.cell.values), LINES, strict=False))
    for ax, panel in zip(axes.flat, (grid, near, gates, markers, brackets, errors), strict=True):
        panel(ax, ds, inks)
        ax.grid(alpha=0.4)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    handles = [Line2D([], [], color=c, marker=m, markersize=3, label=name) for name, (c, m) in inks.items()]
    handles += [
        Line2D([], [], color="0.3", linestyle=dash, label=f"{n:,} parameters (a)")
        for n, dash in zip(ds.parameters.values.tolist(), DASHES, strict=False)
    ]
    handles += [Line2D([], [], color="0.3", marker="P", markersize=4, label="7-gram (e)")]
    note = (
        f"{ds.attrs['text']}, {ds.attrs['characters']:,} characters of {ds.attrs['symbols']} kinds, the last tenth to "
        f"test on (60,000 of it at most); one run each, {ds.sizes['epoch']} epochs; 32 stretches side by side, slices "
        "of 50, RMSprop .002, clipped at 5. n-grams by Witten and Bell. b to f: one layer of the largest size. "
        "d: |correlation| with the depth of brackets, the column, being in quotes; hatched: the most of 19 shifts."
    )
    headed(made, title(ds), [note], handles, columns=6)
    return made


draw = plots.drawing(__file__, page, "what networks and n-grams know of a text")

if __name__ == "__main__":
    plots.command(draw)

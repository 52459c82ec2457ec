"""Networks and n-grams on text, from the result of ``experiments/characters.py``.

    python figures/characters.py [STORE] [FOLDER]

Loss by epoch beside the best n-gram; by n-gram order beside the networks; gates that are always shut or open, a dot for
each unit; and how probable the right closing bracket is, by the distance to its mate. Two seconds.
"""

import itertools

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed

DASHES = ("-", "--", ":")
MARKS = {"i": "o", "f": "s", "o": "^", "z": "D", "r": "v"}


def title(ds: xarray.Dataset) -> str:
    """Who predicts the text better, in numbers."""
    best, gram = float(ds.nats.min()), float(ds.ngram.min())
    first = str(ds.cell.values[int(ds.nats.min("layers").values.argmin())])
    order = int(ds.ngram.values.argmin()) + 1
    verb = "predicts the text better than" if best < gram else "does not yet reach"
    return f"The best network ({first}, {best:.2f} nats a character) {verb} the best n-gram (order {order}, {gram:.2f})"


def losses(early, orders, ds: xarray.Dataset, inks: dict) -> None:
    """Loss on the test text by epoch, and of n-grams by order."""
    for cell, (colour, mark) in inks.items():
        for layers, dash in zip(ds.layers.values, DASHES, strict=False):
            early.plot(ds.epoch, ds.val.sel(cell=cell, layers=layers), color=colour, linestyle=dash, marker=mark, ms=3)
            orders.axhline(float(ds.nats.sel(cell=cell, layers=layers)), color=colour, linestyle=dash, linewidth=0.9)
    early.axhline(float(ds.ngram.min()), color="0.3", linewidth=0.9, linestyle="-.")
    orders.plot(ds.order, ds.ngram, color="0.3", marker="P", markersize=4)
    early.set(xlabel="epoch", ylabel="test loss (nats a character)")
    orders.set(xlabel="order n of the n-gram", ylabel="test loss (nats a character)")
    early.set_title("a  networks by epoch", loc="left")
    orders.set_title("b  n-grams; networks after training", loc="left")


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
        ax.legend(loc="upper right", ncols=2, handletextpad=0.1, columnspacing=0.8)
    ax.set_title("c  gates, one layer, a dot a unit", loc="left")


def brackets(ax, ds: xarray.Dataset, inks: dict) -> None:
    """Mean probability of the closing bracket that comes, by its distance; the number of them above."""
    x = np.arange(ds.sizes["bin"])
    for cell, (colour, mark) in inks.items():
        ax.plot(x, ds.bracket.sel(cell=cell).isel(layers=-1), color=colour, marker=mark, markersize=3)
    ax.plot(x, ds.ngram_bracket, color="0.3", marker="P", markersize=4)
    for at, count in zip(x, ds.brackets.values, strict=True):
        ax.annotate(f"{count}", (at, 1), xycoords=("data", "axes fraction"), ha="center", va="top")
    ends = [*(int(low) for low in ds.bin.values), 80]
    ax.set_xticks(x, [f"{a}-{b - 1}" for a, b in itertools.pairwise(ends)])
    top = float(np.nanmax([ds.bracket.isel(layers=-1).max(), ds.ngram_bracket.max()]))
    ax.set(ylim=(0, 1.2 * top), xlabel="distance to the opening bracket (characters)", ylabel="mean P(closing bracket)")
    ax.set_title("d  brackets that close, how many above", loc="left")


def page(ds: xarray.Dataset) -> Figure:
    """Four panels: two of losses, gates, brackets."""
    made = Figure(figsize=(7.2, 5.8), layout="constrained")
    axes, inks = made.subplots(2, 2), dict(zip(map(str, ds.cell.values), LINES, strict=False))
    losses(axes[0, 0], axes[0, 1], ds, inks)
    gates(axes[1, 0], ds, inks)
    brackets(axes[1, 1], ds, inks)
    for ax in axes.flat:
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    handles = [Line2D([], [], color=c, marker=m, markersize=3, label=name) for name, (c, m) in inks.items()]
    handles += [
        Line2D([], [], color="0.3", linestyle=dash, label=f"{n} layer{'s' * (n > 1)}")
        for n, dash in zip(ds.layers.values.tolist(), DASHES, strict=False)
    ]
    handles += [Line2D([], [], color="0.3", marker="P", markersize=4, label="n-gram (a: the best; d: order 7)")]
    note = (
        f"{ds.attrs['text']}, {ds.attrs['characters']:,} characters of {ds.attrs['symbols']} kinds, the last tenth to "
        f"test on (20,000 of it at most); one run each; every network about {ds.attrs['parameters']:,} parameters; 32 "
        "stretches side by side, slices of 50, RMSprop .002, clipped at 5. n-grams by Witten and Bell. "
        "d: the deepest networks."
    )
    headed(made, title(ds), [note], handles, columns=6)
    return made


draw = plots.drawing(__file__, page, "what networks and n-grams know of a text")

if __name__ == "__main__":
    plots.command(draw)

"""tanh, GRU and LSTM on music and on sound, from the store of ``experiments/music_and_sound.py``.

    python figures/music_and_sound.py [STORE] [FOLDER]

Above generated chorales, below plucked strings: the loss of the test at every rate, each cell's best one ringed; and at
its best rate by update and by second of processor time, on what it is trained on and on what is held out. Two seconds.
"""

import math

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed
from landscape.success import mean

UNITS = {"music": "nats a chord", "sound": "nats a frame"}


def rates(ax, one: xarray.Dataset, inks: dict) -> None:
    """The test's loss at every rate with Student's intervals; what is worse than a blind guess lies on its line."""
    blind = float(one.blind.max())
    for cell, (ink, mark) in inks.items():
        runs = one.test.sel(cell=cell).transpose("rate", "seed").values
        found = np.array([mean(row) for row in np.where(runs < blind, runs, blind)])
        ax.plot(one.rate, found[:, 0], color=ink, marker=mark, markersize=3)
        ax.fill_between(one.rate, found[:, 1], found[:, 2], color=ink, alpha=0.18, linewidth=0)
        at = (float(one.best_rate.sel(cell=cell)), float(one.best.sel(cell=cell)))
        ax.plot(*at, "o", markersize=8, markerfacecolor="none", color=ink)
    ax.axhline(blind, color="0.3", linewidth=0.7, linestyle=":")
    ax.set(xscale="log", xlabel="learning rate")


def along(axes, one: xarray.Dataset, inks: dict) -> None:
    """Means over starts at the best rate, by update and by second."""
    for cell, (ink, _) in inks.items():
        best = one.sel(cell=cell, rate=one.best_rate.sel(cell=cell))
        part = best.epoch / one.sizes["epoch"]
        for x, ax in zip((part * best.updates, part * best.seconds), axes, strict=True):
            ax.plot(x, best.train.mean("seed"), color=ink, linestyle="--", linewidth=1)
            ax.plot(x, best.held.mean("seed"), color=ink, linewidth=1.2)
    axes[0].set(xlabel="update")
    axes[1].set(xlabel="processor time of a run (s)")


def title(found: xarray.Dataset) -> str:
    """The finding, from the verdicts and the numbers."""
    said = {claim: verdict for claim, verdict, _ in found.attrs["claims"]}
    words = {said[f"{cell} is ahead of tanh on sound"] for cell in ("GRU", "LSTM")}
    lead = {frozenset({"held"}): "Gated units are ahead of tanh", frozenset({"refuted"}): "Gated units are behind tanh"}
    sound = lead.get(frozenset(words), "Who is ahead is not decided")
    best = found.best.sel(set="music").values
    apart = math.ceil(100 * float((best.max() - best.min()) / best.min()))
    return f"{sound} on sound; on music all lie within {apart} % of each other"


def page(found: xarray.Dataset) -> Figure:
    """A row for each set: rates, updates, seconds."""
    made = Figure(figsize=(7.2, 5.4), layout="constrained")
    axes = made.subplots(2, 3)
    inks = dict(zip(map(str, found.cell.values), LINES, strict=False))
    for row, kind, letters in zip(axes, map(str, found["set"].values), ("abc", "def"), strict=True):
        one = found.sel(set=kind)
        rates(row[0], one, inks)
        along(row[1:], one, inks)
        row[0].set_ylabel(f"{kind} ({UNITS[kind]})")
        low, top = float(one.best.min()), float(one.blind.max())
        row[0].set_ylim(low - 0.05 * (top - low), top + 0.05 * (top - low))
        for ax, letter, about in zip(
            row, letters, ("test, by rate", "at the best rate", "the same, by time"), strict=True
        ):
            ax.set_title(f"{letter}  {about}", loc="left")
            ax.grid(alpha=0.4)
            ax.spines[["top", "right"]].set_visible(False)
        last = [float(one[key].min()) for key in ("train", "held")]
        for ax in row[1:]:
            ax.set_ylim(min(last) - 0.05 * (top - low), low + 0.6 * (top - low))
    units = "; ".join(
        f"{cell} {int(found.units.sel(set='music', cell=cell))} and {int(found.units.sel(set='sound', cell=cell))}"
        for cell in inks
    )
    about = found.attrs
    note = (
        f"Music: {about['music']}, the next chord key by key; sound: {about['sound']}, the next 10 samples under 5 "
        f"Gaussians. {about['steps']} steps, {int(found.parameters.min()):,} to {int(found.parameters.max()):,} "
        f"parameters, units on music and on sound: {units}; {about['repeats']} starts each on the same data, RMSprop, "
        f"{int(found.updates.max())} updates of 16. Bands: Student's 95 % of the mean; dotted: a blind guess, also "
        "what diverged; rings: best rate by held-out loss. Not comparable to published numbers."
    )
    handles = [Line2D([], [], color=c, marker=m, markersize=3, label=cell) for cell, (c, m) in inks.items()]
    handles += [
        Line2D([], [], color="0.3", linestyle="--", label="trained on"),
        Line2D([], [], color="0.3", label="held out"),
    ]
    headed(made, title(found), [note], handles, columns=5)
    return made


draw = plots.drawing(
    __file__, page, "whether gated units model music and sound better", store="results/music_and_sound/found.zarr"
)

if __name__ == "__main__":
    plots.command(draw)

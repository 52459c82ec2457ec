"""One page on why an LSTM unit keeps a bit worse, from the store of ``experiments/why_lstm_latches_worse.py``.

    landscape run why_lstm_latches_worse --evidence law frameworks routes
    python figures/why_lstm_latches_worse.py [STORE] [FOLDER]

Panels whose evidence was not run stay empty and say so.
"""

import textwrap
from typing import Any

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from landscape import plots
from landscape.plots import starts
from landscape.plots.starts import COLOURS, PLAIN, SOLVED
from landscape.success import Share

LEAST = 8  # points, of any letter on the page
TITLES = (
    "1  What happens: started by default, gated units\nsoon cease to learn",
    "2  Where they start: one step keeps all of a small\nmemory, or .7, or .5 of it",
    "3  Why that stops learning: the gradient of the bit\nsinks below the noise of its minibatches",
    "4  What repairs it: an LSTM learns as one step keeps,\nwhichever of its weights sets that",
)
ROUTES = {
    "SRNN": {"|w|": "o-"},
    "LSTM": {"w_g": "o-", "f": "s--", "f alone": "^:"},
    "GRU": {"w_h": "o-", "z alone": "^:"},
}
FRAMEWORKS = {"Keras 2": "default", "Keras 3": "Keras 3", "Flax": "Flax", "PyTorch": "PyTorch"}
INK = {"is the cause": "#000000", "contributes": "#555555", "not the cause": "#999999", "cannot tell": "#999999"}


def keeps(ax: Axes, start: xarray.Dataset) -> None:
    """What one step keeps at every default start: a histogram for each cell."""
    edges = np.linspace(0.2, 1.025, 34)
    for name, colour in COLOURS.items():
        each = np.abs(start.multiplier.sel(cell=name).values)
        ax.hist(each, edges, weights=np.full(each.size, 1 / each.size), color=colour, alpha=0.75)
    for name, (x, y) in {"GRU": (0.28, 0.3), "LSTM": (0.66, 0.3), "SRNN": (0.72, 0.82)}.items():
        middle = float(np.median(np.abs(start.multiplier.sel(cell=name))))
        ax.text(x, y, f"{PLAIN[name].replace(' (SRNN)', '')}: {middle:.2f}", color=COLOURS[name])
    ax.set(xlabel="what one step keeps at the start", ylabel="share of starts", ylim=(0, 1.05))


def noise(ax: Axes, start: xarray.Dataset, updates: int) -> None:
    """The gradient of the bit over the noise of a minibatch, against length."""
    for name, colour in COLOURS.items():
        starts.banded(ax, start.ratio.sel(cell=name), colour, name)
    last, floor = float(start.length[-1]), updates**-0.5
    lines = ((1, "noise of one minibatch", "-", 8), (floor, "noise of all of them together", "--", 0.02))
    for level, words, style, away in lines:
        ax.axhline(level, color="black", linewidth=0.8, linestyle=style)
        ax.text(last, level * away, words, ha="right")
    ax.set(yscale="log", ylim=(1e-13, 1e4), xlim=(0, last), xlabel="sequence length T (steps)")
    ax.set(ylabel="gradient of the bit / noise")
    ax.set_yticks([1e-12, 1e-8, 1e-4, 1])


def followed(ax: Axes, runs: xarray.Dataset, at: int) -> None:
    """Success against what one step keeps, by every route that was run; crosses are default starts."""
    for name, ways in ROUTES.items():
        for way, style in ways.items():
            mu, shares = route(runs, name, way, at)
            shown = {"marker": style[0], "linestyle": style[1:], "color": COLOURS[name]}
            starts.rates(ax, mu, shares, label=f"{name} by {way}", **shown)
        kept = float(np.nanmedian(np.abs(runs.multiplier.sel(case=f"{name}, default"))))
        default = starts.rate(runs, f"{name}, default", at)
        starts.rates(ax, [kept], [default], marker="x", linestyle="", color=COLOURS[name])
    ax.plot([], [], "kx", markersize=3.5, label="as started by default")
    ax.set(xlabel="what one step keeps at the start", ylabel=f"share that learn, T = {at}")
    ax.set(ylim=(-0.03, 1.03), xlim=(0.48, 1.02))
    ax.legend(loc="upper left", handlelength=2.2, labelspacing=0.2)


def route(runs: xarray.Dataset, name: str, way: str, at: int) -> tuple[np.ndarray, list[Share]]:
    """What one step of a cell was made to keep by one route, in order, and how often it then learned."""
    begin, end = f"{name}, mu = ", f" by {way}"
    there = [c for c in map(str, runs.case.values) if c.startswith(begin) and c.endswith(end)]
    given = {float(case[len(begin) : -len(end)]): case for case in there}
    if name == "SRNN":
        given[1.0] = "SRNN, default"  # |w| = 1 is its default
    mu = sorted(given)
    return np.array(mu), [starts.rate(runs, given[each], at) for each in mu]


def elsewhere(ax: Axes, runs: xarray.Dataset, framework: str, lengths: tuple[int, ...]) -> None:
    """Success of one framework's starts against length."""
    there = set(map(str, runs.case.values))
    for name, colour in COLOURS.items():
        case = f"{name}, {FRAMEWORKS[framework]}"
        shares = [starts.rate(runs, case, length) for length in lengths] if case in there else []
        starts.rates(ax, lengths, shares or [Share(np.nan, 0, 1)] * len(lengths), color=colour, marker="o")
    ax.set(ylim=(-0.03, 1.03), xlim=(5, 55), xlabel="T (steps)", yticks=(0, 0.5, 1))
    ax.set_xticks(lengths, [str(t) for t in lengths])
    ax.text(0.96, 0.86, framework, transform=ax.transAxes, ha="right")


LEFT, WIDE = 0.55, 0.165  # where the axes of the table stand, in parts of the page
COLUMNS = {"it would be that": 0.02, "the test: removed, or added": 0.285, "closes": 0.73, "so it": 0.888}


def judged(ax: Axes, verdicts: xarray.Dataset) -> None:
    """A row for each suspect: the share of the gap that is closed without it, and the verdict."""
    rows = np.arange(verdicts.sizes["hypothesis"])[::-1]

    def line(row: float, words: Any, **style: Any) -> None:
        for x, each in zip(COLUMNS.values(), words, strict=True):
            ax.text((x - LEFT) / WIDE, row, each, va="center", transform=ax.get_yaxis_transform(), **style)

    line(len(rows), COLUMNS, color="0.35")
    for row, name in zip(rows, verdicts.hypothesis.values, strict=True):
        one = verdicts.sel(hypothesis=name)
        (p, low, high), said = one.closed.values, str(one.verdict.item())
        if np.isfinite(p):
            ink = {"color": INK[said], "elinewidth": 1.2, "capsize": 2.5, "markersize": 4}
            ax.errorbar(p, row, xerr=np.maximum(0, [[p - low], [high - p]]), marker="o", **ink)
        closes = f"{Share(p, low, high)}" if np.isfinite(p) else "no gap to close"
        strong = {"fontweight": "bold"} if said == "is the cause" else {}
        line(row, (f"{name}  {one.claim.item()}", one.change.item(), closes, said), **strong)
    ends = verdicts.closed.values[np.isfinite(verdicts.closed.values)]
    ax.set(yticks=[], ylim=(-0.6, len(rows) - 0.4), xlabel="share of the gap that is closed")
    ax.set(xlim=(min(-0.4, *(ends - 0.1), 0), max(1.2, *(ends + 0.1), 0)), xticks=(0, 0.5, 1))
    for x in (0, 0.5, 1):
        ax.axvline(x, color="0.6", linewidth=0.6, linestyle="-" if x != 0.5 else ":", zorder=0)


def page(start: xarray.Dataset, runs: xarray.Dataset, verdicts: xarray.Dataset) -> Figure:
    """The whole page, in reading order."""
    made, at = Figure(figsize=(8.4, 11.6)), int(verdicts.attrs["at"])
    grid = made.add_gridspec(2, 2, left=0.075, right=0.985, top=0.885, bottom=0.535, hspace=0.62, wspace=0.22)
    happens, where, why, repairs = (made.add_subplot(grid[i, j]) for i in (0, 1) for j in (0, 1))
    starts.question(happens, runs)
    happens.set(ylim=(-0.03, 1.08))
    happens.legend(loc="upper right")
    keeps(where, start)
    noise(why, start, updates := 5 * (int(runs.attrs["count"]) * 4 // 5 // 16))
    followed(repairs, runs, at)
    for ax, title in zip((happens, where, why, repairs), TITLES, strict=True):
        ax.set_title(title, loc="left")
        ax.grid(alpha=0.4)
    lengths = tuple(t for t in (10, 20, 50) if t in runs.length.values)
    row = made.add_gridspec(1, 4, left=0.075, right=0.985, top=0.447, bottom=0.372, wspace=0.16)
    for i, name in enumerate(FRAMEWORKS):
        ax = made.add_subplot(row[i])
        elsewhere(ax, runs, name, lengths)
        ax.grid(alpha=0.4)
        if i:
            ax.set_yticklabels([])
        else:
            ax.set_ylabel("share that learn")
    heads = {
        0.455: "5  In other frameworks: the order is that of their starts, not of the cells",
        0.315: "6  Ten suspects: how much of the gap between vanilla RNN and LSTM closes",
    }
    for y, words in heads.items():
        made.text(0.02, y, words, va="bottom", fontsize=8)
    table = made.add_axes((LEFT, 0.112, WIDE, 0.178))
    judged(table, verdicts)
    for ax in made.axes:
        ax.spines[["top", "right"]].set_visible(False)
    table.spines["left"].set_visible(False)
    question = "Why does one LSTM unit keep a bit worse than a unit of a vanilla RNN?"
    made.text(0.02, 0.992, question, va="top", fontsize=11, fontweight="bold")
    made.text(0.02, 0.972, textwrap.fill(verdicts.attrs["answer"], 118), va="top", fontsize=9.5, linespacing=1.35)
    made.text(0.02, 0.008, textwrap.fill(note(runs, verdicts, updates), 150), color="0.35", va="bottom")
    for text in made.findobj(Text):
        text.set_fontsize(max(LEAST, text.get_fontsize()))
    return made


def note(runs: xarray.Dataset, verdicts: xarray.Dataset, updates: int) -> str:
    """What a reader must know to judge the page."""
    tried = np.isfinite(runs.accuracy.values).sum(-1)
    fewest, most = int(tried[tried > 0].min()), int(tried.max())
    return (
        f"A sign, then Gaussian noise of SD .1; {runs.attrs['count']:,} sequences, half of each sign, of its own for "
        f"every run; Keras 2 cells with hard gates, Adam at .001, batches of 16, {updates:,} updates. A run has "
        f"learned if it answers more than {SOLVED:g} of its validation right. What one step keeps: the factor by which "
        f"it multiplies a small state before training, the gates at their biases (f + i o w_g for the LSTM). "
        f"{fewest} to {most} runs a point, readouts of right and wrong sign weighted alike, intervals of 95 %; the ten "
        f"of panel 6 hold together with 95 % (Bonferroni). It is the cause if more than half of the gap closes with "
        f"the whole interval, contributes if more than none, is not the cause if less than half."
    )


draw = plots.drawing(__file__, page, lambda *sets: sets[2].attrs["answer"], "start", "runs", "verdicts")

if __name__ == "__main__":
    plots.command(draw)

"""One page on why an LSTM unit keeps a bit worse, from the store of ``experiments/why_lstm_latches_worse.py``.

python figures/why_lstm_latches_worse.py [STORE] [FOLDER]
"""

import textwrap
from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.starts import COLOURS, PLAIN, SOLVED, against, banded, law, listed, question

STARTS = {
    "SRNN, default": "vanilla RNN",
    "SRNN, mu = 0.73": "vanilla RNN, multiplier .73 as an LSTM",
    "LSTM, default": "LSTM",
    "LSTM, mu = 1": "LSTM, multiplier set to 1",
    "LSTM, chrono": "LSTM, gates that forget in 99 steps",
    "LSTM, b_f = 0": "LSTM, forget bias 0",
    "LSTM, b_f = 3": "LSTM, forget bias 3",
    "LSTM, b_f = 6": "LSTM, forget bias 6",
    "LSTM, rate x 10": "LSTM, ten times the rate (H5)",
    "LSTM, hard gates, default": "LSTM, hard gates (H6)",
    "LSTM, kernel x 1.6": "LSTM, larger input weights (H7)",
    "LSTM, SVD": "LSTM, recurrent weights by SVD (H8)",
    "LSTM, no noise, default": "LSTM, no noise (H9)",
    "LSTM, no output gate, default": "LSTM, no output gate (H10)",
    "GRU, default": "GRU",
    "GRU, mu = 1": "GRU, multiplier set to 1",
    "GRU, b_z = ln 99": "GRU, gate that forgets in 99 steps",
}
FAST = {
    "SRNN, rate .3": "vanilla RNN",
    "GRU, rate .3": "GRU",
    "LSTM, rate .3": "LSTM",
    "LSTM, no output gate, rate .3": "LSTM without output gate",
    "LSTM, coupled, rate .3": "LSTM, f = 1 - i",
    "LSTM, coupled, no output gate, rate .3": "LSTM, f = 1 - i, no output gate",
}


def survival(ax: Any, start: xarray.Dataset) -> None:
    for name, colour in COLOURS.items():
        mu = float(np.median(abs(start.multiplier.sel(cell=name))))
        banded(ax, start.signal.sel(cell=name), colour, f"{PLAIN[name]}: a step keeps {mu:.2f}")
    ax.set(yscale="log", ylim=(1e-16, 3), xlabel="steps since the bit", ylabel="|E[h | +] - E[h | -]|")
    ax.legend(loc="lower left")


def same(ax: Any, runs: xarray.Dataset, at: int) -> None:
    for name, colour in COLOURS.items():
        cases = [c for c in map(str, runs.case.values) if c.startswith(f"{name}, mu = ")]
        mu = [float(c.partition("= ")[2]) for c in cases]
        against(ax, mu, runs.accuracy.sel(case=cases, length=at), color=colour, marker="o", label=PLAIN[name])
    ax.set(xlabel="multiplier that the start is given", ylabel=f"share that learn at T = {at}")


def gates(start: xarray.Dataset, runs: xarray.Dataset, length: int) -> str:
    """What the label-blind part of the gradient does to gates, in numbers from the data."""
    up = {str(n): int((start.push_blind.sel(push=n) > 0).sum()) for n in start.push.values}
    of = start.sizes["draw"]
    one = runs.sel(case="LSTM, rate .3", length=length)
    moved = [f"{g} {float(one[f'first_{g}'].median()):.2f} to {float(one[f'last_{g}'].median()):.2f}" for g in "ifo"]
    pushed = ", ".join(f"{n} up in {k / of:.0%}" for n, k in up.items())
    return (
        f"Descent on the part of the loss that does not see the labels, at default starts: {pushed} (n = {of}). "
        f"At this rate the LSTM's gates went from {', '.join(moved)} (medians)."
    )


TITLES = (
    "The question: how often does a unit learn to keep\none bit, started by default?",
    "The start: what is left of the bit before training, and\nhow much of a small memory one step keeps",
    "The test: what if all three cells are given the same\nmultiplier to start with?",
    "The law: success of default starts of any length against\nhow far the bit has faded",
)


def page(start: xarray.Dataset, runs: xarray.Dataset, verdicts: xarray.Dataset) -> Figure:
    """The whole page."""
    figure = Figure(figsize=(7.6, 11.6))
    at, longest, seeds = int(verdicts.attrs["at"]), int(runs.length[-1]), runs.attrs["seeds"]
    grid = figure.add_gridspec(2, 2, left=0.085, right=0.985, top=0.925, bottom=0.565, hspace=0.5, wspace=0.2)
    top = [figure.add_subplot(grid[i, j]) for i in (0, 1) for j in (0, 1)]
    question(top[0], runs)
    survival(top[1], start)
    same(top[2], runs, at)
    law(top[3], runs)
    top[3].plot([], [], "ko", markersize=3.5, label="readout has the right sign at first")
    top[3].plot([], [], "ko:", markersize=3.5, markerfacecolor="white", label="wrong sign")
    top[3].legend(loc="upper right")
    for ax, title in zip(top, TITLES, strict=True):
        ax.set_title(title, loc="left")
        ax.grid(alpha=0.4)
        if ax is not top[1]:
            ax.set(ylim=(-0.04, 1.32 if ax is top[3] else 1.06), yticks=np.linspace(0, 1, 6))
    left, right = figure.add_axes((0.31, 0.29, 0.27, 0.195)), figure.add_axes((0.81, 0.405, 0.175, 0.08))
    listed(left, runs, STARTS, {at: "o", longest: "s"})
    listed(right, runs, FAST, {longest: "s"})
    left.legend(loc="lower right", bbox_to_anchor=(1.03, 0.28))
    figure.text(0.02, 0.497, "The remedies and the suspects: one change at a time", fontsize=8)
    figure.text(0.6, 0.497, f"Tuning instead: Adam at a rate of .3, T = {longest}", fontsize=8)
    figure.text(0.6, 0.365, textwrap.fill(gates(start, runs, longest), 58), fontsize=6.8, va="top", linespacing=1.4)
    for ax in [*top, left, right]:
        ax.spines[["top", "right"]].set_visible(False)
    answer = textwrap.fill(verdicts.attrs["answer"], 98)
    figure.suptitle(answer, x=0.02, y=0.992, ha="left", va="top", fontsize=9.5, fontweight="bold")
    columns = (verdicts[name].values for name in ("hypothesis", "verdict", "claim", "evidence"))
    lines = [
        textwrap.fill(f"{name} {verdict}: {claim}. {told[0].upper()}{told[1:]}.", 160, subsequent_indent="      ")
        for name, verdict, claim, told in zip(*columns, strict=True)
    ]
    figure.text(0.02, 0.254, "\n".join(lines), fontsize=6.4, va="top", linespacing=1.3)
    note = (
        f"Latching: a sign, then Gaussian noise of SD 0.1; {runs.attrs['count']:,} episodes, balanced and shuffled; "
        f"Adam .001 unless said, batch 16, 5 epochs. A run has learned if it answers more than {SOLVED:g} of the "
        f"validation episodes right. Each point is n = {seeds} runs (the law: 4 or more a bin), bars are Wilson "
        f"intervals of 95 %, bands 10 to 90 % of {start.sizes['draw']} starts. H1 and H5 to H10 are supported if the "
        f"change accounts for more than half of the gap between LSTM and vanilla RNN at T = {at} with its whole "
        f"interval, refuted if for less."
    )
    figure.text(0.02, 0.006, textwrap.fill(note, 165), fontsize=6.2, color="0.35", va="bottom")
    return figure


draw = plots.drawing(
    __file__, page, "why one LSTM unit keeps a bit worse than a vanilla RNN", "start", "runs", "verdicts"
)

if __name__ == "__main__":
    plots.command(draw)

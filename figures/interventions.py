"""What if a unit starts otherwise? From the store of ``experiments/why_lstm_latches_worse.py``.

    python figures/interventions.py [STORE] [FOLDER]

Change what one step keeps at the start, and nothing else, and the cells change places: an LSTM or a GRU that starts at
1 learns as a vanilla RNN does, a vanilla RNN that starts where an LSTM does never learns.

Expected at T = 50 and 100: SRNN .55, .30, from .73 .00, .00; LSTM .11, .01, from 1 .78, .71, with chrono gates .97,
.95, with forget bias 0, 3, 6 .00, .66, .71 and .00, .32, .52; GRU .00, .00, from 1 .73, .67, with its update gate
at 1 - 1/100 .98, .96. Two seconds.
"""

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots import starts
from landscape.plots.parts import headed

LENGTHS = {50: "o", 100: "s"}
STARTS = {
    "SRNN, default": "vanilla RNN, default",
    "SRNN, mu = 0.73": "multiplier .73, as an LSTM",
    "LSTM, default": "LSTM, default",
    "LSTM, mu = 1": "multiplier 1, as a vanilla RNN",
    "LSTM, b_f = 0": "forget bias 0",
    "LSTM, b_f = 3": "forget bias 3",
    "LSTM, b_f = 6": "forget bias 6",
    "LSTM, chrono": "chrono: gates that forget in 99 steps",
    "GRU, default": "GRU, default",
    "GRU, mu = 1": "multiplier 1, as a vanilla RNN",
    "GRU, b_z = ln 99": "update gate that forgets in 99 steps",
}


def multipliers(ax: Any, runs: xarray.Dataset) -> None:
    """What a step keeps of a small memory at the start: median and 10 to 90 %."""
    for row, case in enumerate(reversed(STARTS)):
        low, middle, high = np.nanquantile(abs(runs.multiplier.sel(case=case)), [0.1, 0.5, 0.9])
        colour = starts.COLOURS[case.partition(",")[0]]
        ax.plot([low, high], [row, row], color=colour, linewidth=2.5, alpha=0.35, solid_capstyle="butt")
        ax.plot(middle, row, "D", color=colour, markersize=3.5)
    ax.axvline(1, color="black", linestyle="--", linewidth=0.8)
    ax.set(xlabel="what one step keeps (|multiplier|)")
    ax.grid(axis="x")


def figure(runs: xarray.Dataset) -> Figure:
    """The multiplier that each start has, and how often it learns."""
    made = Figure(figsize=(7.2, 4.0), layout="constrained")
    start, success = made.subplots(1, 2, sharey=True, width_ratios=(1, 1.5))
    starts.listed(success, runs, STARTS, LENGTHS)
    multipliers(start, runs)
    for ax, title in ((start, "a  at the start"), (success, "b  after training")):
        ax.set_title(title, loc="left")
        ax.spines[["top", "right"]].set_visible(False)
        for line in (2.5, 8.5):
            ax.axhline(line, color="0.8", linewidth=0.6)
    note = (
        f"One unit keeps a bit; {runs.sizes['seed']} runs a point, {runs.attrs['count']:,} episodes, noise SD 0.1, "
        f"Adam at 0.001, batch 16, 5 epochs; learned: more than {starts.SOLVED:g} of the validation episodes right. "
        f"All else as Keras 3 starts it. a: diamonds medians, bars 10 to 90 % of starts. b: Wilson intervals of 95 %."
    )
    shown = {"color": "black", "markersize": 4, "linestyle": ""}
    drawn = [
        Line2D([], [], marker="o", label="T = 50", **shown),
        Line2D([], [], marker="s", label="T = 100", markerfacecolor="white", **shown),
    ]
    headed(made, sentence(runs), [note], drawn)
    return made


def sentence(runs: xarray.Dataset, at: int = 50) -> str:
    """What the figure shows, in numbers from the data."""

    def learned(case: str) -> str:
        accuracy = runs.accuracy.sel(case=case, length=at).values
        return f"{np.mean(accuracy[np.isfinite(accuracy)] > starts.SOLVED):.0%}"

    return (
        f"At T = {at}, {learned('LSTM, mu = 1')} of LSTM units learn if started with a vanilla RNN's multiplier, not "
        f"{learned('LSTM, default')}, and {learned('LSTM, chrono')} with chrono gates; of vanilla RNNs started as an "
        f"LSTM {learned('SRNN, mu = 0.73')}, not {learned('SRNN, default')}"
    )


draw = plots.drawing(__file__, figure, sentence, "runs", store="results/why_lstm_latches_worse")

if __name__ == "__main__":
    plots.command(draw)

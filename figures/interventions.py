"""What if a unit starts otherwise? From the store of ``experiments/why_lstm_latches_worse.py``.

    python figures/interventions.py [STORE] [FOLDER]

Change what one step keeps at the start, and nothing else, and the cells change places: an LSTM or a GRU that starts at
1 learns as a vanilla RNN does, a vanilla RNN that starts where an LSTM does never learns.

Expected at T = 50: SRNN .58, from .7 .00; LSTM .07, from 1 by three routes .63, .68, .69, with a forget gate of .999
.53, with gates that forget in 100 steps .86; GRU .00, from 1 .64 and .81. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots import starts
from landscape.plots.parts import headed

LENGTHS = {50: "o", 100: "s"}
STARTS = {
    "SRNN, default": "vanilla RNN, default",
    "SRNN, mu = 0.7 by |w|": "keeps .7, as an LSTM",
    "LSTM, default": "LSTM, default",
    "LSTM, mu = 1 by w_g": "keeps 1 by its candidate",
    "LSTM, mu = 1 by f": "keeps 1 by its forget gate",
    "LSTM, mu = 1 by f alone": "keeps 1, nothing fed back",
    "LSTM, f = 0.999": "forget gate .999, all else as drawn",
    "LSTM, chrono": "gates that forget in 100 steps",
    "GRU, default": "GRU, default",
    "GRU, mu = 1 by w_h": "keeps 1 by its candidate",
    "GRU, mu = 1 by z alone": "keeps 1, nothing fed back",
}


def there(runs: xarray.Dataset) -> dict[str, str]:
    """The starts that were run."""
    return {case: words for case, words in STARTS.items() if case in set(map(str, runs.case.values))}


def multipliers(ax: Axes, runs: xarray.Dataset) -> None:
    """What a step keeps of a small memory at the start: median and 10 to 90 %."""
    for row, case in enumerate(reversed(there(runs))):
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
    starts.listed(success, runs, there(runs), LENGTHS)
    multipliers(start, runs)
    cells = [case.partition(",")[0] for case in reversed(there(runs))]
    between = [row + 0.5 for row in range(len(cells) - 1) if cells[row] != cells[row + 1]]
    for ax, title in ((start, "a  at the start"), (success, "b  after training")):
        ax.set_title(title, loc="left")
        ax.spines[["top", "right"]].set_visible(False)
        for line in between:
            ax.axhline(line, color="0.8", linewidth=0.6)
    note = (
        f"One unit keeps a bit; 64 to 512 runs a point, each with {runs.attrs['count']:,} episodes of its own, noise "
        f"SD 0.1, Adam at 0.001, batch 16, 5 epochs; learned: more than {starts.SOLVED:g} of the validation episodes "
        f"right. All else as Keras 2 starts it. a: diamonds medians, bars 10 to 90 % of starts. b: right and wrong "
        f"readouts weighted alike, intervals of 95 %."
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
    learned = lambda case: f"{starts.rate(runs, case, at).value:.0%}"  # noqa: E731
    ways = [learned(case) for case in STARTS if case.startswith("LSTM, mu = 1")]
    return (
        f"At T = {at}, {', '.join(ways)} of LSTM units learn if one step is made to keep 1 at the start, by three "
        f"routes, not {learned('LSTM, default')}; of vanilla RNNs made to keep .7 learn "
        f"{learned('SRNN, mu = 0.7 by |w|')}, not {learned('SRNN, default')}"
    )


draw = plots.drawing(__file__, figure, sentence, "runs", store="results/why_lstm_latches_worse")

if __name__ == "__main__":
    plots.command(draw)

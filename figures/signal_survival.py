"""What of the bit does training see at the start? From the store of ``experiments/why_lstm_latches_worse.py``.

    python figures/signal_survival.py [STORE] [FOLDER]

Before training, the bit fades from the state and from the gradient as the multiplier of the start says: slowly in the
SRNN, fast in the LSTM and faster in the GRU. The share of starts whose gradient stands above what the noise of all
minibatches leaves falls with length as success does; an SRNN that sees the bit and fails has a readout of the wrong
sign.

Expected at T = 50, median signal over noise of a minibatch: SRNN .5, LSTM 7e-7, GRU 2e-13; above the floor of .02 are
1.00, .05 and .00 of starts, .58, .07 and .00 of runs learn, and .99 of the SRNN's with the right sign. Two seconds.
"""

import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots import starts
from landscape.plots.parts import headed
from landscape.verdicts import RIGHT

BATCH, EPOCHS, KEPT = 16, 5, 0.8  # of the runs in the store; episodes that are trained on


def floor(runs: xarray.Dataset) -> float:
    """The signal-to-noise ratio of one minibatch that the average over all of them can just tell from nothing."""
    return float((EPOCHS * (runs.attrs["count"] * KEPT // BATCH)) ** -0.5)


def visible(start: xarray.Dataset, runs: xarray.Dataset) -> xarray.DataArray:
    """The share of starts whose signal stands above the `floor`, by cell and length."""
    return (start.ratio > floor(runs)).mean("draw")


def figure(start: xarray.Dataset, runs: xarray.Dataset) -> Figure:
    """The bit in the state, the signal in the gradient, and the success of training, against length."""
    made = Figure(figsize=(7.2, 3.7), layout="constrained")
    state, ratio, success = made.subplots(1, 3)
    for name, colour in starts.COLOURS.items():
        starts.banded(state, start.signal.sel(cell=name), colour, name)
        starts.banded(ratio, start.ratio.sel(cell=name), colour, name)
        success.plot(start.length, visible(start, runs).sel(cell=name), color=colour, linestyle=":")
    ratio.axhline(1, color="black", linewidth=0.8)
    ratio.axhline(floor(runs), color="black", linewidth=0.8, linestyle="--")
    starts.question(success, runs)
    success.get_legend().remove()
    success.set(ylim=(-0.04, 1.06), xlim=(4, 125))
    state.set(ylabel="signal |E[h | +] - E[h | -]|")
    ratio.set(ylabel="signal over noise of a minibatch")
    for ax, (letter, words) in zip(
        (state, ratio, success), {"a": "the bit", "b": "its gradient", "c": "success"}.items(), strict=True
    ):
        ax.set_title(f"{letter}  {words}", loc="left")
        ax.set(xlabel="sequence length T (steps)")
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in (state, ratio):
        ax.set(yscale="log", ylim=(1e-16, 30), xlim=(0, float(start.length[-1])))
    drawn = [Line2D([], [], color=c, label=starts.PLAIN[n]) for n, c in starts.COLOURS.items()]
    drawn += [
        Line2D([], [], color="black", linewidth=0.8, label="noise of one minibatch"),
        Line2D([], [], color="black", linewidth=0.8, linestyle="--", label="noise of the mean of all"),
        Line2D([], [], color="black", linestyle=":", label="share of starts above that"),
    ]
    updates, lucky = round(floor(runs) ** -2), starts.rate(runs, "SRNN, default", 50, RIGHT)
    note = (
        f"Keras 2 starts of one unit before training, latching with noise SD 0.1. a, b: medians and 10 to 90 % of "
        f"{start.sizes['draw']} starts, float64, 64 pairs of episodes with the same noise; values under 1e-15 are "
        f"rounding. b: norm of the part of the gradient that sees the labels over the scatter of a gradient of {BATCH} "
        f"episodes, recurrent parameters; dashed: 1/√{updates:,}, of {updates:,} minibatches. c: share of "
        f"runs with more than {starts.SOLVED:g} right, readouts of both signs weighted alike, intervals of 95 %; Adam "
        f"at 0.001. With a readout of the right sign, {lucky.value:.0%} of the SRNN's runs learn at T = 50."
    )
    headed(made, sentence(start, runs), [note], drawn)
    return made


def sentence(start: xarray.Dataset, runs: xarray.Dataset, at: int = 50) -> str:
    """What the figure shows, in numbers from the data."""
    seen = visible(start, runs).sel(length=at)
    learned = [starts.rate(runs, f"{name}, default", at).value for name in starts.COLOURS]
    above = ", ".join(f"{float(seen.sel(cell=name)):.0%} of {name}" for name in starts.COLOURS)
    return (
        f"At T = {at} the gradient of the bit stands above the noise of training in {above} starts; "
        f"{', '.join(f'{each:.0%}' for each in learned)} learn"
    )


draw = plots.drawing(__file__, figure, sentence, "start", "runs", store="results/why_lstm_latches_worse")

if __name__ == "__main__":
    plots.command(draw)

"""Does how far the bit has faded decide success? From the store of ``experiments/why_lstm_latches_worse.py``.

    python figures/law_of_success.py [STORE] [FOLDER]

In x = T |ln lambda|, the e-folds by which the untrained unit lets the bit fade, runs of every cell and length whose
readout has the right sign learn up to a point, and not beyond it: the order of the cells is one of their starts.

Expected: SRNN, LSTM and GRU learn up to x = 5.2 (5.0 to 6.8), 8.8 (8.5 to 9.2), 10.4 (9.7 to 10.8); a single cut at 8.7
(8.6 to 10.5) is right about .96 of 1,056 runs, the best cut in T about .80. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots import starts
from landscape.plots.parts import headed
from landscape.success import Share, horizon

EDGES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18)


def pooled(runs: xarray.Dataset, aligned: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, length, and whether it learned, of the default runs of all cells whose readout is ``aligned``, or is not."""
    one = runs.sel(case=[f"{name}, default" for name in starts.COLOURS])
    chosen = np.isfinite(one.accuracy.values) & (one.aligned.values == aligned)
    length = np.broadcast_to(one.length.values[:, None], chosen.shape)
    return (length * one.decay.values)[chosen], length[chosen], one.accuracy.values[chosen] > starts.SOLVED


def right(by: np.ndarray, solved: np.ndarray) -> tuple[Share, float]:
    """The best cut of ``by`` below which runs learn, with its interval, and the share of runs that it tells right."""
    cut = horizon(by, solved)
    return cut, float(np.mean((by < cut.value) == solved))


def figure(runs: xarray.Dataset, verdicts: xarray.Dataset) -> Figure:
    """Aligned runs against length; the same against x, where the cells fall together; misaligned runs against x."""
    made = Figure(figsize=(7.2, 3.5), layout="constrained")
    length, good, wrong = made.subplots(1, 3, sharey=True)
    starts.question(length, runs, aligned=True)
    length.get_legend().remove()
    starts.law(good, runs, EDGES, (True,))
    starts.law(wrong, runs, EDGES, (False,))
    for level, (name, colour) in zip((1.1, 1.15, 1.2), starts.COLOURS.items(), strict=True):
        cut = Share(*verdicts.horizon.sel(cell=name).values)
        good.plot([cut.low, cut.high], [level, level], color=colour, linewidth=1)
        good.plot(cut.value, level, "|", color=colour, markersize=7)
    titles = ("a  right sign, against length", "b  right sign, against x", "c  wrong sign, against x")
    for ax, title in zip((length, good, wrong), titles, strict=True):
        ax.set_title(title, loc="left")
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set(ylim=(-0.04, 1.25), yticks=np.linspace(0, 1, 6))
    for ax in (good, wrong):
        last = (EDGES[-2] + EDGES[-1]) / 2
        ax.set_xticks([0, 4, 8, 12, last], ["0", "4", "8", "12", f"> {EDGES[-2]}"])
        ax.set(xlabel=r"$x = T\,|\ln\lambda|$ (e-folds)", ylabel="")
    drawn = [
        Line2D([], [], color=c, marker="o", markersize=3.5, label=starts.PLAIN[n]) for n, c in starts.COLOURS.items()
    ]
    note = (
        f"One unit keeps a bit; default starts, lengths {', '.join(map(str, runs.length.values))}, "
        f"{runs.sizes['seed']} runs each, {runs.attrs['count']:,} episodes, noise SD 0.1, Adam at 0.001, batch 16, 5 "
        f"epochs; learned: more than {starts.SOLVED:g} of the validation episodes right. λ: multiplier at the origin "
        f"of the start, for the SRNN λ₂, dressed by noise. Right sign: the untrained readout tells the bits apart the "
        f"right way round. Bars: Wilson intervals of 95 %, bins of 4 runs or more. Above b: the x up to which a cell "
        f"learns, with bootstrapped intervals."
    )
    headed(made, sentence(runs), [note], drawn)
    return made


def sentence(runs: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    x, length, solved = pooled(runs, aligned=True)
    (cut, told), (_, known) = right(x, solved), right(length, solved)
    x, _, learned = pooled(runs, aligned=False)
    near, far = learned[x < cut.value].mean(), learned[x >= cut.value].mean()
    return (
        f"A cut at x = T |ln λ| = {cut} tells {told:.0%} of {len(solved):,} runs right whose readout has the right "
        f"sign (a cut in T {known:.0%}); of the others learn {near:.0%} below it, {far:.0%} above"
    )


draw = plots.drawing(
    __file__, figure, lambda runs, _: sentence(runs), "runs", "verdicts", store="results/why_lstm_latches_worse"
)

if __name__ == "__main__":
    plots.command(draw)

"""Does how far the bit has faded decide success? From the store of ``experiments/why_lstm_latches_worse.py``.

    landscape run why_lstm_latches_worse --evidence law frameworks routes
    python figures/law_of_success.py [STORE] [FOLDER]

In x = T |ln lambda|, the e-folds by which the untrained unit lets the bit fade, runs of one cell whose readout has the
right sign learn up to a point, and not beyond it. Each cell has a point of its own; the cells do not fall together.

Expected: SRNN, LSTM and GRU learn up to x = 5.2 (4.8 to 6.3), 8.6 (7.9 to 9.3), 9.7 (9.4 to 10.5); a single cut would
be right about .96 of 2,292 runs with the right sign. By seed 1 they are 6.1, 8.6 and 9.9. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots import starts
from landscape.plots.parts import headed
from landscape.success import Share, horizon
from landscape.verdicts import RIGHT

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
    """Aligned runs against length; the same against x, with the cut of each cell; misaligned runs against x."""
    made = Figure(figsize=(7.2, 3.5), layout="constrained")
    length, good, wrong = made.subplots(1, 3, sharey=True)
    starts.question(length, runs, RIGHT)
    length.get_legend().remove()
    starts.law(good, runs, EDGES, (True,))
    starts.law(wrong, runs, EDGES, (False,))
    for level, (name, colour) in zip((1.1, 1.19, 1.28), starts.COLOURS.items(), strict=True):
        cut = Share(*verdicts.horizon.sel(cell=name).values)
        good.plot([cut.low, cut.high], [level, level], color=colour, linewidth=1)
        good.plot(cut.value, level, "|", color=colour, markersize=7)
        good.text(18, level, f"{name} up to {cut.value:.1f}", color=colour, ha="right", va="center", fontsize=7)
    titles = ("a  right sign, against length", "b  right sign, against x", "c  wrong sign, against x")
    for ax, title in zip((length, good, wrong), titles, strict=True):
        ax.set_title(title, loc="left")
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set(ylim=(-0.04, 1.34), yticks=np.linspace(0, 1, 6))
    for ax in (good, wrong):
        last = (EDGES[-2] + EDGES[-1]) / 2
        ax.set_xticks([0, 4, 8, 12, last], ["0", "4", "8", "12", f"> {EDGES[-2]}"])
        ax.set(xlabel=r"$x = T\,|\ln\lambda|$ (e-folds)", ylabel="")
    drawn = [
        Line2D([], [], color=c, marker="o", markersize=3.5, label=starts.PLAIN[n]) for n, c in starts.COLOURS.items()
    ]
    note = (
        f"One unit keeps a bit; default starts, lengths {', '.join(map(str, runs.length.values))}, "
        f"{ran(runs)} runs each with {runs.attrs['count']:,} episodes of its own, noise SD 0.1, Adam at 0.001, batch "
        f"16, 5 epochs; learned: more than {starts.SOLVED:g} of the validation episodes right. λ: multiplier at the "
        f"origin of the start, for the SRNN λ₂, dressed by noise. Right sign: the untrained readout tells the bits "
        f"apart the right way round. Bars: intervals of 95 %, bins of 4 runs or more. Above b: the x up to which a "
        f"cell learns, with bootstrapped intervals."
    )
    headed(made, sentence(runs, verdicts), [note], drawn)
    return made


def ran(runs: xarray.Dataset) -> str:
    """How many default runs there are at a length, in words."""
    tried = np.isfinite(runs.accuracy.sel(case=[f"{name}, default" for name in starts.COLOURS]).values).sum(-1)
    return f"{tried[tried > 0].min()} to {tried.max()}"


def sentence(runs: xarray.Dataset, verdicts: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data: the cut of each cell, and what a single one would tell."""
    cuts = {name: Share(*verdicts.horizon.sel(cell=name).values) for name in starts.COLOURS}
    x, _, solved = pooled(runs, aligned=True)
    _, told = right(x, solved)
    each = ", ".join(f"{name} {cut}" for name, cut in cuts.items())
    return (
        f"With the right sign a unit learns while x = T |ln λ| is below {each}: a cut for each cell. A single one "
        f"would tell {told:.0%} of these {len(solved):,} runs right"
    )


draw = plots.drawing(__file__, figure, sentence, "runs", "verdicts", store="results/why_lstm_latches_worse")

if __name__ == "__main__":
    plots.command(draw)

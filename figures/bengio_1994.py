"""Fig. 2 of Bengio, Simard & Frasconi (1994), from the store of ``experiments/bengio_1994.py``.

python figures/bengio_1994.py [STORE] [FOLDER]
"""

import textwrap
from typing import Any

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape import plots
from landscape.success import wilson

CONVERGED = 0.99
BARS = {"elinewidth": 0.8, "capsize": 1.8, "capthick": 0.8, "markersize": 3.5}


def rates(ax: Axes, x: np.ndarray, accuracy: xarray.DataArray, **style: Any) -> None:
    """The share of runs that converged, with Wilson intervals of 95 %."""
    solved, tried = (accuracy >= CONVERGED).sum("run").values, accuracy.sizes["run"]
    (low, high), share = wilson(solved, tried), solved / tried
    ax.errorbar(x, share, np.maximum(0, [share - low, high - share]), **BARS, **style)


def page(over: xarray.Dataset, by: xarray.Dataset, other: xarray.Dataset) -> Figure:
    """The map, the frequency against the length, and the paper's other problems."""
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    share = (over.accuracy >= CONVERGED).mean("run")
    image = left.imshow(share, origin="lower", aspect="auto", cmap="gray", vmin=0, vmax=1)
    left.set_xticks(range(len(over.noise)), [f"{s:g}" for s in over.noise.values])
    left.set_yticks(range(len(over.w)), [f"{w:g}" for w in over.w.values])
    left.set(xlabel="SD $s$ of the noise", ylabel="recurrent weight $w_0$ at the start")
    left.set_title(f"(a) share of {over.sizes['run']} runs that\nconverge, T = {over.attrs['length']}", loc="left")
    figure.colorbar(image, ax=left, location="right", shrink=0.8, label="share of runs that converge")
    for free, words, style in ((1, "w trained", {"marker": "o"}), (0, "w kept", {"marker": "s", "linestyle": ":"})):
        rates(middle, by.length.values, by.accuracy.sel(trained=free), color="#0072B2", label=words, **style)
    middle.set_title(f"(b) the same against T, from\n$w_0$ = {by.attrs['w']:g}, s = {by.attrs['noise']:g}", loc="left")
    for name, colour, mark in zip(other.problem.values, ("#D55E00", "#009E73"), "o^", strict=True):
        one = other.sel(problem=name)
        rates(right, one.length.values, one.accuracy, color=colour, marker=mark, label=f"{name}, trained")
        right.plot(one.length, one.guessed, color=colour, linestyle=":", linewidth=0.9, label=f"{name}, guessed")
    right.set_title("(c) two other problems,\nby Adam and by guessing", loc="left")
    for ax in (middle, right):
        ax.set(
            ylim=(-0.04, 1.42),
            yticks=np.linspace(0, 1, 6),
            xlabel="sequence length T (steps)",
        )
        ax.legend(loc="upper right")
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    middle.set(ylabel="share of runs that converge")
    title = "When does gradient descent teach one tanh unit a bit? After Bengio, Simard & Frasconi (1994), fig. 2"
    figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    note = (
        f"One unit, evidence of 3 trainable numbers for each of two classes, then noise; descent at a rate of .1, 10 "
        f"new episodes of each class an update, {over.attrs['updates']:,} updates in (a), {by.attrs['updates']:,} in "
        f"(b), n = {by.sizes['run']}. A run converged if {CONVERGED:g} of 1,000 new signs are right. (c): n = "
        f"{other.sizes['run']}, {other.attrs['count']:,} episodes, 5 epochs of Adam at .01; guessed: share of "
        f"{other.attrs['tried']:,} weights from U[-100, 100]. Bars: Wilson intervals of 95 %."
    )
    figure.supxlabel(textwrap.fill(note, 155), x=0.01, ha="left", fontsize=6.5, color="0.35")
    return figure


draw = plots.drawing(
    __file__, page, "when gradient descent teaches one unit to keep a bit", "map", "frequency", "problems"
)

if __name__ == "__main__":
    plots.command(draw)

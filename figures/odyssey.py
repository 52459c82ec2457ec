"""Nine LSTM variants, a search each, from the store of ``experiments/odyssey.py``: which part earns its keep?

    python figures/odyssey.py [STORE] [FOLDER]

Above, the best tenth of each variant's trials and how many trials remember the outer symbol. Below, every trial of V
and of the best variant against the learning rate, what a cell keeps at the start against how many of its trials
remember, and what explains the variance of V's loss. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed

BLUE, RED, GREEN = (colour for colour, _ in LINES[:3])


def colour(found: xarray.Dataset, case: str) -> str:
    """By what Welch's test says of a case beside the first."""
    one = found.sel(case=case)
    if case == found.base:
        return "black"
    return "0.55" if not one.holm < 0.05 else RED if one.difference > 0 else BLUE


def ranking(axes, found: xarray.Dataset) -> None:
    """Best tenths and shares, a row for each case."""
    for y, case in enumerate(map(str, found.case.values)):
        one, ink = found.sel(case=case), colour(found, case)
        axes[0].errorbar(one.best, y, xerr=one.half, color=ink, marker="o", markersize=3, elinewidth=1, capsize=2)
        reach = [[one.share - one.share_low], [one.share_high - one.share]]
        axes[1].errorbar(one.share, y, xerr=reach, color=ink, marker="o", markersize=3, elinewidth=1, capsize=2)
    for ax, loss in zip(axes, (True, False), strict=True):
        ax.set(ylim=(found.sizes["case"] - 0.5, -0.5), yticks=range(found.sizes["case"]))
        ax.set_yticklabels(map(str, found.case.values) if loss else [])
    for name, style in (("floor", "-"), ("memoryless", "--")):
        if name in found.attrs:
            axes[0].axvline(found.attrs[name], color="0.3", linewidth=0.7, linestyle=style)
    axes[0].set_title("a  best tenth of the trials", loc="left")
    axes[0].set(xlabel="loss (nats a symbol)")
    axes[1].set_title("b  trials that remember", loc="left")
    axes[1].set(xlabel="share of trials", xlim=(0, min(1, 1.1 * float(found.share_high.max()))))


def rates(ax, found: xarray.Dataset) -> None:
    """Every trial of the first case and of the one in which most remember, against the rate."""
    best = str(found.case.values[int(found.share.values.argmax())])
    for case, (ink, mark) in zip(dict.fromkeys((str(found.base), best)), LINES, strict=False):
        last = found.loss.sel(case=case).isel(epoch=-1)
        shown = np.where(np.isfinite(last) & (last < 1), last, 1)
        ax.plot(found.rate.sel(case=case), shown, mark, color=ink, markersize=3, alpha=0.8, label=case)
    for name, style in (("floor", "-"), ("memoryless", "--")):
        if name in found.attrs:
            ax.axhline(found.attrs[name], color="0.3", linewidth=0.7, linestyle=style)
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss (1 and more at the top)", ylim=(None, 1.17))
    ax.set_title("c  every trial", loc="left")
    ax.legend(loc="upper center", handletextpad=0.1, columnspacing=0.8, ncols=2, borderaxespad=0)


def starts(ax, found: xarray.Dataset) -> None:
    """What one step keeps before training against the share that remembers afterwards."""
    for case in map(str, found.case.values):
        one = found.sel(case=case)
        ax.plot(one.keeps, one.share, "o", color=colour(found, case), markersize=3.5)
    ax.set(xlabel="kept by one step at the start", ylabel="share that remembers")
    ax.margins(x=0.25, y=0.15)
    ax.set_title("d  foretold?", loc="left")


def variance(ax, found: xarray.Dataset) -> None:
    """The largest shares of the variance on the grid."""
    if "explained" not in found:
        ax.set_visible(False)
        return
    shares = found.explained.sortby(found.explained, ascending=False).isel(effect=slice(6))
    names = [str(name).replace("damping", "momentum") for name in shares.effect.values]
    ax.barh(range(len(names)), shares, color="#9ecae1", height=0.7)
    for y, name in enumerate(names):
        ax.annotate(name, (0, y), xytext=(3, 0), textcoords="offset points", va="center")
    ax.set(yticks=[], ylim=(len(names) - 0.5, -0.5), xlim=(0, 1), xlabel="share of the variance")
    ax.set_title(f"e  importance, {found.base}", loc="left")


def title(found: xarray.Dataset) -> str:
    """The finding, from the numbers: which cases are told from the first, and how often any remembers."""
    others = found.sel(case=found.case != found.base)
    kinds = {"worse": others.difference > 0, "better": others.difference < 0}
    names = {kind: others.case.values[(others.holm < 0.05) & way] for kind, way in kinds.items()}
    told = "; ".join(
        f"{', '.join(map(str, cases))} {kind} than {found.base}" for kind, cases in names.items() if len(cases)
    )
    few, many = float(found.share.min()), float(found.share.max())
    return f"{told or f'No variant is told from {found.base}'}; {few:.0%} to {many:.0%} of the trials remember"


def page(found: xarray.Dataset) -> Figure:
    """Five panels: two rankings above, rates, starts and importance below."""
    made = Figure(figsize=(7.2, 6.2), layout="constrained")
    axes = made.subplot_mosaic("aaabbb;ccddee", height_ratios=(1.15, 1))
    ranking([axes["a"], axes["b"]], found)
    rates(axes["c"], found)
    starts(axes["d"], found)
    variance(axes["e"], found)
    for ax in axes.values():
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    marks = {"the first": "black", "worse": RED, "better": BLUE, "not told apart": "0.55"}
    handles = [Line2D([], [], color=c, marker="o", markersize=3, linestyle="", label=n) for n, c in marks.items()]
    handles += [Line2D([], [], color="0.3", linewidth=0.7, label="the least loss")]
    handles += [Line2D([], [], color="0.3", linewidth=0.7, linestyle="--", label="without the outer symbol")]
    about = found.attrs
    count = max(2, about["trials"] // 10)
    note = (
        f"{about['task'].partition('(')[0].capitalize()} strings, T = 20, layers of 4 to {about['units']} units, "
        f"{about['trials']} trials each of rate, size, momentum and input noise drawn at random, "
        f"{about['epochs'] * 64:,} updates of 16 fresh strings. a: mean of the {count} best with its 95 % interval "
        "(Student), colours by Welch's test with Holm's correction. b: a loss below the middle of the two lines, "
        "Wilson's intervals of 95 %. d: median modulus of the largest multiplier of the origin. e: exact, on a full "
        "grid of rate, size, momentum and noise."
    )
    headed(made, title(found), [note], handles, columns=6)
    return made


draw = plots.drawing(
    __file__, page, "which part of an LSTM earns its keep on a grammar", store="results/odyssey/found.zarr"
)

if __name__ == "__main__":
    plots.command(draw)

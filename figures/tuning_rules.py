"""Rules of thumb and what became of them, from the result of ``experiments/tuning_rules.py``.

    python figures/tuning_rules.py [STORE] [FOLDER]

Six panels of what the rules are about, and below them a line for each rule: what was measured, its mean with an
interval, the number of runs, and the verdict. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed

INKS = {"holds": "#009E73", "does not hold": "#D55E00", "cannot tell": "0.45"}
COLUMNS = (-0.11, 0.235, 0.6, 0.85, 0.89)  # of the table: rule, measure, mean, runs, verdict


def rates(ax, ds: xarray.Dataset, names: dict, title: str) -> None:
    """Validation loss against the learning rate, a line for each network; beside a blind guess."""
    for (name, label), (colour, mark) in zip(names.items(), LINES, strict=False):
        x, y = ds.by_rate.sel(line=name).values
        ax.plot(x, np.where(np.isfinite(y), y, np.nan), color=colour, marker=mark, markersize=3, label=label)
    ax.axhline(ds.attrs["blind"], color="0.5", linewidth=0.8, linestyle="--")
    top = min(ax.get_ylim()[1], 1.4 * ds.attrs["blind"])  # what has diverged leaves the panel
    ax.set(xscale="log", ylim=(None, top), xlabel="learning rate", ylabel="validation loss (nats)")
    ax.legend(loc="best", handlelength=1.4)
    ax.set_title(title, loc="left")


def epochs(ax, ds: xarray.Dataset) -> None:
    """Validation loss by epoch of networks on few samples, its least marked."""
    for net, (colour, mark) in zip(ds.net.values, LINES, strict=False):
        y = ds.val.sel(net=net).values
        ax.plot(np.arange(1, len(y) + 1), y, color=colour, label=str(net))
        ax.plot(y.argmin() + 1, y.min(), color=colour, marker=mark, markersize=4)
    ax.set(yscale="log", xlabel="epoch", ylabel="validation loss (nats)")
    ax.legend(loc="best", handlelength=1.4)
    ax.set_title("d  200 digits, least loss marked", loc="left")


def signals(layers, values, ds: xarray.Dataset) -> None:
    """Variance by layer, and the norm of the Jacobian by singular value."""
    y = ds.variance.values[1:]
    layers.plot(np.arange(1, len(y) + 1), y / y[0], color=LINES[0][0], marker="o", markersize=3)
    layers.axhspan(0.5, 2, color="0.9")
    layers.set(yscale="log", xlabel="layer", ylabel="variance / that of layer 1")
    layers.set_title("e  Xavier's start, tanh", loc="left")
    for act, (colour, mark) in zip(ds.act.values, LINES, strict=False):
        values.plot(ds.singular, 10.0 ** ds.norms.sel(act=act), color=colour, marker=mark, markersize=3, label=str(act))
    values.axhline(1, color="0.5", linewidth=0.8, linestyle="--")
    values.set(yscale="log", xlabel="singular values of the matrix", ylabel="|dh_50/dh_0|")
    values.legend(loc="upper left")
    values.set_title("f  64 units, 50 steps", loc="left")


def table(ax, ds: xarray.Dataset) -> None:
    """A line for each rule."""
    ax.axis("off")
    heads = ("rule", "measured", "mean (interval)", "n", "verdict")
    count = ds.sizes["rule"]
    for x, head in zip(COLUMNS, heads, strict=True):
        ax.text(x, 1, head, weight="bold", va="center", transform=ax.transAxes)
    for k in range(count):
        row = ds.isel(rule=k)
        mean = f"{row.value.item():.2g} ({row.low.item():.2g} to {row.high.item():.2g})"
        words = (row.claim.item(), row.measure.item(), mean, f"{row.runs.item()}", row.verdict.item())
        for x, word in zip(COLUMNS, words, strict=True):
            ink = INKS[row.verdict.item()] if x == COLUMNS[-1] else "black"
            ax.text(x, 1 - (k + 1) / count, word, va="center", color=ink, transform=ax.transAxes)


def title(ds: xarray.Dataset) -> str:
    """How many of the rules hold."""
    found = ds.verdict.values
    held, failed = (int((found == word).sum()) for word in ("holds", "does not hold"))
    open_ = len(found) - held - failed
    return f"Of {len(found)} statements that rules of thumb make, {held} hold, {failed} do not, {open_} cannot be told"


def page(ds: xarray.Dataset) -> Figure:
    """Six panels and the table of verdicts."""
    made = Figure(figsize=(7.2, 8.6), layout="constrained")
    axes = made.subplot_mosaic([list("abc"), list("def"), ["t"] * 3], height_ratios=[1, 1, 1.95])
    rates(axes["a"], ds, {"tanh, SGD": "SGD", "tanh, SGD, clipped": "SGD, clipped at .1"}, "a  24 tanh units, text")
    optimisers = {f"GRU, {name}": name for name in ("SGD", "RMSprop", "AdaGrad")}
    rates(axes["b"], ds, optimisers, "b  24 gated units (GRU), text")
    built = {"tanh, RMSprop": "tanh", "softsign, RMSprop": "softsign", "GRU, RMSprop": "GRU"}
    rates(axes["c"], ds, built | {"two layers of GRU, RMSprop": "GRU, 2 layers"}, "c  RMSprop, text")
    epochs(axes["d"], ds)
    signals(axes["e"], axes["f"], ds)
    for name in "abcdef":
        axes[name].grid(alpha=0.4)
        axes[name].spines[["top", "right"]].set_visible(False)
    table(axes["t"], ds)
    note = (
        f"Text: English of Python's manual, 27 symbols, 400 episodes of 32 letters, {ds.attrs['epochs']} epochs of 20 "
        f"updates, mean of {ds.attrs['seeds']} runs at their best epochs; dashed: a blind guess. Rates are chosen on "
        "validation episodes, table entries measured on test episodes. Digits: GRU, Adam at .01. Two ways: a bit of 3 "
        "steps ahead or ago, 20 steps, GRU of about 500 parameters. Intervals: Student's, together 95 % (Bonferroni)."
    )
    headed(made, title(ds), [note])
    return made


draw = plots.drawing(__file__, page, "rules of thumb and their verdicts")

if __name__ == "__main__":
    plots.command(draw)

"""Digits pixel by pixel, from the store of ``experiments/pixels.py``: is the IRNN's lead one of cell or of rate?

    python figures/pixels.py [STORE] [FOLDER]

Above, test accuracy after the last epoch against the learning rate, for two rules. Below, accuracy by epoch and by
second at each cell's best rate, and how far the gradient of the answer reaches back, before training and after. Two
seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import t

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed


def interval(runs: xarray.DataArray) -> xarray.DataArray:
    """Half of the 95 % interval of a mean over seeds (Student)."""
    count = runs.sizes["seed"]
    return t.ppf(0.975, count - 1) * runs.std("seed", ddof=1) / count**0.5


def drawn(ax, x, runs: xarray.DataArray, colour: str, mark: str) -> None:
    """A mean over seeds with its interval, inside of what an accuracy can be."""
    mean, half = runs.mean("seed"), interval(runs)
    ax.plot(x, mean, color=colour, marker=mark, markersize=3)
    ax.fill_between(x, np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1), color=colour, alpha=0.18, linewidth=0)


def best(ds: xarray.Dataset, rule: str) -> xarray.DataArray:
    """Which rate is best for each cell, by the mean of its last accuracies."""
    return ds.val_accuracy.sel(rule=rule).isel(epoch=-1).mean("seed").fillna(0).argmax("rate")


def title(ds: xarray.Dataset, rule: str) -> str:
    """The finding, from the numbers: who is ahead, and where the source's cell stands."""
    last = ds.val_accuracy.sel(rule=rule).isel(epoch=-1).isel(rate=best(ds, rule)).mean("seed")
    first = str(last.cell.values[last.values.argmax()])
    told = f"{first} reads {float(last.max()):.0%} of the digits, each cell at its best rate"
    return f"{told}; the IRNN {float(last.sel(cell='IRNN')):.0%}" if "IRNN" in last.cell and first != "IRNN" else told


def page(ds: xarray.Dataset) -> Figure:
    """Accuracy against rate, for two rules; accuracy by epoch and second and gradient by lag, for the first."""
    made = Figure(figsize=(7.2, 5.6), layout="constrained")
    axes = made.subplot_mosaic("aaabbb;ccddee")
    inks = dict(zip(map(str, ds.cell.values), LINES, strict=False))
    rules = [str(name) for name in ds.rule.values[:2]]
    for letter, name in zip("ab", rules, strict=False):
        for cell, ink in inks.items():
            drawn(axes[letter], ds.rate, ds.val_accuracy.sel(cell=cell, rule=name).isel(epoch=-1), *ink)
        axes[letter].set(xscale="log", ylim=(0, 1), xlabel="learning rate", ylabel="test accuracy")
        axes[letter].set_title(f"{letter}  {name}, after {ds.sizes['epoch']} epochs", loc="left")
    axes["b"].set_visible(len(rules) == 2)
    for cell, (colour, _) in inks.items():
        one = ds.sel(cell=cell, rule=rules[0])
        runs = one.val_accuracy.isel(rate=int(best(ds, rules[0]).sel(cell=cell)))
        drawn(axes["c"], ds.epoch, runs, colour, "")
        axes["d"].plot(float(one.seconds) * ds.epoch, runs.mean("seed"), color=colour)
        for when, line in (("before", ":"), ("after", "-")):
            axes["e"].plot(ds.lag, one[when], color=colour, linestyle=line)
    axes["c"].set(ylim=(0, 1), xlabel="epoch", ylabel="test accuracy")
    axes["c"].set_title(f"c  {rules[0]}, best rates", loc="left")
    axes["d"].set(ylim=(0, 1), xscale="log", xlabel="seconds of processor time a run")
    axes["d"].set_title("d  the same by second", loc="left")
    axes["e"].set(yscale="log", xlabel="lag k (pixels before the last)", ylabel="|dL/da| at T - k")
    axes["e"].set_title("e  gradient by lag", loc="left")
    for ax in axes.values():
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    handles = [Line2D([], [], color=c, marker=m, markersize=3, label=name) for name, (c, m) in inks.items()]
    handles += [Line2D([], [], color="0.3", linestyle=":", label="before training (e)")]
    handles += [Line2D([], [], color="0.3", label="after training (e)")]
    note = (
        f"scikit-learn's digits (8 x 8, not MNIST), one pixel a step, T = {ds.sizes['lag']}, 32 units, softmax "
        f"readout, batches of 32, gradients clipped to a norm of 1; {ds.sizes['seed']} runs a point, tested on 357 "
        "images. Bands: 95 % interval of the mean over runs (Student); the best rate is chosen on the same images. "
        "e: median over 64 test images, the first run at its best rate; 0 is not drawn."
    )
    headed(made, title(ds, rules[0]), [note], handles, columns=4)
    return made


draw = plots.drawing(__file__, page, "whether the IRNN's lead on digits read pixel by pixel is one of cell or of rate")

if __name__ == "__main__":
    plots.command(draw)

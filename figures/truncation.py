"""How far errors must go back to read digits, from the result of ``experiments/truncation.py``.

    python figures/truncation.py [STORE] [FOLDER]

Test accuracy by the step at which back-propagation is cut; how far the gradient reaches back in networks trained whole.
"""

import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import t

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed


def title(ds: xarray.Dataset) -> str:
    """What a cut costs, in numbers."""
    mean = ds.accuracy.mean("seed")
    first, last = mean.isel(k=0), mean.isel(k=-1)
    told = ", ".join(
        f"{c} {float(first.sel(cell=c)):.0%} and {float(last.sel(cell=c)):.0%}" for c in map(str, ds.cell.values)
    )
    return f"Digits read with errors over {int(ds.k[0])} step{'s' * (int(ds.k[0]) > 1)} and over all: {told}"


def page(ds: xarray.Dataset) -> Figure:
    """Accuracy by k, gradient by lag."""
    made = Figure(figsize=(7.2, 3.6), layout="constrained")
    left, right = made.subplots(1, 2)
    inks = dict(zip(map(str, ds.cell.values), LINES, strict=False))
    count = ds.sizes["seed"]
    for cell, (colour, mark) in inks.items():
        runs = ds.accuracy.sel(cell=cell)
        half = t.ppf(0.975, count - 1) * runs.std("seed", ddof=1) / count**0.5
        left.errorbar(ds.k, runs.mean("seed"), half, color=colour, marker=mark, markersize=3, capsize=2, linewidth=1)
        lag = ds.gradient.sel(cell=cell)
        right.plot(ds.lag, lag / float(lag[0]), color=colour)
    left.set(ylim=(0, 1), xlabel="errors are cut after k steps", ylabel="test accuracy")
    left.set_xscale("log", base=2)
    left.set_xticks(ds.k.values, [*map(str, ds.k.values[:-1]), "none"])
    left.set_title("a  back-propagation cut after k steps", loc="left")
    right.set(yscale="log", xlabel="lag k (pixels before the last)", ylabel="|dL/da| at T − k, over that at T")
    right.set_title("b  networks trained without a cut", loc="left")
    for ax in (left, right):
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    handles = [Line2D([], [], color=c, marker=m, markersize=3, label=name) for name, (c, m) in inks.items()]
    order = "in one random order" if ds.attrs.get("permuted") else "line by line"
    note = (
        f"scikit-learn's digits (8 x 8, not MNIST), a pixel a step {order}, T = {ds.sizes['lag']}, 32 units, RMSprop, "
        f"clipped to a norm of 1, tested on 357 images; {count} runs a point. Bars: 95 % interval of the mean. "
        "b: median over 64 test images, the first run."
    )
    headed(made, title(ds), [note], handles, columns=4)
    return made


draw = plots.drawing(__file__, page, "how far errors must go back to read digits pixel by pixel")

if __name__ == "__main__":
    plots.command(draw)

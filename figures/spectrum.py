"""The spectrum of a classifier's Hessian through training, from the store of ``experiments/spectrum.py``.

    python figures/spectrum.py [STORE] [FOLDER]

Above, the density of all eigenvalues before, in the middle of and after training, with its band and the largest ones as
marks; below, the largest eigenvalues by rank, how much of their eigenvectors lies in class means, and how much wider
the gap after C - 1 of them is than its neighbours. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from scipy import stats

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.look import WIDTH
from landscape.plots.parts import headed

DECADES = 5


def middle(ds: xarray.Dataset) -> int:
    """The number of updates, by place, at which the gap stands out most, over all classes."""
    return int(ds.wider.mean(("classes", "seed")).argmax("step"))


def title(ds: xarray.Dataset) -> str:
    """The finding, from the numbers."""
    k, wide = middle(ds), 100 * (np.exp(ds.wider.mean(("classes", "seed")).values) - 1)
    same = ((ds.share > 0.5).sum("pair") == ds.classes - 1).sum(("classes", "seed")).values
    return (
        f"C - 1 large eigenvectors lie in class means in {same[k]} of {ds.wider.isel(step=k).size} networks after "
        f"{int(ds.step[k])} updates, {same[-1]} at the end; the gap after C - 1 is {wide[k]:.0f} % wider than others, "
        f"then {wide[-1]:.0f} %"
    )


def density(ax, ds: xarray.Dataset, k: int) -> None:
    """The density after the k-th number of updates, of the network with most classes that was measured."""
    one, colour = ds.isel(step=k), LINES[0][0]
    floor = float(one.density.max()) * 10.0**-DECADES
    low, high = (np.maximum(one[name], floor) for name in ("low", "high"))
    ax.plot(one.eigenvalue, np.maximum(one.density, floor), color=colour, linewidth=0.9)
    ax.fill_between(one.eigenvalue, low, high, color=colour, alpha=0.25, linewidth=0)
    top, inside = ds.value.isel(classes=-1, seed=0, step=k), ds.share.isel(classes=-1, seed=0, step=k) > 0.5
    for values, ink in ((top[~inside], "0.5"), (top[inside], LINES[1][0])):
        ax.plot(values, np.full(len(values), 0.06), "v", color=ink, markersize=4, transform=ax.get_xaxis_transform())
    ax.set(yscale="log", ylim=(floor, None), xlabel="eigenvalue")
    loss = float(ds.loss.isel(classes=-1, seed=0, step=k))
    ax.set_title(f"{int(ds.step[k]):,} updates, loss {loss:.2g}", loc="left")


def by_rank(ax, values: xarray.DataArray, each: bool) -> None:
    """Numbers by rank, less C - 1: of ``each`` network as parts of the (C - 1)-th, or the means over networks."""
    for (colour, _), classes in zip(LINES[2:], values.classes.values.tolist(), strict=False):
        found = values.sel(classes=classes).transpose("step", "pair", "seed").values
        rank = np.arange(found.shape[1]) + 2 - classes
        if each:
            ax.plot(rank, found[0] / found[0, classes - 2], color=colour, linewidth=0.6)
        else:
            for rows, line in zip(found, ("-", "--"), strict=False):
                ax.plot(rank, rows.mean(-1), line, color=colour, linewidth=0.9)
    ax.axvline(0.5, color="0.4", linestyle=":", linewidth=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlabel("rank - (C - 1)")


def gap(ax, ds: xarray.Dataset) -> None:
    """How much wider the gap after C - 1 eigenvalues is than its neighbours, by the number of updates."""
    place = np.arange(ds.sizes["step"])
    for (colour, mark), classes in zip(LINES[2:], ds.classes.values.tolist(), strict=False):
        found = ds.wider.sel(classes=classes).transpose("seed", "step").values
        reach = stats.t.ppf(0.975, len(found) - 1) * found.std(0, ddof=1) / len(found) ** 0.5
        ax.errorbar(place, found.mean(0), reach, color=colour, marker=mark, markersize=4, capsize=2, linewidth=0.9)
    ax.axhline(0, color="0.4", linestyle=":", linewidth=0.8)
    ax.set_xticks(place, [f"{int(n):,}" for n in ds.step.values])
    ax.set(xlabel="updates", ylabel="gap after C - 1, less its\nneighbours' (ln)")


def page(ds: xarray.Dataset) -> Figure:
    """Densities at three times, eigenvalues by rank in the middle, and the gap by the number of updates."""
    made = Figure(figsize=(WIDTH, 4.9), layout="constrained")
    above, below = made.subfigures(2, 1, height_ratios=(1, 1.1))
    k, axes = middle(ds), above.subplots(1, 3)
    for ax, at in zip(axes, (0, k, ds.sizes["step"] - 1), strict=True):
        density(ax, ds, at)
    axes[0].set_ylabel(f"density, {int(ds.classes[-1])} classes")
    ranks, shares, gaps = below.subplots(1, 3, width_ratios=(1, 1, 1.3))
    for ax, name, at in ((ranks, "value", [k]), (shares, "share", [k, -1])):
        by_rank(ax, ds[name].isel(step=at), name == "value")
        ax.set_title(f"after {int(ds.step[k])} updates" + " and at the end" * (len(at) > 1), loc="left")
    ranks.set_yscale("log")
    ranks.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    ranks.yaxis.set_major_formatter("{x:g}")
    ranks.yaxis.set_minor_formatter(NullFormatter())
    ranks.set_ylabel("eigenvalue / the (C - 1)-th")
    shares.set(ylabel="share in class means", ylim=(0, 1))
    gap(gaps, ds)
    for ax in (*axes, ranks, shares, gaps):
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    inks = zip(LINES[2:], ds.classes.values.tolist(), strict=False)
    handles = [Line2D([], [], color=c, marker=m, markersize=4, label=f"{n} classes") for (c, m), n in inks]
    handles += [Line2D([], [], color=LINES[1][0], marker="v", linestyle="", label="more than half in class means")]
    handles += [Line2D([], [], color="0.5", marker="v", linestyle="", label="less")]
    note = (
        f"scikit-learn's digits (8 x 8, not MNIST), the first C of them, 64-{ds.attrs['units']}-{ds.attrs['units']}-C "
        f"ReLU units, cross entropy, SGD with momentum; {ds.sizes['seed']} starts. Above: one network; bands, the "
        "interval of 95 % of the mean over probes. Residuals of eigenvalues are at most "
        f"{float((ds.residual / ds.value.isel(pair=0)).max()):.1g} of the largest. Below, from the left: a line a "
        "network; means over networks, dashed at the end; mean and its interval of 95 % (Student)."
    )
    headed(made, title(ds), [note], handles, columns=5)
    return made


draw = plots.drawing(__file__, page, "when in training C - 1 eigenvalues stand apart from the rest of the spectrum")

if __name__ == "__main__":
    plots.command(draw)

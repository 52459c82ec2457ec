"""Filter-normalised surfaces without and with a batch norm, from the store of ``experiments/filter_normalised.py``.

    python figures/filter_normalised.py [STORE] [FOLDER]

One network without and one with a batch norm, the latter by three policies: the same axes, directions and scale of
colours; on the right the loss one step away for every network. A second.
"""

import numpy as np
import xarray
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.look import LOSS, WIDTH
from landscape.plots.parts import headed

POLICIES = {
    "none": "a  no batch norm",
    "frozen": "b  frozen statistics",
    "batch": "c  of 50 images each time",
    "recomputed": "d  recomputed at each point",
}


def title(ds: xarray.Dataset) -> str:
    """The finding, from the numbers: how far apart the policies of one network are."""
    high, low = (float(ds["away"].sel(policy=name).mean()) for name in ("frozen", "recomputed"))
    return f"With a batch norm the loss a step away is {high:.1f} by frozen statistics, {low:.1f} by recomputed ones"


def ends(ax, ds: xarray.Dataset) -> None:
    """The loss a step away for every network, by policy."""
    for (colour, mark), (k, policy) in zip(LINES, enumerate(POLICIES), strict=False):
        found = ds["away"].sel(policy=policy).values
        ax.plot(np.linspace(k - 0.2, k + 0.2, len(found)), found, mark, color=colour, markersize=4)
    ax.axhline(np.log(10), color="0.4", linestyle=":", linewidth=0.8)
    ax.set(yscale="log", ylabel="mean loss one step away")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(range(len(POLICIES)), ["none", "frozen", "50", "recom-\nputed"])
    ax.set_title("e  every network", loc="left")
    ax.grid(alpha=0.4)
    ax.spines[["top", "right"]].set_visible(False)


def page(ds: xarray.Dataset) -> Figure:
    """The four surfaces, and the losses a step away."""
    made = Figure(figsize=(WIDTH, 5.0), layout="constrained")
    left, right = made.subfigures(1, 2, width_ratios=(2.1, 1))
    axes = left.subplots(2, 2, sharex=True, sharey=True)
    norm = LogNorm(float(ds.loss.min()), float(ds.loss.max()))
    mesh = None
    for ax, (policy, name) in zip(axes.flat, POLICIES.items(), strict=True):
        values = ds.loss.sel(policy=policy).transpose("b", "a")
        mesh = ax.pcolormesh(ds.a, ds.b, values, cmap=LOSS, norm=norm, shading="nearest", rasterized=True)
        steps = np.geomspace(norm.vmin, norm.vmax, 10)[1:-1]
        ax.contour(ds.a, ds.b, values, steps, colors="white", linewidths=0.3)
        ax.set_title(name, loc="left")
        ax.set_aspect("equal")
    for ax in axes[-1]:
        ax.set_xlabel("along a")
    for ax in axes[:, 0]:
        ax.set_ylabel("along b")
    left.colorbar(mesh, ax=axes, label="loss", shrink=0.7)
    ends(right.subplots(), ds)
    note = (
        f"scikit-learn's digits (8 x 8, not MNIST), {ds.attrs['examples']} images, three convolutions of 8, 16 and 32 "
        f"channels, {ds.attrs['updates']} updates of Adam. b to d: one network. e: {ds.sizes['seed']} networks of "
        "each kind, directions of their own; a and b in filter-normalised steps; mean over the circle one step away; "
        "dotted, the loss of a guess, ln 10."
    )
    headed(made, title(ds), [note])
    return made


draw = plots.drawing(__file__, page, "how much the picture of a batch norm depends on which statistics it uses")

if __name__ == "__main__":
    plots.command(draw)

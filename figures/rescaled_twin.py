"""A network and its rescaled twins by four rules, from the store of ``experiments/rescaled_twin.py``.

    python figures/rescaled_twin.py [STORE] [FOLDER]

A row for the network and each twin, all the same function; a column for each rule that the lengths of directions
follow; one scale of colours. On each twin the largest change of the surface over its range. A second.
"""

import numpy as np
import xarray
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from landscape import plots
from landscape.plots.look import LOSS, WIDTH
from landscape.plots.parts import headed

RULES = {
    "same": "not normalised\n(same)",
    "layer": "layer by layer\n(layer)",
    "last": "filter by filter\n(last axis)",
    "every": "weight by weight\n(every)",
}
ROWS = {"the network": "the network", "one factor": "twin:\none factor, 8", "a factor a unit": "twin:\na factor a unit"}


def title(ds: xarray.Dataset) -> str:
    """The finding, from the numbers: which rules leave all pictures alone."""
    most = ds.change.max(("seed", "twin"))
    safe = [str(rule) for rule in ds.rule.values if float(most.sel(rule=rule)) < 1e-6]
    only = f"only by the rule {' and '.join(safe)}" if safe else "by no rule"
    return f"One function, three networks: {only} do all have the same picture"


def page(ds: xarray.Dataset) -> Figure:
    """The pictures of the first seed."""
    made = Figure(figsize=(WIDTH, 5.5), layout="constrained")
    axes = made.subplots(len(ROWS), len(RULES), sharex=True, sharey=True)
    one = ds.isel(seed=0)
    first = one.loss.sel(twin="the network")
    norm = LogNorm(max(float(first.min()), 1e-6), float(first.max()))
    mesh = None
    for row, (twin, name) in zip(axes, ROWS.items(), strict=True):
        row[0].set_ylabel(f"{name}\nb", linespacing=1.3)
        for ax, rule in zip(row, RULES, strict=True):
            values = one.loss.sel(twin=twin, rule=rule).transpose("b", "a")
            mesh = ax.pcolormesh(ds.a, ds.b, values, cmap=LOSS, norm=norm, shading="nearest", rasterized=True)
            ax.contour(ds.a, ds.b, values, np.geomspace(norm.vmin, norm.vmax, 8)[1:], colors="white", linewidths=0.3)
            if twin != "the network":
                change = float(one.change.sel(twin=twin, rule=rule))
                seen = [withStroke(linewidth=2.2, foreground="black")]
                said = f"change {short(change)}" if change else "no change"
                ax.text(0.04, 0.94, said, transform=ax.transAxes, va="top", color="white", path_effects=seen)
            ax.set_aspect("equal")
    for ax, name in zip(axes[0], RULES.values(), strict=True):
        ax.set_title(name)
    for ax in axes[-1]:
        ax.set_xlabel("a")
    made.colorbar(mesh, ax=axes, label="training loss", shrink=0.6, extend="max")
    note = (
        f"scikit-learn's digits (8 x 8, not MNIST), {ds.attrs['examples']:,} images, 64-{ds.attrs['units']}-"
        f"{ds.attrs['units']}-10 ReLU units, float64, two random directions of one key, lengths by the rule; a and b "
        f"in units of these. Change: the largest difference over the range of the network's own surface. The first of "
        f"{ds.sizes['seed']} networks; by the medians of all, twins with a factor a "
        f"unit change by {', '.join(tell(ds, rule) for rule in RULES)} times the range."
    )
    headed(made, title(ds), [note])
    return made


def short(change: float) -> str:
    """A change in digits that can be known."""
    return f"{change:.0f}" if change >= 10 else f"{change:.2g}"


def tell(ds: xarray.Dataset, rule: str) -> str:
    """The median change of a rule in words."""
    return f"{short(float(ds.change.sel(twin='a factor a unit', rule=rule).median()))} ({rule})"


draw = plots.drawing(__file__, page, "what a rescaled twin of a network does to its picture, by four rules of lengths")

if __name__ == "__main__":
    plots.command(draw)

"""Two minima and the ways between them, from the store of ``experiments/two_minima.py``.

    python figures/two_minima.py [STORE] [FOLDER]

Above, the loss over the plane through two networks and the bend of the curve that joins them, with the curve and the
line; below, the loss along each way, and the barrier of every pair by the width of the networks. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.look import LOSS, WIDTH
from landscape.plots.parts import headed

WAYS = {"line": "line", "aligned": "line to the aligned network", "bend": "trained curve"}


def title(ds: xarray.Dataset) -> str:
    """The finding, from the numbers: what is left of the barrier of the width that is drawn."""
    found = ds.barrier.sel(units=ds.attrs["drawn"], images="train")
    aligned, bend = (float((found.sel(path=p) / found.sel(path="line")).mean()) for p in ("aligned", "bend"))
    parts = f"{aligned:.1%} is left with units aligned, {bend:.2%} on a bent curve"
    return f"The barrier at {ds.attrs['drawn']} units: {parts}"


def plane(figure: Figure, ax, ds: xarray.Dataset) -> None:
    """The plane through the ends and the bend, with the line and the curve."""
    values = ds["plane"].transpose("across", "along")
    low, high = float(values.min()), float(np.quantile(values, 0.98))
    norm = LogNorm(max(low, 1e-5), high)
    mesh = ax.pcolormesh(ds.along, ds.across, values, cmap=LOSS, norm=norm, shading="gouraud", rasterized=True)
    steps = np.geomspace(norm.vmin, norm.vmax, 9)[1:-1]
    ax.contour(ds.along, ds.across, values, steps, colors="white", linewidths=0.3)
    seen = [withStroke(linewidth=2.6, foreground="white")]
    for (x, y), path in (((ds.x, ds.y), "bend"), (([0, 1], [0, 0]), "line")):
        colour = LINES[list(WAYS).index(path)][0]
        ax.plot(x, y, color=colour, linewidth=1.4, path_effects=seen)
    ax.plot([0, 1], [0, 0], "o", color="black", markersize=5, markeredgecolor="white")
    ax.set(xlabel="from one network to the other (1 = their distance)", ylabel="towards the bend (same scale)")
    ax.set_aspect("equal")
    figure.colorbar(mesh, ax=ax, label="training loss", shrink=0.9, extend="max")


def page(ds: xarray.Dataset) -> Figure:
    """The plane, the losses along the ways, and the barriers."""
    made = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    grid = made.add_gridspec(2, 2, height_ratios=(1.4, 1))
    whole, along, barriers = (made.add_subplot(part) for part in (grid[0, :], grid[1, 0], grid[1, 1]))
    plane(made, whole, ds)
    drawn = ds.loss.sel(units=ds.attrs["drawn"], images="train")
    for (colour, mark), (path, name) in zip(LINES, WAYS.items(), strict=False):
        along.plot(ds.t, drawn.sel(path=path).transpose("t", "pair"), color=colour, linewidth=0.6, alpha=0.7)
        along.plot([], [], color=colour, label=name)
        found = ds.barrier.sel(path=path, images="train").transpose("units", "pair")
        x = np.repeat(ds.units.values, found.sizes["pair"]) * 2 ** (0.25 * (list(WAYS).index(path) - 1))
        barriers.plot(x, found.values.ravel(), mark, color=colour, markersize=3.5, alpha=0.8)
    along.set(yscale="log", xlabel="t along the way", ylabel="training loss")
    barriers.set(xscale="log", xlabel="units in each hidden layer", ylabel="barrier")
    barriers.set_yscale("symlog", linthresh=1e-3)
    barriers.set_ylim(-2e-4, 2 * float(ds.barrier.max()))
    barriers.set_xticks(ds.units.values, [str(n) for n in ds.units.values], minor=False)
    barriers.minorticks_off()
    for ax, name in zip((whole, along, barriers), ("a  the plane", "b  along each way", "c  barriers"), strict=True):
        ax.set_title(name, loc="left")
    for ax in (along, barriers):
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    note = (
        "scikit-learn's digits (8 x 8, not MNIST), 1,440 images, ReLU networks with two hidden layers, Adam, "
        f"{ds.attrs['updates']:,} updates of 64 images. a, b: {ds.attrs['drawn']} units; a: the first pair, the curve "
        f"lies in the plane. b: a line for each of {ds.sizes['pair']} pairs. c: every pair; linear below .001."
    )
    headed(made, title(ds), [note], along.get_legend_handles_labels()[0], columns=3)
    return made


draw = plots.drawing(__file__, page, "what lies between two networks: on the line, with units aligned, along a bend")

if __name__ == "__main__":
    plots.command(draw)

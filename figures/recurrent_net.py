"""The loss around recurrent networks as the sequence grows, from the store of ``experiments/recurrent_net.py``.

    python figures/recurrent_net.py [STORE] [FOLDER]

A row of surfaces for each cell, one scale of colours; below, the largest gradient of the surface and the loss of the
network itself against the length. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import stats

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.look import LOSS, WIDTH
from landscape.plots.parts import headed

SHOWN = 5  # lengths


def title(ds: xarray.Dataset) -> str:
    """The finding, from the numbers: the largest gradient at the last length, by cell."""
    last = ds.steep.isel(length=-1).mean("seed")
    each = [f"{10 ** float(last.sel(cell=cell)):.2g} ({cell})" for cell in ds.cell.values.tolist()]
    return (
        f"After {int(ds.length[-1])} steps the steepest gradient one filter-normalised step around is {', '.join(each)}"
    )


def band(ax, x, runs: xarray.DataArray, colour: str) -> None:
    """The mean over seeds and its interval of 95 % (Student)."""
    count, mean = runs.sizes["seed"], runs.mean("seed").values
    half = stats.t.ppf(0.975, count - 1) * runs.std("seed", ddof=1).values / count**0.5
    ax.plot(x, mean, color=colour)
    ax.fill_between(x, mean - half, mean + half, color=colour, alpha=0.18, linewidth=0)


def page(ds: xarray.Dataset) -> Figure:
    """Surfaces by length for each cell; steepness and loss against the length."""
    made = Figure(figsize=(WIDTH, 5.8), layout="constrained")
    above, below = made.subfigures(2, 1, height_ratios=(1.55, 1))
    lengths = np.unique(np.geomspace(int(ds.length[0]), int(ds.length[-1]), SHOWN).round().astype(int))
    cells = ds.cell.values.tolist()
    axes = above.subplots(len(cells), len(lengths), sharex=True, sharey=True, squeeze=False)
    shown = ds.loss.sel(length=lengths)
    norm = LogNorm(float(shown.min()), float(shown.max()))
    mesh = None
    for row, cell in zip(axes, cells, strict=True):
        for ax, length in zip(row, lengths, strict=True):
            values = shown.sel(cell=cell, length=length).transpose("b", "a")
            mesh = ax.pcolormesh(ds.a, ds.b, values, cmap=LOSS, norm=norm, shading="nearest", rasterized=True)
            ax.set_aspect("equal")
        row[0].set_ylabel(f"{cell}\nalong b")
    for ax, length in zip(axes[0], lengths, strict=True):
        ax.set_title(f"T = {length}")
    for ax in axes[-1]:
        ax.set_xlabel("along a")
    above.colorbar(mesh, ax=axes, label="mean loss", shrink=0.8)
    steep, middle = below.subplots(1, 2)
    for (colour, _), cell in zip(LINES, cells, strict=False):
        band(steep, ds.length, ds.steep.sel(cell=cell), colour)
        band(middle, ds.length, ds.middle.sel(cell=cell), colour)
    middle.axhline(np.log(10), color="0.4", linestyle=":", linewidth=0.8)
    steep.set(xlabel="length T (pixels read)", ylabel="log10 of the largest gradient")
    middle.set(xlabel="length T (pixels read)", ylabel="loss of the network")
    for ax in (steep, middle):
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    handles = [Line2D([], [], color=c, label=cell) for (c, _), cell in zip(LINES, cells, strict=False)]
    handles.append(Line2D([], [], color="0.4", linestyle=":", label="a guess, ln 10"))
    note = (
        f"scikit-learn's digits (8 x 8, not MNIST), a pixel a step, {ds.attrs['units']} units, trained to answer after "
        f"the last one, {ds.attrs['updates']} updates of Adam; loss of {ds.attrs['examples']} images, a and b in "
        f"filter-normalised steps. Above: the first of {ds.sizes['seed']} networks. Below: mean over networks and its "
        "interval of 95 % (Student)."
    )
    headed(made, title(ds), [note], handles)
    return made


draw = plots.drawing(__file__, page, "how the loss around a trained recurrent network changes as its sequence grows")

if __name__ == "__main__":
    plots.command(draw)

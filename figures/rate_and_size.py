"""Validation loss over rate, size and momentum, and what the start foretells: from ``experiments/rate_and_size.py``.

    python figures/rate_and_size.py [STORE] [FOLDER]

The loss after training over the planes of rate and size and of rate and momentum, with the edge beyond which training
fails, traced by `cliffs`, and the one that the largest curvature of the start foretells. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.parts import headed


def title(ds: xarray.Dataset) -> str:
    """The finding, from the numbers: whether the edges are where the start says."""
    pairs = ((ds.edge, ds.foretold, "size"), (ds.moved_edge, ds.moved_foretold, "momentum"))
    ratios = {along: (edge / foretold).values for edge, foretold, along in pairs}
    off = {along: ratio for along, ratio in ratios.items() if not np.all(np.abs(np.log(ratio)) < step(ds))}
    told = [
        f"by {along} at {np.nanmin(r):.1f} to {np.nanmax(r):.1f} of it" for along, r in off.items() if (r > 0).any()
    ]
    if len(told) < len(off):
        return "Training fails nowhere on part of these planes"
    kept = "whatever the " + " and ".join(along for along in ratios if along not in off)
    parts = [f"where 2 / λ of the start says, {kept}" if len(off) < 2 else "not where 2 / λ of the start says", *told]
    return f"Training fails {'; '.join(parts)}"


def step(ds: xarray.Dataset) -> float:
    """The distance of two rates, in the logarithm."""
    return float(np.log(ds.rate[1] / ds.rate[0]))


def plane(ax: Axes, ds: xarray.Dataset, loss: xarray.DataArray, foretold: str, edge: str) -> ScalarMappable:
    """One plane of losses, with the edge that was traced and the one that the start foretells."""
    along, rows = str(ds[edge].dims[0]), np.arange(ds[edge].size)
    shown = np.clip(np.nan_to_num(loss.transpose(along, "rate").values, nan=np.inf), None, ds.attrs["chance"])
    drawn = ax.pcolormesh(ds.rate, rows, shown, cmap="viridis", shading="nearest")
    ax.plot(ds[edge], rows, "x-", color="#D55E00", label="training fails, traced on the plane")
    ax.plot(ds[foretold], rows, "o", color="white", markeredgecolor="black", label="foretold by 2 / λ of the start")
    ax.set(xscale="log", xlabel="learning rate", yticks=rows)
    ax.set_yticklabels([f"{value:g}" for value in ds[along].values])
    return drawn


def page(ds: xarray.Dataset) -> Figure:
    """Both planes."""
    made, about = Figure(figsize=(7.2, 3.8), layout="constrained"), ds.attrs
    left, right = made.subplots(1, 2)
    plane(left, ds, ds.val_loss.isel(update=-1), "foretold", "edge")
    drawn = plane(right, ds, ds.moved, "moved_foretold", "moved_edge")
    left.plot(ds["first"], np.arange(ds.sizes["size"]), "+", color="white", markersize=8)
    left.set_ylabel("units")
    right.set_ylabel(f"momentum, {int(ds['size'].max())} units")
    made.colorbar(drawn, ax=[left, right], label="validation loss, nats a symbol", location="right", aspect=25)
    name = "V, the LSTM with peepholes" if about["cell"] == "LSTMPeephole" else about["cell"]
    strings = f"{about['strings']} {about['task'].partition('(')[0].capitalize()} strings"
    note = (
        f"{name}, next symbols of {strings}, T = 20, gradient descent on all of them for {ds.sizes['update']} updates, "
        f"one start a row, {ds.sizes['rate']} rates; losses are those of as many other strings, a blind guess's at "
        f"most ({about['chance']:.2f}; the least is {about['floor']:.2f}), so there are no error bars. White crosses: "
        "the first update raises the loss. λ: the largest eigenvalue of the Hessian at the start; with Nesterov's "
        "momentum m the step of a parabola grows from 2 (1 + m) / (1 + 2 m) / λ."
    )
    headed(made, title(ds), [note], left.get_legend_handles_labels()[0], columns=2)
    return made


draw = plots.drawing(
    __file__, page, "where training fails over rate, size and momentum, and that the start foretells it"
)

if __name__ == "__main__":
    plots.command(draw)

"""Validation loss over rate and size, from the store of ``experiments/rate_and_size.py``, and what the start foretells.

    python figures/rate_and_size.py [STORE] [FOLDER]

Left, the loss after training over the plane of rate and size, with the rate from which the first update raises the loss
and 2 / lambda of the start; right, the same against the rate. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.curves import inks
from landscape.plots.parts import headed


def title(ds: xarray.Dataset) -> str:
    """The finding, from the numbers: whether the edge is where the start says, and whether it moves with the size."""
    ratio = (ds["first"] / ds.foretold).values
    step = float(ds.rate[1] / ds.rate[0])
    known = np.isfinite(ratio)
    near = known.any() and np.all(np.abs(np.log(ratio[known])) < np.log(step))
    told = "where 2 / λ of the start says" if near else f"at {np.nanmin(ratio):.1f} to {np.nanmax(ratio):.1f} of 2 / λ"
    spread = float(np.nanmax(ds["first"]) / np.nanmin(ds["first"])) if known.any() else float("nan")
    size = "whatever the size" if spread < step**1.5 else f"and moves by a factor {spread:.1f} with the size"
    return f"The first update overshoots {told}, {size}"


def page(ds: xarray.Dataset) -> Figure:
    """The plane, and cuts through it."""
    made, about = Figure(figsize=(7.2, 3.6), layout="constrained"), ds.attrs
    left, right = made.subplots(1, 2)
    last = ds.val_loss.isel(update=-1)
    shown = np.clip(np.nan_to_num(last.values, nan=np.inf), None, about["chance"])
    drawn = left.pcolormesh(ds.rate, np.arange(ds.sizes["size"]), shown, cmap="viridis", shading="nearest")
    rows = np.arange(ds.sizes["size"])
    left.plot(ds.foretold, rows, "o", color="white", markeredgecolor="black", label="2 / λ of the start")
    left.plot(ds["first"], rows, "x", color="#D55E00", label="first update raises the loss")
    left.plot(ds["last"], rows, "+", color="#D55E00", label="training ends above its start")
    left.set(xscale="log", xlabel="learning rate", ylabel="units", yticks=rows)
    left.set_yticklabels([str(int(size)) for size in ds["size"].values])
    for (ink, mark), size in zip(inks(None), ds["size"].values, strict=False):
        one = last.sel(size=size)
        right.plot(ds.rate, np.clip(one, None, 2 * about["chance"]), color=ink, marker=mark, markersize=3,
                   label=f"{int(size)} units")  # fmt: skip
        right.axvline(float(ds.foretold.sel(size=size)), color=ink, linewidth=0.7, linestyle=":")
    for level, style in ((about["floor"], "-"), (about["memoryless"], "--")):
        right.axhline(level, color="0.3", linewidth=0.7, linestyle=style)
    right.set(xscale="log", xlabel="learning rate", ylabel="validation loss (nats a symbol)")
    right.set_ylim(about["floor"] - 0.05, 2 * about["chance"])
    right.legend()
    right.grid(alpha=0.4)
    made.colorbar(drawn, ax=left, label="validation loss, a guess at most", location="right", aspect=25)
    name = "V, the LSTM with peepholes" if about["cell"] == "LSTMPeephole" else about["cell"]
    strings = f"{about['strings']} {about['task'].partition('(')[0].capitalize()} strings"
    note = (
        f"{name}, next symbols of {strings}, T = 20, gradient descent on all of them for {ds.sizes['update']} updates, "
        f"one start a size, {ds.sizes['rate']} rates; losses are those of as many other strings, so there are no error "
        "bars. Dotted: 2 / λ, λ the largest eigenvalue of the Hessian at the start. Grey: the least loss, and that "
        "without the outer symbol (dashed)."
    )
    headed(made, title(ds), [note], left.get_legend_handles_labels()[0], columns=3)
    return made


draw = plots.drawing(__file__, page, "where training diverges over rate and size, and that the start foretells it")

if __name__ == "__main__":
    plots.command(draw)

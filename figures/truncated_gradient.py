"""The truncated gradient beside the gradient, from the store of ``experiments/truncated_gradient.py``.

    python figures/truncated_gradient.py [STORE] [FOLDER]

Above, the angle between the two fields over a plane of one unit; below, which starts each leads to the memory. Two
seconds.
"""

import numpy as np
import xarray
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from landscape import plots
from landscape.plots.parts import headed

ENDS = {"neither learns": "#f0f0f0", "both learn": "#9ecae1", "gradient alone": "#D55E00", "truncated alone": "#009E73"}


def title(ds: xarray.Dataset) -> str:
    """The finding at the longest sequences, from the numbers."""
    last = ds.isel(length=-1)
    won = {str(route): float(last.share.sel(route=route)) for route in ds.route.values}
    word = "more" if won["truncated"] > won["true"] else "fewer" if won["truncated"] < won["true"] else "as many"
    return (
        f"At T = {int(last.length)} the truncated gradient points uphill on {float(last.ascent):.0%} of the plane, and "
        f"leads {word} starts to the memory: {won['truncated']:.0%}, the gradient {won['true']:.0%}"
    )


def angles(ax, one: xarray.Dataset) -> object:
    """The angle between both fields, and the loss of a guess and of a tenth of it as contours."""
    levels = [0, 1, 3, 10, 30, 90, 180]
    shown = ax.pcolormesh(one.b_i, one.w_g, one.angle, norm=BoundaryNorm(levels, 256), cmap="magma_r", rasterized=True)
    loss = one.loss.sel(route="true")
    if float(loss.min()) < 0.5 < float(loss.max()):
        ax.contour(one.b_i, one.w_g, loss, [0.5], colors="#0072B2", linewidths=0.9)
    return shown


def ends(ax, one: xarray.Dataset) -> None:
    """What became of every start by either route."""
    code = one.learnt.sel(route="true").values + 2 * one.learnt.sel(route="truncated").values
    order = np.array([0, 2, 3, 1])[code]  # neither, gradient alone, truncated alone, both: as in ENDS
    ax.pcolormesh(one.start_b_i, one.start_w_g, order, cmap=ListedColormap([*ENDS.values()]), vmin=0, vmax=3,
                  rasterized=True)  # fmt: skip
    won = {str(route): float(one.share.sel(route=route)) for route in one.route.values}
    ax.set_title(f"gradient {won['true']:.0%}, truncated {won['truncated']:.0%}", loc="left")


def page(ds: xarray.Dataset) -> Figure:
    """A column for each length: angles above, ends of descents below."""
    made, about = Figure(figsize=(7.2, 5.4), layout="constrained"), ds.attrs
    axes = made.subplots(2, ds.sizes["length"], squeeze=False, sharex=True, sharey=True)
    for column, length in zip(axes.T, ds.length.values, strict=True):
        shown = angles(column[0], ds.sel(length=length))
        ends(column[1], ds.sel(length=length))
        column[0].set_title(f"T = {int(length)}", loc="left")
        column[1].set_xlabel("b_i, bias of the input gate")
    for ax in axes[:, 0]:
        ax.set_ylabel("w_g")
    made.colorbar(shown, ax=axes[0], label="angle (degrees)", aspect=15)
    starts = f"{ds.sizes['start_w_g']} x {ds.sizes['start_b_i']} starts"
    note = (
        f"One unit, {about['cell']} with b_o = 4, keeping a bit under noise ({about['task']}), all else at rest. Blue: "
        f"half of what a guess loses; white: no slope is left in float32. Below: {starts}, {about['steps']} updates at "
        f"rate {about['rate']:g}, both fields clipped to a norm of {about['clip']:g}, on {about['episodes']} episodes; "
        "learnt is a loss below the blue line's. No error bars: every start is one run on the same episodes."
    )
    headed(made, title(ds), [note], [Patch(color=c, label=n) for n, c in ENDS.items()], columns=4)
    return made


draw = plots.drawing(__file__, page, "where the truncated gradient leads that is no gradient")

if __name__ == "__main__":
    plots.command(draw)

"""What grids see of a cliff, from the store of ``experiments/aliasing.py``.

python figures/aliasing.py [STORE] [FOLDER]

Caption: A grid lies about cliffs. The largest exact gradient on grids of 100 to 1600 points a side falls with the
length once the cliff is thinner than the grid, while the true maximum grows exponentially (left); the jump of the loss
between neighbouring points still shows the cliff (right).
"""

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.curves import AXES
from landscape.plots.look import WIDTH
from landscape.plots.parts import headed


def page(ds: xarray.Dataset) -> Figure:
    """The largest gradient and the largest jump, a line for each grid, beside the true gradient."""
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for side, shade in zip(ds.side.values, np.linspace(0, 0.85, ds.sizes["side"]), strict=True):
        look = {"color": mpl.colormaps["viridis"](shade), "marker": "o", "markersize": 3, "linewidth": 1}
        left.plot(ds.length, ds.sampled.sel(side=side), label=f"{side} × {side}", gid=f"sampled {side}", **look)
        right.plot(ds.length, ds.jump.sel(side=side), gid=f"jump {side}", **look)
    top = 1e12
    left.plot(ds.length, 10**ds.theory, color="black", linewidth=0.8, linestyle="--", label="λᵀ")
    left.plot(ds.length, ds.true, "D", color="black", markersize=3.5, label="true (refined cuts)", gid="true")
    left.set(xscale="log", yscale="log", ylim=(0.5, top), ylabel="largest |dE/db|", title="gradient at the points")
    right.set(
        xscale="log",
        ylim=(0, 1.15 * float(ds.jump.max())),
        ylabel="largest jump of the loss",
        title="from point to point",
    )
    for ax in (left, right):
        ax.set(xlabel=AXES["length"])
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    left.legend(loc="upper right", title="points of the grid")
    (w_low, w_high), (b_low, b_high) = ds.w, ds.b
    note = (
        f"Pascanu's map from x_0 = 0.5, loss (logistic(x_T) - 0.7)², w in [{w_low:g}, {w_high:g}], b in [{b_low:g}, "
        f"{b_high:g}], float64. True values end where float64 cannot resolve the cliff; dashed: by theory."
    )
    headed(figure, "The largest sampled gradient falls while the true one explodes", [ds.finding, note])
    return figure


draw = plots.drawing(__file__, page, "a grid of exact gradients sees less of a cliff the steeper it is")

if __name__ == "__main__":
    plots.command(draw)

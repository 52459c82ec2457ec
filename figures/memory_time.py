"""Memory time of a noisy unit over its weight and the noise, from the store of ``experiments/memory_time.py``.

python figures/memory_time.py [STORE] [FOLDER]

Caption: Time -1/ln|lambda_2| for which a tanh unit keeps a bit under Gaussian noise of the state, exact (colours, solid
lines), by Kramers' estimate (dashed), and the modulus of bounded noise below which it keeps it for ever (red line).
"""

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from landscape import plots
from landscape.plots.look import LOSS, NONFINITE
from landscape.plots.parts import headed, label

DECADES = (1, 2, 3, 4, 6, 8, 10)
BEYOND, KRAMERS = "0.75", "#ffb000"


def contours(ax, ds: xarray.Dataset, log: np.ndarray, first: int = 1, **look):
    """Lines of equal time at some decades, where there are any."""
    decades = [k for k in DECADES if k >= first and log.min() < k < log.max()]
    return ax.contour(ds.w, ds.sigma, log, decades, **look) if decades else None


def page(ds: xarray.Dataset) -> Figure:
    """The map, with contours of both times at the same decades."""
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    ax = figure.add_subplot()
    top = float(ds.time.where(np.isfinite(ds.time)).max())
    colours = mpl.colormaps[LOSS].with_extremes(bad=BEYOND)
    shown = np.ma.masked_invalid(ds.time)
    look = {"norm": LogNorm(1, top), "cmap": colours, "shading": "nearest", "rasterized": True, "gid": "time"}
    mesh = ax.pcolormesh(ds.w, ds.sigma, shown, **look)
    lines = contours(ax, ds, np.log10(shown), colors="white", linewidths=1)
    if lines:
        ax.clabel(lines, fmt=lambda k: f"$10^{{{k:.0f}}}$", fontsize=7)
    contours(ax, ds, np.log10(np.ma.masked_invalid(ds.kramers)), 2, colors=KRAMERS, linewidths=0.9, linestyles="--")
    inside = (ds.bound >= ds.sigma[0]) & (ds.bound <= ds.sigma[-1])
    ax.plot(ds.w[inside], ds.bound[inside], color=NONFINITE, linewidth=1.6, gid="bound")
    ax.set(yscale="log", xlabel=label(ds, "w"), ylabel="noise of the state σ = |u| sd, or |u| e (dimensionless)")
    ax.set(xlim=ds.w.values[[0, -1]], ylim=ds.sigma.values[[0, -1]])
    ticks = [s for s in (0.05, 0.1, 0.2, 0.4, 0.8) if ds.sigma[0] <= s * 1.001 and s <= ds.sigma[-1] * 1.001]
    ax.set_yticks(ticks, [f"{s:g}" for s in ticks])
    ax.set_yticks([], minor=True)
    figure.colorbar(mesh, ax=ax, pad=0.02, label="memory time -1/ln λ₂ (steps)")
    handles = [
        Line2D([], [], color="white", linewidth=1.4, label="exact"),
        Line2D([], [], color=KRAMERS, linestyle="--", linewidth=0.9, label="Kramers' estimate"),
        Line2D([], [], color=NONFINITE, linewidth=1.6, label="|u| e = B(w, u): bounded noise e"),
        Patch(facecolor=BEYOND, edgecolor="0.3", linewidth=0.6, label="longer than float64 can tell"),
    ]
    ax.legend(handles=handles, loc="lower right")
    note = (
        f"a' = w tanh(a) + u x, u = {ds.u:g}, b = 0; eigenvalues on {ds.sizes['w']} × {ds.sizes['sigma']} points, "
        "no sampling. Noise of modulus e below the bound never loses the bit."
    )
    headed(figure, "Above w = 1 memory outlasts any sequence as the noise falls", [ds.finding, note])
    return figure


draw = plots.drawing(__file__, page, "weight and noise decide for how long a bit is kept")

if __name__ == "__main__":
    plots.command(draw)

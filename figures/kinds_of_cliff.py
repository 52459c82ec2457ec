"""The cliffs of Pascanu's map by kind and growth, from the store of ``experiments/kinds_of_cliff.py``.

python figures/kinds_of_cliff.py [STORE] [FOLDER]

Caption: The cliffs of Pascanu's map from x_0 = .5. Left: where they stand as T -> inf, coloured by kind; lines are as
thick as the cliff grows fast. Right: growth of the steepest slope measured on cuts, against the logarithm of the
unstable state's multiplier (basin cliffs and period two), and as a power of the length (fold cliffs, in theory 3).
"""

import numpy as np
import xarray
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.look import WIDTH
from landscape.plots.parts import headed

COLOURS = {"basin": ("#0072B2", "o"), "fold": ("#D55E00", "s"), "period two": ("#009E73", "^")}


def places(ax, ds: xarray.Dataset) -> None:
    """Cliffs by kind over w and b + w/2, and behind them where there are three fixed points or a 2-cycle."""
    half = ds.w / 2
    ax.fill_between(ds.w, ds.upper_fold + half, ds.lower_fold + half, color="0.82", linewidth=0)
    ax.fill_between(ds.w, ds.lower_flip + half, ds.upper_flip + half, color="0.92", linewidth=0)
    path = np.stack([ds.w, ds.cliff + half], -1)
    for kind, (colour, _) in COLOURS.items():
        here = (ds.kind == kind).values
        pairs = here[1:] & here[:-1]
        widths = 1.5 + 6 * np.log(np.abs(ds.multiplier.values[1:][pairs]))
        segments = np.stack([path[:-1], path[1:]], 1)[pairs]
        ax.add_collection(LineCollection(segments, linewidths=widths, color=colour, gid=kind))
        ax.plot([], [], color=colour, linewidth=2.5, label=kind)
    ax.annotate("2-cycle", (-6.5, -1.5), ha="center")
    ax.annotate(
        "three fixed\npoints", (6.5, 0.3), (5.5, 1.7), ha="center", arrowprops={"arrowstyle": "-", "linewidth": 0.5}
    )
    ax.set(xlabel="recurrent weight $w$", ylabel="bias from the symmetric line, $b + w/2$")
    ax.set(xlim=ds.w.values[[0, -1]], title="where cliffs stand")
    ax.legend(loc="upper right", title="cliffs")


def page(ds: xarray.Dataset) -> Figure:
    """The plane on the left, measured against predicted growth on the right."""
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.35, 1))
    plane, rate, power = (figure.add_subplot(part) for part in (grid[:, 0], grid[0, 1], grid[1, 1]))
    places(plane, ds)
    ends = [0, 1.1 * float(ds.predicted.max())]
    rate.plot(ends, ends, color="0.5", linewidth=0.8, label="measured = predicted")
    for kind, (colour, mark) in COLOURS.items():
        part = ds.isel(at=np.flatnonzero(ds.kind_at == kind))
        ax, x, y = (power, part["at"], part.power) if kind == "fold" else (rate, part.predicted, part.rate)
        ax.plot(x, y, mark, color=colour, markersize=4, label=f"{kind} cliffs", gid=f"{kind} at")
    power.axhline(3, color="0.5", linewidth=0.8, label="theory: 3")
    powers = ds.power.values[ds.kind_at.values == "fold"]
    power.set(ylim=(min(2.9, powers.min() - 0.05), max(3.1, powers.max() + 0.05)), xlabel="recurrent weight $w$")
    power.set(ylabel="d ln(slope) / d ln(T - c)", title="power of the length")
    rate.set(xlabel="ln |multiplier of the unstable state|", ylabel="d ln(slope) / dT", title="growth per step")
    for ax in (rate, power):
        ax.legend(loc="best")
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    note = (
        f"Pascanu's map from x_0 = {ds.start:g}, loss (logistic(x_T) - 0.7)². Width of lines: 1.5 points + 6 ln "
        "|multiplier|; all axes dimensionless. Each mark: a fit to the largest slopes at 7 lengths, float64; no "
        "error bars, nothing is random."
    )
    headed(figure, "Cliffs on basin boundaries grow exponentially, fold cliffs as the cube", [ds.finding, note])
    return figure


draw = plots.drawing(
    __file__, page, "each kind of cliff, where it stands, and how fast it grows, measured and predicted"
)

if __name__ == "__main__":
    plots.command(draw)

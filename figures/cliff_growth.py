"""Growth of basin and fold cliffs with the length, from the store of ``experiments/cliff_growth.py``.

python figures/cliff_growth.py [STORE] [FOLDER]

Caption: The true largest slope of the loss of Pascanu's map against the length. Basin cliffs steepen exponentially, by
the multiplier of the unstable fixed point a step (left, lines: theory); fold cliffs as the cube of the length (middle)
while they creep towards the fold as its inverse square (right).
"""

import numpy as np
import xarray
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.curves import AXES, LINES
from landscape.plots.look import WIDTH
from landscape.plots.parts import headed


def basins(ax, ds: xarray.Dataset) -> None:
    """Slopes of basin cliffs, and lines of their multiplier through the last one resolved."""
    for (colour, mark), w in zip(LINES, ds.w.values, strict=False):
        one = ds.sel(w=w).dropna("length", subset=["slope"])
        T = np.array([0, float(one.length[-1])])
        line = float(one.slope[-1]) * np.exp(np.log(float(one.multiplier)) * (T - T[-1]))
        ax.plot(T, line, color=colour, linewidth=0.8)
        name = f"w = {w:g}: λ = {float(one.multiplier):.3f}"
        ax.plot(one.length, one.slope, mark, color=colour, markersize=4, label=name, gid=f"slope {w:g}")
    ax.set(yscale="log", xlabel=AXES["length"], ylabel="largest |dE/db|", title="basin cliffs: λᵀ")


def folds(ax, ds: xarray.Dataset, what: str, power: int) -> None:
    """``slope`` or ``distance`` against T - c0, and lines of the power in theory through the last of each."""
    for (colour, mark), w in zip(LINES[3:], ds.w.values, strict=False):
        one = ds.sel(w=w).dropna("length", subset=[what])
        x = one.length - float(one["shift"])
        ax.plot(x, one[what][-1] * (x / x[-1]) ** power, color=colour, linewidth=0.8)
        name = f"w = {w:g}: c₀ = {float(one['shift']):.0f}"
        ax.plot(x, one[what], mark, color=colour, markersize=4, label=name, gid=f"{what} {w:g}")
    ax.set(xscale="log", yscale="log", xlabel="$T - c_0$ (steps)")


def page(ds: xarray.Dataset) -> Figure:
    """Basin cliffs, fold cliffs, and how far these stand from their limit."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    fold = ds.isel(w=np.flatnonzero(ds.multiplier == 1))
    basins(left, ds.isel(w=np.flatnonzero(ds.multiplier > 1)))
    folds(middle, fold, "slope", 3)
    folds(right, fold, "distance", -2)
    middle.set(ylabel="largest |dE/db|", title="fold cliffs: $(T - c_0)^3$")
    right.set(ylabel="distance from the fold, in b", title="their displacement: $(T - c_0)^{-2}$")
    for ax in (left, middle, right):
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(loc="lower left" if ax is right else "best")
    note = (
        f"Pascanu's map from x_0 = {ds.start:g}, loss (logistic(x_T) - 0.7)². Marks: maxima on refined cuts along b, "
        "float64, where it still resolves them; no error bars, nothing is random. c₀ is fitted to the displacement."
    )
    headed(figure, "Basin cliffs grow exponentially, fold cliffs as the cube of the length", [ds.finding, note])
    return figure


draw = plots.drawing(__file__, page, "two laws of growth for two kinds of cliff")

if __name__ == "__main__":
    plots.command(draw)

"""Pascanu's bifurcation diagram, from the store of ``experiments/bifurcation.py``.

python figures/bifurcation.py [STORE] [FOLDER]

Caption: Bifurcation diagram of Pascanu's map at w = 5 (after Pascanu et al. 2013, fig. 3): stable (bold) and unstable
(dashed) states, folds (filled circles), and the biases at which a start lies on the basin boundary (open circles),
possible anywhere between the folds. Below: only the crossing of the boundary makes the derivative explode.
"""

import xarray
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed, label

AT = ("data", "axes fraction")


def diagram(ax, ds: xarray.Dataset, start: float) -> None:
    """Branches of fixed points against b, folds, crossings, and where the orbits from ``start`` end."""
    for name, part in (("stable", ds.multiplier < 1), ("unstable", ds.multiplier > 1)):
        look = {"linewidth": 2.4} if name == "stable" else {"linewidth": 1.2, "linestyle": "--"}
        ax.plot(ds.bias.where(part), ds.state, color="black", label=f"{name} state", gid=name, **look)
    colour = LINES[1][0]
    ax.axhline(start, color=colour, linewidth=0.8, linestyle=":", label=f"start, x₀ = {start:g}")
    ends = ds.end.sel(start=start).isel(length=-1)
    ax.plot(ds.b, ends, ".", color=LINES[5][0], markersize=2, label=f"its orbit, T = {int(ends.length)}", gid="orbits")
    ax.plot(ds.fold_b, ds.fold_state, "o", color="black", markersize=7, label="fold", gid="folds")
    look = {"markerfacecolor": "white", "markeredgewidth": 1.3, "color": colour, "linestyle": "", "markersize": 7}
    ax.plot(ds.crossing, ds.start, "o", label="start on the boundary", gid="crossings", **look)
    for one in ds.start.values:
        at = float(ds.crossing.sel(start=one)), one
        ax.annotate(f"from {one:g}", at, (7, 4), textcoords="offset points", color=colour, fontsize=7)


def page(ds: xarray.Dataset) -> Figure:
    """The diagram, and below it the derivative of the state by b for the last of the starts."""
    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    start = float(ds.start[-1])
    diagram(top, ds, start)
    for length, (colour, _) in zip(ds.length.values[:-1], (LINES[5], LINES[0]), strict=False):
        slope = abs(ds.slope.sel(length=length, start=start))
        below.plot(ds.b, slope, color=colour, linewidth=1, label=f"T = {length}", gid=f"slope {length}")
    for fold in ds.fold_b.values:
        below.axvline(fold, color="black", linewidth=0.7)
        below.annotate("fold", (fold, 0.9), (-4, 0), xycoords=AT, textcoords="offset points", ha="right")
    below.axvline(float(ds.crossing.sel(start=start)), color=LINES[1][0], linewidth=0.7, linestyle=":")
    low, high = float(ds.b[0]), float(ds.b[-1])
    seen = (ds.bias > low) & (ds.bias < high)
    top.set(ylabel="state reached, $x_∞$ (dimensionless)", xlim=(low, high))
    top.set(ylim=(float(ds.state.where(seen).min()) - 0.2, float(ds.state.where(seen).max()) + 0.2))
    below.set(yscale="log", ylabel="$|dx_T/db|$", xlabel=label(ds, "b"))
    for ax in (top, below):
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(loc="upper left")
    note = f"Pascanu's map; fixed points in closed form, orbits and derivatives (from x₀ = {start:g}) in float64."
    title = f"At w = {ds.w:g} the gradient explodes at a basin boundary, at no fold"
    headed(figure, title, [ds.finding, note])
    return figure


draw = plots.drawing(__file__, page, "two bifurcations that no gradient feels, and a boundary that it does")

if __name__ == "__main__":
    plots.command(draw)

"""Paths of six optimisers at the wall, from the store of ``experiments/descent_paths.py``.

python figures/descent_paths.py [STORE] [FOLDER]

Caption: What a wall does to training. Colours: the distance r = |g| / |Hn| over which a gradient becomes another one;
dotted: the wall in closed form. Gradient descent steps off it by rate times gradient and is lost. Clipped, it is thrown
back and forth across the wall and follows it down into the valley.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.look import WIDTH
from landscape.plots.parts import headed, label

RADII = (-3.5, 0.0)  # ends of the colours, log10 r
LOST = 0.01  # a loss at the end that is no success
FIRST, OTHER = "black", "white"  # the start whose curves stand below, and the others
STYLES = {"gradient descent": "-", "clipped at 1": "--", "clipped at 0.1": ":"}


def paths(ax, ds: xarray.Dataset, one: xarray.Dataset) -> None:
    """The paths of one optimiser from every start, over the distance for which a gradient holds."""
    shown = np.log10(ds.radius.transpose("b", "w")).clip(*RADII)
    box = (*ds.w.values[[0, -1]], *ds.b.values[[0, -1]])
    ax.imshow(shown, extent=box, origin="lower", aspect="auto", cmap="cividis", vmin=RADII[0], vmax=RADII[1])
    ax.plot(ds.w, ds.cliff, color="black", linestyle=":", linewidth=0.9)
    for k in reversed(range(one.sizes["start"])):
        colour, edge = (OTHER, FIRST) if k else (FIRST, OTHER)
        x, y = (one[name].isel(start=k).values for name in ("at_w", "at_b"))
        seen = [withStroke(linewidth=1.6, foreground=edge, alpha=0.7)]
        ax.plot(x, y, color=colour, linewidth=0.7, path_effects=seen, zorder=2)
        look = {"color": colour, "markeredgecolor": edge, "markeredgewidth": 0.7}
        ax.plot(x[0], y[0], "o", markersize=5, zorder=4, **look)
        ax.plot(x[-1], y[-1], "X", markersize=6, zorder=5, **look)
    lost = one.moved.max("step")[one.loss.isel(step=-1).values > LOST]
    if lost.size:
        by = f"{float(lost.min()):.2g} to {float(lost.max()):.3g}" if lost.size > 1 else f"{float(lost.max()):.2g}"
        said = f"lost: {lost.size} of {one.sizes['start']},\nlongest step {by}"
        ax.text(0.03, 0.04, said, transform=ax.transAxes, va="bottom", fontsize=7)
    ax.set(xlim=box[:2], ylim=box[2:])


def spans(values: np.ndarray, steps: np.ndarray, measure, count: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """``measure`` of the values within each of ``count`` spans of steps, even by ratio, and the end of each span."""
    ends = np.unique(np.geomspace(1, steps[-1], count).astype(int))
    parts = [values[(steps > low) & (steps <= high)] for low, high in zip([0, *ends], ends, strict=False)]
    return ends, np.array([measure(part) for part in parts])


def history(ax, ds: xarray.Dataset, variable: str, measure, floor: float) -> None:
    """A variable of the paths from the first start against the updates made."""
    for (colour, _), name in zip(LINES, ds.optimiser.values, strict=True):
        x, y = spans(ds[variable].sel(optimiser=name).isel(start=0).values, ds.step.values, measure)
        look = {"color": colour, "linestyle": STYLES.get(str(name), "-."), "linewidth": 1.1}
        ax.plot(x, y.clip(min=floor), **look, label=str(name), gid=f"{variable} {name}")
    ax.set(yscale="log", xscale="log", xlim=(1, ds.sizes["step"] - 1), xlabel="updates made")
    ax.grid(alpha=0.4)
    ax.spines[["top", "right"]].set_visible(False)


def page(ds: xarray.Dataset) -> Figure:
    """A map for each optimiser; below, loss and length of the updates from the first start."""
    figure = Figure(figsize=(WIDTH, 7.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(2.1, 1))
    maps = list(top.subplots(2, 3, sharex=True, sharey=True).flat)
    for k, (ax, name) in enumerate(zip(maps, ds.optimiser.values, strict=True)):
        paths(ax, ds, ds.sel(optimiser=name))
        ax.set(title=str(name))
        ax.set(xlabel=label(ds, "w", 2) if k > 2 else "", ylabel=label(ds, "b") if k % 3 == 0 else "")
    bar = top.colorbar(maps[0].images[0], ax=maps, location="right", shrink=0.7, pad=0.01, extend="both")
    bar.set_label("log₁₀ r, r = |g| / |Hn|: how far a gradient holds")
    looks = (("o", "", "start"), ("X", "", "end"), ("", ":", "the wall"))
    marks = [Line2D([], [], color="black", marker=m, linestyle=s, markersize=5, label=t) for m, s, t in looks]
    maps[5].legend(handles=marks, loc="lower left")
    loss, moved, key = bottom.subplots(1, 3, width_ratios=(1, 1, 0.42))
    history(loss, ds, "loss", np.median, 1e-10)
    history(moved, ds, "moved", np.max, 1e-6)
    loss.set(ylabel="loss E, median of a span")
    moved.set(ylabel="longest update of a span")
    key.axis("off")
    key.legend(*loss.get_legend_handles_labels(), loc="center left", title="from the black start,\nby optimiser")
    note = (
        f"Pascanu's map, length {int(ds['length'])}, float64. Curves: 50 spans of updates, even by ratio; losses below "
        f"1e-10 and updates below 1e-6 are drawn there."
    )
    title = "One step off the wall loses gradient descent; clipped, it comes back"
    headed(figure, title, [ds.finding, note])
    return figure


draw = plots.drawing(__file__, page, "one step off the wall loses gradient descent; clipped, it comes back")

if __name__ == "__main__":
    plots.command(draw)

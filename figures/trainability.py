"""Where gradient descent learns, with and without clipping, from the store of ``experiments/trainability.py``.

python figures/trainability.py [STORE] [FOLDER]

Caption: Every point is a start. Top: the loss that training ends at. Rows two and three: windows a thousand times
smaller each, on the border of what is learnt in the last one. Below: slopes of box counts at places drawn on the
border; how many outcomes change when w moves by one unit in the last place, relative to outcomes drawn anew; the share
of starts learnt after more updates.
"""

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.look import LOSS, NONFINITE, WIDTH
from landscape.plots.parts import label, words

LOSSES = (-8.0, 0.0)  # ends of the colours, log10; what is learnt, the lower half, has dark ones
SHADES = mpl.colormaps[LOSS](np.concatenate([np.linspace(0, 0.4, 128), np.linspace(0.75, 1, 128)]))
COLOURS = ListedColormap(SHADES).with_extremes(bad=NONFINITE)


def name(rate: float, threshold: float) -> str:
    """An optimiser in words."""
    return f"rate {rate:g}, " + (f"clip {threshold:g}" if np.isfinite(threshold) else "no clip")


def chart(ax, loss: np.ndarray, box: tuple[float, ...]) -> None:
    """log10 of the losses (w, b) that training ends at."""
    with np.errstate(divide="ignore"):
        shown = np.log10(np.where(np.isfinite(loss), np.maximum(loss, 10 ** LOSSES[0]), np.nan)).T
    look = {"cmap": COLOURS, "vmin": LOSSES[0], "vmax": LOSSES[1], "interpolation": "nearest"}
    ax.imshow(np.ma.masked_invalid(shown), extent=box, origin="lower", aspect="auto", **look)


def maps(axes, ds: xarray.Dataset) -> None:
    """The whole window, for each optimiser."""
    cases = [(r, c) for r in ds.rate.values for c in ds.threshold.values]
    box = (*ds.w.values[[0, -1]], *ds.b.values[[0, -1]])
    for ax, (rate, threshold) in zip(axes, cases, strict=True):
        one = ds.sel(rate=rate, threshold=threshold)
        chart(ax, one.loss.transpose("w", "b").values, box)
        ax.set(title=f"{name(rate, threshold)}\n{100 * float(one.share[0]):.0f} % learnt", xlabel=label(ds, "w", 2))
        ax.tick_params(labelleft=ax is axes[0])
    axes[0].set(ylabel=label(ds, "b"))


def zooms(axes, one: xarray.Dataset, what: str) -> None:
    """The windows of one optimiser at one place, smaller and smaller."""
    for ax, level in zip(axes, range(one.sizes["level"]), strict=False):
        at = one.isel(level=level)
        width = float(at.zoom_w[-1] - at.zoom_w[0])
        chart(ax, at.zoom_loss.transpose("i", "j").values, (0, 1, 0, 1))
        ax.set(xticks=[], yticks=[], title=f"w {width:.0e} wide, {100 * float(at.zoom_share):.0f} % learnt")
    axes[0].set(ylabel=what)


def measures(slopes, flips, ds: xarray.Dataset) -> None:
    """Slopes of box counts at every place, and what one rounding error changes there, by the size of the window."""
    for k, threshold in enumerate(ds.threshold.values):
        colour, mark = LINES[k]
        for place in range(ds.sizes["place"]):
            one = ds.isel(threshold=k, place=place)
            wide = (one.zoom_w[:, -1] - one.zoom_w[:, 0]).values
            look = {"color": colour, "marker": mark, "markersize": 3, "linewidth": 0.8}
            chance = (2 * one.zoom_share * (1 - one.zoom_share)).where(np.isfinite(one.zoom_dimension))
            said = name(ds.rate.values[0], threshold) if place == 0 else None
            slopes.errorbar(wide, one.zoom_dimension, one.zoom_error, **look, capsize=1.5, label=said)
            flips.plot(wide, one.zoom_rounding / chance, **look)
    slopes.set(ylabel="slope of box counts ± SE", ylim=(0.95, 2.45), yticks=(1, 1.25, 1.5, 1.75, 2))
    slopes.legend(loc="upper left", fontsize=6.5)
    flips.axhline(1, color="0.4", linestyle=":", linewidth=0.9)
    flips.set(ylabel="outcomes changed by one\nrounding of w / by chance", ylim=(-0.05, 1.25))
    for ax in (slopes, flips):
        ax.set(xscale="log", xlabel="width of the window in w")
        ax.invert_xaxis()
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)


def bars(ax, ds: xarray.Dataset) -> None:
    """The share of starts learnt by each optimiser, after either number of updates."""
    cases = [(i, k) for i in range(ds.sizes["rate"]) for k in range(ds.sizes["threshold"])]
    for j, (updates, shade) in enumerate(zip(ds.updates.values, ("0.65", "0.3"), strict=True)):
        heights = [100 * float(ds.share.transpose("rate", "threshold", "updates")[i, k, j]) for i, k in cases]
        places = np.arange(len(cases)) + 0.4 * j - 0.2
        drawn = ax.bar(places, heights, 0.38, color=shade, label=f"{updates:,} updates")
        ax.bar_label(drawn, fmt="%.0f", fontsize=6.5, padding=1)
    names = [name(ds.rate.values[i], ds.threshold.values[k]).replace(", ", "\n") for i, k in cases]
    ax.set(xticks=range(len(cases)), xticklabels=names, ylabel="starts learnt (%)", ylim=(0, 145))
    ax.tick_params(axis="x", labelsize=6.5)
    ax.set_yticks(range(0, 101, 25))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", ncols=2, fontsize=6.5, columnspacing=1, handlelength=1.2)


def page(ds: xarray.Dataset) -> Figure:
    """The maps, two series of zooms, and what is measured on them."""
    figure = Figure(figsize=(WIDTH, 8.6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(3.2, 1))
    rows = top.subplots(3, ds.sizes["rate"] * ds.sizes["threshold"])
    maps(rows[0], ds)
    for k, row in enumerate(rows[1:]):
        zooms(row, ds.isel(threshold=k, place=0), name(ds.rate.values[0], ds.threshold.values[k]))
    bar = top.colorbar(rows[0, 0].images[0], ax=rows, location="right", shrink=0.5, pad=0.01, extend="min")
    bar.set_label(f"log₁₀ of the loss after {int(ds.updates[0])} updates")
    slopes, flips, shares = bottom.subplots(1, 3, width_ratios=(1, 1, 1.3))
    measures(slopes, flips, ds)
    bars(shares, ds)
    lost = int((ds.nonfinite >= 0).sum())
    note = (
        f"Pascanu's map, length {int(ds['length'])}; {ds.sizes['w']} x {ds.sizes['b']} starts a map in float32, "
        f"{ds.sizes['i']} x {ds.sizes['j']} a zoom in float64; learnt is a loss below {ds.attrs['tolerance']:g}; "
        f"{lost or 'none'} became inf or NaN. Slopes are "
        f"fitted over boxes of 1 cell to an eighth of the side; a window without border has none."
    )
    title = "Past the wall, the last digit of a start decides if clipped descent learns"
    words(figure, title, [ds.finding, note], (), ())
    return figure


draw = plots.drawing(__file__, page, "past the wall, the last digit of a start decides if clipped descent learns")

if __name__ == "__main__":
    plots.command(draw)

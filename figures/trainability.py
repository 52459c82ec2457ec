"""Where gradient descent learns, with and without clipping, from the store of ``experiments/trainability.py``.

python figures/trainability.py [STORE] [FOLDER]

Caption: Every point is a start, its colour the loss that training ends at. Top: the whole map, without and with
clipping. Below: windows on the border of what is learnt; with clipping one a billion times smaller looks the same. Top
right: how many outcomes change when w moves by one unit in the last place, relative to outcomes drawn anew.
"""

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.look import LOSS, NONFINITE, WIDTH
from landscape.plots.parts import headed, label

LOSSES = (-8.0, 0.0)  # ends of the colours, log10; what is learnt, the lower half, has dark ones
SHADES = mpl.colormaps[LOSS](np.concatenate([np.linspace(0, 0.3, 128), np.linspace(0.78, 1, 128)]))
COLOURS = ListedColormap(SHADES).with_extremes(bad=NONFINITE)
ZOOMS = ((0, 2), (1, 0), (1, -1))  # threshold and level of the windows shown, all at the first place


def name(threshold: float) -> str:
    """An optimiser in words."""
    return f"clipped at {threshold:g}" if np.isfinite(threshold) else "no clipping"


def chart(ax, loss: np.ndarray, box: tuple[float, ...]) -> None:
    """log10 of the losses (w, b) that training ends at."""
    with np.errstate(divide="ignore"):
        shown = np.log10(np.where(np.isfinite(loss), np.maximum(loss, 10 ** LOSSES[0]), np.nan)).T
    look = {"cmap": COLOURS, "vmin": LOSSES[0], "vmax": LOSSES[1], "interpolation": "nearest"}
    ax.imshow(np.ma.masked_invalid(shown), extent=box, origin="lower", aspect="auto", **look)


def whole(ax, one: xarray.Dataset) -> None:
    """The whole map of one optimiser, and where its windows lie."""
    box = (*one.w.values[[0, -1]], *one.b.values[[0, -1]])
    chart(ax, one.loss.transpose("w", "b").values, box)
    early, late = (100 * float(share) for share in one.share)
    first, last = one.updates.values
    learnt = f"{early:.0f} % learnt\nafter {first:,} updates, {late:.0f} % after {last:,}"
    ax.set(title=f"{name(float(one.threshold))}: {learnt}", xlabel=label(one, "w", 2), ylabel=label(one, "b", 2))
    at = one.isel(place=0, level=0)
    look = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.4, "color": "white"}
    ax.plot(at.zoom_w.mean(), at.zoom_b.mean(), "s", **look)


def zoom(ax, at: xarray.Dataset) -> None:
    """One window, with its coordinates from the middle in powers of ten."""
    sides = [at[name].values for name in ("zoom_w", "zoom_b")]
    powers = [int(np.floor(np.log10(np.ptp(side) / 2))) for side in sides]
    ends = [(side[[0, -1]] - side.mean()) / 10.0**power for side, power in zip(sides, powers, strict=True)]
    chart(ax, at.zoom_loss.transpose("i", "j").values, (*ends[0], *ends[1]))
    xlabel, ylabel = (f"${c}$ - middle ($10^{{{p}}}$)" for c, p in zip("wb", powers, strict=True))
    wide = f"{np.ptp(sides[0]):.0e}".replace("e-0", "e-")
    title = f"{name(float(at.threshold))}, {wide} wide:\n{100 * float(at.zoom_share):.0f} % learnt"
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)


def flips(ax, ds: xarray.Dataset) -> None:
    """What one rounding error changes at every place, by the size of the window."""
    for k, threshold in enumerate(ds.threshold.values):
        for place in range(ds.sizes["place"]):
            one = ds.isel(threshold=k, place=place)
            wide = (one.zoom_w[:, -1] - one.zoom_w[:, 0]).values
            chance = (2 * one.zoom_share * (1 - one.zoom_share)).where(np.isfinite(one.zoom_dimension))
            look = dict(zip(("color", "marker"), LINES[k], strict=True)) | {"markersize": 3, "linewidth": 0.8}
            ax.plot(wide, one.zoom_rounding / chance, **look, label=None if place else name(threshold))
    ax.axhline(1, color="0.4", linestyle=":", linewidth=0.9)
    ax.set(ylabel="changed outcomes over chance", ylim=(-0.05, 1.6), yticks=(0, 0.5, 1))
    ax.set(
        xscale="log", xlabel="width of the window in $w$", title="what rounding $w$ changes,\nat places on the border"
    )
    ax.invert_xaxis()
    ax.legend(loc="upper left")
    ax.grid(alpha=0.4)
    ax.spines[["top", "right"]].set_visible(False)


def page(ds: xarray.Dataset) -> Figure:
    """Both maps and what a rounding changes; three windows on the border."""
    figure = Figure(figsize=(WIDTH, 6.7), layout="constrained")
    axes = figure.subplots(2, 3)
    rate = ds.rate.values.min()
    for k in range(2):
        whole(axes[0, k], ds.sel(rate=rate).isel(threshold=k))
    flips(axes[0, 2], ds)
    for ax, (k, level) in zip(axes[1], ZOOMS, strict=True):
        zoom(ax, ds.isel(threshold=k, place=0, level=min(level, ds.sizes["level"] - 1)))
    bar = figure.colorbar(
        axes[0, 0].images[0], ax=axes, location="bottom", shrink=0.6, aspect=45, pad=0.015, extend="min"
    )
    bar.set_label(f"log₁₀ of the loss after {int(ds.updates[0])} updates; blue is learnt")
    lost = int((ds.nonfinite >= 0).sum())
    note = (
        f"Pascanu's map, length {int(ds['length'])}, rate {rate:g}; {ds.sizes['w']} × {ds.sizes['b']} starts a map in "
        f"float32, {ds.sizes['i']} × {ds.sizes['j']} a window in float64, squares: where the windows lie; learnt is a "
        f"loss below {ds.attrs['tolerance']:g}; {lost or 'none'} became inf or NaN. Top right: outcomes that "
        f"change when w moves by one unit in the last place, over those that differ if drawn anew, where a window has "
        f"a border. Slopes of box counts are fitted over boxes of 1 cell to an eighth of the side."
    )
    title = "Past the wall, the last digit of a start decides if clipped descent learns"
    headed(figure, title, [ds.finding, note])
    return figure


draw = plots.drawing(__file__, page, "past the wall, the last digit of a start decides if clipped descent learns")

if __name__ == "__main__":
    plots.command(draw)

"""Figures that stand still: cliff formation, size of the gradient, the 3-D wall, cuts."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from landscape.plots.parts import (
    GRADIENT,
    LOSS,
    NONFINITE,
    WIDTH,
    Overlays,
    bad,
    bounds,
    choose,
    cut,
    heading,
    label,
    scale,
    small,
    spread,
    stroke,
    styled,
    thin,
    words,
)

Surfaces = xarray.Dataset | Mapping[str, xarray.Dataset]


class Row(NamedTuple):
    """A surface made ready: its name, the values shown (length, x, y), lines over it, what was left out."""

    name: str
    ds: xarray.Dataset
    data: xarray.DataArray
    overlays: Overlays
    note: str

    @property
    def title(self) -> str:
        """Name, cell and task."""
        cell = self.ds.attrs.get("cell")
        return heading(self.ds) if self.name in ("", cell) else f"{self.name}: {heading(self.ds)}"

    @property
    def said(self) -> str:
        """What a reader must know about the numbers of this row."""
        text = "; ".join(part for part in (small(self.ds, self.data), self.note) if part)
        return f"{self.name}: {text}" if self.name else text


def rows_of(surfaces: Surfaces, variable: str, lengths: Any, overlays: Any, at: Mapping[str, float]) -> list[Row]:
    """One row for each surface. Raises ValueError for what the surfaces do not have."""
    named: dict[str, xarray.Dataset]
    lines: dict[str, Overlays]
    if isinstance(surfaces, xarray.Dataset):
        named, lines = {"": surfaces}, {"": overlays or {}}
    else:
        named, lines = dict(surfaces), dict(overlays or {})
    if not named:
        raise ValueError("there is nothing to draw; give a surface, or surfaces by name")
    if unknown := set(lines) - set(named):
        raise ValueError(f"overlays for {sorted(unknown)[0]!r}, which is not drawn; surfaces are {', '.join(named)}")
    rows = []
    for name, ds in named.items():
        data, note = thin(cut(ds, variable, choose(ds, lengths), at), 801)
        rows.append(Row(name, ds, data, lines.get(name, {}), note))
    return rows


def flat(rows: list[Row]) -> np.ndarray:
    """All values shown."""
    return np.concatenate([row.data.values.ravel() for row in rows])


def _mesh(ax: Any, data: xarray.DataArray, norm: Normalize, cmap: str, overlays: Overlays) -> Any:
    """One panel: the first coordinate to the right, the second up."""
    x, y = (str(name) for name in data.dims)
    colours = mpl.colormaps[cmap].with_extremes(bad=NONFINITE)
    values = np.ma.masked_invalid(data.values.T)
    if isinstance(norm, LogNorm):  # a loss of exactly zero lies below the scale, and is no missing value
        values = np.ma.where(values > 0, values, bounds(norm)[0] / 2)
    mesh = ax.pcolormesh(data[x], data[y], values, norm=norm, cmap=colours, shading="nearest", rasterized=True)
    box = mesh.get_datalim(ax.transData)
    ax.set(xlim=box.intervalx, ylim=box.intervaly)
    for i, (along, up) in enumerate(overlays.values()):
        ax.plot(along, up, **stroke(i, "white"), scalex=False, scaley=False)
    return mesh


def _bar(figure: Any, mesh: Any, axes: Any, values: np.ndarray, **look: Any) -> None:
    """A colour bar, with an arrow where values lie beyond the scale."""
    below, above = np.any(values < mesh.norm.vmin), np.any(values > mesh.norm.vmax)
    extend = "both" if below and above else "min" if below else "max" if above else "neither"
    figure.colorbar(mesh, ax=axes, extend=extend, pad=0.02, **look)


def _panels(part: Any, row: Row, shape: tuple[int, int], norm: Normalize, cmap: str, bar: str) -> None:
    """The panels of one surface, one for each length, with names of axes and a colour bar."""
    axes = part.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    _, x, y = (str(name) for name in row.data.dims)
    lengths = row.data["length"].values
    for ax, length in zip(axes.flat, lengths, strict=False):
        mesh = _mesh(ax, row.data.sel(length=length), norm, cmap, row.overlays)
        ax.set_title(f"length {length}")
    for i in range(len(lengths), axes.size):
        axes.flat[i].set_visible(False)
        axes.flat[i - shape[1]].tick_params(labelbottom=True)
    part.supxlabel(label(row.data, x), fontsize=8)
    part.supylabel(label(row.data, y, lines=2 if shape[0] == 1 else 1), fontsize=8, multialignment="center")
    _bar(part, mesh, axes, row.data.values, label=bar, aspect=11 * shape[0])
    if row.name:
        part.suptitle(row.title, x=0.0125, ha="left", fontsize=8)


def _stacked(rows: list[Row], norm: Normalize, cmap: str, bar: str) -> Figure:
    """Surfaces below each other, a panel for each length."""
    across = [min(row.data.sizes["length"], 4 if len(rows) == 1 else 8) for row in rows]
    down = [-(-row.data.sizes["length"] // n) for row, n in zip(rows, across, strict=True)]
    height = 1.4 if len(rows) > 1 else min(4.0, 1.3 + 2.4 / across[0])
    width = WIDTH if max(across) > 1 else 4.8
    figure = Figure(figsize=(width, sum(down) * height + 0.45 * len(rows) + 0.6), layout="constrained")
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=down).ravel()
    for part, row, shape in zip(parts, rows, zip(down, across, strict=True), strict=True):
        _panels(part, row, shape, norm, cmap, bar)
    return figure


def _beside(rows: list[Row], norm: Normalize, cmap: str, bar: str) -> Figure:
    """Surfaces side by side, all at one length."""
    figure = Figure(figsize=(WIDTH, 7.0 / len(rows) + 1.1), layout="constrained")
    axes = figure.subplots(1, len(rows), squeeze=False)
    for ax, row in zip(axes.flat, rows, strict=True):
        data = row.data.isel(length=0)
        mesh = _mesh(ax, data, norm, cmap, row.overlays)
        x, y = (label(data, str(name), lines=2) for name in data.dims)
        ax.set(title=f"{row.title}\nlength {int(data['length'])}", xlabel=x, ylabel=y)
    _bar(figure, mesh, axes, flat(rows), label=bar, aspect=14)
    return figure


def _multiples(rows: list[Row], norm: Normalize, cmap: str, what: str, bar: str, notes: Iterable[str]) -> Figure:
    """A panel for each surface and length, on one scale of colours."""
    lengths = sorted({int(length) for row in rows for length in row.data["length"].values})
    figure = (_beside if len(rows) > 1 == len(lengths) else _stacked)(rows, norm, cmap, bar)
    when = f"at length {lengths[0]}" if len(lengths) == 1 else "as the sequence grows"
    title = f"{what} of {heading(rows[0].ds)}" if len(rows) == 1 else f"{what} {when}"
    overlays = {name: None for row in rows for name in row.overlays}
    words(figure, title, [*(row.said for row in rows), *notes], overlays, flat(rows))
    return figure


@styled
def formation(
    surfaces: Surfaces, lengths: Any = None, *, overlays: Any = None, norm: Normalize | None = None, **at: float
) -> Figure:
    """The loss at several lengths side by side, on one scale of colours: how a cliff forms.

    ``surfaces`` is a surface, or surfaces by name, one row each. ``lengths`` are by default eight, spaced evenly by
    ratio. ``overlays`` are lines ``{label: (x, y)}``, for several surfaces ``{name: {label: (x, y)}}``. A surface of
    more than two coordinates is cut at ``coordinate=value``, else in the middle of its last ones. The scale of colours
    is linear, logarithmic where values span spread, or ``norm``. Raises ValueError for what a surface does not have.
    """
    rows = rows_of(surfaces, "loss", lengths, overlays, at)
    return _multiples(rows, norm or scale(flat(rows)), LOSS, "Loss", "mean loss", [])


@styled
def gradient(
    surfaces: Surfaces, lengths: Any = None, *, overlays: Any = None, norm: Normalize | None = None, **at: float
) -> Figure:
    """log10 of the norm of the exact gradient, as `formation`; a gradient of exactly zero has the lowest colour.

    Values are those at the points of the grid: where a cliff is thinner than the grid, its slope falls between them.
    """
    rows = rows_of(surfaces, "log10_gradient", lengths, overlays, at)
    norm = norm or spread(flat(rows))
    rows = [row._replace(data=row.data.where(row.data != -np.inf, bounds(norm)[0] - 1)) for row in rows]
    note = (
        "Exact gradients at the points of the grid. A cliff thinner than the grid passes between the points: "
        "the largest value seen here is not the maximum."
    )
    return _multiples(rows, norm, GRADIENT, "Gradient of the loss", "log₁₀ |gradient|", [note])


@styled
def surface3d(
    ds: xarray.Dataset,
    lengths: Any = None,
    *,
    overlays: Overlays | None = None,
    norm: Normalize | None = None,
    view: tuple[float, float] = (30, 50),
    **at: float,
) -> Figure:
    """The loss as a surface over two coordinates, at the one length given or the last (Pascanu et al. 2013, fig. 6).

    ``overlays`` are drawn at the lowest loss, through the surface; points that are inf or NaN lie on the floor.
    ``view`` is (elevation, azimuth) in degrees. Heights are linear over the range of ``norm``; a facet has the
    colour of its top.
    """
    shown = choose(ds, lengths)[-1:] if lengths is None else choose(ds, lengths)
    if len(shown) != 1:
        raise ValueError(f"a surface in 3-D is drawn at one length, given {', '.join(map(str, shown))}")
    (row,) = rows_of(ds, "loss", shown, overlays, at)
    data, note = thin(row.data.isel(length=0), 201)
    x, y = (str(name) for name in data.dims)
    norm = norm or scale(data)
    low, high = bounds(norm)
    floor = min(0.0, low) - 0.1 * (high - low)
    across, up = np.meshgrid(data[x], data[y], indexing="ij")
    lost = bad(data)
    z = np.where(lost, np.nan, data.values)
    tops = np.fmax(np.fmax(z[1:, 1:], z[1:, :-1]), np.fmax(z[:-1, 1:], z[:-1, :-1]))
    tops = tops[np.isfinite(tops)]  # matplotlib drops a facet if none of its corners is finite
    figure = Figure(figsize=(5.6, 4.3), layout="constrained")
    ax = figure.add_subplot(projection="3d", computed_zorder=False)
    for i, (along, side) in enumerate(row.overlays.values()):
        seen = [withStroke(linewidth=1.9, foreground="white")]
        ax.plot(along, side, max(low, 0.0), **stroke(i, "black"), path_effects=seen, zorder=3)
    ax.scatter(across[lost], up[lost], floor, color=NONFINITE, s=3, linewidth=0, depthshade=False, zorder=1)
    plain = {"linewidth": 0, "antialiased": False, "shade": False, "rasterized": True, "zorder": 2}
    look = {"cmap": LOSS, "norm": Normalize(low, high), "rcount": 201, "ccount": 201}
    ax.plot_surface(across, up, z, **look, **plain).set_array(tops)
    ax.set(xlim=data[x].values[[0, -1]], ylim=data[y].values[[0, -1]], zlim=(floor, high))
    ax.set(xlabel=label(data, x, 2), ylabel=label(data, y, 2), zlabel="mean loss")
    ax.view_init(*view)
    ax.set_box_aspect((4, 4, 3), zoom=1.0)
    said = row._replace(note="; ".join(part for part in (row.note, note) if part)).said
    words(figure, f"Loss of {heading(ds)}, length {int(data['length'])}", [said], row.overlays, data)
    return figure


@styled
def profile(
    ds: xarray.Dataset,
    coordinate: str,
    lengths: Any = None,
    *,
    at: Mapping[str, float] | None = None,
    norm: Normalize | None = None,
) -> Figure:
    """The loss along one coordinate at several lengths; the others at the samples nearest to ``at``, or their middle.

    The axis is logarithmic where values span spread, or where ``norm`` is. Points that are inf or NaN are crosses.
    """
    at = dict(at or {})
    others = [str(name) for name in ds["loss"].dims if name not in ("length", coordinate)]
    if coordinate in at:
        raise ValueError(f"{coordinate!r} is the axis of this figure and cannot be held too; leave it out of at")
    if coordinate not in ds["loss"].dims:
        raise ValueError(f"the surface has no coordinate {coordinate!r}; it has {', '.join(others)}")
    middle = {name: float(ds[name][ds.sizes[name] // 2]) for name in others}
    data = cut(ds, "loss", choose(ds, lengths), middle | at, free=1)
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    ax = figure.add_subplot()
    for line, shade in zip(data, np.linspace(0, 0.9, len(data)), strict=True):
        lost, where = bad(line), data[coordinate].values
        ax.plot(where, np.where(lost, np.nan, line), color=mpl.colormaps[LOSS](shade), label=f"{int(line['length'])}")
        ax.plot(
            where[lost],
            0 * where[lost] + 1,
            "x",
            markersize=3,
            color=NONFINITE,
            transform=ax.get_xaxis_transform(),
            clip_on=False,
        )
    ax.set(xlabel=label(data, coordinate), ylabel="mean loss", xlim=where[[0, -1]])
    ax.set_yscale("log" if isinstance(norm or scale(data), LogNorm) else "linear")
    ax.spines[["top", "right"]].set_visible(False)
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, title="length", loc="outside right center")
    words(figure, f"Loss of {heading(ds)}", [small(ds, data)], (), data)
    return figure


def save(figure: Figure, *paths: str | Path) -> None:
    """Write a figure, in the formats of the paths' suffixes: PDF with its fonts embedded, SVG with outlined text."""
    layout = figure.get_layout_engine()
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        sharp = {"dpi": 300} if path.suffix in (".pdf", ".svg", ".eps", ".ps") else {}
        styled(figure.savefig)(path, **sharp)
        figure.set_layout_engine("none")  # laid out once for all formats: it takes half of the time
    figure.set_layout_engine(layout)


def indexed(path: str | Path, colours: int = 256) -> None:
    """Rewrite a PNG with so many colours, in a third of its bytes: for the gallery, where none of them is rare."""
    from PIL import Image

    with Image.open(path) as image:
        image.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)

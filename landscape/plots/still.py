"""Figures that stand still: cliff formation, size of the gradient, the 3-D wall, cuts."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import withStroke

from landscape.plots.facets import facets
from landscape.plots.look import GRADIENT, LOSS, NONFINITE, WIDTH, Look, drawn
from landscape.plots.parts import (
    Overlays,
    bad,
    bounds,
    choose,
    cut,
    headed,
    heading,
    keys,
    label,
    leading,
    moments,
    panel,
    scale,
    small,
    spread,
    stroke,
    thin,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

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
    def caption(self) -> str:
        """What a reader must know about the numbers of this row."""
        text = "; ".join(part for part in (small(self.ds, self.data), self.note) if part)
        return f"{self.name}: {text}" if self.name else text


def rows_of(
    surfaces: Surfaces,
    variable: str,
    lengths: Iterable[float] | float | None,
    overlays: Mapping | None,
    at: Mapping[str, float],
) -> list[Row]:
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
        one, rest = panel(ds, variable, at)
        data, note = thin(cut(one, variable, choose(one, lengths), rest), 801)
        rows.append(Row(name, ds, data, lines.get(name, {}), note))
    return rows


def flat(rows: list[Row]) -> "Float[np.ndarray, 'value']":
    """All values shown."""
    return np.concatenate([row.data.values.ravel() for row in rows])


class Paint(NamedTuple):
    """How values become colours, in every panel of a figure."""

    norm: Normalize
    cmap: Colormap
    label: str
    look: Look

    def mesh(self, ax: Axes, data: xarray.DataArray, overlays: Overlays) -> QuadMesh:
        """One panel: the first coordinate to the right, the second up."""
        x, y = (str(name) for name in data.dims)
        values = np.ma.masked_invalid(data.values.T)
        if isinstance(self.norm, LogNorm):  # a loss of exactly zero lies below the scale, and is no missing value
            values = np.ma.where(values > 0, values, bounds(self.norm)[0] / 2)
        look: dict[str, Any] = {"norm": self.norm, "cmap": self.cmap, "shading": "nearest", "rasterized": True}
        mesh = ax.pcolormesh(data[x], data[y], values, **look)
        box = mesh.get_datalim(ax.transData)
        ax.set(xlim=box.intervalx, ylim=box.intervaly)
        for i, (along, up) in enumerate(overlays.values()):
            ax.plot(along, up, **stroke(i, self.look.color(i, "white")), scalex=False, scaley=False)
        return mesh

    def bar(
        self,
        figure: Figure | SubFigure,
        mesh: QuadMesh,
        axes: "Axes | Shaped[np.ndarray, '...']",
        values: "Float[np.ndarray, '...']",
        aspect: float,
    ) -> None:
        """A bar of colours, with an arrow where values lie beyond the scale."""
        below, above = np.any(values < mesh.norm.vmin), np.any(values > mesh.norm.vmax)
        extend = "both" if below and above else "min" if below else "max" if above else "neither"
        label = self.look.label or self.label
        figure.colorbar(mesh, ax=axes, extend=extend, pad=0.02, aspect=aspect, label=label)

    def names(self, data: xarray.DataArray, lines: tuple[int, int] = (1, 1)) -> tuple[str, str]:
        """The names of both axes."""
        x, y = (label(data, str(name), n) for name, n in zip(data.dims[-2:], lines, strict=True))
        return self.look.xlabel or x, self.look.ylabel or y


def _panels(part: Figure | SubFigure, row: Row, shape: tuple[int, int], paint: Paint) -> None:
    """The panels of one surface, one for each length, with names of axes and a colour bar."""
    axes = part.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    for ax, data, title in zip(axes.flat, row.data, moments(row.data), strict=False):
        mesh = paint.mesh(ax, data, row.overlays)
        ax.set_title("" if len(row.data) == 1 and paint.look.title is None else title)
    for i in range(len(row.data), axes.size):
        axes.flat[i].set_visible(False)
        axes.flat[i - shape[1]].tick_params(labelbottom=True)
    x, y = paint.names(row.data, (1, 2 if shape[0] == 1 else 1))
    part.supxlabel(x)
    part.supylabel(y, multialignment="center")
    paint.bar(part, mesh, axes, row.data.values, 11 * shape[0])
    if row.name:
        part.suptitle(row.title, x=0.0125, ha="left", fontsize="medium", fontweight="normal")


def _stacked(rows: list[Row], paint: Paint) -> Figure:
    """Surfaces below each other, a panel for each length."""
    across = [min(len(row.data), 4 if len(rows) == 1 else 8) for row in rows]
    down = [-(-len(row.data) // n) for row, n in zip(rows, across, strict=True)]
    height = 1.4 if len(rows) > 1 else min(4.0, 1.3 + 2.4 / across[0])
    width = WIDTH if max(across) > 1 else 4.8
    size = width, sum(down) * height + 0.45 * len(rows) + 0.6
    figure = paint.look.figure(size, sum(len(row.data) for row in rows))
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=down).ravel()
    for part, row, shape in zip(parts, rows, zip(down, across, strict=True), strict=True):
        _panels(part, row, shape, paint)
    return figure


def _beside(rows: list[Row], paint: Paint) -> Figure:
    """Surfaces side by side, all at one length."""
    figure = paint.look.figure((WIDTH, 7.0 / len(rows) + 1.1), len(rows))
    axes = figure.subplots(1, len(rows), squeeze=False)
    for ax, row in zip(axes.flat, rows, strict=True):
        mesh = paint.mesh(ax, row.data[0], row.overlays)
        x, y = paint.names(row.data, (2, 2))
        ax.set(title="\n".join(filter(None, (row.title, *moments(row.data)))), xlabel=x, ylabel=y)
    paint.bar(figure, mesh, axes, flat(rows), 14)
    return figure


def _inside(row: Row, paint: Paint) -> Figure:
    """One panel, in the axes of the user."""
    ax: Any = paint.look.ax
    mesh = paint.mesh(ax, row.data[0], row.overlays)
    x, y = paint.names(row.data, (2, 2))
    ax.set(xlabel=x, ylabel=y)
    paint.bar(ax.figure, mesh, ax, row.data.values, 20)
    return _named(ax, paint.look, moments(row.data)[0], row.overlays, row.data)


def _named(
    ax: Any, look: Look, title: str, overlays: Iterable[str], values: "Float[np.ndarray, '...'] | xarray.DataArray"
) -> Figure:
    """Title and legend of axes of the user; their figure."""
    ax.set_title(look.titled(title))
    if handles := keys(overlays, values, look.colors or ()):
        ax.legend(handles=handles)
    return ax.get_figure(root=True)


def _multiples(rows: list[Row], paint: Paint, what: str, notes: Iterable[str]) -> Figure:
    """A panel for each surface and length, on one scale of colours."""
    when = dict.fromkeys(moment for row in rows for moment in moments(row.data))
    if paint.look.ax is not None and len(rows) == len(when) == 1:
        return _inside(rows[0], paint)
    figure = (_beside if len(rows) > 1 == len(when) else _stacked)(rows, paint)
    name = str(rows[0].data.dims[0])
    along = "as the sequence grows" if name == "length" else f"by {name}"
    title = f"{what} of {heading(rows[0].ds)}" if len(rows) == 1 else f"{what} {along}"
    if len(when) == 1 < len(rows):
        title = f"{what} at {next(iter(when))}" if name else what
    overlays = {name: None for row in rows for name in row.overlays}
    caption = paint.look.captioned([*(row.caption for row in rows), *notes])
    headed(figure, paint.look.titled(title), caption, keys(overlays, flat(rows), paint.look.colors or ()))
    return figure


@drawn
def formation(
    surfaces: Surfaces,
    lengths: Iterable[float] | float | None = None,
    *,
    overlays: Overlays | Mapping[str, Overlays] | None = None,
    norm: Normalize | None = None,
    look: Look,
    **at: float,
) -> Figure:
    """The loss at several lengths side by side, on one scale of colours: how a cliff forms.

    ``surfaces`` is a surface, or surfaces by name, one row each. ``lengths`` are by default eight, spaced evenly by
    ratio; they are steps or epochs where those come before the plane, and where nothing does there is one panel.
    ``overlays`` are lines ``{label: (x, y)}``, for several surfaces ``{name: {label: (x, y)}}``. A surface of more
    than two coordinates is cut at ``coordinate=value``, else in the middle of its last ones. The scale of colours is
    linear, logarithmic where values span spread, or ``norm``. The other keywords are those of `Look`. Raises
    ValueError for what a surface does not have.
    """
    rows = rows_of(surfaces, "loss", lengths, overlays, at)
    return _multiples(rows, Paint(norm or scale(flat(rows)), look.colormap(LOSS), "mean loss", look), "Loss", [])


@drawn
def gradient(
    surfaces: Surfaces,
    lengths: Iterable[float] | float | None = None,
    *,
    overlays: Overlays | Mapping[str, Overlays] | None = None,
    norm: Normalize | None = None,
    look: Look,
    **at: float,
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
    paint = Paint(norm, look.colormap(GRADIENT), "log₁₀ |gradient|", look)
    return _multiples(rows, paint, "Gradient of the loss", [note])


@drawn
def surface3d(
    ds: xarray.Dataset,
    lengths: Iterable[float] | float | None = None,
    *,
    overlays: Overlays | None = None,
    norm: Normalize | None = None,
    view: tuple[float, float] | None = None,
    look: Look,
    **at: float,
) -> Figure:
    """The loss as a surface over two coordinates, at the one length given or the last (Pascanu et al. 2013, fig. 6).

    ``overlays`` are drawn at the lowest loss, through the surface; points that are inf or NaN lie on the floor.
    ``view`` is (elevation, azimuth) in degrees, by default (30, 50) or that of ``ax``. Heights are linear over the
    range of ``norm``, and so are the colours.
    ``ax`` must be axes of three dimensions, ``figure.add_subplot(projection="3d")``. The other keywords are those of
    `Look`.
    """
    one, rest = panel(ds, "loss", at)
    shown = choose(one, lengths)[-1:] if lengths is None else choose(one, lengths)
    if len(shown) > 1:
        raise ValueError(f"a surface in 3-D is drawn at one length, given {', '.join(map(str, shown))}")
    if look.ax is not None and not hasattr(look.ax, "get_zlim"):
        raise ValueError('ax= of a surface in 3-D must have three dimensions: figure.add_subplot(projection="3d")')
    data, note = thin(cut(one, "loss", shown, rest), 201)
    norm = norm or scale(data)
    ax = look.axes((5.6, 4.3), projection="3d")
    _wall(ax, data[0], bounds(norm), look, overlays or {})
    if view is not None or look.ax is None:
        ax.view_init(*(view or (30, 50)))
    title = f"Loss of {heading(ds)}{', '.join(['', *filter(None, moments(data))])}"
    if look.ax is not None:
        return _named(ax, look, title, overlays or (), data)
    caption = "; ".join(part for part in (small(ds, data), note) if part)
    headed(ax.figure, look.titled(title), look.captioned([caption]), keys(overlays or (), data, look.colors or ()))
    return ax.figure


def _wall(ax: Any, data: xarray.DataArray, ends: tuple[float, float], look: Look, overlays: Overlays) -> None:
    """The surface, lines through it, and what is not finite on the floor below it."""
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    x, y = (str(name) for name in data.dims)
    low, high = ends
    floor = min(0.0, low) - 0.1 * (high - low)
    ax.computed_zorder = False
    for i, (along, side) in enumerate(overlays.values()):
        seen = [withStroke(linewidth=1.9, foreground="white")]
        ax.plot(along, side, max(low, 0.0), **stroke(i, look.color(i, "black")), path_effects=seen, zorder=3)
    across, up = np.meshgrid(data[x], data[y], indexing="ij")
    lost = bad(data)
    ax.scatter(across[lost], up[lost], floor, color=NONFINITE, s=3, linewidth=0, depthshade=False, zorder=1)
    corners = facets(data[x].values, data[y].values, data.values, (high - low) / 64)
    plain = {"linewidth": 0, "antialiased": False, "rasterized": True, "zorder": 2}
    wall = Poly3DCollection(corners, cmap=look.colormap(LOSS), norm=Normalize(low, high), **plain)
    wall.set_array((corners[..., 2].min(1) + corners[..., 2].max(1)) / 2)
    ax.add_collection3d(wall)
    ax.set(xlim=data[x].values[[0, -1]], ylim=data[y].values[[0, -1]], zlim=(floor, high))
    ax.set(xlabel=look.xlabel or label(data, x, 2), ylabel=look.ylabel or label(data, y, 2))
    ax.set(zlabel=look.label or "mean loss")
    ax.set_box_aspect((4, 4, 3), zoom=1.0)


@drawn
def profile(
    ds: xarray.Dataset,
    coordinate: str,
    lengths: Iterable[float] | float | None = None,
    *,
    at: Mapping[str, float] | None = None,
    norm: Normalize | None = None,
    look: Look,
) -> Figure:
    """The loss along one coordinate at several lengths; the others at the samples nearest to ``at``, or their middle.

    The axis is logarithmic where values span spread, or where ``norm`` is. Points that are inf or NaN are crosses.
    Lines have the colours of ``cmap``, or ``colors``; the other keywords are those of `Look`.
    """
    one, held = panel(ds, "loss", at or {})
    coordinates = [str(name) for name in one["loss"].dims if name not in leading(one)]
    if coordinate in held:
        raise ValueError(f"{coordinate!r} is the axis of this figure and cannot be held too; leave it out of at")
    if coordinate not in coordinates:
        raise ValueError(f"the surface has no coordinate {coordinate!r}; it has {', '.join(coordinates)}")
    middle = {name: float(ds[name][ds.sizes[name] // 2]) for name in coordinates if name != coordinate}
    data = cut(one, "loss", choose(one, lengths), middle | held, free=1)
    ax = look.axes((5.6, 3.4))
    cmap, where = look.colormap(LOSS), data[coordinate].values
    for i, (line, shade, name) in enumerate(zip(data, np.linspace(0, 0.9, len(data)), moments(data), strict=True)):
        lost, color = bad(line), look.color(i, cmap(shade))
        ax.plot(where, np.where(lost, np.nan, line), color=color, label=name.rpartition(" ")[2])
        if lost.any():  # an empty line would have a place, in which axes make room for it
            marks: dict[str, Any] = {
                "markersize": 3,
                "color": NONFINITE,
                "transform": ax.get_xaxis_transform(),
                "clip_on": False,
            }
            ax.plot(where[lost], 0 * where[lost] + 1, "x", **marks)
    ax.set(
        xlabel=look.xlabel or label(data, coordinate, 1 if look.ax is None else 2),
        ylabel=look.label or look.ylabel or "mean loss",
    )
    ax.set(xlim=where[[0, -1]], yscale="log" if isinstance(norm or scale(data), LogNorm) else "linear")
    ax.spines[["top", "right"]].set_visible(False)
    handles, labels = ax.get_legend_handles_labels() if data.dims[0] else ([], [])
    if look.ax is not None:
        ax.set_title(look.titled(""))
        if handles:
            ax.legend(handles, labels, title=str(data.dims[0]))
        return ax.get_figure(root=True)
    if handles:
        ax.figure.legend(handles, labels, title=str(data.dims[0]), loc="outside right center")
    headed(ax.figure, look.titled(f"Loss of {heading(ds)}"), look.captioned([small(ds, data)]), keys((), data))
    return ax.figure

"""Ridges of the gradient: the lines along which a surface is steeper than on either side, as polylines."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from landscape.cliffs.climbs import heights
from landscape.cliffs.fields import Grid, grid_of
from landscape.cliffs.measures import coordinates
from landscape.cliffs.roots import bisect

if TYPE_CHECKING:
    import xarray

SHORTEST = 3  # vertices of a line
Line = dict[str, np.ndarray]  # place (vertex, coordinate) and (vertex,): direction, slope, height, resolved


WORDS = {
    "length": "sequence length",
    "line": "number of the line at its length",
    "direction": "direction of ascent, an angle from the first coordinate to the second",
    "slope": "norm of the gradient",
    "height": "change of the loss across the ridge",
    "width": "height over slope",
    "resolved": "not thinner than what sampled it",
}


def ridge(surface: "xarray.Dataset", least: float = 0.05) -> "xarray.Dataset":
    """The ridges of the gradient as lines, below the size of a cell: where ``c = n' H n`` falls through zero uphill.

    n is the direction of the gradient and H the Hessian, so this is Canny's edge: the gradient is largest along its own
    direction. Lines cross the edges of the grid where a polynomial through six values of c, or four, is zero. Where a
    cliff is thinner than the grid, so that gradients at the ends of an edge do not add up to the change between them, c
    is replaced by the middle of the range of the loss over the neighbours less the loss (Vliet, Young & Beckers 1989):
    that has its zeros on the cliff too, and places the line within a cell.

    Returns variables (point,), in order along each line: ``length``; ``line``, numbered at each length from 0, the
    longest and highest; both coordinates; ``direction`` of ascent, as the angle from the first coordinate to the second
    in radians; ``slope``, the gradient's norm; ``height``, the change of the loss across 40 widths, less where another
    cliff begins (`landscape.cliffs.cut`); ``width``, height / slope; and ``resolved``, False where the cliff is thinner
    than the grid: slope is then the mean over a cell, a lower bound. Points lower than ``least`` times the range of the
    loss at that length are left out. A closed line ends where it begins.

    Lines need not be cliffs: those steepen with length (`describe`). Raises ValueError below order 2, and for other
    than two coordinates.
    """
    names = coordinates(surface)
    if len(names) != 2:
        raise ValueError(f"lines are traced over two coordinates; hold all but two of {', '.join(names)} by isel")
    grid = grid_of(surface)
    lines = [
        (int(length), line)
        for k, length in enumerate(surface["length"].values)
        for line in ordered(_lines(grid, k, least), grid.axes)
    ]
    attrs = {"cells": [float(np.diff(axis).max()) for axis in grid.axes]}
    attrs["window"] = [float(end) for axis in grid.axes for end in axis[[0, -1]]]
    kept = {"settings": surface.attrs["settings"]} if "settings" in surface.attrs else {}
    return dataset(names, lines).assign_attrs(attrs | kept)


def _lines(grid: Grid, k: int, least: float) -> Iterator[Line]:
    """The ridges at the length of index ``k``."""
    import contourpy

    finite = grid.loss[k][np.isfinite(grid.loss[k])]
    lowest = max(least * np.ptp(finite) if finite.size else 0.0, 1e-300)
    contours = contourpy.contour_generator(z=np.ma.masked_invalid(grid.field[k])).lines(0.0)
    lines = [np.asarray(contour)[:, ::-1] for contour in contours]  # (vertex, index along each coordinate)
    parts = [part for line in lines for part in runs(line, _cell(grid.falls[k], line))]
    if not parts:
        return
    measured = _measured(grid, k, np.concatenate(parts), np.concatenate([_resolved(grid, k, part) for part in parts]))
    start = 0
    for size in map(len, parts):
        own = {name: values[start : start + size] for name, values in measured.items()}
        start += size
        for part in pieces(own["height"] >= lowest):
            yield {name: values[part] for name, values in own.items()}


def _cell(cells: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Values of the cells in which the segments of a line (vertex, index) lie."""
    middle = np.floor((line[1:] + line[:-1]) / 2).astype(int)
    return cells[tuple(np.minimum(middle[:, k], cells.shape[k] - 1) for k in (0, 1))]


def _resolved(grid: Grid, k: int, line: np.ndarray) -> np.ndarray:
    """The vertices of a line whose segments lie in no cell that is too coarse."""
    bad = _cell(grid.coarse[k], line)
    return ~(np.append(bad, False) | np.append(False, bad))


def _measured(grid: Grid, k: int, line: np.ndarray, resolved: np.ndarray) -> Line:
    """Position, direction, slope and height of vertices (vertex, index), of one line or many."""
    with np.errstate(all="ignore"):  # beside values that are not finite vertices stay
        for count in (4, 6):
            line = np.where(resolved[:, None], _along(grid.field[k], grid.sharp[k], line, count), line)
    place = np.stack([np.interp(line[:, a], range(len(axis)), axis) for a, axis in enumerate(grid.axes)], axis=1)
    mean = np.stack([_interpolated(part[k], line - 0.5) for part in grid.mean], axis=1)
    exact = np.stack([_interpolated(part[k], line) for part in grid.gradient], axis=1)
    uphill = np.where(resolved[:, None], exact, mean)
    slope = np.linalg.norm(uphill, axis=1)
    with np.errstate(all="ignore"):
        toward = uphill / slope[:, None]
        steps = [np.interp(line[:, a], range(len(axis)), np.gradient(axis)) for a, axis in enumerate(grid.axes)]
        cell = 1 / np.linalg.norm(toward / np.stack(steps, axis=1), axis=1)

    def loss(at: np.ndarray) -> np.ndarray:
        index = [np.interp(at[..., a], axis, range(len(axis)), np.nan, np.nan) for a, axis in enumerate(grid.axes)]
        outside = np.isnan(index).any(0)
        return np.where(outside, np.nan, _interpolated(grid.loss[k], np.nan_to_num(np.stack(index, axis=-1))))

    height = heights(loss, place, toward, slope, slope * cell, cell / 2)
    direction = np.arctan2(toward[:, 1], toward[:, 0])
    return {"place": place, "direction": direction, "slope": slope, "height": height, "resolved": resolved}


def _interpolated(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values (i, j) between the nodes at ``index`` (..., 2), bilinear; at the border those of the border."""
    return ndimage.map_coordinates(values, np.moveaxis(index, -1, 0), order=1, mode="nearest")


def _along(field: np.ndarray, sharp: np.ndarray, line: np.ndarray, count: int) -> np.ndarray:
    """Vertices moved along the edges they lie on to the zero of the polynomial through ``count`` values of the field.

    These lie evenly about the edge, or end at the border. Vertices stay where one of them is not c.
    """
    each, nearest = np.arange(len(line)), np.round(line).astype(int)
    axis = np.argmax(np.abs(line - nearest), axis=1)
    at = np.floor(line).astype(int)[each, axis]
    top = np.array(field.shape)[axis] - 1
    if min(field.shape) < count or not len(line):
        return line
    first = np.clip(at + 1 - count // 2, 0, top + 1 - count)
    offset = first - at + np.arange(count)[:, None]  # (value, vertex), from the edge's lower node

    def node(k: np.ndarray) -> tuple:
        moved = np.where(np.arange(2)[:, None] == axis, np.minimum(at + k, top), nearest.T)
        return moved[0], moved[1]

    f, ends = np.stack([field[node(k)] for k in offset]), [field[node(k * np.ones_like(at))] for k in (0, 1)]
    fine = ~np.any([sharp[node(k)] for k in offset], axis=0) & np.isfinite(f).all(0) & (ends[0] * ends[1] < 0)

    def polynomial(t: np.ndarray) -> np.ndarray:
        """Lagrange's."""
        total = np.zeros_like(t)
        for k in range(count):
            rest = np.delete(offset, k, axis=0)
            total += f[k] * np.prod((t - rest) / (offset[k] - rest), axis=0)
        return total

    share = np.where(fine, bisect(polynomial, np.zeros(len(line)), np.ones(len(line))), line[each, axis] - at)
    moved = line.copy()
    moved[each, axis] = at + share
    return moved


def runs(
    line: Float[np.ndarray, "vertex coordinate"], good: Bool[np.ndarray, "segment"]
) -> Iterator[Float[np.ndarray, "vertex coordinate"]]:
    """The parts of a line whose segments are ``good``; a closed one is opened where it is bad."""
    if np.array_equal(line[0], line[-1]) and not good.all() and good.any():
        start = int(np.argmin(good))
        line = np.concatenate([line[start:-1], line[: start + 1]])
        good = np.roll(good, -start)
    for part in spans(bridged(good)):
        yield line[part.start : part.stop + 1]


def spans(good: Bool[np.ndarray, "place"]) -> Iterator[slice]:
    """Slices over which ``good`` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(int), [0]])))
    yield from (slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def bridged(good: Bool[np.ndarray, "place"]) -> Bool[np.ndarray, "place"]:
    """``good``, and true over gaps of one or two."""
    filled = good.copy()
    for gap in spans(~good):
        if gap.start > 0 and gap.stop < len(good) and gap.stop - gap.start <= 2:
            filled[gap] = True
    return filled


def pieces(good: Bool[np.ndarray, "place"]) -> Iterator[slice]:
    """As `spans`, over gaps of one or two vertices, and long enough to be a line."""
    yield from (part for part in spans(bridged(good)) if part.stop - part.start >= SHORTEST)


def ordered(lines: Iterable[Line], axes: list[Float[np.ndarray, "_"]]) -> list[Line]:
    """Lines in order of their extent, relative to the window, times height."""
    window = np.array([np.ptp(axis) for axis in axes])

    def size(line: Line) -> float:
        steps = np.linalg.norm(np.diff(line["place"], axis=0) / window, axis=1)
        return -float(steps.sum() * np.median(line["height"]))

    return sorted(lines, key=size)


def dataset(names: list[str], lines: list[tuple[int, Line]]) -> "xarray.Dataset":
    import xarray

    number: dict[int, int] = {}
    parts: dict[str, list[np.ndarray]] = {name: [np.zeros(0)] for name in (*names, "direction", "slope", "height")}
    parts |= {"resolved": [np.zeros(0, bool)], "length": [np.zeros(0, int)], "line": [np.zeros(0, int)]}
    for length, line in lines:
        here = dict(zip(names, line["place"].T, strict=True)) | line
        here["length"] = np.full(len(line["place"]), length)
        here["line"] = np.full(len(line["place"]), number.setdefault(length, 0))
        number[length] += 1
        for name, values in parts.items():
            values.append(here[name])
    found = {name: np.concatenate(values) for name, values in parts.items()}
    with np.errstate(all="ignore"):
        found["width"] = found["height"] / found["slope"]
    order = ["length", "line", *names, "direction", "slope", "height", "width", "resolved"]
    described = {name: ("point", found[name], {"long_name": WORDS[name]} if name in WORDS else {}) for name in order}
    return xarray.Dataset(described, attrs={"coordinates": names})

"""Ridges of the gradient: the lines along which a surface is steeper than on either side, as polylines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from landscape.cliffs.climbs import heights
from landscape.cliffs.lines import Line, dataset, ordered, pieces, runs
from landscape.cliffs.measures import coordinates, derivatives, jumps
from landscape.cliffs.roots import bisect

if TYPE_CHECKING:
    import xarray
MISSED, LEAST = 0.2, 0.01  # of a change along an edge, and in the loss, that gradients may not account for


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
    grid = _grid(surface, names)
    lines = [
        (int(length), line)
        for k, length in enumerate(surface["length"].values)
        for line in ordered(_lines(grid, k, least), grid.axes)
    ]
    kept = {"settings": surface.attrs["settings"]} if "settings" in surface.attrs else {}
    return dataset(names, lines).assign_attrs(kept)


class _Grid(NamedTuple):
    """A surface over two coordinates as arrays: nodes (length, i, j), cells (length, i - 1, j - 1)."""

    axes: list[np.ndarray]
    loss: np.ndarray
    field: np.ndarray  # what is zero on a ridge, positive below it and negative above
    gradient: np.ndarray  # (coordinate, length, i, j)
    mean: np.ndarray  # gradient of the loss over each cell, (coordinate, length, i - 1, j - 1)
    falls: np.ndarray  # whether the field falls uphill, by cell
    coarse: np.ndarray  # whether a cliff thinner than the grid passes, by cell
    sharp: np.ndarray  # nodes of those cells, where the field is not c


def _grid(surface: "xarray.Dataset", names: list[str]) -> _Grid:
    gradient, hessian = derivatives(surface, 1), derivatives(surface, 2)
    loss = surface["loss"].transpose("length", *names).values.astype(float)
    axes = [surface[name].values.astype(float) for name in names]
    with np.errstate(all="ignore"):
        along = gradient / np.sqrt(np.sum(gradient**2, 0))
        second = np.einsum("i...,ij...,j...->...", along, hessian, along)
        high, low = _around(loss, np.fmax), _around(loss, np.fmin)
        steps = [np.gradient(axis) for axis in axes]
        # Both fields are about c times the square of a step, so that a line passes from one to the other.
        second = second * (steps[0][:, None] * steps[1])
        coarse = jumps(surface)["hidden"].values | _coarse(loss, gradient, axes)
        sharp = _touching(coarse)
        middle = high + low - 2 * loss
        mean = _mean(loss, axes)
        # Each cell is asked about the field that it can trust: a line where one field meets the other is no ridge.
        falls = np.where(coarse, _falls(middle, mean, axes), _falls(second, mean, axes))
    return _Grid(axes, loss, np.where(sharp, middle, second), gradient, mean, falls, coarse, sharp)


def _falls(field: np.ndarray, mean: np.ndarray, axes: list[np.ndarray]) -> np.ndarray:
    """Cells in which the field falls through zero in the direction of the gradient ``mean``."""
    corners = [field[:, i : i + field.shape[1] - 1, j : j + field.shape[2] - 1] for i in (0, 1) for j in (0, 1)]
    return (np.min(corners, 0) <= 0) & (np.max(corners, 0) >= 0) & (np.sum(mean * _mean(field, axes), 0) < 0)


def _coarse(loss: np.ndarray, gradient: np.ndarray, axes: list[np.ndarray]) -> np.ndarray:
    """Cells with an edge along which the loss does not change by the mean of the gradients at its ends."""
    cells = np.zeros((len(loss), *(n - 1 for n in loss.shape[1:])), bool)
    for a, axis in enumerate(axes):
        change, slope = np.diff(loss, axis=a + 1), gradient[a]
        step = np.diff(axis)[:, None] if a == 0 else np.diff(axis)
        ends = [np.take(slope, range(k, k + len(axis) - 1), a + 1) for k in (0, 1)]
        wrong = np.abs(change - (ends[0] + ends[1]) / 2 * step)
        bad = ~(wrong <= np.maximum(MISSED * np.abs(change), LEAST))
        cells |= bad[:, :, 1:] | bad[:, :, :-1] if a == 0 else bad[:, 1:] | bad[:, :-1]
    return cells


def _around(values: np.ndarray, op: Any) -> np.ndarray:
    """``op`` over each node and its eight neighbours."""
    for axis in (1, 2):
        padded = np.pad(values, [(1, 1) if k == axis else (0, 0) for k in range(3)], mode="edge")
        part = [np.take(padded, range(k, k + values.shape[axis]), axis) for k in range(3)]
        values = op(op(part[0], part[1]), part[2])
    return values


def _touching(cells: np.ndarray) -> np.ndarray:
    """The nodes of the cells that are true."""
    padded = np.pad(cells, [(0, 0), (1, 1), (1, 1)])
    return padded[:, 1:, 1:] | padded[:, :-1, 1:] | padded[:, 1:, :-1] | padded[:, :-1, :-1]


def _mean(values: np.ndarray, axes: list[np.ndarray]) -> np.ndarray:
    """The mean gradient over each cell, (coordinate, length, i - 1, j - 1)."""
    one, two = np.diff(values, axis=1), np.diff(values, axis=2)
    return np.stack(
        [
            (one[:, :, 1:] + one[:, :, :-1]) / 2 / np.diff(axes[0])[:, None],
            (two[:, 1:] + two[:, :-1]) / 2 / np.diff(axes[1]),
        ]
    )


def _lines(grid: _Grid, k: int, least: float) -> Iterator[Line]:
    """The ridges at the length of index ``k``."""
    import contourpy

    finite = grid.loss[k][np.isfinite(grid.loss[k])]
    extent = np.ptp(finite) if finite.size else 0.0
    contours = contourpy.contour_generator(z=np.ma.masked_invalid(grid.field[k])).lines(0.0)
    for contour in contours:
        contour = np.asarray(contour)[:, ::-1]  # (vertex, index along each coordinate)
        for run in runs(contour, _cell(grid.falls[k], contour)):
            line = _measured(grid, k, run)
            for part in pieces(line["height"] >= max(least * extent, 1e-300)):
                yield {name: values[part] for name, values in line.items()}


def _cell(cells: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Values of the cells in which the segments of a line (vertex, index) lie."""
    middle = np.floor((line[1:] + line[:-1]) / 2).astype(int)
    return cells[tuple(np.minimum(middle[:, k], cells.shape[k] - 1) for k in (0, 1))]


def _measured(grid: _Grid, k: int, line: np.ndarray) -> Line:
    """Position, direction, slope and height of the vertices of a line (vertex, index)."""
    bad = _cell(grid.coarse[k], line) if len(line) > 1 else np.zeros(0, bool)
    resolved = ~(np.append(bad, False) | np.append(False, bad))
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
    top = np.array(values.shape) - 1
    index = np.clip(index, 0, top)
    low = np.minimum(np.floor(index).astype(int), np.maximum(top - 1, 0))
    u, v = np.moveaxis(index - low, -1, 0)
    i, j = np.moveaxis(low, -1, 0)
    i1, j1 = np.minimum(i + 1, top[0]), np.minimum(j + 1, top[1])
    one = (1 - u) * values[i, j] + u * values[i1, j]
    return (1 - v) * one + v * ((1 - u) * values[i, j1] + u * values[i1, j1])


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

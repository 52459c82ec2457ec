"""Fields whose zeros are ridges: the second derivative uphill, or the middle of what the loss is around a node."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from landscape.cliffs.measures import coordinates, derivatives, jumps

if TYPE_CHECKING:
    import xarray

MISSED, LEAST = 0.2, 0.01  # of a change along an edge, and in the loss, that gradients may not account for


class Grid(NamedTuple):
    """A surface over two coordinates as arrays: nodes (length, i, j), cells (length, i - 1, j - 1)."""

    axes: list[Float[np.ndarray, "_"]]
    loss: Float[np.ndarray, "length i j"]
    field: Float[np.ndarray, "length i j"]  # what is zero on a ridge, positive below it and negative above
    gradient: Float[np.ndarray, "coordinate length i j"]
    mean: Float[np.ndarray, "coordinate length i-1 j-1"]  # gradient of the loss over each cell
    falls: Bool[np.ndarray, "length i-1 j-1"]  # whether the field falls uphill, by cell
    coarse: Bool[np.ndarray, "length i-1 j-1"]  # whether a cliff thinner than the grid passes, by cell
    sharp: Bool[np.ndarray, "length i j"]  # nodes of those cells, where the field is not c


def grid_of(surface: "xarray.Dataset") -> Grid:
    names = coordinates(surface)
    gradient, hessian = derivatives(surface, 1), derivatives(surface, 2)
    loss = surface["loss"].transpose("length", *names).values.astype(float)
    axes = [surface[name].values.astype(float) for name in names]
    with np.errstate(all="ignore"):
        along = gradient / np.sqrt(np.sum(gradient**2, 0))
        second = np.einsum("i...,ij...,j...->...", along, hessian, along)
        high, low = _around(loss, True), _around(loss, False)
        steps = [np.gradient(axis) for axis in axes]
        # Both fields are about c times the square of a step, so that a line passes from one to the other.
        second = second * (steps[0][:, None] * steps[1])
        coarse = jumps(surface)["hidden"].values | _coarse(loss, gradient, axes)
        sharp = _touching(coarse)
        middle = high + low - 2 * loss
        mean = slopes(loss, axes)
        # Each cell is asked about the field that it can trust: a line where one field meets the other is no ridge.
        falls = np.where(coarse, _falls(middle, mean, axes), _falls(second, mean, axes))
    return Grid(axes, loss, np.where(sharp, middle, second), gradient, mean, falls, coarse, sharp)


def _falls(field: np.ndarray, mean: np.ndarray, axes: list[np.ndarray]) -> np.ndarray:
    """Cells in which the field falls through zero in the direction of the gradient ``mean``."""
    corners = [field[:, i : i + field.shape[1] - 1, j : j + field.shape[2] - 1] for i in (0, 1) for j in (0, 1)]
    return (np.min(corners, 0) <= 0) & (np.max(corners, 0) >= 0) & (np.sum(mean * slopes(field, axes), 0) < 0)


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


def _around(values: np.ndarray, most: bool) -> np.ndarray:
    """The largest or the least number over each node and its eight neighbours; infinite where there is none."""
    worst, over = (-np.inf, ndimage.maximum_filter) if most else (np.inf, ndimage.minimum_filter)
    return over(np.where(np.isnan(values), worst, values), size=(1, 3, 3), mode="nearest")


def _touching(cells: np.ndarray) -> np.ndarray:
    """The nodes of the cells that are true."""
    padded = np.pad(cells, [(0, 0), (1, 1), (1, 1)])
    return padded[:, 1:, 1:] | padded[:, :-1, 1:] | padded[:, 1:, :-1] | padded[:, :-1, :-1]


def slopes(
    values: Float[np.ndarray, "length i j"], axes: list[Float[np.ndarray, "_"]]
) -> Float[np.ndarray, "coordinate length i-1 j-1"]:
    """The mean gradient over each cell, (coordinate, length, i - 1, j - 1)."""
    one, two = np.diff(values, axis=1), np.diff(values, axis=2)
    return np.stack(
        [
            (one[:, :, 1:] + one[:, :, :-1]) / 2 / np.diff(axes[0])[:, None],
            (two[:, 1:] + two[:, :-1]) / 2 / np.diff(axes[1]),
        ]
    )

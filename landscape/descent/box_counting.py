"""How rough a boundary is: its box-counting dimension, and how far to trust it."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int


class Dimension(NamedTuple):
    """A box-counting dimension: ``counts`` boxes of edge ``sizes`` (cells), ``value`` ± ``error`` of the fitted line.

    ``residual`` is the SD of log2 counts about the line, ``local`` the slopes between neighbouring sizes.
    """

    value: float
    error: float
    residual: float
    sizes: Int[np.ndarray, "size"]
    counts: Int[np.ndarray, "size"]
    local: Float[np.ndarray, "size-1"]


def box_dimension(mask: Bool[ArrayLike, "*axes"], sizes: Sequence[int] | None = None) -> Dimension:
    """The box-counting dimension of the boundary of a set that is given on a grid: -d ln N / d ln size.

    ``mask``, such as ``ds.loss < 1e-4``, is True in the set. Its boundary passes between cells that differ: through the
    corners at which cells of both kinds meet. N is the number of boxes of ``sizes`` cells on edge that hold such a
    corner, by default 1, 2, 4, ... up to an eighth of the shorter side.

    What it cannot say: the grid is one resolution, and no fit over a few octaves tells a fractal from a curve that is
    only rough down to the cell. ``error`` is the scatter of the points about one line, not the distance from a limit;
    where ``local`` drifts, there is no one line. Cells that are in the set by chance fill the plane, and yet have a
    slope below 2 that tells how many they are; ``local`` then rises to 2. Cells are taken as squares. A boundary of a
    trainability map is that of one tolerance after one number of steps.

    Raises ValueError for a mask without boundary, or fewer than three sizes.
    """
    mask = np.asarray(mask, bool)
    boundary = np.logical_or.reduce(_around(mask)) & ~np.logical_and.reduce(_around(mask))
    if sizes is None:
        sizes = [2**k for k in range(64) if 2**k <= min(mask.shape) // 8]
    if len(sizes) < 3:
        raise ValueError(f"a dimension needs 3 sizes of boxes or more, given {list(sizes)} for a map of {mask.shape}")
    if not boundary.any():
        raise ValueError(f"a map without boundary has no dimension: all {mask.size} cells are {bool(mask.flat[0])}")
    counts = np.array([_boxes(boundary, size) for size in sizes])
    x, y = np.log2(np.asarray(sizes, float)), np.log2(counts)
    slope, at = np.polyfit(x, y, 1)
    residual = float(np.sqrt(np.sum((y - slope * x - at) ** 2) / (len(x) - 2)))
    error = residual / float(np.sqrt(np.sum((x - x.mean()) ** 2)))
    return Dimension(-float(slope), error, residual, np.asarray(sizes), counts, -np.diff(y) / np.diff(x))


def _around(mask: np.ndarray) -> list[np.ndarray]:
    """The cells that meet at each inner corner of the grid: four in a plane."""
    parts = itertools.product((slice(-1), slice(1, None)), repeat=mask.ndim)
    return [mask[part] for part in parts]


def _boxes(corners: np.ndarray, size: int) -> int:
    """How many boxes of ``size`` cells on edge hold one that is True."""
    for axis in range(corners.ndim):
        corners = np.logical_or.reduceat(corners, range(0, corners.shape[axis], size), axis)
    return int(corners.sum())

"""Facets of a surface in 3-D, none of which spans more than a step of height."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def facets(
    x: "Float[np.ndarray, 'x']", y: "Float[np.ndarray, 'y']", z: "Float[np.ndarray, 'x y']", step: float
) -> "Float[np.ndarray, 'facet 5 3']":
    """Corners (facet, 5, 3) of the surface through ``z`` (x, y), some twice; not finite cells have none.

    A cell that spans more than ``step`` is cut at heights that are multiples of it, so that on a cliff, as elsewhere,
    a facet has the colour of its height: one facet from foot to top would have one colour, that of neither.
    """
    across, up = np.meshgrid(x, y, indexing="ij")
    points = np.stack([across, up, z], -1).astype(float)
    cells = np.stack([points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]], -2).reshape(-1, 4, 3)
    cells = cells[np.isfinite(cells[..., 2]).all(1)]
    steep = np.ptp(cells[..., 2], axis=1) > step
    flat = cells[~steep][:, [0, 1, 2, 3, 3]]
    halves = np.concatenate([cells[steep][:, [0, 1, 2]], cells[steep][:, [0, 2, 3]]])
    return np.concatenate([flat, _bands(halves, step)])


def _bands(triangles: np.ndarray, step: float) -> np.ndarray:
    """The parts (part, 5, 3) of triangles (n, 3, 3) between heights that follow each other by ``step``."""
    order = np.argsort(triangles[..., 2], axis=1)
    triangles = np.take_along_axis(triangles, order[..., None], 1)
    low, high = np.floor(triangles[:, 0, 2] / step), np.ceil(triangles[:, 2, 2] / step)
    counts = np.maximum(high - low, 1).astype(int)
    one = np.repeat(triangles, counts, 0)
    band = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    bottom, middle, top = one.transpose(1, 0, 2)
    begin, end = (np.clip(step * edge, bottom[:, 2], top[:, 2]) for edge in (band, band + 1))

    def long(height: np.ndarray) -> np.ndarray:
        return _between(bottom, top, height)

    def short(height: np.ndarray) -> np.ndarray:
        above = (height > middle[:, 2])[:, None]
        return np.where(above, _between(middle, top, height), _between(bottom, middle, height))

    bend = np.clip(middle[:, 2], begin, end)
    return np.stack([long(begin), short(begin), short(bend), short(end), long(end)], 1)


def _between(low: np.ndarray, high: np.ndarray, height: np.ndarray) -> np.ndarray:
    """The points at ``height`` on lines from ``low`` to ``high`` (n, 3); the low ends of level ones."""
    span = high[:, 2] - low[:, 2]
    share = np.clip((height - low[:, 2]) / np.where(span > 0, span, 1), 0, 1)[:, None]
    return low + share * (high - low)

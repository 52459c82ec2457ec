"""Cuts across a cliff: the true maximum of the slope, found by refining where the loss jumps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.planes import Plane
from landscape.surfaces import Evaluator
from landscape.tasks import Task

if TYPE_CHECKING:
    import xarray

MOST_LEVELS = 40  # of refinement; each narrows by about ten, so float64 ends before


def cut(
    plane: Plane,
    task: Task,
    lengths: Iterable[int],
    start: Mapping[str, float] | Sequence[float],
    stop: Mapping[str, float] | Sequence[float],
    *,
    points: int = 33,
    dtype: str = "float64",
    **settings: Any,
) -> "xarray.Dataset":
    """The highest cliff along the straight cut from ``start`` to ``stop``, at each length, by adaptive refinement.

    The loss is sampled at ``points`` places, and again within the interval across which it changes most, until the
    change is spread over many intervals; only then is the steepest place looked for. This finds the true maximum
    of the slope, which a grid misses by orders of magnitude, as long as the dtype can tell places on the cliff apart.

    Returns variables (length,): every coordinate of the steepest place; ``slope``, the absolute derivative of the loss
    along the cut there; ``height``, the change of the loss across 40 widths around it; ``width``, height / slope; and
    ``resolved``, False where the dtype ended first: height is then the last jump seen and slope, by the mean value
    theorem, a lower bound. ``settings`` (episodes, seed) are those of `landscape.surfaces.surface`.
    """
    import xarray

    first, last = (
        np.array([p[name] for name in plane.axes] if isinstance(p, Mapping) else p, float) for p in (start, stop)
    )
    span = float(np.linalg.norm(last - first))
    if not span > 0:
        raise ValueError(f"a cut needs two different points, given {start} twice")
    evaluator = Evaluator(plane, task, lengths, order=1, dtype=dtype, **settings)
    rows = np.arange(len(evaluator.lengths))
    direction = (last - first) / span

    def sample(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loss and slope, each (length, place), at each length's own places, in units of the cut from 0 to 1."""
        at = first + places.reshape(-1, 1) * (last - first)
        found = evaluator.resize(max(places.size, len(rows) * points))(at)
        own = lambda values: values.reshape(len(rows), *places.shape)[rows, rows].astype(float)  # noqa: E731
        slope = np.tensordot(direction, [own(found[f"d_{name}"]) for name in plane.axes], 1)
        return own(found["loss"]), np.abs(slope)

    # Two places count as different where the dtype still has a hundred numbers between samples.
    finest = 100 * np.finfo(dtype).eps * max(np.abs(first).max(), np.abs(last).max(), span) / span * points
    low, high = np.zeros(len(rows)), np.ones(len(rows))
    resolved = np.zeros(len(rows), bool)
    place, slope, height = np.zeros((3, len(rows)))
    for _ in range(MOST_LEVELS):
        places = np.linspace(low, high, points, axis=1)
        loss, slopes = sample(places)
        jump = np.abs(np.diff(loss, axis=1))
        largest, steepest = jump.argmax(1), slopes.argmax(1)
        unseen = ~resolved
        resolved |= jump.max(1) < 0.2 * np.ptp(loss, axis=1)
        height = np.where(unseen, np.where(resolved, np.ptp(loss, axis=1), jump.max(1)), height)
        blind = [
            (places[rows, largest] + places[rows, largest + 1]) / 2,
            jump.max(1) * (points - 1) / (high - low) / span,
        ]
        place, slope = np.where(resolved, [places[rows, steepest], slopes[rows, steepest]], blind)
        left = np.where(resolved, steepest, largest) - 1
        right = left + np.where(resolved, 2, 3)
        ends = places[rows, left.clip(0)], places[rows, right.clip(max=points - 1)]
        going = ends[1] - ends[0] > finest
        if not going.any():
            break
        low, high = np.where(going, ends[0], low), np.where(going, ends[1], high)
    for _ in range(3):  # the width, and the height across 40 of it, are found together
        around = 20 * height / slope / span
        across = np.abs(np.diff(sample(np.stack([place - around, place + around], 1).clip(0, 1))[0], axis=1))[:, 0]
        height = np.where(resolved, across, height)
    where = first + place[:, None] * (last - first)
    found = dict(zip(plane.axes, where.T, strict=True))
    found |= {"slope": slope, "height": height, "width": height / slope, "resolved": resolved}
    return xarray.Dataset({name: ("length", v) for name, v in found.items()}, coords={"length": evaluator.lengths})

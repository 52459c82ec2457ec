"""Cuts across a cliff: the true maximum of the slope, found by refining where the loss jumps."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from landscape.engine import Evaluator, precise
from landscape.planes import Plane
from landscape.recurrence import Recurrence

if TYPE_CHECKING:
    import xarray

MOST_LEVELS = 40  # of refinement; each narrows by about ten, so float64 ends before
CALL = 4096  # points in one call of the evaluator: always the same program
REACH = np.array([0, 0.25, 0.5, *range(1, 21)])  # widths from a ridge at which its height is looked at

Sample = Callable[[np.ndarray], dict[str, np.ndarray]]


def cut(
    plane: Plane,
    problem: Recurrence,
    start: Mapping[str, float] | Sequence[float],
    stop: Mapping[str, float] | Sequence[float],
    *,
    points: int = 33,
) -> "xarray.Dataset":
    """The highest cliff along the straight cut from ``start`` to ``stop``, at each length, by adaptive refinement.

    The loss is sampled at ``points`` places, and again within the interval across which it changes most, until the
    change is spread over many intervals; only then is the steepest place looked for. This finds the true maximum
    of the slope, which a grid misses by orders of magnitude, as long as the dtype can tell places on the cliff apart.

    Returns variables (length,): every coordinate of the steepest place; ``slope``, the absolute derivative of the loss
    along the cut there; ``height``, the change of the loss across 40 widths around it (see `heights`); ``width``,
    height / slope; and ``resolved``, False where the dtype ended first: height is then the last jump seen and slope, by
    the mean value theorem, a lower bound. The dtype is float64 unless the problem names another.

    Raises ValueError for ends that are the same, or not points of the plane.
    """
    import xarray

    first, last = (_end(plane, end) for end in (start, stop))
    if not np.linalg.norm(last - first) > 0:
        raise ValueError(f"a cut needs two different points, given {start} twice")
    evaluator = Evaluator(plane, dataclasses.replace(precise(problem), order=1))
    lengths = evaluator.leading["length"]
    rows = np.arange(len(lengths))
    sample = at_lengths(evaluator, rows)
    low, high = (np.broadcast_to(end, (len(rows), len(end))) for end in (first, last))
    found = climb(sample, low, high, points, evaluator.dtype)
    inside = lambda at: np.where(_between(at, first, last)[..., None], at, np.nan)  # noqa: E731
    toward = np.sign(found.slope)[:, None] * (last - first) / np.linalg.norm(last - first)
    height = heights(lambda at: sample(inside(at))["loss"], found.place, toward, np.abs(found.slope), found.jump)
    height = np.where(found.resolved, height, found.jump)
    slope = np.abs(found.slope)
    values = dict(zip(plane.axes, found.place.T, strict=True))
    values |= {"slope": slope, "height": height, "width": height / slope, "resolved": found.resolved}
    return xarray.Dataset({name: ("length", v) for name, v in values.items()}, coords={"length": lengths})


def _end(plane: Plane, end: Mapping[str, float] | Sequence[float]) -> np.ndarray:
    """An end of a cut as an array over the coordinates of the plane."""
    names = list(plane.axes)
    if isinstance(end, Mapping) and set(end) != set(names):
        raise ValueError(f"an end of a cut names {', '.join(end)}; the coordinates of the plane are {', '.join(names)}")
    place = np.array([end[name] for name in names] if isinstance(end, Mapping) else end, float)
    if place.shape != (len(names),):
        raise ValueError(f"an end of a cut has a number for each of {', '.join(names)}, given {end!r}")
    return place


def _between(at: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Whether places on the line from ``first`` to ``last`` lie between them, rounding aside."""
    share = (at - first) @ (last - first) / ((last - first) @ (last - first))
    return (share > -1e-12) & (share < 1 + 1e-12)


def at_lengths(evaluator: Evaluator, rows: np.ndarray) -> Sample:
    """``points (row, place, coordinate) -> {name: (row, place)}``, each row at the length of index ``rows[row]``."""

    def sample(points: np.ndarray) -> dict[str, np.ndarray]:
        flat = points.reshape(-1, points.shape[-1])
        index = np.repeat(rows, points.shape[1])
        evaluator.resize(min(CALL, len(flat)))
        parts = []
        for i in range(0, len(flat), evaluator.size):
            part = slice(i, i + evaluator.size)
            every = evaluator(flat[part])
            own = index[part], np.arange(len(index[part]))
            parts.append({name: values[own].astype(float) for name, values in every.items()})
        return {name: np.concatenate([p[name] for p in parts]).reshape(points.shape[:-1]) for name in evaluator.names}

    return sample


class Climbed(NamedTuple):
    """The steepest place of each cut: ``place`` (row, coordinate), and (row,): ``slope`` along the cut, with its sign,
    the ``jump`` of the loss across the interval last looked at, and whether the dtype ``resolved`` it.
    """

    place: np.ndarray
    slope: np.ndarray
    jump: np.ndarray
    resolved: np.ndarray


def climb(sample: Sample, first: np.ndarray, last: np.ndarray, points: int, dtype: str) -> Climbed:
    """The steepest place between ``first`` and ``last``, both (row, coordinate), of each row's own cut (see `cut`)."""
    rows, along = np.arange(len(first)), last - first
    span = np.linalg.norm(along, axis=1)
    # Two places count as different where the dtype still has a hundred numbers between samples.
    largest = np.max(np.abs(np.concatenate([first, last, span[:, None]], axis=1)), axis=1)
    finest = 100 * np.finfo(dtype).eps * largest / span * points
    low, high = np.zeros(len(rows)), np.ones(len(rows))
    resolved = np.zeros(len(rows), bool)
    place, slope, height = np.zeros((3, len(rows)))
    for _ in range(MOST_LEVELS):
        places = np.linspace(low, high, points, axis=1)
        found = sample(first[:, None] + places[..., None] * along[:, None])
        names = [name for name in found if name.startswith("d_")][: first.shape[1]]
        slopes = sum(found[name] * (part / span)[:, None] for name, part in zip(names, along.T, strict=True))
        change = np.diff(found["loss"], axis=1)
        widest, steepest = np.abs(change).argmax(1), np.abs(slopes).argmax(1)
        jump, extent = np.abs(change[rows, widest]), np.ptp(found["loss"], axis=1)
        unseen = ~resolved
        resolved |= jump < 0.2 * extent
        height = np.where(unseen, np.where(resolved, extent, jump), height)
        blind = [
            (places[rows, widest] + places[rows, widest + 1]) / 2,
            change[rows, widest] * (points - 1) / (high - low) / span,
        ]
        place, slope = np.where(resolved, [places[rows, steepest], slopes[rows, steepest]], blind)
        left = np.where(resolved, steepest, widest) - 1
        right = left + np.where(resolved, 2, 3)
        ends = places[rows, left.clip(0)], places[rows, right.clip(max=points - 1)]
        going = ends[1] - ends[0] > finest
        if not going.any():
            break
        low, high = np.where(going, ends[0], low), np.where(going, ends[1], high)
    return Climbed(first + place[:, None] * along, slope, height, resolved)


def heights(
    loss: Callable[[np.ndarray], np.ndarray],
    place: np.ndarray,
    toward: np.ndarray,
    slope: np.ndarray,
    height: np.ndarray,
    least: Any = 0.0,
) -> np.ndarray:
    """The change of the loss across 40 widths around ridges at ``place`` (row, coordinate), uphill ``toward``.

    On a side where half of the change is lost again, where another cliff begins, twice as steep as this one or as its
    foot, or where the loss is NaN, the height is that of the foot before it. ``loss`` takes (row, place, coordinate).
    Width, height / slope, and height are found together, from a first guess of the ``height``; places are never closer
    than ``least`` times the steps of `REACH`.
    """
    for _ in range(5):
        with np.errstate(all="ignore"):
            distance = np.maximum(np.nan_to_num(height / slope), least)[:, None] * REACH
            sides = []
            for side in (1, -1):
                along = side * loss(place[:, None] + side * distance[..., None] * toward[:, None])
                sides.append(_gain(np.diff(along, axis=1), slope[:, None] * np.diff(distance, axis=1)))
        height = sides[0] + sides[1]
    return height


def _gain(rise: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """What is gained by steps that ``rise`` (row, step), ``usual`` being the steepest they should: see `heights`."""
    total, steep = np.cumsum(rise, axis=1), np.abs(rise) / usual
    another = (steep > 2) | ((steep > 0.1) & (steep > 2 * np.minimum.accumulate(steep, axis=1)))
    fine = ~np.isnan(rise) & ~another & (total >= np.maximum.accumulate(total, axis=1) / 2)
    fine = np.logical_and.accumulate(fine, axis=1)
    rows, end = np.arange(len(rise)), fine.argmin(1)
    foot = total[rows, np.where(fine, steep, np.inf).argmin(1)]
    ended = np.where(another[rows, end], np.where(fine.any(1), foot, 0), np.where(fine, total, 0).max(1))
    return np.where(fine.all(1), total[:, -1], ended)

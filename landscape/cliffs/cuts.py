"""Cuts across a cliff: the true maximum of the slope, found by refining where the loss jumps."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from landscape.cliffs.climbs import Climbed, Sample, at_lengths, climb, directional, heights, hessian
from landscape.cliffs.roots import bisect
from landscape.engine import Evaluator, precise
from landscape.planes import Plane
from landscape.recurrence import Recurrence

if TYPE_CHECKING:
    import xarray


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
    change is spread over many intervals; only then is the steepest place looked for, by bisection of the second
    derivative. This finds the true maximum of the slope, which a grid misses by orders of magnitude, as long as the
    dtype can tell places on the cliff apart.

    Returns variables (length,): every coordinate of the steepest place; ``slope``, the absolute derivative of the loss
    along the cut there; ``height``, the change of the loss across 40 widths around it (see `heights`); ``width``,
    height / slope; and ``resolved``, False where the dtype ended first: height is then the last jump seen and slope, by
    the mean value theorem, a lower bound. A resolved place is the zero of the second derivative along the cut, or the
    end of the cut where the loss is steepest there. The dtype is float64 unless the problem names another.

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
    bent = Evaluator(plane, dataclasses.replace(precise(problem), order=2))
    place, slope = _crest(at_lengths(bent, rows), found, (high - low) / np.linalg.norm(last - first))
    inside = lambda at: np.where(_between(at, first, last)[..., None], at, np.nan)  # noqa: E731
    toward = np.sign(found.slope)[:, None] * (last - first) / np.linalg.norm(last - first)
    height = heights(lambda at: sample(inside(at))["loss"], place, toward, slope, found.jump)
    height = np.where(found.resolved, height, found.jump)
    values = dict(zip(plane.axes, place.T, strict=True))
    values |= {"slope": slope, "height": height, "width": height / slope, "resolved": found.resolved}
    return xarray.Dataset({name: ("length", v) for name, v in values.items()}, coords={"length": lengths})


def _crest(sample: Sample, found: Climbed, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The zero of the second derivative ``along`` (row, coordinate) the cut beside each steepest sample, and the slope.

    Where the cut ends there first, or nothing is resolved, the sample itself.
    """
    count, uphill = along.shape[1], np.sign(found.slope)

    def bend(distance: np.ndarray) -> np.ndarray:
        at = found.place + distance[:, None] * along
        second = hessian(sample(at[:, None]), count)[..., 0]
        return uphill * np.einsum("ijr,ri,rj->r", second, along, along)

    low, high = found.step.T
    top = found.resolved & (bend(low) > 0) & (bend(high) < 0)
    place = found.place + np.where(top, bisect(bend, low, high), 0.0)[:, None] * along
    slope = directional(sample(place[:, None]), along)[:, 0]
    return place, np.abs(np.where(top, slope, found.slope))


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

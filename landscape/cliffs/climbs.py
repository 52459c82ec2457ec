"""Climbing: fresh samples at lengths of their own, the steepest sample of a cut, and the height of a ridge there."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Bool, DTypeLike, Float, Int

from landscape import devices
from landscape.engine import Evaluator
from landscape.engine.jets import pairs

MOST_LEVELS = 40  # of refinement; each narrows by about ten, so that float64 ends before
CALL = 64  # points in one call of the evaluator: always the same program, and little is computed in vain
REACH = np.array([0, 0.25, 0.5, *range(1, 21)])  # widths from a ridge at which its height is looked at

Sample = Callable[..., dict[str, np.ndarray]]


def at_lengths(evaluator: Evaluator, rows: Int[np.ndarray, "row"]) -> Sample:
    """``points (row, place, coordinate) -> {name: (row, place)}``, each row at the length of index ``rows[row]``.

    Asked for a part of the rows, ``which`` says for which.
    """
    evaluator.resize(CALL)

    def sample(points: np.ndarray, which: slice | np.ndarray = slice(None)) -> dict[str, np.ndarray]:
        flat = points.reshape(-1, points.shape[-1])
        index = np.repeat(rows[which], points.shape[1])

        def part(start: int) -> dict[str, np.ndarray]:
            here = slice(start, start + evaluator.size)
            own = index[here], np.arange(len(index[here]))
            return {name: values[own].astype(float) for name, values in evaluator(flat[here]).items()}

        with ThreadPoolExecutor(devices.threads()) as pool:
            parts = list(pool.map(part, range(0, len(flat), evaluator.size)))
        return {name: np.concatenate([p[name] for p in parts]).reshape(points.shape[:-1]) for name in evaluator.names}

    return sample


class Climbed(NamedTuple):
    """The steepest sample of each cut: ``place`` (row, coordinate), and (row,): ``slope`` along the cut, with its sign,
    ``jump``, the change of the loss across what was looked at when the change was first seen spread out, else across
    the last interval, and whether the dtype ``resolved`` it. The steepest place of all lies within ``step`` (row, end),
    the distances to the samples before and after it.
    """

    place: Float[np.ndarray, "row coordinate"]
    slope: Float[np.ndarray, "row"]
    jump: Float[np.ndarray, "row"]
    resolved: Bool[np.ndarray, "row"]
    step: Float[np.ndarray, "row 2"]


def climb(
    sample: Sample,
    first: Float[np.ndarray, "row coordinate"],
    last: Float[np.ndarray, "row coordinate"],
    points: int,
    dtype: DTypeLike,
) -> Climbed:
    """The steepest sample of each cut from ``first`` to ``last`` (row, coordinate): see `cut`.

    A row is narrowed to the interval across which its loss changes most until the change is spread over more than five
    intervals: then it is resolved, and narrowed to its steepest sample until these lie a sixtieth of a width apart. It
    ends where the dtype has no more than a hundred numbers between two samples. Where the loss is inf or NaN it has no
    change and no slope.
    """
    along = last - first
    span = np.linalg.norm(along, axis=1)
    largest = np.max(np.abs(np.concatenate([first, last, span[:, None]], axis=1)), axis=1)
    finest = 100 * np.finfo(dtype).eps * largest
    low, high = np.zeros(len(first)), np.ones(len(first))
    place, slope, jump = np.zeros((3, len(first)))
    step, resolved = np.zeros((len(first), 2)), np.zeros(len(first), bool)
    going = np.arange(len(first))
    for _ in range(MOST_LEVELS):
        share = np.linspace(low[going], high[going], points, axis=1)
        found = sample(first[going, None] + share[..., None] * along[going, None], going)
        slopes = directional(found, along[going] / span[going, None])
        change, rows = np.diff(found["loss"], axis=1), np.arange(len(going))
        change, slopes = (np.where(np.isfinite(values), values, 0) for values in (change, slopes))
        widest, extent = np.abs(change).argmax(1), _extent(found["loss"])
        most = np.where(np.isnan(extent), np.nan, change[rows, widest])
        apart = (high - low)[going] * span[going] / (points - 1)
        seen = resolved[going]
        good = seen | (np.abs(most) < 0.2 * extent)
        jump[going] = np.where(seen, jump[going], np.where(good, extent, np.abs(most)))
        at = np.where(good, np.abs(slopes).argmax(1), widest)
        ends = share[rows, (at - 1).clip(0)], share[rows, (at + np.where(good, 1, 2)).clip(max=points - 1)]
        here = np.where(good, share[rows, at], (share[rows, widest] + share[rows, widest + 1]) / 2)
        place[going], resolved[going] = here, good
        slope[going] = np.where(good, slopes[rows, at], most / apart)
        step[going] = np.stack([ends[0] - here, ends[1] - here], axis=1) * span[going, None]
        with np.errstate(all="ignore"):
            fine = good & (apart < jump[going] / np.abs(slope[going]) / 60)
        more = ~fine & ((ends[1] - ends[0]) * span[going] / (points - 1) > finest[going])
        going = going[more]
        low[going], high[going] = ends[0][more], ends[1][more]
        if not going.size:
            break
    return Climbed(first + place[:, None] * along, slope, jump, resolved, step)


def _extent(values: Float[np.ndarray, "row place"]) -> Float[np.ndarray, "row"]:
    """How far apart the finite values of each row are; NaN where there are none."""
    fine = np.isfinite(values)
    ends = np.max(values, axis=1, where=fine, initial=-np.inf) - np.min(values, axis=1, where=fine, initial=np.inf)
    return np.where(fine.any(axis=1), ends, np.nan)


def gradient(found: dict[str, Float[np.ndarray, "row place"]], count: int) -> Float[np.ndarray, "coordinate row place"]:
    """The first derivatives (coordinate, row, place) of what an evaluator of order 1 or 2 ``found``."""
    return np.array(list(found.values())[1 : 1 + count])


def directional(
    found: dict[str, Float[np.ndarray, "row place"]], toward: Float[np.ndarray, "row coordinate"]
) -> Float[np.ndarray, "row place"]:
    """The derivative (row, place) along ``toward`` (row, coordinate), of what an evaluator of order 1 ``found``."""
    return np.einsum("crp,rc->rp", gradient(found, toward.shape[1]), toward)


def hessian(
    found: dict[str, Float[np.ndarray, "row place"]], count: int
) -> Float[np.ndarray, "coordinate coordinate row place"]:
    """The second derivatives (coordinate, coordinate, row, place) of what an evaluator of order 2 ``found``."""
    upper = dict(zip(pairs(count), list(found.values())[2 + count :], strict=True))
    return np.array([[upper[min(a, b), max(a, b)] for b in range(count)] for a in range(count)])


def heights(
    loss: Callable[[Float[np.ndarray, "row place coordinate"]], Float[np.ndarray, "row place"]],
    place: Float[np.ndarray, "row coordinate"],
    toward: Float[np.ndarray, "row coordinate"],
    slope: Float[np.ndarray, "row"],
    height: Float[np.ndarray, "row"],
    least: Float[ArrayLike, "*row"] = 0.0,
) -> Float[np.ndarray, "row"]:
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

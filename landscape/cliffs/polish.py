"""Ridges to the accuracy of the dtype: vertices moved by fresh evaluations to where the gradient is largest."""

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np

from landscape import specs
from landscape.cliffs.climbs import Sample, at_lengths, climb, gradient, heights, hessian
from landscape.cliffs.ridges import ridge
from landscape.cliffs.roots import bisect
from landscape.engine import Evaluator, precise
from landscape.planes import Plane
from landscape.recurrence import Recurrence
from landscape.surfaces import settings_of, surface

if TYPE_CHECKING:
    import xarray

NEAR = 1.5  # cells on either side of a vertex in which the cliff is looked for


def polish(plane: Plane, problem: Recurrence, lines: "xarray.Dataset", *, points: int = 33) -> "xarray.Dataset":
    """The lines of `ridge` with every vertex moved to the ridge itself, and measured there by fresh evaluations.

    Where the grid hides the cliff it is looked for within 1.5 cells of ``plane``'s grid on either side, along the
    direction of the vertex, by following the jump of the loss (`landscape.cliffs.cut`). Then the zero of ``n' H n``
    along the gradient there is found by bisection. So hidden cliffs are placed too, with their true slope and width.
    Vertices without such a zero are left out. ``resolved`` is False where the dtype cannot tell places on the cliff
    apart; the position is then right to the dtype, the slope a lower bound.

    Returns the same variables as `ridge`. The dtype is float64 unless the problem names another. Raises ValueError for
    lines that are those of another problem.
    """
    same_problem(plane, problem, lines)
    found = lines.copy(deep=True)
    if not found.sizes["point"]:
        return found
    names = list(plane.axes)
    length, rows = _lengths(problem, found["length"].values)
    place = np.stack([found[name].values for name in names], axis=1)
    toward = np.stack([np.cos(found["direction"].values), np.sin(found["direction"].values)], axis=1)
    steps = [np.interp(at, axis, np.gradient(axis)) for at, axis in zip(place.T, plane.axes.values(), strict=True)]
    cell = 1 / np.linalg.norm(toward / np.stack(steps, axis=1), axis=1)
    asked = dataclasses.replace(precise(problem), lengths=length.tolist())
    first, second = (at_lengths(Evaluator(plane, dataclasses.replace(asked, order=n)), rows) for n in (1, 2))
    fine, scale = found["resolved"].values.copy(), cell / 2
    slope, height = found["slope"].values.copy(), np.zeros(len(rows))
    if (at := np.flatnonzero(~fine)).size:
        reach = NEAR * (cell[:, None] * toward)[at]
        rough = climb(_only(first, at), place[at] - reach, place[at] + reach, points, asked.precision)
        place[at], fine[at], slope[at], height[at] = rough.place, rough.resolved, np.abs(rough.slope), rough.jump
        toward[at] *= np.sign(rough.slope)[:, None]
        with np.errstate(all="ignore"):
            scale[at] = height[at] / slope[at]
    kept = ~fine
    if (at := np.flatnonzero(fine)).size:
        with np.errstate(all="ignore"):
            place[at], uphill, kept[at] = _polished(_only(second, at), place[at], scale[at])
            slope[at] = np.linalg.norm(uphill, axis=1)
            toward[at] = uphill / slope[at, None]
        loss = lambda points: first(points, at)["loss"]  # noqa: E731
        height[at] = heights(loss, place[at], toward[at], slope[at], scale[at] * slope[at])
    values = dict(zip(names, place.T, strict=True)) | {"slope": slope, "height": height, "width": height / slope}
    values |= {"direction": np.arctan2(toward[:, 1], toward[:, 0]), "resolved": fine}
    moved = found.assign({name: ("point", array, found[name].attrs) for name, array in values.items()})
    return moved.isel(point=kept)


def _lengths(problem: Recurrence, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lengths to compute, and the index of each vertex's own: those of the problem if they have all of them."""
    own = np.unique(there)
    lengths = np.array(problem.lengths) if np.isin(own, problem.lengths).all() else own
    return lengths, np.searchsorted(lengths, there)


def _only(sample: Sample, rows: np.ndarray) -> Sample:
    """A sample of some of its rows."""
    return lambda points, which=slice(None): sample(points, rows[which])


def _polished(sample: Sample, place: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The zero of ``n' H n`` nearest to each ``place`` along its gradient within two widths, the gradient there, and
    whether there is one.
    """
    toward = gradient(sample(place[:, None]), 2)[..., 0].T
    toward = toward / np.linalg.norm(toward, axis=1)[:, None]

    def curvature(distance: np.ndarray) -> np.ndarray:
        """n' H n at distances (row, place) along the gradient."""
        found = sample(place[:, None] + distance[..., None] * toward[:, None])
        n = gradient(found, 2)
        return np.einsum("irp,ijrp,jrp->rp", n, hessian(found, 2), n) / np.sum(n**2, 0)

    steps = np.linspace(-2, 2, 33)
    bent = curvature(width[:, None] * steps)
    falls = (bent[:, :-1] > 0) & (bent[:, 1:] <= 0)
    nearest, there = np.where(falls, np.abs(steps[1:] + steps[:-1]), np.inf).argmin(1), np.any(falls, axis=1)
    low, high = (np.where(there, width * steps[nearest + k], 0.0)[:, None] for k in (0, 1))
    moved = place + np.where(there, bisect(curvature, low, high)[:, 0], 0.0)[:, None] * toward
    return moved, gradient(sample(moved[:, None]), 2)[..., 0].T, there


def trace(plane: Plane, problem: Recurrence, least: float = 0.05) -> "xarray.Dataset":
    """The ridges over a plane to the accuracy of float64: `surface` of order 2, `ridge`, `polish`."""
    drawn = surface(plane, dataclasses.replace(precise(problem), order=2))
    return polish(plane, problem, ridge(drawn, least))


FREE = ("order", "lengths", "dtype")  # what lines may differ in from the problem that measures them afresh


def same_problem(plane: Plane, problem: Recurrence, lines: "xarray.Dataset") -> None:
    """ValueError unless ``lines``, if they say where they come from, are those of this problem over this plane."""
    if "settings" not in lines.attrs:
        return
    there = specs.current(json.loads(lines.attrs["settings"]))
    here = json.loads(json.dumps(settings_of(Evaluator(plane, problem))))
    for made in (there, here):
        made["axes"] = {name: axis["moves"] for name, axis in made["axes"].items()}
    if wrong := [key for key in {**there, **here} if key not in FREE and there.get(key) != here.get(key)]:
        raise ValueError(
            f"these lines are of another problem: {wrong[0]} is {there.get(wrong[0])} there and {here.get(wrong[0])} "
            "here; give the plane and problem that the surface was made of"
        )

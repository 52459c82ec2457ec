"""The dynamics of one unit at every point of a plane, as a Dataset over its coordinates."""

import functools
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import ArrayLike, Float, PyTree

from landscape.cells import Cell
from landscape.dynamics.basins import LABELS, attractor
from landscape.dynamics.orbits import fixed_points, jacobian, nearest_to_one
from landscape.models import as_rnn
from landscape.planes import Affine, Plane

if TYPE_CHECKING:
    import xarray

CHUNK = 256  # points computed together, always as many, so that one program does for all grids


def affine(plane: Plane, dtype: str) -> Affine:
    """The plane's map from coordinates to model, every number of it in ``dtype``."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), plane.affine)


@functools.cache
def _program(f: Callable, static: tuple) -> Callable:
    def at(affine: Affine, point: jax.Array, *given: PyTree) -> PyTree:
        return f(as_rnn(affine.at(tuple(point))).cell, *given, **dict(static))

    return jax.jit(lambda affine, points, *given: jax.vmap(lambda point: at(affine, point, *given))(points))


def over(
    plane: Plane,
    points: Float[np.ndarray, "point coordinate"],
    f: Callable,
    *given: PyTree,
    dtype: str = "float64",
    **static: Hashable,
) -> PyTree:
    """``f(cell, *given, **static)`` at ``points`` (point, coordinate) of a plane; results have that leading axis."""
    padded = np.pad(np.asarray(points, dtype), [(0, -len(points) % CHUNK), (0, 0)], mode="edge")
    with jax.enable_x64(dtype == "float64"):
        run, model = _program(f, tuple(static.items())), affine(plane, dtype)
        parts = [jax.device_get(run(model, part, *given)) for part in padded.reshape(-1, CHUNK, padded.shape[1])]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(points)], *parts)


def _dataset(
    plane: Plane, found: dict[str, np.ndarray], names: dict[str, str], **attrs: float | str
) -> "xarray.Dataset":
    """Results (point of the plane, ...) laid out on the plane; what is longer than a number has the axis ``point``."""
    import xarray

    variables = {
        name: (
            (*plane.axes, "point")[: len(plane.axes) + values.ndim - 1],
            values.reshape(*plane.shape, *values.shape[1:]),
            {"long_name": names[name]} if name in names else {},
        )
        for name, values in found.items()
    }
    return xarray.Dataset(variables, coords=plane.axes, attrs=attrs)


def _states(state: PyTree) -> dict[str, np.ndarray]:
    """The fields of a state that are there, by name."""
    return {name: getattr(state, name) for name in state._fields if jax.tree.leaves(getattr(state, name))}


def _rests(cell: Cell, x: Any, most: int) -> tuple:
    orbits = fixed_points(cell, x, most=most)
    return orbits, jax.vmap(lambda s: jacobian(cell, s, x))(orbits.state)


def rests(
    plane: Plane,
    points: Float[np.ndarray, "point coordinate"],
    x: float,
    most: int,
    test: Callable,
    dtype: str = "float64",
) -> tuple:
    """All fixed points at points of a plane, `Orbits` (point of the plane, point), and a test of their Jacobians."""
    orbits, matrices = over(plane, points, _rests, x, dtype=dtype, most=most)
    with jax.enable_x64(dtype == "float64"):
        return orbits, np.asarray(jax.jit(jax.vmap(jax.vmap(test)))(matrices))


def multistability(plane: Plane, x: float = 0.0, most: int = 8, dtype: str = "float64") -> "xarray.Dataset":
    """How many fixed points one unit has, and where, at every point of a plane: its regions of memory.

    Returns a Dataset over the coordinates: ``fixed_points`` and ``stable``, their number and how many attract; ``h``
    (and ``c``) and ``multiplier``, each (*coordinates, point), of every one in increasing order of h, NaN in empty
    slots; ``margin``, the smallest distance of an eigenvalue there to +1, zero on a fold or pitchfork. It says how a
    grid of ``most`` slots and the plane's resolution see it: fixed points beyond ``most`` are left out, and a region
    that no point of the grid lies in is not seen. Raises ValueError like `fixed_points`.
    """
    orbits, margin = rests(plane, plane.points(), x, most, nearest_to_one, dtype)
    there = np.isfinite(orbits.state.h)
    found = {
        "fixed_points": there.sum(1),
        "stable": (np.abs(orbits.multiplier) < 1).sum(1),
        "margin": np.where(there.any(1), np.min(np.where(there, margin, np.inf), 1), np.nan),
        **_states(orbits.state),
        "multiplier": orbits.multiplier,
    }
    names = {
        "fixed_points": "number of fixed points",
        "stable": "number of stable states",
        "margin": "smallest distance of a multiplier to +1",
        "h": "state of every fixed point",
    }
    return _dataset(plane, found, names, x=x, dtype=dtype, method="numerical: all roots at every point of the grid")


def attractors(
    plane: Plane,
    x: float = 0.0,
    start: Float[ArrayLike, "*unit"] = 0.0,
    *,
    steps: int = 10_000,
    tol: float = 1e-6,
    dtype: str = "float64",
) -> "xarray.Dataset":
    """Where the orbit of one ``start`` ends at every point of a plane: a map of its basins (see `attractor`).

    Returns a Dataset over the coordinates: ``label`` (its meanings in attrs), ``h`` (and ``c``) reached,
    ``multiplier`` and ``steps`` to converge, -1 where it does not. ``start`` is h or a whole state.
    """
    start = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), start)
    found = over(plane, plane.points(), _ends, x, start, tol, dtype=dtype, steps=steps)
    columns = {
        "label": found.label.astype(np.int8),
        **_states(found.state),
        "multiplier": found.multiplier,
        "steps": found.steps,
    }
    names = {"label": "what the orbit becomes", "steps": "steps to converge", "h": "state reached"}
    dataset = _dataset(plane, columns, names, x=x, tolerance=tol, dtype=dtype)
    dataset["label"].attrs |= {"flag_values": list(LABELS), "flag_meanings": ", ".join(LABELS.values())}
    return dataset


def _ends(cell: Cell, x: ArrayLike, start: ArrayLike, tol: ArrayLike, steps: int) -> PyTree:
    return attractor(cell, x, start, steps=steps, tol=tol)

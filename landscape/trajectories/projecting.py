"""Where a trajectory lies by the plane of its principal directions: what is in the plane, and what is not."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Int, PyTree

from landscape import specs
from landscape.directions import place, principal
from landscape.engine import Problem
from landscape.planes import span
from landscape.surfaces import values
from landscape.trajectories.recording import Trajectory, read

if TYPE_CHECKING:
    import xarray


def project(
    trajectory: Path | str | Trajectory | PyTree,
    names: Sequence[str],
    problem: Problem,
    around: Mapping[str, PyTree] | None = None,
    like: PyTree = None,
) -> "xarray.Dataset":
    """A trajectory by the plane of its principal directions through its last model.

    ``trajectory`` is a path that `record` wrote (with ``like`` as for `read`), or models whose leaves have a leading
    axis (step,), as a scan returns them. ``problem`` is a `landscape.Risk` or any other. Other directions through the
    last model are given as ``around``; then ``names`` must be theirs.

    Returns a Dataset with dims (leading dimensions of the problem, "step"): the coordinates by name; ``loss``, that of
    the model, and ``loss_in_plane``, that of its projection, which is the height of the surface there: they differ
    where ``off_plane``, the distance of the model from the plane, is not small; attrs ``explained``, the share of the
    squared distances from the last model that lies in the plane, ``made``, how the directions came about, and
    ``origin``, digests of the last model. `landscape.store.save` keeps it for the explorer, ``landscape explore
    --trajectory``. Raises ValueError for a trajectory that spans fewer directions than there are names.
    """
    steps, models = _given(trajectory, like)
    anchor = jax.tree.map(lambda leaf: leaf[-1], models)
    found = principal(models, anchor, names) if around is None else around
    if set(found) != set(names):
        raise ValueError(f"the directions are called {', '.join(found)}, and the names are {', '.join(names)}")
    table = _table({name: found[name] for name in names}, _asked(problem), steps, models)
    origin = [specs.digest(leaf) for leaf in jax.tree.leaves(anchor)]
    return table.assign_attrs(made=dict(getattr(found, "about", {})), origin=origin)


def _given(trajectory: Path | str | Trajectory | PyTree, like: PyTree) -> Trajectory:
    if isinstance(trajectory, Path | str):
        return read(trajectory, like)
    if isinstance(trajectory, Trajectory):
        return trajectory
    return Trajectory(np.arange(len(jax.tree.leaves(trajectory)[0])), trajectory)


def _asked(problem: Problem) -> Problem:
    """The problem, asked for losses alone."""
    if hasattr(problem, "order"):
        return dataclasses.replace(problem, order=0)  # type: ignore[type-var] # each is a dataclass
    return problem


def _table(
    found: Mapping[str, PyTree], problem: Problem, steps: Int[np.ndarray, "step"], models: PyTree
) -> "xarray.Dataset":
    import xarray

    at = lambda k: jax.tree.map(lambda leaf: leaf[k], models)  # noqa: E731
    through = lambda model: span(model, found, **dict.fromkeys(found, (0.0, 1.0)))  # noqa: E731 # any axes will do
    where = place(found, at(-1), models)
    own = [values(through(at(k)), problem, [[0.0] * len(found)])["loss"] for k in range(len(steps))]
    columns: dict[str, Any] = {name: ("step", where.coordinates[:, k]) for k, name in enumerate(found)}
    columns["loss"] = ((*problem.leading, "step"), np.concatenate(own, axis=-1))
    columns["loss_in_plane"] = (columns["loss"][0], values(through(at(-1)), problem, where.coordinates)["loss"])
    columns |= {"off_plane": ("step", where.off_plane), "distance": ("step", where.distance)}
    hidden = np.sum(where.off_plane**2) / np.sum(where.distance**2)
    return xarray.Dataset(columns, {**problem.leading, "step": steps}, {"explained": float(1 - hidden)})

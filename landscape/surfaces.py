"""Surfaces: a problem over the whole grid of a plane, as a Dataset in memory or in a store on disk."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import ArrayLike, Float, Real

from landscape import devices, specs
from landscape.blocks import Json, Memory, Progress, check_share
from landscape.engine import Evaluator, Problem, fill
from landscape.planes import Plane
from landscape.recurrence import Recurrence
from landscape.tasks import Task

if TYPE_CHECKING:
    import xarray

KNOWN = {"loss": "mean loss", "log10_gradient": "log10 of the gradient's norm"}


def values(
    plane: Plane, problem: Problem, points: Real[ArrayLike, "point coordinate"] | Sequence[Sequence[float]]
) -> dict[str, Float[np.ndarray, "*leading point"]]:
    """The variables of a problem at any points (point, coordinate) of a plane, as ``{name: (*leading, point)}``."""
    return Evaluator(plane, problem).resize(len(np.atleast_1d(points)))(points)


def surface(
    plane: Plane,
    problem: Problem | Task,
    lengths: Sequence[int] | None = None,
    *,
    out: Path | str | None = None,
    progress: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> "xarray.Dataset":
    """A problem at every point of the grid of a plane.

    ``surface(plane, task, lengths, order=2)`` is short for ``surface(plane, Recurrence(task, lengths, order=2))``: the
    mean loss at every length, with its exact gradient (order 1, the default) and Hessian (order 2). ``settings`` are
    those of the problem: order, episodes, seed, dtype.

    Returns a Dataset with dims (leading dimensions, *coordinates), for a task ("length", *coordinates): ``loss``;
    ``d_w``, ``d_b`` and ``log10_gradient``, the log of the gradient's norm, finite and right where the gradient itself
    is inf; ``d_w_w``, ``d_w_b``, ``d_b_b``. inf and NaN are results.

    Gradients below the least normal number of the dtype are 0, and their logarithm -inf; so they are where the loss
    itself reads 0, since every answer has rounded to its target (tanh is 1 from 9 on in float32, from 19 on in
    float64): 9 in 1,000 points of an SRNN on latching with w and b up to 12, none with ``dtype="float64"``. Scores do
    not carry ``1 - |h|``, which would mend it: a state that brings it along made the SRNN's kernel take 1.6 times as
    long. Values keep the digits of the dtype: where the old and the new h of a GRU are both close to 1, their
    difference has none left, and neither has what is multiplied by it: gradients below 1e-7 in float32.

    With ``out`` blocks go to a zarr store there as they are finished, and the Dataset is read lazily from it; a store
    of the same settings is completed, one of other settings raises ValueError. ``progress`` is called after each
    block, and may raise to stop: nothing finished is lost.
    """
    evaluator = Evaluator(plane, asked_for(problem, lengths, settings))
    variables, block = _blocks(evaluator)
    return filled(evaluator, variables, block, describe(evaluator), out, progress)


def share(
    shard: tuple[int, int],
    plane: Plane,
    problem: Problem | Task,
    lengths: Sequence[int] | None = None,
    *,
    out: Path | str,
    progress: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> bool:
    """Compute part i of n, ``shard = (i, n)``, of what `surface` makes, into the store ``out``.

    For processes that share a disk and know nothing of each other. Part i is blocks i, i + n, i + 2 n, ...; a block is
    computed once even where parts overlap, nobody waits for anybody, and who finds all blocks done finishes the store:
    it alone returns True. A part that was killed is started again. Raises ValueError for a part that does not exist,
    StoreError for a store of other settings.
    """
    check_share(*shard)
    evaluator = Evaluator(plane, asked_for(problem, lengths, settings))
    variables, block = _blocks(evaluator)
    about = describe(evaluator)
    with _target(out, evaluator, about["settings"], variables, block, shared=True) as target:
        target.among = range(shard[0], target.blocking.number, shard[1])
        checked = fill(evaluator.resize(math.prod(target.block)), target, progress)
        with target.last() as mine:
            if mine:
                target.finish({**about, **checked, "nonfinite": target.nonfinite["loss"]}, labels(evaluator))
        return mine


def _blocks(evaluator: Evaluator) -> tuple[dict[str, str], tuple[int, ...]]:
    """The variables of a surface with their dtypes, and the shape of its blocks."""
    problem = evaluator.problem
    block = devices.block_shape(evaluator.plane.shape, evaluator.width, problem.steps, problem.least)
    return dict.fromkeys(evaluator.names, evaluator.dtype), block


def asked_for(problem: Problem | Task, lengths: Sequence[int] | None, settings: dict[str, Json]) -> Problem:
    """The problem itself with other ``settings``, or that of a task at ``lengths``."""
    if isinstance(problem, Problem):
        changed = settings if lengths is None else {"lengths": lengths, **settings}
        if not changed:
            return problem
        known = {field.name for field in dataclasses.fields(problem)}  # type: ignore[arg-type] # each is a dataclass
        if wrong := set(changed) - known:
            raise TypeError(f"{type(problem).__name__} has no setting {sorted(wrong)[0]!r}; it has {', '.join(known)}")
        return dataclasses.replace(problem, **changed)  # type: ignore[type-var]
    if lengths is None:
        raise TypeError("a task needs the lengths to compute, such as range(1, 101): surface(plane, task, lengths)")
    return Recurrence(problem, lengths, **settings)


def filled(
    evaluator: Evaluator,
    variables: dict[str, str],
    block: tuple[int, ...],
    about: dict[str, Json],
    out: Path | str | None,
    progress: Callable[[Progress], None] | None,
) -> "xarray.Dataset":
    """The Dataset of an evaluator over its grid, in memory or in a store at ``out``; ``about`` are its attributes."""
    with _target(out, evaluator, about["settings"], variables, block) as target:
        checked = fill(evaluator.resize(math.prod(target.block)), target, progress)
        return target.finish({**about, **checked, "nonfinite": target.nonfinite["loss"]}, labels(evaluator))


def _target(
    out: Path | str | None,
    evaluator: Evaluator,
    settings: dict[str, Json],
    variables: dict[str, str],
    block: tuple[int, ...],
    shared: bool = False,
) -> Any:
    """Where blocks go: to memory, a moment's work in each, or to the store ``out``; only then is its room opened."""
    leading, axes = evaluator.leading, evaluator.plane.axes
    if out is None:
        few = devices.few_blocks(evaluator.plane.shape, block, evaluator.width, evaluator.moment)
        return Memory(leading, axes, variables, few)
    from landscape import store

    return store.create(out, leading, axes, variables, block, settings, shared)


def settings_of(evaluator: Evaluator) -> dict[str, Json]:
    """All that the numbers of an evaluator are a function of, in plain JSON values."""
    return {**specs.of_plane(evaluator.plane), **evaluator.problem.settings}


def describe(evaluator: Evaluator) -> dict[str, Json]:
    """Attributes of a result: ``title``, ``settings``, all that it is a function of, and the first few of these."""
    settings = settings_of(evaluator)
    cell = specs.text(settings["cell"])
    along = f" by {' and '.join(evaluator.leading)}" if evaluator.leading else ""
    title = f"{cell} on {evaluator.problem.name}: loss over {', '.join(evaluator.plane.axes)}{along}"
    named: dict[str, Json] = {key: settings[key] for key in ("dtype", "episodes", "seed") if key in settings}
    return {"title": title, "settings": settings, "cell": cell, "task": evaluator.problem.name, **named}


def labels(evaluator: Evaluator) -> dict[str, dict[str, str]]:
    """Long name and units of every coordinate, leading dimension and variable."""
    axes = list(evaluator.plane.axes)
    words = {name: evaluator.plane.describe(name) for name in axes}
    words |= {name: KNOWN.get(name) or _derivative(name, axes) for name in evaluator.names}
    plain = {name: {"long_name": text, "units": "1"} for name, text in words.items()}
    named = {name: {"long_name": name, "units": "1"} for name in evaluator.leading} | plain
    return named | evaluator.problem.labels()


def _derivative(name: str, axes: list[str]) -> str:
    return f"derivative of the mean loss along {' and '.join(_coordinates_of(name, axes))}"


def _coordinates_of(name: str, coordinates: list[str]) -> Iterator[str]:
    """The coordinates in the name of a derivative: w and b of ``d_w_b``."""
    rest, coordinates = name.removeprefix("d_"), sorted(coordinates, key=len, reverse=True)
    while hit := next((c for c in coordinates if rest == c or rest.startswith(c + "_")), None):
        yield hit
        rest = rest[len(hit) + 1 :]

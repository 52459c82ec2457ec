"""What an optimiser does on a plane: the paths from a few starts, and where it leads from every point of the grid.

The coordinates of a plane, by name, are the parameters that the optimiser sees. Losses and gradients are those of
the problem, by the same code. To clip, chain `optax.clip_by_global_norm` before the optimiser.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Real, Shaped

from landscape import devices, provenance, specs
from landscape.blocks import Json, Progress, plain
from landscape.engine import Evaluator, Problem, derivatives, precise
from landscape.engine.problem import whole
from landscape.planes import Affine, Plane
from landscape.surfaces import describe, filled, labels
from landscape.training.steps import State, begun, moved

if TYPE_CHECKING:
    import xarray

OUTCOMES = ("not_finite", "learnt", "at_rest", "moving")  # what became of a start, see `trainability`


class Look(NamedTuple):
    """What is seen at a point of a path: (point,) arrays, ``place`` and ``slope`` by the names of the coordinates."""

    place: dict[str, Float[Array, "*point"]]
    loss: Float[Array, "*point"]
    slope: dict[str, Float[Array, "*point"]]
    log10_norm: Float[Array, "*point"]

    @property
    def finite(self) -> Bool[Array, "*point"]:
        """Whether place, loss and gradient are all finite."""
        parts = [*self.place.values(), self.loss, *self.slope.values()]
        return functools.reduce(jnp.logical_and, [jnp.isfinite(part) for part in parts])


class Descent(NamedTuple):
    """``begin(points, one a coordinate) -> State`` and ``step(State) -> (Look at this place, State at the next)``."""

    names: tuple[str, ...]
    begin: Callable[[Float[Array, "coordinate *point"] | Sequence[Float[Array, "*point"]]], State]
    step: Callable[[State], tuple[Look, State]]


def descent(
    names: tuple[str, ...], look: Callable, optimiser: optax.GradientTransformation, each: Callable = jax.vmap
) -> Descent:
    """Updates of ``optimiser`` where ``look(coordinates) -> [loss, *slopes, log10 of their norm]``, each (point,).

    ``each`` maps a function of one point over all of them.
    """
    first = each(functools.partial(begun, optimiser))
    following = each(functools.partial(moved, optimiser))

    def begin(points: Float[Array, "coordinate *point"] | Sequence[Float[Array, "*point"]]) -> State:
        return first(dict(zip(names, points, strict=True)))

    def step(state: State) -> tuple[Look, State]:
        place = state.model
        loss, *slopes, norm = look([place[name] for name in names])  # JAX sorts the keys of a dict
        slope = dict(zip(names, slopes, strict=True))
        return Look(place, loss, slope, norm), following(state, slope)[0]

    return Descent(names, begin, step)


@dataclasses.dataclass(frozen=True)
class Walk:
    """``of(descent, points, *static, *traced)`` for an optimiser over what ``kernel`` computes."""

    of: Callable
    kernel: Callable
    optimiser: optax.GradientTransformation
    names: tuple[str, ...]
    static: tuple = ()

    def __call__(
        self, affine: Affine, points: Float[Array, "coordinate point"], data: tuple
    ) -> list[Shaped[Array, "row point"]]:
        inner, *traced = data
        look = lambda points: [rows[0] for rows in self.kernel(affine, jnp.stack(points), inner)]  # noqa: E731
        return self.of(descent(self.names, look, self.optimiser), points, *self.static, *traced)


def path(
    descent: Descent, points: Float[Array, "coordinate *point"] | Sequence[Float[Array, "*point"]], steps: int
) -> list[Shaped[Array, "row point"]]:
    """The variables of `Paths`, each (step, point), for one tile of starts."""
    following = lambda at, _: descent.step(at)[::-1]  # noqa: E731
    return seen(descent.names, jax.lax.scan(following, descent.begin(points), length=steps + 1)[1])


def seen(names: Sequence[str], look: Look) -> list[Float[Array, "..."]]:
    """The variables of `Paths` at a point, or at many."""
    return [*(look.place[name] for name in names), look.loss, *(look.slope[name] for name in names), look.log10_norm]


def end(
    descent: Descent,
    points: Float[Array, "coordinate *point"] | Sequence[Float[Array, "*point"]],
    steps: Int[Array, ""] | int,
    tolerance: Float[Array, ""],
) -> list[Shaped[Array, "row point"]]:
    """The variables of `Ends`, each (1, point), for one tile of starts."""
    start = dict(zip(descent.names, points, strict=True))

    def over_coordinates(op: Callable, f: Callable) -> jax.Array:
        return functools.reduce(op, [f(name) for name in descent.names])

    def first(known: jax.Array, k: Int[Array, ""], happens: jax.Array) -> jax.Array:
        return jnp.where((known < 0) & happens, k, known)

    def body(k: Int[Array, ""], carry: tuple) -> tuple:
        at, _, below, lost, farthest, _ = carry
        look, following = descent.step(at)
        away = over_coordinates(jnp.hypot, lambda name: look.place[name] - start[name])
        still = over_coordinates(jnp.logical_and, lambda name: following.model[name] == look.place[name])
        below, lost = first(below, k, look.loss < tolerance), first(lost, k, ~look.finite)
        return following, look, below, lost, jnp.fmax(farthest, away), still

    zero = jnp.zeros_like(points[0])
    never = jnp.full(zero.shape, -1, jnp.int32)
    blank = Look(start, zero, dict.fromkeys(descent.names, zero), zero)
    carry = (descent.begin(points), blank, never, never, zero, never == 0)
    _, look, below, lost, farthest, still = jax.lax.fori_loop(0, steps + 1, body, carry)
    gone, learnt, rest, moving = map(jnp.int32, range(len(OUTCOMES)))
    outcome = jnp.where(~look.finite, gone, jnp.where(look.loss < tolerance, learnt, jnp.where(still, rest, moving)))
    ends = [look.place[name] for name in descent.names]
    return [row[None] for row in (look.loss, below, outcome, lost, farthest, *ends)]


@dataclasses.dataclass(frozen=True)
class _Updates(Problem):
    """What an optimiser does in ``steps`` updates from every point, on the loss and gradient of ``problem``."""

    problem: Problem  # of one row, with its gradient
    optimiser: optax.GradientTransformation
    steps_made: int
    names: tuple[str, ...]  # the coordinates, which are the parameters that the optimiser sees

    @property
    def precision(self) -> str:
        return self.problem.precision

    @property
    def width(self) -> int:
        return self.problem.width

    @property
    def steps(self) -> int:
        return self.problem.steps * (self.steps_made + 1)

    @property
    def name(self) -> str:
        return self.problem.name

    @property
    def settings(self) -> dict[str, Json]:
        asked = {key: value for key, value in self.problem.settings.items() if key not in ("order", "lengths")}
        at = {name: int(values[0]) for name, values in self.problem.leading.items()}
        return {**asked, **at, "optimiser": specs.of_function(self.optimiser.update), "steps": self.steps_made}

    def admit(self, affine: Affine) -> Affine:
        return self.problem.admit(affine)

    def fused(self, affine: Affine, interpret: bool = False) -> Callable:
        """All updates as one launch; where the episodes do not fit into registers, every look at the loss."""
        from landscape.kernels.walks import fused

        walk = dataclasses.replace(cast(Walk, self.kernel), kernel=self.problem.fused(affine, interpret))
        return fused(walk, affine, self.data, interpret)


class Paths(_Updates):
    """Every step of the paths: where, loss and gradient there."""

    @property
    def kernel(self) -> Walk:
        return Walk(path, self.problem.kernel, self.optimiser, self.names, (self.steps_made,))

    @property
    def data(self) -> tuple:
        return (self.problem.data,)

    @property
    def leading(self) -> dict[str, Int[np.ndarray, "step"]]:
        return {"step": np.arange(self.steps_made + 1)}

    def variables(self, coordinates: Sequence[str]) -> list[str]:
        return [*(f"at_{name}" for name in coordinates), *derivatives(coordinates, 1)]


@dataclasses.dataclass(frozen=True)
class Ends(_Updates):
    """Where the paths end, and what happened on the way."""

    tolerance: float = 1e-4

    @property
    def kernel(self) -> Walk:
        return Walk(end, self.problem.kernel, self.optimiser, self.names, () if _shared() else (self.steps_made,))

    @property
    def data(self) -> tuple:
        steps = (np.int32(self.steps_made),) if _shared() else ()
        return self.problem.data, *steps, np.asarray(self.tolerance, self.precision)

    @property
    def settings(self) -> dict[str, Json]:
        return {**super().settings, "tolerance": float(self.tolerance)}

    def variables(self, coordinates: Sequence[str]) -> list[str]:
        return ["loss", "converged", "outcome", "nonfinite", "farthest", *(f"end_{name}" for name in coordinates)]

    def labels(self) -> dict[str, dict[str, Json]]:
        flags = {"flag_values": list(range(len(OUTCOMES))), "flag_meanings": " ".join(OUTCOMES)}
        words = {
            "converged": "first step with a loss below the tolerance, -1 never",
            "outcome": "what became of a start",
            "nonfinite": "first step that is inf or NaN, -1 never",
            "farthest": "longest distance from the start",
            **{f"end_{name}": f"{name} at the end" for name in self.names},
        }
        told = {name: {"long_name": text, "units": "1"} for name, text in words.items()}
        return told | {"outcome": told["outcome"] | flags}


def _shared() -> bool:
    """Whether one program serves all numbers of updates; an accelerator would ask its host after each of them."""
    return jax.default_backend() == "cpu"


def _stepped(problem: Problem, optimiser: optax.GradientTransformation, steps: int) -> Problem:
    """The problem that an optimiser asks at each place: its loss and gradient. Raises for what is no such problem."""
    if not isinstance(problem, Problem):
        raise TypeError(f"problem must be one such as landscape.Recurrence(task, [50]), given {problem!r}")
    if not isinstance(optimiser, optax.GradientTransformation):
        raise TypeError(f"optimiser must be an optax transformation such as optax.sgd(0.1), given {optimiser!r}")
    whole(steps, "steps", 1)
    if type(problem).parts is not Problem.parts:
        raise TypeError(
            f"an optimiser's path is one program, and the data of a {type(problem).__name__} come in parts: give "
            "landscape.Function(loss, data), a mean over data that fit in memory"
        )
    if any(len(values) != 1 for values in problem.leading.values()):
        many = ", ".join(f"{len(values)} of {name}" for name, values in problem.leading.items())
        raise ValueError(f"an optimiser goes down one loss, so give one length; the problem has {many}")
    return dataclasses.replace(problem, order=1)  # type: ignore[type-var] # every problem is a dataclass


def _points(plane: Plane, starts: Mapping | Sequence | ArrayLike) -> Float[np.ndarray, "start coordinate"]:
    """Starts as (start, coordinate), given so or by name."""
    names = list(plane.axes)
    if isinstance(starts, Mapping):
        if set(starts) != set(names):
            raise ValueError(f"starts name the coordinates {sorted(starts)}, and those of the plane are {names}")
        starts = np.stack(np.broadcast_arrays(*(np.atleast_1d(starts[name]) for name in names)), -1)
    points = np.atleast_2d(np.asarray(starts, np.float64))
    if points.ndim != 2 or points.shape[1] != len(names) or len(points) == 0:
        raise ValueError(f"starts must be (start, coordinate) with coordinates {names}, given shape {points.shape}")
    return points


def paths(
    plane: Plane,
    problem: Problem,
    optimiser: optax.GradientTransformation,
    starts: Mapping[str, Real[ArrayLike, "start"] | Sequence[float]]
    | Sequence[Sequence[float]]
    | Real[ArrayLike, "start coordinate"],
    steps: int,
) -> "xarray.Dataset":
    """The paths of ``steps`` updates of an optimiser from every start, on the mean loss at the one length of a problem.

    ``starts`` are points of the plane, (start, coordinate) or by name: ``{"w": [5.2], "b": [-2.2]}``. The grid of the
    plane plays no part. Computed in float64 unless the problem names another dtype.

    Returns variables (start, step), step 0 being the start: each coordinate; ``loss``, its derivatives ``d_w``, ... and
    ``log10_gradient`` there; ``moved``, the length of the update that led there. And (start,): ``nonfinite``, the first
    step at which place, loss or gradient is inf or NaN, -1 if there is none. Nothing is stopped or repaired.

    Raises ValueError for starts that are not of the plane, several lengths, steps below 1; TypeError for an optimiser
    that is not one of optax.
    """
    import xarray

    coordinates, points = tuple(plane.axes), _points(plane, starts)
    updates = Paths(precise(_stepped(problem, optimiser, steps)), optimiser, steps, coordinates)
    evaluator = Evaluator(plane, updates).resize(len(points))
    found = {name.removeprefix("at_"): rows.T for name, rows in evaluator(points).items()}
    place = np.stack([found[name] for name in coordinates]).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        gone = np.linalg.norm(np.diff(place, axis=-1, prepend=place[..., :1]), axis=0).astype(updates.precision)
    bad = ~np.all([np.isfinite(found[name]) for name in found if name != "log10_gradient"], axis=0)
    found["moved"] = gone
    words = labels(evaluator) | {"moved": {"long_name": "length of the update that led here", "units": "1"}}
    data: dict[str, Any] = {name: (("start", "step"), values, words[name]) for name, values in found.items()}
    lost = {"long_name": "first step that is inf or NaN, -1 never", "units": "1"}
    data["nonfinite"] = ("start", np.where(bad.any(1), bad.argmax(1), -1), lost)
    step = ("step", evaluator.leading["step"], {"long_name": "updates made", "units": "1"})
    about = {name: plain(value) for name, value in describe(evaluator).items()}
    attrs = about | provenance.here() | {"steps": int(steps)}
    return xarray.Dataset(data, {"step": step, **_length(updates)}, attrs)


def trainability(
    plane: Plane,
    problem: Problem,
    optimiser: optax.GradientTransformation,
    steps: int,
    *,
    tolerance: float = 1e-4,
    out: Path | str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> "xarray.Dataset":
    """Where an optimiser leads from every point of the grid of a plane, in ``steps`` updates.

    Returns variables over the coordinates, which are the start: ``loss`` at the end; ``converged``, the first step with
    a loss below ``tolerance``, -1 if there is none; ``outcome``, an index into `OUTCOMES`: not finite, learnt (a loss
    below the tolerance at the end), at rest elsewhere (the last update changed nothing), or still moving;
    ``nonfinite``, as in `paths`; ``farthest``, the longest distance from the start on the way; and ``end_w``, ...,
    where it ended.

    A start of its own leads to the same numbers (`paths` of the same dtype). Starts on the boundary of what can be
    trained are decided by the last digit: there dtypes and machines differ. ``out`` and ``progress`` are those of
    `landscape.surfaces.surface`: a map is kept block by block and resumed. Errors are those of `paths`.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance must be a positive loss, given {tolerance!r}")
    updates = Ends(_stepped(problem, optimiser, steps), optimiser, steps, tuple(plane.axes), tolerance)
    evaluator = Evaluator(plane, updates)
    variables = dict.fromkeys(evaluator.names, updates.precision)
    variables |= dict.fromkeys(("converged", "outcome", "nonfinite"), "int32")
    block = devices.block_shape(plane.shape, evaluator.width, updates.steps)
    about = describe(evaluator) | {"steps": int(steps), "tolerance": float(tolerance)}
    return filled(evaluator, variables, block, about, out, progress).assign_coords(_length(updates))


def _length(updates: _Updates) -> dict[str, np.generic]:
    """The length of the problem, as a coordinate."""
    return {name: values[0] for name, values in updates.problem.leading.items()}

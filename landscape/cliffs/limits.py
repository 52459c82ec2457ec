"""Limits: where a ridge ends up as sequences grow without end, and what theory says of its growth."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from landscape.activations import LOGISTIC, TANH
from landscape.cells import SRNN, Cell, Pascanu
from landscape.cliffs.climbs import Climbed, Sample, at_lengths, climb
from landscape.cliffs.polish import same_problem
from landscape.cliffs.roots import bisect
from landscape.dynamics import Cliff, cliff_line, fixed_points
from landscape.dynamics.maps import over
from landscape.engine import Evaluator
from landscape.models import as_rnn, run
from landscape.planes import Plane
from landscape.recurrence import Recurrence
from landscape.tasks import Task, episodes

if TYPE_CHECKING:
    import xarray

STEEPER = 3.0  # between 1, of a slope at twice the length, and 8, of a fold cliff
INVERSE: dict[Callable, Callable] = dict.fromkeys(TANH, np.arctanh)
INVERSE |= dict.fromkeys(LOGISTIC, lambda h: np.log(h / (1 - h)))


def closed_form(plane: Plane, task: Task) -> Callable[[Float[ArrayLike, "*batch"]], Cliff] | None:
    """``w -> (b, multiplier)`` of the cliff in the limit of long sequences, None where no closed form is known.

    One is known for `Pascanu` and `SRNN` with tanh or logistic over (w, b) on a task without input
    (`landscape.dynamics.cliff_line`).
    """
    cell = as_rnn(plane.affine.origin).cell
    f: Any = getattr(cell, "f" if isinstance(cell, Pascanu) else "act", None)
    over_w_b = sorted(plane.axes) == ["b", "w"] and all(plane.moves[name] == (name,) for name in plane.axes)
    if not isinstance(cell, Pascanu | SRNN) or f not in INVERSE or not over_w_b or np.any(_inputs(task, 8)):
        return None
    start = task.start if isinstance(cell, Pascanu) else float(INVERSE[f](task.start))

    def line(w: Float[ArrayLike, "*batch"]) -> Cliff:
        with jax.enable_x64(True):
            return jax.device_get(cliff_line(f, np.asarray(w, float), start))

    return line


def _inputs(task: Task, length: int) -> np.ndarray:
    """The inputs of an episode of every class, (class, time, ...)."""
    return np.asarray(episodes(task, jax.random.key(0), max(1, task.classes), length).x, float)


def limit(plane: Plane, problem: Recurrence, lines: "xarray.Dataset", length: int = 2000) -> "xarray.Dataset":
    """The vertices of ridges moved on to where the loss of endless sequences jumps.

    Each vertex moves along its direction, to the largest jump of the loss at twice the ``length``, which is as good as
    endless where ``multiplier**length`` is beyond 1e16: the place is then right to rounding. ``error`` is the distance
    to where it is at ``length``: about 0 on a basin cliff, and three times the true error, which falls as length**-2,
    on a fold cliff; where there is a `closed_form` it is better there.

    NaN where endless sequences have no jump of a quarter of the height: a basin cliff still jumps between neighbouring
    numbers, a fold cliff becomes 8 times as steep by twice the length, and a slope stays as steep as it was.

    Returns the variables ``line``, both coordinates, ``direction``, ``error`` and ``multiplier`` (see `multipliers`).
    Computed in float64. Raises ValueError for lines that are those of another problem.
    """
    same_problem(plane, problem, lines)
    names = list(plane.axes)
    place = np.stack([lines[name].values for name in names], axis=1)
    toward = np.stack([np.cos(lines["direction"].values), np.sin(lines["direction"].values)], axis=1)
    ask = lambda n: dataclasses.replace(problem, lengths=(n,), order=1, dtype="float64")  # noqa: E731
    each = [at_lengths(Evaluator(plane, ask(n)), np.zeros(len(place), int)) for n in (length, 2 * length)]
    height = lines["height"].values
    reach = _reach(each[0], place, toward, height, 20 * lines["width"].values)[:, None] * toward
    found = [_jump(sample, place - reach, place + reach) for sample in each]
    steeper = found[1].slope > STEEPER * found[0].slope
    jumps = (found[1].jump > height / 4) & (~found[1].resolved | (found[0].resolved & steeper))
    where = np.where(jumps[:, None], found[1].place, np.nan)
    values = dict(zip(names, where.T, strict=True)) | {"direction": lines["direction"].values}
    values |= {"error": np.linalg.norm(where - found[0].place, axis=1)}
    values |= {"multiplier": multipliers(plane, problem.task, where)}
    return lines[["line"]].assign({name: ("point", array) for name, array in values.items()})


def _reach(sample: Sample, place: np.ndarray, toward: np.ndarray, height: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """How far to go for the loss to differ by half the height between both sides; NaN if that is nowhere."""
    for _ in range(30):
        s = np.stack([-reach, reach], axis=1)
        low, high = sample(place[:, None] + s[..., None] * toward[:, None])["loss"].T
        if np.all(done := high - low > height / 2):
            break
        reach = np.where(done, reach, 1.5 * reach)
    return np.where(done, reach, np.nan)


def _jump(sample: Sample, low: np.ndarray, high: np.ndarray) -> Climbed:
    """The steepest place of each cut, to rounding where the dtype does not resolve it, and the jump across it."""
    found = climb(sample, low, high, 33, "float64")
    toward = (high - low) / np.linalg.norm(high - low, axis=1)[:, None]
    loss = lambda s: sample((found.place + s[:, None] * toward)[:, None])["loss"][:, 0]  # noqa: E731
    before, after = (loss(end) for end in found.step.T)
    middle = bisect(lambda s: loss(s) - (before + after) / 2, *found.step.T)
    place = np.where(found.resolved[:, None], found.place, found.place + middle[:, None] * toward)
    jump = np.where(found.resolved, found.jump, np.abs(after - before))
    return found._replace(place=place, jump=jump, slope=np.abs(found.slope))


def multipliers(
    plane: Plane, task: Task, points: Float[np.ndarray, "point coordinate"], length: int = 200
) -> Float[np.ndarray, "point"]:
    """The multiplier of the unstable state at which orbits linger at ``points`` (point, coordinate) on a basin cliff.

    In theory the cliff steepens by its modulus every step. Numerical: of the fixed points of one unit without input
    (`landscape.dynamics.fixed_points`) that are unstable, the one an orbit of the task comes nearest to. NaN where
    there is none, as on a fold, for cells that cannot be reduced to h, and for tasks with input after the first step.
    """
    x = _inputs(task, length)
    if np.any(x[:, 1:]) or x.ndim > 2:
        return np.full(len(points), np.nan)
    try:
        return over(plane, points, _saddle, x, task.start)
    except ValueError:  # of fixed_points: layers, and states that are more than h
        return np.full(len(points), np.nan)


def _saddle(cell: Cell, x: Array, start: ArrayLike) -> Float[Array, "..."]:
    orbits = fixed_points(cell, jnp.zeros_like(x[0, 0]))
    h = jax.vmap(lambda x: run(cell, x, start))(x).reshape(-1, 1)
    near = jnp.min(jnp.abs(h - orbits.state.h[None]), 0)
    at = jnp.argmin(jnp.where(jnp.abs(orbits.multiplier) > 1, near, jnp.inf))
    return jnp.where(jnp.abs(orbits.multiplier[at]) > 1, orbits.multiplier[at], jnp.nan)

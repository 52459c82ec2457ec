"""Walks of an optimiser over a plane: the paths from a few starts, and where it leads from every point of the grid.

The coordinates of a plane, by name, are the parameters that the optimiser sees. Losses and gradients are those of
`landscape.surfaces`, by the same code. To clip, chain `optax.clip_by_global_norm` before the optimiser.
"""

import concurrent.futures
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from landscape import devices, provenance
from landscape.planes import Affine, Plane
from landscape.surfaces import Evaluator, tile
from landscape.tasks import Episode, Task

if TYPE_CHECKING:
    import xarray

FATES = ("not_finite", "learnt", "at_rest", "moving")  # what became of a start, see `trainability`


class Look(NamedTuple):
    """What is seen at a point of a path: (point,) arrays, ``place`` and ``slope`` by the names of the coordinates."""

    place: dict[str, jax.Array]
    loss: jax.Array
    slope: dict[str, jax.Array]
    log10_norm: jax.Array

    @property
    def finite(self) -> jax.Array:
        """Whether place, loss and gradient are all finite."""
        parts = [*self.place.values(), self.loss, *self.slope.values()]
        return functools.reduce(jnp.logical_and, [jnp.isfinite(part) for part in parts])


class _Walker(NamedTuple):
    """``begin(points (coordinate, point)) -> at`` and ``step(at) -> (Look at this place, at the next)``."""

    names: tuple[str, ...]
    begin: Callable
    step: Callable


def _walker(
    names: tuple[str, ...], task: Task, optimiser: Any, affine: Affine, episodes: Episode, lengths: jax.Array
) -> _Walker:
    def begin(points: jax.Array) -> tuple:
        place = dict(zip(names, points, strict=True))
        return place, jax.vmap(optimiser.init)(place)

    def step(at: tuple) -> tuple[Look, tuple]:
        place, inner = at
        points = jnp.stack([place[name] for name in names])  # JAX sorts the keys of a dict
        loss, *slopes, norm = (rows[0] for rows in tile(affine, task, 1, False, points, episodes, lengths))
        slope = dict(zip(names, slopes, strict=True))
        change, inner = jax.vmap(optimiser.update)(slope, inner, place)
        return Look(place, loss, slope, norm), (optax.apply_updates(place, change), inner)

    return _Walker(names, begin, step)


def _path(walker: _Walker, points: jax.Array, steps: int) -> list[jax.Array]:
    """The variables of `paths`, each (step, point), for one tile of starts."""
    looks = jax.lax.scan(lambda at, _: walker.step(at)[::-1], walker.begin(points), length=steps + 1)[1]
    each = lambda values: [values[name] for name in walker.names]  # noqa: E731
    return [*each(looks.place), looks.loss, *each(looks.slope), looks.log10_norm]


def _end(walker: _Walker, points: jax.Array, steps: jax.Array, tolerance: jax.Array) -> list[jax.Array]:
    """The variables of `trainability`, each (1, point), for one tile of starts."""
    start = dict(zip(walker.names, points, strict=True))

    def over_coordinates(op: Callable, f: Callable) -> jax.Array:
        return functools.reduce(op, [f(name) for name in walker.names])

    def first(known: jax.Array, k: Any, happens: jax.Array) -> jax.Array:
        return jnp.where((known < 0) & happens, k, known)

    def body(k: Any, carry: tuple) -> tuple:
        at, _, below, lost, farthest, _ = carry
        look, following = walker.step(at)
        away = over_coordinates(jnp.hypot, lambda name: look.place[name] - start[name])
        still = over_coordinates(jnp.logical_and, lambda name: following[0][name] == look.place[name])
        below, lost = first(below, k, look.loss < tolerance), first(lost, k, ~look.finite)
        return following, look, below, lost, jnp.fmax(farthest, away), still

    at = walker.begin(points)
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(walker.step, at)[0])
    zero, never = jnp.zeros_like(points[0]), jnp.full(points.shape[1:], -1, jnp.int32)
    carry = jax.lax.fori_loop(0, steps + 1, body, (at, blank, never, never, zero, never == 0))
    _, look, below, lost, farthest, still = carry
    fate = jnp.select([~look.finite, look.loss < tolerance, still], [jnp.int32(k) for k in range(3)], jnp.int32(3))
    ends = [look.place[name] for name in walker.names]
    return [row[None] for row in (look.loss, below, fate, lost, farthest, *ends)]


@functools.lru_cache(maxsize=64)  # not for ever: every optax.sgd(0.1) is a new object
def _program(names: tuple[str, ...], task: Task, optimiser: Any, kind: Callable, static: tuple, mesh: Any) -> Callable:
    """``(traced, affine, points (tile, coordinate, point), episodes, lengths) -> [(row, tile * point)]`` over a mesh.

    ``kind(walker, points (coordinate, point), *static, *traced)`` computes one tile.
    """

    def block(traced: tuple, affine: Affine, points: jax.Array, episodes: Episode, lengths: jax.Array) -> list:
        walker = _walker(names, task, optimiser, affine, episodes, lengths)
        rows = jax.lax.map(lambda tile: kind(walker, tile, *static, *traced), points)
        return [jnp.moveaxis(row, 0, 1).reshape(row.shape[1], -1) for row in rows]

    if mesh is None:
        return jax.jit(block)
    everywhere, split = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(mesh.axis_names[0])
    specs = (everywhere, everywhere, split, everywhere, everywhere)
    out = jax.sharding.PartitionSpec(None, mesh.axis_names[0])
    return jax.jit(jax.shard_map(block, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False))


class _Walk(Evaluator):
    """An `Evaluator` of walks: its variables are those of `_path` or `_end` from each point, not values at it."""

    def __init__(
        self, plane: Plane, task: Task, length: int, optimiser: Any, kind: Callable, *static: Any, **settings: Any
    ) -> None:
        super().__init__(plane, task, [length], order=1, **settings)
        self._walk = _program(tuple(plane.axes), task, optimiser, kind, static, devices.mesh())

    def of(self, names: Sequence[str], *traced: Any) -> "_Walk":
        """The walk that yields variables ``names``, with values that its program takes as arguments."""
        self.names = list(names)
        self._run = lambda affine, tiles, used, *drawn: self._walk(traced, affine, tiles, *drawn)
        return self


def _checked(optimiser: Any, steps: Any) -> None:
    if not isinstance(optimiser, optax.GradientTransformation):
        raise TypeError(f"optimiser must be an optax transformation such as optax.sgd(0.1), given {optimiser!r}")
    if not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"steps must be a whole number from 1 up, given {steps!r}")


def _points(plane: Plane, starts: Any) -> np.ndarray:
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
    task: Task,
    length: int,
    optimiser: optax.GradientTransformation,
    starts: Mapping[str, Any] | Sequence[Any],
    steps: int,
    *,
    dtype: str = "float64",
    **settings: Any,
) -> "xarray.Dataset":
    """The paths of ``steps`` updates of an optimiser from every start, on the mean loss at one length.

    ``starts`` are points of the plane, (start, coordinate) or by name: ``{"w": [5.2], "b": [-2.2]}``. The grid of the
    plane plays no part. ``settings`` (episodes, seed) are those of `landscape.surfaces.surface`.

    Returns variables (start, step), step 0 being the start: each coordinate; ``loss``, its derivatives ``d_w``, ... and
    ``log10_gradient`` there; ``moved``, the length of the update that led there. And (start,): ``nonfinite``, the first
    step at which place, loss or gradient is inf or NaN, -1 if there is none. Nothing is stopped or repaired.

    Raises ValueError for starts that are not of the plane, a length or steps below 1; TypeError for an optimiser that
    is not one of optax.
    """
    import xarray

    _checked(optimiser, steps)
    coordinates, points = tuple(plane.axes), _points(plane, starts)
    names = [*coordinates, "loss", *(f"d_{name}" for name in coordinates), "log10_gradient"]
    walk = _Walk(plane, task, length, optimiser, _path, int(steps), dtype=dtype, **settings).of(names)
    walk.resize(len(points))
    found = {name: rows.T for name, rows in walk(points).items()}
    place = np.stack([found[name] for name in coordinates]).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        found["moved"] = np.linalg.norm(np.diff(place, axis=-1, prepend=place[..., :1]), axis=0).astype(dtype)
    bad = ~np.all([np.isfinite(found[name]) for name in names[:-1]], axis=0)  # a gradient of zero has no logarithm
    ds = xarray.Dataset({name: (("start", "step"), values) for name, values in found.items()})
    ds["nonfinite"] = "start", np.where(bad.any(1), bad.argmax(1), -1)
    return _told(ds.assign_coords(step=np.arange(steps + 1)), walk, steps=int(steps))


def trainability(
    plane: Plane,
    task: Task,
    length: int,
    optimiser: optax.GradientTransformation,
    steps: int,
    *,
    tolerance: float = 1e-4,
    **settings: Any,
) -> "xarray.Dataset":
    """Where an optimiser leads from every point of the grid of a plane, in ``steps`` updates.

    Returns variables over the coordinates, which are the start: ``loss`` at the end; ``converged``, the first step with
    a loss below ``tolerance``, -1 if there is none; ``fate``, an index into `FATES`: not finite, learnt (a loss below
    the tolerance at the end), at rest elsewhere (the last update changed nothing), or still moving; ``nonfinite``, as
    in `paths`; ``farthest``, the longest distance from the start on the way; and ``end_w``, ..., where it ended.

    A start of its own leads to the same numbers (`paths` of the same dtype). Starts on the boundary of what can be
    trained are decided by the last digit: there dtypes and machines differ. ``settings`` (episodes, seed, dtype) are
    those of `landscape.surfaces.surface`; errors are those of `paths`.
    """
    import xarray

    _checked(optimiser, steps)
    if not tolerance > 0:
        raise ValueError(f"tolerance must be a positive loss, given {tolerance!r}")
    coordinates = tuple(plane.axes)
    names = ["loss", "converged", "fate", "nonfinite", "farthest", *(f"end_{name}" for name in coordinates)]
    mesh = np.meshgrid(*plane.axes.values(), indexing="ij")
    points = np.stack([m.ravel() for m in mesh], axis=-1)
    walk = _Walk(plane, task, length, optimiser, _end, **settings)
    walk.resize(min(devices.BLOCK_POINTS, -(-len(points) // devices.threads())))
    limit = np.asarray(tolerance, walk.dtype)
    walk.of(names, np.int32(-1), limit)(points[:1])  # not one step: it compiles what the threads share
    walk.of(names, np.int32(steps), limit)
    blocks = [points[i : i + walk.size] for i in range(0, len(points), walk.size)]
    with concurrent.futures.ThreadPoolExecutor(devices.threads()) as pool:
        parts = list(pool.map(walk, blocks))
    data = {
        name: (coordinates, np.concatenate([part[name][0] for part in parts]).reshape(plane.shape)) for name in names
    }
    ds = xarray.Dataset(data, dict(plane.axes))
    ds.fate.attrs.update(flag_values=list(range(len(FATES))), flag_meanings=" ".join(FATES))
    return _told(ds, walk, steps=int(steps), tolerance=float(tolerance))


def _told(ds: "xarray.Dataset", walk: _Walk, **more: Any) -> "xarray.Dataset":
    """The Dataset with names, units and where it comes from."""
    settings = {key: value for key, value in walk.settings.items() if key not in ("order", "lengths")} | more
    named = {key: settings[key] for key in ("cell", "task", "dtype", "episodes", "seed", *more)}
    words = {
        "loss": "mean loss",
        "log10_gradient": "log10 of the gradient's norm",
        "moved": "length of the update that led here",
        "step": "updates made",
        "converged": "first step with a loss below the tolerance, -1 never",
        "nonfinite": "first step that is inf or NaN, -1 never",
        "farthest": "longest distance from the start",
        **{name: moved for name, moved in walk.plane.moves.items() if name in ds},
    }
    for name, text in words.items():
        if name in ds.variables:
            ds[name].attrs.update(long_name=text, units="1")
    length = int(walk.lengths[0])
    return ds.assign_coords(length=length).assign_attrs(
        **named, settings=json.dumps(settings | {"length": length}), **provenance.here()
    )

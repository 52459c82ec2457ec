"""Surfaces: loss and its exact derivatives over a plane, at every requested length in one forward pass.

Derivatives ride along the recurrence as jets (`landscape.jets`), so memory does not grow with length. A surface is
computed block by block, each block in tiles that stay in cache, by one thread per core or over all devices.
"""

import concurrent.futures
import functools
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from landscape import blocks, devices
from landscape.cells import Cell, check
from landscape.jets import RESCALE, Jet, fold, load, log10_norm, pairs, push, rescale, shifted
from landscape.models import run
from landscape.planes import Affine, Plane
from landscape.provenance import describe_plane, describe_task, labels, title
from landscape.tasks import Episode, Task
from landscape.tasks import episodes as draw

if TYPE_CHECKING:
    import xarray

    from landscape.store import BlockWriter


Carry = tuple[Jet, jax.Array, jax.Array]  # jet (batch, point), exponents and their powers 2**-e (coordinate, point)


def names(coordinates: Sequence[str], order: int) -> list[str]:
    """Variables of a surface: loss, then d_w, d_b and log10_gradient (order 1), then d_w_w, d_w_b, d_b_b (order 2)."""
    first = [f"d_{name}" for name in coordinates] + ["log10_gradient"] if order > 0 else []
    second = [f"d_{coordinates[k]}_{coordinates[l]}" for k, l in pairs(len(coordinates))] if order > 1 else []
    return ["loss", *first, *second]


def tile(
    affine: Affine, task: Task, order: int, every: bool, points: jax.Array, episodes: Episode, lengths: jax.Array
) -> list[jax.Array]:
    """Loss and derivatives, each (length, point), at ``points`` (coordinate, point), in the order of `names`.

    Episodes are stacked as x (time, batch, ...) and target (batch,), with a leading length axis unless the task is
    nested. ``every`` says that lengths are 1, 2, 3, ..., which saves an inner loop. Points lie last and contiguous.
    """
    count = len(points)
    point = tuple(points)
    batch = jax.tree.leaves(episodes.target)[0].shape[0 if task.nested else 1]
    across = lambda f: jax.vmap(jax.vmap(f, (0, 0, 0, None)), (None, None, 0, 0))  # noqa: E731

    def advance(point: tuple, scale: tuple, jet: Jet, x: Any) -> Jet:
        return push(lambda p, s: affine.at(p).step(s, x), point, scale, jet)

    def score(point: tuple, scale: tuple, jet: Jet, target: Any) -> Jet:
        return push(lambda p, s: task.loss(affine.at(p).output(s), target), point, scale, jet)

    def start() -> Carry:
        state = jax.vmap(lambda *p: affine.at(p).initial(task.start))(*point)
        state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape)).astype(points.dtype), state)
        zero = jax.tree.map(jnp.zeros_like, state)
        first = (zero,) * count if order > 0 else ()
        second = dict.fromkeys(pairs(count), zero) if order > 1 else {}
        return Jet(state, first, second), jnp.zeros(points.shape, jnp.int32), jnp.ones_like(points)

    def step(t: Any, carry: Carry, x: Any) -> Carry:
        jet, exponents, scale = carry
        if order > 0:
            # Only the small arrays pass through the conditional; the factor costs nothing in the loop that uses it.
            same = lambda jet, exponents: (exponents, scale, jnp.ones_like(scale))  # noqa: E731
            exponents, scale, shift = jax.lax.cond(t % RESCALE == 0, rescale, same, jet, exponents)
            jet = shifted(jet, shift)
        return across(advance)(point, tuple(scale), jet, x[t]), exponents, scale

    def observe(carry: Carry, target: Any) -> tuple[Jet, jax.Array]:
        jet, exponents, scale = carry
        scored = across(score)(point, tuple(scale), jet, target)
        return jax.tree.map(lambda a: fold(jnp.add, a) / batch, scored), exponents

    def between(carry: Carry, since: Any, until: Any, x: Any) -> Carry:
        return jax.lax.fori_loop(since, until, lambda t, carry: step(t, carry, x), carry)

    def nested(carry: Carry, stops: tuple) -> tuple[Carry, tuple[Jet, jax.Array]]:
        since, until = stops
        x = episodes.x
        carry = step(since, carry, x) if every else between(carry, since, until, x)
        return carry, observe(carry, episodes.target)

    if task.nested:
        since = jnp.concatenate([jnp.zeros(1, lengths.dtype), lengths[:-1]])
        return _unscaled(*jax.lax.scan(nested, start(), (since, lengths))[1])
    alone = lambda at: observe(between(start(), 0, at[0], at[1].x), at[1].target)  # noqa: E731
    return _unscaled(*jax.lax.map(alone, (lengths, episodes)))


def _unscaled(jet: Jet, exponents: jax.Array) -> list[jax.Array]:
    """Variables of a surface from mantissas (length, point) and exponents (length, coordinate, point)."""
    powers = jnp.moveaxis(exponents, 1, 0)
    first = [load(m, e) for m, e in zip(jet.first, powers, strict=False)]
    norm = [log10_norm(jet.first, powers)] if jet.first else []
    return [jet.value, *first, *norm, *(load(m, powers[k] + powers[l]) for (k, l), m in jet.second.items())]


@functools.cache
def _program(task: Task, order: int, every: bool, mesh: Any) -> Callable:
    """``(affine, points (tile, coordinate, point), used, episodes, lengths) -> [(length, tile * point)]`` on the mesh.

    Only the first ``used`` tiles of each device are computed: 0 compiles and computes nothing.
    """

    def block(
        affine: Affine, points: jax.Array, used: jax.Array, episodes: Episode, lengths: jax.Array
    ) -> list[jax.Array]:
        size = points.shape[-1]
        one = functools.partial(tile, affine, task, order, every)

        def put(i: Any, out: list[jax.Array]) -> list[jax.Array]:
            results = one(points[i], episodes, lengths)
            where = (jnp.zeros_like(i), i * size)
            return [jax.lax.dynamic_update_slice(o, r, where) for o, r in zip(out, results, strict=True)]

        shapes = jax.eval_shape(one, points[0], episodes, lengths)
        return jax.lax.fori_loop(0, used, put, [jnp.zeros((len(lengths), len(points) * size), s.dtype) for s in shapes])

    if mesh is None:
        return jax.jit(block)
    axis, everywhere = mesh.axis_names[0], jax.sharding.PartitionSpec()
    specs = (everywhere, jax.sharding.PartitionSpec(axis), everywhere, everywhere, everywhere)
    out = jax.sharding.PartitionSpec(None, axis)
    return jax.jit(jax.shard_map(block, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False))


def _lengths(lengths: Iterable[int]) -> np.ndarray:
    given = list(lengths)
    array = np.asarray(given)
    if (
        array.ndim != 1
        or array.size == 0
        or array.dtype.kind not in "iu"
        or array[0] < 1
        or np.any(np.diff(array) <= 0)
    ):
        raise ValueError(
            f"lengths must be increasing whole numbers from 1 up, such as 1:200 or 10,50,100; given {given[:8]}"
        )
    return array.astype(np.int32)


_draw = jax.jit(draw, static_argnums=(0, 2, 3))


def _episodes(task: Task, key: jax.Array, count: int, lengths: np.ndarray, dtype: str) -> Episode:
    """Episodes as `tile` wants them; noise is drawn in float32 whatever the dtype, so that dtypes can be compared."""
    longest = int(lengths[-1])
    if task.nested:
        drawn = _draw(task, key, count, longest)
        stacked = Episode(x=jnp.moveaxis(drawn.x, 0, 1), target=drawn.target)
    else:
        each = [_draw(task, key, count, int(length)) for length in lengths]
        pad = lambda x: jnp.moveaxis(jnp.pad(x, [(0, 0), (0, longest - x.shape[1])] + [(0, 0)] * (x.ndim - 2)), 0, 1)  # noqa: E731
        stacked = Episode(x=jnp.stack([pad(e.x) for e in each]), target=jnp.stack([e.target for e in each]))
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), stacked)


@functools.cache
def _check(tree: Any, leaves: tuple, inputs: tuple, wide: bool) -> None:
    """`landscape.cells.check`, once for each kind of cell: tracing a step takes longer than a small surface."""
    with jax.enable_x64(wide):
        check(jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves]), inputs)


class Evaluator:
    """Loss and derivatives of a task at any points of a plane: static choices here, points in the call.

    ``evaluator(points (point, coordinate)) -> {name: (length, point)}``. A grid is one choice of points; a ridge, an
    optimiser's path or a refined mesh are others. Points are computed ``size`` at a time, always by one program, so
    that a point's value does not depend on what is asked beside it.
    """

    def __init__(
        self,
        plane: Plane,
        task: Task,
        lengths: Iterable[int],
        *,
        order: int = 1,
        episodes: int | None = None,
        seed: int = 0,
        dtype: str = "float32",
    ) -> None:
        if order not in (0, 1, 2):
            raise ValueError(f"order must be 0 (loss), 1 (gradient) or 2 (Hessian), given {order!r}")
        if str(dtype) not in ("float32", "float64"):
            raise ValueError(f"dtype must be 'float32' or 'float64', given {dtype!r}")
        self.plane, self.task, self.order, self.seed, self.dtype = plane, task, order, seed, str(dtype)
        self.lengths = _lengths(lengths)
        self.episodes = default_episodes(task) if episodes is None else episodes
        if self.episodes < 1:
            raise ValueError(f"episodes must be at least 1, given {self.episodes}")
        self.names = names(tuple(plane.axes), order)
        self._drawn = _episodes(task, jax.random.key(seed), self.episodes, self.lengths, self.dtype)
        self._affine = jax.tree.map(lambda leaf: np.asarray(leaf, self.dtype), plane.affine)
        self._check_cell()
        every = task.nested and np.array_equal(self.lengths, np.arange(1, len(self.lengths) + 1))
        mesh = devices.mesh()
        self._run = _program(task, order, every, mesh)
        self.resize(1)

    def _check_cell(self) -> None:
        """Raise before anything is compiled if the cell cannot step on the task's inputs."""
        cell = getattr(self._affine.origin, "cell", None)
        if isinstance(cell, Cell):
            leaves, tree = jax.tree.flatten(cell)
            inputs = self._drawn.x.shape[2 if self.task.nested else 3 :]
            _check(tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves), inputs, self.dtype == "float64")

    def resize(self, points: int) -> "Evaluator":
        """Compute at least ``points`` points by one call of the program: whole tiles, as many on every device."""
        self.tile = devices.tile_points(self.episodes, points)
        step = self.tile * devices.count()
        self.size = -(-points // step) * step
        return self

    def __call__(self, points: Any) -> dict[str, np.ndarray]:
        points = np.asarray(points, self.dtype)
        parts = [self._call(points[i : i + self.size]) for i in range(0, len(points), self.size)]
        return {
            name: np.concatenate(part, axis=-1) for name, part in zip(self.names, zip(*parts, strict=True), strict=True)
        }

    def _call(self, points: np.ndarray) -> list[np.ndarray]:
        """One call of the program; a short block is filled up, and no point at all only compiles."""
        count, coordinates = points.shape
        full = np.resize(points, (self.size, coordinates))
        tiles = np.moveaxis(full.reshape(-1, self.tile, coordinates), 2, 1)
        used = np.int32(min(len(tiles) // devices.count(), -(-count // self.tile)))
        with jax.enable_x64(self.dtype == "float64"):
            out = jax.device_get(self._run(self._affine, tiles, used, self._drawn, self.lengths))
        return [o[:, :count] for o in out]

    def independent_loss(self, point: Sequence[float]) -> float:
        """Mean loss at the longest length through another route: `landscape.models.run`, without tiles or tangents."""
        x, target = self._drawn.x, self._drawn.target
        if not self.task.nested:
            x, target = x[-1], target[-1]

        with jax.enable_x64(self.dtype == "float64"):
            return float(jnp.mean(_alone(self.task)(self._affine, np.asarray(point, self.dtype), x, target)))

    @property
    def steps(self) -> int:
        """Cell-steps that one point takes."""
        return self.episodes * int(self.lengths[-1] if self.task.nested else self.lengths.sum())

    @property
    def settings(self) -> dict[str, Any]:
        """What a surface is a function of, in plain JSON values."""
        return {
            **describe_plane(self.plane),
            **describe_task(self.task),
            "lengths": [int(length) for length in self.lengths],
            "order": self.order,
            "episodes": self.episodes,
            "seed": self.seed,
            "dtype": self.dtype,
        }


@functools.cache
def _alone(task: Task) -> Callable:
    """``(affine, point, x, target) -> losses (batch,)`` at a point by `landscape.models.run`; compiled once a task."""

    def loss(affine: Affine, point: jax.Array, x: jax.Array, target: jax.Array) -> jax.Array:
        return task.loss(run(affine.at(list(point)), x, task.start)[-1], target)

    return jax.jit(jax.vmap(loss, (None, None, 1, 0)))


def default_episodes(task: Task) -> int:
    """32 for a task with several classes of noisy episodes, 1 for a task whose only episode is always the same."""
    return 32 if task.classes > 1 else 1


def values(plane: Plane, task: Task, points: Any, lengths: Iterable[int], **settings: Any) -> dict[str, np.ndarray]:
    """Loss and derivatives at any points (point, coordinate) of a plane, as ``{name: (length, point)}``.

    Settings are those of `surface`: order, episodes, seed, dtype.
    """
    return Evaluator(plane, task, lengths, **settings).resize(len(points))(points)


def surface(
    plane: Plane,
    task: Task,
    lengths: Iterable[int],
    *,
    order: int = 1,
    episodes: int | None = None,
    seed: int = 0,
    dtype: str = "float32",
    out: Any = None,
    progress: Callable[[blocks.Progress], None] | None = None,
) -> "xarray.Dataset":
    """Mean loss over a plane at every length, with its exact gradient (order 1) and Hessian (order 2).

    Returns a Dataset with dims ("length", *coordinates): ``loss``; ``d_w``, ``d_b`` and ``log10_gradient``, the log of
    the gradient's norm, finite and right where the gradient itself is inf; ``d_w_w``, ``d_w_b``, ``d_b_b``. Entry L is
    the loss of the same ``episodes`` episodes (drawn from ``seed``) cut after L steps. inf and NaN are results.
    Gradients below the least normal number of the dtype are 0, and their logarithm -inf.

    With ``out`` blocks go to a zarr store there as they are finished, and the Dataset is read lazily from it; a store
    of the same settings is completed, one of other settings raises ValueError. ``progress`` is called after each
    block, and may raise to stop: nothing finished is lost.
    """
    evaluator = Evaluator(plane, task, lengths, order=order, episodes=episodes, seed=seed, dtype=dtype)
    variables = dict.fromkeys(evaluator.names, evaluator.dtype)
    width = len(evaluator.lengths) * len(variables) * np.dtype(dtype).itemsize
    block = devices.block_shape(plane.shape, width, evaluator.steps)
    settings = evaluator.settings
    with _target(out, {"length": evaluator.lengths}, plane.axes, variables, block, settings) as sink:
        about = compute(evaluator.resize(math.prod(sink.block)), sink, progress)
        counts = sink.nonfinite
        said = {key: settings[key] for key in ("cell", "task", "dtype", "episodes", "seed")}
        said |= {"title": title(settings), "settings": settings, "nonfinite": counts["loss"]}
        return sink.finish({**said, **about}, labels(settings, counts))


def _target(out: Any, *layout: Any) -> "blocks.Memory | BlockWriter":
    """Where blocks go: to memory, or to the store ``out``; only then is the store's room opened."""
    if out is None:
        return blocks.Memory(*layout[:-1])
    from landscape import store

    return store.create(out, *layout)


def _fill(evaluator: Evaluator, sink: "blocks.Memory | BlockWriter", index: int) -> None:
    """Compute one block of the grid and write it."""
    axes, region = evaluator.plane.axes.values(), sink.region(index)
    mesh = np.meshgrid(*(axis[part] for axis, part in zip(axes, region, strict=True)), indexing="ij")
    results = evaluator._call(np.stack([m.ravel() for m in mesh], axis=-1).astype(evaluator.dtype))
    shaped = [r.reshape(-1, *mesh[0].shape) for r in results]
    sink.write(index, dict(zip(evaluator.names, shaped, strict=True)))


def compute(evaluator: Evaluator, sink: "blocks.Memory | BlockWriter", progress: Callable | None) -> dict[str, Any]:
    """Fill every block of a sink that is not done, one thread a core, and check the `origin` beside them.

    What the threads share is compiled before there is more than one. An error stops them all.
    """
    lock, stopped, progress = threading.Lock(), threading.Event(), progress or (lambda state: None)

    def block(index: int) -> None:
        if stopped.is_set():
            return
        try:
            _fill(evaluator, sink, index)
            with lock:
                progress(sink.progress())
        except BaseException:
            stopped.set()
            raise

    todo = sink.todo()
    if todo:
        evaluator._call(np.empty((0, len(evaluator.plane.axes)), evaluator.dtype))
    sink.begin()
    with concurrent.futures.ThreadPoolExecutor(devices.threads()) as pool:
        checked = pool.submit(origin if not sink.complete else lambda evaluator: {}, evaluator)
        running = [pool.submit(block, index) for index in todo]
        try:
            for future in concurrent.futures.as_completed(running):
                future.result()
            return checked.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def origin(evaluator: Evaluator) -> dict[str, Any]:
    """The loss of the model the plane was made from, at the longest length, by the surface's route and by `run`."""
    center = evaluator.plane.center
    loss = float(evaluator(np.asarray([center]))["loss"][-1, 0])
    if not np.all(np.isfinite(center)):
        return {"origin": "tied parameters of different values: no one point is the origin"}
    return {
        "origin": dict(zip(evaluator.plane.axes, center, strict=True)),
        "origin_loss": loss,
        "origin_loss_by_another_route": evaluator.independent_loss(center),
    }

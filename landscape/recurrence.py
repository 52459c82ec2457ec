"""The recurrent problem: the loss of a task after every requested length, with derivatives, in one forward pass.

Derivatives ride along the recurrence as jets (`landscape.engine.jets`), so memory does not grow with length.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from landscape import specs, tasks
from landscape.cells import Cell, check
from landscape.engine.jets import RESCALE, Jet, fold, pairs, push, rescale, shifted, unscaled
from landscape.engine.problem import Problem, checked_dtype, checked_lengths, checked_order, derivatives, whole
from landscape.models import run
from landscape.planes import Affine, Placed
from landscape.tasks import Episode, Task
from landscape.tasks import episodes as draw

MOST_SEEDS = 2**32  # `jax.random.key` tells no more apart
#: A jet (batch, point), exponents, and their powers 2**-e.
Carry = tuple[Jet, Int[Array, "coordinate point"], Float[Array, "coordinate point"]]
Data = tuple[Episode, Int[np.ndarray, "length"]]  # episodes as `_drawn` stacks them, and lengths


@dataclasses.dataclass(frozen=True)
class Scan:
    """The kernel of `Recurrence`: static choices alone, so that equal ones share a program.

    ``every`` says that lengths are 1, 2, 3, ..., which saves an inner loop.
    """

    task: Task
    order: int
    every: bool

    def __call__(
        self, affine: Affine, points: Float[Array, "coordinate point"], data: Data
    ) -> list[Float[Array, "length point"]]:
        """Loss and derivatives, each (length, point), at ``points`` (coordinate, point), in the order of variables.

        Episodes are stacked as x (time, batch, ...) and target (batch,), with a leading length axis unless the task is
        nested. Points lie last and contiguous.
        """
        task, order, (episodes, lengths) = self.task, self.order, data
        count = len(points)
        placed, lanes = place(affine, points)
        unmoved = (jnp.zeros((), points.dtype),) * count  # where on the plane is in the model already
        batch = jax.tree.leaves(episodes.target)[0].shape[0 if task.nested else 1]
        across = lambda f: jax.vmap(jax.vmap(f, (lanes, 0, 0, None)), (None, None, 0, 0))  # noqa: E731

        def advance(model: Placed, scale: tuple, jet: Jet, x: Float[Array, "*input"]) -> Jet:
            return push(lambda p, s: model.at(p).step(s, x), unmoved, scale, jet)

        def score(model: Placed, scale: tuple, jet: Jet, target: PyTree) -> Jet:
            return push(lambda p, s: task.loss(model.at(p).output(s), target), unmoved, scale, jet)

        def start() -> Carry:
            begin = jax.vmap(lambda m: m.at(unmoved).initial(task.start), (lanes,), axis_size=points.shape[1])
            state = begin(placed)
            state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape)).astype(points.dtype), state)
            zero = jax.tree.map(jnp.zeros_like, state)
            first = (zero,) * count if order > 0 else ()
            second = dict.fromkeys(pairs(count), zero) if order > 1 else {}
            return Jet(state, first, second), jnp.zeros(points.shape, jnp.int32), jnp.ones_like(points)

        def step(t: Int[Array, ""], carry: Carry, x: Float[Array, "time batch *input"]) -> Carry:
            jet, exponents, scale = carry
            if order > 0:
                # Only the small arrays pass through the conditional; the factor costs nothing in the loop that uses it.
                same = lambda jet, exponents: (exponents, scale, jnp.ones_like(scale))  # noqa: E731
                exponents, scale, shift = jax.lax.cond(t % RESCALE == 0, rescale, same, jet, exponents)
                jet = shifted(jet, shift)
            return across(advance)(within(placed, t), tuple(scale), jet, x[t]), exponents, scale

        def observe(carry: Carry, target: PyTree) -> tuple[Jet, Int[Array, "coordinate point"]]:
            jet, exponents, scale = carry
            scored = across(score)(placed, tuple(scale), jet, target)
            return jax.tree.map(lambda a: fold(jnp.add, a) / batch, scored), exponents

        def between(
            carry: Carry, since: Int[Array, ""] | int, until: Int[Array, ""], x: Float[Array, "time batch *input"]
        ) -> Carry:
            return jax.lax.fori_loop(since, until, lambda t, carry: step(t, carry, x), carry)

        def nested(carry: Carry, stops: tuple) -> tuple[Carry, tuple[Jet, Int[Array, "coordinate point"]]]:
            since, until = stops
            x = episodes.x
            carry = step(since, carry, x) if self.every else between(carry, since, until, x)
            return carry, observe(carry, episodes.target)

        if task.nested:
            since = jnp.concatenate([jnp.zeros(1, lengths.dtype), lengths[:-1]])
            return unscaled(*jax.lax.scan(nested, start(), (since, lengths))[1])
        alone = lambda at: observe(between(start(), 0, at[0], at[1].x), at[1].target)  # noqa: E731
        return unscaled(*jax.lax.map(alone, (lengths, episodes)))


def place(affine: Affine, points: Float[Array, "coordinate point"]) -> tuple[Placed, Placed]:
    """The models at ``points`` (coordinate, point), and which of their leaves have an axis of points in front."""
    leaves, tree = jax.tree.flatten(affine.origin)
    moved = [any(d[i] is not None for d in affine.directions) for i in range(len(leaves))]
    at = lambda *p: [leaf for leaf, m in zip(jax.tree.leaves(affine.at(p)), moved, strict=True) if m]  # noqa: E731
    here = iter(jax.vmap(at)(*points))
    every = tuple(next(here) if m else leaf for leaf, m in zip(leaves, moved, strict=True))
    every = tuple(0.0 if i in affine.zeros else leaf for i, leaf in enumerate(every))
    still = jax.tree.map(lambda _: None, affine.directions)
    placed = Placed(leaves=every, directions=affine.directions, tree=tree)
    return placed, Placed(leaves=tuple(0 if m else None for m in moved), directions=still, tree=tree)


def within(placed: Placed, t: Any) -> Placed:
    """The same models, tied to step ``t`` of a loop.

    XLA moves what no step changes out of a loop, such as a gate that is its bias, and only then looks for what is
    computed twice: each coordinate would keep its own copy of that gate, and compute the state after it once more
    (jaxlib 0.10 to 0.11: GRU and LSTM a quarter slower).
    """
    leaves, tree = jax.tree.flatten(placed)
    arrays, _ = jax.lax.optimization_barrier(([leaf for leaf in leaves if type(leaf) is not float], t))
    tied = iter(arrays)
    return jax.tree.unflatten(tree, [leaf if type(leaf) is float else next(tied) for leaf in leaves])


@dataclasses.dataclass(frozen=True)
class Recurrence(Problem):
    """The mean loss of a recurrent model on ``task`` at every one of ``lengths``, and its derivatives up to ``order``.

    Entry L is the loss of the same ``episodes`` episodes (drawn from ``seed``) cut after L steps, for a task that is
    not nested that of episodes of L steps. ``dtype`` None leaves it to the use: float32 for surfaces and maps,
    float64 for cuts, ridges and paths. Raises ValueError or TypeError for what cannot be asked.
    """

    task: Task
    lengths: Sequence[int]
    order: int = 1
    episodes: int | None = None  # 32 for a task of several classes, 1 for a task whose only episode is always the same
    seed: int = 0
    dtype: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.task, Task):
            given = "the function {0}; call it: {0}()" if callable(self.task) else "{0!r}"
            given = given.format(getattr(self.task, "__name__", self.task))
            raise TypeError(f"task must be a landscape.tasks.Task such as latch(), given {given}")
        count = (32 if self.task.classes > 1 else 1) if self.episodes is None else self.episodes
        put = functools.partial(object.__setattr__, self)
        put("lengths", tuple(checked_lengths(self.lengths).tolist()))
        put("order", checked_order(self.order))
        put("episodes", whole(count, "episodes", 1))
        put("seed", whole(self.seed, "seed", 0, MOST_SEEDS - 1))
        put("dtype", checked_dtype(self.dtype))

    @property
    def kernel(self) -> Scan:
        every = self.task.nested and self.lengths == tuple(range(1, len(self.lengths) + 1))
        return Scan(self.task, self.order, every)

    @functools.cached_property
    def data(self) -> Data:
        lengths = np.asarray(self.lengths, np.int32)
        drawn = _drawn(self.task, jax.random.key(self.seed), self.width, lengths)
        return jax.tree.map(lambda leaf: np.asarray(leaf, self.precision), drawn), lengths

    @property
    def leading(self) -> dict[str, Int[np.ndarray, "length"]]:
        return {"length": np.asarray(self.lengths, np.int32)}

    @property
    def width(self) -> int:
        return self.episodes or 1

    @property
    def steps(self) -> int:
        return self.width * (self.lengths[-1] if self.task.nested else sum(self.lengths))

    @property
    def settings(self) -> dict[str, Any]:
        return {
            **specs.of_task(self.task),
            "lengths": list(self.lengths),
            "order": self.order,
            "episodes": self.episodes,
            "seed": self.seed,
            "dtype": self.precision,
        }

    @property
    def name(self) -> str:
        return str(self.task)

    def variables(self, coordinates: Sequence[str]) -> list[str]:
        return derivatives(coordinates, self.order)

    def labels(self) -> dict[str, dict[str, Any]]:
        return {"length": {"long_name": "sequence length", "units": "steps"}}

    def admit(self, affine: Affine) -> Affine:
        """The plane's map with what is exactly zero left out; raise if the cell cannot step on the task's inputs."""
        if isinstance(getattr(affine.origin, "cell", None), Cell):
            leaves, tree = jax.tree.flatten(affine.origin)
            shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
            _check(self.task, tree, shapes, self.precision == "float64")
        elif not hasattr(affine.origin, "initial"):
            raise TypeError(
                f"a task is for recurrent models, cells with or without a readout; the plane holds "
                f"{type(affine.origin).__name__}: give landscape.Function(loss, data) instead of a task"
            )
        every = enumerate(jax.tree.leaves(affine.origin))
        absent = [i for i, leaf in every if np.shape(leaf) == () and leaf == 0]
        moved = {i for direction in affine.directions for i, leaf in enumerate(direction) if leaf is not None}
        return dataclasses.replace(affine, zeros=tuple(i for i in absent if i not in moved))

    def again(self, affine: Affine, point: Any) -> float:
        """Mean loss at the longest length through `landscape.models.run`, without tiles or tangents."""
        x, target = self.data[0].x, self.data[0].target
        if not self.task.nested:
            x, target = x[-1], target[-1]
        return float(jnp.mean(_alone(self.task)(affine, point, x, target)))


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def draw_prefix(task: Task, key: Key[Array, ""], count: int, length: int) -> Episode:
    """``count`` episodes of a nested task, stacked along a leading axis, by one compiled program."""
    return draw(task, key, count, length)


@functools.partial(jax.jit, static_argnums=(0, 2, 4))
def draw_each(task: Task, key: Key[Array, ""], count: int, lengths: Int[Array, "length"], longest: int) -> Episode:
    """``count`` episodes of each of ``lengths``, (length, episode, longest, ...), by one compiled program."""
    return jax.lax.map(lambda length: draw(task, key, count, length, longest), lengths)


def _drawn(task: Task, key: Key[Array, ""], count: int, lengths: Int[np.ndarray, "length"]) -> Episode:
    """Episodes as `Scan` wants them; noise is drawn in float32 whatever the dtype, so that dtypes can be compared."""
    longest = int(lengths[-1])
    if task.nested:
        drawn = draw_prefix(task, key, count, longest)
        return Episode(x=jnp.moveaxis(drawn.x, 0, 1), target=drawn.target)
    drawn = draw_each(task, key, count, lengths, longest)
    return Episode(x=jnp.moveaxis(drawn.x, 1, 2), target=drawn.target)


@functools.cache
def _check(task: Task, tree: Any, leaves: tuple, wide: bool) -> None:
    """Whether model and task fit each other, once for each kind: tracing a step takes longer than a small surface."""
    with jax.enable_x64(wide):
        model = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
        check(model.cell, tasks.check(task, model).x.shape[1:])


@functools.cache
def _alone(task: Task) -> Callable:
    """``(affine, point, x, target) -> losses (batch,)`` at a point by `landscape.models.run`; compiled once a task."""

    def loss(
        affine: Affine, point: Float[Array, "coordinate"], x: Float[Array, "time *input"], target: PyTree
    ) -> Float[Array, ""]:
        return task.loss(run(affine.at(list(point)), x, task.start)[-1], target)

    return jax.jit(jax.vmap(loss, (None, None, 1, 0)))

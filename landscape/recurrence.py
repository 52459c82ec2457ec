"""The recurrent problem: the loss of a task after every requested length, with derivatives, in one forward pass.

Derivatives ride along the recurrence as jets (`landscape.engine.jets`), so memory does not grow with length.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key, PyTree, PyTreeDef, Real, Shaped

from landscape import devices, specs, tasks
from landscape.blocks import Json
from landscape.cells import Cell, check
from landscape.engine.jets import RESCALE, Jet, fold, pairs, push, rescale, shifted, unscaled
from landscape.engine.problem import Problem, checked_dtype, checked_lengths, checked_order, derivatives, whole
from landscape.models import RNN, run
from landscape.planes import Affine, Placed
from landscape.tasks import Episode, Task, time_first
from landscape.tasks import episodes as draw

MOST_SEEDS = 2**32  # `jax.random.key` tells no more apart
Carry = tuple[Jet, tuple, tuple]  # a jet (batch, point), exponents and their powers 2**-e, each a tuple of (point,)
Step = Int[Array, ""] | int
Data = tuple[Episode, Int[Array | np.ndarray, "length"]]  # episodes as `draw_all` stacks them, and lengths


class Layout(NamedTuple):
    """How functions of one episode at one point are computed for many.

    ``begin(f)(model)`` and ``both(f)(model, scale, jet, x)`` return arrays (batch, point, ...); ``fold(op, a)`` reduces
    the first axis; ``tie(model, t)`` is the model in step ``t`` of a loop; ``ones(points)`` begins what a loop carries.
    """

    begin: Callable
    both: Callable
    fold: Callable = fold
    tie: Callable = lambda model, t: model
    ones: Callable = jnp.ones_like


class Course(NamedTuple):
    """The loss along sequences: ``start() -> carry``, ``step(t, carry, x) -> carry``, ``observe(carry, target)``.

    A step rescales where ``t`` says so, or where its last argument, ``due``, does: then it is known to the compiler.
    """

    start: Callable[[], Carry]
    step: Callable[..., Carry]
    observe: Callable[[Carry, PyTree], tuple[Jet, tuple]]


@dataclasses.dataclass(frozen=True)
class Scan:
    """The kernel of `Recurrence`: static choices alone, so that equal ones share a program.

    ``every`` says that lengths are 1, 2, 3, ..., which saves an inner loop. ``known`` are the lengths, where the
    compiler is to know how often its loops go round; without them one program serves all choices of lengths.
    """

    task: Task
    order: int
    every: bool
    known: tuple[int, ...] = ()

    def course(
        self, model: PyTree, points: tuple[Float[Array, "point"], ...], batch: int, layout: Layout, masked: bool = False
    ) -> Course:
        """Loss and derivatives at ``points``, an array for each coordinate: means over ``batch`` episodes.

        ``model.at`` is that of `Placed`: models at those points. What `step` reads is an input and `observe` a target.
        ``masked``: there is an answer after every step, and its weighted loss is summed beside the state; then a step
        reads (input, target, weight), and what `observe` takes is the sum of the weights so far.
        """
        task, order, count, here = self.task, self.order, len(points), points[0]
        unmoved = (jnp.zeros((), here.dtype),) * count  # where on the plane is in the model already

        def advance(model: PyTree, scale: tuple, jet: Jet, read: PyTree) -> Jet:
            if masked:
                return push(lambda p, s: _summed(task, model.at(p), s, *read), unmoved, scale, jet)
            return push(lambda p, s: model.at(p).step(s, read), unmoved, scale, jet)

        def score(model: PyTree, scale: tuple, jet: Jet, target: PyTree) -> Jet:
            if masked:
                return push(lambda _, s: s[1] / target, unmoved, scale, jet)
            return push(lambda p, s: task.loss(model.at(p).output(s), target), unmoved, scale, jet)

        def start() -> Carry:
            begin = lambda m: m.at(unmoved).initial(task.start)  # noqa: E731
            summed = lambda m: (begin(m), jnp.zeros((), here.dtype))  # noqa: E731
            state = layout.begin(summed if masked else begin)(model)
            state = jax.tree.map(lambda leaf: leaf.astype(here.dtype), state)
            zero = jax.tree.map(jnp.zeros_like, state)
            first = (zero,) * count if order > 0 else ()
            second = dict.fromkeys(pairs(count), zero) if order > 1 else {}
            one = layout.ones(here)
            return Jet(state, first, second), ((one - one).astype(jnp.int32),) * count, (one,) * count

        def step(
            t: Int[Array, ""], carry: Carry, x: PyTree[Shaped[Array, "batch ..."]], due: bool | None = None
        ) -> Carry:
            jet, exponents, scale = carry
            if order > 0 and due is not False:
                # Only the small arrays pass through the conditional; the factor costs nothing in the loop that uses it.
                same = lambda jet, exponents: (exponents, scale, (layout.ones(here),) * count)  # noqa: E731
                again = lambda jet, exponents: rescale(jet, exponents, layout.fold)  # noqa: E731
                now = t & (RESCALE - 1) == 0 if due is None else due
                exponents, scale, shift = jax.lax.cond(now, again, same, jet, exponents)
                jet = shifted(jet, shift)
            return layout.both(advance)(layout.tie(model, t), scale, jet, x), exponents, scale

        def observe(carry: Carry, target: PyTree) -> tuple[Jet, tuple]:
            jet, exponents, scale = carry
            scored = layout.both(score)(model, scale, jet, target)
            return jax.tree.map(lambda a: layout.fold(jnp.add, a) / batch, scored), exponents

        return Course(start, step, observe)

    def __call__(
        self, affine: Affine, points: Float[Array, "coordinate point"], data: Data
    ) -> list[Float[Array, "length point"]]:
        """Loss and derivatives, each (length, point), at ``points`` (coordinate, point), in the order of variables.

        Episodes are stacked as x (time, batch, ...) and target (batch,), with a mask target (time, batch, ...) and mask
        (time, batch), with a leading length axis unless the task is nested. Points lie last and contiguous.
        """
        nested, (episodes, lengths) = self.task.nested, data
        masked = episodes.mask is not None
        placed, lanes = place(affine, points)
        batch = episodes.x.shape[1 if nested else 2]
        repeat = lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape))  # noqa: E731
        layout = Layout(
            begin=lambda f: lambda m: jax.tree.map(repeat, jax.vmap(f, (lanes,), axis_size=points.shape[1])(m)),
            both=lambda f: jax.vmap(jax.vmap(f, (lanes, 0, 0, None)), (None, None, 0, 0)),
            tie=within,
        )
        course = self.course(placed, tuple(points), batch, layout, masked)
        series = (episodes.x, episodes.target, episodes.mask) if masked else episodes.x
        answers = weighed(self.task, episodes, lengths) if masked else episodes.target
        if self.known:
            return unscaled(*self._counted(course, series, answers, masked))

        def between(carry: Carry, since: Int[Array, ""] | int, until: Int[Array, ""], series: PyTree) -> Carry:
            return jax.lax.fori_loop(since, until, lambda t, carry: course.step(t, carry, at(series, t)), carry)

        def following(carry: Carry, row: tuple) -> tuple[Carry, tuple[Jet, tuple]]:
            since, until, weights = row
            one = self.every
            carry = course.step(since, carry, at(series, since)) if one else between(carry, since, until, series)
            return carry, course.observe(carry, weights if masked else answers)

        if nested:
            since = jnp.concatenate([jnp.zeros(1, lengths.dtype), lengths[:-1]])
            rows = (since, lengths, answers if masked else None)
            return unscaled(*jax.lax.scan(following, course.start(), rows)[1])
        alone = lambda row: course.observe(between(course.start(), 0, *row[:2]), row[2])  # noqa: E731
        return unscaled(*jax.lax.map(alone, (lengths, series, answers)))

    def _counted(self, course: Course, series: PyTree, answers: PyTree, masked: bool) -> tuple[Jet, tuple]:
        """What is seen at all lengths, (length, point), by loops whose ends are known when they are compiled.

        Steps go by in equal blocks, as long as the lengths allow; what is seen after a block stays in the row of the
        length that the block leads to, until the next block of that row. `RESCALE` steps are one turn of a loop.
        """
        nested, block = self.task.nested, math.gcd(*self.known)
        places = _blocks(self.known, block, nested)
        answer = lambda row: answers if nested and not masked else at(answers, row)  # noqa: E731

        def steps(row: Step, since: Step, count: int, carry: Carry, done: int = 0) -> Carry:
            for i in range(count):
                x = at(series, since + i) if nested else at(series, row, since + i)
                carry = course.step(since + i, carry, x, (done + i) % RESCALE == 0)
            return carry

        def through(row: Step, since: Step, carry: Carry, done: int) -> Carry:
            if block <= RESCALE:
                return steps(row, since, block, carry, done)
            turn = lambda k, carry: steps(row, since + k * RESCALE, RESCALE, carry)  # noqa: E731
            carry = jax.lax.fori_loop(0, block // RESCALE, turn, carry)
            return steps(row, since + block // RESCALE * RESCALE, block % RESCALE, carry)

        def turn(state: tuple, places: Int[Array, "block 2"]) -> tuple[tuple, None]:
            carry, seen = state
            for i, (row, since) in enumerate(places):
                if not nested:
                    carry = jax.tree.map(functools.partial(jnp.where, since == 0), course.start(), carry)
                carry = through(row, since, carry, i * block)
                put = lambda all, one, row=row: jax.lax.dynamic_update_index_in_dim(all, one, row, 0)  # noqa: E731
                seen = jax.tree.map(put, seen, course.observe(carry, answer(row)))
            return (carry, seen), None

        begun = course.start()
        one = jax.eval_shape(course.observe, begun, answer(0))
        blank = jax.tree.map(lambda leaf: jnp.zeros((len(self.known), *leaf.shape), leaf.dtype), one)
        together = max(1, RESCALE // block)
        whole = len(places) // together * together
        state, _ = jax.lax.scan(turn, (begun, blank), jnp.asarray(places[:whole].reshape(-1, together, 2)))
        return turn(state, jnp.asarray(places[whole:]))[0][1]


def _blocks(lengths: Sequence[int], block: int, nested: bool) -> Int[np.ndarray, "block 2"]:
    """Row and first step of every block of steps: of one pass through all lengths, or of a pass for each."""
    if nested:
        since = np.arange(0, lengths[-1], block)
        return np.stack([np.searchsorted(lengths, since, "right"), since], 1).astype(np.int32)
    every = [(row, since) for row, length in enumerate(lengths) for since in range(0, length, block)]
    return np.asarray(every, np.int32)


def at(tree: PyTree, *index: Step) -> PyTree:
    """Every leaf of a pytree at an index."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def weighed(task: Task, episodes: Episode, lengths: Int[ArrayLike, "length"]) -> Float[Array, "length batch"]:
    """The sum of the weights of every episode up to each length."""
    if task.nested:
        return jnp.cumsum(episodes.mask, 0)[lengths - 1]
    return jax.vmap(lambda mask, until: jnp.cumsum(mask, 0)[until - 1])(episodes.mask, lengths)


def _summed(
    task: Task, model: RNN, carried: tuple, x: Real[Array, "*input"], target: PyTree, weight: Float[Array, ""]
) -> tuple:
    """State and weighted loss so far, after one step more. A step that weighs nothing is not scored: its inf is not."""
    state = model.step(carried[0], x)
    return state, carried[1] + jnp.where(weight > 0, weight * task.loss(model.output(state), target), 0)


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


def within(placed: Placed, t: Int[Array, ""]) -> Placed:
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
        return Scan(self.task, self.order, every, () if jax.default_backend() == "cpu" else tuple(self.lengths))

    def fused(self, affine: Affine, interpret: bool = False) -> Callable:
        from landscape.kernels.surfaces import fused

        return fused(dataclasses.replace(self.kernel, known=()), affine, self.data, interpret)

    @functools.cached_property
    def data(self) -> Data:
        lengths = np.asarray(self.lengths, np.int32)
        found = draw_all(self.task, jax.random.key(self.seed), self.width, lengths)
        numbers = jax.tree.map(lambda leaf: np.asarray(leaf, self.precision), found)
        symbols = np.asarray(found.x)
        return (dataclasses.replace(numbers, x=symbols) if symbols.dtype.kind in "iu" else numbers), lengths

    @property
    def leading(self) -> dict[str, Int[np.ndarray, "length"]]:
        return {"length": np.asarray(self.lengths, np.int32)}

    @property
    def width(self) -> int:
        return self.episodes or 1

    @property
    def steps(self) -> int:
        return self.width * (self.lengths[-1] if self.task.nested else sum(self.lengths))

    def moment(self, affine: Affine) -> int:
        weights = sum(np.size(leaf) for leaf in jax.tree.leaves(affine.origin))
        return devices.MOMENT // (self.steps * max(1, weights))

    @property
    def settings(self) -> dict[str, Json]:
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

    def labels(self) -> dict[str, dict[str, str]]:
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

    def again(self, affine: Affine, point: Float[np.ndarray, "coordinate"]) -> float:
        """Mean loss at the longest length through `landscape.models.run`, without tiles or tangents."""
        drawn = self.data[0]
        longest = drawn if self.task.nested else jax.tree.map(lambda leaf: leaf[-1], drawn)
        return float(jnp.mean(_alone(self.task)(affine, point, longest)))


def draw_all(task: Task, key: Key[Array, ""], count: int, lengths: Int[np.ndarray, "length"]) -> Episode:
    """``count`` episodes as `Scan` wants them, (time, episode, ...): of the longest of ``lengths`` for a nested task,
    else of each of them, (length, longest, episode, ...).

    Noise is drawn in float32 whatever the dtype, so that dtypes can be compared.
    """
    given = () if task.nested else (lengths,)
    return _drawing(task.nested)(task, key, count, int(lengths[-1]), *given)


@functools.cache
def _drawing(nested: bool) -> Callable:
    """What draws, as one program: used once, it is compiled in a third of the time, to the same bits."""

    def prefix(task: Task, key: Key[Array, ""], count: int, longest: int) -> Episode:
        return time_first(draw(task, key, count, longest))

    def each(task: Task, key: Key[Array, ""], count: int, longest: int, lengths: Int[Array, "length"]) -> Episode:
        return time_first(jax.lax.map(lambda length: draw(task, key, count, length, longest), lengths), 1)

    return jax.jit(prefix if nested else each, static_argnums=(0, 2, 3), compiler_options=devices.hasty())


@functools.cache
def _check(task: Task, tree: PyTreeDef, leaves: tuple, wide: bool) -> None:
    """Whether model and task fit each other, once for each kind: tracing a step takes longer than a small surface."""
    with jax.enable_x64(wide):
        model = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
        x = tasks.check(task, model).x
        check(model.cell, x.shape[1:], jnp.issubdtype(x.dtype, jnp.integer))


@functools.cache
def _alone(task: Task) -> Callable:
    """``(affine, point, episodes) -> losses (batch,)`` at a point by `landscape.models.run`; compiled once a task."""

    def loss(affine: Affine, point: Float[Array, "coordinate"], one: Episode) -> Float[Array, ""]:
        answers = run(affine.at(list(point)), one.x, task.start)
        if one.mask is None:
            return task.loss(answers[-1], one.target)
        each = jax.vmap(task.loss)(answers, one.target)
        return jnp.sum(jnp.where(one.mask > 0, one.mask * each, 0)) / jnp.sum(one.mask)

    def every(affine: Affine, point: Float[Array, "coordinate"], drawn: Episode) -> Float[Array, "batch"]:
        along = jax.tree.map(lambda _: 1, drawn) if drawn.mask is not None else Episode(x=1, target=0, mask=None)
        return jax.vmap(loss, (None, None, along))(affine, point, drawn)

    return jax.jit(every)

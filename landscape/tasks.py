"""Synthetic tasks. A task is a frozen record of functions; an episode is one example of it.

Entry L of a surface is the loss of an episode cut after L steps, so every task here asks for its answer at the end.

A task that is not nested takes ``sample(key, length, index, time)``: the episode of ``length`` steps, which may be
traced, in an array of ``time`` steps. What lies after ``length`` is filler that nobody reads, so that one program can
draw every length.
"""

import dataclasses
import functools
import inspect
import math
import sys
import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Shaped

from landscape.activations import sigmoid
from landscape.cells import Cell
from landscape.losses import Answer, Target, cross_entropy, squared_error
from landscape.models import RNN, as_rnn
from landscape.tree import param, pytree

Length = Int[Array, ""] | int  # of an episode, which may be traced
Index = Int[Array, ""] | int


@pytree
class Episode:
    """One example: inputs ``x`` (time,) or (time, input), and the ``target`` of the answer after the last step.

    Whole numbers x (time,) are symbols to a cell whose input weights are a matrix: each reads a row of it. With a
    ``mask`` (time,) there is an answer after every step: ``target`` has an axis of time in front, and the loss of the
    episode cut after L steps is the mean over its first L steps, weighted by the mask; NaN where all weights are 0.
    """

    x: Any = param("time", "input")
    target: Any = param()
    mask: Any = param("time", default=None)


def time_first(stacked: Episode, axis: int = 0) -> Episode:
    """Episodes stacked along ``axis``, with all that has an axis of time turned so that time comes before them."""
    turn = lambda leaf: jnp.moveaxis(leaf, axis + 1, axis)  # noqa: E731
    return dataclasses.replace(stacked, x=turn(stacked.x)) if stacked.mask is None else jax.tree.map(turn, stacked)


@dataclasses.dataclass(frozen=True, repr=False)
class Task:
    """``sample(key, length, index) -> Episode``: noise comes from the key, the class is ``index % classes``.

    Consecutive indices therefore give balanced classes; draw the index at random for independent examples.
    ``loss(y, target)`` scores the answer ``y``, by default the cell's ``h`` itself.
    ``nested``: the short episode is a prefix of the long one, so that one pass serves all lengths.
    ``name`` and ``options`` say which task it is, for labels and provenance; `named` fills them in.
    ``chance``: the expected loss of the best guess that has not seen the input. ``start``: h before the first step.
    """

    sample: Callable[..., Episode]
    loss: Callable[[Answer, Target], Float[Array, ""]] = squared_error
    name: str = "task"
    classes: int = 1
    nested: bool = True
    chance: float = 0.0
    start: float = 0.0
    options: tuple[tuple[str, Any], ...] = ()

    def __repr__(self) -> str:
        """The task in words: ``latch(noise=0.1)``."""
        short = lambda value: value if isinstance(value, str) else f"{value:g}"  # noqa: E731
        given = ", ".join(f"{name}={short(value)}" for name, value in self.options)
        return f"{self.name}({given})" if given else self.name


def named(make: Callable[..., Task]) -> Callable[..., Task]:
    """Give every task that a function makes its name and options; the same options make the same task, once.

    Compiled programs are kept by task, so that asking for ``latch()`` again compiles nothing.
    """
    signature = inspect.signature(make)

    @functools.cache
    def build(**options: Any) -> Task:
        return dataclasses.replace(make(**options), name=make.__name__, options=tuple(options.items()))

    @functools.wraps(make)
    def task(*args: Any, **given: Any) -> Task:
        bound = signature.bind(*args, **given)
        bound.apply_defaults()
        return build(**bound.arguments)

    return task


def known(place: ModuleType | None = None) -> dict[str, Callable[..., Task]]:
    """Every task defined in a module, this one unless given: public functions annotated to return a Task."""
    place = place or sys.modules[__name__]
    public = {name: inspect.unwrap(value) for name, value in vars(place).items() if not name.startswith("_")}
    ours = [name for name, f in public.items() if inspect.isfunction(f) and f.__module__ == place.__name__]
    return {name: vars(place)[name] for name in ours if typing.get_type_hints(public[name]).get("return") is Task}


STEPS = 3  # of the episode that `check` asks for


def check(task: Task, model: Cell | RNN) -> Episode:
    """Raise TypeError, before anything is compiled, unless the task's functions fit each other and a model's answer.

    ``sample`` draws an Episode of as many steps as asked for; ``loss`` scores an answer with one number. Looks at
    shapes alone; no numbers are computed. Returns the shapes of an episode.
    """
    time = () if task.nested else (STEPS,)
    drawn = _shape(f"{task.name} cannot draw an episode", lambda: task.sample(jax.random.key(0), STEPS, 0, *time))
    if not isinstance(drawn, Episode):
        raise TypeError(f"{task.name} draws {type(drawn).__name__}; its sample must return an Episode(x, target)")
    if drawn.x.shape[:1] != (STEPS,):
        raise TypeError(
            f"{task.name} draws x of shape {drawn.x.shape} for {STEPS} steps; it must be (time,) or (time, input)"
        )
    if drawn.mask is not None:
        leaves = [drawn.mask, *jax.tree.leaves(drawn.target)]
        if drawn.mask.ndim != 1 or any(leaf.shape[:1] != (STEPS,) for leaf in leaves):
            given = ", ".join(str(leaf.shape) for leaf in leaves)
            raise TypeError(
                f"{task.name} draws a mask, so mask must be (time,) and target (time, ...); for {STEPS} steps they are "
                f"{given}"
            )
    model = as_rnn(model)
    answer = jax.eval_shape(lambda model: model.output(model.initial(task.start)), model)
    each = 0 if drawn.mask is None else 1
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[each:], answer.dtype), drawn.target)
    score = _shape(f"the loss of {task.name} cannot score an answer of shape {answer.shape}", task.loss, answer, target)
    if (shapes := [leaf.shape for leaf in jax.tree.leaves(score)]) != [()]:
        raise TypeError(f"the loss of {task.name} must be one number, and is of shape {', '.join(map(str, shapes))}")
    return drawn


def _shape(what: str, function: Callable, *values: Any) -> Any:
    """The shapes that a function of the user's returns, or a TypeError in one sentence."""
    try:
        return jax.eval_shape(function, *values)
    except Exception as error:
        raise TypeError(f"{what}: {type(error).__name__}: {str(error).splitlines()[0]}") from error


def _number(name: str, value: Any, least: float = -math.inf) -> None:
    """Raise ValueError unless an option is a finite number, at least ``least``."""
    if not (math.isfinite(value) and value >= least):
        bound = "" if least == -math.inf else f", at least {least:g}"
        raise ValueError(f"{name} must be a finite number{bound}; given {value!r}")


def _whole(name: str, value: Any) -> int:
    """A whole number, or ValueError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number; given {value!r}")
    return value


def episodes(task: Task, key: Key[Array, ""], count: int, length: Length, time: int | None = None) -> Episode:
    """``count`` episodes with balanced classes, stacked along a leading axis; more of them never change the first ones.

    With ``time``, at least ``length``, arrays have that many steps and ``length`` may be traced: the first ``length``
    steps are those of an episode of that length.

    The same key gives the same random bits everywhere. What a compiled program makes of them is what is meant, and what
    surfaces and training are computed on: called outside of `jax.jit`, noise may differ by a rounding unit.
    """
    if task.nested:
        shape: tuple = (length if time is None else time,)
    else:
        shape = (length,) if time is None else (length, time)

    def one(index: Int[Array, ""]) -> Episode:
        key_of = jax.random.fold_in(key, index)
        return task.sample(key_of, shape[0], index, *shape[1:])

    return jax.vmap(one)(jnp.arange(count))


def by_time(
    draw: Callable[[Key[Array, ""]], Shaped[Array, ""]], key: Key[Array, ""], length: int
) -> Shaped[Array, "time"]:
    """``draw(key)`` for each step, keyed by time so that a shorter draw is a prefix of a longer one."""
    return jax.vmap(lambda t: draw(jax.random.fold_in(key, t)))(jnp.arange(length))


def gaussian(key: Key[Array, ""], length: int, sd: float) -> Float[Array, "time"]:
    """White noise (time,) of standard deviation ``sd``, keyed by time."""
    return sd * by_time(jax.random.normal, key, length)


def sign(bit: Int[Array, "*batch"] | int) -> Float[Array, "*batch"]:
    """+1 for an even number, -1 for an odd one."""
    return jnp.where(bit % 2 == 0, 1.0, -1.0)


@named
def latch(noise: float = 0.1) -> Task:
    """Information latching (stats.SE 340898): ``x_0 = ±1``, then silence, all under Gaussian noise; recall the sign.

    ``noise`` is a standard deviation. The squared error against ±1 makes chance 1.
    """
    _number("noise", noise, 0)

    def sample(key: Key[Array, ""], length: int, index: Index) -> Episode:
        bit = sign(index)
        return Episode(x=gaussian(key, length, noise).at[0].add(bit), target=bit)

    return Task(sample, classes=2, chance=1.0)


@named
def relay(noise: float = 0.1) -> Task:
    """Bit relay (stats.SE 340898, update): signs at step 0 and at step T // 2, else noise; the target is their product.

    The two signs replace the noise at their steps. ``noise`` is a standard deviation. Not nested: the second bit
    moves with the length.
    """
    _number("noise", noise, 0)

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        first, second = sign(index), sign(index // 2)
        t = jnp.arange(length if time is None else time)
        x = jnp.where(t == length // 2, second, gaussian(key, len(t), noise))
        return Episode(x=jnp.where(t == 0, first, x), target=first * second)

    return Task(sample, classes=4, nested=False, chance=1.0)


@named
def pascanu(start: float = 0.5, target: float = 0.7) -> Task:
    """Pascanu et al. (2013), fig. 6: no input, ``h_0 = .5``, ``E = (logistic(h_T) - .7)²``."""
    _number("start", start)
    _number("target", target)

    def sample(key: Key[Array, ""], length: int, index: Index) -> Episode:
        return Episode(x=jnp.zeros(length), target=jnp.asarray(target))

    def loss(y: Answer, goal: Target) -> Float[Array, ""]:
        return squared_error(sigmoid(y), target)  # not the episode's goal, which is drawn in float32

    return Task(sample, loss, start=start)


@named
def reach(start: float = 0.0, target: float = 1.0) -> Task:
    """The raw-state variant of Pascanu's figure: no input, ``h_0 = 0``, ``E = (h_T - 1)²``."""
    _number("start", start)
    _number("target", target)

    def sample(key: Key[Array, ""], length: int, index: Index) -> Episode:
        return Episode(x=jnp.zeros(length), target=jnp.asarray(target))

    def loss(y: Answer, goal: Target) -> Float[Array, ""]:
        return squared_error(y, target)  # not the episode's goal, which is drawn in float32

    return Task(sample, loss, start=start)


@named
def bengio(noise: float = 0.2, evidence: int = 3, target: float = 0.8) -> Task:
    """The reduced latch of Bengio, Simard & Frasconi (1994), for `landscape.cells.BengioLatch`.

    Inputs (time, 2 evidence + 1): for the first ``evidence`` steps one-hot over (class, step), class 0 first; after
    them Gaussian noise of standard deviation ``noise`` in the last channel. ``C = ½ (h_T - d)²`` with d = ±0.8.
    """
    _number("noise", noise, 0)
    _number("evidence", evidence, 1)
    _number("target", target)

    def sample(key: Key[Array, ""], length: int, index: Index) -> Episode:
        label = index % 2
        time = jnp.arange(length)
        shown = time < evidence
        heads = jax.nn.one_hot(jnp.where(shown, label * evidence + time, -1), 2 * evidence)
        tail = jnp.where(shown, 0.0, gaussian(key, length, noise))
        return Episode(x=jnp.column_stack([heads, tail]), target=-target * sign(label))

    def loss(y: Answer, goal: Target) -> Float[Array, ""]:
        return squared_error(y, goal) / 2

    return Task(sample, loss, classes=2, chance=target**2 / 2)


@named
def echo(lag: int = 3) -> Task:
    """Say again at every step which sign came ``lag`` steps ago; with a negative lag foretell one that is to come.

    Inputs (time,) are ±1 at random. An answer is asked for at every step that has one, by squared error, so chance is
    1. Nested for a lag of 0 or more; an answer to come can be known only by a model that reads both ways.
    """
    steps = _whole("lag", lag)

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(length if time is None else time)
        x = jnp.where(by_time(jax.random.bernoulli, key, len(t)), 1.0, -1.0)
        known = (t >= steps) & (t - steps < length)
        return Episode(x=x, target=jnp.where(known, x[t - steps], 0.0), mask=known.astype(x.dtype))

    return Task(sample, nested=lag >= 0, chance=1.0)


def _two_marks(combine: Callable[[Float[Array, ""], Float[Array, ""]], Float[Array, ""]], chance: float) -> Task:
    """A task over two marked values of U[0, 1], one in each half of the episode."""

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(length if time is None else time)
        where, numbers = jax.random.split(key)
        half = length // 2
        early, late = jax.random.split(where)
        first = jax.random.randint(early, (), 0, jnp.maximum(half, 1))
        second = jax.random.randint(late, (), half, length)
        value = by_time(jax.random.uniform, numbers, len(t))
        mark = ((t == first) | (t == second)).astype(value.dtype)
        return Episode(x=jnp.column_stack([value, mark]), target=combine(value[first], value[second]))

    return Task(sample, nested=False, chance=chance)


@named
def adding() -> Task:
    """Adding problem (Le, Jaitly & Hinton 2015): the sum of the two marked values; lengths from 2 up.

    Inputs (time, 2): values of U[0, 1], and a mark that is 1 at one step of each half. Chance, the variance of a
    sum of two uniform numbers, is 1/6.
    """
    return _two_marks(jnp.add, 1 / 6)


@named
def multiplication() -> Task:
    """Multiplication problem (Hochreiter & Schmidhuber 1997, exp. 5): the product of the two marked values of U[0, 1].

    Inputs as in `adding`. Chance, the variance of the product, is 1/9 - 1/16.
    """
    return _two_marks(jnp.multiply, 7 / 144)


@named
def temporal_order() -> Task:
    """Temporal order (Hochreiter & Schmidhuber 1997, exp. 6a, as in Pascanu et al. 2013, fig. 7): which came first?

    Inputs (time, 6) are one-hot: A or B at a step of [T/10, 2T/10) and at one of [T/2, 6T/10), else one of four
    distractors; lengths from 2 up. The target is the class 0 to 3 of (first, second) = AA, AB, BA, BB, to be answered
    by four logits; chance is ln 4.
    """

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(length if time is None else time)
        where, what = jax.random.split(key)
        early, late = jax.random.split(where)
        tenth, label = length // 10, index % 4
        first = tenth + jax.random.randint(early, (), 0, jnp.maximum(tenth, 1))
        second = length // 2 + jax.random.randint(late, (), 0, jnp.maximum(tenth, 1))
        symbol = by_time(lambda k: jax.random.randint(k, (), 2, 6), what, len(t))
        symbol = jnp.where(t == first, label // 2, jnp.where(t == second, label % 2, symbol))
        return Episode(x=jax.nn.one_hot(symbol, 6), target=label)

    def loss(logits: Answer, label: Target) -> Float[Array, ""]:
        return cross_entropy(logits, jnp.asarray(label, jnp.int32))

    return Task(sample, loss, classes=4, nested=False, chance=math.log(4))


@named
def parity(jitter: float = 0.0) -> Task:
    """Parity (Bengio, Simard & Frasconi 1994): +1 if the number of positive inputs is odd, else -1.

    Inputs (time,) are ±1 at random, plus U[-jitter, jitter]; the last one makes the classes balance. Not nested: a
    prefix has another parity. The squared error against ±1 makes chance 1.
    """
    _number("jitter", jitter, 0)

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(length if time is None else time)
        coins, shaken = jax.random.split(key)
        positive = by_time(jax.random.bernoulli, coins, len(t))
        odd = jnp.sum(positive & (t < length - 1)) % 2
        positive = jnp.where(t == length - 1, odd != (index + 1) % 2, positive)
        shake = by_time(lambda k: jax.random.uniform(k, minval=-jitter, maxval=jitter), shaken, len(t))
        return Episode(x=jnp.where(positive, 1.0, -1.0) + shake, target=sign(index))

    return Task(sample, classes=2, nested=False, chance=1.0)


@named
def two_sequence(evidence: int = 3, noise: float = 0.2**0.5) -> Task:
    """Two-sequence problem (Hochreiter & Schmidhuber 1997, exp. 3a, after Bengio et al. 1994): which beginning was it?

    Inputs (time,): the sign of the class for the first ``evidence`` steps, then Gaussian noise of standard deviation
    ``noise``, by default the root of the paper's variance 0.2. Targets ±1 as in `latch`, so chance is 1.
    """
    _number("evidence", evidence, 1)
    _number("noise", noise, 0)

    def sample(key: Key[Array, ""], length: int, index: Index) -> Episode:
        shown = jnp.arange(length) < evidence
        return Episode(x=jnp.where(shown, sign(index), gaussian(key, length, noise)), target=sign(index))

    return Task(sample, classes=2, chance=1.0)

"""What a task is, which tasks there are, whether one fits a model, and how its episodes are drawn."""

import dataclasses
import functools
import inspect
import math
import sys
import typing
from collections.abc import Callable
from types import ModuleType

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Key, PyTree, Real, Shaped

from landscape.cells import Cell
from landscape.losses import Answer, Target, squared_error
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

    x: PyTree[Real[ArrayLike, "..."]] = param("time", "input")
    target: PyTree[Shaped[ArrayLike, "..."]] = param()
    mask: PyTree[Float[ArrayLike, "..."]] = param("time", default=None)


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
    ``chance``: the expected loss of the best guess that has not seen the input, the same at every step; ``memoryless``
    that of the best guess that has forgotten what came long ago, where the task has one; ``floor`` that of a predictor
    that knows the rule and forgets nothing. ``start``: h before the first step.
    """

    sample: Callable[..., Episode]
    loss: Callable[[Answer, Target], Float[Array, ""]] = squared_error
    name: str = "task"
    classes: int = 1
    nested: bool = True
    chance: float = 0.0
    memoryless: float | None = None
    floor: float = 0.0
    start: float = 0.0
    options: tuple[tuple[str, float | str], ...] = ()

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
    def build(**options: float | str) -> Task:
        return dataclasses.replace(make(**options), name=make.__name__, options=tuple(options.items()))

    @functools.wraps(make)
    def task(*args: float | str, **given: float | str) -> Task:
        bound = signature.bind(*args, **given)
        bound.apply_defaults()
        return build(**bound.arguments)

    return task


def known(place: ModuleType | None = None) -> dict[str, Callable[..., Task]]:
    """Every task defined in a module or package, `landscape.tasks` unless given: functions annotated to return one."""
    place = place or sys.modules[__package__]
    public = {name: inspect.unwrap(value) for name, value in vars(place).items() if not name.startswith("_")}
    home = f"{place.__name__}."
    ours = [name for name, f in public.items() if inspect.isfunction(f) and f"{f.__module__}.".startswith(home)]
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


def _shape(what: str, function: Callable, *values: PyTree) -> PyTree:
    """The shapes that a function of the user's returns, or a TypeError in one sentence."""
    try:
        return jax.eval_shape(function, *values)
    except Exception as error:
        raise TypeError(f"{what}: {type(error).__name__}: {str(error).splitlines()[0]}") from error


def number(name: str, value: float, least: float = -math.inf) -> None:
    """Raise ValueError unless an option is a finite number, at least ``least``."""
    if not (math.isfinite(value) and value >= least):
        bound = "" if least == -math.inf else f", at least {least:g}"
        raise ValueError(f"{name} must be a finite number{bound}; given {value!r}")


def whole(name: str, value: object) -> int:
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


def own_end(key: Key[Array, ""], length: Length) -> Int[Array, ""]:
    """The last step of an episode whose own length is uniform, from 10/11 of ``length``, T, to ``length``, 1.1 T."""
    return jax.random.randint(key, (), (10 * jnp.asarray(length, jnp.int32) + 10) // 11, length + 1) - 1

"""Tasks over marked places of an episode: their sum, their product, their order."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from landscape.losses import Answer, Target, cross_entropy
from landscape.tasks.base import Episode, Index, Length, Task, by_time, named, own_end


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


def _marked_1997(low: float, combine: Callable[[Array, Array], Array], chance: float, memoryless: float) -> Task:
    """A task over two marked values of U[low, 1] as in 1997, asked where an episode ends by itself."""

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(length if time is None else time)
        keys = jax.random.split(key, 4)
        half, last = (10 * jnp.asarray(length, jnp.int32) + 10) // 22, own_end(keys[0], length)
        first = jax.random.randint(keys[1], (), 1, jnp.minimum(10, half))
        second = jax.random.randint(keys[2], (), 1, half - 1)
        second = second + (second >= first).astype(second.dtype)
        value = low + (1 - low) * by_time(jax.random.uniform, keys[3], len(t))
        mark = jnp.where((t == first) | (t == second), 1.0, jnp.where((t == 0) | (t == last), -1.0, 0.0))
        x = jnp.where((t <= last)[:, None], jnp.column_stack([value, mark]), 0)
        target = jnp.where(t == last, combine(value[first], value[second]), 0)
        return Episode(x=x, target=target, mask=(t == last).astype(value.dtype))

    return Task(sample, nested=False, chance=chance, memoryless=memoryless)


@named
def adding_1997() -> Task:
    """Adding as in Hochreiter & Schmidhuber (1997), exp. 4: ``.5 + (X_1 + X_2) / 4`` of the two marked of U[-1, 1].

    Inputs (time, 2): values, and a mark: 1 at the two, -1 at the first and the last step, else 0. An episode of
    ``length`` steps ends by itself after 10/11 of them (T) or more; its last step is asked, and after it all is 0. One
    mark stands among the first ten steps, the other before T / 2; never on the very first, whose value the source sets
    to 0 when it is marked. Lengths from 10 up. Chance is 1/24, and 1/48 for who has forgotten the first mark.
    """
    return _marked_1997(-1.0, lambda one, two: 0.5 + (one + two) / 4, 1 / 24, 1 / 48)


@named
def multiplication_1997() -> Task:
    """Multiplication as in Hochreiter & Schmidhuber (1997), exp. 5: ``X_1 X_2``, the two marked values of U[0, 1].

    Inputs, marks and ends as in `adding_1997`; never marked is the first step, whose value the source sets to 1 when it
    is. Chance is 1/9 - 1/16, and 1/36, the mean of ``X_2² / 12``, for who has forgotten the first mark.
    """
    return _marked_1997(0.0, jnp.multiply, 7 / 144, 1 / 36)


@named
def order_1997(marks: int = 2) -> Task:
    """Temporal order as in Hochreiter & Schmidhuber (1997), exp. 6a: E, then X or Y twice among a to d, then B.

    x (time,) are symbols, X, Y, E, B, a, b, c, d in this order. An episode of ``length`` steps ends by itself after
    10/11 of them (T) or more, with B; its last step is asked. The two stand at a step of [T/10, 2T/10) and at one of
    [T/2, 6T/10); lengths from 22 up. Classes 0 to 3 are XX, XY, YX, YY, for four logits: chance is ln 4, and ln 2 for
    who has forgotten the first. With three ``marks`` (6b) they stand in the tenths of T that begin at T/10, T/3 and
    2T/3; there are eight classes, and who has forgotten the first two guesses one of four.
    """
    if marks not in (2, 3):
        raise ValueError(f"marks must be 2 (exp. 6a) or 3 (exp. 6b); given {marks!r}")

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(length if time is None else time)
        keys = jax.random.split(key, 2 + marks)
        shortest, last = (10 * jnp.asarray(length, jnp.int32) + 10) // 11, own_end(keys[0], length)
        tenth, label = jnp.maximum(shortest // 10, 1), index % 2**marks
        begins = (tenth, shortest // 2) if marks == 2 else (tenth, shortest // 3, 2 * shortest // 3)
        symbol = by_time(lambda k: jax.random.randint(k, (), 4, 8), keys[-1], len(t))
        for k, begin in enumerate(begins):
            here = begin + jax.random.randint(keys[1 + k], (), 0, tenth)
            symbol = jnp.where(t == here, label // 2 ** (marks - 1 - k) % 2, symbol)
        symbol = jnp.where(t == 0, 2, jnp.where(t >= last, 3, symbol))
        return Episode(x=symbol, target=jnp.where(t == last, label, 0), mask=(t == last).astype(jnp.float32))

    forgotten = math.log(2 ** (marks - 1))
    return Task(sample, cross_entropy, classes=2**marks, nested=False, chance=marks * math.log(2), memoryless=forgotten)

"""Tasks over marked places of an episode: their sum, their product, their order."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from landscape.losses import Answer, Target, cross_entropy
from landscape.tasks.base import Episode, Index, Length, Task, by_time, named


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


def _own_end(key: Key[Array, ""], length: Length) -> Int[Array, ""]:
    """The last step of an episode whose own length is uniform, from 10/11 of ``length``, T, to ``length``, 1.1 T."""
    return jax.random.randint(key, (), (10 * jnp.asarray(length, jnp.int32) + 10) // 11, length + 1) - 1


@named
def adding_1997() -> Task:
    """Adding as in Hochreiter & Schmidhuber (1997), exp. 4: ``.5 + (X_1 + X_2) / 4`` of the two marked of U[-1, 1].

    Inputs (time, 2): values, and a mark: 1 at the two, -1 at the first and the last step, else 0. An episode of
    ``length`` steps ends by itself after 10/11 of them (T) or more; its last step is asked, and after it all is 0. One
    mark stands among the first ten steps, the other before T / 2; never on the very first, whose value the source sets
    to 0 when it is marked. Lengths from 10 up. Chance is 1/24, and 1/48 for who has forgotten the first mark.
    """

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(length if time is None else time)
        keys = jax.random.split(key, 4)
        half, last = (10 * jnp.asarray(length, jnp.int32) + 10) // 22, _own_end(keys[0], length)
        first = jax.random.randint(keys[1], (), 1, jnp.minimum(10, half))
        second = jax.random.randint(keys[2], (), 1, half - 1)
        second = second + (second >= first).astype(second.dtype)
        value = 2 * by_time(jax.random.uniform, keys[3], len(t)) - 1
        mark = jnp.where((t == first) | (t == second), 1.0, jnp.where((t == 0) | (t == last), -1.0, 0.0))
        target = 0.5 + (value[first] + value[second]) / 4
        x = jnp.where((t <= last)[:, None], jnp.column_stack([value, mark]), 0)
        return Episode(x=x, target=jnp.where(t == last, target, 0), mask=(t == last).astype(value.dtype))

    return Task(sample, nested=False, chance=1 / 24, memoryless=1 / 48)


@named
def order_1997() -> Task:
    """Temporal order as in Hochreiter & Schmidhuber (1997), exp. 6a: E, then X or Y twice among a to d, then B.

    x (time,) are symbols, X, Y, E, B, a, b, c, d in this order. An episode of ``length`` steps ends by itself after
    10/11 of them (T) or more, with B; its last step is asked. The two stand at a step of [T/10, 2T/10) and at one of
    [T/2, 6T/10); lengths from 22 up. Classes 0 to 3 are XX, XY, YX, YY, for four logits: chance is ln 4, and ln 2 for
    who has forgotten the first.
    """

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(length if time is None else time)
        keys = jax.random.split(key, 4)
        shortest, last, label = (10 * jnp.asarray(length, jnp.int32) + 10) // 11, _own_end(keys[0], length), index % 4
        tenth = jnp.maximum(shortest // 10, 1)
        first = tenth + jax.random.randint(keys[1], (), 0, tenth)
        second = shortest // 2 + jax.random.randint(keys[2], (), 0, tenth)
        symbol = by_time(lambda k: jax.random.randint(k, (), 4, 8), keys[3], len(t))
        symbol = jnp.where(t == first, label // 2, jnp.where(t == second, label % 2, symbol))
        symbol = jnp.where(t == 0, 2, jnp.where(t >= last, 3, symbol))
        return Episode(x=symbol, target=jnp.where(t == last, label, 0), mask=(t == last).astype(jnp.float32))

    return Task(sample, cross_entropy, classes=4, nested=False, chance=math.log(4), memoryless=math.log(2))

"""Tasks of the latching literature: a sign, a place or a beginning, recalled through noise."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from landscape.activations import sigmoid
from landscape.losses import Answer, Target, squared_error
from landscape.tasks.base import Episode, Index, Length, Task, by_time, gaussian, named, number, sign, whole


@named
def latch(noise: float = 0.1) -> Task:
    """Information latching (stats.SE 340898): ``x_0 = ±1``, then silence, all under Gaussian noise; recall the sign.

    ``noise`` is a standard deviation. The squared error against ±1 makes chance 1.
    """
    number("noise", noise, 0)

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
    number("noise", noise, 0)

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        first, second = sign(index), sign(index // 2)
        t = jnp.arange(length if time is None else time)
        x = jnp.where(t == length // 2, second, gaussian(key, len(t), noise))
        return Episode(x=jnp.where(t == 0, first, x), target=first * second)

    return Task(sample, classes=4, nested=False, chance=1.0)


@named
def pascanu(start: float = 0.5, target: float = 0.7) -> Task:
    """Pascanu et al. (2013), fig. 6: no input, ``h_0 = .5``, ``E = (logistic(h_T) - .7)²``."""
    number("start", start)
    number("target", target)

    def sample(key: Key[Array, ""], length: int, index: Index) -> Episode:
        return Episode(x=jnp.zeros(length), target=jnp.asarray(target))

    def loss(y: Answer, goal: Target) -> Float[Array, ""]:
        return squared_error(sigmoid(y), target)  # not the episode's goal, which is drawn in float32

    return Task(sample, loss, start=start)


@named
def reach(start: float = 0.0, target: float = 1.0) -> Task:
    """The raw-state variant of Pascanu's figure: no input, ``h_0 = 0``, ``E = (h_T - 1)²``."""
    number("start", start)
    number("target", target)

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
    number("noise", noise, 0)
    number("evidence", evidence, 1)
    number("target", target)

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
    steps = whole("lag", lag)

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(length if time is None else time)
        x = jnp.where(by_time(jax.random.bernoulli, key, len(t)), 1.0, -1.0)
        known = (t >= steps) & (t - steps < length)
        return Episode(x=x, target=jnp.where(known, x[t - steps], 0.0), mask=known.astype(x.dtype))

    return Task(sample, nested=lag >= 0, chance=1.0)


@named
def parity(jitter: float = 0.0) -> Task:
    """Parity (Bengio, Simard & Frasconi 1994): +1 if the number of positive inputs is odd, else -1.

    Inputs (time,) are ±1 at random, plus U[-jitter, jitter]; the last one makes the classes balance. Not nested: a
    prefix has another parity. The squared error against ±1 makes chance 1.
    """
    number("jitter", jitter, 0)

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
    number("evidence", evidence, 1)
    number("noise", noise, 0)

    def sample(key: Key[Array, ""], length: int, index: Index) -> Episode:
        shown = jnp.arange(length) < evidence
        return Episode(x=jnp.where(shown, sign(index), gaussian(key, length, noise)), target=sign(index))

    return Task(sample, classes=2, chance=1.0)

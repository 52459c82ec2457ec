"""The sequences of Hochreiter & Schmidhuber (1997), experiments 2 and 3: which of two beginnings was it, long ago?"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from landscape.losses import cross_entropy
from landscape.tasks.base import Episode, Index, Length, Task, by_time, gaussian, named, number, own_end, sign, whole

GOES_ON = 0.9  # how likely one more distractor stands before the trigger


@named
def lag_1997(symbols: int = 100, regular: bool = True) -> Task:
    """``y a_1 ... a_p-1 y`` or ``x a_1 ... a_p-1 x``: foretell every next symbol (HS97, exp. 2a; 2b if not regular).

    x (time,) are symbols: a_1 is 0, x is ``symbols`` - 1 = p - 1, y is p. All are read but the last, which is asked and
    is the first; x stands for even indices. Not ``regular``, each a is drawn at random from all p - 1 of them, and the
    last symbol is the only one that can be known. A regular episode has at most p steps. ``chance``, ``memoryless``
    (who has forgotten the first symbol) and ``floor`` are those of episodes of p steps, nats a step.
    """
    p = whole("symbols", symbols)
    if p < 2:
        raise ValueError(f"symbols must be 2 or more; given {symbols}")

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t, mark = jnp.arange(1 + (length if time is None else time)), p - 1 + jnp.asarray(index) % 2
        middle = t - 1 if regular else by_time(lambda k: jax.random.randint(k, (), 0, p - 1), key, len(t))
        text = jnp.where((t == 0) | (t == length), mark, jnp.clip(middle, 0, p - 2))
        return Episode(x=text[:-1], target=text[1:], mask=(t[:-1] < length).astype(jnp.float32))

    one, drawn = math.log(2) / p, 0.0 if regular else (1 - 1 / p) * math.log(p - 1)
    return Task(
        sample, cross_entropy, classes=2, nested=False, chance=math.log(p) + one, memoryless=drawn + one, floor=drawn
    )


@named
def trigger_1997(symbols: int = 50, delay: int = 50) -> Task:
    """``b x a a ... a e``, then x again; or y: foretell the symbol after the trigger e (HS97, exp. 2c).

    x (time,) are symbols: ``symbols`` distractors a, then e, b, x, y. Of a there are ``delay`` and with probability .9
    always one more, each drawn at random, as long as an episode has room; asked is its last step, that of e. Even
    indices are of class 0, x. Lengths from ``delay`` + 3 up; the mean is ``delay`` + 12. Chance is ln 2.
    """
    p, q = whole("symbols", symbols), whole("delay", delay)
    if p < 1 or q < 0:
        raise ValueError(f"there must be 1 distractor or more, and a delay of 0 or more; given {symbols}, {delay}")

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t, (ends, what) = jnp.arange(length if time is None else time), jax.random.split(key)
        room = 1 - GOES_ON ** (jnp.asarray(length, jnp.int32) - q - 2).astype(jnp.float32)
        further = jnp.log1p(-room * jax.random.uniform(ends)) / math.log(GOES_ON)
        last = jnp.minimum(q + 2 + further.astype(jnp.int32), length - 1)
        symbol = by_time(lambda k: jax.random.randint(k, (), 0, p), what, len(t))
        symbol = jnp.where(t == 0, p + 1, jnp.where(t == 1, p + 2 + jnp.asarray(index) % 2, symbol))
        asked = t == last
        target = jnp.where(asked, jnp.asarray(index) % 2, 0)
        return Episode(x=jnp.where(t >= last, p, symbol), target=target, mask=asked.astype(jnp.float32))

    return Task(sample, cross_entropy, classes=2, nested=False, chance=math.log(2))


@named
def beginning_1997(evidence: int = 3, shown: float = 0.0, blur: float = 0.0) -> Task:
    """The two-sequence problem in its 1997 form (HS97, exp. 3a): ``evidence`` times 1 or -1, then noise: which was it?

    Inputs (time,): noise has variance .2. An episode of ``length`` steps ends by itself after 10/11 of them (T) or
    more; its last step is asked, 1 for class 0 and 0 for class 1. ``shown``: the variance of noise on the evidence
    itself (.2 in 3b), which even who remembers all is then misled by. ``blur``: the variance of noise on the target,
    which is then .2 or .8 (.1 in 3c). Chance is the variance of the target; ``floor`` is the least squared error.
    """
    n = whole("evidence", evidence)
    number("evidence", evidence, 1)
    number("shown", shown, 0)
    number("blur", blur, 0)
    half = 0.3 if blur > 0 else 0.5

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t, (ends, noise, blurred) = jnp.arange(length if time is None else time), jax.random.split(key, 3)
        last, drawn = own_end(ends, length), gaussian(noise, len(t), 1.0)
        x = jnp.where(t < n, sign(index) + math.sqrt(shown) * drawn, math.sqrt(0.2) * drawn)
        goal = 0.5 + half * sign(index) + math.sqrt(blur) * jax.random.normal(blurred)
        return Episode(
            x=jnp.where(t <= last, x, 0), target=jnp.where(t == last, goal, 0), mask=(t == last).astype(x.dtype)
        )

    least = blur + (2 * half) ** 2 * doubt(n, shown)
    return Task(sample, classes=2, nested=False, chance=half**2 + blur, floor=least)


@functools.cache
def doubt(evidence: int, variance: float) -> float:
    """``E[p (1 - p)]`` with p the probability of a sign after so many sightings of it under noise of a variance.

    The sum of the sightings is N(± evidence, evidence variance), and p = logistic(2 sum / variance): integrated over
    the sum.
    """
    if variance == 0:
        return 0.0
    z = np.linspace(-12, 12, 4801)
    total = evidence + math.sqrt(evidence * variance) * z
    odds = np.exp(-np.abs(2 * total / variance))  # p (1 - p) is even in the sum
    return float(np.sum(np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * odds / (1 + odds) ** 2) * (z[1] - z[0]))

"""Strings of characters to be foretold: sums among letters, tags that must be closed, symbols that must be repeated."""

import collections
import math
import string

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from landscape.losses import cross_entropy
from landscape.tasks.base import Episode, Index, Length, Task, by_time, named, whole

ARITHMETIC = string.ascii_lowercase + string.digits + "+-=."
XML = string.ascii_lowercase + "</>"
ZERO, PLUS, EQUALS, STOP = (ARITHMETIC.index(c) for c in "0+=.")
OPEN, SLASH, CLOSE = (XML.index(c) for c in "</>")
NAME = (2, 10)  # letters of a tag's name, at least and at most


def _uniform(key: Key[Array, ""], low: int, high: int) -> Int[Array, ""]:
    """A whole number, low <= k < high."""
    return jax.random.randint(key, (), low, high, dtype=jnp.int32)


def _digit(value: Int[Array, ""], places: Int[Array, ""], place: Int[Array, "place"]) -> Int[Array, "place"]:
    """The symbols of the digits of a number that has so many ``places``, the foremost at place 0."""
    powers = 10 ** np.arange(9, dtype=np.int32)
    return ZERO + value // jnp.asarray(powers)[jnp.clip(places - 1 - place, 0, 8)] % 10


def _places(value: Int[Array, ""]) -> Int[Array, ""]:
    """How many digits a number has, 1 for 0."""
    return 1 + jnp.sum(value >= jnp.asarray(10 ** np.arange(1, 9, dtype=np.int32)), dtype=jnp.int32)


def _answers(digits: int) -> dict[str, float]:
    """How likely each answer is, with its full stop: sums and differences of two numbers below ``10**digits``."""
    top = 10**digits
    counts = collections.Counter({total: min(total + 1, 2 * top - 1 - total) for total in range(2 * top - 1)})
    counts.update({gap: top - abs(gap) for gap in range(1 - top, top)})
    return {f"{value}.": count / (2 * top * top) for value, count in counts.items()}


def _forgetful(law: dict[str, float]) -> float:
    """Nats a character, as means over strings, of who knows how likely strings are and what they began with."""
    begun: dict[tuple[str, str], float] = collections.defaultdict(float)
    for text, weight in law.items():
        for k, letter in enumerate(text):
            begun[text[:k], letter] += weight / len(text)
    whole: dict[str, float] = collections.defaultdict(float)
    for (before, _), weight in begun.items():
        whole[before] += weight
    return -sum(weight * math.log(weight / whole[before]) for (before, _), weight in begun.items())


def _blind(law: dict[str, float]) -> float:
    """Nats a character, as means over strings, of who gives the same answer at every place."""
    share: dict[str, float] = collections.defaultdict(float)
    for text, weight in law.items():
        for letter in text:
            share[letter] += weight / len(text)
    return -sum(weight * math.log(weight) for weight in share.values())


@named
def arithmetic(digits: int = 3) -> Task:
    """Sums among letters (Jozefowicz, Zaremba & Sutskever 2015): ``3e36d9-h1h39f94eeh43keg3c=`` asks ``-13991064.``.

    x (time,) are symbols of `ARITHMETIC`: two numbers of 1 to ``digits`` digits, at most 4, below ``10**digits`` and
    uniform, plus or minus between them, an equals sign; the answer, read as it is foretold, and a full stop. Letters at
    random stand among them and fill what an episode has to spare, so that a longer one must remember for longer;
    lengths from ``3 * digits + 3`` up. Asked are the characters of the answer and its full stop. ``memoryless`` has
    forgotten the question and knows what the answer began with.
    """
    if not 1 <= whole("digits", digits) <= 4:
        raise ValueError(f"digits must be 1 to 4; given {digits}")

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(1 + (length if time is None else time))
        keys = jax.random.split(key, 5)
        one, two = (_uniform(k, 0, 10**digits) for k in keys[:2])
        minus, (first, second) = _uniform(keys[2], 0, 2), (_places(one), _places(two))
        equals = length - digits - 2  # its place: after it there is room for a sign, digits + 1 digits, a full stop
        rank = by_time(jax.random.uniform, keys[3], len(t))
        count = first + 1 + second
        chosen = (t < equals) & (_rank(jnp.where(t < equals, rank, 2)) < count)  # where the question has its symbols
        nth = jnp.cumsum(chosen) - 1
        question = jnp.where(nth < first, _digit(one, first, nth), _digit(two, second, nth - first - 1))
        question = jnp.where(nth == first, PLUS + minus, question)
        letters = by_time(lambda k: _uniform(k, 0, 26), keys[4], len(t))
        total = jnp.where(minus == 1, one - two, one + two)
        below, size = (total < 0).astype(jnp.int32), _places(jnp.abs(total))
        place = t - equals - 1
        answer = jnp.where(place < below, PLUS + 1, _digit(jnp.abs(total), size, place - below))
        answer = jnp.where(place >= below + size, STOP, answer)
        text = jnp.where(t < equals, jnp.where(chosen, question, letters), jnp.where(t == equals, EQUALS, answer))
        asked = (place >= -1) & (place < below + size)
        return Episode(x=text[:-1], target=text[1:], mask=asked[:-1].astype(jnp.float32))

    law = _answers(digits)
    return Task(sample, cross_entropy, nested=False, chance=_blind(law), memoryless=_forgetful(law))


def _rank(values: Float[Array, "time"]) -> Int[Array, "time"]:
    """How many values are smaller."""
    return jnp.argsort(jnp.argsort(values))


@named
def xml(limit: int = 50) -> Task:
    """Tags that must be closed (Jozefowicz, Zaremba & Sutskever 2015): ``<ab><cde></cde></ab><fg>``, foretold.

    x (time,) are symbols of `XML`. A name is 2 to 10 letters at random. While a tag is open, the next one closes the
    innermost half of the time, and always once the document has ``limit`` characters; when none is open a new document
    begins. All next characters are asked. Chance is that of long episodes, where as many tags are closed as opened; who
    forgets names pays ``(ln 9 + 6 ln 26) / 17``, 1.28 nats a character, more than who remembers them.
    """
    if whole("limit", limit) < 1:
        raise ValueError(f"limit must be a whole number of characters, 1 or more; given {limit}")
    deep = limit // (NAME[0] + 2) + 2

    def sample(key: Key[Array, ""], length: int, index: Index) -> Episode:
        def step(carry: tuple, t: Int[Array, ""]) -> tuple:
            names, sizes, depth, place, closing, count = carry
            keys = jax.random.split(jax.random.fold_in(key, t), 3)
            new, coin = place == 0, jax.random.bernoulli(keys[0])
            closing = jnp.where(new, (depth > 0) & (coin | (count >= limit)), closing)
            opened = new & ~closing
            fresh = jax.random.randint(keys[1], (NAME[1],), 0, 26, dtype=jnp.int32)
            names = jnp.where(opened, names.at[depth].set(fresh), names)
            sizes = jnp.where(opened, sizes.at[depth].set(_uniform(keys[2], NAME[0], NAME[1] + 1)), sizes)
            depth = depth + opened.astype(jnp.int32)
            size, letter = sizes[depth - 1], place - 1 - closing.astype(jnp.int32)
            inside = jnp.where(letter < 0, SLASH, names[depth - 1, jnp.clip(letter, 0, NAME[1] - 1)])
            symbol = jnp.where(new, OPEN, jnp.where(letter >= size, CLOSE, inside))
            last = letter >= size
            depth = depth - (last & closing).astype(jnp.int32)
            count = jnp.where(last & (depth == 0), 0, count + 1)
            return (names, sizes, depth, jnp.where(last, 0, place + 1), closing, count), symbol

        zero = jnp.int32(0)
        begun = (jnp.zeros((deep, NAME[1]), jnp.int32), jnp.zeros(deep, jnp.int32), zero, zero, jnp.array(False), zero)
        text: jax.Array = jax.lax.scan(step, begun, jnp.arange(length + 1))[1]
        return Episode(x=text[:-1], target=text[1:], mask=jnp.ones(length))

    mean = sum(NAME) / 2
    counts = np.array([2 * mean / 26] * 26 + [2, 1, 2])  # of a pair of tags
    law = counts / counts.sum()
    return Task(sample, cross_entropy, chance=float(-np.sum(law * np.log(law))))


@named
def memorise(count: int = 5, symbols: int = 26) -> Task:
    """Memorise ``count`` of so many ``symbols`` and repeat them at the end (Jozefowicz et al. 2015, their filter).

    x (time,): the symbols, then silence, the symbol 26, until the symbol 27 says go, ``count`` steps before the end;
    from there on they are asked for in their order. Lengths from ``2 * count`` up. Chance is ln 26.
    """
    for name, value in {"count": count, "symbols": symbols}.items():
        if whole(name, value) < 1:
            raise ValueError(f"{name} must be 1 or more; given {value}")

    def sample(key: Key[Array, ""], length: Length, index: Index, time: int | None = None) -> Episode:
        t = jnp.arange(length if time is None else time)
        drawn = by_time(lambda k: _uniform(k, 0, symbols), key, count)
        go = length - count
        x = jnp.where(t == go, symbols + 1, symbols)
        x = jnp.where(t < count, drawn[jnp.minimum(t, count - 1)], x)
        asked = (t >= go) & (t < length)
        return Episode(x=x, target=drawn[jnp.clip(t - go, 0, count - 1)], mask=asked.astype(jnp.float32))

    return Task(sample, cross_entropy, nested=False, chance=math.log(symbols))

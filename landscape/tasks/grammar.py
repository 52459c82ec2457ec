"""Embedded Reber grammar: strings of seven symbols whose last but one must be remembered from the second.

A string is B, T or P, a string of the inner grammar from B to E, the same T or P again, E. The inner grammar is a graph
of five states with two arcs each, both taken half of the time. Strings of at most ``longest`` symbols are drawn from
exactly the law of the grammar given that they are no longer: an arc is as likely as its ends are reached in time.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from landscape.losses import cross_entropy
from landscape.tasks.base import Episode, Index, Task, named, whole

SYMBOLS = "BTPSXVE"
OUTER = len(SYMBOLS)  # stands in `LETTER` for the symbol, T or P, that this string remembers

# From node k a symbol LETTER[k, arc] leads to node NEXT[k, arc]; where there is no choice both arcs are one.
# 0 B, 1 the outer symbol, 2 B, 3 to 7 the states of the inner grammar, 8 E, 9 the outer symbol again, 10 E, 11 the end.
FIRST, INNER, AGAIN, END, SHORTEST = 1, slice(3, 8), 9, 11, 9
NEXT = np.array([(1, 1), (2, 2), (3, 3), (4, 5), (4, 6), (5, 7), (5, 8), (6, 8), (9, 9), (10, 10), (11, 11), (11, 11)])
_NAMES = ["BB", "oo", "BB", "TP", "SX", "TV", "XS", "PV", "EE", "oo", "EE", "EE"]
LETTER = np.array([[(SYMBOLS + "o").index(letter) for letter in pair] for pair in _NAMES])


class Losses(NamedTuple):
    """Nats a step of who knows all, of who forgets the outer symbol, and of who gives one answer at every step."""

    known: float
    forgotten: float
    blind: float


def each_string(steps: int) -> float:
    """The weight of a string whose loss is a mean over its steps, as in training and on surfaces."""
    return 1.0


def each_step(steps: int) -> float:
    """The weight of a string when all steps of all strings count alike."""
    return float(steps)


def _ahead(longest: int, weigh: Callable[[int], float]) -> Float[np.ndarray, "time node"]:
    """From a node before symbol t: ``sum over ways to the end by longest of P(way) weigh(steps)``, steps from t - 1."""
    table = np.zeros((longest + 1, len(NEXT)))
    table[:, END] = [weigh(max(t - 1, 1)) for t in range(longest + 1)]
    for t in reversed(range(longest)):
        table[t, :END] = table[t + 1][NEXT[:END]].mean(1)
    return table


def _taken(longest: int, weigh: Callable[[int], float]) -> Float[np.ndarray, "time node arc"]:
    """How often symbol t is drawn on each arc, in strings weighted by ``weigh(steps)``, times a constant."""
    ahead, at, taken = _ahead(longest, weigh), np.eye(len(NEXT))[0], []
    for t in range(longest):
        taken.append(at[:, None] / 2 * ahead[t + 1][NEXT])
        at = np.bincount(NEXT.ravel(), np.repeat(at / 2, 2), len(NEXT))
        at[END] = 0
    return np.array(taken)


def _steps(longest: int, weigh: Callable[[int], float]) -> Float[np.ndarray, "time node arc"]:
    """The share of each arc in all that is asked, the first symbol excepted; the shares sum to 1."""
    asked = _taken(longest, lambda steps: weigh(steps) / steps)[1:]
    return asked / asked.sum()


def losses(longest: int = 21, weigh: Callable[[int], float] = each_string) -> Losses:
    """The least losses of next symbols, exactly, by the graph: no string is drawn."""
    share = _steps(longest, weigh)
    inner, letters = share[:, INNER], np.bincount(LETTER.ravel(), share.sum(0).ravel(), len(SYMBOLS) + 1)
    law = letters[:OUTER] + letters[OUTER] / 2 * np.isin(np.arange(OUTER), [1, 2])
    known = math.log(2) * float(share[:, FIRST].sum()) + _entropy(inner, inner.sum(2, keepdims=True))
    return Losses(known, known + math.log(2) * float(share[:, AGAIN].sum()), _entropy(law, law.sum()))


def halves(longest: int = 21) -> tuple[float, float]:
    """`losses` (known, forgotten) over all steps alike, of who holds both arcs for equally likely, as counts do.

    At most 21 symbols: .434 and .499.
    """
    share = _steps(longest, each_step)
    known = float(share[:, INNER].sum() + share[:, FIRST].sum())
    return math.log(2) * known, math.log(2) * (known + float(share[:, AGAIN].sum()))


def _entropy(part: np.ndarray, whole: np.ndarray | float) -> float:
    """``-sum part ln(part / whole)``, 0 where a part is 0."""
    return float(-np.sum(part * np.log(np.where(part > 0, part, 1) / np.where(part > 0, whole, 1))))


def allowed(string: Int[np.ndarray, "time"]) -> Bool[np.ndarray, "time symbol"]:
    """Which symbols may follow each symbol of a string. Raises ValueError, with the place, where it leaves the grammar.

    >>> ["".join(np.array(list(SYMBOLS))[row]) for row in allowed([SYMBOLS.index(s) for s in "BTBPVVETE"])]
    ['TP', 'B', 'TP', 'TV', 'PV', 'E', 'T', 'E', '']
    """
    node, outer, rows = 0, -1, []
    for t, symbol in enumerate(np.asarray(string).tolist()):
        arc = next((a for a in range(2) if symbol in _letters(node, outer, a)), None)
        if arc is None:
            raise ValueError(f"no string of the grammar goes on with {SYMBOLS[symbol]!r} at place {t}")
        outer, node = symbol if node == FIRST else outer, int(NEXT[node, arc])
        rows.append(np.isin(np.arange(OUTER), [letter for a in range(2) for letter in _letters(node, outer, a)]))
    return np.array(rows)


def _letters(node: int, outer: int, arc: int) -> list[int]:
    """The symbols that an arc may have: T and P until the outer one is known, none at the end."""
    letter = int(LETTER[node, arc])
    if node == END or letter != OUTER:
        return [] if node == END else [letter]
    return [1, 2] if node == FIRST else [outer]


@named
def reber(longest: int = 21) -> Task:
    """Embedded Reber grammar (Hochreiter & Schmidhuber 1997, exp. 1): foretell every next symbol of a string.

    x (time,) are symbols of `SYMBOLS`, target the next ones, to be answered by seven logits; what lies after the end
    weighs nothing. Strings have at most ``longest`` symbols, 9 or more: longer ones are not drawn. The outer symbol is
    T for even indices, P for odd ones. ``memoryless`` knows the grammar and forgets the outer symbol. All three losses
    are those of episodes of ``longest - 1`` steps or more, means over strings; of all steps alike see `losses`.
    """
    if whole("longest", longest) < SHORTEST:
        raise ValueError(f"no string has fewer than {SHORTEST} symbols; given longest={longest}")
    ahead = _ahead(longest, lambda steps: 1.0)
    second = np.where(ahead[:-1] > 0, ahead[1:, NEXT[:, 1]] / 2 / np.where(ahead[:-1] > 0, ahead[:-1], 1), 0)

    def sample(key: Key[Array, ""], length: int, index: Index) -> Episode:
        outer = 1 + jnp.asarray(index) % 2

        def step(node: Int[Array, ""], t: Int[Array, ""]) -> tuple:
            chance = jnp.asarray(second, jnp.float32)[jnp.minimum(t, longest - 1), node]
            arc = jnp.where(jax.random.uniform(jax.random.fold_in(key, t), dtype=jnp.float32) < chance, 1, 0)
            letter = jnp.asarray(LETTER, jnp.int32)[node, arc]
            return jnp.asarray(NEXT, jnp.int32)[node, arc], (jnp.where(letter == OUTER, outer, letter), node != END)

        drawn: tuple[jax.Array, jax.Array] = jax.lax.scan(step, jnp.int32(0), jnp.arange(length + 1))[1]
        symbols, inside = drawn
        return Episode(x=symbols[:-1], target=symbols[1:], mask=inside[1:].astype(jnp.float32))

    least = losses(longest)
    return Task(sample, cross_entropy, classes=2, chance=least.blind, memoryless=least.forgotten, floor=least.known)

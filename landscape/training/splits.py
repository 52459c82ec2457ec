"""Which episodes are trained on, which are validated and tested on, and in which order they come."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree

#: Indices to train on and to validate on, and if there is a third part to test on: disjoint, and together all.
Parts = tuple[Int[Array, "part"], ...]
Split = Callable[[Key[Array, ""], PyTree], Parts]

PACKED = 2**14  # episodes whose index leaves 18 bits of an integer to chance


def last(fraction: float = 0.2, test: float = 0.0) -> Split:
    """Validate on the last episodes, as Keras does before it shuffles; balanced where classes alternate.

    With ``test`` the very last are a third part of that share, those before them are validated on.
    """

    def split(key: Key[Array, ""], targets: PyTree) -> Parts:
        return _cut(jnp.arange(_count(targets)), fraction, test)

    return split


def last_by_class(fraction: float = 0.2) -> Split:
    """`last` of episodes sorted from the largest target to the smallest: the error of the published experiment.

    Half of the labels being +1 and half -1, the last fifth holds -1 only (stats.SE 340898).
    """

    def split(key: Key[Array, ""], targets: PyTree) -> Parts:
        if jnp.ndim(targets) != 1:
            raise ValueError("last_by_class sorts episodes by one target each; take last or at_random for others")
        return _cut(jnp.argsort(targets, descending=True), fraction)

    return split


def at_random(fraction: float = 0.2, test: float = 0.0) -> Split:
    """Validate on episodes chosen at random, others in each run; with ``test`` a share of them is a third part."""

    def split(key: Key[Array, ""], targets: PyTree) -> Parts:
        return _cut(permutation(key, _count(targets)), fraction, test)

    return split


def _count(targets: PyTree) -> int:
    """Number of episodes: the leading axis of every leaf."""
    return len(jax.tree.leaves(targets)[0])


def _cut(order: Int[Array, "episode"], fraction: float, test: float = 0.0) -> Parts:
    """``order`` in two parts or, with ``test``, three: shares of the whole, to the nearest episode."""
    tested = round(len(order) * test)
    kept = len(order) - round(len(order) * fraction) - tested
    if kept < 0 or tested < 0:
        raise ValueError(f"shares to validate and to test on are 0 to 1 together, given {fraction} and {test}")
    if not test:
        return order[:kept], order[kept:]
    return order[:kept], order[kept : len(order) - tested], order[len(order) - tested :]


def permutation(key: Key[Array, ""], count: int) -> Int[Array, "episode"]:
    """``0 .. count - 1`` in random order.

    Up to `PACKED` by one sort of random integers whose low bits are the index, nine times faster on a CPU than
    `jax.random.permutation`; of the pairs, one in 2**18 keeps its order where chance would swap half of them.
    """
    if count > PACKED:
        return jax.random.permutation(key, count)
    low = jnp.uint32(PACKED - 1)
    packed = (jax.random.bits(key, (count,)) & ~low) | jnp.arange(count, dtype=jnp.uint32)
    return (jnp.sort(packed) & low).astype(jnp.int32)

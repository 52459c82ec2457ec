"""Which episodes are trained on, which are validated on, and in which order they come."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree

Parts = tuple[Int[Array, "train"], Int[Array, "validation"]]  # indices to train on, and to validate on
Split = Callable[[Key[Array, ""], PyTree], Parts]

PACKED = 2**14  # episodes whose index leaves 18 bits of an integer to chance


def last(fraction: float = 0.2) -> Split:
    """Validate on the last episodes, as Keras does before it shuffles; balanced where classes alternate."""

    def split(key: Key[Array, ""], targets: PyTree) -> Parts:
        return _cut(jnp.arange(_count(targets)), fraction)

    return split


def last_by_class(fraction: float = 0.2) -> Split:
    """`last` of episodes sorted from the largest target to the smallest: the error of the published experiment.

    Half of the labels being +1 and half -1, the last fifth holds -1 only (stats.SE 340898).
    """

    def split(key: Key[Array, ""], targets: PyTree) -> Parts:
        return _cut(jnp.argsort(targets, descending=True), fraction)

    return split


def at_random(fraction: float = 0.2) -> Split:
    """Validate on episodes chosen at random, others in each run."""

    def split(key: Key[Array, ""], targets: PyTree) -> Parts:
        return _cut(permutation(key, _count(targets)), fraction)

    return split


def _count(targets: PyTree) -> int:
    """Number of episodes: the leading axis of every leaf."""
    return len(jax.tree.leaves(targets)[0])


def _cut(order: Int[Array, "episode"], fraction: float) -> Parts:
    kept = len(order) - round(len(order) * fraction)
    return order[:kept], order[kept:]


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

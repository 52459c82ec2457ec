"""Models along episodes: what all views share."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from landscape.cells import Cell

BLOCK = 64  # episodes looked at together


def each(f: Callable, *along: PyTree) -> Any:
    """``f`` over episodes, block by block, as NumPy arrays."""
    count = len(jax.tree.leaves(along)[0])
    return jax.device_get(jax.jit(lambda *a: jax.lax.map(lambda one: f(*one), a, batch_size=min(BLOCK, count)))(*along))


def visited(cell: Cell, x: Array, start: float) -> PyTree:
    """States before every step, and the one after the last, (time + 1, ...)."""

    def step(state: PyTree, x: Array) -> tuple[PyTree, PyTree]:
        after = cell.step(state, x)
        return after, after

    begin = jax.tree.map(jnp.asarray, cell.initial(start))
    after = jax.lax.scan(step, begin, x)[1]
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), begin, after)

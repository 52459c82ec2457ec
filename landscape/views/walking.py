"""Models along episodes: what all views share."""

import functools
from collections.abc import Callable, Hashable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree, Real, Shaped

from landscape.cells import Cell

BLOCK = 64  # episodes looked at together


def each(f: Callable, choices: Hashable, model: PyTree, *along: PyTree) -> PyTree[Shaped[np.ndarray, "episode ..."]]:
    """``f(choices, model, *one)`` for every episode of ``along``, block by block, as NumPy arrays.

    One program serves all models of a kind and size, if ``f`` is a function of a module.
    """
    return jax.device_get(_each(f, choices, model, along))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _each(f: Callable, choices: Hashable, model: PyTree, along: PyTree) -> PyTree:
    count = len(jax.tree.leaves(along)[0])
    return jax.lax.map(lambda one: f(choices, model, *one), along, batch_size=min(BLOCK, count))


def visited(cell: Cell, x: Real[Array, "time *input"], start: Float[ArrayLike, "*unit"]) -> PyTree:
    """States before every step, and the one after the last, (time + 1, ...)."""

    def step(state: PyTree, x: Array) -> tuple[PyTree, PyTree]:
        after = cell.step(state, x)
        return after, after

    begin = jax.tree.map(jnp.asarray, cell.initial(start))
    after = jax.lax.scan(step, begin, x)[1]
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), begin, after)

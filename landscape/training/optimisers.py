"""Optimisers that optax lacks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, Int, PyTree


class KerasAdam(NamedTuple):
    """Updates made, and the running means of gradients and of their squares."""

    count: Int[Array, ""]  # type: ignore[assignment] # tuples have a method of that name
    mean: PyTree
    square: PyTree


def keras_adam(
    learning_rate: Float[ArrayLike, ""] = 1e-3, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-7
) -> optax.GradientTransformation:
    """Adam as in Keras 2.1.5: ``p -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)``.

    The epsilon stands outside the bias correction (Kingma & Ba 2015, end of sec. 2); `optax.adam` has it inside.
    """

    def init(params: PyTree) -> KerasAdam:
        zero = jax.tree.map(jnp.zeros_like, params)
        return KerasAdam(jnp.zeros((), jnp.int32), zero, zero)

    def update(gradient: PyTree, state: KerasAdam, params: PyTree | None = None) -> tuple[PyTree, KerasAdam]:
        del params
        count = state.count + 1
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mean, gradient)
        square = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.square, gradient)

        def step(m: Array, v: Array) -> ArrayLike:
            t = count.astype(m.dtype)
            rate = learning_rate * jnp.sqrt(1 - b2**t) / (1 - b1**t)
            return -rate * m / (jnp.sqrt(v) + eps)

        return jax.tree.map(step, mean, square), KerasAdam(count, mean, square)

    return optax.flatten(optax.GradientTransformation(init, update))  # one array: a tenth of the operations

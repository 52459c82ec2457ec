"""Losses of one answer against one target."""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def squared_error(y: Any, target: Any) -> jax.Array:
    """``(y - target)²``, averaged over outputs if there are several."""
    return jnp.mean((y - target) ** 2)


def cross_entropy(logits: Any, label: Any) -> jax.Array:
    """``-log softmax(logits)[label]``; logits (output,), label an integer."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, label)


def binary_cross_entropy(logit: Any, label: Any) -> jax.Array:
    """``-log P(label)`` with P(1) = logistic(logit); label 0 or 1."""
    return optax.sigmoid_binary_cross_entropy(logit, label)

"""Losses of one answer against one target."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Shaped

from landscape import activations

Answer = Float[Array, "*output"]
Target = Shaped[Array, "*output"]


def squared_error(y: Answer, target: Target | float) -> Float[Array, ""]:
    """``(y - target)²``, averaged over outputs if there are several."""
    return jnp.mean((y - target) ** 2)


def cross_entropy(logits: Float[Array, "output"], label: Int[Array, ""]) -> Float[Array, ""]:
    """``-log softmax(logits)[label]``; logits (output,), label a whole number of any dtype."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(label, jnp.int32))


def binary_cross_entropy(logit: Float[Array, ""], label: Shaped[Array, ""]) -> Float[Array, ""]:
    """``-log P(label)`` with P(1) = logistic(logit); label 0 or 1."""
    return optax.sigmoid_binary_cross_entropy(logit, label)


class Objective(NamedTuple):
    """What training minimises, and when an answer counts as right: two functions of an answer and its target."""

    loss: Callable[[Answer, Target], Float[Array, ""]]
    correct: Callable[[Answer, Target], Bool[Array, ""]]


def positive(target: Shaped[Array, "*batch"]) -> Int[Array, "*batch"]:
    """The label of a sign: 1 for +1, 0 for -1."""
    return (target > 0).astype(jnp.int32)


#: Two logits against the sign of the target: Dense(2) + softmax, as published for latching.
softmax = Objective(
    loss=lambda logits, target: cross_entropy(logits, positive(target)),
    correct=lambda logits, target: jnp.argmax(logits) == positive(target),
)

#: One logit against the sign of the target: Dense(1) + sigmoid.
sigmoid = Objective(
    loss=lambda logit, target: binary_cross_entropy(logit, (target > 0).astype(logit.dtype)),
    correct=lambda logit, target: (logit > 0) == (target > 0),
)

#: The squared error of a probability, logistic(logit) against 0 or 1 (the second protocol of stats.SE 340898).
probability = Objective(
    loss=lambda logit, target: squared_error(activations.sigmoid(logit), (target > 0).astype(logit.dtype)),
    correct=sigmoid.correct,
)

#: The answer itself against the target, right if its sign is.
raw = Objective(loss=squared_error, correct=lambda y, target: (y > 0) == (target > 0))

#: Logits against a class number, for any number of classes.
classes = Objective(loss=cross_entropy, correct=lambda logits, label: jnp.argmax(logits) == label)


def within(tolerance: float) -> Objective:
    """Squared error of a number, right if it is nearer than ``tolerance`` (0.04 in Hochreiter & Schmidhuber 1997)."""
    return Objective(loss=squared_error, correct=lambda y, target: jnp.abs(y - target) < tolerance)


def blind_scaled(blind: float) -> Objective:
    """The cross entropy of a bit with the part that does not see the labels (`signal_and_blind`) times ``blind``."""

    def loss(logits: Float[Array, "2"], target: Target) -> Float[Array, ""]:
        z = logits[1] - logits[0]
        return -jnp.sign(target) * z / 2 + blind * (jax.nn.softplus(z) - z / 2)

    return Objective(loss, softmax.correct)

"""Losses of one answer against one target.

A loss of labels is written in differences of logits, so that a confident right answer keeps its loss and its gradient:
``p - 1`` of a probability p close to 1 would round to 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from landscape import activations

Answer = Float[Array, "*output"]
Target = Shaped[Array, "*output"]
NARROWEST = 1e-3  # deviation of a Gaussian: a frame that repeats itself exactly would have an infinite density


def squared_error(y: Answer, target: Target | float) -> Float[Array, ""]:
    """``(y - target)²``, averaged over outputs if there are several."""
    return jnp.mean((y - target) ** 2)


@jax.custom_jvp
def _softmax(logits: Float[Array, "output"]) -> Float[Array, "output"]:
    return jax.nn.softmax(logits)


@_softmax.defjvp
def _softmax_moved(logits: tuple, moves: tuple) -> tuple:  # no 1 - p_i, but the sum of the others, both ways
    p, (move,) = _softmax(*logits), moves
    others = jnp.where(jnp.eye(len(p), dtype=bool), 0, p[None, :])
    return p, p * jnp.sum(others * (move[:, None] - move[None, :]), -1)


def cross_entropy(logits: Float[Array, "output"], label: Shaped[Array, ""]) -> Float[Array, ""]:
    """``-log softmax(logits)[label] = log(1 + sum_j exp(logits_j - logits_label))``, j not the label.

    Logits (output,), label a whole number of any dtype; NaN for one that no output stands for. Its derivatives are
    those of ``sum_j p_j d(logits_j - logits_label)``. Raises ValueError for more labels than one, such as one-hot.
    """
    if jnp.size(label) != 1:
        raise ValueError(f"a label is one whole number, given {jnp.shape(label)}; argmax makes it of one-hot targets")
    return _cross_entropy(logits, jnp.asarray(label, jnp.int32).reshape(()))


@jax.custom_jvp
def _cross_entropy(logits: Float[Array, "output"], label: Int[Array, ""]) -> Float[Array, ""]:
    others = jnp.where(jnp.arange(len(logits), dtype=label.dtype) == label, -jnp.inf, logits - logits[label])
    known = (label >= 0) & (label < len(logits))
    return jnp.where(known, jax.nn.softplus(jax.nn.logsumexp(others)), jnp.nan)


@_cross_entropy.defjvp
def _cross_entropy_moved(at: tuple, moves: tuple) -> tuple:
    (logits, label), (move, _) = at, moves
    others = jnp.where(jnp.arange(len(logits), dtype=label.dtype) == label, 0, _softmax(logits))
    return _cross_entropy(*at), jnp.sum(others * (move - move[label]))


def binary_cross_entropy(logit: Float[Array, ""], label: Shaped[Array, ""]) -> Float[Array, ""]:
    """``-log P(label) = log(1 + exp(±logit))`` with P(1) = logistic(logit), + for label 0; label 0 or 1."""
    return activations.softplus((1 - 2 * label) * logit)


class Objective(NamedTuple):
    """What training minimises, and when an answer counts as right: two functions of an answer and its target.

    ``target``: the shape of one target, where it is neither a number nor shaped as the answer is.
    """

    loss: Callable[[Answer, Target], Float[Array, ""]]
    correct: Callable[[Answer, Target], Bool[Array, ""]]
    target: tuple[int, ...] | None = None


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
    loss=lambda logit, target: activations.sigmoid(jnp.where(target > 0, -logit, logit)) ** 2,
    correct=sigmoid.correct,
)

#: The answer itself against the target, right if its sign is.
raw = Objective(loss=squared_error, correct=lambda y, target: (y > 0) == (target > 0))

#: Logits against a class number, for any number of classes.
classes = Objective(loss=cross_entropy, correct=lambda logits, label: jnp.argmax(logits) == label)


#: A logit a key against 0 or 1 (key,): Bernoulli losses summed over keys, right if every key is (Chung et al. 2014).
keys = Objective(
    loss=lambda logits, held: jnp.sum(binary_cross_entropy(logits, held)),
    correct=lambda logits, held: jnp.all((logits > 0) == (held > 0)),
)


def mixture(parts: int, samples: int) -> Objective:
    """``-log sum_k a_k prod_d N(x_d; m_kd, s_kd²)`` of a frame x (samples,) under ``parts`` Gaussians.

    As Chung et al. (2014) have it. The answer (parts * (1 + 2 * samples),) holds logits, then means, then logarithms of
    deviations: a = softmax, s = `NARROWEST` + exp. Right if the mean of the mixture is nearer to the frame than
    silence, 0. Raises ValueError for sizes below 1, and for an answer of another size.
    """
    if parts < 1 or samples < 1:
        raise ValueError(f"a mixture needs 1 part or more of frames of 1 sample or more, given {parts} and {samples}")

    def parted(answer: Answer) -> tuple[Array, Array, Array]:
        if answer.shape != (parts * (1 + 2 * samples),):
            raise ValueError(
                f"{parts} Gaussians of {samples} samples are told by {parts * (1 + 2 * samples)} numbers, given "
                f"{answer.shape}; make the model by begin(..., outputs={parts * (1 + 2 * samples)})"
            )
        means, spread = answer[parts:].reshape(2, parts, samples)
        return jax.nn.log_softmax(answer[:parts]), means, NARROWEST + jnp.exp(spread)

    def loss(answer: Answer, frame: Target) -> Float[Array, ""]:
        weights, means, deviations = parted(answer)
        each = jax.scipy.stats.norm.logpdf(frame[None], means, deviations)
        return -jax.nn.logsumexp(weights + jnp.sum(each, 1))

    def correct(answer: Answer, frame: Target) -> Bool[Array, ""]:
        weights, means, _ = parted(answer)
        mean = jnp.sum(jnp.exp(weights)[:, None] * means, 0)
        return jnp.sum((mean - frame) ** 2) < jnp.sum(frame**2)

    return Objective(loss, correct, (samples,))


def within(tolerance: float) -> Objective:
    """Squared error of a number, right if it is nearer than ``tolerance`` (0.04 in Hochreiter & Schmidhuber 1997)."""
    return Objective(loss=squared_error, correct=lambda y, target: jnp.abs(y - target) < tolerance)


def at_every_step(objective: Objective) -> Objective:
    """Answers (time, ...) against targets (time, ...): the mean loss over steps, right if all of them are.

    For `landscape.Risk` of a model that answers at every step; training and tasks have a mask for it instead.
    """
    return Objective(
        loss=lambda y, target: jnp.mean(jax.vmap(objective.loss)(y, target)),
        correct=lambda y, target: jnp.all(jax.vmap(objective.correct)(y, target)),
    )


def blind_scaled(blind: float) -> Objective:
    """The cross entropy of a bit with the part that does not see the labels (`signal_and_blind`) times ``blind``.

    ``-s z / 2 + blind (log(1 + exp(z)) - z / 2)`` for a sign s and z the difference of the logits, as a sum whose terms
    do not cancel: the part in brackets, even in z, is ``log(1 + exp(-s z)) + s z / 2``.
    """

    def loss(logits: Float[Array, "2"], target: Target) -> Float[Array, ""]:
        z = jnp.sign(target) * (logits[1] - logits[0])
        return blind * activations.softplus(-z) - (1 - blind) * z / 2

    return Objective(loss, softmax.correct)

"""What a minibatch scores, and what a route is that differentiates it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from landscape.losses import Objective

LANES = 64  # episodes scored together without gradient: with 32 runs their state stays in cache


class Score(NamedTuple):
    """Mean loss and share of right answers."""

    loss: Any
    accuracy: Any


class Route(NamedTuple):
    """``gradient(model, data, index, length) -> (Score, gradient)`` of episodes ``index`` (batch,); ``evaluate`` alone.

    ``data`` holds x (time, episode, ...) and target (episode, ...).
    """

    gradient: Callable
    evaluate: Callable


def scorer(objective: Objective) -> Callable:
    """``(readout, state, target) -> (loss, right)`` of one episode."""

    def score(readout: Any, state: Any, target: Any) -> tuple[Any, Any]:
        y = state.h if readout is None else readout(state.h)
        return objective.loss(y, target), objective.correct(y, target).astype(state.h.dtype)

    return score


def blockwise(score: Callable, index: Int[Array, "batch"]) -> Score:
    """The mean of ``score`` over blocks of ``index`` of equal size, at most `LANES`."""
    count = len(index)
    size = max(size for size in range(1, min(LANES, count) + 1) if count % size == 0)
    blocks = index.reshape(-1, size if 4 * size > min(LANES, count) else count)  # not one by one if count is prime
    return jax.tree.map(lambda leaf: jnp.mean(leaf, 0), jax.lax.map(score, blocks))

"""What a minibatch scores, and what a route is that differentiates it."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from landscape.losses import Objective
from landscape.tasks import Episode

LANES = 64  # episodes scored together without gradient: with 32 runs their state stays in cache


class Score(NamedTuple):
    """Mean loss and share of right answers."""

    loss: Float[Array, "*run"]
    accuracy: Float[Array, "*run"]


class Route(NamedTuple):
    """``gradient(model, data, index, length) -> (Score, gradient)`` of episodes ``index`` (batch,); ``evaluate`` alone.

    ``data`` holds x (time, episode, ...) and target (episode, ...), or with a mask, both with time in front.
    """

    gradient: Callable
    evaluate: Callable


def scorer(objective: Objective) -> Callable:
    """``(readout, state, target) -> (loss, right)`` of one episode."""

    def score(readout: PyTree, state: PyTree, target: PyTree) -> tuple[Float[Array, ""], Float[Array, ""]]:
        y = state.h if readout is None else readout(state.h)
        return objective.loss(y, target), objective.correct(y, target).astype(state.h.dtype)

    return score


def chosen(data: Episode, index: Int[Array, "batch"], length: Int[ArrayLike, ""]) -> Episode:
    """Episodes ``index`` of time-first data; a mask becomes the weight of each step among the first ``length``."""
    if data.mask is None:
        return Episode(x=data.x[:, index], target=jax.tree.map(lambda leaf: leaf[index], data.target))
    own = jax.tree.map(lambda leaf: leaf[:, index], data)
    used = jnp.where((jnp.arange(len(own.mask)) < length)[:, None], own.mask, 0)
    return dataclasses.replace(own, mask=used / jnp.sum(used, 0, keepdims=True))


def weighed(
    score: Callable, readout: PyTree, states: PyTree[Float[Array, "..."]], episodes: Episode
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Loss and share of right answers of a minibatch from its states after every step (time, batch, ...).

    ``episodes`` as `chosen` gives them: their weights sum to 1 over time.
    """
    loss, right = jax.vmap(jax.vmap(score, (None, 0, 0)), (None, 0, 0))(readout, states, episodes.target)
    mean = lambda each: jnp.mean(jnp.sum(jnp.where(episodes.mask > 0, episodes.mask * each, 0), 0))  # noqa: E731
    return mean(loss), mean(right)


def blockwise(score: Callable, index: Int[Array, "batch"]) -> Score:
    """The mean of ``score`` over blocks of ``index`` of equal size, at most `LANES`."""
    count = len(index)
    size = max(size for size in range(1, min(LANES, count) + 1) if count % size == 0)
    blocks = index.reshape(-1, size if 4 * size > min(LANES, count) else count)  # not one by one if count is prime
    return jax.tree.map(lambda leaf: jnp.mean(leaf, 0), jax.lax.map(score, blocks))

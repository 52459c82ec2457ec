"""One update of training: what it needs, what it leaves, and what it saw are three different things."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree


class State(NamedTuple):
    """What one update hands to the next: the model, the optimiser's own state, and the number of updates made.

    ``nonfinite`` is the first update whose gradient was not finite, -1 if there was none.
    """

    model: PyTree
    optimiser: PyTree
    step: Int[Array, "*run"]
    nonfinite: Int[Array, "*run"]


class Seen(NamedTuple):
    """What one update saw before it moved the model: what the gradient came with, and the norm of the gradient."""

    score: PyTree
    gradient_norm: Float[Array, "*run"]


class Step(NamedTuple):
    """``init(model) -> State`` and ``update(state, *data) -> (State, Seen)``: training is a scan of ``update``."""

    init: Callable[[PyTree], State]
    update: Callable[..., tuple[State, Seen]]


def step(gradient: Callable[..., tuple[PyTree, PyTree]], optimiser: optax.GradientTransformation) -> Step:
    """The updates of ``optimiser`` along ``gradient(model, *data) -> (score, slope)``. Pure; for one model."""

    def update(state: State, *data: PyTree) -> tuple[State, Seen]:
        score, slope = gradient(state.model, *data)
        state, norm = moved(optimiser, state, slope)
        return state, Seen(score, norm)

    return Step(lambda model: begun(optimiser, model), update)


def begun(optimiser: optax.GradientTransformation, model: PyTree) -> State:
    """The state before the first update."""
    zero = jnp.zeros((), jnp.int32)
    return State(model, optimiser.init(model), zero, zero - 1)


def moved(optimiser: optax.GradientTransformation, state: State, slope: PyTree) -> tuple[State, Float[Array, ""]]:
    """The state after an update by a gradient that is known, and the norm of that gradient."""
    norm = optax.tree.norm(slope)
    change, inner = optimiser.update(slope, state.optimiser, state.model)
    nonfinite = jnp.where((state.nonfinite < 0) & ~jnp.isfinite(norm), state.step, state.nonfinite)
    return State(optax.apply_updates(state.model, change), inner, state.step + 1, nonfinite), norm

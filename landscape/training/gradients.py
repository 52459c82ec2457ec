"""Scores of a minibatch and their gradients: forward in time for one unit, backward for layers, whole for two ways.

All compute ``length`` steps of arrays that may be longer; ``length`` may be traced, so one program serves all lengths.
"""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float, Int, PyTree

from landscape.cells import State
from landscape.losses import Objective
from landscape.models import RNN, TwoWay
from landscape.tasks import Episode
from landscape.training.backward import reverse
from landscape.training.scores import Route, Score, blockwise, chosen, scorer, weighed
from landscape.training.tangents import forward

__all__ = ["Route", "Score", "default", "forward", "one_unit", "reverse", "whole"]


def whole(objective: Objective, start: float = 0.0) -> Route:
    """The route of a `TwoWay` model: back-propagation from all answers of an episode to both ends of it."""
    score = scorer(objective)

    def scored(
        model: PyTree, data: Episode, index: Int[Array, "batch"], length: Int[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        own = chosen(data, index, length)
        h = jax.vmap(lambda x: model.cell.along(x, start, length), 1, 1)(own.x)
        return weighed(score, model.readout, State(h), own)

    def gradient(model: RNN, data: Episode, index: Int[Array, "batch"], length: Int[Array, ""]) -> tuple[Score, RNN]:
        found, slope = jax.value_and_grad(scored, has_aux=True)(model, data, index, length)
        return Score(*found), slope

    def evaluate(model: RNN, data: Episode, index: Int[Array, "batch"], length: Int[Array, ""]) -> Score:
        return blockwise(lambda some: Score(*scored(model, data, some, length)), index)

    return Route(gradient, evaluate)


def one_unit(model: RNN) -> bool:
    """Whether every number that the model carries from step to step is a scalar."""
    return not isinstance(model.cell, TwoWay) and all(
        leaf.ndim == 0 for leaf in jax.tree.leaves(jax.eval_shape(lambda model: model.initial(), model))
    )


def default(model: RNN) -> Callable[..., Route]:
    """`forward` for one unit, `reverse` for a layer, `whole` for two ways."""
    if isinstance(model.cell, TwoWay):
        return whole
    return forward if one_unit(model) else reverse

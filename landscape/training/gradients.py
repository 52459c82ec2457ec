"""Scores of a minibatch and their gradients: forward in time for one unit, backward for layers.

Both compute ``length`` steps of arrays that may be longer; ``length`` may be traced, so one program serves all lengths.
"""

from collections.abc import Callable

import jax

from landscape.models import RNN
from landscape.training.backward import reverse
from landscape.training.scores import Route, Score
from landscape.training.tangents import forward

__all__ = ["Route", "Score", "default", "forward", "one_unit", "reverse"]


def one_unit(model: RNN) -> bool:
    """Whether every number that the model carries from step to step is a scalar."""
    return all(leaf.ndim == 0 for leaf in jax.tree.leaves(jax.eval_shape(model.initial)))


def default(model: RNN) -> Callable[..., Route]:
    """`forward` for one unit, `reverse` for a layer."""
    return forward if one_unit(model) else reverse

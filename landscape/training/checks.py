"""What training is given, brought into shape or refused in one sentence before anything is traced."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from landscape import cells, losses
from landscape.models import RNN, as_rnn
from landscape.tasks import Episode


def model_and_optimiser(key: Any, model: Any, optimiser: Any) -> RNN:
    """The model with its readout, or TypeError if key, model or optimiser are something else."""
    if not (hasattr(key, "dtype") and hasattr(key, "shape")):
        raise TypeError(f"key must be a key of JAX such as jax.random.key(0), given {key!r}")
    model = as_rnn(model)
    if not isinstance(model, RNN):
        raise TypeError(f"model must be a cell such as SRNN() or what training.begin makes, given {model!r}")
    if not isinstance(optimiser, optax.GradientTransformation):
        raise TypeError(f"optimiser must be one of optax, such as optax.sgd(0.1), given {optimiser!r}")
    return model


def episodes(data: Any, model: RNN, role: str = "data") -> Episode:
    """``data`` as arrays of JAX, x of the model's dtype if it holds integers; else what is wrong with its shapes.

    x (episode, time) or (episode, time, input); every leaf of target (episode, ...).
    """
    if not hasattr(data, "x") or not hasattr(data, "target"):
        raise TypeError(
            f"{role} must be an Episode(x=..., target=...) of stacked episodes, given {type(data).__name__}"
        )
    x, target = jnp.asarray(data.x), jax.tree.map(jnp.asarray, data.target)
    if x.ndim not in (2, 3) or 0 in x.shape:
        raise ValueError(f"x must be (episode, time) or (episode, time, input), one of each or more, given {x.shape}")
    counts = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(target)}
    if counts != {x.shape[:1]}:
        given = ", ".join(str(jnp.shape(leaf)) for leaf in jax.tree.leaves(target))
        raise ValueError(f"x holds {len(x)} episodes, so target needs a leading axis of {len(x)}, given {given}")
    return Episode(x=x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(_dtype(model)), target=target)


def _dtype(model: RNN) -> Any:
    """The dtype in which a model computes."""
    found = [leaf.dtype for leaf in jax.tree.leaves(model) if hasattr(leaf, "dtype")]
    return jnp.result_type(*found, float) if found else jnp.result_type(float)


def fits(model: RNN, data: Episode, objective: losses.Objective) -> None:
    """Raise unless the cell can read one input of ``data`` and the objective can compare its answer to one target."""
    inputs = data.x.shape[2:]
    try:
        cells.check(model.cell, inputs)
    except (TypeError, ValueError) as error:
        made = f"training.begin(..., inputs={inputs[0]})" if inputs else "training.begin without inputs="
        raise ValueError(f"x has an input of shape {inputs} at each step; {made} makes such a cell: {error}") from error
    answer = jax.eval_shape(lambda model: model.output(model.initial()), model)
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), data.target)
    if hasattr(target, "shape") and target.shape not in ((), answer.shape):
        raise ValueError(
            f"an episode has one answer, of shape {answer.shape}, after its last step, and a target of shape "
            f"{target.shape}; give targets (episode,) or (episode, *{answer.shape})"
        )
    try:
        loss, right = (jax.eval_shape(f, answer, target).shape for f in objective)
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"the objective cannot compare an answer of shape {answer.shape} to a target: {reason}"
        ) from error
    if (loss, right) != ((), ()):
        raise ValueError(
            f"the objective must give one loss and one verdict an episode; for an answer of shape {answer.shape} it "
            f"gives {loss} and {right}: did begin(..., outputs=) make the outputs that it scores?"
        )


def steps(length: Any, time: int) -> jax.Array:
    """The steps to compute, all ``time`` by default, as one whole number that may be traced."""
    length = time if length is None else length
    if jnp.ndim(length) != 0 or not jnp.issubdtype(jnp.result_type(length), jnp.integer):
        raise ValueError(
            f"length is one whole number for all episodes, given {jnp.result_type(length)} of shape {jnp.shape(length)}"
        )
    if isinstance(length, int | np.integer) and not 1 <= length <= time:
        raise ValueError(f"length must be 1 to {time}, the steps that x has, given {length}")
    return jnp.asarray(length, jnp.int32)


def sizes(epochs: int, batch: int, train: int, validation: int) -> None:
    """Raise ValueError unless there is an epoch, a minibatch, and something to validate on."""
    if not 0 < batch <= train or validation == 0 or epochs < 1:
        raise ValueError(
            f"training needs 1 epoch or more, a batch of 1 to {train} episodes and some to validate on, "
            f"given {epochs} epochs, batch {batch}, {validation} to validate on"
        )

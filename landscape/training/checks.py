"""What training is given, brought into shape or refused in one sentence before anything is traced."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float, Int, PyTree, Shaped

from landscape import cells, losses
from landscape.models import RNN, TwoWay, as_rnn, innermost
from landscape.tasks import Episode
from landscape.tree import params


def model_and_optimiser(key: object, model: object, optimiser: object) -> RNN:
    """The model with its readout, or TypeError if key, model or optimiser are something else."""
    if not (hasattr(key, "dtype") and hasattr(key, "shape")):
        raise TypeError(f"key must be a key of JAX such as jax.random.key(0), given {key!r}")
    model = as_rnn(model)
    if not isinstance(model, RNN):
        raise TypeError(f"model must be a cell such as SRNN() or what training.begin makes, given {model!r}")
    if not isinstance(optimiser, optax.GradientTransformation):
        raise TypeError(f"optimiser must be one of optax, such as optax.sgd(0.1), given {optimiser!r}")
    return model


def episodes(data: Episode, model: RNN, role: str = "data") -> Episode:
    """``data`` as arrays of JAX, whole numbers in the model's dtype unless they are symbols; or what is wrong there.

    x (episode, time) or (episode, time, input); every leaf of target (episode, ...), with a mask (episode, time, ...).
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
    mask = None if getattr(data, "mask", None) is None else _mask(data.mask, x, target)
    if not jnp.issubdtype(x.dtype, jnp.floating) and not _symbols(model, x):
        x = x.astype(_dtype(model))
    return Episode(x=x, target=target, mask=None if mask is None else mask.astype(_dtype(model)))


def _mask(mask: Shaped[ArrayLike, "..."], x: Array, target: PyTree) -> Float[Array, "episode time"]:
    """A mask (episode, time), with targets (episode, time, ...) and a weight in every episode; or ValueError."""
    mask = jnp.asarray(mask)
    wrong = [leaf.shape for leaf in (mask, *jax.tree.leaves(target)) if leaf.shape[:2] != x.shape[:2]]
    if wrong or mask.ndim != 2:
        raise ValueError(
            f"with a mask every step has a target: mask must be {x.shape[:2]} and target {x.shape[:2]} or more, given "
            f"{wrong[0] if wrong else mask.shape}"
        )
    if not isinstance(mask, jax.core.Tracer):
        if not np.all(np.asarray(mask) >= 0):
            raise ValueError("a mask holds weights, 0 or more; there are negative ones or NaN")
        empty = np.flatnonzero(~np.any(np.asarray(mask) > 0, 1))
        if len(empty):
            raise ValueError(
                f"the mask of episode {empty[0]} weighs no step; give it a weight or leave the episode out"
            )
    return mask


def _symbols(model: RNN, x: jax.Array) -> bool:
    """Whether whole numbers are symbols: to a cell that reads vectors, one number is the place of a 1 among zeros."""
    cell = innermost(model.cell)
    rows = [
        jnp.shape(getattr(cell, name))[0]
        for name, field in params(cell).items()
        if field.metadata["axes"][:1] == ("input",) and jnp.ndim(getattr(cell, name)) == 2
    ]
    if x.ndim != 2 or not rows:
        return False
    if not isinstance(x, jax.core.Tracer):
        least, most = int(np.asarray(x).min()), int(np.asarray(x).max())
        if least < 0 or most >= rows[0]:
            raise ValueError(f"the cell reads symbols 0 to {rows[0] - 1}, and x holds {least} to {most}")
    return True


def dtype(model: RNN, data: Episode) -> jnp.dtype:
    """The dtype to train in: that of the inputs, that of the model where they are symbols."""
    return data.x.dtype if jnp.issubdtype(data.x.dtype, jnp.floating) else _dtype(model)


def _dtype(model: RNN) -> jnp.dtype:
    """The dtype in which a model computes."""
    found = [leaf.dtype for leaf in jax.tree.leaves(model) if hasattr(leaf, "dtype")]
    return jnp.result_type(*found, float) if found else jnp.result_type(float)


def fits(model: RNN, data: Episode, objective: losses.Objective) -> None:
    """Raise unless the cell can read one input of time-first ``data``, and the objective compare answer and target."""
    inputs, ways = data.x.shape[2:], [model.cell]
    if isinstance(model.cell, TwoWay):
        ways = [model.cell.ahead, model.cell.back]
        if data.mask is None:
            raise ValueError(
                "a TwoWay model answers at every step: give a target for each, (episode, time, ...), and a mask, such "
                "as numpy.ones((episode, time))"
            )
    try:
        for cell in ways:
            cells.check(cell, inputs, jnp.issubdtype(data.x.dtype, jnp.integer))
    except (TypeError, ValueError) as error:
        made = f"training.begin(..., inputs={inputs[0]})" if inputs else "training.begin without inputs="
        raise ValueError(f"x has an input of shape {inputs} at each step; {made} makes such a cell: {error}") from error
    answer = jax.eval_shape(lambda model: model.output(model.initial()), model)
    if objective is losses.softmax and answer.shape != (2,):
        raise ValueError(
            f"losses.softmax compares two logits to a sign, and the answer has shape {answer.shape}; make two outputs, "
            f"or take losses.sigmoid for a number and losses.classes for more logits"
        )
    each = 1 if data.mask is None else 2
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[each:], leaf.dtype), data.target)
    if objective.target is not None and getattr(target, "shape", None) != objective.target:
        given = getattr(target, "shape", "a tree of them")
        raise ValueError(f"the objective scores targets of shape {objective.target}, given {given}")
    if objective.target is None and hasattr(target, "shape") and target.shape not in ((), answer.shape):
        raise ValueError(
            f"an episode has one answer, of shape {answer.shape}, after its last step, and a target of shape "
            f"{target.shape}; give targets (episode,) or (episode, *{answer.shape}), and with a target at every step "
            f"a mask"
        )
    try:
        loss, right = (jax.eval_shape(f, answer, target).shape for f in objective[:2])
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


def labels(model: RNN, data: Episode, objective: losses.Objective) -> None:
    """Raise ValueError for a label that is asked for and that the model has no output for, where labels are known."""
    known = not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(data))
    if objective is not losses.classes or not known:
        return
    asked = np.asarray(data.target) if data.mask is None else np.asarray(data.target)[np.asarray(data.mask) > 0]
    outputs = jax.eval_shape(lambda model: model.output(model.initial()), model).shape[0]
    if not np.all(asked == np.rint(asked)):
        raise ValueError("labels are whole numbers, and there are fractions or NaN among the targets; mend them")
    if asked.min() < 0 or asked.max() >= outputs:
        raise ValueError(
            f"the model has {outputs} outputs, for labels 0 to {outputs - 1}, and targets are {asked.min()} to "
            f"{asked.max()}; make it by begin(..., outputs={max(int(asked.max()) + 1, 1)}) or mend the labels"
        )


def steps(length: Int[ArrayLike, ""] | None, time: int) -> Int[Array, ""] | int:
    """The steps to compute, all ``time`` by default, as one whole number: an int if known, so that loops end there."""
    length = time if length is None else length
    if jnp.ndim(length) != 0 or not jnp.issubdtype(jnp.result_type(length), jnp.integer):
        raise ValueError(
            f"length is one whole number for all episodes, given {jnp.result_type(length)} of shape {jnp.shape(length)}"
        )
    if not isinstance(length, int | np.integer):
        return jnp.asarray(length, jnp.int32)
    if not 1 <= length <= time:
        raise ValueError(f"length must be 1 to {time}, the steps that x has, given {length}")
    return int(length)


def sizes(epochs: int, batch: int, train: int, validation: int, test: int | None) -> None:
    """Raise ValueError unless there is an epoch, a minibatch, and something in each part of the data."""
    if test == 0:
        raise ValueError("the split leaves no episode to test on; give it a larger share of test, or none")
    if not 0 < batch <= train or validation == 0 or epochs < 1:
        raise ValueError(
            f"training needs 1 epoch or more, a batch of 1 to {train} episodes and some to validate on, "
            f"given {epochs} epochs, batch {batch}, {validation} to validate on"
        )

"""Training one model on one data set. Pure, and written for one run: map it over whatever varies between runs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from landscape import losses
from landscape.models import as_rnn
from landscape.tasks import Episode
from landscape.training import gradients
from landscape.training.gradients import Route

Split = Callable[[jax.Array, Any], tuple[jax.Array, jax.Array]]  # (key, targets) -> indices to train on, to validate on

PACKED = 2**14  # episodes whose index leaves 18 bits of an integer to chance


class Record(NamedTuple):
    """One epoch: mean over its minibatches, the largest gradient norm among them, and validation after it."""

    loss: Any
    accuracy: Any
    gradient_norm: Any
    val_loss: Any
    val_accuracy: Any


class Fit(NamedTuple):
    """What training leaves: the model, records (epoch,) that are NaN after an early stop, and what happened.

    ``epochs`` were run; ``nonfinite`` is the first update whose gradient was not finite, -1 if there was none.
    """

    model: Any
    record: Record
    epochs: Any
    nonfinite: Any


class Stop(NamedTuple):
    """Stop after ``patience`` epochs in which ``monitor(record)`` has not fallen by more than ``min_delta``."""

    patience: int
    min_delta: float = 0.0
    monitor: Callable[[Record], Any] = lambda record: record.val_loss


def last(fraction: float = 0.2) -> Split:
    """Validate on the last episodes, as Keras does before it shuffles; balanced where classes alternate."""

    def split(key: jax.Array, targets: Any) -> tuple[jax.Array, jax.Array]:
        return _cut(jnp.arange(len(targets)), fraction)

    return split


def last_by_class(fraction: float = 0.2) -> Split:
    """`last` of episodes sorted from the largest target to the smallest: the error of the published experiment.

    Half of the labels being +1 and half -1, the last fifth holds -1 only (stats.SE 340898).
    """

    def split(key: jax.Array, targets: Any) -> tuple[jax.Array, jax.Array]:
        return _cut(jnp.argsort(targets, descending=True), fraction)

    return split


def at_random(fraction: float = 0.2) -> Split:
    """Validate on episodes chosen at random, others in each run."""

    def split(key: jax.Array, targets: Any) -> tuple[jax.Array, jax.Array]:
        return _cut(permutation(key, len(targets)), fraction)

    return split


def _cut(order: jax.Array, fraction: float) -> tuple[jax.Array, jax.Array]:
    kept = len(order) - round(len(order) * fraction)
    return order[:kept], order[kept:]


def permutation(key: jax.Array, count: int) -> jax.Array:
    """``0 .. count - 1`` in random order.

    Up to `PACKED` by one sort of random integers whose low bits are the index, nine times faster on a CPU than
    `jax.random.permutation`; of the pairs, one in 2**18 keeps its order where chance would swap half of them.
    """
    if count > PACKED:
        return jax.random.permutation(key, count)
    low = jnp.uint32(PACKED - 1)
    packed = (jax.random.bits(key, (count,)) & ~low) | jnp.arange(count, dtype=jnp.uint32)
    return (jnp.sort(packed) & low).astype(jnp.int32)


def fit(
    key: jax.Array,
    model: Any,
    data: Episode | Callable[[jax.Array], Episode],
    optimiser: optax.GradientTransformation,
    objective: losses.Objective = losses.softmax,
    *,
    split: Split = last(),  # noqa: B008
    epochs: int = 5,
    batch: int = 16,
    length: Any = None,
    start: float = 0.0,
    route: Callable[..., Route] | None = None,
    stop: Stop | None = None,
) -> Fit:
    """Train ``model`` for ``epochs`` of minibatches, reshuffled each time, and validate after each.

    ``data``: episodes as `landscape.tasks.episodes` stacks them, x (episode, time, ...); or a function of a key that
    draws a new set for each epoch. ``length``: steps to compute, all by default; it may be traced, so that one program
    serves all lengths. ``start``: h before the first step. ``route``: how gradients are computed, `gradients.forward`
    for one unit and `gradients.reverse` for layers unless given. Episodes that fill no minibatch sit an epoch out.
    To clip, chain `optax.clip_by_global_norm` or `optax.clip` before the optimiser.

    All but the functions and sizes may be mapped by `jax.vmap`: key, model, data, a learning rate in ``optimiser``.
    Raises ValueError for a batch larger than the training set, or an empty validation set.
    """
    model = as_rnn(model)
    draw = data if callable(data) else lambda _: data

    def prepare(key: jax.Array) -> tuple[Episode, jax.Array, jax.Array]:
        drawn = draw(jax.random.fold_in(key, 0))
        train, validation = split(jax.random.fold_in(key, 1), drawn.target)
        return Episode(x=jnp.moveaxis(drawn.x, 0, 1), target=drawn.target), train, validation

    ready = None if callable(data) else prepare(key)
    shape, train, validation = jax.eval_shape(prepare, key)
    if not 0 < batch <= len(train) or len(validation) == 0 or epochs < 1:
        raise ValueError(
            f"training needs 1 epoch or more, a batch of 1 to {len(train)} episodes and some to validate on, "
            f"given {epochs} epochs, batch {batch}, {len(validation)} to validate on"
        )
    dtype, updates = shape.x.dtype, len(train) // batch
    model = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), model)
    gradient, evaluate = (route or gradients.default(model))(objective, start)
    length = jnp.asarray(len(shape.x) if length is None else length, jnp.int32)

    def epoch(number: Any, state: tuple) -> tuple[tuple, Record]:
        episodes, train, validation = ready or prepare(jax.random.fold_in(key, 2 * number + 2))
        order = train[permutation(jax.random.fold_in(key, 2 * number + 3), len(train))]

        def update(state: tuple, index: jax.Array) -> tuple[tuple, tuple]:
            model, inner, step, nonfinite = state
            score, slope = gradient(model, episodes, index, length)
            norm = optax.tree.norm(slope)
            change, inner = optimiser.update(slope, inner, model)
            nonfinite = jnp.where((nonfinite < 0) & ~jnp.isfinite(norm), step, nonfinite)
            return (optax.apply_updates(model, change), inner, step + 1, nonfinite), (*score, norm)

        state, (loss, accuracy, norm) = jax.lax.scan(update, state, order[: updates * batch].reshape(updates, batch))
        after = evaluate(state[0], episodes, validation, length)
        return state, Record(jnp.mean(loss), jnp.mean(accuracy), jnp.max(norm), *after)

    def go_on(carry: tuple) -> Any:
        number, wait = carry[0], carry[1]
        return (number < epochs) if stop is None else (number < epochs) & (wait < stop.patience)

    def body(carry: tuple) -> tuple:
        number, wait, best, state, records = carry
        state, record = epoch(number, state)
        if stop is not None:
            better = stop.monitor(record) < best - stop.min_delta
            best, wait = jnp.where(better, stop.monitor(record), best), jnp.where(better, 0, wait + 1)
        records = jax.tree.map(lambda all, one: all.at[number].set(one), records, record)
        return number + 1, wait, best, state, records

    zero = jnp.zeros((), jnp.int32)
    records = Record(*(jnp.full(epochs, jnp.nan, dtype) for _ in Record._fields))
    state = (model, optimiser.init(model), zero, zero - 1)
    carry = (zero, zero, jnp.asarray(jnp.inf, dtype), state, records)
    number, _, _, (model, _, _, nonfinite), records = jax.lax.while_loop(go_on, body, carry)
    return Fit(model, records, number, nonfinite)

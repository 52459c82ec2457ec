"""The path of a descent: the models that an optimiser goes through on a risk."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, Key, PyTree

from landscape.curvature.matrices import checked
from landscape.directions.base import floats, opened
from landscape.engine.problem import whole
from landscape.risk import Batch, Risk, Score
from landscape.training.steps import State, begun, step
from landscape.trajectories.recording import Trajectory


def descend(
    risk: Risk,
    params: PyTree,
    optimiser: optax.GradientTransformation,
    at: Sequence[int],
    key: Key[Array, ""] | None = None,
    batch: int | None = None,
) -> Trajectory:
    """The models after each of ``at`` updates of ``optimiser`` down the gradient of ``risk``; 0 is ``params`` itself.

    Every update sees all data, or ``batch`` examples that ``key`` and its number draw, with replacement. The risk is
    that of its last length, its data are arrays, all asked at once. The path is the same whatever ``at``. Raises
    ValueError for a stream, for ``at`` that are not increasing whole numbers, and for one of ``batch`` and ``key``.
    """
    numbers, count = _numbers(at), None if batch is None else whole(batch, "batch", 1)
    if (key is None) != (count is None):
        raise ValueError("batch examples are drawn by a key: give both batch= and key=, or neither to see all data")
    if callable(risk.data.data):
        raise ValueError("data are a stream, and a descent draws from arrays: give the risk (inputs, targets)")
    params = checked(risk, params)
    draw = jax.random.key(0) if key is None else key
    kept = []
    with jax.enable_x64(risk.precision == "float64"):
        data = next(iter(Risk(risk.predict, risk.data.data, batch=risk.data.examples, dtype=risk.dtype).data))
        state = begun(optimiser, opened(params)[0])
        for number in numbers:
            state = _walked(optimiser, risk.score, count, number, state, params, data, draw)
            kept.append(jax.device_get(state.model))
    return Trajectory(np.asarray(numbers), _stacked(params, kept))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _walked(
    optimiser: optax.GradientTransformation,
    score: Score,
    count: int | None,
    until: Int[Array, ""],
    state: State,
    params: PyTree,
    data: Batch,
    key: Key[Array, ""],
) -> State:
    """The state of a descent after ``until`` updates in all."""
    model = opened(params)[1]

    def loss(some: list, seen: Batch) -> Array:
        return jnp.ravel(score.total(model(some), seen))[-1] / len(seen.weights)

    def drawn(number: Int[Array, ""]) -> Batch:
        if count is None:
            return data
        index = jax.random.randint(jax.random.fold_in(key, number), (count,), 0, len(data.weights), jnp.int32)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], data)

    update = step(jax.value_and_grad(loss), optimiser).update
    return jax.lax.while_loop(lambda s: s.step < until, lambda s: update(s, drawn(s.step))[0], state)


def _numbers(at: Sequence[int]) -> list[int]:
    """Which updates a descent is asked for, or ValueError."""
    numbers = np.asarray(at)
    if numbers.ndim != 1 or not numbers.size or numbers.dtype.kind not in "iu" or np.any(np.diff([-1, *numbers]) <= 0):
        raise ValueError(f"at must be increasing whole numbers of updates from 0 up, given {at!r:.80}")
    return numbers.tolist()


def _stacked(params: PyTree, kept: list[list]) -> PyTree:
    """Models as one pytree with an axis of steps in front of every leaf; what cannot move is repeated."""
    rows = iter([np.stack(leaves) for leaves in zip(*kept, strict=True)])
    repeated = lambda leaf: np.stack([np.asarray(leaf)] * len(kept))  # noqa: E731
    return jax.tree.map(lambda leaf: next(rows) if floats(leaf) else repeated(leaf), params)

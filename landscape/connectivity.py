"""What lies between two minima: the barrier on a line, a bent curve around it, hidden units brought into one order."""

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float, Int, Key, PyTree
from scipy.optimize import linear_sum_assignment

from landscape.directions.base import floats, opened
from landscape.engine import Problem
from landscape.planes import named_leaves, span
from landscape.surfaces import values

if TYPE_CHECKING:
    import xarray

Units = Sequence[tuple[str, int]]  # every (leaf, axis) that the units of a hidden layer index


def bezier(a: PyTree, bend: PyTree, b: PyTree, t: Float[ArrayLike, ""]) -> PyTree:
    """``(1 - t)² a + 2 t (1 - t) bend + t² b`` (Garipov et al. 2018, equation 3); what cannot move is ``a``'s.

    It lies in the plane through its ends and its bend, ``landscape.directions.between([a, b, bend], names)``, on whose
    surface it is drawn as it is: nothing is projected.

    >>> float(bezier(0.0, 1.0, 0.0, 0.5))
    0.5
    """

    def mixed(x: ArrayLike, c: Array, y: Array) -> ArrayLike:
        return (1 - t) ** 2 * x + 2 * t * (1 - t) * c + t**2 * y if floats(x) else x

    return jax.tree.map(mixed, a, bend, b)


def barrier(a: PyTree, b: PyTree, problem: Problem, points: int = 25, bend: PyTree = None) -> "xarray.Dataset":
    """The loss along the line from one model to the other, or along the Bezier curve with a ``bend``, and its barrier.

    ``problem`` is a `landscape.Risk` or any other. Dims (leading dimensions of the problem, "t"): ``loss`` at t from 0
    to 1; ``barrier``, its largest rise above the line between the losses of the ends (Frankle et al. 2020, section 2),
    at least 0. Raises ValueError for models of different structure.
    """
    import xarray

    if points < 2:
        raise ValueError(f"a path has at least its two ends, given {points} points")
    t = np.linspace(0, 1, points)
    along, weights = _path(a, b, bend, t)
    plane = span(a, along, **dict.fromkeys(along, (0.0, 1.0)))  # any axes will do
    asked = dataclasses.replace(problem, order=0) if hasattr(problem, "order") else problem  # type: ignore[type-var]
    loss = values(plane, asked, weights)["loss"]
    ends = loss[..., :1].astype(np.float64) * (1 - t) + loss[..., -1:] * t
    dims = tuple(asked.leading)
    columns: dict[str, Any] = {"loss": ((*dims, "t"), loss), "barrier": (dims, np.max(loss - ends, axis=-1))}
    return xarray.Dataset(columns, {**asked.leading, "t": t}, {"path": "line" if bend is None else "Bezier curve"})


def _path(
    a: PyTree, b: PyTree, bend: PyTree, t: Float[np.ndarray, "t"]
) -> tuple[dict[str, PyTree], Float[np.ndarray, "t part"]]:
    """Displacements from ``a`` that a path is made of, and how much of each there is at every ``t``."""
    minus = lambda x, y: np.subtract(x, y, dtype=np.float64) if floats(x) else np.zeros(np.shape(x))  # noqa: E731
    to_end = jax.tree.map(minus, b, a)
    if bend is None:
        return {"end": to_end}, t[:, None]
    return {"end": to_end, "bend": jax.tree.map(minus, bend, a)}, np.stack([t**2, 2 * t * (1 - t)], axis=1)


def bent(
    loss: Callable[[PyTree, Key[Array, ""]], Float[Array, ""]],
    a: PyTree,
    b: PyTree,
    key: Key[Array, ""],
    optimiser: optax.GradientTransformation,
    steps: int = 1000,
) -> tuple[PyTree, Float[np.ndarray, "step"]]:
    """The bend of a Bezier curve of small loss from ``a`` to ``b``, and the losses met (Garipov et al. 2018, sec. 3).

    Stochastic descent of ``E_t loss(curve(t), key)``, t uniform in [0, 1], from the middle of the line: one ``t`` and
    one key a step. ``loss(params, key)`` may draw a minibatch by its key. Raises TypeError unless it gives one number.
    """
    made = jax.eval_shape(loss, a, key)
    if getattr(made, "shape", None) != ():
        raise TypeError(
            f"loss must return one number for a model and a key, it returns {made}; take a mean over examples"
        )
    moving, whole = opened(a)

    def step(carry: tuple, key: Key[Array, ""]) -> tuple:
        bend, state = carry
        at, draw = jax.random.split(key)
        t = jax.random.uniform(at)
        value, slope = jax.value_and_grad(lambda c: loss(bezier(a, whole(c), b, t), draw))(bend)
        moves, state = optimiser.update(slope, state, bend)
        return (optax.apply_updates(bend, moves), state), value

    start = [(x + y) / 2 for x, y in zip(moving, opened(b)[0], strict=True)]
    train = jax.jit(lambda bend: jax.lax.scan(step, (bend, optimiser.init(bend)), jax.random.split(key, steps)))
    (bend, _), met = train(start)
    return whole(bend), np.asarray(met)


class Aligned(NamedTuple):
    """A model with its hidden units in another order, and the order of each layer's: unit k is the old ``order[k]``."""

    params: PyTree
    orders: list[Int[np.ndarray, "_"]]


def permuted(params: PyTree, layers: Sequence[Units], orders: Sequence[Int[np.ndarray, "_"]]) -> PyTree:
    """The same function with the hidden units of each layer in another order."""
    leaves, tree = jax.tree.flatten(params)
    names = named_leaves(params)
    for units, order in zip(layers, orders, strict=True):
        for name, axis in units:
            leaves[names[name]] = np.take(np.asarray(leaves[names[name]]), order, axis=axis)
    return jax.tree.unflatten(tree, leaves)


def align(a: PyTree, b: PyTree, layers: Sequence[Units], sweeps: int = 100) -> Aligned:
    """``b`` with its hidden units in the order most like ``a``'s: weight matching (Ainsworth et al. 2023, algorithm 1).

    Each layer is stated as the list of every (leaf, axis) that its units index, such as ``[("Dense_0.kernel", 1),
    ("Dense_0.bias", 0), ("Dense_1.kernel", 0)]``. One layer after the other gets the order that makes the inner product
    of the two models largest, the others held, until none changes. The function of ``b`` stays the same only if the
    lists are right; what two layers hold, such as a residual stream, is one entry. Raises ValueError for a leaf that
    there is not, or axes of different size.
    """
    orders = [np.arange(_size(a, b, units)) for units in layers]
    for _ in range(sweeps):
        before = list(orders)
        for k, units in enumerate(layers):
            orders[k] = orders[k][_matched(a, permuted(b, layers, orders), units)]
        if all(map(np.array_equal, before, orders)):
            break
    return Aligned(permuted(b, layers, orders), orders)


def _size(a: PyTree, b: PyTree, units: Units) -> int:
    """The number of units of a layer, or ValueError."""
    names = named_leaves(a)
    sizes: dict[str, int] = {}
    for name, axis in units:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"the model has no leaf {name!r}; it has {', '.join(names)}{hint}")
        for model in (a, b):
            shape = np.shape(jax.tree.leaves(model)[names[name]])
            sizes[f"{name} of shape {shape}, axis {axis}"] = shape[axis] if -len(shape) <= axis < len(shape) else -1
    if len(set(sizes.values())) != 1 or -1 in sizes.values():
        raise ValueError(f"units of one layer must be as many in every leaf of both models; given {', '.join(sizes)}")
    return next(iter(sizes.values()))


def _matched(a: PyTree, b: PyTree, units: Units) -> np.ndarray:
    """The order of the units of ``b`` with the largest inner product with those of ``a``."""
    names = named_leaves(a)
    gain: Any = 0.0
    for name, axis in units:
        rows = (np.asarray(jax.tree.leaves(model)[names[name]], np.float64) for model in (a, b))
        left, right = (np.moveaxis(row, axis, 0).reshape(row.shape[axis], -1) for row in rows)
        gain = gain + left @ right.T
    return linear_sum_assignment(gain, maximize=True)[1]

"""The score of a batch: sums of the losses of a model's answers, at one point of a plane, with derivatives."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from landscape.engine.jets import fold, pairs
from landscape.planes import Affine
from landscape.risk.batches import Batch
from landscape.risk.convolutions import unrolled
from landscape.risk.ways import backward

Predict = Callable[[PyTree, PyTree], PyTree]


@dataclasses.dataclass(frozen=True)
class Score:
    """The losses of ``predict``'s answers: what is static, so that equal ones share their programs."""

    predict: Predict
    loss: Callable[[PyTree, PyTree], Float[Array, ""]]
    lengths: tuple[int, ...] | None = None

    def each(self, params: PyTree, inputs: PyTree, targets: PyTree) -> Float[Array, "*length example"]:
        """The loss of every example, (example,), or after each of ``lengths``, (length, example)."""
        return self.judged(self.predict(params, inputs), targets)

    def judged(self, answers: PyTree, targets: PyTree) -> Float[Array, "*length example"]:
        """The losses of answers."""
        one = jax.vmap(self.loss)
        if self.lengths is None:
            return one(answers, targets)
        steps = np.asarray(self.lengths) - 1
        return jax.vmap(one, (0, None))(jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0)[steps], answers), targets)

    def total(self, params: PyTree, batch: Batch) -> Float[Array, "*length"]:
        """The sum of the losses of a batch; what fills it up does not count, were it NaN."""
        inputs, targets, weights = batch
        losses = self.judged(unrolled(self.predict)(params, inputs), targets).astype(weights.dtype)
        counted = jnp.broadcast_to(weights > 0, losses.shape)
        return fold(jnp.add, jnp.moveaxis(jnp.where(counted, losses, 0), -1, 0))


@dataclasses.dataclass(frozen=True)
class Batchwise:
    """The kernel of `Risk`: the sums of one batch at one point."""

    score: Score
    order: int

    def __call__(
        self, affine: Affine, points: Float[Array, "coordinate 1"], batch: Batch
    ) -> list[Float[Array, "length 1"]]:
        """Sums of loss, gradient and Hessian over a batch, and how many examples they are of."""
        made = behind if self.backward(affine, batch) else ahead
        value, *slopes = made(self.score, self.order, affine, points[:, 0], batch)
        examples = jnp.broadcast_to(jnp.sum(batch.weights), value.shape)
        return [jnp.reshape(row, (-1, 1)) for row in (value, *slopes, examples)]

    def backward(self, affine: Affine, batch: Batch) -> bool:
        """Whether derivatives go backward (`landscape.risk.ways`): of one number alone, and no second ones."""
        return self.order == 1 and self.score.lengths is None and backward(self.score.predict, affine, batch.inputs)


def ahead(
    score: Score, order: int, affine: Affine, point: Float[Array, "coordinate"], batch: Batch
) -> list[Float[Array, "*length"]]:
    """The sum of a batch with its derivatives along the coordinates, forward."""
    return derived(lambda p: score.total(affine.at(p), batch), point, order)


def behind(
    score: Score, order: int, affine: Affine, point: Float[Array, "coordinate"], batch: Batch
) -> list[Float[Array, ""]]:
    """The sum of a batch at the last length, ``d'g``, and with order 2 ``d'Hd``: g and Hd by reverse mode."""
    leaves, tree = jax.tree.flatten(affine.at(list(point)))
    moved = [i for i in range(len(leaves)) if any(d[i] is not None for d in affine.directions)]
    here = [jnp.asarray(leaves[i]) for i in moved]
    along = [[_like(leaf, d[i]) for leaf, i in zip(here, moved, strict=True)] for d in affine.directions]

    def loss(some: list) -> Float[Array, ""]:
        new = dict(zip(moved, some, strict=True))
        params = jax.tree.unflatten(tree, [new.get(i, leaf) for i, leaf in enumerate(leaves)])
        return jnp.ravel(score.total(params, batch))[-1]

    value, slope = jax.value_and_grad(loss)(here)
    found = [value, *(_dot(d, slope, batch.weights.dtype) for d in along)]
    if order > 1:
        bent = [jax.jvp(jax.grad(loss), (here,), (d,))[1] for d in along]
        found += [_dot(along[l], bent[k], batch.weights.dtype) for k, l in pairs(len(along))]
    return found


def derived(f: Callable, point: Float[Array, "coordinate"], order: int) -> list[Float[Array, "..."]]:
    """``f`` at a point, its gradient from order 1, its Hessian (the upper half, row by row) from order 2.

    Forward along the coordinates: one linearisation that all tangents share, and one of that for the Hessian.
    """
    along = list(jnp.eye(len(point), dtype=point.dtype))

    def slopes(p: Float[Array, "coordinate"]) -> tuple[Array, tuple]:
        value, tangent = jax.linearize(f, p)
        return value, tuple(tangent(v) for v in along)

    if order == 0:
        return [f(point)]
    if order == 1:
        value, slope = slopes(point)
        return [value, *slope]
    (value, slope), tangent = jax.linearize(slopes, point)
    bends = [tangent(v)[1] for v in along]
    return [value, *slope, *(bends[l][k] for k, l in pairs(len(along)))]


@functools.partial(jax.jit, static_argnums=0)
def each(score: Score, params: PyTree, inputs: PyTree, targets: PyTree) -> Float[Array, "*length example"]:
    """`Score.each` by a program of its own, without loops or tangents."""
    return score.each(params, inputs, targets)


@functools.partial(jax.jit, static_argnums=0)
def total(score: Score, params: PyTree, batch: Batch) -> Float[Array, "*length"]:
    """`Score.total` of one model by a program of its own."""
    return score.total(params, batch)


@functools.partial(jax.jit, static_argnums=0)
def other_way(
    kernel: Batchwise, affine: Affine, point: Float[Array, "coordinate"], batch: Batch
) -> list[Float[Array, ""]]:
    """Derivatives of a batch at the last length by the way that the kernel does not go."""
    made = ahead if kernel.backward(affine, batch) else behind
    return [jnp.ravel(row)[-1] for row in made(kernel.score, kernel.order, affine, point, batch)[1:]]


def _like(leaf: Array, direction: PyTree) -> Array:
    """A direction at a leaf, 0 where it leaves that alone."""
    return jnp.zeros_like(leaf) if direction is None else jnp.broadcast_to(direction, leaf.shape).astype(leaf.dtype)


def _dot(a: Sequence[Array], b: Sequence[Array], dtype: jnp.dtype) -> Float[Array, ""]:
    dot = functools.partial(jnp.vdot, precision=jax.lax.Precision.HIGHEST)
    return sum((dot(x.astype(dtype), y.astype(dtype)) for x, y in zip(a, b, strict=True)), jnp.zeros((), dtype))

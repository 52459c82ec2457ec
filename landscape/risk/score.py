"""The score of a batch: sums of the losses of a model's answers, at one point of a plane, with derivatives."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from landscape.engine.jets import Jet, fold, pairs, push
from landscape.planes import Affine
from landscape.risk.batches import Batch

Predict = Callable[[PyTree, PyTree], PyTree]


@dataclasses.dataclass(frozen=True)
class Score:
    """The losses of ``predict``'s answers: what is static, so that equal ones share their programs."""

    predict: Predict
    loss: Callable[[PyTree, PyTree], Float[Array, ""]]
    lengths: tuple[int, ...] | None = None

    def each(self, params: PyTree, inputs: PyTree, targets: PyTree) -> Float[Array, "*length example"]:
        """The loss of every example, (example,), or after each of ``lengths``, (length, example)."""
        answers, one = self.predict(params, inputs), jax.vmap(self.loss)
        if self.lengths is None:
            return one(answers, targets)
        steps = np.asarray(self.lengths) - 1
        return jax.vmap(one, (0, None))(jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0)[steps], answers), targets)

    def total(self, params: PyTree, batch: Batch) -> Float[Array, "*length"]:
        """The sum of the losses of a batch; what fills it up does not count, were it NaN."""
        inputs, targets, weights = batch
        losses = self.each(params, inputs, targets).astype(weights.dtype)
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
        point, count = tuple(points[:, 0]), len(points)
        blank = Jet((), ((),) * count * (self.order > 0), dict.fromkeys(pairs(count) * (self.order > 1), ()))
        one = (jnp.ones((), points.dtype),) * count
        jet = push(lambda p, _: self.score.total(affine.at(p), batch), point, one, blank)
        examples = jnp.broadcast_to(jnp.sum(batch.weights), jet.value.shape)
        rows = [jet.value, *jet.first, *jet.second.values(), examples]
        return [jnp.reshape(row, (-1, 1)) for row in rows]


@functools.partial(jax.jit, static_argnums=0)
def each(score: Score, params: PyTree, inputs: PyTree, targets: PyTree) -> Float[Array, "*length example"]:
    """`Score.each` by a program of its own, without loops or tangents."""
    return score.each(params, inputs, targets)


@functools.partial(jax.jit, static_argnums=0)
def total(score: Score, params: PyTree, batch: Batch) -> Float[Array, "*length"]:
    """`Score.total` of one model by a program of its own."""
    return score.total(params, batch)


@functools.partial(jax.jit, static_argnums=(0, 1))
def reverse(score: Score, order: int, affine: Affine, point: Float[Array, "coordinate"], batch: Batch) -> list:
    """Sums of ``d'g``, and with order 2 of ``d'Hd``, of a batch at the last length: g and Hd by reverse mode."""
    leaves, tree = jax.tree.flatten(affine.at(list(point)))
    moved = [i for i in range(len(leaves)) if any(d[i] is not None for d in affine.directions)]
    here = [jnp.asarray(leaves[i]) for i in moved]
    along = [[_like(leaf, d[i]) for leaf, i in zip(here, moved, strict=True)] for d in affine.directions]

    def loss(some: list) -> Float[Array, ""]:
        new = dict(zip(moved, some, strict=True))
        params = jax.tree.unflatten(tree, [new.get(i, leaf) for i, leaf in enumerate(leaves)])
        return jnp.ravel(score.total(params, batch))[-1]

    slope = jax.grad(loss)
    found = [_dot(d, slope(here), batch.weights.dtype) for d in along]
    if order > 1:
        bent = [jax.jvp(slope, (here,), (d,))[1] for d in along]
        found += [_dot(along[l], bent[k], batch.weights.dtype) for k, l in pairs(len(along))]
    return found


def _like(leaf: Array, direction: PyTree) -> Array:
    """A direction at a leaf, 0 where it leaves that alone."""
    return jnp.zeros_like(leaf) if direction is None else jnp.broadcast_to(direction, leaf.shape).astype(leaf.dtype)


def _dot(a: Sequence[Array], b: Sequence[Array], dtype: jnp.dtype) -> Float[Array, ""]:
    return sum((jnp.vdot(x.astype(dtype), y.astype(dtype)) for x, y in zip(a, b, strict=True)), jnp.zeros((), dtype))

"""A model whose state is a tuple of numbers: what cells stack, `landscape.kernels.lanes` takes apart."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree, PyTreeDef, Real

from landscape.kernels.lanes import Unfusable

STATES = 8  # numbers of a state; a layer does not live in registers


@dataclasses.dataclass(frozen=True)
class Model:
    """A model whose state is a tuple of numbers."""

    model: PyTree
    tree: PyTreeDef
    shapes: tuple

    def split(self, state: PyTree[Float[Array, "..."]]) -> tuple:
        leaves = map(jnp.asarray, jax.tree.leaves(state))
        return tuple(leaf[where] if where else leaf for leaf in leaves for where in np.ndindex(leaf.shape))

    def join(self, flat: tuple) -> PyTree[Float[Array, "..."]]:
        rest = iter(flat)
        own = [[next(rest) for _ in range(math.prod(shape))] for shape in self.shapes]
        leaves = [jnp.stack(n).reshape(s) if s else n[0] for n, s in zip(own, self.shapes, strict=True)]
        return jax.tree.unflatten(self.tree, leaves)

    def initial(self, h: float) -> tuple:
        return self.split(self.model.initial(h))

    def step(self, state: tuple, x: Real[ArrayLike, "*input"]) -> tuple:
        return self.split(self.model.step(self.join(state), x))

    def output(self, state: tuple) -> Float[Array, "*output"]:
        return self.model.output(self.join(state))


def state_of(model: PyTree, start: float) -> tuple[PyTreeDef, tuple]:
    """Structure and shapes of the state of a model; raises `Unfusable` for one of many numbers."""
    leaves, tree = jax.tree.flatten(jax.eval_shape(lambda model: model.initial(start), model))
    size = sum(math.prod(leaf.shape) for leaf in leaves)
    if size > STATES:
        raise Unfusable(f"a state of {size} numbers is more than the {STATES} that stay in registers")
    return tree, tuple(leaf.shape for leaf in leaves)

"""The regulariser of Pascanu, Mikolov & Bengio (2013): errors should neither grow nor vanish on their way back."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree

from landscape.cells import Cell

FLOOR = 1e-20  # squared norm below which an error counts as gone, in the authors' code


def ratio_of_norms(before: Float[Array, ""], after: Float[Array, ""]) -> Float[Array, ""]:
    """``|before| / |after|`` from squared norms: eq. 9 of the paper."""
    gone = before == 0  # where the root has no slope
    return jnp.where(gone, 0, jnp.sqrt(jnp.where(gone, 1, before / after)))


def ratio_of_squares(before: Float[Array, ""], after: Float[Array, ""]) -> Float[Array, ""]:
    """``|before|² / |after|²``: eq. 10 of the paper, and the authors' code."""
    return before / after


class Terms(NamedTuple):
    """Sums over steps, each a mean over the batch: of the terms (or their gradient), and of the share not skipped."""

    total: PyTree
    kept: Float[Array, ""]


class Penalty(NamedTuple):
    """``weight Omega``, ``Omega = sum_k (ratio(|dE/dx_k+1 dx_k+1/dx_k|², |dE/dx_k+1|²) - 1)²``, a mean over episodes.

    Its gradient takes the states x_k and the errors dE/dx_k+1 for constants: parameters act through the Jacobian
    dx_k+1/dx_k alone. In the coordinates of `landscape.cells.Pascanu` that is the recurrent weight alone. Steps whose
    error is gone count as ratio 1. ``per_step`` divides by the number of steps left, as the authors' code does.
    """

    weight: Float[ArrayLike, ""]
    ratio: Callable[[Float[Array, ""], Float[Array, ""]], Float[Array, ""]] = ratio_of_norms
    per_step: bool = False

    def terms(self, cell: Cell, state: PyTree, x: Float[Array, "batch *input"], error: PyTree) -> Terms:
        """The term of one step from ``state`` (batch, ...) under input ``x``, for errors dE/d(next state)."""

        def one(state: PyTree, x: Array, error: PyTree) -> tuple[Array, Array]:
            _, pull = jax.vjp(lambda state: cell.step(state, x), state)
            after, before = _square(error), _square(pull(error)[0])
            there = after >= FLOOR
            ratio = self.ratio(jnp.where(there, before, 1), jnp.where(there, after, 1))
            return (ratio - 1) ** 2, there.astype(after.dtype)

        total, kept = jax.vmap(one)(state, x, error)
        return Terms(jnp.mean(total), jnp.mean(kept))

    def gradient(self, cell: Cell, state: PyTree, x: Float[Array, "batch *input"], error: PyTree) -> Terms:
        """The gradient of one step's term with respect to the cell, and the share of episodes not skipped."""
        gradient, kept = jax.grad(lambda cell: self.terms(cell, state, x, error), has_aux=True)(cell)
        return Terms(gradient, kept)

    def nothing(self, cell: Cell) -> Terms:
        """Where sums of `gradient` begin."""
        zero = jax.tree.map(jnp.zeros_like, cell)
        return Terms(zero, jnp.zeros((), jax.tree.leaves(zero)[0].dtype))

    def scaled(self, terms: Terms) -> PyTree:
        """What is added to the gradient of the loss."""
        factor = self.weight / jnp.maximum(terms.kept, 1e-12) if self.per_step else self.weight
        return jax.tree.map(lambda leaf: factor * leaf, terms.total)


def omega(weight: Float[ArrayLike, ""]) -> Penalty:
    """Eq. 9 of Pascanu et al. (2013): ratios of norms, summed over steps."""
    return Penalty(weight, ratio_of_norms)


def omega_squared(weight: Float[ArrayLike, ""]) -> Penalty:
    """As in the authors' code: ratios of squared norms, per step that is left."""
    return Penalty(weight, ratio_of_squares, per_step=True)


def _square(tree: PyTree) -> Any:
    """Squared Euclidean norm over all leaves."""
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))

"""Fixed points and 2-cycles of any one-unit cell, by its `step` alone, and their multipliers."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Bool, DTypeLike, Float, Inexact, PyTree

from landscape.cells import Cell

NOISE = 16  # rounding units: rounding lies within 2 of a root, the next root or point of a cycle from 1e5 on


class Orbits(NamedTuple):
    """Periodic points: ``state`` is the cell's state with a leading axis (point,), NaN in the slots not needed.

    ``multiplier`` (point,) tells what one turn of the orbit does to a small displacement (see `multiplier`).
    """

    state: PyTree
    multiplier: Inexact[Array, "*point orbit"]

    @property
    def stable(self) -> Bool[Array, "*point orbit"]:
        """Whether |multiplier| < 1; False in empty slots."""
        return jnp.abs(self.multiplier) < 1


def jacobian(cell: Cell, state: PyTree, x: Float[ArrayLike, ""] = 0.0) -> Float[Array, "unit unit"]:
    """``d step(state, x) / d state``, (n, n) for a state of n numbers in the order of its fields."""
    flat, unravel = ravel_pytree(state)
    return jax.jacfwd(lambda v: ravel_pytree(cell.step(unravel(v), x))[0])(flat)


def multiplier(matrix: Float[Array, "unit unit"]) -> Inexact[Array, ""]:
    """The eigenvalue of largest modulus of a Jacobian (n, n); of a complex pair its modulus."""
    if len(matrix) == 1:
        return matrix[0, 0]
    if len(matrix) > 2:
        return _leading(jnp.linalg.eigvals(matrix))
    half, det = jnp.trace(matrix) / 2, matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    square = half**2 - det
    real = half + jnp.where(half < 0, -1, 1).astype(half.dtype) * jnp.sqrt(jnp.maximum(square, 0))
    return jnp.where(square >= 0, real, jnp.sqrt(jnp.maximum(det, 0)))


def _leading(eigenvalues: jax.Array) -> jax.Array:
    largest = eigenvalues[jnp.argmax(jnp.abs(eigenvalues))]
    return jnp.where(largest.imag == 0, largest.real, jnp.abs(largest))


@jax.jit
def origin_multiplier(cell: Cell, x: Float[ArrayLike, ""] = 0.0) -> Inexact[Array, ""]:
    """How much of a small memory survives one step from the zero state: the multiplier there.

    Zero is a fixed point where the candidate has no bias, and then, with gates at their biases: SRNN ``w``,
    LSTM ``f + i o w_g``, GRU ``z + (1 - z) r w_h`` (reset before).
    """
    return multiplier(jacobian(cell, cell.initial(), x))


def nearest_to_one(matrix: Float[Array, "unit unit"]) -> Inexact[Array, ""]:
    """``min |1 - eigenvalue|`` of a Jacobian of one or two numbers: how far it is from a fold."""
    away = jnp.eye(len(matrix), dtype=matrix.dtype) - matrix
    largest = jnp.abs(multiplier(away))
    if len(matrix) == 1:
        return largest
    det = jnp.abs(away[0, 0] * away[1, 1] - away[0, 1] * away[1, 0])
    return jnp.where(largest > 0, det / jnp.where(largest > 0, largest, 1), 0)


def _settled(cell: Cell, x: ArrayLike) -> Callable[[Array], PyTree]:
    """``h -> state``: the state that a step leaves as it is in all but ``h``.

    Where ``c' = f c + i g`` is linear in c, its rest value at a held h is ``i g / (1 - f)``.
    """
    start = cell.initial()
    fields = [name for name in getattr(start, "_fields", ()) if jax.tree.leaves(getattr(start, name))]
    if jnp.ndim(start.h) != 0:
        raise ValueError(
            f"orbits are found for one unit, h of shape (); this {type(cell).__name__} has {start.h.shape}"
        )
    if fields == ["h"]:
        return lambda h: start._replace(h=h)
    peepholes = [name for name in ("p_i", "p_f", "p_o") if getattr(cell, name, None) is not None]
    if fields != ["h", "c"] or peepholes:
        raise ValueError(
            f"orbits are found where a state is h, or h and a c that enters its own step linearly; this "
            f"{type(cell).__name__} has {', '.join(peepholes) or 'the state ' + ', '.join(fields)}; "
            "use search(cell, starts)"
        )

    def settle(h: jax.Array) -> PyTree:
        rest = lambda c: cell.step(start._replace(h=h, c=c), x).c  # noqa: E731
        new, kept = jax.jvp(rest, (jnp.zeros_like(h),), (jnp.ones_like(h),))
        return start._replace(h=h, c=new / (1 - kept))

    return settle


def _grid(dtype: DTypeLike) -> jax.Array:
    """Where roots are looked for: dense in atanh(h) inside (-1, 1), where cells saturate, and on to ±1000."""
    inside, outside = np.tanh(np.linspace(-9, 9, 1201)), 1 + np.geomspace(1e-7, 999, 400)
    return jnp.asarray(np.concatenate([-outside[::-1], inside, outside]), dtype)


def bisect(
    g: Callable, sign: Float[ArrayLike, "..."], low: Float[Array, "*shape"], high: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """The root of an elementwise ``g`` that has ``sign`` at ``low`` and the other sign at ``high``, to rounding."""

    def halve(_: Array, ends: tuple) -> tuple:
        low, high = ends
        middle = low / 2 + high / 2
        same = jnp.sign(g(middle)) == sign
        return jnp.where(same, middle, low), jnp.where(same, high, middle)

    low, high = jax.lax.fori_loop(0, 64, halve, (low, high))
    ends = jnp.stack([low, high])
    return jnp.take_along_axis(ends, jnp.argmin(jnp.abs(jax.vmap(g)(ends)), 0)[None], 0)[0]


def _crossings(g: Callable, nodes: jax.Array, most: int) -> jax.Array:
    """Where ``g`` changes sign along ``nodes``; NaN after the last such place.

    A stretch on which rounding makes g zero keeps the sign before it, so that touching zero is not a crossing.
    """

    def kept(old: jax.Array, new: jax.Array) -> tuple[jax.Array, jax.Array]:
        sign = jnp.where(new == 0, old, new)
        return sign, sign

    signs = jnp.sign(jax.vmap(g)(nodes))
    signs = jax.lax.scan(kept, signs[0], signs)[1]  # a sequential scan: it compiles in half the time
    change = signs[1:] * signs[:-1] < 0
    (at,) = jnp.nonzero(change, size=most, fill_value=0)
    root = bisect(jax.vmap(g), signs[at], nodes[at], nodes[at + 1])
    return jnp.where(jnp.arange(most) < change.sum(), root, jnp.nan)


def _roots(g: Callable, grid: jax.Array, most: int) -> jax.Array:
    """All roots of ``g`` in increasing order; its turning points become nodes, so that no pair hides between two."""
    slope = lambda h: jax.jvp(g, (h,), (jnp.ones_like(h),))[1]  # noqa: E731
    nodes = jnp.sort(jnp.concatenate([grid, _crossings(slope, grid, 32)]))
    return _crossings(g, nodes, most)


def _resting(g: Callable, h: jax.Array) -> jax.Array:
    """Whether ``g`` passes through zero at ``h``, to rounding, and does not jump across it."""
    value, slope = jax.jvp(g, (h,), (jnp.ones_like(h),))
    return jnp.abs(value) <= math.sqrt(jnp.finfo(h.dtype).eps) * (1 + jnp.abs(h)) * (1 + jnp.abs(slope))


def _rounding(h: jax.Array) -> jax.Array:
    """What rounding may move a state by in a few steps."""
    return NOISE * jnp.finfo(h.dtype).eps * (1 + jnp.abs(h))


def _repeated(h: jax.Array) -> jax.Array:
    """Whether a root, of increasing ones, is the one before it again, at which rounding changed the sign more often."""
    return jnp.concatenate([jnp.zeros(1, bool), h[1:] - h[:-1] <= _rounding(h[1:])])


def _only(orbits: Orbits, there: jax.Array) -> Orbits:
    """The orbits that are there, in increasing order of h, before empty slots."""
    there &= functools.reduce(jnp.logical_and, [jnp.isfinite(leaf) for leaf in jax.tree.leaves(orbits.state)])
    order = jnp.argsort(jnp.where(there, orbits.state.h, jnp.nan))
    return jax.tree.map(lambda leaf: jnp.where(there, leaf, jnp.nan)[order], orbits)


@functools.partial(jax.jit, static_argnames="most")
def fixed_points(cell: Cell, x: Float[ArrayLike, ""] = 0.0, most: int = 8) -> Orbits:
    """All fixed points of one unit under constant input ``x``, in increasing order of h, at most ``most`` of them.

    Where the state is h alone these are the roots of step(h) - h; where c enters linearly, as in an LSTM without
    peepholes, c is eliminated first: ``o(h) tanh(i g / (1 - f)) = h``. Roots are bracketed on a grid that includes the
    turning points of that function, and bisected to rounding; |h| up to 1000 is searched. What is no rest is left out:
    a jump, or an h that only stands still because its c, never forgotten, grows for ever. Vmap it over cells.

    Raises ValueError for a cell whose state cannot be reduced to h; `search` takes any.
    """
    settle = _settled(cell, x)
    g = lambda h: cell.step(settle(h), x).h - h  # noqa: E731
    h = _roots(g, _grid(cell.initial().h.dtype), most)
    states = jax.vmap(settle)(h)
    orbits = Orbits(states, jax.vmap(lambda s: multiplier(jacobian(cell, s, x)))(states))
    return _only(orbits, jax.vmap(functools.partial(_resting, g))(h) & ~_repeated(h))


@functools.partial(jax.jit, static_argnames="most")
def two_cycles(cell: Cell, x: Float[ArrayLike, ""] = 0.0, most: int = 8) -> Orbits:
    """All states that return after two steps but not after one, in increasing order of h; both points of every cycle.

    With F the step these are the roots of ``(F(F(h)) - h) / (F(h) - h)``, from which the fixed points are divided out.
    ``multiplier`` is F'(h) F'(F(h)). Raises ValueError unless the state is h alone; `search` takes any.
    """
    if len(jax.tree.leaves(cell.initial())) != 1:
        raise ValueError(
            f"two-cycles are found where the state is h alone; {type(cell).__name__} carries more; "
            "use search(cell, starts, period=2)"
        )
    settle = _settled(cell, x)
    step = lambda h: cell.step(settle(h), x).h  # noqa: E731
    slope = lambda h: jax.jvp(step, (h,), (jnp.ones_like(h),))[1]  # noqa: E731

    def quotient(h: jax.Array) -> jax.Array:
        move = step(h) - h
        chord = (step(step(h)) - step(h)) / jnp.where(move == 0, 1, move)
        return 1 + jnp.where(move == 0, slope(h), chord)

    h = _roots(quotient, _grid(cell.initial().h.dtype), most)
    moves = jnp.abs(jax.vmap(step)(h) - h) > _rounding(h)  # else the quotient is that of two roundings
    return _only(Orbits(jax.vmap(settle)(h), jax.vmap(lambda h: slope(h) * slope(step(h)))(h)), moves)

"""Fixed points and cycles of any cell, a layer of n units or one unit whose state has many parts, by root finding."""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import ArrayLike, Bool, Float, Inexact, Int, PyTree, Real

from landscape.cells import Cell, check
from landscape.extras import needed


class Found(NamedTuple):
    """Periodic points of a map that a search came upon; there may be others.

    ``state`` has a leading axis (point,); ``residual`` (point,) is the largest component of F^period(s) - s, relative
    to the state where that exceeds 1; ``spectrum`` (point, number) are the eigenvalues of one turn's Jacobian, largest
    modulus first; ``starts`` (point,) counts the starts that led there. ``converged`` (start,) tells which starts led
    to a root at all, ``distance`` (start,) how far each is from being one.
    """

    state: PyTree
    residual: Float[np.ndarray, "point"]
    spectrum: Inexact[np.ndarray, "point number"]
    starts: Int[np.ndarray, "point"]
    converged: Bool[np.ndarray, "start"]
    distance: Float[np.ndarray, "start"]

    @property
    def stable(self) -> Bool[np.ndarray, "point"]:
        """Whether all eigenvalues lie inside the unit circle."""
        return np.abs(self.spectrum[:, 0]) < 1


def _optimistix() -> ModuleType:
    return needed("optimistix", "layers", "fixed points of a layer are found")


def _turn(cell: Cell, x: ArrayLike, unravel: Callable, period: int, s: jax.Array) -> jax.Array:
    # A loop of fixed length: it is differentiated either way, and compiles in the same time for any period.
    return jax.lax.scan(lambda s, _: (ravel_pytree(cell.step(unravel(s), x))[0], None), s, length=period)[0]


@functools.partial(jax.jit, static_argnames=("period", "steps"))
def _solve(cell: Cell, x: ArrayLike, starts: PyTree, period: int, steps: int) -> tuple:
    """Flat states (start, number), their residuals, how far a turn's divisors move them, and their Jacobians."""
    optimistix = _optimistix()
    one = jax.tree.map(lambda leaf: leaf[0], starts)
    unravel = ravel_pytree(one)[1]
    turn = functools.partial(_turn, cell, x, unravel)
    tolerance = 100 * float(jnp.finfo(ravel_pytree(one)[0].dtype).eps)
    solver = optimistix.LevenbergMarquardt(rtol=tolerance, atol=tolerance)

    def moves(s: jax.Array, period: int) -> jax.Array:
        return jnp.max(jnp.abs(turn(period, s) - s) / jnp.maximum(1, jnp.abs(s)))

    def solve(start: PyTree) -> tuple:
        flat = ravel_pytree(start)[0]
        s = optimistix.root_find(lambda s, _: turn(period, s) - s, solver, flat, max_steps=steps, throw=False).value
        sooner = [moves(s, k) for k in range(1, period) if period % k == 0]
        return (
            s,
            moves(s, period),
            jnp.min(jnp.stack([jnp.array(jnp.inf, s.dtype), *sooner])),
            jax.jacfwd(functools.partial(turn, period))(s),
        )

    return jax.vmap(solve)(starts)


def search(
    cell: Cell,
    starts: PyTree,
    x: Real[ArrayLike, "*input"] = 0.0,
    period: int = 1,
    steps: int = 256,
    tol: float | None = None,
) -> Found:
    """The points that return after ``period`` steps and not sooner, as far as ``starts`` lead to them.

    For a layer of n units, an LSTM's 2-cycles, or a unit with peepholes. ``starts`` are states of the cell with a
    leading axis (start,), or values of h, (start, unit) or (start,) for one unit, all else zero; ``x`` is one input,
    (input,) for a layer. From each start, optimistix'
    Levenberg-Marquardt goes at most ``steps`` iterations; it may end where no root is, so a root is what a turn moves
    by less than ``tol`` (relative to the state where that exceeds 1; by default the dtype's eps to the power 3/4).
    Roots closer than its square root are one, which keeps the best of them. Finds stable and unstable points alike,
    in the order of h. Absence from the answer is no proof of absence: count what new starts add.

    Raises ValueError unless period is at least 1, TypeError unless the cell can read x, ModuleNotFoundError without
    optimistix (extra ``layers``).
    """
    _optimistix()
    if period < 1:
        raise ValueError(f"period must be at least 1, given {period}")
    check(cell, np.shape(x))
    begin = starts if hasattr(starts, "h") else jax.vmap(cell.initial)(jnp.asarray(starts))
    unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], begin))[1]
    states, distance, sooner, matrices = map(np.asarray, _solve(cell, x, begin, period, steps))
    tol = float(np.finfo(states.dtype).eps ** 0.75) if tol is None else tol
    converged = distance < tol
    groups = _groups(states, np.nonzero(converged & ~(sooner < np.sqrt(tol)))[0], distance, np.sqrt(tol))
    best = np.array([group[0] for group in groups], int)
    eigenvalues = np.linalg.eigvals(matrices[best]) if len(best) else np.zeros((0, states.shape[1]))
    order = np.argsort(-np.abs(eigenvalues), axis=1, kind="stable")
    return Found(
        jax.vmap(unravel)(jnp.asarray(states[best])),
        distance[best],
        np.take_along_axis(eigenvalues, order, 1).astype(complex),
        np.array([len(group) for group in groups], int),
        converged,
        distance,
    )


def _groups(states: np.ndarray, rows: np.ndarray, distance: np.ndarray, reach: float) -> list[np.ndarray]:
    """Rows that are one point, best first, in the order of their first numbers."""
    groups = []
    left = rows[np.argsort(distance[rows], kind="stable")]
    while len(left):
        away = np.abs(states[left] - states[left[0]]) / np.maximum(1, np.abs(states[left[0]]))
        one = away.max(1) < reach
        groups.append(left[one])
        left = left[~one]
    return sorted(groups, key=lambda group: tuple(np.round(states[group[0]] / reach)))

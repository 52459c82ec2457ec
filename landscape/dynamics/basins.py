"""Where the orbit of a start state ends, and how fast neighbours part on the way."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from landscape.cells import Cell
from landscape.dynamics.orbits import multiplier

LABELS = {1: "fixed point", 2: "two-cycle", 3: "other", 0: "not settled", -1: "not finite"}
BLOCK = 64  # steps between two looks at whether an orbit has settled


class Attractor(NamedTuple):
    """Where an orbit ends: ``label`` is a key of `LABELS`, its period if that is 1 or 2.

    ``state`` is the point of the fixed point or cycle that the orbit has reached, or its last state; ``multiplier`` is
    that of the fixed point or cycle (its modulus is below 1 unless the start lies on something unstable), else NaN;
    ``steps`` is the first t from which on ``|F^period(h_t) - h_t| < tol``, else -1.
    """

    label: Int[Array, "*point"]
    state: PyTree
    multiplier: Float[Array, "*point"]
    steps: Int[Array, "*point"]


def _solve(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    return vector / matrix[0] if len(vector) == 1 else jnp.linalg.solve(matrix, vector)


def _size(vector: jax.Array, at: jax.Array) -> jax.Array:
    """The largest component, each relative to the state it belongs to where that exceeds 1."""
    return jnp.max(jnp.abs(vector) / jnp.maximum(1, jnp.abs(at)))


def _newton(step: Callable, s: jax.Array) -> jax.Array:
    """The fixed point of ``step`` near ``s``, where `_root` is sure of one."""
    away = lambda s: jnp.eye(len(s), dtype=s.dtype) - jax.jacfwd(step)(s)  # noqa: E731
    return jax.lax.fori_loop(0, 6, lambda _, s: s + _solve(away(s), step(s) - s), s)


def _root(step: Callable, s: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How far the fixed point of ``step`` is that Newton sees from ``s``, and whether it is there.

    Kantorovich's number along the Newton step d, ``K = |step''(s) d²| / (|1 - step'(s)| |d|)``, decides. A root there
    follows from K < 1/2. Where a fold has just lost its roots K is at least 1/2 up to terms of third order, however
    short the steps have become, and on the slow way to a cusp or a flip it is 2/3; so 1/4 is asked for. Rounding counts
    as a displacement, so that an orbit frozen by it is not taken for one at rest.
    """
    away = jnp.eye(len(s), dtype=s.dtype) - jax.jacfwd(step)(s)
    off = step(s) - s
    least = 4 * jnp.finfo(s.dtype).eps * (1 + jnp.abs(s))
    move = _solve(away, jnp.where(off < 0, -1, 1).astype(s.dtype) * jnp.maximum(jnp.abs(off), least))
    bend = jax.jvp(lambda s: jax.jvp(step, (s,), (move,))[1], (s,), (move,))[1]
    distance = _size(move, s)
    return distance, _size(_solve(away, bend), s) < distance / 4


def _label(step: Callable, s: jax.Array, ahead: jax.Array, near: jax.Array) -> jax.Array:
    """Label of an orbit at ``s``, 0 if none yet; ``near`` tells whether it is back after 1 and 2 steps."""
    (_, one), (distance, two) = _root(step, s), _root(lambda s: step(step(s)), s)
    two &= _size(ahead - s, s) > 4 * distance  # else the two phases may be one point
    label = jnp.where(near[0] & one, 1, jnp.where(near[1] & two, 2, 0))
    return jnp.where(jnp.all(jnp.isfinite(s)), label, -1).astype(jnp.int32)


def _wanders(step: Callable, s: jax.Array, steps: int, tol: ArrayLike, needed: jax.Array) -> jax.Array:
    """Whether every second state goes to and fro without end, rather than creeping one way or ever less.

    Seen in two windows of steps/4: the path in the second exceeds four times the span it covers, and is not shorter
    than in the first by a tenth.
    """
    window = max(1, steps // 8)

    def advance(carry: tuple) -> tuple:
        t, s, path, low, high = carry
        new = step(step(s))
        path = path.at[t // window].add(jnp.abs(new - s))
        second = t >= window
        return (
            t + 1,
            new,
            path,
            jnp.where(second, jnp.minimum(low, s), low),
            jnp.where(second, jnp.maximum(high, s), high),
        )

    begin = (
        jnp.zeros((), jnp.int32),
        s,
        jnp.zeros((2, *s.shape), s.dtype),
        jnp.full_like(s, jnp.inf),
        jnp.full_like(s, -jnp.inf),
    )
    _, _, (before, path), low, high = jax.lax.while_loop(lambda c: needed & (c[0] < 2 * window), advance, begin)
    moves = path > window * tol * jnp.maximum(1, jnp.abs(high))
    return jnp.any(moves & (path > 4 * (high - low)) & (path > 0.9 * before))


@functools.partial(jax.jit, static_argnames="steps")
def attractor(
    cell: Cell,
    x: Float[ArrayLike, ""] = 0.0,
    start: Float[ArrayLike, ""] = 0.0,
    steps: int = 10_000,
    tol: Float[ArrayLike, ""] = 1e-6,
) -> Attractor:
    """Where the orbit from ``start`` ends under constant input ``x``: an `Attractor`, with a label that can be trusted.

    ``start`` is h, all else zero, or a whole state, such as ``LSTMState(h=0.2, c=1.0)``. At most ``steps`` steps are
    made, and half as many again to tell wandering from creeping. A fixed point or 2-cycle is claimed only where the
    orbit moves by less than ``tol`` (relative to the state where that exceeds 1) *and* Newton's method is sure of a
    root there; "other" is an orbit of higher period, quasi-periodic or chaotic; "not settled" is one that still
    creeps, as near a fold, or at an h that is saturated while c grows; "not finite" one that has left every bound.
    One start, one cell: vmap it over cells (`attractors` maps a plane) or starts.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps must be a whole number from 1 up, given {steps!r}")
    flat, unravel = ravel_pytree(start if hasattr(start, "h") else cell.initial(start))
    step = lambda s: ravel_pytree(cell.step(unravel(s), x))[0]  # noqa: E731

    def advance(_: Array, carry: tuple) -> tuple:
        t, s, ahead, since = carry
        beyond = step(ahead)
        near = jnp.stack([_size(ahead - s, s), _size(beyond - s, s)]) < tol
        return t + 1, ahead, beyond, jnp.where(near, since, t + 1)

    def block(carry: tuple) -> tuple:
        t, s, ahead, since = jax.lax.fori_loop(0, BLOCK, advance, carry[:4])
        return t, s, ahead, since, _label(step, s, ahead, since < t)

    zero = jnp.zeros((), jnp.int32)
    begin = (zero, flat, step(flat), jnp.zeros(2, jnp.int32), zero)
    _, s, _, since, label = jax.lax.while_loop(lambda c: (c[4] == 0) & (c[0] < steps), block, begin)
    wanders = _wanders(step, s, steps, tol, label == 0)
    label = jnp.where((label == 0) & wanders, 3, label).astype(jnp.int32)
    settled, turn = (label == 1) | (label == 2), lambda s: jnp.where(label == 2, step(step(s)), step(s))
    s = jnp.where(settled, _newton(turn, s), s)
    growth = jnp.where(settled, multiplier(jax.jacfwd(turn)(s)), jnp.nan)
    return Attractor(label, unravel(s), growth, jnp.where(settled, since[jnp.maximum(label, 1) - 1], -1))


@functools.partial(jax.jit, static_argnames="discard")
def lyapunov_exponent(
    cell: Cell, x: Float[ArrayLike, "time *input"], start: Float[ArrayLike, "*unit"] = 0.0, discard: int = 0
) -> Float[Array, ""]:
    """The largest Lyapunov exponent, in nats a step, of the orbit from ``h = start`` under inputs ``x`` (time, ...).

    The mean over time, after ``discard`` steps, of the log growth of a tangent vector renormalised at every step. On a
    finite orbit it is the exponent that a gradient through time sees; -inf where a derivative is exactly zero.
    ``x`` is zero for the unit left alone, and noise for one that is driven by it. The tangent begins as (1, ..., 1): of
    a layer whose symmetry keeps that direction, as equal units have, this is the exponent along it.
    """
    state = cell.initial(start)
    tangent = jax.tree.map(jnp.ones_like, state)

    def size(tangent: PyTree) -> Float[Array, ""]:
        return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tangent)))

    def step(carry: tuple, x: Array) -> tuple:
        state, tangent = jax.jvp(lambda s: cell.step(s, x), (carry[0],), (carry[1],))
        grown = size(tangent)
        safe = jnp.where(grown > 0, grown, 1)
        return (state, jax.tree.map(lambda t: t / safe, tangent)), jnp.log(grown)

    unit = jax.tree.map(lambda t: t / size(tangent), tangent)
    return jnp.mean(jax.lax.scan(step, (state, unit), jnp.asarray(x))[1][discard:])

"""Orbits of small maps: fixed points, cycles and their multipliers, bifurcation curves, cliffs, and memory under noise.

The first part takes any one-unit cell and asks only for its ``step``. The rest is closed form, for ``a' = w f(a) + b``:
the maps `landscape.cells.Pascanu` and `TanhMap` in their state, and every `SRNN` h' = f(w h + b) in its pre-activation
``a = w h + b``, so that both have the same curves in the plane (w, b).
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from landscape.cells import Cell, logistic

# ---------------------------------------------------------------------------------------------------------------------
# Any one-unit cell


class Orbits(NamedTuple):
    """Periodic points: ``state`` is the cell's state with a leading axis (point,), NaN in the slots not needed.

    ``multiplier`` (point,) tells what one turn of the orbit does to a small displacement (see `multiplier`).
    """

    state: Any
    multiplier: jax.Array

    @property
    def stable(self) -> jax.Array:
        """Whether |multiplier| < 1; False in empty slots."""
        return jnp.abs(self.multiplier) < 1


def jacobian(cell: Cell, state: Any, x: Any = 0.0) -> jax.Array:
    """``d step(state, x) / d state``, (n, n) for a state of n numbers in the order of its fields."""
    flat, unravel = ravel_pytree(state)
    return jax.jacfwd(lambda v: ravel_pytree(cell.step(unravel(v), x))[0])(flat)


def multiplier(matrix: jax.Array) -> jax.Array:
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
def origin_multiplier(cell: Cell, x: Any = 0.0) -> jax.Array:
    """How much of a small memory survives one step from the zero state: the multiplier there.

    Zero is a fixed point where the candidate has no bias, and then, with gates at their biases: SRNN ``w``,
    LSTM ``f + i o w_g``, GRU ``z + (1 - z) r w_h`` (reset before).
    """
    return multiplier(jacobian(cell, cell.initial(), x))


def _settled(cell: Cell, x: Any) -> Callable[[jax.Array], Any]:
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
            f"{type(cell).__name__} has {', '.join(peepholes) or 'the state ' + ', '.join(fields)}; iterate it instead"
        )

    def settle(h: jax.Array) -> Any:
        rest = lambda c: cell.step(start._replace(h=h, c=c), x).c  # noqa: E731
        new, kept = jax.jvp(rest, (jnp.zeros_like(h),), (jnp.ones_like(h),))
        return start._replace(h=h, c=new / (1 - kept))

    return settle


def _grid(dtype: Any) -> jax.Array:
    """Where roots are looked for: dense in atanh(h) inside (-1, 1), where cells saturate, and on to ±1000."""
    inside, outside = np.tanh(np.linspace(-9, 9, 1201)), 1 + np.geomspace(1e-7, 999, 400)
    return jnp.asarray(np.concatenate([-outside[::-1], inside, outside]), dtype)


def _bisect(g: Callable, sign: Any, low: jax.Array, high: jax.Array) -> jax.Array:
    """The root of an elementwise ``g`` that has ``sign`` at ``low`` and the other sign at ``high``, to rounding."""

    def halve(_: Any, ends: tuple) -> tuple:
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
    signs = jax.lax.associative_scan(lambda old, new: jnp.where(new == 0, old, new), jnp.sign(jax.vmap(g)(nodes)))
    change = signs[1:] * signs[:-1] < 0
    (at,) = jnp.nonzero(change, size=most, fill_value=0)
    root = _bisect(jax.vmap(g), signs[at], nodes[at], nodes[at + 1])
    return jnp.where(jnp.arange(most) < change.sum(), root, jnp.nan)


def _roots(g: Callable, grid: jax.Array, most: int) -> jax.Array:
    """All roots of ``g`` in increasing order; its turning points become nodes, so that no pair hides between two."""
    slope = lambda h: jax.jvp(g, (h,), (jnp.ones_like(h),))[1]  # noqa: E731
    nodes = jnp.sort(jnp.concatenate([grid, _crossings(slope, grid, 32)]))
    return _crossings(g, nodes, most)


@functools.partial(jax.jit, static_argnames="most")
def fixed_points(cell: Cell, x: Any = 0.0, most: int = 8) -> Orbits:
    """All fixed points of one unit under constant input ``x``, in increasing order of h, at most ``most`` of them.

    Where the state is h alone these are the roots of step(h) - h; where c enters linearly, as in an LSTM without
    peepholes, c is eliminated first: ``o(h) tanh(i g / (1 - f)) = h``. Roots are bracketed on a grid that includes the
    turning points of that function, and bisected to rounding; |h| up to 1000 is searched. Vmap it over cells.

    Raises ValueError for a cell whose state cannot be reduced to h.
    """
    settle = _settled(cell, x)
    h = _roots(lambda h: cell.step(settle(h), x).h - h, _grid(cell.initial().h.dtype), most)
    states = jax.vmap(settle)(h)
    return Orbits(states, jax.vmap(lambda s: multiplier(jacobian(cell, s, x)))(states))


@functools.partial(jax.jit, static_argnames="most")
def two_cycles(cell: Cell, x: Any = 0.0, most: int = 8) -> Orbits:
    """All states that return after two steps but not after one, in increasing order of h; both points of every cycle.

    With F the step these are the roots of ``(F(F(h)) - h) / (F(h) - h)``, from which the fixed points are divided out.
    ``multiplier`` is F'(h) F'(F(h)). Raises ValueError unless the state is h alone.
    """
    if len(jax.tree.leaves(cell.initial())) != 1:
        raise ValueError(
            f"two-cycles are found where the state is h alone; {type(cell).__name__} carries more, iterate it"
        )
    settle = _settled(cell, x)
    step = lambda h: cell.step(settle(h), x).h  # noqa: E731
    slope = lambda h: jax.jvp(step, (h,), (jnp.ones_like(h),))[1]  # noqa: E731

    def quotient(h: jax.Array) -> jax.Array:
        move = step(h) - h
        chord = (step(step(h)) - step(h)) / jnp.where(move == 0, 1, move)
        return 1 + jnp.where(move == 0, slope(h), chord)

    h = _roots(quotient, _grid(cell.initial().h.dtype), most)
    return Orbits(jax.vmap(settle)(h), jax.vmap(lambda h: slope(h) * slope(step(h)))(h))


@functools.partial(jax.jit, static_argnames="discard")
def lyapunov_exponent(cell: Cell, x: Any, start: Any = 0.0, discard: int = 0) -> jax.Array:
    """The largest Lyapunov exponent, in nats a step, of the orbit from ``h = start`` under inputs ``x`` (time, ...).

    The mean over time, after ``discard`` steps, of the log growth of a tangent vector renormalised at every step. On a
    finite orbit it is the exponent that a gradient through time sees; -inf where a derivative is exactly zero.
    """
    state = cell.initial(start)
    tangent = jax.tree.map(jnp.ones_like, state)

    def size(tangent: Any) -> jax.Array:
        return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tangent)))

    def step(carry: tuple, x: Any) -> tuple:
        state, tangent = jax.jvp(lambda s: cell.step(s, x), (carry[0],), (carry[1],))
        grown = size(tangent)
        safe = jnp.where(grown > 0, grown, 1)
        return (state, jax.tree.map(lambda t: t / safe, tangent)), jnp.log(grown)

    unit = jax.tree.map(lambda t: t / size(tangent), tangent)
    return jnp.mean(jax.lax.scan(step, (state, unit), jnp.asarray(x))[1][discard:])


# ---------------------------------------------------------------------------------------------------------------------
# Curves of a' = w f(a) + b in the plane (w, b). One picture gives them all: a is a fixed point along a straight line


def _slope(f: Callable, a: Any) -> jax.Array:
    a = jnp.asarray(a, jnp.result_type(float))
    return jax.jvp(f, (a,), (jnp.ones_like(a),))[1]


def fixed_point_line(f: Callable, a: Any, w: Any) -> jax.Array:
    """The bias ``b = a - w f(a)`` at which ``a`` is a fixed point; its multiplier there is ``w f'(a)``.

    At a = x_0 it is the basin cliff, at the preimage of a target the valley of zero loss (Pascanu et al. 2013, fig. 6:
    x_0 = .5, target logistic(a) = .7).
    """
    return a - w * f(jnp.asarray(a, jnp.result_type(float)))


def crossing(f: Callable, a: Any, other: Any) -> tuple[jax.Array, jax.Array]:
    """The (w, b) at which both ``a`` and ``other`` are fixed points, such as where a valley runs into a cliff."""
    a, other = (jnp.asarray(value, jnp.result_type(float)) for value in (a, other))
    w = (a - other) / (f(a) - f(other))
    return w, fixed_point_line(f, a, w)


def fold_curve(f: Callable, a: Any) -> tuple[jax.Array, jax.Array]:
    """The (w, b) at which ``a`` is a fixed point with multiplier +1: ``w = 1/f'(a), b = a - f(a)/f'(a)``.

    The envelope of the lines of fixed points. At a = x_0 it is the point where a fold cliff turns into a basin cliff.
    """
    w = 1 / _slope(f, a)
    return w, fixed_point_line(f, a, w)


def flip_curve(f: Callable, a: Any) -> tuple[jax.Array, jax.Array]:
    """The (w, b) at which ``a`` is a fixed point with multiplier -1 (period doubling): ``w = -1/f'(a)``."""
    w = -1 / _slope(f, a)
    return w, fixed_point_line(f, a, w)


def bend(f: Callable, w: Any) -> jax.Array:
    """The state ``a >= 0`` at which ``|w| f'(a) = 1``, for f tanh or logistic; NaN where |w| f' is below 1 everywhere.

    tanh: ``acosh(sqrt|w|)``; logistic: ``2 acosh(sqrt|w| / 2)``. Raises ValueError for any other f.
    """
    if f not in (jnp.tanh, logistic):
        raise ValueError(f"f must be jnp.tanh or logistic, given {f}; for others draw fold_curve(f, a) along a")
    root = jnp.sqrt(jnp.abs(jnp.asarray(w, jnp.result_type(float))))
    return jnp.arccosh(root) if f is jnp.tanh else 2 * jnp.arccosh(root / 2)


def folds(f: Callable, w: Any) -> tuple[jax.Array, jax.Array]:
    """The two biases between which there are three fixed points: below the first the upper state is gone, above the
    second the lower. NaN outside the cusp, w < 1 for tanh and w < 4 for logistic.

    For tanh they are -M and M, ``M = sqrt(w(w-1)) - atanh(sqrt(1 - 1/w))``: the constant input that just overcomes a
    stored bit (Bengio et al. 1994, h*).
    """
    a = jnp.where(jnp.asarray(w) > 0, bend(f, w), jnp.nan)
    return fixed_point_line(f, a, w), fixed_point_line(f, -a, w)


def flips(f: Callable, w: Any) -> tuple[jax.Array, jax.Array]:
    """The two biases between which the fixed point has given way to a 2-cycle; NaN for w > -1 (tanh), -4 (logistic)."""
    a = jnp.where(jnp.asarray(w) < 0, bend(f, w), jnp.nan)
    return fixed_point_line(f, -a, w), fixed_point_line(f, a, w)


class Cliff(NamedTuple):
    """Where the loss jumps as length grows, and the multiplier of the unstable state that the start sits on there.

    |multiplier| > 1 is a basin cliff, of width ~ |multiplier|**-T; below -1 its jump changes sign with the parity of T.
    1 is a fold cliff, displaced ~ T**-2 and steep ~ T**3. NaN where there is no cliff.
    """

    b: jax.Array
    multiplier: jax.Array


def cliff_line(f: Callable, w: Any, start: float) -> Cliff:
    """The bias of the cliff of ``a' = w f(a) + b`` from ``a_0 = start``, f tanh or logistic, at each ``w``.

    Where ``|w| f'(start) >= 1`` it is the line on which the start is the unstable fixed point; for smaller w, down to
    the cusp, the fold at which the attractor on the start's side is lost. Both meet as tangents at
    ``fold_curve(f, start)``. An SRNN h' = f(w h + b) from h_0 has the line of ``start = f^-1(h_0)``.
    """
    line, growth = fixed_point_line(f, start, w), w * _slope(f, start)
    upper, lower = folds(f, w)
    fold = upper if start > 0 else lower
    basin = jnp.abs(growth) >= 1
    return Cliff(jnp.where(basin, line, fold), jnp.where(basin, growth, jnp.where(jnp.isnan(fold), jnp.nan, 1.0)))


def passage_constant(f: Callable, w: Any) -> jax.Array:
    """``A = |w f''(a)| / 2`` at the fold of tanh or logistic: past it an orbit lingers T = pi / sqrt(A |b - b_fold|).

    So a fold cliff is displaced by ``(pi/T)**2 / A``, and its steepest state gradient grows as T**3.
    """
    a = bend(f, w)
    return jnp.abs(w * jax.jvp(lambda a: _slope(f, a), (a,), (jnp.ones_like(a),))[1]) / 2


# ---------------------------------------------------------------------------------------------------------------------
# The stored bit: a_t = w tanh(a_{t-1}) + b + u x_t, x_1 = ±1, then noise


def latching_bound(w: Any, u: Any) -> jax.Array:
    """The bias ``B(w, u)`` below which a tanh unit keeps both bits of input ±1 for ever: w > 1 and |b| < B.

    ``B = |u| - atanh(|u|/w)`` where |u| < sqrt(w (w - 1)), else the fold M(w) of `folds`; 0 where w <= 1. With noise
    bounded by e on every input the bits are safe if and only if ``|b| + |u| e < B``: for one unit, the sharp form of
    the input bound of Bengio et al. (1994), sec. III.
    """
    w, u = jnp.asarray(w, jnp.result_type(float)), jnp.abs(jnp.asarray(u, jnp.result_type(float)))
    safe = jnp.where(w > 1, w, 2.0)
    early = u < jnp.sqrt(safe * (safe - 1))
    bound = jnp.where(early, u - jnp.arctanh(jnp.where(early, u / safe, 0)), folds(jnp.tanh, safe)[1])
    return jnp.where(w > 1, bound, 0.0)


def latches(w: Any, u: Any, b: Any = 0.0, noise: Any = 0.0) -> jax.Array:
    """Whether a tanh unit keeps both bits for ever under any noise of modulus at most ``noise`` on every input."""
    return jnp.abs(b) + jnp.abs(u) * noise < latching_bound(w, u)


class StoredBit(NamedTuple):
    """What is left of a bit after each length, averaged over all noise: each (length,).

    ``correct`` is P(sign h_T = bit), ``signal`` is D_T = E[h_T | +] - E[h_T | -], ``loss`` is E[(h_T - bit)²], the
    expectation of the loss of `landscape.tasks.latch`.
    """

    correct: np.ndarray
    signal: np.ndarray
    loss: np.ndarray


def _transition(w: float, b: float, sigma: float, reach: float) -> tuple[np.ndarray, np.ndarray, Callable]:
    """A symmetric grid of states, the kernel K[a, a'] of one noisy step on it, and the weights of a Gaussian.

    Midpoint rule with spacing sigma/6: the sum of a Gaussian over it is exact to double precision.
    """
    top = max(abs(w) + abs(b), reach) + 9 * sigma
    half = math.ceil(6 * top / sigma)
    spacing = top / half
    a = (np.arange(2 * half) - half + 0.5) * spacing

    def weights(mean: Any) -> np.ndarray:
        z = (a - np.asarray(mean)[..., None]) / sigma
        return np.exp(-(z**2) / 2) * spacing / (sigma * math.sqrt(2 * math.pi))

    return a, weights(w * np.tanh(a) + b), weights


def _noise(u: float, noise: float) -> float:
    if not abs(u) * noise > 0:
        raise ValueError(
            f"the noise |u| * noise must be positive, given u={u}, noise={noise}; without it use `latches`"
        )
    return abs(u) * noise


def stored_bit(w: float, u: float, b: float, noise: float, lengths: Sequence[int]) -> StoredBit:
    """What a tanh unit keeps of a bit ±1 read at the first step, under Gaussian noise of sd ``noise`` at every step.

    Exact (Chapman-Kolmogorov), no sampling: the expectations of sign, h and h² are carried backward through the noise.
    float64 whatever JAX's setting; a step multiplies by a matrix of about (12 (|w| + |b|) / (|u| noise))² numbers.
    """
    sigma = _noise(u, noise)
    a, kernel, weights = _transition(w, b, sigma, abs(u) + abs(b))
    normal = np.vectorize(lambda z: math.erf(z / math.sqrt(2)))  # the mean of the sign of a Gaussian of mean z
    plus, minus = weights(b + u), weights(b - u)
    h, square, sign = np.tanh(a), np.tanh(a) ** 2, normal((w * np.tanh(a) + b) / sigma)  # sign, of one step later
    signed, rows = float(normal((b + u) / sigma) - normal((b - u) / sigma)), {}
    for length in range(1, max(lengths) + 1):
        if length > 1:
            signed = (plus - minus) @ sign
            sign, h, square = kernel @ sign, kernel @ h, kernel @ square
        signal = (plus - minus) @ h
        rows[length] = (0.5 + signed / 4, signal, 1 - signal + (plus + minus) @ square / 2)
    return StoredBit(*np.array([rows[length] for length in lengths]).T)


def noise_multiplier(w: float, u: float, noise: float) -> float:
    """The noise-dressed multiplier lambda_2 of a tanh unit without bias: ``D_T ~ lambda_2**T`` (see `stored_bit`).

    The top eigenvalue of the odd half of the transition kernel under Gaussian noise of sd ``noise``: what w is to a
    noise-free unit at the origin. Memory lasts -1/ln|lambda_2| steps; signs flip at the rate (1 - |lambda_2|)/2.
    """
    _, kernel, _ = _transition(abs(w), 0.0, _noise(u, noise), 0.0)
    half = len(kernel) // 2
    odd = kernel[half:, half:] - kernel[half:, :half][:, ::-1]
    return math.copysign(float(np.abs(np.linalg.eigvals(odd)).max()), w)


def kramers_rate(w: Any, sigma: Any) -> jax.Array:
    """Kramers' rate of sign flips per step of a bistable tanh unit, w > 1 and b = 0, for weak noise ``sigma = |u| sd``.

    ``k = sqrt((1 - m)(w - 1)) / (2 pi) exp(-2 dV / sigma²)`` with V(a) = a²/2 - w ln cosh a and m the multiplier of the
    stored state. It treats time as continuous: within 5 % for w <= 1.3, too small by a factor from w = 2 on.
    """
    w = jnp.asarray(w, jnp.result_type(float))
    stored = _bisect(lambda a: a - w * jnp.tanh(a), -1, bend(jnp.tanh, w), jnp.abs(w))
    barrier = w * jnp.log(jnp.cosh(stored)) - stored**2 / 2
    rate = jnp.sqrt((1 - w * _slope(jnp.tanh, stored)) * (w - 1)) / (2 * jnp.pi)
    return rate * jnp.exp(-2 * barrier / jnp.asarray(sigma, w.dtype) ** 2)

"""Curves of ``a' = w f(a) + b`` in the plane (w, b), in closed form: lines of fixed points, their envelope, cliffs.

These are the maps `landscape.cells.Pascanu` and `TanhMap` in their state, and every `SRNN` h' = f(w h + b) in its
pre-activation ``a = w h + b``, so that both have the same curves. One picture gives them all: along a straight line of
the plane, a is a fixed point.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Inexact

from landscape.activations import LOGISTIC, TANH
from landscape.cells import Cell, Pascanu
from landscape.dynamics.orbits import fixed_points

Values = Float[ArrayLike, "*point"]


def _scalar(f: Callable | Cell) -> Callable:
    if isinstance(f, Cell):
        raise ValueError(
            f"closed forms are those of a' = w f(a) + b, f a function such as landscape.cells.tanh; {type(f).__name__} "
            "has none: trace its curves numerically with bifurcations(plane(cell, ...))"
        )
    return f


def slope(f: Callable, a: Values) -> Float[Array, "*point"]:
    """``f'(a)``. Raises ValueError for a cell, like everything here that asks for f."""
    f = _scalar(f)
    a = jnp.asarray(a, jnp.result_type(float))
    return jax.jvp(f, (a,), (jnp.ones_like(a),))[1]


def fixed_point_line(f: Callable, a: Values, w: Values) -> Float[Array, "*point"]:
    """The bias ``b = a - w f(a)`` at which ``a`` is a fixed point; its multiplier there is ``w f'(a)``.

    At a = x_0 it is the basin cliff, at the preimage of a target the valley of zero loss (Pascanu et al. 2013, fig. 6:
    x_0 = .5, target logistic(a) = .7).
    """
    f = _scalar(f)
    return a - w * f(jnp.asarray(a, jnp.result_type(float)))


def crossing(f: Callable, a: Values, other: Values) -> tuple[Float[Array, "*point"], Float[Array, "*point"]]:
    """The (w, b) at which both ``a`` and ``other`` are fixed points, such as where a valley runs into a cliff."""
    a, other = (jnp.asarray(value, jnp.result_type(float)) for value in (a, other))
    w = (a - other) / (f(a) - f(other))
    return w, fixed_point_line(f, a, w)


def fold_curve(f: Callable, a: Values) -> tuple[Float[Array, "*point"], Float[Array, "*point"]]:
    """The (w, b) at which ``a`` is a fixed point with multiplier +1: ``w = 1/f'(a), b = a - f(a)/f'(a)``.

    The envelope of the lines of fixed points. At a = x_0 it is the point where a fold cliff turns into a basin cliff.
    """
    w = 1 / slope(f, a)
    return w, fixed_point_line(f, a, w)


class Tangents(NamedTuple):
    """The lines of fixed points through a point of the plane (w, b), each (line,), NaN in the slots not needed.

    The line of state ``a`` is ``b = a - w f(a)`` (`fixed_point_line`) and touches the fold curve at ``(w, b)``;
    ``multiplier`` is that of a at the point asked for: below 1 before the line touches (in the sense of growing w).
    """

    a: Float[Array, "line"]
    multiplier: Inexact[Array, "line"]
    w: Float[Array, "line"]
    b: Float[Array, "line"]


def tangents(f: Callable, w: Values, b: Values, most: int = 8) -> Tangents:
    """The tangents of the fold curve through a point (w, b): one for each fixed point of ``a' = w f(a) + b``.

    The picture that gives every curve here: inside the cusp three tangents pass through a point, outside one, and on
    the fold curve two of three are the same. ``most`` as in `fixed_points`.
    """
    w, b = (jnp.asarray(value, jnp.result_type(float)) for value in (w, b))
    orbits = fixed_points(Pascanu(w=w, b=b, f=_scalar(f)), most=most)
    return Tangents(orbits.state.h, orbits.multiplier, *fold_curve(f, orbits.state.h))


def flip_curve(f: Callable, a: Values) -> tuple[Float[Array, "*point"], Float[Array, "*point"]]:
    """The (w, b) at which ``a`` is a fixed point with multiplier -1 (period doubling): ``w = -1/f'(a)``."""
    w = -1 / slope(f, a)
    return w, fixed_point_line(f, a, w)


def bend(f: Callable, w: Values) -> Float[Array, "*point"]:
    """The state ``a >= 0`` at which ``|w| f'(a) = 1``, for f tanh or logistic; NaN where |w| f' is below 1 everywhere.

    tanh: ``acosh(sqrt|w|)``; logistic: ``2 acosh(sqrt|w| / 2)``. Raises ValueError for any other f.
    """
    if _scalar(f) not in TANH + LOGISTIC:
        raise ValueError(
            f"f must be tanh or logistic of landscape.cells, given {f}; for others draw fold_curve(f, a) along a"
        )
    root = jnp.sqrt(jnp.abs(jnp.asarray(w, jnp.result_type(float))))
    return jnp.arccosh(root) if f in TANH else 2 * jnp.arccosh(root / 2)


def folds(f: Callable, w: Values) -> tuple[Float[Array, "*point"], Float[Array, "*point"]]:
    """The two biases between which there are three fixed points: below the first the upper state is gone, above the
    second the lower. NaN outside the cusp, w < 1 for tanh and w < 4 for logistic.

    For tanh they are -M and M, ``M = sqrt(w(w-1)) - atanh(sqrt(1 - 1/w))``: the constant input that just overcomes a
    stored bit (Bengio et al. 1994, h*).
    """
    a = jnp.where(jnp.asarray(w) > 0, bend(f, w), jnp.nan)
    return fixed_point_line(f, a, w), fixed_point_line(f, -a, w)


def flips(f: Callable, w: Values) -> tuple[Float[Array, "*point"], Float[Array, "*point"]]:
    """The two biases between which the fixed point has given way to a 2-cycle; NaN for w > -1 (tanh), -4 (logistic)."""
    a = jnp.where(jnp.asarray(w) < 0, bend(f, w), jnp.nan)
    return fixed_point_line(f, -a, w), fixed_point_line(f, a, w)


class Cliff(NamedTuple):
    """Where the loss jumps as length grows, and the multiplier of the unstable state that the start sits on there.

    |multiplier| > 1 is a basin cliff, of width ~ |multiplier|**-T; below -1 its jump changes sign with the parity of T.
    1 is a fold cliff, displaced ~ T**-2 and steep ~ T**3. NaN where there is no cliff.
    """

    b: Float[Array, "*point"]
    multiplier: Float[Array, "*point"]


def cliff_line(f: Callable, w: Values, start: float) -> Cliff:
    """The bias of the cliff of ``a' = w f(a) + b`` from ``a_0 = start``, f tanh or logistic, at each ``w``.

    Where ``|w| f'(start) >= 1`` it is the line on which the start is the unstable fixed point; for smaller w, down to
    the cusp, the fold at which the attractor on the start's side is lost. Both meet as tangents at
    ``fold_curve(f, start)``. An SRNN h' = f(w h + b) from h_0 has the line of ``start = f^-1(h_0)``.
    """
    line, growth = fixed_point_line(f, start, w), w * slope(f, start)
    upper, lower = folds(f, w)
    fold = upper if start > 0 else lower
    basin = jnp.abs(growth) >= 1
    return Cliff(jnp.where(basin, line, fold), jnp.where(basin, growth, jnp.where(jnp.isnan(fold), jnp.nan, 1.0)))


def passage_constant(f: Callable, w: Values) -> Float[Array, "*point"]:
    """``A = |w f''(a)| / 2`` at the fold of tanh or logistic: past it an orbit lingers T = pi / sqrt(A |b - b_fold|).

    So a fold cliff is displaced by ``(pi/T)**2 / A``, and its steepest state gradient grows as T**3.
    """
    a = bend(f, w)
    return jnp.abs(w * jax.jvp(lambda a: slope(f, a), (a,), (jnp.ones_like(a),))[1]) / 2

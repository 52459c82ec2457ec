"""Jets: a value with its derivatives along coordinates, pushed forward through a function and kept in range.

Coordinate k is differentiated as ``p_k + 2**-e_k q``: derivatives with respect to q are mantissas, and the integer
exponents e_k grow with the tangents, so that the log of a gradient of 2**100000 is exact where the gradient is inf.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Int, PyTree

RESCALE = 8  # steps between exponent updates: float32 mantissas stay in range unless they grow 2**15 a step


class Jet(NamedTuple):
    """A value with its scaled derivatives along the coordinates: ``first[k]`` and ``second[k, l]``, k <= l."""

    value: PyTree
    first: tuple
    second: dict


def pairs(count: int) -> list[tuple[int, int]]:
    """Index pairs (k, l), k <= l, of a symmetric matrix."""
    return [(k, l) for k in range(count) for l in range(k, count)]


def push(f: Callable, point: tuple, scale: tuple, jet: Jet) -> Jet:
    """The jet of ``f(point, state)``: chain rule through both arguments, one coordinate at a time, by `jax.jvp`."""

    def moved(p: tuple, k: int, value: PyTree) -> tuple:
        return (*p[:k], value, *p[k + 1 :])

    def first(k: int, p: tuple, s: PyTree, t: PyTree) -> tuple:
        return jax.jvp(lambda pk, s: f(moved(p, k, pk), s), (p[k], s), (scale[k], t))

    def second(k: int, l: int) -> PyTree:
        along = lambda pl, s, t: first(k, moved(point, l, pl), s, t)[1]  # noqa: E731
        primals = (point[l], jet.value, jet.first[k])
        return jax.jvp(along, primals, (scale[l], jet.first[l], jet.second[k, l]))[1]

    firsts = [first(k, point, jet.value, tangent) for k, tangent in enumerate(jet.first)]
    value = firsts[0][0] if firsts else f(point, jet.value)
    return Jet(value, tuple(tangent for _, tangent in firsts), {kl: second(*kl) for kl in jet.second})


def fold(op: Callable, a: Float[Array, "batch *rest"]) -> Float[Array, "*rest"]:
    """Reduce the leading axis by halves, such as a pairwise sum.

    Elementwise operations on contiguous rows: on a CPU half as dear as a reduction, and the same for every tile.
    """
    while len(a) > 1:
        half = len(a) // 2
        odd = a[2 * half :]
        a = op(a[:half], a[half : 2 * half])
        a = jnp.concatenate([a, odd]) if len(odd) else a
    return a[0]


def _magnitude(tree: PyTree[Float[Array, "batch point *unit"]], fold: Callable) -> Float[Array, "point"]:
    """Largest absolute value over leaves, episodes and units, per point; leaves are (batch, point, ...)."""
    sizes = [jnp.max(jnp.abs(leaf), axis=tuple(range(2, leaf.ndim))) for leaf in jax.tree.leaves(tree)]
    largest = [fold(jnp.maximum, size) for size in sizes]
    return functools.reduce(jnp.maximum, largest)


def _layout(dtype: DTypeLike) -> tuple[DTypeLike, int, int]:
    """Integer type, bits of the fraction and bias of a floating-point type."""
    info = jnp.finfo(dtype)
    return (jnp.int32 if info.bits == 32 else jnp.int64), info.nmant, -int(info.minexp) + 1


def power(exponents: Int[Array, "*shape"], dtype: DTypeLike) -> Float[Array, "*shape"]:
    """``2**exponents`` exactly; 0 below the normal range, the largest power above it.

    By its bits, as are `exponent` and `load`: `jnp.ldexp` and `jnp.frexp` took a quarter of the time of a surface.
    """
    integer, fraction, bias = _layout(dtype)
    field = jnp.clip(exponents + bias, 0, 2 * bias).astype(integer)
    return jax.lax.bitcast_convert_type(field << fraction, jnp.dtype(dtype))


def exponent(x: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
    """``floor(log2 |x|)`` of normal numbers; one below the normal range for zero, one above it for inf and NaN."""
    integer, fraction, bias = _layout(x.dtype)
    bits = jax.lax.bitcast_convert_type(jnp.abs(x), integer)
    return ((bits >> fraction) - bias).astype(jnp.int32)


def load(mantissas: Float[Array, "*shape"], exponents: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``mantissas 2**exponents``, inf where that is out of range."""
    half = exponents >> 1
    return mantissas * power(half, mantissas.dtype) * power(exponents - half, mantissas.dtype)


def rescale(jet: Jet, exponents: tuple, fold: Callable = fold) -> tuple[tuple, tuple, tuple]:
    """Exponents that bring the mantissas of each coordinate and point below 1, their powers, and the factors to apply.

    Each a tuple of (point,), one for each coordinate; ``fold`` reduces episodes. Exponents never fall below zero: a
    source of size 1 must stay representable beside them.
    """
    raised, powers, factors = [], [], []
    for k, (tangent, e) in enumerate(zip(jet.first, exponents, strict=True)):
        size = _magnitude(tangent, fold)
        size = jnp.maximum(size, jnp.sqrt(_magnitude(jet.second[k, k], fold))) if jet.second else size
        rise = jnp.maximum(jnp.where(jnp.isfinite(size), exponent(size) + 1, 0), -e)
        raised.append(e + rise)
        powers.append(power(-(e + rise), size.dtype))
        factors.append(power(-rise, size.dtype))
    return tuple(raised), tuple(powers), tuple(factors)


def shifted(jet: Jet, shift: tuple) -> Jet:
    """The jet with the mantissas of coordinate k multiplied by ``shift[k]``."""

    def scaled(tree: PyTree[Float[Array, "batch point *unit"]], factor: Float[Array, "point"]) -> PyTree:
        return jax.tree.map(lambda leaf: leaf * factor.reshape(1, -1, *[1] * (leaf.ndim - 2)), tree)

    first = tuple(scaled(tangent, shift[k]) for k, tangent in enumerate(jet.first))
    return Jet(jet.value, first, {(k, l): scaled(t, shift[k] * shift[l]) for (k, l), t in jet.second.items()})


def log10_norm(
    mantissas: Sequence[Float[Array, "*row point"]], exponents: Sequence[Int[Array, "*row point"]]
) -> Float[Array, "*row point"]:
    """``log10 |(m_k 2**e_k)_k|`` without leaving the range of the dtype; -inf where all are zero."""
    pairs = list(zip(mantissas, exponents, strict=True))
    least = jnp.iinfo(jnp.int32).min // 2
    top = functools.reduce(jnp.maximum, [jnp.where(m == 0, least, exponent(m) + e) for m, e in pairs])
    squares = [load(m, e - top) ** 2 for m, e in pairs]
    return jnp.log10(sum(squares)) / 2 + top.astype(squares[0].dtype) * math.log10(2)


def unscaled(jet: Jet, exponents: Sequence[Int[Array, "*row point"]]) -> list[Float[Array, "*row point"]]:
    """Loss, gradient, log10 of its norm, Hessian from mantissas (row, point) and an exponent for each coordinate."""
    first = [load(m, e) for m, e in zip(jet.first, exponents, strict=False)]
    norm = [log10_norm(jet.first, exponents)] if jet.first else []
    return [jet.value, *first, *norm, *(load(m, exponents[k] + exponents[l]) for (k, l), m in jet.second.items())]

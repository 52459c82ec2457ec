"""Loss and its exact derivatives at points of a plane, at every requested length in one forward pass.

Derivatives ride along the recurrence as tangents (forward mode), so memory does not grow with length. Coordinate k is
differentiated as ``p_k + 2**-e_k q``: all derivatives with respect to q are mantissas, and the integer exponents e_k grow
with the tangents, so that the log of a gradient of 2**100000 is exact where the gradient itself is inf.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from landscape.planes import Affine
from landscape.tasks import Episode, Task

RENORMALISE = 4  # steps between exponent updates; mantissas leave float32's range only if they grow 2**31 a step


class Jet(NamedTuple):
    """A value with its scaled derivatives along the coordinates: ``first[k]`` and ``second[k, l]``, k <= l."""

    value: Any
    first: tuple
    second: dict


def pairs(count: int) -> list[tuple[int, int]]:
    """Index pairs (k, l), k <= l, of a symmetric matrix."""
    return [(k, l) for k in range(count) for l in range(k, count)]


def push(f: Callable, point: tuple, scale: tuple, jet: Jet) -> Jet:
    """The jet of ``f(point, state)``: chain rule through both arguments, one coordinate at a time, by `jax.jvp`."""

    def moved(p: tuple, k: int, value: Any) -> tuple:
        return (*p[:k], value, *p[k + 1 :])

    def first(k: int, p: tuple, s: Any, t: Any) -> tuple:
        return jax.jvp(lambda pk, s: f(moved(p, k, pk), s), (p[k], s), (scale[k], t))

    def second(k: int, l: int) -> Any:
        along = lambda pl, s, t: first(k, moved(point, l, pl), s, t)[1]  # noqa: E731
        primals = (point[l], jet.value, jet.first[k])
        return jax.jvp(along, primals, (scale[l], jet.first[l], jet.second[k, l]))[1]

    firsts = [first(k, point, jet.value, tangent) for k, tangent in enumerate(jet.first)]
    value = firsts[0][0] if firsts else f(point, jet.value)
    return Jet(value, tuple(tangent for _, tangent in firsts), {kl: second(*kl) for kl in jet.second})


def _magnitude(tree: Any) -> jax.Array:
    """Largest absolute value over leaves and episodes, per point."""
    return jnp.stack([jnp.max(jnp.abs(leaf), axis=0) for leaf in jax.tree.leaves(tree)]).max(0)


def _renormalise(jet: Jet, exponents: jax.Array) -> tuple[Jet, jax.Array]:
    """Shift powers of two from the mantissas to the exponents (coordinate, point), which never fall below zero."""
    rises = []
    for k, tangent in enumerate(jet.first):
        size = _magnitude(tangent)
        if (k, k) in jet.second:
            size = jnp.maximum(size, jnp.sqrt(_magnitude(jet.second[k, k])))
        rise = jnp.where(jnp.isfinite(size), jnp.frexp(size)[1], 0)
        rises.append(jnp.maximum(rise, -exponents[k]))

    def shifted(tree: Any, rise: jax.Array) -> Any:
        return jax.tree.map(lambda leaf: leaf * jnp.exp2(-rise.astype(leaf.dtype)), tree)

    first = tuple(shifted(t, rise) for t, rise in zip(jet.first, rises, strict=True))
    second = {(k, l): shifted(t, rises[k] + rises[l]) for (k, l), t in jet.second.items()}
    return Jet(jet.value, first, second), exponents + jnp.stack(rises)


def _log10_norm(mantissas: Sequence[jax.Array], exponents: jax.Array) -> jax.Array:
    """``log10 |(m_k 2**e_k)_k|`` without leaving the range of the dtype; -inf where all are zero."""
    top = exponents.max(0)
    parts = jnp.stack([jnp.abs(m) * jnp.exp2((e - top).astype(m.dtype)) for m, e in zip(mantissas, exponents, strict=True)])
    largest = parts.max(0)
    ratio = parts / jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    return jnp.log10(largest) + jnp.log10(jnp.sum(ratio**2, 0)) / 2 + top.astype(parts.dtype) * math.log10(2)


def names(coordinates: Sequence[str], order: int) -> list[str]:
    """Variables of a surface: loss, then d_w, d_b and log10_gradient (order 1), then d_w_w, d_w_b, d_b_b (order 2)."""
    first = [f"d_{name}" for name in coordinates] + ["log10_gradient"] if order > 0 else []
    second = [f"d_{coordinates[k]}_{coordinates[l]}" for k, l in pairs(len(coordinates))] if order > 1 else []
    return ["loss", *first, *second]


def tile(
    affine: Affine, task: Task, order: int, every: bool, points: jax.Array, episodes: Episode, lengths: jax.Array
) -> list[jax.Array]:
    """Loss and derivatives, each (length, point), at ``points`` (coordinate, point), in the order of `names`.

    Episodes are stacked as x (time, batch, ...) and target (batch,), with a leading length axis unless the task is
    nested. ``every`` says that lengths are 1, 2, 3, ..., which saves an inner loop. Points lie last and contiguous.
    """
    count = len(points)
    point = tuple(points)
    batch = jax.tree.leaves(episodes.target)[0].shape[0 if task.nested else 1]
    across = lambda f: jax.vmap(jax.vmap(f, (0, 0, 0, None)), (None, None, 0, 0))  # noqa: E731

    def advance(point: tuple, scale: tuple, jet: Jet, x: Any) -> Jet:
        return push(lambda p, s: affine.at(p).step(s, x), point, scale, jet)

    def score(point: tuple, scale: tuple, jet: Jet, target: Any) -> Jet:
        return push(lambda p, s: task.loss(affine.at(p).output(s), target), point, scale, jet)

    def scales(exponents: jax.Array) -> tuple:
        return tuple(jnp.exp2(-exponents.astype(points.dtype)))

    def start() -> tuple[Jet, jax.Array]:
        one = lambda *p: affine.at(p).initial(task.start)  # noqa: E731
        state = jax.vmap(one)(*point) if point else one()
        state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape)).astype(points.dtype), state)
        zero = jax.tree.map(jnp.zeros_like, state)
        first = (zero,) * count if order > 0 else ()
        second = dict.fromkeys(pairs(count), zero) if order > 1 else {}
        return Jet(state, first, second), jnp.zeros((count, points.shape[1]), jnp.int32)

    def step(t: Any, carry: tuple[Jet, jax.Array], x: Any) -> tuple[Jet, jax.Array]:
        jet, exponents = carry
        jet = across(advance)(point, scales(exponents), jet, x[t])
        if order == 0:
            return jet, exponents
        return jax.lax.cond(t % RENORMALISE == RENORMALISE - 1, _renormalise, lambda *same: same, jet, exponents)

    def observe(carry: tuple[Jet, jax.Array], target: Any) -> list[jax.Array]:
        jet, exponents = carry
        scored = jax.tree.map(lambda a: jnp.mean(a, 0), across(score)(point, scales(exponents), jet, target))
        out = [scored.value]
        if order > 0:
            out += [jnp.ldexp(m, e) for m, e in zip(scored.first, exponents, strict=True)]
            out += [_log10_norm(scored.first, exponents)]
        return out + [jnp.ldexp(m, exponents[k] + exponents[l]) for (k, l), m in scored.second.items()]

    def between(carry: Any, since: Any, until: Any, x: Any) -> Any:
        return jax.lax.fori_loop(since, until, lambda t, carry: step(t, carry, x), carry)

    def nested(carry: Any, stops: tuple) -> tuple[Any, list[jax.Array]]:
        since, until = stops
        x = episodes.x
        carry = step(since, carry, x) if every else between(carry, since, until, x)
        return carry, observe(carry, episodes.target)

    if task.nested:
        since = jnp.concatenate([jnp.zeros(1, lengths.dtype), lengths[:-1]])
        return jax.lax.scan(nested, start(), (since, lengths))[1]
    alone = lambda at: observe(between(start(), 0, at[0], at[1].x), at[1].target)  # noqa: E731
    return jax.lax.map(alone, (lengths, episodes))

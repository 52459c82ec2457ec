"""Products of a layer, taken out of its step: all gates in one matrix product, and its gradient in one at the end.

A cell is written for one example, gate by gate, with `landscape.tree.dot`, which also takes a function of x where a
matrix stands. So a step can be run with its matrices replaced: products with the same factor become one, and the way
back needs neither the step's products again nor a gradient of a matrix at each step.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Real, Shaped

from landscape.cells import Cell
from landscape.tree import dot


class Plan(NamedTuple):
    """Which matrices of a cell share a factor: ``groups`` of leaf indices, in the order in which the step meets them.

    ``factors[g]`` says which factor group g has: a leaf of the state by its index, `INPUT` for the input itself, whose
    products are known before the first step, or None for one that the step computes.
    """

    groups: tuple[tuple[int, ...], ...]
    factors: tuple[int | None, ...]


INPUT = -1


def plan(cell: Cell, state: PyTree[jax.ShapeDtypeStruct], x: jax.ShapeDtypeStruct) -> Plan:
    """The plan of one step from shapes; no groups where a matrix is used otherwise than in one `dot`."""
    leaves, tree = jax.tree.flatten(cell)
    matrices = [i for i, leaf in enumerate(leaves) if jnp.ndim(leaf) == 2]
    met: list[tuple[int, Array]] = []

    def watched(i: int, leaf: Array) -> Callable:
        def product(h: Array) -> jax.Array:
            symbol = jnp.ndim(h) == 0 and jnp.issubdtype(h.dtype, jnp.integer)
            if jnp.ndim(h) != 1 and not symbol:
                raise TypeError("a product of something else than a vector")
            met.append((i, h))
            return dot(h, leaf)

        return product

    def step(leaves: list, state: PyTree, x: Array) -> PyTree:
        own = [watched(i, leaf) if i in matrices else leaf for i, leaf in enumerate(leaves)]
        after = jax.tree.unflatten(tree, own).step(state, x)
        given.extend([x, *jax.tree.leaves(state)])
        return after

    given: list[Array] = []
    try:
        jax.eval_shape(step, leaves, state, x)
    except (TypeError, ValueError, AttributeError):
        return Plan((), ())
    if sorted(i for i, _ in met) != matrices:  # one unused, or used twice
        return Plan((), ())
    factors: list[Array] = []
    groups: list[list[int]] = []
    for i, h in met:
        at = next((k for k, factor in enumerate(factors) if factor is h), len(factors))
        if at == len(factors):
            factors.append(h)
            groups.append([])
        groups[at].append(i)
    which = [next((k - 1 for k, one in enumerate(given) if one is factor), None) for factor in factors]
    return Plan(tuple(map(tuple, groups)), tuple(which))


def joined(plan: Plan, cell: Cell) -> list[Float[Array, "_ _"]]:
    """The matrices of each group side by side, (factor, units of all)."""
    leaves = jax.tree.leaves(cell)
    return [jnp.concatenate([leaves[i] for i in group], 1) for group in plan.groups]


def apart(plan: Plan, cell: Cell, slopes: list[Float[Array, "_ _"]], rest: PyTree) -> Cell:
    """``rest`` like a cell, with gradients of the joined matrices put where its matrices stand."""
    leaves, tree = jax.tree.flatten(rest)
    for group, slope in zip(plan.groups, slopes, strict=True):
        for i, part in zip(group, split(cell, group, slope), strict=True):
            leaves[i] = part
    return jax.tree.unflatten(tree, leaves)


def split(
    cell: Cell, group: tuple[int, ...], whole: Float[Array, "*batch product"]
) -> list[Float[Array, "*batch unit"]]:
    """The parts of each matrix of a group, along the last axis of their joined product."""
    leaves = jax.tree.leaves(cell)
    ends, parts = 0, []
    for i in group:
        parts.append(whole[..., ends : ends + leaves[i].shape[1]])
        ends += leaves[i].shape[1]
    return parts


def step(
    plan: Plan,
    cell: Cell,
    product: Callable[[int, Shaped[Array, "*factor"]], list],
    state: PyTree[Float[Array, "..."]],
    x: Real[Array, "*input"],
) -> PyTree[Float[Array, "..."]]:
    """One step of one example whose products are those in the list ``product(group, factor)``."""
    leaves, tree = jax.tree.flatten(cell)
    known: dict[int, list[jax.Array]] = {}

    def at(g: int, k: int) -> Callable:
        def one(h: Array) -> jax.Array:
            if g not in known:
                known[g] = product(g, h)
            return known[g][k]

        return one

    for g, group in enumerate(plan.groups):
        for k, i in enumerate(group):
            leaves[i] = at(g, k)
    return jax.tree.unflatten(tree, leaves).step(state, x)

"""Random directions, normalised filter by filter, and directions along single parameters."""

import difflib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key, PyTree

from landscape import specs
from landscape.directions.base import Directions, directions, floats
from landscape.directions.rules import Rule, axes_of, called, last
from landscape.planes import named_leaves


def random(params: PyTree, key: Key[Array, ""], names: Sequence[str], rule: Rule = last) -> Directions:
    """Gaussian directions, orthogonal, with every filter of each as long as the filter it moves.

    ``d_f <- d_f |w_f| / |d_f|`` (Li et al. 2018, section 4) for every filter f that ``rule`` names. Each is made
    orthogonal to those before it *filter by filter* and normalised after, so that both hold at once, to rounding;
    filters with fewer weights than there are directions cannot be orthogonal, and the cosines tell. Leaves that are no
    floating-point numbers stay. Raises ValueError for a rule that moves nothing, misses a leaf or names no axis of it.

    >>> around = random({"w": np.float32([[3, 0], [4, 2]])}, jax.random.key(0), ("a", "b"))
    >>> [np.linalg.norm(around[name]["w"], axis=0).round(5).tolist() for name in around]
    [[5.0, 2.0], [5.0, 2.0]]
    >>> around.about["filters"], around.about["rule"]
    ({'w': 2}, 'last')
    """
    if not callable(rule):
        raise TypeError(f"rule must be a function such as landscape.directions.last, given {rule!r}")
    labels, leaves = list(named_leaves(params)), jax.tree.leaves(params)
    axes = [axes_of(rule, *pair) if floats(pair[1]) else None for pair in zip(labels, leaves, strict=True)]
    filters = {n: _count(leaf, a) for n, leaf, a in zip(labels, leaves, axes, strict=True) if a is not None}
    if not sum(filters.values()):
        raise ValueError(f"the rule {called(rule)} moves none of {', '.join(labels)}; landscape.directions.every does")
    keys = [jax.random.fold_in(key, k) for k in range(len(names))]
    columns = []
    for i, (leaf, a) in enumerate(zip(leaves, axes, strict=True)):
        still = [np.zeros(np.shape(leaf))] * len(names)
        columns.append(still if a is None else _filtered(leaf, a, [jax.random.fold_in(k, i) for k in keys]))
    about = {"rule": called(rule), **specs.source("rule", rule), "key": np.asarray(jax.random.key_data(key)).tolist()}
    return directions("random", names, params, columns, **about, filters=filters)


def _count(leaf: ArrayLike, axes: tuple[int, ...]) -> int:
    """The number of filters in a leaf."""
    return int(np.prod([np.shape(leaf)[a] for a in axes])) if np.size(leaf) else 0


def _filtered(leaf: ArrayLike, axes: tuple[int, ...], keys: Sequence[Array]) -> list[Float[np.ndarray, "*shape"]]:
    """A leaf of each direction, in float64: orthogonal and as long as ``leaf``, filter by filter."""
    values = np.asarray(leaf, np.float64)
    rest = tuple(i for i in range(values.ndim) if i not in axes)
    weights = values.size // max(_count(leaf, axes), 1)
    made: list[np.ndarray] = []
    for key in keys:
        d = np.asarray(jax.random.normal(key, values.shape, jnp.float32), np.float64)
        for earlier in made if len(made) < weights else ():
            d = d - earlier * _ratio(_dot(d, earlier, rest), _dot(earlier, earlier, rest))
        made.append(d * np.sqrt(_ratio(_dot(values, values, rest), _dot(d, d, rest))))
    return made


def _dot(x: np.ndarray, y: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.sum(x * y, axis=axes, keepdims=True)


def _ratio(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``x / y``, 0 where there is nothing to divide by."""
    return np.divide(x, y, out=np.zeros_like(x), where=y > 0)


def named(params: PyTree, /, **entries: str | tuple) -> Directions:
    """Directions of length 1 along single parameters: ``named(params, a=("Dense_0.kernel", 3, 2), b="scale")``.

    A parameter is the name of a leaf with an index for each of its axes. Raises ValueError where there is none.

    >>> named({"w": np.zeros((2, 2), np.float32)}, a=("w", 0, 1))["a"]["w"].tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    where = named_leaves(params)
    columns = [[np.zeros(np.shape(leaf)) for _ in entries] for leaf in jax.tree.leaves(params)]
    for k, entry in enumerate(entries.values()):
        name, *index = (entry,) if isinstance(entry, str) else entry
        if name not in where:
            near = difflib.get_close_matches(str(name), where, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"the model has no parameter {name!r}; it has {', '.join(where)}{hint}")
        leaf = columns[where[name]][k]
        try:
            leaf[tuple(index) if index or leaf.size != 1 else (0,) * leaf.ndim] = 1
        except IndexError:
            index = [None]
        if np.count_nonzero(leaf) != 1 or None in index:
            raise ValueError(f"{entry!r} is not one number of {name!r}, whose shape is {leaf.shape}; index every axis")
    shown = {name: entry if isinstance(entry, str) else list(entry) for name, entry in entries.items()}
    return directions("named", list(entries), params, columns, parameters=shown)

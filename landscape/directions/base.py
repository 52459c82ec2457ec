"""Directions by name with how they were made, and the leaves that can move."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree, Shaped

from landscape.blocks import Json


@dataclasses.dataclass(frozen=True, eq=False)
class Directions(Mapping[str, PyTree]):
    """Directions by name, and in ``about`` how they were made: plain values, which a store of their surface keeps."""

    trees: dict[str, PyTree]
    about: dict[str, Json]

    def __getitem__(self, name: str) -> PyTree:
        return self.trees[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.trees)

    def __len__(self) -> int:
        return len(self.trees)


def directions(
    made: str,
    names: Sequence[str],
    params: PyTree,
    columns: Sequence[Sequence[Float[ArrayLike, "..."]] | Float[np.ndarray, "name *shape"]],
    **about: Json,
) -> Directions:
    """Directions from their leaves, ``columns[leaf][direction]``, in dtypes like ``params``; norms and cosines."""
    if len(set(names)) < len(names) or isinstance(names, str):
        raise ValueError(f"directions need names that differ, such as ('a', 'b'), given {names!r}")
    leaves, tree = jax.tree.flatten(params)
    cast = [[np.asarray(d, _kind(leaf)) for d in ds] for leaf, ds in zip(leaves, columns, strict=True)]
    gram = sum((rows(ds) @ rows(ds).T for ds in cast), np.zeros((len(names), len(names))))
    norms = np.sqrt(np.diag(gram))
    cosines = gram / np.where(norms > 0, norms, 1) / np.where(norms > 0, norms, 1)[:, None]
    told = {"norms": dict(zip(names, norms.tolist(), strict=True)), "cosines": cosines.tolist()}
    trees = {name: jax.tree.unflatten(tree, [ds[k] for ds in cast]) for k, name in enumerate(names)}
    return Directions(trees, {"made": made, **about, **told})


def rows(leaves: Sequence[Float[ArrayLike, "..."]] | Float[np.ndarray, "row ..."]) -> Float[np.ndarray, "row number"]:
    return np.stack([np.asarray(leaf, np.float64).ravel() for leaf in leaves])


def floats(leaf: Shaped[ArrayLike, "..."]) -> bool:
    """Whether a leaf can move: integers, flags and random keys stay."""
    return jnp.issubdtype(_dtype(leaf), jnp.floating)


def opened(params: PyTree) -> tuple[list[Float[Array, "..."]], Callable[[list], PyTree]]:
    """The leaves of a model that can move, and the model as a function of them."""
    leaves, tree = jax.tree.flatten(params)
    moving = [i for i, leaf in enumerate(leaves) if floats(leaf)]

    def closed(some: list) -> PyTree:
        new = dict(zip(moving, some, strict=True))
        return jax.tree.unflatten(tree, [new.get(i, leaf) for i, leaf in enumerate(leaves)])

    return [jnp.asarray(leaves[i]) for i in moving], closed


def _kind(leaf: ArrayLike) -> type[np.floating]:
    """The dtype of a direction: the leaf's own, float32 for one in half precision or one that stays."""
    return np.float64 if _dtype(leaf) == np.float64 else np.float32


def _dtype(leaf: ArrayLike) -> np.dtype:
    return leaf.dtype if hasattr(leaf, "dtype") else np.result_type(leaf)  # jax.numpy's would make float64 float32


def leaves_of(tree: PyTree) -> list:
    """The leaves of a model, 0 for those that cannot move."""
    return [leaf if floats(leaf) else np.zeros(np.shape(leaf), np.float32) for leaf in jax.tree.leaves(tree)]

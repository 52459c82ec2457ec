"""Directions through models that are given: between minima, along a trajectory, and where models lie by a plane."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, PyTree, PyTreeDef

from landscape.directions.base import Directions, directions, leaves_of, rows

RANK = 1e-6  # of the longest: directions that stand out less are roundings of float32 (eps 1.2e-7)


def between(models: Sequence[PyTree], names: Sequence[str]) -> Directions:
    """Directions of the line or plane through ``models``, from the first one: as many as there are others.

    A step of 1 along the first leads from the first model to the second; the others are orthogonal to it, to each
    other, and as long, so that a picture has the true angles. ``about["coordinates"]`` says where every model lies.
    Raises ValueError for models that lie on one line.

    >>> about = between([np.float32([0, 0]), np.float32([2, 0]), np.float32([1, 3])], ("along", "across")).about
    >>> about["coordinates"]
    [[0.0, 0.0], [1.0, 0.0], [0.5, 1.5]]
    """
    if len(names) != len(models) - 1 or not names:
        raise ValueError(f"{len(models)} models span {len(models) - 1} directions, given the names {names!r}")
    anchor, *others = models
    parts = _alike(anchor, others)
    moved = np.concatenate([rows(leaves[1:]) - rows(leaves[:1]) for leaves in parts], axis=1)
    basis, corners = np.linalg.qr(moved.T)  # Gram-Schmidt: moved' = basis corners
    length = np.linalg.norm(moved[0])
    if not np.min(np.abs(np.diag(corners))) > RANK * np.linalg.norm(moved, axis=1).max():
        raise ValueError("the models lie on one line or are equal, and span no such plane; give one that lies off it")
    signs = np.sign(np.diag(corners))
    sizes = np.cumsum([np.size(leaf) for leaf in jax.tree.leaves(anchor)])[:-1]
    along = np.split((basis * signs * length).T, sizes, axis=1)
    columns = [d.reshape(len(names), *np.shape(leaf)) for d, leaf in zip(along, jax.tree.leaves(anchor), strict=True)]
    places = np.vstack([np.zeros(len(names)), (corners * signs[:, None]).T / length])
    return directions("between", names, anchor, columns, coordinates=np.round(places, 12).tolist())


def principal(trajectory: PyTree, anchor: PyTree, names: Sequence[str]) -> Directions:
    """Principal directions, of length 1, of a ``trajectory`` about ``anchor`` (Li et al. 2018, section 7).

    Leaves of ``trajectory`` are those of ``anchor`` with a leading axis (step,). About the last model the anchor lies
    in the plane; about the mean this is principal component analysis. ``about["explained"]`` is the share of the
    squared distances from the anchor that lies along each; signs are such that the first step has coordinates >= 0.
    `place` tells how far off the plane each step lies. Raises ValueError for steps that span fewer directions.
    """
    moved = lambda parts: rows(parts[1]) - rows([parts[0]])  # noqa: E731
    pairs = list(zip(leaves_of(anchor), _stacked(trajectory, anchor), strict=True))
    gram = sum(moved(pair) @ moved(pair).T for pair in pairs)
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0)[: len(names)], vectors[:, ::-1][:, : len(names)]
    if len(values) < len(names) or not values[-1] > RANK**2 * values[0]:
        rank = int(np.sum(values > RANK**2 * values[0]))
        raise ValueError(
            f"a trajectory of {len(gram)} steps about its anchor spans {rank} directions, and {len(names)} are asked "
            f"for ({', '.join(names)}); record more steps, or ask for fewer"
        )
    weights = vectors * np.where(vectors[0] < 0, -1, 1) / np.sqrt(values)
    columns = [[(w @ moved(pair)).reshape(np.shape(pair[0])) for w in weights.T] for pair in pairs]
    explained = dict(zip(names, (values / np.trace(gram)).tolist(), strict=True))
    return directions("principal", names, anchor, columns, steps=len(gram), explained=explained)


class Place(NamedTuple):
    """Where models lie: coordinates of the nearest point of a plane, the distances from it and from its origin."""

    coordinates: Float[np.ndarray, "step direction"]
    off_plane: Float[np.ndarray, "step"]
    distance: Float[np.ndarray, "step"]


def place(around: Mapping[str, PyTree], anchor: PyTree, trajectory: PyTree) -> Place:
    """Where the models of ``trajectory``, leaves (step, ...), lie by the plane ``anchor + sum_k p_k d_k``.

    Least squares: ``distance² = |model - anchor|² = |sum_k p_k d_k|² + off_plane²``. Raises ValueError for
    directions on one line.
    """
    steps, parts = _stacked(trajectory, anchor), _alike(anchor, list(around.values()))
    gram = sum(rows(ds[1:]) @ rows(ds[1:]).T for ds in parts)
    if np.linalg.cond(gram) > RANK**-2:
        raise ValueError(f"the directions {', '.join(around)} lie on one line, and span no plane; give others")
    moved = lambda pair: rows(pair[0]) - rows(pair[1][:1])  # noqa: E731
    pairs = list(zip(steps, parts, strict=True))
    cut = sum(moved(pair) @ rows(pair[1][1:]).T for pair in pairs)
    coordinates = np.linalg.solve(gram, cut.T).T
    off = sum(np.sum((moved(pair) - coordinates @ rows(pair[1][1:])) ** 2, axis=1) for pair in pairs)
    distance = sum(np.sum(moved(pair) ** 2, axis=1) for pair in pairs)
    return Place(coordinates, np.sqrt(off), np.sqrt(distance))


def _stacked(trajectory: PyTree, anchor: PyTree) -> list:
    """The leaves of a trajectory, each with a leading axis (step,), or ValueError."""
    steps = leaves_of(trajectory)
    if not _same(trajectory, anchor) or _shapes(anchor) != [np.shape(leaf)[1:] for leaf in steps]:
        raise ValueError("a trajectory must be a pytree like its anchor, each leaf with a leading axis (step,)")
    return steps


def _alike(anchor: PyTree, others: Sequence[PyTree]) -> list[tuple]:
    """Leaf by leaf (anchor's, others'), or ValueError where structures or shapes differ."""
    if not all(_same(anchor, other) and _shapes(anchor) == _shapes(other) for other in others):
        raise ValueError("models and directions must be pytrees of the same structure and shapes")
    return list(zip(*(leaves_of(tree) for tree in (anchor, *others)), strict=True))


def _same(one: PyTree, other: PyTree) -> bool:
    structures: list[PyTreeDef] = [jax.tree.structure(tree) for tree in (one, other)]
    return structures[0] == structures[1]


def _shapes(tree: PyTree) -> list[tuple[int, ...]]:
    return [np.shape(leaf) for leaf in jax.tree.leaves(tree)]

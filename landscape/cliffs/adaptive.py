"""Adaptive refinement: a surface computed where the loss jumps, and only there."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.blocks import plain
from landscape.engine import Evaluator, Problem
from landscape.planes import Plane
from landscape.surfaces import describe, labels

if TYPE_CHECKING:
    import xarray

COARSEST = 32  # cells along a coordinate at which refinement begins
ISLANDS = 4  # finest cells along a coordinate; the centre of larger cells is looked at
CALL = 1024  # points in one call of the evaluator: always the same program
NINE = np.array(list(itertools.product((0, 1, 2), repeat=2)))  # corners, middles of sides and centre, in half cells
CORNERS = NINE[[0, 2, 6, 8]]


def refine(plane: Plane, problem: Problem, threshold: float = 0.05) -> "xarray.Dataset":
    """A surface on the grid of a plane of two coordinates, computed only where the loss jumps.

    The plane's own values are the finest grid: 4097 by 4097 of them make 4096 by 4096 cells. Cells begin coarse, about
    32 along a coordinate, as powers of two of finest ones, and are split in four while the loss changes by more than
    ``threshold`` over their corners, what else is known on their sides, and, down to the last two splits, their
    centre, at any length. A straight cliff separates the corners of every cell that it crosses; the centres
    find islands and tips. The gradient is never asked: at the points of a grid it knows nothing of a cliff. So the
    evaluations grow with the length of the cliffs in finest cells, not with the area.

    Returns the variables of `landscape.surfaces.surface` as (length, point), with both coordinates and the indices
    ``i``, ``j`` of each point in the grid; and the final cells as ``cell_i``, ``cell_j``, ``cell_size`` (cell,), in
    finest cells. Computed values are bit for bit those of `surface` of the same problem. `dense` makes a surface of it.
    The attribute ``evaluations`` counts points.

    Raises ValueError for a threshold that is not positive, other than two coordinates, or counts of values that are not
    a power of two times a coarse grid, plus one.
    """
    import xarray

    if not threshold > 0:
        raise ValueError(f"threshold must be a positive change of the loss, given {threshold!r}")
    cells = _first(plane)
    evaluator = Evaluator(plane, problem).resize(CALL)
    points = _Points(evaluator)
    while True:
        corners, big = cells[:, None, :2] + CORNERS * cells[:, None, 2:] // 2, cells[cells[:, 2] > ISLANDS]
        points.add(np.concatenate([corners.reshape(-1, 2), big[:, :2] + big[:, 2:] // 2]))
        split = cells[:, 2] > 1
        split[split] = points.jump(cells[split]) > threshold
        if not split.any():
            break
        half = np.repeat(cells[split], 4, axis=0)
        half[:, 2] //= 2
        half[:, :2] += np.tile(CORNERS // 2, (split.sum(), 1)) * half[:, 2:]
        cells = np.concatenate([cells[~split], half])
    names, axes = list(plane.axes), list(plane.axes.values())
    i, j = np.divmod(points.keys, len(axes[1]))
    words = labels(evaluator)
    values: dict[str, Any] = {name: (("length", "point"), array, words[name]) for name, array in points.values.items()}
    where: dict[str, Any] = {"i": ("point", i), "j": ("point", j)}
    where |= {name: ("point", axis[index], words[name]) for name, axis, index in zip(names, axes, (i, j), strict=True)}
    where |= {f"cell_{part}": ("cell", cells[:, k]) for k, part in enumerate(("i", "j", "size"))}
    told = {name: plain(value) for name, value in describe(evaluator).items()}
    about = {**told, "evaluations": len(i), "threshold": threshold}
    about |= {f"axis_{name}": axis for name, axis in plane.axes.items()}
    return xarray.Dataset(values | where, coords=evaluator.leading, attrs=about)


def _first(plane: Plane) -> np.ndarray:
    """Cells (cell, 3) to begin with: index of the low corner along both coordinates, and size in finest cells."""
    if len(plane.shape) != 2:
        raise ValueError(f"refinement splits cells of two coordinates, this plane has {len(plane.shape)}")
    cells = np.array(plane.shape) - 1
    size = 1
    while np.all(cells % (2 * size) == 0) and cells.max() // size > COARSEST:
        size *= 2
    if cells.max() // size > 4 * COARSEST:
        raise ValueError(
            f"a plane of {' x '.join(map(str, plane.shape))} points cannot be halved down to about {COARSEST} cells; "
            f"give a power of two and one more, such as 1025 or 4097"
        )
    i, j = np.meshgrid(*(np.arange(0, count, size) for count in cells), indexing="ij")
    return np.stack([i.ravel(), j.ravel(), np.full(i.size, size)], axis=1)


class _Points:
    """What is known: ``keys`` (point,) in increasing order, the index in the grid, and ``values`` (length, point)."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.axes = list(evaluator.plane.axes.values())
        self.keys = np.zeros(0, int)
        empty = np.zeros((len(evaluator.leading["length"]), 0), evaluator.dtype)
        self.values = dict.fromkeys(evaluator.names, empty)

    def add(self, nodes: np.ndarray) -> None:
        """Compute the ``nodes`` (node, 2) that are not yet known."""
        new = np.setdiff1d(self._key(nodes), self.keys)
        if not new.size:
            return
        index = np.divmod(new, len(self.axes[1]))
        found = self.evaluator(np.stack([axis[k] for axis, k in zip(self.axes, index, strict=True)], axis=1))
        order = np.argsort(np.concatenate([self.keys, new]))
        self.keys = np.concatenate([self.keys, new])[order]
        self.values = {name: np.concatenate([old, found[name]], 1)[:, order] for name, old in self.values.items()}

    def jump(self, cells: np.ndarray) -> np.ndarray:
        """The largest range of the loss at any length over all that is known of each cell, (cell,).

        inf and NaN count as one value, infinitely high: their border is refined too.
        """
        keys = self._key(cells[:, None, :2] + NINE * cells[:, None, 2:] // 2)
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        known = self.keys[at] == keys
        loss = self.values["loss"][:, at]
        loss = np.where(np.isfinite(loss), loss, np.inf)
        with np.errstate(invalid="ignore"):
            extent = np.max(loss, 2, initial=-np.inf, where=known) - np.min(loss, 2, initial=np.inf, where=known)
        return np.nan_to_num(extent, nan=0.0, posinf=np.inf).max(0)

    def _key(self, nodes: np.ndarray) -> np.ndarray:
        return nodes[..., 0] * len(self.axes[1]) + nodes[..., 1]


def dense(refined: "xarray.Dataset") -> "xarray.Dataset":
    """The result of `refine` on its whole grid, as `landscape.surfaces.surface` gives it.

    Between computed points values are bilinear within each cell, over which the loss changes by less than the
    threshold; ``computed`` (both coordinates) says which points were computed. Gradients between points are no better
    than the cell they lie in.
    """
    import xarray

    names = [name.removeprefix("axis_") for name in refined.attrs if name.startswith("axis_")]
    axes = {name: np.asarray(refined.attrs[f"axis_{name}"]) for name in names}
    shape = tuple(len(axis) for axis in axes.values())
    i, j = refined["i"].values, refined["j"].values
    computed = np.zeros(shape, bool)
    computed[i, j] = True
    cells = np.stack([refined[f"cell_{part}"].values for part in ("i", "j", "size")], axis=1)
    found = {}
    for name in (str(name) for name, variable in refined.data_vars.items() if variable.dims == ("length", "point")):
        values = np.full((refined.sizes["length"], *shape), np.nan, refined[name].dtype)
        values[:, i, j] = refined[name].values
        _fill(values, cells)
        values[:, i, j] = refined[name].values
        found[name] = (("length", *names), values, refined[name].attrs)
    about = {key: value for key, value in refined.attrs.items() if not key.startswith("axis_")}
    told = {name: (name, axis, refined[name].attrs) for name, axis in axes.items()}
    ds = xarray.Dataset(found, {"length": refined["length"], **told}, about)
    return ds.assign(computed=(names, computed, {"long_name": "points computed, not interpolated"}))


def _fill(values: np.ndarray, cells: np.ndarray) -> None:
    """Bilinear values within ``cells`` from their corners, in place; the largest cells first."""
    for size in np.unique(cells[:, 2])[::-1]:
        low = cells[cells[:, 2] == size]
        share = np.linspace(0, 1, size + 1).astype(values.dtype)
        for part in np.array_split(low, -(-len(low) * (size + 1) ** 2 // 2**20)):
            i, j = part[:, :1] + np.arange(size + 1), part[:, 1:2] + np.arange(size + 1)
            corners = values[:, part[:, None, None, 0] + [[0], [size]], part[:, None, None, 1] + [[0, size]]]
            with np.errstate(invalid="ignore"):
                rows = corners[..., :1, :] + share[:, None] * (corners[..., 1:, :] - corners[..., :1, :])
                patch = rows[..., :1] + share * (rows[..., 1:] - rows[..., :1])
            values[:, i[:, :, None], j[:, None, :]] = patch

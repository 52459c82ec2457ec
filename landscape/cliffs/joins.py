"""Joining: a curve whose ridge was drawn in pieces, as one line."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from landscape.cliffs.ridges import Line, dataset, ordered

if TYPE_CHECKING:
    import xarray

GAP = 4.0  # cells between the ends of two pieces of one curve
ALIKE = 0.7  # cosine between their directions of ascent
BACK = 3  # vertices from an end to where the way a line leaves is looked at


def join(lines: "xarray.Dataset") -> "xarray.Dataset":
    """The lines of `ridge` with pieces of one curve joined, numbered afresh at each length, the largest first.

    Two pieces are one curve where their ends lie within four cells of the grid, both ascend in the same direction, and
    one goes on where the other leads. The nearest ends are joined first, and each end once. Same variables.
    """
    names, cells = list(lines.attrs["coordinates"]), np.array(lines.attrs["cells"])
    window = [lines.attrs["window"][2 * k : 2 * k + 2] for k in range(len(names))]
    joined = [
        (int(length), line)
        for length in np.unique(lines["length"].values)
        for line in ordered(_joined(_pieces(lines, int(length), names), cells), [np.array(w) for w in window])
    ]
    return dataset(names, joined).assign_attrs(lines.attrs)


def _pieces(lines: "xarray.Dataset", length: int, names: list[str]) -> list[Line]:
    """The lines of a length, as `landscape.cliffs.ridges` makes them."""
    here = lines.isel(point=(lines["length"] == length).values)
    place = np.stack([here[name].values for name in names], axis=1)
    columns = {"place": place} | {k: here[k].values for k in ("direction", "slope", "height", "resolved")}
    each = (here["line"].values == number for number in np.unique(here["line"].values))
    return [{name: values[own] for name, values in columns.items()} for own in each]


def _joined(pieces: list[Line], cells: np.ndarray) -> Iterator[Line]:
    """The chains of pieces, one after the other."""
    links = _links([_ends(piece, cells) for piece in pieces])
    for chain in _chains(len(pieces), links):
        parts = [pieces[end // 2] if end % 2 == 0 else _reversed(pieces[end // 2]) for end in chain]
        yield {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _reversed(line: Line) -> Line:
    return {name: values[::-1] for name, values in line.items()}


def _ends(line: Line, cells: np.ndarray) -> np.ndarray:
    """Place, way out and direction of ascent at both ends of a line, (end, 3, coordinate), all in cells."""
    place, at = line["place"] / cells, [0, -1]
    inner = place[[min(BACK, len(place) - 1), max(-1 - BACK, -len(place))]]
    ascent = np.stack([np.cos(line["direction"][at]), np.sin(line["direction"][at])], axis=1) * cells
    return np.stack([place[at], _unit(place[at] - inner), _unit(ascent)], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-300)


def _links(ends: list[np.ndarray]) -> dict[int, int]:
    """Which end each end is joined to; the ends of piece k are 2 k, where it begins, and 2 k + 1."""
    from scipy.spatial import KDTree

    links: dict[int, int] = {}
    if not ends:
        return links
    place, out, ascent = np.moveaxis(np.concatenate(ends), 1, 0)
    pairs = KDTree(place).query_pairs(GAP, output_type="ndarray")
    gap = place[pairs[:, 1]] - place[pairs[:, 0]]
    apart, way = np.linalg.norm(gap, axis=1), _unit(gap)
    dot = lambda a, b: np.sum(a * b, axis=1)  # noqa: E731
    on = (dot(out[pairs[:, 0]], way) > 0) & (dot(out[pairs[:, 1]], way) < 0)
    alike = dot(ascent[pairs[:, 0]], ascent[pairs[:, 1]]) > ALIKE
    other = pairs[:, 0] // 2 != pairs[:, 1] // 2
    closed = np.array([np.array_equal(*own[:, 0]) for own in ends])[pairs // 2].any(1)
    fine = alike & other & ~closed & (on | (apart < 1)) & (dot(out[pairs[:, 0]], out[pairs[:, 1]]) < 0)
    for a, b in pairs[fine][np.argsort(apart[fine], kind="stable")].tolist():
        if a not in links and b not in links:
            links |= {a: b, b: a}
    return links


def _chains(count: int, links: dict[int, int]) -> Iterator[list[int]]:
    """For each curve the ends at which its pieces are entered, in order; a ring begins anywhere."""
    seen: set[int] = set()
    for start in [end for end in range(2 * count) if end not in links] + list(links):
        chain, end = [], start
        while end >= 0 and end // 2 not in seen:
            seen.add(end // 2)
            chain.append(end)
            end = links.get(end ^ 1, -1)
        if chain:
            yield chain

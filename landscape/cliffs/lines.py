"""Lines of vertices: parts of contours, in order of size, and the Dataset that holds those of all lengths."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray

SHORTEST = 3  # vertices of a line
Line = dict[str, np.ndarray]  # place (vertex, coordinate) and (vertex,): direction, slope, height, resolved


WORDS = {
    "length": "sequence length",
    "line": "number of the line at its length",
    "direction": "direction of ascent, an angle from the first coordinate to the second",
    "slope": "norm of the gradient",
    "height": "change of the loss across the ridge",
    "width": "height over slope",
    "resolved": "not thinner than what sampled it",
}


def runs(line: np.ndarray, good: np.ndarray) -> Iterator[np.ndarray]:
    """The parts of a line whose segments are ``good``; a closed one is opened where it is bad."""
    if np.array_equal(line[0], line[-1]) and not good.all() and good.any():
        start = int(np.argmin(good))
        line = np.concatenate([line[start:-1], line[: start + 1]])
        good = np.roll(good, -start)
    for part in spans(bridged(good)):
        yield line[part.start : part.stop + 1]


def spans(good: np.ndarray) -> Iterator[slice]:
    """Slices over which ``good`` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(int), [0]])))
    yield from (slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def bridged(good: np.ndarray) -> np.ndarray:
    """``good``, and true over gaps of one or two."""
    filled = good.copy()
    for gap in spans(~good):
        if gap.start > 0 and gap.stop < len(good) and gap.stop - gap.start <= 2:
            filled[gap] = True
    return filled


def pieces(good: np.ndarray) -> Iterator[slice]:
    """As `spans`, over gaps of one or two vertices, and long enough to be a line."""
    yield from (part for part in spans(bridged(good)) if part.stop - part.start >= SHORTEST)




def ordered(lines: Iterable[Line], axes: list[np.ndarray]) -> list[Line]:
    """Lines in order of their extent, relative to the window, times height."""
    window = np.array([np.ptp(axis) for axis in axes])

    def size(line: Line) -> float:
        steps = np.linalg.norm(np.diff(line["place"], axis=0) / window, axis=1)
        return -float(steps.sum() * np.median(line["height"]))

    return sorted(lines, key=size)


def dataset(names: list[str], lines: list[tuple[int, Line]]) -> "xarray.Dataset":
    import xarray

    number: dict[int, int] = {}
    parts: dict[str, list[np.ndarray]] = {name: [np.zeros(0)] for name in (*names, "direction", "slope", "height")}
    parts |= {"resolved": [np.zeros(0, bool)], "length": [np.zeros(0, int)], "line": [np.zeros(0, int)]}
    for length, line in lines:
        here = dict(zip(names, line["place"].T, strict=True)) | line
        here["length"] = np.full(len(line["place"]), length)
        here["line"] = np.full(len(line["place"]), number.setdefault(length, 0))
        number[length] += 1
        for name, values in parts.items():
            values.append(here[name])
    found = {name: np.concatenate(values) for name, values in parts.items()}
    with np.errstate(all="ignore"):
        found["width"] = found["height"] / found["slope"]
    order = ["length", "line", *names, "direction", "slope", "height", "width", "resolved"]
    described = {name: ("point", found[name], {"long_name": WORDS[name]} if name in WORDS else {}) for name in order}
    return xarray.Dataset(described, attrs={"coordinates": names})

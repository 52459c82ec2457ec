"""What each cliff is: one row a curve, followed to shorter lengths, with the law of its growth beside theory."""

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.cliffs.joins import join
from landscape.cliffs.laws import growth
from landscape.cliffs.limits import closed_form, multipliers
from landscape.cliffs.polish import polish
from landscape.planes import Plane
from landscape.recurrence import Recurrence

if TYPE_CHECKING:
    import xarray

SHORT = 5.0  # cells: what is shorter is no curve to follow
AFRESH, AT_ONCE = 40, 4  # the largest cliffs are measured afresh, so many at a time
FAR, ALIKE = 0.15, 0.7  # of the extent of all lines, and cosine of directions, from one length to the next
EARLIEST, FEWEST = 3, 4  # a law is fitted from this part of the longest resolved length on, to so many lengths
DECIDED, POWER = 2.0, 6.0  # least evidence, and the largest power, 3 in theory, that make a law of it
MEASURES = ("direction", "slope", "height", "width", "resolved")


def describe(
    lines: "xarray.Dataset",
    plane: Plane | None = None,
    problem: Recurrence | None = None,
    *,
    short: float = SHORT,
    progress: Callable[[int, int], None] | None = None,
) -> "xarray.Dataset":
    """Every curve among the lines of the longest length of `ridge`, `polish` or `trace`, at its middle: what it is.

    Pieces are joined (`join`); curves of less than ``short`` cells are left out, their number is the attribute
    ``short``. The middle is followed to the nearest point of the lines, of like direction, at every shorter length, and
    a law fitted to the slopes (`growth`) of those that are resolved, from a third of the longest of them on: a cliff
    thinner than the dtype at the longest length still shows its law before. With the ``plane`` and ``problem`` of the
    surface the 40 largest are measured afresh there (`polish`), and theory is asked: the multiplier of the closed form
    (``theory`` "closed form"), or of the unstable state where there is none ("numerical").

    Returns variables (line,), numbered as `join` does: both coordinates of the middle, and their ranges (line, end) as
    ``w_range``; ``extent`` in cells; ``direction``, ``slope``, ``height``, ``width``, ``resolved`` at the longest
    length; ``kind``: "basin", "fold", "none" (it does not steepen: a slope, no cliff) or "unknown" (fewer than four
    resolved lengths, or neither law fits: evidence below 2, or a power far above the 3 of a fold); ``multiplier``, ``power``, ``evidence`` and ``expected`` of `growth`, fitted to the ``seen``
    lengths from ``first`` to ``last``; ``followed``, the lengths at which it was found; ``afresh``, whether it was
    measured anew; ``theory``. ``progress`` is told how many of how many are measured.
    """
    import xarray

    names = [str(name) for name in lines.attrs["coordinates"]]
    longest = int(lines["length"].max()) if lines.sizes["point"] else 0
    curves = join(lines.isel(point=(lines["length"] == longest).values))
    numbers, rows, histories = [], [], []
    every = np.unique(curves["line"].values)
    by_length = [lines.isel(point=(lines["length"] == length).values) for length in np.unique(lines["length"].values)]
    for number in every:
        curve = curves.isel(point=(curves["line"] == number).values)
        row, middle = _row(curve, names)
        if row["extent"] >= short:
            numbers.append(int(number))
            rows.append(row)
            histories.append(_history(by_length, curve.isel(point=[middle]), names, _extent(lines, names)))
    theory, followed = [("none", math.nan)] * len(rows), histories
    if plane is not None and problem is not None and rows:
        theory = _theory(plane, problem, [[row[name] for name in names] for row in rows])
        problem = dataclasses.replace(problem, lengths=np.unique(lines["length"].values))
        followed = _afresh(plane, problem, histories, names, progress)
    for row, there, history, (source, multiplier) in zip(rows, histories, followed, theory, strict=True):
        row |= _measured(there, history, longest) | _law(history, multiplier) | {"theory": source}
    columns = {key: np.array([row[key] for row in rows]) for key in (rows[0] if rows else ())}
    found = {key: (("line", "end")[: values.ndim], values) for key, values in columns.items()}
    attrs = {**lines.attrs, "length": longest, "short": len(every) - len(rows)}
    return xarray.Dataset(found, {"line": np.array(numbers, int)}, attrs)


def _row(curve: "xarray.Dataset", names: list[str]) -> tuple[dict[str, Any], int]:
    """Where a curve is, and the index of its middle."""
    place = np.stack([curve[name].values for name in names], axis=1)
    along = np.cumsum(np.linalg.norm(np.diff(place / np.array(curve.attrs["cells"]), axis=0), axis=1))
    middle = int(np.searchsorted(along, along[-1] / 2)) if len(along) else 0
    row: dict[str, Any] = {name: place[middle, k] for k, name in enumerate(names)}
    row |= {f"{name}_range": [place[:, k].min(), place[:, k].max()] for k, name in enumerate(names)}
    return row | {"extent": float(along[-1]) if len(along) else 0.0}, middle


def _extent(lines: "xarray.Dataset", names: list[str]) -> list[float]:
    return [max(float(np.ptp(lines[name].values)), 1e-300) for name in names]


def _history(
    by_length: list["xarray.Dataset"], here: "xarray.Dataset", names: list[str], extent: list[float]
) -> "xarray.Dataset":
    """``here`` and, from each length to the next shorter one, the nearest point of the lines that ascends alike."""
    import xarray

    found = [here]
    for lines in reversed(by_length[:-1]):
        last = found[-1]
        apart = [(lines[name].values - last[name].values) / size for name, size in zip(names, extent, strict=True)]
        far = sum(part**2 for part in apart)
        far = np.where(np.cos(lines["direction"].values - last["direction"].values) > ALIKE, far, np.inf)
        if far.size and far.min() < FAR**2:
            found.append(lines.isel(point=[int(far.argmin())]))
    return xarray.concat(found[::-1], "point")


def _afresh(
    plane: Plane, problem: Recurrence, histories: list, names: list[str], progress: Callable[[int, int], None] | None
) -> list["xarray.Dataset"]:
    """The first histories measured anew, by the same programs for all; the others as they are."""
    import xarray

    count = min(AFRESH, len(histories))
    found = []
    for start in range(0, count, AT_ONCE):
        group = [_beside(plane, history, names) for history in histories[start : min(start + AT_ONCE, count)]]
        owner = np.repeat(np.arange(len(group)), [history.sizes["point"] for history in group])
        joined = xarray.concat(group, "point").assign(
            owner=("point", owner), afresh=("point", np.ones(len(owner), bool))
        )
        measured = polish(plane, problem, joined)
        there = measured["height"].values > 0
        found += [measured.isel(point=there & (measured["owner"] == k).values) for k in range(len(group))]
        if progress:
            progress(len(found), count)
    return found + histories[count:]


def _beside(plane: Plane, history: "xarray.Dataset", names: list[str]) -> "xarray.Dataset":
    """The last point of a history projected on the tangents of the lines at the others.

    There it is looked for afresh by `polish`, by its jump if it is thinner than two cells.
    """
    step = max(float(np.diff(axis).max()) for axis in plane.axes.values())
    normal = [np.cos(history["direction"]), np.sin(history["direction"])]
    here = {name: history[name].values[-1] for name in names}
    apart = sum((history[name] - here[name]) * n for name, n in zip(names, normal, strict=True))
    moved = {name: here[name] + apart * n for name, n in zip(names, normal, strict=True)}
    return history.assign({**moved, "resolved": history["resolved"] & (history["width"] > 2 * step)})


def _measured(there: "xarray.Dataset", history: "xarray.Dataset", longest: int) -> dict[str, Any]:
    """What a cliff is at the longest length: the end of its history, or as it was ``there`` if that found no ridge."""
    at = (history if longest in history["length"].values else there).isel(point=-1)
    row: dict[str, Any] = {name: at[name].item() for name in MEASURES}
    return row | {"followed": history.sizes["point"], "afresh": "afresh" in history}


def _law(history: "xarray.Dataset", multiplier: float) -> dict[str, Any]:
    """The law of growth of a cliff over the resolved lengths of its history."""
    seen = history.isel(point=history["resolved"].values)
    last = int(seen["length"].max()) if seen.sizes["point"] else 0
    seen = seen.isel(point=(EARLIEST * seen["length"] >= last).values).swap_dims(point="length")
    fitted = {"first": int(seen["length"].min()) if last else 0, "last": last, "seen": seen.sizes["length"]}
    if seen.sizes["length"] < FEWEST:
        numbers = dict.fromkeys(("multiplier", "power", "evidence", "expected"), math.nan)
        return {"kind": "unknown", **numbers, **fitted}
    law = growth(seen, multiplier)._asdict()
    del law["shift"]
    if law["kind"] != "none" and (law["evidence"] < DECIDED or (law["kind"] == "fold" and law["power"] > POWER)):
        law["kind"] = "unknown"
    return law | fitted


def _theory(plane: Plane, problem: Recurrence, points: list[list[float]]) -> list[tuple[str, float]]:
    """Where a multiplier comes from, and the multiplier, at each of ``points``."""
    if line := closed_form(plane, problem.task):
        w = np.array(points)[:, list(plane.axes).index("w")]
        return [("closed form", float(m)) for m in np.asarray(line(w).multiplier)]
    found = multipliers(plane, problem.task, np.array(points))
    return [("none" if math.isnan(m) else "numerical", float(m)) for m in found]

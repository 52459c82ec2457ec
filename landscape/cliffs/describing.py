"""What each cliff is: one row a curve, followed to shorter lengths, with the law of its growth beside theory."""

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.cliffs.joins import join
from landscape.cliffs.laws import Growth, growth
from landscape.cliffs.limits import closed_form, multipliers
from landscape.cliffs.polish import polish
from landscape.planes import Plane
from landscape.recurrence import Recurrence

if TYPE_CHECKING:
    import xarray

SHORT = 5.0  # cells: what is shorter is no curve to follow
AFRESH, AT_ONCE = 32, 4  # the largest cliffs are measured afresh, so many at a time
FAR, ALIKE = 0.15, 0.7  # of the window, and cosine of directions, from one length to the next
EARLIEST, FEWEST = 3, 4  # a law is fitted from this part of the longest resolved length on, to so many lengths
Row = dict[str, Any]  # of the table: measures, a kind, a law with its numbers, by name
STATIONS = (0.5, 0.25, 0.75)  # shares of a curve, in the order that they are tried
RANK = ("none", "unknown", "fold", "basin")  # a curve is what it is where it is most of a cliff
NO_LAW = dict.fromkeys(("multiplier", "power", "evidence", "expected"), math.nan)
DECIDED, POWER, STRAIGHT = 2.0, 4.5, 0.95  # least evidence, largest power (3 in theory), least correlation of a law
MEASURES = ("direction", "slope", "height", "width", "resolved")


def describe(
    lines: "xarray.Dataset",
    plane: Plane | None = None,
    problem: Recurrence | None = None,
    *,
    short: float = SHORT,
    progress: Callable[[int, int], None] | None = None,
) -> "xarray.Dataset":
    """Every curve among the lines of the longest length of `ridge`, `polish` or `trace`: what it is and how it grows.

    Pieces are joined (`join`); curves of less than ``short`` cells are left out, their number is the attribute
    ``short``. A curve is measured at its middle, or a quarter of its way from an end if the kind is unknown there, or
    if it is a slope there and hidden elsewhere: a ridge may end as a cliff. The place is followed to the nearest point
    of the lines, of like direction, at every shorter length, and a law fitted to the slopes (`growth`) of those that
    are resolved, from a third of the longest of them on: a cliff thinner than the dtype at the longest length still
    shows its law before.
    With the ``plane`` and ``problem`` of the surface the 32 largest are measured afresh there (`polish`), and theory is
    asked: the multiplier of the closed form (``theory`` "closed form"), or of the unstable state where there is none
    ("numerical").

    Returns variables (line,), numbered as `join` does: both coordinates of the place, and their ranges over the curve
    (line, end) as ``w_range``; ``extent`` in cells; ``direction``, ``slope``, ``height``, ``width`` and ``resolved`` at
    the longest length, and ``whole``, the height on the grid, of all cliffs that it sees as one; ``kind``: "basin",
    "fold", "none" (its slope stays as it is: no cliff) or "unknown" (fewer than four resolved lengths, or no law fits:
    correlation below .95, evidence below 2, or a power far above the 3 of a fold); ``multiplier``, ``power``,
    ``evidence`` and ``expected`` of `growth`, fitted to the ``seen`` lengths from ``first`` to ``last``; ``followed``,
    the lengths at which it was found; ``afresh``, whether it was measured anew; ``theory``.
    ``progress`` is told how many of how many measurements are done.
    """
    import xarray

    names = [str(name) for name in lines.attrs["coordinates"]]
    lengths = np.unique(lines["length"].values)
    by_length = [lines.isel(point=(lines["length"] == length).values) for length in lengths]
    curves = join(by_length[-1]) if len(lengths) else lines
    each = {int(k): curves.isel(point=(curves["line"] == k).values) for k in np.unique(curves["line"].values)}
    extents = {number: _extent(curve, names) for number, curve in each.items()}
    kept = [number for number, extent in extents.items() if extent >= short]
    asked = None
    if plane is not None and problem is not None and kept:
        asked = (plane, dataclasses.replace(problem, lengths=lengths.tolist()))
    rows: dict[int, Row] = {}
    for share in STATIONS:
        there = kept if not rows or asked is None else kept[:AFRESH]
        left = [number for number in there if number not in rows or _open(rows[number], each[number])]
        places = [each[number].isel(point=[_at(each[number], share, names)]) for number in left]
        found = _stations(places, by_length, names, asked, progress)
        for number, row in zip(left, found, strict=True):
            if number not in rows or RANK.index(row["kind"]) > RANK.index(rows[number]["kind"]):
                rows[number] = row
    for number in kept:
        spread = {f"{name}_range": [f(each[number][name].values) for f in (np.min, np.max)] for name in names}
        rows[number] |= spread | {"extent": extents[number]}
    columns = {key: np.array([rows[number][key] for number in kept]) for key in (rows[kept[0]] if kept else ())}
    table = {key: (("line", "end")[: values.ndim], values) for key, values in columns.items()}
    attrs = {**lines.attrs, "length": int(lengths[-1]) if len(lengths) else 0, "short": len(each) - len(kept)}
    return xarray.Dataset(table, {"line": np.array(kept, int)}, attrs)


def _open(row: Row, curve: "xarray.Dataset") -> bool:
    """Whether a curve may show a law elsewhere than at the place of a row. Not if nothing is resolved there."""
    hidden = not curve["resolved"].values.all()
    return (row["kind"] == "unknown" and row["seen"] > 0) or (row["kind"] == "none" and hidden)


def _along(curve: "xarray.Dataset", names: list[str]) -> np.ndarray:
    """The way along a curve at each of its vertices, in cells."""
    place = np.stack([curve[name].values for name in names], axis=1) / np.array(curve.attrs["cells"])
    return np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(place, axis=0), axis=1))])


def _extent(curve: "xarray.Dataset", names: list[str]) -> float:
    return float(_along(curve, names)[-1])


def _at(curve: "xarray.Dataset", share: float, names: list[str]) -> int:
    """The vertex at a ``share`` of the way along a curve; not one of a gap that was bridged, where it has no height."""
    along, height = _along(curve, names), curve["height"].values
    there = 2 * height >= np.median(height)
    return int(np.where(there, np.abs(along - share * along[-1]), np.inf).argmin())


def _stations(
    places: list["xarray.Dataset"],
    by_length: list["xarray.Dataset"],
    names: list[str],
    asked: tuple[Plane, Recurrence] | None,
    progress: Callable[[int, int], None] | None,
) -> list[Row]:
    """What the cliffs at some places are, measured afresh if a plane and a problem are ``asked``."""
    stored = followed = [_history(by_length, place, names) for place in places]
    theory = [("none", math.nan)] * len(places)
    if asked and places:
        theory = _theory(*asked, [[place[name].item() for name in names] for place in places])
        followed = _afresh(*asked, stored, names, progress)
    rows = []
    for place, there, history, (source, multiplier) in zip(places, stored, followed, theory, strict=True):
        longest = place["length"].item()
        row = {name: place[name].item() for name in names} | _measured(there, history, longest)
        rows.append(row | _law(history, multiplier, longest) | {"theory": source})
    return rows


def _history(by_length: list["xarray.Dataset"], here: "xarray.Dataset", names: list[str]) -> "xarray.Dataset":
    """``here`` and, from each length to the next shorter one, the nearest point of the lines that ascends alike."""
    import xarray

    window = np.diff(np.reshape(here.attrs["window"], (-1, 2)))[:, 0]
    found = [here]
    for lines in reversed(by_length[:-1]):
        last = found[-1]
        apart = [(lines[name].values - last[name].values) / size for name, size in zip(names, window, strict=True)]
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


def _measured(there: "xarray.Dataset", history: "xarray.Dataset", longest: int) -> Row:
    """What a cliff is at the longest length: the end of its history, or as it was ``there`` if that found no ridge."""
    at = (history if longest in history["length"].values else there).isel(point=-1)
    row: Row = {name: at[name].item() for name in MEASURES}
    row |= {"whole": there["height"].values[-1]}
    return row | {"followed": history.sizes["point"], "afresh": "afresh" in history}


def _law(history: "xarray.Dataset", multiplier: float, longest: int) -> Row:
    """The law of growth of a cliff over the resolved lengths of its history.

    Fewer than four show no law, but with shorter lengths they may show a slope that stays as it is.
    """
    seen = history.isel(point=history["resolved"].values)
    last = int(seen["length"].max()) if seen.sizes["point"] else 0
    whole = seen.swap_dims(point="length")
    seen = whole.isel(length=(EARLIEST * whole["length"] >= last).values)
    fitted = {"first": int(seen["length"].min()) if last else 0, "last": last, "seen": seen.sizes["length"]}
    if seen.sizes["length"] < FEWEST:
        stays = last == longest and whole.sizes["length"] > 1 and _stays(whole)
        return NO_LAW | {"kind": "none" if stays else "unknown"} | fitted
    law = growth(seen, multiplier)
    grown = law._asdict() | ({} if _fits(law, seen, last == longest) else {"kind": "unknown"})
    del grown["shift"]
    return grown | fitted


def _stays(seen: "xarray.Dataset") -> bool:
    """Whether slopes never differ by more than the lengths do."""
    return bool(np.ptp(np.log(seen["slope"].values)) <= np.ptp(np.log(seen["length"].values)))


def _fits(law: Growth, seen: "xarray.Dataset", to_the_end: bool) -> bool:
    """Whether slopes follow a law, and a law that there is, rather than that it is the better one of two.

    What is hidden in the end is no slope that stays as it is.
    """
    if law.kind == "none":
        return to_the_end and _stays(seen)
    length, slope = seen["length"].values.astype(float), np.log(seen["slope"].values)
    x = length if law.kind == "basin" else np.log(length - law.shift)
    known = law.multiplier > 1 if law.kind == "basin" else law.power < POWER
    return bool(known and law.evidence > DECIDED and np.corrcoef(x, slope)[0, 1] > STRAIGHT)


def _theory(plane: Plane, problem: Recurrence, points: list[list[float]]) -> list[tuple[str, float]]:
    """Where a multiplier comes from, and the multiplier, at each of ``points``."""
    if line := closed_form(plane, problem.task):
        w = np.array(points)[:, list(plane.axes).index("w")]
        return [("closed form", float(m)) for m in np.asarray(line(w).multiplier)]
    found = multipliers(plane, problem.task, np.array(points))
    return [("none" if math.isnan(m) else "numerical", float(m)) for m in found]

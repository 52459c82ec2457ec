"""Cliffs in words: where they are, how high and steep, of which kind, and what hides them."""

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import specs, store
from landscape.cliffs.laws import Growth, growth
from landscape.cliffs.limits import closed_form, multipliers
from landscape.cliffs.measures import jumps
from landscape.cliffs.ridges import ridge
from landscape.cliffs.polish import polish
from landscape.planes import Plane
from landscape.recurrence import Recurrence

if TYPE_CHECKING:
    import xarray

STATIONS = (0.1, 0.5, 0.9)  # places along a line, as shares of its vertices
FAR, ALIKE, EARLIEST = 0.15, 0.7, 3  # of the extent of all lines; cosine of directions; part of the longest length
MEASURES = ("direction", "slope", "height", "width", "resolved")


def describe(
    lines: "xarray.Dataset", plane: Plane | None = None, problem: Recurrence | None = None
) -> "xarray.Dataset":
    """Every line of the longest length of `ridge`, `polish` or `trace`, at three places: what it is and how it grows.

    Each place is followed to the nearest point of the lines, of like direction, at every shorter length from a third of
    the longest on, and a law fitted to the slopes (`growth`) of those that are resolved. With the ``plane`` and
    ``problem`` of the surface they are measured afresh (`polish`), and theory is asked: the multiplier of the closed form
    (``theory`` "closed form"), or of the unstable state where there is none ("numerical").

    Returns variables (line, station): both coordinates, ``direction``, ``slope``, ``height``, ``width``, ``resolved``;
    ``kind``: "basin", "fold", "none" (it does not steepen: a slope, no cliff) or "unknown" (fewer than four resolved
    lengths); ``multiplier``, ``power``, ``evidence`` and ``expected`` of `growth`; ``theory``. ``length`` in attrs.
    """
    import xarray

    names = [str(name) for name in lines.attrs["coordinates"]]
    longest = int(lines["length"].max()) if lines.sizes["point"] else 0
    last = lines.isel(point=(lines["length"] == longest).values)
    rows = []
    for number in np.unique(last["line"].values):
        line = last.isel(point=(last["line"] == number).values)
        for share in STATIONS:
            here = line.isel(point=[round(share * (line.sizes["point"] - 1))])
            rows.append(_station(lines, here, names, plane, problem))
    numbers = np.unique(last["line"].values)
    columns = {key: np.array([row[key] for row in rows]).reshape(len(numbers), -1) for key in (rows[0] if rows else ())}
    found = {key: (("line", "station"), values) for key, values in columns.items()}
    attrs = {"coordinates": names, "length": longest, "afresh": int(plane is not None and problem is not None)}
    return xarray.Dataset(found, {"line": numbers, "station": list(STATIONS)}, attrs)


def _station(
    lines: "xarray.Dataset", here: "xarray.Dataset", names: list[str], plane: Any, problem: Any
) -> dict[str, Any]:
    """One place of one line."""
    history = _history(lines, here, names)
    theory, multiplier = "none", math.nan
    if plane is not None and problem is not None:
        history = polish(plane, problem, _beside(plane, history, here, names))
        theory, multiplier = _theory(plane, problem.task, here, names)
    row: dict[str, Any] = {name: float(here[name].values[0]) for name in (*names, *MEASURES[:-1])}
    row |= {"resolved": bool(here["resolved"].values[0]), "kind": "unknown", "theory": theory}
    row |= dict.fromkeys(("multiplier", "power", "evidence", "expected"), math.nan)
    followed = history.swap_dims(point="length")
    if int(followed["resolved"].sum()) >= 4:
        law = growth(followed, multiplier)._asdict()
        row |= {key: law[key] for key in ("kind", "multiplier", "power", "evidence", "expected")}
    return row


def _theory(plane: Plane, task: Any, here: "xarray.Dataset", names: list[str]) -> tuple[str, float]:
    if line := closed_form(plane, task):
        return "closed form", float(np.asarray(line(here["w"].values).multiplier)[0])
    found = float(multipliers(plane, task, np.stack([here[name].values for name in names], axis=1))[0])
    return ("none" if math.isnan(found) else "numerical"), found


def _history(lines: "xarray.Dataset", here: "xarray.Dataset", names: list[str]) -> "xarray.Dataset":
    """The point of the lines at each length that is nearest to ``here``, relative to the extent of all lines."""
    scale = [max(float(np.ptp(lines[name].values)), 1e-300) for name in names]
    far = sum(((lines[name] - here[name].values[0]) / size) ** 2 for name, size in zip(names, scale, strict=True))
    alike = (far < FAR**2) & (np.cos(lines["direction"] - here["direction"].values[0]) > ALIKE)
    far = np.where(alike & (EARLIEST * lines["length"] >= here["length"].values[0]), far, np.inf)
    lengths = lines["length"].values
    each = (np.where(lengths == length, far, np.inf) for length in np.unique(lengths))
    return lines.isel(point=[int(own.argmin()) for own in each if np.isfinite(own).any()])


def _beside(plane: Plane, history: "xarray.Dataset", here: "xarray.Dataset", names: list[str]) -> "xarray.Dataset":
    """``here`` projected on the tangents of the lines at the points of its history.

    There it is looked for afresh by `polish`, by its jump if it is thinner than two cells.
    """
    step = max(float(np.diff(axis).max()) for axis in plane.axes.values())
    normal = [np.cos(history["direction"]), np.sin(history["direction"])]
    apart = sum((history[name] - here[name].values[0]) * n for name, n in zip(names, normal, strict=True))
    moved = {name: here[name].values[0] + apart * n for name, n in zip(names, normal, strict=True)}
    return history.assign({**moved, "resolved": history["resolved"] & (history["width"] > 2 * step)})


def report(path: Any, least: float = 0.05) -> str:
    """The cliffs of a stored surface in words. Where its cell and task can be made again, as they can unless they are
    somebody's own or hold arrays, they are measured afresh and compared with theory; else from the stored values.

    Raises ValueError for a surface without second derivatives, or over other than two coordinates.
    """
    surface, settings = store.open_surface(path), json.loads(store.attributes(path)["settings"])
    with store.damage(path):
        lines = ridge(surface, least)
    made = asked(surface, settings)
    found = describe(polish(*made, lines), *made) if made else describe(lines)
    names = lines.attrs["coordinates"]
    steps = {name: float(np.diff(surface[name].values).max()) for name in names}
    hidden = int(jumps(surface)["hidden"].isel(length=-1).sum())
    tail = f"At the longest length {hidden or 'no'} cells of the grid hide a cliff thinner than themselves."
    how = "measured afresh in float64" if made else "measured on the stored grid, as its cell or task is not known here"
    return "\n".join([f"{path}: {surface.attrs['title']}; {how}.", words(found, steps), tail])


def asked(surface: "xarray.Dataset", settings: dict[str, Any], *mine: Any) -> tuple[Plane, Recurrence] | None:
    """The plane and problem that a stored surface was made of; None where its cell or task is not known here."""
    made = specs.remade(settings, {name: surface[name].values for name in settings["axes"]}, *mine)
    if made is None:
        return None
    given = {key: settings[key] for key in ("lengths", "episodes", "seed")}
    return made[0], Recurrence(made[1], **given)


def words(described: "xarray.Dataset", steps: dict[str, float]) -> str:
    """What `describe` found, for people; ``steps`` are those of the grid, by coordinate."""
    if not described.sizes["line"]:
        return "No cliff: the gradient has no ridge as high as the threshold anywhere in this plane."
    at = f"At length {described.attrs['length']}"
    count = described.sizes["line"]
    steep = [str(kind) in ("basin", "fold", "unknown") for kind in described["kind"].values.ravel()]
    head = f"{at}: {count} line{'s'[: count > 1]} along which the loss is steepest."
    if not any(steep):
        head += " None of them steepens with length: slopes, no cliffs."
    rows = [head, *(_line(described.sel(line=number), steps) for number in described["line"].values)]
    if (described["kind"] == "unknown").any():
        rows.append("A kind takes four lengths, from a third of the longest on, at which the slope is resolved.")
    return "\n".join(rows)


def _line(line: "xarray.Dataset", steps: dict[str, float]) -> str:
    """One line in words, a row for each station."""
    parts = [f"line {int(line['line'])}"]
    for k in range(line.sizes["station"]):
        here = line.isel(station=k)
        where = ", ".join(f"{name} = {float(here[name]):.6g}" for name in steps)
        size = f"height {float(here['height']):.3g}, slope {float(here['slope']):.3g}, width {float(here['width']):.2g}"
        parts.append(f"  at {where}: {size}{_hidden(here, steps)}; {_kind(here)}")
    return "\n".join(parts)


def _hidden(here: "xarray.Dataset", steps: dict[str, float]) -> str:
    """How the grid sees the cliff, and the resolution that would show it."""
    across = np.array([math.cos(float(here["direction"])), math.sin(float(here["direction"]))])
    cell = 1 / float(np.linalg.norm(across / np.array(list(steps.values()))))
    if not bool(here["resolved"]) and here.attrs["afresh"]:
        return " (thinner than float64 can tell: the slope is a lower bound)"
    if not bool(here["resolved"]):
        return " (hidden below the grid: the slope is a lower bound; a finer grid or a shorter length would show it)"
    if (factor := 2 * cell / float(here["width"])) > 1:
        return f" (hidden below the grid, which would have to be {factor:.2g} times finer)"
    return ""


def _kind(here: "xarray.Dataset") -> str:
    fitted = {name: here[name].item() for name in ("multiplier", "power", "evidence", "expected")}
    law = Growth(kind=here["kind"].item(), shift=math.nan, **fitted)
    return f"{law}{'' if math.isnan(law.expected) else ', ' + here['theory'].item()}"

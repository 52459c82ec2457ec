"""Cliffs in words: where they are, how high and steep, of which kind, and what hides them."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.cliffs.laws import growth
from landscape.cliffs.limits import closed_form, multipliers
from landscape.cliffs.snaps import snap
from landscape.planes import Plane
from landscape.tasks import Task

if TYPE_CHECKING:
    import xarray

STATIONS = (0.1, 0.5, 0.9)  # places along a line, as shares of its vertices
MEASURES = ("direction", "slope", "height", "width", "resolved")


def describe(
    lines: "xarray.Dataset", plane: Plane | None = None, task: Task | None = None, **settings: Any
) -> "xarray.Dataset":
    """Every line of the longest length of `ridge`, `snap` or `trace`, at three places: what it is and how it grows.

    Each place is followed to the nearest point of the lines at every shorter length from a tenth of the longest on, and
    a law fitted to the slopes (`growth`) of those that are resolved. With the ``plane`` and ``task`` of the surface
    they are measured afresh (`snap`), and theory is asked: the multiplier of the closed form (``theory`` "closed
    form"), or of the unstable state where there is none ("numerical").

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
            rows.append(_station(lines, here, names, plane, task, settings))
    numbers = np.unique(last["line"].values)
    columns = {key: np.array([row[key] for row in rows]).reshape(len(numbers), -1) for key in (rows[0] if rows else ())}
    found = {key: (("line", "station"), values) for key, values in columns.items()}
    attrs = {"coordinates": names, "length": longest}
    return xarray.Dataset(found, {"line": numbers, "station": list(STATIONS)}, attrs)


def _station(
    lines: "xarray.Dataset", here: "xarray.Dataset", names: list[str], plane: Any, task: Any, settings: dict
) -> dict[str, Any]:
    """One place of one line."""
    history = _history(lines, here, names)
    theory, multiplier = "none", math.nan
    if plane is not None and task is not None:
        history = snap(plane, task, history, **settings)
        theory, multiplier = _theory(plane, task, here, names)
    row = {name: float(here[name].values[0]) for name in (*names, *MEASURES[:-1])}
    row |= {"resolved": bool(here["resolved"].values[0]), "kind": "unknown", "theory": theory}
    row |= dict.fromkeys(("multiplier", "power", "evidence", "expected"), math.nan)
    followed = history.swap_dims(point="length")
    if int(followed["resolved"].sum()) >= 4:
        law = growth(followed, multiplier)._asdict()
        row |= {key: law[key] for key in ("kind", "multiplier", "power", "evidence", "expected")}
    return row


def _theory(plane: Plane, task: Task, here: "xarray.Dataset", names: list[str]) -> tuple[str, float]:
    if line := closed_form(plane, task):
        return "closed form", float(np.asarray(line(here["w"].values).multiplier)[0])
    found = float(multipliers(plane, task, np.stack([here[name].values for name in names], axis=1))[0])
    return ("none" if math.isnan(found) else "numerical"), found


def _history(lines: "xarray.Dataset", here: "xarray.Dataset", names: list[str]) -> "xarray.Dataset":
    """The point of the lines at each length that is nearest to ``here``, relative to the extent of all lines."""
    scale = [max(float(np.ptp(lines[name])), 1e-300) for name in names]
    near = sum(((lines[name] - here[name].values[0]) / size) ** 2 for name, size in zip(names, scale, strict=True))
    longest = int(here["length"].values[0])
    best = [
        int(np.where(lines["length"].values == length, near, np.inf).argmin())
        for length in np.unique(lines["length"].values)
        if 10 * length >= longest
    ]
    return lines.isel(point=best)


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
    return "\n".join([head, *(_line(described.sel(line=number), steps) for number in described["line"].values)])


def _line(line: "xarray.Dataset", steps: dict[str, float]) -> str:
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
    if not bool(here["resolved"]):
        return " (thinner than can be told: the slope is a lower bound)"
    if (factor := 2 * cell / float(here["width"])) > 1:
        return f" (hidden below the grid, which would have to be {factor:.2g} times finer)"
    return ""


def _kind(here: "xarray.Dataset") -> str:
    theory = f"{float(here['expected']):.4f}, {here['theory'].item()}"
    beside = "no theory" if math.isnan(float(here["expected"])) else f"theory {theory}"
    return {
        "basin": f"basin cliff, {float(here['multiplier']):.4f} times steeper every step ({beside})",
        "fold": f"fold cliff, steeper as length to the power {float(here['power']):.2f} ({beside})",
        "none": "no cliff, it does not steepen with length",
        "unknown": "kind unknown, it takes four lengths at which the slope is resolved",
    }[here["kind"].item()]

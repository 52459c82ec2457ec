"""Results in words: what a store holds and how far to trust it; which cells, tasks and experiments there are."""

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape import names, specs, store
from landscape.blocks import Json
from landscape.cli.arguments import blocks_are, many
from landscape.progress import duration, size

if TYPE_CHECKING:
    import xarray


def show(path: Path | str) -> str:
    """The store at ``path`` in words: complete or not, what it holds, where it comes from; every value is read."""
    kind, about = store.kind(path), store.attributes(path)
    with store.sense(path):
        state, rows = {"surface": _surface, "result": _result, "sweep": _sweep}[kind](path, about)
        rows += _made(path, about)
    width = max(len(what) for what, _ in rows) + 2
    return "\n".join([f"{path}: {state}, {size(disk(path))}", *(f"  {what:<{width}}{text}" for what, text in rows)])


def _surface(path: Path | str, about: dict[str, Json]) -> tuple[str, list[tuple[str, str]]]:
    """Whether a surface is complete, and what it holds."""
    rows = list(_setup(specs.current(json.loads(about["settings"]))))
    if about["complete"]:
        return "complete", [*rows, *_values(store.open_surface(path), path), *_origin(about)]
    done, blocks = store.blocks_done(path)
    return f"not complete, {blocks_are(done, blocks)} done; the command that began it resumes it", rows


def _result(path: Path | str, about: dict[str, Json]) -> tuple[str, list[tuple[str, str]]]:
    """The settings and values of a finished result."""
    settings = ("settings", _pairs(json.loads(about["settings"])))
    return "complete", [settings, *_values(store.open_surface(path), path)]


def _sweep(path: Path | str, about: dict[str, Json]) -> tuple[str, list[tuple[str, str]]]:
    """How far a sweep is, its axes and settings, and what has been computed."""
    from landscape import sweeps

    settings, state = json.loads(about["settings"]), sweeps.status(path)
    rows = [("run", settings["run"])]
    rows += [("axis", _axis(axis, moved)) for axis, moved in settings["axes"].items()]
    rows += [("fixed", _pairs(settings["fixed"]))]
    rows += [("failed", f"{name}: {reason.splitlines()[0]}") for name, reason in state.failed.items()]
    if state.done:
        rows += _values(sweeps.open_sweep(path), path)
    complete = "complete" if state.done == state.chunks else "not complete, the same command goes on with it"
    return f"a sweep of {state.points} points, {complete}: {str(state).splitlines()[0]}", rows


def _axis(axis: str, moved: dict[str, list]) -> str:
    """An axis of a sweep: what moves along it, and over which values."""
    words = []
    for name, values in moved.items():
        few = ", ".join(map(str, values)) if len(values) < 9 else f"{values[0]}, {values[1]}, ... {values[-1]}"
        words.append(f"{name} = {few}")
    zipped = "" if list(moved) == [axis] else f"{axis}: "
    return f"{zipped}{'; '.join(words)} ({len(next(iter(moved.values())))} values)"


def disk(path: Path | str) -> int:
    """Bytes of all files of a store."""
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def _pairs(values: dict[str, Json]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items()) or "none"


def _setup(settings: dict[str, Json]) -> Iterator[tuple[str, str]]:
    """Cell and task, or a model and its data, plane and lengths, from the settings of a surface."""
    held = {name: value for name, value in settings["held"].items() if not isinstance(value, list | dict)}
    yield "cell" if "task" in settings else "model", specs.text(settings["cell"])
    yield "held", _pairs(held) + (f", and {more} arrays" if (more := len(settings["held"]) - len(held)) else "")
    if "task" in settings:
        many = f"{settings['episodes']} episodes from seed {settings['seed']}"
        yield "task", f"{specs.text(settings['task'])}, {many}, chance {settings['chance']:.6g}"
    if "examples" in settings:
        policy = f", {settings['policy']}" if settings["policy"] else ""
        yield "data", f"{settings['examples']:,} examples, {settings['batch']} at most at a time{policy}"
    for name, axis in settings["axes"].items():
        moves = "" if axis["moves"] == [name] else f" ({' = '.join(axis['moves']) or 'displacement'})"
        yield "plane", f"{name}{moves} from {axis['from']:g} to {axis['to']:g}, {axis['count']} values"
    if made := settings.get("made"):
        yield "directions", _directions(made)
    if (lengths := settings.get("lengths")) is None:
        return
    every = ", every one" if lengths == list(range(lengths[0], lengths[-1] + 1)) and len(lengths) > 1 else ""
    words = ", ".join(map(str, lengths)) if len(lengths) < 9 else f"{len(lengths)} from {lengths[0]} to {lengths[-1]}"
    yield "lengths", words + every


def _directions(made: dict[str, Json]) -> str:
    """How the directions of a plane were made, how long they are, and how far from right angles."""
    rule = f", rule {made['rule']}, key {made['key']}" if "rule" in made else ""
    norms = ", ".join(f"{name} {norm:.6g}" for name, norm in made["norms"].items())
    off = max((abs(c) for i, row in enumerate(made["cosines"]) for c in row[:i]), default=0.0)
    return f"{made['made']}{rule}; lengths {norms}; largest cosine {off:.1g}"


def _values(ds: "xarray.Dataset", path: Path | str) -> Iterator[tuple[str, str]]:
    """Range and non-finite count of every variable, read part by part, beside the count that the writer recorded."""
    for name, variable in ds.data_vars.items():
        if variable.dtype.kind not in "fiu":
            yield str(name), f"{variable.dtype} {dict(variable.sizes)}"
            continue
        low, high, lost = np.inf, -np.inf, 0
        for part in _parts(variable):
            with store.damage(path):
                values = part.values
            fine = values[np.isfinite(values)]
            lost += values.size - fine.size
            if fine.size:
                low, high = min(low, fine.min()), max(high, fine.max())
        absent = _absent(variable)
        lost -= absent
        said = variable.attrs.get("nonfinite", lost)
        wrong = "" if said == lost else f"; DAMAGED: {said:,} were written, so data are missing"
        span = f"{low:.6g} to {high:.6g}" if low <= high else "no finite value"
        yield str(name), f"{span}, {lost:,} of {variable.size - absent:,} inf or NaN{wrong}"


def _absent(variable: "xarray.DataArray") -> int:
    """Values of an unfinished sweep that nobody has computed."""
    if "sweep_state" not in variable.coords:
        return 0
    state = variable.sweep_state
    return int((state != 1).sum()) * (variable.size // max(1, state.size))


def _parts(variable: "xarray.DataArray") -> Iterator["xarray.DataArray"]:
    """A variable in slices along its second dimension (the first coordinate) that hold whole chunks."""
    if variable.ndim < 2:
        yield variable
        return
    dim = variable.dims[1]
    step = variable.encoding.get("chunks", variable.shape)[1]
    for start in range(0, variable.sizes[dim], step):
        yield variable.isel({dim: slice(start, start + step)})


def _origin(about: dict[str, Json]) -> Iterator[tuple[str, str]]:
    """The loss of the model that the plane was made from, by two routes."""
    if "origin_loss" not in about:
        if "origin" in about:
            yield "origin", about["origin"]
        return
    where = _pairs(json.loads(about["origin"]))
    ours, other = float(about["origin_loss"]), float(about["origin_loss_by_another_route"])
    yield "origin", f"loss {ours:.8g} at {where}; {other:.8g} by another route, difference {abs(ours - other):.1e}"
    if "origin_derivatives" in about:
        mine, theirs = (json.loads(about[f"origin_derivatives{by}"]) for by in ("", "_by_another_route"))
        worst = max(abs(mine[name] - theirs[name]) for name in theirs)
        yield "", f"{', '.join(theirs)} there by reverse mode, largest difference {worst:.1e}"


def _made(path: Path | str, about: dict[str, Json]) -> Iterator[tuple[str, str]]:
    """When, where and with what a result was made: every run that added to it."""
    if "seconds" in about:
        resumed = f", beside {about['resumed_blocks']} blocks of earlier runs" if about.get("resumed_blocks") else ""
        yield "made", f"{about['created']} in {duration(float(about['seconds']))}{resumed}"
    runs = store.runs_of(path) or [about]
    for run in runs:
        if "device" in run:
            yield "device", run["device"] + (f", {run['blocks']} blocks" if len(runs) > 1 else "")
            found = {key.removeprefix("version_"): text for key, text in run.items() if key.startswith("version_")}
            yield "versions", ", ".join(f"{name} {text}" for name, text in found.items()) + f"; git {run['git_commit']}"


def summary(path: Path | str) -> str:
    """What a finished surface holds, in two sentences."""
    about = store.attributes(path)
    settings = json.loads(about["settings"])
    lengths = settings.get("lengths")
    points = int(np.prod([axis["count"] for axis in settings["axes"].values()])) * len(lengths or [1])
    lost = f"{about['nonfinite']:,} of {points:,}" if about["nonfinite"] else f"none of {points:,}"
    over = f"{many(len(lengths), 'length')} over" if lengths else "over"
    words = f"{about['cell']} on {about['task']}, {over} {', '.join(settings['axes'])}"
    return f"{path}: {words}; {size(disk(path))} in {duration(about['seconds'])}. Losses that are inf or NaN: {lost}."


def known() -> str:
    """Cells with their equations and parameters, tasks with their options, and the experiments."""
    from landscape import cells, tasks

    parts = ["Cells (the parameters at which one unit starts):"]
    parts += [_entry(name, make, names.options_of(make)) for name, make in cells.known().items()]
    parts += ["", "Tasks (their options):"]
    parts += [_entry(name, make, names.options_of(make)) for name, make in tasks.known().items()]
    parts += ["", "Experiments (landscape run NAME):"]
    parts += [f"  {name:<24}{names.headline(file)}" for name, file in names.experiments().items()]
    return "\n".join(parts)


def _entry(name: str, make: Callable, options: dict[str, Json]) -> str:
    """A name, the first paragraph of its docstring, and what it can be made with; absent parameters left out."""
    text = " ".join((inspect.getdoc(make) or "").split("\n\n")[0].split()).replace("``", "")
    given = ", ".join(f"{key}={value:g}" for key, value in options.items() if value is not None)
    return f"  {name:<16}{text}\n{'':18}{given or 'no options'}"

"""Where a result comes from: settings in plain values, versions, commit, device."""

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import json
import platform
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from landscape import cells, names
from landscape.planes import Plane, named_leaves, plane
from landscape.tasks import Task


def digest(array: Any) -> str:
    """A short fingerprint of the values of an array."""
    return hashlib.sha256(np.ascontiguousarray(np.asarray(array, np.float64)).tobytes()).hexdigest()[:16]


def describe_cell(cell: Any) -> str:
    """A cell in words: its class and the static choices that differ from the class's own, ``SRNN(act=relu)``."""
    chosen = []
    for field in dataclasses.fields(cell):
        value = getattr(cell, field.name)
        if field.metadata.get("static") and value != field.default:
            chosen.append(f"{field.name}={getattr(value, '__name__', value)}")
        elif field.metadata.get("axes") is not None and (value is None) != (field.default is None):
            chosen.append(f"{field.name}={'absent' if value is None else 'present'}")
    return f"{type(cell).__name__}({', '.join(chosen)})" if chosen else type(cell).__name__


def describe_plane(plane: Plane) -> dict[str, Any]:
    """Cell, parameters held, what moves and over which values, as plain JSON values."""
    model = plane.affine.origin
    leaves = jax.tree.leaves(model)
    moved = {i for direction in plane.affine.directions for i, leaf in enumerate(direction) if leaf is not None}
    held = {name: np.asarray(leaves[i]).tolist() for name, i in named_leaves(model).items() if i not in moved}
    axes = {
        name: {
            "moves": plane.moves[name],
            "from": values[0],
            "to": values[-1],
            "count": len(values),
            "sha256": digest(values),
        }
        for name, values in plane.axes.items()
    }
    directions = {
        name: [None if leaf is None else digest(leaf) for leaf in direction]
        for name, direction in zip(plane.axes, plane.affine.directions, strict=True)
        if plane.moves[name].startswith("displacement")
    }
    origin = {"origin_sha256": digest(np.concatenate([np.ravel(leaf) for leaf in leaves]))} if directions else {}
    cell = getattr(model, "cell", model)
    described = describe_cell(cell) if dataclasses.is_dataclass(cell) else type(cell).__name__
    return {
        "cell": described,
        **source("cell", type(cell)),
        "held": held,
        "axes": axes,
        **({"directions": directions} if directions else {}),
        **origin,
    }


def describe_task(task: Task) -> dict[str, Any]:
    """The task's name with its options, and what it promises about itself."""
    about = {"task": task.name, "nested": task.nested, "chance": task.chance, "start": task.start}
    return {**about, **source("task", task.sample, task.loss)}


def source(what: str, *code: Any) -> dict[str, str]:
    """A fingerprint of classes and functions that are not this package's: it changes when somebody edits them."""
    texts = []
    for thing in code:
        if (getattr(thing, "__module__", None) or "").partition(".")[0] != "landscape":
            with contextlib.suppress(OSError, TypeError):  # typed at a prompt, or not written in Python
                texts.append(inspect.getsource(thing))
    return {f"{what}_source": hashlib.sha256("".join(texts).encode()).hexdigest()[:16]} if texts else {}


def title(settings: dict[str, Any]) -> str:
    """What a surface of these settings shows."""
    return f"{settings['cell']} on {settings['task']}: loss over {', '.join(settings['axes'])} by length"


def labels(settings: dict[str, Any], nonfinite: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Name and units of every coordinate and variable of a surface; of variables, how many values are not finite."""
    moves = {name: axis["moves"] for name, axis in settings["axes"].items()}
    words = {
        "length": {"long_name": "sequence length", "units": "steps"},
        **{name: {"long_name": moved, "units": "1"} for name, moved in moves.items()},
    }
    known = {"loss": "mean loss", "log10_gradient": "log10 of the gradient's norm"}
    for name, count in nonfinite.items():
        along = " and ".join(_coordinates_of(name, list(moves)))
        text = known.get(name, f"derivative of the mean loss along {along}")
        words[name] = {"long_name": text, "units": "1", "nonfinite": count}
    return words


def _coordinates_of(name: str, coordinates: list[str]) -> Iterator[str]:
    """The coordinates in the name of a derivative: w and b of ``d_w_b``."""
    rest, coordinates = name.removeprefix("d_"), sorted(coordinates, key=len, reverse=True)
    while hit := next((c for c in coordinates if rest == c or rest.startswith(c + "_")), None):
        yield hit
        rest = rest[len(hit) + 1 :]


@functools.cache
def commit() -> str:
    """The git commit of the checkout this package runs from, with ``+`` if files differ from it; else ``unknown``.

    Asked once a process: the code that runs is the code that was imported.
    """
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != here.parent:
            return "unknown"  # installed into the checkout of another project
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@functools.cache
def versions() -> dict[str, str]:
    """Versions of this package, what it computes with, and Python."""
    packages = ("rnn-landscape", "jax", "jaxlib", "numpy")
    found = {f"version_{name.replace('-', '_')}": metadata.version(name) for name in packages}
    return {**found, "version_python": platform.python_version()}


def here() -> dict[str, str]:
    """Versions, commit and device, for the attributes of a result."""
    device = jax.devices()[0]
    kind = f"{jax.local_device_count()} x {device.device_kind} ({device.platform})"
    return {**versions(), "git_commit": commit(), "device": kind}


def remade(settings: dict[str, Any]) -> tuple[Plane, Task] | None:
    """The plane and task that stored ``settings`` describe, made again; None unless they then describe the same."""
    moves = {name: axis["moves"].split(" = ") for name, axis in settings["axes"].items()}
    axes = {name: np.linspace(axis["from"], axis["to"], axis["count"]) for name, axis in settings["axes"].items()}
    ties = {name: parts for name, parts in moves.items() if parts != [name]}
    for make in cells.known().values():
        with contextlib.suppress(ValueError, TypeError):
            cell = make(**settings["held"])
            if describe_cell(cell) != settings["cell"]:
                continue
            made = names.task(*names.described(settings["task"]))
            again = plane(cell, ties, **axes)
            about = json.loads(json.dumps({**describe_plane(again), **describe_task(made)}))
            if all(settings.get(key) == value for key, value in about.items()):
                return again, made
    return None

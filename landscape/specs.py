"""What was computed, as data: cells, tasks and planes as plain JSON values, and made again from them.

A description is ``{"name": "latch", "options": {"noise": 0.1}}``. Names are those of this package alone: nothing in a
stored description can make a file run. Whoever wants a cell or task of his own made again gives the module himself.
"""

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FunctionType, MethodType, ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Shaped

from landscape import cells, tasks
from landscape.blocks import Json
from landscape.planes import Plane, named_leaves, plane
from landscape.tasks import Task

MOST_NUMBERS = 64  # of an array that a description holds in full; of larger ones it holds the shape and a digest


def text(spec: Mapping[str, Json] | str) -> str:
    """A description in words: ``latch(noise=0.1)``."""
    if isinstance(spec, str):  # of a store written before descriptions were data
        return spec
    options = ", ".join(f"{name}={_short(value)}" for name, value in spec["options"].items())
    return f"{spec['name']}({options})" if options else spec["name"]


def _short(value: Json) -> str:
    if isinstance(value, list):
        return " + ".join(text(spec) for spec in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def parsed(words: Mapping[str, Json] | str) -> dict[str, Json]:
    """A description from words, as stores held it before: ``latch(noise=0.1)``."""
    if not isinstance(words, str):
        return dict(words)
    name, _, rest = words.partition("(")
    options: dict[str, Json] = dict(re.findall(r"(\w+)=([^,)]+)", rest))
    for key, value in options.items():
        with contextlib.suppress(ValueError):
            options[key] = float(value)
    return {"name": name, "options": options}


def digest(array: Shaped[ArrayLike, "..."] | np.generic) -> str:
    """A short fingerprint of the values of an array."""
    if isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    array = np.asarray(array)
    wide = np.complex128 if array.dtype.kind == "c" else np.float64
    half = array.dtype.name if jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize < 4 else ""
    return hashlib.sha256(np.ascontiguousarray(array, wide).tobytes() + half.encode()).hexdigest()[:16]


def of_cell(cell: object) -> dict[str, Json]:
    """A cell by its class and the choices that differ from the class's own: ``act`` "relu", ``p_i`` "present"."""
    options: dict[str, Json] = {}
    for field in dataclasses.fields(cell) if dataclasses.is_dataclass(cell) else ():
        value = getattr(cell, field.name)
        if field.metadata.get("static") and value != field.default:
            options[field.name] = _choice(value)
        elif field.metadata.get("axes") is not None and (value is None) != (field.default is None):
            options[field.name] = "absent" if value is None else "present"
        elif isinstance(value, tuple):  # the layers of a stack
            options[field.name] = [of_cell(layer) for layer in value]
    return {"name": type(cell).__name__, "options": options}


def _choice(value: object) -> str:
    """A choice by its name, with a fingerprint where several have the same: a lambda, or what holds numbers."""
    name = str(getattr(value, "__name__", type(value).__name__ if callable(value) else value))
    return (
        " ".join([name, *source("own", value).values()])
        if callable(value) and (name == "<lambda>" or _carries(value))
        else name
    )


def of_task(task: Task) -> dict[str, Json]:
    """The task's name with its options, and what it promises about itself."""
    about = {"nested": task.nested, "chance": task.chance, "start": task.start}
    spec = {"name": task.name, "options": dict(task.options)}
    return {"task": spec, **about, **source("task", task.sample, task.loss)}


def of_plane(plane: Plane) -> dict[str, Json]:
    """Model, parameters held, what moves and over which values."""
    model = plane.affine.origin
    leaves = jax.tree.leaves(model)
    moved = {i for direction in plane.affine.directions for i, leaf in enumerate(direction) if leaf is not None}
    shown = numbers if any(plane.moves.values()) else _digested  # any model on a plane of displacements
    held = {name: shown(leaves[i]) for name, i in named_leaves(model).items() if i not in moved}
    axes = {
        name: {
            "moves": list(plane.moves[name]),
            "from": float(values[0]),
            "to": float(values[-1]),
            "count": len(values),
            "sha256": digest(values),
        }
        for name, values in plane.axes.items()
    }
    directions = {
        name: [None if leaf is None else digest(leaf) for leaf in direction]
        for name, direction in zip(plane.axes, plane.affine.directions, strict=True)
        if not plane.moves[name]
    }
    origin = {"origin_sha256": [digest(leaf) for leaf in leaves]} if directions else {}
    cell = getattr(model, "cell", model)
    described = {"cell": of_cell(cell), **source("cell", type(cell)), "held": held, "axes": axes}
    made = {"made": plane.about} if plane.about else {}
    return {**described, **({"directions": directions} if directions else {}), **made, **origin}


def numbers(leaf: Shaped[ArrayLike, "..."] | np.generic) -> Json:
    """A parameter that is held: its numbers if they are few, else its shape and a digest."""
    key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    if key or np.size(leaf) > MOST_NUMBERS or np.iscomplexobj(leaf):
        return {"shape": list(np.shape(leaf)), "sha256": digest(leaf)}
    return np.asarray(leaf).tolist()


def _digested(leaf: Shaped[ArrayLike, "..."]) -> Json:
    """A parameter of a model of any kind: a number, or the shape and digest of an array."""
    return numbers(leaf) if np.size(leaf) == 1 else {"shape": list(np.shape(leaf)), "sha256": digest(leaf)}


def source(what: str, *code: object) -> dict[str, str]:
    """A fingerprint of classes and functions that are not this package's, and of what these hold: numbers in closures,
    defaults and partials, fields of an object that is called. It changes when somebody edits them.
    """
    texts = []
    for thing in code:
        written = _written(thing)
        if (getattr(written, "__module__", None) or "").partition(".")[0] not in ("landscape", "builtins"):
            with contextlib.suppress(OSError, TypeError):  # typed at a prompt, or not written in Python
                texts.append(inspect.getsource(written))  # type: ignore[arg-type] # TypeError says that it is not
            if _carries(thing):
                texts.append(json.dumps(_held(thing)))
    return {f"{what}_source": hashlib.sha256("".join(texts).encode()).hexdigest()[:16]} if texts else {}


def _written(thing: object) -> object:
    """Where the source of what is called stands: a function, or the class of an object."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    thing = inspect.unwrap(thing) if callable(thing) else thing
    owner = getattr(thing, "__self__", None)
    if owner is not None and not isinstance(owner, type | ModuleType):
        return type(owner)
    return thing if isinstance(thing, type) or hasattr(thing, "__qualname__") else type(thing)


def _carries(thing: object) -> bool:
    """Whether the same source may stand for several of these."""
    inner = inspect.unwrap(thing) if callable(thing) else thing
    if isinstance(inner, FunctionType):
        return bool(inner.__closure__ or inner.__defaults__ or inner.__kwdefaults__)
    return not isinstance(inner, type)


def of_function(f: object) -> str:
    """A fingerprint of a function and all that it closes over: two optimisers with the same one do the same."""
    return hashlib.sha256(json.dumps(_held(f)).encode()).hexdigest()[:16]


def _held(value: object, depth: int = 32) -> Json:
    """A value that a function holds as plain JSON; a function as its name with what it holds itself."""
    if value is None or isinstance(value, bool | int | float | str) or depth == 0:
        return value if depth else "..."
    if isinstance(value, tuple | list):
        return [_held(v, depth - 1) for v in value]
    if isinstance(value, Mapping):
        return {str(key): _held(v, depth - 1) for key, v in value.items()}
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return numbers(value)
    if isinstance(value, functools.partial):
        return [_held(part, depth - 1) for part in (value.func, value.args, value.keywords)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):  # such as a module of Flax in another one
        names = [f.name for f in dataclasses.fields(value) if f.name not in ("name", "parent")]
        fields = {name: _held(getattr(value, name, None), depth - 1) for name in names}
        return [_room(type(value)), type(value).__qualname__, fields]
    closed = [_held(cell.cell_contents, depth - 1) for cell in getattr(value, "__closure__", None) or ()]
    own = [getattr(value, name, None) for name in ("__defaults__", "__kwdefaults__", "__self__")]
    if not isinstance(value, type | ModuleType | FunctionType | MethodType):  # an object that is called
        own.append(getattr(value, "__dict__", None) or None)
    kept = [_held(part, depth - 1) for part in own if part is not None and not isinstance(part, type | ModuleType)]
    return [_room(value), getattr(value, "__qualname__", type(value).__qualname__), closed, *kept]


def _room(value: object) -> str:
    """The module that a function or class is of; by its file's name alone whether it is run, imported or given."""
    name = getattr(value, "__module__", None) or ""
    file = Path(getattr(sys.modules.get(name), "__file__", None) or name)
    return name if "." in name or file.stem == "__init__" else file.stem


def task(settings: Mapping[str, Json], *mine: ModuleType) -> Task | None:
    """The task that ``settings`` describe, of this package or the modules ``mine``; None if it is of neither."""
    spec = parsed(settings["task"])
    for place in (tasks, *mine):
        make = tasks.known(place).get(spec["name"])
        with contextlib.suppress(ValueError, TypeError):
            if make and _agree(settings, of_task(made := make(**spec["options"]))):
                return made
    return None


def remade(settings: Mapping[str, Json], axes: Mapping[str, Json], *mine: ModuleType) -> tuple[Plane, Task] | None:
    """The plane over the values ``axes`` and the task that ``settings`` describe; None unless they describe the same.

    None for a plane of displacements and where a parameter held is a large array: there the model itself is needed.
    """
    found = task(settings, *mine) if "task" in settings else None
    moves = {name: _moves(axis["moves"]) for name, axis in settings["axes"].items()}
    if found is None or not all(moves.values()):
        return None
    for make in [make for place in (cells, *mine) for make in cells.known(place).values()]:
        with contextlib.suppress(ValueError, TypeError):
            cell = make(**settings["held"])
            if of_cell(cell) == parsed(settings["cell"]):
                ties = {name: parts for name, parts in moves.items() if parts != [name]}
                again = plane(cell, ties, **{name: axes[name] for name in moves})
                if _agree(settings, of_plane(again)):
                    return again, found
    return None


def _moves(moves: Sequence[str] | str) -> list[str]:
    """The parameters that a coordinate moves; none if it is a displacement."""
    if isinstance(moves, str):  # of a store written before
        return [] if moves.startswith("displacement") else moves.split(" = ")
    return list(moves)


def current(settings: Mapping[str, Json]) -> dict[str, Json]:
    """Settings as they are described today, whenever they were stored."""
    new = dict(settings)
    for key in ("cell", "task"):
        if isinstance(settings.get(key), str):
            new[key] = parsed(settings[key])
    if "axes" in settings:
        new["axes"] = {name: {**axis, "moves": _moves(axis["moves"])} for name, axis in settings["axes"].items()}
    return new


def _agree(settings: Mapping[str, Json], about: Mapping[str, Json]) -> bool:
    """Whether stored ``settings`` say the same as a description made now."""
    stored = current(settings)
    return all(stored.get(key) == value for key, value in json.loads(json.dumps(about)).items())

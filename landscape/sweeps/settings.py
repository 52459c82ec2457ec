"""Settings of a function, as values or as text: types checked, names looked up, labels that are the same tomorrow."""

import collections.abc as abc
import contextlib
import dataclasses
import functools
import hashlib
import inspect
import types
import typing
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import cattrs
import jax
import numpy as np

from landscape import cells, names, specs, tasks
from landscape.blocks import Json
from landscape.tasks import Task

T = TypeVar("T")
Hint = Any  # what may stand as an annotation: a class, a union, Any itself

module = functools.cache(names.module)  # once in a process: what it has compiled stays compiled


def named(text: str) -> object:
    """What a name stands for: a cell, a task, a function of optax, or ``file.py:Name`` in a file of one's own."""
    file, colon, name = text.rpartition(":")
    if colon:
        known, where = vars(module(str(Path(file).resolve()))), f" in {file}"
    else:
        known, where = {**cells.known(), **tasks.known()}, " among cells, tasks and optax; your own is file.py:Name"
        if name not in known:
            import optax

            known |= {key: value for key, value in vars(optax).items() if inspect.isfunction(value)}
    if name.startswith("_") or name not in known:
        raise names.unknown("name", name, [key for key in known if not key.startswith("_")], where)
    return known[name]


def absolute(run: str, base: Path) -> str:
    """``/path/file.py:name`` for the text of a function: ``file.py:name``, ``file.py`` (its ``run``) or a bare NAME.

    Looked for in the folder ``base``, then here, then in the ``experiments`` of either, then in those of the package.
    """
    file, _, name = run.partition(":")
    stem, places = Path(file).with_suffix(".py"), (base, Path(), base / "experiments", Path("experiments"))
    tried = [folder / stem for folder in (*places, names.shipped("experiments"))]
    for path in tried:
        if path.is_file():
            return f"{path.resolve()}:{name or 'run'}"
    raise ValueError(f"run = {run!r}: there is no such file; tried {', '.join(dict.fromkeys(map(str, tried)))}")


def located(value: Any, base: Path) -> Any:
    """``value`` with every ``file.py:Name`` in it as a full path, if the file lies in ``base``: true in any folder."""
    if type(value) in (list, tuple):
        return type(value)(located(v, base) for v in value)
    if not isinstance(value, str) or ".py:" not in value:
        return value
    file, _, name = value.rpartition(":")
    return f"{(base / file).resolve()}:{name}" if (base / file).is_file() else value


def files(value: object) -> dict[str, str]:
    """Fingerprints of the files behind every ``/path/file.py:Name`` in a value."""
    if isinstance(value, list | tuple | dict):
        parts = value.values() if isinstance(value, dict) else value
        return {name: mark for part in parts for name, mark in files(part).items()}
    if not isinstance(value, str) or ".py:" not in value or not Path(value).is_absolute():
        return {}
    path = Path(value.rpartition(":")[0])
    return {path.name: fingerprint(path)} if path.is_file() else {}


def fingerprint(path: Path) -> str:
    """The beginning of the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def function(run: Callable | str) -> Callable:
    """The function itself: as given, or from ``/path/file.py:name``."""
    found = named(run) if isinstance(run, str) else run
    if not callable(found):
        raise TypeError(f"run must be a function run(**settings) -> xarray.Dataset, given {found!r}")
    return found


def hints(run: Callable) -> dict[str, Hint]:
    """Types of the named settings of a function; one without an annotation has the type of its default."""
    parameters = inspect.signature(run).parameters.items()
    return {name: _hint(run, p) for name, p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}


def _hint(run: Callable, parameter: inspect.Parameter) -> Hint:
    if parameter.annotation is not parameter.empty:
        owner = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
        try:
            return typing.get_type_hints(owner, getattr(inspect.unwrap(run), "__globals__", {}))["it"]
        except NameError:  # imported for type checkers alone
            return Any
    default = parameter.default
    if default is parameter.empty or default is None:
        return Any
    if isinstance(default, list | tuple):
        return abc.Sequence[_kind(default)]  # type: ignore[misc]
    return _kind([default])


def _kind(values: Collection) -> Hint:
    """The type that values stand for: cells for a cell, functions for a function, floats for a mixture of numbers."""
    kinds = {type(value) for value in values}
    for base in (cells.Cell, Task):
        if kinds and all(issubclass(kind, base) for kind in kinds):
            return base
    if kinds == {int, float}:
        return float
    return Any if len(kinds) != 1 else abc.Callable if all(map(callable, values)) else kinds.pop()


def fit(value: object, hint: Hint, where: str) -> object:
    """``value`` as a setting of type ``hint`` takes it, or an error that begins with ``where`` it stands.

    A whole number serves as a float. Text for what is not text is a name: it stands for the function or class of that
    name or, where an instance is wanted, for what that makes when called without arguments.
    """
    try:
        return _settings.structure(value, hint)
    except TypeError:
        words = getattr(hint, "__name__", str(hint)) if not typing.get_args(hint) else str(hint)
        raise TypeError(f"{where} = {value!r} must be {words.replace('collections.abc.', '')}") from None
    except ValueError as error:
        raise ValueError(f"{where} = {value!r}: {error}") from error


def strict(**options: Any) -> cattrs.Converter:
    """A converter that takes a number, a truth value or text as it is, and turns nothing into another type."""
    made = cattrs.Converter(**options)
    for kinds in ((bool,), (int,), (float, int), (str,), (types.NoneType,)):
        made.register_structure_hook(kinds[0], functools.partial(_exactly, kinds))
    return made


def _exactly(kinds: tuple, value: Any, hint: Hint) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return _accept(value, type(value) in kinds, hint)


def _accept(value: T, right: bool, hint: Hint) -> T:
    if not right:
        raise TypeError(f"{value!r} must be {getattr(hint, '__name__', hint)}")
    return value


def _made(value: object, hint: Hint) -> object:
    """A function or a class, or an instance of one; text is the name of it."""
    kind = typing.get_origin(hint) or hint
    found = named(value) if isinstance(value, str) else value
    if not inspect.isclass(kind) or kind in (abc.Callable, type):
        return _accept(found, callable(found), hint)
    made = found() if callable(found) and not isinstance(found, kind) else found
    return _accept(made, isinstance(made, kind), hint)


def _first(value: object, hint: Hint) -> object:
    """``value`` as the first type of a union that takes it, its own before others; text stays text if it may."""
    for kind in sorted(typing.get_args(hint), key=lambda kind: kind is not type(value)):
        with contextlib.suppress(TypeError):
            return _settings.structure(value, kind)
    return _accept(value, False, hint)


def _each(values: Any, hint: Hint) -> object:
    """Every item as its own type; text is no list."""
    kinds, wanted = typing.get_args(hint) or (Any, ...), typing.get_origin(hint) or hint
    _accept(values, isinstance(values, abc.Iterable) and not isinstance(values, str), hint)
    items = list(values)
    kinds = kinds if wanted is tuple and kinds[-1] is not ... else kinds[:1] * len(items)
    _accept(values, len(items) == len(kinds), hint)
    items = [_settings.structure(item, kind) for item, kind in zip(items, kinds, strict=True)]
    return items if wanted is list else tuple(items)


def _of(*origins: Hint) -> Callable[[Hint], bool]:
    return lambda hint: (typing.get_origin(hint) or hint) in origins


_settings = strict(detailed_validation=False)
_settings.register_structure_hook(float, lambda value, hint: float(_exactly((int, float), value, hint)))
_settings.register_structure_hook_func(lambda hint: hint is not Any, _made)
_settings.register_structure_hook_func(_of(list, tuple, abc.Sequence, abc.Iterable, abc.Collection), _each)
_settings.register_structure_hook_func(_of(typing.Union, types.UnionType), _first)
_settings.register_structure_hook_func(_of(typing.Literal), lambda v, h: _accept(v, v in typing.get_args(h), h))


def label(value: object) -> Json:
    """``value`` as plain JSON: itself, or a name that another process on another day and machine gives it too."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return Path(value).name if files(value) else value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {key: label(v) for key, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [label(v) for v in value]
    if isinstance(value, functools.partial):
        words = [str(label(v)) for v in value.args] + [f"{k}={label(v)}" for k, v in value.keywords.items()]
        return f"{label(value.func)}({', '.join(words)})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _label_record(value)
    name, owner = getattr(value, "__name__", "<"), getattr(value, "__self__", None)
    if "<" in name or not isinstance(owner, type | types.ModuleType | None):
        raise TypeError(
            f"{value!r} has no name that a later run could know it by; give a named function or plain values"
        )
    return f"{name} {specs.of_function(value)}" if getattr(value, "__closure__", None) else name


def _label_record(value: object) -> str:
    """The name of a task with its options in full, or a cell in words with a fingerprint of its parameters."""
    if isinstance(value, Task):
        options = ", ".join(f"{name}={option}" for name, option in value.options)
        return f"{value.name}({options})" if options else value.name
    leaves = jax.tree.leaves(value)
    return f"{specs.text(specs.of_cell(value))} {specs.digest(np.concatenate([np.ravel(leaf) for leaf in leaves]))}"


def source(run: Callable) -> str:
    """A fingerprint of the file that defines ``run``: results of two versions of an experiment must not be mixed."""
    while isinstance(run, functools.partial):
        run = run.func
    try:
        file = inspect.getsourcefile(inspect.unwrap(run))
        return fingerprint(Path(file or ""))
    except (OSError, TypeError):
        return "unknown"

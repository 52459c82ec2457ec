"""A sweep written down: a TOML file as frozen dataclasses, every key checked."""

import dataclasses
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cattrs
import numpy as np

from landscape import names
from landscape.sweeps.plan import Plan, plan
from landscape.sweeps.settings import strict


@dataclasses.dataclass(frozen=True)
class Linear:
    """``{linear = [0, 1], count = 5}``: equally spaced values, both ends included."""

    linear: tuple[float, float]
    count: int


@dataclasses.dataclass(frozen=True)
class Log:
    """``{log = [1e-4, 1], count = 5}``: values in equal ratios, both ends included."""

    log: tuple[float, float]
    count: int


@dataclasses.dataclass(frozen=True)
class Zip:
    """``{zip = {w = [0, 1], b = [2, 3]}}``: settings that move together along one axis."""

    zip: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class File:
    """``run``, the tables ``axes``, ``fixed`` and ``chunk`` as in `plan`, and where the results go."""

    run: str
    axes: dict[str, Any]
    fixed: dict[str, Any] = dataclasses.field(default_factory=dict)
    chunk: dict[str, int] = dataclasses.field(default_factory=dict)
    out: str = ""


def read(path: Path | str) -> tuple[Plan, Path]:
    """The plan in a TOML file and its store: ``out``, else ``results/NAME.zarr``, from the current folder.

    Raises ValueError or TypeError, with the file and the path of the key, for anything that is not right.
    """
    path = Path(path)
    try:
        file = _structured(tomllib.loads(path.read_text("utf-8")), File)
        axes = {name: _values(given, f"axes.{name}") for name, given in file.axes.items()}
        made = plan(file.run, axes, file.fixed, chunk=file.chunk, base=path.parent)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return made, Path(file.out or f"results/{path.stem}.zarr")


def _values(given: object, where: str) -> Iterable | dict[str, Iterable]:
    """Values of one axis of a file: a list, a range, or zipped settings."""
    if isinstance(given, list):
        return given
    keys = set(given) if isinstance(given, dict) else set()
    for key, kind in {"linear": Linear, "log": Log, "zip": Zip}.items():
        if key in keys:
            found = _structured(given, kind, f"{where}.")
            if isinstance(found, Zip):
                return {name: _values(values, f"{where}.zip.{name}") for name, values in found.zip.items()}
            return _range(found, where)
    raise ValueError(
        f"{where} must be a list, {{linear = [from, to], count = n}}, {{log = [from, to], count = n}} or "
        f"{{zip = {{name = values, ...}}}}, given {given!r}"
    )


def _range(given: Linear | Log, where: str) -> list:
    """Values of a range; whole numbers where both ends are written as whole numbers and all between them are whole."""
    if given.count < 1:
        raise ValueError(f"{where}.count = {given.count} must be at least 1")
    ends = given.linear if isinstance(given, Linear) else given.log
    if isinstance(given, Log) and min(ends) <= 0:
        raise ValueError(f"{where}.log = {list(ends)} must have both ends above 0")
    values = (np.linspace if isinstance(given, Linear) else np.geomspace)(*ends, given.count)
    rounded = np.rint(values)
    if all(isinstance(end, int) for end in ends) and np.allclose(values, rounded, rtol=1e-12, atol=0):
        return rounded.astype(int).tolist()
    return values.tolist()


def _structured(given: Any, kind: Any, where: str = "") -> Any:
    """``given`` as a dataclass, or a ValueError that says what is wrong at which key."""
    try:
        return _converter.structure(given, kind)
    except cattrs.BaseValidationError as error:
        told = cattrs.transform_error(error, path="$", format_exception=_format)
        raise ValueError(
            "; ".join(text.replace(" @ $.", f" at {where}").replace(" @ $", "") for text in told)
        ) from error


def _format(error: BaseException, kind: type | None) -> str:
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        known = [field.name for field in dataclasses.fields(error.cl)]
        return "; ".join(str(names.unknown("key", key, known)) for key in sorted(error.extra_fields))
    if isinstance(error, KeyError):
        return "a value is missing"
    return str(error)


_converter = strict(forbid_extra_keys=True)

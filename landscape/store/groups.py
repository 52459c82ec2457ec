"""What a store is: ours, of a format that is known, with attributes that make sense, or one sentence."""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from landscape.blocks import SURFACE, Blocking, Json
from landscape.store import first, records
from landscape.store.folders import StoreError, ZarrArray, ZarrGroup

if TYPE_CHECKING:
    from jaxtyping import Float

RESULT, SWEEP = "landscape result 1", "landscape sweep 2"
KINDS = {SURFACE: "surface", first.SURFACE: "surface", RESULT: "result", SWEEP: "sweep", first.SWEEP: "sweep"}


def group_of(path: Path | str, mode: Literal["r", "r+"] = "r") -> ZarrGroup:
    """The zarr group of a store of ours, or a StoreError that says what is there instead."""
    import zarr

    if not isinstance(path, str | os.PathLike):
        raise StoreError(f"a store is given by its path, such as 'cliffs.zarr'; given {path!r}")
    path = Path(path)
    if not path.exists():
        raise StoreError(
            f"{path} does not exist; give the path of a store that `landscape surface`, `sweep` or `run` wrote"
        )
    if not path.is_dir():
        raise StoreError(f"{path} is a file, not a store, which is a folder; give another path")
    if not (path / "zarr.json").exists():
        raise StoreError(f"{path} is a folder without a zarr.json, so not a zarr v3 store; give another path")
    _check_files(path)
    try:
        group = zarr.open_group(path, mode=mode, zarr_format=3, use_consolidated=False)
        written = group.attrs.get("format")
    except Exception as error:
        raise StoreError(
            f"{path} is not a zarr v3 group ({type(error).__name__}: {error}); give another path"
        ) from error
    if not isinstance(written, str) or not written.startswith("landscape "):
        raise StoreError(f"{path} is a zarr group that landscape did not write; give another path")
    if written not in KINDS:
        raise StoreError(
            f"{path} says it is {written!r}, which this version cannot read; it reads {', '.join(map(repr, KINDS))}"
        )
    _check_attributes(path, dict(group.attrs))
    return group


def _check_files(path: Path) -> None:
    """StoreError unless every metadata file of a store is a JSON object."""
    for depth in ("", "*", "*/*"):
        for file in sorted(path.glob(f"{depth}/zarr.json".removeprefix("/"))):
            try:
                whole = isinstance(json.loads(file.read_bytes()), dict)
            except (ValueError, OSError):
                whole = False
            if not whole:
                raise StoreError(f"{file} is damaged; move {path} away and run the same command again")


def _check_attributes(path: Path, about: dict[str, Json]) -> None:
    """StoreError unless the attributes that every store has are there and make sense."""
    with sense(path):
        settings = json.loads(about["settings"])
        if not isinstance(settings, dict):
            raise ValueError(f"settings are {settings!r}")
        if about["format"] != first.SWEEP and not isinstance(about["complete"], bool):
            raise ValueError(f"complete is {about['complete']!r}")


@contextlib.contextmanager
def sense(path: Path | str) -> Iterator[None]:
    """Say in one sentence that what the store at ``path`` says about itself cannot be understood."""
    try:
        yield
    except StoreError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration) as error:
        lacks = f"there is no {error}" if isinstance(error, KeyError) else f"{error}"
        raise StoreError(
            f"{path} is damaged (what it says about itself makes no sense: {lacks}); "
            "move it away and run the command that made it again"
        ) from error


def attributes(path: Path | str) -> dict[str, Json]:
    """What the store at ``path`` says about itself, complete or not. Raises StoreError unless it is ours."""
    return dict(group_of(path).attrs)


def kind(path: Path | str) -> str:
    """``surface``, ``result`` or ``sweep``: what the store at ``path`` holds."""
    return KINDS[attributes(path)["format"]]


def blocking_of(group: ZarrGroup) -> Blocking:
    """The grid of a store and its blocks."""
    about = group["blocks"].attrs
    return Blocking(tuple(map(int, about["shape"])), tuple(map(int, about["block"])))


def record_of(path: Path | str) -> "Float[np.ndarray, 'block column']":
    """Records (block, column) of the store at ``path``: state, started, finished, run, counts of what is not finite."""
    return record_in(Path(path), group_of(path))


def record_in(path: Path, group: ZarrGroup) -> "Float[np.ndarray, 'block column']":
    """`record_of` the store at ``path``, whose ``group`` is open."""
    with sense(path):
        if group.attrs["format"] in (first.SURFACE, first.SWEEP):
            return first.record(path, group)
        shape, number = group["blocks/record"].shape, blocking_of(group).number
        if shape[0] != number:
            raise ValueError(f"{shape[0]} records of {number} blocks")
        return records.read(path, shape)


def blocks_done(path: Path | str) -> tuple[int, int]:
    """Blocks done and in all of the store at ``path``."""
    if kind(path) == "result":
        return 1, 1
    record = record_of(path)
    return int(np.count_nonzero(record[:, 0] == records.DONE)), len(record)


def runs_of(path: Path | str) -> list[dict[str, Json]]:
    """What the runs ran on that added to the store at ``path``, with the number of ``blocks`` of each."""
    about = attributes(path)
    with sense(path):
        if "runs" in about:
            return json.loads(about["runs"])
        return records.runs(Path(path), record_of(path)) if about["format"] in (SURFACE, SWEEP) else []


def arrays_of(path: Path | str, groups: Sequence[str]) -> dict[str, ZarrArray]:
    """The zarr arrays in the first of some ``groups`` that the store at ``path`` has."""
    with sense(path):
        group = group_of(path)
        return members(next(group[name] for name in groups if name in group))


def members(group: ZarrGroup) -> dict[str, ZarrArray]:
    """The arrays of a zarr group by name, without a word on what else lies there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(group.arrays())

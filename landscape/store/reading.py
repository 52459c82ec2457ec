"""Stores as they are opened: what is there is ours, whole and undamaged, or one sentence says what is wrong with it."""

import contextlib
import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.blocks import SURFACE, Cut
from landscape.store import first, records
from landscape.store.folders import StoreError

if TYPE_CHECKING:
    import xarray

RESULT, SWEEP = "landscape result 1", "landscape sweep 2"
KINDS = {SURFACE: "surface", first.SURFACE: "surface", RESULT: "result", SWEEP: "sweep", first.SWEEP: "sweep"}


def group_of(path: Any, mode: Any = "r") -> Any:
    """The zarr group of a store of ours, or a StoreError that says what is there instead."""
    import zarr

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


def _check_attributes(path: Path, about: dict[str, Any]) -> None:
    """StoreError unless the attributes that every store has are there and make sense."""
    with sense(path):
        settings = json.loads(about["settings"])
        if not isinstance(settings, dict):
            raise ValueError(f"settings are {settings!r}")
        if about["format"] != first.SWEEP and not isinstance(about["complete"], bool):
            raise ValueError(f"complete is {about['complete']!r}")


@contextlib.contextmanager
def sense(path: Any) -> Iterator[None]:
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


def attributes(path: Any) -> dict[str, Any]:
    """What the store at ``path`` says about itself, complete or not. Raises StoreError unless it is ours."""
    return dict(group_of(path).attrs)


def kind(path: Any) -> str:
    """``surface``, ``result`` or ``sweep``: what the store at ``path`` holds."""
    return KINDS[attributes(path)["format"]]


def cut_of(group: Any) -> Cut:
    """The grid of a store and its blocks."""
    about = group["blocks"].attrs
    return Cut(tuple(map(int, about["shape"])), tuple(map(int, about["block"])))


def record_of(path: Any) -> np.ndarray:
    """Records (block, column) of the store at ``path``: state, started, finished, run, counts of what is not finite."""
    group = group_of(path)
    with sense(path):
        if group.attrs["format"] in (first.SURFACE, first.SWEEP):
            return first.record(Path(path), group)
        shape, number = group["blocks/record"].shape, cut_of(group).number
        if shape[0] != number:
            raise ValueError(f"{shape[0]} records of {number} blocks")
        return records.read(Path(path), shape)


def blocks_done(path: Any) -> tuple[int, int]:
    """Blocks done and in all of the store at ``path``."""
    if kind(path) == "result":
        return 1, 1
    record = record_of(path)
    return int(np.count_nonzero(record[:, 0] == records.DONE)), len(record)


def runs_of(path: Any) -> list[dict[str, Any]]:
    """What the runs ran on that added to the store at ``path``, with the number of ``blocks`` of each."""
    about = attributes(path)
    with sense(path):
        if "runs" in about:
            return json.loads(about["runs"])
        return records.runs(Path(path), record_of(path)) if about["format"] in (SURFACE, SWEEP) else []


def files(path: Path, arrays: dict[str, Any], leading: int, cut: Cut, index: int) -> list[Path]:
    """The chunk files of a block, one for each of the zarr ``arrays`` in the folder ``path``."""
    where = ["0"] * leading + [str(i) for i in cut.where(index)]
    return [Path(path, name, "c", *where, *["0"] * (array.ndim - len(where))) for name, array in arrays.items()]


def open_surface(path: Any) -> "xarray.Dataset":
    """The surface or result stored at ``path``, read lazily. Raises StoreError unless it is complete and ours."""
    group, path = group_of(path), Path(path)
    about = dict(group.attrs)
    if KINDS[about["format"]] == "sweep":
        raise StoreError(f"{path} holds a sweep, not a surface; `landscape show`, `status` and `plot` read it")
    if not about["complete"]:
        done, blocks = blocks_done(path)
        raise StoreError(
            f"{path} is not complete, {done} of {blocks} blocks are done; "
            "run the command that began it again to finish it"
        )
    if about["format"] == RESULT:
        return open_arrays(path)
    with sense(path):
        gone = lost(path, group)
        order = [group[name].basename for name in group["blocks"].attrs["variables"]]
    if gone:
        raise StoreError(f"{path} lacks files of {gone} of its blocks; run the command that made it again to mend it")
    return open_arrays(path)[order]


def lost(path: Path, group: Any) -> int:
    """Blocks of a surface that are not done, or are but lack a file, which zarr would read as NaN."""
    if group.attrs["format"] == first.SURFACE:
        return first.lost(path, group)
    done = record_of(path)[:, 0] == records.DONE
    return int(np.count_nonzero(~done)) + missing(path, np.flatnonzero(done).tolist())


def missing(path: Path, done: list[int]) -> int:
    """Blocks among those ``done`` of the store at ``path`` that lack a file."""
    group = group_of(path)
    if "blocks" not in group:  # a sweep of the first format
        return 0
    about, cut = group["blocks"].attrs, cut_of(group)
    under = about["under"]
    inner = group[under] if under else group
    arrays = {name: array for name, array in members(inner).items() if name not in json.loads(inner.attrs["marks"])}
    chunks = (files(path / under, arrays, int(about["leading"]), cut, index) for index in done)
    return sum(not all(file.exists() for file in block) for block in chunks)


def arrays_of(path: Any, groups: Sequence[str]) -> dict[str, Any]:
    """The zarr arrays in the first of some ``groups`` that the store at ``path`` has."""
    with sense(path):
        group = group_of(path)
        return members(next(group[name] for name in groups if name in group))


def members(group: Any) -> dict[str, Any]:
    """The arrays of a zarr group by name, without a word on what else lies there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(group.arrays())


def open_arrays(path: Path, inside: str = "") -> "xarray.Dataset":
    """The arrays of the group ``inside`` a store, lazily, after a check of their layout and of every coordinate."""
    import xarray

    grows = attributes(path).get("grows")  # then the gathered metadata say how much of it is finished
    with damage(path, inside):
        check_arrays(path, inside)
        ds = xarray.open_zarr(path, group=inside or None, consolidated=bool(grows), zarr_format=3, chunks=None)
    if grows and np.any(np.diff(ds[grows].values, prepend=-1) <= 0):
        raise StoreError(f"{path} is damaged ({grows} is not what was written); move it away and start again")
    own = ("arrays", "marks", "token", "grows")  # of the store, not of the result
    return ds.drop_attrs(deep=False).assign_attrs({k: v for k, v in ds.attrs.items() if k not in own})


def check_arrays(path: Path, inside: str = "") -> None:
    """StoreError unless the arrays are those that were made, and the coordinates hold what was written."""
    group = group_of(path)
    about = dict(group.attrs)
    with sense(path):
        group = group[inside] if inside else group
        must = about["format"] in (SURFACE, SWEEP)  # others may be older than this
        known = {key: group.attrs[key] for key in ("arrays", "marks") if must or key in group.attrs}
        expected, marks = (json.loads(known.get(key, "{}")) for key in ("arrays", "marks"))
        found = layout(group)
        there = {name: found.get(name, "absent") for name in expected}
        wrong = [f"{name} is {there[name]}, was {was}" for name, was in expected.items() if there[name] != was]
        wrong = wrong or [f"{name} is not what was written" for name in marks if not _is(group[name], marks[name])]
        if about["format"] == first.SURFACE:
            wrong += first.wrong(group, json.loads(about["settings"]))
    if wrong:
        raise StoreError(f"{path} is damaged ({'; '.join(wrong)}); move it away and run the same command again")


def _is(array: Any, was: str) -> bool:
    """Whether an array can be read and holds what its mark says."""
    try:
        return mark(array[...]) == was
    except Exception:
        return False


def layout(group: Any) -> dict[str, str]:
    """Every array of a zarr group in words: ``float32 (length 3, w 40, b 41) in chunks of 3 x 20 x 41``."""
    words = {}
    for name, array in members(group).items():
        dims = ", ".join(f"{dim} {n}" for dim, n in zip(array.metadata.dimension_names or (), array.shape, strict=True))
        chunks = f" in chunks of {' x '.join(map(str, array.chunks))}" if array.ndim else ""
        words[name] = f"{array.dtype} ({dims}){chunks}"
    return words


def mark(values: Any) -> str:
    """A short fingerprint of the values of an array of numbers or text, with its type and shape."""
    array = np.asarray(values)
    text = array.dtype.kind not in "biufc"
    data = json.dumps(array.tolist()).encode() if text else np.ascontiguousarray(array).tobytes()
    about = f"{'text' if text else array.dtype.str} {array.shape}"
    return hashlib.sha256(about.encode() + data).hexdigest()[:16]


@contextlib.contextmanager
def damage(path: Any, inside: str = "") -> Iterator[None]:
    """Say in one sentence that reading the store at ``path`` failed: StoreError instead of what zarr raises."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno) or not _from_zarr(error):
            raise
        bad = _unreadable(Path(path), inside)
        what = f"{', '.join(map(str, bad[:3]))} cannot be read" if bad else f"{type(error).__name__}: {error}"
        raise StoreError(
            f"{path} is damaged ({what}); run the command that made it again, which computes damaged blocks anew"
        ) from error


def _unreadable(path: Path, inside: str) -> list[Path]:
    """Chunk files of the arrays of a store that cannot be decoded."""
    found, folder = [], path / inside
    with contextlib.suppress(Exception):
        group = group_of(path)
        for name, array in members(group[inside] if inside else group).items():
            for where in np.ndindex(*Cut(array.shape, array.chunks).counts):
                try:
                    array.blocks[where]
                except Exception:
                    found.append(folder.joinpath(name, "c", *map(str, where)))
    return found


def _from_zarr(error: BaseException) -> bool:
    """Whether an error came from reading: the call went through zarr or xarray's reader of it."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith(("zarr", "numcodecs", "xarray.backends")):
            return True
        trace = trace.tb_next
    return False

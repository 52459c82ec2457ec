"""Stores as they are opened: whole and undamaged, or one sentence says what is wrong with them."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.blocks import SURFACE, Blocking
from landscape.store import first, records
from landscape.store.folders import StoreError, ZarrArray, ZarrGroup
from landscape.store.groups import (
    KINDS,
    RESULT,
    SWEEP,
    blocking_of,
    blocks_done,
    group_of,
    members,
    record_in,
    sense,
)

if TYPE_CHECKING:
    import xarray
    from jaxtyping import Shaped


def files(path: Path, arrays: dict[str, ZarrArray], leading: int, blocking: Blocking, index: int) -> list[Path]:
    """The chunk files of a block, one for each of the zarr ``arrays`` in the folder ``path``."""
    where = ["0"] * leading + [str(i) for i in blocking.where(index)]
    return [Path(path, name, "c", *where, *["0"] * (array.ndim - len(where))) for name, array in arrays.items()]


def open_surface(path: Path | str) -> "xarray.Dataset":
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
        if gone := lost(path, group):
            raise StoreError(
                f"{path} lacks files of {gone} of its blocks; run the command that made it again to mend it"
            )
        return open_arrays(path)[list(group["blocks"].attrs["variables"])]


def lost(path: Path, group: ZarrGroup) -> int:
    """Blocks of a surface that are not done, or are but lack a file, which zarr would read as NaN."""
    if group.attrs["format"] == first.SURFACE:
        return first.lost(path, group)
    done = record_in(path, group)[:, 0] == records.DONE
    return int(np.count_nonzero(~done)) + missing(path, group, np.flatnonzero(done).tolist())


def missing(path: Path, group: ZarrGroup, done: list[int]) -> int:
    """Blocks among those ``done`` of the store at ``path``, whose ``group`` is open, that lack a file."""
    if "blocks" not in group:  # a sweep of the first format
        return 0
    about, blocking = group["blocks"].attrs, blocking_of(group)
    under = about["under"]
    inner = group[under] if under else group
    arrays = {name: array for name, array in members(inner).items() if name not in json.loads(inner.attrs["marks"])}
    chunks = (files(path / under, arrays, int(about["leading"]), blocking, index) for index in done)
    return sum(not all(file.exists() for file in block) for block in chunks)


def open_arrays(path: Path, inside: str = "") -> "xarray.Dataset":
    """The arrays of the group ``inside`` a store, lazily, after a check of their layout and of every coordinate."""
    import xarray

    group = group_of(path)
    grows = group.attrs.get("grows")  # then the gathered metadata say how much of it is finished
    with damage(path, inside):
        check_arrays(path, group, inside)
        ds = xarray.open_zarr(path, group=inside or None, consolidated=bool(grows), zarr_format=3, chunks=None)
    if grows and np.any(np.diff(ds[grows].values, prepend=-1) <= 0):
        raise StoreError(f"{path} is damaged ({grows} is not what was written); move it away and start again")
    own = ("arrays", "marks", "token", "grows")  # of the store, not of the result
    return ds.drop_attrs(deep=False).assign_attrs({k: v for k, v in ds.attrs.items() if k not in own})


def check_arrays(path: Path, group: ZarrGroup, inside: str = "") -> None:
    """StoreError unless the arrays are those that were made, and the coordinates hold what was written."""
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


def _is(array: ZarrArray, was: str) -> bool:
    """Whether an array can be read and holds what its mark says."""
    try:
        return mark(array[...]) == was
    except Exception:
        return False


def layout(group: ZarrGroup) -> dict[str, str]:
    """Every array of a zarr group in words: ``float32 (length 3, w 40, b 41) in chunks of 3 x 20 x 41``."""
    words = {}
    for name, array in members(group).items():
        dims = ", ".join(f"{dim} {n}" for dim, n in zip(array.metadata.dimension_names or (), array.shape, strict=True))
        chunks = f" in chunks of {' x '.join(map(str, array.chunks))}" if array.ndim else ""
        words[name] = f"{array.dtype} ({dims}){chunks}"
    return words


def mark(values: "Shaped[np.ndarray, '...']") -> str:
    """A short fingerprint of the values of an array of numbers or text, with its type and shape."""
    array = np.asarray(values)
    text = array.dtype.kind not in "biufc"
    data = json.dumps(array.tolist()).encode() if text else np.ascontiguousarray(array).tobytes()
    about = f"{'text' if text else array.dtype.str} {array.shape}"
    return hashlib.sha256(about.encode() + data).hexdigest()[:16]


@contextlib.contextmanager
def damage(path: Path | str, inside: str = "") -> Iterator[None]:
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
            for where in np.ndindex(*Blocking(array.shape, array.chunks).counts):
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

"""Results on disk or in memory: labelled arrays filled block by block, complete or resumable, never mixed.

A store is a zarr v3 group that `xarray.open_zarr` reads without this package. Blocks are whole chunks, each with a
checksum and written by one process: data first, then its entry in ``blocks/done``. A killed writer therefore loses no
finished block, and a block whose file is gone or cut off is computed again rather than read as NaN.
"""

import contextlib
import dataclasses
import json
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import provenance
from landscape.engine import Progress
from landscape.folders import alone, appearing

if TYPE_CHECKING:
    import xarray

SURFACE, RESULT = "landscape surface 1", "landscape result 1"  # what the attribute `format` of our stores says


class StoreError(ValueError):
    """A path that cannot be used as asked: what is there, and what to do."""


@dataclasses.dataclass
class Sink:
    """Where blocks go. ``arrays`` maps variables to (length, *coordinates) arrays, NumPy or zarr: both take slices.

    A context manager: on disk it keeps other writers out until it is left.
    """

    path: Path | None
    coordinates: dict[str, np.ndarray]
    arrays: dict[str, Any]
    done: Any
    nonfinite: Any
    block: tuple[int, ...]
    settings: dict[str, Any]
    finished: np.ndarray  # a copy of ``done`` in memory
    complete: bool = False  # before this run
    fresh: int = 0
    begun: float = 0.0
    written: int = 0
    started: float = dataclasses.field(default_factory=time.perf_counter)
    counting: Any = dataclasses.field(default_factory=threading.Lock)
    open: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.open.close()

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each coordinate."""
        return tuple(len(v) for name, v in self.coordinates.items() if name != "length")

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each coordinate."""
        return _counts(self.shape, self.block)

    def region(self, index: int) -> tuple[slice, ...]:
        """The part of the grid that block ``index`` covers."""
        where = np.unravel_index(index, self.counts)
        return tuple(
            slice(int(i) * b, min(n, (int(i) + 1) * b)) for i, b, n in zip(where, self.block, self.shape, strict=True)
        )

    def begin(self) -> None:
        """What came before, such as compiling, says nothing about the pace."""
        self.begun = time.perf_counter() - self.started

    def todo(self) -> list[int]:
        """Blocks that are not done."""
        return np.flatnonzero(~self.finished).tolist()

    def write(self, index: int, results: dict[str, np.ndarray]) -> None:
        """Write one block, then say that it is done."""
        region = (slice(None), *self.region(index))
        for name, values in results.items():
            self.arrays[name][region] = values
        self.nonfinite[index, :] = [np.count_nonzero(~np.isfinite(results[name])) for name in self.arrays]
        self.done[index] = 1
        written = sum(file.stat().st_size for file in self.files(index)) if self.path else 0
        with self.counting:
            self.finished[index] = True
            self.fresh += 1
            self.written += written

    def files(self, index: int) -> list[Path]:
        """The chunk files of a block, one for each variable."""
        return _files(self.path, list(self.arrays), self.counts, index)

    def progress(self) -> Progress:
        """The state of the computation now."""
        with self.counting:
            return Progress(
                done=int(self.finished.sum()),
                blocks=len(self.finished),
                fresh=self.fresh,
                seconds=time.perf_counter() - self.started,
                begun=self.begun,
                points=math.prod(self.shape),
                bytes=sum(math.prod(array.shape) * array.dtype.itemsize for array in self.arrays.values()),
                written=self.written,
                path=self.path,
            )


def _files(path: Any, variables: list[str], counts: tuple[int, ...], index: int) -> list[Path]:
    where = [str(i) for i in np.unravel_index(index, counts)]
    return [Path(path, name, "c", "0", *where) for name in variables]


def _counts(shape: tuple[int, ...], block: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // b) for n, b in zip(shape, block, strict=True))


def create(
    path: Any,
    coordinates: dict[str, np.ndarray],
    variables: dict[str, str],
    block: tuple[int, ...],
    settings: dict[str, Any],
) -> Sink:
    """A block writer at ``path``: of a new store, or of the one there if its settings are the same.

    Raises StoreError, and leaves what is there alone, for anything else at ``path`` or a writer at work on it.
    """
    path = Path(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        _build(path, coordinates, variables, block, settings)
    held = contextlib.ExitStack()
    with contextlib.ExitStack() as guard:
        guard.push(held)
        if not held.enter_context(alone(path)):
            raise StoreError(f"{path} is being written by another process; wait for it, or give another path")
        sink = _resume(path, coordinates, variables, settings)
        sink.open = held.pop_all()
    return sink


def _build(
    path: Path, coordinates: dict[str, np.ndarray], variables: dict[str, str], block: tuple[int, ...], settings: dict
) -> None:
    """An empty store at ``path``."""
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    shape = tuple(len(v) for v in coordinates.values())
    counts = math.prod(_counts(shape[1:], block))
    codecs = [BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"), Crc32cCodec()]
    with appearing(path) as partial:
        group = zarr.create_group(partial, zarr_format=3)
        group.update_attributes({"format": SURFACE, "settings": json.dumps(settings), "complete": False})
        for name, values in coordinates.items():
            group.create_array(name, data=np.asarray(values), dimension_names=[name])
        for name, dtype in variables.items():
            group.create_array(
                name,
                shape=shape,
                chunks=(shape[0], *block),
                dtype=dtype,
                fill_value=np.nan,
                dimension_names=list(coordinates),
                compressors=codecs,
            )
        blocks = group.create_group("blocks", attributes={"variables": list(variables)})  # the columns of nonfinite
        blocks.create_array("done", shape=(counts,), chunks=(1,), dtype="int8", fill_value=0)
        shape = (counts, len(variables))
        blocks.create_array("nonfinite", shape=shape, chunks=(1, len(variables)), dtype="int64", fill_value=0)


def _group(path: Path, mode: Any = "r") -> Any:
    """The zarr group of a store of ours, or a StoreError that says what is there instead."""
    import zarr

    if not path.exists():
        raise StoreError(f"{path} does not exist; give the path of a store that `landscape surface --out` wrote")
    if not path.is_dir():
        raise StoreError(f"{path} is a file, not a store, which is a folder; give another path")
    if not (path / "zarr.json").exists():
        raise StoreError(f"{path} is a folder without a zarr.json, so not a zarr v3 store; give another path")
    for file in (path / "zarr.json", *sorted(path.glob("*/zarr.json")), *sorted(path.glob("blocks/*/zarr.json"))):
        try:
            json.loads(file.read_bytes())
        except ValueError:
            raise StoreError(f"{file} is damaged; move {path} away and run the same command again") from None
    try:
        group = zarr.open_group(path, mode=mode, zarr_format=3)
    except Exception as error:
        raise StoreError(
            f"{path} is not a zarr v3 group ({type(error).__name__}: {error}); give another path"
        ) from error
    if not str(group.attrs.get("format")).startswith("landscape "):
        raise StoreError(f"{path} is a zarr group that landscape did not write; give another path")
    return group


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Settings that differ, as ``seed: 0 there, 1 asked``; of nested settings, only the part that differs."""
    found = []
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += [f"{key}.{inner}" for inner in differences(before, after)]
        elif before != after:
            found.append(f"{key}: {_short(before)} there, {_short(after)} asked")
    return found


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) < 80 else text[:40] + " ... " + text[-20:]


def _check_settings(path: Path, group: Any, settings: dict[str, Any]) -> None:
    """StoreError unless the store at ``path`` holds results of these settings."""
    old, new = json.loads(group.attrs["settings"]), json.loads(json.dumps(settings))
    if old != new:
        raise StoreError(
            f"{path} holds a result of other settings ({'; '.join(differences(old, new))}); "
            "give another path, or remove that one"
        )


def _resume(
    path: Path, coordinates: dict[str, np.ndarray], variables: dict[str, str], settings: dict[str, Any]
) -> Sink:
    import zarr

    group = _group(path, "r+")
    _check_settings(path, group, settings)
    complete = bool(group.attrs["complete"])
    # Blocks of NaN alone are written like any other, so that every finished block has its files.
    with damage(path), zarr.config.set({"array.write_empty_chunks": True}):
        arrays = {name: group[name] for name in variables}
        done, nonfinite = group["blocks/done"], group["blocks/nonfinite"]
        finished = _finished(path, done.shape[0])
        block = next(iter(arrays.values())).chunks[1:]
    if not complete:
        here = provenance.here()
        group.update_attributes({key: _joined(group.attrs.get(key), value) for key, value in here.items()})
    finished[lost(path)] = False
    return Sink(path, coordinates, arrays, done, nonfinite, block, settings, finished, complete)


def lost(path: Path) -> list[int]:
    """Blocks of the surface at ``path`` that are marked as done but lack a file, which zarr would read as NaN."""
    group = _group(path)
    variables = group["blocks"].attrs["variables"]
    array = group[variables[0]]
    counts = _counts(array.shape[1:], array.chunks[1:])
    there = lambda file: file.exists() and file.stat().st_size > 0  # noqa: E731
    done = np.flatnonzero(_finished(path, math.prod(counts))).tolist()
    return [index for index in done if not all(map(there, _files(path, variables, counts, index)))]


def _joined(old: Any, new: str) -> str:
    """What a store says about the place where it was made, when it was made in more than one."""
    if old is None:
        return new
    return old if new in old.split(", then ") else f"{old}, then {new}"


@contextlib.contextmanager
def damage(path: Any) -> Iterator[None]:
    """Say in one sentence that reading the store at ``path`` failed: StoreError instead of what zarr raises."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno) or not _from_zarr(error):
            raise
        bad = _unreadable(Path(path))
        what = f"{', '.join(map(str, bad[:3]))} cannot be read" if bad else f"{type(error).__name__}: {error}"
        raise StoreError(
            f"{path} is damaged ({what}); remove the damaged files and run the command that made it again, "
            "which computes those blocks anew"
        ) from error


def _unreadable(path: Path) -> list[Path]:
    """Chunk files of the arrays at ``path`` that cannot be decoded."""
    found = []
    for name, array in _group(path).arrays():
        for where in np.ndindex(*_counts(array.shape, array.chunks)):
            try:
                array.blocks[where]
            except Exception:
                found.append(path.joinpath(name, "c", *map(str, where)))
    return found


def _from_zarr(error: BaseException) -> bool:
    """Whether an error came from reading: the call went through zarr."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in ("zarr", "numcodecs"):
            return True
        trace = trace.tb_next
    return False


def finish(sink: Sink, about: dict[str, Any], words: dict[str, dict], checked: dict[str, Any]) -> "xarray.Dataset":
    """The Dataset of a filled store: attributes ``about`` it, ``words`` by name, and what was ``checked``, kept."""
    if sink.complete:
        return open_surface(sink.path)
    counts = dict(zip(sink.arrays, np.asarray(sink.nonfinite[:]).sum(0).tolist(), strict=True))
    attrs = {
        **about,
        "format": SURFACE,
        **provenance.plain(checked),
        **provenance.made(sink.started),
        "resumed_blocks": len(sink.finished) - sink.fresh,  # computed by earlier runs, which ``seconds`` leaves out
        "nonfinite": counts["loss"],
        "complete": True,
    }
    path = Path(sink.path or "")
    group = _group(path, "r+")
    for name, told in words.items():
        group[name].update_attributes(told | ({"nonfinite": counts[name]} if name in counts else {}))
    _consolidate(path).update_attributes(attrs)
    return open_surface(path)


def _consolidate(path: Path) -> Any:
    """The group at ``path`` with the metadata of its arrays gathered in it, where `xarray.open_zarr` looks first."""
    import zarr

    with warnings.catch_warnings():  # zarr warns that this is not in the specification; readers may ignore it
        warnings.filterwarnings("ignore", "Consolidated metadata", category=UserWarning)
        return zarr.consolidate_metadata(path, zarr_format=3)


def attributes(path: Any) -> dict[str, Any]:
    """What the store at ``path`` says about itself, complete or not. Raises StoreError unless it is ours."""
    return dict(_group(Path(path)).attrs)


def blocks_done(path: Any) -> tuple[int, int]:
    """Blocks done and in all of the store at ``path``."""
    group = _group(Path(path))
    if group.attrs["format"] != SURFACE:
        return 1, 1
    count = group["blocks/done"].shape[0]
    return int(np.sum(_finished(Path(path), count))), count


def _finished(path: Path, count: int) -> np.ndarray:
    """Which blocks are done: those with a file, since nothing but 1 is ever written; quicker than zarr by far."""
    finished, folder = np.zeros(count, bool), path / "blocks" / "done" / "c"
    if folder.exists():
        with os.scandir(folder) as entries:
            finished[[int(e.name) for e in entries if e.name.isdecimal() and e.stat().st_size > 0]] = True
    return finished


def open_surface(path: Any) -> "xarray.Dataset":
    """The surface or result stored at ``path``, read lazily. Raises StoreError unless it is complete and ours."""
    import xarray

    group = _group(Path(path))
    if not group.attrs.get("complete"):
        done, blocks = blocks_done(path)
        raise StoreError(
            f"{path} is not complete, {done} of {blocks} blocks are done; "
            "run the command that began it again to finish it"
        )
    with damage(path):
        if group.attrs["format"] == SURFACE and (gone := lost(Path(path))):
            raise StoreError(
                f"{path} lacks files of {len(gone)} of its blocks; run the command that made it again to mend it"
            )
        ds = xarray.open_zarr(path, consolidated=False, zarr_format=3, chunks=None)
        order = group["blocks"].attrs["variables"] if group.attrs["format"] == SURFACE else list(ds.data_vars)
        return ds[order]


def save(dataset: "xarray.Dataset", path: Any, settings: dict[str, Any]) -> None:
    """Store a finished result at ``path`` in one step, with its settings and where it was made in its attributes."""
    attrs = {**dataset.attrs, **provenance.here(), "format": RESULT, "settings": json.dumps(settings), "complete": True}
    # zarr v3 specifies text of variable length alone
    text = {name: values.astype(object) for name, values in dataset.variables.items() if values.dtype.kind == "U"}
    with appearing(Path(path)) as partial:
        dataset.assign(text).assign_attrs(attrs).to_zarr(partial, mode="w", consolidated=False, zarr_format=3)
        _consolidate(partial)


def find(path: Any, settings: dict[str, Any]) -> "xarray.Dataset | None":
    """The complete result of these settings at ``path``; None if nothing is there, StoreError if something else is."""
    if not Path(path).exists():
        return None
    _check_settings(Path(path), _group(Path(path)), settings)
    return open_surface(path)


def kept(
    folder: Any, settings: dict[str, Any], compute: Callable[[], Mapping[str, "xarray.Dataset"]]
) -> "dict[str, xarray.Dataset]":
    """The Datasets by name that ``compute`` makes, kept in ``folder``; read from there if it holds these settings.

    The folder appears whole or not at all; None keeps nothing. Raises StoreError, before anything is computed, if
    something else is there.
    """
    if folder is None:
        return dict(compute())
    path = Path(folder)
    if there := sorted(path.glob("*")):
        return {file.stem: ds for file in there if (ds := find(file, settings)) is not None}
    made = dict(compute())
    with appearing(path) as partial:
        for name, dataset in made.items():
            save(dataset, partial / f"{name}.zarr", settings)
    return made

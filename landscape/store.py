"""Results on disk or in memory: labelled arrays filled block by block, complete or resumable, never mixed.

A store is a zarr v3 group that `xarray.open_zarr` reads without this package. Blocks are whole chunks, each owned by one
writer: data first, then its entry in ``blocks/done``. A killed writer therefore loses no finished block.
"""

import dataclasses
import datetime
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import provenance

if TYPE_CHECKING:
    import xarray

FORMAT = "landscape surface 1"


class StoreError(ValueError):
    """A path that cannot be used as asked: what is there, and what to do."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a computation is: blocks done and in all, seconds spent, points and bytes in all."""

    done: int
    blocks: int
    fresh: int
    seconds: float
    points: int
    bytes: int


@dataclasses.dataclass
class Sink:
    """Where blocks go. ``arrays`` maps variables to (length, *coordinates) arrays, NumPy or zarr: both take slices."""

    path: Path | None
    coordinates: dict[str, np.ndarray]
    arrays: dict[str, Any]
    done: Any
    nonfinite: Any
    block: tuple[int, ...]
    settings: dict[str, Any]
    fresh: int = 0
    started: float = dataclasses.field(default_factory=time.perf_counter)

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each coordinate."""
        return tuple(len(v) for name, v in self.coordinates.items() if name != "length")

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each coordinate."""
        return tuple(-(-n // b) for n, b in zip(self.shape, self.block, strict=True))

    def region(self, index: int) -> tuple[slice, ...]:
        """The part of the grid that block ``index`` covers."""
        where = np.unravel_index(index, self.counts)
        return tuple(
            slice(int(i) * b, min(n, (int(i) + 1) * b)) for i, b, n in zip(where, self.block, self.shape, strict=True)
        )

    def todo(self) -> list[int]:
        """Blocks that are not done."""
        return [int(i) for i in np.flatnonzero(np.asarray(self.done[:]) == 0)]

    def write(self, index: int, results: dict[str, np.ndarray]) -> None:
        """Write one block, then say that it is done."""
        region = (slice(None), *self.region(index))
        for name, values in results.items():
            self.arrays[name][region] = values
        self.nonfinite[index, :] = [np.count_nonzero(~np.isfinite(results[name])) for name in self.arrays]
        self.done[index] = 1
        self.fresh += 1

    def progress(self, seconds: float) -> Progress:
        """The state of the computation after ``seconds`` of it."""
        size = sum(math.prod(array.shape) * array.dtype.itemsize for array in self.arrays.values())
        blocks = math.prod(self.counts)
        return Progress(blocks - len(self.todo()), blocks, self.fresh, seconds, math.prod(self.shape), size)


def create(
    path: Any,
    coordinates: dict[str, np.ndarray],
    variables: dict[str, str],
    block: tuple[int, ...],
    settings: dict[str, Any],
) -> Sink:
    """A sink in memory (``path`` None) or at ``path``: a new store, or the one there if its settings are the same."""
    if path is None:
        shape = tuple(len(v) for v in coordinates.values())
        arrays = {name: np.full(shape, np.nan, dtype) for name, dtype in variables.items()}
        counts = math.prod(-(-n // b) for n, b in zip(shape[1:], block, strict=True))
        return Sink(
            None, coordinates, arrays, np.zeros(counts, np.int8), np.zeros((counts, len(arrays)), int), block, settings
        )
    path = Path(path)
    if not path.exists():
        _build(path, coordinates, variables, block, settings)
    return _resume(path, coordinates, variables, settings)


def _build(
    path: Path, coordinates: dict[str, np.ndarray], variables: dict[str, str], block: tuple[int, ...], settings: dict
) -> None:
    """Make an empty store beside ``path`` and move it there in one step, so that a half-made store is never found."""
    import zarr

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        group = zarr.create_group(partial, zarr_format=3)
        group.attrs.update({"format": FORMAT, "settings": json.dumps(settings), "complete": False})
        for name, values in coordinates.items():
            group.create_array(name, data=np.asarray(values), dimension_names=[name])
        compressor = zarr.codecs.BloscCodec(cname="zstd", clevel=5, shuffle="shuffle")
        shape = tuple(len(v) for v in coordinates.values())
        for name, dtype in variables.items():
            group.create_array(
                name,
                shape=shape,
                chunks=(shape[0], *block),
                dtype=dtype,
                fill_value=np.nan,
                dimension_names=list(coordinates),
                compressors=compressor,
            )
        counts = math.prod(-(-n // b) for n, b in zip(shape[1:], block, strict=True))
        blocks = group.create_group("blocks")
        blocks.create_array("done", shape=(counts,), chunks=(1,), dtype="int8", fill_value=0)
        blocks.create_array(
            "nonfinite", shape=(counts, len(variables)), chunks=(1, len(variables)), dtype="int64", fill_value=0
        )
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _group(path: Path, mode: str = "r") -> Any:
    """The zarr group of a store of ours, or a StoreError that says what is there instead."""
    import zarr

    if not path.exists():
        raise StoreError(f"{path} does not exist; give the path of a store that `landscape surface --out` wrote")
    try:
        group = zarr.open_group(path, mode=mode, zarr_format=3)
        ours = group.attrs.get("format") == FORMAT
    except Exception as error:
        raise StoreError(
            f"{path} is not a readable zarr v3 group ({type(error).__name__}); give another path"
        ) from error
    if not ours:
        raise StoreError(f"{path} is a zarr group, but not a {FORMAT!r}; give another path")
    return group


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Settings that differ, as ``seed: 0 there, 1 asked``."""
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [f"{key}: {_short(old.get(key))} there, {_short(new.get(key))} asked" for key in keys]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 160 else text[:150] + " ..."


def _resume(
    path: Path, coordinates: dict[str, np.ndarray], variables: dict[str, str], settings: dict[str, Any]
) -> Sink:
    group = _group(path, "r+")
    old, new = json.loads(group.attrs["settings"]), json.loads(json.dumps(settings))
    if old != new:
        raise StoreError(
            f"{path} holds a surface of other settings ({'; '.join(differences(old, new))}); give another path"
        )
    try:
        arrays = {name: group[name] for name in variables}
        done, nonfinite = group["blocks/done"], group["blocks/nonfinite"]
    except KeyError as error:
        raise StoreError(f"{path} lacks {error}; it is damaged: move it away and run again") from error
    return Sink(path, coordinates, arrays, done, nonfinite, next(iter(arrays.values())).chunks[1:], settings)


def finish(sink: Sink, **attributes: Any) -> "xarray.Dataset":
    """The Dataset of a filled sink, with its provenance written down."""
    import xarray

    counts = dict(zip(sink.arrays, np.asarray(sink.nonfinite[:]).sum(0).tolist(), strict=True))
    attrs = {
        "title": f"{sink.settings['cell']} on {sink.settings['task']}: loss over {', '.join(list(sink.coordinates)[1:])} by length",
        "format": FORMAT,
        "settings": json.dumps(sink.settings),
        **{key: sink.settings[key] for key in ("cell", "task", "dtype", "episodes", "seed")},
        **provenance.here(),
        **{key: value if isinstance(value, str | float) else json.dumps(value) for key, value in attributes.items()},
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - sink.started, 3),
        "nonfinite": counts["loss"],
        "complete": True,
    }
    named = describe(sink, counts)
    if sink.path is None:
        dims = tuple(sink.coordinates)
        data = {name: (dims, array, named[name]) for name, array in sink.arrays.items()}
        coordinates = {name: (name, values, named[name]) for name, values in sink.coordinates.items()}
        return xarray.Dataset(data, coordinates, attrs)
    group = _group(sink.path, "r+")
    if not group.attrs.get("complete"):
        for name, attributes in named.items():
            group[name].attrs.update(attributes)
        group.attrs.update(attrs)
    return open_surface(sink.path)


def describe(sink: Sink, nonfinite: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Names, units and counts of non-finite values of every variable and coordinate."""
    moves = {name: axis["moves"] for name, axis in sink.settings["axes"].items()}
    words = {
        "length": {"long_name": "sequence length", "units": "steps"},
        "loss": {"long_name": "mean loss", "units": "1"},
        "log10_gradient": {"long_name": "log10 of the gradient's norm", "units": "1"},
    }
    for name, moved in moves.items():
        words[name] = {"long_name": moved, "units": "1"}
    for name in sink.arrays:
        parts = [part for part in _coordinates_of(name, list(moves))]
        words.setdefault(name, {"long_name": f"derivative of the mean loss along {' and '.join(parts)}", "units": "1"})
    return {
        name: attrs | ({"nonfinite": nonfinite[name]} if name in nonfinite else {})
        for name, attrs in words.items()
        if name in sink.arrays or name in sink.coordinates
    }


def _coordinates_of(name: str, coordinates: list[str]) -> Iterator[str]:
    """The coordinates in the name of a derivative: w and b of ``d_w_b``."""
    rest = name.removeprefix("d_")
    while rest:
        hit = next((c for c in coordinates if rest == c or rest.startswith(c + "_")), None)
        if hit is None:
            return
        yield hit
        rest = rest[len(hit) + 1 :]


def open_surface(path: Any) -> "xarray.Dataset":
    """The surface stored at ``path``, read lazily. Raises StoreError unless it is a complete store of ours."""
    import xarray

    group = _group(Path(path))
    if not group.attrs.get("complete"):
        left = int(np.sum(np.asarray(group["blocks/done"][:]) == 0))
        raise StoreError(
            f"{path} is not complete, {left} blocks are left; run the command that began it again to finish it"
        )
    return xarray.open_zarr(path, consolidated=False, zarr_format=3, chunks=None)

"""The store of a sweep: chunks, each complete with its record or absent; what is done, failed and left.

A zarr v3 group. ``results`` is a group that `xarray.open_zarr` reads without this package: dims are the axes of the
sweep, then those of what one run returns. It is made from the first chunk finished, and moved into place in one step.
``chunks/record`` has a row (state, started, finished) for each chunk, written after the chunk's data; ``chunks/reason``
the text of its error. A killed writer therefore loses no finished chunk.
"""

import dataclasses
import functools
import hashlib
import json
import math
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import provenance
from landscape.progress import duration
from landscape.store import StoreError, differences
from landscape.sweeps.plan import Grid, Plan

if TYPE_CHECKING:
    import xarray

FORMAT = "landscape sweep 1"
LEFT, DONE, FAILED = 0, 1, 2
REASON_BYTES = 8192
RECENT = 50  # finished chunks whose pace tells the time left


@dataclasses.dataclass(frozen=True)
class Status:
    """How far a sweep is: chunks in all, points in all, done, failed with their reasons by name, time.

    ``seconds``: mean seconds that a chunk computes. ``pace``: seconds from one finished chunk to the next, lately.
    """

    points: int
    chunks: int
    done: int
    failed: dict[str, str]
    seconds: float
    pace: float

    @property
    def left(self) -> int:
        """Chunks that are neither done nor failed."""
        return self.chunks - self.done - len(self.failed)

    @property
    def time_left(self) -> float:
        """Seconds that the chunks left will take at the recent pace; NaN before the first is done."""
        return self.left * self.pace if self.left else 0.0

    def __str__(self) -> str:
        took = f", {self.seconds:.3g} s a chunk" if self.done else ""
        left = f", about {duration(self.time_left)} to go" if self.left and self.done else ""
        head = f"{self.done} of {self.chunks} chunks done, {len(self.failed)} failed, {self.left} left{took}{left}"
        return "\n".join(
            [head, *(f"  failed: {name}: {reason.splitlines()[0]}" for name, reason in self.failed.items())]
        )


def create(path: Path, plan: Plan) -> "Chunks":
    """The store of ``plan`` at ``path``: a new one, or the one there if its settings are the same."""
    if not path.exists():
        staging = _staging(path)
        try:
            _build(staging, plan)
            os.rename(staging, path)
        except OSError:
            if not path.exists():  # else another shard was first
                raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    store = Chunks(path)
    new = json.loads(json.dumps(plan.settings))
    if store.settings != new:
        told = "; ".join(differences(store.settings, new))
        raise StoreError(f"{path} holds a sweep of other settings ({told}); give another path")
    return store


def _staging(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")


def _build(path: Path, plan: Plan) -> None:
    import zarr

    path.parent.mkdir(parents=True, exist_ok=True)
    group = zarr.create_group(path, zarr_format=3)
    group.attrs.update({"format": FORMAT, "token": uuid.uuid4().hex, "settings": json.dumps(plan.settings)})
    chunks = group.create_group("chunks")
    count = plan.grid.chunks
    chunks.create_array("record", shape=(count, 3), chunks=(1, 3), dtype="float64", fill_value=0)
    chunks.create_array("reason", shape=(count, REASON_BYTES), chunks=(1, REASON_BYTES), dtype="uint8", fill_value=0)


def _encode(values: Sequence | np.ndarray) -> np.ndarray:
    """Labels or results as an array that zarr v3 specifies: numbers, truth values or text."""
    array = values if isinstance(values, np.ndarray) else np.asarray(values, None if _numeric(values) else object)
    if array.dtype.kind in "biufc":
        return array
    return np.array([v if isinstance(v, str) else json.dumps(v) for v in array.ravel()], object).reshape(array.shape)


def _numeric(values: Sequence) -> bool:
    kinds = {type(v) for v in values}
    return kinds <= {int, float} or kinds == {bool}


class Chunks:
    """The store of a sweep that is there. Many processes may hold it, each writing chunks of its own."""

    def __init__(self, path: Path | str) -> None:
        import zarr

        group: Any
        self.path = Path(path)
        if not self.path.exists():
            raise StoreError(f"{path} does not exist; give the path of a store that a sweep wrote")
        try:
            group = zarr.open_group(self.path, mode="r+", zarr_format=3)
            ours = group.attrs.get("format") == FORMAT
        except Exception as error:
            raise StoreError(
                f"{path} is not a readable zarr v3 group ({type(error).__name__}); give another path"
            ) from error
        if not ours:
            raise StoreError(f"{path} is a zarr group, but not a {FORMAT!r}; give another path")
        self.settings = json.loads(group.attrs["settings"])
        self.token: str = group.attrs["token"]
        self.grid = Grid(self.settings["axes"], tuple(self.settings["chunk"].values()))
        self.record: Any = group["chunks/record"]
        self.reason: Any = group["chunks/reason"]

    @functools.cached_property
    def results(self) -> Any:
        """The group of results. Raises KeyError as long as no chunk has been finished."""
        import zarr

        return zarr.open_group(self.path, mode="r+", zarr_format=3)["results"]

    @functools.cached_property
    def _arrays(self) -> dict[str, Any]:
        return {name: self.results[name] for name in json.loads(self.results.attrs["layout"]) if name in self.results}

    def admit(self, index: int, datasets: list[Any]) -> "list[xarray.Dataset]":
        """What the runs of one chunk returned, if it can be stored: Datasets that look like the first of the sweep."""
        datasets = [_checked(dataset, self.grid) for dataset in datasets]
        if not (self.path / "results").exists():
            self._template(datasets[0])
        expected = json.loads(self.results.attrs["layout"])
        for dataset, point in zip(datasets, self.grid.within(index), strict=True):
            _same(layout(dataset), expected, self.grid.settings(point))
        return datasets

    def write(self, index: int, started: float, finished: float, datasets: "list[xarray.Dataset]") -> None:
        """Write the results of one chunk, a Dataset for each of its points, then say that it is done."""
        region = self.grid.region(index)
        shape = tuple(part.stop - part.start for part in region)
        for name, variable in datasets[0].data_vars.items():
            values = np.stack([_encode(dataset[name].values) for dataset in datasets])
            self._arrays[str(name)][(*region, ...)] = values.reshape(*shape, *variable.shape)
        self.record[index] = [DONE, started, finished]

    def fail(self, index: int, started: float, reason: str) -> None:
        """Say why a chunk could not be computed."""
        text = np.zeros(REASON_BYTES, np.uint8)
        encoded = reason.encode()[:REASON_BYTES]
        text[: len(encoded)] = np.frombuffer(encoded, np.uint8)
        self.reason[index] = text
        self.record[index] = [FAILED, started, time.time()]

    def why(self, index: int) -> str:
        """The reason written by `fail`: one line, then the traceback."""
        return bytes(self.reason[index]).rstrip(b"\0").decode(errors="replace")

    def _template(self, first: "xarray.Dataset") -> None:
        """Make empty results for the whole grid beside the store and move them in, unless another writer was first."""
        staging = _staging(self.path)
        try:
            _build_results(staging, self.grid, first, self.settings)
            os.rename(staging, self.path / "results")
        except OSError:
            if not (self.path / "results").exists():
                raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _checked(dataset: Any, grid: Grid) -> "xarray.Dataset":
    """What a run returned, if it can be stored: a Dataset with variables, with no name that the sweep has taken."""
    import xarray

    if not isinstance(dataset, xarray.Dataset) or not dataset.data_vars:
        raise TypeError(f"run must return an xarray.Dataset with variables, it returned {type(dataset).__name__}")
    taken = {*grid.axes, *(name for moved in grid.axes.values() for name in moved), "sweep_state"}
    dataset = dataset.drop_vars([name for name in taken if name in dataset.coords and not dataset[name].dims])
    if clash := taken & {*dataset.variables, *dataset.dims}:
        raise ValueError(
            f"run returned {', '.join(sorted(map(str, clash)))}, which names an axis or setting of the sweep; rename it"
        )
    return dataset


def layout(dataset: "xarray.Dataset") -> dict[str, str]:
    """Every variable in words, ``float32 (length 200)``, coordinates with a fingerprint of their values."""
    words = {}
    for name, variable in dataset.variables.items():
        array = _encode(variable.values)
        dims = ", ".join(f"{dim} {n}" for dim, n in zip(variable.dims, variable.shape, strict=True))
        words[str(name)] = f"{'text' if array.dtype == object else array.dtype} ({dims})"
        if name in dataset.coords:
            words[str(name)] += f" of values {hashlib.sha256(repr(array.tolist()).encode()).hexdigest()[:8]}"
    return words


def _same(given: dict[str, str], expected: dict[str, str], point: dict[str, Any]) -> None:
    """Refuse a result that does not look like the first one."""
    if given != expected:
        told = [
            f"{name} is {given.get(name, 'absent')}, was {expected.get(name, 'absent')}"
            for name in {**expected, **given}
            if given.get(name) != expected.get(name)
        ]
        where = ", ".join(f"{name}={value}" for name, value in point.items())
        raise ValueError(f"the result at {where} differs in shape from the first one of the sweep: {'; '.join(told)}")


def _build_results(path: Path, grid: Grid, first: "xarray.Dataset", settings: dict[str, Any]) -> None:
    """Empty arrays (axes of the sweep, dims of one result) with all coordinates and the provenance."""
    import zarr

    group = zarr.create_group(path, zarr_format=3)
    moved = {name: (axis, labels) for axis, names in grid.axes.items() for name, labels in names.items()}
    group.attrs.update(
        {
            "format": FORMAT,
            "title": f"{settings['run']} over {', '.join(grid.axes)}",
            "settings": json.dumps(settings),
            "layout": json.dumps(layout(first)),
            "coordinates": " ".join([*moved, *map(str, first.coords)]),
            **provenance.here(),
        }
    )
    for name, (axis, labels) in moved.items():
        _coordinate(group, name, [axis], _encode(labels), {})
    for key, variable in first.coords.items():
        _coordinate(group, str(key), list(variable.dims), _encode(variable.values), variable.attrs)
    for key, variable in first.data_vars.items():
        values = _encode(variable.values)
        group.create_array(
            str(key),
            shape=(*grid.shape, *values.shape),
            chunks=(*grid.chunk, *(max(1, n) for n in values.shape)),
            dtype=str if values.dtype == object else values.dtype,
            fill_value={"f": math.nan, "c": math.nan, "O": ""}.get(values.dtype.kind, 0),
            dimension_names=[*grid.axes, *map(str, variable.dims)],
            attributes=_plain(variable.attrs),
        )


def _coordinate(group: Any, name: str, dims: list, values: np.ndarray, attrs: dict) -> None:
    dtype = str if values.dtype == object else values.dtype
    array = group.create_array(name, shape=values.shape, dtype=dtype, dimension_names=dims, attributes=_plain(attrs))
    array[...] = values


def _plain(attrs: dict) -> dict[str, Any]:
    """Names and units. Numbers among attributes are about one point, not about all."""
    return {str(key): value for key, value in attrs.items() if isinstance(value, str)}


def open_sweep(path: Path | str) -> "xarray.Dataset":
    """Results of a sweep, dims (axes of the sweep, dims of one result), complete or not.

    Coordinate ``sweep_state`` over the axes: 0 left, 1 done, 2 failed. Where it is not 1 every variable is NaN, and
    whole numbers have become floats for it. Raises StoreError if there is no store, or no chunk is done.
    """
    import xarray

    store = Chunks(path)
    if not (store.path / "results").exists():
        raise StoreError(f"{path} has no finished chunk yet; see `landscape status {path}`")
    dataset = xarray.open_zarr(store.path, group="results", consolidated=False, zarr_format=3, chunks=None)
    state = np.zeros(store.grid.shape, np.int8)
    for index, value in enumerate(store.record[:, 0]):
        state[store.grid.region(index)] = value
    meanings = {"flag_values": [LEFT, DONE, FAILED], "flag_meanings": "left done failed"}
    dataset = dataset.assign_coords(sweep_state=(tuple(store.grid.axes), state, meanings))
    dataset = dataset[[name for name in json.loads(store.results.attrs["layout"]) if name in dataset.data_vars]]
    if (state == DONE).all():
        return dataset
    text = {name: v.astype(object) for name, v in dataset.data_vars.items() if v.dtype.kind not in "biufc"}
    return dataset.assign(text).where(dataset.sweep_state == DONE)


def to_csv(dataset: "xarray.Dataset", path: Path | str) -> None:
    """The finished points of a sweep as a tidy table: a column for each dimension, setting, coordinate and result.

    Numbers are written with all their digits; inf and nan as such.
    """
    table = dataset.to_dataframe().reset_index()
    coordinates = sorted(set(map(str, dataset.coords)) - set(map(str, dataset.dims)) - {"sweep_state"})
    columns = [*dataset.dims, *coordinates, *dataset.data_vars]
    table.loc[table["sweep_state"] == DONE, columns].to_csv(path, index=False, na_rep="nan")


def status(path: Path | str) -> Status:
    """How far the sweep in a store is, whoever is working on it."""
    store = Chunks(path)
    record = store.record[:]
    return summary(store.grid, record, {int(i): store.why(int(i)) for i in np.flatnonzero(record[:, 0] == FAILED)})


def summary(grid: Grid, record: np.ndarray, reasons: dict[int, str]) -> Status:
    """A Status from records (chunk, 3) and the reasons of those that failed."""
    done = record[record[:, 0] == DONE]
    lately = done[np.argsort(done[:, 2])[-RECENT:]]
    return Status(
        points=grid.points,
        chunks=grid.chunks,
        done=len(done),
        failed={grid.words(index): reason for index, reason in reasons.items()},
        seconds=float(np.mean(done[:, 2] - done[:, 1])) if len(done) else math.nan,
        pace=float(np.ptp(lately[:, 1:]) / len(lately)) if len(lately) else math.nan,
    )


def disk(store: Chunks) -> float:
    """Bytes on disk of the chunks that are done, in whole file-system blocks."""
    files = (
        file for name in store._arrays for file in (store.path / "results" / name).glob("c/**/*") if file.is_file()
    )
    return sum(512 * file.stat().st_blocks for file in files)

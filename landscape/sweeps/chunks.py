"""What a sweep adds to a block store: the layout of results, learnt from the first chunk; failures with their reasons.

``results`` is a group that `xarray.open_zarr` reads without this package: dims are the axes of the sweep, then those of
what one run returns. It is made from the first chunk finished, and moved into place in one step. ``blocks/reason``
keeps the text of errors.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import store
from landscape.progress import duration
from landscape.store.arrays import add_array, empty_array, seal
from landscape.store.folders import appearing
from landscape.store.records import DONE, FAILED, LEFT
from landscape.sweeps.plan import Grid, Plan

if TYPE_CHECKING:
    import xarray

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


def create(path: Path | str, plan: Plan, shared: bool = False) -> "Chunks":
    """The store of ``plan`` at ``path``, open for writing: a new one, or the one there if its settings are the same."""

    def build(group: Any) -> None:
        shape = (plan.grid.chunks, REASON_BYTES)
        empty_array(group["blocks"], "reason", ["chunk", "byte"], shape, (1, REASON_BYTES), "uint8")

    about = {"variables": [], "leading": 0, "under": "results"}
    return Chunks(store.begin(path, plan.grid.cut, plan.settings, store.SWEEP, build, about, shared))


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
    """The chunks of a sweep and their `landscape.store.BlockWriter`. Many processes may write chunks of their own."""

    def __init__(self, writer: store.BlockWriter) -> None:
        self.writer = writer
        with store.sense(writer.path):
            self.grid = grid_of(store.attributes(writer.path))
            self.reason: Any = writer.group["blocks/reason"]

    def admit(self, index: int, datasets: list[Any]) -> "list[xarray.Dataset]":
        """What the runs of one chunk returned, if it can be stored: Datasets that look like the first of the sweep."""
        datasets = [_checked(dataset, self.grid) for dataset in datasets]
        if not self.results.exists():
            with self.writer.writing(), appearing(self.results, self.writer.path) as partial:
                _build_results(partial, self.grid, datasets[0], self.writer.settings)
        expected = layout_of(self.writer.path)
        for dataset, point in zip(datasets, self.grid.within(index), strict=True):
            _same(layout(dataset), expected, self.grid.settings(point))
        return datasets

    def __enter__(self) -> "Chunks":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.writer.held.close()

    @property
    def results(self) -> Path:
        """The folder of the results, which is there once a chunk has been computed."""
        return self.writer.path / "results"

    def write(self, index: int, started: float, finished: float, datasets: "list[xarray.Dataset]") -> None:
        """Write the results of one chunk, a Dataset for each of its points, then say that it is done."""
        shape = tuple(part.stop - part.start for part in self.grid.cut.region(index))
        results = {}
        for name, variable in datasets[0].data_vars.items():
            values = np.stack([_encode(dataset[name].values) for dataset in datasets])
            results[str(name)] = values.reshape(*shape, *variable.shape)
        self.writer.write(index, results, started, finished)

    def fail(self, index: int, started: float, reason: str) -> None:
        """Say why a chunk could not be computed."""
        text = np.zeros(REASON_BYTES, np.uint8)
        encoded = reason.encode()[:REASON_BYTES]
        text[: len(encoded)] = np.frombuffer(encoded, np.uint8)
        with self.writer.writing():
            self.reason[index] = text
        self.writer.fail(index, started)


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
    """Empty arrays (axes of the sweep, dims of one result) with all coordinates and the settings."""
    import zarr

    group = zarr.create_group(path, zarr_format=3)
    moved = {name: (axis, labels) for axis, names in grid.axes.items() for name, labels in names.items()}
    coordinates = [*moved, *map(str, first.coords)]
    title = f"{settings['run']} over {', '.join(grid.axes)}"
    about = {"format": store.SWEEP, "title": title, "settings": json.dumps(settings)}
    group.attrs.update({**about, "layout": json.dumps(layout(first)), "coordinates": " ".join(coordinates)})
    for name, (axis, labels) in moved.items():
        add_array(group, name, [axis], _encode(labels))
    for key, variable in first.coords.items():
        add_array(group, str(key), [str(d) for d in variable.dims], _encode(variable.values), _plain(variable.attrs))
    for key, variable in first.data_vars.items():
        values, dims = _encode(variable.values), [*grid.axes, *map(str, variable.dims)]
        shape, chunks = (*grid.shape, *values.shape), (*grid.chunk, *values.shape)
        empty_array(group, str(key), dims, shape, chunks, values.dtype, _plain(variable.attrs))
    seal(group, coordinates)


def _plain(attrs: dict) -> dict[str, Any]:
    """Names and units. Numbers among attributes are about one point, not about all."""
    return {str(key): value for key, value in attrs.items() if isinstance(value, str)}


def grid_of(about: dict[str, Any]) -> Grid:
    """The grid of a sweep, from what its store says about itself."""
    settings = json.loads(about["settings"])
    return Grid(settings["axes"], tuple(settings["chunk"].values()))


def layout_of(path: Path | str) -> dict[str, str]:
    """What one result of the sweep at ``path`` looks like, in the words of `layout`."""
    with store.sense(path):
        return json.loads(json.loads((Path(path) / "results" / "zarr.json").read_bytes())["attributes"]["layout"])


def _about(path: Path | str) -> dict[str, Any]:
    """What a store says about itself. Raises StoreError unless it is one of a sweep."""
    about = store.attributes(path)
    if store.kind(path) != "sweep":
        raise store.StoreError(f"{path} holds a {store.kind(path)}, not a sweep; see `landscape show {path}`")
    return about


def open_sweep(path: Path | str) -> "xarray.Dataset":
    """Results of a sweep, dims (axes of the sweep, dims of one result), complete or not.

    Coordinate ``sweep_state`` over the axes: 0 left, 1 done, 2 failed. Where it is not 1 every variable is NaN, and
    whole numbers have become floats for it. Raises StoreError if there is no store, it is damaged, or no chunk is done.
    """
    about, path = _about(path), Path(path)
    if not (path / "results").exists():
        raise store.StoreError(f"{path} has no finished chunk yet; see `landscape status {path}`")
    with store.sense(path):
        grid, record = grid_of(about), store.record_of(path)
        state = np.zeros(grid.shape, np.int8)
        for index, value in enumerate(record[:, 0]):
            state[grid.cut.region(index)] = value
        gone = store.missing(path, np.flatnonzero(record[:, 0] == DONE).tolist())
    if gone:
        raise store.StoreError(f"{path} lacks files of {gone} of its chunks; the same command again computes them anew")
    dataset = store.open_arrays(path, "results")
    meanings = {"flag_values": [LEFT, DONE, FAILED], "flag_meanings": "left done failed"}
    dataset = dataset.assign_coords(sweep_state=(tuple(grid.axes), state, meanings))
    dataset = dataset[[name for name in layout_of(path) if name in dataset.data_vars]]
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
    about = _about(path)
    with store.sense(path):
        record = store.record_of(path)
        return summary(grid_of(about), record, reasons(path, np.flatnonzero(record[:, 0] == FAILED)))


def reasons(path: Path | str, failed: Sequence[int] | np.ndarray) -> dict[int, str]:
    """Why chunks failed: one line, then the traceback."""
    text = store.arrays_of(path, ("blocks", "chunks"))["reason"]
    with store.damage(path):
        return {int(i): bytes(np.asarray(text[int(i)])).rstrip(b"\0").decode(errors="replace") for i in failed}


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
        pace=float(np.ptp(lately[:, 1:3]) / len(lately)) if len(lately) else math.nan,
    )

"""What a sweep adds to a block store: the layout of results, learnt from the first chunk; failures with their reasons.

``results`` is a group that `xarray.open_zarr` reads without this package: dims are the axes of the sweep, then those of
what one run returns. It is made from the first chunk finished, and moved into place in one step. ``blocks/reason``
keeps the text of errors.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape import store
from landscape.blocks import Json
from landscape.store.arrays import add_array, empty_array, seal
from landscape.store.folders import ZarrArray, ZarrGroup, appearing
from landscape.sweeps.plan import Grid, Plan
from landscape.sweeps.reading import grid_of, layout_of

if TYPE_CHECKING:
    import xarray

REASON_BYTES = 8192


def create(path: Path | str, plan: Plan, shared: bool = False) -> "Chunks":
    """The store of ``plan`` at ``path``, open for writing: a new one, or the one there if its settings are the same."""

    def build(group: ZarrGroup) -> None:
        shape = (plan.grid.chunks, REASON_BYTES)
        empty_array(group["blocks"], "reason", ["chunk", "byte"], shape, (1, REASON_BYTES), "uint8")

    about = {"variables": [], "leading": 0, "under": "results"}
    return Chunks(store.begin(path, plan.grid.blocking, plan.settings, store.SWEEP, build, about, shared))


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
            self.reason: ZarrArray = writer.group["blocks/reason"]

    def admit(self, index: int, datasets: list) -> "list[xarray.Dataset]":
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

    def __exit__(self, *exception: object) -> None:
        self.writer.held.close()

    @property
    def results(self) -> Path:
        """The folder of the results, which is there once a chunk has been computed."""
        return self.writer.path / "results"

    def write(self, index: int, started: float, finished: float, datasets: "list[xarray.Dataset]") -> None:
        """Write the results of one chunk, a Dataset for each of its points, then say that it is done."""
        shape = tuple(part.stop - part.start for part in self.grid.blocking.region(index))
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


def _checked(dataset: object, grid: Grid) -> "xarray.Dataset":
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


def _same(given: dict[str, str], expected: dict[str, str], point: dict[str, object]) -> None:
    """Refuse a result that does not look like the first one."""
    if given != expected:
        told = [
            f"{name} is {given.get(name, 'absent')}, was {expected.get(name, 'absent')}"
            for name in {**expected, **given}
            if given.get(name) != expected.get(name)
        ]
        where = ", ".join(f"{name}={value}" for name, value in point.items())
        raise ValueError(f"the result at {where} differs in shape from the first one of the sweep: {'; '.join(told)}")


def _build_results(path: Path, grid: Grid, first: "xarray.Dataset", settings: dict[str, Json]) -> None:
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


def _plain(attrs: dict) -> dict[str, str]:
    """Names and units. Numbers among attributes are about one point, not about all."""
    return {str(key): value for key, value in attrs.items() if isinstance(value, str)}

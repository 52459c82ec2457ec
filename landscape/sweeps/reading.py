"""A sweep as it is read: how far it is, its results as a Dataset or a table, finished or not."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape import store
from landscape.blocks import Json
from landscape.progress import duration
from landscape.store.groups import group_of, record_in
from landscape.store.records import DONE, FAILED, LEFT
from landscape.sweeps.plan import Grid

if TYPE_CHECKING:
    import xarray
    from jaxtyping import Float, Int

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


def grid_of(about: dict[str, Json]) -> Grid:
    """The grid of a sweep, from what its store says about itself."""
    settings = json.loads(about["settings"])
    return Grid(settings["axes"], tuple(settings["chunk"].values()))


def layout_of(path: Path | str) -> dict[str, str]:
    """What one result of the sweep at ``path`` looks like, in the words of `layout`."""
    with store.sense(path):
        return json.loads(json.loads((Path(path) / "results" / "zarr.json").read_bytes())["attributes"]["layout"])


def _about(path: Path | str) -> dict[str, Json]:
    """What a store says about itself. Raises StoreError unless it is one of a sweep."""
    about = store.attributes(path)
    if store.kind(path) != "sweep":
        raise store.StoreError(f"{path} holds a {store.kind(path)}, not a sweep; see `landscape show {path}`")
    return about


def whole(results: "xarray.Dataset") -> "xarray.Dataset":
    """Results of a sweep, all of them: what was not computed is no run that diverged, and must not be judged as one.

    Raises StoreError where a point of `open_sweep` is left or failed.
    """
    state = results.sweep_state
    if missing := int((state != DONE).sum()):
        raise store.StoreError(
            f"{missing} of {state.size} cases are left or failed; the same command again tries them, and `landscape "
            "show` on the store says why they failed"
        )
    return results


def open_sweep(path: Path | str) -> "xarray.Dataset":
    """Results of a sweep, dims (axes of the sweep, dims of one result), complete or not.

    Coordinate ``sweep_state`` over the axes: 0 left, 1 done, 2 failed. Where it is not 1 every variable is NaN, and
    whole numbers have become floats for it. Raises StoreError if there is no store, it is damaged, or no chunk is done.
    """
    about, path = _about(path), Path(path)
    if not (path / "results").exists():
        raise store.StoreError(f"{path} has no finished chunk yet; see `landscape status {path}`")
    with store.sense(path):
        grid, group = grid_of(about), group_of(path)
        record, state = record_in(Path(path), group), np.zeros(grid.shape, np.int8)
        for index, value in enumerate(record[:, 0]):
            state[grid.blocking.region(index)] = value
        gone = store.missing(path, group, np.flatnonzero(record[:, 0] == DONE).tolist())
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


def reasons(path: Path | str, failed: "Sequence[int] | Int[np.ndarray, 'failed']") -> dict[int, str]:
    """Why chunks failed: one line, then the traceback."""
    text = store.arrays_of(path, ("blocks", "chunks"))["reason"]
    with store.damage(path):
        return {int(i): bytes(np.asarray(text[int(i)])).rstrip(b"\0").decode(errors="replace") for i in failed}


def summary(grid: Grid, record: "Float[np.ndarray, 'chunk 3']", reasons: dict[int, str]) -> Status:
    """A Status from records (chunk, 3) and the reasons of those that failed."""
    done = record[record[:, 0] == DONE]
    lately = done[np.argsort(done[:, 2])[-RECENT:]]
    return Status(
        points=grid.points,
        chunks=grid.chunks,
        done=len(done),
        failed={grid.describe(index): reason for index, reason in reasons.items()},
        seconds=float(np.mean(done[:, 2] - done[:, 1])) if len(done) else math.nan,
        pace=float(np.ptp(lately[:, 1:3]) / len(lately)) if len(lately) else math.nan,
    )

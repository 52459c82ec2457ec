"""The one block writer: results on disk, block by block, complete or resumable, never mixed.

A store is a zarr v3 group that `xarray.open_zarr` reads without this package. A block is whole chunks of every array,
each with a checksum: data first, then its record. A killed writer therefore loses no finished block, and a block whose
files are gone, cut off or flipped is computed again.
"""

import contextlib
import errno
import functools
import json
import math
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.blocks import Json, Target, nonfinite
from landscape.store import first, groups, reading, records
from landscape.store.arrays import consolidate, put, relabel
from landscape.store.folders import StoreError, ZarrArray, claim
from landscape.store.settings import same_settings

if TYPE_CHECKING:
    import xarray
    from jaxtyping import Float, Shaped

SQUEEZED = 4  # blocks that are not measured yet are taken to shrink on disk by no more than this factor
MEASURED = 100  # blocks whose size on disk tells that of the others


class BlockWriter(Target):
    """Blocks of a store that is there. Other processes may write other blocks of it, see `begin`.

    ``under`` is the group that holds the arrays: none of its own for a surface, ``results`` for a sweep.
    """

    path: Path

    def __init__(self, path: Path, shared: bool = False) -> None:
        self.path, self.shared = path, shared
        self.group = groups.group_of(path, "r+")
        if self.group.attrs["format"] in (first.SURFACE, first.SWEEP):
            raise StoreError(
                f"{path} was begun in an earlier format, which is read and not added to; give another path"
            )
        with groups.sense(path):
            self.blocks = dict(self.group["blocks"].attrs)
            self.under = str(self.blocks["under"])
            self.table = self.group["blocks/record"]
            super().__init__(groups.blocking_of(self.group), int(self.blocks["leading"]), 0)
            self.settings = json.loads(self.group.attrs["settings"])
            self.complete, self.token = bool(self.group.attrs["complete"]), str(self.group.attrs["token"])
        self.folder, self.run = path.stat().st_ino, 0
        self.record = records.read(path, self.table.shape)
        self.finished = self.record[:, 0] == records.DONE

    @functools.cached_property
    def arrays(self) -> dict[str, ZarrArray]:
        """The zarr arrays that hold results, by name."""
        import zarr

        # Blocks of NaN alone are written like any other, so that every finished block has its files.
        with reading.damage(self.path, self.under), zarr.config.set({"array.write_empty_chunks": True}):
            group = groups.group_of(self.path, "r+")
            reading.check_arrays(self.path, group, self.under)
            group = group[self.under] if self.under else group
            marks = json.loads(group.attrs["marks"])
            arrays = {name: group[name] for name in json.loads(group.attrs["arrays"]) if name not in marks}
        self.size = sum(math.prod(a.shape) * getattr(a.dtype, "itemsize", 8) for a in arrays.values())
        return arrays

    def check(self, settings: Mapping[str, Json], written: str) -> None:
        """StoreError unless the store holds, or will hold, results of these settings."""
        with groups.sense(self.path):
            kind = groups.KINDS[written]
        same_settings(self.path, self.settings, json.loads(json.dumps(settings)), kind)

    def todo(self, among: Iterable[int] | None = None) -> list[int]:
        """Blocks, its own or ``among`` others, that are not done; what is done is read, so that damage is noticed."""
        indices = list(self.among if among is None else among)
        for index in indices:
            if self.finished[index] and not self.intact(index):
                self.finished[index] = False
        return [index for index in indices if not self.finished[index]]

    @contextlib.contextmanager
    def claim(self, index: int) -> Iterator[bool]:
        """Whether a block is this process's to compute: it is not done, and nobody who shares the store is at it."""
        if not self.shared:
            yield not self.stands(index)
            return
        with claim(self.path / records.FOLDER / "claims" / str(index)) as mine:
            yield mine and not self.stands(index)

    @contextlib.contextmanager
    def last(self) -> Iterator[bool]:
        """Whether this process is the one to finish the store: every block is done, and nobody else is finishing it."""
        if len(self._done()) < self.blocking.number:
            yield False
            return
        with claim(self.path / records.FOLDER / "claims" / "last") as mine:
            yield mine

    def stands(self, index: int) -> bool:
        """Whether a block is done and undamaged, whoever wrote it."""
        return self.row(index)[0] == records.DONE and self.intact(index)

    def intact(self, index: int) -> bool:
        """Whether the files of a block are there, as they were written."""
        return (self.path / self.under).exists() and records.intact(self.files(index))

    def row(self, index: int) -> "Float[np.ndarray, 'column']":
        """The record of a block as it is on disk now."""
        return records.row(self.path, index, self.table.shape[1])

    def write(
        self,
        index: int,
        results: "Mapping[str, Shaped[np.ndarray, '...']]",
        started: float = 0.0,
        finished: float = 0.0,
    ) -> None:
        """Write one block, then say that it is done.

        Raises StoreError if the store has been removed, or if the disk is full: what is finished stays.
        """
        with self.writing():
            files = zip(self.arrays.items(), self.files(index), strict=True)
            size = sum(put(array, self.inside(index), file, results[name]) for (name, array), file in files)
            counts = [nonfinite(results[name]) for name in self.blocks["variables"]]
            end = finished or time.time()
            records.write(self.path, index, [records.DONE, started or end, end, self._registered(), *counts])
        self._count(index, size)
        if self.fresh == 1:
            self.check_room()

    def fail(self, index: int, started: float) -> None:
        """Say that a block could not be computed."""
        with self.writing():
            counts = [0] * len(self.blocks["variables"])
            records.write(self.path, index, [records.FAILED, started, time.time(), self._registered(), *counts])

    def files(self, index: int) -> list[Path]:
        """The chunk files of a block, one for each variable."""
        return reading.files(self.path / self.under, self.arrays, self.leading, self.blocking, index)

    def _registered(self) -> int:
        """The number of this run; what it runs on is written down with its first block."""
        with self.counting:
            if not self.run:
                self.run = secrets.randbits(48) + 1
                records.register(self.path, self.run)
        return self.run

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One sentence instead of an error of the system if the store has gone or the disk is full."""
        self._check_here()
        try:
            yield
        except OSError as error:
            self._check_here()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(f"{self.path} cannot be written: {error.strerror}; {self.safe()}") from error
            raise
        self._check_here()

    def _check_here(self) -> None:
        try:
            here = self.path.stat().st_ino == self.folder and (self.path / "zarr.json").exists()
        except OSError:
            here = False
        if not here:
            raise StoreError(f"{self.path} was removed or replaced while it was being written; run the command again")

    def safe(self) -> str:
        """What of a store is finished, and how to go on."""
        done = f"{len(self._done())} of {self.blocking.number} blocks"
        return f"{done} are safe in {self.path}, and the same command resumes"

    def check_room(self) -> None:
        """StoreError if what is left needs more disk than is free, judged by the blocks that are done."""
        done = self._done()
        left, free = self.blocking.number - len(done), shutil.disk_usage(self.path).free
        need = self.need(left)
        if left and need > free:
            raise StoreError(
                f"{self.path} needs about {need / 1e6:,.1f} MB for the {left} blocks left, and {free / 1e6:,.1f} MB "
                f"are free; make room, or give a path on another disk; {self.safe()}"
            )

    def need(self, blocks: int) -> float:
        """Bytes that so many blocks take on disk, as those that are done; 0 if nothing is known of the results yet."""
        done = self._done()[:MEASURED] if (self.path / self.under).exists() else []
        if not self.under and not done:
            self.arrays  # noqa: B018  counts their size
            return self.size / self.blocking.number * blocks / SQUEEZED
        sizes = [512 * file.stat().st_blocks for index in done for file in self.files(index) if file.exists()]
        return sum(sizes) / len(done) * blocks if done else 0.0

    def _done(self) -> list[int]:
        """Blocks that are done, whoever wrote them."""
        return np.flatnonzero(records.read(self.path, self.table.shape)[:, 0] == records.DONE).tolist()

    @property
    def nonfinite(self) -> dict[str, int]:
        """How many values of each variable are inf or NaN, as the writers counted."""
        counts = records.read(self.path, self.table.shape)[:, len(records.COLUMNS) :].sum(0)
        return dict(zip(self.blocks["variables"], map(int, counts), strict=True))

    def seal(self, attributes: Mapping[str, Json], labels: Mapping[str, Mapping[str, Json]]) -> None:
        """Write down that every block is done, by which runs, with ``attributes`` and ``labels`` of each array."""
        from landscape import provenance

        with self.writing():
            counts = {name: {"nonfinite": count} for name, count in self.nonfinite.items()}
            for name in {**labels, **counts}:
                relabel(self.path / self.under / name, {**labels.get(name, {}), **counts.get(name, {})})
            runs = records.runs(self.path, records.read(self.path, self.table.shape))
            about = {**provenance.here(), **self._about(attributes, runs)}
            for where in dict.fromkeys((self.path / self.under, self.path)):
                consolidate(where).update_attributes(about)

    def finish(self, attributes: Mapping[str, Json], labels: Mapping[str, Mapping[str, Json]]) -> "xarray.Dataset":
        """The Dataset of a filled store, read lazily, with ``attributes`` and ``labels`` of each array written down."""
        if self.fresh or not self.complete:
            self.seal(attributes, labels)
        return reading.open_surface(self.path)

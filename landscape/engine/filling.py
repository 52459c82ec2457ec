"""Filling a grid block by block, one thread a core, into memory or whatever else takes blocks."""

import concurrent.futures
import dataclasses
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from landscape import devices
from landscape.engine.evaluator import Evaluator


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a computation is: blocks ``done`` and in all, ``fresh`` ones of this run, seconds and bytes."""

    done: int
    blocks: int
    fresh: int
    seconds: float
    begun: float  # seconds before the first block, spent compiling
    points: int
    bytes: int  # of the whole result, uncompressed
    written: int  # on disk so far, compressed; 0 in memory
    path: Path | None

    @property
    def left(self) -> float:
        """Seconds left at the pace of the fresh blocks; NaN before there is a pace, 0 at the end."""
        if self.done == self.blocks:
            return 0.0
        return (self.seconds - self.begun) / self.fresh * (self.blocks - self.done) if self.fresh else math.nan


class Memory:
    """Blocks of a grid kept in arrays (*leading, *grid): the writer of a result that goes to no store."""

    complete = False  # before this run

    def __init__(
        self, leading: tuple[int, ...], grid: tuple[int, ...], variables: dict[str, Any], block: tuple
    ) -> None:
        self.grid, self.block = grid, block
        self.arrays = {name: np.empty((*leading, *grid), dtype) for name, dtype in variables.items()}
        self.counts = tuple(-(-n // b) for n, b in zip(grid, block, strict=True))
        self.fresh, self.begun, self.started = 0, 0.0, time.perf_counter()
        self.counting = threading.Lock()

    def __enter__(self) -> "Memory":
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def todo(self) -> list[int]:
        """Every block."""
        return list(range(math.prod(self.counts)))

    def region(self, index: int) -> tuple[slice, ...]:
        """The part of the grid that block ``index`` covers."""
        where = np.unravel_index(index, self.counts)
        return tuple(
            slice(int(i) * b, min(n, (int(i) + 1) * b)) for i, b, n in zip(where, self.block, self.grid, strict=True)
        )

    def begin(self) -> None:
        """What came before, such as compiling, says nothing about the pace."""
        self.begun = time.perf_counter() - self.started

    def write(self, index: int, results: dict[str, np.ndarray]) -> None:
        """Keep one block."""
        where: Any = (..., *self.region(index))
        for name, values in results.items():
            self.arrays[name][where] = values
        with self.counting:
            self.fresh += 1

    def progress(self) -> Progress:
        """The state of the computation now."""
        return Progress(
            done=self.fresh,
            blocks=math.prod(self.counts),
            fresh=self.fresh,
            seconds=time.perf_counter() - self.started,
            begun=self.begun,
            points=math.prod(self.grid),
            bytes=sum(array.nbytes for array in self.arrays.values()),
            written=0,
            path=None,
        )


def fill(evaluator: Evaluator, writer: Any, progress: Callable[[Progress], None] | None = None) -> dict[str, Any]:
    """Compute every block of ``writer`` that is not done, one thread a core, and check the origin beside them.

    A writer is `Memory` or a block writer of `landscape.store`. What the threads share is compiled before there is more
    than one. An error stops them all. Returns what `Evaluator.origin` says, nothing if all was done before.
    """
    lock, stopped, progress = threading.Lock(), threading.Event(), progress or (lambda state: None)

    def block(index: int) -> None:
        if stopped.is_set():
            return
        try:
            writer.write(index, _block(evaluator, writer.region(index)))
            with lock:
                progress(writer.progress())
        except BaseException:
            stopped.set()
            raise

    todo = writer.todo()
    if todo:
        evaluator.rows(np.empty((0, len(evaluator.plane.axes)), evaluator.dtype))
    writer.begin()
    with concurrent.futures.ThreadPoolExecutor(devices.threads()) as pool:
        checked = None if writer.complete else pool.submit(evaluator.origin)
        running = [pool.submit(block, index) for index in todo]
        try:
            for future in concurrent.futures.as_completed(running):
                future.result()
            return checked.result() if checked else {}
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _block(evaluator: Evaluator, region: tuple[slice, ...]) -> dict[str, np.ndarray]:
    """The variables over one part of the grid, (*leading, *part)."""
    axes = (axis[part] for axis, part in zip(evaluator.plane.axes.values(), region, strict=True))
    mesh = np.meshgrid(*axes, indexing="ij")
    rows = evaluator.rows(np.stack([m.ravel() for m in mesh], axis=-1).astype(evaluator.dtype))
    shape = tuple(len(values) for values in evaluator.leading.values())
    return {name: r.reshape(*shape, *mesh[0].shape) for name, r in zip(evaluator.names, rows, strict=True)}

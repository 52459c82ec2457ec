"""Filling a grid block by block, one thread a core, over all devices."""

import concurrent.futures
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from landscape import devices, extras
from landscape.blocks import Json, Memory, Progress
from landscape.engine.evaluator import Evaluator

if TYPE_CHECKING:
    from landscape.store import BlockWriter


def fill(
    evaluator: Evaluator, target: "Memory | BlockWriter", progress: Callable[[Progress], None] | None = None
) -> dict[str, Json]:
    """Compute every block of ``target`` that is not done, one thread a core, and check the origin beside them.

    What the threads share is compiled before they start, beside an import. An error stops them all. Returns what
    `Evaluator.origin` says, nothing if all was done before.
    """
    lock, stopped, progress = threading.Lock(), threading.Event(), progress or (lambda state: None)

    def block(index: int, device: int) -> None:
        if stopped.is_set():
            return
        try:
            with target.claim(index) as mine:
                if mine:
                    target.write(index, _block(evaluator, target.region(index), device))
            with lock:
                progress(target.progress())
        except BaseException:
            stopped.set()
            raise

    todo = target.todo()
    with concurrent.futures.ThreadPoolExecutor(devices.threads() * devices.count()) as pool:
        pool.submit(extras.import_xarray)
        if todo:
            evaluator.rows(np.empty((0, len(evaluator.plane.axes)), evaluator.dtype))
        target.begin()
        checked = None if target.complete else pool.submit(evaluator.origin)
        running = [pool.submit(block, index, device) for device, index in enumerate(todo)]
        try:
            for future in concurrent.futures.as_completed(running):
                future.result()
            return checked.result() if checked else {}
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _block(
    evaluator: Evaluator, region: tuple[slice, ...], device: int
) -> dict[str, Float[np.ndarray, "*leading_and_axes"]]:
    """The variables over one part of the grid, (*leading, *part)."""
    rows = evaluator.rows(evaluator.plane.points(region).astype(evaluator.dtype), device)
    shape = *map(len, evaluator.leading.values()), *(part.stop - part.start for part in region)
    return {name: r.reshape(shape) for name, r in zip(evaluator.names, rows, strict=True)}

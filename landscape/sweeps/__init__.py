"""Scripted sweeps that survive: settings by settings -> run what is not done -> one store.

``sweep(run, {"rate": [.1, .2], "seed": range(10)}, out="rates.zarr")`` calls ``run(rate=..., seed=...)``, which returns
an xarray.Dataset, for every point. Each chunk of points is one job that owns whole chunks of the store, so jobs may run
anywhere, be killed at any moment and be run again: what is done stays, and its bits do not depend on how it came about.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.blocks import check_share
from landscape.progress import QUIET
from landscape.store import StoreError
from landscape.store.records import DONE, FAILED
from landscape.sweeps.chunks import Chunks, create
from landscape.sweeps.engines import STOPPED, TAKEN, Engine, Job, Row, cluster, dask, serial, threads
from landscape.sweeps.estimate import Estimate
from landscape.sweeps.file import read
from landscape.sweeps.forest import forest
from landscape.sweeps.importance import anova
from landscape.sweeps.plan import Grid, Plan, plan
from landscape.sweeps.reading import Status, open_sweep, status, summary, to_csv, whole
from landscape.sweeps.search import Range, draw, even, log, ranked, search

if TYPE_CHECKING:
    import xarray

__all__ = [
    "Engine",
    "Grid",
    "Plan",
    "Range",
    "Status",
    "anova",
    "cluster",
    "dask",
    "draw",
    "even",
    "fill",
    "forest",
    "log",
    "open_sweep",
    "plan",
    "ranked",
    "read",
    "search",
    "serial",
    "status",
    "sweep",
    "threads",
    "ticker",
    "to_csv",
    "whole",
]


def sweep(
    run: Callable | str,
    axes: Mapping[str, Iterable | Mapping[str, Iterable]],
    fixed: Mapping[str, object] | None = None,
    *,
    out: Path | str,
    chunk: Mapping[str, int] | None = None,
    shard: tuple[int, int] = (0, 1),
    engine: Engine = serial,
    progress: Callable[[Status], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> "xarray.Dataset":
    """Results of ``run(**settings)`` over every combination of ``axes``, ``fixed`` beside, kept in the store ``out``.

    Returns one Dataset with dims (axes of the sweep, dims of one result), see `open_sweep`. Arguments that say what is
    computed are those of `plan`, the others those of `fill`. Raises ValueError or TypeError before anything runs, and
    RuntimeError if nothing could be computed.
    """
    made = plan(run, axes, fixed, chunk=chunk)
    state = fill(made, out, shard=shard, engine=engine, progress=progress, report=report)
    if not state.done and state.failed:
        reason = next(iter(state.failed.values())).splitlines()[0]
        raise RuntimeError(f"every chunk failed; the first: {reason} (traceback: status({str(out)!r}).failed)")
    return open_sweep(out)


def fill(
    plan: Plan,
    out: Path | str,
    *,
    shard: tuple[int, int] = (0, 1),
    engine: Engine = serial,
    progress: Callable[[Status], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> Status:
    """Compute every chunk of a plan that is not done in the store ``out``, failed ones again, and tell how far it is.

    ``shard`` (i, n) takes chunks i, i + n, i + 2 n, ... alone, so that n processes that know nothing of each other make
    one sweep. ``engine`` is `serial` or ``dask(client)``. ``report`` is told the plan and, once two chunks have been
    measured, what is still to come; ``progress`` is called after each chunk and may raise to stop: nothing finished is
    lost.
    """
    part, parts = shard
    check_share(part, parts)
    echo, progress = report or (lambda text: None), progress or (lambda state: None)
    with create(out, plan, shared=parts > 1) as chunks:
        todo = chunks.writer.todo(range(part, plan.grid.chunks, parts))
        _compute(plan, chunks, todo, engine, echo, progress)
        state = status(out)
        if state.done == state.chunks and (todo or not chunks.writer.complete):
            chunks.writer.seal({}, {})
    return state


def _compute(
    plan: Plan, chunks: Chunks, todo: list[int], engine: Engine, echo: Callable[[str], None], progress: Callable
) -> None:
    """Compute the chunks of ``todo``, and say what is to come as soon as that is known."""
    record, reasons, estimate = chunks.writer.record.copy(), {}, Estimate(plan)
    record[todo] = 0
    echo(f"{plan}; {np.count_nonzero(record[:, 0] == DONE)} done, {len(todo)} to do here, in {chunks.writer.path}")
    estimated = False
    with contextlib.closing(engine({index: _job(plan, chunks, index) for index in todo})) as rows:
        for count, (index, row) in enumerate(rows, 1):
            row = _row(chunks, index, row)
            record[index, :3] = row[:3] if row.state != TAKEN else 0
            if row.state == FAILED:
                reasons[index] = row.reason
            elif row.state == DONE:
                estimate.add(index, row)
                chunks.writer.fresh = estimate.count
            if not estimated and estimate.ready(len(todo) - count):
                estimated = True
                echo(estimate.describe(len(todo) - count, chunks.writer.need(plan.grid.chunks)))
            progress(summary(plan.grid, record, reasons))


def _row(chunks: Chunks, index: int, row: Row | Exception) -> Row:
    """What came of a chunk. Raises StoreError if the store cannot be written, since then no other chunk can."""
    if isinstance(row, Exception):
        row = Row(FAILED, reason=f"{type(row).__name__}: {row}")
        chunks.fail(index, math.nan, row.reason)
    if row.state == STOPPED:
        raise StoreError(row.reason)
    return row


def ticker(echo: Callable[[str], None], seconds: float = QUIET) -> Callable[[Status], None]:
    """A callback for ``progress`` that says how far the sweep is, not more often than every ``seconds``."""
    last = time.monotonic()

    def tell(state: Status) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            echo(str(state).splitlines()[0])

    return tell


def _job(plan: Plan, chunks: Chunks, index: int) -> Job:
    points = [{**plan.fixed, **plan.point(point)} for point in plan.grid.within(index)]
    writer = chunks.writer
    return Job(plan.run, str(writer.path), writer.token, writer.shared, index, points)

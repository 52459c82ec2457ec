"""Scripted sweeps that survive: settings by settings -> run what is not done -> one store.

``sweep(run, {"rate": [.1, .2], "seed": range(10)}, out="rates.zarr")`` calls ``run(rate=..., seed=...)``, which returns
an xarray.Dataset, for every point. Each chunk of points is one job that owns whole chunks of the store, so jobs may run
anywhere, be killed at any moment and be run again: what is done stays, and its bits do not depend on how it came about.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.progress import QUIET, duration, size
from landscape.sweeps.chunks import DONE, FAILED, Chunks, Status, create, disk, open_sweep, status, summary, to_csv
from landscape.sweeps.engines import Engine, Job, Row, cluster, dask, serial
from landscape.sweeps.file import read
from landscape.sweeps.plan import Grid, Plan, plan

if TYPE_CHECKING:
    import xarray

__all__ = [
    "Engine",
    "Grid",
    "Plan",
    "Status",
    "cluster",
    "dask",
    "fill",
    "open_sweep",
    "plan",
    "read",
    "serial",
    "status",
    "sweep",
    "ticker",
    "to_csv",
]


def sweep(
    run: Callable | str,
    axes: Mapping[str, Any],
    fixed: Mapping[str, Any] | None = None,
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
    if not 0 <= part < parts:
        raise ValueError(
            f"shard {part}/{parts} does not exist; the shards of {parts} are 0/{parts} to {parts - 1}/{parts}"
        )
    say, progress = report or (lambda text: None), progress or (lambda state: None)
    store = create(Path(out), plan)
    record, reasons, took = store.record[:], {}, []
    todo = [i for i in range(part, plan.grid.chunks, parts) if record[i, 0] != DONE]
    say(f"{plan}; {np.count_nonzero(record[:, 0] == DONE)} done, {len(todo)} to do here, in {out}")
    for count, (index, row) in enumerate(engine({i: _job(plan, store, i) for i in todo}), 1):
        if isinstance(row, Exception):
            row = Row(FAILED, math.nan, math.nan, f"{type(row).__name__}: {row}")
            store.fail(index, row.started, row.reason)
        record[index] = row[:3]
        if row.state == FAILED:
            reasons[index] = row.reason
        else:
            took.append(row)
            if len(took) == 2:
                say(_estimate(plan, store, took, len(todo) - count))
        progress(summary(plan.grid, record, reasons))
    return status(out)


def ticker(say: Callable[[str], None], seconds: float = QUIET) -> Callable[[Status], None]:
    """A callback for ``progress`` that says how far the sweep is, not more often than every ``seconds``."""
    last = time.monotonic()

    def tell(state: Status) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            say(str(state).splitlines()[0])

    return tell


def _job(plan: Plan, store: Chunks, index: int) -> Job:
    points = [{**plan.fixed, **plan.point(point)} for point in plan.grid.within(index)]
    return Job(plan.run, str(store.path.resolve()), store.token, index, points)


def _estimate(plan: Plan, store: Chunks, took: list[Row], left: int) -> str:
    """What two chunks say about the rest: the first also compiled, the second did not if they share a program."""
    first, second = (row.finished - row.started for row in took)
    together = (first + second) / max(max(row.finished for row in took) - min(row.started for row in took), 1e-9)
    compiling = max(0.0, first - second) * (plan.programs()[0] - 1)
    room = disk(store) / np.count_nonzero(store.record[:, 0] == DONE) * plan.grid.chunks
    return (
        f"the first chunk took {duration(first)}, the next {duration(second)}: about "
        f"{duration((compiling + left * second) / together)} for the {left} left, and {size(room)} on disk in all"
    )

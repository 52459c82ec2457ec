"""Who computes the chunks: this process, or workers of Dask distributed. An engine turns jobs into rows as they end."""

import contextlib
import dataclasses
import functools
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from landscape import devices, names
from landscape.sweeps import settings
from landscape.sweeps.chunks import DONE, FAILED, Chunks

RETRIES = 2  # of a chunk whose worker could not be reached or could not write; an error of the run itself is final


class Row(NamedTuple):
    """What came of a chunk; small, since a scheduler keeps it."""

    state: int
    started: float
    finished: float
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Job:
    """One chunk as a call that any process can make, any number of times: the results are the same bits."""

    run: Callable | str
    path: str
    token: str
    index: int
    points: list[dict[str, Any]]

    def __call__(self) -> Row:
        """Compute and write the chunk unless that is done; an error of the run is written down as the reason."""
        store = _opened(self.path, self.token)
        state, started, finished = store.record[self.index]
        if state == DONE:
            return Row(DONE, started, finished)
        started = time.time()
        try:
            run = settings.function(self.run)
            results = [run(**_fitted(run, point)) for point in self.points]
            finished = time.time()
            datasets = store.admit(self.index, results)
        except Exception as error:
            line = f"{type(error).__name__}: {error}"
            store.fail(self.index, started, f"{line}\n{traceback.format_exc()}")
            return Row(FAILED, started, time.time(), line)
        store.write(self.index, started, finished, datasets)
        return Row(DONE, started, finished)


@functools.lru_cache(maxsize=8)
def _opened(path: str, token: str) -> Chunks:
    store = Chunks(path)
    if store.token != token:
        raise ValueError(f"{path} is another store than the one this sweep began with")
    return store


def _fitted(run: Callable, point: dict[str, Any]) -> dict[str, Any]:
    hints = settings.hints(run)
    return {name: settings.fit(value, hints.get(name, Any), name) for name, value in point.items()}


Engine = Callable[[dict[int, Job]], Iterator[tuple[int, Row | Exception]]]


def serial(jobs: dict[int, Job]) -> Iterator[tuple[int, Row | Exception]]:
    """One chunk after the other in this process."""
    for index, job in jobs.items():
        yield index, job()


def dask(client: Any) -> Engine:
    """All chunks on the workers of a `distributed.Client`. Chunks of a lost worker go to the others.

    A chunk that several workers died with is tried once more with no other chunk at work, since those beside it fell
    under the same suspicion; if its worker dies again, that is its result.
    """
    from distributed import KilledWorker

    def engine(jobs: dict[int, Job]) -> Iterator[tuple[int, Row | Exception]]:
        suspects = []
        for index, row in _submitted(client, jobs):
            if isinstance(row, KilledWorker):
                suspects.append(index)
            else:
                yield index, row
        for index in suspects:
            yield from _submitted(client, {index: jobs[index]})

    return engine


def _submitted(client: Any, jobs: dict[int, Job]) -> Iterator[tuple[int, Row | Exception]]:
    from distributed import as_completed

    key = f"chunk-{uuid.uuid4().hex[:8]}"
    futures = {client.submit(job, key=f"{key}-{index}", retries=RETRIES): index for index, job in jobs.items()}
    lost = {}  # answers that died with their worker; the chunk itself is stored, and will not be computed again
    try:
        for future, row in as_completed(futures, with_results=True, raise_errors=False):
            if future.status == "cancelled":
                raise ConnectionError("the scheduler has gone; nothing finished is lost, run the same command again")
            index = futures.pop(future)
            if future.status == "lost":
                lost[index] = jobs[index]
            else:
                yield index, row[1] if future.status == "error" else Row(*row)
    finally:
        client.cancel(list(futures))
    if lost:
        yield from _submitted(client, lost)


def _joined(client: Callable, scheduler: str) -> Any:
    """A client of the scheduler at an address, or of one that wrote its address into a file."""
    where = {"scheduler_file": scheduler} if Path(scheduler).suffix == ".json" else {"address": scheduler}
    try:
        return client(**where)
    except ValueError as error:
        raise ValueError(
            f"--scheduler {scheduler!r} is no address: {error}; give tcp://HOST:PORT, or the scheduler's file.json"
        ) from error


@contextlib.contextmanager
def cluster(workers: int = 0, scheduler: str = "") -> Iterator[Any]:
    """A `distributed.Client`: of a scheduler (address or ``file.json``), else of ``workers`` processes here.

    Processes here listen on 127.0.0.1 alone, compute one chunk at a time and share the cores evenly.
    """
    names.need("distributed", "cluster", "workers")
    import dask.config
    import distributed

    if scheduler:
        with _joined(distributed.Client, scheduler) as client:
            yield client
        return
    env = {"NPROC": str(max(1, devices.cores() // workers)), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    local = {"n_workers": workers, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None, "env": env}
    with (
        dask.config.set({"distributed.scheduler.worker-saturation": 1.0, "distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(**local) as here,
        distributed.Client(here) as client,
    ):
        yield client

"""Who computes the chunks: this process, or workers of Dask distributed. An engine turns jobs into rows as they end."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import logging
import math
import os
import platform
import signal
import time
import traceback
import uuid
from collections.abc import Callable, Generator, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from landscape import devices, store
from landscape.extras import needed
from landscape.store import StoreError
from landscape.store.records import DONE, FAILED
from landscape.sweeps import settings
from landscape.sweeps.chunks import Chunks

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2  # of a chunk whose worker could not be reached or could not write; an error of the run itself is final
QUIET = {"DASK_LOGGING__DISTRIBUTED": "critical"}  # what workers log of their own; what matters is said in one line
TAKEN, STOPPED = 3, 4  # beside the states of a record: another process is at the chunk; the store cannot be written


class Row(NamedTuple):
    """What came of a chunk; small, since a scheduler keeps it. ``run``: the process that computed it."""

    state: int
    started: float = math.nan
    finished: float = math.nan
    reason: str = ""
    run: str = ""


@dataclasses.dataclass(frozen=True)
class Job:
    """One chunk as a call that any process can make, any number of times: the results are the same bits."""

    run: Callable | str
    path: str
    token: str
    shared: bool
    index: int
    points: list[dict[str, object]]

    def __call__(self) -> Row:
        """Compute and write the chunk unless that is done; an error of the run is written down as the reason."""
        try:
            chunks = _opened(self.path, self.token, self.shared)
            with chunks.writer.claim(self.index) as mine:
                return self._computed(chunks) if mine else _found(chunks, self.index)
        except StoreError as error:
            return Row(STOPPED, reason=str(error))

    def _computed(self, chunks: Chunks) -> Row:
        started = time.time()
        try:
            run = settings.function(self.run)
            results = [run(**_fitted(run, point)) for point in self.points]
        except Exception as error:
            return self._failed(chunks, started, error)
        finished = time.time()
        try:
            datasets = chunks.admit(self.index, results)
        except StoreError:
            raise
        except Exception as error:
            return self._failed(chunks, started, error)
        chunks.write(self.index, started, finished, datasets)
        return Row(DONE, started, finished, run=here())

    def _failed(self, chunks: Chunks, started: float, error: Exception) -> Row:
        line = f"{type(error).__name__}: {error}"
        chunks.fail(self.index, started, f"{line}\n{traceback.format_exc()}")
        return Row(FAILED, started, time.time(), line, here())


def here() -> str:
    """A name of this process."""
    return f"{platform.node()}:{os.getpid()}"


def _found(chunks: Chunks, index: int) -> Row:
    """What another process made of a chunk, or that it is still at it."""
    state, started, finished = chunks.writer.row(index)[:3]
    return Row(DONE, started, finished, run="another") if state == DONE else Row(TAKEN)


@functools.lru_cache(maxsize=8)
def _opened(path: str, token: str, shared: bool) -> Chunks:
    chunks = Chunks(store.BlockWriter(Path(path), shared))
    if chunks.writer.token != token:
        raise StoreError(f"{path} is another store than the one this sweep began with")
    return chunks


def _fitted(run: Callable, point: dict[str, object]) -> dict[str, object]:
    hints = settings.hints(run)
    return {name: settings.fit(value, hints.get(name, Any), name) for name, value in point.items()}


Rows = Generator[tuple[int, Row | Exception], None, None]
Engine = Callable[[dict[int, Job]], Rows]


def serial(jobs: dict[int, Job]) -> Rows:
    """One chunk after the other in this process."""
    for index, job in jobs.items():
        yield index, job()


def threads(jobs: dict[int, Job]) -> Rows:
    """As many chunks at a time as there are cores, in this process; the first alone, since it shapes the store."""
    order = list(jobs)
    for index in order[:1]:
        yield index, jobs[index]()
    with concurrent.futures.ThreadPoolExecutor(devices.threads()) as pool:
        found = {pool.submit(jobs[index]): index for index in order[1:]}
        try:
            yield from ((found[job], job.result()) for job in concurrent.futures.as_completed(found))
        finally:
            pool.shutdown(cancel_futures=True)


def dask(client: "Client") -> Engine:
    """All chunks on the workers of a `distributed.Client`. Chunks of a lost worker go to the others.

    A chunk that several workers died with is tried once more with no other chunk at work, since those beside it fell
    under the same suspicion; if its worker dies again, that is its result.
    """
    from distributed import KilledWorker

    def engine(jobs: dict[int, Job]) -> Rows:
        suspects = []
        for index, row in _submitted(client, jobs):
            if isinstance(row, KilledWorker):
                suspects.append(index)
            else:
                yield index, row
        for index in suspects:
            yield from _submitted(client, {index: jobs[index]})

    return engine


def _submitted(client: "Client", jobs: dict[int, Job]) -> Rows:
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


@contextlib.contextmanager
def cluster(workers: int = 0, scheduler: str = "") -> "Iterator[Client]":
    """A `distributed.Client`: of a scheduler (address or ``file.json``), else of ``workers`` processes here.

    Processes here listen on 127.0.0.1 alone, compute one chunk at a time and share the cores evenly.
    """
    distributed = needed("distributed", "cluster", "workers are run")
    import dask.config

    # A client that could not connect leaves word that Dask must use it, and lazy arrays could not be read any more.
    kept = {"scheduler": dask.config.get("scheduler", None)}
    if scheduler:
        with dask.config.set(kept), _client(scheduler) as client:
            yield client
        return
    env = {"NPROC": str(max(1, devices.cores() // workers)), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    port = {"dashboard_address": "127.0.0.1:0"}  # any that is free, though nothing is shown there
    local = {
        "n_workers": workers,
        "scheduler_kwargs": port,
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": None,
        "env": env,
    }
    quiet = {f"distributed.nanny.pre-spawn-environ.{key}": text for key, text in QUIET.items()}
    spread = {"distributed.scheduler.worker-saturation": 1.0, "distributed.scheduler.allowed-failures": 1}
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set({**spread, **quiet, **kept}))
        try:
            with _deaf():
                here = stack.enter_context(distributed.LocalCluster(**local, silence_logs=logging.CRITICAL))
                client = stack.enter_context(distributed.Client(here))
        except Exception as error:
            raise ClusterError(
                f"the {workers} workers could not be started ({type(error).__name__}: {str(error).splitlines()[0]}); "
                "try again, with fewer --workers if memory is short; nothing finished is lost"
            ) from error
        yield client


class ClusterError(ValueError):
    """Workers that cannot be started or reached."""


@contextlib.contextmanager
def _client(scheduler: str) -> "Iterator[Client]":
    """A client of the scheduler at an address, or of the one that wrote a ``file.json``."""
    import distributed

    where = {"scheduler_file": scheduler} if Path(scheduler).suffix == ".json" else {"address": scheduler}
    try:
        client = distributed.Client(**where)
    except Exception as error:
        raise ClusterError(
            f"there is no scheduler at {scheduler!r} ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "give tcp://HOST:PORT, or the file.json that `dask scheduler --scheduler-file` wrote"
        ) from error
    with client:
        yield client


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Start threads and processes that never hear Ctrl-C, which is for this process alone; it comes afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would make the thread that starts it hear again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

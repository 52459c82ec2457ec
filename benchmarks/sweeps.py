"""What a sweep costs beside its computation: store and scheduling, per chunk, against 0.2 s of computing.

    python benchmarks/sweeps.py                   10,000 chunks in this process
    python benchmarks/sweeps.py --workers 2       on two Dask workers

Each chunk returns 200 numbers at once, so that all the time there is, is overhead: drawing up and checking the plan,
scheduling, writing results and records, reading the records back. Expected on two busy cores, where workers, scheduler
and client share them: 4 ms a chunk in process, 2 % of 0.2 s; 17 ms a chunk and worker with two workers, 8 %. A minute.
"""

import argparse
import contextlib
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray

from landscape import sweeps

COMPUTE = 0.2  # seconds of a chunk in the sweep that the overhead is compared with


def run(seed: int = 0, rate: float = 0.1) -> xarray.Dataset:
    """200 losses and one count, at no cost."""
    return xarray.Dataset({"loss": ("length", np.full(200, rate, np.float32)), "count": ((), seed)})


def main() -> None:
    """Time an empty sweep, from plan to open Dataset."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--chunks", type=int, default=10_000)
    options.add_argument("--workers", type=int, default=0)
    given = options.parse_args()
    seeds = max(1, given.chunks // 10)
    axes = {"rate": np.linspace(0.1, 1, 10), "seed": range(seeds)}
    times = {"start": time.perf_counter()}

    def lap(name: str) -> None:
        times[name] = time.perf_counter() - times["start"]
        times["start"] = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        out, engine = Path(folder) / "sweep.zarr", sweeps.serial
        if given.workers:
            engine = sweeps.dask(stack.enter_context(sweeps.cluster(given.workers)))
        lap("workers started")
        plan = sweeps.plan(f"{Path(__file__)}:run", axes)
        lap("plan checked")
        state = sweeps.fill(plan, out, engine=engine)
        lap("chunks computed")
        again = sweeps.fill(plan, out, engine=engine)
        lap("nothing recomputed")
        dataset = sweeps.open_sweep(out).load()
        lap("results loaded")
        sweeps.to_csv(dataset, Path(folder) / "sweep.csv")
        lap("table written")
    assert state.done == again.done == plan.grid.chunks
    times.pop("start")
    for name, seconds in times.items():
        print(f"{name:<20}{seconds:8.2f} s")
    each = times["chunks computed"] / plan.grid.chunks * max(1, given.workers)
    where = f"{given.workers} workers" if given.workers else "one process"
    share = f"{each / COMPUTE:.1%} of {COMPUTE} s of computing"
    print(f"{plan.grid.chunks:,} chunks on {where}: {1e3 * each:.2f} ms each, {share}")


if __name__ == "__main__":
    main()

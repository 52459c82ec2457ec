"""How fast this machine is at each kind of job, by the fused route and by the scan, beside the floor of its hardware.

A cell-step is one recurrence step of one unit for one sequence at one point or in one run. Seconds are those of the
device, compiling and copies to the host apart; a slower route computes a stated share of the job. The floor is what the
special functions of a job take, or what its results take to be written, whichever is longer.
"""

import contextlib
import dataclasses
import math
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree

from landscape import cells, provenance, tasks, training
from landscape.blocks import Json
from landscape.cells import Cell
from landscape.descent.paths import Ends
from landscape.engine import Evaluator, Problem, routes
from landscape.engine.evaluator import _program
from landscape.planes import Plane, plane
from landscape.recurrence import Recurrence

REPEATS = 3
SPECIAL = 16  # special-function instructions that a streaming multiprocessor of NVIDIA issues a clock
EACH = 2  # of them, the least that a logistic function or a tanh takes
EPOCH = 500  # updates, as in the published experiment
EPS = float(np.finfo("float32").eps)
RATES = ("special_per_second", "bytes_per_second")
WAYS = ("fused", "scan", "loops")


CELLS = (
    (cells.SRNN(), "w", "b", 1),
    (cells.GRU(), "w_h", "b_z", 3),
    (cells.LSTM(), "w_g", "b_f", 5),
)


class Measured(NamedTuple):
    """Seconds of the device, of compiling and of copying to the host, for ``share`` of a job; what came of it.

    ``pinned`` are those of a copy through memory that the device may write into, None where there is none.
    """

    seconds: float
    compiling: float
    copying: float
    pinned: float | None
    share: float
    result: PyTree


class Job(NamedTuple):
    """``measure(share) -> Measured`` by the route of the moment; its cell-steps, and nonlinear functions in each.

    ``loops`` measures the scan whose loops end where the data say so; ``written`` are the bytes of all results.
    """

    name: str
    steps: float
    functions: int
    measure: Callable[[float], Measured]
    loops: Callable[[float], Measured] | None = None
    exact: Callable[[], dict[str, Float[np.ndarray, "..."]]] | None = None  # the first results in float64
    written: float = 0.0


def measured(program: jax.stages.Wrapped, args: tuple, share: float, slabs: int = 1) -> Measured:
    """A program of `jax.jit` on arguments that lie on the device, called for every slab, the best of a few times."""
    args = jax.device_put(args)
    start = time.perf_counter()
    call = program.lower(*args).compile()
    compiling = time.perf_counter() - start
    seconds, out = min((timed(lambda: [call(*args) for _ in range(slabs)][-1]) for _ in range(REPEATS)), key=_first)
    copying, result = timed(lambda: jax.device_get(out))
    return Measured(seconds, compiling, copying, _pinned(out), share, result)


def timed(call: Callable[[], PyTree]) -> tuple[float, PyTree]:
    """Seconds until all of what ``call`` returns is there, and that."""
    start = time.perf_counter()
    out = jax.block_until_ready(call())
    return time.perf_counter() - start, out


def _first(pair: tuple) -> float:
    return pair[0]


def _pinned(out: PyTree) -> float | None:
    """Seconds of a copy to the host through pinned memory."""
    device = jax.local_devices()[0]
    if "pinned_host" not in {memory.kind for memory in device.addressable_memories()}:
        return None
    there = jax.sharding.SingleDeviceSharding(device, memory_kind="pinned_host")
    return timed(lambda: jax.device_get(jax.device_put(out, there)))[0]


def over_points(name: str, made: Plane, problem: Problem, functions: int) -> Job:
    """A problem on the whole grid of a plane in one call; a share of it is the first points."""
    points, names = made.points().astype("float32"), problem.variables(tuple(made.axes))

    def measure(share: float, kernel: Callable | None = None) -> Measured:
        some = points[: max(128, int(len(points) * share))]
        first = Evaluator(made, problem)
        if first.route.options:
            first(some[:1])  # a kernel that spills registers gives way, and from now on for all sizes
        evaluator = Evaluator(made, problem).resize(len(some))
        tiles = np.moveaxis(np.resize(some, (evaluator.size, points.shape[1])).reshape(-1, evaluator.tile, 2), 2, 1)
        args = (evaluator._affine, tiles, np.int32(len(tiles)), evaluator._data)
        return measured(_program(kernel or evaluator.route.kernel), args, len(some) / len(points))

    def exact() -> PyTree:
        wide = dataclasses.replace(problem, dtype="float64")  # type: ignore[type-var]
        with routes.scanned():
            return Evaluator(made, wide)(points[:128])

    steps, rows = float(problem.steps) * len(points), math.prod(map(len, problem.leading.values()))
    job = Job(name, steps, functions, measure, written=4.0 * rows * len(names) * len(points))
    if not isinstance(problem, Recurrence):
        return job
    loops = dataclasses.replace(problem.kernel, known=())
    return job._replace(loops=lambda share: measure(share, loops), exact=exact)


def over_runs(name: str, cell: Cell, functions: int, runs: int, length: int, updates: int, slabs: int = 1) -> Job:
    """Training of many runs on shared data, in epochs of `EPOCH` updates; a share of it is the first updates.

    ``slabs`` of so many runs one after the other, as many as a device has memory for.
    """
    batch = 16

    def measure(share: float) -> Measured:
        epochs = max(1, int(updates * share) // EPOCH)
        each = max(2, int(updates * share) // epochs)
        data = tasks.episodes(tasks.latch(), jax.random.key(0), batch * each, length)

        def one(key: Key[Array, ""], rate: Float[Array, ""], data: PyTree) -> PyTree:
            options: dict[str, Json] = {
                "epochs": epochs,
                "batch": batch,
                "validation": jax.tree.map(lambda a: a[:batch], data),
            }
            return training.fit(key, training.begin(cell, key), data, training.keras_adam(rate), **options).record.loss

        keys, rates = jax.random.split(jax.random.key(1), runs), jnp.linspace(1e-3, 1e-2, runs)
        return measured(jax.jit(jax.vmap(one, (0, 0, None))), (keys, rates, data), epochs * each / updates, slabs)

    return Job(name, float(slabs) * runs * updates * batch * length, functions, measure)


def jobs(small: bool = False) -> Iterator[Job]:
    """Every kind of job, as large as a GPU needs; ``small`` ones are for trying the program itself."""
    line = np.linspace
    side, noisy, long = (16, 16, 5) if small else (4096, 512, 100)
    wall = plane(cells.Pascanu(), w=line(4, 6, side), b=line(-3.5, -1.5, side))
    deep = range(2, 5) if small else range(100, 1001, 100)
    for order in (0, 1, 2):
        yield over_points(f"Pascanu, order {order}", wall, Recurrence(tasks.pascanu(), deep, order=order), 1)
    for cell, x, y, functions in CELLS:
        made = plane(cell, {}, **{x: line(-3, 3, noisy), y: line(-2, 2, noisy)})
        every = Recurrence(tasks.latch(), range(1, long + 1), episodes=2 if small else 32)
        yield over_points(f"{type(cell).__name__} on latch, every length", made, every, functions)
    for cell, _, _, functions in CELLS:
        runs, updates = (3, 4) if small else (1024, 2500)
        yield over_runs(f"{type(cell).__name__}, {runs} runs", cell, functions, runs, long, updates)
    runs, slabs = (3, 2) if small else (2**17, 8)
    name = f"SRNN, {slabs * runs} runs in {slabs} slabs"
    yield over_runs(name, cells.SRNN(), 1, runs, 3 if small else 50, 4 if small else 2500, slabs)
    steps, length = (3, 4) if small else (300, 50)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))
    down = Ends(Recurrence(tasks.pascanu(), [length]), optimiser, steps, ("w", "b"))
    yield over_points("Pascanu, trainability", wall, down, 1)


def clock() -> float | None:
    """Special-function instructions a second of the first device, as its driver tells; None where there is none."""
    if jax.default_backend() != "gpu" or not shutil.which("nvidia-smi"):
        return None
    asked = ["nvidia-smi", "--query-gpu=clocks.max.sm", "--format=csv,noheader,nounits"]
    with contextlib.suppress(OSError, ValueError, IndexError, subprocess.CalledProcessError):
        megahertz = float(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0])
        return jax.local_devices()[0].core_count * SPECIAL * megahertz * 1e6
    return None


def bandwidth() -> float | None:
    """Bytes a second that the first device reads and writes, measured; None on a CPU."""
    if jax.default_backend() == "cpu":
        return None
    numbers = jnp.ones(2**28, jnp.float32)
    more = jax.jit(lambda a: a + 1).lower(numbers).compile()
    return 2 * numbers.nbytes / min(timed(lambda: more(numbers))[0] for _ in range(REPEATS))


def table(
    small: bool = False, share: float = 1 / 16, chosen: Callable[[Job], bool] = lambda job: True
) -> dict[str, Json]:
    """Every job by all routes, as plain numbers: seconds, cell-steps a second, ratios, errors; and what ran them.

    The scan computes a ``share`` of each job. On a CPU only ``small`` jobs are fused, by Pallas' interpreter.
    """
    rates, rows = (clock(), bandwidth()), {}
    for job in filter(chosen, jobs(small)):
        rows[job.name] = row(job, rates, 1.0 if small else share, small)
    return {**provenance.here(), **dict(zip(RATES, rates, strict=True)), "small": small, "jobs": rows}


def row(job: Job, rates: tuple[float | None, float | None], share: float, small: bool) -> dict[str, Json]:
    """One job by all routes."""
    asked = EACH * job.functions * job.steps, job.written
    floor = max((amount / rate for amount, rate in zip(asked, rates, strict=True) if rate), default=None)
    found: dict[str, Json] = {"steps": job.steps, "floor_seconds": floor}
    with routes.interpreted() if small else contextlib.nullcontext():
        why = routes.hindrance()
        found["fused"] = {"why": why} if why else _plain(job, job.measure(1.0), floor)
    with routes.scanned():
        found["scan"] = _plain(job, job.measure(share), floor)
        if job.loops is not None:
            found["loops"] = _plain(job, job.loops(share), floor)
    for slower in ("scan", "loops"):
        if not why and slower in found:
            found[f"fused_over_{slower}"] = found[slower]["seconds"] / found["fused"]["seconds"]
    return found


def _plain(job: Job, made: Measured, floor: float | None) -> dict[str, Json]:
    """A measurement in plain numbers: seconds of the whole job, by the share that was computed."""
    whole = made.seconds / made.share
    found: dict[str, Json] = {
        "seconds": whole,
        "share": made.share,
        "compiling": made.compiling,
        "copying": made.copying / made.share,
        "copying_pinned": None if made.pinned is None else made.pinned / made.share,
        "steps_per_second": job.steps / whole,
        "of_the_floor": floor / whole if floor else None,
    }
    if job.exact is not None:
        found["ulp"] = _ulp(made.result, job.exact())
    return found


def _ulp(got: list, exact: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest error of each variable but the logarithm, in rounding units of its largest value."""
    found = {}
    for (name, true), rows in zip(exact.items(), got, strict=True):
        if name != "log10_gradient":
            true = true.reshape(len(rows), -1)
            found[name] = float(np.nanmax(np.abs(np.asarray(rows)[:, :128] - true)) / (EPS * np.nanmax(np.abs(true))))
    return found


def lines(found: dict[str, Json]) -> Iterator[str]:
    """A table in words."""
    yield f"{found['device']}, jax {found['version_jax']}, commit {found['git_commit'][:12]}"
    for name, each in found["jobs"].items():
        yield f"{name:36}{'; '.join(_format(each[route], route) for route in WAYS if route in each)}{_ratio(each)}"


def _format(each: dict[str, Json], route: str) -> str:
    if "why" in each:
        return f"{route}: {each['why']}"
    share = f" (by {each['share']:.0%} of it)" if each["share"] < 1 else ""
    floor = f", {each['of_the_floor']:.2f} of the floor" if each["of_the_floor"] else ""
    pinned = "" if each["copying_pinned"] is None else f" ({1e3 * each['copying_pinned']:,.1f} through pinned memory)"
    copies = f", copied in {1e3 * each['copying']:,.1f} ms{pinned}"
    return f"{route} {1e3 * each['seconds']:,.1f} ms{share}, {each['steps_per_second'] / 1e9:,.3g} G/s{floor}{copies}"


def _ratio(each: dict[str, Json]) -> str:
    ratios = [
        f"{each[f'fused_over_{way}']:.1f} times as fast as the {way}" for way in WAYS if f"fused_over_{way}" in each
    ]
    return f"; fused {', '.join(ratios)}" if ratios else ""

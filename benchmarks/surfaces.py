"""How fast are surfaces? Cell-steps per second against the obvious JAX, against PyTorch, and against the floor.

    make bench                      # everything, some four minutes on two cores
    python benchmarks/surfaces.py ours reverse        # parts, each in a process of its own

A cell-step is one recurrence step of one unit for one sequence at one point. Ratios hold within one run; absolute
numbers move by up to a factor of two with the machine and its neighbours.
"""

import functools
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE, WIDE, SEQUENCES, LENGTH = 128, 256, 32, 100
WORK = SIDE * SIDE * SEQUENCES * LENGTH
TORCH = Path(".venv-torch")
FLAG = "--xla_cpu_experimental_ynn_fusion_type"


def best(call: Callable, repeats: int = 5) -> tuple[float, float]:
    """Seconds of the first call and of the fastest of ``repeats`` calls after it."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times[0], min(times[1:])


def ours() -> dict[str, Any]:
    """The public call that returns the Dataset: loss and gradient at every length, three cells."""
    import numpy as np

    import landscape as ls

    surface = functools.partial(ls.surface, problem=ls.latch(), lengths=range(1, LENGTH + 1), episodes=SEQUENCES)
    cells = {"SRNN": (ls.SRNN(), "w", "b"), "GRU": (ls.GRU(), "w_h", "b_z"), "LSTM": (ls.LSTM(), "w_g", "b_f")}

    def plane(cell: str, side: int) -> Any:
        unit, x, y = cells[cell]
        return ls.plane(unit, **{x: np.linspace(-3, 3, side), y: np.linspace(-2, 2, side)})

    result: dict[str, Any] = {}
    for cell in cells:
        first, again = best(functools.partial(surface, plane(cell, SIDE)), 20)
        _, wide = best(functools.partial(surface, plane(cell, WIDE)), 5)
        result[cell] = {"rate": WORK / again, "seconds": again, "compile": first - again}
        result[cell]["wide"] = WORK * (WIDE / SIDE) ** 2 / wide
    with tempfile.TemporaryDirectory() as folder:
        paths = itertools.count()
        _, stored = best(lambda: surface(plane("SRNN", SIDE), out=f"{folder}/{next(paths)}.zarr"))
    return {**result, "stored": {"seconds": stored}}


def hand() -> dict[str, Any]:
    """The loop that one would write by hand for one cell: forward tangents by one `jax.linearize` a step, slabs of 512.

    On every core by a device of its own. No exponents, so gradients overflow; no labels; arrays stay in JAX.
    """
    cores = len(os.sched_getaffinity(0))
    # as without this package, which turns off sums that jaxlib 0.10.2 compiles wrongly, and fast
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={cores} {FLAG}=+reduce"
    import jax
    import jax.numpy as jnp

    from landscape.cells import logistic as s
    from landscape.cells import tanh  # the same activations: right where they saturate

    def srnn(p: tuple, state: tuple, x: jax.Array) -> tuple:
        return (tanh(p[0] * state[0] + p[1] + x),)

    def gru(p: tuple, state: tuple, x: jax.Array) -> tuple:
        (h,) = state
        z, r = s(0.2 * h + 0.1 * x + p[1]), s(0.2 * x + 0.1 * h)
        return (z * h + (1 - z) * tanh(x + p[0] * r * h),)

    def lstm(p: tuple, state: tuple, x: jax.Array) -> tuple:
        h, c = state
        i, f = s(0.3 * x + 0.2 * h + 0.1), s(0.2 * h + 0.1 * x + p[1])
        g, o = tanh(x + p[0] * h), s(0.2 * x + 0.1 * h)
        c = f * c + i * g
        return o * tanh(c), c

    y = jnp.where(jnp.arange(SEQUENCES) % 2 == 0, 1.0, -1.0)
    xs = (0.1 * jax.random.normal(jax.random.key(0), (LENGTH, SEQUENCES))).at[0].add(y)

    def surface(cell: Callable, states: int) -> Callable:
        def slab(w: jax.Array, b: jax.Array) -> tuple:
            p, zero, one = (w[None], b[None]), jnp.zeros_like(w)[None], jnp.ones_like(w)[None]

            def step(carry: tuple, x: jax.Array) -> tuple:
                state, dw, db = carry
                state, push = jax.linearize(lambda p, state: cell(p, state, x[:, None]), p, state)
                dw, db = push((one, zero), dw), push((zero, one), db)
                e = state[0] - y[:, None]
                return (state, dw, db), tuple(jnp.mean(v, 0) for v in (e * e, 2 * e * dw[0], 2 * e * db[0]))

            blank = (jnp.zeros((SEQUENCES, len(w))),) * states
            return jax.lax.scan(step, (blank, blank, blank), xs)[1]

        def grid(w: jax.Array, b: jax.Array) -> tuple:
            return jax.lax.map(lambda wb: slab(*wb), (w.reshape(-1, 512), b.reshape(-1, 512)))

        mesh = jax.make_mesh((cores,), ("point",), axis_types=(jax.sharding.AxisType.Auto,))
        part = jax.sharding.PartitionSpec("point")
        return jax.jit(jax.shard_map(grid, mesh=mesh, in_specs=(part, part), out_specs=part, check_vma=False))

    result: dict[str, Any] = {}
    for name, cell, states in (("SRNN", srnn, 1), ("GRU", gru, 1), ("LSTM", lstm, 2)):
        call, result[name] = surface(cell, states), {}
        for side in (SIDE, WIDE):
            axes = jnp.linspace(-3, 3, side), jnp.linspace(-2, 2, side)
            w, b = (axis.ravel() for axis in jnp.meshgrid(*axes, indexing="ij"))
            _, again = best(lambda call=call, w=w, b=b: jax.block_until_ready(call(w, b)), 10)
            result[name][str(side)] = SEQUENCES * LENGTH * side**2 / again
    return result


def reverse() -> dict[str, Any]:
    """The obvious JAX: ``vmap(value_and_grad(loss of a scan))``, compiled and run for one length at a time."""
    import jax
    import jax.numpy as jnp

    axes = jnp.linspace(-3, 3, SIDE), jnp.linspace(-2, 2, SIDE)
    w, b = (axis.ravel() for axis in jnp.meshgrid(*axes, indexing="ij"))
    y = jnp.where(jnp.arange(SEQUENCES) % 2 == 0, 1.0, -1.0)
    x = (0.1 * jax.random.normal(jax.random.key(0), (LENGTH, SEQUENCES))).at[0].add(y)

    def loss(p: tuple, x: jax.Array, y: jax.Array) -> jax.Array:
        def one(x: jax.Array, y: jax.Array) -> jax.Array:
            h, _ = jax.lax.scan(lambda h, x: (jnp.tanh(p[0] * h + p[1] + x), None), 0.0, x)
            return (h - y) ** 2

        return jnp.mean(jax.vmap(one, (1, 0))(x, y))

    surface = jax.jit(jax.vmap(jax.value_and_grad(loss), (0, None, None)))
    result = {}
    for length in (25, 100):
        first, again = best(lambda length=length: jax.block_until_ready(surface((w, b), x[:length], y)), 3)
        result[str(length)] = {"seconds": again, "rate": WORK * length / LENGTH / again, "compile": first - again}
    return {**result, "cores": len(os.sched_getaffinity(0))}


def pinned() -> dict[str, Any]:
    """`reverse` held to one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return reverse()


def floor() -> dict[str, Any]:
    """Operations of an SRNN cell-step with two tangents and its loss, over the rates at which this machine does so."""
    import jax
    import jax.numpy as jnp

    lane = jnp.linspace(0.1, 0.9, 8192)  # 32 kB: stays in the first-level cache

    def repeat(f: Callable, times: int) -> float:
        call = jax.jit(lambda a: jax.lax.fori_loop(0, 2000, lambda _, a: f(a), a))
        return 2000 * lane.size * times / best(lambda: jax.block_until_ready(call(lane)))[1]

    def polynomials(a: jax.Array) -> jax.Array:
        chains = [a * k for k in range(1, 9)]  # eight independent chains, so that latency does not hide throughput
        for _ in range(15):
            chains = [chain * a + 0.5 for chain in chains]
        return sum(chains) * 0.01

    def tanhs(a: jax.Array) -> jax.Array:
        for _ in range(4):
            a = jnp.tanh(a)
        return a

    flops, tanh = repeat(polynomials, 8 + 8 * 15 * 2 + 8), repeat(tanhs, 4)
    # h = tanh(w h + x + b): 4; 1 - h^2: 2; each tangent k (w t + s): 3 and the factor s: 1; loss (h - y)^2, its sum: 3;
    # each derivative 2 (h - y) t, its sum: 3
    arithmetic = 4 + 2 + 2 * (3 + 1) + 3 + 2 * 3
    cores = len(os.sched_getaffinity(0))
    seconds = WORK * (arithmetic / flops + 1 / tanh) / cores
    return {"flops": flops, "tanh": tanh, "arithmetic": arithmetic, "cores": cores, "rate": WORK / seconds}


def torch() -> dict[str, Any]:
    """PyTorch on the CPU: reverse mode at one length, and the same forward tangents by hand at every length."""
    import torch as t

    w, b = (m.ravel() for m in t.meshgrid(t.linspace(-3, 3, SIDE), t.linspace(-2, 2, SIDE), indexing="ij"))
    y = t.where(t.arange(SEQUENCES) % 2 == 0, 1.0, -1.0)[:, None]
    x = 0.1 * t.randn(LENGTH, SEQUENCES, 1, generator=t.Generator().manual_seed(0))
    x[0] += y

    def backward() -> None:
        p = [v.clone().requires_grad_() for v in (w, b)]
        h = t.zeros(SEQUENCES, len(w))
        for step in x:
            h = t.tanh(p[0] * h + p[1] + step)
        ((h - y) ** 2).mean(0).sum().backward()

    @t.no_grad()
    def forward() -> None:
        h, h_w, h_b = (t.zeros(SEQUENCES, len(w)) for _ in range(3))
        out = t.empty(LENGTH, 3, len(w))
        for n, step in enumerate(x):
            new = t.tanh(w * h + b + step)
            slope = 1 - new * new
            h_w, h_b, h = slope * (w * h_w + h), slope * (w * h_b + 1), new
            e = 2 * (h - y)
            out[n, 0], out[n, 1], out[n, 2] = (e * e).mean(0) / 4, (e * h_w).mean(0), (e * h_b).mean(0)

    return {name: {"rate": WORK / best(call, 3)[1]} for name, call in (("reverse", backward), ("forward", forward))}


def pascanu() -> dict[str, Any]:
    """Pascanu's map, 1024 x 1024 points, T = 100, gradient and Hessian at 10 lengths: one cold call."""
    import numpy as np

    import landscape as ls

    plane = ls.plane(ls.cells.Pascanu(), w=np.linspace(3, 7, 1024), b=np.linspace(-4, -1.5, 1024))
    start = time.perf_counter()
    ls.surface(plane, ls.tasks.pascanu(), range(10, 101, 10), order=2)
    return {"seconds": time.perf_counter() - start}


def large() -> dict[str, Any]:
    """4096 x 4096 points, T = 50, order 1, one length, streamed to disk: one cold call."""
    import numpy as np

    import landscape as ls

    plane = ls.plane(ls.cells.Pascanu(), w=np.linspace(3, 7, 4096), b=np.linspace(-4, -1.5, 4096))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        ls.surface(plane, ls.tasks.pascanu(), [50], out=f"{folder}/large.zarr")
        seconds = time.perf_counter() - start
        size = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())
    return {"seconds": seconds, "megabytes": size / 1e6}


def layer() -> dict[str, Any]:
    """An LSTM of 32 units on a plane of any directions: 41 x 41 points, 64 sequences, each length up to 64."""
    import jax
    import numpy as np

    import landscape as ls
    from landscape import data, training

    key = jax.random.key(0)
    model, one, two = (training.begin(ls.LSTM(), k, units=32, inputs=1, outputs=10) for k in jax.random.split(key, 3))
    axis = np.linspace(-1, 1, 41)
    plane = ls.span(model, {"p": one, "q": two}, p=axis, q=axis)
    x = np.random.default_rng(0).random((64, 64, 1), np.float32)
    task = data.task(data.classified(x, np.arange(64) % 10))
    run = functools.partial(ls.surface, plane, task, range(1, 65), episodes=64)
    run()
    start, processor = time.perf_counter(), time.process_time()
    run()
    result = {"seconds": time.perf_counter() - start, "processor": time.process_time() - processor}
    return {**result, "load": os.getloadavg()[0]}


def wide() -> float:
    """Cell-steps a second of the public call, SRNN on 256 x 256 points."""
    import numpy as np

    import landscape as ls

    plane = ls.plane(ls.SRNN(), w=np.linspace(-3, 3, WIDE), b=np.linspace(-2, 2, WIDE))
    call = functools.partial(ls.surface, plane, ls.latch(), range(1, LENGTH + 1), episodes=SEQUENCES)
    return WORK * (WIDE / SIDE) ** 2 / best(call)[1]


def devices() -> dict[str, Any]:
    """The cores of a CPU as devices of their own."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={len(os.sched_getaffinity(0))}"
    return {"rate": wide()}


def single() -> dict[str, Any]:
    """One device, held to one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return {"rate": wide()}


def starts() -> dict[str, Any]:
    """Seconds of ``import landscape`` and of ``landscape --help``, each the best of three fresh processes."""
    commands = {"import landscape": ["-c", "import landscape"], "landscape --help": ["-m", "landscape", "--help"]}
    run = lambda words: subprocess.run([sys.executable, *words], check=True, capture_output=True)  # noqa: E731
    return {name: {"seconds": best(lambda words=words: run(words), 3)[1]} for name, words in commands.items()}


PARTS: dict[str, Callable] = {
    f.__name__: f for f in (ours, hand, reverse, pinned, floor, torch, devices, single, pascanu, large, layer, starts)
}


def measure(part: str, python: str = sys.executable) -> dict[str, Any]:
    """A part in a process of its own: nothing warm, its own peak memory."""
    done = subprocess.run([python, __file__, "--part", part], capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no output"}
    return json.loads(done.stdout.splitlines()[-1])


def torch_python() -> str | None:
    """An interpreter with PyTorch in an environment beside the project, made on the first run; None if it cannot be."""
    python = TORCH / "bin" / "python"
    if not (TORCH / "ready").exists():
        # the last release whose plain wheel is the CPU build for some Pythons; never a dependency of the project
        venv.create(TORCH, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "torch==2.13.0", "numpy"]
        if sys.version_info[:2] != (3, 11) or subprocess.run(install, check=False).returncode:
            return None
        (TORCH / "ready").touch()
    return str(python)


def line(what: str, rate: float, note: str = "") -> str:
    return f"  {what:36}{rate / 1e6:8.0f} M cell-steps/s   {note}"


def ratio(what: str, number: float, note: str = "") -> str:
    return f"  -> {what:33}{number:8.1f}   {note}"


def cells(results: dict[str, dict]) -> list[str]:
    """Our rates, and what a cell costs beside SRNN."""
    mine = results["ours"]
    rows = []
    for cell in ("SRNN", "GRU", "LSTM"):
        cost, compiling = mine["SRNN"]["rate"] / mine[cell]["rate"], mine[cell]["compile"]
        rows.append(line(f"ours, {cell}", mine[cell]["rate"], f"{cost:.1f} x SRNN's cost, compile {compiling:.1f} s"))
    seconds, stored = mine["SRNN"]["seconds"], mine["stored"]["seconds"]
    return [*rows, f"  SRNN's surface: {seconds:.2f} s, and {stored - seconds:.2f} s more to write it to disk"]


def beside(mine: dict, hand: dict) -> list[str]:
    """What the public call is to the loop written by hand, at both sizes."""
    rows = []
    for cell in ("SRNN", "GRU", "LSTM"):
        for side, rate in ((SIDE, mine[cell]["rate"]), (WIDE, mine[cell]["wide"])):
            peer = hand[cell][str(side)]
            rows.append(line(f"by hand, {cell}, {side} x {side}", peer))
            rows.append(ratio(f"ours / by hand, {cell}, {side} x {side}", rate / peer, f"ours {rate / 1e6:.0f} M"))
    return rows


def every(reverse: dict) -> float:
    """Seconds of the obvious JAX for every length in turn, by a line through two of them; compiling not counted."""
    long, short = reverse["100"]["seconds"], reverse["25"]["seconds"]
    return sum(max(0.0, long + (long - short) / 75 * (length - 100)) for length in range(1, LENGTH + 1))


def peers(results: dict[str, dict]) -> list[str]:
    """What ours is to the obvious JAX, to PyTorch, and to the floor, within this run."""
    mine, reverse, least = (results[part] for part in ("ours", "reverse", "floor"))
    rate, long = mine["SRNN"]["rate"], reverse["100"]
    operations = (
        f"{least['arithmetic']} operations at {least['flops'] / 1e9:.0f} G/s, a tanh at {least['tanh'] / 1e9:.1f} G/s"
    )
    rows = [
        line(
            "obvious JAX, one length",
            long["rate"],
            f"{reverse['cores']} cores, compile {long['compile']:.1f} s a length",
        ),
        ratio("ours / obvious at one length", rate / long["rate"]),
        ratio(
            "ours / obvious at one length, pinned", rate / results["pinned"]["100"]["rate"], "the obvious on one core"
        ),
        *(
            ratio(
                f"obvious at every length / ours{words}",
                every(results[part]) / mine["SRNN"]["seconds"],
                "line through T = 25, 100; no compiling",
            )
            for part, words in (("reverse", ""), ("pinned", ", pinned"))
        ),
        line("floor", least["rate"], f"{least['cores']} cores, each {operations}"),
        ratio("ours / floor", rate / least["rate"]),
    ]
    for name, words in (("reverse", "one length"), ("forward", "every length")):
        if name in results.get("torch", {}):
            peer = results["torch"][name]["rate"]
            rows += [line(f"PyTorch, {name} mode, {words}", peer), ratio("ours / PyTorch", rate / peer)]
    return rows


def report(results: dict[str, dict]) -> None:
    """The table: rates, ratios within this run, compile time apart."""
    size = f"{SIDE} x {SIDE} points x {SEQUENCES} sequences x T = {LENGTH}"
    print(
        f"\n{size}, latching, loss and gradient at every length, float32; {platform.machine()}, {os.cpu_count()} cores"
    )
    whole = {part for part in results if "failed" not in results[part]}
    rows = cells(results) if "ours" in whole else []
    rows += beside(results["ours"], results["hand"]) if {"ours", "hand"} <= whole else []
    rows += peers(results) if {"ours", "reverse", "pinned", "floor"} <= whole else []
    jobs = {"pascanu": "Pascanu's map, 1024², T = 100, order 2, 10 lengths", "large": "4096², T = 50, order 1, to disk"}
    for part in [part for part in jobs if part in whole]:
        seconds, peak = results[part]["seconds"], results[part]["peak"] / 1e9
        rows.append(f"  {jobs[part]}: {seconds:.1f} s with compiling, peak memory {peak:.2f} GB")
    if {"devices", "single"} <= whole:
        many, one = (results[part]["rate"] for part in ("devices", "single"))
        rows.append(line(f"SRNN, {WIDE} x {WIDE}, a device a core", many, f"one core {one / 1e6:.0f} M"))
        rows.append(ratio("a device a core / one core", many / one))
    if "layer" in whole:
        took = results["layer"]
        rows.append(
            f"  LSTM of 32 units, 41 x 41 points, 64 sequences, lengths 1 to 64: {took['processor']:.1f} s of "
            f"processor time, {took['seconds']:.1f} s at a load of {took['load']:.1f}"
        )
    rows += [f"  {name}: {r['seconds']:.2f} s" for name, r in results.get("starts", {}).items() if name != "peak"]
    rows += [f"  {part}: not measured ({results[part]['failed']})" for part in results if part not in whole]
    print("\n".join(rows))


def main(words: list[str]) -> None:
    if words[:1] == ["--part"]:
        result = PARTS[words[1]]()
        result["peak"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps(result))
        return
    results: dict[str, dict] = {}
    for part in words or PARTS:
        print(f"measuring {part} ...", flush=True)
        python = torch_python() if part == "torch" else sys.executable
        results[part] = measure(part, python) if python else {"failed": "no CPU build of PyTorch for this Python"}
    report(results)


if __name__ == "__main__":
    main(sys.argv[1:])

"""How fast are surfaces of any model? Points per second beside PyTorch on the same cores.

    python benchmarks/models.py                # the table, about ten minutes on two cores
    python benchmarks/models.py --rounds 1     # a quick look
    python benchmarks/models.py --shared       # where others are at work: processor time, and PyTorch on one thread
    python benchmarks/models.py --large        # memory: 64 and 2,601 points, of a model of 10^7 parameters too
    python benchmarks/models.py --loops        # the CNN's gradient in reverse mode: convolutions, products of patches

Loss, gradient and Hessian over all data at every point; how much longer the Hessian takes if it is stored in blocks;
how many gradients a product with the Hessian of all parameters takes. PyTorch moves the parameters in place and asks
all examples at once, as loss-landscapes does, or goes through a data loader at every point, as the tool of Li et al.
(2018) does, with gradient and Hessian in reverse mode. It lives in a venv of its own (.venv-torch, or TORCH_PYTHON) and
is no dependency.
Digits are scikit-learn's, from the extra ``data``, or random numbers of their shape. Each round measures both, one
after the other; the best of the rounds counts.
"""

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SHARED = "SHARED" in os.environ  # then a second is one of the processor, divided by the cores, for both sides
KINDS = ("loss", "gradient", "Hessian")
SIDES = {"MLP 64-64-10": (51, 51, 51), "MLP 784-64-10": (51, 51, 51), "CNN 16-32-64": (16, 16, 16)}
BATCH = {"MLP 64-64-10": 512, "MLP 784-64-10": 512, "CNN 16-32-64": 128}  # what stays in the second-level cache
EXAMPLES = {"MLP 64-64-10": 1797, "MLP 784-64-10": 1000, "CNN 16-32-64": 1797}


def data(folder: Path) -> Path:
    """Digits (example, 64) with their labels, in a file that both sides read."""
    try:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
    except ImportError:
        x, y = np.random.default_rng(0).uniform(0, 16, (1797, 64)), np.arange(1797) % 10
    np.savez(folder / "digits.npz", x=(x / 16).astype("f4"), y=y.astype("i8"))
    return folder / "digits.npz"


def inputs(model: str, file: str) -> tuple[np.ndarray, np.ndarray]:
    """What a model is asked: digits as rows or as images (28 x 28 are random), and labels."""
    held = np.load(file)
    if model == "MLP 784-64-10":
        return np.random.default_rng(1).normal(size=(1000, 784)).astype("f4"), held["y"][:1000]
    return (held["x"].reshape(-1, 8, 8, 1) if model.startswith("CNN") else held["x"]), held["y"]


def weights(model: str, seed: int) -> list[np.ndarray]:
    """The parameters of a model: matrices (in, out) or kernels (height, width, in, out), each with its bias."""
    if model.startswith("CNN"):
        shapes = [(3, 3, 1, 16), (16,), (3, 3, 16, 32), (32,), (3, 3, 32, 64), (64,), (64, 10), (10,)]
    else:
        first, hidden, last = map(int, model.removeprefix("MLP ").split("-"))
        shapes = [(first, hidden), (hidden,), (hidden, last), (last,)]
    draw = np.random.default_rng(seed).normal
    return [(draw(size=shape) / np.sqrt(np.prod(shape[:-1]) or 1)).astype("f4") for shape in shapes]


def predict(params: list, x: Any) -> Any:
    """Answers of either model, in JAX."""
    import jax
    import jax.numpy as jnp

    if len(params) == 4:
        w, b, v, c = params
        return jnp.tanh(x @ w + b) @ v + c
    for k, (kernel, bias) in enumerate(zip(params[:6:2], params[1:6:2], strict=True)):
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + bias)
        if k < 2:
            n, height, width, channels = x.shape
            x = jnp.max(x.reshape(n, height // 2, 2, width // 2, 2, channels), (2, 4))
    return jnp.mean(x, (1, 2)) @ params[6] + params[7]


def plane(model: str, side: int) -> Any:
    """The plane through the parameters along two random directions."""
    import landscape as ls

    axis = np.linspace(-1, 1, side)
    return ls.span(weights(model, 0), {"a": weights(model, 1), "b": weights(model, 2)}, a=axis, b=axis)


def clock() -> float:
    """Seconds, or those that all cores together would have taken."""
    return time.process_time() / (os.cpu_count() or 1) if SHARED else time.perf_counter()


def seconds(call: Callable, repeats: int = 2) -> float:
    """The fastest of a few calls."""
    times = []
    for _ in range(repeats):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def ours(model: str, file: str) -> dict[str, float]:
    """Points per second of the public call that returns the Dataset, without compiling."""
    import landscape as ls

    found = {}
    for order, kind in enumerate(KINDS):
        made, risk = (
            plane(model, SIDES[model][order]),
            ls.Risk(predict, inputs(model, file), batch=BATCH[model], order=order),
        )
        ls.surface(made, risk)
        found[kind] = SIDES[model][order] ** 2 / seconds(lambda made=made, risk=risk: ls.surface(made, risk))
    # Stores go beside the data, which are removed at the very end: where files have just been removed, ext4 looks for
    # the place of each new one for a millisecond. The first imports what stores are made of.
    paths = (Path(file).with_name(f"{model} {time.time_ns()}.zarr") for _ in itertools.count())
    ways = (lambda: ls.surface(made, risk, out=next(paths))), (lambda: ls.surface(made, risk))
    ways[0]()
    times = [[seconds(way, 1) for way in ways] for _ in range(5)]
    found["Hessian on disk"], found["Hessian"] = (SIDES[model][2] ** 2 / min(of) for of in zip(*times, strict=True))
    return found | product(ls.Risk(predict, inputs(model, file), batch=BATCH[model]), weights(model, 0))


def product(risk: Any, params: list) -> dict[str, float]:
    """Gradients of all data that take as long as a product with the Hessian, and gradients a second."""
    import landscape as ls
    from landscape.curvature.sharpness import gradient

    bent = ls.curvature.hessian(risk, params)
    v = np.random.default_rng(0).normal(size=bent.size)
    slow, fast = (seconds(call, 5) for call in (lambda: bent(v), lambda: gradient(risk, params)))
    return {"gradients a second": 1 / fast, "Hessian products a second": 1 / slow}


def loops(file: str) -> dict[str, float]:
    """Points per second of the CNN's gradient in reverse mode, all data: one after the other in a compiled loop.

    By XLA's convolutions, and by products of patches, as `landscape.Risk` has it on a CPU.
    """
    import jax
    import jax.numpy as jnp

    import landscape as ls
    from landscape.risk.convolutions import unrolled

    model = "CNN 16-32-64"
    (x, y), (origin, along) = inputs(model, file), (weights(model, seed) for seed in range(2))

    def pace_of(answers: Callable) -> float:
        def slope(a: Any) -> list:
            loss = lambda p: jnp.mean(jax.vmap(ls.losses.classes.loss)(answers(p, x), y))  # noqa: E731
            return [jnp.sum(g) for g in jax.grad(loss)([w + a * d for w, d in zip(origin, along, strict=True)])]

        run = jax.jit(lambda points: jax.lax.map(slope, points))
        jax.block_until_ready(run(jnp.arange(2.0)))
        return 2 / seconds(lambda: jax.block_until_ready(run(jnp.arange(2.0))), 1)

    return {"convolutions": pace_of(predict), "products of patches": pace_of(unrolled(predict))}


def torch(model: str, file: str) -> dict[str, float]:
    """Points per second of PyTorch: parameters moved in place, all examples at once, or through a data loader."""
    import torch as t
    from torch.nn import functional as f

    t.set_num_threads(1 if SHARED else os.cpu_count() or 1)
    numbers, labels = inputs(model, file)
    x, y = t.tensor(numbers), t.tensor(labels)
    turned = lambda w: t.tensor(w.transpose(3, 2, 0, 1).copy() if w.ndim == 4 else w)  # noqa: E731
    origin, one, two = ([turned(w) for w in weights(model, seed)] for seed in range(3))
    params = [w.clone().requires_grad_() for w in origin]
    x = x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x

    def answers(x: Any) -> Any:
        if len(params) == 4:
            w, b, v, c = params
            return t.tanh(x @ w + b) @ v + c
        for k in range(3):
            x = t.relu(f.conv2d(x, params[2 * k], params[2 * k + 1], padding=1))
            x = f.max_pool2d(x, 2) if k < 2 else x
        return x.mean((2, 3)) @ params[6] + params[7]

    def move(p: np.ndarray) -> None:
        with t.no_grad():
            for w, o, a, b in zip(params, origin, one, two, strict=True):
                w.copy_(o + float(p[0]) * a + float(p[1]) * b)

    def loss() -> Any:
        return f.cross_entropy(answers(x), y)

    def in_place(p: np.ndarray) -> None:
        move(p)
        with t.no_grad():
            loss().item()

    def loader(p: np.ndarray) -> None:
        move(p)
        with t.no_grad():
            sum(f.cross_entropy(answers(a), b, reduction="sum").item() for a, b in batches)

    def gradient(p: np.ndarray) -> None:
        move(p)
        slope = t.autograd.grad(loss(), params)
        [sum((g * d).sum() for g, d in zip(slope, along, strict=True)).item() for along in (one, two)]

    def hessian(p: np.ndarray) -> None:
        move(p)
        slope = t.autograd.grad(loss(), params, create_graph=True)
        for along in (one, two):
            ahead = sum((g * d).sum() for g, d in zip(slope, along, strict=True))
            bent = t.autograd.grad(ahead, params, retain_graph=True)
            [sum((g * d).sum() for g, d in zip(bent, other, strict=True)).item() for other in (one, two)]

    batches = t.utils.data.DataLoader(t.utils.data.TensorDataset(x, y), batch_size=128)
    points = np.random.default_rng(3).uniform(-1, 1, (4000, 2))
    jobs = {"loss": in_place, "loss, data loader": loader, "gradient": gradient, "Hessian": hessian}
    return {kind: pace(job, points) for kind, job in jobs.items()}


def pace(job: Callable, points: np.ndarray, most: float = 2.0) -> float:
    """Points per second over a few seconds."""
    job(points[0])
    start = clock()
    for count, point in enumerate(points, 1):
        job(point)
        if clock() - start > most or count == len(points):
            return count / (clock() - start)
    raise ValueError("there are no points")


def memory(count: str, parameters: str) -> dict[str, float]:
    """Peak memory in MB that a gradient surface of so many points takes beyond the model, directions and data."""
    import jax

    import landscape as ls

    side = int(int(count) ** 0.5)
    width = 64 if parameters == "small" else 2800
    jax.numpy.zeros(1).block_until_ready()
    draw = np.random.default_rng(0).normal
    shapes = [(784, width), (width,), (width, width), (width,), (width, 10), (10,)]
    tree = lambda: [draw(size=shape).astype("f4") * 0.01 for shape in shapes]  # noqa: E731
    params, one, two = tree(), tree(), tree()
    x, y = draw(size=(128, 784)).astype("f4"), np.arange(128) % 10

    def net(p: list, x: Any) -> Any:
        return jax.nn.relu(jax.nn.relu(x @ p[0] + p[1]) @ p[2] + p[3]) @ p[4] + p[5]

    before = resident()
    axis = np.linspace(-1, 1, side)
    ls.surface(ls.span(params, {"a": one, "b": two}, a=axis, b=axis), ls.Risk(net, (x, y), batch=64))
    return {"MB": peak() - before, "model": sum(w.nbytes for w in params) / 1e6}


def resident() -> float:
    """Memory of this process now, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def peak() -> float:
    """The most it has been."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


PARTS = {"ours": ours, "torch": torch, "memory": memory, "loops": loops}


def measure(python: str, part: str, *words: str) -> dict[str, float]:
    """A part in a process of its own, or why it failed."""
    done = subprocess.run([python, __file__, "--part", part, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  {part} failed: {done.stderr.strip().splitlines()[-1]}")
        return {}
    return json.loads(done.stdout.splitlines()[-1])


def torch_python() -> str | None:
    """An interpreter with PyTorch: TORCH_PYTHON, or that of a venv made here once; None if it cannot be had."""
    if given := os.environ.get("TORCH_PYTHON"):
        return given
    python = Path(".venv-torch/bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", ".venv-torch"], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "torch==2.13.0", "numpy"]
        if sys.version_info[:2] != (3, 11) or subprocess.run(install, check=False).returncode:
            return None
    return str(python)


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Ours beside PyTorch, model by model."""
    rows = ["| points/s (ours; PyTorch) | loss | gradient | Hessian | to disk | product |", "|---|---|---|---|---|---|"]
    for model, sides in found.items():
        mine, peer = sides["ours"], sides.get("torch", {})
        cells = [f"{mine.get(kind, np.nan):,.4g}; {peer.get(kind, np.nan):,.4g}" for kind in KINDS]
        cells[0] += f", data loader {peer.get('loss, data loader', np.nan):,.4g}"
        disk = f"{100 * (mine.get('Hessian', np.nan) / mine.get('Hessian on disk', np.nan) - 1):+.0f} %"
        bent = f"{mine.get('gradients a second', np.nan) / mine.get('Hessian products a second', np.nan):.2g} gradients"
        rows.append(f"| {model}, {EXAMPLES[model]:,} examples | {' | '.join([*cells, disk, bent])} |")
    return "\n".join(rows)


def best(old: dict[str, float], new: dict[str, float]) -> dict[str, float]:
    """The fastest of every kind."""
    return {kind: max(old.get(kind, 0), rate) for kind, rate in new.items()} or old


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=list(SIDES))
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--loops", action="store_true")
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--part", nargs="+")
    asked = parser.parse_args()
    if asked.shared:
        os.environ["SHARED"] = "yes"
    if asked.part:
        print(json.dumps(PARTS[asked.part[0]](*asked.part[1:])))
        return
    if asked.large:
        for kind, count in itertools.product(("small", "10^7 parameters"), (64, 2601)):
            print(count, "points,", kind, measure(sys.executable, "memory", str(count), kind), flush=True)
        return
    if asked.loops:
        with tempfile.TemporaryDirectory() as folder:
            print(measure(sys.executable, "loops", str(data(Path(folder)))))
        return
    found: dict[str, dict] = {model: {} for model in asked.models}
    python = torch_python()
    with tempfile.TemporaryDirectory() as folder:
        file = str(data(Path(folder)))
        for number in range(asked.rounds):
            for model, sides in found.items():
                for side, runs in (("ours", sys.executable), ("torch", python)):
                    if runs:
                        sides[side] = best(sides.get(side, {}), measure(runs, side, model, file))
                print(f"round {number + 1} of {asked.rounds}: {model} {json.dumps(sides)}", flush=True)
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, float32, all data at every point\n{table(found)}")


if __name__ == "__main__":
    main()

"""How fast is this GPU? Every kind of job fused, by the scan, and by PyTorch if it is installed; one JSON file.

    python benchmarks/accelerator.py                    # under ten minutes on any GPU machine; writes accelerator.json
    python benchmarks/accelerator.py --small            # the program itself, interpreted and tiny, on any machine

First the known answers are recomputed (`landscape verify`); then each job runs whole by its fused route, and on a share
of it, which the table states, by the scan of an accelerator and by one whose loops end where the data say so. The floor
is two special-function instructions for each logistic function or tanh, at multiprocessors x 16 x clock, or the results
written at the bandwidth that was measured, whichever is longer. Copies to the host are timed apart, pageable and
through pinned memory. Errors are those of loss and derivatives against float64, in rounding units of the largest value.
`landscape bench` prints the same table without PyTorch.
"""

import argparse
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import landscape
from landscape import bench, training, verify

LENGTHS = (2, 5, 8, 10, 15, 20, 25, *range(30, 201, 10))


def torch(side: int, length: int) -> dict[str, Any]:
    """PyTorch, eager: Pascanu's map over a grid, loss alone and with its gradient, at one length."""
    import torch as t

    device = "cuda" if t.cuda.is_available() else "cpu"
    axes = t.linspace(4, 6, side, device=device), t.linspace(-3.5, -1.5, side, device=device)
    w, b = (m.ravel() for m in t.meshgrid(*axes, indexing="ij"))

    def loss(w: Any, b: Any) -> Any:
        h = t.zeros_like(w)
        for _ in range(length):
            h = w * t.sigmoid(h) + b
        return ((t.sigmoid(h) - 0.7) ** 2).sum()

    def gradient() -> None:
        p = [v.clone().requires_grad_() for v in (w, b)]
        loss(*p).backward()

    def best(call: Any) -> float:
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            call()
            if device == "cuda":
                t.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    with t.no_grad():
        alone = best(lambda: loss(w, b))
    work = side * side * length
    return {"device": device, "loss_per_second": work / alone, "gradient_per_second": work / best(gradient)}


def published() -> dict[str, Any]:
    """The published experiment with validation: 25 lengths x 30 runs x 3 cells, seconds with and without compiling."""
    found = {}
    for cell in (landscape.SRNN(), landscape.GRU(), landscape.LSTM()):
        setup = lambda key, cell=cell: (training.begin(cell, key), training.keras_adam())  # noqa: E731
        runs = training.curves(setup, landscape.latch(), LENGTHS, seeds=30)
        found[type(cell).__name__] = {name: runs.attrs[name] for name in ("seconds", "seconds_compiling")}
    return found


def beside(fused: dict[str, Any], torch: dict[str, Any]) -> dict[str, float]:
    """How many times as fast as PyTorch the fused routes of Pascanu's map are: loss alone, and with its gradient.

    A gradient of PyTorch is that at one length, in reverse mode; the fused one is kept at ten.
    """
    rates = {"loss": "Pascanu, order 0", "gradient": "Pascanu, order 1"}
    each = {name: fused[job]["fused"].get("steps_per_second") for name, job in rates.items()}
    return {name: rate / torch[f"{name}_per_second"] for name, rate in each.items() if rate}


def main() -> None:
    start = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny jobs, kernels interpreted")
    parser.add_argument("--out", type=Path, default=Path("accelerator.json"), help="the file to write")
    asked = parser.parse_args()
    found: dict[str, Any] = {} if asked.small else {"verified": verify.report()}
    found |= bench.table(asked.small)
    if not asked.small:
        found["published"] = published()
    if importlib.util.find_spec("torch"):
        found["torch"] = torch(64 if asked.small else 1024, 10 if asked.small else 100)
        found["fused_over_torch"] = beside(found["jobs"], found["torch"])
    found["seconds"] = time.perf_counter() - start
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(bench.lines(found)))
    for name, seconds in found.get("published", {}).items():
        print(
            f"published experiment, {name}: {seconds['seconds']:.1f} s, {seconds['seconds_compiling']:.1f} s compiling"
        )
    for name, ratio in found.get("fused_over_torch", {}).items():
        print(f"{name} of Pascanu's map: fused {ratio:.1f} times as fast as PyTorch")
    print(f"{found['seconds']:.0f} s in all, written to {asked.out}")


if __name__ == "__main__":
    main()

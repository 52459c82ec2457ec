"""How fast is this GPU? Every kind of job fused, by the scan, and by PyTorch if it is installed; one JSON file.

    python benchmarks/accelerator.py                    # under ten minutes on any GPU machine; writes accelerator.json
    python benchmarks/accelerator.py --small            # the program itself, interpreted and tiny, on any machine

First the known answers are recomputed (`landscape verify`); then each job runs whole by its fused route and by the scan
on a share of it, which the table states. The floor is two special-function instructions for each logistic function or
tanh, at multiprocessors x 16 x clock. Errors are those of the loss against float64, in rounding units of its largest
value. `landscape bench` prints the same table without PyTorch.
"""

import argparse
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

from landscape import bench, verify


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny jobs, kernels interpreted")
    parser.add_argument("--out", type=Path, default=Path("accelerator.json"), help="the file to write")
    asked = parser.parse_args()
    found: dict[str, Any] = {} if asked.small else {"verified": verify.report()}
    found |= bench.table(asked.small)
    if importlib.util.find_spec("torch"):
        found["torch"] = torch(64 if asked.small else 1024, 10 if asked.small else 100)
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(bench.lines(found)))
    print(f"written to {asked.out}")


if __name__ == "__main__":
    main()

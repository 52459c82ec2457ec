"""What does landscape show? Pascanu's wall, and cliffs that form in SRNN, GRU and LSTM: computed, stored and drawn.

    landscape run demo

Expected: under a minute on two cores; for every figure its files and what it shows, and the numbers in a sentence.
"""

import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import xarray

from landscape import names

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ("pascanu_fig6", "cliff_formation")


def run(out: str = "demo") -> dict[str, xarray.Dataset]:
    """Run the experiments into ``out``, draw each while the next one computes; the datasets by experiment and name."""
    begun = time.perf_counter()
    results: dict[str, xarray.Dataset] = {}
    drawn: list[tuple[str, str, Future]] = []
    with ThreadPoolExecutor() as pool:
        for name in EXPERIMENTS:
            experiment = names.module(str(ROOT / "experiments" / f"{name}.py"))
            print(experiment.__doc__.splitlines()[0], flush=True)
            found = experiment.run(out=f"{out}/{name}")
            stores = ", ".join(f"{out}/{name}/{key}.zarr" for key in found)
            print(f"  {stores}\n  computed after {time.perf_counter() - begun:.0f} s, being drawn", flush=True)
            drawn.append((name, experiment.sentence(found), pool.submit(draw, name, out)))
            results |= {f"{name} {key}": ds for key, ds in found.items()}
        for name, sentence, figure in drawn:
            files = figure.result()
            print(f"\n{name}, drawn after {time.perf_counter() - begun:.0f} s\n{files}{sentence}", flush=True)
    print(f"\nDone in {time.perf_counter() - begun:.0f} s. Open {out}/{EXPERIMENTS[0]}.png first.")
    return results


def draw(name: str, out: str) -> str:
    """What the figure's script says when it has drawn the store, in a process of its own: it needs no JAX."""
    command = [sys.executable, str(ROOT / "figures" / f"{name}.py"), f"{out}/{name}", out]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    run()

"""What does landscape show? Pascanu's wall, and cliffs that form in SRNN, GRU and LSTM: computed, stored and drawn.

    landscape run demo

Expected: under a minute on two cores; for each figure a sentence on what it shows, and where the files are.
"""

import time
from pathlib import Path

import xarray

from landscape import names

ROOT = Path(__file__).resolve().parents[1]


def run(out: str = "demo") -> dict[str, xarray.Dataset]:
    """Run the two experiments into ``out`` and draw their figures there; the datasets by experiment and name."""
    results = {}
    begun = time.perf_counter()
    for name in ("pascanu_fig6", "cliff_formation"):
        experiment, figure = (names.module(str(ROOT / room / f"{name}.py")) for room in ("experiments", "figures"))
        folder = Path(out) / name
        print(f"{name}: {experiment.__doc__.splitlines()[0]}", flush=True)
        found = experiment.run(out=str(folder))
        print(f"  computed, {time.perf_counter() - begun:.0f} s; drawing", flush=True)
        for path in figure.draw(folder, out):
            print(f"  {path}")
        print(f"  {', '.join(f'{folder / key}.zarr' for key in found)}")
        print(f"  {experiment.sentence(found)}\n", flush=True)
        results |= {f"{name} {key}": ds for key, ds in found.items()}
    print(f"Done in {time.perf_counter() - begun:.0f} s. Open {out}/pascanu_fig6.png first.")
    return results


if __name__ == "__main__":
    run()

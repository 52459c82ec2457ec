"""What does a grid of exact gradients say about a cliff, and what does it hide?

    landscape run aliasing
    python figures/aliasing.py

The largest |dE/db| of Pascanu's map sampled on N x N points, for grids of 100 to 1600 points a side, against the true
one, found on refined cuts. Once the cliff is thinner than the grid its slope falls between the points; the jump of the
loss from point to point still sees it.

Expected: on 400 x 400 points 2,357 at length 50, 1,203 at 100 and 23 at 1000. The true maximum is 2.1e10 at length 50,
the last that float64 resolves, and grows by 1.645 a step; jumps stay at .40, the height of the cliff. 16 seconds of
processor time, most of it for the 1600 x 1600 points.
"""

import jax
import numpy as np
import xarray

from landscape import cliffs, dynamics
from landscape.cells import Pascanu, logistic
from landscape.engine import Evaluator
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.tasks import pascanu

START = 0.5


def run(
    sides: tuple[int, ...] = (100, 200, 400, 800, 1600),
    lengths: tuple[int, ...] = (5, 10, 15, 20, 30, 40, 50, 70, 100, 200, 500, 1000),
    w: tuple[float, float] = (3.5, 7.0),
    b: tuple[float, float] = (-4.0, -1.8),
    cuts: int = 6,
) -> xarray.Dataset:
    """``sampled`` (side, length), the largest |dE/db| on a grid, and ``jump``, the largest step of the loss along b.

    ``true`` (length,): the largest slope on ``cuts`` along b, NaN where float64 ends before it is resolved; ``theory``,
    continued from the last but one by the multiplier of the unstable state at the largest w, as log10.
    """
    task, window = pascanu(START), plane(Pascanu(), w=w, b=b)
    evaluator = Evaluator(window, Recurrence(task, lengths, order=1, dtype="float64")).resize(10_000)
    found = [sampled(evaluator, np.linspace(*w, side), np.linspace(*b, side)) for side in sides]
    true = np.max([steepest(window, task, lengths, float(at), b) for at in np.linspace(*w, cuts)], 0)
    with jax.enable_x64(True):
        multiplier = float(dynamics.cliff_line(logistic, w[1], START).multiplier)
    last = int(np.flatnonzero(np.isfinite(true))[-2])  # at the very last, samples are too far apart to meet the top
    theory = np.log10(true[last]) + (np.array(lengths) - lengths[last]) * np.log10(multiplier)
    variables = {
        name: (("side", "length"), values)
        for name, values in zip(("sampled", "jump"), np.moveaxis(found, 1, 0), strict=True)
    }
    variables |= {"true": ("length", true), "theory": ("length", theory)}
    ds = xarray.Dataset(
        variables, {"side": list(sides), "length": list(lengths)}, {"multiplier": multiplier, "w": w, "b": b}
    )
    return ds.assign_attrs(finding=sentence(ds))


def sampled(evaluator: Evaluator, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The largest |dE/db| at the points of the grid, and the largest step of the loss along b: (2, length)."""
    most = np.zeros((2, len(evaluator.leading["length"])))
    for some in np.array_split(w, -(-w.size * b.size // 200_000)):  # a part of the grid at a time, to save memory
        found = evaluator(np.stack(np.meshgrid(some, b, indexing="ij"), -1).reshape(-1, 2))
        steps = np.diff(found["loss"].reshape(-1, len(some), len(b)))
        most = np.maximum(most, [abs(found["d_b"]).max(1), abs(steps).max((1, 2))])
    return most


def steepest(window, task, lengths, at: float, b: tuple[float, float]) -> np.ndarray:
    """The largest slope along b at w = ``at`` (length,); NaN where it is not resolved."""
    cut = cliffs.cut(window, Recurrence(task, lengths), (at, b[0]), (at, b[1]), points=129)
    return cut.slope.where(cut.resolved).values


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    middle = results.isel(side=results.sizes["side"] // 2)
    said = [int(t) for t in results.length if t >= 50]
    shown = [said[0], *(t for t in said[1:-1] if t == 100), said[-1]]
    known = int(results.length[np.isfinite(results.true).values][-1])
    return (
        f"On {int(middle.side)}² points the largest |dE/db| seen is "
        + ", ".join(f"{float(middle.sampled.sel(length=t)):,.4g} at length {t}" for t in shown)
        + f"; the true one is {float(results.true.sel(length=known)):.2e} at length {known} and grows by "
        f"{results.multiplier:.3f} a step, to 10^{float(results.theory[-1]):.0f}. On every grid the jump from "
        f"point to point stays near the height of the cliff, {float(results.jump[:, -1].min()):.2f} at the last length."
    )


if __name__ == "__main__":
    print(sentence(run()))

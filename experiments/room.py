"""How much room is there in the loss of one unit for keeping a bit, and how does noise take it away?

    landscape run room --noise 0.4
    landscape sweep experiments/example_sweep.toml

A cell with parameters w and b on latching, over 0 <= w <= 4 and |b| <= 1.5, other parameters as the cell starts.

Expected: `room`, the part of the plane with a loss below half of chance, falls with the length and the noise. At length
100 SRNN has .24 of it at noise .05, .16 at .4 and .06 at .8; with softsign .16, .08 and .001; SD between seeds below
.04. A second a point, most of it compilation.
"""

import numpy as np
import xarray

from landscape.cells import SRNN, Cell
from landscape.planes import plane
from landscape.surfaces import surface
from landscape.tasks import latch


def run(
    cell: Cell = SRNN(),  # noqa: B008
    noise: float = 0.1,
    seed: int = 0,
    points: int = 61,
    lengths: tuple[int, ...] = (1, 3, 10, 30, 100),
    episodes: int = 32,
) -> xarray.Dataset:
    """``room`` (length,), ``best``: the smallest loss, and ``steepest``: log10 of the largest gradient on the grid."""
    axes = plane(cell, w=np.linspace(0, 4, points), b=np.linspace(-1.5, 1.5, points))
    task = latch(noise)
    made = surface(axes, task, lengths, episodes=episodes, seed=seed)
    over = {"dim": ("w", "b")}
    return xarray.Dataset(
        {
            "room": (made.loss < task.chance / 2).mean(**over).assign_attrs(long_name="part of the plane", units="1"),
            "best": made.loss.min(**over),
            "steepest": made.log10_gradient.max(**over),
        }
    )

"""Does a larger network latch where one unit does not (asked in the comments to stats.SE 340898)?

    landscape run units
    landscape run units --units 2 4 8 --tasks latch --length 50 --out results/units_50.zarr
    landscape run units --units 8 --tasks latch --length 100 --out results/units_100.zarr
    python figures/units.py

Reduced to fit two cores: length 20, 2,000 sequences instead of 10,000, Adam at .003 for 1,000 updates instead of .001
for 2,500 (so that the way Adam can go, rate x updates, is about the same). Keras 2.1.5 starts, hard gates.

Expected, share of 100 runs with accuracy > .99; all of one point share their data, and intervals are at most +-.1:

    units       1     2     4     8     16    32
    keep   SRNN .77   .92   1     1     1     1
    a bit  LSTM .54   .75   .99   1     1     1
           GRU  .14   .12   .44   .64   .92   .97
    relay  SRNN 0     .20   .75   1     1     .99
    a bit  LSTM 0     .19   .77   .95   .97   .98
           GRU  0     0     .01   .06   .06   .03

For 50 steps, of 100 runs, 2, 4 and 8 units keep the bit: SRNN .80 (.71-.87), 1 and 1 (.96-1), LSTM 0 (0-.04), .10
(.06-.17) and .02 (.01-.07), GRU 0, 0 (0-.04) and .04 (.02-.10); for 100 steps 8 units: SRNN 1 (.96-1), LSTM and GRU 0
(0-.04). More units widen the gap. Four minutes of processor time.

From 16 units on every cell keeps the bit for 20 steps in nine of ten runs or more. Size does not teach a GRU to relay
it at this rate (at .1 it does with 8 units, see ``learning_rates.py``). Six minutes of processor time, a good part of
it compiling 36 programs.
"""

import jax
import xarray

from landscape import training
from landscape.cells import Cell
from landscape.initialisers import keras2
from landscape.success import describe
from landscape.sweeps import sweep
from landscape.tasks import Task

CELLS = ("SRNN", "HardLSTM", "HardGRU")


def train(
    cell: Cell,
    task: Task,
    units: int,
    length: int = 20,
    repeats: int = 100,
    count: int = 2000,
    rate: float = 3e-3,
    epochs: int = 10,
    batch: int = 16,
    seed: int = 0,
) -> xarray.Dataset:
    """One cell of one size: ``accuracy`` and ``loss`` (seed,), and ``guessed``, the share of random weights."""
    layer = None if units == 1 else units  # one unit by the faster route

    def setup(key):
        return training.begin(cell, key, keras2, units=layer), training.keras_adam(rate)

    options = {"count": count, "seed": seed, "epochs": epochs, "batch": batch}
    made = training.curves(setup, task, [length], seeds=repeats, **options)
    model = training.begin(cell, jax.random.key(0), units=layer)
    chance = training.baseline(model, task, [length], seed=seed, tried=256)
    return made[["accuracy", "loss"]].assign(guessed=chance.guessed).isel(length=0)


def run(
    units: tuple[int, ...] = (1, 2, 4, 8, 16, 32),
    tasks: tuple[str, ...] = ("latch", "relay"),
    length: int = 20,
    repeats: int = 100,
    count: int = 2000,
    rate: float = 3e-3,
    epochs: int = 10,
    batch: int = 16,
    seed: int = 0,
    out: str = "results/units.zarr",
) -> xarray.Dataset:
    """Both tasks, all cells and sizes, dims (task, cell, units, seed), kept in ``out``: run again to go on."""
    axes = {"task": list(tasks), "cell": list(CELLS), "units": list(units)}
    fixed = {"length": length, "repeats": repeats, "count": count, "rate": rate, "epochs": epochs}
    return sweep(f"{__file__}:train", axes, fixed | {"batch": batch, "seed": seed}, out=out, report=print)


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    return describe(results, "units")


if __name__ == "__main__":
    print(sentence(run()))

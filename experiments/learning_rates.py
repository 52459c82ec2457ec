"""Which cell is best at keeping a bit? The answer depends on the learning rate (second answer to stats.SE 340898).

    landscape run learning_rates --repeats 100
    python figures/learning_rates.py

That answer found the GRU almost as good as the simple cell and the LSTM dead, at a rate it did not give.

Expected, share of 100 runs with accuracy > .99 (mean accuracy), Wilson intervals of up to +-.1; those of one length
share their data:

                        rate .001     .003          .01           .03           .1
    1 unit   T=20  SRNN .72 (.86)     .74 (.87)     .84 (.92)     .64 (.82)     .70 (.85)
    keeps          LSTM .58 (.79)     .57 (.78)     .44 (.71)     .30 (.65)     .13 (.57)
    a bit          GRU  .15 (.57)     .15 (.56)     .10 (.54)     .41 (.70)     .89 (.94)
             T=100 SRNN .32 (.66)     .31 (.66)     .25 (.63)     .18 (.59)     .27 (.64)
                   LSTM 0 (.50)       0 (.50)       0 (.51)       0 (.50)       0 (.50)
                   GRU  0 (.51)       0 (.51)       0 (.51)       .25 (.63)     .46 (.76)
    8 units  T=20  SRNN 1 (1)         1 (1)         1 (1)         .83 (.93)     .04 (.54)
    relay          LSTM .99 (1)       1 (1)         .93 (.97)     .27 (.64)     .01 (.51)
    a bit          GRU  .04 (.52)     .13 (.56)     .17 (.59)     .91 (.97)     .79 (.93)
             T=100 SRNN .14 (.76)     .15 (.68)     .05 (.54)     0 (.51)       0 (.51)
                   LSTM 0 (.52)       0 (.51)       0 (.50)       0 (.50)       0 (.50)
                   GRU  0 (.52)       0 (.51)       .01 (.51)     .20 (.63)     .21 (.77)

At .001 SRNN >= LSTM >= GRU on both tasks; at .1 the GRU is ahead on both, and the LSTM at T=100 never learns (0 to
.04). A ranking of cells without a sweep of the rate is a statement about the rate. Random weights keep the bit in 5, .4
and 1.6 % of the draws and relay it in none or almost none. An hour and a half of processor time, most of it for the
layers; 12 runs, as they are without --repeats, take about 8 minutes on two cores of their own.
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
TASKS = {"task": ["latch", "relay"], "units": [None, 8]}  # one unit keeps a bit, eight relay it


def train(
    cell: Cell,
    task: Task,
    units: int | None = None,
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    lengths: tuple[int, ...] = (20, 100),
    repeats: int = 12,
    count: int = 10_000,
    epochs: int = 20,
    batch: int = 100,
    seed: int = 0,
) -> xarray.Dataset:
    """One cell on one task: ``accuracy``, ``loss`` and ``nonfinite`` (length, rate, seed), and ``guessed`` (length,).

    The same seed has the same start, data and order of minibatches at every rate.
    """

    def setup(key, rate):
        return training.begin(cell, key, keras2, units=units), training.keras_adam(rate)

    options = {"count": count, "seed": seed, "epochs": epochs, "batch": batch}
    made = training.curves(setup, task, lengths, seeds=repeats, settings={"rate": rates}, **options)
    chance = training.baseline(training.begin(cell, jax.random.key(0), units=units), task, lengths, seed=seed)
    return made[["accuracy", "loss", "nonfinite"]].assign(guessed=chance.guessed)


def run(
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    lengths: tuple[int, ...] = (20, 100),
    repeats: int = 12,
    count: int = 10_000,
    epochs: int = 20,
    batch: int = 100,
    seed: int = 0,
    out: str = "results/learning_rates.zarr",
) -> xarray.Dataset:
    """Both tasks and all cells, dims (task, cell, length, rate, seed), kept in ``out``: run again to go on."""
    fixed = {"rates": rates, "lengths": lengths, "repeats": repeats, "count": count, "epochs": epochs}
    fixed |= {"batch": batch, "seed": seed}
    return sweep(f"{__file__}:train", {"task": TASKS, "cell": list(CELLS)}, fixed, out=out, report=print)


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    return describe(results, "rate")


if __name__ == "__main__":
    print(sentence(run()))

"""Which cell is best at keeping a bit? The answer depends on the learning rate (second answer to stats.SE 340898).

landscape run learning_rates
"""

import jax
import xarray

from landscape import training
from landscape.cells import Cell
from landscape.initialisers import keras2
from landscape.success import told
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
    repeats: int = 6,
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
    repeats: int = 6,
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
    return told(results, "rate")


if __name__ == "__main__":
    print(sentence(run()))

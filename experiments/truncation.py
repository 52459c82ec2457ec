"""Does reading digits pixel by pixel need long memory? (the question of a blog post on the IRNN)

    landscape run truncation
    landscape run truncation --cells GRU --cuts 1 2 4 8 16 32 64 128 --permuted
    python figures/truncation.py

The post cut back-propagation after k steps of the 784 of MNIST, and believed that k = 784 was something else than no
truncation, since an LSTM failed with the one and an IRNN with the other. Here: digits of 8 x 8 as in `pixels`, 64
steps, 32 units, RMSprop at the rate that is best for the cell there, gradients clipped to 1, errors cut k steps before
the answer, k = 1, 8 and 64, and 128, which is no cut at all. One program for all k. Beside it how far the gradient
reaches back in the networks trained without a cut.

Expected, test accuracy after 30 epochs, mean of 4 runs, at k = 1, 8, 64 and without a cut: tanh .54 .72 .87 .87, LSTM
.63 .83 .93 .93. k = 8 is told apart from no cut (Welch's intervals, 95 % together): errors over 8 of 64 pixels are not
enough, though the last step alone teaches more than half of the digits: the state remembers what no error asked for.
k = T and no truncation leave the same networks, bit for bit. By another seed (`--seed 1`) tanh .54 .75 .92 .92, LSTM
.61 .81 .94 .94, and the same is told apart. Less than two minutes of processor time.
"""

import functools
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray

from landscape import losses, names, training, views
from landscape.tasks import Episode

pixels = names.module(str(Path(__file__).with_name("pixels.py")))

RATES = {"tanh": 1e-3, "GRU": 1e-2, "LSTM": 1e-2}  # the best of `pixels`, RMSprop
CUTS = (1, 8, 64, 128)
TOGETHER = 16  # runs in one call, so that their states stay in cache


def trained(cell: str, cuts: tuple[int, ...], repeats: int, epochs: int, units: int, permuted: bool, seed: int):
    """Test accuracies and last models, all leaves with axes (k, seed) in front."""
    episodes = pixels.read(permuted)
    made, start = pixels.CELLS[cell]
    rule = optax.chain(optax.clip_by_global_norm(1.0), optax.rmsprop(RATES[cell]))
    split = training.last(pixels.TEST / len(episodes.x))

    def one(number: jax.Array, k: jax.Array):
        first, second = jax.random.split(jax.random.fold_in(jax.random.key(seed), number))
        begun = training.begin(made, first, start, units=units, inputs=1, outputs=10)
        route = functools.partial(training.reverse, truncate=k)
        go = functools.partial(training.fit, objective=losses.classes, split=split, epochs=epochs, batch=32)
        done = go(second, begun, episodes, rule, route=route)
        return done.record.val_accuracy[-1], done.model

    every = list(itertools.product(cuts, range(repeats)))
    k, number = (jnp.asarray(column, jnp.int32) for column in zip(*every, strict=True))
    found = jax.jit(lambda *at: jax.lax.map(lambda one_: one(*one_), at, batch_size=TOGETHER))(number, k)
    return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(len(cuts), repeats, *leaf.shape[1:]), found)


def run(
    cells: tuple[str, ...] = ("tanh", "LSTM"),
    cuts: tuple[int, ...] = CUTS,
    repeats: int = 4,
    epochs: int = 30,
    units: int = 32,
    permuted: bool = False,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """Test accuracy (cell, k, seed), and the median gradient by lag (cell, lag) of the first network of the last k.

    ``differs`` (cell,): the largest difference between a parameter of k = T and of the last k. ``permuted``: the pixels
    of all images in one random order. ``quick``: one cell, three cuts, two runs, four epochs.
    """
    if quick:
        cells, cuts, repeats, epochs = ("tanh",), (1, 64, 128), 2, 4
    shown = pixels.read(permuted)
    shown = Episode(x=shown.x[-pixels.TEST :][:64], target=shown.target[-pixels.TEST :][:64])
    rows = []
    for cell in cells:
        accuracy, models = trained(cell, cuts, repeats, epochs, units, permuted, seed)
        last = jax.tree.map(lambda leaf: leaf[-1, 0], models)
        apart = [
            np.abs(leaf[cuts.index(64)] - leaf[-1]).max() if 64 in cuts else np.nan for leaf in jax.tree.leaves(models)
        ]
        lag = views.gradient_by_lag(last, shown, losses.classes.loss)
        rows.append(
            xarray.Dataset({"accuracy": (("k", "seed"), accuracy), "gradient": lag.gradient, "differs": max(apart)})
        )
        print(f"{cell}: {accuracy.mean(1).round(2)}", flush=True)
    return (
        xarray.concat(rows, "cell").assign_coords(cell=list(cells), k=list(cuts)).assign_attrs(permuted=int(permuted))
    )


def needed(results: xarray.Dataset, cell: str) -> int:
    """The least k from which on no cut is told apart from none: by Welch's intervals of 95 % together (Bonferroni)."""
    from scipy.stats import ttest_ind

    *cut, whole = results.accuracy.sel(cell=cell).transpose("k", "seed").values
    sure = 1 - 0.05 / len(cut)
    behind = [ttest_ind(whole, each, equal_var=False).confidence_interval(sure).low > 0 for each in cut]
    enough = len(cut) - next((i for i, b in enumerate(reversed(behind)) if b), len(cut))
    return int(results.k[enough])


def sentence(results: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    mean, first = results.accuracy.mean("seed"), int(results.k[0])
    said = (
        f"{c}: {float(mean.sel(cell=c)[0]):.2f} at k = {first}, {float(mean.sel(cell=c)[-1]):.2f} without a cut, which "
        f"is not told apart from k = {needed(results, c)} and longer"
        for c in map(str, results.cell.values)
    )
    return f"{'; '.join(said)}. k = T and no truncation differ by {float(results.differs.max()):.1g} at most."


if __name__ == "__main__":
    print(sentence(run()))

"""How many random weights must one try until a unit keeps a bit, with no training at all?

    landscape run guessing

A unit keeps the bit if some threshold on h tells +1 from -1 in all of 64 sequences with noise .1: the share of drawn
weights that do is the volume of the solutions, which exists whether training reaches it or not.

Expected, percent of 8,192 draws at lengths 2, 20, 100 and 200 (standard error .5 at most):

    weights         SRNN                  LSTM (hard gates)     GRU (hard gates)
    as Keras starts 100   30    0    0    100    0    0    0     98    0    0    0
    N(0, 1)          61  7.9  5.9  5.9     63   .7   .3   .2     79  2.2   .4   .4
    N(0, 2^2)        56   14   13   13     44  4.0  2.4  1.8     67   14  7.1  6.2
    N(0, 4^2)        47   18   17   17     31  6.3  4.5  3.8     53   26   20   19
    U[-100, 100]     26   20   19   18     11  4.1  3.6  3.1     19   14   13   12

Every cell has solutions, and Keras starts at none of them: its units hold nothing for 50 steps (LSTM 20, GRU 10).
Bengio's latch of 500 steps (noise variance .2, 16 sequences) takes 4.1 guesses with trained inputs and 42 for a unit
with input and bias weights; published 6 and 22 (Schmidhuber & Hochreiter 1996; 2001), the training set being unknown:
more sequences, more guesses. 40 seconds of processor time.
"""

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from landscape import training
from landscape.cells import SRNN, BengioLatch, HardGRU, HardLSTM
from landscape.initialisers import keras2
from landscape.models import run as answers
from landscape.success import wilson
from landscape.tasks import bengio, episodes, latch, two_sequence

CELLS = {"SRNN": SRNN(), "HardLSTM": HardLSTM(), "HardGRU": HardGRU()}
LENGTHS = (2, 5, 10, 20, 50, 100, 200)


def normal(sd):
    """Every weight from N(0, sd²)."""
    return lambda key, cell: _each(key, cell, lambda k, shape: sd * jax.random.normal(k, shape))


def uniform(key, cell):
    """Every weight from U[-100, 100]."""
    return _each(key, cell, lambda k, shape: jax.random.uniform(k, shape, minval=-100.0, maxval=100.0))


def _each(key, cell, draw):
    leaves, tree = jax.tree.flatten(cell)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, [draw(k, jnp.shape(leaf)) for k, leaf in zip(keys, leaves, strict=True)])


DRAWS = {
    "Keras start": lambda key, cell: keras2(cell, key),
    "N(0, 1)": normal(1.0),
    "N(0, 2²)": normal(2.0),
    "N(0, 4²)": normal(4.0),
    "U[-100, 100]": uniform,
}


def keeps(draw, cell, data, tried, key):
    """For each length, how many of ``tried`` drawn cells tell the two bits apart by some threshold on h."""

    def separates(key):
        h = jax.vmap(lambda x: answers(draw(key, cell), x))(data.x)
        high, low = h[0::2], h[1::2]  # the bits alternate
        return (high.min(0) > low.max(0)) | (low.min(0) > high.max(0))

    keys = jax.random.split(key, tried)
    return jnp.sum(jax.lax.map(separates, keys, batch_size=min(256, tried)), 0)


def run(
    lengths: tuple[int, ...] = LENGTHS, tried: int = 8192, count: int = 64, noise: float = 0.1, seed: int = 0
) -> xarray.Dataset:
    """``volume`` (draw, cell, length), the share of cells that keep the bit, with its Wilson interval; ``trials``.

    ``trials`` (problem,): guesses until Bengio's latch with trained inputs, and the plain unit on the same task, answer
    16 sequences of 500 steps right, noise variance .2, weights from U[-100, 100]; ``published`` beside it.
    """
    root = jax.random.key(seed)
    data = episodes(latch(noise), jax.random.fold_in(root, 0), count, max(lengths))
    at = jnp.asarray(lengths) - 1
    program = jax.jit(keeps, static_argnums=(0, 3))
    solved = [
        [np.asarray(program(draw, cell, data, tried, jax.random.fold_in(root, 1))[at]) for cell in CELLS.values()]
        for draw in DRAWS.values()
    ]
    low, high = wilson(solved, tried)
    dims = ("draw", "cell", "length")
    variables = {name: (dims, v) for name, v in {"volume": np.divide(solved, tried), "low": low, "high": high}.items()}
    variables |= {"trials": ("problem", until_solved(seed)), "published": ("problem", [6.0, 22.0])}
    coordinates = {"draw": list(DRAWS), "cell": list(CELLS), "length": list(lengths)}
    return xarray.Dataset(variables, coordinates | {"problem": ["trained inputs", "one unit"]}, {"tried": tried})


def until_solved(seed: int, tried: int = 4096) -> list[float]:
    """Expected guesses on the two variants of Bengio's latch (Schmidhuber & Hochreiter 1996)."""
    key = jax.random.key(seed)
    inputs = episodes(bengio(noise=0.2**0.5, evidence=1), key, 16, 500)
    plain = episodes(two_sequence(evidence=1), key, 16, 500)
    first = training.guess(key, BengioLatch(e=jnp.zeros(2)), inputs, tried=tried)
    return [first.trials, training.guess(key, SRNN(), plain, tried=tried).trials]


def sentence(results: xarray.Dataset) -> str:
    """What the data say, in numbers."""
    last = results.isel(length=-1)
    lines = [
        f"{draw}: " + ", ".join(f"{cell} {float(last.volume.sel(draw=draw, cell=cell)):.4f}" for cell in CELLS)
        for draw in DRAWS
    ]
    pairs = zip(results.problem.values, results.trials.values, results.published.values, strict=True)
    lines += [f"{problem}: {trials:.1f} guesses, published {known:g}" for problem, trials, known in pairs]
    return f"share of random cells that keep the bit for {int(last.length)} steps\n" + "\n".join(lines)


if __name__ == "__main__":
    print(sentence(run()))

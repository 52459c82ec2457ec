"""Does an IRNN read digits pixel by pixel better than an LSTM, or is it the learning rate? (Le, Jaitly & Hinton 2015)

    landscape run pixels
    landscape run pixels --files train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz --cells IRNN LSTM --repeats 2
    python figures/pixels.py

The Keras example and its blog post read MNIST pixel by pixel by RMSprop at a rate of 1e-6 and found the IRNN (ReLU,
identity, input weights N(0, .001²)) far ahead of an LSTM: 83.6 against 24.1 % when others ran that recipe again; tuned
LSTMs reach 98.9 %. Here: scikit-learn's 1,797 digits of 8 x 8 (not MNIST), 64 steps, 32 units, a softmax readout,
gradients clipped to a norm of 1, batches of 32, the last 357 images (in one random order) to test on, which no choice
but that of the rate has seen. Every cell by two optimisers over the same rates, every run from its own start.

Expected, test accuracy after 30 epochs, mean over 8 runs, at rates .0001, .001, .01, .1, .3:

                          RMSprop                    SGD, momentum .9
    IRNN                  .21  .11  .28  .09  .11    .10  .08  .08  .16  .10
    IRNN, inputs x 100    .32  .57  .57  .11  .11    .26  .35  .38  .18  .10
    tanh                  .65  .91  .40  .10  .10    .40  .73  .86  .23  .09
    LSTM                  .39  .72  .93  .68  .23    .10  .16  .68  .92  .92
    LSTM, hard gates      .34  .70  .93  .24  .10    .10  .15  .67  .90  .80
    GRU                   .22  .66  .92  .18  .11    .08  .17  .65  .94  .92

So at this size the IRNN's lead holds at no rate; what the source compared, one rate, ranks how fast cells learn at that
rate. At best rates the IRNN is .41 to .90 behind the LSTM, .38 to .87 behind tanh, .40 to .88 behind the GRU (intervals
of Welch, 95 % together). That SGD fails where RMSprop does not is told for no cell: by RMSprop the IRNN is -.12 to .36
ahead, tanh -.02 to .11, LSTM -.02 to .04, GRU -.05 to 0. Median |dL/da| at the last pixel and 48 before it: IRNN .82
and .82 before training (identity: flat), tanh 1.1 and .040, LSTM .29 and 4e-5, GRU .58 and 5e-11; after RMSprop tanh
.12 and .11, LSTM .0013 and .0002, GRU .0083 and .0022: training makes it flat. In the trained IRNN it is 0 from 25
pixels on: dead units. By another seed, four runs, RMSprop at .001 and .01: IRNN .08 and .08, tanh .88 and .45, LSTM .71
and .94, GRU .64 and .93: the same order; how far an IRNN comes is not settled. A run takes 1 second of processor time
for IRNN and tanh, 4 to 5 for gated cells; all 480, compiling included, 22 minutes, the four cells of the source's
question (``--cells IRNN tanh LSTM GRU``) two thirds of that. Four runs each by RMSprop: row by row (`--rows`), best of
the five rates, IRNN .91, tanh .97, LSTM .98, GRU .98; of .001 and .01 with pixels permuted (`--permuted`) .16, .90,
.87, .88, and in batches of 16 .16, .88, .94, .94: the IRNN is behind the others in all. Of `--double` and `--rules SGD`
no numbers are stated. MNIST's images have 784 steps each; 1,797 of them are read.
"""

import functools
from pathlib import Path

import jax
import numpy as np
import optax
import xarray
from jax.flatten_util import ravel_pytree

from landscape import data, initialisers, losses, training, views
from landscape.cells import GRU, IRNN, LSTM, SRNN, HardLSTM
from landscape.sweeps import sweep
from landscape.tasks import Episode

IMAGES, TEST = 1797, 357  # at most, and of so many the last to test on


def wide_irnn(cell, key, units=None, inputs=None):
    """The IRNN with input weights 100 times the source's: pixels are one number each, and most of them are 0."""
    small = initialisers.irnn(cell, key, units, inputs)
    return IRNN(w=small.w, u=100 * small.u, b=small.b)


#: A cell and where it starts, by name.
CELLS = {
    "IRNN": (IRNN(), initialisers.irnn),
    "IRNN, inputs x 100": (IRNN(), wide_irnn),
    "tanh": (SRNN(), initialisers.keras3),
    "LSTM": (LSTM(), initialisers.keras3),
    "LSTM, hard gates": (HardLSTM(), initialisers.keras3),
    "GRU": (GRU(), initialisers.keras3),
}
RULES = {
    "RMSprop": optax.rmsprop,
    "RMSprop, momentum .9": functools.partial(optax.rmsprop, momentum=0.9),
    "SGD": optax.sgd,
    "SGD, momentum .9": functools.partial(optax.sgd, momentum=0.9),
}


def read(
    order: bool = False, rows: bool = False, seed: int = 0, double: bool = False, files: tuple[str, ...] = ()
) -> Episode:
    """`IMAGES` digits as sequences in one random order of images, pixels permuted with ``order``, or row by row.

    ``double``: every pixel twice as wide and high. ``files``: the images and the labels of MNIST, as idx files.
    """
    if len(files) not in (0, 2):
        raise ValueError(f"files must be two, of images and of their labels, given {len(files)}")
    if files:
        images, labels = map(data.idx, files)
        images = images / np.float32(255)
    else:
        images, labels = data.digits()
    if double:
        images = images.repeat(2, 1).repeat(2, 2)
    rng = np.random.default_rng(seed)
    mixed = rng.permutation(len(labels))[:IMAGES]
    permuted = rng.permutation(images[0].size) if order else None
    return data.classified(data.scan_order(images[mixed], rows, permuted), labels[mixed])


def train(
    cell: str,
    rule: str,
    rates: tuple[float, ...],
    repeats: int,
    epochs: int,
    units: int,
    batch: int,
    permuted: bool,
    rows: bool,
    double: bool,
    files: tuple[str, ...],
    seed: int,
) -> xarray.Dataset:
    """One cell by one rule: ``val_accuracy`` (rate, seed, epoch), gradient by lag, and ``seconds`` of processor time.

    ``before`` and ``after`` (lag): gradient by lag of the first seed at its best rate, 64 test images. ``seconds``: of
    one epoch of one run, compiling apart.
    """
    episodes = read(permuted, rows, double=double, files=tuple(files))
    made, start = CELLS[cell]
    reads = episodes.x.shape[2]

    def begin(key):
        return training.begin(made, key, start, units=units, inputs=reads, outputs=10)

    def setup(key, rate):
        return begin(key), optax.chain(optax.clip_by_global_norm(1.0), RULES[rule](rate))

    done = training.curves(
        setup,
        data.task(episodes, name="digits"),
        [episodes.x.shape[1]],
        seeds=repeats,
        settings={"rate": rates},
        count=len(episodes.x),
        objective=losses.classes,
        split=training.last(TEST / IMAGES),
        epochs=epochs,
        batch=batch,
        seed=seed,
    ).isel(length=0)
    back = ravel_pytree(jax.tree.map(np.asarray, begin(jax.random.key(0))))[1]
    tested = Episode(x=episodes.x[-TEST:][:64], target=episodes.target[-TEST:][:64])
    best = int(np.nanargmax(done.val_accuracy.isel(epoch=-1).mean("seed")))
    lag = {
        when: views.gradient_by_lag(back(done[name].values[best, 0].astype(np.float32)), tested, losses.classes.loss)
        for when, name in (("before", "initial"), ("after", "final"))
    }
    each = done.attrs["processor_seconds"] / (len(rates) * repeats * epochs)
    kept = done[["val_accuracy", "val_loss", "gradient_norm"]].drop_vars("length")
    return kept.assign({name: found.gradient for name, found in lag.items()}).assign(seconds=each)


def run(
    cells: tuple[str, ...] = tuple(CELLS),
    rules: tuple[str, ...] = ("RMSprop", "SGD, momentum .9"),
    rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 3e-1),
    repeats: int = 8,
    epochs: int = 30,
    units: int = 32,
    batch: int = 32,
    permuted: bool = False,
    rows: bool = False,
    double: bool = False,
    files: tuple[str, ...] = (),
    seed: int = 0,
    quick: bool = False,
    out: str = "",
) -> xarray.Dataset:
    """All cells by all rules, dims (cell, rule, rate, seed, epoch), kept in ``out``: run again to go on.

    ``permuted``: one fixed order of pixels for all images; ``rows``: a row of pixels a step; ``double``: every pixel as
    2 x 2, so that there are 256 steps; ``files``: images and labels of MNIST as idx files, 784 steps. ``quick``: three
    cells, one rule, two rates, two seeds, eight epochs, to see it work. ``out`` is results/pixels.zarr unless given.
    """
    for given, known in ((cells, CELLS), (rules, RULES)):
        if unknown := set(given) - set(known):
            raise ValueError(f"{min(unknown)!r} is none of {', '.join(map(repr, known))}")
    read(files=files)  # what is missing is said before anything is computed
    if quick:
        cells, rules, rates, repeats, epochs = ("IRNN", "tanh", "LSTM"), rules[:1], (1e-3, 1e-2), 2, 8
    fixed = {"rates": rates, "repeats": repeats, "epochs": epochs, "units": units, "batch": batch, "seed": seed}
    fixed |= {"permuted": permuted, "rows": rows, "double": double, "files": [str(Path(f).resolve()) for f in files]}
    axes = {"cell": list(cells), "rule": list(rules)}
    out = out or f"results/pixels{'_quick' * quick}.zarr"
    return sweep(f"{__file__}:train", axes, fixed, out=out, report=print)


def best(results: xarray.Dataset) -> xarray.Dataset:
    """Accuracy at the rate that is best on average, (cell, rule): mean over seeds, and half a 95 % interval of it."""
    from scipy.stats import t

    last = results.val_accuracy.isel(epoch=-1)
    at = last.mean("seed").fillna(0).argmax("rate")
    chosen, count = last.isel(rate=at), last.sizes["seed"]
    half = t.ppf(0.975, count - 1) * chosen.std("seed", ddof=1) / count**0.5
    return xarray.Dataset({"mean": chosen.mean("seed"), "half": half, "rate": results.rate[at]})


def ahead(
    results: xarray.Dataset, first: tuple[str, str], second: tuple[str, str], sure: float = 0.95
) -> tuple[float, float]:
    """By how much one (cell, rule) reads more than another, each at its best rate: the ends of Welch's interval."""
    from scipy.stats import ttest_ind

    last, at = results.val_accuracy.isel(epoch=-1), best(results).rate
    chosen = [last.sel(cell=c, rule=r, rate=at.sel(cell=c, rule=r)) for c, r in (first, second)]
    interval = ttest_ind(*(one.fillna(0).values for one in chosen), equal_var=False).confidence_interval(sure)
    return float(interval.low), float(interval.high)


def verdict(results: xarray.Dataset, first: str, second: str, rule: str) -> str:
    """Whether one cell is ahead of another, each at its best rate."""
    low, high = ahead(results, (first, rule), (second, rule))
    return "ahead of" if low > 0 else "behind" if high < 0 else "not told apart from"


def claims(results: xarray.Dataset) -> list[str]:
    """The source's claims, each upheld, refuted or open by intervals that hold together in 95 % (Bonferroni)."""
    rules, cells = map(str, results.rule.values), set(map(str, results.cell.values))
    first, *others = rules
    rivals = [c for c in ("LSTM", "tanh", "GRU") if {c, "IRNN"} <= cells]
    asked = [(f"the IRNN leads the {c}", ("IRNN", first), (c, first)) for c in rivals]
    asked += [
        (f"SGD is behind RMSprop on the {c}", (c, first), (c, other))
        for other in others
        for c in ("IRNN", "tanh", "LSTM", "GRU")
        if c in cells
    ]
    said = []
    for claim, one, other in asked:
        low, high = ahead(results, one, other, 1 - 0.05 / len(asked))
        word = "upheld" if low > 0 else "refuted" if high < 0 else "open"
        said.append(f"{claim}: {word} (by {low:+.2f} to {high:+.2f})")
    return said


def sentence(results: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    found, rule = best(results), str(results.rule.values[0])
    tell = lambda c: f"{c} {found['mean'].sel(cell=c, rule=rule):.2f} at {found.rate.sel(cell=c, rule=rule):g}"  # noqa: E731
    said = [
        f"{rule}, best of {results.sizes['rate']} rates, {results.sizes['seed']} runs each: "
        f"{', '.join(tell(c) for c in map(str, results.cell.values))}."
    ]
    if {"IRNN", "LSTM"} <= set(map(str, results.cell.values)):
        said.append(f"The source's IRNN is {verdict(results, 'IRNN', 'LSTM', rule)} the LSTM.")
    if found_claims := claims(results):
        said.append(f"Claims: {'; '.join(found_claims)}.")
    return " ".join(said)


if __name__ == "__main__":
    print(sentence(run()))

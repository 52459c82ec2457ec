"""What does a network learn of text that an n-gram does not? (Karpathy, Johnson & Fei-Fei 2015)

    landscape run characters
    landscape run characters --text=mine.txt
    python figures/characters.py

The source trains tanh, GRU and LSTM networks on War and Peace and on the Linux kernel (LSTM 1.08 and .84 nats a
character, 20-grams 1.20 and .89), and looks at gates that are always open, at brackets that are closed, and at which
errors an n-gram would not make. Here: the source of Python's standard library as it lies on this machine (600,000
characters, a tenth of them to test on), or a text of yours; networks of one and two layers with as many parameters as
one LSTM layer of 64 units; 32 stretches side by side, slices of 50, RMSprop at .002 with decay .95, gradients clipped
to 5 element by element, as char-rnn does. n-grams of order 1 to 7 in the same run (`landscape.data.ngrams`).

Expected, nats a character on 20,000 test characters, one run each of six epochs (2,022 updates), Python 3.11's library:

              1 layer         2 layers        n-gram, order 1 to 7
    tanh      1.86 (142)      1.77 (97)       3.03  2.35  1.86  1.68  1.73  1.83  1.93
    GRU       1.73 (77)       1.71 (54)       (units in brackets; about 47,000 parameters each)
    LSTM      1.85 (64)       1.85 (46)

At this budget the 4-gram is not passed, nor by another seed (GRU 1.75 with one layer and 1.74 with two, tanh 1.77 and
LSTM 1.85 with two); networks still fall by .03 an epoch. Two layers are ahead of one for tanh and, by .01 to .03, for
the GRU; LSTM and GRU are not alike. Of the GRU's update gates 69 of 77 let the new in at more than half of the
characters, as the source saw in first layers; of the LSTM's forget gates 9 of 64 keep at more than half. n-grams get
33 to 39 % of the networks' errors right (the source: 42). A closing bracket is better foreseen by the 7-gram within 4
characters, by the GRU beyond 10, of 46, 60 and 9 brackets: few. Some three minutes of processor time.

The result holds the networks themselves and the text they were tested on, for `network` here and for other experiments.
"""

import itertools
import sysconfig
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray
from jax.flatten_util import ravel_pytree

from landscape import data, models, training, views
from landscape.cells import GRU, LSTM, SRNN, Cell
from landscape.models import RNN, Stack
from landscape.models import run as answers
from landscape.tasks import Episode

CELLS = {"tanh": SRNN(), "GRU": GRU(), "LSTM": LSTM()}
LANES, STEPS, TEST, ORDER = 32, 50, 20_001, 7
EDGES = (1, 5, 10, 20, 40, 80)  # distances of a bracket to its mate, in characters
OPEN, SHUT = "([{", ")]}"


def source(most: int) -> str:
    """Python's standard library, file by file, its printable characters; other Pythons have another one."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    whole = "".join(file.read_text(encoding="utf-8", errors="ignore") for file in files)
    return "".join(c for c in whole if 32 <= ord(c) < 127 or c == "\n")[:most]


def distances(text: str) -> np.ndarray:
    """For every closing bracket how many characters ago its mate came; -1 elsewhere."""
    open_, found = [], np.full(len(text), -1)
    for i, c in enumerate(text):
        if c in OPEN:
            open_.append(i)
        elif c in SHUT and open_:
            found[i] = i - open_.pop()
    return found


def model(cell: Any, layers: int, units: int, symbols: int, key: Any) -> RNN:
    made = cell if layers == 1 else Stack(layers=(cell,) * layers)
    return training.begin(made, key, units=units, inputs=symbols, outputs=symbols)


def numbers(cell: Any, layers: int, units: int, symbols: int) -> int:
    """How many parameters a network has."""
    return models.size(lambda: model(cell, layers, units, symbols, jax.random.key(0)))


def matched(cell: Any, layers: int, symbols: int, budget: int) -> int:
    """The number of units, up to 1,024, that comes nearest to so many parameters."""
    return models.matched(lambda units: model(cell, layers, units, symbols, jax.random.key(0)), budget)


def texts(text: str, characters: int) -> tuple[data.Text, data.Text]:
    """The text to train on and the one to test on, of one alphabet: a file of yours, or the library."""
    words = Path(text).read_text(encoding="utf-8")[:characters] if text else source(characters)
    alphabet, cut = data.text(words).alphabet, int(0.9 * len(words))
    return data.text(words[:cut], alphabet), data.text(words[cut:][:TEST], alphabet)


def train(
    cell: Cell, layers: int, units: int, read: data.Text, test: data.Text, epochs: int, seed: int
) -> tuple[RNN, training.Record]:
    """One network along the text, and its records by epoch."""
    lanes = data.next_symbols(read.symbols, (len(read.symbols) - 1) // LANES)
    judged = data.next_symbols(test.symbols, len(test.symbols) - 1)
    begun = model(cell, layers, units, len(read.alphabet), jax.random.key(seed))
    rule = optax.chain(optax.clip(5.0), optax.rmsprop(2e-3, decay=0.95))
    follow = jax.jit(lambda model: training.stream(model, lanes, rule, steps=STEPS, validation=judged, epochs=epochs))
    done = jax.device_get(follow(begun))
    return done.model, done.record


def log_likelihoods(net: RNN, test: data.Text) -> np.ndarray:
    """log P of every character of the test text after the first, in nats."""
    logits = np.asarray(jax.jit(answers)(net, jnp.asarray(test.symbols[:-1])), np.float64)
    log_p = logits - np.logaddexp.reduce(logits, 1, keepdims=True)
    return log_p[np.arange(len(log_p)), test.symbols[1:]]


def network(results: xarray.Dataset, cell: str, layers: int) -> RNN:
    """A network that the result of `run` holds."""
    units = int(results.units.sel(cell=cell, layers=layers))
    like = jax.eval_shape(lambda: model(CELLS[cell], layers, units, results.attrs["symbols"], jax.random.key(0)))
    flat = results[f"network_{cell}_{layers}"].values
    return ravel_pytree(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like))[1](flat)


def run(
    text: str = "",
    characters: int = 600_000,
    units: int = 64,
    layers: tuple[int, ...] = (1, 2),
    epochs: int = 6,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """Every network beside n-grams, dims (cell, layers, ...).

    ``text``: a file of yours; ``characters`` of it at most. ``units``: of one LSTM layer, which all networks match in
    parameters. ``quick``: 60,000 characters, 16 units, one layer, two epochs, to see it work.
    """
    if quick:
        characters, units, layers, epochs = 60_000, 16, (1,), 2
    read, test = texts(text, characters)
    symbols = len(read.alphabet)
    budget = numbers(LSTM(), 1, units, symbols)
    grams = data.ngrams(read.symbols, test.symbols, symbols, ORDER)
    apart = distances(test.decode(test.symbols))[1:]
    bins = [(apart >= low) & (apart < high) for low, high in itertools.pairwise(EDGES)]

    found: dict[str, list] = {name: [] for name in ("nats", "train", "val", "units", "bracket", "ngram_right")}
    gates, nets = {}, {}
    for name, cell in CELLS.items():
        for depth in layers:
            wide = matched(cell, depth, symbols, budget)
            net, record = train(cell, depth, wide, read, test, epochs, seed)
            nets[f"network_{name}_{depth}"] = ravel_pytree(net)[0]
            log_p = log_likelihoods(net, test)
            wrong = log_p < np.log(0.5)
            found["nats"].append(-log_p.mean())
            found["train"].append(record.loss)
            found["val"].append(record.val_loss)
            found["units"].append(wide)
            found["bracket"].append([np.exp(log_p[b]).mean() if b.any() else np.nan for b in bins])
            found["ngram_right"].append((wrong & (grams > np.log(0.5)).any(0)).sum() / max(1, wrong.sum()))
            if depth == 1 and name != "tanh":
                gates[name] = views.saturation(net, _episodes(test))
            print(f"{name}, {depth} layers of {wide}: {found['nats'][-1]:.3f} nats a character", flush=True)
    grid = lambda values: np.asarray(values).reshape(len(CELLS), len(layers), *np.shape(values[0]))  # noqa: E731
    dims = {"bracket": ("bin",), "train": ("epoch",), "val": ("epoch",)}
    ds = xarray.Dataset(
        {key: (("cell", "layers", *dims.get(key, ())), grid(values)) for key, values in found.items()},
        {"cell": list(CELLS), "layers": list(layers), "epoch": np.arange(1, epochs + 1), "bin": list(EDGES[:-1])},
        {
            "symbols": symbols,
            "parameters": budget,
            "characters": round(len(read.symbols) / 0.9),
            "file": text,
            "text": text or "Python's standard library",
        },
    )
    ds["ngram"] = ("order", -grams.mean(1))
    ds["ngram_bracket"] = ("bin", [np.exp(grams[-1][b]).mean() if b.any() else np.nan for b in bins])
    ds["brackets"] = ("bin", [int(b.sum()) for b in bins])
    for name, view in gates.items():
        for side in ("left", "right"):
            ds[f"{side}_{name}"] = ((f"gate_{name}", f"unit_{name}"), view[side].values)
        ds[f"gate_{name}"] = view.gate.values
    ds["test"] = ("position", test.symbols)
    ds = ds.assign({name: (f"{name}_number", np.asarray(flat)) for name, flat in nets.items()})
    return ds.assign_coords(order=np.arange(1, ORDER + 1))


def _episodes(test: data.Text) -> Episode:
    """The test text as one episode."""
    return Episode(x=test.symbols[None, :-1], target=np.zeros(1, np.int32))


def sentence(results: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    best = results.nats.min("layers")
    nets = ", ".join(f"{c} {best.sel(cell=c).item():.2f}" for c in map(str, results.cell.values))
    grams = results.ngram.values
    ahead = "ahead of" if best.min() < results.ngram.min() else "behind"
    return (
        f"Nats a character: {nets}; the best n-gram, of order {grams.argmin() + 1}, {grams.min():.2f}: the networks "
        f"are {ahead} it after {results.sizes['epoch']} epochs. Of their errors some n-gram gets "
        f"{results.ngram_right.min().item():.0%} to {results.ngram_right.max().item():.0%} right."
    )


if __name__ == "__main__":
    print(sentence(run()))

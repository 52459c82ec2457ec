"""Which part of the gradient wins, the one that sees the labels or the one that does not?

    landscape run tug_of_war
    python figures/tug_of_war.py

One unit is to keep a bit for 50 steps of noise .1. What a step keeps of a small memory is f + i o w_g in an LSTM and
z + (1 - z) r w_h in a GRU, so both live in a plane: what the gate keeps, and what the loop returns. Descent on either
part of the loss (`landscape.training.signal_and_blind`) is an arrow there; training is a path.

Expected: at default starts the label-blind part shuts the LSTM's forget gate in 400 of 400, and opens the GRU's update
gate in 399 of 400; the part that sees the labels pulls .02 (LSTM) and 6e-10 (GRU) times as hard. Of 64 runs with Adam
at .001 learn 9 and 0; at .3 learn 0 and 48, where the blind part has the time to move the gates.
30 CPU-seconds.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, ArrayLike, Float, Int, Key, PyTree

from landscape import provenance, store
from landscape.cells import GRU, LSTM, Cell
from landscape.models import RNN
from landscape.tasks import Episode, episodes, gaussian, latch
from landscape.training import begin, fit, keras_adam, signal_and_blind

NOISE, SOLVED = 0.1, 0.95


class View(NamedTuple):
    """A plane through the parameters of a cell: what its gate ``keep``s and what its ``loop`` returns, at its biases.

    ``where(cell)`` is its place (keep, loop), ``place(cell, keep, loop)`` the cell moved there.
    """

    cell: Cell
    where: Callable[[PyTree], Float[Array, "axis"]]
    place: Callable[[PyTree, Float[Array, ""], Float[Array, ""]], PyTree]


def logit(p: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    return jnp.log(p) - jnp.log1p(-p)


def lstm_gain(cell: LSTM) -> jax.Array:
    return cell.gate(cell.b_i) * cell.gate(cell.b_o)


VIEWS = {
    "LSTM": View(
        LSTM(),
        lambda cell: jnp.stack([cell.gate(cell.b_f), lstm_gain(cell) * cell.w_g]),
        lambda cell, keep, loop: dataclasses.replace(cell, b_f=logit(keep), w_g=loop / lstm_gain(cell)),
    ),
    "GRU": View(
        GRU(),
        lambda cell: jnp.stack([cell.gate(cell.b_z), cell.gate(cell.b_r) * cell.w_h]),
        lambda cell, keep, loop: dataclasses.replace(cell, b_z=logit(keep), w_h=loop / cell.gate(cell.b_r)),
    ),
}

WINDOWS = {  # logit of what the gate keeps, what the loop returns
    ("LSTM", 0.001): ((-2.0, 4.0), (-0.5, 1.2)),
    ("GRU", 0.001): ((-2.0, 4.0), (-0.9, 1.5)),
    ("LSTM", 0.3): ((-5.0, 4.0), (-0.5, 1.2)),
    ("GRU", 0.3): ((-8.0, 14.0), (-30.0, 5.0)),
}
RATES = (0.001, 0.3)


def multiplier(cell: str, keep: xarray.DataArray, loop: xarray.DataArray) -> xarray.DataArray:
    """What a step keeps of a small memory, by place."""
    return keep + loop if cell == "LSTM" else keep + (1 - keep) * loop


def pulls(view: View, model: RNN, data: Episode) -> jax.Array:
    """Where descent moves a model in the plane, (part, axis): on the part that sees the labels, and on the blind one.

    The first is turned for a readout of the wrong sign. It is odd in the readout, and the blind one even, so that this
    is the pull on the same cell read out the right way round.
    """
    signal, blind = signal_and_blind(model, data)
    told_apart = -jnp.sum(model.readout.w * signal.readout.w)  # the signal part is linear in w: this is minus its value

    def moved(slope: RNN) -> jax.Array:
        return jax.jvp(view.where, (model.cell,), (jax.tree.map(jnp.negative, slope.cell),))[1]

    return jnp.stack([jnp.sign(told_apart) * moved(signal), moved(blind)])


def paired(key: jax.Array, pairs: int, length: int) -> Episode:
    """Episodes in which both bits meet the same noise, which takes its scatter out of the signal."""
    noise = jax.vmap(lambda k: gaussian(k, length, NOISE))(jax.random.split(key, pairs))
    x = jnp.concatenate([noise.at[:, 0].add(bit) for bit in (1.0, -1.0)])
    return Episode(x=x, target=jnp.repeat(jnp.array([1.0, -1.0]), pairs))


def field(
    view: View,
    places: Float[ArrayLike, "place axis"],
    numbers: Int[ArrayLike, "draw"],
    length: int,
    pairs: int,
    seed: int = 0,
) -> np.ndarray:
    """`pulls` (place, draw, part, axis) on default starts, moved to each of ``places`` (place, axis); float64.

    ``numbers`` (place, draw) says which starts; where a place is NaN they stay where they begin.
    """

    def one(place: jax.Array, number: jax.Array) -> jax.Array:
        first, rest = jax.random.split(jax.random.fold_in(jax.random.key(seed), number))
        model = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), begin(view.cell, first))
        keep, loop = jnp.where(jnp.isnan(place), view.where(model.cell), place)
        moved = RNN(cell=view.place(model.cell, keep, loop), readout=model.readout)
        return pulls(view, moved, paired(rest, pairs, length))

    with jax.enable_x64(True):
        each = jax.jit(lambda *all: jax.lax.map(lambda one_place: jax.vmap(one, (None, 0))(*one_place), all))
        return np.asarray(each(jnp.asarray(places, float), jnp.asarray(numbers)))


def grid(cell: str, rate: float, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of keep, evenly by logit, and of loop, evenly by asinh, in the window that runs at this rate stay in."""
    (low, high), ends = WINDOWS[cell, rate]
    return 1 / (1 + np.exp(-np.linspace(low, high, points))), np.sinh(np.linspace(*np.arcsinh(ends), points))


def path(
    view: View, key: Key[Array, ""], rate: Float[Array, ""], data: Episode, epochs: int
) -> tuple[Float[Array, "update axis"], RNN, Float[Array, ""]]:
    """The places (update, axis) of a run of `landscape.training.fit`, the model it ends with, and its accuracy."""
    start, order = jax.random.split(key)
    model = begin(view.cell, start)
    seen = fit(order, model, data, keras_adam(rate), epochs=epochs, watch=lambda state: view.where(state.model.cell))
    places = jnp.concatenate([view.where(model.cell)[None], seen.watched.reshape(-1, 2)])
    return places, seen.model, seen.record.val_accuracy[-1]


def paths(
    view: View, rates: tuple[float, ...], length: int, runs: int, count: int, epochs: int, seed: int = 0
) -> tuple:
    """`path` (rate, run, update, axis) and accuracy (rate, run); a run has the same start at every rate."""
    one, two = jax.random.split(jax.random.key(seed))
    data = episodes(latch(NOISE), one, count, length)
    each = jax.vmap(jax.vmap(lambda key, rate: path(view, key, rate, data, epochs)[::2], (0, None)), (None, 0))
    return jax.device_get(jax.jit(each)(jax.random.split(two, runs), jnp.asarray(rates)))


def pulled(cell: str, length: int, points: int, draws: int, pairs: int, starts: int) -> tuple[xarray.Dataset, ...]:
    """``field`` and ``start`` of `run`, of one cell."""
    axes = [grid(cell, rate, points) for rate in RATES]
    places = np.stack([np.stack(np.meshgrid(*each), -1) for each in axes])
    own, same = np.arange(starts).reshape(-1, draws), np.arange(draws)  # at all places of the grid the same
    there = np.concatenate([places.reshape(-1, 2), np.full((len(own), 2), np.nan)])
    numbers = np.concatenate([np.tile(same, (len(there) - len(own), 1)), own])
    pull = field(VIEWS[cell], there, numbers, length, pairs)
    over = pull[: -len(own)].reshape(*places.shape[:3], *pull.shape[1:])
    keep, loop = (np.stack(each) for each in zip(*axes, strict=True))
    found = {"pull": (("rate", "row", "column", "draw", "part", "axis"), over), "keep": (("rate", "column"), keep)}
    begun = {"pull": (("draw", "part", "axis"), pull[-len(own) :].reshape(starts, 2, 2))}
    return xarray.Dataset(found | {"loop": (("rate", "row"), loop)}), xarray.Dataset(begun)


def trained(cell: str, length: int, runs: int, count: int, epochs: int) -> xarray.Dataset:
    """``paths`` of `run`, of one cell."""
    place, accuracy = paths(VIEWS[cell], RATES, length, runs, count, epochs)
    step = np.unique(np.r_[0, np.geomspace(1, place.shape[2] - 1, 150).round().astype(int)])  # early ones are fast
    found = {"place": (("rate", "run", "step", "axis"), place[:, :, step]), "accuracy": (("rate", "run"), accuracy)}
    return xarray.Dataset(found, {"step": step})


def joined(cells: Iterable[xarray.Dataset]) -> xarray.Dataset:
    """Both cells as one Dataset, with words for its places."""
    ds = xarray.concat(cells, "cell")
    labels = {"cell": list(VIEWS), "part": ["signal", "blind"], "axis": ["keep", "loop"]}
    named = {name: np.array(words, object) for name, words in labels.items()} | {"rate": list(RATES)}
    return ds.assign_coords({dim: named[dim] for dim in ds.dims if dim in named})


def run(
    length: int = 50,
    points: int = 17,
    draws: int = 16,
    pairs: int = 16,
    starts: int = 400,
    runs: int = 64,
    count: int = 10_000,
    epochs: int = 5,
    out: str | None = "results/tug_of_war",
) -> dict[str, xarray.Dataset]:
    """``field``: `pull` (cell, rate, row, column, draw, part, axis) on the grid of ``keep`` and ``loop`` (`grid`).

    ``start``: `pull` (cell, draw, part, axis) at default starts; ``paths``: `place` (cell, rate, run, step, axis) after
    ``step`` updates, and the final ``accuracy`` (cell, rate, run). ``starts`` is a multiple of ``draws``. What ``out``
    holds of these settings is read.
    """
    settings = {name: value for name, value in locals().items() if name != "out"}

    def compute() -> dict[str, xarray.Dataset]:
        over, begun = zip(*(pulled(cell, length, points, draws, pairs, starts) for cell in VIEWS), strict=True)
        went = [trained(cell, length, runs, count, epochs) for cell in VIEWS]
        attrs = {"length": length, "count": count, "epochs": epochs, **provenance.here()}
        made = {"field": over, "start": begun, "paths": went}
        return {name: joined(cells).assign_attrs(attrs) for name, cells in made.items()}

    return store.kept(out, settings, compute)


def sentence(results: Mapping[str, xarray.Dataset]) -> str:
    """Who pulls where at default starts, and who wins, in numbers from the data."""
    pull, runs = results["start"].pull, results["paths"]
    size = np.hypot(pull.sel(axis="keep"), pull.sel(axis="loop"))
    lines = []
    for cell in map(str, pull.cell.values):
        up = pull.sel(cell=cell, part="blind", axis="keep") > 0
        ratio = (size.sel(part="signal") / size.sel(part="blind")).sel(cell=cell).median()
        learned = (runs.accuracy.sel(cell=cell) > SOLVED).sum("run").values
        rates = ", ".join(f"{n} at a rate of {rate:g}" for n, rate in zip(learned, runs.rate.values, strict=True))
        lines.append(
            f"{cell}: the label-blind part opens its gate in {int(up.sum())} of {up.size} default starts; the part "
            f"that sees the labels pulls {float(ratio):.1g} times as hard (median). Of {runs.sizes['run']} runs learn "
            f"{rates}."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(sentence(run()))

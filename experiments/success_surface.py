"""How faded may a memory be for training to find it, at which learning rate? The law of success as a surface.

    landscape run success_surface
    landscape run success_surface --rates 64 --fadings 64 --repeats 64    # a million runs, for a GPU
    python figures/success_surface.py

A vanilla RNN of one unit starts with |w| = exp(-k), so that T steps let its bit fade by x = T k e-folds. Adam trains
it for 2,500 updates at every rate, fading k and length, all in one call; each seed has a start and data of its own, and
its own place inside every cell of the surface, so that where learning ends is not rounded to the grid.

Expected, the x up to which runs learn whose readout begins with the right sign (6 of 16), 95 % over seeds:

                   rate .0001          .001              .01               .1
    T = 10     5.4 (4.1 to 7.2)  10.7 (9.3 up)     11.1 (9.4 up)     11.1 (11.0 up)
    T = 20     6.1 (4.6 to 8.1)   8.1 (6.1 to 11)   7.0 (6.1 to 16)  22.2 (22.1 up)
    T = 50     5.0 (2.2 to 8.8)   5.0 (2.2 to 12)   5.0 (1.6 to 5.9)  55.5 (55.1 up)
    T = 100    2.5 (.3 to 7.6)    2.5 (.3 to 12)    1.4 (.3 to 10)   111 (94 up)

At .0001 no run of any sign learns beyond 7 e-folds (8 by another seed). A larger rate first helps short sequences, and
from .03 on fading no longer decides: at .1 the most faded starts learn in 69 to 100 % of runs, by both seeds, and a bit
of 100 steps is found more often than at any rate below, .62 to .94 against .38 at most (.50 to 1, .31). Whether one cut
serves all lengths six starts do not decide; by another seed, with 11, it does not: below .03 T = 10 may fade by 4 to
10, T = 50 by 2 to 3, T = 100 by less than 1. The noise, which is not in x, makes a bit fade by .06 a step even at |w| =
1 (`landscape.training.signals.decay`), 6 e-folds in 100 steps. 8,960 runs, thirteen minutes of processor time.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Bool, Float, Key

from landscape.cells import SRNN
from landscape.success import Share, horizon, successes
from landscape.tasks import latch
from landscape.training import begin, curves, keras_adam
from landscape.training.starts import by_sign

SOLVED = 0.95  # accuracy
RATES, FADINGS = (1e-4, 1e-1), (5e-3, 1.0)


def begun(key: Key[Array, ""], rate: Float[Array, ""], fading: Float[Array, ""], ratio: float) -> tuple:
    """A start and its optimiser: all as Keras draws it but |w| = exp(-k), k anywhere in a cell around ``fading``."""
    one, two = jax.random.split(key)
    model, k = begin(SRNN(), one), fading * ratio ** jax.random.uniform(two, minval=-0.5, maxval=0.5)
    return dataclasses.replace(model, cell=by_sign(model.cell, jnp.exp(-k))), keras_adam(rate)


def aligned(initial: xarray.DataArray, length: int) -> xarray.DataArray:
    """Whether an untrained unit answers the right way round: ``(v_1 - v_0) u w^(T - 1) > 0``, all but dim parameter."""
    v0, v1, u, w = (initial.sel(parameter=name, drop=True) for name in ("readout.w[0]", "readout.w[1]", "u", "w"))
    return (v1 - v0) * u * np.sign(w) ** (length - 1) > 0


def cuts(
    x: Float[np.ndarray, "fading seed"], solved: Bool[np.ndarray, "rate fading seed"], right: Bool[np.ndarray, "seed"]
) -> list[Share]:
    """The x up to which runs of the right sign learn, at each rate, over seeds drawn anew with all of their runs.

    Where the interval reaches the most faded of the starts it has no upper end.
    """
    own = x[:, right]
    found = [horizon(own, learnt[:, right]) for learnt in solved]
    return [cut._replace(high=np.inf) if cut.high >= own.max() else cut for cut in found]


def judged(made: xarray.Dataset) -> xarray.Dataset:
    """Shares of success of all runs, (length, rate, fading), and the `cuts` (length, rate, end) of the aligned."""
    found, right = [], []
    for length, one in (
        made[["accuracy", "initial"]].transpose("length", "rate", "fading", "seed", ...).groupby("length")
    ):
        start = one.initial.isel(length=0, rate=0)
        right.append(aligned(start.isel(fading=0), length).values)
        x = -length * np.log(np.abs(start.sel(parameter="w").values))
        found.append(cuts(x, one.accuracy.values[0] > SOLVED, right[-1]))
    shares = successes(made.accuracy, SOLVED)[["share", "low", "high"]].transpose("length", "rate", "fading")
    shares = shares.assign(cut=(("length", "rate", "end"), np.array(found)), aligned=("length", np.sum(right, 1)))
    return shares.assign_coords(end=np.array(["value", "low", "high"], object))


def run(
    rates: int = 7,
    fadings: int = 20,
    lengths: tuple[int, ...] = (10, 20, 50, 100),
    repeats: int = 16,
    count: int = 10_000,
    epochs: int = 5,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """``share`` with ``low`` and ``high`` (length, rate, fading), and ``cut`` (length, rate, end) in e-folds.

    ``end`` is the value and its interval of 95 %. ``quick``: 3 rates, 8 fadings, lengths 10 and 20, 8 repeats.
    """
    if quick:
        rates, fadings, lengths, repeats = 3, 8, (10, 20), 8
    if fadings < 2:
        raise ValueError(f"a surface needs two fadings or more, given {fadings}")
    settings = {"rate": np.geomspace(*RATES, rates), "fading": np.geomspace(*FADINGS, fadings)}
    setup = functools.partial(begun, ratio=float(settings["fading"][1] / settings["fading"][0]))
    options = {"seeds": repeats, "count": count, "seed": seed, "epochs": epochs, "own_data": True}
    made = curves(setup, latch(), lengths, settings=settings, **options)
    return judged(made).assign_attrs(made.attrs, repeats=repeats)


def together(ds: xarray.Dataset) -> Bool[np.ndarray, "rate"]:
    """At which rates the intervals of the cuts of all lengths share a point: one law, as far as these runs tell."""
    return (ds.cut.sel(end="low").max("length") <= ds.cut.sel(end="high").min("length")).values


def sentence(ds: xarray.Dataset) -> str:
    """The cuts of every rate, in numbers from the data."""
    lines = []
    for rate, one in zip(ds.rate.values, together(ds), strict=True):
        at = ds.sel(rate=rate)
        each = (
            f"{value:.1f} ({low:.1f} to {high:.1f}) at T = {int(length)}"
            for length, (value, low, high) in zip(ds.length, at.cut.values, strict=True)
        )
        lines.append(f"rate {rate:.3g}: {'one cut' if one else 'a cut for each length'}: x = {', '.join(each)}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(sentence(run()))

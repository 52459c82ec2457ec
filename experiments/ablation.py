"""Ablation seen from above: does the part of an LSTM that matters for learning move the cliff?

    landscape run ablation
    landscape run ablation --quick
    python figures/ablation.py

One unit of V, the LSTM with peepholes (Greff et al. 2017), and of its variants without one part, and V with two forget
biases: the loss of keeping a bit on the same plane, the candidate's recurrent weight w_g by its bias b_g, with gates at
rest; where the cliff round the memory stands and how it steepens; and how often training finds the memory.

Expected, share of 64 runs that learn at T = 20 and 50, each at its best of four rates of Adam (Wilson intervals up to
+-.13), what one step keeps at the start, and how much steeper the cliff at w_g = 6 gets a step:

    V     .23  0    .48  1.83        NIAF  .23  .02  .48  1.91        CIFG            .47  .05  .51  1.83
    NIG   .33  .23  .51  3.20        NOAF  .23  0    .48  1.91        V, forget bias 1  .33  .25  .71  2.14
    NFG   .83  .44  1.01 2.44        NOG   .31  .22  .46  3.38        V, forget bias 2  .52  .42  .86  2.32

What one step keeps goes with success (Spearman .82 over nine cases, p = .041 by permutations with Holm's correction
over four); room on the plane, place and growth of the cliff are not decided (.63 to .65, p = .19). By another seed
the cells come in nearly the same order at T = 50, NFG .78 and .42, V .25 and .02, and no feature is decided (.73, p =
.13 for what one step keeps): nine cases are too few. So one unit keeps a bit best without its forget gate, which then
keeps all, and whether the plane foretells it is open. Three minutes of processor time.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Float, Key, PyTree
from optax import GradientTransformation

from landscape import cliffs, comparisons, dynamics, initialisers, losses, names, store, training
from landscape.cells import Cell
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.success import share
from landscape.surfaces import surface
from landscape.sweeps import sweep, whole
from landscape.tasks import latch

#: Cells without and with one part, and V with the forget biases that practice gives it.
CASES = {
    "V": ("LSTMPeephole", 0.0),
    "NIG": ("NIG", 0.0),
    "NFG": ("NFG", 0.0),
    "NOG": ("NOG", 0.0),
    "NIAF": ("NIAF", 0.0),
    "NOAF": ("NOAF", 0.0),
    "CIFG": ("CIFG", 0.0),
    "V, forget bias 1": ("LSTMPeephole", 1.0),
    "V, forget bias 2": ("LSTMPeephole", 2.0),
}
CUT = np.arange(10, 35, 4)  # lengths at which the cliff is measured, at w_g of the cut
FEATURES = {
    "keeps": "what one step keeps of a small memory at the start",
    "room": "the part of the plane that keeps the bit",
    "position": "how far the cliff is from no bias",
    "growth": "how much steeper the cliff gets a step",
}


def with_bias(cell: PyTree, bias: float) -> PyTree:
    """A cell with this forget bias, if it has one of its own."""
    return dataclasses.replace(cell, b_f=cell.b_f * 0 + bias) if getattr(cell, "b_f", None) is not None else cell


def seen(cell: Cell, points: int, length: int, at: float) -> dict[str, np.ndarray | float]:
    """What a cell's plane shows: ``loss`` (w_g, b_g), its ``room``, and position and growth of its cliff at w_g = at.

    The cliff is that of an episode without noise, as the bias of the candidate grows: beyond it one sign is forgotten.
    """
    task, still = latch(0.1), latch(0.0)
    made = plane(cell, w_g=np.linspace(-1, 8, points), b_g=np.linspace(-2, 2, points))
    loss = surface(made, task, [length], episodes=32, order=1).loss.isel(length=0)
    cut = cliffs.cut(made, Recurrence(still, CUT), start=(at, 0.02), stop=(at, 1.98))
    law = cliffs.growth(cut)
    return {
        "loss": (("w_g", "b_g"), loss.values),
        "w_g": loss.w_g.values,
        "b_g": loss.b_g.values,
        "room": float((loss.values < task.chance / 2).mean()),
        "position": float(cut.b_g.values[-1]),
        "growth": float(law.multiplier),
        "kind": law.kind,
    }


def learned(cell: Cell, bias: float, lengths: tuple[int, ...], rates: tuple[float, ...], seeds: int, epochs: int,
            seed: int) -> xarray.Dataset:  # fmt: skip
    """Training one unit to keep the bit: ``accuracy`` (length, rate, seed), and what starts ``keep`` on average."""

    def setup(key: Key[Array, ""], rate: Float[Array, ""]) -> tuple[PyTree, GradientTransformation]:
        model = training.begin(cell, key, initialisers.flax)
        return dataclasses.replace(model, cell=with_bias(model.cell, bias)), training.keras_adam(rate)

    begun = jax.jit(jax.vmap(lambda key: jnp.abs(dynamics.origin_multiplier(setup(key, 0.1)[0].cell))))
    kept = begun(jax.random.split(jax.random.key(seed), 256))
    found = training.curves(
        setup,
        latch(0.1),
        lengths,
        seeds=seeds,
        settings={"rate": rates},
        count=2000,
        objective=losses.softmax,
        seed=seed,
        own_data=True,
        epochs=epochs,
    )
    return found[["accuracy"]].assign(keeps=float(np.mean(kept)))


def case(
    name: str, points: int, length: int, at: float, lengths: tuple[int, ...], rates: tuple[float, ...], seeds: int,
    epochs: int, seed: int,
) -> xarray.Dataset:  # fmt: skip
    """One variant from above and in training."""
    cell, bias = CASES[name]
    made = with_bias(names.cell(cell), bias)
    above = seen(made, points, length, at)
    axes = {"w_g": above.pop("w_g"), "b_g": above.pop("b_g")}
    return learned(made, bias, lengths, rates, seeds, epochs, seed).assign_coords(axes).assign(above)


def run(
    points: int = 101,
    length: int = 50,
    at: float = 6.0,
    lengths: tuple[int, ...] = (20, 50),
    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1),
    seeds: int = 64,
    epochs: int = 10,
    seed: int = 0,
    quick: bool = False,
    out: str = "",
) -> xarray.Dataset:
    """Every variant on the same plane, dims (case, ...), kept in ``out``: run again to go on.

    Surfaces at ``length``; cliffs on cuts at ``w_g = at``; training at ``lengths`` and ``rates``. ``quick``: four
    variants, 31 points a side, one length, two rates, 16 seeds, three epochs. ``out`` is results/ablation unless given.
    """
    cases = list(CASES)
    if quick:
        cases, points, lengths, rates, seeds, epochs = ["V", "NIG", "NFG", "NOG"], 31, (10,), (0.03, 0.1), 16, 3
    folder = Path(out or f"results/ablation{'_quick' * quick}")
    fixed = {"points": points, "length": length, "at": at, "lengths": lengths, "rates": rates, "seeds": seeds}
    fixed |= {"epochs": epochs, "seed": seed}
    made = sweep(f"{__file__}:case", {"case": {"name": cases}}, fixed, out=folder / "cases.zarr", report=print)
    found = judged(whole(made).assign_coords(case=cases).drop_vars("name", errors="ignore")).assign_attrs(fixed)
    settings = {**fixed, "cases": cases}
    return store.keep(found, folder / "found.zarr", settings)


def judged(made: xarray.Dataset) -> xarray.Dataset:
    """Success at each case's best rate, dims (case, length), and how it goes with what the plane shows (feature,)."""
    solved = (made.accuracy > 0.99).transpose("case", "length", "rate", "seed")
    best = solved.mean("seed").argmax("rate")
    counts = solved.sum("seed").isel(rate=best).values
    won = np.vectorize(lambda k: tuple(share(int(k), made.sizes["seed"])), otypes=[float] * 3)(counts)
    dims = ("case", "length")
    found = made.assign({n: (dims, v) for n, v in zip(("share", "share_low", "share_high"), won, strict=True)})
    success = found.share.mean("length").values
    ranks = [comparisons.rank_correlation(found[name].values, success) for name in FEATURES]
    found["rank"] = ("feature", [r for r, _ in ranks])
    found["p"] = ("feature", comparisons.holm(np.array([p for _, p in ranks])))
    return found.assign_coords(feature=list(FEATURES), best_rate=(dims, made.rate.values[best.values]))


class Reading(NamedTuple):
    """What of the plane goes with success, and whether that is sure: p by permutations, Holm's correction over four."""

    feature: str
    verdict: str
    rank: float
    p: float


def readings(found: xarray.Dataset) -> list[Reading]:
    """One for each feature: goes with success, against it, or not decided."""
    made = []
    for name in map(str, found.feature.values):
        r, p = (float(found[key].sel(feature=name)) for key in ("rank", "p"))
        word = "not decided" if not p < 0.05 else "goes with success" if r > 0 else "goes against success"
        made.append(Reading(name, word, r, p))
    return made


def sentence(found: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    lines = []
    for name in map(str, found.case.values):
        one = found.sel(case=name)
        won = ", ".join(
            f"T = {int(n)} {float(one.share.sel(length=n)):.2f} ({float(one.share_low.sel(length=n)):.2f} to "
            f"{float(one.share_high.sel(length=n)):.2f})"
            for n in one.length.values
        )
        seen = f"keeps {float(one.keeps):.2f}; room {float(one.room):.3f}; {one.kind.item()} cliff at b_g = "
        lines.append(f"{name}: {won}; {seen}{float(one.position):.3f}, {float(one.growth):.2f} times steeper a step")
    verdicts = [
        f"{FEATURES[r.feature]}: {r.verdict} (Spearman {r.rank:.2f}, Holm's p {r.p:.2g})" for r in readings(found)
    ]
    return "\n".join([*lines, *verdicts])


if __name__ == "__main__":
    print(sentence(run()))

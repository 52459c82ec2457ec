"""Why does one LSTM unit keep a bit worse than one unit of a vanilla RNN (stats.SE 340898)?

    landscape run why_lstm_latches_worse
    landscape run why_lstm_latches_worse --quick
    landscape run why_lstm_latches_worse --evidence law frameworks routes optimisers readout

Ten suspects, each *removed* from the cell that has it or *added* to the cell that lacks it; the share of the gap
between vanilla RNN and LSTM that this closes says what it is (`landscape.verdicts`). The base is the asker's own:
Keras 2 cells with hard gates, 10,000 sequences with noise .1, Adam .001, batch 16, 5 epochs; more than .95 right of
validation is learned. Each run has a data set of its own; right and wrong readouts are weighted alike.

Expected at T = 50, intervals of 95 %, n = 512: SRNN .58 (.55 to .60), with |w| = .7 .00 (.00 to .01); LSTM .07 (.05 to
.09), where one step keeps 1 by w_g .63 (.60 to .66), by f .68 (.65 to .71), by f with w_g = 0 .69 (.66 to .73); GRU .00
(.00 to .02), 1 by w_h .64 (.60 to .68), n = 256. At T = 100: SRNN .32 (.28 to .37), LSTM .01 (.00 to .03), from 1 .58
(.55 to .62), n = 256. By eight base seeds, 64 runs each (`--runs 64 --seed 0` to 7), .58 (.56 to .61), .07 (.05 to
.10), from 1 .63 (.60 to .66), .66 (.63 to .69) and .67 (.65 to .70), a gap of .51 (.48 to .54); no case differs between
seeds by more than chance, given the sign of the readout (p .28 to .95).

Of the gap of .51 (.48 to .54) close, at 99.5 % each: H1 what one step keeps 1.11 (1.01 to 1.22), the cause; H10 output
gate .27 (.14 to .41), contributes, and where one step keeps the same without it .06 learn. Not the cause: H2 signs of
the readout -.69, H3 label-blind gradients .01, H4 solutions -.01 (4 of 10,000 guesses solve it, 18 with one gate), H5
time -.14, H6 hard gates .05, H7 input weights -.01, H8 SVD -.04, H9 noise -.03. From .8, .9, .95 by three routes learn
.00, .49 to .51, .62 to .64 (LSTM, n = 64); the SRNN .03, .33, .47: its input noise is not damped.

Frameworks, T = 10, 20, 50, n = 128: PyTorch SRNN .18, .08, .05, LSTM .38, .08, .00, GRU .48, .20, .02; Flax .85, .71,
.57 and .35, .21, .00 and .35, .21, .00; Keras 3 as Keras 2. One logit: SRNN .59, LSTM .05 (n = 256), as with two.
Aligned runs at T = 5 to 100 (``--evidence law``) learn up to T |ln lambda| = 5.2 (4.8 to 6.3) SRNN, 8.6 (7.9 to 9.3)
LSTM, 9.7 (9.4 to 10.5) GRU: a cut for each cell; by another seed 6.1, 8.6, 9.9. Without them it hangs on few runs at
T = 50: 5.2, 7.8, 7.2.
By the best of thirteen settings of four optimisers (n = 64, the largest as it came out) learn .96 (.89 to .99) SRNN
and .90 (.80 to .95) GRU, both by RMSprop at .1, and .07 LSTM, by Adam at its default.

Five minutes on two free cores, all evidence six more by work counted; --quick, for verdicts alone, took 27 seconds.
"""

import concurrent.futures
import dataclasses
import functools
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray
from jaxtyping import Array, Float, Key

from landscape import devices, losses, provenance, store
from landscape.cells import LSTM, SRNN, Cell, GRUResetAfter, HardGRU, HardLSTM
from landscape.dynamics import origin_multiplier
from landscape.initialisers import flax, keras3, lecun, linear, pytorch, readout
from landscape.models import RNN
from landscape.models import run as answers
from landscape.success import Share, horizon, share
from landscape.tasks import latch
from landscape.training import baseline, begin, curves, keras_adam
from landscape.training.signals import before, decay
from landscape.training.starts import (
    FULL,
    Start,
    as_keras_lstm,
    by_candidate,
    by_forgetting,
    by_forgetting_alone,
    by_sign,
    by_update,
    hard,
    having,
    wider,
)
from landscape.verdicts import CAUSE, RIGHT, Pair, Strata, Suspect, Verdict, gap, strata, stratified, verdicts

NOISE, BATCH, SOLVED, LONG, AT = 0.1, 16, 0.95, 100, 50
CELLS: dict[str, Cell] = {"SRNN": SRNN(), "LSTM": HardLSTM(), "GRU": HardGRU()}  # the asker's, of Keras 2.1.5
OPEN = {"w_o": None, "u_o": None, "b_o": None}  # no output gate: it stays at 1
FREE = {"w_f": None, "u_f": None, "b_f": None}  # no forget gate of its own: f = 1 - i
LOW = 0.7  # what one step of an LSTM keeps at the median start


# The starts: what training is given


def routes(mu: float) -> dict[str, dict[str, Start]]:
    """Independent ways to let one step of a cell keep ``mu``."""
    ways = {
        "SRNN": {"|w|": by_sign},
        "LSTM": {"w_g": by_candidate, "f": by_forgetting, "f alone": by_forgetting_alone},
        "GRU": {"w_h": by_candidate, "z alone": by_update},
    }
    return {
        cell: {f"mu = {mu:g} by {way}": Start(functools.partial(change, mu=mu)) for way, change in each.items()}
        for cell, each in ways.items()
    }


class Program(NamedTuple):
    """Runs that share one compiled program: ``runs`` of every start of one cell at one length."""

    name: str
    cell: Cell
    starts: Mapping[str, Start]
    length: int = AT
    runs: int = 512
    noise: float = NOISE
    epochs: int = 5
    objective: losses.Objective = losses.softmax
    optimiser: Callable[[Float[Array, ""]], optax.GradientTransformation] = keras_adam

    def cases(self) -> list[str]:
        return [f"{self.name}, {start}" for start in self.starts]

    def work(self) -> float:
        """Processor seconds, about, as measured: to compile, then to train, which takes gated cells twice as long."""
        gated = 1 if isinstance(self.cell, SRNN) else 2
        return 5 + 1.3e-7 * gated * len(self.starts) * self.runs * self.length * 8000 * (0.6 + self.epochs / 12)


DEFAULT = {"default": Start()}


def base() -> list[Program]:
    """What the verdicts need: the three cells as the asker had them, and one change for each hypothesis."""
    one, spoilt = routes(1.0), routes(LOW)["SRNN"]
    lstm = CELLS["LSTM"]
    made = [
        Program("SRNN", CELLS["SRNN"], DEFAULT | spoilt),
        Program("LSTM", lstm, DEFAULT | one["LSTM"]),
        Program("LSTM", lstm, {"SVD replaced": Start(initialise=keras3), "kernel x 1.6": Start(wider)}, runs=256),
        Program("LSTM, logistic gates", LSTM(), DEFAULT, runs=256),
        Program("LSTM, no noise", lstm, DEFAULT, runs=256, noise=0.0),
        Program("SRNN, no noise", CELLS["SRNN"], DEFAULT, runs=256, noise=0.0),
        Program("LSTM, blind part x 0", lstm, DEFAULT, runs=256, objective=losses.blind_scaled(0.0)),
        Program("LSTM, blind part x 0.1", lstm, DEFAULT, runs=256, objective=losses.blind_scaled(0.1)),
        Program(
            "LSTM, no output gate",
            HardLSTM(**OPEN),
            DEFAULT | {"same mu": Start(initialise=as_keras_lstm)},
            runs=256,
        ),
        Program(
            "LSTM, one gate",
            HardLSTM(coupled=True, **FREE, **OPEN),
            {"same mu": Start(initialise=as_keras_lstm)},
            runs=256,
        ),
        Program("SRNN, 50 epochs", CELLS["SRNN"], DEFAULT, runs=128, epochs=50),
        Program("LSTM, 50 epochs", lstm, DEFAULT, runs=128, epochs=50),
    ]
    far = {name: DEFAULT | {k: s for k, s in one[name].items() if k.endswith(("w_g", "w_h"))} for name in CELLS}
    made += [
        Program("SRNN", CELLS["SRNN"], DEFAULT, LONG, runs=256),
        Program("LSTM", lstm, far["LSTM"], LONG, runs=256),
        Program("GRU", CELLS["GRU"], DEFAULT | one["GRU"], runs=256),
        Program("GRU", CELLS["GRU"], far["GRU"], LONG, runs=128),
    ]
    return made


def law_of_length() -> list[Program]:
    """Default starts at short lengths."""
    return [Program(n, cell, DEFAULT, length, runs=256) for length in (5, 10, 20) for n, cell in CELLS.items()]


def other_routes() -> list[Program]:
    """What one step keeps, between the LSTM's and 1, by every route; and gates that forget in 99 steps."""
    keep = (LONG - 1) / LONG
    more = {
        "SRNN": {},
        "LSTM": {
            "f = 0.999": having(b_f=hard(FULL)),
            "chrono": having(b_f=hard(keep), b_i=hard(1 - keep)),
        },
        "GRU": {},
    }
    made = []
    for name, cell in CELLS.items():
        starts = {label: start for mu in (0.8, 0.9, 0.95) for label, start in routes(mu)[name].items()}
        made.append(Program(name, cell, starts | more[name], runs=64))
    return made


RATES = {
    "Adam": (3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
    "SGD": (0.1, 1.0),
    "RMSprop": (1e-3, 1e-2, 1e-1),
    "AdamW": (1e-3, 1e-1),
}
OPTIMISERS: dict[str, Callable[[Float[Array, ""]], optax.GradientTransformation]] = {
    "Adam": keras_adam,
    "SGD": optax.sgd,
    "RMSprop": functools.partial(optax.rmsprop, decay=0.9, eps=1e-7),
    "AdamW": functools.partial(optax.adamw, weight_decay=0.01),
}


def optimisers() -> list[Program]:
    """Every cell by four optimisers at several rates."""
    return [
        Program(n, cell, {f"{o} {r:g}": Start(rate=r) for r in RATES[o]}, runs=64, optimiser=optimiser)
        for o, optimiser in OPTIMISERS.items()
        for n, cell in CELLS.items()
    ]


def frameworks() -> list[Program]:
    """Cells as other frameworks have and start them: logistic gates, GRU with its reset gate after the product."""
    cells = {"SRNN": SRNN(), "LSTM": LSTM(), "GRU": GRUResetAfter()}
    starts = {
        "Keras 3": Start(initialise=keras3),
        "Flax": Start(initialise=flax, read=functools.partial(readout, kernel=lecun)),
        "PyTorch": Start(initialise=pytorch, read=linear),
    }
    return [Program(n, cell, starts, length, runs=128) for length in (10, 20, 50) for n, cell in cells.items()]


def one_logit() -> list[Program]:
    """One logit and a logistic function in place of two and a softmax."""
    starts = {"one logit": Start(outputs=None)}
    return [Program(n, CELLS[n], starts, runs=256, objective=losses.sigmoid) for n in ("SRNN", "LSTM")]


EVIDENCE: dict[str, Callable[[], list[Program]]] = {
    "law": law_of_length,
    "routes": other_routes,
    "optimisers": optimisers,
    "frameworks": frameworks,
    "readout": one_logit,
}


def train(program: Program, count: int = 10_000, seed: int = 0) -> xarray.Dataset:
    """Every start of one program, dims (case, length, seed), each run with a data set of its own.

    ``accuracy``; the ``multiplier`` and ``decay`` of the start, and whether its readout is ``aligned``.
    """
    starts = list(program.starts.values())

    def setup(key: Key[Array, ""], start: Float[Array, ""]) -> tuple[RNN, optax.GradientTransformation]:
        models = [start.model(program.cell, key) for start in starts]
        chosen = jax.tree.map(lambda *leaves: jnp.stack(leaves)[start.astype(int)], *models)
        return chosen, program.optimiser(jnp.asarray([start.rate for start in starts])[start.astype(int)])

    options: dict[str, Any] = {"epochs": program.epochs, "batch": BATCH, "objective": program.objective}
    options |= {"seeds": program.runs, "count": count, "seed": seed, "own_data": True}
    settings = {"start": np.arange(len(starts))}
    made = curves(setup, latch(program.noise), [program.length], settings=settings, **options)
    begun = rebuilt(program.cell, made.initial)
    each = jax.vmap(
        jax.vmap(jax.vmap(lambda model: (origin_multiplier(model.cell), told_apart(model, program.length))))
    )
    multiplier, apart = (np.asarray(a) for a in jax.jit(each, compiler_options=devices.hasty(0))(begun))
    u = np.asarray(begun.cell.u) if isinstance(program.cell, SRNN) else None
    dims = ("length", "start", "seed")
    found = {
        "accuracy": (dims, made.accuracy.transpose(*dims).values),
        "multiplier": (dims, multiplier),
        "decay": (dims, decay(multiplier, u, program.noise)),
        "aligned": (dims, np.where(apart == 0, np.nan, apart > 0)),
    }
    ds = xarray.Dataset(found, {"length": made.length, "seed": made.seed})
    labelled = ds.rename(start="case").assign_coords(case=np.array(program.cases(), object))
    return labelled.transpose("case", "length", "seed").assign_attrs(seconds=made.attrs["seconds"])


def rebuilt(cell: Cell, numbers: xarray.DataArray) -> RNN:
    """The models that `curves` lists number by number, shaped (length, start, seed)."""
    values = {str(n): jnp.asarray(numbers.sel(parameter=n).values) for n in numbers.parameter.values}
    two = [values.pop(f"readout.w[{i}]") for i in (0, 1) if f"readout.w[{i}]" in values]
    read = two[1] - two[0] if two else values.pop("readout.w")
    return RNN(cell=dataclasses.replace(cell, **{n: v for n, v in values.items() if "." not in n}), readout=read)


def told_apart(model: RNN, length: int) -> jax.Array:
    """``v (h(+) - h(-))`` at the end, without noise: how the answer tells the bits apart; negative if misaligned.

    0 where rounding leaves nothing of the bit: then a readout has no sign.
    """
    x = jnp.zeros(length).at[0].set(1.0)
    return model.readout * (answers(model.cell, x)[-1] - answers(model.cell, -x)[-1])


def quickly(programs: list[Program], runs: int) -> list[Program]:
    """Only the cases that verdicts need, none of the GRU, with few runs, and fewer of many epochs.

    Programs that now differ in their starts alone are one: most of the time goes into compiling.
    """
    needed = {case for suspect in SUSPECTS for case in suspect.after[:2]} | set(GAP[:2])
    made: list[Program] = []
    for program in programs:
        starts = {name: start for name, start in program.starts.items() if f"{program.name}, {name}" in needed}
        few = program._replace(runs=min(program.runs, runs if program.epochs <= 5 else runs // 2), starts={})
        same = next((i for i, other in enumerate(made) if other._replace(starts={}) == few), None)
        if starts and program.length <= AT and same is None:
            made.append(few._replace(starts=starts))
        elif starts and program.length <= AT:
            made[same] = few._replace(starts=made[same].starts | starts)
    return made


# What is kept on disk: one store for each program, so that nothing is computed twice


def kept(programs: list[Program], folder: Path | None, seed: int, count: int) -> list[xarray.Dataset]:
    """Every program trained, or read from ``folder``; what is left is said in minutes before each begins.

    Two at a time: compiling keeps one core busy, training two.
    """
    todo, done, began = [p.work() for p in programs], [0.0] * len(programs), time.perf_counter()

    def one(number: int) -> xarray.Dataset:
        program = programs[number]
        settings: dict[str, Any] = {"cases": program.cases(), "length": program.length, "runs": program.runs}
        settings |= {"epochs": program.epochs, "seed": seed, "count": count}
        path = folder / f"{number:02d}.zarr" if folder else None
        if path and (there := store.find(path, settings)) is not None:
            return there.load()
        pace = (time.perf_counter() - began) / sum(done) if any(done) else 0.5  # two cores, before any is measured
        print(
            f"  {pace * sum(todo[number:]) / 60:.1f} minutes left; now {program.runs} runs each of "
            f"{', '.join(program.cases())} at T = {program.length}",
            flush=True,
        )
        found = train(program, count, seed)
        done[number] = todo[number]
        if path:
            store.save(found, path, settings)
        return found

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, range(len(programs))))


# Solutions that guessing finds


def normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Weights from N(0, 1)."""
    return jax.random.normal(key, shape)


def volume(tried: int, seed: int = 0) -> xarray.Dataset:
    """How many of ``tried`` random models, all weights and the readout from N(0, 1), keep 64 bits for 100 steps."""
    cells = CELLS | {"LSTM of one gate": HardLSTM(coupled=True, **FREE, **OPEN)}
    shapes = [jax.eval_shape(functools.partial(begin, cell), jax.random.key(0)) for cell in cells.values()]
    models = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    found = [baseline(model, latch(NOISE), [LONG], tried=tried, draw=normal, seed=seed) for model in models]
    solved = ("cell", [int(each.solved[0]) for each in found])
    return xarray.Dataset({"solved": solved}, {"cell": np.array(list(cells), object)}, {"tried": tried})


# What follows


def counted(runs: xarray.Dataset, length: int = AT) -> dict[str, Strata]:
    """The `strata` of every case that ran at a length, by name; of cases whose readouts all have a sign."""
    found = {}
    for case in map(str, runs.case.values):
        one = runs.sel(case=case, length=length)
        ran = np.isfinite(one.accuracy.values)
        if ran.any() and np.isfinite(one.aligned.values[ran]).all():
            found[case] = strata(one.accuracy.values[ran] > SOLVED, one.aligned.values[ran] == 1)
    return found


def rates_of(runs: xarray.Dataset, length: int) -> dict[str, tuple[Share, int]]:
    """How often every case learns at a length, and in how many runs; plain shares where signs are not known."""
    known, found = counted(runs, length), {}
    for case in map(str, runs.case.values):
        accuracy = runs.accuracy.sel(case=case, length=length).values
        if tried := int(np.isfinite(accuracy).sum()):
            plain = share(int((accuracy > SOLVED).sum()), tried)
            found[case] = (stratified(known[case]) if case in known else plain), tried
    return found


def of_lstm(name: str, claim: str, change: str, case: str) -> Suspect:
    """A suspect that only the LSTM has or lacks: the vanilla RNN stays as it is."""
    return Suspect(name, claim, change, Pair("SRNN, default", f"LSTM, {case}"))


def of_both(name: str, claim: str, change: str, case: str) -> Suspect:
    """A suspect that both cells have or lack: the gap is that of both changed."""
    return Suspect(name, claim, change, Pair(f"SRNN, {case}", f"LSTM, {case}"))


GAP = Pair("SRNN, default", "LSTM, default")
SUSPECTS = (
    of_lstm("H1", "one step keeps too little", "added: one step keeps 1", "mu = 1 by w_g"),
    Suspect("H2", "its readout has the wrong sign", "removed from both: wrong signs", GAP._replace(weights=RIGHT)),
    of_lstm("H3", "label-blind gradients shut its gates", "removed: that part of the loss", "blind part x 0, default"),
    of_lstm("H4", "it has too few solutions", "removed: two gates, at the same start", "one gate, same mu"),
    of_both("H5", "it needs more time", "added to both: 50 epochs, not 5", "50 epochs, default"),
    of_lstm("H6", "its gates are hard (Keras 2)", "removed: the corners of its gates", "logistic gates, default"),
    of_lstm("H7", "its input weights start smaller", "removed: inputs weigh 1.6 times more", "kernel x 1.6"),
    of_lstm("H8", "its weights are drawn by SVD", "removed: QR, with random signs", "SVD replaced"),
    of_both("H9", "noise alone", "removed from both: noise", "no noise, default"),
    of_lstm("H10", "its output gate weakens it", "removed: the output gate", "no output gate, default"),
)  # fmt: skip


def law(runs: xarray.Dataset, cell: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``x = T |ln lambda|``, whether solved, whether aligned: of every default run of a cell."""
    one = runs.sel(case=f"{cell}, default")
    ran = np.isfinite(one.accuracy.values) & np.isfinite(one.aligned.values)
    x = one.length.values[:, None] * one.decay.values
    return x[ran], one.accuracy.values[ran] > SOLVED, one.aligned.values[ran] == 1


def table(runs: xarray.Dataset, start: xarray.Dataset) -> xarray.Dataset:
    """`verdicts` by hypothesis, the `horizon` of the aligned runs of each cell, and the ``answer`` in attrs."""
    cases = counted(runs)
    found, after = verdicts(cases, GAP, SUSPECTS), [suspect.after for suspect in SUSPECTS]
    text = lambda words: ("hypothesis", np.array(list(words), object))  # noqa: E731
    columns: dict[str, Any] = {
        "verdict": text(v.verdict for v in found),
        "claim": text(v.suspect.claim for v in found),
        "change": text(v.suspect.change for v in found),
        "closed": (("hypothesis", "end"), np.array([v.closed for v in found])),
        "learn": (
            ("hypothesis", "end"),
            np.array([stratified(cases[v.suspect.after.less], v.suspect.after.weights) for v in found]),
        ),
        "tried": ("hypothesis", np.array([sum(cases[p.less].tried) for p in after])),
        "gap": ("end", np.array(gap(cases, GAP))),
    }
    reach = [horizon(x[aligned], solved[aligned]) for x, solved, aligned in (law(runs, n) for n in start.cell.values)]
    columns["horizon"] = (("cell", "end"), np.array(reach))
    names = {"hypothesis": np.array([v.suspect.name for v in found], object), "cell": start.cell.values}
    return xarray.Dataset(columns, names, {"answer": answer(cases, found, start), "at": AT})


def began(runs: xarray.Dataset) -> xarray.Dataset:
    """The ``multiplier`` of the default starts that a quick look trained, dims (cell, draw)."""
    cases = [case for case in map(str, runs.case.values) if case in GAP]
    kept = runs.multiplier.sel(case=cases, length=AT, drop=True).rename(case="cell", seed="draw")
    names = np.array([case.partition(",")[0] for case in cases], object)
    return xarray.Dataset({"multiplier": kept.assign_coords(cell=names)})


def answer(cases: Mapping[str, Strata], found: list[Verdict], start: xarray.Dataset) -> str:
    """The answer in a sentence or two, made of the numbers; it says so where the first suspect is not the cause."""
    lstm, srnn = (float(np.median(abs(start.multiplier.sel(cell=n)))) for n in ("LSTM", "SRNN"))
    names = (SUSPECTS[0].after.less, GAP.less, GAP.more)
    learn, old, other = (stratified(cases[name]) for name in names)
    fewest = min(sum(cases[name].tried) for name in names)
    if found[0].verdict != CAUSE:
        return f"That one step keeps {lstm:.2f} of a small memory, the vanilla RNN's {srnn:.2f}: {found[0].verdict}."
    return (
        f"Because at the start one step of it keeps {lstm:.2f} of a small memory, one of the vanilla RNN {srnn:.2f}. "
        f"Set to 1, it learns in {learn} of runs at T = {AT}, not in {old}; the vanilla RNN in {other} (n = {fewest})."
    )


# All of it


def run(
    evidence: tuple[str, ...] = (),
    seed: int = 0,
    runs: int = 512,
    draws: int = 400,
    tried: int = 10_000,
    count: int = 10_000,
    quick: bool = False,
    out: str | None = "results/why_lstm_latches_worse",
) -> dict[str, xarray.Dataset]:
    """``start`` (`before`), ``runs`` (`train`, NaN where not run), ``volume``, and the ``verdicts`` on them (`table`).

    ``evidence``: more than the verdicts need, any of `EVIDENCE`; each says its minutes before it begins. ``runs``: at
    most so many of a case. ``quick``: 16 at most, of what the verdicts need alone: no GRU, no ``volume``, and of the
    starts their multiplier (`began`). Each program is kept in ``out`` and never computed twice.
    """
    if unknown := [name for name in evidence if name not in EVIDENCE]:
        raise ValueError(f"there is no evidence {unknown[0]!r}; choose from {', '.join(EVIDENCE)}")
    runs = min(runs, 16) if quick else runs
    folder, found = Path(out) / ("quick" if quick else "parts") if out else None, []
    for name in ("base", *evidence):
        programs = [p._replace(runs=min(p.runs, runs)) for p in (base if name == "base" else EVIDENCE[name])()]
        if quick and name == "base":
            programs = quickly(programs, runs)
        print(f"{name}: about {sum(p.work() for p in programs) / 120:.0f} minutes on two cores", flush=True)
        found += kept(programs, folder and folder / name, seed, count)
    joined = combined(found).assign_attrs({"count": count, "seed": seed, **provenance.here()})
    start = began(joined) if quick else before(CELLS, draws, 64, LONG, NOISE, seed)
    results = {"runs": joined, "start": start, "verdicts": table(joined, start)}
    results |= {} if quick else {"volume": volume(tried, seed)}
    for name, ds in results.items() if out and not quick else ():
        shutil.rmtree(Path(out) / f"{name}.zarr", ignore_errors=True)  # made of the parts, and of nothing else
        store.save(ds, Path(out) / f"{name}.zarr", {"evidence": list(evidence), "seed": seed, "runs": runs})
    return results


def combined(parts: list[xarray.Dataset]) -> xarray.Dataset:
    """All cases at all lengths in one Dataset, NaN where not run."""
    return functools.reduce(lambda made, part: made.combine_first(part), parts, xarray.Dataset())


def sentence(results: Mapping[str, xarray.Dataset]) -> str:
    """The verdicts, every rate with its interval and number of runs, and the law, in numbers from the data."""
    found, start, runs = results["verdicts"], results["start"], results["runs"]
    lines = [found.attrs["answer"], f"The gap at T = {AT}: {Share(*found.gap.values)}."]
    for name in found.hypothesis.values:
        one = found.sel(hypothesis=name)
        lines.append(
            f"{name} {one.verdict.item()}: {one.claim.item()}; {one.change.item()}: closes {Share(*one.closed.values)} "
            f"of the gap; the LSTM learns in {Share(*one.learn.values)}, n = {int(one.tried)}."
        )
    for length in map(int, runs.length.values):
        told = [f"{case} {rate} n = {tried}" for case, (rate, tried) in rates_of(runs, length).items()]
        lines.append(f"T = {length}: {'; '.join(told)}")
    for name in start.cell.values:
        low, middle, high = np.quantile(np.abs(start.multiplier.sel(cell=name)), [0, 0.5, 1])
        lines.append(
            f"{name}: one step keeps {middle:.2f} ({low:.2f} to {high:.2f}) at the start; aligned runs learn up to "
            f"T |ln lambda| = {Share(*found.horizon.sel(cell=name).values)}"
        )
    if "volume" in results:
        room, tried = results["volume"].solved, results["volume"].attrs["tried"]
        solutions = ", ".join(f"{int(n)} {cell}" for cell, n in zip(room.cell.values, room.values, strict=True))
        lines.append(f"Of {tried:,} models with weights from N(0, 1) keep the bit for {LONG} steps: {solutions}.")
    return "\n".join(lines)


if __name__ == "__main__":
    print(sentence(run()))

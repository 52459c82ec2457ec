"""Which recurrent architecture, and which of the LSTM's gates (Jozefowicz et al. 2015)? Does an LSTM latch?

    landscape run architectures
    landscape run architectures --quick
    landscape run architectures --cells mine.py:Sine LSTM GRU
    landscape run architectures --text=mine.txt
    python figures/architectures.py

The source searches 10,000 architectures and reports, accuracy of the next symbol on arithmetic and XML: tanh .295 and
.321; LSTM .892 and .425; without forget gate (LSTM-f) .293 and .234, without input gate .751 and .414, without output
gate .867 and .421; with a forget bias of 1 (LSTM-b) .902 and .444; GRU .896 and .460; its mutants MUT1 .921 and .475,
MUT2 .897 and .473, MUT3 .907 and .465 (quoted from memory).

Here: sums of two digits among letters (10 steps), tags (30), and the source of Python's standard library or a text of
yours, as a stand-in for Penn Treebank (40); layers with as many parameters as an LSTM of 24 units, Adam, norms clipped
at 1, five repeats with data of their own (the text is one), the best of three rates by validation. Bengio, Simard &
Frasconi (1994) showed that a memory in attractors lets gradients fade; is an LSTM's none? The states that a trained
network visits are left to read a letter that means nothing, 1,000 times, and it is counted in how many different places
they end.

Expected, shares of right next symbols on sums (870 updates of 16), text (260) and tags (350), mean of five (half of its
95 % interval):

    tanh      .650 (.031)  .435 (.004)  .272 (.002)      LSTM-o    .769 (.006)  .435 (.012)  .275 (.005)
    LSTM      .792 (.019)  .446 (.005)  .272 (.005)      GRU       .845 (.030)  .454 (.008)  .277 (.006)
    LSTM-b    .802 (.044)  .436 (.015)  .276 (.004)      MUT1      .936 (.049)  .462 (.010)  .277 (.007)
    bias 2    .795 (.027)  .435 (.017)  .280 (.005)      MUT2      .853 (.015)  .456 (.013)  .277 (.009)
    LSTM-f    .815 (.062)  .440 (.016)  .281 (.011)      MUT3      .868 (.036)  .453 (.008)  .277 (.005)
    LSTM-i    .722 (.022)  .443 (.014)  .275 (.006)

Of the source's claims one is decided: LSTM-f near tanh, refuted on sums, by seed 1 too (five cells, two rates); over
ten steps nothing need be forgotten. The order of the gates, what a forget bias closes of the gap to the GRU, and that
MUT1 is ahead (by .04 to .14 on sums, Holm's p .1 over all tasks and pairs) are not; tags are far too short a training.

Networks with several ends: tanh 1 of 5 (seed 1: 2), LSTM 1 (3), LSTM-b 5 (5), GRU 5 (5), of 24 states 17 to 22 ends.
So whether an LSTM's memory is an attractor is not decided; with a forget bias of 1 all ten networks have several ends,
without one four. Along these episodes the largest Lyapunov exponent is -.05 a step for tanh, and -.03, .03 and .01 for
LSTM, LSTM-b and GRU: over ten steps little fades. Ten minutes of processor time.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import xarray
from jax.flatten_util import ravel_pytree

from landscape import comparisons, data, dynamics, losses, names, store, tasks, training, views
from landscape.cells import LSTM, MUT1, MUT2, MUT3, SRNN, GRUChung
from landscape.extras import needed
from landscape.models import RNN
from landscape.success import mean, share
from landscape.sweeps import sweep, whole
from landscape.tasks import Task
from landscape.verdicts import Claim
from landscape.views.walking import visited

ablation, characters, music = (
    names.module(str(Path(__file__).with_name(f"{name}.py"))) for name in ("ablation", "characters", "music_and_sound")
)
order, word = music.order, music.word


def without(gate: str) -> LSTM:
    """An LSTM of which one gate stays open."""
    return LSTM(**dict.fromkeys(f"{kind}_{gate}" for kind in "wub"))


#: The source's cells, and the forget bias that one starts with where it has one.
CASES = {
    "tanh": (SRNN(), 0.0),
    "LSTM": (LSTM(), 0.0),
    "LSTM-b": (LSTM(), 1.0),
    "LSTM-b 2": (LSTM(), 2.0),
    "LSTM-f": (without("f"), 0.0),
    "LSTM-i": (without("i"), 0.0),
    "LSTM-o": (without("o"), 0.0),
    "GRU": (GRUChung(), 0.0),
    "MUT1": (MUT1(p=0.0), 0.0),
    "MUT2": (MUT2(p=0.0), 0.0),
    "MUT3": (MUT3(), 0.0),
}
MUTANTS = ("MUT1", "MUT2", "MUT3")
#: Pairs that the source's claims are about: which of the two is more often right.
PAIRS = (
    ("LSTM-i", "LSTM-f"),
    ("LSTM-o", "LSTM-i"),
    ("GRU", "LSTM"),
    ("GRU", "LSTM-b"),
    ("LSTM-b", "LSTM"),
    ("LSTM", "tanh"),
    ("LSTM-f", "tanh"),
    *((mutant, "GRU") for mutant in MUTANTS),
)
SHARE = 0.15  # of the episodes to choose rate and epoch by, and as many to test on
LOOKED_AT, EPISODES, STATES, STEPS = ("tanh", "LSTM", "LSTM-b", "GRU"), 16, 24, 500
LETTER = tasks.strings.ARITHMETIC.index("a")


class Setting(NamedTuple):
    """A task as it is trained on, the symbols it has, and how many episodes are drawn of it."""

    task: Task
    length: int
    symbols: int
    count: int
    epochs: int


@functools.cache
def setting(kind: str, text: str, effort: float) -> Setting:
    """Sums of two digits among letters, tags, or a text: a file of yours, or the library of Python that runs."""
    many = lambda count: max(64, round(count * effort))  # noqa: E731
    if kind == "arithmetic":
        return Setting(tasks.arithmetic(1), 10, len(tasks.strings.ARITHMETIC), many(2000), 10)
    if kind == "xml":
        return Setting(tasks.xml(), 30, len(tasks.strings.XML), many(2000), 4)
    words = Path(text).read_text(encoding="utf-8") if text else characters.source(60_000)
    read = data.text(words[: 40 * many(1500)])
    episodes = data.next_symbols(read.symbols, 40)
    return Setting(data.task(episodes, name="text"), 40, len(read.alphabet), len(episodes.x), 4)


KINDS = ("arithmetic", "text", "xml")


def named(case: str) -> tuple[Any, float]:
    """A cell and its forget bias: one of the source's, or any other by name."""
    return CASES[case] if case in CASES else (names.cell(case, {}), 0.0)


def case(kind: str, cell: str, text: str, units: int, rates: tuple[float, ...], repeats: int, effort: float,
         seed: int) -> xarray.Dataset:  # fmt: skip
    """One cell on one task: ``accuracy`` and ``loss`` (rate, seed) of the test, and what `look` sees of sums."""
    made, (begun, bias) = setting(kind, text, effort), named(cell)
    count = characters.matched(begun, 1, made.symbols, characters.numbers(LSTM(), 1, units, made.symbols))

    def setup(key: jax.Array, rate: Any, bias: Any) -> tuple[RNN, optax.GradientTransformation]:
        model = characters.model(begun, 1, count, made.symbols, key)
        rule = optax.chain(optax.clip_by_global_norm(1.0), training.keras_adam(rate))
        return dataclasses.replace(model, cell=ablation.with_bias(model.cell, bias)), rule

    done = training.curves(
        setup,
        made.task,
        [made.length],
        seeds=repeats,
        settings={"rate": rates, "bias": [bias]},
        count=made.count,
        objective=losses.classes,
        split=training.last(SHARE, SHARE),
        epochs=made.epochs,
        batch=16,
        seed=seed,
        own_data=True,
    ).isel(length=0, bias=0, drop=True)
    found = {"accuracy": done.test_accuracy, "loss": done.test_loss, "chosen_by": done.val_accuracy.max("epoch")}
    best = int(found["chosen_by"].mean("seed").argmax("rate"))
    back = ravel_pytree(jax.tree.map(np.asarray, setup(jax.random.key(0), 0.1, bias)[0]))[1]
    nets = [back(flat.astype(np.float32)) for flat in done.final.values[best]]
    looked = kind == "arithmetic" and (cell in LOOKED_AT or cell not in CASES)
    seen = [look(net, made) if looked else dict.fromkeys(SEEN, np.nan) for net in nets]
    about = {name: ("seed", [one[name] for one in seen]) for name in SEEN}
    parameters = characters.numbers(begun, 1, count, made.symbols)
    return xarray.Dataset({**found, **about, "units": count, "parameters": parameters})


SEEN = ("radius", "lyapunov", "resting", "ends", "points", "stable")


@functools.partial(jax.jit, static_argnames="steps")
def read_on(cell: Any, states: Any, x: jax.Array, steps: int) -> tuple[Any, Any]:
    """Where states (start, ...) are after so many steps that all read x, and their mean over these steps."""

    def go(state: Any) -> tuple[Any, Any]:
        step = lambda s, _: ((new := cell.step(s, x)), new)  # noqa: E731
        end, every = jax.lax.scan(step, state, length=steps)
        return end, jax.tree.map(lambda leaf: leaf.mean(0), every)

    return jax.vmap(go)(states)


def apart(means: np.ndarray, reach: float = 0.1) -> int:
    """How many of some means (start, unit) are different: further than ``reach`` from all before, in some unit."""
    found: list[np.ndarray] = []
    for one in means:
        if all(np.abs(one - other).max() > reach for other in found):
            found.append(one)
    return len(found)


def look(net: RNN, made: Setting) -> dict[str, float]:
    """Along episodes, and with a letter held: is what is remembered kept by attractors?

    ``radius``: the largest modulus of an eigenvalue of a step's Jacobian, median over steps; ``lyapunov``: the largest
    exponent a step, mean over episodes; ``resting`` the same along `STEPS` letters a, which mean nothing. States that
    the network visits are left to read that letter: once `STEPS` steps are over, the means over as many more tell how
    many different ``ends`` they have gone to, attractors, cycles among them, or what fades too slowly to tell;
    ``points``, of which so many ``stable``, are the fixed points found from these means.
    """
    shown = np.asarray(jax.jit(lambda: tasks.episodes(made.task, jax.random.key(1), EPISODES, made.length).x)())
    turns = [views.spectra(net, x) for x in shown]
    visits = jax.tree.map(np.asarray, jax.jit(jax.vmap(lambda x: visited(net.cell, x, 0.0)))(shown))
    at = np.linspace(0, EPISODES * (made.length + 1) - 1, STATES).astype(int)
    starts = jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1])[at], visits)
    letter = np.eye(made.symbols, dtype=np.float32)[LETTER]
    ends, _ = read_on(net.cell, starts, letter, STEPS)
    means = read_on(net.cell, ends, letter, STEPS)[1]
    found = dynamics.search(net.cell, means, letter)
    return {
        "radius": float(np.median([np.abs(turn.eigenvalue.values[:, 0]) for turn in turns])),
        "lyapunov": float(np.mean([turn.lyapunov.values[0] for turn in turns])),
        "resting": float(views.spectra(net, np.full(STEPS, LETTER, shown.dtype)).lyapunov.values[0]),
        "ends": float(apart(np.asarray(means.h))),
        "points": float(len(found.residual)),
        "stable": float(found.stable.sum()),
    }


def run(
    cells: tuple[str, ...] = tuple(CASES),
    kinds: tuple[str, ...] = KINDS,
    text: str = "",
    units: int = 24,
    rates: tuple[float, ...] = (3e-3, 1e-2, 3e-2),
    repeats: int = 5,
    effort: float = 1.0,
    seed: int = 0,
    quick: bool = False,
    out: str = "",
) -> xarray.Dataset:
    """Every cell on every task, dims (kind, cell, rate, seed), kept in ``out``: run again to go on.

    ``cells``: the source's by the names of `CASES`, any other by its own or as ``file.py:Name``. ``kinds``: of tasks,
    of arithmetic, xml and text. ``text``: a file of yours. ``units``: of the LSTM that all match in parameters.
    ``effort`` multiplies the episodes that are drawn. ``quick``: three cells, sums alone, one rate, three repeats, a
    quarter of the effort. ``out`` is results/architectures unless given.
    """
    needed("optimistix", "layers", "fixed points of trained networks are found")
    if wrong := [kind for kind in kinds if kind not in KINDS]:
        raise names.unknown("task", wrong[0], KINDS, " that architectures can train on")
    if quick:
        kinds, rates, repeats, effort = kinds[:1], rates[-1:], 3, 0.25
        cells = ("tanh", "LSTM", "GRU") if cells == tuple(CASES) else cells
    for cell in cells:
        named(cell)
    if text and not Path(text).is_file():
        raise ValueError(f"there is no text {text}; give the path of a file")
    fixed = {"text": text, "units": units, "rates": rates, "repeats": repeats, "effort": effort, "seed": seed}
    folder = Path(out or f"results/architectures{'_quick' * quick}")
    moves = {"cell": list(cells)}
    parts = [
        whole(sweep(f"{__file__}:case", moves, {**fixed, "kind": kind}, out=folder / f"{kind}.zarr", report=print))
        for kind in kinds
    ]
    made = xarray.concat(parts, "kind", data_vars="all", coords="minimal", compat="override", join="exact")
    made = made.drop_vars(("sweep_state", "cell"), errors="ignore").assign_coords(kind=list(kinds))
    found = judged(made.assign_coords(cell=[cell.rpartition(":")[2] for cell in cells]))
    found = found.assign_attrs({**fixed, "claims": [list(claim) for claim in claims(found)]})
    settings = {**fixed, **moves, "kinds": list(kinds)}
    return store.keep(found, folder / "found.zarr", settings)


def judged(made: xarray.Dataset) -> xarray.Dataset:
    """Each cell at its best rate, and pairs of cells there, dims (kind, cell), (kind, pair).

    The best rate is that of the highest validation accuracy, mean over repeats; compared are accuracies of the test, 0
    for what diverged. Holm's correction is over all tasks and pairs.
    """
    test = made.accuracy.fillna(0).transpose("kind", "cell", "rate", "seed").values
    marks = made.chosen_by.fillna(0).mean("seed").transpose("kind", "cell", "rate").values
    at = marks.argmax(2)
    chosen = np.take_along_axis(test, at[:, :, None, None], 2)[:, :, 0]
    means = np.array([[mean(runs) for runs in row] for row in chosen])
    found = made.assign({name: (("kind", "cell"), means[..., k]) for k, name in enumerate(("best", "low", "high"))})
    found["best_rate"] = ("kind", "cell"), made.rate.values[at]
    place = {str(cell): k for k, cell in enumerate(made.cell.values)}
    pairs = asked(list(place))
    ends = np.array([[music.compared(row[place[a]], row[place[b]]) for a, b in pairs] for row in chosen])
    ends = ends.reshape(len(chosen), len(pairs), 4)
    columns = {key: (("kind", "pair"), ends[..., k]) for k, key in enumerate(("gap", "gap_low", "gap_high"))}
    found = found.assign(columns).assign_coords(pair=[f"{a} - {b}" for a, b in pairs])
    return found.assign(p=(("kind", "pair"), comparisons.holm(ends[..., 3].ravel()).reshape(ends.shape[:2])))


def asked(cells: list[str]) -> list[tuple[str, str]]:
    """The pairs of claims that are there, and every cell of a user's beside the LSTM, or the first of the source's."""
    other = next((cell for cell in ["LSTM", *CASES] if cell in cells), cells[0])
    return [pair for pair in PAIRS if set(pair) <= set(cells)] + [
        (cell, other) for cell in cells if cell not in CASES and cell != other
    ]


def claims(found: xarray.Dataset) -> list[Claim]:
    """What the source says, and what users' cells come to, task by task; whether an LSTM is free of attractors."""
    made = []
    for kind in map(str, found.kind.values):
        one, there = found.sel(kind=kind), set(map(str, found.pair.values))
        if {"LSTM-i - LSTM-f", "LSTM-o - LSTM-i"} <= there:
            made.append(gates(one, kind))
        if {"GRU - LSTM", "GRU - LSTM-b"} <= there:
            made.append(half(one, "GRU - LSTM-b", "GRU - LSTM", f"a forget bias closes the gap to the GRU on {kind}"))
        if {"LSTM-f - tanh", "LSTM - tanh"} <= there:
            made.append(half(one, "LSTM-f - tanh", "LSTM - tanh", f"LSTM-f is nearer to tanh than to LSTM on {kind}"))
        if {f"{mutant} - GRU" for mutant in MUTANTS} <= there:
            made.append(mutants(one, kind))
        own = [pair for pair in there if pair.partition(" - ")[0] not in CASES]
        made += [leads(one.sel(pair=pair), kind) for pair in sorted(own)]
    return made + attractors(found)


def evidence(pair: xarray.Dataset) -> str:
    return (
        f"{pair.pair.item()} {float(pair.gap):+.3f} ({float(pair.gap_low):+.3f} to {float(pair.gap_high):+.3f}), "
        f"Holm's p {float(pair.p):.2g}"
    )


def gates(one: xarray.Dataset, kind: str) -> Claim:
    """The forget gate matters most, the output gate least: without it more answers are right, by surely so much."""
    pairs = one.sel(pair=["LSTM-i - LSTM-f", "LSTM-o - LSTM-i"])
    signs = order(pairs.gap, pairs.p)
    told = "; ".join(evidence(pairs.isel(pair=k)) for k in range(2))
    return Claim(f"gates matter in the order f, i, o on {kind}", word(int(signs.min())), told)


def half(one: xarray.Dataset, part: str, whole: str, claim: str) -> Claim:
    """Whether a gap is surely less than half of another one, which is surely there."""
    part, whole = one.sel(pair=part), one.sel(pair=whole)
    bound = float(whole.gap) / 2 if order(whole.gap, whole.p) == 1 else np.nan
    sign = 1 if part.gap_high < bound else -1 if part.gap_low > bound else 0
    return Claim(claim, word(sign), f"{evidence(part)}; {evidence(whole)}")


def mutants(one: xarray.Dataset, kind: str) -> Claim:
    """Some mutant is surely more often right than the GRU; refuted if all are surely less often."""
    pairs = one.sel(pair=[f"{mutant} - GRU" for mutant in MUTANTS])
    signs = order(pairs.gap, pairs.p)
    told = "; ".join(evidence(pairs.isel(pair=k)) for k in range(len(MUTANTS)))
    return Claim(f"a mutant is ahead of the GRU on {kind}", word(int(signs.max())), told)


def leads(pair: xarray.Dataset, kind: str) -> Claim:
    """A user's cell is ahead of what it is compared to."""
    first, _, second = pair.pair.item().partition(" - ")
    return Claim(f"{first} is ahead of {second} on {kind}", word(int(order(pair.gap, pair.p))), evidence(pair))


def attractors(found: xarray.Dataset) -> list[Claim]:
    """An LSTM is not attractor-based: refuted if most of its networks, left alone, have two ends or more."""
    there = [cell for cell in ("LSTM", "LSTM-b") if cell in found.cell]
    runs = {cell: found.ends.sel(cell=cell).values.ravel() for cell in there}
    runs = {cell: ends[np.isfinite(ends)] for cell, ends in runs.items() if np.isfinite(ends).any()}
    if not runs:
        return []
    several = {cell: int((ends >= 2).sum()) for cell, ends in runs.items()}
    won = share(sum(several.values()), sum(map(len, runs.values())))
    sign = -1 if won.low > 0.5 else 1 if won.high < 0.5 else 0
    told = ", ".join(f"{cell} {several[cell]} of {len(ends)}" for cell, ends in runs.items())
    return [Claim("an LSTM's memory is no attractor", word(sign), f"networks with several ends: {won}; {told}")]


def sentence(found: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    lines = []
    for kind in map(str, found.kind.values):
        one = found.sel(kind=kind)
        cells = [
            f"{c} {float(one.best.sel(cell=c)):.3f} ({float(one.low.sel(cell=c)):.3f} to "
            f"{float(one.high.sel(cell=c)):.3f}) at {float(one.best_rate.sel(cell=c)):g}"
            for c in map(str, one.cell.values)
        ]
        lines.append(f"{kind}, right answers: {'; '.join(cells)}")
    lines += [seen(found, str(cell)) for cell in found.cell.values]
    return "\n".join([*filter(None, lines), *(f"{c.claim}: {c.verdict} ({c.evidence})" for c in claims(found))])


def seen(found: xarray.Dataset, cell: str) -> str:
    """What the trained networks of a cell keep, means over them; nothing if they were not looked at."""
    one = found[list(SEEN)].sel(cell=cell).dropna("kind", how="all")
    if not one.sizes["kind"]:
        return ""
    told = {name: mean(one[name].values.ravel()) for name in SEEN}
    return f"{cell}, arithmetic: " + "; ".join(f"{name} {value}" for name, value in told.items())


if __name__ == "__main__":
    print(sentence(run()))

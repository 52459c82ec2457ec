"""Can one read from the untrained cell which architecture will learn? Mutants of LSTM and GRU, after Jozefowicz et al.

    landscape run mutants
    landscape run mutants --quick
    python figures/mutants.py

Jozefowicz, Zaremba & Sutskever (2015) mutated recurrent cells, part by part, and trained more than 10,000 of them. Here
are 200 mutants as expressions (`landscape.cells.mutations`), by successive halving on their tasks: all on memorisation,
the better half on arithmetic, the better half of those on XML. What is no cell is dropped before it costs anything, and
counted: without a path from x or from h to h', too large, not finite after ten steps, deaf to its inputs; and what
learns nothing by memorising. Of every cell *before* training: the multiplier of the origin, the growth of the gradient
with lag, and the Lyapunov exponent under the task's input; then how these rank beside what was learned.

Expected: Spearman's correlation over mutants, its bootstrapped interval of 95 %, and * where p < .05 by permutations
with Holm's correction over nine:

    memorisation, 134 mutants  multiplier .37 (.19 to .52)*  gradient .34 (.16 to .50)*  exponent .30 (.13 to .47)*
    arithmetic, 100                      -.29 (-.48 to -.09)*        -.28 (-.48 to -.09)*        -.34 (-.52 to -.14)*
    XML, 50                              -.19 (-.45 to .08)          -.26 (-.52 to .03)          -.23 (-.50 to .06)

So who will memorise is foretold by what a cell keeps before training. Among those that memorise best, which alone go on
to the other tasks, the sign turns: what keeps more learns less arithmetic. XML is not decided: all learn alike there
(median .143 of a blind guess's loss, best .147). Of the 200, 52 are deaf, 14 not finite, and 34 learn nothing by
memorising; 40 more draws were dropped unseen. The best mutants memorise all (1.00; GRU .53, MUT1 .55, an LSTM with
biases 0 nothing), and none is far ahead at sums (.36; GRU .33). Other mutants (`--seed 1`) give the same nine verdicts:
memorisation .42, .49, .45 (131 mutants), arithmetic -.31, -.38, -.38 (91), XML -.21, -.29, -.27 (45; p .16). Twelve
minutes of processor time.
"""

import collections
import functools
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from landscape import comparisons, devices, dynamics, initialisers, losses, store, tasks, training
from landscape.cells import expressions, mutations
from landscape.cells.expressions import Tree
from landscape.models import RNN
from landscape.sweeps import sweep, threads
from landscape.tasks import Episode
from landscape.training import gradients
from landscape.verdicts import HELD, OPEN, REFUTED, Claim
from landscape.views import turns
from landscape.views.walking import visited

PARENTS = ("LSTM", "GRU", "MUT1", "MUT2", "MUT3")
TASKS = {"memorise": tasks.memorise(3, 8), "arithmetic": tasks.arithmetic(2), "xml": tasks.xml()}  # from rung to rung
SYMBOLS, LENGTH, BATCH = 40, 16, 16  # one shape for all tasks, so that a cell compiles once
LOOKED = 8  # episodes along which an untrained cell is looked at
LEAST = 0.02  # of what can be known, learned: less is nothing
FEATURES = {
    "origin": "the multiplier of the origin",
    "gradient": "the growth of the gradient with lag",
    "lyapunov": "the Lyapunov exponent under the task's input",
}


class Drawn(NamedTuple):
    """Cells to try, by name, parents first; and how many draws were dropped unseen, by the reason."""

    trees: dict[str, Tree]
    dropped: dict[str, int]


@functools.cache
def drawn(count: int, seed: int, most: int) -> Drawn:
    """``count`` mutants of LSTM and GRU in turn, no two alike, of at most so many parts."""
    rng, dropped = np.random.default_rng(seed), collections.Counter()
    trees = {name: getattr(expressions, name)() for name in PARENTS}
    while len(trees) < count + len(PARENTS):
        parent = PARENTS[len(trees) % 2]
        tree = mutations.mutated(trees[parent], rng)
        why = "as another" if tree in trees.values() else mutations.sound(tree, most)
        if why:
            dropped[why] += 1
        else:
            trees[f"{parent} {len(trees) - len(PARENTS) + 1}"] = tree
    return Drawn(trees, dict(dropped))


def begun(tree: Tree, units: int, starts: int, seed: int) -> RNN:
    """Models (start, ...): recurrent matrices orthogonal, those of the input LeCun's, biases 0."""
    cell = expressions.expression(*tree)
    keys = [jax.random.split(jax.random.fold_in(jax.random.key(seed), k)) for k in range(starts)]
    made = [
        RNN(cell=initialisers.flax(cell, a, units, SYMBOLS), readout=initialisers.readout(b, units, SYMBOLS))
        for a, b in keys
    ]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *made)


@functools.cache
def stream(task: str, updates: int, seed: int) -> Episode:
    """Fresh episodes for every update, (update, time, batch)."""
    one = lambda key: tasks.time_first(tasks.episodes(TASKS[task], key, BATCH, LENGTH))  # noqa: E731
    return jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(seed), updates))


@functools.cache
def looked(task: str, seed: int) -> Episode:
    """The episodes along which untrained cells are looked at, and the last answer of each."""
    made = jax.jit(lambda key: tasks.episodes(TASKS[task], key, LOOKED, LENGTH))(jax.random.key(seed + 1))
    return Episode(x=made.x, target=made.target[:, -1])


def broken(models: RNN, x: jax.Array) -> str:
    """Why a cell is not worth a compilation, by ten steps on inputs (episode, time); nothing if it is.

    Step by step, without compiling: every operation is one that other cells have, too.
    """
    state, moved = jax.vmap(lambda m: jax.vmap(lambda _: m.initial())(x))(models), False
    for t in range(10):
        state = jax.vmap(lambda m, s, t=t: jax.vmap(m.step)(s, x[:, t]))(models, state)
        moved = moved or bool((np.ptp(np.asarray(state.h), axis=1) > 1e-9).any())
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state)):
        return "not finite"
    return "" if moved else "deaf"


def before(models: RNN, task: str, seed: int) -> dict[str, float]:
    """What untrained cells show, means over starts and episodes; rates in nats a step, -inf where nothing passes.

    ``gradient``: ``log(|dL/ds_0| / |dL/ds_T|) / T`` of the last answer's loss by the whole state s; ``lyapunov``: the
    growth of a displacement along the way; ``origin``: the modulus of the largest multiplier at zero state and input.
    """
    own = looked(task, seed)

    def one(model: RNN, x: Any, target: Any) -> tuple[Any, Any]:
        last = visited(model.cell, x, 0.0).h[-1]
        return turns(model.cell, x), jax.grad(lambda h: losses.classes.loss(model.read(h), target))(last)

    with jax.disable_jit():  # no program is used twice, and the operations are the same for all cells
        along, slope = jax.vmap(lambda m: jax.vmap(lambda x, y: one(m, x, y))(own.x, own.target))(models)
        still = jax.vmap(lambda m: dynamics.jacobian(m.cell, m.cell.initial(), jnp.zeros(SYMBOLS)))(models)
    along, slope = (np.asarray(each, float) for each in (along, slope))
    behind = np.zeros(along.shape[:2] + along.shape[3:4])
    behind[..., : slope.shape[-1]] = slope  # the loss hears of h alone
    moduli = np.abs(np.linalg.eigvals(np.asarray(still, float))).max(-1)
    return {
        "origin": float(moduli.mean()),
        "gradient": growth(behind, np.swapaxes(along, -1, -2)[:, :, ::-1]),
        "lyapunov": growth(np.ones_like(behind), along),
    }


def growth(vector: np.ndarray, matrices: np.ndarray) -> float:
    """How fast vectors (start, episode, state) grow under matrices (start, episode, time, state, state), a step."""
    logs = 0.0
    with np.errstate(divide="ignore"):
        vector = vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-300)
        for t in range(matrices.shape[2]):
            vector = np.einsum("seij,sej->sei", matrices[:, :, t], vector)
            size = np.linalg.norm(vector, axis=-1, keepdims=True)
            logs, vector = logs + np.log(size[..., 0]), vector / np.maximum(size, 1e-300)
    return float(np.median(logs) / matrices.shape[2])


@functools.cache
def program(tree: Tree, units: int, starts: int, rates: tuple[float, ...], updates: int, seed: int) -> Any:
    """The one program of a cell, for all tasks: (models (run, ...), rates (run,), episodes) -> losses (run, update)."""

    def one(model: RNN, rate: Any, fresh: Episode) -> Any:
        step = training.step(gradients.reverse(losses.classes).gradient, training.keras_adam(rate))

        def update(state: Any, data: Episode) -> tuple[Any, Any]:
            state, seen = step.update(state, data, jnp.arange(BATCH), LENGTH)
            return state, seen.score.loss

        return jax.lax.scan(update, step.init(model), fresh)[1]

    go = jax.jit(jax.vmap(one, (0, 0, None)), compiler_options=devices.hasty())
    return go.lower(*tried(begun(tree, units, starts, seed), rates), stream("memorise", updates, seed)).compile()


def tried(models: RNN, rates: tuple[float, ...]) -> tuple[RNN, np.ndarray]:
    """Models (run, ...) and their rates (run,): every start by every rate."""
    starts = len(models.readout.b)
    every = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(rates), axis=0), models)
    return every, np.tile(np.asarray(rates, np.float32), starts)


def case(name: str, task: str, count: int, most: int, units: int, starts: int, rates: tuple[float, ...], updates: int,
         seed: int) -> xarray.Dataset:  # fmt: skip
    """One cell on one task: what it shows before training, and its loss on fresh episodes in the last quarter."""
    tree = drawn(count, seed, most).trees[name]
    models = begun(tree, units, starts, seed)
    found: dict[str, Any] = dict.fromkeys(FEATURES, np.nan) | {"broken": broken(models, looked(task, seed).x)}
    loss = np.full((starts, len(rates)), np.nan)
    if not found["broken"]:
        found |= before(models, task, seed)
        found["broken"] = "not finite" * bool(np.isnan([found[feature] for feature in FEATURES]).any())
    if not found["broken"]:
        go = program(tree, units, starts, rates, updates, seed)
        made = np.asarray(go(*tried(models, rates), stream(task, updates, seed)), float)
        loss = made[:, -(updates // 4) :].mean(-1).reshape(loss.shape)
    return xarray.Dataset(
        {"loss": (("start", "rate"), loss), "parts": len(tree.nodes()), **found}, {"rate": list(rates)}
    )


def learned(loss: xarray.DataArray, chance: float) -> np.ndarray:
    """What share of a blind guess's loss a cell has lost at its best rate, mean over starts; 0 if it diverged."""
    score = 1 - loss / chance
    score = score.where(np.isfinite(score) & (score > 0), 0)
    return score.mean("start").max("rate").values


def run(
    mutants: int = 200,
    updates: int = 600,
    units: int = 16,
    rates: tuple[float, ...] = (0.01, 0.03),
    starts: int = 2,
    most: int = 40,
    seed: int = 0,
    quick: bool = False,
    out: str = "",
) -> xarray.Dataset:
    """What mutants show and learn, dims (task, cell), and how both rank, (task, feature); kept in ``out``.

    ``most``: parts of a cell. Five known cells go beside the mutants, and are in no correlation. ``quick``: 4 mutants,
    100 updates of 8 units. ``out`` is results/mutants unless given; run again to go on.
    """
    if quick:
        mutants, updates, units, rates = 4, 100, 8, (0.03,)
    fixed = {"count": mutants, "most": most, "units": units, "starts": starts, "rates": rates, "updates": updates}
    fixed |= {"seed": seed}
    folder = Path(out or f"results/mutants{'_quick' * quick}")
    cells, rungs, lost = list(drawn(mutants, seed, most).trees), {}, []
    for task in TASKS:
        there, path = {**fixed, "task": task}, folder / f"{task}{apart(lost)}.zarr"
        done = sweep(f"{__file__}:case", {"cell": {"name": cells}}, there, out=path, engine=threads, report=print)
        rungs[task] = done.assign_coords(cell=cells).drop_vars("name", errors="ignore")
        lost += [name for name, state in zip(cells, done.sweep_state.values, strict=True) if state != 1]
        cells = promoted(rungs[task], TASKS[task].chance)
    found = judged(rungs).assign_attrs(fixed | {"dropped": str(drawn(mutants, seed, most).dropped)})
    return store.keep(found, folder / f"found{apart(lost)}.zarr", fixed)


def apart(lost: list[str]) -> str:
    """What follows the name of a store that depends on which cells were lost; nothing if none was.

    So a search that lost some, run again until none is, ends as if nothing had happened.
    """
    return f"_{zlib.crc32(' '.join(lost).encode()):08x}" if lost else ""


def promoted(done: xarray.Dataset, chance: float) -> list[str]:
    """The better half of the mutants that learned anything, in the order of their names; parents always."""
    score = dict(zip(map(str, done.cell.values), learned(done.loss, chance), strict=True))
    mutants = [name for name in score if name not in PARENTS]
    best = sorted(mutants, key=lambda name: -score[name])[: len(mutants) // 2]
    return [name for name in score if name in PARENTS or (name in best and score[name] > LEAST)]


def judged(rungs: dict[str, xarray.Dataset]) -> xarray.Dataset:
    """``score`` and features (task, cell), NaN where a cell was not tried, and how they rank, (task, feature).

    ``fate`` (cell,): how far it came, the last task that it was trained on, or why it was dropped.
    """
    first = next(iter(rungs.values()))
    dims, cells = ("task", "cell"), first.cell.values
    score = {task: xarray.DataArray(learned(done.loss, TASKS[task].chance), {"cell": done.cell.values}, ("cell",))
             for task, done in rungs.items()}  # fmt: skip
    rows = {"score": [score[task].where(sound(done)).reindex(cell=cells).values for task, done in rungs.items()]}
    rows |= {name: [done[name].reindex(cell=cells).values for done in rungs.values()] for name in FEATURES}
    found = xarray.Dataset(
        {name: (dims, np.stack(row)) for name, row in rows.items()}, {"task": list(rungs), "cell": cells}
    )
    found = found.assign(mutant=("cell", ~np.isin(cells, PARENTS)), fate=("cell", fates(rungs)))
    made = np.array([[ranked(found.sel(task=task), name) for name in FEATURES] for task in rungs])
    columns = {name: made[..., k] for k, name in enumerate(("rank", "low", "high", "p", "count"))}
    columns["holm"] = comparisons.holm(columns["p"].ravel()).reshape(made.shape[:2])
    return found.assign({n: (("task", "feature"), v) for n, v in columns.items()}).assign_coords(feature=list(FEATURES))


def sound(done: xarray.Dataset) -> xarray.DataArray:
    """Which cells of a rung were trained: neither broken nor lost with a worker."""
    return (done.sweep_state == 1) & (done.broken == "")


def fates(rungs: dict[str, xarray.Dataset]) -> list[str]:
    """The last task that each cell was trained on, or why it was dropped on the first."""
    first = next(iter(rungs.values()))
    why = dict(zip(map(str, first.cell.values), np.where(first.sweep_state == 1, first.broken, "lost"), strict=True))
    trained = dict(zip(why, sound(first).values, strict=True))
    score = dict(zip(why, learned(first.loss, TASKS["memorise"].chance), strict=True))
    for name in [name for name, fine in trained.items() if fine]:
        last = [task for task, done in rungs.items() if name in done.cell.values]
        why[name] = last[-1] if score[name] > LEAST else "fails to memorise"
    return [str(reason) for reason in why.values()]


def ranked(found: xarray.Dataset, feature: str) -> tuple[float, ...]:
    """Spearman's correlation of a feature with what mutants learned, its interval, p by permutations, of how many."""
    own = found.mutant.values & np.isfinite(found.score.values)
    x, y = found[feature].values[own], found.score.values[own]
    x = np.where(np.isneginf(x), -1e3, x)  # nothing passes: less than anything
    rank, p = comparisons.rank_correlation(x, y)
    return rank, *comparisons.rank_interval(x, y), p, float(own.sum())


def claims(found: xarray.Dataset) -> list[Claim]:
    """For each task and feature: the larger it is before training, the more is learned. Holm's correction over all."""
    made = []
    for task in map(str, found.task.values):
        for feature, words in FEATURES.items():
            one = found.sel(task=task, feature=feature)
            sure = one.holm < 0.05 and (one.low > 0 or one.high < 0)
            verdict = OPEN if not sure else HELD if one["rank"] > 0 else REFUTED
            evidence = f"Spearman {one['rank']:+.2f} ({one.low:+.2f} to {one.high:+.2f}), Holm's p {one.holm:.2g}, "
            made.append(
                Claim(f"{task}: {words} foretells what is learned", verdict, f"{evidence}{one['count']:.0f} mutants")
            )
    return made


def sentence(found: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    fate = collections.Counter(found.fate.values[found.mutant.values])
    lines = [f"{sum(fate.values())} mutants: " + ", ".join(f"{name} {count}" for name, count in fate.most_common()),
             f"drawn, and dropped unseen: {found.attrs['dropped']}"]  # fmt: skip
    for task in map(str, found.task.values):
        score = found.score.sel(task=task).where(found.mutant).dropna("cell").sortby("cell")
        known = ", ".join(f"{name} {float(found.score.sel(task=task, cell=name)):.3f}" for name in PARENTS)
        best = score.isel(cell=score.argmax("cell")) if score.size else score
        mutants = f"median {score.median():.3f}, best {best:.3f} ({best.cell.item()})" if score.size else "none trained"
        lines.append(f"{task}: learned {known}; mutants {mutants}")
    return "\n".join([*lines, *(f"{c.claim}: {c.verdict} ({c.evidence})" for c in claims(found))])


if __name__ == "__main__":
    print(sentence(run()))

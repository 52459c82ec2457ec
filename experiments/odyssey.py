"""Which part of an LSTM earns its keep (Greff et al. 2017)? Nine variants, a search each, on a task that needs memory.

    landscape run odyssey
    landscape run odyssey --quick
    landscape run odyssey --cells LSTMPeephole GRU SRNN --trials 32
    python figures/odyssey.py

The source draws rate, size, momentum and input noise at random for V, the LSTM with peepholes, and eight variants, and
compares the best tenth of the trials: without forget gate or output activation it is worse everywhere, coupled gates
or no peepholes do no harm, full gate recurrence is of no use; the rate explains two thirds of the variance and momentum
next to nothing. Here: embedded Reber strings, whose last but one symbol must be remembered from the second; V with
forget biases and clipped beside.

Expected, 64 trials each, 1,024 updates on fresh strings, best tenth in nats a step (half of its 95 % interval); a loss
below .449 remembers, the best guess without memory loses .483: V .465 (.037), NIG .495 (.005), NFG .464 (.041), NOG
.482 (.026), NIAF .471 (.036), NOAF .479 (.030), CIFG .472 (.036), NP .483 (.027), FGR .482 (.023); V with forget bias
1 .447 (.034), 2 .460 (.044). Of 64 trials 0 to 4 remember, and no variant is told from V (Welch with Holm's
correction): at this size the source's ranking is not decided. In the grid of V, 12 x 4 x 4 x 4 trials, the rate
explains .55 of the variance, less than the two thirds of the source; momentum .03 and the interaction of rate and size
.00, as there, but that of rate and momentum .27 (by seed 1 .54, .03, .00 and .27). Sixteen minutes of processor time,
half of it the grid's.

Neither by other trials (`--seed 1 --no-grid`: V .440 (.026), NFG .425 (.002), forget bias 2 .424 (.002); 1 to 9 of 64
remember) nor on adding (`--task adding --no-grid`: V .063 (.048), NIG .152 (.001; p .056), forget bias 2 .027 (.019);
0 to 7 remember; blind .167) is any variant told from V. Rounding alone, by which two versions of the gradient differ,
moves the best tenth by up to .010, one trial in or out, and no verdict.
"""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray
from jaxtyping import Array, Float, Int, Key
from scipy.stats import binomtest, t

from landscape import comparisons, devices, dynamics, initialisers, losses, names, store, tasks, training
from landscape.cells import Cell
from landscape.models import RNN, Sized
from landscape.success import share
from landscape.sweeps import anova, draw, even, log, ranked, sweep, whole
from landscape.tasks import Episode, Task
from landscape.verdicts import HELD, OPEN, REFUTED, Claim

BATCH, JUDGED, EPOCH = 16, 256, 1024  # episodes: of an update, to validate on, drawn anew for so many
SLAB = 32  # trials computed together
VARIANTS = ("LSTMPeephole", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR")
GRID = {"rate": 12, "size": 4, "damping": 4, "noise": 4}  # values of each range, at the middles of equal parts


class Setting(NamedTuple):
    """A task as it is trained on: its length, its inputs and outputs, and what training minimises."""

    task: Task
    length: int
    inputs: int
    outputs: int | None
    objective: losses.Objective


SETTINGS = {
    "reber": Setting(tasks.reber(), 20, 7, 7, losses.classes),
    "adding": Setting(tasks.adding(), 20, 2, None, losses.within(0.2)),
}


def episodes(setting: Setting, key: Key[Array, ""], count: int, noise: Float[Array, ""]) -> Episode:
    """Episodes with symbols as one-hot vectors, and Gaussian noise of a standard deviation on all inputs."""
    drawn = tasks.episodes(setting.task, key, count, setting.length)
    x = drawn.x if jnp.issubdtype(drawn.x.dtype, jnp.floating) else jax.nn.one_hot(drawn.x, setting.inputs)
    return dataclasses.replace(drawn, x=x + noise * jax.random.normal(jax.random.fold_in(key, count), x.shape))


def begin(
    cell: Cell, key: Key[Array, ""], setting: Setting, units: int, size: Float[Array, ""], bias: Float[Array, ""]
) -> RNN:
    """A layer of which ``size`` units are in use, all weights from N(0, .1²), with a forget bias where it has one."""
    one, two = jax.random.split(key)
    made = initialisers.gaussian(0.1)(cell, one, units, setting.inputs)
    if getattr(made, "b_f", None) is not None:
        made = dataclasses.replace(made, b_f=made.b_f + bias)
    out = initialisers.readout(two, units, setting.outputs, jax.nn.initializers.normal(0.1))
    return RNN(cell=Sized(cell=made, size=size), readout=out)


@functools.cache
def program(cell: str, task: str, units: int, epochs: int, seed: int) -> Callable:
    """All that a cell compiles: many trials at once, by their numbers and settings, to losses (trial, epoch)."""
    setting, made, root = SETTINGS[task], names.cell(cell, {}), jax.random.key(seed)
    key = jax.random.fold_in(root, 0)

    def one(
        trial: Int[Array, ""], rate: Array, size: Array, damping: Array, noise: Array, bias: Array, clip: Array
    ) -> Float[Array, "epoch"]:
        model = begin(made, jax.random.fold_in(root, trial + 1), setting, units, size, bias)
        rule = optax.chain(optax.clip(clip), optax.sgd(rate, momentum=1 - damping, nesterov=True))
        fresh = lambda key: episodes(setting, key, EPOCH, noise)  # noqa: E731
        judged = episodes(setting, key, JUDGED, 0.0)
        return training.fit(
            key, model, fresh, rule, setting.objective, validation=judged, epochs=epochs, batch=BATCH
        ).record.val_loss

    return jax.jit(jax.vmap(one, (0, 0, 0, 0, 0, None, None)))


def ranges(units: int) -> dict:
    """What trials are drawn from: the source's ranges but for the rate, whose losses are sums, and the size."""
    return {"rate": log(1e-3, 10), "size": log(4, units, whole=True), "damping": log(0.01, 1), "noise": even(0, 1)}


def trained(
    cell: str, task: str, units: int, epochs: int, seed: int, points: dict, bias: float, clip: float
) -> Float[np.ndarray, "trial epoch"]:
    """Losses (trial, epoch) of trials at ``points``, in slabs of equal size, one a core."""
    count = len(points["rate"])
    columns = [np.asarray(points[name], np.float32) for name in ("rate", "size", "damping", "noise")]
    go, held = program(cell, task, units, epochs, seed), (np.float32(bias), np.float32(clip))

    def slab(since: int) -> np.ndarray:
        at = np.arange(since, since + SLAB) % count
        return np.asarray(go(at.astype(np.int32), *(column[at] for column in columns), *held))

    first = slab(0)  # compiled once, before the threads
    with concurrent.futures.ThreadPoolExecutor(devices.threads()) as pool:
        rest = list(pool.map(slab, range(SLAB, count, SLAB)))
    return np.concatenate([first, *rest])[:count]


def case(
    cell: str, bias: float, clip: float, trials: int, units: int, epochs: int, task: str, seed: int
) -> xarray.Dataset:
    """The search of one variant: ``loss`` (trial, epoch) on fresh episodes, and what it ``keeps`` at the start."""
    points = draw(ranges(units), trials, seed)
    made = trained(cell, task, units, epochs, seed, points, bias, clip)
    found = {"loss": (("trial", "epoch"), made), "keeps": keeps(cell, task, units, bias)}
    return xarray.Dataset(found | {name: ("trial", np.asarray(values, float)) for name, values in points.items()})


def part(cell: str, rate: float, sizes: tuple[int, ...], dampings: tuple[float, ...], noises: tuple[float, ...],
         units: int, epochs: int, task: str, seed: int) -> xarray.Dataset:  # fmt: skip
    """One rate of the full grid: ``score`` (size, damping, noise) after training."""
    axes = {"size": list(sizes), "damping": list(dampings), "noise": list(noises)}
    mesh = {name: column.ravel() for name, column in zip(axes, np.meshgrid(*axes.values(), indexing="ij"), strict=True)}
    points = {"rate": np.full(len(mesh["size"]), rate), **mesh}
    made = trained(cell, task, units, epochs, seed, points, 0.0, np.inf)[:, -1]
    return xarray.Dataset({"score": (tuple(axes), made.reshape([len(a) for a in axes.values()]))}, axes)


def keeps(cell: str, task: str, units: int, bias: float) -> float:
    """How much of a small memory one step keeps before training: the largest multiplier of the origin.

    The largest modulus of an eigenvalue of d state' / d state at the state 0 and the input 0; median of nine starts.
    """

    def radius(key: jax.Array) -> jax.Array:
        model = begin(names.cell(cell, {}), key, SETTINGS[task], units, jnp.float32(units), bias)
        return jnp.abs(dynamics.origin_multiplier(model.cell, jnp.zeros(SETTINGS[task].inputs)))

    return float(np.median(jax.jit(jax.vmap(radius))(jax.random.split(jax.random.key(0), 9))))


def run(
    cells: tuple[str, ...] = VARIANTS,
    trials: int = 64,
    units: int = 24,
    epochs: int = 16,
    task: str = "reber",
    grid: bool = True,
    seed: int = 0,
    quick: bool = False,
    out: str = "",
) -> xarray.Dataset:
    """The search of every cell, dims (case, trial), and what it says; kept in ``out``: run again to go on.

    ``cells``: names, or ``file.py:Name``; all are compared to the first. ``epochs`` of 64 updates on fresh episodes.
    ``task``: reber or adding. ``grid``: a full grid for the first cell, whose variance is taken apart. ``quick``: two
    cells, 16 trials of up to 8 units, 4 epochs. ``out`` is results/odyssey unless given.
    """
    if task not in SETTINGS:
        raise names.unknown("task", task, SETTINGS, " that odyssey can train on")
    if quick:
        cells, trials, units, epochs = cells[:3:2] if cells == VARIANTS else cells, 16, 8, 4
    for cell in cells:
        names.cell(cell, {})
    folder = Path(out or f"results/odyssey{'_quick' * quick}")
    fixed = {"units": units, "epochs": epochs, "task": task, "seed": seed}
    moves = cases(cells)
    done = sweep(
        f"{__file__}:case", {"case": moves}, {**fixed, "trials": trials}, out=folder / "cases.zarr", report=print
    )
    made = whole(done).assign_coords(case=labels(moves)).drop_vars(("cell", "bias", "clip"), errors="ignore")
    shares = None
    if grid:
        at = {name: [r.at((k + 0.5) / GRID[name]) for k in range(GRID[name])] for name, r in ranges(units).items()}
        if quick:
            at = {name: values[::2][:2] for name, values in at.items()}
        still = {"cell": cells[0], "sizes": at["size"], "dampings": at["damping"], "noises": at["noise"], **fixed}
        parts = sweep(f"{__file__}:part", {"rate": at["rate"]}, still, out=folder / "grid.zarr", report=print)
        shares = anova(capped(whole(parts).score, SETTINGS[task].task.chance))
    found = judged(made, SETTINGS[task].task, shares).assign_attrs(fixed | {"trials": trials})
    settings = {**fixed, "trials": trials, "cells": list(cells), "grid": grid}
    return store.keep(found, folder / "found.zarr", settings)


def cases(cells: tuple[str, ...]) -> dict[str, list]:
    """What moves along the dimension ``case``: every cell as it is, and V with a forget bias, and clipped."""
    rows = [(cell, 0.0, 1e9) for cell in cells]
    if "LSTMPeephole" in cells:
        rows += [("LSTMPeephole", 1.0, 1e9), ("LSTMPeephole", 2.0, 1e9), ("LSTMPeephole", 0.0, 1.0)]
    return dict(zip(("cell", "bias", "clip"), map(list, zip(*rows, strict=True)), strict=True))


def labels(moves: dict[str, list]) -> list[str]:
    """The cases in words: V for the LSTM with peepholes."""
    named = []
    for cell, bias, clip in zip(*moves.values(), strict=True):
        short = "V" if cell == "LSTMPeephole" else cell.rpartition(":")[2]
        named.append(short + f", forget bias {bias:g}" * (bias > 0) + ", clipped" * (clip < 1e9))
    return named


def capped(loss: xarray.DataArray, chance: float) -> xarray.DataArray:
    """Losses of which none is worse than the best blind guess: what diverged is worth as much."""
    return loss.where(np.isfinite(loss) & (loss < chance), chance)


def judged(done: xarray.Dataset, task: Task, shares: xarray.DataArray | None = None) -> xarray.Dataset:
    """What the trials say, dims (case,): the best tenth, how many remember, and how they differ from the first case."""
    last, base = done.loss.isel(epoch=-1), str(done.case.values[0])
    bar = task.chance / 2 if task.memoryless is None else (task.floor + task.memoryless) / 2
    score, solved = capped(last, task.chance), (last < bar).values
    count = max(2, last.sizes["trial"] // 10)
    tops = {str(c): score.sel(case=c).values[ranked(last.sel(case=c).values)[:count]] for c in done.case.values}
    half = {c: float(t.ppf(0.975, count - 1) * top.std(ddof=1) / count**0.5) for c, top in tops.items()}
    welch = comparisons.welch(tops, base).reindex(group=list(tops)).rename(group="case")
    won = [share(int(k.sum()), len(k)) for k in solved]
    gained, lost = (solved & ~solved[:1]).sum(1), (~solved & solved[:1]).sum(1)
    paired = [binomtest(int(g), int(g + n)).pvalue if g + n else 1.0 for g, n in zip(gained, lost, strict=True)]
    columns = {
        "best": [top.mean() for top in tops.values()],
        "half": list(half.values()),
        "gained": gained,
        "lost": lost,
    }
    columns |= {"share": [w.value for w in won], "share_low": [w.low for w in won], "share_high": [w.high for w in won]}
    columns |= {
        "diverged": (~np.isfinite(last)).sum("trial").values,
        "paired": [1.0, *comparisons.holm(np.array(paired[1:]))],
    }
    found = welch.assign({name: ("case", np.asarray(column)) for name, column in columns.items()})
    found = found.assign(done).assign_attrs(bar=bar, floor=task.floor, chance=task.chance, task=str(task), base=base)
    if task.memoryless is not None:
        found.attrs["memoryless"] = task.memoryless
    return found if shares is None else found.assign(explained=shares)


def compared(found: xarray.Dataset, case: str) -> str:
    """The best tenth of a case beside that of the first: worse or better (Welch, Holm), the same, or not told apart.

    The same: the whole interval of the difference is within a quarter of what the outer symbol is worth.
    """
    one = found.sel(case=case)
    margin = (found.bar - found.floor) / 2
    if one.holm < 0.05:
        return "worse" if one.difference > 0 else "better"
    return "the same" if max(abs(one.low), abs(one.high)) < margin else "not told apart"


def claims(found: xarray.Dataset) -> list[Claim]:
    """The source's claims about the cells that were searched, users' cells, and one of ours about their starts."""
    made, known = [], set(labels(cases(VARIANTS)))
    wanted = {"NFG": ("worse",), "NOAF": ("worse",), "CIFG": ("the same", "better"), "NP": ("the same", "better")}
    wanted = wanted | {"FGR": ("the same", "worse")} if found.base == "V" else {}
    own = {case: ("better",) for case in map(str, found.case.values[1:]) if not {case, found.base} <= known}
    for case, right in (wanted | own).items():
        if case in found.case:
            verdict, one = compared(found, case), found.sel(case=case)
            claim = f"{case} is {' or '.join(right)}" + f" than {found.base}" * (case in own)
            evidence = f"{verdict}: {one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f}), Holm's p {one.holm:.2g}"
            state = HELD if verdict in right else OPEN if verdict == "not told apart" else REFUTED
            made.append(Claim(claim, state, evidence))
    if "V, clipped" in found.case:
        one = found.sel(case="V, clipped")
        state = OPEN if one.paired >= 0.05 else HELD if one.lost > one.gained else REFUTED
        evidence = f"of the same trials {int(one.gained)} remember only clipped, {int(one.lost)} only unclipped"
        made.append(Claim("clipping to 1 hurts", state, f"{evidence}, Holm's p {one.paired:.2g}"))
    return made + explained(found) + [start(found)]


def explained(found: xarray.Dataset) -> list[Claim]:
    """What the exact importance on the grid says; on other values of the settings it would say something else."""
    if "explained" not in found:
        return []
    part = lambda name: float(found.explained.sel(effect=name))  # noqa: E731
    bounds = {
        "the rate explains more than half": ("rate", part("rate") > 1 / 2),
        "the rate explains more than two thirds": ("rate", part("rate") > 2 / 3),
        "momentum explains less than .05": ("damping", part("damping") < 0.05),
        "rate and size interact by less than .05": ("rate x size", part("rate x size") < 0.05),
    }
    return [Claim(claim, HELD if held else REFUTED, f"{part(name):.2f}") for claim, (name, held) in bounds.items()]


def start(found: xarray.Dataset) -> Claim:
    """Whether what a cell keeps before training goes with how many of its trials remember."""
    rank, p = comparisons.rank_correlation(found.keeps.values, found.share.values)
    state = OPEN if p >= 0.05 else HELD if rank > 0 else REFUTED
    return Claim("what one step keeps at the start foretells who remembers", state, f"Spearman {rank:.2f}, p {p:.2g}")


def sentence(found: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    lines = [f"{found.task}: {found.attrs['trials']} trials each; remembering is a loss below {found.bar:.3f}"]
    for name in map(str, found.case.values):
        one = found.sel(case=name)
        won = f"{one.share:.2f} ({one.share_low:.2f} to {one.share_high:.2f}) remember"
        lines.append(f"{name}: best tenth {one.best:.3f} +- {one.half:.3f}; {won}; keeps {one.keeps:.2f}")
    return "\n".join([*lines, *(f"{c.claim}: {c.verdict} ({c.evidence})" for c in claims(found))])


if __name__ == "__main__":
    print(sentence(run()))

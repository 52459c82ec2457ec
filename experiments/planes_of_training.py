"""Is there a cliff in a layer of 32 units, and where does training cross it, with and without clipping?

    landscape run planes_of_training
    landscape run planes_of_training --tasks digits --cells LSTM
    python figures/planes_of_training.py

For one unit cliffs stand or creep as sequences grow longer, and steepen exponentially or as a power of the length
(`landscape.cliffs`). Here a layer of 32 reads digits pixel by pixel, as in `pixels`, or text, as in `characters`, 64
steps each, and is trained by SGD with momentum .9 twice from the same start: clipped to a norm of 1, and not at all.
The plane: ``along``, from the start (0) to the clipped network after training (1), and ``across``, the leading
eigenvector of its Hessian, at a right angle to it and as long. Loss and gradient at every length, 64 episodes.

Expected, one run each:

                                            digits                     text
                                            tanh     GRU      LSTM     tanh     GRU
    loss, clipped and not                   .40 1.99 .44 .12  .14 .15  2.17 2.20 2.03 20.4
    steepest slope across, within .2 of the
    network, at lengths 16, 32, 64          7 32 112 34 50 174 25 29 122 all 150  109 to 120
    by how much its place wanders across
    the plane, lengths 33 to 64             1.1      1.3      .2       .3       0
    off the plane, of the way               25 %     32 %     31 %     34 %     42 %
    the gradient fades by e in so many lags 144      147      88       3        7
    by the Lyapunov exponent                85       39       163      3        7

On text, where every step is asked, there is no cliff where training goes: the path runs along a valley whose walls are
as steep at length 64 as at 16 and stand where they stood. Not so for the LSTM on text (`--tasks text --cells LSTM`, one
run: 2.02 clipped, 2.25 not; the gradient fades by e in 4 lags, as its exponent says): within .2 of the network the
steepest slope is 104, 121 and 6.8e3 at lengths 16, 32 and 64. On digits, asked at the end alone, slopes near the
network grow about as the length does, and no one cliff stands: the steepest place wanders. Far from the path, one way's
length across, the tanh network on text is another matter: 1.47 times steeper every step. So a layer of these units has
no cliff that moves as that of one unit does. An IRNN has one (`--tasks digits --cells "IRNN, inputs x 100"`, one run):
within .2 of the network its steepest slope is 72, 1.1e4 and 9.8e7 at lengths 16, 32 and 64, 1.34 times as steep every
step, further off 2.38 times, and its path, clipped, meets a gradient of 10^2.8 at update 448 and ends at 1.46; without
clipping it is thrown off at once and ends at 2.31, no better than a guess. Its gradient is .87 at every lag before
training, and .25, .04, .03 and .04 at lags 0, 16, 32 and 48 after. Without clipping the tanh network on digits is
thrown off its plane after some 400 updates and does not come back (by another seed .43 clipped, 2.49 not); the GRU on
text is thrown after some 20, but by another seed it is not (1.99 and 1.99), and the GRU on digits fares better without.
Before training gradients fade by e in 13 (tanh) and 2 to 5 steps; training on digits makes them flat, training on text
does not. The run takes two and a half minutes of processor time.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key, PyTree

import landscape as ls
from landscape import cliffs, curvature, data, losses, names, training, views
from landscape.models import RNN
from landscape.tasks import Episode

HERE = Path(__file__)
pixels, characters = (names.module(str(HERE.with_name(f"{name}.py"))) for name in ("pixels", "characters"))

UNITS, TIME, LANES, EPISODES = 32, 64, 32, 64
CLIPS = (1.0, np.inf)
#: Cells, as in `pixels`, and the rate of each for digits and for text.
RATES = {"IRNN, inputs x 100": (0.01, 0.3), "tanh": (0.01, 0.3), "GRU": (0.1, 3.0), "LSTM": (0.1, 3.0)}
TASKS = ("digits", "text")
LINE = 129  # places on each line on which the steepest is looked for
#: Lines through the plane: from the start (along) or the clipped network after training (across), and how far.
LINES = {"along": (-0.5, 2.0), "across": (-1.25, 1.25), "way": (0.0, 1.0), "near": (-0.2, 0.2)}
KEPT = 60  # moments of a path that are kept


def every(y: jax.Array, target: jax.Array) -> jax.Array:
    """The mean cross entropy of answers after all steps."""
    return jnp.mean(jax.vmap(losses.cross_entropy)(y, target))


def read(task: str, most: int) -> tuple[Episode, Episode, int]:
    """Episodes to train on, those to look at, and how many answers there are."""
    if task == "digits":
        episodes = pixels.read()
        shown = Episode(x=episodes.x[-pixels.TEST :][:EPISODES], target=episodes.target[-pixels.TEST :][:EPISODES])
        return episodes, shown, 10
    train, test = characters.texts("", most)
    lanes = data.next_symbols(train.symbols, (len(train.symbols) - 1) // LANES)
    shown = data.next_symbols(test.symbols[: EPISODES * TIME + 1], TIME)
    return lanes, shown, len(train.alphabet)


def begin(cell: str, task: str, answers: int, key: Key[Array, ""]) -> RNN:
    made, start = pixels.CELLS[cell]
    inputs = 1 if task == "digits" else answers
    return training.begin(made, key, start, units=UNITS, inputs=inputs, outputs=answers)


def train(cell: str, task: str, episodes: Episode, shown: Episode, answers: int, epochs: int, seed: int) -> tuple:
    """Both paths (threshold, update, number), of models laid out flat, and the largest gradient of each epoch."""
    first, second = jax.random.split(jax.random.key(seed))
    rate = RATES[cell][TASKS.index(task)]

    def one(clip: Float[Array, ""]) -> tuple:
        rule = optax.chain(optax.clip_by_global_norm(clip), optax.sgd(rate, momentum=0.9))
        begun, watch = begin(cell, task, answers, first), lambda state: ravel_pytree(state.model)[0]
        if task == "text":
            done = training.stream(begun, episodes, rule, steps=TIME, validation=shown, epochs=epochs, watch=watch)
        else:
            split = training.last(pixels.TEST / len(episodes.x))
            go = functools.partial(training.fit, objective=losses.classes, split=split, epochs=epochs, batch=LANES)
            done = go(second, begun, episodes, rule, watch=watch)
        start = ravel_pytree(begun)[0][None]
        path = jnp.concatenate([start, done.watched.reshape(-1, start.shape[1])])
        return path, done.record.gradient_norm

    return jax.device_get(jax.jit(jax.vmap(one))(jnp.asarray(CLIPS, jnp.float32)))


def risk(task: str, shown: Episode) -> ls.Risk:
    """The loss of the whole episodes, for the Hessian."""
    answer = lambda model, x: jax.vmap(lambda x: ls.run(model, x))(x)  # noqa: E731
    if task == "digits":
        return ls.Risk(lambda model, x: answer(model, x)[:, -1], (shown.x, shown.target))
    return ls.Risk(answer, (shown.x, shown.target), losses.Objective(every, lambda y, target: y[0, 0] > 0))


def spanned(start: PyTree, end: PyTree, problem: ls.Risk, seed: int) -> ls.directions.Directions:
    """From the start to the end, and at a right angle to it the end's leading eigenvector, as long."""
    found = curvature.top(curvature.hessian(problem, end), 1, jax.random.key(seed))
    vector = curvature.directions(found, end, ("v",))["v"]
    beside = jax.tree.map(np.add, end, vector)
    return ls.directions.between([start, end, beside], ("along", "across"))


def placed(around: ls.directions.Directions, start: PyTree, back: Callable, path: np.ndarray, problem: ls.Risk) -> dict:
    """`KEPT` moments of a path (update, number) by the plane, and the losses of their models."""
    moments = np.unique(np.geomspace(1, len(path), KEPT).astype(int) - 1)
    moments = np.pad(moments, (0, KEPT - len(moments)), mode="edge")
    with np.errstate(all="ignore"):
        where = ls.directions.place(around, start, jax.vmap(back)(path[moments]))
    loss = [problem(back(one)) for one in path[moments]]
    step = ("step",)
    return {
        "updates": (step, moments),
        "at_along": (step, where.coordinates[:, 0]),
        "at_across": (step, where.coordinates[:, 1]),
        "off_plane": (step, where.off_plane),
        "distance": (step, where.distance),
        "at_loss": (step, np.asarray(loss)),
    }


def steepest(start: PyTree, direction: PyTree, low: float, high: float, task: ls.Task, episodes: int) -> xarray.Dataset:
    """Along a line, at every length: where the loss is steepest, how steep, and whether samples lie near enough."""
    line = ls.span(start, {"s": direction}, s=np.linspace(low, high, LINE))
    made = ls.surface(line, task, range(1, TIME + 1), episodes=episodes)
    slope = np.abs(made.d_s.values)
    at = np.nan_to_num(slope).argmax(1)
    jump = np.abs(np.diff(made.loss.values, axis=1)).max(1)
    found = {
        "place": made.s.values[at],
        "slope": slope[np.arange(TIME), at],
        "resolved": jump < 0.2 * np.ptp(made.loss.values, axis=1),
    }
    return xarray.Dataset({key: ("length", value) for key, value in found.items()}, {"length": made.length})


def far(model: RNN, shown: Episode, task: str) -> dict:
    """How far back a network's gradient reaches, and the exponents of its state along four episodes."""
    lag = views.gradient_by_lag(model, shown, losses.classes.loss).gradient
    top = [float(views.spectra(model, x).lyapunov[0]) for x in shown.x[:4]]
    return {"gradient": ("lag", lag.values), "exponent": ((), np.mean(top))}


def one(cell: str, task: str, points: int, epochs: int, most: int, seed: int) -> xarray.Dataset:
    """All of one cell on one task."""
    episodes, shown, answers = read(task, most)
    paths, norms = train(cell, task, episodes, shown, answers, epochs, seed)
    back = ravel_pytree(jax.tree.map(np.asarray, begin(cell, task, answers, jax.random.key(0))))[1]
    good = int(np.isfinite(paths[0]).all(1).argmin()) - 1  # the last model before any that is lost
    start, end = (jax.device_get(back(paths[0, k])) for k in (0, good if good >= 0 else -1))
    problem, asked = risk(task, shown), data.task(shown, name=task)
    around = spanned(start, end, problem, seed)
    plane = ls.span(start, around, **{name: np.linspace(*LINES[name], points) for name in ("along", "across")})
    made = ls.surface(plane, asked, range(1, TIME + 1), episodes=len(shown.x))[["loss", "log10_gradient"]].drop_attrs()
    by_clip = [xarray.Dataset(placed(around, start, back, path, problem)) for path in paths]
    through = {"along": (start, "along"), "across": (end, "across"), "way": (start, "along"), "near": (end, "across")}
    lines = [steepest(model, around[d], *LINES[name], asked, len(shown.x)) for name, (model, d) in through.items()]
    times = [xarray.Dataset(far(model, shown, task)) for model in (start, end)]
    largest = xarray.Dataset({"norm": (("threshold", "epoch"), np.asarray(norms))})
    print(f"{task}, {cell}: loss {by_clip[0].at_loss.values[0]:.2f} to {by_clip[0].at_loss.values[-1]:.2f}", flush=True)
    found = [
        made,
        xarray.concat(by_clip, "threshold"),
        xarray.concat(lines, "line"),
        xarray.concat(times, "when"),
        largest,
    ]
    return xarray.merge(found, compat="no_conflicts", join="outer")


def run(
    tasks: tuple[str, ...] = TASKS,
    cells: tuple[str, ...] = ("tanh", "GRU"),
    points: int = 33,
    epochs: int = 30,
    text: int = 120_000,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """Planes, paths, lines and lags, dims (task, cell, ...); ``when`` is before and after.

    ``line``: along and across the plane; the way itself, from 0 to 1, and near the end, across it.

    ``text``: characters read; ``quick``: one cell on digits, 15 x 15 points, four epochs.
    """
    if quick:
        tasks, cells, points, epochs = ("digits",), ("tanh",), 15, 4
    rows = [[one(cell, task, points, epochs, text, seed) for cell in cells] for task in tasks]
    found = xarray.concat([xarray.concat(row, "cell") for row in rows], "task")
    labels = {"task": list(tasks), "cell": list(cells), "threshold": list(CLIPS), "line": list(LINES)}
    return found.assign_coords({**labels, "when": ["before", "after"]})


def law(results: xarray.Dataset, task: str, cell: str, line: str) -> cliffs.Growth:
    """How the steepest slope on a line grows from length 16 on: as of one cliff of one unit, or not at all."""
    one = results[["slope", "resolved"]].sel(task=task, cell=cell, line=line).reset_coords(drop=True)
    one = one.sel(length=slice(16, None)).assign(resolved=one.resolved.astype(bool))
    return cliffs.growth(one) if one.resolved.sum() > 3 else cliffs.Growth("unknown", *[np.nan] * 5)


def stands(results: xarray.Dataset, task: str, cell: str) -> float:
    """How far the steepest place on that line wanders over the second half of the lengths, in lengths of the way."""
    place = results.place.sel(task=task, cell=cell, line="across")
    return float(np.ptp(place.values[len(place) // 2 :]))


def folds(results: xarray.Dataset, task: str, cell: str) -> tuple[float, float]:
    """Lags in which the gradient after training fades by e, from lag 4 to 48, and those that the exponent says."""
    after = results.sel(task=task, cell=cell, when="after")
    seen = after.gradient.sel(lag=slice(4, 48))
    seen = seen[seen.values > 0]
    slope = np.polyfit(seen.lag, np.log(seen), 1)[0] if len(seen) > 2 else np.nan
    return -1 / slope, -1 / float(after.exponent)


def steep(results: xarray.Dataset, task: str, cell: str, threshold: float) -> tuple[int, float, float]:
    """Where a path meets the largest gradient of the plane at the last length: updates, ``along``, log10 |gradient|.

    By the nearest points of the grid, as long as the path lies over it; NaN of a path that never does.
    """
    one = results.sel(task=task, cell=cell, threshold=threshold)
    place, over = [], np.ones(one.sizes["step"], bool)
    for name in ("along", "across"):
        axis, at = one[name].values, one[f"at_{name}"].values
        over &= (at > axis[0]) & (at < axis[-1])
        place.append(np.abs(np.nan_to_num(at)[:, None] - axis).argmin(1))
    seen = np.where(over, one.log10_gradient.isel(length=-1).transpose("along", "across").values[*place], -np.inf)
    at = int(seen.argmax())
    return (int(one.updates[at]), float(one.at_along[at]), float(seen[at])) if over.any() else (-1, np.nan, np.nan)


def _met(results: xarray.Dataset, task: str, cell: str) -> str:
    """Where both paths are steepest, in words."""
    met = [steep(results, task, cell, threshold) for threshold in results.threshold.values]
    return " and ".join(f"10^{g:.1f} at update {k}" if k >= 0 else "nowhere on the plane" for k, _, g in met)


def sentence(results: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    said = []
    for task in map(str, results.task.values):
        for cell in map(str, results.cell.values):
            one = results.sel(task=task, cell=cell)
            clipped, free = one.at_loss.isel(step=-1).values
            seen, told = folds(results, task, cell)
            off = (one.off_plane.isel(threshold=0) / one.distance.isel(threshold=0).max()).max()
            said.append(
                f"{task}, {cell}: across: {law(results, task, cell, 'across')}, its place wanders by "
                f"{stands(results, task, cell):.2f}; near the end: {law(results, task, cell, 'near')}; "
                f"loss {clipped:.2f} clipped, {free:.2f} not, steepest for {_met(results, task, cell)}; "
                f"off the plane by up to {float(off):.0%} of the way; the gradient fades by e in {seen:.0f} steps, by "
                f"the exponent {told:.0f}."
            )
    return "\n".join(said)


if __name__ == "__main__":
    print(sentence(run()))

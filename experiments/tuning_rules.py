"""Do the rules of thumb of a lecture on LSTMs hold? Each as a statement that can come out false, with an interval.

    landscape run tuning_rules
    python figures/tuning_rules.py

Networks of 24 units on English of Python's manual (27 symbols; 400 episodes of 32 letters to train on, 100 to choose
rate and epoch by, 100 to test on), 20 epochs, six rates each, clipping to a norm of .1 where it is asked; gated
networks of 148 and 14,666 parameters on 200 digits; a bit of 3 steps ahead or ago by two ways or one; random matrices.
A rule holds if the interval of its mean lies above the bound (0 unless said), does not if below; intervals are
Student's and hold together in 95 % of experiments. Runs on text share their data, and differ in starts and order.

Expected (Python 3.11's manual), mean, interval, runs; by a second seed with 6 runs:

    clipping saves a rate too high (nats)       4.57   4.55 to 4.59     16   holds            4.58   holds
    clipping gives the better network           .014   -.004 to .032    16   cannot tell      .007   cannot tell
    rate too high: above a blind guess          3.30   3.30 to 3.30     16   holds            3.30   holds
    RMSprop beats plain descent                 .116   .088 to .144     16   holds            .115   holds
    AdaGrad beats plain descent                 .031   .014 to .048     16   holds            .026   holds
    softsign keeps more slope (log10)           1.07   .67 to 1.48      32   holds            1.21   holds
    softsign trains better than tanh            .015   -.013 to .042    16   cannot tell      .014   cannot tell
    Xavier: a layer within a factor 2           .26    .25 to .27       32   holds            .27    holds
    Xavier: layer 8 within 2 of layer 1         -1.61  -1.64 to -1.57   32   does not hold    -1.62  does not hold
    temperature raises entropy                  .42    .41 to .43       16   holds            .41    holds
    more parameters than samples, above .05     .165   .109 to .221     32   holds            .159   cannot tell
    fewer do not overfit, above -.05            -.036  -.052 to -.021   32   cannot tell      -.038  cannot tell
    early stopping: test loss                   .144   .092 to .195     32   holds            .130   holds
    early stopping: test accuracy               -.002  -.010 to .007    32   cannot tell      -.001  cannot tell
    dropout: test loss                          .044   -.005 to .093    32   cannot tell      .008   cannot tell
    two layers beat one of the same size        -.021  -.040 to -.002   16   does not hold    -.013  cannot tell
    two ways, what is to come, above .25        .493   .487 to .500     16   holds            .499   holds
    two ways, what has been, above .01          0      0 to 0           16   does not hold    0      does not hold
    singular values .9 vanish, tanh, above 2    2.39   2.38 to 2.39     32   holds            2.39   holds
    1.1 explode, linear, above 1                2.07   2.07 to 2.07     32   holds            2.07   holds
    1.1 explode, tanh, above 1                  .353   .318 to .388     32   does not hold    .381   does not hold

A ranking of optimisers is one of rates: on a grid without the rate 2 AdaGrad was behind (-.058, -.085 to -.031, 12
runs). Clipped, descent still learns at ten times the best rate without, but not surely better than at that. Four and a
half minutes of processor time.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from landscape import data, devices, initialisers, losses, tasks, training, verdicts
from landscape import run as answers
from landscape.cells import GRU, SRNN, Cell, SoftsignRNN
from landscape.models import Stack, TwoWay

LETTERS = " abcdefghijklmnopqrstuvwxyz"
STEPS, EPISODES = 32, 600  # of the text: 400 to train on, 100 to choose by, 100 to test on
BLIND = float(np.log(len(LETTERS)))
TEMPERATURES = (0.25, 0.5, 1.0, 2.0, 4.0)
SINGULAR = (0.9, 1.0, 1.1)
UNITS, LAG, CLIP = 24, 3, 0.1  # the norms of gradients are .4 where training goes well
BY_RATE = (
    *("tanh, SGD", "tanh, SGD, clipped", "tanh, RMSprop", "softsign, RMSprop"),
    *("GRU, SGD", "GRU, RMSprop", "GRU, AdaGrad", "two layers of GRU, RMSprop"),
)
BY_EPOCH = ("3 units", "64 units", "64 units, dropout .5")

#: What the slides say, what is measured for it in every run, and what its mean must exceed.
RULES = {
    "clip": ("Clipping saves a rate that is too high", "nats unclipped - clipped, largest rate", 0.0),
    "clip best": ("Clipping gives the better network", "nats unclipped - clipped, best rates", 0.0),
    "perplexity": ("Too high a rate: perplexity diverges", "nats above a blind guess, largest rate", 0.0),
    "RMSprop": ("RMSprop beats plain descent", "nats SGD - RMSprop, best rates", 0.0),
    "AdaGrad": ("AdaGrad beats plain descent", "nats SGD - AdaGrad, best rates", 0.0),
    "softsign slope": ("Softsign keeps more slope than tanh", "log10 ratio at the attractor, w in U[1, 5]", 0.0),
    "softsign": ("Softsign trains better than tanh", "nats tanh - softsign, best rates", 0.0),
    "Xavier layer": ("Xavier keeps the variance of a layer", "1 - |log2 ratio|, worst layer", 0.0),
    "Xavier deep": ("Xavier keeps it from layer 1 to 8", "1 - |log2 ratio|", 0.0),
    "temperature": ("A higher temperature: more entropy", "nats, least rise of 4 doublings", 0.0),
    "overfit": ("More parameters than samples overfit", "nats, rise of validation loss; above .05", 0.05),
    "fit": ("Fewer parameters than samples do not", "-(nats of that rise); above -.05", -0.05),
    "stop": ("Early stopping lowers the test loss", "nats last - best epoch", 0.0),
    "stop accuracy": ("Early stopping raises test accuracy", "share right, best - last epoch", 0.0),
    "dropout": ("Dropout lowers the test loss", "nats without - with, best epochs", 0.0),
    "stack": ("Two layers beat one of the same size", "nats one - two, best rates", 0.0),
    "ahead": ("Two ways read what is to come", "share right, two - one way; above .25", 0.25),
    "behind": ("Two ways read better what has been", "share right, two - one way; above .01", 0.01),
    "vanish": ("Singular values below 1: vanishing", "-log10 |dh_50/dh_0|, tanh, .9; above 2", 2.0),
    "explode": ("Above 1: exploding, linear units", "log10 |dh_50/dh_0|, 1.1; above 1", 1.0),
    "explode tanh": ("Above 1: exploding, tanh units", "log10 |dh_50/dh_0|, 1.1; above 1", 1.0),
}


@functools.cache
def prose() -> tasks.Task:
    """English of Python's manual, small letters and spaces, in episodes of `STEPS` letters in one random order."""
    from pydoc_data import topics

    words = re.sub("[^a-z]+", " ", " ".join(topics.topics.values()).lower())
    read = data.next_symbols(data.text(words, LETTERS).symbols, STEPS)
    order = np.random.default_rng(0).permutation(len(read.x))[:EPISODES]
    return data.task(jax.tree.map(lambda leaf: leaf[order], read), name="prose", chance=BLIND)


def learn(
    cell: Cell, rule: Callable, units: int, seeds: int, epochs: int, seed: int, **settings: Any
) -> xarray.Dataset:
    """Runs of one network on the text, dims (*settings, seed, ...), as `training.curves` returns them."""

    def setup(key, rate, **more):
        return training.begin(cell, key, units=units, inputs=len(LETTERS), outputs=len(LETTERS)), rule(rate, **more)

    options = {"objective": losses.classes, "split": training.last(1 / 6, 1 / 6), "epochs": epochs, "batch": 20}
    found = training.curves(
        setup, prose(), [STEPS], seeds=seeds, settings=settings, count=EPISODES, seed=seed, **options
    )
    return found.isel(length=0, drop=True)


def by_rate(found: xarray.Dataset) -> np.ndarray:
    """Validation loss at the best epoch, (rate,): mean over seeds; inf where a run had none."""
    return found.val_loss.min("epoch").fillna(np.inf).mean("seed").values


def best(found: xarray.Dataset) -> np.ndarray:
    """Test loss at the best epoch, (seed,), of the rate that validates best."""
    return found.test_loss.isel(rate=int(by_rate(found).argmin())).values


def ended(found: xarray.Dataset) -> np.ndarray:
    """Validation loss of the last epoch, (..., seed); what is not finite or more than twice a blind guess is that."""
    return np.minimum(found.loss.fillna(np.inf).values, 2 * BLIND)


def clipped(rate: Float[Array, ""], clip: Float[Array, ""]) -> optax.GradientTransformation:
    """Plain descent along gradients whose norm is at most ``clip``."""
    return optax.chain(optax.clip_by_global_norm(clip), optax.sgd(rate))


def text_rules(seeds: int, epochs: int, rates: Mapping[str, tuple], seed: int) -> tuple[dict, dict]:
    """Effects (seed,) of the rules that are asked of networks on text, and losses by rate for their panels."""
    go = functools.partial(learn, seeds=seeds, epochs=epochs, seed=seed)
    cut = go(SRNN(), clipped, UNITS, rate=rates["SGD"], clip=(np.inf, CLIP))
    raw, held = (cut.isel(clip=k) for k in (0, 1))
    rules = {"SGD": optax.sgd, "RMSprop": optax.rmsprop, "AdaGrad": optax.adagrad}
    gated = {name: go(GRU(), rule, UNITS, rate=rates[name]) for name, rule in rules.items()}
    soft, tanh = (go(cell, optax.rmsprop, UNITS, rate=rates["RMSprop"]) for cell in (SoftsignRNN(), SRNN()))
    deep = go(two := Stack(layers=(GRU(), GRU())), optax.rmsprop, matched(two), rate=rates["RMSprop"])
    effects = {
        "clip": ended(raw)[-1] - ended(held)[-1],
        "clip best": best(raw) - best(held),
        "perplexity": ended(raw)[-1] - BLIND,
        "RMSprop": best(gated["SGD"]) - best(gated["RMSprop"]),
        "AdaGrad": best(gated["SGD"]) - best(gated["AdaGrad"]),
        "softsign": best(tanh) - best(soft),
        "stack": best(gated["RMSprop"]) - best(deep),
        "temperature": heated(gated["RMSprop"]),
    }
    lines = {"tanh, SGD": raw, "tanh, SGD, clipped": held, **{f"GRU, {name}": run for name, run in gated.items()}}
    lines |= {"tanh, RMSprop": tanh, "softsign, RMSprop": soft, "two layers of GRU, RMSprop": deep}
    return effects, {name: np.stack([run.rate.values, by_rate(run)]) for name, run in lines.items()}


def matched(cell: Cell) -> int:
    """The units of a network with about as many parameters as one layer of `UNITS` gated units."""

    def count(cell: Cell, units: int) -> int:
        made = functools.partial(training.begin, cell, units=units, inputs=len(LETTERS), outputs=len(LETTERS))
        return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(made, jax.random.key(0))))

    return min(range(2, UNITS + 1), key=lambda units: abs(count(cell, units) - count(GRU(), UNITS)))


def heated(found: xarray.Dataset) -> np.ndarray:
    """Least rise of the mean entropy of 640 answers from one of `TEMPERATURES` to the next, (seed,), after training."""
    sizes = {"units": UNITS, "inputs": len(LETTERS), "outputs": len(LETTERS)}
    back = ravel_pytree(jax.tree.map(np.asarray, training.begin(GRU(), jax.random.key(0), **sizes)))[1]
    x = tasks.episodes(prose(), jax.random.key(0), 20, STEPS).x
    nets = jax.vmap(back)(found.final.isel(rate=int(by_rate(found).argmin())).values.astype(np.float32))
    logits = jax.jit(jax.vmap(jax.vmap(answers, (None, 0)), (0, None)))(nets, x)
    mean = entropies(np.asarray(logits, np.float64).reshape(len(logits), -1, len(LETTERS))).mean(-1)
    return np.diff(mean, axis=0).min(0)


def entropies(logits: np.ndarray) -> np.ndarray:
    """The entropy of softmax(logits / t) of logits (..., output) at every temperature, (temperature, ...)."""
    log_p = [z - np.logaddexp.reduce(z, -1, keepdims=True) for z in (logits / t for t in TEMPERATURES)]
    return np.stack([-(np.exp(each) * each).sum(-1) for each in log_p])


def digits(units: int, drop: float, seeds: int, epochs: int, seed: int) -> tuple[training.Record, np.ndarray]:
    """Records (seed, epoch) of gated networks that read 200 digits row by row, and the best epoch of each.

    250 more to validate and 250 to test on; every run has its own parts.
    """
    images, labels = data.digits()
    mixed = np.random.default_rng(0).permutation(len(labels))[:700]
    episodes = data.classified(data.scan_order(images[mixed], rows=True), labels[mixed], 10)
    split, noise = training.at_random(250 / 700, 250 / 700), training.dropout(drop)

    def one(key):
        begun = training.begin(GRU(), jax.random.fold_in(key, 0), units=units, inputs=8, outputs=10)
        rule, options = training.keras_adam(0.01), {"split": split, "epochs": epochs, "batch": 20, "noise": noise}
        done = training.fit(jax.random.fold_in(key, 1), begun, episodes, rule, losses.classes, **options)
        return done.record, done.best

    together = jax.jit(jax.vmap(one), compiler_options=devices.effort(1))
    return jax.device_get(together(jax.random.split(jax.random.key(seed), seeds)))


def sample_rules(seeds: int, epochs: int, seed: int) -> tuple[dict, dict]:
    """Effects of the rules on parameters, samples and stopping, and mean validation losses by epoch."""
    runs = {units: digits(units, 0.0, seeds, epochs, seed) for units in (3, 64)}
    dropped = digits(64, 0.5, seeds, epochs, seed)
    rise = {units: record.val_loss[:, -1] - record.val_loss.min(1) for units, (record, _) in runs.items()}
    at = lambda record, found, name: np.take_along_axis(getattr(record, name), found[:, None], 1)[:, 0]  # noqa: E731
    record, found = runs[64]
    effects = {
        "overfit": rise[64],
        "fit": -rise[3],
        "stop": record.test_loss[:, -1] - at(record, found, "test_loss"),
        "stop accuracy": at(record, found, "test_accuracy") - record.test_accuracy[:, -1],
        "dropout": at(record, found, "test_loss") - at(*dropped, "test_loss"),
    }
    shown = zip(BY_EPOCH, (runs[3][0], record, dropped[0]), strict=True)
    return effects, {name: run.val_loss.mean(0) for name, run in shown}


def echoes(cell: Cell, units: int, lag: int, seeds: int, epochs: int, seed: int) -> np.ndarray:
    """Share of 120 episodes' bits that came ``lag`` steps ago and are told right, (seed,)."""

    def setup(key):
        return training.begin(cell, key, units=units, outputs=None), training.keras_adam(0.02)

    options = {"seeds": seeds, "count": 600, "objective": losses.raw, "epochs": epochs, "batch": 20}
    return training.curves(setup, tasks.echo(lag), [20], seed=seed, **options).accuracy.values[0]


def way_rules(seeds: int, epochs: int, seed: int) -> tuple[dict, dict]:
    """How much better two ways of 8 units (497 parameters) read a bit of `LAG` steps ahead or ago than one of 12 (517).

    And the mean shares right, (ahead and behind, one and two ways).
    """
    nets = ((GRU(), 12), (TwoWay(ahead=GRU(), back=GRU()), 8))
    lags = {"ahead": -LAG, "behind": LAG}
    ends = {name: [echoes(*net, lag, seeds, epochs, seed) for net in nets] for name, lag in lags.items()}
    right = np.array([[end.mean() for end in both] for both in ends.values()])
    return {name: two - one for name, (one, two) in ends.items()}, {"right": right}


def signal_rules(draws: int, seed: int) -> tuple[dict, dict]:
    """Effects of the rules on slopes, variances and singular values, a run each of random matrices."""
    rng = np.random.default_rng(seed)
    norms = np.array([[spread(rng, s, act) for act in ("linear", "tanh")] for s in SINGULAR for _ in range(draws)])
    norms = norms.reshape(len(SINGULAR), draws, 2)  # log10, (singular value, draw, activation)
    ratios = np.log2(variances(jax.random.key(seed), draws))
    steps, whole = np.diff(ratios[:, 1:], axis=1), ratios[:, -1] - ratios[:, 1]  # from the first layer's answers on
    effects = {
        "softsign slope": slopes(rng.uniform(1, 5, draws)),
        "Xavier layer": 1 - np.abs(steps).max(1),
        "Xavier deep": 1 - np.abs(whole),
        "vanish": -norms[0, :, 1],
        "explode": norms[-1, :, 0],
        "explode tanh": norms[-1, :, 1],
    }
    return effects, {"norms": norms.mean(1), "variance": 2 ** ratios.mean(0)}


def slopes(w: np.ndarray) -> np.ndarray:
    """log10 of the slope of softsign(w x) at its attractor, 1 / w, over that of tanh(w x) at its own."""
    x = np.ones_like(w)
    for _ in range(5000):  # to rounding for all w that are not within .001 of 1
        x = np.tanh(w * x)
    return np.log10(1 / w) - np.log10(w * (1 - x**2))


def spread(rng: np.random.Generator, singular: float, act: str, units: int = 64, steps: int = 50) -> float:
    """log10 of the norm of dh_50/dh_0 of ``units`` whose recurrent matrix has all singular values alike."""
    w = singular * np.linalg.qr(rng.normal(size=(units, units)))[0]
    h, jacobian = 0.5 * rng.normal(size=units), np.eye(units)
    for _ in range(steps):
        h = np.tanh(h @ w) if act == "tanh" else h @ w
        jacobian = jacobian @ w * (1 - h**2 if act == "tanh" else 1)
    return float(np.log10(np.linalg.norm(jacobian, 2)))


def variances(key: jax.Array, draws: int, units: int = 128, depth: int = 8) -> np.ndarray:
    """Variance of what 0 to 8 tanh layers make of Gaussian numbers, (draw, layer), by Glorot's matrices."""

    def one(key):
        x = jax.random.normal(jax.random.fold_in(key, depth), (256, units))
        found = [jnp.var(x)]
        for k in range(depth):
            x = jnp.tanh(x @ initialisers.glorot(jax.random.fold_in(key, k), (units, units)))
            found.append(jnp.var(x))
        return jnp.stack(found)

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(key, draws)), np.float64)


def judge(effects: Mapping[str, np.ndarray]) -> xarray.Dataset:
    """What the effects of each rule (run,) say: ``mean``, ``low``, ``high``, ``runs`` and ``verdict``, dim (rule,)."""
    asked = [verdicts.Rule(RULES[name][0], RULES[name][1], effects[name], RULES[name][2]) for name in RULES]
    found = verdicts.judged(asked)
    columns = {
        "claim": [rule.name for rule in asked],
        "measure": [rule.claim for rule in asked],
        **{part: [getattr(each.mean, part) for each in found] for part in ("value", "low", "high")},
        "bound": [rule.bound for rule in asked],
        "runs": [len(rule.effect) for rule in asked],
        "verdict": [each.verdict for each in found],
    }
    return xarray.Dataset({name: ("rule", values) for name, values in columns.items()}, {"rule": list(RULES)})


def run(seeds: int = 16, epochs: int = 20, draws: int = 32, seed: int = 0, quick: bool = False) -> xarray.Dataset:
    """Every rule with its verdict, dim (rule,), and what the panels of the figure show.

    ``seeds`` runs of each network, twice as many on digits, ``draws`` random matrices. ``quick``: two runs, two epochs,
    to see it work.
    """
    data.digits()  # what is missing is said before anything is computed
    rates = {"SGD": (1, 2, 3, 5, 10, 20), "RMSprop": (1e-3, 3e-3, 1e-2, 2e-2, 5e-2, 1e-1)}
    rates["AdaGrad"] = (0.1, 0.3, 0.5, 1, 2, 3)
    if quick:
        seeds, epochs, draws, rates = 2, 2, 4, {name: (each[1], each[-1]) for name, each in rates.items()}
    effects, panels = text_rules(seeds, epochs, rates, seed)
    more = [sample_rules(2 * seeds, 4 * epochs, seed), way_rules(seeds, epochs, seed), signal_rules(draws, seed)]
    for effect, panel in more:
        effects, panels = effects | effect, panels | panel
    lines, nets = list(BY_RATE), list(BY_EPOCH)
    shown = {
        "by_rate": (("line", "axis", "rate"), np.stack([panels[name] for name in lines])),
        "val": (("net", "epoch"), np.stack([panels[name] for name in nets])),
        "right": (("task", "ways"), panels["right"]),
        "norms": (("singular", "act"), panels["norms"]),
        "variance": ("layer", panels["variance"]),
    }
    axes = {"line": lines, "axis": ["rate", "nats"], "net": nets, "task": ["ahead", "behind"], "ways": [1, 2]}
    axes |= {"singular": list(SINGULAR), "act": ["linear", "tanh"]}
    return judge(effects).assign(shown).assign_coords(axes).assign_attrs(seeds=seeds, epochs=epochs, blind=BLIND)


def sentence(results: xarray.Dataset) -> str:
    """The verdicts, a line each."""
    rows = [
        f"{c}: {v} ({m} {x:.3g}, {low:.3g} to {high:.3g}, n = {n})"
        for c, m, x, low, high, n, v in zip(
            *(results[k].values for k in ("claim", "measure", "value", "low", "high", "runs", "verdict")), strict=True
        )
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    print(sentence(run()))

"""Why does one LSTM unit keep a bit worse than one unit of a vanilla RNN (stats.SE 340898)?

    landscape run why_lstm_latches_worse
    landscape run why_lstm_latches_worse --quick

Ten hypotheses, H1 to H10, each confronted with runs that would come out otherwise if it were true. The verdicts are
computed from the runs. Latching, balanced and shuffled: 10,000 episodes, noise .1, Adam .001, batch 16, 5 epochs; a run
is solved if it answers more than .95 of the validation episodes right. n = 128, intervals of 95 %.

Expected: at T = 50 the SRNN learns in .55 (.47 to .64) of runs, the LSTM in .11 (.07 to .18), the GRU in .00. At the
start a step keeps 1.00, .74 (.49 to .98), .51 (.25 to .75) of a small memory. H1 supported: with all three set to 1,
.61, .78, .73 learn; set to .73, none. H2 supported: from 1 at T = 100, .84 learn if the readout has the right sign, .16
if not. H3 supported: the label-blind gradient pushes b_i, b_f, b_o and |w| down and the GRU's b_z up in all of 400
starts; at a rate of .3 and T = 100 the LSTM learns in .00, the GRU in .62, an LSTM wired like one in .66. H4 to H10
refuted, among them H10: without output gate .22 learn, which is .25 (.06 to .45) of the gap. Gates that forget in 99
steps: .97 (LSTM) and .98 (GRU). Aligned runs learn up to T |ln lambda| = 5.2 (SRNN), 8.8 (LSTM), 10.4 (GRU).
Three and a half minutes on two cores; quick, with 16 seeds at most, 40 seconds.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from landscape import provenance, store
from landscape.cells import GRU, LSTM, SRNN, Cell, HardLSTM
from landscape.dynamics import noise_multiplier, origin_multiplier
from landscape.initialisers import Initialiser, keras2, keras3, with_multiplier
from landscape.models import RNN
from landscape.models import run as answers
from landscape.success import Share, difference, horizon, share
from landscape.tasks import gaussian, latch
from landscape.training import begin, curves, keras_adam

NOISE, BATCH, SOLVED, LONG = 0.1, 16, 0.95, 100
RATE, FAST = 0.3, "rate .3"  # the large one, at which a GRU learns
CELLS: dict[str, Cell] = {"SRNN": SRNN(), "LSTM": LSTM(), "GRU": GRU()}
NAMES = np.array(list(CELLS), object)  # as zarr stores words
OPEN = {"w_o": None, "u_o": None, "b_o": None}  # no output gate: it stays at 1
FREE = {"w_f": None, "u_f": None, "b_f": None}  # no forget gate of its own: f = 1 - i


# The starts: what training is given


class Start(NamedTuple):
    """How a run begins: a default start, what is changed in its cell, and the rate it learns with."""

    change: Callable[[Any], Any] = lambda cell: cell
    rate: float = 1e-3
    initialise: Initialiser = keras3

    def model(self, cell: Cell, key: jax.Array) -> RNN:
        made = begin(cell, key, self.initialise)
        return RNN(cell=self.change(made.cell), readout=made.readout)


def having(**values: float) -> Start:
    """A default start with parameters of the cell set to ``values``."""
    return Start(lambda cell: dataclasses.replace(cell, **{name: jnp.asarray(v, float) for name, v in values.items()}))


def wider(cell: LSTM) -> LSTM:
    """Input weights as large as those of one gate with a kernel of its own: Glorot's bound for 1 + 1, not 1 + 4."""
    return dataclasses.replace(cell, **{f"u_{g}": getattr(cell, f"u_{g}") * 2.5**0.5 for g in "ifgo"})


SAME = {f"mu = {mu:g}": Start(functools.partial(with_multiplier, mu=mu)) for mu in (0.73, 0.8, 0.85, 0.9, 0.95, 1.0)}
BOTH = {"default": Start(), FAST: Start(rate=RATE)}
KEEP = float(np.log(LONG - 1))  # the bias of a gate that forgets in 99 steps
STARTS: dict[str, dict[str, Start]] = {
    "SRNN": BOTH | SAME,
    "GRU": BOTH | SAME | {"b_z = ln 99": having(b_z=KEEP)},
    "LSTM": BOTH
    | SAME
    | {f"b_f = {bias}": having(b_f=bias) for bias in (0, 3, 6)}
    | {"chrono": having(b_f=KEEP, b_i=-KEEP), "rate x 10": Start(rate=1e-2)}
    | {"kernel x 1.6": Start(wider), "SVD": Start(initialise=keras2)},
}


class Program(NamedTuple):
    """Runs that share one compiled program: the starts of one cell at several lengths."""

    name: str
    cell: Cell
    starts: Mapping[str, Start]
    lengths: tuple[int, ...]
    noise: float = NOISE


def programs(quick: bool) -> list[Program]:
    """All that is trained; ``quick`` leaves out what no verdict needs."""
    needed = {"default", FAST, "mu = 0.73", "mu = 1", "rate x 10", "kernel x 1.6", "SVD"}
    lengths = (50, 100) if quick else (5, 10, 20, 50, 100)
    made = [
        Program(n, CELLS[n], {k: s for k, s in starts.items() if k in needed or not quick}, lengths)
        for n, starts in STARTS.items()
    ]
    default, fast = {"default": BOTH["default"]}, {FAST: BOTH[FAST]}
    few = (50,) if quick else (20, 50, 100)
    made += [
        Program("LSTM, hard gates", HardLSTM(), default, few),
        Program("LSTM, no noise", LSTM(), default, few, noise=0.0),
        Program("LSTM, no output gate", LSTM(**OPEN), BOTH, (50, 100)),
        Program("LSTM, coupled, no output gate", LSTM(coupled=True, **FREE, **OPEN), fast, (100,)),
    ]
    return made if quick else [*made, Program("LSTM, coupled", LSTM(coupled=True, **FREE), fast, (100,))]


def train(program: Program, seeds: int, count: int) -> xarray.Dataset:
    """Every start of one program at every length, dims (case, length, seed).

    ``accuracy``; the ``multiplier`` and ``decay`` of the start, whether its readout is ``aligned``; gates at their
    biases before and after, such as ``first_f`` and ``last_f``.
    """
    starts = list(program.starts.values())

    def setup(key: jax.Array, start: Any) -> tuple[RNN, Any]:
        models = [start.model(program.cell, key) for start in starts]
        chosen = jax.tree.map(lambda *leaves: jnp.stack(leaves)[start.astype(int)], *models)
        return chosen, keras_adam(jnp.asarray([start.rate for start in starts])[start.astype(int)])

    options: dict[str, Any] = {"seeds": seeds, "count": count, "epochs": 5, "batch": BATCH}
    made = curves(setup, latch(program.noise), program.lengths, settings={"start": np.arange(len(starts))}, **options)
    before, after = (rebuilt(program.cell, made[name]) for name in ("initial", "final"))
    each = jax.vmap(jax.vmap(jax.vmap(lambda model: (origin_multiplier(model.cell), told_apart(model)))))
    multiplier, kept = jax.jit(each)(before)
    kept = np.take_along_axis(np.asarray(kept), np.asarray(made.length)[:, None, None, None] - 1, -1)[..., 0]
    u = np.asarray(before.cell.u) if isinstance(program.cell, SRNN) else None
    dims = ("length", "start", "seed")
    found = {
        "accuracy": made.accuracy,
        "multiplier": (dims, np.asarray(multiplier)),
        "decay": (dims, decay(np.asarray(multiplier), u, program.noise)),
        "aligned": (dims, (kept > 0).astype(float)),
    }
    for gate in "ifoz":
        if getattr(program.cell, f"b_{gate}", None) is not None:
            for when, model in (("first", before), ("last", after)):
                found[f"{when}_{gate}"] = (dims, np.asarray(program.cell.gate(getattr(model.cell, f"b_{gate}"))))
    cases = [f"{program.name}, {start}" for start in program.starts]
    ds = xarray.Dataset(found, {"length": made.length, "seed": made.seed})
    return ds.rename(start="case").assign_coords(case=np.array(cases, object)).transpose("case", "length", "seed")


def rebuilt(cell: Cell, numbers: xarray.DataArray) -> RNN:
    """The models that `curves` lists number by number, shaped (length, start, seed)."""
    values = {str(n): jnp.asarray(numbers.sel(parameter=n).values) for n in numbers.parameter.values}
    readout = [values.pop(f"readout.w[{i}]") for i in (0, 1)]
    cell = dataclasses.replace(cell, **{n: v for n, v in values.items() if "." not in n})
    return RNN(cell=cell, readout=readout[1] - readout[0])


def told_apart(model: RNN) -> jax.Array:
    """``v (h_t(+) - h_t(-))`` (time,) without noise: how the answer tells the bits apart; negative if misaligned."""
    x = jnp.zeros(LONG).at[0].set(1.0)
    return model.readout * (answers(model.cell, x) - answers(model.cell, -x))


def decay(multiplier: np.ndarray, u: Any, noise: float) -> np.ndarray:
    """``|ln lambda|``, what a memory loses a step at first: that of the multiplier, or of noise where an SRNN has 1.

    At |w| = 1 noise sets the pace: -ln lambda_2 = .56 |u| noise. Between four computed strengths it is interpolated.
    """
    rate = np.abs(np.log(np.abs(multiplier)))
    if u is None or not noise:
        return rate
    strengths = (0.025, 0.05, 0.1, 0.2)
    lost = [-np.log(noise_multiplier(1.0, 1.0, s)) for s in strengths]
    return np.where(rate < 1e-4, np.interp(np.abs(u) * noise, (0.0, *strengths), (0.0, *lost)), rate)


# Before training: what is there to be learned from

PUSHED = {"SRNN": ("w",), "LSTM": ("b_i", "b_f", "b_o"), "GRU": ("b_z",)}


def before(draws: int, pairs: int, length: int, seed: int = 0) -> xarray.Dataset:
    """Default starts, dims (cell, draw, length); float64, so that a signal of 1e-15 is one.

    ``multiplier`` at the origin; ``signal``: |E[h | +] - E[h | -]|; ``slope``: norm of the part of the gradient that
    sees the labels; ``ratio``: that norm over the scatter of a minibatch gradient; and (push, draw) ``push_blind``:
    what descent on the label-blind part does to a parameter at the last length, to |w| for a recurrent weight
    """
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), draws)
        found = {}
        for name, cell in CELLS.items():
            found[name] = jax.device_get(
                jax.jit(lambda keys, cell=cell: jax.lax.map(lambda k: at_start(cell, k, pairs, length), keys))(keys)
            )
    stacked = {
        each: (
            ("cell", "draw", "length")[: np.ndim(found["SRNN"][each]) + 1],
            np.stack([f[each] for f in found.values()]),
        )
        for each in ("multiplier", "signal", "slope", "ratio")
    }
    pushes = {f"{n} {'|w|' if p == 'w' else p}": found[n][p] for n, names in PUSHED.items() for p in names}
    stacked["push_blind"] = (("push", "draw"), np.stack(list(pushes.values())))
    return xarray.Dataset(
        stacked, {"cell": NAMES, "length": np.arange(1, length + 1), "push": np.array(list(pushes), object)}
    )


def at_start(cell: Cell, key: jax.Array, pairs: int, length: int) -> dict[str, jax.Array]:
    """One default start, see `before`. The bits +1 and -1 meet the same noise, which takes its scatter out.

    ``grad L = -1/4 grad(E[z | +] - E[z | -]) + grad L_blind`` (`landscape.training.signal_and_blind`), at all
    lengths in one forward pass.
    """
    first, rest = jax.random.split(key)
    model = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), begin(cell, first))
    noise = jax.vmap(lambda k: gaussian(k, length, NOISE))(jax.random.split(rest, pairs))
    x = jnp.stack([noise.at[:, 0].add(bit) for bit in (1.0, -1.0)])  # (bit, pair, time)
    leaves, tree = jax.tree.flatten(model.cell)
    v = model.readout.w[1] - model.readout.w[0]

    def state(numbers: jax.Array, x: jax.Array) -> jax.Array:
        return answers(jax.tree.unflatten(tree, list(numbers)), x)

    each = lambda f: jax.vmap(jax.vmap(f, (None, 0)), (None, 0))(jnp.stack(leaves), x)  # noqa: E731
    h, slope = each(state), v * each(jax.jacfwd(state))  # (bit, pair, time), the same and (parameter,)
    sure = jax.nn.sigmoid(v * h)[..., None]
    signal = -(slope[0] - slope[1]).mean(0) / 4
    blind = ((sure - 0.5) * slope).mean((0, 1))
    scatter = ((sure - jnp.array([1.0, 0.0])[:, None, None, None]) * slope).var((0, 1)).sum(-1) ** 0.5
    size = jnp.linalg.norm(signal, axis=-1)
    down = jax.tree.unflatten(tree, list(-blind[-1]))
    push = {n: getattr(down, n) * (jnp.sign(model.cell.w) if n == "w" else 1) for n in PUSHED[type(cell).__name__]}
    lost = jnp.abs((h[0] - h[1]).mean(0))
    ratio = size * BATCH**0.5 / jnp.where(scatter > 0, scatter, jnp.inf)
    return {"multiplier": origin_multiplier(model.cell), "signal": lost, "slope": size, "ratio": ratio, **push}


def volume(tried: int, scales: tuple[float, ...], episodes: int = 50, seed: int = 0) -> xarray.Dataset:
    """How many of ``tried`` random weights keep the bit for 100 steps, with the best threshold: dims (cell, scale).

    All weights from N(0, scale²); scale 0 stands for the default start.
    """
    x = jax.vmap(lambda k: gaussian(k, LONG, NOISE))(jax.random.split(jax.random.key(seed), episodes))
    bit = jnp.where(jnp.arange(episodes) % 2 == 0, 1.0, -1.0)
    x = x.at[:, 0].add(bit)

    def solves(cell: Cell, scale: Any, key: jax.Array) -> jax.Array:
        leaves, tree = jax.tree.flatten(begin(cell, key).cell)
        weights = jnp.where(scale > 0, scale * jax.random.normal(key, (len(leaves),)), jnp.stack(leaves))
        last = jax.vmap(lambda x: answers(jax.tree.unflatten(tree, list(weights)), x)[-1])(x)
        excess = jnp.cumsum(bit[jnp.argsort(last)])  # of +1 over -1 among answers below each threshold
        return episodes / 2 + jnp.abs(excess).max() > SOLVED * episodes

    def count(cell: Cell) -> np.ndarray:
        keys = jax.random.split(jax.random.key(seed + 1), tried)
        one = lambda scale: jax.lax.map(lambda k: solves(cell, scale, k), keys, batch_size=128).sum()  # noqa: E731
        return np.asarray(jax.jit(lambda: jax.lax.map(one, jnp.asarray(scales)))())

    solved = np.stack([count(cell) for cell in CELLS.values()])
    return xarray.Dataset(
        {"solved": (("cell", "scale"), solved)}, {"cell": NAMES, "scale": list(scales)}, {"tried": tried}
    )


# What follows


def success(runs: xarray.Dataset, cases: str | list[str], length: int, aligned: bool | None = None) -> Share:
    """The share of the runs of one case, or of several, that learned; of the aligned or misaligned ones, if asked."""
    some = runs.sel(case=cases, length=length)
    ran = np.isfinite(some.accuracy.values)
    chosen = ran if aligned is None else ran & (some.aligned.values == aligned)
    return share(int((some.accuracy.values[chosen] > SOLVED).sum()), int(chosen.sum()))


def closed(runs: xarray.Dataset, case: str, length: int, of: str = "LSTM, default", to: str = "SRNN, default") -> Share:
    """How much of the gap in success from ``of`` to ``to`` a change closes: 0 nothing, 1 all.

    The interval is of a bootstrap smoothed as by Jeffreys: a success more or less in every case.
    """
    rng, names = np.random.default_rng(0), (case, of, to)
    shares = [success(runs, name, length) for name in names]
    tried = int(np.isfinite(runs.accuracy.sel(case=list(names), length=length)).sum("seed").min())
    changed, less, most = (rng.beta(s.value * tried + 0.5, (1 - s.value) * tried + 0.5, 4000) for s in shares)
    low, high = np.quantile((changed - less) / (most - less), [0.025, 0.975])
    gap = shares[2].value - shares[1].value
    return Share((shares[0].value - shares[1].value) / gap if gap else float("nan"), float(low), float(high))


def judged(*claims: tuple[Share, float]) -> str:
    """``supported`` if every share lies above its bar, interval and all; ``refuted`` if one lies below it."""
    if all(share.low > bar for share, bar in claims):
        return "supported"
    return "refuted" if any(share.high < bar for share, bar in claims) else "undecided"


class Verdict(NamedTuple):
    """A hypothesis by name, what became of it, and the numbers that say so."""

    name: str
    claim: str
    verdict: str
    evidence: str


HALF = 0.5  # a cause must account for more than half of the gap


def verdicts(results: Mapping[str, xarray.Dataset], at: int = 50) -> list[Verdict]:
    """Each of the ten hypotheses against the data."""
    start, runs, weights = results["start"], results["runs"], results["volume"]
    middle = {name: float(np.median(np.abs(start.multiplier.sel(cell=name)))) for name in CELLS}
    equal = closed(runs, "LSTM, mu = 1", at)
    spoilt = closed(runs, "SRNN, mu = 0.73", at, "SRNN, default", "LSTM, default")
    lucky, unlucky = (success(runs, [f"{n}, mu = 1" for n in CELLS], LONG, side) for side in (True, False))
    pushes = {str(n): share(int(count), start.sizes["draw"]) for n, count in towards(start).items()}
    quick = {n: success(runs, f"{n}, {FAST}", LONG) for n in ("LSTM", "GRU", "LSTM, coupled, no output gate")}
    tried = weights.attrs["tried"]
    room = {n: share(int(weights.solved.sel(cell=n, scale=1)), tried) for n in CELLS}

    def cause(name: str, claim: str, case: str) -> Verdict:
        part = closed(runs, case, at)
        told = f"it learns {success(runs, case, at)} at T = {at}: {part} of the gap{begun(runs, case, at)}"
        return Verdict(name, claim, judged((part, HALF)), told)

    return [
        Verdict(
            "H1",
            "The LSTM starts with a multiplier at the origin far below 1, the SRNN at 1",
            judged((equal, HALF), (spoilt, HALF)),
            f"median start {middle['SRNN']:.2f} SRNN, {middle['LSTM']:.2f} LSTM, {middle['GRU']:.2f} GRU; an LSTM set "
            f"to 1 closes {equal} of the gap at T = {at}, an SRNN set to .73 opens {spoilt} of it",
        ),
        Verdict(
            "H2",
            "The sign of the readout at the start decides: a unit read out the wrong way round must first forget",
            judged((difference(lucky, unlucky), HALF)),
            f"from mu = 1 at T = {LONG}, all cells: {lucky} learn if aligned, {unlucky} if not",
        ),
        Verdict(
            "H3",
            "The part of the gradient that does not see the labels shuts the LSTM's gates, and opens the GRU's memory",
            judged(
                *((part, HALF) for part in pushes.values()),
                *((difference(quick[n], quick["LSTM"]), 0.0) for n in list(quick)[1:]),
            ),
            "the push has this sign in "
            + ", ".join(f"{s.value:.0%} ({n})" for n, s in pushes.items())
            + f" of starts; at {FAST} and T = {LONG} learn "
            + ", ".join(f"{s} {n}" for n, s in quick.items()),
        ),
        Verdict(
            "H4",
            "An LSTM has too few solutions for training to find one",
            judged(
                (difference(room["SRNN"], room["LSTM"]), 0.0),
                (Share(1 - equal.value, 1 - equal.high, 1 - equal.low), HALF),
            ),
            f"weights from N(0, 1) keep the bit for {LONG} steps in "
            + ", ".join(f"{s.value:.3f} ({n})" for n, s in room.items())
            + f", default starts of the LSTM in {int(weights.solved.sel(cell='LSTM', scale=0))} of {tried}; "
            + f"from mu = 1 learn {success(runs, 'LSTM, mu = 1', at)}",
        ),
        cause("H5", "Adam cannot travel far enough in the time given", "LSTM, rate x 10"),
        cause("H6", "The gates are hard (Keras 2) rather than logistic", "LSTM, hard gates, default"),
        cause("H7", "Four gates share one kernel, so the input weights start smaller", "LSTM, kernel x 1.6"),
        cause("H8", "Keras 2 drew the recurrent weights by SVD, whose signs are not random", "LSTM, SVD"),
        cause("H9", "Noise alone: without it an LSTM would learn", "LSTM, no noise, default"),
        cause("H10", "The output gate and its tanh shrink what is read out", "LSTM, no output gate, default"),
    ]


def begun(runs: xarray.Dataset, case: str, length: int) -> str:
    """With which multiplier the runs of a case began that learned, and those that did not; in words."""
    one = runs.sel(case=case, length=length)
    size, good = np.abs(one.multiplier.values), one.accuracy.values > SOLVED
    if good.all() or not good.any():
        return ""
    return f"; those that learn start at {np.median(size[good]):.2f}, others at {np.median(size[~good]):.2f}"


def towards(start: xarray.Dataset) -> dict[str, int]:
    """Draws in which the label-blind part pushes a parameter the way H3 says: the GRU's b_z up, all others down."""
    up = {str(n): str(n).endswith("b_z") for n in start.push.values}
    return {n: int(((start.push_blind.sel(push=n) > 0) == is_up).sum()) for n, is_up in up.items()}


def law(runs: xarray.Dataset, cell: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``x = T |ln lambda|``, whether solved, whether aligned: of every default run of a cell."""
    one = runs.sel(case=f"{cell}, default")
    ran = np.isfinite(one.accuracy.values)
    x = one.length.values[:, None] * one.decay.values
    return x[ran], one.accuracy.values[ran] > SOLVED, one.aligned.values[ran] == 1


def run(
    seeds: int = 128,
    draws: int = 400,
    tried: int = 10_000,
    count: int = 10_000,
    quick: bool = False,
    out: str | None = "results/why_lstm_latches_worse",
) -> dict[str, xarray.Dataset]:
    """``start`` (`before`), ``runs`` (`train`, NaN where not run), ``volume``, and the ``verdicts`` on them (`table`).

    ``quick``: 16 seeds at most, fewer cases, under a minute on two cores. What ``out`` holds of these settings is read.
    """
    settings = {"seeds": seeds, "draws": draws, "tried": tried, "count": count, "quick": quick}
    if quick:
        seeds, draws, tried = min(seeds, 16), min(draws, 50), min(tried, 1000)

    def compute() -> dict[str, xarray.Dataset]:
        jobs: list[Callable[[], xarray.Dataset]] = [lambda p=p: train(p, seeds, count) for p in programs(quick)]
        jobs += [lambda: before(draws, 64, LONG), lambda: volume(tried, (0.0, 1.0) if quick else (0.0, 1.0, 2.0, 4.0))]
        with ThreadPoolExecutor(2) as pool:
            *parts, start, room = (job.result() for job in [pool.submit(job) for job in jobs])
        runs = xarray.concat(parts, "case", join="outer", fill_value=np.nan, data_vars="all")
        results = {"start": start, "runs": runs, "volume": room}
        attrs = {"seeds": seeds, "draws": draws, "count": count, "quick": int(quick), **provenance.here()}
        results = {name: ds.assign_attrs(attrs) for name, ds in results.items()}
        return results | {"verdicts": table(results)}

    return store.kept(out, settings, compute)


def table(results: Mapping[str, xarray.Dataset], at: int = 50) -> xarray.Dataset:
    """`verdicts` by hypothesis, the `horizon` of the aligned runs of each cell, and the ``answer`` in attrs."""
    found, start = verdicts(results, at), results["start"]
    columns: dict[str, Any] = {
        field: ("hypothesis", np.array([getattr(v, field) for v in found], object)) for field in Verdict._fields[1:]
    }
    reach = [horizon(x[aligned], solved[aligned]) for x, solved, aligned in (law(results["runs"], n) for n in CELLS)]
    columns["horizon"] = (("cell", "end"), np.array(reach))
    lstm, srnn = (float(np.median(abs(start.multiplier.sel(cell=n)))) for n in ("LSTM", "SRNN"))
    first = found[0].verdict
    learn = [success(results["runs"], case, at).value for case in ("LSTM, mu = 1", "LSTM, default", "SRNN, default")]
    because = (
        f"Because of how it starts: one step keeps {lstm:.2f} of a small memory, the vanilla RNN's {srnn:.2f}. Set to "
        f"1, it learns in {learn[0]:.0%} of runs at T = {at} instead of {learn[1]:.0%}, the vanilla "
        f"RNN in {learn[2]:.0%}."
        if first == "supported"
        else f"That its first multiplier is {lstm:.2f}, the vanilla RNN's {srnn:.2f}, is {first} as the reason."
    )
    attrs = {"answer": f"Why does one LSTM unit keep a bit worse than a vanilla RNN? {because}", "at": at}
    names = {"hypothesis": np.array([v.name for v in found], object), "cell": NAMES}
    return xarray.Dataset(columns, names, attrs)


def sentence(results: Mapping[str, xarray.Dataset]) -> str:
    """The verdicts, and the law, in numbers from the data."""
    found, start = results["verdicts"], results["start"]
    lines = [found.attrs["answer"]]
    for name, claim, verdict, evidence in zip(
        *(found[n].values for n in ("hypothesis", "claim", "verdict", "evidence")), strict=True
    ):
        lines.append(f"{name} {verdict}: {claim}.\n    {evidence}.")
    for name in CELLS:
        low, mid, high = np.quantile(np.abs(start.multiplier.sel(cell=name)), [0, 0.5, 1])
        lines.append(
            f"{name}: multiplier at the start {mid:.2f} ({low:.2f} to {high:.2f}); aligned runs learn up to "
            f"T |ln lambda| = {Share(*found.horizon.sel(cell=name).values)}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(sentence(run()))

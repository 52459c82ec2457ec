"""When does gradient descent teach one tanh unit to keep a bit (Bengio, Simard & Frasconi 1994, fig. 2)?

    landscape run bengio_1994
    landscape run bengio_1994 --quick

The unit of `landscape.cells.BengioLatch` on `landscape.tasks.bengio`, from a weight w_0 and evidence of U[-.1, .1]. The
paper does not give its rate, updates and test: here .1, 1,000 (map) or 2,000 updates of 10 new episodes a class, and
.99 of 1,000 new signs right.

Expected: (a) at T = 20 convergence is lost to noise, the sooner the smaller w_0: from 1.25 it falls from 1.00 of 18
runs without noise to .67 at s = .3 and .06 at .5; from 3 to .44 at .5. (b) From w_0 = 1.25 at s = .2, n = 64: 1.00
up to T = 10, .95 at 15, .80 at 20, .55 at 25, .38 at 30, .23 at 40, .09 at 50, 0 at 75; failed runs end at w = 0 and an
error of .68, close to .8**2. With w kept only the noise is fought: 1.00 at T = 8, .83 at 10, 0 from 15 on. The halved
cost, which is the same at half the rate, gives .92 at 20, .80 at 25, .52 at 30 and .12 at 50. Two sequences: .84 at
T = 10, .12 at 50, and 1 guess in 100 solves it; parity: none, neither trained nor guessed in 20,000.
Seven CPU-minutes, under four on two cores; the quick one 40 CPU-seconds.
"""

import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray
from jaxtyping import Array, Float, Int, Key, PyTree

from landscape import devices, provenance, store
from landscape.cells import SRNN, BengioLatch
from landscape.initialisers import keras3
from landscape.losses import raw, sigmoid
from landscape.models import RNN
from landscape.models import run as answers
from landscape.success import wilson
from landscape.tasks import Episode, bengio, episodes, parity, two_sequence
from landscape.training import baseline, begin, curves, fit, keras_adam, last

EVIDENCE, FRESH, TESTED, CONVERGED = 3, 10, 500, 0.99
NAMES = ("accuracy", "w_final", "error")


def train(
    key: Key[Array, ""],
    w: Float[Array, ""],
    noise: Float[Array, ""],
    free: Float[Array, ""],
    length: Int[Array, ""],
    longest: int,
    updates: int,
    rate: float = 0.1,
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Gradient descent on w and the evidence from (w, U[-.1, .1]); the share of right signs, w and the squared error.

    Each update sees `FRESH` new episodes of each class under noise of sd ``noise``; at the end `TESTED` of each. The
    cost of the paper, ``C = 1/2 sum_p (x_T - d_p)**2`` over the two classes p, is the mean squared error over both.
    ``free`` 1 trains w, 0 keeps it. ``length`` may be traced, up to ``longest``.
    """
    one, two, three = jax.random.split(key, 3)
    model = BengioLatch(w=w, e=jax.random.uniform(one, (2 * EVIDENCE,), minval=-0.1, maxval=0.1))

    def draw(key: jax.Array, count: int = 4 * FRESH) -> Episode:
        made = episodes(bengio(1.0, EVIDENCE), key, count, longest)
        return Episode(x=made.x.at[..., -1].multiply(noise), target=made.target)

    def hold(change: RNN, _: PyTree) -> RNN:
        return RNN(cell=BengioLatch(w=free * change.cell.w, e=change.cell.e))

    descent = optax.chain(optax.sgd(rate), optax.stateless(hold))
    options = {"split": last(0.5), "epochs": updates, "batch": 2 * FRESH, "length": length}  # an epoch is one update
    after = fit(two, model, draw, descent, raw, **options).model
    fresh = draw(three, 2 * TESTED)
    y = jax.vmap(lambda x: answers(after, x)[length - 1])(fresh.x)
    return jnp.mean((y > 0) == (fresh.target > 0)), after.cell.w, jnp.mean((y - fresh.target) ** 2)


POINTS = 9  # computed together


def trained(points: Sequence[tuple[float, float, float]], lengths: Sequence[int], runs: int, updates: int) -> tuple:
    """`train` from each (w, noise, free) at each length, by one program: arrays (length, point, run)."""
    longest, size = max(lengths), min(POINTS, len(points))
    each = functools.partial(train, longest=longest, updates=updates)
    within = jax.vmap(each, (None, 0, 0, 0, None))  # the points of a run share its noise and its first evidence
    keys = jax.random.split(jax.random.key(0), runs)

    @jax.jit
    def program(columns: Float[Array, "column point"], length: Int[Array, ""]) -> tuple:
        return jax.vmap(within, (0, None, None, None, None), 1)(keys, *columns, length)

    blocks = [np.resize(np.asarray(points[i:], np.float32), (size, 3)).T for i in range(0, len(points), size)]
    jobs = [(length, block) for length in sorted(lengths, reverse=True) for block in range(len(blocks))]
    with ThreadPoolExecutor(devices.threads()) as pool:
        made = pool.map(lambda job: jax.device_get(program(blocks[job[1]], jnp.int32(job[0]))), jobs)
        done = dict(zip(jobs, made, strict=True))
    joined = [
        jax.tree.map(lambda *parts: np.concatenate(parts)[: len(points)], *(done[t, i] for i in range(len(blocks))))
        for t in lengths
    ]
    return jax.tree.map(lambda *each: np.stack(each), *joined)


def convergence(w: Sequence[float], noise: Sequence[float], length: int, runs: int, updates: int) -> xarray.Dataset:
    """Fig. 2(a), dims (w, noise, run): ``accuracy`` on fresh episodes, the trained ``w_final`` and the ``error``."""
    made = trained([(start, s, 1.0) for start in w for s in noise], [length], runs, updates)
    shape = (len(w), len(noise), runs)
    found = {n: (("w", "noise", "run"), v[0].reshape(shape)) for n, v in zip(NAMES, made, strict=True)}
    return xarray.Dataset(found, {"w": list(w), "noise": list(noise)}, {"length": length, "updates": updates})


def frequency(lengths: Sequence[int], runs: int, updates: int, w: float = 1.25, noise: float = 0.2) -> xarray.Dataset:
    """Fig. 2(b), dims (length, trained, run): as `convergence`, with w trained (1) or kept where it began (0)."""
    made = trained([(w, noise, 1.0), (w, noise, 0.0)], lengths, runs, updates)
    found = {n: (("length", "trained", "run"), v) for n, v in zip(NAMES, made, strict=True)}
    return xarray.Dataset(
        found, {"length": list(lengths), "trained": [1, 0]}, {"w": w, "noise": noise, "updates": updates}
    )


def problems(lengths: Sequence[int], runs: int, tried: int, count: int) -> xarray.Dataset:
    """The paper's other problems, one tanh unit: ``accuracy`` (problem, length, run) by Adam, ``guessed`` at random.

    ``guessed`` (problem, length): the share of ``tried`` weights from U[-100, 100] that solve 64 episodes.
    """

    def setup(key: Key[Array, ""]) -> tuple[RNN, optax.GradientTransformation]:
        return begin(SRNN(), key, keras3, outputs=None), keras_adam(1e-2)

    made = []
    for task in (two_sequence(), parity()):
        one = curves(setup, task, lengths, seeds=runs, count=count, objective=sigmoid).accuracy.rename(seed="run")
        chance = baseline(begin(SRNN(), jax.random.key(0), outputs=None), task, lengths, tried=tried, objective=sigmoid)
        made.append(xarray.Dataset({"accuracy": one, "guessed": chance.guessed}))
    names = np.array(["two sequences", "parity"], object)
    return xarray.concat(made, "problem").assign_coords(problem=names).assign_attrs(tried=tried, count=count)


def run(
    w: tuple[float, ...] = (0.5, 0.75, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0),
    noise: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0),
    lengths: tuple[int, ...] = (4, 6, 8, 10, 15, 20, 25, 30, 40, 50, 75),
    runs: int = 18,
    repeats: int = 64,
    updates: int = 1000,
    length: int = 20,
    tried: int = 20_000,
    quick: bool = False,
    out: str | None = "results/bengio_1994",
) -> dict[str, xarray.Dataset]:
    """``map`` (`convergence`), ``frequency``, with twice the updates, and ``problems``; ``quick``: fewer of all.

    What ``out`` holds of these settings is read.
    """
    settings = {name: value for name, value in locals().items() if name != "out"}
    if quick:
        w, noise, lengths, repeats, updates = w[::3], noise[::2], lengths[::3], 16, 300
        runs, tried = min(runs, 8), 2000

    def compute() -> dict[str, xarray.Dataset]:
        results = {
            "map": convergence(w, noise, length, runs, updates),
            "frequency": frequency(lengths, repeats, 2 * updates),
            "problems": problems((5, 10, 25, 50), 16 if quick else 32, tried, 2000 if quick else 10_000),
        }
        return {name: ds.assign_attrs(provenance.here()) for name, ds in results.items()}

    return store.kept(out, settings, compute)


def describe(accuracy: xarray.DataArray) -> str:
    """How many runs converged, with Wilson's interval."""
    solved, tried = int((accuracy >= CONVERGED).sum()), accuracy.size
    low, high = wilson(solved, tried)
    return f"{solved / tried:.2f} ({float(low):.2f} to {float(high):.2f})"


def sentence(results: Mapping[str, xarray.Dataset]) -> str:
    """What the figure shows, in numbers from the data."""
    over, by, other = (results[name] for name in ("map", "frequency", "problems"))
    lines = ["Converged, by noise " + ", ".join(f"{s:g}" for s in over.noise.values)]
    for row in (over.accuracy >= CONVERGED).mean("run"):
        lines.append(f"  w = {float(row.w):g}: " + " ".join(f"{float(p):.2f}" for p in row))
    for free, words in ((1, "w trained"), (0, "w kept")):
        curve = by.accuracy.sel(trained=free)
        lines.append(f"{words}: " + ", ".join(f"T = {int(t)} {describe(curve.sel(length=t))}" for t in by.length))
    failed = by.sel(trained=1).where(by.accuracy.sel(trained=1) < CONVERGED)
    end = float(abs(failed.w_final).median()), float(failed.error.median())
    lines.append(f"Failed runs end at |w| = {end[0]:.2f}, error {end[1]:.2f} (medians)")
    for name in other.problem.values:
        one = other.sel(problem=name)
        each = [(describe(one.accuracy.sel(length=t)), float(one.guessed.sel(length=t)), int(t)) for t in one.length]
        lines.append(f"{name}: " + ", ".join(f"T = {t} trained {rate}, guessed {by:.4f}" for rate, by, t in each))
    return "\n".join(lines)


if __name__ == "__main__":
    print(sentence(run()))

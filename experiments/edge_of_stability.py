"""Does gradient descent sharpen a network until its largest curvature is 2 / rate, and stay there? (Cohen et al. 2021)

    landscape run edge_of_stability --quick
    python figures/edge_of_stability.py

Full-batch gradient descent on a quadratic of curvature λ is stable up to λ = 2 / rate. A tanh network of 64-32-32-10
units reads scikit-learn's 1,797 digits (8 x 8, not MNIST, pixels centred), half the squared error of one-hot targets;
λ is the largest eigenvalue of its Hessian by Lanczos, beside the residual that certifies it. The smallest rate is a
control: its edge is at a curvature that the network does not sharpen to.

Expected, 5 rates from 3 starts: the 12 descents at rates .25 to .8 end at the edge, the 3 at .1 below it. Over the last
half of 4,000 updates the median of λ is .34 (rate .1) to 1.05 times 2 / rate, and over the four larger rates it goes as
its power .97 (.96 to .97); where descents are at the edge 37 % of their updates raise the loss. Three minutes of
processor time, the quick one 10 seconds.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray

from landscape import Risk, curvature, data, trajectories
from landscape.extras import needed
from landscape.losses import Objective
from landscape.success import Share

HALF_SQUARE = Objective(
    loss=lambda y, target: 0.5 * jnp.sum((y - target) ** 2),
    correct=lambda y, target: jnp.argmax(y) == jnp.argmax(target),
)
BELOW, AT, ABOVE, LOST, UNSURE = "below the edge", "at the edge", "beyond the edge", "diverged", "not told"


class Net(nn.Module):
    """Two hidden layers of tanh units."""

    units: int = 32

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.tanh(nn.Dense(self.units)(x))
        return nn.Dense(10)(x)


def risk(examples: int, units: int) -> Risk:
    """The risk of the digits; one batch of all."""
    images, labels = data.digits()
    pixels = images.reshape(len(images), -1)
    pixels = (pixels - pixels.mean(0, keepdims=True))[:examples]
    return Risk(Net(units).apply, (pixels, np.eye(10, dtype=np.float32)[labels[:examples]]), HALF_SQUARE, len(pixels))


def sharpest(asked: Risk, model: dict, number: int) -> tuple[float, float]:
    """The largest eigenvalue of the Hessian and its residual; NaN where training has diverged."""
    if not np.isfinite(asked(model)):
        return np.nan, np.nan
    found = curvature.top(curvature.hessian(asked, model), 2, jax.random.key(number), 20)
    k = int(found.value.argmax("pair"))
    return float(found.value[k]), float(found.residual[k])


def descent(asked: Risk, units: int, rate: float, numbers: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """``loss``, ``rise``, that of the next update, ``sharpness`` and its ``residual`` after each of so many updates."""
    params = Net(units).init(jax.random.key(seed), asked.data.first.inputs[:1])
    path = trajectories.descend(asked, params, optax.sgd(rate), np.unique([numbers, numbers + 1]))
    models = {n: jax.tree.map(lambda leaf, k=k: leaf[k], path.models) for k, n in enumerate(path.steps.tolist())}
    loss = {number: float(asked(model)) for number, model in models.items()}
    found = np.array([sharpest(asked, models[n], n) for n in numbers.tolist()])
    both = np.array([(loss[n], loss[n + 1] - loss[n]) for n in numbers.tolist()])
    return {"loss": both[:, 0], "rise": both[:, 1], "sharpness": found[:, 0], "residual": found[:, 1]}


def run(
    rates: tuple[float, ...] = (0.1, 0.25, 0.4, 0.6, 0.8),
    repeats: int = 3,
    steps: int = 4000,
    every: int = 50,
    units: int = 32,
    examples: int = 1797,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """Each of ``rates`` from each of ``repeats`` starts, dims (rate, seed, step), see `descent`.

    ``quick``: three rates, 500 examples, 16 units, 400 updates, to see it work.
    """
    needed("matfree", "curvature", "spectra are found")
    if quick:
        rates, steps, every, units, examples = (0.1, 0.4, 0.8), 400, 40, 16, 500
    asked, seeds, numbers = risk(examples, units), range(seed, seed + repeats), np.arange(0, steps + 1, every)
    runs = [[descent(asked, units, rate, numbers, one) for one in seeds] for rate in rates]
    dims = ("rate", "seed", "step")
    columns = {name: (dims, np.array([[one[name] for one in row] for row in runs])) for name in runs[0][0]}
    where = {"rate": list(rates), "seed": list(seeds), "step": numbers}
    made = xarray.Dataset(columns, where, {"units": units, "examples": asked.data.examples})
    return made.assign_attrs(finding=sentence(made))


def late(results: xarray.Dataset) -> xarray.Dataset:
    """The last half of training, with ``ratio``, λ rate / 2: 1 at the edge."""
    part = results.isel(step=slice(results.sizes["step"] // 2, None))
    return part.assign(ratio=part.sharpness * part.rate / 2, unsure=part.residual * part.rate / 2)


def verdicts(results: xarray.Dataset, near: float = 0.15) -> xarray.DataArray:
    """What became of each run (rate, seed): whether the median ratio of the last half is within ``near`` of 1 or not.

    λ is known up to its residual, and a run counts as one of them only if it is so at both ends.
    """
    part = late(results)
    low, high = ((part.ratio + sign * part.unsure).median("step") for sign in (-1, 1))
    lost = ~np.isfinite(results.loss.isel(step=-1))
    cases = [lost, (low >= 1 - near) & (high <= 1 + near), high < 1 - near, low > 1 + near]
    words = np.select([case.values for case in cases], [LOST, AT, BELOW, ABOVE], UNSURE)
    return xarray.DataArray(words, low.coords, low.dims)


def slope(results: xarray.Dataset) -> Share:
    """The power of 2 / rate that the late λ goes with, and its interval of 95 %: 1 at the edge, 0 if no rate counts.

    Without the smallest rate, which is there to see how far the network sharpens by itself.
    """
    from scipy import stats

    found = late(results).sharpness.median("step").transpose("rate", "seed").sortby("rate")[1:]
    x, y = np.repeat(np.log(2 / found.rate.values), found.sizes["seed"]), np.log(found.values.ravel())
    made = stats.linregress(x[np.isfinite(y)], y[np.isfinite(y)])
    reach = stats.t.ppf(0.975, np.isfinite(y).sum() - 2) * made.stderr
    return Share(float(made.slope), float(made.slope - reach), float(made.slope + reach))


def sentence(results: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    words, part = verdicts(results), late(results)
    counted = [f"{n} {word}" for word, n in zip(*np.unique(words.values, return_counts=True), strict=True)]
    ratio, rising = part.ratio.median("step"), (part.rise > 0).where(words == AT)
    told = f"; where they are at it {float(rising.mean()):.0%} of updates raise the loss" if (words == AT).any() else ""
    return (
        f"Of {words.size} descents, {words.sizes['rate']} rates from {words.sizes['seed']} starts, "
        f"{', '.join(counted)}. Over the last half of {int(results.step[-1])} updates the median of λ is "
        f"{float(ratio.min()):.2f} to {float(ratio.max()):.2f} times 2 / rate and, but for the smallest rate, goes as "
        f"its power {slope(results)}, at the edge 1{told}."
    )


if __name__ == "__main__":
    print(sentence(run()))

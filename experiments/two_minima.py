"""Are two networks that were trained apart in one valley? Along the line, with units aligned, and round a bend.

    landscape run two_minima --quick
    python figures/two_minima.py

Networks of 64-U-U-10 ReLU units from two starts learn 1,440 of scikit-learn's digits (8 x 8, not MNIST) by 1,000
updates of Adam at .001, minibatches of 64 in two orders. The barrier is the largest rise of the loss along a path above
the line between the losses of its ends (Frankle et al. 2020): on the straight line; on the line to the second network
with its units in the order most like the first one's, the same function (Ainsworth et al. 2023); and on a Bezier curve
whose bend was trained (Garipov et al. 2018), which lies in the plane through its ends and its bend.

Expected, means of 6 pairs: with 16, 64 and 256 units the barrier on the line is 1.30, .63 and .41; with units aligned
14.9 % (10.2 to 19.6), 6.6 % (5.0 to 8.3) and 4.7 % (3.6 to 5.9) of it is left, lower yet not gone; on the bend 1.4, .05
and less than .01 %. Two minutes of processor time, the quick one 14 seconds.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import xarray

from landscape import Risk, connectivity, data, directions, losses, span, surface, training, trajectories
from landscape.success import Share

PATHS = ("line", "aligned", "bend")
TEST = 357
#: Every (leaf, axis) that the units of each hidden layer index.
UNITS = [
    [(f"params.Dense_{k}.kernel", 1), (f"params.Dense_{k}.bias", 0), (f"params.Dense_{k + 1}.kernel", 0)]
    for k in range(2)
]


class Net(nn.Module):
    """Two hidden layers of ReLU units."""

    units: int

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.relu(nn.Dense(self.units)(x))
        return nn.Dense(10)(x)


def risks(units: int) -> dict[str, Risk]:
    """The risk on images to train on and on those to test on, one batch each."""
    images, labels = data.digits()
    mixed = np.random.default_rng(0).permutation(len(labels))
    pixels = images.reshape(len(images), -1)[mixed]
    pixels, labels = (pixels - pixels.mean(0, keepdims=True)) / pixels.std(), labels[mixed]
    sets = {"train": (pixels[:-TEST], labels[:-TEST]), "test": (pixels[-TEST:], labels[-TEST:])}
    return {name: Risk(Net(units).apply, pair, batch=len(pair[1]), order=0) for name, pair in sets.items()}


def trained(asked: Risk, units: int, updates: int, seed: int) -> dict:
    """A network after so many updates."""
    params = Net(units).init(jax.random.key(seed), asked.data.first.inputs[:1])
    found = trajectories.descend(asked, params, training.keras_adam(1e-3), [updates], jax.random.key(seed), batch=64)
    return jax.tree.map(lambda leaf: leaf[-1], found.models)


def bent(asked: Risk, a: dict, b: dict, updates: int, seed: int) -> dict:
    """The bend of a curve from ``a`` to ``b``, by Adam on minibatches of 64."""
    pixels, labels = map(jnp.asarray, asked.data.data)

    def loss(params, key):
        drawn = jax.random.randint(key, (64,), 0, len(labels))
        return jnp.mean(jax.vmap(losses.classes.loss)(asked.predict(params, pixels[drawn]), labels[drawn]))

    return connectivity.bent(loss, a, b, jax.random.key(seed), training.keras_adam(1e-3), updates)[0]


def pair(units: int, updates: int, seed: int, points: int) -> tuple[xarray.Dataset, dict, list]:
    """Losses and barriers of the three paths between two networks (path, images, t), and the ends with the bend."""
    asked = risks(units)
    a, b = (trained(asked["train"], units, updates, 2 * seed + k) for k in range(2))
    bend = bent(asked["train"], a, b, 2 * updates, seed)
    ends = {"line": (b, None), "aligned": (connectivity.align(a, b, UNITS).params, None), "bend": (b, bend)}
    rows = [
        xarray.concat([connectivity.barrier(a, end, risk, points, middle) for risk in asked.values()], "images")
        for end, middle in ends.values()
    ]
    made = xarray.concat(rows, "path", combine_attrs="drop")
    return made.assign_coords(path=list(PATHS), images=list(asked)), asked, [a, b, bend]


def picture(asked: Risk, models: list, side: int, t: np.ndarray) -> xarray.Dataset:
    """The loss over the plane through both ends and the bend, ``plane`` (along, across), and the curve in it (t,)."""
    around = directions.between(models, ("along", "across"))
    corners = np.array(around.about["coordinates"])
    high = float(corners[2, 1])
    axes = {"along": np.linspace(-0.3, 1.3, side), "across": np.linspace(-0.35 * high, 0.85 * high, side)}
    made = surface(span(models[0], around, **axes), asked)
    curve = np.outer((1 - t) ** 2, corners[0]) + np.outer(2 * t * (1 - t), corners[2]) + np.outer(t**2, corners[1])
    return xarray.Dataset({"plane": made.loss, "x": ("t", curve[:, 0]), "y": ("t", curve[:, 1])})


def run(
    units: tuple[int, ...] = (16, 64, 256),
    repeats: int = 6,
    updates: int = 1000,
    points: int = 61,
    side: int = 61,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """``loss`` and ``barrier`` (units, pair, path, images, t), and the plane of the first pair of the middle width.

    ``quick``: one width, two pairs, 300 updates, to see it work.
    """
    data.digits()  # what is missing is said before anything is computed
    if quick:
        units, repeats, updates, points, side = (32,), 2, 300, 21, 21
    rows, drawn = [], None
    for width in units:
        found = [pair(width, updates, seed + k, points) for k in range(repeats)]
        rows.append(xarray.concat([one[0] for one in found], "pair", combine_attrs="drop"))
        if width == units[len(units) // 2]:
            drawn = picture(found[0][1]["train"], found[0][2], side, rows[-1].t.values)
    made = xarray.concat(rows, "units", combine_attrs="drop").assign_coords(units=list(units)).merge(drawn)
    made.attrs = {"updates": updates, "drawn": units[len(units) // 2], "cell": "Net", "dtype": "float32"}
    return made.assign_attrs(finding=sentence(made))


def left(results: xarray.Dataset, units: int, path: str) -> Share:
    """The barrier of a path as a part of that of the line, of training images: mean over pairs, Student's interval."""
    from scipy import stats

    found = results.barrier.sel(units=units, images="train")
    ratio = (found.sel(path=path) / found.sel(path="line")).values
    reach = stats.t.ppf(0.975, len(ratio) - 1) * ratio.std(ddof=1) / len(ratio) ** 0.5
    return Share(float(ratio.mean()), float(ratio.mean() - reach), float(ratio.mean() + reach))


def verdict(part: Share, little: float = 0.05) -> str:
    """What became of the barrier: removed if surely less than ``little`` is left; else lowered, raised, or open."""
    if part.high < little:
        return "removes the barrier"
    if part.high < 1:
        return "lowers the barrier"
    return "raises the barrier" if part.low > 1 else "is not told from the line"


def sentence(results: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    told = []
    for width in results.units.values.tolist():
        line = results.barrier.sel(units=width, images="train", path="line")
        parts = {path: left(results, width, path) for path in PATHS[1:]}
        told.append(
            f"{width} units: barrier {float(line.mean()):.2f} on the line; aligning {verdict(parts['aligned'])}, "
            f"{parts['aligned'].value:.1%} ({parts['aligned'].low:.1%} to {parts['aligned'].high:.1%}) is left; the "
            f"bend {verdict(parts['bend'])}, {parts['bend'].value:.2%} (to {parts['bend'].high:.2%})"
        )
    return f"Means of {results.sizes['pair']} pairs and their intervals of 95 %. {'. '.join(told)}."


if __name__ == "__main__":
    print(sentence(run()))

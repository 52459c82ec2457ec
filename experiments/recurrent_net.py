"""How does the loss around a trained recurrent network change as its sequence grows, and does it grow steep?

    landscape run recurrent_net --quick
    python figures/recurrent_net.py

Flax networks of 16 units, tanh and GRU, read scikit-learn's digits (8 x 8, not MNIST) pixel by pixel, 64 steps, and are
asked for the class after the last: 800 updates of Adam at .005 on 64 images, gradients clipped to a norm of 1. Around
each the loss with its exact gradient at every length, asked after 1, 2, ... 64 pixels, in one pass, along two random
directions whose filters are as long as the network's. Steep is the largest gradient of 31 x 31 points; it is fitted by
an exponential of the length from 16 steps on.
"""

import flax.linen as nn
import jax
import numpy as np
import optax
import xarray

from landscape import Risk, data, directions, span, surface, training, trajectories
from landscape.success import Share

CELLS = {"tanh": nn.SimpleCell, "GRU": nn.GRUCell}
FROM = 16  # steps: before, the state has not forgotten where it began


class Net(nn.Module):
    """One recurrent layer, and an answer after every step."""

    cell: type
    units: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(10)(nn.RNN(self.cell(self.units))(x))


def risk(net: Net, examples: int, order: int) -> Risk:
    """The risk of so many digits at every length, a pixel a step."""
    images, labels = data.digits()
    mixed = np.random.default_rng(0).permutation(len(labels))[:examples]
    pixels = data.scan_order(images[mixed])
    return Risk(net.apply, (pixels, labels[mixed]), lengths=range(1, pixels.shape[1] + 1), order=order)


def trained(net: Net, updates: int, seed: int) -> dict:
    """The network after so many updates."""
    asked = risk(net, 1797, 0)
    params = net.init(jax.random.key(seed), asked.data.first.inputs[:1])
    rule = optax.chain(optax.clip_by_global_norm(1.0), training.keras_adam(5e-3))
    path = trajectories.descend(asked, params, rule, [updates], jax.random.key(seed), batch=64)
    return jax.tree.map(lambda leaf: leaf[-1], path.models)


def around(net: Net, params: dict, examples: int, axis: np.ndarray, seed: int) -> xarray.Dataset:
    """``loss`` and ``log10_gradient`` (length, a, b) around one network."""
    ways = directions.random(params, jax.random.key(100 + seed), ("a", "b"), directions.last)
    return surface(span(params, ways, a=axis, b=axis), risk(net, examples, 1))[["loss", "log10_gradient"]]


def run(
    repeats: int = 4,
    side: int = 31,
    reach: float = 1.0,
    units: int = 16,
    updates: int = 800,
    examples: int = 128,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """``loss`` (cell, length, a, b) of the first seed; ``middle`` and ``steep``, log10, (cell, seed, length).

    ``quick``: two seeds, 7 x 7 points, 60 updates, 32 images.
    """
    data.digits()  # what is missing is said before anything is computed
    if quick:
        repeats, side, updates, examples = 2, 7, 60, 32
    axis, seeds, rows = np.linspace(-reach, reach, side), range(seed, seed + repeats), {}
    for name, cell in CELLS.items():
        net = Net(cell, units)
        found = [around(net, trained(net, updates, one), examples, axis, one) for one in seeds]
        steep = xarray.concat([one.log10_gradient.max(("a", "b")) for one in found], "seed")
        middle = xarray.concat([one.loss.sel(a=0, b=0, method="nearest", drop=True) for one in found], "seed")
        rows[name] = xarray.Dataset({"loss": found[0].loss, "steep": steep, "middle": middle})
    made = xarray.concat([*rows.values()], "cell", combine_attrs="drop")
    made = made.assign_coords(cell=list(rows), seed=list(seeds))
    made.attrs = {"units": units, "examples": examples, "updates": updates}
    return made.assign_attrs(finding=sentence(made))


def growth(results: xarray.Dataset, cell: str) -> Share:
    """By how much the logarithm of the largest gradient grows a step: the mean over seeds with Student's interval."""
    from scipy import stats

    part = results.steep.sel(cell=cell).transpose("seed", "length")
    part = part.isel(length=np.flatnonzero(part.length.values >= FROM))
    rates = np.array([np.polyfit(part.length.values, row, 1)[0] * np.log(10) for row in part.values])
    reach = stats.t.ppf(0.975, len(rates) - 1) * rates.std(ddof=1) / len(rates) ** 0.5
    return Share(float(rates.mean()), float(rates.mean() - reach), float(rates.mean() + reach))


def verdict(rate: Share) -> str:
    """What the rate of the largest gradient says of the surface."""
    return "grows steeper" if rate.low > 0 else "grows flatter" if rate.high < 0 else "is not told to grow steeper"


def sentence(results: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    told = []
    for cell in results.cell.values.tolist():
        rate, last = growth(results, cell), results.sel(cell=cell).isel(length=-1)
        told.append(
            f"{cell}: loss {float(last.middle.mean()):.2f} after {int(last.length)} steps; the surface "
            f"{verdict(rate)}, ln of the largest gradient by {rate.value:.3f} a step ({rate.low:.3f} to "
            f"{rate.high:.3f}), to {10 ** float(last.steep.mean()):.2g}"
        )
    return f"{results.sizes['seed']} networks each. {'. '.join(told)}."


if __name__ == "__main__":
    print(sentence(run()))

"""What does a batch norm do to the picture of a loss, and what does it depend on? (Li et al. 2018)

    landscape run filter_normalised --quick
    python figures/filter_normalised.py

A convolutional network, 8-16-32 channels, learns scikit-learn's digits (8 x 8, not MNIST), without and with a batch
norm after every convolution, by 600 updates of Adam at .003 on 64 images. Around each the loss of 600 images along two
random directions, every filter of them as long as the filter that it moves. With a batch norm the picture depends on
which mean and variance it uses away from the middle: `frozen`, those of all images in the middle; `batch`, those of 50
images at each point; `recomputed`, those of all 600 at each point.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import xarray

from landscape import Risk, data, directions, span, surface, training, trajectories
from landscape.success import Share
from landscape.surfaces import values

FEW = 50  # images whose statistics `batch` uses


class Net(nn.Module):
    """Three convolutions with ReLU, each followed by a batch norm if there is one, a mean over pixels, a readout."""

    norm: bool

    @nn.compact
    def __call__(self, x, frozen: bool = False):
        for k, channels in enumerate((8, 16, 32)):
            x = nn.Conv(channels, (3, 3))(x)
            x = nn.BatchNorm(frozen, momentum=0.0)(x) if self.norm else x
            x = nn.max_pool(nn.relu(x), (2, 2), (2, 2)) if k < 2 else nn.relu(x)
        return nn.Dense(10)(jnp.mean(x, (1, 2)))


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first so many digits (image, row, column, 1) in a random order, and their labels."""
    pixels, labels = data.digits()
    mixed = np.random.default_rng(0).permutation(len(labels))[:count]
    return pixels[mixed][..., None], labels[mixed]


PLAIN, NORMED = Net(False), Net(True)


def plain(model: dict, x: jax.Array) -> jax.Array:
    """Answers without a batch norm."""
    return PLAIN.apply(model, x)


def frozen(model: dict, x: jax.Array) -> jax.Array:
    """Answers by the statistics that the model holds."""
    return NORMED.apply(model, x, True)


def by_batch(model: dict, x: jax.Array) -> jax.Array:
    """Answers by the statistics of the batch itself."""
    return NORMED.apply(model, x, mutable=["batch_stats"])[0]


def risks(count: int) -> dict[str, Risk]:
    """The risk of the first images by each policy."""
    some = images(count)
    held = {"none": Risk(plain, some, batch=100, order=0), "frozen": Risk(frozen, some, batch=100, order=0)}
    sizes = {"batch": FEW, "recomputed": count}
    tell = lambda size: f"batch statistics of {size} images"  # noqa: E731
    return held | {name: Risk(by_batch, some, batch=n, order=0, policy=tell(n)) for name, n in sizes.items()}


def trained(normed: bool, updates: int, count: int, seed: int) -> dict:
    """A model after so many updates, which holds the statistics of the first images."""
    every, net = images(1797), NORMED if normed else PLAIN
    risk = Risk(by_batch if normed else plain, every, policy="batch statistics")
    start, rule = net.init(jax.random.key(seed), every[0][:1]), training.keras_adam(3e-3)
    path = trajectories.descend(risk, start, rule, [updates], jax.random.key(seed), batch=64)
    model = jax.tree.map(lambda leaf: leaf[-1], path.models)
    found = net.apply(model, every[0][:count], mutable=["batch_stats"])[1]
    return {**model, **jax.tree.map(np.asarray, found)}


def ways(model: dict, seed: int) -> directions.Directions:
    """Two random directions along the filters; what has one axis, a batch norm and its statistics too, stays."""
    return directions.random(model, jax.random.key(100 + seed), ("a", "b"), directions.last)


def away(model: dict, risk: Risk, seed: int) -> float:
    """The mean loss on the circle one filter-normalised step away."""
    turn = 2 * np.pi * np.arange(24) / 24
    plane = span(model, ways(model, seed), a=(-1.0, 1.0), b=(-1.0, 1.0))
    return float(values(plane, risk, np.stack([np.cos(turn), np.sin(turn)], 1))["loss"].mean())


def run(
    repeats: int = 6,
    side: int = 31,
    reach: float = 1.0,
    updates: int = 600,
    count: int = 600,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """``loss`` (policy, a, b) of the first seed; ``middle`` and ``away``, a step away, (policy, seed).

    ``quick``: two seeds, 9 x 9 points, 100 updates, 200 images.
    """
    data.digits()  # what is missing is said before anything is computed
    if quick:
        repeats, side, updates, count = 2, 9, 100, 200
    axis, seeds, asked = np.linspace(-reach, reach, side), range(seed, seed + repeats), risks(count)
    nets = {normed: [trained(normed, updates, count, one) for one in seeds] for normed in (False, True)}
    of = {name: nets[name != "none"] for name in asked}
    ends = {
        name: [away(model, risk, one) for model, one in zip(of[name], seeds, strict=True)]
        for name, risk in asked.items()
    }
    middle = {name: [float(risk(model)) for model in of[name]] for name, risk in asked.items()}
    loss = [
        surface(span(of[n][0], ways(of[n][0], seed), a=axis, b=axis), risk).loss.values for n, risk in asked.items()
    ]
    columns = {"loss": (("policy", "a", "b"), np.stack(loss))}
    columns |= {name: (("policy", "seed"), [*found.values()]) for name, found in (("middle", middle), ("away", ends))}
    made = xarray.Dataset(columns, {"policy": list(asked), "seed": list(seeds), "a": axis, "b": axis})
    made.attrs = {"examples": count, "updates": updates}
    return made.assign_attrs(finding=sentence(made))


def times(results: xarray.Dataset, first: str, second: str) -> Share:
    """How many times the loss a step away is by one policy what it is by another.

    The geometric mean over seeds, with the interval that Student's of the logarithms gives; the intervals of all pairs
    hold together in 95 % (Bonferroni).
    """
    from scipy import stats

    logs = np.log(results["away"].sel(policy=first).values / results["away"].sel(policy=second).values)
    reach = stats.t.ppf(1 - 0.025 / len(PAIRS), len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5
    return Share(*(float(np.exp(logs.mean() + sign * reach)) for sign in (0, -1, 1)))


PAIRS = (("frozen", "recomputed"), ("frozen", "batch"), ("batch", "recomputed"), ("none", "recomputed"))


def verdict(found: Share) -> str:
    """Whether the first of a pair is higher a step away."""
    return "higher than" if found.low > 1 else "lower than" if found.high < 1 else "not told from"


def sentence(results: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    mean = results["away"].mean("seed")
    each = ", ".join(f"{name} {float(mean.sel(policy=name)):.2f}" for name in results.policy.values.tolist())
    told = []
    for pair in PAIRS:
        found = times(results, *pair)
        told.append(f"{pair[0]} is {verdict(found)} {pair[1]} ({found} times)")
    return f"Mean loss one step away, {results.sizes['seed']} networks: {each}. {'; '.join(told)}."


if __name__ == "__main__":
    print(sentence(run()))

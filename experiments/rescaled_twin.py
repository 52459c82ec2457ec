"""Which pictures of a loss does a rescaled twin change, a network of the same function? (Dinh et al. 2017)

    landscape run rescaled_twin --quick
    python figures/rescaled_twin.py

A ReLU unit whose weights in are multiplied by a factor and whose weights out are divided by it computes the same. Twins
of a trained network of 64-32-32-10 units (scikit-learn's digits, 8 x 8, not MNIST): one with a factor of 8 for all
units, one with a factor for each, 1/8 to 8 in powers of two, so that not a bit of any answer changes. Each stands in
the middle of a plane along two random directions, of the same key, whose lengths follow a rule: `same`, those of the
first network, as directions that are not normalised have; `layer`, `last` (filters, as Flax lays them out, Li et al.
2018), `every` weight. Beside each picture the largest change of the surface as a part of its range, in float64.

Expected, change of the surface over its range, median and ends of 6 networks: with one factor 5.8 (3.6 to 7.2) by
`same` and 0, bit for bit, by the others; with a factor a unit 4.9 (3.5 to 11) by `same`, 130 (85 to 260) by `layer`,
130 (83 to 270) by `last` and 0 by `every`: weights out of a unit belong to other filters. The largest eigenvalue of the
Hessian is then 50 to 127 times as large, and the rise in an adaptive ball (ASAM) the same. By another seed, 2 networks:
6.5, 160, 110 and 0; 33 and 53 times. 40 seconds of processor time, the quick run 12.
"""

import flax.linen as nn
import jax
import numpy as np
import xarray

from landscape import Risk, curvature, data, directions, span, surface, training, trajectories
from landscape.extras import needed

RULES = {"same": directions.last, "layer": directions.layer, "last": directions.last, "every": directions.every}
TWINS = ("the network", "one factor", "a factor a unit")
ALONE, CHANGED, OPEN = "leaves the picture alone", "changes it", "changes some"


class Net(nn.Module):
    """Two hidden layers of ReLU units."""

    units: int = 32

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.relu(nn.Dense(self.units)(x))
        return nn.Dense(10)(x)


def risk(units: int, examples: int) -> Risk:
    """The risk of the digits in float64, losses alone."""
    images, labels = data.digits()
    pixels = images.reshape(len(images), -1)[:examples]
    return Risk(Net(units).apply, (pixels, labels[:examples]), batch=600, order=0, dtype="float64")


def trained(asked: Risk, units: int, updates: int, seed: int) -> dict:
    """The network after so many updates of Adam at .003, minibatches of 64."""
    params = Net(units).init(jax.random.key(seed), asked.data.first.inputs[:1])
    found = trajectories.descend(asked, params, training.keras_adam(3e-3), [updates], jax.random.key(seed), batch=64)
    return jax.tree.map(lambda leaf: leaf[-1], found.models)


def rescaled(params: dict, factors: list[np.ndarray]) -> dict:
    """The same function: weights into the units of each hidden layer times ``factors`` (unit,), those out divided."""
    layers = params["params"]
    ones = np.ones(1)
    before, after = [ones, *factors], [*factors, ones]
    scaled = {
        f"Dense_{k}": {
            "kernel": layers[f"Dense_{k}"]["kernel"] * after[k][None, :] / before[k][:, None],
            "bias": layers[f"Dense_{k}"]["bias"] * after[k],
        }
        for k in range(len(factors) + 1)
    }
    return {"params": scaled}


def family(params: dict, units: int, seed: int) -> dict[str, dict]:
    """The network and its twins, by name."""
    rng = np.random.default_rng(seed)
    each = [2.0 ** rng.integers(-3, 4, units) for _ in range(2)]
    return dict(zip(TWINS, (params, rescaled(params, [np.full(units, 8.0)] * 2), rescaled(params, each)), strict=True))


def picture(asked: Risk, model: dict, first: dict, rule: str, axis: np.ndarray, seed: int) -> np.ndarray:
    """The surface (a, b) around a model, its directions as long as ``rule`` has it."""
    long = first if rule == "same" else model
    around = directions.random(long, jax.random.key(seed), ("a", "b"), RULES[rule])
    return surface(span(model, around, a=axis, b=axis), asked).loss.values


def sharp(asked: Risk, model: dict) -> dict[str, float]:
    """The largest eigenvalue of the Hessian; how far the loss rises in a plain ball and one that rescaling leaves."""
    rise = lambda size, adaptive: curvature.sharpness(asked, model, size, jax.random.key(0), adaptive).lower_bound  # noqa: E731
    value = curvature.top(curvature.hessian(asked, model), 1, jax.random.key(0)).value[0]
    return {"eigenvalue": float(value), "sam": float(rise(0.05, False)), "asam": float(rise(0.5, True))}


def run(
    repeats: int = 6,
    side: int = 31,
    reach: float = 1.0,
    units: int = 32,
    updates: int = 600,
    examples: int = 1797,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """``loss`` (seed, twin, rule, a, b), ``change`` (seed, twin, rule), curvatures (seed, twin).

    Each seed has a network, directions and factors of its own. ``quick``: two seeds, 11 x 11 points, 300 examples.
    """
    needed("matfree", "curvature", "spectra are found")
    if quick:
        repeats, side, updates, examples = 2, 11, 200, 300
    asked, axis, seeds = risk(units, examples), np.linspace(-reach, reach, side), range(seed, seed + repeats)
    nets = [family(trained(asked, units, updates, one), units, one) for one in seeds]
    loss = [
        [[picture(asked, model, twins[TWINS[0]], rule, axis, one) for rule in RULES] for model in twins.values()]
        for one, twins in zip(seeds, nets, strict=True)
    ]
    sharpness = [[sharp(asked, model) for model in twins.values()] for twins in nets]
    columns = {name: (("seed", "twin"), [[one[name] for one in row] for row in sharpness]) for name in sharpness[0][0]}
    where = {"seed": list(seeds), "twin": list(TWINS), "rule": list(RULES), "a": axis, "b": axis}
    made = xarray.Dataset({"loss": (tuple(where), np.array(loss)), **columns}, where)
    made["change"] = change(made)
    made.attrs = {"units": units, "examples": asked.data.examples}
    return made.assign_attrs(finding=sentence(made))


def change(ds: xarray.Dataset) -> xarray.DataArray:
    """The largest change of each surface, as a part of the range of the first network's by the same rule."""
    first = ds.loss.sel(twin=TWINS[0], drop=True)
    whole = first.max(("a", "b")) - first.min(("a", "b"))
    return (abs(ds.loss - first).max(("a", "b")) / whole).transpose("seed", "twin", "rule")


def verdict(found: np.ndarray) -> str:
    """What a twin does to the picture by a rule, of all its changes (seed,)."""
    return ALONE if np.max(found) < 1e-6 else CHANGED if np.min(found) > 0.01 else OPEN


def describe(results: xarray.Dataset, twin: str) -> str:
    """What a twin does by each rule."""
    parts = []
    for rule in results.rule.values.tolist():
        found = results.change.sel(twin=twin, rule=rule).values
        parts.append(f"{rule} {np.median(found):.2g} ({found.min():.2g} to {found.max():.2g}), {verdict(found)}")
    return f"{twin}: {'; '.join(parts)}"


def sentence(results: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    times = results[["eigenvalue", "asam"]].sel(twin=TWINS[2]) / results[["eigenvalue", "asam"]].sel(twin=TWINS[0])
    tell = lambda name: f"{float(times[name].min()):.3g} to {float(times[name].max()):.3g} times"  # noqa: E731
    return (
        f"Change of the surface over its range, median and ends of {results.sizes['seed']} networks. "
        f"{'. '.join(describe(results, twin) for twin in TWINS[1:])}. With a factor a unit the largest curvature is "
        f"{tell('eigenvalue')} as large, the rise in an adaptive ball {tell('asam')}."
    )


if __name__ == "__main__":
    print(sentence(run()))

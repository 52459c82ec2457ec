"""Does the Hessian of a classifier of C classes have C - 1 outliers, and when in training? (Papyan 2020; Sagun et al.)

    landscape run spectrum --quick
    python figures/spectrum.py

Networks of 64-64-64-C ReLU units learn the first C of scikit-learn's digits (8 x 8, not MNIST) by their cross entropy:
momentum .9, rate .05, minibatches of 128. The largest eigenvalues of the Hessian of all data, by Lanczos, each beside
the residual that certifies it, at several numbers of updates; for C = 10, one start, the density of all. Whether C - 1
stand apart is asked twice: is the gap after them wider than its neighbours, and do their eigenvectors lie in the span
of the C class means, of gradients by class, more than the four after them?

Expected, 6 starts: with 4 classes 3 eigenvalues stand apart after 7 updates (90 % of images right; the widest gap is
after them in 5 of 6 networks), with 7 classes 6 after 7 and 14 (80 and 94 % right; 6 of 6 after 14), with 10 classes no
number of updates is told from the neighbours of the gap. At the end, all images right and losses below .001, they no
longer stand apart (0, 2 and 0 of 6). By another seed, 3 networks of 7 classes: the widest gap is after 6 in all after
14 updates, in none after 2,800; three are too few for the interval. Class means tell what a gap does not: the shares of
the C - 1 largest and of the four after them differ surely at every number of updates, by .55, .81 and .79 with 7
classes (before, after 14 updates, at the end), by .48, .76 and .61 with 10, and with 4 classes at five of eight
numbers. Of the 14 largest exactly 3 of 4 classes lie in class means by more than half in all after 7 updates and at the
end, exactly 6 of 7 classes in 5 of 6 networks after 14 updates and in 6 at the end, exactly 9 of 10 in 5 and 4, 8 in
the others. With sixteen other starts and 10 classes (`--classes 10 --seed 100 --repeats 16`) the shares differ
surely at all eight numbers again, exactly 9 in 14 of 16 after 14 updates and in 12 at the end, and the gap is told too,
though barely, after 14 (the widest in 5 of 16) and at the end (in none). So C - 1 large eigenvalues, or one fewer, are
those of class means from the start to the end; a gap sets them apart in the middle of training, if at all. Four minutes
of processor time, the quick run 15 seconds.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray

from landscape import Risk, curvature, data, trajectories
from landscape.extras import needed
from landscape.success import Share

PAIRS = 14  # eigenvalues kept, the largest: up to the fifth beyond the C - 1 of ten classes


class Net(nn.Module):
    """Two hidden layers of ReLU units."""

    units: int
    classes: int

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.relu(nn.Dense(self.units)(x))
        return nn.Dense(self.classes)(x)


def risk(classes: int, units: int) -> Risk:
    """The risk of the first so many digits, pixels centred and scaled alike; one batch of all."""
    images, labels = data.digits()
    pixels, kept = images.reshape(len(images), -1)[labels < classes], labels[labels < classes]
    pixels = (pixels - pixels.mean(0, keepdims=True)) / pixels.std()
    return Risk(Net(units, classes).apply, (pixels, kept), batch=len(pixels))


def trained(asked: Risk, classes: int, units: int, at: tuple[int, ...], seed: int) -> list:
    """The models after ``at`` updates."""
    params = Net(units, classes).init(jax.random.key(seed), asked.data.first.inputs[:1])
    rule = optax.sgd(0.05, momentum=0.9)
    path = trajectories.descend(asked, params, rule, at, jax.random.key(seed), batch=128)
    return [jax.tree.map(lambda leaf, k=k: leaf[k], path.models) for k in range(len(at))]


@functools.partial(jax.jit, static_argnums=(0, 4))
def class_means(predict: Callable, model: dict, pixels: jax.Array, labels: jax.Array, classes: int) -> dict:
    """``m_c = sum_i p_ic g_i`` over the images i of class c, (class, ...) for each leaf; g_i is an image's gradient.

    Of the gradients ``g_ik`` that an image would have were its label k, ``sum_k p_ik g_ik = 0``: this is Papyan's class
    mean, of all labels but its own, but for the sign.
    """

    def sums(model: dict) -> jax.Array:
        logs = jnp.take_along_axis(jax.nn.log_softmax(predict(model, pixels)), labels[:, None], 1)[:, 0]
        return jax.ops.segment_sum(-jax.lax.stop_gradient(jnp.exp(logs)) * logs, labels, classes)

    return jax.jacrev(sums)(model)


def largest(asked: Risk, model: dict, steps: int, classes: int) -> dict[str, np.ndarray]:
    """The largest eigenvalues of the Hessian, downwards, their residuals, and the share of each in class means (pair,).

    The share is that of the squared length of an eigenvector which lies in the span of the C class means.
    """
    found = curvature.top(curvature.hessian(asked, model), PAIRS + 6, jax.random.key(1), steps)
    found = found.isel(pair=np.argsort(-found.value.values)[:PAIRS])
    leaves = jax.tree.leaves(class_means(asked.predict, model, *asked.data.data, classes))
    rows = np.concatenate([np.reshape(leaf, (classes, -1)) for leaf in leaves], 1, dtype=np.float64)
    basis = np.linalg.svd(rows, full_matrices=False)[2]
    share = np.sum((found["vector"].values @ basis.T) ** 2, 1)
    return {"value": found.value.values, "residual": found.residual.values, "share": share}


def network(asked: Risk, models: list, steps: int, classes: int) -> dict[str, np.ndarray]:
    """One network: ``value``, ``residual`` and ``share`` (step, pair), ``loss`` and ``accuracy`` (step,)."""
    pixels, labels = asked.data.data
    right = [np.mean(np.argmax(asked.predict(model, pixels), 1) == labels) for model in models]
    found = [largest(asked, model, steps, classes) for model in models]
    columns = {name: np.array([one[name] for one in found]) for name in found[0]}
    return columns | {"loss": np.array([float(asked(model)) for model in models]), "accuracy": np.array(right)}


def densities(asked: Risk, models: list, probes: int, steps: int) -> dict[str, tuple]:
    """The density of all eigenvalues of each model with its band, over ``eigenvalue`` (step, place)."""
    made = [curvature.density(curvature.hessian(asked, model), jax.random.key(2), probes, steps) for model in models]
    names = {"eigenvalue": "eigenvalue", "density": "density", "density_low": "low", "density_high": "high"}
    columns = {new: (("step", "place"), np.stack([one[old].values for one in made])) for old, new in names.items()}
    return columns | {"width": ("step", [one.attrs["width"] for one in made])}


def run(
    classes: tuple[int, ...] = (4, 7, 10),
    repeats: int = 6,
    at: tuple[int, ...] = (0, 7, 14, 28, 56, 140, 560, 2800),
    units: int = 64,
    steps: int = 80,
    probes: int = 8,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """``value``, ``residual``, ``share`` (classes, seed, step, pair), ``loss``, ``accuracy``, `wider`, `drop`.

    And the density of the last C.

    ``steps`` are those of Lanczos. ``quick``: 4 classes, three starts, three numbers of updates, to see it work.
    """
    needed("matfree", "curvature", "spectra are found")
    if quick:
        classes, repeats, at, steps, probes = (4,), 3, (0, 7, 140), 40, 4
    seeds, rows = range(seed, seed + repeats), []
    for count in classes:
        asked = risk(count, units)
        nets = {one: trained(asked, count, units, at, one) for one in seeds}
        rows.append([network(asked, models, steps, count) for models in nets.values()])
    before = ("classes", "seed", "step")
    columns = {
        n: ((*before, "pair")[: 2 + v.ndim], np.array([[one[n] for one in r] for r in rows]))
        for n, v in rows[0][0].items()
    }
    columns |= densities(asked, nets[seed], probes, steps)
    where = {"classes": list(classes), "seed": list(seeds), "step": list(at), "pair": np.arange(1, PAIRS + 1)}
    made = xarray.Dataset(columns, where, {"units": units})
    made["wider"] = before, np.stack([wider(made.value, count) for count in classes])
    made["drop"] = before, np.stack([drop(made.share, count) for count in classes])
    return made.assign_attrs(finding=sentence(made))


def gaps(values: xarray.DataArray) -> np.ndarray:
    """``ln λ_k - ln λ_k+1`` along the last axis, k from 1; NaN where one is not positive."""
    logs = np.log(np.where(values.values > 0, values.values, np.nan))
    return logs[..., :-1] - logs[..., 1:]


def counted(results: xarray.Dataset, classes: int) -> xarray.DataArray:
    """How many eigenvalues stand before the widest gap among the first C + 2, (seed, step)."""
    part = results.value.sel(classes=classes).transpose("seed", "step", "pair")
    found = np.argmax(np.nan_to_num(gaps(part)[..., : classes + 2], nan=-1), -1) + 1
    return xarray.DataArray(found, part[..., 0].drop_vars("pair").coords, ("seed", "step"))


def wider(values: xarray.DataArray, classes: int) -> np.ndarray:
    """How much wider the gap after C - 1 eigenvalues is than the mean of the two on either side of it (seed, step).

    A gap is ``ln λ_k - ln λ_k+1``.
    """
    found = gaps(values.sel(classes=classes).transpose("seed", "step", "pair"))
    sides = [k for k in (classes - 4, classes - 3, classes - 1, classes) if k >= 0]  # of an axis that counts from 0
    return found[..., classes - 2] - found[..., sides].mean(-1)


def drop(shares: xarray.DataArray, classes: int) -> np.ndarray:
    """How much more of the C - 1 first eigenvectors than of the four after them lies in class means (seed, step)."""
    found = shares.sel(classes=classes).transpose("seed", "step", "pair").values
    return found[..., : classes - 1].mean(-1) - found[..., classes - 1 : classes + 3].mean(-1)


def within(results: xarray.Dataset, classes: int) -> xarray.DataArray:
    """How many of the largest eigenvectors lie by more than half in class means, (seed, step)."""
    return (results.share.sel(classes=classes) > 0.5).sum("pair").transpose("seed", "step")


def apart(results: xarray.Dataset, classes: int, name: str = "wider") -> list[Share]:
    """`wider`, or `drop`, at each step: the mean over starts with Student's interval.

    All intervals of the experiment hold together in 95 % (Bonferroni over both, classes and steps).
    """
    from scipy import stats

    each = results[name].sel(classes=classes).transpose("step", "seed").values
    tail = 0.025 / (2 * results.sizes["classes"] * results.sizes["step"])
    reach = stats.t.ppf(1 - tail, each.shape[1] - 1) * each.std(1, ddof=1) / each.shape[1] ** 0.5
    return [Share(float(m), float(m - r), float(m + r)) for m, r in zip(each.mean(1), reach, strict=True)]


def verdict(found: Share) -> str:
    """What an interval of `apart` says."""
    return "stand apart" if found.low > 0 else "do not stand apart" if found.high < 0 else "are not told from the rest"


def describe(results: xarray.Dataset, classes: int) -> str:
    """What came out for so many classes: when C - 1 eigenvalues stand apart, and when they are those of class means."""
    when, nets = results.step.values, results.sizes["seed"]

    def sure(name: str) -> str:
        found = zip(when, apart(results, classes, name), strict=True)
        return ", ".join(str(step) for step, one in found if verdict(one) == "stand apart") or "no number of"

    gap, same = ((f(results, classes) == classes - 1).sum("seed").values for f in (counted, within))
    k = int(np.nanargmax([one.value for one in apart(results, classes)]))
    return (
        f"With {classes} classes {classes - 1} eigenvalues stand apart after {sure('wider')} updates; the widest gap "
        f"is after them in {gap[k]} of {nets} nets after {when[k]}, in {gap[-1]} after {when[-1]}. Their eigenvectors "
        f"lie in class means more than the next ones do after {sure('drop')} updates; of the {PAIRS} largest exactly "
        f"{classes - 1} lie there by more than half in {same[k]} nets after {when[k]}, in {same[-1]} after {when[-1]}."
    )


def sentence(results: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    return " ".join(describe(results, classes) for classes in results.classes.values.tolist())


if __name__ == "__main__":
    print(sentence(run()))

"""Sharpness: how far the risk rises nearby, found by ascent."""

import functools
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from landscape.curvature.matrices import Leaves, apart, checked, last, summed
from landscape.directions.base import floats, opened
from landscape.engine.problem import whole
from landscape.risk import Batch, Risk, Score

if TYPE_CHECKING:
    import xarray


def sharpness(
    risk: Risk, params: PyTree, radius: float, key: Key[Array, ""], adaptive: bool = False, steps: int = 20
) -> "xarray.Dataset":
    """A lower bound of the largest rise of the risk within ``radius``: ``max R(w + e) - R(w), |e| <= radius``.

    The ball is that of SAM (Foret et al. 2021) or, ``adaptive``, that of ASAM, ``|e / w| <= radius`` over all weights,
    which no rescaling of units changes (Kwon et al. 2021, equation 4). Ascent from a point of its sphere to the one
    that the gradient there points to, ``e <- radius s² g / |s g|`` with s = 1 or |w|: ``steps`` gradients over all
    data, each a rise where the risk is convex. Dims ("step",): ``rise``, the largest so far. An ascent may miss the
    maximum, so the last is called ``lower_bound``. The first direction is the gradient's, or random, by ``key``, where
    that is 0. Raises ValueError unless the radius is positive.
    """
    import xarray

    steps = whole(steps, "steps", 1)
    if not 0 < radius < np.inf:
        raise ValueError(f"the radius of a ball must be positive, given {radius!r}")
    params = checked(risk, params)
    here = np.concatenate([np.ravel(leaf).astype(np.float64) for leaf in jax.tree.leaves(params) if floats(leaf)])
    scale = np.abs(here) if adaptive else np.ones_like(here)
    base, slope = _slope(risk, params, here)
    if not np.any(scale * slope):
        slope = np.asarray(jax.random.normal(key, here.shape), np.float64)
    rises: list[float] = []
    for _ in range(steps):
        if not np.any(scale * slope):  # nothing leads on
            rises.append(rises[-1] if rises else 0.0)
            continue
        step = radius * scale**2 * slope / np.linalg.norm(scale * slope)
        loss, slope = _slope(risk, params, here + step)
        rises.append(loss - base)
    best = np.maximum.accumulate(rises)
    about = {"radius": radius, "ball": "adaptive" if adaptive else "plain", "loss": base}
    return xarray.Dataset({"rise": ("step", best), "lower_bound": best[-1]}, {"step": np.arange(1, steps + 1)}, about)


def gradient(risk: Risk, params: PyTree) -> tuple[float, Leaves]:
    """The risk of a model, at its last length, and the gradient, leaf by leaf, of what can move."""
    params = checked(risk, params)
    loss, *slope = summed(risk, lambda batch: _gradient(risk.score, params, batch))
    return float(loss), slope


def _slope(risk: Risk, params: PyTree, here: Float[np.ndarray, "number"]) -> tuple[float, Float[np.ndarray, "number"]]:
    """The risk and its gradient with the numbers ``here`` in place of those of ``params`` that can move."""
    held = iter(apart(here, params))
    loss, slope = gradient(risk, jax.tree.map(lambda leaf: next(held) if floats(leaf) else leaf, params))
    return loss, np.concatenate([np.ravel(leaf) for leaf in slope])


@functools.partial(jax.jit, static_argnums=0)
def _gradient(score: Score, params: PyTree, batch: Batch) -> Leaves:
    """The sum of the losses of a batch, then its gradient leaf by leaf."""
    here, model = opened(params)
    loss, slope = jax.value_and_grad(lambda some: last(score, model(some), batch))(here)
    return [loss, *slope]

"""How much of the variance of a score each setting explains: functional analysis of variance (Hutter et al. 2014)."""

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray


def anova(score: "xarray.DataArray") -> "xarray.DataArray":
    """Shares of the variance of a full grid, by ``effect``: each setting, then each interaction; they sum to 1.

    ``f_S = mean over the settings not in S - sum of f_R, R within S``, and S explains ``mean f_S² / var``. Exact, of
    this grid with every point weighing alike: where values lie within their range matters, and a statement about
    settings is one about the values that they were given. Raises ValueError for a grid with holes, naming them, of one
    point, or without variance.
    """
    import xarray

    values = np.asarray(score.values, float)
    _refuse(score, values)
    effects: dict[tuple[int, ...], np.ndarray] = {}
    for axes in _subsets(values.ndim):
        mean = values.mean(tuple(set(range(values.ndim)) - set(axes)), keepdims=True)
        effects[axes] = mean - sum(effect for inner, effect in effects.items() if set(inner) < set(axes))
    names = [" x ".join(str(score.dims[axis]) for axis in axes) for axes in effects if axes]
    shares = [np.mean(effect**2) / values.var() for axes, effect in effects.items() if axes]
    return xarray.DataArray(shares, {"effect": names}, ("effect",), "share")


def _subsets(count: int) -> list[tuple[int, ...]]:
    return [axes for size in range(count + 1) for axes in itertools.combinations(range(count), size)]


def _refuse(score: "xarray.DataArray", values: np.ndarray) -> None:
    """Raise ValueError where the variance cannot be taken apart."""
    if holes := np.argwhere(~np.isfinite(values)).tolist():
        at = ["(" + ", ".join(f"{d}={score[d].values[i]}" for d, i in zip(score.dims, hole, strict=True)) + ")"
              for hole in holes[:5]]  # fmt: skip
        more = f" and {len(holes) - 5} more" * (len(holes) > 5)
        raise ValueError(
            f"exact importance needs a score at every point of the grid; it is missing at {', '.join(at)}{more}: "
            "compute them, or give what diverged the score that it deserves"
        )
    if values.size < 2 or values.var() == 0:
        raise ValueError(
            f"importance needs scores that differ; given {values.size} with a variance of {values.var():g}"
        )

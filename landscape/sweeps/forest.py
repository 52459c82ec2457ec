"""How much of a score's variance each setting explains, judged from random trials by a forest (Hutter et al. 2014)."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from landscape.extras import needed
from landscape.sweeps.search import Range

if TYPE_CHECKING:
    import xarray

HALVES = 8  # halves of the trials by which a share's error is judged


def forest(score: "xarray.DataArray", ranges: Mapping[str, Range], seed: int = 0) -> "xarray.Dataset":
    """``share`` and ``error`` by ``effect``: what each setting alone explains of a score's variance over ``ranges``.

    For `search`, whose settings are coordinates of ``score`` (trial,); on a full grid `anova` is exact. The shares are
    those of Optuna's forest of 64 trees, which stands for the function between the trials: interactions are what they
    leave of 1, and few trials favour the largest. ``error`` is the delete-half jackknife's, the root mean square by
    which forests of random halves of the trials differ. Raises ValueError for fewer than four trials, a score that is
    not finite or the same in all, and ModuleNotFoundError without Optuna and scikit-learn (extra ``search``).
    """
    import xarray

    values = np.asarray(score.values, float)
    _refuse(values)
    settings = {name: np.asarray(score[name].values) for name in ranges}
    rng, shares = np.random.default_rng(seed), functools.partial(_shares, settings, values, ranges, seed)
    whole = shares(np.arange(len(values)))
    halves = [shares(rng.permutation(len(values))[: len(values) // 2]) for _ in range(HALVES)]
    error = np.sqrt(np.mean((np.stack(halves) - whole) ** 2, 0))
    return xarray.Dataset({"share": ("effect", whole), "error": ("effect", error)}, {"effect": list(ranges)})


def _refuse(values: np.ndarray) -> None:
    """Raise ValueError where a forest has nothing to go by."""
    if values.ndim != 1 or len(values) < 4:
        raise ValueError(
            f"importance from trials needs a score of four trials or more; given one of shape {values.shape}"
        )
    if lost := int(np.count_nonzero(~np.isfinite(values))):
        raise ValueError(
            f"{lost} of {len(values)} trials have no finite score; give what diverged the score it deserves"
        )
    if values.var() == 0:
        raise ValueError(f"importance needs scores that differ; all {len(values)} are {values[0]:g}")


def _shares(
    settings: dict[str, np.ndarray], values: np.ndarray, ranges: Mapping[str, Range], seed: int, of: np.ndarray
) -> np.ndarray:
    """Shares (setting,) by a forest of the trials ``of``."""
    use = "importances from trials are judged"
    optuna = needed("optuna", "search", use)
    needed("sklearn", "search", use)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Optuna weighs a log range evenly in the number itself; in the logarithm it is weighed as it was drawn
    scale = {name: np.log if range_.log else np.asarray for name, range_ in ranges.items()}
    kinds = {
        name: optuna.distributions.FloatDistribution(*map(float, scale[name]([range_.low, range_.high])))
        for name, range_ in ranges.items()
    }
    study = optuna.create_study()
    for k in of:
        params = {name: float(scale[name](settings[name][k])) for name in ranges}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=float(values[k])))
    found = optuna.importance.FanovaImportanceEvaluator(seed=seed).evaluate(study)
    return np.array([found[name] for name in ranges])

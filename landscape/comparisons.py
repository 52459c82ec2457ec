"""Whether groups of scores differ, by how much, and whether two quantities rank alike. Plain NumPy and SciPy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    import xarray


def holm(p: Float[np.ndarray, "test"]) -> Float[np.ndarray, "test"]:
    """P values so raised that those below .05 are all true findings in 95 % of experiments (Holm 1979).

    The k-th smallest of n times n - k + 1, never less than one before it, at most 1.
    """
    p = np.asarray(p, float)
    order = np.argsort(p)
    raised = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    return np.minimum(1, raised)[np.argsort(order)]


def effect_size(scores: Float[np.ndarray, "trial"], others: Float[np.ndarray, "trial"]) -> float:
    """Cohen's d: the difference of means in units of ``sqrt((s_1² + s_2²) / 2)``; infinite where nothing varies."""
    gap, spread = np.mean(scores) - np.mean(others), np.sqrt((_variance(scores) + _variance(others)) / 2)
    return float(gap / spread) if spread else float(np.sign(gap) * np.inf) if gap else 0.0


def _variance(scores: Float[np.ndarray, "trial"]) -> float:
    """The unbiased variance; exactly 0 where all scores are one number."""
    return float(np.var(scores, ddof=1)) if np.ptp(scores) else 0.0


def _freedom(one: float, two: float, m: int, n: int) -> float:
    """Welch's degrees of freedom of two means, from their squared standard errors."""
    return (one + two) ** 2 / (one**2 / (m - 1) + two**2 / (n - 1))


def _ranked(*each: Float[np.ndarray, "case"]) -> bool:
    """Whether there are three cases or more, and ranks that differ. A run that diverged has none."""
    return all(len(values) > 2 and bool(np.isfinite(values).all()) and np.ptp(values) > 0 for values in each)


def rank_correlation(
    x: Float[np.ndarray, "case"], y: Float[np.ndarray, "case"], draws: int = 9999
) -> tuple[float, float]:
    """Spearman's correlation and its two-sided p by permutations; (NaN, 1) if either is constant or not finite.

    Ties share their mean rank; p is (permutations as far from 0 + 1) / (draws + 1).
    """
    from scipy.stats import rankdata

    if not _ranked(x, y):
        return float("nan"), 1.0
    one, other = (ranks / np.linalg.norm(ranks) for ranks in (rankdata(v) - (len(x) + 1) / 2 for v in (x, y)))
    found = float(one @ other)
    turned = np.random.default_rng(0).permuted(np.tile(one, (draws, 1)), axis=1) @ other
    return found, float((1 + np.sum(np.abs(turned) >= abs(found) - 1e-12)) / (draws + 1))


def rank_interval(x: Float[np.ndarray, "case"], y: Float[np.ndarray, "case"], draws: int = 1999) -> tuple[float, float]:
    """The interval of 95 % of Spearman's correlation: its quantiles over cases drawn anew with replacement.

    (-1, 1) where nothing can be said: less than three cases, or one of the two is constant or not finite.
    """
    from scipy.stats import rankdata

    if not _ranked(x, y):
        return -1.0, 1.0
    drawn = np.random.default_rng(0).integers(len(x), size=(draws, len(x)))
    one, other = (rankdata(np.asarray(v)[drawn], axis=1) - (len(x) + 1) / 2 for v in (x, y))
    size = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    found = (one * other).sum(1)[size > 0] / size[size > 0]
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))


def welch(groups: Mapping[str, Float[np.ndarray, "trial"]], to: str) -> "xarray.Dataset":
    """Each group's mean against that of the group ``to``, dims (group,): Welch's test, unequal variances.

    ``difference`` with its interval of 95 % from ``low`` to ``high``, not corrected; ``p``; ``holm``, p corrected for
    all comparisons; ``effect_size``, Cohen's d. A group whose scores do not vary, like the one it is compared to, has
    p 1 if their means agree and 0 if not. Raises ValueError for less than two groups, two scores, or one that is not
    finite.
    """
    import xarray
    from scipy.stats import t as student

    for name, scores in groups.items():
        if len(scores) < 2 or not np.all(np.isfinite(scores)):
            raise ValueError(
                f"a comparison needs two finite scores or more of each group; {name} has {len(scores)}, of which "
                f"{int(np.isfinite(scores).sum())} are finite: give what diverged the score that it deserves"
            )
    others = [name for name in groups if name != to]
    if to not in groups or not others:
        raise ValueError(f"there is no group {to!r} beside others to compare with; given {', '.join(groups) or 'none'}")

    def row(name: str) -> tuple[float, ...]:
        pair = [np.asarray(groups[key], float) for key in (name, to)]
        gap, (one, two) = float(pair[0].mean() - pair[1].mean()), (_variance(each) / len(each) for each in pair)
        if one + two == 0:
            return gap, gap, gap, float(gap == 0), effect_size(*pair)
        error, freedom = (one + two) ** 0.5, _freedom(one, two, *map(len, pair))
        half = error * student.ppf(0.975, freedom)
        return gap, gap - half, gap + half, 2 * student.sf(abs(gap) / error, freedom), effect_size(*pair)

    columns = dict(
        zip(("difference", "low", "high", "p", "effect_size"), np.array([row(n) for n in others]).T, strict=True)
    )
    columns["holm"] = holm(columns["p"])
    return xarray.Dataset({name: ("group", column) for name, column in columns.items()}, {"group": others}, {"to": to})

"""Whether groups of scores differ from one of them: Welch's test, Holm's correction, and how large it is."""

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
    gap = np.mean(scores) - np.mean(others)
    if np.ptp(scores) == np.ptp(others) == 0:
        return float(np.sign(gap) * np.inf) if gap else 0.0
    return float(gap / np.sqrt((np.var(scores, ddof=1) + np.var(others, ddof=1)) / 2))


def welch(groups: Mapping[str, Float[np.ndarray, "trial"]], to: str) -> "xarray.Dataset":
    """Each group's mean against that of the group ``to``, dims (group,): Welch's test, unequal variances.

    ``difference`` with its interval of 95 % from ``low`` to ``high``, not corrected; ``p``; ``holm``, p corrected for
    all comparisons; ``effect_size``, Cohen's d. A group whose scores do not vary, like the one it is compared to, has
    p 1 if their means agree and 0 if not. Raises ValueError for less than two groups, two scores, or one that is not
    finite.
    """
    import xarray
    from scipy.stats import ttest_ind

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
        scores, base = (np.asarray(groups[key], float) for key in (name, to))
        gap, effect = scores.mean() - base.mean(), effect_size(scores, base)
        if np.ptp(scores) == np.ptp(base) == 0:
            return gap, gap, gap, float(gap == 0), effect
        test = ttest_ind(scores, base, equal_var=False)
        low, high = test.confidence_interval(0.95)
        return gap, low, high, test.pvalue, effect

    columns = dict(
        zip(("difference", "low", "high", "p", "effect_size"), np.array([row(n) for n in others]).T, strict=True)
    )
    columns["holm"] = holm(columns["p"])
    return xarray.Dataset({name: ("group", column) for name, column in columns.items()}, {"group": others}, {"to": to})

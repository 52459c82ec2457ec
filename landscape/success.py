"""Whether runs succeeded, and how sure their number makes one. Plain NumPy: figures use it, and they need no JAX."""

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import xarray
    from jaxtyping import Bool, Float, Real


def wilson(
    successes: "Real[np.ndarray, '*case'] | xarray.DataArray | float",
    trials: "Real[np.ndarray, '*case'] | xarray.DataArray | float",
    confidence: float = 0.95,
) -> "tuple[Float[np.ndarray, '*case'], Float[np.ndarray, '*case']]":
    """Lower and upper end of the score interval of a probability, after ``successes`` in ``trials`` (Wilson 1927).

    Solutions p of ``(p - k/n)² = z² p (1 - p) / n``: never empty and never outside [0, 1], also at k = 0 and k = n.
    Arrays broadcast. Raises ValueError unless counts are whole, 0 <= successes <= trials, trials > 0 and 0 < confidence
    < 1.
    """
    given = np.asarray(successes, float), np.asarray(trials, float)
    k, n = (np.rint(count) for count in given)  # a share times trials is whole but for rounding
    if not all(np.allclose(count, whole, rtol=0, atol=1e-6) for count, whole in zip(given, (k, n), strict=True)):
        raise ValueError(f"successes and trials are whole numbers, given {successes} of {trials}")
    if not (np.all(n > 0) and np.all(k >= 0) and np.all(k <= n) and 0 < confidence < 1):
        raise ValueError(
            "an interval needs 0 <= successes <= trials, one trial or more and a confidence between 0 and 1, "
            f"given {successes} of {trials} at {confidence}"
        )
    from scipy.stats import binomtest  # half a second, which who asks for no interval does not wait

    def ends(k: float, n: float) -> tuple[float, float]:
        return binomtest(int(k), int(n)).proportion_ci(confidence, "wilson")

    return np.vectorize(ends, otypes=[float, float])(k, n)


class Share(NamedTuple):
    """A share, a mean, or what is computed from shares, with the ends of its interval, of 95 % unless asked."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def share(solved: int, tried: int) -> Share:
    """``solved / tried`` with its `wilson` interval; NaN in [0, 1] if none was tried."""
    if not tried:
        return Share(float("nan"), 0.0, 1.0)
    return Share(solved / tried, *(float(end) for end in wilson(solved, tried)))


def difference(more: tuple[int, int], less: tuple[int, int], confidence: float = 0.95) -> Share:
    """The difference of two independent shares, each (solved, tried), with its score interval (Newcombe 1998, no. 10).

    From `wilson`'s ends l, u of shares p, q: down by ``sqrt((p - l_p)² + (u_q - q)²)``, up by the same crosswise.
    """
    p, q = (k / n for k, n in (more, less))
    (a, b), (c, d) = (map(float, wilson(k, n, confidence)) for k, n in (more, less))
    return Share(p - q, p - q - float(np.hypot(p - a, d - q)), p - q + float(np.hypot(b - p, q - c)))


def mean(values: "Float[np.ndarray, 'run']", confidence: float = 0.95) -> Share:
    """The mean of independent ``values`` (run,) with Student's interval; without end if one is not finite or alone."""
    from scipy.stats import t

    values = np.asarray(values, float)
    if len(values) < 2 or not np.isfinite(values).all():
        return Share(float(values.mean()) if len(values) else float("nan"), -float("inf"), float("inf"))
    half = t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return Share(*(float(values.mean() + side * half) for side in (0, -1, 1)))


def horizon(x: "Float[np.ndarray, '*case run']", solved: "Bool[np.ndarray, '*case run']", draws: int = 400) -> Share:
    """The x up to which runs are solved: the cut that is wrong about the fewest, with a bootstrapped interval of 95 %.

    ``x`` and ``solved`` (*case, run), x not negative; a cut lies between runs, never among runs of the same x. Runs are
    drawn anew with all of their cases, which may share a seed.
    """

    def cut(index: np.ndarray) -> float:
        own, learnt = x[..., index].ravel(), solved[..., index].ravel()
        order = np.argsort(own)
        right = np.concatenate([[0], np.cumsum(2 * learnt[order] - 1)])
        apart = np.concatenate([[True], np.diff(own[order]) > 0, [True]])
        at, ends = int(np.where(apart, right, -1).argmax()), np.concatenate([[0], own[order], [x.max()]])
        return float((ends[at] + ends[at + 1]) / 2)

    rng, runs = np.random.default_rng(0), x.shape[-1]
    again = [cut(np.asarray(rng.integers(runs, size=runs))) for _ in range(draws)]
    return Share(cut(np.arange(runs)), *(float(q) for q in np.quantile(again, [0.025, 0.975])))


def successes(accuracy: "xarray.DataArray", above: float = 0.99, over: str = "seed") -> "xarray.Dataset":
    """What came of runs that differ in their ``seed``: how often they succeeded, and their mean.

    ``share``: that of the runs with an accuracy above ``above``, NaN being none; ``low``, ``high``: its Wilson
    interval of 95 %; ``mean`` and ``sd`` (of the runs, not of the mean) of the accuracy. Runs are bimodal, all right or
    as good as guessing, so the share says what happened and the mean mixes two kinds of run.
    """
    trials = accuracy.sizes[over]
    count = (accuracy > above).sum(over)
    low, high = wilson(count, trials)
    made = {"share": count / trials, "low": (count.dims, low), "high": (count.dims, high)}
    made |= {"mean": accuracy.mean(over), "sd": accuracy.std(over)}
    return (
        accuracy.coords.to_dataset()
        .drop_vars(over, errors="ignore")
        .assign(made)
        .assign_attrs(runs=trials, above=above)
    )


def describe(results: "xarray.Dataset", along: str, above: float = 0.99) -> str:
    """Success rates with their intervals in words: a line for each curve, a number for each value of ``along``."""
    found = successes(results.accuracy, above)
    others = [str(dim) for dim in found.share.dims if dim != along]
    lines = []
    for at in itertools.product(*(found[dim].values for dim in others)):
        curve = found.sel(dict(zip(others, at, strict=True)))
        points = zip(*(curve[key].values for key in (along, "share", "low", "high")), strict=True)
        rates = "; ".join(f"{x:.3g}: {share:.2f} [{low:.2f}, {high:.2f}]" for x, share, low, high in points)
        lines.append(f"{', '.join(map(str, at))}: success at {along} {rates}")
    return "\n".join(lines)

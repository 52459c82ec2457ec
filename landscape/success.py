"""Whether runs succeeded, and how sure their number makes one. Plain NumPy: figures use it, and they need no JAX."""

import itertools
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import xarray


def wilson(successes: Any, trials: Any, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the score interval of a probability, after ``successes`` in ``trials`` (Wilson 1927).

    Solutions p of ``(p - k/n)² = z² p (1 - p) / n``: never empty and never outside [0, 1], also at k = 0 and k = n.
    Arrays broadcast. Raises ValueError unless 0 <= successes <= trials, trials > 0 and 0 < confidence < 1.
    """
    k, n = np.asarray(successes, float), np.asarray(trials, float)
    if not (np.all(n > 0) and np.all(k >= 0) and np.all(k <= n) and 0 < confidence < 1):
        raise ValueError(
            "an interval needs 0 <= successes <= trials, one trial or more and a confidence between 0 and 1, "
            f"given {successes} of {trials} at {confidence}"
        )
    from scipy.stats import binomtest  # half a second, which who asks for no interval does not wait

    def ends(k: float, n: float) -> Any:
        return binomtest(int(k), int(n)).proportion_ci(confidence, "wilson")

    return np.vectorize(ends, otypes=[float, float])(k, n)


class Share(NamedTuple):
    """A share, or what is computed from shares, with the ends of its interval of 95 %."""

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


class Strata(NamedTuple):
    """Runs counted apart by the sign of their untrained readout: of ``tried`` so many were ``solved``, right and wrong.

    A readout drawn from a symmetric law has the right sign in half of all starts. A sample with more of them is lucky;
    weighting both halves alike takes this luck out.
    """

    solved: tuple[int, int]
    tried: tuple[int, int]


EVEN = (0.5, 0.5)  # how often a readout has the right sign, and the wrong one
RIGHT = (1.0, 0.0)  # only runs whose readout has the right sign
DRAWS = 20_000


def strata(solved: Any, right: Any) -> Strata:
    """`Strata` of runs from whether each was ``solved`` and whether its readout had the ``right`` sign, both (run,)."""
    solved, right = np.asarray(solved, bool), np.asarray(right, bool)
    return Strata((int((solved & right).sum()), int((solved & ~right).sum())), (int(right.sum()), int((~right).sum())))


def sampled(counted: Mapping[str, Strata], weights: tuple[float, float] = EVEN) -> dict[str, np.ndarray]:
    """What the success rate of each case may be in truth: `DRAWS` values (draw,), by name.

    ``sum_s weights_s p_s`` with p_s of a stratum from Beta(solved + 1/2, failed + 1/2), Jeffreys' interval, which is
    not empty at 0 or at all. The same case has the same draws whatever the weights and the other cases. Runs must be
    independent: a data set for each (`landscape.training.curves`, ``own_data``).
    """
    found = {}
    for name, (solved, tried) in counted.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        each = [rng.beta(k + 0.5, n - k + 0.5, DRAWS) for k, n in zip(solved, tried, strict=True)]
        found[name] = weights[0] * each[0] + weights[1] * each[1]
    return found


def _point(case: Strata, weights: tuple[float, float]) -> float:
    """The stratified share itself; NaN where a stratum that counts is empty."""
    parts = zip(case.solved, case.tried, weights, strict=True)
    return sum(w * (k / n if n else float("nan")) for k, n, w in parts if w)


def _within(value: float, draws: np.ndarray, confidence: float) -> Share:
    tail = (1 - confidence) / 2
    low, high = (float(q) for q in np.quantile(draws, [tail, 1 - tail]))
    return Share(value, low, high)


def stratified(case: Strata, weights: tuple[float, float] = EVEN, confidence: float = 0.95) -> Share:
    """The success rate with both halves weighted alike: ``sum_s weights_s solved_s / tried_s``, and its interval.

    With the observed halves for weights it is the plain share: strata add up.
    """
    return _within(_point(case, weights), sampled({"one": case}, weights)["one"], confidence)


class Pair(NamedTuple):
    """Two cases by name, of which the first is to succeed more often, and how their strata are weighted."""

    more: str
    less: str
    weights: tuple[float, float] = EVEN

    def gap(self, counted: Mapping[str, Strata]) -> tuple[float, np.ndarray]:
        """``more - less``: the value, and draws of it."""
        both = {name: counted[name] for name in (self.more, self.less)}
        draws = sampled(both, self.weights)
        more, less = (_point(counted[name], self.weights) for name in (self.more, self.less))
        return more - less, draws[self.more] - draws[self.less]


def gap(counted: Mapping[str, Strata], pair: Pair, confidence: float = 0.95) -> Share:
    """How much more often the first case of a pair succeeds than the second."""
    return _within(*pair.gap(counted), confidence)


def closed(counted: Mapping[str, Strata], before: Pair, after: Pair, confidence: float = 0.95) -> Share:
    """How much of the gap ``before`` an intervention closes: ``1 - gap after / gap before``; 0 nothing, 1 all.

    1 if afterwards both cases are the same, 0 if the intervention changes nothing, more than 1 if the order turns,
    negative if the gap grows. The interval is that of the ratio over joint draws; NaN without end where the gap before
    is not surely above 0: then there is nothing to close.
    """
    (value, draws), (rest, left) = before.gap(counted), after.gap(counted)
    if not np.quantile(draws, (1 - confidence) / 2) > 0:
        return Share(float("nan"), -float("inf"), float("inf"))
    return _within(1 - rest / value, 1 - left / draws, confidence)


CAUSE, CONTRIBUTES, NOT, UNKNOWN = "is the cause", "contributes", "not the cause", "cannot tell"


def verdict(part: Share, half: float = 0.5) -> str:
    """What one interval of the share of a gap that is `closed` says about a suspect.

    Above a half with its whole length: it is the cause. Above 0: it contributes. Else, below a half: it is not the
    cause. Neither: one cannot tell.
    """
    if part.low > half:
        return CAUSE
    if part.low > 0:
        return CONTRIBUTES
    return NOT if part.high < half else UNKNOWN


def horizon(x: np.ndarray, solved: np.ndarray, draws: int = 400) -> Share:
    """The x up to which runs are solved: the cut that is wrong about the fewest, with a bootstrapped interval of 95 %.

    ``x`` and ``solved`` (run,), x not negative; a cut lies between runs, never among runs of the same x.
    """

    def cut(index: np.ndarray) -> float:
        order = index[np.argsort(x[index])]
        right = np.concatenate([[0], np.cumsum(2 * solved[order] - 1)])
        apart = np.concatenate([[True], np.diff(x[order]) > 0, [True]])
        at, ends = int(np.where(apart, right, -1).argmax()), np.concatenate([[0], x[order], [x.max()]])
        return float((ends[at] + ends[at + 1]) / 2)

    rng = np.random.default_rng(0)
    again = [cut(rng.integers(len(x), size=len(x))) for _ in range(draws)]
    return Share(cut(np.arange(len(x))), *(float(q) for q in np.quantile(again, [0.025, 0.975])))


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


def told(results: "xarray.Dataset", along: str, above: float = 0.99) -> str:
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

"""What runs say: about a suspect, by the share of a gap in success that it closes; about a rule. Plain NumPy."""

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landscape.success import Share, mean

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


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


def strata(
    solved: "Bool[np.ndarray, 'run'] | Sequence[bool]", right: "Bool[np.ndarray, 'run'] | Sequence[bool]"
) -> Strata:
    """`Strata` of runs from whether each was ``solved`` and whether its readout had the ``right`` sign, both (run,)."""
    solved, right = np.asarray(solved, bool), np.asarray(right, bool)
    return Strata((int((solved & right).sum()), int((solved & ~right).sum())), (int(right.sum()), int((~right).sum())))


def sampled(
    counted: Mapping[str, Strata], weights: tuple[float, float] = EVEN
) -> dict[str, "Float[np.ndarray, 'draw']"]:
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

    def gap(self, counted: Mapping[str, Strata]) -> "tuple[float, Float[np.ndarray, 'draw']]":
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


class Suspect(NamedTuple):
    """A hypothesis, what is changed to test it, and the pair of cases that is left when the change is made.

    ``change`` says what is *removed* because a cell has it, or *added* because it lacks it, and from which cell.
    """

    name: str
    claim: str
    change: str
    after: Pair


class Verdict(NamedTuple):
    """What became of a suspect: the share of the gap that its change closes, and what that says."""

    suspect: Suspect
    closed: Share
    verdict: str


def verdicts(counted: Mapping[str, Strata], before: Pair, suspects: Sequence[Suspect]) -> list[Verdict]:
    """Each suspect against the runs: what part of the gap ``before`` its change `closed`, and what that says.

    The intervals hold together in 95 % of experiments (Bonferroni): each of n at 1 - .05 / n.
    """
    sure = 1 - 0.05 / len(suspects)
    shares = [closed(counted, before, suspect.after, sure) for suspect in suspects]
    return [Verdict(suspect, part, verdict(part)) for suspect, part in zip(suspects, shares, strict=True)]


HELD, REFUTED, OPEN = "held", "refuted", "not decided at this size"


class Claim(NamedTuple):
    """What somebody says, whether it held here, and the numbers that say so."""

    claim: str
    verdict: str
    evidence: str


HOLDS, FAILS = "holds", "does not hold"


class Rule(NamedTuple):
    """A rule of thumb as a statement that can come out false: the mean of ``effect`` (run,) is above ``bound``."""

    name: str
    claim: str
    effect: "Float[np.ndarray, 'run']"
    bound: float = 0.0


class Judged(NamedTuple):
    """What became of a rule: the mean of its effect with its interval, and what that says."""

    rule: Rule
    mean: Share
    verdict: str


def judged(rules: Sequence[Rule]) -> list[Judged]:
    """Each rule against its runs: it `HOLDS` if the interval of the mean lies above the bound, `FAILS` if below.

    Else one cannot tell. The intervals, Student's, hold together in 95 % of experiments (Bonferroni): each of n at
    1 - .05 / n.
    """
    means = [mean(rule.effect, 1 - 0.05 / len(rules)) for rule in rules]
    words = [
        HOLDS if m.low > rule.bound else FAILS if m.high < rule.bound else UNKNOWN
        for rule, m in zip(rules, means, strict=True)
    ]
    return [Judged(*each) for each in zip(rules, means, words, strict=True)]

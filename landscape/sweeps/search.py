"""Random search: settings drawn from ranges that are stated, as one sweep with the dimension ``trial``."""

import dataclasses
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray
    from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``: uniform, uniform in their logarithm (``log``), or rounded to ``whole`` ones.

    Raises ValueError where the ends are not finite or not in order, and for a logarithm of what is not positive.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a range needs two finite ends, the lower one first; given {self.low!r} to {self.high!r}")
        if self.log and self.low <= 0:
            raise ValueError(
                f"a range on a log scale must not touch zero; given {self.low!r} to {self.high!r}: begin above 0, or "
                "draw evenly"
            )

    def at(self, share: float) -> float | int:
        """The number below which this ``share`` of draws lies: the quantile function."""
        if self.log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        return round(value) if self.whole else value

    def __str__(self) -> str:
        kind = "whole numbers " * self.whole + f"{self.low:g} to {self.high:g}"
        return f"{kind}, uniform in the logarithm" if self.log else kind


def even(low: float, high: float, whole: bool = False) -> Range:
    """Uniform between two numbers."""
    return Range(low, high, whole=whole)


def log(low: float, high: float, whole: bool = False) -> Range:
    """Uniform in the logarithm, between two numbers above 0."""
    return Range(low, high, log=True, whole=whole)


def draw(ranges: Mapping[str, Range], trials: int, seed: int = 0) -> dict[str, list[float] | list[int]]:
    """Values (trial,) of every setting. More trials, or other settings beside, never change the ones that were drawn.

    Raises ValueError for no range or no trial.
    """
    if not ranges or trials < 1:
        raise ValueError(f"a search needs a range and a trial or more; given {len(ranges)} ranges, {trials} trials")
    return {name: [range_.at(share) for share in _shares(name, trials, seed)] for name, range_ in ranges.items()}


def _shares(name: str, trials: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, zlib.crc32(name.encode())]).random(trials)


def search(
    run: Callable | str,
    ranges: Mapping[str, Range],
    trials: int,
    fixed: Mapping[str, object] | None = None,
    *,
    out: Path | str,
    seed: int = 0,
    **how: Any,
) -> "xarray.Dataset":
    """``run(**settings)`` at settings drawn from ``ranges``, as one Dataset with the dimension ``trial``.

    A sweep (`landscape.sweeps.sweep`) whose settings move together: its resume, its workers, its ``how``. Settings that
    every trial shares are ``fixed``. Keep what ``run`` compiles outside of it, traced in what is drawn.
    """
    from landscape.sweeps import sweep

    made = sweep(run, {"trial": draw(ranges, trials, seed)}, fixed, out=out, **how)
    return made.assign_attrs(ranges="; ".join(f"{name}: {range_}" for name, range_ in ranges.items()), draws=seed)


def ranked(score: "Float[np.ndarray, 'trial']") -> "Int[np.ndarray, 'trial']":
    """Trials from the least score to the largest: what diverged is a result, and comes last."""
    return np.argsort(np.where(np.isfinite(score), score, np.inf), kind="stable")

"""Laws of growth: how a cliff steepens with length tells of which kind it is."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import xarray


class Growth(NamedTuple):
    """How a cliff steepens: ``kind`` is "basin" (exponential) or "fold" (a power of T), by the smaller AIC.

    ``multiplier`` is the exp of d ln(slope)/dT, in theory that of the unstable state (`dynamics.cliff_line`), ``power``
    is d ln(slope)/d ln(T), in theory 3. ``evidence`` is the AIC of the other kind minus that of this one.
    """

    kind: str
    multiplier: float
    power: float
    evidence: float


def growth(cliff: "xarray.Dataset") -> Growth:
    """Which kind of cliff steepens like this: exponential and power law fitted to the ``slope`` of `cut` by length.

    Give lengths beyond the first transient, and at least four. A power comes out too small at T < 1000, where the fold
    has not yet been passed closely: it acts at T plus some tens of steps.
    """
    if cliff.sizes["length"] < 4:
        raise ValueError(f"a growth law needs at least 4 lengths, given {cliff.sizes['length']}")
    T, target = cliff["length"].values.astype(float), np.log(cliff["slope"].values)

    def fit(x: np.ndarray) -> tuple[float, float]:
        line = np.polynomial.Polynomial.fit(x, target, 1)
        residual = np.sum((line(x) - target) ** 2)
        return float(line.convert().coef[1]), len(x) * float(np.log(max(residual, 1e-300) / len(x)))

    (rate, exponential), (power, algebraic) = fit(T), fit(np.log(T))
    kind = "basin" if exponential < algebraic else "fold"
    return Growth(kind, float(np.exp(rate)), power, abs(exponential - algebraic))

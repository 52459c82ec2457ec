"""Laws of growth: how a cliff steepens with length tells of which kind it is."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import xarray

SHIFTS = np.linspace(-0.9, 0.9, 181)  # of the power law, in units of the least length
LEAST_POWER = 1.0  # a slope that grows no faster than the length itself is no cliff


class Growth(NamedTuple):
    """How a cliff steepens: ``kind`` is "basin" (exponential), "fold" (a power of T) or "none", by the smaller AIC.

    ``multiplier`` is the exp of d ln(slope)/dT, in theory that of the unstable state (`landscape.dynamics.cliff_line`);
    ``power`` is p of slope ~ (T - ``shift``)**p, in theory 3. ``evidence`` is the AIC of the other law minus that of
    this one: from 10 on it is as good as certain. ``expected`` is the theory's value of what belongs to the kind, the
    multiplier or the power; NaN where none is known. `describe` adds the kind "unknown": too few lengths to fit.
    """

    kind: str
    multiplier: float
    power: float
    shift: float
    evidence: float
    expected: float

    def __str__(self) -> str:
        theory = "" if math.isnan(self.expected) else f" (theory {self.expected:.4f})"
        return {
            "basin": f"basin cliff, {self.multiplier:.4f} times steeper every step{theory}",
            "fold": f"fold cliff, steeper as length to the power {self.power:.2f}{theory}",
            "none": "no cliff, it does not steepen with length",
            "unknown": "kind unknown",
        }[self.kind]


def growth(cliff: "xarray.Dataset", multiplier: float = math.nan) -> Growth:
    """Which kind of cliff steepens like this: two laws fitted to the ``slope`` of `cut` over its ``length``.

    Exponential, ``ln slope = a + T ln m``, and shifted power, ``ln slope = a + p ln(T - c)`` with |c| up to .9 of the
    least length: a fold is passed at T plus some tens of steps, so the plain power comes out too small. The kind is
    "none" where the slope grew by no more than the lengths did. Lengths whose cut is not ``resolved`` are left out;
    give at least four others, beyond the first transient.

    ``multiplier`` is what theory says (`landscape.dynamics.cliff_line`): that of the unstable state, 1 at a fold.
    Raises ValueError for fewer than four lengths.
    """
    if "resolved" in cliff:
        cliff = cliff.isel(length=cliff["resolved"].values)
    if cliff.sizes["length"] < 4:
        raise ValueError(f"a growth law needs at least 4 lengths, given {cliff.sizes['length']} that are resolved")
    T, target = cliff["length"].values.astype(float), np.log(cliff["slope"].values)
    (rate, exponential) = _fit(T, target, 2)
    fits = [(*_fit(np.log(T - shift), target, 3), shift) for shift in SHIFTS * T.min()]
    power, algebraic, shift = min(fits, key=lambda found: found[1])
    kind = "basin" if exponential < algebraic else "fold"
    if not target[-1] - target[0] > LEAST_POWER * math.log(T[-1] / T[0]):
        kind = "none"
    expected = {"basin": abs(multiplier), "fold": 3.0 if multiplier == 1 else math.nan, "none": math.nan}[kind]
    return Growth(kind, math.exp(rate), power, float(shift), abs(exponential - algebraic), expected)


def _fit(x: np.ndarray, target: np.ndarray, parameters: int) -> tuple[float, float]:
    """The slope of the straight line through ``target`` over ``x``, and its AIC with so many ``parameters``."""
    line = np.polynomial.Polynomial.fit(x, target, 1)
    residual = np.mean((line(x) - target) ** 2)
    return float(line.deriv()(0.0)), len(x) * float(np.log(max(residual, 1e-300))) + 2 * parameters

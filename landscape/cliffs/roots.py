"""Zeros of many functions at once."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float


def bisect(
    f: Callable[[Float[np.ndarray, "*shape"]], Float[np.ndarray, "*shape"]],
    low: Float[np.ndarray, "*shape"],
    high: Float[np.ndarray, "*shape"],
    times: int = 50,
) -> Float[np.ndarray, "*shape"]:
    """A zero of ``f``, elementwise, between ``low`` and ``high``, where it has different signs.

    Only signs are looked at, so that a jump across zero is found as well as a zero. `scipy.optimize.elementwise` leaves
    out elements that are done, and an evaluator would compile a program for every number of them.
    """
    sign = np.sign(f(low))
    for _ in range(times):
        middle = (low + high) / 2
        same = np.sign(f(middle)) == sign
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return (low + high) / 2

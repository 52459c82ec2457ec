"""Numbers of 60 digits that carry two derivatives: what no rounding and no cancelling can spoil."""

from decimal import Decimal, localcontext

import numpy as np

DIGITS = 60


class Taylor:
    """``f(t)`` near t = 0 as (f, f', f''), in the arithmetic of `Decimal`; NumPy's functions and oracles take it."""

    def __init__(self, value, first=0, second=0):
        self.parts = tuple(map(Decimal, (value, first, second)))

    def through(self, value, slope, bend):
        """A function with this value, slope and bend at f: the chain rule, twice."""
        _, first, second = self.parts
        return Taylor(value, slope * first, bend * first**2 + slope * second)

    def __add__(self, other):
        return Taylor(*(a + b for a, b in zip(self.parts, of(other).parts, strict=True)))

    def __mul__(self, other):
        (a, da, dda), (b, db, ddb) = self.parts, of(other).parts
        return Taylor(a * b, da * b + a * db, dda * b + 2 * da * db + a * ddb)

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -of(other)

    def __rsub__(self, other):
        return -self + other

    def __truediv__(self, other):
        b = of(other).parts[0]
        return self * of(other).through(1 / b, -1 / b**2, 2 / b**3)

    def __rtruediv__(self, other):
        return of(other) / self

    def __abs__(self):
        return self if self.parts[0] >= 0 else -self

    def __lt__(self, other):
        return self.parts[0] < of(other).parts[0]

    def __gt__(self, other):
        return self.parts[0] > of(other).parts[0]

    def __ge__(self, other):
        return not self < other

    def __le__(self, other):
        return not self > other

    def exp(self):
        e = self.parts[0].exp()
        return self.through(e, e, e)

    def tanh(self):
        e = (abs(self) * -2).exp()
        size = (1 - e) / (1 + e)
        return size if self.parts[0] >= 0 else -size

    __radd__, __rmul__ = __add__, __mul__


def of(number):
    """A number that does not move, or one that does as it is."""
    return number if isinstance(number, Taylor) else Taylor(number)


def along(oracle, params, axes, state, x, steps):
    """h of one unit after ``steps`` of an oracle: its two derivatives as every parameter (name: (value, move)) moves.

    ``axes``: how many of length 1 each parameter has; ``state`` and ``x`` are lists of numbers.
    """
    with localcontext() as context:
        context.prec = DIGITS
        vector = lambda numbers: np.array([Taylor(float(n)) for n in numbers], object)  # noqa: E731
        given = {n: np.array([Taylor(*map(float, both))], object).reshape((1,) * axes[n]) for n, both in params.items()}
        now = tuple(vector([number]) for number in state)
        for _ in range(steps):
            now = oracle(given, now, vector(x))
        return tuple(float(part) for part in of(now[0].ravel()[0]).parts[1:])

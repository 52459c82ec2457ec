# ruff: noqa: F401
"""Orbits of small maps: fixed points, cycles and their multipliers, bifurcation curves, cliffs, and memory under noise.

`orbits` and `attractors` take any one-unit cell and ask only for its ``step``; `curves` and `memory` are closed form,
for ``a' = w f(a) + b``.
"""

from landscape.dynamics.attractors import lyapunov_exponent
from landscape.dynamics.curves import (
    Cliff,
    bend,
    cliff_line,
    crossing,
    fixed_point_line,
    flip_curve,
    flips,
    fold_curve,
    folds,
    passage_constant,
)
from landscape.dynamics.memory import StoredBit, kramers_rate, latches, latching_bound, noise_multiplier, stored_bit
from landscape.dynamics.orbits import Orbits, fixed_points, jacobian, multiplier, origin_multiplier, two_cycles

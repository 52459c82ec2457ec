# ruff: noqa: F401
"""Orbits of small maps: fixed points, cycles and their multipliers, bifurcation curves, cliffs, and memory under noise.

By rooms: `orbits` (all fixed points and 2-cycles), `basins` (what an orbit becomes, Lyapunov exponents), `maps` (both
at every point of a plane) and `continuation` (bifurcation curves) take any one-unit cell and ask only for its
``step``; `layers` searches any cell; `curves` and `memory` are closed form, for ``a' = w f(a) + b``.
"""

from landscape.dynamics.basins import LABELS, Attractor, attractor, lyapunov_exponent
from landscape.dynamics.continuation import bifurcations, minus_one, plus_one
from landscape.dynamics.curves import (
    Cliff,
    Tangents,
    bend,
    cliff_line,
    crossing,
    fixed_point_line,
    flip_curve,
    flips,
    fold_curve,
    folds,
    passage_constant,
    slope,
    tangents,
)
from landscape.dynamics.layers import Found, search
from landscape.dynamics.maps import attractors, multistability
from landscape.dynamics.memory import StoredBit, kramers_rate, latches, latching_bound, noise_multiplier, stored_bit
from landscape.dynamics.orbits import Orbits, fixed_points, jacobian, multiplier, origin_multiplier, two_cycles

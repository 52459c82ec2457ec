"""The stored bit: a_t = w tanh(a_{t-1}) + b + u x_t, x_1 = ±1, then noise. What is left of it, without sampling."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from landscape.activations import tanh
from landscape.dynamics.curves import Values, bend, folds, slope
from landscape.dynamics.orbits import bisect


def latching_bound(w: Values, u: Values) -> Float[Array, "*point"]:
    """The bias ``B(w, u)`` below which a tanh unit keeps both bits of input ±1 for ever: w > 1 and |b| < B.

    ``B = |u| - atanh(|u|/w)`` where |u| < sqrt(w (w - 1)), else the fold M(w) of `folds`; 0 where w <= 1. With noise
    bounded by e on every input the bits are safe if and only if ``|b| + |u| e < B``: for one unit, the sharp form of
    the input bound of Bengio et al. (1994), sec. III.
    """
    w, u = jnp.asarray(w, jnp.result_type(float)), jnp.abs(jnp.asarray(u, jnp.result_type(float)))
    safe = jnp.where(w > 1, w, 2.0)
    early = u < jnp.sqrt(safe * (safe - 1))
    bound = jnp.where(early, u - jnp.arctanh(jnp.where(early, u / safe, 0)), folds(tanh, safe)[1])
    return jnp.where(w > 1, bound, 0.0)


def latches(w: Values, u: Values, b: Values = 0.0, noise: Values = 0.0) -> Bool[Array, "*point"]:
    """Whether a tanh unit keeps both bits for ever under any noise of modulus at most ``noise`` on every input."""
    return jnp.abs(b) + jnp.abs(u) * noise < latching_bound(w, u)


class StoredBit(NamedTuple):
    """What is left of a bit after each length, averaged over all noise: each (length,).

    ``correct`` is P(sign h_T = bit), ``signal`` is D_T = E[h_T | +] - E[h_T | -], ``loss`` is E[(h_T - bit)²], the
    expectation of the loss of `landscape.tasks.latch`.
    """

    correct: Float[np.ndarray, "length"]
    signal: Float[np.ndarray, "length"]
    loss: Float[np.ndarray, "length"]


def _transition(w: float, b: float, sigma: float, reach: float) -> tuple[np.ndarray, np.ndarray, Callable]:
    """A symmetric grid of states, the kernel K[a, a'] of one noisy step on it, and the weights of a Gaussian.

    Midpoint rule with spacing sigma/6: the sum of a Gaussian over it is exact to double precision.
    """
    top = max(abs(w) + abs(b), reach) + 9 * sigma
    half = math.ceil(6 * top / sigma)
    spacing = top / half
    a = (np.arange(2 * half) - half + 0.5) * spacing

    def weights(mean: Float[ArrayLike, "..."]) -> np.ndarray:
        z = (a - np.asarray(mean)[..., None]) / sigma
        return np.exp(-(z**2) / 2) * spacing / (sigma * math.sqrt(2 * math.pi))

    return a, weights(w * np.tanh(a) + b), weights


def _noise(u: float, noise: float) -> float:
    if not abs(u) * noise > 0:
        raise ValueError(
            f"the noise |u| * noise must be positive, given u={u}, noise={noise}; without it use `latches`"
        )
    return abs(u) * noise


def stored_bit(w: float, u: float, b: float, noise: float, lengths: Sequence[int]) -> StoredBit:
    """What a tanh unit keeps of a bit ±1 read at the first step, under Gaussian noise of sd ``noise`` at every step.

    Exact (Chapman-Kolmogorov), no sampling: the expectations of sign, h and h² are carried backward through the noise.
    float64 whatever JAX's setting; a step multiplies by a matrix of about (12 (|w| + |b|) / (|u| noise))² numbers.
    """
    sigma = _noise(u, noise)
    a, kernel, weights = _transition(w, b, sigma, abs(u) + abs(b))
    normal = np.vectorize(lambda z: math.erf(z / math.sqrt(2)))  # the mean of the sign of a Gaussian of mean z
    plus, minus = weights(b + u), weights(b - u)
    h, square, sign = np.tanh(a), np.tanh(a) ** 2, normal((w * np.tanh(a) + b) / sigma)  # sign, of one step later
    signed, rows = float(normal((b + u) / sigma) - normal((b - u) / sigma)), {}
    for length in range(1, max(lengths) + 1):
        if length > 1:
            signed = (plus - minus) @ sign
            sign, h, square = kernel @ sign, kernel @ h, kernel @ square
        signal = (plus - minus) @ h
        rows[length] = (0.5 + signed / 4, signal, 1 - signal + (plus + minus) @ square / 2)
    return StoredBit(*np.array([rows[length] for length in lengths]).T)


def noise_multiplier(w: float, u: float, noise: float) -> float:
    """The noise-dressed multiplier lambda_2 of a tanh unit without bias: ``D_T ~ lambda_2**T`` (see `stored_bit`).

    The top eigenvalue of the odd half of the transition kernel under Gaussian noise of sd ``noise``: what w is to a
    noise-free unit at the origin. Memory lasts -1/ln|lambda_2| steps; signs flip at the rate (1 - |lambda_2|)/2.
    """
    _, kernel, _ = _transition(abs(w), 0.0, _noise(u, noise), 0.0)
    half = len(kernel) // 2
    odd = kernel[half:, half:] - kernel[half:, :half][:, ::-1]
    return math.copysign(float(np.abs(np.linalg.eigvals(odd)).max()), w)


def kramers_rate(w: Values, sigma: Values) -> Float[Array, "*point"]:
    """Kramers' rate of sign flips per step of a bistable tanh unit, w > 1 and b = 0, for weak noise ``sigma = |u| sd``.

    ``k = sqrt((1 - m)(w - 1)) / (2 pi) exp(-2 dV / sigma²)`` with V(a) = a²/2 - w ln cosh a and m the multiplier of the
    stored state. It treats time as continuous: within 5 % for w <= 1.3, too small by a factor from w = 2 on.
    """
    w = jnp.asarray(w, jnp.result_type(float))
    stored = bisect(lambda a: a - w * tanh(a), -1, bend(tanh, w), jnp.abs(w))
    barrier = w * jnp.log(jnp.cosh(stored)) - stored**2 / 2
    rate = jnp.sqrt((1 - w * slope(tanh, stored)) * (w - 1)) / (2 * jnp.pi)
    return rate * jnp.exp(-2 * barrier / jnp.asarray(sigma, w.dtype) ** 2)

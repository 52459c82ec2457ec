"""tanh, the logistic function and its integral, with derivatives that are right where the value has saturated.

``1 - tanh(x)²`` and ``s (1 - s)`` cancel where the value rounds to 1: in float32 the slope of tanh at 6 would be 0.9 %
off, and 0 from 9 on, where it is 6e-8. Nothing here subtracts what is close to 1. Values are those of `jnp.tanh` and
`jax.nn.sigmoid` bit for bit, slopes are right within 3 rounding units in float32 and 7 in float64 for |x| up to 30.
Further derivatives are made of values and slopes again, and right to a few units of the slope: where they pass through
zero, as ``s' (1 - 2 s)`` at 0, not of themselves. For real numbers.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float


@jax.custom_jvp
def tanh(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """``tanh(x)``; ``tanh' = (exp(-|x|) (1 + |tanh|))²``, ``tanh'' = -2 tanh tanh'``."""
    return jnp.tanh(x)


@jax.custom_jvp
def _tanh_slope(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    return (jnp.exp(-jnp.abs(x)) * (1 + jnp.abs(jnp.tanh(x)))) ** 2


@jax.custom_jvp
def sigmoid(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """``s(x) = 1 / (1 + exp(-x))``, the logistic function; ``s' = s(x) s(-x)``, ``s'' = s' (1 - 2 s)``."""
    return jax.lax.logistic(x)


@jax.custom_jvp
def _sigmoid_slope(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jax.lax.logistic(x) * jax.lax.logistic(-x)


@jax.custom_jvp
def mixed(
    x: Float[ArrayLike, "..."], one: Float[ArrayLike, "..."], other: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """``z one + (1 - z) other``, z = s(x), as a gate mixes old and new.

    Its slopes are ``s' (one - other)``, z and ``1 - z = s(-x)``, all of whose digits are right where z is close to 1.
    What is left of ``one - other`` where both are close to 1 is as they were rounded.
    """
    z = jax.lax.logistic(x)
    return z * one + (1 - z) * other


@jax.custom_jvp
def softplus(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """``log(1 + exp(x))``, the integral of the logistic function; ``softplus' = s(x)``."""
    return jax.nn.softplus(x)


tanh.defjvps(lambda dx, _, x: _tanh_slope(x) * dx)
_tanh_slope.defjvps(lambda dx, slope, x: -2 * tanh(x) * slope * dx)
sigmoid.defjvps(lambda dx, _, x: _sigmoid_slope(x) * dx)
_sigmoid_slope.defjvps(lambda dx, slope, x: (1 - 2 * sigmoid(x)) * slope * dx)
mixed.defjvps(
    lambda dx, _, x, one, other: _sigmoid_slope(x) * (one - other) * dx,
    lambda move, _, x, one, other: sigmoid(x) * move,
    lambda move, _, x, one, other: sigmoid(-x) * move,
)
softplus.defjvps(lambda dx, _, x: sigmoid(x) * dx)


TANH = (tanh, jnp.tanh)  # by any name: what is known of a function holds however it is differentiated
LOGISTIC = (sigmoid, jax.nn.sigmoid)

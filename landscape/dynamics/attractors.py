"""Where the orbit of a start state ends, and how fast neighbours part on the way."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from landscape.cells import Cell


@functools.partial(jax.jit, static_argnames="discard")
def lyapunov_exponent(cell: Cell, x: Any, start: Any = 0.0, discard: int = 0) -> jax.Array:
    """The largest Lyapunov exponent, in nats a step, of the orbit from ``h = start`` under inputs ``x`` (time, ...).

    The mean over time, after ``discard`` steps, of the log growth of a tangent vector renormalised at every step. On a
    finite orbit it is the exponent that a gradient through time sees; -inf where a derivative is exactly zero.
    """
    state = cell.initial(start)
    tangent = jax.tree.map(jnp.ones_like, state)

    def size(tangent: Any) -> jax.Array:
        return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tangent)))

    def step(carry: tuple, x: Any) -> tuple:
        state, tangent = jax.jvp(lambda s: cell.step(s, x), (carry[0],), (carry[1],))
        grown = size(tangent)
        safe = jnp.where(grown > 0, grown, 1)
        return (state, jax.tree.map(lambda t: t / safe, tangent)), jnp.log(grown)

    unit = jax.tree.map(lambda t: t / size(tangent), tangent)
    return jnp.mean(jax.lax.scan(step, (state, unit), jnp.asarray(x))[1][discard:])

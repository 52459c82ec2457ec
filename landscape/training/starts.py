"""Starts of one unit with one thing changed: what one step keeps, by independent routes, and other suspects.

Gates are those of Keras 2, clip(.2 b + .5, 0, 1), whose biases have a closed form (`hard`).
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Key, PyTree

from landscape.cells import GRU, LSTM, SRNN, Cell, HardLSTM
from landscape.initialisers import Initialiser, keras2, readout, with_multiplier
from landscape.models import RNN, Dense

FULL = 0.999  # a gate that is open but can still be moved


class Start(NamedTuple):
    """How a run begins: a default start, what is changed in its cell, and the rate it learns with."""

    change: Callable[[PyTree], Cell] = lambda cell: cell
    rate: float = 1e-3
    initialise: Initialiser = keras2
    read: Callable[..., Dense] = readout
    outputs: int | None = 2

    def model(self, cell: Cell, key: Key[Array, ""]) -> RNN:
        one, two = jax.random.split(key)  # as `begin` splits it
        return RNN(cell=self.change(self.initialise(cell, one)), readout=self.read(two, None, self.outputs))


def hard(gate: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """The bias at which a gate clip(.2 b + .5, 0, 1) of a unit at rest is ``gate``."""
    return 5.0 * (jnp.asarray(gate) - 0.5)


def having(**values: Float[ArrayLike, "..."]) -> Start:
    """A default start with parameters of the cell set to ``values``."""
    return Start(lambda cell: dataclasses.replace(cell, **{name: jnp.asarray(v, float) for name, v in values.items()}))


def by_candidate(cell: Cell, mu: float) -> Cell:
    """What one step keeps set to ``mu`` by the candidate's recurrent weight; its sign and spread go."""
    return with_multiplier(cell, mu)


def by_sign(cell: SRNN, mu: float) -> SRNN:
    """What one step keeps set to ``mu``, the sign of the recurrent weight left as drawn."""
    return dataclasses.replace(cell, w=jnp.sign(cell.w) * mu)


def by_forgetting(cell: LSTM, mu: float) -> LSTM:
    """What one step keeps set to ``mu`` by the forget gate; w_g keeps its size, and is positive so that f < 1."""
    w = jnp.abs(cell.w_g)
    return dataclasses.replace(cell, w_g=w, b_f=hard(jnp.minimum(mu - 0.25 * w, FULL)))


def by_forgetting_alone(cell: LSTM, mu: float) -> LSTM:
    """What one step keeps set to ``mu`` by the forget gate, with nothing fed back: w_g = 0."""
    return dataclasses.replace(cell, w_g=jnp.zeros(()), b_f=hard(min(mu, FULL)))


def by_update(cell: GRU, mu: float) -> GRU:
    """What one step keeps set to ``mu`` by the update gate, with nothing fed back: w_h = 0."""
    return dataclasses.replace(cell, w_h=jnp.zeros(()), b_z=hard(min(mu, FULL)))


def wider(cell: LSTM) -> LSTM:
    """Input weights as large as those of one gate with a kernel of its own: Glorot's bound for 1 + 1, not 1 + 4."""
    return dataclasses.replace(cell, **{f"u_{g}": getattr(cell, f"u_{g}") * 2.5**0.5 for g in "ifgo"})


def as_keras_lstm(cell: LSTM, key: Key[Array, ""], units: int | None = None, inputs: int | None = None) -> LSTM:
    """A cell with fewer gates, whose one step keeps just what that of the LSTM drawn from the same key does."""
    full = keras2(HardLSTM(), key, units, inputs)
    made = keras2(cell, key, units, inputs)
    return with_multiplier(dataclasses.replace(made, u_g=full.u_g), 0.7 + 0.25 * full.w_g)

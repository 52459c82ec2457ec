"""Gates: how often they are shut and open."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from landscape.cells import GRU, LSTM, drive
from landscape.models import as_rnn
from landscape.tasks import Episode
from landscape.views.walking import each, visited

if TYPE_CHECKING:
    import xarray


def saturation(model: PyTree, episodes: Episode, low: float = 0.1, high: float = 0.9) -> "xarray.Dataset":
    """How often each gate is shut and open, dims ("gate", "unit"): shares of steps below ``low`` and above ``high``.

    ``left`` and ``right`` (Karpathy, Johnson & Fei-Fei 2015, sec. 4.2): together at most 1. For an `LSTM` without
    peepholes and a `GRU`; TypeError for other cells, which have no gates that are known by name.
    """
    import xarray

    cell = as_rnn(model).cell
    names = {LSTM: "ifo", GRU: "zr"}.get(type(cell))
    if names is None or any(getattr(cell, f"p_{gate}", None) is not None for gate in names):
        raise TypeError(f"gates are known of an LSTM without peepholes and of a GRU, not of {type(cell).__name__}")
    present = [gate for gate in names if getattr(cell, f"w_{gate}") is not None]

    left, right = np.asarray(each(_beyond, (*present,), (cell, low, high), jnp.asarray(episodes.x))).mean(0)
    dims = ("gate", "unit")
    return xarray.Dataset(
        {"left": (dims, left), "right": (dims, right)}, {"gate": present, "unit": range(left.shape[1])}
    )


def _beyond(names: tuple[str, ...], held: tuple, x: Array) -> Float[Array, "side gate unit"]:
    """Shares of the steps of one episode at which gates are shut, and open."""
    cell, low, high = held
    h = visited(cell, x, 0.0).h[:-1]
    gates = [jax.vmap(lambda h, x, g=gate: cell.gate(drive(cell, g, h, x)))(h, x) for gate in names]
    values = jnp.stack(gates).reshape(len(gates), len(h), -1)
    return jnp.stack([(values < low).mean(1), (values > high).mean(1)])

"""The truncated gradient of 1997 without a way back: along c errors stay as they are."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from landscape.activations import sigmoid, tanh
from landscape.cells import LSTMState, MemoryBlocks
from landscape.losses import Objective
from landscape.models import RNN, Truncated
from landscape.tasks import Episode
from landscape.training.scores import Route, Score, blockwise, chosen, scorer, weighed
from landscape.tree import dot


def carousel(objective: Objective, start: float = 0.0) -> Route:
    """The route of ``Truncated(cell=MemoryBlocks(...))``, whose gradient is that of `reverse` to rounding.

    States are computed forward, and all steps once more at once from what they heard, which is held: then
    ``c_t = sum of i g``, and the error at c_t is the sum of those that follow, with no loop back in time. Episodes must
    have a mask, and ``start``, which `fit` gives every route, be 0. Raises TypeError for another model: errors of any
    other cell decay.
    """
    score = scorer(objective)
    if start != 0:
        raise ValueError(f"the carousel begins with all states at 0; given start={start}")

    def scored(model: PyTree, own: Episode) -> tuple[Float[Array, ""], Float[Array, ""]]:
        states = jax.vmap(lambda x: _lived(_net(model.cell.cell), x), 1, 1)(own.x)
        return weighed(score, model.readout, states, own)

    def gradient(model: RNN, data: Episode, index: Int[Array, "batch"], length: Int[Array, ""]) -> tuple[Score, RNN]:
        own = _own(model, data, index, length)
        (loss, right), slope = jax.value_and_grad(scored, has_aux=True)(model, own)
        return Score(loss, right), slope

    def evaluate(model: RNN, data: Episode, index: Int[Array, "batch"], length: Int[Array, ""]) -> Score:
        return blockwise(lambda index: Score(*scored(model, _own(model, data, index, length))), index)

    return Route(gradient, evaluate)


def _own(model: RNN, data: Episode, index: Int[Array, "batch"], length: Int[Array, ""]) -> Episode:
    """The episodes of a minibatch, of a model and data that the route is made for."""
    inner = getattr(model.cell, "cell", model.cell)
    if not isinstance(model.cell, Truncated) or not isinstance(inner, MemoryBlocks):
        raise TypeError(
            "carousel is the route of Truncated(cell=MemoryBlocks(...)), whose errors along c never decay; "
            f"given {type(model.cell).__name__} of {type(inner).__name__}: use training.reverse"
        )
    if data.mask is None:
        raise TypeError("carousel takes episodes with a mask (time,), which says at which steps answers are asked for")
    return chosen(data, index, length)


class _Net(NamedTuple):
    """All weights of a layer in three: from inputs, from units and gates, biases; columns are units, then gates."""

    inputs: Float[Array, "input gate"]
    heard: Float[Array, "source gate"]
    bias: Float[Array, "gate"]
    units: int
    present: str
    size: int


def _net(cell: PyTree) -> _Net:
    sizes = {k: cell._zero(k).size for k in f"g{cell.present}"}

    def part(name: str, rows: int, columns: int) -> Float[Array, "row column"]:
        weight = getattr(cell, name)
        return jnp.zeros((rows, columns)) if weight is None else jnp.reshape(weight, (rows, columns))

    units, count = sizes["g"], cell.u_g.shape[0] if cell.u_g.ndim == 2 else 1
    rows = {"w_": units} | {f"r_{k}": sizes[k] for k in cell.present}
    columns = lambda kind, n: [part(kind + k, n, sizes[k]) for k in sizes]  # noqa: E731
    heard = jnp.concatenate([jnp.concatenate(columns(kind, n), 1) for kind, n in rows.items()])
    inputs = jnp.concatenate(columns("u_", count), 1)
    return _Net(inputs, heard, jnp.concatenate(columns("b_", 1), 1)[0], units, cell.present, cell.size)


def _lived(net: _Net, x: jax.Array) -> LSTMState:
    """States after every step of one episode (time, ...), with the truncated gradient."""
    if jnp.issubdtype(x.dtype, jnp.integer):  # symbols, whose rows would be added to one by one on the way back
        x = jax.nn.one_hot(x, len(net.inputs), dtype=net.inputs.dtype)
    driven = dot(x[:, None] if x.ndim == 1 else x, net.inputs) + net.bias[None]
    heard = jax.lax.stop_gradient(_heard(jax.lax.stop_gradient(net.heard), jax.lax.stop_gradient(driven), net))
    gained, gates = _step(driven + dot(heard, net.heard), net)
    c = dot(jnp.tri(len(x), dtype=gained.dtype), gained)  # a cumulated sum; its logarithmic tree compiles for seconds
    return LSTMState(_spread(net, gates, "o") * tanh(c / 2), c, tuple(gates.values()))


def _heard(weights: jax.Array, driven: jax.Array, net: _Net) -> Float[Array, "time source"]:
    """What the net hears of itself at every step: units and gates of the step before."""

    def ahead(carry: tuple, now: jax.Array) -> tuple[tuple, jax.Array]:
        c, heard = carry
        gained, gates = _step(now + dot(heard, weights), net)
        c = c + gained
        return (c, jnp.concatenate([_spread(net, gates, "o") * tanh(c / 2), *gates.values()])), heard

    begun = jnp.zeros(net.units, driven.dtype), jnp.zeros(len(weights), driven.dtype)
    return jax.lax.scan(ahead, begun, driven)[1]


def _step(a: jax.Array, net: _Net) -> tuple[jax.Array, dict[str, jax.Array]]:
    """What c gains, i g, and the gates, of what reaches all units and gates (..., gate)."""
    opened = sigmoid(a[..., net.units :])
    wide = net.units // net.size
    gates = {k: opened[..., n * wide : (n + 1) * wide] for n, k in enumerate(net.present)}
    return _spread(net, gates, "i") * 2 * tanh(a[..., : net.units] / 2), gates


def _spread(net: _Net, gates: dict[str, jax.Array], gate: str) -> PyTree:
    """A gate of each block for each of its units; 1 where it is always open."""
    if gate not in gates:
        return 1.0
    return gates[gate] if net.size == 1 else jnp.repeat(gates[gate], net.size, -1)

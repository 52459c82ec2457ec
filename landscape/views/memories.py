"""States: where they are, how they move, what they answer to, and how they come back from noise."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, Int, Key, PyTree

from landscape.cells import Cell
from landscape.models import as_rnn
from landscape.planes import named_leaves
from landscape.tasks import Episode
from landscape.views.walking import each, visited

if TYPE_CHECKING:
    import xarray


def states(model: PyTree, episodes: Episode, start: float = 0.0) -> "xarray.DataArray":
    """Every state after every step, dims ("episode", "time", "number").

    ``part`` (number,) says what each number belongs to: ``h``, the ``c`` of an LSTM, ``layers.0.h`` of a stack.
    """
    import xarray

    cell = as_rnn(model).cell
    begin = cell.initial(start)
    parts = np.repeat(list(named_leaves(begin)), [np.size(leaf) for leaf in jax.tree.leaves(begin)])
    found = np.asarray(each(_after, None, (cell, start), jnp.asarray(episodes.x)))
    return xarray.DataArray(found, {"part": ("number", parts)}, ("episode", "time", "number"))


def _flat(cell: Cell, x: Array, start: ArrayLike) -> Float[Array, "time number"]:
    """States before every step, and the one after the last, each laid out flat."""
    return jax.vmap(lambda s: ravel_pytree(s)[0])(visited(cell, x, start))


def _after(_: None, held: tuple, x: Array) -> Float[Array, "time number"]:
    return _flat(held[0], x, held[1])[1:]


def traces(states: "xarray.DataArray") -> "xarray.Dataset":
    """How states move, dim ("episode",): of a path of states (episode, time, number), s_1 to s_T.

    ``length``: ``sum_t |s_(t+1) - s_t|`` over the mean |s_t|; ``turn``: the mean angle between one step and the next,
    in degrees: 0 on a line, 90 on average where steps know nothing of each other, 180 back and forth. Steps of length 0
    have no angle. Raises ValueError for fewer than three states.
    """
    import xarray

    path = np.asarray(states.transpose("episode", "time", "number"), np.float64)
    if path.shape[1] < 3:
        raise ValueError(f"a turn needs three states or more, and an episode has {path.shape[1]}")
    steps = np.diff(path, axis=1)
    size = np.linalg.norm(steps, axis=2)
    both = size[:, 1:] * size[:, :-1]
    cosine = np.divide((steps[:, 1:] * steps[:, :-1]).sum(2), both, out=np.full_like(both, np.nan), where=both > 0)
    length = size.sum(1) / np.linalg.norm(path, axis=2).mean(1)
    turn = np.nanmean(np.degrees(np.arccos(np.clip(cosine, -1, 1))), axis=1)
    return xarray.Dataset({"length": ("episode", length), "turn": ("episode", turn)})


def responses(states: "xarray.DataArray", symbols: Int[np.ndarray, "episode time"]) -> "xarray.Dataset":
    """How surely each unit responds to each symbol, dims ("symbol", "number"), after Tang, Shi & Wang (2016).

    A number of the state is said to respond where it lies more than one standard deviation from its mean over all
    steps. ``share``: of the steps that read a symbol those after which it does so, on the side where it does so more
    often; ``count`` (symbol,): how many steps read it.
    """
    import xarray

    path = np.asarray(states.transpose("episode", "time", "number"), np.float64).reshape(-1, states.sizes["number"])
    read = np.asarray(symbols).ravel()
    if len(read) != len(path):
        raise ValueError(f"there are {len(path)} states and {len(read)} symbols; give the symbols that were read")
    away, spread = path - path.mean(0), path.std(0)
    known, at, count = np.unique(read, return_inverse=True, return_counts=True)
    sides = []
    for beyond in (away > spread, away < -spread):
        sums = np.zeros((len(known), path.shape[1]))
        np.add.at(sums, at, beyond)
        sides.append(sums / count[:, None])
    found = {"share": (("symbol", "number"), np.maximum(*sides)), "count": ("symbol", count)}
    return xarray.Dataset(found, {"symbol": known, "part": states.part})


def recovery(
    model: PyTree, episodes: Episode, key: Key[Array, ""], burst: int, noise: float, start: float = 0.0, since: int = 0
) -> "xarray.Dataset":
    """What noise on ``burst`` inputs leaves in the state: ``distance`` D(t) = |s' - s| / |s|, dim ("time",).

    s is the whole state, without noise, s' with noise of standard deviation ``noise`` on the ``burst`` steps that
    follow the first ``since``; symbols are each replaced, with probability ``noise``, by one drawn evenly from those
    that the episodes hold. ``each`` ("episode", "time") is D of every episode, ``distance`` its mean, and 0 is right
    after the burst (Tang, Shi & Wang 2016).
    """
    import xarray

    cell, time = as_rnn(model).cell, np.shape(episodes.x)[1]
    if not (burst > 0 and since >= 0 and since + burst < time):
        raise ValueError(
            f"burst must be 1 to {time - 1 - since} steps, fewer than the {time} of an episode less the first {since}, "
            f"given {burst}"
        )
    x = jnp.asarray(episodes.x)
    known = jnp.asarray(() if jnp.issubdtype(x.dtype, jnp.floating) else np.unique(episodes.x), x.dtype)
    held = (cell, start, known, noise)
    found = np.asarray(each(_apart, (since, since + burst), held, x, jax.random.split(key, len(x))))
    both = {"distance": ("time", found.mean(0)), "each": (("episode", "time"), found)}
    return xarray.Dataset(both, {"time": np.arange(found.shape[1])})


def _apart(burst: tuple[int, int], held: tuple, x: Array, key: Key[Array, ""]) -> Float[Array, "time"]:
    """D of one episode after the steps of the burst."""
    cell, start, known, noise = held
    t = jnp.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1))
    within = (t >= burst[0]) & (t < burst[1])
    s, other = (_flat(cell, x, start)[burst[1] :] for x in (x, jnp.where(within, _shaken(x, known, noise, key), x)))
    return jnp.linalg.norm(other - s, axis=1) / jnp.linalg.norm(s, axis=1)


def _shaken(x: Array, known: Array, noise: ArrayLike, key: Key[Array, ""]) -> Array:
    """Numbers with noise; symbols of which some are others that are ``known``."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x + (noise * jax.random.normal(key, x.shape, x.dtype)).astype(x.dtype)
    which, whether = jax.random.split(key)
    other = known[jax.random.randint(which, x.shape, 0, len(known))]
    return jnp.where(jax.random.uniform(whether, x.shape) < noise, other, x)

"""Views of a trained recurrent network: what its gradient, its gates and its states do along episodes, as Datasets.

Every view takes a model (a cell with its readout) and episodes as `landscape.tasks.episodes` stacks them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key, PyTree

from landscape.cells import GRU, LSTM, Cell, drive
from landscape.models import as_rnn
from landscape.tasks import Episode

if TYPE_CHECKING:
    import xarray

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
BLOCK = 64  # episodes looked at together


def _each(f: Callable, *along: PyTree) -> Any:
    """``f`` over episodes, block by block, as NumPy arrays."""
    count = len(jax.tree.leaves(along)[0])
    return jax.device_get(jax.jit(lambda *a: jax.lax.map(lambda one: f(*one), a, batch_size=min(BLOCK, count)))(*along))


def _biases(cell: Any) -> list[int]:
    """Which leaves of a cell or stack are biases: those whose name begins with b."""
    paths = [path for path, _ in jax.tree.flatten_with_path(cell)[0]]
    return [i for i, path in enumerate(paths) if str(getattr(path[-1], "name", "")).split("_")[0] == "b"]


def gradient_by_lag(model: PyTree, episodes: Episode, loss: Callable, start: float = 0.0) -> "xarray.Dataset":
    """How the gradient of the last answer reaches back: dims ("lag",) and ("quantile", "lag").

    ``gradient``: |dL/da_(T-k)| at lag k, where a is all that enters the cell's nonlinearities at that step, the median
    over episodes; ``quantiles`` of it. It is the gradient by biases that are each step's own, so it asks for a cell
    whose gates have biases called b. Lag 0 is the last step. Raises ValueError for a cell without biases.
    """
    import xarray

    rnn = as_rnn(model)
    leaves, tree = jax.tree.flatten(rnn.cell)
    moved = _biases(rnn.cell)
    if not moved:
        raise ValueError(f"{type(rnn.cell).__name__} has no biases b, by which what enters a step could be moved")

    def one(x: Array, target: PyTree) -> Float[Array, "time"]:
        def end(bumps: list[Array]) -> Float[Array, ""]:
            def step(state: PyTree, at: tuple) -> tuple[PyTree, None]:
                x, bump = at
                own = list(leaves)
                for i, b in zip(moved, bump, strict=True):
                    own[i] = leaves[i] + b
                return jax.tree.unflatten(tree, own).step(state, x), None

            last = jax.lax.scan(step, rnn.initial(start), (x, bumps))[0]
            return loss(rnn.output(last), target)

        still = [jnp.zeros((len(x), *jnp.shape(leaves[i])), jnp.result_type(leaves[i])) for i in moved]
        slopes = jax.grad(end)(still)
        return jnp.sqrt(sum(jnp.sum(s.reshape(len(s), -1) ** 2, 1) for s in slopes))

    last = episodes.target if episodes.mask is None else jax.tree.map(lambda t: t[:, -1], episodes.target)
    size = np.asarray(_each(one, jnp.asarray(episodes.x), last))[:, ::-1]
    found = {
        "gradient": ("lag", np.median(size, 0)),
        "quantiles": (("quantile", "lag"), np.quantile(size, QUANTILES, axis=0)),
    }
    return xarray.Dataset(
        found, {"lag": np.arange(size.shape[1]), "quantile": list(QUANTILES)}, {"episodes": len(size)}
    )


def _states(cell: Cell, x: Array, start: float) -> PyTree:
    """States before every step, and the one after the last, (time + 1, ...)."""

    def step(state: PyTree, x: Array) -> tuple[PyTree, PyTree]:
        after = cell.step(state, x)
        return after, after

    begin = jax.tree.map(jnp.asarray, cell.initial(start))
    after = jax.lax.scan(step, begin, x)[1]
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), begin, after)


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

    def one(x: Array) -> Float[Array, "gate unit"]:
        h = _states(cell, x, 0.0).h[:-1]
        gates = [jax.vmap(lambda h, x, g=gate: cell.gate(drive(cell, g, h, x)))(h, x) for gate in present]
        values = jnp.stack(gates).reshape(len(gates), len(h), -1)
        return jnp.stack([(values < low).mean(1), (values > high).mean(1)])

    left, right = np.asarray(_each(one, jnp.asarray(episodes.x))).mean(0)
    dims = ("gate", "unit")
    return xarray.Dataset(
        {"left": (dims, left), "right": (dims, right)}, {"gate": present, "unit": range(left.shape[1])}
    )


def recovery(
    model: PyTree, episodes: Episode, key: Key[Array, ""], burst: int, noise: float, start: float = 0.0
) -> "xarray.Dataset":
    """What noise on ``burst`` first inputs leaves in the state: ``distance`` D(t) = |s' - s| / |s|, dim ("time",).

    s is the whole state, without noise, s' with noise of standard deviation ``noise`` on the first ``burst`` steps; D
    is the mean over episodes, its 0 right after the burst (Tang, Shi & Wang 2016).
    """
    import xarray

    cell, time = as_rnn(model).cell, np.shape(episodes.x)[1]
    if not 0 < burst < time:
        raise ValueError(f"burst must be 1 to {time - 1} steps, fewer than the {time} of an episode, given {burst}")

    def one(x: Array, key: Key[Array, ""]) -> Float[Array, "time"]:
        shaken = noise * jax.random.normal(key, x.shape, x.dtype)
        along = jnp.arange(time).reshape(-1, *[1] * (x.ndim - 1)) < burst
        flat = lambda x: jax.vmap(lambda s: ravel_pytree(s)[0])(_states(cell, x, start))[burst:]  # noqa: E731
        s, other = flat(x), flat(x + jnp.where(along, shaken, 0))
        return jnp.linalg.norm(other - s, axis=1) / jnp.linalg.norm(s, axis=1)

    x = jnp.asarray(episodes.x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError("noise is added to inputs that are numbers; these are symbols: make them one-hot")
    distance = np.asarray(_each(one, x, jax.random.split(key, len(x)))).mean(0)
    return xarray.Dataset({"distance": ("time", distance)}, {"time": np.arange(len(distance))})


def spectra(model: PyTree, x: Float[Array, "time *input"], start: float = 0.0) -> "xarray.Dataset":
    """Jacobians of the whole state along one episode, dims ("time", "number"): largest first.

    ``eigenvalue`` (complex) and ``singular`` values of ds_t/ds_(t-1); ``lyapunov`` (number,): exponents a step, the
    growth of volumes along the episode by QR (Benettin et al. 1980).
    """
    import xarray

    cell = as_rnn(model).cell
    back = ravel_pytree(jax.tree.map(jnp.asarray, cell.initial(start)))[1]
    flow = lambda s, x: ravel_pytree(cell.step(back(s), x))[0]  # noqa: E731
    before = jax.jit(lambda x: jax.vmap(lambda s: ravel_pytree(s)[0])(_states(cell, x, start))[:-1])(jnp.asarray(x))
    turns = np.asarray(jax.jit(jax.vmap(jax.jacfwd(flow)))(before, jnp.asarray(x)), np.float64)
    eigenvalues = np.linalg.eigvals(turns)
    order = np.argsort(-np.abs(eigenvalues), axis=1)
    frame, growth = np.eye(turns.shape[1]), np.zeros(turns.shape[1])
    with np.errstate(divide="ignore"):
        for turn in turns:
            frame, r = np.linalg.qr(turn @ frame)
            growth += np.log(np.abs(np.diag(r)))
    dims = ("time", "number")
    found = {
        "eigenvalue": (dims, np.take_along_axis(eigenvalues, order, 1)),
        "singular": (dims, np.linalg.svd(turns, compute_uv=False)),
        "lyapunov": ("number", np.sort(growth)[::-1] / len(turns)),
    }
    return xarray.Dataset(found, {"time": np.arange(len(turns)), "number": np.arange(turns.shape[1])})

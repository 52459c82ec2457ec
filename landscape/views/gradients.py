"""How far the gradient of an answer reaches back."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from landscape.cells import Cell
from landscape.models import as_rnn
from landscape.tasks import Episode
from landscape.views.walking import each

if TYPE_CHECKING:
    import xarray

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def biases(cell: Cell) -> list[int]:
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
    if not biases(rnn.cell):
        raise ValueError(f"{type(rnn.cell).__name__} has no biases b, by which what enters a step could be moved")
    last = episodes.target if episodes.mask is None else jax.tree.map(lambda t: t[:, -1], episodes.target)
    size = np.asarray(each(_slopes, loss, (rnn, start), jnp.asarray(episodes.x), last))[:, ::-1]
    found = {
        "gradient": ("lag", np.median(size, 0)),
        "quantiles": (("quantile", "lag"), np.quantile(size, QUANTILES, axis=0)),
    }
    return xarray.Dataset(
        found, {"lag": np.arange(size.shape[1]), "quantile": list(QUANTILES)}, {"episodes": len(size)}
    )


def _slopes(loss: Callable, held: tuple, x: Array, target: PyTree) -> Float[Array, "time"]:
    """|dL/da_t| along one episode."""
    rnn, start = held
    leaves, tree = jax.tree.flatten(rnn.cell)
    moved = biases(rnn.cell)

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

"""Jacobians of the state along an episode."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, PyTree, Real

from landscape.cells import Cell
from landscape.models import as_rnn
from landscape.views.walking import visited

if TYPE_CHECKING:
    import xarray


@jax.jit
def turns(
    cell: Cell, x: Real[Array, "time *input"], start: Float[ArrayLike, "*unit"] = 0.0
) -> Float[Array, "time state state"]:
    """ds_t/ds_(t-1) along inputs x (time, ...), [t, i, j] = ds_t^i/ds_(t-1)^j of the state laid out flat.

    Compiled once for cells of a kind and size.
    """
    back = ravel_pytree(jax.tree.map(jnp.asarray, cell.initial(start)))[1]
    before = jax.vmap(lambda s: ravel_pytree(s)[0])(visited(cell, x, start))[:-1]
    flow = lambda s, x: ravel_pytree(cell.step(back(s), x))[0]  # noqa: E731
    return jax.vmap(jax.jacfwd(flow))(before, x)


def spectra(model: PyTree, x: Float[Array, "time *input"], start: float = 0.0) -> "xarray.Dataset":
    """Jacobians of the whole state along one episode, dims ("time", "number"): largest first.

    ``eigenvalue`` (complex) and ``singular`` values of ds_t/ds_(t-1); ``lyapunov`` (number,): exponents a step, the
    growth of volumes along the episode by QR (Benettin et al. 1980).
    """
    import xarray

    along = np.asarray(turns(as_rnn(model).cell, jnp.asarray(x), start), np.float64)
    eigenvalues = np.linalg.eigvals(along)
    order = np.argsort(-np.abs(eigenvalues), axis=1)
    frame, growth = np.eye(along.shape[1]), np.zeros(along.shape[1])
    with np.errstate(divide="ignore"):
        for turn in along:
            frame, r = np.linalg.qr(turn @ frame)
            growth += np.log(np.abs(np.diag(r)))
    dims = ("time", "number")
    found = {
        "eigenvalue": (dims, np.take_along_axis(eigenvalues, order, 1)),
        "singular": (dims, np.linalg.svd(along, compute_uv=False)),
        "lyapunov": ("number", np.sort(growth)[::-1] / len(along)),
    }
    return xarray.Dataset(found, {"time": np.arange(len(along)), "number": np.arange(along.shape[1])})

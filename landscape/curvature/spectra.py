"""Spectra by Lanczos: extreme eigenpairs with certificates, and the density of all eigenvalues."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jaxtyping import Array, Float, Key, PyTree
from scipy import stats

from landscape.curvature.matrices import Matrix, Vector, apart, laid
from landscape.directions.base import Directions, floats
from landscape.directions.base import directions as made
from landscape.engine.problem import whole
from landscape.extras import needed

if TYPE_CHECKING:
    import xarray

LOOSE = 1e-8  # overlap of two vectors of a basis that are orthogonal to rounding


_product = Primitive("product")  # of a matrix, outside of every compiled program
_product.def_impl(lambda v, *, matrix: jnp.asarray(matrix(np.asarray(v))))
_product.def_abstract_eval(lambda v, *, matrix: v)


def top(matrix: Matrix, count: int, key: Key[Array, ""], steps: int | None = None) -> "xarray.Dataset":
    """The ``count`` eigenpairs of largest magnitude in a Krylov space of ``steps``, by default 4 count + 20.

    Lanczos with full reorthogonalisation in float64, by matfree, from a random vector: a product with the matrix for
    each step and one more for each pair; steps x number floats are held. Dims ("pair", "number"): ``value``, by
    magnitude; ``vector``; ``residual``, |Av - λv| by another product, a certificate: an eigenvalue lies that near (and
    as near as the product is rounded; whether others were missed it does not say). Fewer pairs where the space ends
    sooner. Raises ValueError for more pairs than numbers.
    """
    import xarray

    count = whole(count, "count", 1, matrix.size)
    steps = min(whole(4 * count + 20 if steps is None else steps, "steps", count), matrix.size)
    start = np.asarray(jax.random.normal(key, (matrix.size,), jnp.float32), np.float64)
    basis, small = krylov(matrix, start, steps)
    values, mixes = np.linalg.eigh(small)
    order = np.argsort(-np.abs(values))[:count]
    vectors = (basis @ mixes[:, order]).T
    missed = [np.linalg.norm(matrix(v) - value * v) for value, v in zip(values[order], vectors, strict=True)]
    columns = {"value": ("pair", values[order]), "residual": ("pair", missed), "vector": (("pair", "number"), vectors)}
    return xarray.Dataset(columns, attrs={**matrix.about, "numbers": matrix.size, "steps": len(small)})


def density(
    matrix: Matrix, key: Key[Array, ""], probes: int = 8, steps: int = 64, width: float | None = None
) -> "xarray.Dataset":
    """The density of all eigenvalues by stochastic Lanczos quadrature (Ghorbani et al. 2019).

    Each probe, a vector of random signs, gives a quadrature: dims ("probe", "rank"), ``node`` and ``weight``. The
    weights of a probe sum to 1, and ``sum(weight node^k)`` is tr(A^k)/n in expectation, for k < 2 steps. Dims
    ("eigenvalue",): ``density``, their mean as a sum of Gaussians of standard deviation ``width``, by default 1/100 of
    the range; ``density_low`` to ``density_high``, Student's band of 95 % over probes. A product a step and probe.
    """
    import xarray

    probes, steps = whole(probes, "probes", 2), min(whole(steps, "steps", 1), matrix.size)
    nodes, weights = np.zeros((2, probes, steps))
    for row, one in enumerate(jax.random.split(key, probes)):
        small = krylov(matrix, signs(one, matrix.size), steps)[1]
        values, mixes = np.linalg.eigh(small)
        nodes[row, : len(small)], weights[row, : len(small)] = values, mixes[0] ** 2  # the rest has no weight
    there = nodes[weights > 0]
    width = float(width or (np.ptp(there) or 1.0) / 100)
    at = np.linspace(there.min() - 4 * width, there.max() + 4 * width, 1024)
    each = np.stack([_smooth(at, *row, width) for row in zip(nodes, weights, strict=True)])
    reach = stats.t.ppf(0.975, probes - 1) * each.std(axis=0, ddof=1) / np.sqrt(probes)
    mean = each.mean(axis=0)
    columns: dict[str, Any] = {"node": (("probe", "rank"), nodes), "weight": (("probe", "rank"), weights)}
    band = {"density": mean, "density_low": np.maximum(mean - reach, 0), "density_high": mean + reach}
    columns |= {name: ("eigenvalue", values) for name, values in band.items()}
    return xarray.Dataset(columns, {"eigenvalue": at}, {**matrix.about, "numbers": matrix.size, "width": width})


def _smooth(at: np.ndarray, nodes: np.ndarray, weights: np.ndarray, width: float) -> Float[np.ndarray, "eigenvalue"]:
    return stats.norm.pdf(at[:, None], nodes, width) @ weights


def signs(key: Key[Array, ""], size: int) -> Vector:
    """A vector of random signs."""
    return np.asarray(jax.random.rademacher(key, (size,), jnp.int8), np.float64)


def krylov(
    matrix: Matrix, start: Vector, steps: int
) -> tuple[Float[np.ndarray, "number step"], Float[np.ndarray, "step step"]]:
    """An orthonormal basis of the Krylov space from ``start``, and the matrix in it, tridiagonal; cut where it ends."""
    lanczos = needed("matfree.decomp", "curvature", "spectra are found").tridiag_sym(steps, custom_vjp=False)
    # matfree traces a product before it loops. Data may come from anywhere, so a product stays one step of the trace,
    # and the loop runs in Python, where that step is a call.
    with jax.enable_x64(True), jax.disable_jit(), jax.numpy_dtype_promotion("standard"):
        found = lanczos(lambda v: _product.bind(v, matrix=matrix), jnp.asarray(start))
    basis, small = np.asarray(found.Q_tall).T, np.asarray(found.J_small)
    beyond = np.abs(np.diag(small, 1))
    ends = np.flatnonzero(~(beyond > 1e-14 * np.nanmax(np.abs(small)))) + 1  # an invariant space: nothing leads out
    overlap = np.abs(np.triu(basis.T @ basis, 1)).max(axis=0)
    loose = np.flatnonzero(~(overlap < LOOSE))  # what leads out is rounding, made a vector
    size = min([*ends[:1].tolist(), *loose[:1].tolist(), steps])
    return basis[:, :size], small[:size, :size]


def directions(found: "xarray.Dataset", params: PyTree, names: Sequence[str]) -> Directions:
    """The eigenvectors that `top` found as directions of length 1, for `landscape.span`, as many as ``names``."""
    parts = laid(params)
    if len(names) > found.sizes["pair"] or found.sizes["number"] != max(part.stop for part in parts.values()):
        raise ValueError(
            f"{found.sizes['pair']} eigenvectors of {found.sizes['number']} numbers were found, and {len(names)} are "
            f"asked for of a model of {max(part.stop for part in parts.values())}; ask `top` for more, of this model"
        )
    vectors = [apart(found["vector"].values[k], params) for k in range(len(names))]
    rows = [iter(vector) for vector in vectors]
    columns = [
        [next(row) for row in rows] if floats(leaf) else [np.zeros(np.shape(leaf))] * len(names)
        for leaf in jax.tree.leaves(params)
    ]
    values = dict(zip(names, found["value"].values.tolist(), strict=False))
    return made("eigenvectors", names, params, columns, matrix=found.attrs.get("matrix"), values=values)

"""Traces by random probes, with intervals that cover, and the noise of gradients."""

from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree
from scipy import stats

from landscape.curvature.matrices import Matrix, empirical_fisher
from landscape.curvature.sharpness import gradient
from landscape.curvature.spectra import krylov, signs
from landscape.engine.problem import whole
from landscape.risk import Risk

if TYPE_CHECKING:
    import xarray


def trace(matrix: Matrix, key: Key[Array, ""], probes: int = 48) -> "xarray.Dataset":
    """The trace of a matrix A from ``probes`` products with it, half of them for where A is large.

    ``tr A = tr Q'AQ + E v'Bv`` with ``B = PAP``, ``P = 1 - QQ'`` and v random signs: Q spans a Krylov space, found by
    matfree (deflation as in Hutch++, Meyer et al. 2021). Without Q, v'Av is as skewed as the square of one normal
    number where few eigenvalues rule, and intervals cover less than they say. Returns ``trace``, its standard ``error``
    and ``low`` to ``high``, an interval that covers the trace at least 95 times in 100: Student's, by the larger of the
    variance seen and of what it is at most, ``var v'Bv <= 2 (|B|² - (tr B)²/n)``, estimated from the same products.
    Raises ValueError for fewer than 8 probes.
    """
    import xarray

    probes = whole(probes, "probes", 8)
    start, *keys = jax.random.split(key, 1 + probes - probes // 2)
    basis, small = krylov(matrix, signs(start, matrix.size), min(probes // 2, matrix.size))
    off = lambda v: v - basis @ (basis.T @ v)  # noqa: E731
    each, squares = np.zeros((2, len(keys)))
    for k, one in enumerate(keys):
        v = off(signs(one, matrix.size))
        bent = off(matrix(v))
        each[k], squares[k] = v @ bent, bent @ bent
    most = 2 * float(np.mean(squares) - np.mean(each) ** 2 / matrix.size)
    error = np.sqrt(max(float(np.var(each, ddof=1)), most) / len(each))
    found, reach = np.trace(small) + np.mean(each), stats.t.ppf(0.975, len(each) - 1) * error
    columns = {"trace": found, "error": error, "low": found - reach, "high": found + reach}
    return xarray.Dataset(columns, attrs={**matrix.about, "numbers": matrix.size, "probes": probes})


def noise_scale(risk: Risk, params: PyTree, key: Key[Array, ""], probes: int = 48) -> "xarray.Dataset":
    """The gradient-noise scale ``tr(S)/|G|²``: the batch size at which noise is as large as the gradient.

    G is the gradient over all data and S the covariance of the examples' gradients, ``tr S = tr F - |G|²`` with F the
    empirical Fisher matrix (McCandlish et al. 2018, equation 2.9). Returns ``scale``, ``low`` to ``high`` from the
    interval of `trace`, and ``gradient``, |G|.
    """
    found = trace(empirical_fisher(risk, params), key, probes)
    square = sum(float(np.sum(leaf**2)) for leaf in gradient(risk, params)[1])
    scaled = {new: found[old] / square - 1 for new, old in (("scale", "trace"), ("low", "low"), ("high", "high"))}
    return found.drop_vars(list(found)).assign(scaled).assign(gradient=np.sqrt(square))

"""Ridges of the gradient: the lines along which a surface is steeper than on either side."""

from typing import TYPE_CHECKING

import numpy as np

from landscape.cliffs.measures import coordinates, derivatives

if TYPE_CHECKING:
    import xarray


def ridge(surface: "xarray.Dataset", steepest: float = 0.1) -> "xarray.Dataset":
    """Points of the ridges of the gradient, below the size of a cell: where ``R = g' H g`` falls through zero uphill.

    That is Canny's edge: the gradient is largest along its own direction. R / |g|² is interpolated along the edges of
    the grid, so the surface must resolve the ridge (see `jumps`); elsewhere refine with `cut`. Points are kept where
    |g| is at least ``steepest`` times its largest value at that length.

    Returns variables (point,): ``length``, every coordinate, and the interpolated ``gradient``. Raises ValueError below
    order 2.
    """
    import xarray

    names = coordinates(surface)
    gradient, hessian = derivatives(surface, 1), derivatives(surface, 2)
    norm = np.sqrt(np.sum(gradient**2, 0))
    with np.errstate(all="ignore"):
        along = gradient / norm
        second = np.einsum("i...,ij...,j...->...", along, hessian, along)
    top = np.nanmax(np.where(np.isfinite(norm), norm, np.nan).reshape(len(norm), -1), 1)
    lengths, axes = surface["length"].values, [surface[name].values for name in names]
    parts: list[np.ndarray] = []
    for axis in range(1, norm.ndim):
        low, high = (
            tuple(slice(*part) if k == axis else slice(None) for k in range(norm.ndim)) for part in ((-1,), (1, None))
        )
        uphill = gradient[axis - 1][low] + gradient[axis - 1][high]
        with np.errstate(all="ignore"):
            share = second[low] / (second[low] - second[high])
            falls = (second[low] * second[high] < 0) & (np.sign(second[low]) == np.sign(uphill))
            size = norm[low] + share * (norm[high] - norm[low])
        at = np.nonzero(falls & (size >= steepest * top.reshape(-1, *[1] * (norm.ndim - 1))))
        columns = [lengths[at[0]]]
        for k, values in enumerate(axes, 1):
            here = values[at[k]]
            columns.append(here + share[at] * (values[at[k] + 1] - here) if k == axis else here)
        parts.append(np.stack([*columns, size[at]]))
    found = dict(zip(("length", *names, "gradient"), np.concatenate(parts, 1), strict=True))
    found["length"] = found["length"].astype(lengths.dtype)
    return xarray.Dataset({name: ("point", values) for name, values in found.items()})

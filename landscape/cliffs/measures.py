"""Measures of every cell of a surface: how far the loss jumps across it, what hides there, how far a gradient holds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    import xarray


def coordinates(surface: "xarray.Dataset") -> list[str]:
    return [str(name) for name in surface["loss"].dims[1:]]


def derivatives(surface: "xarray.Dataset", order: int) -> Float[np.ndarray, "coordinate ..."]:
    """Gradient (coordinate, length, ...) or Hessian (coordinate, coordinate, length, ...) in float64."""
    names = coordinates(surface)
    pairs = [(a, b) for k, a in enumerate(names) for b in names[k:]]
    wanted = [f"d_{a}" for a in names] if order == 1 else [f"d_{a}_{b}" for a, b in pairs]
    if missing := [name for name in wanted if name not in surface]:
        raise ValueError(
            f"the surface has no {missing[0]}; compute it with order={order} (on the command line --order {order})"
        )
    arrays = {name: surface[name].transpose("length", *names).values.astype(float) for name in wanted}
    if order == 1:
        return np.stack(list(arrays.values()))
    arrays |= {f"d_{b}_{a}": arrays[f"d_{a}_{b}"] for a, b in pairs}
    return np.stack([np.stack([arrays[f"d_{a}_{b}"] for b in names]) for a in names])


def _corners(values: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """The values at the corners of every cell, with a new leading axis (corner,)."""
    corners = values[None]
    for axis in axes:
        low = np.take(corners, range(values.shape[axis] - 1), axis + 1)
        corners = np.concatenate([low, np.take(corners, range(1, values.shape[axis]), axis + 1)])
    return corners


def jumps(surface: "xarray.Dataset", ratio: float = 2.0, least: float = 0.01) -> "xarray.Dataset":
    """How much the loss changes across each cell of the grid, and whether the gradients at its corners know of it.

    Returns variables (length, *coordinates) at the midpoints of cells: ``jump`` J, the range of the loss over the
    corners; ``aliasing``, J over the largest change that a corner's gradient predicts, ``max sum_k |d_k| step_k``, 1
    or less where the surface is resolved; ``hidden``, whether a cliff thinner than the grid passes: aliasing above
    ``ratio`` and a jump above ``least``. There a gradient says nothing; J over the step is the slope that can be seen.

    Raises ValueError for a surface without gradients.
    """
    import xarray

    names = coordinates(surface)
    loss = surface["loss"].transpose("length", *names).values.astype(float)
    axes = range(1, loss.ndim)
    predicted = np.zeros([1] * (loss.ndim + 1))
    for axis, name, slope in zip(axes, names, derivatives(surface, 1), strict=True):
        step = np.diff(surface[name].values).reshape([-1 if k == axis else 1 for k in range(loss.ndim)])
        predicted = predicted + _corners(np.abs(slope), axes) * step
    predicted = predicted.max(0)
    jump = np.ptp(_corners(loss, axes), 0)
    aliasing = np.divide(jump, predicted, out=np.where(jump > 0, np.inf, 0.0), where=predicted > 0)
    dims = ("length", *names)
    middles = {name: (surface[name].values[1:] + surface[name].values[:-1]) / 2 for name in names}
    return xarray.Dataset(
        {
            "jump": (dims, jump, {"long_name": "range of the loss over a cell"}),
            "aliasing": (dims, aliasing, {"long_name": "jump over the change that gradients predict"}),
            "hidden": (dims, (aliasing > ratio) & (jump > least), {"long_name": "cliff thinner than the grid"}),
        },
        coords={"length": surface["length"].values, **middles},
    )


def curvature(surface: "xarray.Dataset", rate: float | None = None) -> "xarray.Dataset":
    """What the Hessian says about a step: eigenvalues, the critical learning rate, and how far a gradient holds.

    Returns variables like the loss: ``largest`` and ``smallest`` eigenvalue; ``critical_rate`` 2/largest, above which
    gradient descent diverges from a minimum (inf where nothing curves up); ``radius`` |g|² / |H g|, the distance over
    which the gradient becomes another one. For a learning ``rate`` also ``clip``, radius / rate: clipped to that norm,
    no step is longer than the radius. NaN where a derivative is not finite. Raises ValueError below order 2.
    """
    import xarray

    gradient, hessian = derivatives(surface, 1), derivatives(surface, 2)
    norm = np.sqrt(np.sum(gradient**2, 0))
    with np.errstate(all="ignore"):
        along = gradient / norm
        turning = np.sqrt(np.sum(np.einsum("ij...,j...->i...", hessian, along) ** 2, 0))
        radius = norm / turning
    matrices = np.moveaxis(hessian, (0, 1), (-2, -1))
    finite = np.isfinite(matrices).all((-2, -1))
    eigenvalues = np.linalg.eigvalsh(np.where(finite[..., None, None], matrices, 0.0))
    smallest, largest = (np.where(finite, eigenvalues[..., k], np.nan) for k in (0, -1))
    critical = np.divide(2.0, largest, out=np.where(np.isnan(largest), np.nan, np.inf), where=largest > 0)
    dims = ("length", *coordinates(surface))
    found = {"largest": largest, "smallest": smallest, "critical_rate": critical, "radius": radius}
    if rate is not None:
        found["clip"] = radius / rate
    coords = {name: surface[name].values for name in dims}
    return xarray.Dataset({name: (dims, values) for name, values in found.items()}, coords=coords)

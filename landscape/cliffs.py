"""Functions of a surface that know what a cliff is: where it is, how high, how wide, of which kind, and what hides it.

A cliff is where the loss of ever longer sequences tends to a jump. At a finite length it is a ridge of the gradient,
and soon one far thinner than any grid: the largest *sampled* gradient then falls with length while the true one
explodes. So cells are judged by the jump of the loss across them, and cuts are refined where the loss jumps.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from landscape.planes import Plane
from landscape.surfaces import Evaluator
from landscape.tasks import Task

if TYPE_CHECKING:
    import xarray

MOST_LEVELS = 40  # of refinement; each narrows by about ten, so float64 ends before


def _coordinates(surface: "xarray.Dataset") -> list[str]:
    return [str(name) for name in surface["loss"].dims[1:]]


def _derivatives(surface: "xarray.Dataset", order: int) -> np.ndarray:
    """Gradient (coordinate, length, ...) or Hessian (coordinate, coordinate, length, ...) in float64."""
    names = _coordinates(surface)
    pairs = [(a, b) for k, a in enumerate(names) for b in names[k:]]
    wanted = [f"d_{a}" for a in names] if order == 1 else [f"d_{a}_{b}" for a, b in pairs]
    if missing := [name for name in wanted if name not in surface]:
        raise ValueError(f"the surface has no {missing[0]}; compute it with order={order}")
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

    names = _coordinates(surface)
    loss = surface["loss"].transpose("length", *names).values.astype(float)
    axes = range(1, loss.ndim)
    predicted = np.zeros([1] * (loss.ndim + 1))
    for axis, name, slope in zip(axes, names, _derivatives(surface, 1), strict=True):
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


def curvature(surface: "xarray.Dataset") -> "xarray.Dataset":
    """What the Hessian says about a step: eigenvalues, the critical learning rate, and how far a gradient holds.

    Returns variables like the loss: ``largest`` and ``smallest`` eigenvalue; ``critical_rate`` 2/largest, above which
    gradient descent diverges from a minimum (inf where nothing curves up); ``radius`` |g|² / |H g|, the distance over
    which the gradient becomes another one. NaN where a derivative is not finite. Raises ValueError below order 2.
    """
    import xarray

    gradient, hessian = _derivatives(surface, 1), _derivatives(surface, 2)
    norm = np.sqrt(np.sum(gradient**2, 0))
    with np.errstate(all="ignore"):
        along = gradient / norm
        turning = np.sqrt(np.sum(np.einsum("ij...,j...->i...", hessian, along) ** 2, 0))
        radius = norm / turning
    matrices = np.moveaxis(hessian, (0, 1), (-2, -1))
    finite = np.isfinite(matrices).all((-2, -1))
    eigenvalues = np.linalg.eigvalsh(np.where(finite[..., None, None], matrices, 0.0))
    smallest, largest = (np.where(finite, eigenvalues[..., k], np.nan) for k in (0, -1))
    rate = np.divide(2.0, largest, out=np.where(np.isnan(largest), np.nan, np.inf), where=largest > 0)
    dims = ("length", *_coordinates(surface))
    found = {"largest": largest, "smallest": smallest, "critical_rate": rate, "radius": radius}
    coords = {name: surface[name].values for name in dims}
    return xarray.Dataset({name: (dims, values) for name, values in found.items()}, coords=coords)


def ridge(surface: "xarray.Dataset", steepest: float = 0.1) -> "xarray.Dataset":
    """Points of the ridges of the gradient, below the size of a cell: where ``R = g' H g`` falls through zero uphill.

    That is Canny's edge: the gradient is largest along its own direction. R / |g|² is interpolated along the edges of
    the grid, so the surface must resolve the ridge (see `jumps`); elsewhere refine with `cut`. Points are kept where
    |g| is at least ``steepest`` times its largest value at that length.

    Returns variables (point,): ``length``, every coordinate, and the interpolated ``gradient``. Raises ValueError below
    order 2.
    """
    import xarray

    names = _coordinates(surface)
    gradient, hessian = _derivatives(surface, 1), _derivatives(surface, 2)
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


def cut(
    plane: Plane,
    task: Task,
    lengths: Iterable[int],
    start: Mapping[str, float] | Sequence[float],
    stop: Mapping[str, float] | Sequence[float],
    *,
    points: int = 33,
    dtype: str = "float64",
    **settings: Any,
) -> "xarray.Dataset":
    """The highest cliff along the straight cut from ``start`` to ``stop``, at each length, by adaptive refinement.

    The loss is sampled at ``points`` places, and again within the interval across which it changes most, until the
    change is spread over many intervals; only then is the steepest place looked for. This finds the true maximum
    of the slope, which a grid misses by orders of magnitude, as long as the dtype can tell places on the cliff apart.

    Returns variables (length,): every coordinate of the steepest place; ``slope``, the absolute derivative of the loss
    along the cut there; ``height``, the change of the loss across 40 widths around it; ``width``, height / slope; and
    ``resolved``, False where the dtype ended first: height is then the last jump seen and slope, by the mean value
    theorem, a lower bound. ``settings`` (episodes, seed) are those of `landscape.surfaces.surface`.
    """
    import xarray

    first, last = (
        np.array([p[name] for name in plane.axes] if isinstance(p, Mapping) else p, float) for p in (start, stop)
    )
    span = float(np.linalg.norm(last - first))
    if not span > 0:
        raise ValueError(f"a cut needs two different points, given {start} twice")
    evaluator = Evaluator(plane, task, lengths, order=1, dtype=dtype, **settings)
    rows = np.arange(len(evaluator.lengths))
    direction = (last - first) / span

    def sample(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loss and slope, each (length, place), at each length's own places, in units of the cut from 0 to 1."""
        at = first + places.reshape(-1, 1) * (last - first)
        found = evaluator.resize(max(places.size, len(rows) * points))(at)
        own = lambda values: values.reshape(len(rows), *places.shape)[rows, rows].astype(float)  # noqa: E731
        slope = np.tensordot(direction, [own(found[f"d_{name}"]) for name in plane.axes], 1)
        return own(found["loss"]), np.abs(slope)

    # Two places count as different where the dtype still has a hundred numbers between samples.
    finest = 100 * np.finfo(dtype).eps * max(np.abs(first).max(), np.abs(last).max(), span) / span * points
    low, high = np.zeros(len(rows)), np.ones(len(rows))
    resolved = np.zeros(len(rows), bool)
    place, slope, height = np.zeros((3, len(rows)))
    for _ in range(MOST_LEVELS):
        places = np.linspace(low, high, points, axis=1)
        loss, slopes = sample(places)
        jump = np.abs(np.diff(loss, axis=1))
        largest, steepest = jump.argmax(1), slopes.argmax(1)
        unseen = ~resolved
        resolved |= jump.max(1) < 0.2 * np.ptp(loss, axis=1)
        height = np.where(unseen, np.where(resolved, np.ptp(loss, axis=1), jump.max(1)), height)
        blind = [
            (places[rows, largest] + places[rows, largest + 1]) / 2,
            jump.max(1) * (points - 1) / (high - low) / span,
        ]
        place, slope = np.where(resolved, [places[rows, steepest], slopes[rows, steepest]], blind)
        left = np.where(resolved, steepest, largest) - 1
        right = left + np.where(resolved, 2, 3)
        ends = places[rows, left.clip(0)], places[rows, right.clip(max=points - 1)]
        going = ends[1] - ends[0] > finest
        if not going.any():
            break
        low, high = np.where(going, ends[0], low), np.where(going, ends[1], high)
    for _ in range(3):  # the width, and the height across 40 of it, are found together
        around = 20 * height / slope / span
        across = np.abs(np.diff(sample(np.stack([place - around, place + around], 1).clip(0, 1))[0], axis=1))[:, 0]
        height = np.where(resolved, across, height)
    where = first + place[:, None] * (last - first)
    found = dict(zip(plane.axes, where.T, strict=True))
    found |= {"slope": slope, "height": height, "width": height / slope, "resolved": resolved}
    return xarray.Dataset({name: ("length", v) for name, v in found.items()}, coords={"length": evaluator.lengths})


class Growth(NamedTuple):
    """How a cliff steepens: ``kind`` is "basin" (exponential) or "fold" (a power of T), by the smaller AIC.

    ``multiplier`` is the exp of d ln(slope)/dT, in theory that of the unstable state (`dynamics.cliff_line`), ``power``
    is d ln(slope)/d ln(T), in theory 3. ``evidence`` is the AIC of the other kind minus that of this one.
    """

    kind: str
    multiplier: float
    power: float
    evidence: float


def growth(cliff: "xarray.Dataset") -> Growth:
    """Which kind of cliff steepens like this: exponential and power law fitted to the ``slope`` of `cut` by length.

    Give lengths beyond the first transient, and at least four. A power comes out too small at T < 1000, where the fold
    has not yet been passed closely: it acts at T plus some tens of steps.
    """
    if cliff.sizes["length"] < 4:
        raise ValueError(f"a growth law needs at least 4 lengths, given {cliff.sizes['length']}")
    T, target = cliff["length"].values.astype(float), np.log(cliff["slope"].values)

    def fit(x: np.ndarray) -> tuple[float, float]:
        line = np.polynomial.Polynomial.fit(x, target, 1)
        residual = np.sum((line(x) - target) ** 2)
        return float(line.convert().coef[1]), len(x) * float(np.log(max(residual, 1e-300) / len(x)))

    (rate, exponential), (power, algebraic) = fit(T), fit(np.log(T))
    kind = "basin" if exponential < algebraic else "fold"
    return Growth(kind, float(np.exp(rate)), power, abs(exponential - algebraic))

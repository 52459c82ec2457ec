"""Where do the cliffs of Pascanu's map come from? Its loss at six lengths, under the lines of the limit T -> inf.

    landscape run limit_lines
    python figures/limit_lines.py

One logistic unit without input, x' = w logistic(x) + b from x_0 = .5, E = (logistic(x_T) - .7)^2. Every line is closed
form: x is a fixed point on b = x - w logistic(x), and these lines have the fold curve as their envelope.

Expected: at length 500 the largest step of the loss lies within .57 grid steps of the cliff's closed form at every w,
and the least loss within one grid step of the valley, up to the point where this runs into the cliff, w = 4.4789,
b = -2.2879 (cusp at (4, -2), the cliff leaves the fold at (4.2553, -2.1487)). 2 seconds.
"""

import jax
import numpy as np
import xarray

from landscape import dynamics
from landscape.cells import Pascanu, logistic
from landscape.planes import plane
from landscape.surfaces import surface
from landscape.tasks import pascanu


def run(
    points: int = 501,
    lengths: tuple[int, ...] = (1, 2, 5, 10, 50, 500),
    w: tuple[float, float] = (3.5, 5.5),
    b: tuple[float, float] = (-3.15, -1.45),
    start: float = 0.5,
    target: float = 0.7,
) -> xarray.Dataset:
    """``loss`` (length, w, b) in float64, and the lines (w,) and places (place,) of `lines`."""
    axes = plane(Pascanu(), w=np.linspace(*w, points), b=np.linspace(*b, points))
    over = surface(axes, pascanu(start, target), lengths, order=0, dtype="float64")
    ds = over.merge(lines(axes.axes["w"], start, target), combine_attrs="override")
    return ds.assign_attrs(finding=sentence(ds))


def lines(w: np.ndarray, start: float, target: float) -> xarray.Dataset:
    """Biases (w,): the ``cliff``, the ``start_line`` that it follows beyond the fold, both folds, the ``valley``.

    Places, by name: the cusp of the folds, the tangency at which the cliff leaves the fold, and the crossing at which
    the valley of zero loss runs into the cliff.
    """
    goal = np.log(target / (1 - target))
    with jax.enable_x64(True):
        upper, lower = dynamics.folds(logistic, w)
        found = {
            "cliff": dynamics.cliff_line(logistic, w, start).b,
            "start_line": dynamics.fixed_point_line(logistic, start, w),
            "upper_fold": upper,
            "lower_fold": lower,
            "valley": dynamics.fixed_point_line(logistic, goal, w),
        }
        cusp, tangency = (dynamics.fold_curve(logistic, a) for a in (0.0, start))
        places = np.array([cusp, tangency, dynamics.crossing(logistic, start, goal)])
    variables = {name: ("w", np.asarray(b)) for name, b in found.items()}
    variables |= {"place_w": ("place", places[:, 0]), "place_b": ("place", places[:, 1])}
    return xarray.Dataset(variables, {"w": w, "place": ["cusp", "tangency", "crossing"]})


def distances(ds: xarray.Dataset) -> tuple[xarray.DataArray, xarray.DataArray]:
    """In grid steps of b at the last length, for each w on the grid that has a cliff: of the largest step of the loss
    from the cliff, and of the least loss from the valley, or beyond the crossing from the cliff.
    """
    last = ds.loss.isel(length=-1).transpose("w", "b")
    step, middles = float(ds.b[1] - ds.b[0]), (ds.b.values[1:] + ds.b.values[:-1]) / 2
    seen = (ds.cliff > ds.b[0]) & (ds.cliff < ds.b[-1]) & (ds.w > 1.01 * ds.place_w.sel(place="cusp"))
    steepest = xarray.DataArray(middles[np.abs(last.diff("b")).argmax("b")], {"w": ds.w})
    least = xarray.DataArray(ds.b.values[last.argmin("b")], {"w": ds.w})
    aim = xarray.where(ds.w < ds.place_w.sel(place="crossing"), ds.valley, ds.cliff)
    return tuple((abs(found - line) / step)[seen] for found, line in ((steepest, ds.cliff), (least, aim)))


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    steepest, least = distances(results)
    w, b = (float(results[f"place_{name}"].sel(place="crossing")) for name in "wb")
    return (
        f"At length {int(results.length[-1])} the largest step of the loss lies within {float(steepest.max()):.2f} "
        f"grid steps of the closed-form cliff at all {steepest.size} weights from w = {float(steepest.w[0]):.2f} on. "
        f"The least loss follows the valley (within {float(least.max()):.2f} steps) until this runs into the cliff at "
        f"w = {w:.4f}, b = {b:.4f}; beyond, it stands at the edge of the cliff."
    )


if __name__ == "__main__":
    print(sentence(run()))

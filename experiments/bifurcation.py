"""Does the gradient explode where a state vanishes, or where the start changes its basin?

    landscape run bifurcation
    python figures/bifurcation.py

The bifurcation diagram of Pascanu, Mikolov & Bengio (2013), fig. 3 (after Doya 1993): x' = w logistic(x) + b at w = 5,
the states that orbits end in against b. Two folds, and between them a basin boundary that any start may cross; the
derivative of the state by b after 50 steps says which of them a gradient feels.

Expected: folds at b = -2.6556 and -2.3444, where |dx_T/db| after 50 steps is at most 2; starts -.5, 0 and .5 on the
boundary at b = -2.3878, -2.5 and -2.6123, where it reaches 34,902 for the last. So to cross a bifurcation is neither
necessary nor sufficient for a gradient to explode; to cross a basin boundary is sufficient. 2 seconds.
"""

import dataclasses

import jax
import numpy as np
import xarray

from landscape import dynamics
from landscape.cells import Pascanu, logistic
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.surfaces import values
from landscape.tasks import pascanu


def run(
    w: float = 5.0,
    starts: tuple[float, ...] = (-0.5, 0.0, 0.5),
    b: tuple[float, float] = (-3.0, -2.0),
    lengths: tuple[int, ...] = (10, 50, 2000),
    points: int = 401,
) -> xarray.Dataset:
    """Fixed points (state,) by their ``bias`` and ``multiplier``; the two folds by ``fold_b`` and ``fold_state``;
    ``crossing`` (start,), the bias at which the start is the unstable state; ``end`` and ``slope`` (start, length, b),
    x_T and dx_T/db, on a grid that is refined around the crossings.
    """
    with jax.enable_x64(True):
        state = np.linspace(-6, 6, 1201)
        bias = np.asarray(dynamics.fixed_point_line(logistic, state, w))
        slope = np.asarray(w * jax.vmap(jax.grad(logistic))(state))
        bend = float(dynamics.bend(logistic, w))
        folds = np.array(dynamics.folds(logistic, w))
        crossing = np.array([dynamics.cliff_line(logistic, w, start).b for start in starts])
    near = np.geomspace(1e-8, 0.02, 60)
    around = (crossing[:, None] + np.concatenate([-near, [0.0], near])).ravel()
    at = np.unique(np.concatenate([np.linspace(*b, points), around]))
    orbits = [followed(w, start, at, lengths) for start in starts]
    variables = {
        "bias": ("state", bias),
        "multiplier": ("state", slope),
        "fold_b": ("fold", folds),
        "fold_state": ("fold", [bend, -bend]),
        "crossing": ("start", crossing),
        "end": (("start", "length", "b"), [orbit["loss"] for orbit in orbits]),
        "slope": (("start", "length", "b"), [orbit["d_b"] for orbit in orbits]),
    }
    coordinates = {"fold": ["upper", "lower"], "state": state, "start": list(starts), "length": list(lengths), "b": at}
    ds = xarray.Dataset(variables, coordinates, {"w": w})
    return ds.assign_attrs(finding=sentence(ds))


def itself(y, goal):
    """The state, in place of a loss."""
    return y


def followed(w: float, start: float, b: np.ndarray, lengths: tuple[int, ...]) -> dict[str, np.ndarray]:
    """``loss``, here the state x_T itself, and its derivative ``d_b``, (length, b) in float64."""
    task = dataclasses.replace(pascanu(start), loss=itself, name="state")
    return values(plane(Pascanu(w=w), b=(-10.0, 10.0)), Recurrence(task, lengths, dtype="float64"), b[:, None])


def felt(ds: xarray.Dataset, length: int, start: float) -> tuple[float, float]:
    """The largest |dx_T/db| within .02 of the crossing of ``start``, and within .02 of the folds."""
    slope = abs(ds.slope.sel(length=length, start=start))
    near = lambda at: float(slope.where(abs(ds.b - at) < 0.02).max())  # noqa: E731
    return near(ds.crossing.sel(start=start)), max(near(fold) for fold in ds.fold_b)


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    start, length = float(results.start[-1]), int(results.length[-2])
    cross, fold = felt(results, length, start)
    upper, lower = (float(b) for b in results.fold_b)
    return (
        f"At w = {results.w:g} the lower state appears at b = {lower:.4f} as b falls and the upper one vanishes at "
        f"b = {upper:.4f}. An orbit from x_0 = {start:g} crosses both folds with |dx_T/db| of at most {fold:.1f} after "
        f"{length} steps; where it crosses the basin boundary, at b = {float(results.crossing.sel(start=start)):.4f}, "
        f"this reaches {cross:,.0f}. The crossing is at another b for every start."
    )


if __name__ == "__main__":
    print(sentence(run()))

"""How steep does a cliff become with the length, and where does it stand meanwhile?

    landscape run cliff_growth
    python figures/cliff_growth.py

The true largest slope of the loss along b, found on refined cuts (`landscape.cliffs.cut`), for Pascanu's map from
x_0 = .5: at weights with a basin cliff it should grow as lam**T, at weights with a fold cliff as (T - c0)**3, while the
fold cliff creeps towards the fold b_f as (T - c0)**-2: beta (T - c0)**2 -> pi**2 / A, A = |w f''| / 2 at the fold.

Expected: at w = 4.6, 5 and 5.4 the rate is ln lam within 1e-5. float64 resolves the cliff up to length 140 at w = 5 and
100 at w = 5.4. At w = 4.05, 4.1 and 4.15 the power is 2.998 to 3.000 and beta (T - c0)**2 is 177.7, 126.4 and 103.8 as
in theory, fitted at lengths 4000 to 32000. 7 seconds of processor time.
"""

import jax
import numpy as np
import xarray

from landscape import cliffs, dynamics
from landscape.cells import Pascanu, logistic
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.tasks import pascanu

FREE = plane(Pascanu(), w=(-20.0, 20.0), b=(-20.0, 20.0))


def run(
    basins: tuple[float, ...] = (4.6, 5.0, 5.4),
    folds: tuple[float, ...] = (4.05, 4.1, 4.15),
    short: tuple[int, ...] = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 120, 140, 160, 180, 200),
    long: tuple[int, ...] = (10, 20, 30, 50, 70, 100, 200, 300, 500, 1000, 2000, 4000, 8000, 16000, 32000),
    start: float = 0.5,
) -> xarray.Dataset:
    """``slope`` and ``distance`` from the limit (w, length), of basin cliffs at ``short`` lengths and fold cliffs at
    ``long`` ones, NaN where float64 ends before the cliff is resolved.

    For each w the ``multiplier`` of the unstable state, in theory; ``rate``, measured d ln(slope)/dT of a basin cliff;
    and of a fold cliff ``shift`` c0, ``power`` d ln(slope)/d ln(T - c0) and ``constant`` beta (T - c0)**2 beside
    ``theory`` pi**2/A; all fitted from the fourth-last resolved length on.
    """
    found = []
    for w, lengths in [(w, long) for w in folds] + [(w, short) for w in basins]:
        with jax.enable_x64(True):
            line = dynamics.cliff_line(logistic, w, start)
            limit, theory = float(line.b), np.pi**2 / float(dynamics.passage_constant(logistic, w))
        cut = cliffs.cut(FREE, Recurrence(pascanu(start), lengths), (w, limit - 0.2), (w, limit + 0.3))
        seen = cut[["slope"]].assign(distance=limit - cut.b)
        found.append(seen.where(cut.resolved).assign(multiplier=float(line.multiplier), theory=theory))
    weights = xarray.DataArray([*map(float, folds), *map(float, basins)], dims="w", name="w")
    ds = xarray.concat(found, weights, join="outer")
    fits = [law(ds.sel(w=w)) for w in ds.w]
    ds = ds.assign(
        {name: ("w", [fit.get(name, np.nan) for fit in fits]) for name in ("rate", "shift", "power", "constant")}
    )
    return ds.assign_attrs(start=start, finding=sentence(ds))


def law(one: xarray.Dataset) -> dict[str, float]:
    """What is fitted to the last four resolved lengths at one weight, see `run`."""
    last = one.dropna("length").isel(length=slice(-4, None))
    if last.sizes["length"] < 4:
        return {}
    T, slope = last.length.values.astype(float), np.log(last.slope.values)
    fit = lambda x, y: np.polynomial.Polynomial.fit(x, y, 1).convert().coef  # noqa: E731
    if one.multiplier > 1:
        return {"rate": fit(T, slope)[1]}
    shift, root = fit(last.distance.values**-0.5, T)
    return {"shift": shift, "power": fit(np.log(T - shift), slope)[1], "constant": root**2}


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    basin, fold = (results.isel(w=np.flatnonzero(part)) for part in (results.multiplier > 1, results.multiplier == 1))
    miss = float(abs(basin.rate - np.log(basin.multiplier)).max())
    least, most = (float(end(fold.power)) for end in (np.min, np.max))
    return (
        f"Basin cliffs at w = {numbers(basin.w)} steepen by {numbers(np.exp(basin.rate), '.4f')} a step, in theory "
        f"{numbers(basin.multiplier, '.4f')} (rates differ by at most {miss:.0e}); those of fold cliffs at "
        f"w = {numbers(fold.w)} as powers {least:.3f} to {most:.3f} of T - c0, in theory 3, while their distance from "
        f"the fold times (T - c0)² is {numbers(fold.constant, '.1f')}, in theory {numbers(fold.theory, '.1f')}."
    )


def numbers(values: xarray.DataArray, form: str = "g") -> str:
    """Numbers in words."""
    return ", ".join(f"{float(value):{form}}" for value in values)


if __name__ == "__main__":
    print(sentence(run()))

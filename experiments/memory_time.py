"""For how long does a unit keep a bit under Gaussian noise, as a function of its weight and the strength of the noise?

    landscape run memory_time
    python figures/memory_time.py

A tanh unit a' = w tanh(a) + u x + b with b = 0, sigma = |u| sd of the noise. Its memory decays as lambda_2**T, where
lambda_2 is the top odd eigenvalue of the noisy transition (`landscape.dynamics.noise_multiplier`): exact, no sampling.
Beside it Kramers' estimate for w > 1, and the bound |u| e = B(w, u): noise of modulus at most e never loses the bit.

Expected: at sigma = .1 memory lasts 3.25 steps at w = .75, 17.7 at w = 1 and 4,090 at w = 1.2. Where it lasts 100
steps or more Kramers' time is .92 to 1.15 times the exact one for w up to 1.3, and up to 3.3 times beyond. 15 seconds
of processor time.
"""

import jax
import numpy as np
import xarray

from landscape import dynamics

LONGEST = 1e12  # steps: 1 - lambda_2 is known to about 1e-15


def run(
    w: tuple[float, float] = (0.5, 2.0),
    sigma: tuple[float, float] = (0.05, 0.8),
    points: tuple[int, int] = (31, 25),
    u: float = 1.0,
) -> xarray.Dataset:
    """``multiplier`` lambda_2 and ``time`` -1/ln lambda_2 (sigma, w), inf above 1e12 steps, where float64 ends.

    ``kramers`` (sigma, w): 1/(2k) of `landscape.dynamics.kramers_rate`, NaN for w <= 1. ``bound`` (w,): B(w, u).
    """
    across, up = np.linspace(*w, points[0]), np.geomspace(*sigma, points[1])
    multiplier = np.array([[dynamics.noise_multiplier(float(one), 1.0, float(s)) for one in across] for s in up])
    with jax.enable_x64(True):
        rate = np.asarray(dynamics.kramers_rate(np.where(across > 1, across, 2.0)[None], up[:, None]))
        bound = np.asarray(dynamics.latching_bound(across, u))
    known = 1 - multiplier > 1 / LONGEST
    time = np.where(known, -1 / np.log(np.where(known, multiplier, 0.5)), np.inf)
    with np.errstate(divide="ignore"):  # a rate below the least number: for ever
        kramers = np.where(across > 1, 1 / (2 * rate), np.nan)
    found = {"multiplier": multiplier, "time": time, "kramers": kramers}
    variables = {name: (("sigma", "w"), values) for name, values in found.items()} | {"bound": ("w", bound)}
    ds = xarray.Dataset(variables, {"sigma": up, "w": across}, {"u": u})
    ds["sigma"].attrs["long_name"] = "noise of the state |u| sd"
    return ds.assign_attrs(finding=sentence(ds))


def kramers_error(ds: xarray.Dataset, least: float = 100.0, most: float = 1e9) -> xarray.DataArray:
    """Kramers' time over the exact one, where this lies between ``least`` and ``most`` steps; else NaN."""
    return (ds.kramers / ds.time).where((ds.time > least) & (ds.time < most))


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    at = results.sel(sigma=0.1, method="nearest")
    some = at.sel(w=[0.75, 1.0, 1.2], method="nearest")
    said = ", ".join(f"{float(time):,.{0 if time > 100 else 2}f} (w = {float(time.w):g})" for time in some.time)
    ratio = kramers_error(results)
    near, far = ratio.where((results.w > 1) & (results.w <= 1.3)), ratio.where(results.w > 1.3)
    return (
        f"At sigma = {float(at.sigma):.3g} memory lasts {said} steps. Where it lasts longer than 100 steps Kramers' "
        f"estimate is {float(near.min()):.2f} to {float(near.max()):.2f} times that for w up to 1.3, and up to "
        f"{float(far.max()):.1f} times beyond, where one step of the map is no small part of the way."
    )


if __name__ == "__main__":
    print(sentence(run()))

"""From which weights does gradient descent learn, with and without clipping, and how rough is the border of that set?

    landscape run trainability
    python figures/trainability.py

Pascanu's map at T = 50: every point of a grid over (w, b) is a start, 300 updates follow, a loss below 1e-4 is learnt.
The slope of box counts of the border is measured, with what limits it: zooms, rounding, longer training.

Expected, percent of starts learnt after 300 and 1,200 updates, and slope of the box counts:

    rate .1           36.9   49.5   1.50      rate 1           37.0   73.6   1.80
    rate .1, clip 1   43.6   89.1   1.73      rate 1, clip 1   28.9    100   1.67

Clipping is not always better after 300 updates; it is after 1,200. With it no zoom resolves the border: at all of 6
places, down to windows 4e-12 wide, one unit in the last place of w changes as many outcomes as drawing them anew would.
It is dust, and a slope of 1.8 to 1.9 is its density. Without clipping 2 of 6 places are such dust, and 4 become smooth.
So a slope between 1 and 2 on one map is no fractal dimension. 40 seconds on two cores.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray

from landscape import descent
from landscape.cells import Pascanu, logistic
from landscape.models import run as orbit
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.tasks import pascanu

START = 0.5
BASINS = ("learnt", "saturated", "low", "elsewhere")  # where training ended, see `basins`


def run(
    points: int = 256,
    steps: int = 300,
    longer: int = 1200,
    length: int = 50,
    rates: tuple[float, ...] = (0.1, 1.0),
    thresholds: tuple[float, ...] = (float("inf"), 1.0),
    tolerance: float = 1e-4,
    w: tuple[float, float] = (3.0, 7.0),
    b: tuple[float, float] = (-4.0, -1.5),
    levels: int = 4,
    factor: float = 1000.0,
    places: int = 6,
    fine: int = 90,
    seed: int = 0,
) -> xarray.Dataset:
    """Over (rate, threshold, w, b) the variables of `landscape.descent.trainability`, in float32, and ``basin``.

    A threshold of inf clips nothing. ``basin`` is an index into `BASINS`. By (rate, threshold): the ``share`` learnt
    after each of ``updates``; the box-counting ``dimension`` of the border of what is learnt, its ``error``, and its
    ``local`` slopes between boxes of ``box`` cells on edge and twice that. For the first rate, variables ``zoom_...``
    (threshold, place, level), from ``places`` drawn at random on the border: see `zoom`.
    """
    task = {"length": length, "tolerance": tolerance}
    axes = {"w": np.linspace(*w, points), "b": np.linspace(*b, points)}
    charts = []
    for rate in rates:
        row = [chart(axes, optimiser(rate, c), (steps, longer), **task) for c in thresholds]
        charts.append(xarray.concat(row, "threshold"))
    ds = xarray.concat(charts, "rate").assign_coords(rate=list(rates), threshold=list(thresholds))
    half = np.array([np.ptp(w), np.ptp(b)]) / 2
    series = []
    for c in thresholds:
        learnt = ds.loss.sel(rate=rates[0], threshold=c).transpose("w", "b").values < tolerance
        drawn = np.random.default_rng(seed).permutation(border(learnt))[:places]
        middles = [middle(axes, at) for at in drawn]
        deeper = [zoom(m, half, optimiser(rates[0], c), fine, levels, factor, steps=steps, **task) for m in middles]
        series.append(xarray.concat(deeper, "place"))
    zooms = xarray.concat(series, "threshold")
    ds = ds.assign({f"zoom_{name}": zooms[name] for name in zooms.data_vars})
    return ds.assign_attrs(finding=sentence(ds))


def optimiser(rate: float, threshold: float) -> optax.GradientTransformation:
    """Gradient descent; the gradient is clipped to a norm of ``threshold`` unless that is inf."""
    plain = optax.sgd(rate)
    return optax.chain(optax.clip_by_global_norm(threshold), plain) if np.isfinite(threshold) else plain


def walk(
    axes, one: optax.GradientTransformation, steps: int, length: int, tolerance: float = 1e-4, **settings
) -> xarray.Dataset:
    """`landscape.descent.trainability` over the plane of ``axes``."""
    problem = Recurrence(pascanu(START), [length], **settings)
    return descent.trainability(plane(Pascanu(), **axes), problem, one, steps, tolerance=tolerance)


def chart(
    axes, one: optax.GradientTransformation, updates: tuple[int, ...], tolerance: float, **task
) -> xarray.Dataset:
    """The map of one optimiser after the first number of ``updates``, and what is measured on it."""
    maps = [walk(axes, one, steps, tolerance=tolerance, **task) for steps in updates]
    ds, found = maps[0], descent.box_dimension(maps[0].loss < tolerance)
    ds["basin"] = ds.loss.dims, basins(ds, tolerance), {"flag_meanings": " ".join(BASINS)}
    ds = ds.assign_coords(updates=list(updates), box=found.sizes[:-1])
    ds["share"] = "updates", [float((one.loss < tolerance).mean()) for one in maps]
    return ds.assign(dimension=found.value, error=found.error, local=("box", found.local))


def basins(ds: xarray.Dataset, tolerance: float) -> np.ndarray:
    """The basin each start ended in, by its loss and by the answer s = logistic(x_T) of the model it ended at.

    Saturated is s > .99, where the loss is (1 - .7)² and its gradient next to nothing; low is s < .5.
    """

    def answer(w, b):
        return logistic(orbit(Pascanu(w=w, b=b), jnp.zeros(int(ds["length"])), START)[-1])

    s = np.asarray(jax.jit(jax.vmap(jax.vmap(answer)))(ds.end_w.values, ds.end_b.values))
    kinds = [np.int8(k) for k in range(len(BASINS))]
    return np.select([ds.loss.values < tolerance, s > 0.99, s < 0.5], kinds[:3], kinds[3])


def zoom(at, half, one, points: int, levels: int, factor: float, tolerance: float, **walked) -> xarray.Dataset:
    """Windows round ``at`` whose sides shrink by ``factor``, each on the border point nearest to the last one's middle.

    In float64: ``loss`` (level, i, j) at ``w`` (level, i) and ``b`` (level, j); by level the ``share`` learnt, the
    ``dimension`` of its border and the ``error``, NaN without a border; and ``rounding``, the share of starts, on every
    third point, whose success changes when w moves by one unit in the last place.
    """
    windows = []
    for level in range(1, levels + 1):
        ends = zip("wb", at, half / factor**level, strict=True)
        axes = {name: np.linspace(m - h, m + h, points) for name, m, h in ends}
        nudged = {"w": np.nextafter(axes["w"][::3], np.inf), "b": axes["b"][::3]}
        loss, other = (walk(a, one, tolerance=tolerance, dtype="float64", **walked).loss.values for a in (axes, nudged))
        learnt = loss < tolerance
        corners = border(learnt)
        value, error = descent.box_dimension(learnt)[:2] if len(corners) else (np.nan, np.nan)
        measured = {"share": learnt.mean(), "rounding": np.mean(learnt[::3, ::3] != (other < tolerance))}
        seen = {"loss": (("i", "j"), loss.astype(np.float32)), "w": ("i", axes["w"]), "b": ("j", axes["b"])}
        windows.append(xarray.Dataset(seen | measured | {"dimension": value, "error": error}))
        at = middle(axes, corners[0]) if len(corners) else at
    return xarray.concat(windows, "level")


def border(learnt: np.ndarray) -> np.ndarray:
    """The corners of the grid on the border, between (i, j) and (i + 1, j + 1), those nearest to the middle first."""
    around = np.stack([learnt[1:, 1:], learnt[1:, :-1], learnt[:-1, 1:], learnt[:-1, :-1]])
    corners = np.argwhere(around.any(0) & ~around.all(0))
    return corners[np.argsort(((corners - np.array(learnt.shape) / 2) ** 2).sum(1), kind="stable")]


def middle(axes, corner) -> np.ndarray:
    """The point (w, b) of a corner of the grid."""
    return np.array([axes[name][k : k + 2].mean() for name, k in zip("wb", corner, strict=True)])


def name(rate: float, threshold: float) -> str:
    """An optimiser in words."""
    return f"rate {rate:g}, " + (f"clip {threshold:g}" if np.isfinite(threshold) else "no clip")


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    first, last = (int(n) for n in results.updates)
    whole = [
        f"{100 * one.share[0]:.1f} and {100 * one.share[-1]:.1f} %, {one.dimension:.2f} ({name(r, c)})"
        for r in results.rate.values
        for c in results.threshold.values
        for one in [results.sel(rate=r, threshold=c)]
    ]
    zooms = [results.sel(threshold=c) for c in results.threshold.values]
    deep = [f"{inside(one)} ({name(results.rate.values[0], float(one.threshold))})" for one in zooms]
    smallest = float((results.zoom_w[..., -1] - results.zoom_w[..., 0]).min())
    return (
        f"Starts learnt after {first} and {last:,} updates, and slope of the box counts after {first}: "
        f"{'; '.join(whole)}. Of places drawn on the border, in windows {smallest:.0e} wide: {'; '.join(deep)}."
    )


def inside(zooms: xarray.Dataset) -> str:
    """What the windows of one optimiser show."""
    left = np.isfinite(zooms.zoom_dimension)
    if not left.any():
        return "none has a border"
    chance = (2 * zooms.zoom_share * (1 - zooms.zoom_share)).where(left)
    ratio = zooms.zoom_rounding / chance
    slopes = zooms.zoom_dimension
    return (
        f"{int(left.isel(level=-1).sum())} of {left.sizes['place']} still have one; over all windows with a border "
        f"slopes are {slopes.min():.2f} to {slopes.max():.2f}, and one unit in the last place of w changes "
        f"{ratio.min():.2f} to {ratio.max():.2f} times as many outcomes as drawing them anew would"
    )


if __name__ == "__main__":
    print(sentence(run()))

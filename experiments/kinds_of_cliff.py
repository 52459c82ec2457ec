"""Which kinds of cliff has one unit, where are they, and how fast does each grow with the length?

    landscape run kinds_of_cliff
    python figures/kinds_of_cliff.py

Pascanu's map from x_0 = .5 in the whole plane (w, b). Closed forms say where each cliff stands and the multiplier of
the unstable state under it; the slopes are measured on cuts along b, refined until the true maximum is found.

Expected: basin cliffs for w > 4.2553, fold cliffs between that and the cusp at w = 4, and period two for w < -4.2553.
Slopes grow by ln |multiplier| a step, .056 to .631 at the nine weights measured, within 4.4e-5 of it; those of fold
cliffs as powers 3.000 to 3.008 of T - c, the fit not knowing of which kind a cliff is. 17 seconds of processor time.
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
KINDS = ("basin", "fold", "period two")


def run(
    at: tuple[float, ...] = (-7.5, -6.5, -5.5, -4.7, 4.05, 4.1, 4.15, 4.2, 4.5, 5, 6, 7, 8),
    long: tuple[int, int] = (2000, 32000),
    widest: float = 8.5,
    start: float = 0.5,
    points: int = 1201,
) -> xarray.Dataset:
    """Curves (w,) as `curves` returns them; what is measured at each weight of ``at``, see `measure`."""
    found = [measure(float(w), start, long) for w in at]
    ds = curves(np.linspace(-widest, widest, points), start)
    ds = ds.assign({name: ("at", [one[name] for one in found]) for name in found[0]})
    ds = ds.assign_coords(at=[float(w) for w in at]).assign_attrs(start=start)
    return ds.assign_attrs(finding=sentence(ds))


def kind(multiplier: np.ndarray) -> np.ndarray:
    """By the multiplier of the unstable state: basin above 1, fold at 1, period two below -1; "" without a cliff."""
    return np.select([multiplier > 1, multiplier == 1, multiplier < -1], KINDS, "")


def curves(w: np.ndarray, start: float) -> xarray.Dataset:
    """The ``cliff`` (w,), its ``multiplier`` and ``kind``; the biases of folds and flips."""
    with jax.enable_x64(True):
        cliff = dynamics.cliff_line(logistic, w, start)
        names = ("upper_fold", "lower_fold", "lower_flip", "upper_flip")
        biases = (*dynamics.folds(logistic, w), *dynamics.flips(logistic, w))
    found = {"cliff": cliff.b, "multiplier": cliff.multiplier} | dict(zip(names, biases, strict=True))
    variables = {name: ("w", np.asarray(values)) for name, values in found.items()}
    return xarray.Dataset(variables | {"kind": ("w", kind(variables["multiplier"][1]))}, {"w": w})


def measure(w: float, start: float, long: tuple[int, int], count: int = 7) -> dict[str, object]:
    """Growth of the steepest slope along b at weight ``w``, fitted without knowledge of its kind.

    A cliff on a basin boundary is followed from |multiplier|**T = e^9 to e^21, where float64 still resolves it; a fold
    cliff at the lengths of ``long``.
    """
    line = curves(np.array([w]), start).isel(w=0)
    rate = float(np.log(np.abs(line.multiplier)))
    steps = np.linspace(9, 21, count) / rate if rate > 0 else np.geomspace(*long, count)
    middle = float(line.cliff)
    cut = cliffs.cut(
        FREE, Recurrence(pascanu(start), np.unique(np.rint(steps).astype(int))), (w, middle - 0.2), (w, middle + 0.3)
    )
    law = cliffs.growth(cut)
    measured = {"rate": np.log(law.multiplier), "power": law.power, "law": law.kind}
    return measured | {"predicted": rate, "kind_at": line.kind.item()}


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    fold = results.isel(at=np.flatnonzero(results.kind_at == "fold"))
    rest = results.isel(at=np.flatnonzero(results.kind_at != "fold"))
    named = (results.law == "fold") == (results.kind_at == "fold")
    return (
        f"Measured on cuts, the slopes of {rest.sizes['at']} cliffs on basin boundaries grow by their predicted ln "
        f"|multiplier| a step, from {float(rest.predicted.min()):.3f} to {float(rest.predicted.max()):.3f}, within "
        f"{float(abs(rest.rate - rest.predicted).max()):.1e}; those of {fold.sizes['at']} fold cliffs as powers "
        f"{float(fold.power.min()):.3f} to {float(fold.power.max()):.3f} of T - c, in theory 3. The fit names the kind "
        f"of {int(named.sum())} of {named.size} as the closed form does."
    )


if __name__ == "__main__":
    print(sentence(run()))

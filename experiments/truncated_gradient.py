"""The truncated gradient is no gradient: where does it lead (Hochreiter & Schmidhuber 1997)?

    landscape run truncated_gradient
    landscape run truncated_gradient --quick
    python figures/truncated_gradient.py

The source cuts errors that reach the inputs of a memory cell; only those along its c go on. What is left is the slope
of no loss. One unit of the cell of 1997, output gate open, keeping a bit: the field of the truncated gradient over its
recurrent weight w_g and the bias b_i of its input gate beside the gradient's, and where both lead from 41 x 41 starts
in 400 updates, clipped.

Expected (another seed in brackets), at T =                        10             30             100
    where the truncated gradient points uphill, of the plane   2 % (0)        3 % (1)        5 % (6)
    curl, of all derivatives; the gradient's own, measured     .13; .01       .06; .03       .05; .05
    starts that learn, gradient                                77 % (77)      75 % (79)      80 % (81)
    starts that learn, truncated gradient                      79 % (79)      82 % (83)      88 % (89)

The median angle is 1 to 2 degrees. The two part where w_g is negative: at T = 100 the gradient stays there or makes w_g
more negative, at the loss of a guess, and the truncated one raises w_g above 0, to the memory. At the border of shut
gates, on the left, the gradient learns a little more. The curl is seen at T = 10 only: at 100 the grid is too coarse
for either field. Of an LSTM with a forget gate (``--cell=LSTM``) as many starts learn either way, 51 and 49 % at 100.
25 seconds of processor time.
"""

import numpy as np
import optax
import xarray

from landscape import descent, names
from landscape.models import Truncated
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.surfaces import surface
from landscape.tasks import latch

ROUTES = ("true", "truncated")
AXES = ("w_g", "b_i")


def run(
    cell: str = "LSTM1997",
    lengths: tuple[int, ...] = (10, 30, 100),
    points: int = 81,
    starts: int = 41,
    steps: int = 400,
    rate: float = 0.1,
    clip: float = 1.0,
    noise: float = 0.1,
    episodes: int = 32,
    seed: int = 0,
    quick: bool = False,
) -> xarray.Dataset:
    """Both fields over (w_g, b_i) and where they lead, dims (route, length, ...), for one unit that keeps a bit.

    The output gate stands open (b_o = 4). ``rate``, ``clip`` (of the norm) and ``steps`` are those of the descents from
    ``starts`` x ``starts`` places. ``quick``: one length, 31 points and 11 starts a side, 100 steps.
    """
    if quick:
        lengths, points, starts, steps = lengths[:1], 31, 11, 100
    rule = optax.chain(optax.clip_by_global_norm(clip), optax.sgd(rate))
    task, made = latch(noise), names.cell(cell, {"b_o": 4.0})
    fields, ends = [], []
    for route in ROUTES:
        at = lambda n, route=route: spanned(made, route == "truncated", n)  # noqa: E731
        fields.append(named(surface(at(points), task, list(lengths), episodes=episodes, order=1, seed=seed)))
        led = [walked(at(starts), task, length, episodes, seed, rule, steps) for length in lengths]
        ends.append(xarray.concat(led, "length").assign_coords(length=list(lengths)))
    ds = xarray.concat(fields, "route").assign_coords(route=list(ROUTES))
    ds = ds.assign(learnt=xarray.concat(ends, "route").assign_coords(route=list(ROUTES)).learnt)
    about = {"cell": cell, "task": str(task), "rate": rate, "clip": clip, "steps": steps, "chance": task.chance}
    return measured(ds).assign_attrs(about | {"episodes": episodes, "seed": seed})


def spanned(cell, truncated: bool, points: int):
    """The plane (w_g, b_i) of a cell, or of the cell whose gradient is truncated."""
    w, b = np.linspace(-2, 8, points), np.linspace(-6, 4, points)
    return plane(Truncated(cell=cell), **{"cell.w_g": w, "cell.b_i": b}) if truncated else plane(cell, w_g=w, b_i=b)


def named(found: xarray.Dataset) -> xarray.Dataset:
    """The coordinates of both planes by the same names, w_g and b_i, and ``slope`` by axis."""
    plain = {name: name.replace("cell.", "") for name in map(str, [*found.variables]) if "cell." in name}
    found = found.rename(plain)
    slopes = xarray.concat([found[f"d_{axis}"] for axis in AXES], "axis").assign_coords(axis=list(AXES))
    return xarray.Dataset({"loss": found.loss, "slope": slopes})


def walked(made, task, length: int, episodes: int, seed: int, rule, steps: int) -> xarray.Dataset:
    """Which starts of a plane end below half of what a guess loses, after ``steps`` updates along its field."""
    problem = Recurrence(task, [length], episodes=episodes, seed=seed)
    done = descent.trainability(made, problem, rule, steps, tolerance=task.chance / 2)
    loss = done.loss.rename({str(dim): f"start_{str(dim).removeprefix('cell.')}" for dim in done.loss.dims})
    return (loss < task.chance / 2).to_dataset(name="learnt")


def measured(ds: xarray.Dataset) -> xarray.Dataset:
    """Angle between the fields (degrees), ``curl`` of each, and by length what the figure says in numbers.

    ``turning`` is the root mean square of ``dF_b/dw - dF_w/db`` over that of all four derivatives: a gradient has none
    but for the differences that it is measured by. ``ascent``: the part of the plane where a small step along the
    truncated field raises the loss.
    """
    one, other = (ds.slope.sel(route=route).transpose("axis", ...).values for route in ROUTES)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (one * other).sum(0) / np.sqrt((one**2).sum(0) * (other**2).sum(0))
    dims = ("length", *AXES)
    angle = xarray.DataArray(np.degrees(np.arccos(np.clip(cosine, -1, 1))), {d: ds[d] for d in dims}, dims)
    parts = {a: {b: ds.slope.sel(axis=a, drop=True).differentiate(b) for b in AXES} for a in AXES}
    curl = parts["b_i"]["w_g"] - parts["w_g"]["b_i"]
    whole = sum(part**2 for row in parts.values() for part in row.values())
    turning = np.sqrt((curl**2).mean(AXES) / whole.mean(AXES))
    solved = ds.learnt.mean(("start_w_g", "start_b_i"))
    return ds.assign(angle=angle, turning=turning, ascent=(angle > 90).mean(AXES), share=solved)


def sentence(ds: xarray.Dataset) -> str:
    """What came out, in numbers from the data."""
    lines = []
    for length in ds.length.values:
        one = ds.sel(length=length)
        turn, won = ([float(v.sel(route=r)) for r in ROUTES] for v in (one.turning, one.share))
        lines.append(
            f"T = {length}: median angle {float(one.angle.median()):.0f} degrees, against the slope on "
            f"{float(one.ascent):.0%} of the plane; curl {turn[1]:.2f} of all derivatives (the gradient's own, by the "
            f"same differences, {turn[0]:.2f}); starts that learn: gradient {won[0]:.0%}, truncated {won[1]:.0%}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(sentence(run()))

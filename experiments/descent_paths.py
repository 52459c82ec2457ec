"""What do gradient descent, with clipping or momentum, RMSProp and Adam do at the wall of Pascanu et al. (2013)?

    landscape run descent_paths
    python figures/descent_paths.py

x' = w logistic(x) + b from x_0 = .5 is to end with logistic(x_50) = .7; four starts, rate .05, 3,000 updates, float64.

Expected: from (5.2, -2.2) gradient descent meets the wall after 103 updates with |g| = 1,597; there the gradient holds
for 5e-5, and the step is 80 long. It ends at (47, 65) with E = .09 and no gradient, the unit saturated; so do 3 of 4
starts. Clipped at 1 no step is above .05, and E is 2e-6 after 3,000 updates; clipped at .1, 3e-5. Momentum, 1e-31, and
Adam, 1e-32, cross the wall and come back, though momentum loses one start; RMSProp keeps bouncing, 2e-4. Ten seconds.
"""

import numpy as np
import optax
import xarray

from landscape import cliffs, descent, dynamics
from landscape.cells import Pascanu, logistic
from landscape.planes import Plane, plane
from landscape.recurrence import Recurrence
from landscape.surfaces import surface, values
from landscape.tasks import Task, pascanu

START = 0.5


def run(
    rate: float = 0.05,
    steps: int = 3000,
    start_w: tuple[float, ...] = (5.2, 5.0, 4.8, 5.4),
    start_b: tuple[float, ...] = (-2.2, -2.3, -2.0, -2.4),
    length: int = 50,
    w: tuple[float, float] = (4.0, 5.6),
    b: tuple[float, float] = (-3.0, -1.8),
    points: int = 301,
) -> xarray.Dataset:
    """The variables of `landscape.descent.paths` over (optimiser, start, step), the places called ``at_w``, ``at_b``.

    Beside them ``holds``, the distance r = |g|² / |H g| over which the gradient there becomes another one. Over the
    window (w, b): ``surface``, the loss, and ``radius``, that distance; ``cliff`` (w,), the line of the wall.
    """
    axes, task = plane(Pascanu(), w=np.linspace(*w, points), b=np.linspace(*b, points)), pascanu(START)
    tried = optimisers(rate)
    found = [walk(axes, task, length, one, {"w": start_w, "b": start_b}, steps) for one in tried.values()]
    ds = xarray.concat(found, "optimiser", coords="minimal", compat="override").assign_coords(optimiser=list(tried))
    below = surface(axes, task, [length], order=2, dtype="float64")
    radius = cliffs.curvature(below).radius.isel(length=0, drop=True)
    ds = ds.assign(surface=below.loss.isel(length=0, drop=True), radius=radius)
    ds["cliff"] = "w", np.asarray(dynamics.cliff_line(logistic, axes.axes["w"], START).b)
    return ds.assign_attrs(finding=sentence(ds))


def optimisers(rate: float) -> dict[str, optax.GradientTransformation]:
    """What is compared, all at one learning rate."""

    def clipped(threshold: float) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(threshold), optax.sgd(rate))

    return {
        "gradient descent": optax.sgd(rate),
        "clipped at 1": clipped(1.0),
        "clipped at 0.1": clipped(0.1),
        "momentum 0.9": optax.sgd(rate, momentum=0.9),
        "RMSProp": optax.rmsprop(rate),
        "Adam": optax.adam(rate),
    }


def walk(axes: Plane, task: Task, length: int, one: optax.GradientTransformation, starts, steps: int) -> xarray.Dataset:
    """The paths of one optimiser, and at each of their points the distance over which the gradient holds."""
    ds = descent.paths(axes, Recurrence(task, [length]), one, starts, steps)
    at = np.stack([ds.w.values.ravel(), ds.b.values.ravel()], -1)
    found = values(axes, Recurrence(task, [length], order=2, dtype="float64"), at)
    gradient = np.stack([found["d_w"][0], found["d_b"][0]])
    turning = np.stack([[found["d_w_w"][0], found["d_w_b"][0]], [found["d_w_b"][0], found["d_b_b"][0]]])
    with np.errstate(all="ignore"):
        holds = (gradient**2).sum(0) / np.hypot(*np.einsum("ijn,jn->in", turning, gradient))
    return ds.rename(w="at_w", b="at_b").assign(holds=(("start", "step"), holds.reshape(ds.w.shape)))


def sentence(results: xarray.Dataset) -> str:
    """What the figure shows, in numbers from the data."""
    first = results.isel(start=0)
    plain, end = first.isel(optimiser=0), first.isel(optimiser=0, step=-1)
    step = int(plain.moved.argmax("step"))
    before = plain.isel(step=step - 1)
    clipped = first.isel(optimiser=1)
    lost = (results.loss.isel(step=-1, optimiser=0) > 0.01).sum()
    runs = [first.isel(optimiser=k) for k in range(first.sizes["optimiser"])]
    losses = ", ".join(f"{float(one.loss[-1]):.1g} ({one.optimiser.item()})" for one in runs)
    return (
        f"From ({float(plain.at_w[0]):g}, {float(plain.at_b[0]):g}) gradient descent meets the wall after {step - 1} "
        f"updates with |g| = {10 ** float(before.log10_gradient):,.0f}, a gradient that holds for "
        f"{float(before.holds):.1g}; the next step is {float(plain.moved[step]):.1f} long, and it stays at "
        f"({float(end.at_w):.1f}, {float(end.at_b):.1f}) with E = {float(end.loss):.2f}; so end {int(lost)} of "
        f"{results.sizes['start']} starts. Clipped at 1, no step is above {float(clipped.moved.max()):.2g}. "
        f"E after {results.sizes['step'] - 1:,} updates: {losses}."
    )


if __name__ == "__main__":
    print(sentence(run()))

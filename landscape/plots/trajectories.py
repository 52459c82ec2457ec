"""A trajectory by a plane: its path, and beside it the losses of its models and of their projections."""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from landscape.plots.look import LOSS, WIDTH, Look, drawn
from landscape.plots.parts import headed, label, panel, scale, tell
from landscape.plots.still import Paint, rows_of

MODEL, PLANE, OFF = "#0072B2", "#D55E00", "#009E73"  # told apart by the colour-blind (Okabe & Ito 2008)


@drawn
def trajectory(found: xarray.Dataset, surface: xarray.Dataset | None = None, *, look: Look, **at: float) -> Figure:
    """What `landscape.trajectories.project` found: the path by the plane, and the losses along it.

    The path stands over ``surface``, one over the same two coordinates, if there is one. Beside it are the loss of the
    model at each step and the loss of its projection, which is what the surface shows there, and below these the
    distance off the plane beside that from the last model: where the first two differ, a height read off the surface is
    not the model's. Where losses have a length or another dimension before the step, it is held ``at`` a value, else
    its last. Raises ValueError for a trajectory of other than two coordinates.
    """
    names = coordinates(found)
    one = panel(found, "loss", at)[0]
    one = one.isel(dict.fromkeys((name for name in one["loss"].dims if name != "step"), -1))
    figure = look.figure((WIDTH, 3.6), 3)
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1), squeeze=False)[0]
    _path(left, one, names, surface, look, at)
    _losses(right, one, look)
    explained = f"{100 * found.attrs['explained']:.4g} % of the squared distances from the last model lie in the plane"
    held = [f"{name} {tell(value.item())}" for name, value in one.coords.items() if not value.ndim]
    caption = ["; ".join([explained, *held]) + ".", "Square and dot: the first and the last step."]
    headed(figure, look.titled("The path of training by the plane"), look.captioned(caption))
    return figure


def coordinates(found: xarray.Dataset) -> list[str]:
    """The two coordinates of a trajectory, or ValueError."""
    known = ("loss", "loss_in_plane", "off_plane", "distance")
    names = [str(name) for name in found.data_vars if name not in known]
    if len(names) != 2 or any(name not in found for name in known):
        raise ValueError(
            "a path is drawn of what landscape.trajectories.project finds along two coordinates; given "
            f"{', '.join(map(str, found.data_vars))}"
        )
    return names


def _path(
    part: Figure, one: xarray.Dataset, names: list[str], surface: xarray.Dataset | None, look: Look, at: dict
) -> None:
    ax = part.subplots()
    x, y = (one[name].values for name in names)
    edge = [withStroke(linewidth=2.4, foreground="black")]
    if surface is not None:
        (row,) = rows_of(surface, "loss", None, None, at)
        if list(row.data.dims[1:]) != names:
            raise ValueError(
                f"the surface is over {', '.join(map(str, row.data.dims[1:]))}, the path over {', '.join(names)}"
            )
        paint = Paint(scale(row.data.values), look.colormap(LOSS), "mean loss", look)
        mesh = paint.mesh(ax, row.data[-1], {})
        paint.bar(part, mesh, ax, row.data.values[-1], 20)
    ax.plot(x, y, "-o", color=look.color(0, "white" if surface is not None else MODEL), markersize=2, path_effects=edge)
    ax.plot(x[0], y[0], "s", x[-1], y[-1], "o", color="black", markersize=5, markeredgecolor="white")
    axes = [label(surface if surface is not None else one, name) for name in names]
    ax.set(xlabel=look.xlabel or axes[0], ylabel=look.ylabel or axes[1])


def _losses(part: Figure, one: xarray.Dataset, look: Look) -> None:
    top, below = part.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    step = one["step"].values
    top.plot(step, one["loss"], color=look.color(0, MODEL), label="of the model")
    top.plot(step, one["loss_in_plane"], "--", color=look.color(1, PLANE), label="of its projection")
    values = np.concatenate([one["loss"].values, one["loss_in_plane"].values])
    top.set(ylabel=look.label or "mean loss", yscale="log" if values.max() > 10 * values.min() > 0 else "linear")
    top.legend()
    below.plot(step, one["off_plane"], color=look.color(2, OFF), label="off the plane")
    below.plot(step, one["distance"], ":", color="0.35", label="from the last model")
    below.set(xlabel="step of training", ylabel="distance")
    below.legend()

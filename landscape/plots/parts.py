"""What figures share: the part of a surface to draw, scales of colours, and the words around it."""

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.artist import Artist
from matplotlib.colors import LogNorm, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike

from landscape.plots.look import FIELDS, NONFINITE, SMALL

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Shaped

Overlays = Mapping[str, tuple[ArrayLike, ArrayLike]]

LEADING = ("length", "step", "epoch")  # what may come before the plane, where the settings do not name its axes
KINDS = {"w": "recurrent weight", "u": "input weight", "b": "bias", "p": "peephole weight"}
GATES = {
    "i": "input-gate",
    "f": "forget-gate",
    "o": "output-gate",
    "z": "update-gate",
    "r": "reset-gate",
    "g": "candidate",
    "h": "candidate",
}


def leading(ds: xarray.Dataset, variable: str = "loss") -> list[str]:
    """The dims that a plane lacks and that come first, such as ``length``: those that the settings call no axis."""
    dims = [str(name) for name in (ds[variable].dims if variable in ds else ds.dims)]
    axes = json.loads(ds.attrs.get("settings", "{}")).get("axes", {})
    rest = [name for name in dims if name not in axes]
    more = rest[: max(0, len(dims) - len(axes))] if axes else []
    return [name for name in rest if name in more or name in LEADING]


def panel(ds: xarray.Dataset, variable: str, at: Mapping[str, float]) -> tuple[xarray.Dataset, dict[str, float]]:
    """The surface with at most one leading dim, along which there are panels, and what is left of ``at``.

    Leading dims in ``at`` are held at the nearest sample; of the others the last makes the panels and those before it
    are held at their end.
    """
    several = leading(ds, variable)
    fixed = [name for name in several if name in at]
    free = [name for name in several if name not in at]
    for name in fixed:
        there = ds[name].values
        if not there[0] <= at[name] <= there[-1]:
            raise ValueError(
                f"the surface has no {name} {tell(at[name])}; it has {tell(there[0])} to {tell(there[-1])}"
            )
    held = {name: int(np.argmin(np.abs(ds[name].values - at[name]))) for name in fixed}
    return ds.isel(held | dict.fromkeys(free[:-1], -1)), {k: v for k, v in at.items() if k not in fixed}


def tell(value: "float | str | np.generic | Shaped[np.ndarray, '']") -> str:
    """A coordinate in words."""
    value = np.asarray(value).item()
    return f"{value:g}" if isinstance(value, float) else str(value)


def choose(ds: xarray.Dataset, lengths: Iterable[float] | float | None, most: int = 8) -> list[float]:
    """The lengths asked for, or at most ``most`` of a surface's: the first, the last, and evenly by ratio between.

    The same for steps, epochs, or whatever comes before the plane; none where nothing does.
    """
    if not (names := leading(ds)):
        if lengths is not None:
            raise ValueError("the surface has no length to choose, it is one picture; leave lengths out")
        return []
    there = ds[names[-1]].values.tolist()
    if lengths is None:
        return there if len(there) <= most else _even(there, most)
    if not (asked := np.atleast_1d(np.asarray(lengths)).tolist()):
        raise ValueError(f"give a {names[-1]} or more to draw, or leave lengths out; given none")
    if missing := [length for length in asked if length not in there]:
        raise ValueError(f"the surface has no {names[-1]} {missing[0]}; it has {', '.join(map(tell, there))}")
    return [there[there.index(length)] for length in asked]


def _even(there: list[float], most: int) -> list[float]:
    """So many of the values, evenly by ratio, or by place where some are not positive."""
    on = np.log(there) if min(there) > 0 else np.arange(len(there))
    wanted = np.linspace(on[0], on[-1], most)
    return [there[i] for i in sorted({int(np.argmin(np.abs(on - w))) for w in wanted})]


def cut(
    ds: xarray.Dataset, variable: str, lengths: list[float], at: Mapping[str, float], free: int = 2
) -> xarray.DataArray:
    """``variable`` over (length, the first ``free`` coordinates not in ``at``), in memory.

    Coordinates in ``at`` are held at the nearest sample, the rest in their middle: both are left behind as scalar
    coordinates. Where nothing comes before the plane the first dim is one nameless picture. Raises ValueError where
    the surface cannot be cut so.
    """
    if variable not in ds:
        hint = (
            "compute it with order=1" if variable == "log10_gradient" else f"it has {', '.join(map(str, ds.data_vars))}"
        )
        raise ValueError(f"the surface has no {variable}; {hint}")
    before = leading(ds, variable)
    coordinates = [str(name) for name in ds[variable].dims if name not in before]
    if unknown := [name for name in at if name not in coordinates]:
        raise ValueError(
            f"the surface has no coordinate {unknown[0]!r}; it has {', '.join(coordinates)}, "
            f"and a figure takes the keywords {', '.join(FIELDS)}"
        )
    for name, value in at.items():
        low, high = float(ds[name].min()), float(ds[name].max())
        if not low <= value <= high:
            raise ValueError(f"{name} = {value:g} is off the surface; it spans {low:g} to {high:g}")
    left = [name for name in coordinates if name not in at]
    if len(left) < free:
        raise ValueError(
            f"this figure is drawn over {free} coordinates, and {', '.join(left) or 'none'} is left; "
            f"the surface has {', '.join(coordinates)}, hold fewer of them"
        )
    held = {name: int(np.argmin(np.abs(ds[name].values - value))) for name, value in at.items()}
    held |= {name: ds.sizes[name] // 2 for name in left[free:]}
    data = ds[variable].isel(held)
    data = data.sel({before[-1]: lengths}) if before else data.expand_dims("")
    return data.transpose(before[-1] if before else "", *left[:free]).load()


def moments(data: xarray.DataArray) -> list[str]:
    """What each picture of a `cut` is of: ``length 10``; empty where nothing comes before the plane."""
    name = str(data.dims[0])
    return [f"{name} {tell(value)}" for value in data[name].values] if name else [""]


def thin(data: xarray.DataArray, most: int) -> tuple[xarray.DataArray, str]:
    """Every k-th point along both coordinates, so that at most ``most`` are left, and the words that say so."""
    steps = {str(name): -(-data.sizes[name] // most) for name in data.dims[-2:]}
    caption = [f"one in {step} along {name}" for name, step in steps.items() if step > 1]
    data = data.isel({name: slice(None, None, step) for name, step in steps.items()})
    return data, f"points drawn: {', '.join(caption)}" if caption else ""


def finite(values: "Float[np.ndarray, '...'] | xarray.DataArray") -> "Float[np.ndarray, 'value']":
    """The values that are neither inf nor NaN, flat."""
    values = np.asarray(values)
    return values[np.isfinite(values)].astype(float)


def bounds(norm: Normalize) -> tuple[float, float]:
    """The ends of a scale of colours."""
    if norm.vmin is None or norm.vmax is None:
        raise ValueError(f"norm must say its vmin and vmax, given {norm.vmin} and {norm.vmax}")
    return float(norm.vmin), float(norm.vmax)


def bad(values: "Float[np.ndarray, '...'] | xarray.DataArray") -> "Bool[np.ndarray, '...']":
    """Where values are inf or NaN."""
    return ~np.isfinite(np.asarray(values))


def scale(values: "Float[np.ndarray, '...'] | xarray.DataArray") -> Normalize:
    """Linear from 0 to the largest value, or from the least where that is negative or more than half of the largest;
    logarithmic, from the first percentile of the positive values, where the largest is 100 medians.
    """
    values = finite(values)
    if not values.size:
        return Normalize(0, 1)
    low, high, middle = values.min(), values.max(), np.median(values)
    if low >= 0 and middle > 0 and high > 100 * middle:
        return LogNorm(np.quantile(values[values > 0], 0.01), high)
    low = low if low < 0 or high / 2 < low < high else 0.0  # else a shallow surface would be of one colour
    return Normalize(low, high if high > low else low + 1)


def spread(values: "Float[np.ndarray, '...'] | xarray.DataArray") -> Normalize:
    """For logarithms: from the 1st percentile of the finite ones to the 99.9th; zeros and needles lie beyond."""
    values = finite(values)
    low, high = np.quantile(values, [0.01, 0.999]) if values.size else (-1.0, 0.0)
    return Normalize(low, high if high > low else low + 1)


def label(data: xarray.DataArray | xarray.Dataset, name: str, lines: int = 1, math: bool = True) -> str:
    """The name of an axis, on one or two lines: what the coordinate is, its symbol, its unit.

    What it is says its ``long_name``; else the letter of a parameter and its gate, by the convention of names.
    """
    attrs = data[name].attrs
    words = str(attrs.get("long_name", name))
    if words == name:
        known = re.fullmatch(r"(?:\w+\.)?([wubp])(?:_([a-z0-9]+))?", name)
        words = f"{GATES.get(known[2], '')} {KINDS[known[1]]}" if known else ""
    else:
        words = re.sub(rf"\b{re.escape(name)}$", "", words)
    letter, _, index = name.partition("_")
    sign = f"${letter}_{{{index}}}$" if index else f"${letter}$"
    sign = sign if math and re.fullmatch(r"[a-z](_[a-z0-9]+)?", name) else name
    unit = attrs.get("units", "1")
    break_ = "\n" if lines > 1 else " "
    return f"{words.strip()} {sign}{break_}({'dimensionless' if unit in ('', '1') else unit})".strip()


def heading(ds: xarray.Dataset) -> str:
    """Cell and task, or the title where a surface has neither."""
    there = [str(ds.attrs[key]) for key in ("cell", "task") if key in ds.attrs]
    return " on ".join(there) or str(ds.attrs.get("title", "an unnamed model"))


def small(ds: xarray.Dataset, data: xarray.DataArray) -> str:
    """All else that the numbers depend on: values held, episodes, dtype."""
    held = json.loads(ds.attrs.get("settings", "{}")).get("held", {})
    scalars = {name: value for name, value in held.items() if isinstance(value, int | float)}
    parts = [f"{name} = {value:g}" for name, value in scalars.items() if value]
    if len(parts) < len(scalars):
        parts.append("other parameters 0" if parts else "parameters not shown 0")
    sampled = {str(name): float(value) for name, value in data.coords.items() if not value.ndim}
    parts += [f"{name} = {value:.4g} (nearest sample)" for name, value in sampled.items()]
    if "episodes" in ds.attrs:
        count = int(ds.attrs["episodes"])
        parts += [f"mean of {count} episodes, seed {ds.attrs.get('seed', 0)}" if count > 1 else "one episode"]
    return ", ".join([*parts, str(ds.attrs.get("dtype", data.dtype))])


def stroke(index: int, color: ColorType) -> dict[str, Any]:
    """How the ``index``-th line over a surface is drawn."""
    return {"color": color, "linestyle": ["--", ":", "-.", "-"][index % 4], "linewidth": 1.1}


def keys(
    overlays: Iterable[str], values: "Float[np.ndarray, '...'] | xarray.DataArray", colors: Sequence[ColorType] = ()
) -> list[Artist]:
    """What a legend holds: lines over a surface, and points that are not finite with their number."""
    inks = [colors[i % len(colors)] if colors else "black" for i in range(len(tuple(overlays)))]
    made: list[Artist] = [
        Line2D([], [], **stroke(i, ink), label=n) for i, (n, ink) in enumerate(zip(overlays, inks, strict=True))
    ]
    if lost := int(bad(values).sum()):
        made.append(Patch(color=NONFINITE, label=f"inf or NaN: {lost:,} of {np.size(values):,} points"))
    return made


def headed(figure: Figure, title: str, lines: Iterable[str], handles: Sequence[Artist] = (), columns: int = 3) -> None:
    """Title, below it a legend of ``handles``, and below all ``lines`` in small print; of a constrained layout."""
    width, height = figure.get_size_inches()
    size = FontProperties(size=mpl.rcParams["figure.titlesize"]).get_size_in_points()
    text = textwrap.fill(title, int(103 * width / size))
    below = 0.03 + 0.0211 * size * bool(text) * (1 + text.count("\n"))  # inches taken by the title
    above = text + "\n" * -(-len(handles) // columns)
    if above:
        figure.suptitle(above, x=0.09 / width, ha="left", fontsize=size, linespacing=1.5)
    if handles:
        place = (0.0, 1 - below / height)
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, ncols=columns, borderpad=0.2)
    size = SMALL * mpl.rcParams["font.size"]
    caption = "\n".join(textwrap.fill(line, int(123 * width / size)) for line in lines if line)
    if caption:
        figure.supxlabel(
            caption, x=0.09 / width, ha="left", fontsize=size, color=to_rgba(mpl.rcParams["text.color"], 0.65)
        )

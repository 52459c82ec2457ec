"""What every figure shares: the style, the part of a surface to draw, scales of colours, and the words around it."""

import functools
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.colors import LogNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

Overlays = Mapping[str, tuple[Any, Any]]

NONFINITE = "#ff2e88"  # a colour that neither map has
LOSS, GRADIENT = "viridis", "cividis"
WIDTH = 7.2  # inches: two columns of a journal
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "grid.linewidth": 0.4,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType, as journals ask: text stays text
    "ps.fonttype": 42,
    "svg.fonttype": "path",  # glyphs as outlines: the same on a machine without the font
    "svg.hashsalt": "landscape",
}
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


def styled(draw: Callable) -> Callable:
    """``draw`` in the style of publications, whatever the caller's matplotlib settings are; they stay as they were."""

    @functools.wraps(draw)
    def within(*args: Any, **kwargs: Any) -> Any:
        style: Any = {key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")}
        with mpl.rc_context(style | STYLE):
            return draw(*args, **kwargs)

    return within


def choose(ds: xarray.Dataset, lengths: Iterable[int] | int | None, most: int = 8) -> list[int]:
    """The lengths asked for, or at most ``most`` of a surface's: the first, the last, and evenly by ratio between."""
    there = [int(length) for length in ds["length"].values]
    if lengths is None:
        if len(there) <= most:
            return there
        wanted = np.log(np.geomspace(there[0], there[-1], most))
        return [there[i] for i in sorted({int(np.argmin(np.abs(np.log(there) - w))) for w in wanted})]
    asked = [int(length) for length in np.atleast_1d(np.asarray(lengths))]
    if missing := [length for length in asked if length not in there]:
        raise ValueError(f"the surface has no length {missing[0]}; it has {', '.join(map(str, there))}")
    return asked


def cut(
    ds: xarray.Dataset, variable: str, lengths: list[int], at: Mapping[str, float], free: int = 2
) -> xarray.DataArray:
    """``variable`` over (length, the first ``free`` coordinates not in ``at``).

    Others are held at the sample nearest to ``at``, or the middle one; the values held stay in the array's scalar
    coordinates. Raises ValueError where the surface cannot be cut so.
    """
    if variable not in ds:
        hint = (
            "compute it with order=1" if variable == "log10_gradient" else f"it has {', '.join(map(str, ds.data_vars))}"
        )
        raise ValueError(f"the surface has no {variable}; {hint}")
    coordinates = [str(name) for name in ds[variable].dims if name != "length"]
    if unknown := [name for name in at if name not in coordinates]:
        raise ValueError(f"the surface has no coordinate {unknown[0]!r}; it has {', '.join(coordinates)}")
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
    return ds[variable].sel(length=lengths).isel(held).transpose("length", *left[:free]).load()


def thin(data: xarray.DataArray, most: int) -> tuple[xarray.DataArray, str]:
    """Every k-th point along each coordinate, so that at most ``most`` are left, and the words that say so."""
    steps = {str(name): -(-data.sizes[name] // most) for name in data.dims if name != "length"}
    said = [f"one in {step} along {name}" for name, step in steps.items() if step > 1]
    data = data.isel({name: slice(None, None, step) for name, step in steps.items()})
    return data, f"points drawn: {', '.join(said)}" if said else ""


def finite(values: Any) -> np.ndarray:
    """The values that are neither inf nor NaN, flat."""
    values = np.asarray(values)
    return values[np.isfinite(values)].astype(float)


def bounds(norm: Normalize) -> tuple[float, float]:
    """The ends of a scale of colours."""
    if norm.vmin is None or norm.vmax is None:
        raise ValueError(f"norm must say its vmin and vmax, given {norm.vmin} and {norm.vmax}")
    return float(norm.vmin), float(norm.vmax)


def bad(values: Any) -> np.ndarray:
    """Where values are inf or NaN."""
    return ~np.isfinite(np.asarray(values))


def scale(values: Any) -> Normalize:
    """Linear from 0 (or the least value, if negative) to the largest; logarithmic, from the first percentile of the
    positive values, where the largest is 100 medians.
    """
    values = finite(values)
    if not values.size:
        return Normalize(0, 1)
    low, high, middle = values.min(), values.max(), np.median(values)
    if low >= 0 and middle > 0 and high > 100 * middle:
        return LogNorm(np.quantile(values[values > 0], 0.01), high)
    low = min(0.0, low)
    return Normalize(low, high if high > low else low + 1)


def spread(values: Any) -> Normalize:
    """For logarithms: from the 1st percentile of the finite ones to the 99.9th; zeros and needles lie beyond."""
    values = finite(values)
    low, high = np.quantile(values, [0.01, 0.999]) if values.size else (-1.0, 0.0)
    return Normalize(low, high if high > low else low + 1)


def label(data: xarray.DataArray | xarray.Dataset, name: str, lines: int = 1, math: bool = True) -> str:
    """The name of an axis, on one or two lines: what the coordinate is, its symbol, its unit."""
    attrs = data[name].attrs
    words = attrs.get("long_name", name)
    if words == name:
        known = re.fullmatch(r"([wubp])(?:_([ifozrgh]))?", name)
        words = f"{GATES.get(known[2], '')} {KINDS[known[1]]}" if known else ""
    else:
        words = re.sub(rf"\b{re.escape(name)}$", "", words)
    letter, _, index = name.partition("_")
    sign = f"${letter}_{{{index}}}$" if index else f"${letter}$"
    sign = sign if math and re.fullmatch(r"[a-z](_[a-z]+)?", name) else name
    unit = attrs.get("units", "1")
    break_ = "\n" if lines > 1 else " "
    return f"{words.strip()} {sign}{break_}({'dimensionless' if unit in ('', '1') else unit})".strip()


def heading(ds: xarray.Dataset) -> str:
    """Cell and task."""
    return f"{ds.attrs.get('cell', 'unnamed cell')} on {ds.attrs.get('task', 'unnamed task')}"


def small(ds: xarray.Dataset, data: xarray.DataArray) -> str:
    """All else that the numbers depend on: values held, episodes, dtype."""
    held = json.loads(ds.attrs.get("settings", "{}")).get("held", {})
    scalars = {name: value for name, value in held.items() if isinstance(value, int | float)}
    parts = [f"{name} = {value:g}" for name, value in scalars.items() if value]
    if len(parts) < len(scalars):
        parts.append("other parameters 0" if parts else "parameters not shown 0")
    sampled = {name: float(value) for name, value in data.coords.items() if not value.ndim and name != "length"}
    parts += [f"{name} = {value:.4g} (nearest sample)" for name, value in sampled.items()]
    count = int(ds.attrs.get("episodes", 1))
    parts += [f"mean of {count} episodes, seed {ds.attrs.get('seed', 0)}" if count > 1 else "one episode"]
    return ", ".join([*parts, str(ds.attrs.get("dtype", data.dtype))])


def stroke(index: int, colour: str) -> dict[str, Any]:
    """How the ``index``-th line over a surface is drawn."""
    return {"color": colour, "linestyle": ["--", ":", "-.", "-"][index % 4], "linewidth": 1.1}


def words(figure: Any, title: str, lines: Iterable[str], overlays: Iterable[str], values: Any) -> None:
    """Title, legend of overlays and of points that are not finite, and below all that a reader must know."""
    handles: list[Any] = [Line2D([], [], **stroke(i, "black"), label=name) for i, name in enumerate(overlays)]
    if lost := int(bad(values).sum()):
        handles.append(Patch(color=NONFINITE, label=f"inf or NaN: {lost:,} of {np.size(values):,} points"))
    headed(figure, title, lines, handles)


def headed(figure: Any, title: str, lines: Iterable[str], handles: Sequence[Any] = (), columns: int = 3) -> None:
    """Title, below it a legend of ``handles``, and below all ``lines`` in small print; of a constrained layout."""
    width, height = figure.get_size_inches()
    text = textwrap.fill(title, int(11.5 * width))
    below = 0.03 + 0.19 * (1 + text.count("\n"))  # inches taken by the title
    figure.suptitle(
        text + "\n" * -(-len(handles) // columns),
        x=0.09 / width,
        ha="left",
        fontsize=9,
        fontweight="bold",
        linespacing=1.5,
    )
    if handles:
        place = (0.0, 1 - below / height)
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, ncols=columns, borderpad=0.2)
    said = "\n".join(textwrap.fill(line, int(19 * width)) for line in lines if line)
    figure.supxlabel(said, x=0.09 / width, ha="left", fontsize=6.5, color="0.35")

"""A sweep as a figure: success or mean of one variable against one axis, with intervals; the other axes said."""

import textwrap
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from landscape.plots.curves import LINES, inks
from landscape.plots.look import Look, drawn
from landscape.plots.parts import headed
from landscape.success import wilson

MOST = len(LINES)  # lines that can be told apart


@drawn
def sweep(
    ds: xarray.Dataset,
    variable: str = "",
    along: str = "",
    lines: str = "",
    at: Mapping[str, float | str] | None = None,
    *,
    look: Look,
) -> Figure:
    """``variable`` of a sweep, as `landscape.sweeps.open_sweep` opens it, over ``along``, a curve for each ``lines``.

    Axes of the sweep that are neither, nor held ``at`` a value, are averaged over. Of a variable that is 0 or 1 the
    curve is the share of ones, with Wilson intervals of 95 %; of any other the mean, with Student's intervals of 95 %.
    Further dimensions of one result are taken at their last value. The small print says all this, how much of the sweep
    is done, and how many values are inf or NaN. Other keywords are those of `Look`. Raises ValueError for a name that
    is not there.
    """
    data = _numbers(ds, variable or _first(ds))
    along = along or _default(ds, _free(ds, at or {}), data)
    if along in (at or {}):
        raise ValueError(f"{along} is held, and nothing is drawn along it; give along another axis, or hold another")
    if lines == along:
        raise ValueError(f"a curve for each {lines} has no axis left; give lines another than along, {along!r}")
    data = _onto(_onto(data, along), lines)
    data, held = _held(data, {**_last(ds, data, (along, lines)), **(at or {})})
    if along not in data.dims:
        raise ValueError(f"{data.name} does not depend on {along!r}; it has {', '.join(map(str, data.dims))}")
    lines = lines or _some(data, along)
    over = [str(dim) for dim in data.dims if dim not in (along, lines)]
    ax = look.axes((5.2, 3.4))
    binary = _binary(data)
    for (colour, mark), name in zip(inks(look.colors), data[lines].values if lines else [""], strict=False):
        curve = data.sel({lines: name}) if lines else data
        x, middle, low, high = _curve(curve, along, over, binary)
        label = f"{lines} = {_short(name)}" if lines else None
        bars: dict[str, Any] = {"elinewidth": 0.6, "capsize": 1.5, "capthick": 0.6}
        ax.errorbar(
            x, middle, [middle - low, high - middle], color=colour, marker=mark, markersize=3, label=label, **bars
        )
    _axes(ax, data, along, binary, over)
    ax.set(**{name: text for name, text in (("xlabel", look.xlabel), ("ylabel", look.ylabel or look.label)) if text})
    title, handles = look.titled(ds.attrs.get("title", str(data.name))), ax.get_legend_handles_labels()[0]
    if look.ax is None:
        headed(ax.figure, title, look.captioned(_caption(data, over, held, binary)), handles)
    else:
        ax.set_title(title)
        ax.legend()
    return ax.figure


def _numbers(ds: xarray.Dataset, variable: str) -> xarray.DataArray:
    """A variable as floats. Raises ValueError if there is none of that name, or it is text."""
    if variable not in ds.data_vars:
        raise ValueError(f"the sweep has no {variable!r}; it has {', '.join(map(str, ds.data_vars))}")
    try:
        return ds[variable].load().astype(float)
    except (TypeError, ValueError):
        raise ValueError(f"{variable} is not a number; the sweep has {', '.join(map(str, ds.data_vars))}") from None


def _first(ds: xarray.Dataset) -> str:
    """The first variable that holds numbers."""
    for name in ds.data_vars:
        try:
            return str(_numbers(ds, str(name)).name)
        except ValueError:
            continue
    raise ValueError(f"the sweep holds no numbers; it has {', '.join(map(str, ds.data_vars))}")


def _free(ds: xarray.Dataset, at: Mapping[str, float | str]) -> list[Hashable]:
    """Axes of the sweep along which nothing is held: a setting may move along an axis of another name."""
    held = {dim for name in at if name in ds.coords for dim in ds[name].dims}
    return [dim for dim in ds["sweep_state"].dims if dim not in held]


def _default(ds: xarray.Dataset, axes: Iterable[Hashable], data: xarray.DataArray) -> str:
    """The first axis of numbers with more than one value, else the first axis."""
    several = [str(dim) for dim in axes if ds.sizes[dim] > 1 and dim in ds.coords and ds[dim].dtype.kind in "iuf"]
    return [*several, *map(str, axes), *map(str, data.dims)][0]


def _onto(data: xarray.DataArray, name: str) -> xarray.DataArray:
    """``data`` over the setting ``name``, where that moves with others along an axis of another name."""
    if not name or name in data.dims:
        return data
    if name not in data.coords or data[name].ndim != 1:
        known = [str(key) for key, values in data.coords.items() if values.ndim == 1]
        raise ValueError(
            f"the sweep has no axis {name!r}; it has {', '.join(dict.fromkeys([*map(str, data.dims), *known]))}"
        )
    return data.swap_dims({data[name].dims[0]: name})


def _last(ds: xarray.Dataset, data: xarray.DataArray, free: tuple[str, ...]) -> dict[str, float | str]:
    """The last value of every dimension of one result that no axis of the figure is."""
    inner = [str(dim) for dim in data.dims if dim not in free and dim not in ds["sweep_state"].dims]
    return {dim: data[dim].values[-1] for dim in inner if not _moved(ds, dim)}


def _moved(ds: xarray.Dataset, name: str) -> bool:
    """Whether a coordinate moves along an axis of the sweep."""
    return name in ds.coords and bool(set(ds[name].dims) & set(ds["sweep_state"].dims))


def _held(data: xarray.DataArray, at: Mapping[str, float | str]) -> tuple[xarray.DataArray, list[str]]:
    """``data`` at the values nearest to those asked for, and the words that say which."""
    said = []
    for name, value in at.items():
        data = _onto(data, name)
        values = data[name].values
        near = int(np.argmin(np.abs(values - value))) if values.dtype.kind in "iuf" else _place(name, values, value)
        data = data.isel({name: near})
        said.append(f"{name} = {_short(values[near])}")
    return data, said


def _place(name: str, values: np.ndarray, value: float | str) -> int:
    """Where a word stands among the values of a setting, or ValueError."""
    known = list(map(str, values))
    if str(value) not in known:
        raise ValueError(f"the sweep has no {name} {value!r}; it has {', '.join(known)}")
    return known.index(str(value))


def _some(data: xarray.DataArray, along: str) -> str:
    """An axis with few values to draw a line for each of: not seeds, whose average is what matters."""
    few = [str(dim) for dim in data.dims if dim not in (along, "seed") and 1 < data.sizes[dim] <= MOST]
    return few[0] if few else ""


def _binary(data: xarray.DataArray) -> bool:
    """Whether every value there is is 0 or 1."""
    there = data.values[np.isfinite(data.values)]
    return bool(there.size and np.isin(there, (0, 1)).all())


def _curve(data: xarray.DataArray, along: str, over: list[str], binary: bool) -> tuple[np.ndarray, ...]:
    """Places, shares or means, and both ends of their intervals, (place,); NaN where nothing is finite."""
    values = data.transpose(along, *over).values.reshape(data.sizes[along], -1)
    fine = np.isfinite(values)
    count, total = fine.sum(1), np.where(fine, values, 0.0).sum(1)
    some = np.flatnonzero(count)
    middle = total[some] / count[some]
    if binary:
        low, high = wilson(total[some], count[some])
    else:
        half = _student(np.where(fine, values, np.nan)[some], count[some])
        low, high = middle - half, middle + half
    return _places(data[along])[some], middle, low, high


def _student(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Half the interval of 95 % of the mean of each row; NaN of one value alone, which has none."""
    from scipy import stats

    rows = [stats.sem(row[np.isfinite(row)]) if n > 1 else np.nan for row, n in zip(values, count, strict=True)]
    return stats.t.ppf(0.975, np.maximum(count - 1, 1)) * np.asarray(rows)


def _places(axis: xarray.DataArray) -> np.ndarray:
    """Where the values of an axis stand: numbers where they are, anything else one beside the other."""
    return axis.values if axis.dtype.kind in "iuf" else np.arange(axis.size)


def _axes(ax: Axes, data: xarray.DataArray, along: str, binary: bool, over: list[str]) -> None:
    """Names, scales and ticks of the axes."""
    places, unit = _places(data[along]), data.attrs.get("units", "1")
    what = data.attrs.get("long_name", str(data.name))
    what = what if unit in ("", "1") else f"{what} ({unit})"
    ax.set(xlabel=along, ylabel=f"share with {what} = 1" if binary else f"mean {what}" if over else what)
    if data[along].dtype.kind not in "iuf":
        ax.set_xticks(places, [textwrap.shorten(str(name), 16) for name in data[along].values])
    elif places.min() > 0 and places.max() >= 100 * places.min():
        ax.set_xscale("log")
    elif data[along].dtype.kind in "iu":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if binary:
        ax.set_ylim(-0.03, 1.03)
    ax.grid(alpha=0.4)
    ax.spines[["top", "right"]].set_visible(False)


def _caption(data: xarray.DataArray, over: list[str], held: list[str], binary: bool) -> list[str]:
    """What the bars are, what was averaged over, what is held, and what is missing."""
    state = data["sweep_state"] == 1
    done, lost = int(state.sum()), int((~np.isfinite(data) & state).sum())
    kind = "Wilson's" if binary else "Student's"
    what = "share" if binary else "mean"
    whole = f"of the {what} over {', '.join(f'{dim} ({data.sizes[dim]})' for dim in over)}"
    return [
        f"Bars: {kind} intervals of 95 % {whole}." if over else "Nothing is averaged: no bars.",
        f"Held: {', '.join(held)}." if held else "",
        f"Not finished: drawn from {done} of {state.size} points." if done < state.size else "",
        f"{lost} values are inf or NaN, and left out." if lost else "",
    ]


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else textwrap.shorten(str(value), 24)

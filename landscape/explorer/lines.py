"""Lines over a surface: where theory puts folds, cliffs and valleys, and where the gradient itself has its ridge."""

import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from landscape import dynamics, specs
from landscape.blocks import Json
from landscape.cells import logistic, tanh
from landscape.cliffs import ridge
from landscape.planes import Plane

if TYPE_CHECKING:
    import xarray

MAPS = {"Pascanu": logistic, "Pascanu(f=tanh)": tanh}  # a' = w f(a) + b in the state itself
UNITS = {"SRNN": tanh, "SRNN(act=sigmoid)": logistic}  # h' = f(w h + b): the same map in a = w h + b


def lines(
    surface: "xarray.Dataset", settings: dict[str, Json], lengths: list[float], *mine: ModuleType
) -> list[dict[str, Json]]:
    """What can be drawn over a surface: each has a ``name``, an ``about`` and polylines, of all lengths or by length.

    Curves of `landscape.dynamics` without input: for ``a' = w f(a) + b`` over its w and b in closed form, for other
    units of the package followed numerically; the ridge of `landscape.cliffs` for any surface with a Hessian.
    """
    found = []
    pair = list(settings["axes"])
    moves = {parts[0]: name for name, axis in settings["axes"].items() if len(parts := axis["moves"]) == 1}
    own = "cell_source" not in settings and "task" in settings
    f = (MAPS | UNITS).get(specs.text(settings["cell"])) if own else None
    if f is not None and set(moves) == {"w", "b"}:
        across = settings["axes"][moves["w"]]
        w = np.linspace(across["from"], across["to"], 801)
        first = next(iter(settings["axes"])) == moves["w"]
        for name, about, curve in _curves(f, w, settings):
            points = _polylines(*_within(curve if first else curve[::-1], list(settings["axes"].values())))
            found.append({"name": name, "about": about, "points": points})
    elif made := specs.remade(settings, {name: surface[name].values for name in pair}, *mine):
        found += [
            {"name": name, "about": about, "points": _polylines(*curve)} for name, about, curve in _traced(made[0])
        ]
    if f"d_{pair[1]}_{pair[1]}" in surface:
        about = "where the gradient is largest along its own direction; dots: thinner than the grid"
        found.append(
            {"name": "ridge", "about": about, "by_length": _ridges(surface.sel(length=lengths), pair, lengths)}
        )
    return [line for line in found if line.get("points") or any(line.get("by_length", []))]


def way(found: "xarray.Dataset", settings: dict[str, Json]) -> dict[str, Json]:
    """The path of training that `landscape.trajectories.project` found, as a line over the surface of its plane.

    Raises ValueError for what is no such path, and for one by other directions or through another model than those of
    the surface.
    """
    from landscape.plots.trajectories import coordinates

    names, axes = coordinates(found), list(settings["axes"])
    if set(names) != set(axes):
        raise ValueError(f"the surface is over {', '.join(axes)}, and the path over {', '.join(names)}")
    for key, mine, what in (("made", "made", "by other directions"), ("origin", "origin_sha256", "by another model")):
        theirs, ours = json.dumps(found.attrs.get(key)), json.dumps(settings.get(mine))
        if "null" not in (theirs, ours) and theirs != ours:
            raise ValueError(
                f"the path was projected {what} than the surface stands around; project it around=the directions of "
                "the surface, which must stand around the last model of the path"
            )
    one = found.isel(dict.fromkeys((name for name in found["loss"].dims if name != "step"), -1))
    about = (
        f"training path of {one.sizes['step']} steps, of whose squared distances {100 * one.attrs['explained']:.4g} % "
        f"lie in the plane; at its first step the loss is {float(one['loss'][0]):.4g}, and where it is drawn "
        f"{float(one['loss_in_plane'][0]):.4g}"
    )
    return {"name": "training path", "about": about, "points": _polylines(*(one[name].values for name in axes))}


def _curves(
    f: Callable, w: np.ndarray, settings: dict[str, Json]
) -> list[tuple[str, str, tuple[ArrayLike, ArrayLike]]]:
    """Name, equation, and (w, b) of every closed-form curve; NaN where there is none."""
    inverse = jnp.arctanh if f is tanh else lambda s: jnp.log(s / (1 - s))
    into = (lambda h: h) if specs.text(settings["cell"]) in MAPS else inverse  # state -> a
    kind, options = settings["task"]["name"], settings["task"]["options"]
    a = np.linspace(-9, 9, 1201)
    curves: list[tuple[str, str, tuple[ArrayLike, ArrayLike]]] = [
        ("fold", "two fixed points meet and vanish: w = 1/f'(a), b = a − w f(a)", dynamics.fold_curve(f, a)),
        ("period doubling", "a 2-cycle is born: w = −1/f'(a), b = a − w f(a)", dynamics.flip_curve(f, a)),
    ]
    if kind == "latch":
        u = settings["held"].get("u", 1.0)
        bound = np.where(w > 1, dynamics.latching_bound(w, u), np.nan) if f is tanh else np.full_like(w, np.nan)
        x, y = np.concatenate([w, [np.nan], w]), np.concatenate([bound, [np.nan], -bound])
        curves.append(("cliffs", "between them a unit keeps both bits for ever, without noise: |b| = B(w, u)", (x, y)))
    if kind in ("pascanu", "reach"):
        start = into(jnp.asarray(settings["start"]))
        line = dynamics.cliff_line(f, w, float(start)) if np.isfinite(start) else None
        about = f"limit of long sequences: b = a₀ − w f(a₀), a₀ = {float(start):.4g}; near the cusp the fold"
        curves += [("cliff line", about, (w, line.b))] if line else []
        goal = jnp.asarray(options["target"])
        best = into(jnp.log(goal / (1 - goal)) if kind == "pascanu" else goal)
        stable = np.abs(w * jax.grad(f)(best)) < 1
        about = f"the target is a stable fixed point: b = a* − w f(a*), a* = {float(best):.4g}"
        curves.append(("zero-loss valley", about, (w, np.where(stable, dynamics.fixed_point_line(f, best, w), np.nan))))
    return curves


def _traced(plane: Plane) -> Iterator[tuple[str, str, tuple[ArrayLike, ArrayLike]]]:
    """As `_curves`, by continuation (`landscape.dynamics.bifurcations`); none for a unit with more than h and c."""
    tests = {"fold": (dynamics.plus_one, "two fixed points meet"), "period doubling": (dynamics.minus_one, "a 2-cycle")}
    for name, (test, what) in tests.items():
        try:
            found = dynamics.bifurcations(plane, test)
        except ValueError:
            return
        gaps = np.flatnonzero(np.diff(found["curve"].values)) + 1
        x, y = (np.insert(found[axis].values, gaps, np.nan) for axis in plane.axes)
        yield name, f"{what}; numerical, by continuation", (x, y)


def _within(curve: tuple[ArrayLike, ArrayLike], axes: list[dict[str, Json]]) -> list[np.ndarray]:
    """The curve where it is less than half a window away; nowhere if none of it lies in the window."""
    arrays = [np.asarray(values, float) for values in curve]
    share = [(v - axis["from"]) / (axis["to"] - axis["from"]) for v, axis in zip(arrays, axes, strict=True)]
    off = np.maximum(*(np.abs(np.nan_to_num(v, nan=np.inf) - 0.5) for v in share))
    return [np.where((off < 1) & np.any(off < 0.5), v, np.nan) for v in arrays]


def _polylines(x: ArrayLike, y: ArrayLike) -> list[list[list[float]]]:
    """Stretches of finite points, ``[[x, ...], [y, ...]]`` each, to seven digits."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    fine = np.isfinite(x) & np.isfinite(y)
    ends = np.flatnonzero(np.diff(np.concatenate([[False], fine, [False]]).astype(int)))
    digits = lambda v: [float(f"{value:.7g}") for value in v]  # noqa: E731
    return [[digits(x[i:j]), digits(y[i:j])] for i, j in zip(ends[::2], ends[1::2], strict=True)]


def _ridges(surface: "xarray.Dataset", pair: list[str], lengths: list[float]) -> list[list[Json]]:
    """At each length the lines of the ridge, as ``[[x, ...], [y, ...], [resolved, ...]]`` each."""
    found = ridge(surface)
    columns = {name: found[name].values for name in ("length", "line", "resolved", *pair)}
    parts: list[list[Json]] = []
    for length in lengths:
        here = columns["length"] == length
        numbers = np.unique(columns["line"][here])
        rows = [here & (columns["line"] == number) for number in numbers]
        parts.append(
            [
                [
                    *([float(f"{v:.5g}") for v in columns[name][row]] for name in pair),
                    columns["resolved"][row].astype(int).tolist(),
                ]
                for row in rows
            ]
        )
    return parts

"""Basins of a surface and the passes between them, by persistence; surfaces as files for ParaView."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray
from jaxtyping import Float, Int
from scipy import ndimage

from landscape.extras import needed
from landscape.plots.files import whole
from landscape.plots.parts import leading


class Pair(NamedTuple):
    """A basin: the losses at which it is born, at its minimum, and dies, at its pass, and these points as numbers."""

    birth: float
    death: float
    minimum: int
    crossing: int


def basins(surface: xarray.Dataset | xarray.DataArray, above: float = 0.0) -> xarray.Dataset:
    """Minima of a surface, the passes between them and their merge tree, in one table, deepest first.

    Points are neighbours along one coordinate. As the loss rises, a basin is born at its minimum and dies at the pass
    where it meets a deeper one, its ``parent``; ``persistence`` is the height between (Edelsbrunner & Harer 2010,
    chapter VII; computed by gudhi). Basins of persistence up to ``above`` are left out.

    Dims ("basin",): ``minimum`` and ``height`` are the losses at the minimum and at the pass, ``<name>`` and
    ``pass_<name>`` their coordinates, ``parent`` the number of the basin that it falls to, ``rim`` whether the minimum
    stands at the edge of the grid, where the surface may fall on outside. What meets no deeper one has the height and
    persistence inf, no pass (NaN) and the parent -1. NaN and inf are walls: attrs count them as ``walls``. Raises
    ValueError for a surface that is several pictures, or has nothing but walls.

    >>> valley = xarray.DataArray([3.0, 1.0, 2.0, 0.0, 5.0], dims="x", coords={"x": [0, 1, 2, 3, 4]})
    >>> found = basins(valley)
    >>> found.x.values.tolist(), found.height.values.tolist(), found.parent.values.tolist()
    ([3, 1], [inf, 2.0], [-1, 0])
    """
    loss = picture(surface)["loss"]
    values = np.asarray(loss, np.float64)
    walls = np.where(np.isfinite(values) | np.isneginf(values), values, np.inf)
    if np.all(np.isposinf(walls)):
        raise ValueError("the surface has no finite loss, so there is no basin to find")
    found = _pairs(walls, float(above))
    at = {what: _coordinates(loss, [getattr(pair, what) for pair in found]) for what in ("minimum", "crossing")}
    births, deaths = np.asarray([(pair.birth, pair.death) for pair in found]).reshape(-1, 2).T
    meets = np.isfinite(deaths)
    ends = {name: (axis[0], axis[-1]) for name, axis in ((name, np.asarray(loss[name])) for name in loss.dims)}
    edge = [np.isin(values, ends[name]) for name, values in at["minimum"].items()]
    columns: dict[str, np.ndarray] = {"minimum": births, "height": deaths, "persistence": deaths - births}
    columns |= {"parent": _parents(walls, found), "rim": np.any(edge, axis=0)}
    columns |= at["minimum"] | {f"pass_{k}": np.where(meets, v, np.nan) for k, v in at["crossing"].items()}
    about = {"title": f"basins of {loss.attrs['title']}", "walls": int(np.sum(~np.isfinite(values))), "above": above}
    return xarray.Dataset({name: ("basin", column) for name, column in columns.items()}, attrs=about)


def picture(surface: xarray.Dataset | xarray.DataArray, at: Mapping[str, float] | None = None) -> xarray.Dataset:
    """The surface over its coordinates alone, at the values ``at`` of what comes before them, or ValueError."""
    ds = surface.to_dataset(name="loss") if isinstance(surface, xarray.DataArray) else surface
    if "loss" not in ds:
        raise ValueError(f"this is not a surface: it holds {', '.join(map(str, ds.data_vars))}, and no loss")
    one = ds.isel({name: _sample(ds, name, value) for name, value in (at or {}).items()})
    if rest := leading(one):
        raise ValueError(f"the surface is one picture for each {rest[0]}; choose one, such as {_example(one, rest[0])}")
    title = ds.attrs.get("title", "a surface")
    told = ", ".join(f"{name} = {value:g}" for name, value in (at or {}).items())
    one["loss"] = one["loss"].assign_attrs(title=f"{title}, {told}" if told else title)
    return one


def _sample(ds: xarray.Dataset, name: str, value: float) -> int:
    """The place of a value along a dimension, to rounding; ValueError if it is not there."""
    there = ds[name].values if name in ds["loss"].dims else np.zeros(0)
    close = np.isclose(there, value, rtol=1e-9, atol=1e-6 * (np.ptp(there) / len(there) if len(there) else 0))
    if not close.any():
        known = ", ".join(f"{value:g}" for value in there) or "nothing"
        raise ValueError(f"the surface has no {name} = {value:g}; of {name} it has {known}")
    return int(np.argmax(close))


def _example(ds: xarray.Dataset, name: str) -> str:
    return f"surface.sel({name}={ds[name].values[-1].item()!r}), or --at {name}={ds[name].values[-1]:g}"


def _pairs(walls: Float[np.ndarray, "..."], above: float) -> list[Pair]:
    """Basins of persistence more than ``above``, the deepest first, of equals the one that lives on."""
    cubes = needed("gudhi", "topology", "basins are found").CubicalComplex(vertices=walls)
    cubes.compute_persistence(homology_coeff_field=2, min_persistence=-1.0)
    pairs, alive = cubes.vertices_of_persistence_pairs()
    ends = [(b, d) for b, d in (pairs[0] if len(pairs) else ())] + [(b, b) for b in alive[0]]
    flat = walls.ravel(order="F")  # gudhi numbers points with the first coordinate fastest
    lasting = [len(ends) - len(alive[0]) <= i for i in range(len(ends))]
    found = [
        Pair(float(flat[b]), np.inf if last else float(flat[d]), int(b), int(d))
        for (b, d), last in zip(ends, lasting, strict=True)
    ]
    kept = [pair for pair in found if pair.birth < np.inf and pair.death - pair.birth > above]
    return sorted(kept, key=lambda pair: (pair.birth, -pair.death))


def _parents(walls: Float[np.ndarray, "..."], found: list[Pair]) -> Int[np.ndarray, "basin"]:
    """The deepest basin in the part of {loss <= height} that each one lies in; -1 where it meets none."""
    parents = []
    for number, pair in enumerate(found):
        part = ndimage.label(walls <= pair.death)[0].ravel(order="F") if pair.death < np.inf else None
        same = (
            i
            for i, other in enumerate(found[:number])
            if part is not None and part[other.minimum] == part[pair.minimum]
        )
        parents.append(next(same, -1))
    return np.asarray(parents, int)


def _coordinates(loss: xarray.DataArray, points: list[int]) -> dict[str, Float[np.ndarray, "basin"]]:
    """The coordinates, by name, of points that are numbered with the first coordinate fastest."""
    where = np.unravel_index(np.asarray(points, int), loss.shape, order="F")
    return {str(name): np.asarray(loss[name])[index] for name, index in zip(loss.dims, where, strict=True)}


def export(surface: xarray.Dataset | xarray.DataArray, path: Path | str) -> Path:
    """Write a surface over one to three coordinates as a structured grid, .vts, for ParaView; its path.

    Points stand at their coordinates, all variables are data of the points, NaN included; attributes that are numbers
    or text are data of the field. Raises ValueError for a surface that is several pictures or another ending.
    """
    path, ds = Path(path), picture(surface)
    axes = [np.asarray(ds[name], np.float64) for name in ds["loss"].dims]
    if path.suffix != ".vts" or len(axes) > 3:
        raise ValueError(
            f"a surface of one to three coordinates becomes a .vts file; given {len(axes)} and {path.name}"
        )
    pyvista = needed("pyvista", "vtk", "files for ParaView are written")
    grid = pyvista.StructuredGrid(*np.meshgrid(*axes, *[np.zeros(1)] * (3 - len(axes)), indexing="ij"))
    for name, values in ds.data_vars.items():
        if values.dims == ds["loss"].dims:
            grid.point_data[str(name)] = np.asarray(values).ravel(order="F")
    for name, value in {**ds.attrs, "coordinates": ", ".join(map(str, ds["loss"].dims))}.items():
        if isinstance(value, str | int | float):
            grid.field_data[str(name)] = [value]
    with whole(path) as file:
        grid.save(file)
    return path

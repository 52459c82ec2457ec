"""Verbs that take a surface or a model apart: basins, files for other programs."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from landscape import names
from landscape.cli.words import Many, Path_, say, unless

if TYPE_CHECKING:
    import xarray

MOST = 20  # rows of a table, the rest are counted

At = Annotated[Many, arg(metavar="NAME=VALUE", help="which picture of several, such as length=50")]


def basins(
    path: Path_,
    /,
    above: Annotated[
        float, arg(help="leave out basins that rise no more than this before they meet a deeper one")
    ] = 0.0,
    at: At = (),
    out: Annotated[str, unless("none", "PATH", "a store to keep the table in")] = "",
) -> None:
    """List the basins of a stored surface: minima, the passes between them, and which falls to which.

    As the loss rises, a basin is born at its minimum and ends at the pass where it meets a deeper one; the rise between
    is its persistence. A minimum at the rim of the grid is marked: the surface may fall on outside. NaN and inf are
    walls, and counted.

    examples:
      landscape basins cliffs.zarr --at length=50 --above 0.01
      landscape basins digits.zarr --out basins.zarr
    """
    where = names.numbers(at, "--at NAME=VALUE")
    if not above >= 0:
        raise ValueError(f"--above is a rise of the loss, from 0 up; given {above:g}")

    from landscape import store, topology

    ds = store.open_surface(path)
    with store.damage(path):
        found = topology.basins(topology.picture(ds, where), above)
    say(f"{path}: {table(found)}")
    if out:
        of = hashlib.sha256(ds.attrs["settings"].encode()).hexdigest()[:16]
        store.save(found, out, {"basins": found.attrs["title"], "above": above, "at": where, "surface_sha256": of})
        say(f"Kept: {out}")


def table(found: "xarray.Dataset") -> str:
    """The table of basins, in words."""
    axes = [str(name).removeprefix("pass_") for name in found if str(name).startswith("pass_")]
    rows = [["basin", "minimum", *axes, "rises by", "falls to", *(f"pass {name}" for name in axes)]]
    for k in range(min(found.sizes["basin"], MOST)):
        one = {str(name): values.item() for name, values in found.isel(basin=k).data_vars.items()}
        place = f"{k}{' (rim)' if one['rim'] else ''}"
        rest = [f"{one['persistence']:.6g}", "-" if one["parent"] < 0 else str(one["parent"])]
        ends = ["-" if one["parent"] < 0 else f"{one[f'pass_{name}']:.6g}" for name in axes]
        rows.append([place, f"{one['minimum']:.6g}", *(f"{one[name]:.6g}" for name in axes), *rest, *ends])
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.rjust(width) for text, width in zip(row, wide, strict=True)) for row in rows]
    head = f"{found.sizes['basin']} basin{'s' * (found.sizes['basin'] != 1)}, the deepest first"
    walls = f"; {found.attrs['walls']} points are NaN or inf, and walls" if found.attrs["walls"] else ""
    more = [f"... and {found.sizes['basin'] - MOST} more"] if found.sizes["basin"] > MOST else []
    return "\n".join([f"{head}{walls}", *lines, *more])


def export(
    path: Path_,
    file: Annotated[Positional[str], arg(metavar="FILE.vts", help="the file to write")],
    /,
    at: At = (),
) -> None:
    """Write a stored surface as a file for ParaView: a structured grid, .vts, with all variables.

    Points stand at their coordinates; *Warp By Scalar* lifts them to the loss. inf and NaN stay.

    examples:
      landscape export digits.zarr digits.vts
      landscape export cliffs.zarr wall.vts --at length=50
    """
    where = names.numbers(at, "--at NAME=VALUE")

    from landscape import store, topology

    with store.damage(path):
        made = topology.export(topology.picture(store.open_surface(path), where), Path(file))
    say(f"{path}: {made}")

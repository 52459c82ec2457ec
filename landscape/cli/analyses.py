"""Verbs that take a surface or a model apart: basins, files for other programs, spectra."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from landscape import names
from landscape.cli import guide
from landscape.cli.arguments import Many, Path_, echo, then, unless

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
    echo(f"{path}: {table(found)}")
    if out:
        of = hashlib.sha256(ds.attrs["settings"].encode()).hexdigest()[:16]
        store.keep(found, out, {"basins": found.attrs["title"], "above": above, "at": where, "surface_sha256": of})
        echo(f"Kept: {out}")
    then(guide.pictures(path, len(axes_of(found)))[-1])


def table(found: "xarray.Dataset") -> str:
    """The table of basins, in words."""
    axes = axes_of(found)
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


def axes_of(found: "xarray.Dataset") -> list[str]:
    """The coordinates of the surface that basins were found in."""
    return [str(name).removeprefix("pass_") for name in found if str(name).startswith("pass_")]


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
    echo(f"{path}: {made}")
    then(("basins", path, *(word for one in at for word in ("--at", one))))


def spectrum(
    model: Annotated[
        Positional[str], arg(metavar="FILE.py:NAME", help="a function that returns (params, directions, risk)")
    ],
    /,
    top: Annotated[
        int | None,
        unless("10, or as many as there are", "INT", "eigenvalues of largest magnitude with residuals; 0 for none"),
    ] = None,
    density: Annotated[bool, arg(help="the density of all eigenvalues too")] = False,
    trace: Annotated[bool, arg(help="the trace too, with an interval")] = False,
    matrix: Annotated[Literal["hessian", "gauss_newton", "empirical_fisher"], arg(help="of which matrix")] = "hessian",
    block: Annotated[Many, arg(metavar="NAME", help="of these parameters alone, such as a layer")] = (),
    steps: Annotated[int, unless("4 a value and 20 more, 64 for a density", None, "steps of Lanczos")] = 0,
    probes: Annotated[int, unless("8 for a density, 48 for a trace", None, "random vectors")] = 0,
    seed: Annotated[int, arg(help="seed of the random vectors")] = 0,
    out: Annotated[str, unless("NAME-spectrum.zarr", "PATH", "the store to write")] = "",
) -> None:
    """Find the curvature of a model's loss over its data: eigenvalues with certificates, their density, the trace.

    A residual |Av - λv| certifies an eigenvalue that near. Products with vectors stream the data: no matrix is formed.

    examples:
      landscape spectrum mine.py:digits --top 10 --density --out spectrum.zarr
      landscape spectrum mine.py:digits --matrix gauss_newton --block params.Dense_0 --trace
    """
    if (top or 0) < 0 or steps < 0 or probes < 0:
        raise ValueError("--top, --steps and --probes are numbers from 0 up")
    if top == 0 and not (density or trace):
        raise ValueError("there is nothing to find; ask for --top 10, --density or --trace")
    names.seed(seed)
    params, _, risk = names.model(model)

    import jax
    import xarray

    from landscape import curvature, specs, store

    made = getattr(curvature, matrix)(risk, params)
    made = curvature.block(made, *block) if block else made
    top = min(10, made.size) if top is None else top
    keys = jax.random.split(jax.random.key(seed), 3)
    how = {"steps": steps} if steps else {}
    drawn = {"probes": probes} if probes else {}
    path = Path(out or f"{model.rpartition(':')[2]}-spectrum.zarr")
    asked = {"top": top, "density": density, "trace": trace, "steps": steps, "probes": probes, "seed": seed}
    settings = {**made.about, **asked, "origin_sha256": [specs.digest(leaf) for leaf in jax.tree.leaves(params)]}
    found = store.find(path, settings)
    if found is None:
        parts = [curvature.top(made, top, keys[0], **how).drop_vars("vector")] if top else []
        parts += [curvature.density(made, keys[1], **drawn, **how)] if density else []
        parts += [curvature.trace(made, keys[2], **drawn)] if trace else []
        found = xarray.merge([part.drop_attrs() for part in parts]).assign_attrs(title=f"{matrix} of {model}")
        store.save(found, path, settings)
    echo(f"{path}: {eigenvalues(found, made.size)}")
    then(("plot", path))


def eigenvalues(found: "xarray.Dataset", size: int) -> str:
    """A spectrum in words."""
    lines = [f"{found.attrs['title']}, {size:,} parameters"]
    if "residual" in found:
        pairs = zip(found["value"].values, found["residual"].values, strict=True)
        lines += [f"{'eigenvalue':>15}  an eigenvalue lies within"]
        lines += [f"{value:>15.8g}  {residual:.2g}" for value, residual in pairs]
    if "density" in found:
        each = (found["node"] * found["weight"]).sum("rank").values
        lines += [
            f"mean of all eigenvalues: {each.mean():.6g}, of {len(each)} probes with an SD of {each.std(ddof=1):.2g}"
        ]
    if "trace" in found:
        ends = (float(found[name]) for name in ("trace", "low", "high"))
        lines += ["trace: {:.6g}, from {:.6g} to {:.6g} with 95 % confidence".format(*ends)]
    return "\n".join(lines)

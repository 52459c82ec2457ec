"""Surfaces of models that stand in a file of the user's own, with their data."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from landscape import names
from landscape.cli.arguments import echo, then


def surface(
    model: str,
    axes: Sequence[str],
    lengths: str,
    order: int,
    out: str,
    dtype: str,
    yes: bool,
    others: Mapping[str, object],
) -> None:
    """`landscape surface` of a function ``file.py:name`` that returns parameters, directions and a risk."""
    ranges = {name: names.axis(name, text) for name, text in names.pairs(axes, "NAME=FROM:TO:COUNT").items()}
    if given := [flag for flag, value in others.items() if value]:
        raise ValueError(f"{given[0]} is for a cell and a task; {model} brings its own parameters and data")
    chosen = [length for part in names.lengths(lengths) for length in part] if lengths else None

    import numpy as np

    from landscape import devices, planes, progress, surfaces
    from landscape.cli import guide, report

    params, directions, risk = names.model(model)
    dtype = risk.dtype or dtype if dtype == "float32" else dtype
    plane = planes.span(params, directions, **{name: axis.values(name, dtype) for name, axis in ranges.items()})
    asked = surfaces.asked_for(risk, chosen, {"order": order, "dtype": dtype})
    path = Path(out or f"{model.rpartition(':')[2]}.zarr")
    rows = math.prod(len(values) for values in asked.leading.values())
    stored = math.prod(plane.shape) * rows * len(asked.variables(tuple(ranges))) * np.dtype(dtype).itemsize
    grid = f"{' x '.join(map(str, plane.shape))} points"
    if not yes:
        progress.check_size(grid, stored, 0, path)
    echo(f"{grid}: up to {progress.size(stored)}, into {path}")
    with progress.kept(path), progress.bar(echo) as bar:
        watch = progress.watch(bar, echo, devices.threads(), yes)
        surfaces.surface(plane, asked, out=path, progress=watch)
    echo(report.summary(path))
    then(*guide.pictures(path, len(plane.shape)))

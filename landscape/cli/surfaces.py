"""Verbs that make, draw and explain surfaces."""

import contextlib
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from landscape import names
from landscape.cli.arguments import Held, Many, Options, Path_, blocks_are, echo, many, part_of, then, unless


def surface(
    cell: Annotated[
        Positional[str],
        arg(
            metavar="CELL",
            help="a cell by name, or file.py:MyCell; file.py:mymodel is any model, with data and no task",
        ),
    ],
    task: Annotated[Positional[str], arg(metavar="TASK", help="a task by name, or file.py:mytask; none for a model")],
    axes: Annotated[
        Positional[tuple[str, ...]],
        arg(
            metavar="NAME=FROM:TO:COUNT",
            help="parameters to vary, both ends included; steps along the directions of a model",
            help_behavior_hint="(one or more)",
        ),
    ],
    /,
    lengths: Annotated[str, unless("1:100", "LENGTHS", "1:200, or 10:100:10, or 10,50,100")] = "",
    order: Annotated[Literal[0, 1, 2], arg(help="0: loss; 1: and gradient; 2: and Hessian")] = 1,
    out: Annotated[str, unless("CELL-TASK.zarr", "PATH", "the store to write")] = "",
    seed: Annotated[int, arg(help="seed of the noise in the episodes")] = 0,
    episodes: Annotated[int, unless("32 if the task has classes, else 1", None, "episodes to average")] = 0,
    dtype: Annotated[Literal["float32", "float64"], arg(help="precision of the computation")] = "float32",
    set: Held = (),
    task_option: Options = (),
    tie: Annotated[Many, arg(metavar="NAME=A,B", help="one coordinate that moves several parameters")] = (),
    shard: Annotated[str, unless("all", "I/N", "compute part I of N, from 0, beside other processes")] = "",
    route: Annotated[Literal["fused", "scan"], arg(help="on a GPU one kernel a block, or turn kernels off")] = "fused",
    yes: Annotated[bool, arg(help="go on, however long it takes and however much it writes")] = False,
) -> None:
    """Compute the loss of a cell on a task over a plane of parameters, at every length, with exact derivatives.

    The result is a zarr store that `xarray.open_zarr` reads. Stop it when you like: the same command goes on where it
    stopped. A store of other settings is never overwritten. `landscape list` shows the cells and their parameters.

    Any other model stands in a file of yours, as a function without arguments that returns its parameters, directions
    by name, and a `landscape.Risk`: its loss over data. There is then no task, and a length only if the risk has some.

    examples:
      landscape surface SRNN latch w=-3:3:201 b=-2:2:201 --lengths 1:200 --out cliffs.zarr
      landscape surface LSTM latch b_i=-4:4:129 b_f=-4:4:129 --lengths 10,50,100 --set w_g=2
      landscape surface LSTM relay gates=-4:4:129 w_g=0:4:129 --tie gates=b_i,b_f --task-option noise=.2
      landscape surface Pascanu pascanu w=0:8:201 b=-4:0:201 --lengths 50 --order 2 --dtype float64
      landscape surface mine.py:MyCell mine.py:mytask w=-1:1:101 b=-1:1:101
      landscape surface SRNN latch w=-3:3:201 b=-2:2:201 --lengths 1:200 --out cliffs.zarr --shard 0/4
      landscape surface mine.py:digits a=-1:1:51 b=-1:1:51 --order 2 --out digits.zarr
    """
    if "=" in task:
        from landscape.cli import models

        others = {"--seed": seed, "--episodes": episodes, "--set": set, "--task-option": task_option, "--tie": tie}
        others["--shard"] = shard
        models.surface(cell, (task, *axes), lengths, order, out, dtype, yes, others)
        return
    part = part_of(shard) if shard else None
    ranges = {name: names.axis(name, text) for name, text in names.pairs(axes, "NAME=FROM:TO:COUNT").items()}
    if not ranges:
        raise ValueError("there is nothing to vary; give parameters and their ranges, such as w=-3:3:201 b=-2:2:201")
    parts = names.lengths(lengths or "1:100")
    held, options = names.numbers(set, "--set NAME=VALUE"), names.numbers(task_option, "--task-option NAME=VALUE")
    names.seed(seed)
    ties = {name: text.split(",") for name, text in names.pairs(tie, "--tie NAME=A,B").items()}
    if episodes < 0:
        raise ValueError(f"--episodes must not be negative, given {episodes}")

    import numpy as np

    from landscape import devices, planes, progress, recurrence, store, surfaces
    from landscape.cli import guide, report
    from landscape.engine import routes

    if route != "fused":
        routes.turn(route)
    names.fits(held, dtype)
    names.fits(options, dtype)
    model, made = names.cell(cell, held), names.task(task, options)
    path = Path(out or f"{cell.rpartition(':')[2]}-{task.rpartition(':')[2]}.zarr")
    count, width = sum(map(len, parts)), np.dtype(dtype).itemsize
    asked: dict[str, Any] = {"order": order, "episodes": episodes or None, "seed": seed, "dtype": dtype}
    last = recurrence.Recurrence(made, parts[-1][-1:], **asked)
    points = math.prod(axis.count for axis in ranges.values())
    stored = points * count * len(last.variables(tuple(ranges))) * width
    inputs = parts[-1][-1] * last.width * width * (1 if made.nested else count)
    grid = f"{' x '.join(str(axis.count) for axis in ranges.values())} points at {many(count, 'length')}"
    if not yes:
        progress.check_size(grid, stored, inputs, path)
    plane = planes.plane(model, ties, **{name: axis.values(name, dtype) for name, axis in ranges.items()})
    every = [length for part in parts for length in part]
    echo(f"{grid}: up to {progress.size(stored)}, into {path}")
    with progress.kept(path), progress.bar(echo) as bar:
        watch = progress.watch(bar, echo, devices.threads(), yes)
        if part is None:
            surfaces.surface(plane, made, every, out=path, progress=watch, **asked)
        elif not surfaces.share(part, plane, made, every, out=path, progress=watch, **asked):
            done, blocks = store.blocks_done(path)
            echo(f"shard {shard} is done: {blocks_are(done, blocks)} in {path}; the last shard finishes it")
            then(("status", path))
            return
    echo(report.summary(path))
    then(*guide.pictures(path, len(plane.shape)))


def plot(
    path: Path_,
    /,
    kind: Annotated[
        Literal["formation", "gradient", "surface3d", "profile", "animation", "interactive"],
        arg(help="loss, or gradient, side by side at several lengths; one surface; lines; a film; an HTML page"),
    ] = "formation",
    lengths: Annotated[str, unless("a selection", "LENGTHS", "as for `surface`")] = "",
    at: Annotated[Many, arg(metavar="NAME=VALUE", help="cut a surface of several coordinates here")] = (),
    along: Annotated[str, unless("the first", "NAME", "the coordinate of a profile; the axis of a sweep")] = "",
    variable: Annotated[str, unless("the first", "NAME", "what to draw of a sweep")] = "",
    lines: Annotated[str, unless("one with few values", "NAME", "the axis of a sweep with a line for each value")] = "",
    out: Annotated[str, unless("beside the store", "FILE", "the file to write; its ending chooses the format")] = "",
    cmap: Annotated[str, unless("viridis, cividis", "NAME", "a colormap of matplotlib")] = "",
    figsize: Annotated[str, unless("as fits", "WIDTHxHEIGHT", "the size in inches, such as 3.4x2.6")] = "",
    title: Annotated[str, unless("cell and task", "TEXT", "the title; none for no title")] = "",
) -> None:
    """Draw a stored surface or sweep.

    A sweep, finished or not, is drawn as the mean of a variable against one of its axes, or as the share of ones, with
    intervals of 95 %; axes that are not drawn are averaged over. Without --out the file stands beside the store.
    Figures: .png, .pdf or .svg; films: .gif or .webp; pages: .html.
    What you have set in a matplotlibrc is kept.

    examples:
      landscape plot cliffs.zarr
      landscape plot cliffs.zarr --kind surface3d --lengths 50 --out wall.pdf
      landscape plot cliffs.zarr --kind gradient --lengths 10,50,100,200
      landscape plot cliffs.zarr --kind animation --out cliffs.webp
      landscape plot cliffs.zarr --kind interactive --out cliffs.html
      landscape plot cliffs.zarr --kind profile --along w --at b=0
      landscape plot cliffs.zarr --lengths 100 --figsize 3.4x2.6 --title none --cmap magma --out wall.pdf
      landscape plot results/example_sweep.zarr --variable room --along noise
    """
    held = names.pairs(at, "--at NAME=VALUE")
    look: dict[str, Any] = {"cmap": cmap} if cmap else {}
    if title:
        look["title"] = None if title == "none" else title
    if figsize:
        look["figsize"] = inches(figsize)
    chosen = [length for part in names.lengths(lengths) for length in part] if lengths else None

    from landscape import plots, store

    given = {"--kind": kind != "formation", "--lengths": lengths, "--at": at, "--along": along}
    given |= {"--variable": variable, "--lines": lines}
    if store.kind(path) == "sweep":
        only(given, ("--at", "--along", "--variable", "--lines"), "a sweep")
        return plot_sweep(path, variable, along, lines, held, out, look)
    ds = store.open_surface(path)
    if {"density", "residual"} & set(ds):
        only(given, (), "a spectrum")
        file = Path(out) if out else Path(path).with_suffix(".png")
        with store.damage(path):
            plots.save(plots.spectrum(ds, **look), file)
        echo(f"{ds.attrs['title']}: {file}")
        return then(("show", path))
    if "loss" not in ds:
        raise ValueError(f"{path} is not a surface: it holds {', '.join(map(str, ds.data_vars))}; nothing to plot")
    along_too = ("--along",) if kind == "profile" else ()
    only(given, ("--kind", "--lengths", "--at", *along_too), f"a surface drawn as {kind}")
    if unknown := [name for name in held if name not in ds["loss"].dims]:
        known = ", ".join(map(str, ds["loss"].dims))
        raise ValueError(f"--at holds a dimension of the surface, and {unknown[0]!r} is none; it has {known}")
    where: dict[str, Any] = {name: names.number(text, name) for name, text in held.items()}
    ending = {"animation": ".gif", "interactive": ".html"}.get(kind, ".png")
    file = Path(out) if out else Path(path).with_name(f"{Path(path).stem}-{kind}{ending}")
    with store.damage(path):
        if kind == "animation":
            plots.animation(ds, file, lengths=chosen, **where, **look)
        elif kind == "interactive":
            plots.interactive(ds, file, chosen, **where, **look)
        elif kind == "profile":
            first = next(str(name) for name in ds["loss"].dims if name not in plots.leading(ds))
            plots.save(plots.profile(ds, along or first, chosen, at=where, **look), file)
        else:
            plots.save(getattr(plots, kind)(ds, chosen, **where, **look), file)
    echo(f"{kind} of {ds.attrs['title']}: {file}")
    return then(("explore" if len(ds["loss"].dims) - len(plots.leading(ds)) == 2 else "show", path))


def only(given: Mapping[str, object], allowed: Iterable[str], what: str) -> None:
    """ValueError for the first option that is given and would change nothing in a figure of ``what``."""
    if useless := [option for option, value in given.items() if value and option not in allowed]:
        known = ", ".join(allowed) or "none of " + ", ".join(given)
        raise ValueError(f"{useless[0]} is not for {what}, which takes {known}; leave it out")


def plot_sweep(
    path: str, variable: str, along: str, lines: str, held: Mapping[str, str], out: str, look: Mapping[str, Any]
) -> None:
    """Draw a sweep, finished or not; what is ``held`` is a number where its setting is."""
    from landscape import plots, store, sweeps

    ds = sweeps.open_sweep(path)
    numeric = {str(name) for name, values in ds.coords.items() if values.dtype.kind in "iuf"}
    at = {name: names.number(text, name) if name in numeric else text for name, text in held.items()}
    file = Path(out) if out else Path(path).with_name(f"{Path(path).stem}-sweep.png")
    with store.damage(path, "results"):
        plots.save(plots.sweep(ds, variable, along, lines, at, **look), file)
    echo(f"{ds.attrs['title']}: {file}")
    then(("status", path))


def inches(text: str) -> tuple[float, float]:
    """``3.4x2.6`` as a size; ValueError for anything else."""
    found = re.fullmatch(r"(\d*\.?\d+)x(\d*\.?\d+)", text)
    if found and all(0.5 <= float(side) <= 100 for side in found.groups()):
        return float(found[1]), float(found[2])
    raise ValueError(f"--figsize is a width and a height in inches between 0.5 and 100, such as 3.4x2.6; given {text}")


def explore(
    what: Annotated[
        Positional[tuple[str, ...]],
        unless(
            "Pascanu's wall",
            "STORE | CELL TASK NAME=FROM:TO:COUNT NAME=FROM:TO:COUNT",
            "a surface over two parameters: stored, or to compute",
        ),
    ] = (),
    /,
    lengths: Annotated[str, unless("20 up to 100", "LENGTHS", "as for `surface`, to compute")] = "",
    set: Held = (),
    task_option: Options = (),
    file: Annotated[str, unless("none", "FILE.py", "run this file, for a stored cell or task of your own")] = "",
    trajectory: Annotated[
        str, unless("none", "PATH", "draw this path of training, a stored result of landscape.trajectories.project")
    ] = "",
    out: Annotated[str, arg(metavar="FILE", help="the page to write")] = "explorer.html",
    no_open: Annotated[bool, arg(help="only write the page, open no browser")] = False,
) -> None:
    """Write one HTML page to explore a surface, and open it: a slider for the length, and the unit you point at.

    The page needs no network. It draws folds, cliffs and ridges over the surface and computes, for the cells of this
    package, the map, its fixed points, the orbit, and loss and gradient by length, wherever you point.

    examples:
      landscape explore
      landscape explore cliffs.zarr --out cliffs.html --no-open
      landscape explore sine.zarr --file mine.py
      landscape explore digits.zarr --trajectory way.zarr
      landscape explore SRNN latch w=-3:3:101 b=-1.5:1.5:101 --lengths 1:20,30,50
      landscape explore LSTM latch w_g=-6:6:81 b_i=-4:4:81 --set b_f=2
    """
    computed = {"--lengths": lengths, "--set": set, "--task-option": task_option}
    if len(what) == 1 and (given := [name for name, value in computed.items() if value]):
        raise ValueError(f"{given[0]} is for a surface to compute; {what[0]} is a store that has its own")
    if file and len(what) != 1:
        raise ValueError(f"--file {file} is for the cell or task of a stored surface; to compute write {file}:NAME")
    words = what or ("Pascanu", "pascanu", "w=3.5:6.5:101", "b=-4:-1.5:101")
    axes = {name: names.axis(name, text) for name, text in names.pairs(words[2:], "NAME=FROM:TO:COUNT").items()}
    if len(words) > 1 and len(axes) != 2:
        raise ValueError(
            "give a store, or a cell, a task and two ranges, such as SRNN latch w=-3:3:101 b=-2:2:101; "
            f"given {' '.join(words)}"
        )
    parts = names.lengths(lengths or "1:8,10,12,14,17,20,25,30,35,40,50,70,100")
    held, options = names.numbers(set, "--set NAME=VALUE"), names.numbers(task_option, "--task-option NAME=VALUE")

    from landscape import explorer, planes, progress, recurrence, store, surfaces

    task = None
    way = store.open_surface(trajectory) if trajectory else None
    if len(words) == 1:
        ds = store.open_surface(words[0])
    else:
        names.fits(held, "float32")
        names.fits(options, "float32")
        model, task = names.cell(words[0], held), names.task(words[1], options)
        count, points = sum(map(len, parts)), math.prod(axis.count for axis in axes.values())
        grid = f"{' x '.join(str(axis.count) for axis in axes.values())} points at {many(count, 'length')}"
        last = recurrence.Recurrence(task, parts[-1][-1:], order=2)
        inputs = parts[-1][-1] * last.width * (1 if task.nested else count)
        needed = 4 * (points * count * len(last.variables(tuple(axes))) + inputs)
        progress.check_memory(grid, needed, "", "fewer points or shorter lengths")
        plane = planes.plane(model, {}, **{name: axis.values(name, "float32") for name, axis in axes.items()})
        echo(f"{grid}: computing")
        with progress.bar(echo) as bar:
            every = [length for part in parts for length in part]
            ds = surfaces.surface(plane, task, every, order=2, progress=bar)
    with store.damage(words[0]) if len(words) == 1 else contextlib.nullcontext():
        page = explorer.page(ds, out, task, names.module(file) if file else None, way)
    echo(f"{ds.attrs['title']}: {page}")
    if not no_open:
        browse(page)
    given = [*(("--lengths", lengths) if lengths else ()), *(word for one in set for word in ("--set", one))]
    given += [word for one in task_option for word in ("--task-option", one)]
    then(("plot", words[0]) if len(words) == 1 else ("surface", *words, *given, "--order", "2"))


def browse(file: Path) -> None:
    """Open a page in the user's browser; on a machine without a screen say what to do instead."""
    import webbrowser

    screen = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not (screen and webbrowser.open(file.resolve().as_uri())):
        echo("No browser here: copy the file to a machine that has one, and open it there.")


def show(path: Path_, /) -> None:
    """Say in words what a store holds: settings, ranges, inf and NaN, the origin by two routes, where it was made.

    Every value is read, and a damaged file is found.

    examples:
      landscape show cliffs.zarr
    """
    from landscape.cli import guide, report

    echo(report.show(path))
    then(*(command for command in guide.now(path) if command[0] != "show"))


def cliffs(
    path: Path_,
    /,
    least: Annotated[float, arg(help="leave out ridges lower than this share of the range of the loss")] = 0.05,
    lengths: Annotated[str, unless("up to 16 of its own", "LENGTHS", "look at these lengths, as for `surface`")] = "",
    file: Annotated[str, unless("none", "FILE.py", "run this file, for a cell or task of your own")] = "",
    all: Annotated[bool, arg(help="list what does not steepen, and short pieces, too")] = False,
    plot: Annotated[bool, arg(help="draw the cliffs over the loss as well")] = False,
    out: Annotated[str, unless("beside the store", "FILE", "the figure to write: .png, .pdf or .svg")] = "",
) -> None:
    """Say how many cliffs a stored surface has, and of each where it is, how high, how steep and how it grows.

    The surface needs second derivatives (--order 2) and, for the kind, at least four lengths. Cliffs of cells and tasks
    of this package are measured afresh, in float64, and compared with theory; those of your own if you give their file
    again. Nothing in a store makes a file run.

    examples:
      landscape surface Pascanu pascanu w=4:6:101 b=-3.5:-1.5:101 --lengths 10:80:10 --order 2 --out wall.zarr
      landscape cliffs wall.zarr --plot
      landscape cliffs wall.zarr --lengths 20:80:10 --least 0.2
      landscape cliffs sine.zarr --file mine.py
    """
    chosen = [length for part in names.lengths(lengths) for length in part] if lengths else None
    if not 0 <= least < 1:
        raise ValueError(f"--least is a share of the range of the loss, from 0 up to 1, such as 0.05; given {least:g}")

    from landscape import progress
    from landscape.cliffs import ranked, survey, text

    mine = names.module(file) if file else None
    with progress.bar(echo) as bar:
        found = survey(path, chosen, least=least, mine=mine, every=all, progress=bar)
    echo(text(path, found, all))
    if plot or out:
        from landscape import plots

        figure = Path(out) if out else Path(path).with_name(f"{Path(path).stem}-cliffs.png")
        plots.save(plots.cliffs(found.loss, found.curves, ranked(found.found, all)), figure)
        echo(f"Drawn: {figure}")
    then(("explore", path) if plot or out else ("cliffs", path, "--plot"))

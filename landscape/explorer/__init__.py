"""The explorer: one HTML page with a surface, its lines, and, at the place pointed at, the unit itself, computed live.

The page needs no network and no library: it is ``page.html`` with the style, the scripts and the data put in.
"""

import base64
import dataclasses
import html
import json
import re
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Key, Real

from landscape import cells, specs, tasks
from landscape.blocks import Json
from landscape.explorer.lines import lines, way
from landscape.losses import squared_error
from landscape.recurrence import draw_all  # the program that drew the surface's episodes: the same numbers

if TYPE_CHECKING:
    import xarray

HERE = Path(__file__).parent
SCRIPTS = ("units.js", "glsl.js", "live.js", "charts.js", "zoom.js", "orbit.js", "page.js")
HEIGHT = 980  # pixels of a page in a notebook
MOST_BYTES = 2_000_000  # of surfaces in a page, before base64
MOST_LENGTHS = 24
MOST_EPISODES = 64


@dataclasses.dataclass(frozen=True)
class Page:
    """A page, as text; a notebook shows it as it is, live."""

    text: str

    def __repr__(self) -> str:
        return f'a page of {len(self.text) / 1e6:.1f} MB to explore a surface; .save("page.html") writes it'

    def save(self, path: str | Path) -> Path:
        """Write the page; returns its path."""
        from landscape.plots.files import whole

        with whole(path) as file:
            file.write_text(self.text, "utf-8")
        return Path(path)

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {HEIGHT}px; border: 0"
        return f'<iframe title="explorer" style="{style}" srcdoc="{html.escape(self.text)}"></iframe>'


def made(
    surface: "xarray.Dataset",
    task: tasks.Task | None = None,
    mine: ModuleType | None = None,
    trajectory: "xarray.Dataset | None" = None,
) -> Page:
    """The page that explores a surface over two coordinates.

    The surface is drawn by length, with the curves and lines that hold for its cell and task (`lines`), and the ridge
    of the gradient where the surface has its Hessian. For the cells that ``units.js`` knows and tasks of one input and
    a squared error, the page computes the map, fixed points, orbit, loss and gradient at any place, in float64, on the
    surface's own episodes, and where the browser has WebGL2 the surface itself at every pixel, in float32; for others
    it shows the surface and says so. ``task`` is needed only for a task of your own; ``mine``, a module of yours, names
    the cells and tasks of a stored surface. At most 24 lengths and 2 MB of values are put in; the page says what was
    left out. A surface without lengths, such as that of a model over data, has no slider; at the place pointed at the
    page tells its loss, draws its gradient, and tells its principal curvatures. Over it goes a ``trajectory`` that
    `landscape.trajectories.project` found in the plane of the surface.

    Raises ValueError unless ``surface`` is one of `landscape.surfaces.surface` over two coordinates.
    """
    data = contents(surface, task, mine, trajectory)
    text = (HERE / "page.html").read_text("utf-8")
    data_text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "TITLE": html.escape(data["title"]),
        "STYLE": (HERE / "page.css").read_text("utf-8"),
        "DATA": data_text,
        "SCRIPT": "\n".join((HERE / name).read_text("utf-8") for name in SCRIPTS),
    }
    return Page(re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], text))


def page(
    surface: "xarray.Dataset",
    path: str | Path,
    task: tasks.Task | None = None,
    mine: ModuleType | None = None,
    trajectory: "xarray.Dataset | None" = None,
) -> Path:
    """Write the page that `made` makes; returns its path."""
    return made(surface, task, mine, trajectory).save(path)


def contents(
    surface: "xarray.Dataset",
    task: tasks.Task | None = None,
    mine: ModuleType | None = None,
    trajectory: "xarray.Dataset | None" = None,
) -> dict[str, Json]:
    """What a page knows: surfaces, scales of colours, lines, and what it takes to step the unit; plain JSON values."""
    from landscape.plots.parts import choose, heading, label, small, thin

    settings = _settings(surface)
    modules = [mine] if mine else []
    path = [] if trajectory is None else [way(trajectory, settings)]
    task = task or (specs.task(settings, *modules) if "task" in settings else None)
    x, y = settings["axes"]
    along = "length" in surface.dims
    surface = surface if along else surface.expand_dims("length").assign_coords(length=[1])  # one picture, no slider
    lengths = choose(surface, None, MOST_LENGTHS)
    shown = [name for name in ("loss", "log10_gradient") if name in surface]
    slopes = [] if along else [name for name in _slopes(x, y) if name in surface]
    most = int((MOST_BYTES / (4 * len(lengths) * (len(shown) + len(slopes)))) ** 0.5)
    fields, note = {}, ""
    for name in shown:
        values, note = thin(surface[name].sel(length=lengths).transpose("length", x, y).load(), most)
        fields[name] = {"values": packed(values.values), **_colours(name, values.values)}
    if len(lengths) < surface.sizes["length"]:
        note = f"lengths shown: {len(lengths)} of {surface.sizes['length']}{'; ' if note else ''}{note}"
    made = [
        f"{key.removeprefix('version_')} {surface.attrs[key]}" for key in surface.attrs if key.startswith("version_")
    ]
    return {
        "title": f"Loss of {heading(surface)}",
        "settings": "; ".join(filter(None, [_equation(settings), small(surface, surface["loss"])])),
        "note": "; ".join(filter(None, [note, *(line["about"] for line in path)])),
        "made": ", ".join([*made, f"commit {surface.attrs.get('git_commit', 'unknown')[:12]}"]),
        "cell": specs.text(settings["cell"]),
        "axes": [
            {"name": name, "label": label(surface, name, math=False), "values": values[name].values.tolist()}
            for name in (x, y)
        ],
        "lengths": lengths,
        "along": along,
        "slopes": [packed(thin(surface[name].transpose("length", x, y).load(), most)[0].values) for name in slopes],
        "fields": fields,
        "lines": [*lines(surface, settings, lengths, *modules), *path],
        "live": live(settings, lengths, task),
    }


def _slopes(x: str, y: str) -> list[str]:
    """The gradient and the upper half of the Hessian, in the order in which the page reads them."""
    return [f"d_{x}", f"d_{y}", f"d_{x}_{x}", f"d_{x}_{y}", f"d_{y}_{y}"]


def _settings(surface: "xarray.Dataset") -> dict[str, Json]:
    """The settings of a surface over two coordinates; ValueError for anything else."""
    if "loss" not in surface:
        raise ValueError(
            f"the explorer shows a surface, with its loss; this holds {', '.join(map(str, surface.data_vars))}"
        )
    if "settings" not in surface.attrs:
        raise ValueError("the surface does not say how it was made; give one that landscape.surface returned")
    settings = specs.current(json.loads(surface.attrs["settings"]))
    if len(axes := settings["axes"]) != 2 or set(surface["loss"].dims) - {"length"} != set(axes):
        raise ValueError(
            f"the explorer shows a surface over two coordinates, and this one has {len(axes)}: {', '.join(axes)}; "
            "compute one over two of them"
        )
    return settings


def _equation(settings: dict[str, Json]) -> str:
    """The equation of one of this package's cells, from its docstring; empty for others."""
    if "cell_source" in settings:
        return ""
    makes = [make for make in cells.known().values() if specs.of_cell(make()) == settings["cell"]]
    return (makes[0].__doc__ or "").partition(": ")[0].replace("``", "") if makes else ""


def packed(values: Real[ArrayLike, "..."]) -> str:
    """An array as little-endian float32 in base64, which keeps inf and NaN."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode("ascii")


def _colours(name: str, values: np.ndarray) -> dict[str, Json]:
    """The scale of a variable's colours, as in the figures of `landscape.plots`: its ends, its table of 256 colours."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    from landscape.plots.look import GRADIENT, LOSS
    from landscape.plots.parts import bounds, scale, spread

    norm = (scale if name == "loss" else spread)(values)
    table = colormaps[LOSS if name == "loss" else GRADIENT](np.arange(256), bytes=True)[:, :3]
    low, high = bounds(norm)
    return {"low": low, "high": high, "log": isinstance(norm, LogNorm), "table": table.ravel().tolist()}


def live(settings: dict[str, Json], lengths: list[float], task: tasks.Task | None = None) -> dict[str, Json]:
    """What it takes to step the unit: its parameters as ``origin + p d_p + q d_q``, episodes, targets, and the loss.

    ``reason`` is why the page cannot, in words; whether it knows the cell's step is for the page to say.
    """
    if reason := _closed(settings, task):
        return {"reason": reason}
    task = task or specs.task(settings)
    assert task is not None  # else _closed said so
    kind, options = settings["task"]["name"], settings["task"]["options"]
    count, whole = min(settings["episodes"], MOST_EPISODES), settings["episodes"]
    drawn = _episodes(task, jax.random.key(settings["seed"]), count, lengths)
    if drawn[0].x.ndim != 2:
        return {"reason": f"{specs.text(settings['task'])} has several inputs a step"}
    if drawn[0].mask is not None:
        return {"reason": f"{specs.text(settings['task'])} asks for an answer at every step"}
    targets = [[options["target"]] * count if "target" in options else e.target.astype(float).tolist() for e in drawn]
    moved = {target: k for k, axis in enumerate(settings["axes"].values()) for target in axis["moves"]}
    held = {name: value for name, value in settings["held"].items() if value is not None}
    parameters = {name: [value, 0, 0] for name, value in held.items()}
    parameters |= {name: [0, int(k == 0), int(k == 1)] for name, k in moved.items()}
    return {
        "cell": specs.text(settings["cell"]),
        "parameters": parameters,
        "start": task.start,
        "squash": kind == "pascanu",  # its loss is that of logistic(h)
        "nested": task.nested,
        "times": [e.x.shape[0] for e in drawn],
        "inputs": [packed(e.x) for e in drawn],  # (time, episode)
        "targets": targets,
        "missing": whole - count,
    }


def _episodes(task: tasks.Task, key: Key[Array, ""], count: int, lengths: list) -> list[tasks.Episode]:
    """The episodes of the surface: those of the longest length for a nested task, else those of each length."""
    every = draw_all(task, key, count, np.asarray(lengths, np.int32))
    if task.nested:
        return [every]
    return [tasks.Episode(x=every.x[k, :n], target=every.target[k], mask=every.mask) for k, n in enumerate(lengths)]


def _closed(settings: dict[str, Json], task: tasks.Task | None) -> str:
    """Why the unit cannot be stepped in a page, if so."""
    if "task" not in settings:
        return f"{specs.text(settings['cell'])} is a model over data, not one unit"
    kind, cell, task_text = settings["task"]["name"], specs.text(settings["cell"]), specs.text(settings["task"])
    task = task or specs.task(settings)
    wide = [
        name for name, value in settings["held"].items() if value is not None and not isinstance(value, int | float)
    ]
    read = [name for name in settings["held"] if name.startswith("readout.")]
    if "cell_source" in settings:
        return f"the cell {cell} is not one of this package"
    if "directions" in settings:
        return "its coordinates are displacements, not parameters"
    if wide or read:
        return "it is a layer with a readout" if read else "it is a layer, not one unit"
    if task is None:
        return f"the task {task_text} is not one of this package"
    if kind not in ("pascanu", "reach") and task.loss is not squared_error:
        return f"the loss of {task_text} is not a squared error of one number"
    return ""

"""Figures that move over the length: a film, and a page with a slider."""

import base64
import html
import io
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from landscape.plots.files import whole
from landscape.plots.look import LOSS, Look, drawn, styled
from landscape.plots.parts import (
    bad,
    bounds,
    choose,
    cut,
    heading,
    label,
    leading,
    moments,
    panel,
    scale,
    small,
    spread,
    thin,
)
from landscape.plots.still import Surfaces, flat, formation, gradient, rows_of, surface3d

if TYPE_CHECKING:
    from jaxtyping import Float

STEPS = 65534  # of the scale of values in a page; one more says that a value is inf or NaN


@styled
def animation(
    surfaces: Surfaces,
    *paths: str | Path,
    lengths: Iterable[float] | float | None = None,
    draw: Callable[..., Figure] | None = None,
    seconds: float = 0.4,
    **settings: Any,
) -> None:
    """A film over the length, ``seconds`` a frame, as GIF or animated WebP by the suffix of each path.

    A frame is ``draw(surfaces, length, norm=one scale for all, **settings)`` at each of ``lengths``, by default all:
    `surface3d`, `formation` of surfaces by name, or `gradient`. Raises ValueError for a path of another ending, for a
    surface that has one picture only, and for frames of no time.
    """
    from PIL import Image

    targets = [Path(path) for path in paths]
    if wrong := [path for path in targets if path.suffix not in (".gif", ".webp")]:
        raise ValueError(f"an animation is written as .gif or .webp; given {wrong[0].name!r}")
    if not seconds > 0:
        raise ValueError(f"seconds is the time of a frame, above 0; given {seconds}")
    first = surfaces if isinstance(surfaces, xarray.Dataset) else next(iter(surfaces.values()))
    draw = draw or (surface3d if first is surfaces else formation)
    at = {name: value for name, value in settings.items() if name in first.dims}
    one, _ = panel(first, "loss", at)
    if not (along := leading(one)):
        raise ValueError("the surface is one picture, with no length to make a film of; draw it as surface3d")
    lengths = choose(one, lengths, most=one.sizes[along[-1]])
    what, scaled = ("log10_gradient", spread) if draw is gradient else ("loss", scale)
    norm = settings.pop("norm", None) or scaled(flat(rows_of(surfaces, what, lengths, None, at)))
    frames = []
    for length in lengths:
        png = io.BytesIO()
        draw(surfaces, length, norm=norm, **settings).savefig(png, format="png", dpi=130)
        frames.append(Image.open(png).convert("RGB"))
    times = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * max(seconds, 1.5))]
    for path in targets:
        with whole(path) as file:
            frames[0].save(file, save_all=True, append_images=frames[1:], duration=times, loop=0)


@drawn
def interactive(
    ds: xarray.Dataset, path: str | Path, lengths: Iterable[float] | float | None = None, *, look: Look, **at: float
) -> None:
    """Write one HTML page with the surface in 3-D, to turn, and a slider over the length; it needs no network.

    At most 129 points a side and 32 lengths are drawn, each value as one of 65,535 steps of the scale, and the page
    says so. Points that are inf or NaN are dots on the floor in a colour of their own. Of the keywords of `Look` it
    takes ``cmap``, ``title``, ``caption``, ``xlabel``, ``ylabel`` and ``label``.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"a page is written as .html; given {path.name!r}")
    if look.ax is not None or look.figsize is not None or look.colors is not None:
        raise ValueError("a page takes cmap, title, caption, xlabel, ylabel and label, and no ax, figsize or colors")
    data = json.dumps(contents(ds, lengths, look, at), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    here = Path(__file__).parent
    shared = here.with_name("explorer")  # its style and charts, which need nothing else of it
    parts = {
        "TITLE": html.escape(look.titled(f"Loss of {heading(ds)}") or "A loss surface"),
        "STYLE": (shared / "page.css").read_text("utf-8"),
        "DATA": data,
        "SCRIPT": "\n".join(file.read_text("utf-8") for file in (shared / "charts.js", here / "slider.js")),
    }
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], (here / "slider.html").read_text("utf-8"))
    with whole(path) as file:
        file.write_text(text, "utf-8")


def contents(
    ds: xarray.Dataset, lengths: Iterable[float] | float | None, look: Look, at: dict[str, float]
) -> dict[str, object]:
    """What a page knows: the surface in steps of its scale, the scale and its colours, and what to say of it."""
    one, rest = panel(ds, "loss", at)
    data, note = thin(cut(one, "loss", choose(one, lengths, most=32), rest), 129)
    name = str(data.dims[0])
    if name and len(data) < one.sizes[name]:
        note = "; ".join(filter(None, (note, f"{name}s drawn: {len(data)} of {one.sizes[name]}")))
    norm = scale(data)
    low, high = bounds(norm)
    ends = f"drawn in 65,535 steps from {low:.4g} to {high:.4g}{' by ratio' if isinstance(norm, LogNorm) else ''}"
    names = dict(zip(data.dims[1:], (look.xlabel, look.ylabel), strict=True))
    return {
        "title": look.titled(f"Loss of {heading(ds)}"),
        "said": "; ".join(part for part in look.captioned([small(ds, data), note, ends]) if part),
        "along": str(data[name].attrs.get("long_name", name)) if name else "",
        "axes": [
            {"name": str(n), "label": own or label(data, str(n), math=False), "values": data[n].values.tolist()}
            for n, own in names.items()
        ],
        "moments": moments(data),
        "levels": base64.b64encode(steps(data.values, norm).astype("<u2").tobytes()).decode("ascii"),
        "low": low,
        "high": high,
        "log": isinstance(norm, LogNorm),
        "label": look.label or "mean loss",
        "table": look.colormap(LOSS)(np.arange(256) * 1.0 / 255, bytes=True)[:, :3].ravel().tolist(),
    }


def steps(values: "Float[np.ndarray, '*shape']", norm: Normalize) -> "Float[np.ndarray, '*shape']":
    """Where each value stands on the scale, 0 to 65,534; 65,535 for what is not finite.

    What lies beyond the scale, as a loss of zero below one of ratios, has its end.
    """
    low, high = bounds(norm)
    inside = np.clip(np.where(bad(values), low, values).astype(float), low, high)
    on = np.asarray(norm(inside.ravel())).reshape(values.shape)
    return np.where(bad(values), STEPS + 1, np.rint(STEPS * np.clip(on, 0, 1)))

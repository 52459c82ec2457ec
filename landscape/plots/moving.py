"""Figures that move over the length: a film, and a page with a slider."""

import io
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from landscape.plots.parts import LOSS, NONFINITE, bad, bounds, choose, cut, heading, label, scale, small, styled, thin
from landscape.plots.still import Surfaces, flat, rows_of, surface3d


@styled
def animation(
    surfaces: Surfaces,
    *paths: str | Path,
    lengths: Any = None,
    draw: Callable[..., Figure] = surface3d,
    seconds: float = 0.4,
    **settings: Any,
) -> None:
    """A film over the length, ``seconds`` a frame, as GIF or animated WebP by the suffix of each path.

    A frame is ``draw(surfaces, length, norm=one scale for all, **settings)`` at each of ``lengths``, by default all.
    """
    from PIL import Image

    targets = [Path(path) for path in paths]
    if wrong := [path for path in targets if path.suffix not in (".gif", ".webp")]:
        raise ValueError(f"an animation is written as .gif or .webp; given {wrong[0].name!r}")
    first = surfaces if isinstance(surfaces, xarray.Dataset) else next(iter(surfaces.values()))
    lengths = choose(first, lengths, most=first.sizes["length"])
    at = {name: value for name, value in settings.items() if name in first.dims}
    norm = settings.pop("norm", None) or scale(flat(rows_of(surfaces, "loss", lengths, None, at)))
    frames = []
    for length in lengths:
        file = io.BytesIO()
        draw(surfaces, length, norm=norm, **settings).savefig(file, format="png", dpi=130)
        frames.append(Image.open(file).convert("RGB"))
    times = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * max(seconds, 1.5))]
    for path in targets:
        path.parent.mkdir(parents=True, exist_ok=True)
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=times, loop=0)


def _traces(data: xarray.DataArray, low: float, high: float, floor: float) -> list[Any]:
    """The surface at one length, and its points that are not finite as dots on the floor."""
    import plotly.graph_objects as go

    x, y = (str(name) for name in data.dims)
    across, up = np.meshgrid(data[x], data[y], indexing="ij")
    lost = bad(data)
    surface = go.Surface(
        x=data[x].values,
        y=data[y].values,
        z=np.where(lost, np.nan, data.values).astype(np.float32).T,
        cmin=low,
        cmax=high,
        colorscale=LOSS,
        colorbar={"title": {"text": "mean loss"}, "len": 0.7},
        hovertemplate=f"{x} %{{x:.4g}}<br>{y} %{{y:.4g}}<br>loss %{{z:.4g}}<extra></extra>",
    )
    dots = go.Scatter3d(
        x=across[lost],
        y=up[lost],
        z=np.full(lost.sum(), floor),
        mode="markers",
        marker={"size": 2, "color": NONFINITE},
        name=f"inf or NaN: {lost.sum():,} of {lost.size:,} points",
        showlegend=bool(lost.any()),
    )
    return [surface, dots]


def interactive(ds: xarray.Dataset, path: str | Path, lengths: Any = None, **at: float) -> None:
    """One HTML file with the surface in 3-D and a slider over the length; it opens without a network.

    At most 129 points a side and 32 lengths are drawn, and the page says what was left out. Points that are inf or NaN
    are dots on the floor in a colour of their own. Needs plotly: ``pip install 'rnn-landscape[interactive]'``.
    """
    import plotly.graph_objects as go

    data, note = thin(cut(ds, "loss", choose(ds, lengths, most=32), at), 129)
    if data.sizes["length"] < ds.sizes["length"]:
        note = f"{note}; lengths drawn: {data.sizes['length']} of {ds.sizes['length']}".removeprefix("; ")
    low, high = bounds(scale(data))
    low = min(0.0, low)
    floor = low - 0.1 * (high - low)
    frames = [go.Frame(name=str(int(z["length"])), data=_traces(z, low, high, floor)) for z in data]
    move = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    steps = [{"label": frame.name, "method": "animate", "args": [[frame.name], move]} for frame in frames]
    said = "<br>".join(textwrap.wrap("; ".join(part for part in (small(ds, data), note) if part), 110))
    x, y = (label(data, str(name), math=False) for name in data.dims[1:])
    figure = go.Figure(data=frames[-1].data, frames=frames)
    figure.update_layout(
        title={"text": f"Loss of {heading(ds)}<br><sup>{said}</sup>"},
        scene={
            "xaxis": {"title": {"text": x}},
            "yaxis": {"title": {"text": y}},
            "zaxis": {"title": {"text": "mean loss"}, "range": [floor, high]},
            "camera": {"eye": {"x": 1.5, "y": 1.75, "z": 1.0}, "center": {"x": 0, "y": 0, "z": -0.2}},
        },
        margin={"l": 20, "r": 20, "t": 80, "b": 20},
        sliders=[{"steps": steps, "active": len(steps) - 1, "currentvalue": {"prefix": "length "}, "pad": {"t": 10}}],
        legend={"x": 0, "y": 1},
        template="plotly_white",
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(path, include_plotlyjs=True, auto_play=False, div_id="surface")

"""Cliffs form in SRNN, GRU and LSTM on latching, from the store of ``experiments/cliff_formation.py``.

python figures/cliff_formation.py [STORE] [FOLDER]
"""

from pathlib import Path

import xarray

from landscape import plots

CELLS = ("SRNN", "GRU", "LSTM")


def draw(store: str | Path = "results/cliff_formation", folder: str | Path = "results") -> dict[str, list[Path]]:
    """Draw every figure into ``folder``: the files, by what they show."""
    surfaces = {name: xarray.open_zarr(Path(store) / f"{name}.zarr", consolidated=False, chunks=None) for name in CELLS}
    lines = {}
    for name in CELLS:
        curve = xarray.open_zarr(Path(store) / f"{name}_boundary.zarr", consolidated=False, chunks=None)
        lines[name] = {curve.attrs["long_name"]: (curve.w.values, curve.b.values)}
    six = [length for length in (1, 2, 5, 10, 20, 100) if length in surfaces["SRNN"].length] or None

    def files(*ends: str) -> list[Path]:
        return [Path(folder) / f"cliff_formation{end}" for end in ends]

    shown = {
        "in every cell a bowl becomes a basin with a cliff around it": files(".png", ".pdf"),
        "the gradient gathers on the cliff, then slips between the points": files("_gradient.png", "_gradient.pdf"),
        "the SRNN's basin in 3-D at length 20": files("_3d.png", "_3d.pdf"),
        "the three cells side by side, length by length": files("_film.gif", "_film.webp"),
        "each surface to turn and zoom, with a slider over the length": files(*(f"_{name}.html" for name in CELLS)),
    }
    forms, steep, basin, film, sliders = shown.values()
    plots.save(plots.formation(surfaces, six, overlays=lines), *forms)
    plots.save(plots.gradient(surfaces, six), *steep)
    plots.save(plots.surface3d(surfaces["SRNN"], 20 if six else None), *basin)
    plots.animation(surfaces, *film, draw=plots.formation, overlays=lines)
    for name, slider in zip(CELLS, sliders, strict=True):
        plots.interactive(surfaces[name], slider)
    return shown


if __name__ == "__main__":
    plots.command(draw)

"""Cliffs form in SRNN, GRU and LSTM on latching, from the store of ``experiments/cliff_formation.py``.

python figures/cliff_formation.py [STORE] [FOLDER]
"""

import sys
from pathlib import Path

import xarray

from landscape import plots

CELLS = ("SRNN", "GRU", "LSTM")


def draw(store: str | Path = "results/cliff_formation", folder: str | Path = "results/cliff_formation") -> list[Path]:
    """Loss and gradient of the three cells by length, a film, and a page with a slider for each; the files written."""
    surfaces = {name: xarray.open_zarr(Path(store) / f"{name}.zarr", consolidated=False) for name in CELLS}
    lines = {}
    for name in CELLS:
        curve = xarray.open_zarr(Path(store) / f"{name} boundary.zarr", consolidated=False)
        lines[name] = {curve.attrs["long_name"]: (curve.w.values, curve.b.values)}
    at = Path(folder) / "cliff_formation"
    files = [at.with_name(at.name + end) for end in (".png", ".pdf", "_gradient.png", "_gradient.pdf")]
    films = [at.with_name(at.name + end) for end in ("_film.gif", "_film.webp")]
    pages = [at.with_name(f"{at.name}_{name}.html") for name in CELLS]
    six = [length for length in (1, 2, 5, 10, 20, 100) if length in surfaces["SRNN"].length] or None
    plots.save(plots.formation(surfaces, six, overlays=lines), *files[:2])
    plots.save(plots.gradient(surfaces, six), *files[2:])
    plots.animation(surfaces, *films, draw=plots.formation, overlays=lines)
    for name, page in zip(CELLS, pages, strict=True):
        plots.interactive(surfaces[name], page)
    return [*files, *films, *pages]


if __name__ == "__main__":
    print(*draw(*sys.argv[1:]), sep="\n")

"""The wall of Pascanu et al. (2013), fig. 6, from the store of ``experiments/pascanu_fig6.py``.

python figures/pascanu_fig6.py [STORE] [FOLDER]
"""

from pathlib import Path

import xarray

from landscape import plots


def draw(store: str | Path = "results/pascanu_fig6", folder: str | Path = "results") -> dict[str, list[Path]]:
    """Draw every figure into ``folder``: the files, by what they show."""
    ds, cliff = (
        xarray.open_zarr(Path(store) / f"{name}.zarr", consolidated=False, chunks=None) for name in ("surface", "cliff")
    )
    line = {cliff.b.attrs["long_name"]: (cliff.w.values, cliff.b.values)}
    four = [length for length in (5, 10, 20, 50) if length in ds.length] or None

    def files(*ends: str) -> list[Path]:
        return [Path(folder) / f"pascanu_fig6{end}" for end in ends]

    shown = {
        "the wall in 3-D, and the line on which a closed form puts it": files(".png", ".pdf"),
        "a gentle slope becomes a wall as the sequence grows": files("_formation.png", "_formation.pdf"),
        "the gradient on the wall grows until the grid sees only splinters of it": files(
            "_gradient.png", "_gradient.pdf"
        ),
        "the loss across the wall, nearest to w = 5": files("_cut.png", "_cut.pdf"),
        "the wall rising, length by length": files("_film.gif", "_film.webp"),
        "the surface to turn and zoom, with a slider over the length": files("_slider.html"),
    }
    wall, forms, steep, cut, film, slider = shown.values()
    plots.save(plots.surface3d(ds, overlays=line), *wall)
    plots.save(plots.formation(ds, four, overlays=line), *forms)
    plots.save(plots.gradient(ds, four), *steep)
    plots.save(plots.profile(ds, "b", at={"w": 5.0}), *cut)
    plots.animation(ds.isel(w=slice(None, None, 2), b=slice(None, None, 2)), *film)
    for page in slider:
        plots.interactive(ds, page)
    return shown


if __name__ == "__main__":
    plots.command(draw)

"""The wall of Pascanu et al. (2013), fig. 6, from the store of ``experiments/pascanu_fig6.py``.

python figures/pascanu_fig6.py [STORE] [FOLDER]
"""

import sys
from pathlib import Path

import xarray

from landscape import plots


def draw(store: str | Path = "results/pascanu_fig6", folder: str | Path = "results/pascanu_fig6") -> list[Path]:
    """The wall in 3-D, its formation, its gradient, a cut, a film and a page with a slider; the files written."""
    ds, cliff = (xarray.open_zarr(Path(store) / f"{name}.zarr", consolidated=False) for name in ("surface", "cliff"))
    at = Path(folder) / "pascanu_fig6"
    files = {
        name: [at.with_name(f"{at.name}{name}.{suffix}") for suffix in suffixes]
        for name, suffixes in {
            "": ("png", "pdf"),
            "_formation": ("png", "pdf"),
            "_gradient": ("png", "pdf"),
            "_cut": ("png", "pdf"),
            "_film": ("gif", "webp"),
            "_slider": ("html",),
        }.items()
    }
    line = {cliff.b.attrs["long_name"]: (cliff.w.values, cliff.b.values)}
    four = [length for length in (2, 5, 10, 20, 50) if length in ds.length][-4:] or None
    plots.save(plots.surface3d(ds, overlays=line), *files[""])
    plots.save(plots.formation(ds, four, overlays=line), *files["_formation"])
    plots.save(plots.gradient(ds, four), *files["_gradient"])
    plots.save(plots.profile(ds, "b", at={"w": 5.0}), *files["_cut"])
    plots.animation(ds.isel(w=slice(None, None, 2), b=slice(None, None, 2)), *files["_film"], overlays=line)
    plots.interactive(ds, *files["_slider"])
    return [file for group in files.values() for file in group]


if __name__ == "__main__":
    print(*draw(*sys.argv[1:]), sep="\n")

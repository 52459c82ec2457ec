"""The published latching figure and its repair, from the store of ``experiments/latching.py``.

python figures/latching.py [STORE] [FOLDER]
"""

from pathlib import Path

import xarray

from landscape import plots

TITLES = {
    "published": "validated on one class, as published",
    "corrected": "validated on both classes",
}


def draw(store: str | Path = "results/latching.zarr", folder: str | Path = "results") -> dict[str, list[Path]]:
    """Draw every figure into ``folder``: the files, by what they show."""
    ds = xarray.open_zarr(store, group="results", consolidated=False).load()
    ds = ds.assign_coords(cell=[str(cell).removeprefix("Hard") for cell in ds.cell.values])
    panels = {TITLES[str(name)]: ds.sel(protocol=name) for name in ds.protocol.values}
    shown = {
        "success falls with the length, first in gated cells; validated on one class, a failure scores 0 and not 1/2": [
            Path(folder) / f"latching{end}" for end in (".png", ".pdf")
        ]
    }
    note = (
        "One unit, Keras 2.1.5 starts and hard gates, 10,000 sequences with noise 0.1, Adam at 0.001, batches of 16, "
        "5 epochs."
    )
    (files,) = shown.values()
    plots.save(plots.training(panels, title="Success of training one unit to keep a bit", note=note), *files)
    return shown


if __name__ == "__main__":
    plots.command(draw)

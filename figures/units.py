"""Success against the number of units, from the store of ``experiments/units.py``.

python figures/units.py [STORE] [FOLDER]
"""

from pathlib import Path

import xarray

from landscape import plots


def draw(store: str | Path = "results/units.zarr", folder: str | Path = "results") -> dict[str, list[Path]]:
    """Draw every figure into ``folder``: the files, by what they show."""
    ds = xarray.open_zarr(store, group="results", consolidated=False).load()
    ds = ds.assign_coords(cell=[str(cell).removeprefix("Hard") for cell in ds.cell.values])
    names = {"latch": "keep a bit", "relay": "relay a bit"}
    panels = {names[str(task)]: ds.sel(task=task) for task in ds.task.values}
    shown = {
        "more units help every cell to keep a bit; relaying it is a matter of the rate too": [
            Path(folder) / f"units{end}" for end in (".png", ".pdf")
        ]
    }
    note = (
        "Length 20, Keras 2.1.5 starts and hard gates, 2,000 sequences with noise 0.1, Adam at 0.003, batches of 16, "
        "10 epochs."
    )
    (files,) = shown.values()
    plots.save(plots.training(panels, "units", scale="log", title="Success of training layers", note=note), *files)
    return shown


if __name__ == "__main__":
    plots.command(draw)

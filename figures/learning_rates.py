"""The ranking of cells against the learning rate, from the store of ``experiments/learning_rates.py``.

python figures/learning_rates.py [STORE] [FOLDER]
"""

from pathlib import Path

import xarray

from landscape import plots


def draw(store: str | Path = "results/learning_rates.zarr", folder: str | Path = "results") -> dict[str, list[Path]]:
    """Draw every figure into ``folder``: the files, by what they show."""
    ds = xarray.open_zarr(store, group="results", consolidated=False).load()
    ds = ds.assign_coords(cell=[str(cell).removeprefix("Hard") for cell in ds.cell.values])
    names = {"latch": "keep a bit, 1 unit", "relay": "relay a bit, 8 units"}
    panels = {
        f"{names[str(task)]}, length {length}": ds.sel(length=length).isel(task=i)
        for i, task in enumerate(ds.task.values)
        for length in ds.length.values
    }
    shown = {
        "which cell is best depends on the learning rate, on both tasks": [
            Path(folder) / f"learning_rates{end}" for end in (".png", ".pdf")
        ]
    }
    note = (
        "Keras 2.1.5 starts and hard gates, 10,000 sequences with noise 0.1, Adam, batches of 100, 20 epochs; "
        "the same starts, data and order at every rate."
    )
    (files,) = shown.values()
    plots.save(
        plots.training(panels, "rate", scale="log", title="The best cell depends on the learning rate", note=note),
        *files,
    )
    plots.indexed(files[0])
    return shown


if __name__ == "__main__":
    plots.command(draw)

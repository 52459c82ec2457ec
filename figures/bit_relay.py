"""Success at relaying a bit against the length, from the store of ``experiments/bit_relay.py``.

python figures/bit_relay.py [STORE] [FOLDER]
"""

from pathlib import Path

import xarray

from landscape import plots


def draw(store: str | Path = "results/bit_relay.zarr", folder: str | Path = "results") -> dict[str, list[Path]]:
    """Draw every figure into ``folder``: the files, by what they show."""
    ds = xarray.open_zarr(store, group="results", consolidated=False).load()
    ds = ds.assign_coords(cell=[str(cell).removeprefix("Hard") for cell in ds.cell.values])
    panels = {"relay a bit, 8 units": ds}
    shown = {
        "at the usual rate the simple cell relays a bit farthest": [
            Path(folder) / f"bit_relay{end}" for end in (".png", ".pdf")
        ]
    }
    note = (
        "Keras 2.1.5 starts and hard gates, 10,000 sequences with noise 0.1, Adam at 0.001, batches of 16, 10 epochs."
    )
    (files,) = shown.values()
    plots.save(plots.training(panels, title="Success of training 8 units to relay a bit", note=note), *files)
    return shown


if __name__ == "__main__":
    plots.command(draw)

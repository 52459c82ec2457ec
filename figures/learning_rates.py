"""The ranking of cells against the learning rate, from the store of ``experiments/learning_rates.py``.

python figures/learning_rates.py [STORE] [FOLDER]
"""

import xarray
from matplotlib.figure import Figure

from landscape import plots

NAMES = {"latch": "keep a bit, 1 unit", "relay": "relay a bit, 8 units"}


def page(ds: xarray.Dataset) -> Figure:
    """A column for each task and length."""
    panels = {
        f"{NAMES[str(task)]}, length {length}": plots.short(ds).sel(length=length).isel(task=i)
        for i, task in enumerate(ds.task.values)
        for length in ds.length.values
    }
    note = (
        "Keras 2.1.5 starts and hard gates, 10,000 sequences with noise 0.1, Adam, batches of 100, 20 epochs; "
        "the same starts, data and order at every rate. Runs of one length share their data."
    )
    return plots.training(panels, "rate", scale="log", title="The best cell depends on the learning rate", note=note)


draw = plots.drawing(__file__, page, "which cell is best depends on the learning rate, on both tasks")

if __name__ == "__main__":
    plots.command(draw)

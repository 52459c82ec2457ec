"""Success against the number of units, from the store of ``experiments/units.py``.

python figures/units.py [STORE] [FOLDER]
"""

import xarray
from matplotlib.figure import Figure

from landscape import plots

SHOWS = "More units help every cell to keep a bit; relaying it is a matter of the rate too"
NAMES = {"latch": "keep a bit", "relay": "relay a bit"}


def page(ds: xarray.Dataset) -> Figure:
    """A column for each task."""
    panels = {NAMES[str(task)]: plots.short(ds).sel(task=task) for task in ds.task.values}
    note = (
        "Length 20, Keras 2.1.5 starts and hard gates, 2,000 sequences with noise 0.1, Adam at 0.003, batches of 16, "
        "10 epochs. Runs of one size share their data."
    )
    return plots.training(panels, "units", scale="log", title=SHOWS, note=note)


draw = plots.drawing(__file__, page, SHOWS)

if __name__ == "__main__":
    plots.command(draw)

"""The published latching figure and its repair, from the store of ``experiments/latching.py``.

python figures/latching.py [STORE] [FOLDER]
"""

import xarray
from matplotlib.figure import Figure

from landscape import plots

TITLES = {
    "published": "validated on one class, as published",
    "corrected": "validated on both classes",
}
SHOWS = "success falls with the length, first in gated cells; validated on one class, a failure scores 0 and not 1/2"


def page(ds: xarray.Dataset) -> Figure:
    """A column for each protocol."""
    panels = {TITLES[str(name)]: plots.short(ds).sel(protocol=name) for name in ds.protocol.values}
    note = (
        "One unit, Keras 2.1.5 starts and hard gates, 10,000 sequences with noise 0.1, Adam at 0.001, batches of 16, "
        "5 epochs."
    )
    return plots.training(panels, title="Success of training one unit to keep a bit", note=note)


draw = plots.drawing(__file__, page, SHOWS)

if __name__ == "__main__":
    plots.command(draw)

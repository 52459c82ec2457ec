"""Success at relaying a bit against the length, from the store of ``experiments/bit_relay.py``.

python figures/bit_relay.py [STORE] [FOLDER]
"""

import xarray
from matplotlib.figure import Figure

from landscape import plots

SHOWS = "At a rate of .001 the vanilla RNN relays a bit farthest"


def page(ds: xarray.Dataset) -> Figure:
    """Success of each cell against the length."""
    note = (
        "Keras 2.1.5 starts and hard gates, 10,000 sequences with noise 0.1, Adam at 0.001, batches of 16, 10 epochs. "
        "Runs of one length share their data. The asker's own points (8 units, 10 runs each) are a picture without "
        "numbers or a rate, so none is overlaid. In it the GRU relays and the other two fail alike; at this rate it is "
        "the other way round, at .1 as he says."
    )
    panels = {"relay a bit, 8 units": plots.short(ds)}
    return plots.training(panels, title=SHOWS, note=note)


draw = plots.drawing(__file__, page, SHOWS)

if __name__ == "__main__":
    plots.command(draw)

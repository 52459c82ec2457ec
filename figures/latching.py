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


def title(ds: xarray.Dataset, at: int = 50) -> str:
    """What the figure shows, in numbers from the data, at the length nearest to ``at``."""
    there = plots.short(ds).sel(protocol="corrected").sel(length=at, method="nearest")
    learn = ", ".join(f"{float((there.accuracy.sel(cell=c) > 0.99).mean()):.0%} of {c}" for c in there.cell.values)
    return f"One unit keeps a bit less often the longer it must, gated cells least: at T = {int(there.length)}, {learn}"


def page(ds: xarray.Dataset) -> Figure:
    """A column for each protocol."""
    panels = {TITLES[str(name)]: plots.short(ds).sel(protocol=name) for name in ds.protocol.values}
    note = (
        "One unit, Keras 2.1.5 starts and hard gates, 10,000 sequences with noise 0.1, Adam at 0.001, batches of 16, "
        "5 epochs. Runs of a length share one data set, as published, so that bands are somewhat too narrow."
    )
    return plots.training(panels, title=title(ds), note=note)


def shows(ds: xarray.Dataset) -> str:
    """The finding, and what the published protocol does to it."""
    return f"{title(ds)}; validated on one class, a failure scores 0 and not 1/2"


draw = plots.drawing(__file__, page, shows)

if __name__ == "__main__":
    plots.command(draw)

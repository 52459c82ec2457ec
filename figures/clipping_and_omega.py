"""What clipping and Omega add to gradient descent, from the store of ``experiments/clipping_and_omega.py``.

python figures/clipping_and_omega.py [STORE] [FOLDER]

Caption: Success at temporal order against the length, after Pascanu et al. (2013), fig. 7: plain gradient descent fails
first, then clipped descent, then clipped descent with the regulariser Omega.
"""

import xarray
from matplotlib.figure import Figure

from landscape import plots


def page(ds: xarray.Dataset) -> Figure:
    """Success of each rule against the length."""
    about = ds.attrs
    note = (
        f"{about['units']} tanh units, SGD at {about['rate']:g}, batches of 20, {about['epochs']} epochs of 80 % of "
        f"{about['count']:,} sequences; clipped to a norm of {about['clip']:g}, Omega with weight {about['weight']:g}. "
        "A run succeeds if at most 1 % of the other sequences are wrong."
    )
    title = "Clipping helps SGD, Omega more"
    short = [str(rule).removeprefix("SGD, ").replace(",", " +") for rule in ds.rule.values]
    panels = {f"{about['task'].replace('_', ' ')}, {about['units']} units": ds.assign_coords(rule=short)}
    return plots.training(panels, lines="rule", above=0.9899, title=title, note=note)


draw = plots.drawing(
    __file__,
    page,
    "plain descent fails first, clipped descent later, and with Omega last",
    store="results/clipping_and_omega/temporal_order/rules.zarr",
)

if __name__ == "__main__":
    plots.command(draw)

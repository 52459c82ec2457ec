"""Success over learning rate and fading of the start at several lengths, from ``experiments/success_surface.py``.

    python figures/success_surface.py [STORE] [FOLDER]

The share of runs that learn, over rate and the e-folds x = T |ln |w|| that the start loses, and where learning ends.
Two seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.curves import inks
from landscape.plots.parts import headed


def title(ds: xarray.Dataset) -> str:
    """The finding, from the numbers: where the least rate ends, and what the largest finds of the most faded."""
    x = ds.fading * ds.length
    last, faded = float(x.where(ds.share.isel(rate=0) > 0).max()), ds.share.isel(rate=-1).where(x > x.max("fading") / 2)
    low, high = (100 * float(end) for end in (faded.min(), faded.max()))
    least, most = (f"{float(ds.rate[i]):g}" for i in (0, -1))
    return f"Rate {least}: a bit may fade by {last:.0f} e-folds; {most}: {low:.0f} to {high:.0f} % learn the most faded"


def page(ds: xarray.Dataset) -> Figure:
    """A surface for each length, and the cuts of all of them against the rate."""
    rows = -(-ds.sizes["length"] // 2)
    made = Figure(figsize=(7.2, 1.6 + 1.5 * rows), layout="constrained")
    panels = made.subplots(rows, 3, gridspec_kw={"width_ratios": (1, 1, 1.25)}, squeeze=False)
    surfaces, law = panels[:, :2].ravel(), made.add_subplot(panels[0, 2].get_gridspec()[:, 2])
    for ax in (*panels[:, 2], *surfaces[ds.sizes["length"] :]):
        ax.remove()
    for ax, length, (ink, mark) in zip(surfaces, ds.length.values, inks(None), strict=False):
        one = ds.sel(length=length)
        drawn = ax.pcolormesh(
            ds.rate, length * ds.fading, one.share.T, cmap="viridis", vmin=0, vmax=1, shading="nearest"
        )
        value, low, high = (one.cut.sel(end=end).values for end in ("value", "low", "high"))
        top = length * float(ds.fading[-1])
        ends = np.clip([value - low, np.where(np.isinf(high), top, high) - value], 0, None)
        ax.errorbar(ds.rate, value, ends, fmt=".", color="white", markersize=4, linewidth=1)
        ax.set(xscale="log", yscale="log", title=f"T = {length}")
        known = np.isfinite(high)
        law.errorbar(
            ds.rate[known], value[known], ends[:, known], color=ink, marker=mark, markersize=4, linewidth=1, capsize=2,
            label=f"T = {length}",
        )  # fmt: skip
        law.plot(ds.rate[~known], low[~known], "^", color=ink, markersize=5, fillstyle="none")
    for ax in panels[-1, :2]:
        ax.set_xlabel("learning rate of Adam")
    for ax in panels[:, 0]:
        ax.set_ylabel("e-folds lost, x = T |ln |w||")
    law.set(xscale="log", yscale="log", xlabel="learning rate of Adam", ylabel="learnt up to x")
    law.legend()
    law.grid(alpha=0.4, which="both")
    made.colorbar(
        drawn,
        ax=surfaces[: ds.sizes["length"]].tolist(),
        label="share of runs that learn",
        location="bottom",
        aspect=50,
    )
    runs = ds.sizes["rate"] * ds.sizes["fading"] * ds.sizes["length"] * ds.attrs["repeats"]
    note = (
        f"One SRNN on latch, noise 0.1, {ds.attrs['count']:,} sequences a run, five epochs in batches of 16; {runs:,} "
        f"runs, {ds.attrs['repeats']} a cell, each with data of its own; learnt: accuracy above .95. Dots: up to which "
        "x runs learn whose readout has the right sign, 95 % intervals over seeds; triangles: at least."
    )
    headed(made, title(ds), [note])
    return made


draw = plots.drawing(__file__, page, "how faded a memory training finds, over learning rate and length")

if __name__ == "__main__":
    plots.command(draw)

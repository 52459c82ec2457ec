"""The volume of solutions against the length, from the store of ``experiments/guessing.py``.

python figures/guessing.py [STORE] [FOLDER]
"""

import json

import xarray
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.curves import AXES, LINES


def volumes(ds: xarray.Dataset) -> Figure:
    """A panel for each way to draw weights: the share of cells that keep the bit, with Wilson intervals."""
    settings = json.loads(ds.attrs["settings"])
    figure = Figure(figsize=(9.2, 2.9), layout="constrained")
    panels = figure.subplots(1, ds.sizes["draw"], sharey=True)
    for ax, draw in zip(panels, ds.draw.values, strict=True):
        for (colour, mark), cell in zip(LINES, ds.cell.values, strict=False):
            curve = ds.sel(draw=draw, cell=cell)
            name = str(cell).removeprefix("Hard")
            ax.plot(ds.length, curve.volume, color=colour, marker=mark, markersize=3, label=name)
            ax.fill_between(ds.length, curve.low, curve.high, color=colour, alpha=0.25, linewidth=0)
        ax.set(title=f"weights: {draw}", xscale="log", xlabel=AXES["length"])
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    panels[0].set(ylabel="share of random cells\nthat keep the bit")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3)
    figure.suptitle("Volume of the solutions of keeping a bit", x=0.02, ha="left", fontsize=9, fontweight="bold")
    note = (
        f"One unit with hard gates; {settings['tried']:,} draws of all its weights each. A cell keeps the bit "
        f"if a threshold on h tells the classes apart in all of {settings['count']} sequences with "
        f"noise {settings['noise']}."
    )
    figure.supxlabel(note, x=0.02, ha="left", fontsize=6.5)
    return figure


draw = plots.drawing(
    __file__, volumes, "every cell has solutions, and the weights that Keras starts from are none for long"
)

if __name__ == "__main__":
    plots.command(draw)

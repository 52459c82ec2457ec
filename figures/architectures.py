"""The architectures of 2015 at one size, from the store of ``experiments/architectures.py``.

    python figures/architectures.py [STORE] [FOLDER]

Above, how often each cell foretells the next symbol of sums, tags and a text, at its best rate. Below, what trained
networks keep: exponents along sums and with one letter read for ever, and in how many different places they end then.
Two seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed

TITLES = {"arithmetic": "sums among letters", "xml": "tags", "text": "a text"}
FAMILIES = {"LSTM": LINES[2], "GRU": LINES[1], "MUT": LINES[3], "tanh": LINES[0]}
OWN = LINES[4]  # a user's cell


def style(cell: str) -> tuple[str, str]:
    """Colour and mark of a cell's family."""
    return next((ink for family, ink in FAMILIES.items() if cell.startswith(family)), OWN)


def right(ax, one: xarray.Dataset, named: bool) -> None:
    """Right answers of each cell, a row for each."""
    for y, cell in enumerate(map(str, one.cell.values)):
        here, (ink, mark) = one.sel(cell=cell), style(cell)
        reach = [[float(here.best - here.low)], [float(here.high - here.best)]]
        ax.errorbar(float(here.best), y, xerr=reach, color=ink, marker=mark, markersize=3, elinewidth=1, capsize=2)
    ax.set(ylim=(one.sizes["cell"] - 0.5, -0.5), yticks=range(one.sizes["cell"]), xlabel="right next symbols (share)")
    ax.set_yticklabels(map(str, one.cell.values) if named else [])


def kept(axes, one: xarray.Dataset) -> None:
    """Exponents and ends of the networks that were looked at, a mark for each."""
    there = [str(cell) for cell in one.cell.values if np.isfinite(one.ends.sel(cell=cell)).any()]
    for y, cell in enumerate(there):
        here, (ink, mark) = one.sel(cell=cell), style(cell)
        lift = y + np.linspace(-0.2, 0.2, one.sizes["seed"])
        axes[0].plot(here.lyapunov, lift, mark, color=ink, markersize=4)
        axes[0].plot(here.resting, lift, mark, color=ink, markersize=4, markerfacecolor="none")
        axes[1].plot(here.ends, lift, mark, color=ink, markersize=4)
    axes[0].axvline(0, color="0.3", linewidth=0.7)
    axes[1].axvline(1, color="0.3", linewidth=0.7)
    for ax, names in zip(axes, (there, []), strict=True):
        ax.set(ylim=(len(there) - 0.5, -0.5), yticks=range(len(there)))
        ax.set_yticklabels(names or [""] * len(there))
    axes[0].set(xlabel="largest exponent a step")
    axes[1].set(xlabel="different ends of 24 states")


def title(found: xarray.Dataset) -> str:
    """The finding, from the verdicts and the numbers of the first task."""
    one = found.isel(kind=0)
    order = [str(found.cell.values[k]) for k in np.argsort(-one.best.values, kind="stable")]
    tell = lambda cell: f"{cell} {float(one.best.sel(cell=cell)):.0%}"  # noqa: E731
    return f"{tell(order[0])} right on {TITLES[str(one.kind.item())]}, {tell(order[-1])}; {memory(found)}"


def memory(found: xarray.Dataset) -> str:
    """What the networks say of an LSTM's memory."""
    said = {claim: verdict for claim, verdict, _ in found.attrs["claims"]}.get("an LSTM's memory is no attractor")
    return {"held": "left alone, an LSTM forgets", "refuted": "an LSTM latches"}.get(
        said, "whether an LSTM latches is not decided"
    )


def page(found: xarray.Dataset) -> Figure:
    """Right answers above, a panel for each task; exponents and ends below."""
    made = Figure(figsize=(7.2, 5.6), layout="constrained")
    above, below = made.subfigures(2, 1, height_ratios=(1.5, 1))
    tops = above.subplots(1, found.sizes["kind"], squeeze=False)[0]
    for k, (ax, kind) in enumerate(zip(tops, map(str, found.kind.values), strict=True)):
        right(ax, found.sel(kind=kind), k == 0)
        ax.set_title(f"{'abc'[k]}  {TITLES[kind]}", loc="left")
    lows = below.subplots(1, 2)
    if "arithmetic" in found.kind:
        kept(lows, found.sel(kind="arithmetic"))
    lows[0].set_title("d  along sums (filled), one letter for ever (open)", loc="left")
    lows[1].set_title("e  where one letter for ever leads", loc="left")
    for ax in (*tops, *lows):
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    about = found.attrs
    note = (
        f"Sums of two digits, 10 steps; tags, 30; {about['text'] or 'source of the Python library'}, 40: next symbols "
        f"foretold by layers with as many parameters as an LSTM of {about['units']} units; LSTM-b: forget bias 1 or 2, "
        f"-f, -i, -o: that gate left open. Adam, best of {len(about['rates'])} rates by validation, "
        f"{about['repeats']} repeats each; bars: Student's 95 % of the mean. d, e: trained on sums, a mark for each "
        "network; 24 states that it visits read the letter a 1,000 times; ends differ by .1 in some unit's mean."
    )
    families = {"tanh": "tanh", "LSTM": "LSTM", "GRU": "GRU", "MUT": "mutants"}
    handles = [
        Line2D([], [], color=FAMILIES[f][0], marker=FAMILIES[f][1], markersize=3, linestyle="", label=name)
        for f, name in families.items()
    ]
    headed(made, title(found), [note], handles, columns=4)
    return made


draw = plots.drawing(
    __file__, page, "which recurrent architecture learns, and where it ends", store="results/architectures/found.zarr"
)

if __name__ == "__main__":
    plots.command(draw)

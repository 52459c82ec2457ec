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
from matplotlib.ticker import MaxNLocator

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed

TITLES = {"arithmetic": "sums", "xml": "tags", "text": "a text"}
FAMILIES = {"LSTM": LINES[2], "GRU": LINES[1], "MUT": LINES[3], "tanh": LINES[0]}
OWN = LINES[4]  # a user's cell


def family(cell: str) -> str:
    """What a cell is a variant of; nothing if it is a user's."""
    return next((name for name in FAMILIES if str(cell).startswith(name)), "")


def style(cell: str) -> tuple[str, str]:
    """Colour and mark of a cell's family."""
    return FAMILIES.get(family(cell), OWN)


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
    axes[0].xaxis.set_major_locator(MaxNLocator(4))
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
        said, "whether an LSTM latches is open"
    )


def panels(made: Figure, kinds: int) -> list:
    """Axes of the tasks and two more: in one row if there is one task, else in two."""
    if kinds == 1:
        return list(made.subplots(1, 3))
    above, below = made.subfigures(2, 1, height_ratios=(1.5, 1))
    return [*above.subplots(1, kinds), *below.subplots(1, 2)]


def page(found: xarray.Dataset) -> Figure:
    """Right answers, a panel for each task; exponents and ends."""
    kinds = [str(kind) for kind in found.kind.values]
    made = Figure(figsize=(7.2, 5.6 if len(kinds) > 1 else 3.9), layout="constrained")
    axes = panels(made, len(kinds))
    for k, (ax, kind) in enumerate(zip(axes, kinds, strict=False)):
        right(ax, found.sel(kind=kind), k == 0)
    if "arithmetic" in kinds:
        kept(axes[-2:], found.sel(kind="arithmetic"))
    about = [*(TITLES[kind] for kind in kinds), "sums filled, one letter open", "one letter for ever"]
    for letter, ax, words in zip("abcde", axes, about, strict=False):
        ax.set_title(f"{letter}  {words}", loc="left")
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    there = {name: ink for name, ink in FAMILIES.items() if name in map(family, found.cell.values)}
    handles = [
        Line2D([], [], color=ink, marker=mark, markersize=3, linestyle="", label=name)
        for name, (ink, mark) in there.items()
    ]
    headed(made, title(found), [note(found, kinds)], handles, columns=4)
    return made


def note(found: xarray.Dataset, kinds: list[str]) -> str:
    """Tasks, cells, sizes, and what the marks and bars are."""
    about, first, last = found.attrs, "abcde"[len(kinds)], "abcde"[len(kinds) + 1]
    told = {"arithmetic": "sums of two digits among letters, 10 steps", "xml": "tags, 30 steps"}
    told["text"] = f"{about['text'] or 'source of the Python library'}, 40 steps"
    one = ", the one task of this run" if len(kinds) == 1 else ""
    return (
        f"Next symbols of {'; '.join(told[kind] for kind in kinds)}{one}, foretold by layers with as many parameters "
        f"as an LSTM of {about['units']} units. LSTM: forget bias 0; LSTM-b: 1 or 2; -f, -i, -o: that gate left open. "
        f"Adam, best of {len(about['rates'])} rates by validation, {about['repeats']} repeats each, sums and tags with "
        f"data of their own; bars: Student's 95 % of the mean. {first}, {last}: trained on sums, a mark for each "
        f"network. {first}: Lyapunov exponents. {last}: 24 states that a network visits read the letter a 1,000 times; "
        "ends are different where means over the last 500 steps differ by .1 in some unit."
    )


draw = plots.drawing(
    __file__, page, "which recurrent architecture learns, and where it ends", store="results/architectures/found.zarr"
)

if __name__ == "__main__":
    plots.command(draw)

"""Mutants of LSTM and GRU, from the store of ``experiments/mutants.py``: does the untrained cell say what will learn?

    python figures/mutants.py [STORE] [FOLDER]

A row for each task of the halving, a column for each number that was read off the cell before training; every mutant
that was trained there is a mark, and known cells stand beside. Two seconds.
"""

import collections

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed

AXES = {
    "origin": "multiplier of the origin",
    "gradient": "gradient's growth with lag",
    "lyapunov": "Lyapunov exponent",
}
NAMES = {"memorise": "memorisation", "arithmetic": "arithmetic", "xml": "XML"}
LEAST = -3.0  # what passes less, or nothing, is drawn here


def scatter(ax, found: xarray.Dataset, feature: str) -> None:
    """What was learned against one feature: mutants by their parent, known cells."""
    x = np.maximum(np.nan_to_num(found[feature].values, nan=np.nan, neginf=LEAST), LEAST)
    family = np.array([str(name).startswith("LSTM") for name in found.cell.values])
    mutant = found.mutant.values.astype(bool)
    for (ink, mark), own in zip(LINES, (mutant & family, mutant & ~family), strict=False):
        ax.plot(x[own], found.score.values[own], mark, color=ink, markersize=2.5, alpha=0.6, markeredgewidth=0)
    ax.plot(x[~mutant], found.score.values[~mutant], "*", color="black", markersize=8, markeredgecolor="white")
    one = found.sel(feature=feature)
    sure = "bold" if one.holm < 0.05 else "normal"
    ax.set_title(f"{one['rank']:+.2f} ({one.low:+.2f} to {one.high:+.2f})", loc="left", fontweight=sure)
    ax.grid(alpha=0.4)
    ax.spines[["top", "right"]].set_visible(False)


def verdict(found: xarray.Dataset, task: str) -> str:
    """What of the start goes with what is learned on a task, in words."""
    short = {"origin": "multiplier", "gradient": "gradient", "lyapunov": "exponent"}
    one = found.sel(task=task)
    signs = {f: np.sign(one["rank"].sel(feature=f)) for f in short if one.holm.sel(feature=f) < 0.05}
    sides = {side: [short[f] for f in signs if signs[f] == sign] for side, sign in {"large": 1, "small": -1}.items()}
    words = [f"a {side} {', '.join(names)}" for side, names in sides.items() if names]
    return f"on {NAMES[task]}, {' and '.join(words) if words else 'nothing'}"


def title(found: xarray.Dataset) -> str:
    """The finding, from the numbers."""
    return "What foretells learning: " + "; ".join(verdict(found, t) for t in map(str, found.task.values))


def fates(found: xarray.Dataset) -> str:
    """What became of the mutants, in words."""
    counts = collections.Counter(found.fate.values[found.mutant.values.astype(bool)].tolist())
    last = {name: counts.pop(name, 0) for name in map(str, found.task.values)}
    lost = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    kept = ", ".join(f"{count} trained up to {NAMES[name]}" for name, count in last.items())
    return f"{kept}" + f"; dropped: {lost}" * bool(lost)


def page(found: xarray.Dataset) -> Figure:
    """Nine panels: task by feature."""
    made = Figure(figsize=(7.2, 6.6), layout="constrained")
    axes = made.subplots(found.sizes["task"], len(AXES), sharex="col", sharey="row", squeeze=False)
    for row, task in zip(axes, map(str, found.task.values), strict=True):
        one = found.sel(task=task)
        for ax, feature in zip(row, AXES, strict=True):
            scatter(ax, one, feature)
        own = one.mutant.values.astype(bool) & np.isfinite(one.score.values)
        row[0].set_ylabel(f"{NAMES[task]}\nlearned, {int(own.sum())} mutants")
    for ax, words in zip(axes[-1], AXES.values(), strict=True):
        ax.set_xlabel(words)
    (blue, dot), (red, square) = LINES[:2]
    style = {"markersize": 4, "linestyle": ""}
    handles = [
        Line2D([], [], color=blue, marker=dot, label="mutant of the LSTM", **style),
        Line2D([], [], color=red, marker=square, label="mutant of the GRU", **style),
        Line2D([], [], color="black", marker="*", label="LSTM, GRU, MUT1 to 3", **style),
    ]
    about = found.attrs
    note = (
        f"{int(found.mutant.sum())} mutants, {fates(found)}. Layers of {about['units']} units, T = 16, "
        f"{about['updates']} updates of Adam on 16 fresh episodes, mean of {about['starts']} starts at the better of "
        f"{len(np.atleast_1d(about['rates']))} rates; learned: what is lost of the loss of the best blind guess. "
        "Above: Spearman's correlation over mutants with its bootstrapped interval of 95 %, bold if p < .05 by "
        f"permutations with Holm's correction over {found.sizes['task'] * len(AXES)}. Growth and exponent in nats a "
        f"step; what is below {LEAST:g}, or lets nothing pass, stands there."
    )
    headed(made, title(found), [note], handles, columns=3)
    return made


draw = plots.drawing(
    __file__, page, "whether the untrained cell says which mutant learns", store="results/mutants/found.zarr"
)

if __name__ == "__main__":
    plots.command(draw)

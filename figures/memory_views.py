"""What networks remember and how they forget noise, from the result of ``experiments/memory_views.py``.

    python figures/memory_views.py [STORE] [FOLDER]

Values of memories; units that respond to a character; how paths of the memory turn; the distance to the undisturbed
state after a burst beside the largest Lyapunov exponent; the whole spectrum; gates that hold beside eigenvalues near 1.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed

FROM = 12  # the step after the burst through which the line of the exponent is drawn


def title(ds: xarray.Dataset) -> str:
    """How soon each is back, in numbers."""
    mean = ds.steps.mean("episode")
    each = ", ".join(f"{cell} {float(mean.sel(cell=cell)):.0f}" for cell in map(str, ds.cell.values))
    return f"Back within a tenth after {each} steps"


def recovery(ax, ds: xarray.Dataset, inks: dict) -> None:
    """D by step, and the slope that the largest exponent says."""
    t = ds.time.values if "time" in ds.coords else np.arange(ds.sizes["time"])
    at = min(FROM, len(t) // 2)
    for cell, (colour, _) in inks.items():
        one = ds.sel(cell=cell)
        ax.plot(t, one.distance, color=colour)
        ax.plot(t, float(one.distance[at]) * np.exp(float(one.lyapunov[0]) * (t - at)), ":", color=colour, linewidth=1)
    ax.axhline(0.1, color="0.6", linewidth=0.6)
    ax.set(yscale="log", ylim=(1e-5, 2), xlabel="characters after the burst", ylabel="D = |s' − s| / |s|")
    ax.set_title("d  recovery; dotted: by the exponent", loc="left")


def held(ax, ds: xarray.Dataset, inks: dict) -> None:
    """Directions that a step keeps, for each network, and units whose gate holds."""
    x = np.arange(len(inks))
    ax.bar(x - 0.2, ds.slow, 0.38, color=[c for c, _ in inks.values()])
    ax.bar(x + 0.2, ds.integrators, 0.38, color="none", edgecolor=[c for c, _ in inks.values()], hatch="////")
    ax.set_xticks(x, [name.replace(" ", "\n") for name in inks])
    ax.set(ylabel="number in a network")
    ax.set_title("f  |eigenvalues| > .9; hatched:\n    units whose gate keeps", loc="left")


def page(ds: xarray.Dataset) -> Figure:
    """Six panels."""
    made = Figure(figsize=(7.2, 5.9), layout="constrained")
    (a, b, c), (d, e, f) = made.subplots(2, 3)
    inks = dict(zip(map(str, ds.cell.values), LINES, strict=False))
    for cell, (colour, mark) in inks.items():
        one = ds.sel(cell=cell)
        a.plot(ds.value, one.histogram.where(one.histogram > 0), color=colour)
        b.plot(ds.share, one.responsive, color=colour)
        c.plot(one.length, one.turn, mark, color=colour, markersize=2.5, markerfacecolor="none", markeredgewidth=0.6)
        spectrum = one.lyapunov.dropna("number").values
        e.plot((np.arange(len(spectrum)) + 0.5) / len(spectrum), spectrum, color=colour)
    a.set(yscale="log", xlabel="value of the memory", ylabel="share of steps and units")
    a.set_title("a  where memories are", loc="left")
    b.set(xlabel="share of a character's readings", ylabel="share of units", ylim=(0, 1.03))
    b.set_title("b  units that respond\n    to some character so often", loc="left")
    c.set(xlabel="step of the memory / its size", ylabel="turn from step to step (°)")
    c.set_title("c  paths, a mark a stretch", loc="left")
    recovery(d, ds, inks)
    e.axhline(0, color="0.6", linewidth=0.6)
    low = float(ds.lyapunov.where(np.isfinite(ds.lyapunov)).quantile(0.05))
    e.set(ylim=(max(low, -8), 0.3), xlabel="place in the spectrum (0 largest, 1 least)", ylabel="exponent a character")
    e.set_title("e  Lyapunov spectrum", loc="left")
    held(f, ds, inks)
    for ax in (a, b, c, d, e, f):
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    said = (f"{name} ({float(ds.nats.sel(cell=name)):.2f} nats)" for name in inks)
    handles = [
        Line2D([], [], color=colour, marker=m, markersize=3, label=n)
        for n, (colour, m) in zip(said, inks.values(), strict=True)
    ]
    note = (
        f"One network each, of one layer and about {ds.attrs['parameters']:,} parameters, trained on "
        f"{ds.attrs['text']}; {ds.sizes['episode']} stretches of its test text; the memory is c, else h. "
        "a: 5 and more at the ends. b: beyond one SD from the unit's mean. d: 10 characters replaced, mean over "
        "stretches, whole state. Lazy update: what leaves reads c before it is updated."
    )
    headed(made, title(ds), [note], handles, columns=4)
    return made


draw = plots.drawing(__file__, page, "what networks on text remember, and how they come back from noise")

if __name__ == "__main__":
    plots.command(draw)

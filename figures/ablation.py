"""One-unit LSTM variants on one plane, from the store of ``experiments/ablation.py``: does what matters move the cliff?

    python figures/ablation.py [STORE] [FOLDER]

Left, the loss of every variant on the same plane: where the bit is kept, and the cliff round it. Right, how often each
learns to keep the bit, against what it keeps before training, its room on the plane, and the growth of its cliff. Two
seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed

AXES = {"keeps": "kept by a step at the start", "room": "room on the plane", "growth": "cliff steeper, a step"}


def above(ax, one: xarray.Dataset, case: str) -> object:
    """The loss of one variant, with the cut on which its cliff was measured."""
    shown = ax.pcolormesh(one.b_g, one.w_g, np.clip(one.loss, 0, 2), vmin=0, vmax=2, cmap="viridis", rasterized=True)
    ax.plot(one.position, one.attrs["at"], "o", color="white", markeredgecolor="black", markersize=3.5)
    ax.set_title(f"{case.replace('forget bias', 'bias')}: {float(one.share.mean()):.0%}", loc="left")
    return shown


def scatter(ax, found: xarray.Dataset, feature: str) -> None:
    """Success at each length against one feature of the plane."""
    for (ink, mark), length in zip(LINES, found.length.values, strict=False):
        one = found.sel(length=length)
        reach = np.stack([one.share - one.share_low, one.share_high - one.share])
        style = {"color": ink, "marker": mark, "markersize": 3, "linestyle": "", "elinewidth": 0.6}
        ax.errorbar(found[feature], one.share, reach, **style)
    ax.set(xlabel=AXES[feature], ylim=(-0.03, 1.03))
    ax.yaxis.tick_right()
    r, p = (float(found[key].sel(feature=feature)) for key in ("rank", "p"))
    ax.set_title(f"rank {r:+.2f}, p {p:.2g}", loc="left")
    ax.grid(alpha=0.4)


def title(found: xarray.Dataset) -> str:
    """The finding, from the numbers: who learns most and least, and what of the plane goes with it."""
    success = found.share.mean("length").values
    names = [str(found.case.values[k]) for k in (success.argmax(), success.argmin())]
    told = f"{names[0]} learns most often ({success.max():.0%}), {names[1]} least ({success.min():.0%})"
    short = {"keeps": "what starts keep", "room": "its room", "position": "its place", "growth": "its steepness"}
    ranks = {words: found.sel(feature=name) for name, words in short.items()}
    sure = [
        f"{words} goes {'with' if one['rank'] > 0 else 'against'} it, p {f'{float(one.p):.2f}'[1:]}"
        for words, one in ranks.items()
        if one.p < 0.05
    ]
    return f"{told}; {' and '.join(sure) or 'nothing seen from above surely goes with it'}"


def page(found: xarray.Dataset) -> Figure:
    """A panel for each variant, three more for what goes with success."""
    made, about = Figure(figsize=(7.2, 6.4), layout="constrained"), found.attrs
    axes = made.subplots(3, 4)
    for ax in axes[:, :3].flat[found.sizes["case"] :]:
        ax.set_visible(False)
    for ax, case in zip(axes[:, :3].flat, map(str, found.case.values), strict=False):
        shown = above(ax, found.sel(case=case).assign_attrs(about), case)
        ax.label_outer()
    for ax in axes[:, 0]:
        ax.set_ylabel("w_g")
    for ax in axes[-1, :3]:
        ax.set_xlabel("b_g")
    for ax, feature in zip(axes[:, 3], AXES, strict=True):
        scatter(ax, found, feature)
    made.colorbar(shown, ax=axes[:, :3], location="bottom", shrink=0.5, aspect=40, label="loss (2 and more alike)")
    lengths = [int(n) for n in found.length.values]
    handles = [
        Line2D([], [], color=c, marker=m, markersize=3, linestyle="", label=f"trained at T = {n}")
        for (c, m), n in zip(LINES, lengths, strict=False)
    ]
    note = (
        "One unit of V, the LSTM with peepholes, and of its variants, keeping a bit under noise .1 (latch): loss at "
        f"T = {about['length']}, gates at rest, u_g = 1, 32 episodes, over the candidate's recurrent weight and bias. "
        f"White: the cliff on a cut at w_g = {about['at']:g} without noise. Percent: runs that learn (accuracy > .99), "
        f"mean over lengths, {found.sizes['seed']} runs each at the best of {found.sizes['rate']} rates of Adam; bars: "
        "Wilson's 95 %. Rank: Spearman over variants, p by permutations with Holm's correction over four."
    )
    headed(made, title(found), [note], handles, columns=4)
    return made


draw = plots.drawing(
    __file__, page, "whether the part that matters moves the cliff", store="results/ablation/found.zarr"
)

if __name__ == "__main__":
    plots.command(draw)

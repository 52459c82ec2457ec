"""Six lengths of Pascanu's loss under the lines of its limit, from the store of ``experiments/limit_lines.py``.

python figures/limit_lines.py [STORE] [FOLDER]

Caption: Formation of the cliff of Pascanu's map (Pascanu et al. 2013, fig. 6; x_0 = .5, target .7). As the length
grows, the loss takes the shape that closed forms give it: a valley on the line on which the target is a fixed point,
cut off by a cliff on the fold curve up to the tangency, and from there on the line on which x_0 is the unstable state.
"""

import numpy as np
import xarray
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.look import LOSS, WIDTH
from landscape.plots.parts import headed, keys, stroke

LINES = {
    "folds": ("upper_fold", "lower_fold"),
    "valley: zero loss as T → ∞": ("valley",),
    "the start is a fixed point": ("start_line",),
}
MARKS = {"cusp": ("^", (-24, -11)), "tangency": ("s", (-22, -13)), "crossing": ("o", (4, 5))}
SHIFTS = (-0.4, 0.3)  # the part drawn: b from the line of symmetry -w/2, along which all else runs


def panel(ax, ds: xarray.Dataset, norm: PowerNorm):
    """The loss at one length, lines and places, against w and b + w/2."""
    shift = ds.b + ds.w / 2
    loss = ds.loss.transpose("b", "w")
    across = np.broadcast_to(ds.w, loss.shape)
    look = {"norm": norm, "cmap": LOSS, "shading": "nearest", "rasterized": True, "gid": "loss"}
    mesh = ax.pcolormesh(across, shift, loss, **look)
    for i, names in enumerate(LINES.values()):
        for name in names:
            ax.plot(ds.w, ds[name] + ds.w / 2, gid=name, **stroke(i, "white"))
    ax.plot(ds.w, ds.cliff + ds.w / 2, color="white", linewidth=1.8, gid="cliff")
    for place, (mark, _) in MARKS.items():
        w, b = float(ds.place_w.sel(place=place)), float(ds.place_b.sel(place=place))
        ax.plot(w, b + w / 2, mark, color="white", markeredgecolor="black", markersize=4.5, gid=place)
    ax.set(title=f"length {int(ds.length)}", xlim=ds.w.values[[0, -1]], ylim=SHIFTS)
    return mesh


def page(ds: xarray.Dataset) -> Figure:
    """A panel for each length, in colours that are linear in the root of the loss."""
    figure = Figure(figsize=(WIDTH, 5.0), layout="constrained")
    axes = figure.subplots(-(-ds.sizes["length"] // 3), 3, sharex=True, sharey=True, squeeze=False)
    norm = PowerNorm(0.5, 0, float(ds.loss.max()))
    for ax, length in zip(axes.flat, ds.length.values, strict=False):
        mesh = panel(ax, ds.sel(length=length), norm)
    figure.colorbar(mesh, ax=axes, pad=0.02, aspect=30, label="loss (colours linear in its root)")
    for ax in axes[:, 0]:
        ax.set(ylabel="bias from the symmetric\nline, $b + w/2$")
    for ax in axes[-1]:
        ax.set(xlabel="recurrent weight $w$")
    for place, (_, aside) in MARKS.items():
        w, b = float(ds.place_w.sel(place=place)), float(ds.place_b.sel(place=place))
        axes[0, 0].annotate(place, (w, b + w / 2), aside, textcoords="offset points", color="white", fontsize=7)
    note = (
        f"{ds.attrs['cell']} on {ds.attrs['task']}; {ds.sizes['w']} × {ds.sizes['b']} points of (w, b), float64. Bold: "
        "the cliff as T → ∞. All axes are dimensionless."
    )
    headed(
        figure,
        "As sequences grow, the loss takes the shape of its closed-form limit",
        [ds.finding, note],
        keys(LINES, ()),
    )
    return figure


draw = plots.drawing(__file__, page, "a cliff forms on lines that are known beforehand")

if __name__ == "__main__":
    plots.command(draw)

"""All lengths of a basin cliff on one curve, from the store of ``experiments/collapse.py``.

python figures/collapse.py [STORE] [FOLDER]

Caption: Basin cliffs are self-similar. In z = (b - b_c) lambda^T / (lambda - 1) the states of Pascanu's map at all
lengths fall on one curve, the Poincare function of the unstable fixed point; what is left falls as T lambda^-T, until a
program that adds up the bias itself runs out of digits.
"""

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.figure import Figure

from landscape import plots
from landscape.plots.curves import AXES
from landscape.plots.look import WIDTH
from landscape.plots.parts import choose, headed


def page(ds: xarray.Dataset) -> Figure:
    """The collapse, what is left of it at each z, and the largest of that against the length."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.3, 1), height_ratios=(1.6, 1))
    whole = figure.add_subplot(grid[0, 0])
    left, most = figure.add_subplot(grid[1, 0], sharex=whole), figure.add_subplot(grid[:, 1])
    whole.plot(ds.z, ds.curve, color="0.75", linewidth=5, label="Φ, T → ∞", gid="curve")
    shown = choose(ds, [t for t in (10, 20, 50, 100, 200) if t in ds.length] or None, most=5)
    for length, shade in zip(shown, np.linspace(0, 0.85, len(shown)), strict=True):
        one, colour = ds.sel(length=length), mpl.colormaps["viridis"](shade)
        whole.plot(ds.z, one.profile, color=colour, linewidth=1, label=f"T = {length}", gid=f"profile {length}")
        left.plot(ds.z, abs(one.profile - one.curve), color=colour, linewidth=0.9)
    decay = ds.length * ds.multiplier ** -ds.length.astype(float)
    decay = decay * float(ds.residual[-1] / decay[-1])
    most.plot(ds.length, decay, color="0.6", linewidth=0.8, label="∝ T λ⁻ᵀ")
    most.plot(ds.length, ds.residual, "o", color="#0072B2", markersize=3, label="x − x₀ followed", gid="residual")
    look = {"color": "#D55E00", "markersize": 5.5, "markerfacecolor": "none"}
    most.plot(ds.length, ds.plain_residual, "s", label="x followed, b in float64", gid="plain_residual", **look)
    whole.set(ylabel="logistic($x_T$)", title=f"every length at w = {ds.w:g}")
    left.set(yscale="log", ylabel="distance from Φ", xlabel="$z = (b - b_c)\\,λ^T/(λ - 1)$ (dimensionless)")
    most.set(yscale="log", xlabel=AXES["length"], ylabel="largest distance from logistic(Φ)", title="what is left")
    whole.tick_params(labelbottom=False)
    for ax in (whole, left, most):
        ax.grid(alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    whole.legend(loc="lower right")
    most.legend(loc="lower left")
    note = f"Pascanu's map x' = w logistic(x) + b, x_0 = {ds.start:g}, b_c = {ds.b:.6f}; float64, nothing is random."
    headed(figure, "A basin cliff looks the same at every length", [ds.finding, note])
    return figure


draw = plots.drawing(__file__, page, "all lengths of a basin cliff lie on one curve")

if __name__ == "__main__":
    plots.command(draw)

"""The spectrum of a model's curvature: the density of all eigenvalues with its band, the largest ones as marks."""

from typing import Any

import numpy as np
import xarray
from matplotlib.figure import Figure

from landscape.plots.look import WIDTH, Look, drawn
from landscape.plots.parts import headed

LINE, MARK = "#0072B2", "#D55E00"
DECADES = 6  # below its peak a sum of Gaussians says nothing


@drawn
def spectrum(found: xarray.Dataset, *, look: Look) -> Figure:
    """What `landscape.curvature.density` and `top`, or the command ``landscape spectrum``, found.

    The density on a logarithmic axis with its band over probes, six decades deep; eigenvalues that are known one by one
    are marks as wide as their residuals. Raises ValueError for what is no spectrum.
    """
    if "density" not in found and "residual" not in found:
        raise ValueError(f"a spectrum has a density or eigenvalues; given {', '.join(map(str, found.data_vars))}")
    ax = look.axes((0.7 * WIDTH, 2.8))
    caption = []
    if "density" in found:
        at, mean = found["eigenvalue"].values, found["density"].values
        floor = mean.max() * 10.0**-DECADES
        low, high = (np.maximum(found[f"density_{end}"].values, floor) for end in ("low", "high"))
        ax.plot(at, np.maximum(mean, floor), color=look.color(0, LINE))
        ax.fill_between(at, low, high, color=look.color(0, LINE), alpha=0.25, linewidth=0)
        ax.set(yscale="log", ylim=(floor, None))
        caption.append(f"Line and band: the mean of {found.sizes['probe']} probes and its interval of 95 %.")
    if "residual" in found:
        bars: dict[str, Any] = {"fmt": "v", "markersize": 4, "color": look.color(1, MARK), "clip_on": False}
        height = np.full(found.sizes["pair"], 0.03)
        ax.errorbar(found["value"], height, xerr=found["residual"], transform=ax.get_xaxis_transform(), **bars)
        caption.append(
            f"Marks: the {found.sizes['pair']} eigenvalues of largest magnitude, as wide as their residuals."
        )
    ax.set(xlabel=look.xlabel or "eigenvalue", ylabel=look.label or look.ylabel or "density of eigenvalues")
    title = look.titled(str(found.attrs.get("title", found.attrs.get("matrix", "spectrum"))))
    figure = ax.get_figure(root=True)
    if look.ax is not None:
        ax.set_title(title)
        return figure
    headed(figure, title, look.captioned([" ".join(caption)]))
    return figure

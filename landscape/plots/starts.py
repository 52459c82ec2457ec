"""Success of training one unit, by what it starts with: what the figures on keeping a bit share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.axes import Axes

from landscape.success import Share, share, wilson
from landscape.verdicts import EVEN, strata, stratified

if TYPE_CHECKING:
    from jaxtyping import Float, Real

COLOURS = {"SRNN": "#0072B2", "LSTM": "#D55E00", "GRU": "#009E73"}
PLAIN = {"SRNN": "vanilla RNN (SRNN)", "LSTM": "LSTM", "GRU": "GRU"}
BEND: dict[str, Any] = {"elinewidth": 0.8, "capsize": 1.8, "capthick": 0.8, "markersize": 3.5}
SOLVED = 0.95


def bars(
    solved: "Real[np.ndarray, '*case']", tried: "Real[np.ndarray, '*case'] | float"
) -> "tuple[Float[np.ndarray, '*case'], Float[np.ndarray, '2 *case']]":
    """Shares, and how far Wilson's interval reaches below and above."""
    p, (low, high) = solved / tried, wilson(solved, tried)
    return p, np.maximum(0, np.stack([p - low, high - p]))


def rate(runs: xarray.Dataset, case: str, length: int, weights: tuple[float, float] = EVEN) -> Share:
    """How often a case learns at a length: stratified by the sign of the readout, plain where that is not known.

    NaN where the case was not run.
    """
    one = runs.sel(case=case, length=length)
    ran = np.isfinite(one.accuracy.values)
    solved, right = one.accuracy.values[ran] > SOLVED, one.aligned.values[ran]
    if not np.isfinite(right).all() or not ran.any():
        return share(int(solved.sum()), int(ran.sum()))
    return stratified(strata(solved, right == 1), weights)


def rates(ax: Axes, x: "Sequence[float] | Float[np.ndarray, 'case']", shares: list[Share], **style: Any) -> None:
    """Shares that are known against x, with their intervals."""
    found = np.array(shares, float).reshape(-1, 3)
    keep = np.isfinite(found[:, 0])
    p, low, high = found[keep].T
    ax.errorbar(np.asarray(x)[keep], p, np.maximum(0, [p - low, high - p]), **BEND, **style)


def question(ax: Axes, runs: xarray.Dataset, weights: tuple[float, float] = EVEN) -> None:
    """Success of default starts against length; with other weights, of those with a right or with a wrong readout."""
    lengths = [int(length) for length in runs.length.values]
    for name, colour in COLOURS.items():
        shares = [rate(runs, f"{name}, default", length, weights) for length in lengths]
        rates(ax, lengths, shares, color=colour, marker="o", label=PLAIN[name])
    ax.set(xscale="log", xlabel="sequence length T (steps)", ylabel="share of runs that learn")
    ax.set_xticks(lengths, [str(t) for t in lengths], minor=False)
    ax.minorticks_off()
    ax.legend(loc="lower left")


def banded(ax: Axes, values: xarray.DataArray, colour: str, label: str) -> None:
    """Median (draw, length) against length, and a band from 10 to 90 %."""
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)
    ax.plot(values.length, middle, color=colour, label=label)
    ax.fill_between(values.length, low, high, color=colour, alpha=0.15, linewidth=0)


EDGES = (0, 2, 4, 6, 8, 10, 14, 20)
SIDES: dict[bool, dict[str, Any]] = {
    True: {"marker": "o"},
    False: {"marker": "o", "markerfacecolor": "white", "linestyle": ":"},
}


def law(ax: Axes, runs: xarray.Dataset, edges: tuple[float, ...] = EDGES, sides: tuple = (True, False)) -> None:
    """Success of default starts of all lengths in bins of x; the last bin holds all beyond."""
    for shift, (name, colour) in zip((-0.15, 0.0, 0.15), COLOURS.items(), strict=True):
        for side in sides:
            middle, p, error = binned(runs, name, side, edges)
            ax.errorbar(middle + shift, p, error, color=colour, **BEND, **SIDES[side])
    ax.set(xlabel=r"$x = T\,|\ln \lambda|$: e-folds by which the bit has faded", ylabel="share of runs that learn")


def binned(runs: xarray.Dataset, name: str, aligned: bool, edges: tuple[float, ...], least: int = 4) -> tuple:
    """Middles of the bins of x with ``least`` runs or more, the share of these that learn, and the ends of its bars."""
    one = runs.sel(case=f"{name}, default")
    chosen = np.isfinite(one.accuracy.values) & (one.aligned.values == aligned)
    x = np.minimum((one.length * one.decay).transpose("length", "seed").values, np.nextafter(edges[-1], 0))[chosen]
    tried = np.histogram(x, edges)[0]
    solved = np.histogram(x[one.accuracy.values[chosen] > SOLVED], edges)[0]
    full = tried >= least
    return ((np.array(edges[:-1]) + np.array(edges[1:])) / 2)[full], *bars(solved[full], tried[full])


def listed(ax: Axes, runs: xarray.Dataset, names: dict[str, str], lengths: dict[int, str]) -> None:
    """A row for each case that was run, a mark for each length."""
    there = [case for case in names if case in set(map(str, runs.case.values))]
    rows = np.arange(len(there))[::-1]
    for (length, mark), shift in zip(lengths.items(), (0.13, -0.13), strict=False):
        filled: dict[str, Any] = {} if length == min(lengths) else {"markerfacecolor": "white"}
        for row, case in zip(rows, there, strict=True):
            p, low, high = rate(runs, case, length)
            if np.isfinite(p):
                at = row + (shift if len(lengths) > 1 else 0)
                error = np.maximum(0, [[p - low], [high - p]])
                style = {"color": COLOURS[case.partition(",")[0]], "marker": mark, "linestyle": "", **BEND, **filled}
                ax.errorbar(p, at, xerr=error, **style)
        ax.plot([], [], mark, color="black", markersize=3.5, label=f"T = {length}", **filled)
    ax.set_yticks(rows, [names[case] for case in there])
    ax.set(xlim=(-0.03, 1.03), xlabel="share of runs that learn")
    ax.grid(axis="x")

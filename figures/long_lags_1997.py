"""The cell of 1997 on its own experiments, from the result of ``experiments/long_lags_1997.py``.

    python figures/long_lags_1997.py [STORE] [FOLDER]

Sequences until success beside those that the source prints, what becomes of Reber's grammar without one part or
another, and a line for each claim with its verdict. Two seconds.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape import plots
from landscape.plots.curves import LINES
from landscape.plots.parts import headed

BLUE, RED, GREEN = (ink for ink, _ in LINES[:3])
INKS = {"held": GREEN, "refuted": RED}  # every other verdict is grey
COLUMNS = (0, 0.14, 0.43, 0.76)  # of the table
HEADS = ("most runs succeed", "sequences, printed within x 2", "fewer than guesses")


def paces(ax, ds: xarray.Dataset) -> None:
    """Every run's sequences until success, their mean, the printed mean, and the cap of those that did not succeed."""
    own = [str(case) for case in ds.case.values if "," not in str(case)]
    for x, case in enumerate(own):
        one = ds.sel(case=case)
        found, spread = one.sequences.values, np.linspace(-0.2, 0.2, ds.sizes["seed"])
        here = np.isfinite(found)
        ax.plot(x + spread[here], found[here], "o", color=BLUE, markersize=3, alpha=0.7)
        cap = ds.attrs["patience"] * float(one.printed)
        ax.plot(x + spread[~here], np.full((~here).sum(), cap), "x", color=RED, markersize=4)
        ax.plot([x - 0.35, x + 0.35], [one.printed] * 2, color="black", linewidth=1.4)
        if here.all():
            reach = [[one["mean"] - one.low], [one.high - one["mean"]]]
            ax.errorbar(x + 0.3, one["mean"], yerr=reach, color=BLUE, marker="s", markersize=3.5, capsize=2)
        top = float(one.guesses_high)
        ax.plot([x + 0.42] * 2, [one.guesses_low, min(top, 1e6)], color="0.6", linewidth=2)
        ax.plot(x + 0.42, one.guesses_low, marker="^" if np.isinf(top) else "_", color="0.6", markersize=4)
    ax.set(yscale="log", xticks=range(len(own)), xlabel="experiment of the source", ylabel="sequences until success")
    ax.set_xticklabels(own)
    ax.set_title("a  its own nets, rates and criteria", loc="left")


def arms(ax, ds: xarray.Dataset) -> None:
    """The share of runs that learn Reber's grammar, with each part of the protocol changed."""
    rows = [str(case) for case in ds.case.values if str(case).split(",")[0] == "1"]
    for y, case in enumerate(rows):
        one = ds.sel(case=case)
        reach = [[one.solved - one.solved_low], [one.solved_high - one.solved]]
        ink = BLUE if bool(one.truncated) else RED
        ax.errorbar(one.solved, y, xerr=reach, color=ink, marker="o", markersize=3.5, capsize=2, linestyle="")
    words = [
        case.removeprefix("1").strip(", ").removesuffix("full gradient").strip(", ") or "its own net" for case in rows
    ]
    ax.axvline(0.97, color="black", linewidth=1.4)
    ax.set(
        yticks=range(len(rows)), ylim=(len(rows) - 0.5, -0.5), xlim=(-0.02, 1.02), xlabel="share of runs that succeed"
    )
    ax.set_yticklabels(words)
    ax.set_title("b  Reber's grammar", loc="left")


def table(ax, ds: xarray.Dataset) -> None:
    """A line for each experiment, its three claims side by side, and one for each suspect; coloured by verdict."""
    ax.axis("off")
    lines = [[("experiment", "black"), *((head, "black") for head in HEADS)]]
    claims = [(*str(claim).split(": ", 1), ds.isel(claim=k)) for k, claim in enumerate(ds.claim.values)]
    for case in dict.fromkeys(case for case, _, _ in claims):
        own = [row for name, text, row in claims if name == case and "fault" not in text]
        lines.append([(case, "black"), *((row.evidence.item(), ink(row)) for row in own)])
    lines += [
        [("", "black"), (text, "black"), (row.evidence.item(), ink(row))] for _, text, row in claims if "fault" in text
    ]
    for k, line in enumerate(lines):
        for x, (text, colour) in zip(COLUMNS, line, strict=False):
            weight = "bold" if k == 0 else "normal"
            ax.text(
                x, 1 - (k + 0.5) / len(lines), text, color=colour, va="center", weight=weight, transform=ax.transAxes
            )


def ink(row: xarray.Dataset) -> str:
    """The colour of a claim's verdict."""
    return INKS.get(str(row.verdict.item()), "0.45")


def title(ds: xarray.Dataset) -> str:
    """Which experiments most runs learn, and who is at fault on Reber's grammar, by the verdicts."""
    rows = list(zip(map(str, ds.claim.values), map(str, ds.verdict.values), strict=True))
    names = {
        word: ", ".join(c.split(":")[0] for c, v in rows if "half of the runs" in c and v == word) or "none"
        for word in ("held", "refuted")
    }
    blamed = [c.removeprefix("1: at fault: ") for c, v in rows if "at fault" in c and v in ("held", "in part")]
    text = f"Within {ds.attrs['patience']:g} times the printed sequences most runs learn {names['held']}"
    text += f" and fail on {names['refuted']}"
    return text + (f"; on 1 at fault, at least in part: {', '.join(blamed)}" if blamed else "")


def page(ds: xarray.Dataset) -> Figure:
    """Two panels above, the claims below."""
    rows = 4 + len([case for case in ds.case.values if "," not in str(case)])
    made = Figure(figsize=(7.2, 4.1 + 0.17 * rows), layout="constrained")
    axes = made.subplot_mosaic("ab;cc", height_ratios=(2.6, 0.17 * rows), width_ratios=(1.25, 1))
    paces(axes["a"], ds)
    arms(axes["b"], ds)
    table(axes["c"], ds)
    for name in "ab":
        axes[name].grid(alpha=0.4)
        axes[name].spines[["top", "right"]].set_visible(False)
    handles = [Line2D([], [], color="black", linewidth=1.4, label="printed")]
    handles += [Line2D([], [], color=BLUE, marker="o", markersize=3, linestyle="", label="a run, truncated gradient")]
    handles += [Line2D([], [], color=BLUE, marker="s", markersize=3.5, label="mean")]
    handles += [Line2D([], [], color=RED, marker="x", markersize=4, linestyle="", label="not by then")]
    handles += [Line2D([], [], color="0.6", linewidth=2, label="guesses")]
    handles += [Line2D([], [], color=RED, marker="o", markersize=3, linestyle="", label="b: full gradient")]
    handles += [Line2D([], [], color=c, marker="s", markersize=4, linestyle="", label=n) for n, c in INKS.items()]
    handles += [Line2D([], [], color="0.45", marker="s", markersize=4, linestyle="", label="not decided, or a part")]
    about = ds.attrs
    note = (
        f"Memory blocks of 1997, one update a sequence, {ds.sizes['seed']} runs each with data of its own, up to "
        f"{about['patience']:g} times the printed number of sequences; experiment 1 is Reber's grammar (strings of up "
        "to 21), 2a a lag of 100 symbols, 3a two sequences, 4 adding, 6a temporal order (T = 100). a: means with "
        f"Student's intervals of 95 % where all runs succeed; guesses: weights of U[-100, 100] until {about['judged']} "
        f"sequences are right, Wilson's interval of {about['guesses']:,} tried, an arrow where none was. b: Wilson's "
        "intervals of 95 %."
    )
    headed(made, title(ds), [note], handles, columns=3)
    return made


draw = plots.drawing(__file__, page, "the cell of 1997 on its own experiments, beside the printed table")

if __name__ == "__main__":
    plots.command(draw)

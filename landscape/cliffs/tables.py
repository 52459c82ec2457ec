"""Cliffs in words: how many, of which kind, and a table of where they are, how high, how steep and how they grow."""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray

KINDS = ("basin", "fold", "unknown")
NAMES = {"basin": "basin", "fold": "fold", "unknown": "of unknown kind"}
MOST = 20  # rows of the table, unless all are asked for
WHY = "?: a kind takes four lengths, from a third of the longest on, that resolve the slope, and a law that fits."


def table(found: "xarray.Dataset", every: bool = False) -> str:
    """What `describe` found, for people: how many cliffs, one table of them, and what is to be known about it.

    What does not steepen with length is counted; with ``every`` it is listed too.
    """
    kinds = [str(kind) for kind in found["kind"].values] if found.sizes["line"] else []
    steep = ranked(found, every)
    listed = steep if every else steep.isel(line=slice(MOST))
    parts = [_head(found, kinds), *_rest(found, kinds, steep.sizes["line"] - listed.sizes["line"])]
    if listed.sizes["line"]:
        rows = [[str(k + 1), *_cells(listed.isel(line=k))] for k in range(listed.sizes["line"])]
        parts += ["", *_columns(_header(listed), rows), "", *_notes(listed)]
    return "\n".join(parts)


def ranked(found: "xarray.Dataset", every: bool = False) -> "xarray.Dataset":
    """The lines that are listed, the first is number 1: those that steepen, or may."""
    if every or not found.sizes["line"]:
        return found
    return found.isel(line=np.isin(found["kind"].values, KINDS))


def _head(found: "xarray.Dataset", kinds: list[str]) -> str:
    """How many cliffs there are."""
    counts = {name: kinds.count(kind) for kind, name in NAMES.items()}
    if not kinds and not found.attrs["short"]:
        return "No cliff: the gradient has no ridge as high as the threshold anywhere in this plane."
    if not sum(counts.values()):
        return f"No cliff at length {found.attrs['length']}: nothing steepens with length."
    of = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    total = _many(sum(counts.values()), "cliff")
    return f"{total} at length {found.attrs['length']}: {of}; the highest and longest first."


def _rest(found: "xarray.Dataset", kinds: list[str], more: int) -> list[str]:
    """What is not listed, as a line or none."""
    flat, short = kinds.count("none"), found.attrs["short"]
    parts = {
        _many(more, "smaller cliff"): more,
        f"{_many(flat, 'ridge')} whose slope does not grow with length (slopes, no cliffs)": flat,
        f"{_many(short, 'piece')} of a ridge too short to follow": short,
    }
    told = [text for text, count in parts.items() if count]
    return [f"Not listed, unless by --all: {', '.join(told)}."] if told else []


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s'[: count != 1]}"


def _header(found: "xarray.Dataset") -> list[str]:
    names = found.attrs["coordinates"]
    return ["", "kind", *names, *(f"over {name}" for name in names), "height", "slope", "cells", "growth"]


def _cells(cliff: "xarray.Dataset") -> list[str]:
    """One row of the table."""
    names, kind = cliff.attrs["coordinates"], str(cliff["kind"].item())
    where = [f"{cliff[name].item():.5g}" for name in names]
    ranges = [" .. ".join(f"{end:.3g}" for end in cliff[f"{name}_range"].values) for name in names]
    more, less = ("", "") if cliff["resolved"].item() else ("> ", "< ")
    sizes = [
        f"{cliff['whole'].item():.3g}{'*' * _several(cliff)}",
        f"{more}{cliff['slope'].item():.3g}",
        f"{less}{_width(cliff):.2g}",
    ]
    return ["slope" if kind == "none" else kind, *where, *ranges, *sizes, _growth(cliff)]


def _several(cliff: "xarray.Dataset") -> bool:
    """Whether the grid sees several cliffs as one."""
    return bool(cliff["height"] < cliff["whole"] / 2)


def _growth(cliff: "xarray.Dataset") -> str:
    """How a cliff grows, theory in brackets, and the lengths this was seen at."""
    kind, expected, seen = str(cliff["kind"].item()), cliff["expected"].item(), cliff["seen"].item()
    theory = "" if math.isnan(expected) else f" ({expected:.4g})"
    fitted = f", {cliff['first'].item()} to {cliff['last'].item()}"
    return {
        "basin": f"x {cliff['multiplier'].item():.4f} a step{theory}{fitted}",
        "fold": f"length^{cliff['power'].item():.2f}{theory}{fitted}",
        "none": "none",
        "unknown": f"? {seen} of 4 lengths" if seen < 4 else f"? no law fits{fitted}",
    }[kind]


def _width(cliff: "xarray.Dataset") -> float:
    """The width of a cliff in cells of the grid."""
    across = np.array([math.cos(cliff["direction"].item()), math.sin(cliff["direction"].item())])
    return cliff["width"].item() * float(np.linalg.norm(across / np.array(cliff.attrs["cells"])))


def _columns(header: list[str], rows: list[list[str]]) -> list[str]:
    """A table: words to the left, numbers to the right."""
    columns = list(zip(header, *rows, strict=True))
    wide = [max(map(len, column)) for column in columns]
    left = {header.index("kind"), header.index("growth")}
    put = lambda k, text: text.ljust(wide[k]) if k in left else text.rjust(wide[k])  # noqa: E731
    return ["  ".join(put(k, text) for k, text in enumerate(row)).rstrip() for row in zip(*columns, strict=True)]


def _notes(found: "xarray.Dataset") -> list[str]:
    """What a reader of the table must know."""
    afresh, resolved = found["afresh"].values, found["resolved"].values
    at = ", ".join(found.attrs["coordinates"])
    notes = [f"Each row is one curve, measured at {at}; cells: its width in cells of the grid, which hides it below 2."]
    if not resolved.all():
        notes.append("> and <: it is thinner than what looked at it, so that slope and width are bounds.")
    if any(_several(found.isel(line=k)) for k in range(found.sizes["line"])):
        notes.append("*: of several cliffs that the grid sees as one, as each episode has its own; the rest is of one.")
    if np.any(found["kind"].values == "unknown"):
        notes.append(WHY)
    if np.any(~np.isnan(found["expected"].values)):
        notes.append("In brackets: what theory expects.")
    if afresh.any() and not afresh.all():
        notes.append(f"The {int(afresh.sum())} largest were measured afresh, the others on the stored grid.")
    return notes

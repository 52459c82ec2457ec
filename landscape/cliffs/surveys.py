"""The cliffs of a stored surface: which lengths to look at, ridges length by length, and what they are."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from landscape import specs, store
from landscape.blocks import Json, Progress
from landscape.cliffs.describing import SHORT, describe
from landscape.cliffs.joins import join
from landscape.cliffs.measures import coordinates, derivatives
from landscape.cliffs.ridges import ridge
from landscape.cliffs.tables import table
from landscape.planes import Plane
from landscape.recurrence import Recurrence

if TYPE_CHECKING:
    import xarray

MOST, RATIO = 16, 1.25  # lengths to look at, and from one to the next: four from a third of any length on
STORED = "measured on the stored grid alone, as its cell or task is none of this package's (--file mine.py gives yours)"
BYTES = 2**28  # of a surface, in memory at a time


class Survey(NamedTuple):
    """The cliffs of a surface: its ``loss`` at the longest length, the ``curves`` there (`join`), and what they are
    (``found``, `describe`); ``how`` they were measured, in words.
    """

    loss: "xarray.Dataset"
    curves: "xarray.Dataset"
    found: "xarray.Dataset"
    how: str

    def __repr__(self) -> str:
        return text("surface", self)


def survey(
    path: Path | str,
    lengths: Sequence[int] | None = None,
    *,
    least: float = 0.05,
    mine: ModuleType | None = None,
    every: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Survey:
    """The cliffs of the surface stored at ``path``, at the longest of ``lengths`` and followed through the others.

    Left to choose, it looks at up to 16 lengths, each about 1.25 times the one before and odd or even as the last.
    Where cell and task can be made again, as they can if they are this package's or of the module ``mine``, cliffs are
    measured afresh and compared with theory; else from the stored values. The surface is read by lengths, never as a
    whole. ``every`` keeps short pieces as well.

    Raises ValueError for a surface without second derivatives, over other than two coordinates, without these
    ``lengths``, or that ``mine`` does not make.
    """
    surface = store.open_surface(path)
    with store.damage(path):
        return surveyed(surface, lengths, path, least=least, mine=mine, every=every, progress=progress)


def surveyed(
    surface: "xarray.Dataset",
    lengths: Sequence[int] | None = None,
    path: Path | str = "the surface",
    *,
    least: float = 0.05,
    mine: ModuleType | None = None,
    every: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Survey:
    """The cliffs of a surface in memory, or open; see `survey`. Messages call it ``path``."""
    chosen = _chosen(surface, lengths)
    made = _made(path, surface, json.loads(surface.attrs["settings"]), mine)
    lines = _ridges(surface, chosen, least, _phase(progress, "lengths"))
    last = surface[["loss"]].sel(length=[chosen[-1]]).load()
    curves = join(lines.isel(point=(lines["length"] == chosen[-1]).values))
    measuring = _phase(progress, "places measured afresh")
    found = describe(lines, *(made or (None, None)), short=0.0 if every else SHORT, progress=measuring)
    how = "measured afresh in float64" if made else STORED
    return Survey(last, curves, found, f"{how}, at lengths {', '.join(map(str, chosen))}")


def report(path: Path | str, *args: Any, every: bool = False, **settings: Any) -> str:
    """The cliffs of a stored surface in words: see `survey`."""
    return text(path, survey(path, *args, every=every, **settings), every)


def text(path: Path | str, made: Survey, every: bool = False) -> str:
    """A survey in words: which surface, how it was looked at, how many cliffs, and the table of them."""
    return f"{path}: {made.loss.attrs['title']}\n{made.how[0].upper()}{made.how[1:]}.\n{table(made.found, every)}"


def _chosen(surface: "xarray.Dataset", lengths: Sequence[int] | None) -> list[int]:
    """The lengths to look at, in increasing order."""
    if "length" not in surface.dims:
        raise ValueError(
            "cliffs are told by how they grow with the length, and the surface has none: it is one picture"
        )
    there = surface["length"].values.astype(int)
    if lengths is not None:
        if missing := sorted(set(lengths) - set(there.tolist())):
            raise ValueError(
                f"the surface has no length {missing[0]}; it has {len(there)} from {there[0]} to {there[-1]}"
            )
        return sorted(set(lengths))
    alike = there[(there[-1] - there) % 2 == 0]  # a state of period two makes odd and even lengths differ
    there = alike if len(alike) >= 4 else there
    wanted = there[-1] / RATIO ** np.arange(MOST)
    return sorted({int(there[np.abs(there - length).argmin()]) for length in wanted})


def _made(
    path: Path | str, surface: "xarray.Dataset", settings: dict[str, Json], mine: ModuleType | None
) -> tuple[Plane, Recurrence] | None:
    """What a surface was made of; ValueError if a module was given and does not make it."""
    with store.sense(path):
        made = asked(surface, settings, *([mine] if mine else []))
    if mine and made is None:
        raise ValueError(
            f"{mine.__file__} does not make the surface in {path}, {surface.attrs['title']}; "
            "give the file that it was computed with, unchanged, or none"
        )
    return made


def asked(surface: "xarray.Dataset", settings: dict[str, Json], *mine: ModuleType) -> tuple[Plane, Recurrence] | None:
    """The plane and problem that a stored surface was made of; None where its cell or task is not known here."""
    made = specs.remade(settings, {name: surface[name].values for name in settings["axes"]}, *mine)
    if made is None:
        return None
    given = {key: settings[key] for key in ("lengths", "episodes", "seed")}
    return made[0], Recurrence(made[1], **given)


def _ridges(surface: "xarray.Dataset", lengths: list[int], least: float, tell: Callable) -> "xarray.Dataset":
    """The ridges at each of some lengths, one after the other."""
    import xarray

    found: list[xarray.Dataset] = []
    tell(0, len(lengths))
    for part in _by_length(surface, lengths):
        found.append(ridge(part, least))
        tell(len(found), len(lengths))
    return xarray.concat(found, "point", combine_attrs="override")


def _by_length(surface: "xarray.Dataset", lengths: list[int]) -> Iterator["xarray.Dataset"]:
    """The surface at one length at a time, as many read at once as may stay in memory."""
    names = coordinates(surface)
    derivatives(surface.isel(length=slice(0, 0)), 2)
    pairs = [f"d_{a}_{b}" for k, a in enumerate(names) for b in names[k:]]
    needed = surface[["loss", *(f"d_{name}" for name in names), *pairs]]
    at_once = max(1, BYTES * surface.sizes["length"] // max(needed.nbytes, 1))
    for start in range(0, len(lengths), at_once):
        group = needed.sel(length=lengths[start : start + at_once]).load()
        yield from (group.isel(length=[k]) for k in range(group.sizes["length"]))


def _phase(progress: Callable[[Progress], None] | None, what: str) -> Callable[[int, int], None]:
    """``(done, of)`` told to ``progress``, with the time since now."""
    begun = time.perf_counter()

    def tell(done: int, of: int) -> None:
        if progress:
            seconds = time.perf_counter() - begun
            progress(Progress(done, of, done, seconds, 0.0, points=0, bytes=0, written=0, path=None, what=what))

    return tell

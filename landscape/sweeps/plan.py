"""What a sweep is: settings by settings, checked against the function they are for before anything runs."""

import dataclasses
import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from landscape import names
from landscape.blocks import Blocking, Json
from landscape.sweeps import settings


@dataclasses.dataclass(frozen=True)
class Grid:
    """The points of a sweep in chunks. ``axes``: dimension -> setting -> labels; ``chunk``: points along each."""

    axes: dict[str, dict[str, list]]
    chunk: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each dimension."""
        return tuple(len(next(iter(moved.values()))) for moved in self.axes.values())

    @property
    def blocking(self) -> Blocking:
        """The same without labels."""
        return Blocking(self.shape, self.chunk)

    @property
    def points(self) -> int:
        """Points in all."""
        return math.prod(self.shape)

    @property
    def chunks(self) -> int:
        """Chunks in all."""
        return self.blocking.number

    def within(self, index: int) -> list[tuple[int, ...]]:
        """The points of a chunk, as indices along each dimension, the last fastest."""
        return list(itertools.product(*(range(part.start, part.stop) for part in self.blocking.region(index))))

    def settings(self, point: Sequence[int]) -> dict[str, Json]:
        """Labels of the settings at a point."""
        return {
            name: labels[i]
            for moved, i in zip(self.axes.values(), point, strict=True)
            for name, labels in moved.items()
        }

    def describe(self, index: int) -> str:
        """A chunk in words: ``cell=LSTM, rate=0.1``, with the first and the last point if there are several."""
        inside = self.within(index)
        name_of = lambda point: ", ".join(f"{name}={value}" for name, value in self.settings(point).items())  # noqa: E731
        return name_of(inside[0]) if len(inside) == 1 else f"{name_of(inside[0])} to {name_of(inside[-1])}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A sweep that has passed every check: ``run(**fixed, **point)`` for every point of ``grid``.

    ``run`` is a function or ``/path/file.py:name``; ``values`` holds what ``grid`` labels, before names are looked up.
    """

    run: Callable | str
    grid: Grid
    values: dict[str, dict[str, list]]
    fixed: dict[str, object]

    @property
    def settings(self) -> dict[str, Json]:
        """What the results are a function of, in plain JSON values."""
        run = settings.function(self.run)
        return {
            "run": Path(self.run).name if isinstance(self.run, str) else f"{run.__module__}:{settings.label(run)}",
            "source": {"run": settings.source(run), **settings.files([self.values, self.fixed])},
            "axes": self.grid.axes,
            "fixed": settings.label(self.fixed),
            "chunk": dict(zip(self.grid.axes, self.grid.chunk, strict=True)),
        }

    def point(self, point: Sequence[int]) -> dict[str, object]:
        """Settings that move, at a point."""
        return {
            name: values[i]
            for moved, i in zip(self.values.values(), point, strict=True)
            for name, values in moved.items()
        }

    def programs(self) -> tuple[int, int, int]:
        """How many programs are compiled: if ``run`` traces all numbers, if it traces those with a fraction, if none.

        One for each combination of the settings that are not traced. What ``run`` does with a number only it knows.
        """
        moved = [list(zip(*labels.values(), strict=True)) for labels in self.grid.axes.values()]

        def distinct(traced: tuple[type, ...]) -> int:
            return math.prod(
                len({tuple(repr(v) for v in at if type(v) not in traced) for at in axis}) for axis in moved
            )

        return distinct((int, float)), distinct((float,)), distinct(())

    def program(self, index: int) -> frozenset[tuple[str, ...]]:
        """What chunk ``index`` compiles if ``run`` traces all numbers: the combinations of its other settings."""
        return frozenset(
            tuple(repr(v) for v in self.grid.settings(point).values() if type(v) not in (int, float))
            for point in self.grid.within(index)
        )

    def __str__(self) -> str:
        sizes = " x ".join(f"{name} ({n})" for name, n in zip(self.grid.axes, self.grid.shape, strict=True))
        named, whole, every = self.programs()
        more = f", {whole:,} if whole numbers shape them" * (whole > named)
        more += f", {every:,} if all numbers do" * (every > whole)
        return (
            f"{self.settings['run']}: {sizes} = {_count(self.grid.points, 'point')} in "
            f"{_count(self.grid.chunks, 'chunk')}; {_count(named, 'program')} to compile{more}"
        )


def _count(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def plan(
    run: Callable | str,
    axes: Mapping[str, Iterable | Mapping[str, Iterable]],
    fixed: Mapping[str, object] | None = None,
    *,
    chunk: Mapping[str, int] | None = None,
    base: Path | str = ".",
) -> Plan:
    """A sweep of ``run(**settings) -> xarray.Dataset`` over every combination of ``axes``, ``fixed`` settings beside.

    ``axes`` maps a setting to its values, or the name of a new dimension to settings that move together (zipped):
    ``{"rate": [.1, .2], "start": {"w": [0., 1.], "b": [2., 3.]}}`` has dims ("rate", "start"). ``chunk`` maps a
    dimension to the number of points along it that one job computes, 1 unless given. ``run`` may be text, see
    `settings.absolute`; values may be text where a function, class or instance is wanted, see `settings.fit`.
    Raises ValueError or TypeError, with the path of the setting, for anything that would fail later for certain.
    """
    run = settings.absolute(run, Path(base)) if isinstance(run, str) else run
    moves = {name: dict(v) if isinstance(v, Mapping) else {name: v} for name, v in axes.items()}
    fixed = {name: settings.located(value, Path(base)) for name, value in (fixed or {}).items()}
    _check_names(settings.function(run), moves, fixed)
    hints = settings.hints(settings.function(run))
    for name, value in fixed.items():
        settings.fit(value, hints.get(name, Any), f"fixed.{name}")
    values = {
        dim: {name: _listed(given, _path(dim, name), Path(base)) for name, given in moved.items()}
        for dim, moved in moves.items()
    }
    labels = {
        dim: {name: _labels(given, hints.get(name, Any), _path(dim, name)) for name, given in moved.items()}
        for dim, moved in values.items()
    }
    for dim, moved in labels.items():
        _check_axis(dim, moved)
    return Plan(run, Grid(labels, _chunk(chunk or {}, labels)), values, fixed)


def _path(dim: str, name: str) -> str:
    return f"axes.{dim}" if dim == name else f"axes.{dim}.{name}"


def _check_names(run: Callable, moves: dict[str, dict], fixed: dict[str, object]) -> None:
    """Every setting exists, is given once, and none is missing."""
    parameters = inspect.signature(run).parameters.values()
    known = settings.hints(run)
    given = [(_path(dim, name), name) for dim, moved in moves.items() for name in moved]
    given += [(f"fixed.{name}", name) for name in fixed]
    if not moves or any(not moved for moved in moves.values()):
        raise ValueError("axes is empty; give at least one setting with its values")
    for where, name in given:
        if name not in known and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            raise names.unknown("setting", name, known, f" (at {where})")
    for name, places in itertools.groupby(sorted(given, key=lambda at: at[1]), lambda at: at[1]):
        at = [place for place, _ in places]
        if len(at) > 1:
            raise ValueError(f"setting {name} is given twice: at {' and '.join(at)}")
    missing = {p.name for p in parameters if p.name in known and p.default is p.empty} - {name for _, name in given}
    if missing:
        raise ValueError(f"{', '.join(sorted(missing))} must be given, in axes or in fixed: run has no default for it")
    for dim in set(moves) & {name for _, name in given}:
        if dim not in moves[dim]:
            raise ValueError(
                f"axes.{dim} is the name of a setting that does not move along it; give the axis another name"
            )


def _listed(values: object, where: str, base: Path) -> list:
    if isinstance(values, str | Mapping) or not hasattr(values, "__iter__"):
        raise TypeError(f"{where} must be a list of values, given {values!r}")
    return [settings.located(value, base) for value in values]


def _labels(values: list, hint: settings.Hint, where: str) -> list:
    """Labels of the values of one setting, each checked; a name is its own label."""
    fitted = [settings.fit(value, hint, f"{where}[{i}]") for i, value in enumerate(values)]
    return [settings.label(v if isinstance(v, str) else made) for v, made in zip(values, fitted, strict=True)]


def _check_axis(dim: str, moved: dict[str, list]) -> None:
    """Zipped settings have as many values each, at least one, and no point comes twice."""
    counts = {name: len(labels) for name, labels in moved.items()}
    if not all(counts.values()):
        raise ValueError(f"axes.{dim} is empty; give at least one value")
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"axes.{dim} moves settings together, which need equally many values; given "
            f"{', '.join(f'{count} for {name}' for name, count in counts.items())}"
        )
    seen: dict[str, int] = {}
    for i, point in enumerate(zip(*moved.values(), strict=True)):
        first = seen.setdefault(repr(point), i)
        if first != i:
            raise ValueError(
                f"axes.{dim} has {', '.join(map(repr, point))} twice, at [{first}] and [{i}]; give it once"
            )


def _chunk(chunk: Mapping[str, int], labels: dict[str, dict[str, list]]) -> tuple[int, ...]:
    for dim, count in chunk.items():
        if dim not in labels:
            raise names.unknown("axis", dim, labels, f" (at chunk.{dim})")
        if type(count) is not int or count < 1:
            raise ValueError(f"chunk.{dim} = {count!r} must be a whole number of points, at least 1")
    sizes = {dim: len(next(iter(moved.values()))) for dim, moved in labels.items()}
    return tuple(min(chunk.get(dim, 1), size) for dim, size in sizes.items())

"""A grid in blocks: which part a block covers, how far a computation is, and results that stay in memory.

A target is where finished blocks go: `Memory` here, or a `landscape.store.BlockWriter` on disk. An engine asks it which
blocks are left (`todo`), which part of the grid one covers (`region`), hands over its values (`write`), and is told by
`progress` how far that is.
"""

import contextlib
import dataclasses
import datetime
import json
import math
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    import xarray
    from jaxtyping import Shaped

Json = Any  # None, a bool, a number, text, or lists and dicts by name of such, as `json.loads` returns them

SURFACE = "landscape surface 2"  # what the attribute `format` of a surface says


def check_share(part: int, parts: int) -> None:
    """ValueError unless there is a part ``part``, counted from 0, of ``parts``."""
    if not 0 <= part < parts:
        raise ValueError(
            f"shard {part}/{parts} does not exist; the shards of {parts} are 0/{parts} to {parts - 1}/{parts}"
        )


@dataclasses.dataclass(frozen=True)
class Blocking:
    """A grid of ``shape`` points cut into blocks of ``block`` points; those at the upper ends may be smaller."""

    shape: tuple[int, ...]
    block: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each dimension."""
        return tuple(-(-n // b) for n, b in zip(self.shape, self.block, strict=True))

    @property
    def number(self) -> int:
        """Blocks in all."""
        return math.prod(self.counts)

    def where(self, index: int) -> tuple[int, ...]:
        """Block ``index`` counted along each dimension."""
        return tuple(map(int, np.unravel_index(index, self.counts)))

    def region(self, index: int) -> tuple[slice, ...]:
        """The part of the grid that block ``index`` covers."""
        at = zip(self.where(index), self.block, self.shape, strict=True)
        return tuple(slice(i * b, min(n, (i + 1) * b)) for i, b, n in at)


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a computation is: blocks ``done`` and in all, ``fresh`` ones of this run, seconds and bytes."""

    done: int
    blocks: int
    fresh: int
    seconds: float
    begun: float  # seconds before the first block, spent compiling
    points: int
    bytes: int  # of the whole result, uncompressed
    written: int  # on disk so far, compressed; 0 in memory
    path: Path | None
    what: str = "blocks"  # what is counted

    @property
    def left(self) -> float:
        """Seconds left at the pace of the fresh blocks; NaN before there is a pace, 0 at the end."""
        if self.done == self.blocks:
            return 0.0
        return (self.seconds - self.begun) / self.fresh * (self.blocks - self.done) if self.fresh else math.nan


class Target:
    """Where finished blocks go, and how far that is. A context manager: what it holds is let go when it is left."""

    path: Path | None = None
    complete = False  # before this run

    def __init__(self, blocking: Blocking, leading: int, size: int) -> None:
        self.blocking, self.leading, self.size = blocking, leading, size
        self.finished = np.zeros(blocking.number, bool)
        self.among: Sequence[int] = range(blocking.number)  # the blocks that are this process's to compute
        self.fresh, self.written, self.begun, self.started = 0, 0, 0.0, time.perf_counter()
        self.counting, self.held = threading.Lock(), contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.held.close()

    @property
    def block(self) -> tuple[int, ...]:
        """Points of a whole block along each coordinate."""
        return self.blocking.block

    def region(self, index: int) -> tuple[slice, ...]:
        """The part of the grid that block ``index`` covers."""
        return self.blocking.region(index)

    def inside(self, index: int) -> tuple[slice | EllipsisType, ...]:
        """Where block ``index`` lies in an array: leading dimensions whole, its region, later dimensions whole."""
        return (*(slice(None),) * self.leading, *self.region(index), ...)

    def todo(self) -> list[int]:
        """Blocks that are not done."""
        return np.flatnonzero(~self.finished).tolist()

    def claim(self, index: int) -> contextlib.AbstractContextManager[bool]:
        """Whether a block is this process's to compute, now that it comes to it."""
        return contextlib.nullcontext(True)

    def begin(self) -> None:
        """What came before, such as compiling, says nothing about the pace."""
        self.begun = time.perf_counter() - self.started

    def progress(self) -> Progress:
        """The state of the computation now."""
        with self.counting:
            return Progress(
                done=int(self.finished[self.among].sum()),
                blocks=len(self.among),
                fresh=self.fresh,
                seconds=time.perf_counter() - self.started,
                begun=self.begun,
                points=math.prod(self.blocking.shape),
                bytes=self.size,
                written=self.written,
                path=self.path,
            )

    def _count(self, index: int, written: int = 0) -> None:
        with self.counting:
            self.finished[index] = True
            self.fresh += 1
            self.written += written

    def _about(self, attributes: Mapping[str, Json], runs: list[dict[str, Json]]) -> dict[str, Json]:
        """Attributes of a finished result: those given, the runs that made it, when, and in how many seconds."""
        return {
            **{key: plain(value) for key, value in attributes.items()},
            "runs": json.dumps(runs),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self.started, 3),
            "resumed_blocks": self.blocking.number - self.fresh,  # of earlier runs, which ``seconds`` leaves out
            "complete": True,
        }


class Memory(Target):
    """Results in memory: arrays (leading dimensions, coordinates) by name.

    ``leading`` and ``coordinates`` map dimensions to their values, ``variables`` maps names to dtypes.
    """

    def __init__(
        self,
        leading: Mapping[str, np.ndarray],
        coordinates: Mapping[str, np.ndarray],
        variables: Mapping[str, str],
        block: Sequence[int],
    ) -> None:
        self.coordinates = {**leading, **coordinates}
        shape = tuple(map(len, self.coordinates.values()))
        self.arrays = {name: np.empty(shape, dtype) for name, dtype in variables.items()}
        self.nonfinite = dict.fromkeys(variables, 0)  # how many values of each are inf or NaN
        blocking = Blocking(shape[len(leading) :], tuple(block))
        super().__init__(blocking, len(leading), sum(array.nbytes for array in self.arrays.values()))

    def write(self, index: int, results: "Mapping[str, Shaped[np.ndarray, '...']]") -> None:
        """Keep one block, then count it as done."""
        for name, values in results.items():
            self.arrays[name][self.inside(index)] = values
            lost = nonfinite(values)
            with self.counting:
                self.nonfinite[name] += lost
        self._count(index)

    def finish(self, attributes: Mapping[str, Json], labels: Mapping[str, Mapping[str, str]]) -> "xarray.Dataset":
        """The Dataset of the filled arrays; ``labels``: attributes of each coordinate and variable."""
        import xarray

        from landscape import provenance

        here = provenance.here()
        counts, dims = self.nonfinite, tuple(self.coordinates)
        words = lambda name: dict(labels.get(name, {}))  # noqa: E731
        data = {name: (dims, array, {**words(name), "nonfinite": counts[name]}) for name, array in self.arrays.items()}
        coordinates = {name: (name, values, words(name)) for name, values in self.coordinates.items()}
        runs = [{**here, "blocks": self.fresh}]
        return xarray.Dataset(data, coordinates, {"format": SURFACE, **here, **self._about(attributes, runs)})


def nonfinite(values: "Shaped[np.ndarray, '...']") -> int:
    """How many values are inf or NaN; whole numbers and text have none."""
    return values.size - int(np.count_nonzero(np.isfinite(values))) if values.dtype.kind in "fc" else 0


def plain(value: Json) -> Json:
    """A value as strict JSON allows it in an attribute: text, a finite number, or JSON in text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | float | int) else json.dumps(value)

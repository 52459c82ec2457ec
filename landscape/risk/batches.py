"""Examples, a few at a time: arrays or a stream as batches of one size, the last one weighted, the same every time."""

import dataclasses
import functools
import hashlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import ArrayLike, Float, PyTree, Shaped

from landscape.engine.evaluator import cast

PAIR = "data must be (inputs, targets), arrays whose first axis is the example, or a function that yields such pairs"


class Batch(NamedTuple):
    """Some examples: arrays (example, ...), and a weight for each, 0 for what only fills a batch up."""

    inputs: PyTree
    targets: PyTree
    weights: Float[np.ndarray, "example"]


class Read(NamedTuple):
    """What is known of a data set that was read once: how many examples, digests of its arrays, the first examples."""

    examples: int
    digest: list[str]
    begin: tuple


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """The batches of a data set, in one order: ``for inputs, targets, weights in batches``.

    ``data`` is ``(inputs, targets)`` or a function that yields such pairs, of any sizes, anew whenever it is called.
    They are put together to at most ``most`` examples, as evenly as it goes, so that it does not matter how a stream
    cuts its data. The last batch is ``filled`` up with examples of weight 0, so that one program serves all, or else is
    shorter. Arrays of float32 and float64 come in ``dtype``, all others as they are.

    Data are read once before they are used, to count them; ValueError if a stream yields others at any later time.
    """

    data: PyTree[Shaped[ArrayLike, "example ..."]]
    most: int
    dtype: str
    filled: bool = True

    def __post_init__(self) -> None:
        if inspect.isgenerator(self.data):
            raise TypeError("data is a generator, which can be read once; give the function that makes it, uncalled")
        if not callable(self.data):
            next(pairs(self.data))

    def same(self, other: "Batches") -> bool:
        """Whether the other ones are these."""
        ours, others = ((b.data, b.most, b.dtype, b.filled) for b in (self, other))
        return ours[0] is others[0] and ours[1:] == others[1:]

    def __iter__(self) -> Iterator[Batch]:
        if not callable(self.data):
            yield from map(self._weighted, cut(pairs(self.data), self.size))
            return
        again = Fingerprint()
        yield from map(self._weighted, cut(again.read(pairs(self.data)), self.size))
        if again.digest != self.digest:
            raise ValueError(
                f"the stream yields other data than when it was first read ({again.examples} examples now, "
                f"{self.examples} then): it must yield the same whenever it is called, not shuffled, and augmented, if "
                "at all, from a fixed key"
            )

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return self._read.examples

    @property
    def digest(self) -> list[str]:
        """A fingerprint of every array, however it is cut."""
        return self._read.digest

    @property
    def size(self) -> int:
        """Examples of a batch: not more than ``most``, and so many that the last one is nearly full."""
        return -(-self.examples // -(-self.examples // self.most))

    @property
    def first(self) -> Batch:
        """The first batch."""
        return self._weighted(part(self._read.begin, 0, self.size))

    @functools.cached_property
    def _read(self) -> Read:
        seen, begin = Fingerprint(), list[tuple]()
        for piece in seen.read(pairs(self.data)):
            if sum(examples(pair) for pair in begin) < self.most:
                begin.append(part(piece, 0, self.most))
        if not seen.examples:
            raise ValueError("the data hold no example; a stream must begin anew whenever it is called")
        return Read(seen.examples, seen.digest, joined(begin))

    def _weighted(self, pair: tuple) -> Batch:
        """A pair as a batch, filled up with its own examples: they are as harmless as they are."""
        count = examples(pair)
        size = self.size if self.filled else count
        if size > count:
            pair = jax.tree.map(lambda leaf: leaf[np.arange(size) % count], pair)
        inputs, targets = jax.tree.map(lambda leaf: cast(leaf, self.dtype), pair)
        return Batch(inputs, targets, (np.arange(size) < count).astype(self.dtype))


class Fingerprint:
    """What went by: how many examples, and a digest of every array that they are stacked in."""

    def __init__(self) -> None:
        self.examples = 0
        self._hashes: dict[str, Any] = {}

    def read(self, stream: Iterable[tuple]) -> Iterator[tuple]:
        """Look at every piece as it goes by."""
        for piece in stream:
            self.examples += examples(piece)
            for path, leaf in jax.tree.leaves_with_path(piece):
                about = f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape[1:]}"
                self._hashes.setdefault(about, hashlib.sha256()).update(np.ascontiguousarray(leaf).view(np.uint8))
            yield piece

    @property
    def digest(self) -> list[str]:
        """One for each array: of its place, its dtype, the shape of an example, and its bytes."""
        return [hashlib.sha256(about.encode() + h.digest()).hexdigest()[:16] for about, h in self._hashes.items()]


def pairs(data: PyTree) -> Iterator[tuple]:
    """``(inputs, targets)`` of NumPy arrays, from arrays or from a function that yields them; or one sentence."""
    for given in data() if callable(data) else [data]:
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise TypeError(f"{PAIR}; given {type(given).__name__} {given!r:.60}")
        pair = tuple(jax.tree.map(np.asarray, part) for part in given)
        shapes = [leaf.shape for leaf in jax.tree.leaves(pair)]
        if len({shape[:1] for shape in shapes}) != 1 or () in shapes or not all(map(jax.tree.leaves, pair)):
            raise ValueError(f"{PAIR}; the arrays given have shapes {', '.join(map(str, shapes)) or 'none'}")
        yield pair


def cut(pieces: Iterable[PyTree], size: int) -> Iterator[PyTree]:
    """Pieces of data (example, ...) put together and cut into ``size`` examples each; the last ones may be fewer."""
    held: list[PyTree] = []
    for piece in pieces:
        held.append(piece)
        if (count := sum(examples(pair) for pair in held)) >= size:
            whole, rest = joined(held), count % size
            yield from (part(whole, start, start + size) for start in range(0, count - rest, size))
            held = [part(whole, count - rest, count)] if rest else []
    if held:
        yield joined(held)


def examples(tree: PyTree) -> int:
    """How many examples arrays (example, ...) hold."""
    return len(jax.tree.leaves(tree)[0])


def joined(pieces: list[PyTree]) -> PyTree:
    """Pieces of data one after another."""
    return pieces[0] if len(pieces) == 1 else jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces)


def part(tree: PyTree, start: int, stop: int) -> PyTree:
    """Examples from ``start`` to ``stop``, not copied."""
    return jax.tree.map(lambda leaf: leaf[start:stop], tree)

"""n-grams: what the last symbols alone tell of the next one, by counting."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int


def ngrams(
    train: Int[np.ndarray, "time"], test: Int[np.ndarray, "step"], size: int, order: int
) -> Float[np.ndarray, "order step"]:
    """log P of every symbol of ``test`` after the first, by the n-grams of `foretold`, of order 1 to ``order``."""
    came = np.asarray(test, np.int64)[1:, None]
    return np.stack([np.log(np.take_along_axis(p, came, 1)[:, 0]) for p in foretold(train, test, size, order)])


def foretold(
    train: Int[np.ndarray, "time"], test: Int[np.ndarray, "step"], size: int, order: int
) -> Iterator[Float[np.ndarray, "step symbol"]]:
    """P of each symbol after every one of ``test`` but the last, by n-grams of order 1 to ``order``, one by one.

    Counted in ``train`` and interpolated by Witten & Bell (1991): ``p_n(c | s) = (N(s c) + D(s) p_(n-1)(c)) / (N(s) +
    D(s))``, where s are the n - 1 symbols before, N counts and D is the number of different symbols seen after s; p_0 =
    1 / size. Where test is too young for n - 1 symbols before, p_n is p_(n-1). Raises ValueError for symbols that are
    not 0 to size - 1, and for an order that ``train`` has too few for.
    """
    train, test = np.asarray(train, np.int64), np.asarray(test, np.int64)
    least, most = min(train.min(), test.min()), max(train.max(), test.max())
    if least < 0 or most >= size:
        raise ValueError(f"of {size} symbols, 0 to {size - 1}, given {least} to {most}")
    if not 1 <= order <= len(train):
        raise ValueError(f"order must be 1 to {len(train)}, the symbols to count, given {order}")
    p = np.full((len(test) - 1, size), 1 / size)
    seen, met = np.zeros(len(train), np.int64), np.zeros(len(test), np.int64)  # contexts, as numbers
    for before in range(order):
        first = max(before, 1)  # the first symbol of test that is asked for and has so many before it
        counts = _counted(seen, train[before:], met[first - before :], size)
        n, d = counts.sum(1, keepdims=True), (counts > 0).sum(1, keepdims=True)
        old = p[first - 1 :]
        p = np.concatenate([p[: first - 1], np.where(n > 0, (counts + d * old) / np.maximum(n + d, 1), old)])
        yield p
        seen, met = _longer(seen, train[before:], met, test[before:], size)


def _counted(
    seen: Int[np.ndarray, "time"], came: Int[np.ndarray, "time"], asked: Int[np.ndarray, "step"], size: int
) -> Int[np.ndarray, "step symbol"]:
    """How often each symbol came after the context that is asked for."""
    known, row = np.unique(asked, return_inverse=True)
    at = np.searchsorted(known, seen[np.isin(seen, known)])
    pairs = at * size + came[np.isin(seen, known)]
    return np.bincount(pairs, minlength=len(known) * size).reshape(-1, size)[row]


def _longer(
    seen: Int[np.ndarray, "time"],
    train: Int[np.ndarray, "time"],
    met: Int[np.ndarray, "step"],
    test: Int[np.ndarray, "step"],
    size: int,
) -> tuple[Int[np.ndarray, "time"], Int[np.ndarray, "step"]]:
    """Contexts with one symbol more, numbered anew, alike in both texts."""
    pairs = np.concatenate([seen[:-1] * size + train[:-1], met[:-1] * size + test[:-1]])
    number = np.unique(pairs, return_inverse=True)[1]
    return number[: len(train) - 1], number[max(len(train) - 1, 0) :]

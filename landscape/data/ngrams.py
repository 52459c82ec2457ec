"""n-grams: what the last symbols alone tell of the next one, by counting."""

import numpy as np
from jaxtyping import Float, Int

LARGEST = 2**62  # codes of contexts are whole numbers of 63 bits


def ngrams(
    train: Int[np.ndarray, "time"], test: Int[np.ndarray, "step"], size: int, order: int
) -> Float[np.ndarray, "order step"]:
    """log P of every symbol of ``test`` after the first, by n-grams of order 1 to ``order`` counted in ``train``.

    Interpolated by Witten & Bell (1991): ``p_n(c | s) = (N(s c) + D(s) p_(n-1)(c)) / (N(s) + D(s))``, where s are the
    n - 1 symbols before, N counts and D is the number of different symbols seen after s; p_0 = 1 / size. Where test
    is too young for n - 1 symbols before, p_n is p_(n-1). Raises ValueError where there are too many contexts to count.
    """
    if size**order > LARGEST:
        raise ValueError(f"contexts of {order} of {size} symbols are too many to count; ask for a lower order")
    train, test = np.asarray(train, np.int64), np.asarray(test, np.int64)
    least, most = min(train.min(), test.min()), max(train.max(), test.max())
    if least < 0 or most >= size:
        raise ValueError(f"of {size} symbols, 0 to {size - 1}, given {least} to {most}")
    p, found = np.full(len(test) - 1, 1 / size), []
    for before in range(order):
        pair = _codes(train, before + 1, size)
        pairs, counts = np.unique(pair, return_counts=True)
        contexts, kinds = np.unique(pairs // size, return_counts=True)
        totals = np.bincount(np.searchsorted(contexts, pair // size), minlength=len(contexts))
        asked = _codes(test, before + 1, size)[before == 0 :]  # the first symbol is not asked for
        n, d = (_found(contexts, values, asked // size) for values in (totals, kinds))
        old = len(p) - len(asked)  # steps that are too young
        mixed = (_found(pairs, counts, asked) + d * p[old:]) / np.maximum(n + d, 1)
        p = np.concatenate([p[:old], np.where(n > 0, mixed, p[old:])])
        found.append(np.log(p))
    return np.stack(found)


def _codes(symbols: Int[np.ndarray, "time"], length: int, size: int) -> Int[np.ndarray, "start"]:
    """Every stretch of ``length`` symbols as one whole number."""
    count = len(symbols) - length + 1
    codes = np.zeros(count, np.int64)
    for k in range(length):
        codes = codes * size + symbols[k : k + count]
    return codes


def _found(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """``values`` of what is ``asked`` among sorted ``keys``; 0 where it is not there."""
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, values[at], 0)

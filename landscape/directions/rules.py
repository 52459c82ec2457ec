"""Rules: which axes of a leaf index its filters.

``rule(name, leaf) -> axes``, ``()`` for one filter, None for a leaf that stays. A rule is a function and never guessed
from a shape: Flax kernels end in the filter axis, (in, out) and HWIO, those of Equinox and PyTorch begin with it,
(out, in) and OIHW. The wrong rule draws another picture.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import ArrayLike, Shaped

Rule = Callable[[str, Shaped[ArrayLike, "..."]], Sequence[int] | None]


def last(name: str, leaf: Shaped[ArrayLike, "*shape"]) -> tuple[int, ...] | None:
    """Flax: the last axis of a kernel indexes filters; biases and scales stay (Li et al. 2018, section 4)."""
    return (np.ndim(leaf) - 1,) if np.ndim(leaf) > 1 else None


def first(name: str, leaf: Shaped[ArrayLike, "*shape"]) -> tuple[int, ...] | None:
    """Equinox and PyTorch: the first axis of a kernel indexes filters; biases and scales stay."""
    return (0,) if np.ndim(leaf) > 1 else None


def layer(name: str, leaf: Shaped[ArrayLike, "*shape"]) -> tuple[int, ...] | None:
    """Every kernel is one filter; biases and scales stay."""
    return () if np.ndim(leaf) > 1 else None


def every(name: str, leaf: Shaped[ArrayLike, "*shape"]) -> tuple[int, ...]:
    """Every weight is a filter, d = ±|w|: the only rule that no rescaling of units changes (as ASAM's ball)."""
    return tuple(range(np.ndim(leaf)))


def called(rule: Rule) -> str:
    return getattr(rule, "__name__", type(rule).__name__)


def axes_of(rule: Rule, name: str, leaf: Shaped[ArrayLike, "..."]) -> tuple[int, ...] | None:
    """The filter axes of a leaf, from 0 up, or ValueError."""
    try:
        axes = rule(name, leaf)
    except LookupError as error:
        raise ValueError(
            f"the rule {called(rule)} says nothing of {name!r}; it must give the filter axes, () for one filter, or "
            "None to leave it"
        ) from error
    if axes is None:
        return None
    size = np.ndim(leaf)
    if isinstance(axes, str) or not isinstance(axes, Sequence) or not all(a in range(-size, size) for a in axes):
        raise ValueError(
            f"the rule {called(rule)} gives {axes!r} as filter axes of {name!r}, whose shape is {np.shape(leaf)}; "
            f"give a tuple of numbers from 0 to {size - 1}, () for one filter, or None to leave it"
        )
    return tuple(sorted({a % size for a in axes}))

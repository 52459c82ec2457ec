"""A problem: what is computed at every point of a plane. It knows the computation and its data, and no plane."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int, PyTree, Shaped

from landscape.blocks import Json
from landscape.engine.jets import pairs
from landscape.kernels.lanes import Unfusable
from landscape.planes import Affine

P = TypeVar("P", bound="Problem")


class Problem:
    """What is computed at every point of a plane: a kernel, its data, and what its rows mean.

    A subclass is a frozen dataclass of what is asked, such as `landscape.Recurrence` and `landscape.Function`, so that
    ``dataclasses.replace(problem, order=2)`` asks for more of the same. It answers:

    ``kernel``: ``(affine, points (coordinate, point), data) -> [rows (row, point), ...]``, an array for each variable,
    traced by JAX. It must be hashable: equal kernels share one compiled program. Everything that may change without
    compiling again belongs into ``data``, a pytree of arrays.

    ``leading``: the values of the dimensions before those of the plane, by name; rows run over them, the last one
    fastest. None at all means one row. ``variables``: names of the arrays, given the names of the coordinates.

    ``width``: examples computed side by side at a point, which decides how many points fit in cache, 0 where points go
    one by one; ``steps``: the work at a point, in steps of its innermost loop; ``least``: points that are worth a block
    of their own. ``settings``: all that the numbers depend on, in plain JSON values.

    Where data are too large for one program, ``parts`` cuts them, and ``joined`` makes the variables of what the kernel
    returns for each part. Data then lie outermost: they go by once for a whole block of points.
    """

    dtype: str | None = None

    @property
    def kernel(self) -> Callable:
        raise NotImplementedError(f"{type(self).__name__} must say its kernel")

    def fused(self, affine: Affine, interpret: bool = False) -> Callable:
        """The kernel as one launch on a GPU, for the models of ``affine``; raise `Unfusable` if it cannot be so."""
        raise Unfusable(f"{type(self).__name__} has no fused kernel")

    @property
    def data(self) -> PyTree:
        return ()

    @property
    def leading(self) -> dict[str, Shaped[np.ndarray, "row"]]:
        return {}

    @property
    def width(self) -> int:
        return 1

    @property
    def steps(self) -> int:
        return 1

    @property
    def least(self) -> int:
        return 1024

    def moment(self, affine: Affine) -> int:
        """Points that take one core a moment, `landscape.devices.MOMENT`; 0 if nobody can tell before it is tried.

        Blocks in memory are as large as that, where it is more than usual; else there is no progress to be seen.
        """
        return 0

    def parts(self, data: PyTree) -> Iterator[PyTree]:
        """What the program is given of its ``data``, one after the other, for one block of points."""
        yield data

    def joined(
        self, parts: Iterable[list[Float[np.ndarray, "row point"]]], names: Sequence[str]
    ) -> list[Float[np.ndarray, "row point"]]:
        """The variables ``names``, of what the kernel returned for every one of `parts`."""
        (rows,) = parts
        return rows

    @property
    def settings(self) -> dict[str, Json]:
        raise NotImplementedError(f"{type(self).__name__} must say its settings")

    @property
    def name(self) -> str:
        """What is computed, in a few words for titles."""
        return type(self).__name__

    @property
    def precision(self) -> str:
        """The dtype of coordinates and results: float32 unless the problem says otherwise."""
        return self.dtype or "float32"

    def variables(self, coordinates: Sequence[str]) -> list[str]:
        """Names of what the kernel returns, in its order."""
        raise NotImplementedError(f"{type(self).__name__} must name its variables")

    def labels(self) -> dict[str, dict[str, str]]:
        """Long names and units of leading dimensions and variables, where they are not those of `describe`."""
        return {}

    def admit(self, affine: Affine) -> Affine:
        """The plane's map as the kernel takes it; raise, before anything is compiled, if its models cannot be asked."""
        return affine

    def again(self, affine: Affine, point: Float[np.ndarray, "coordinate"]) -> float | None:
        """The loss of the last row at ``point`` by another route; None if there is none."""
        return None

    def derived(self, affine: Affine, point: Float[np.ndarray, "coordinate"], names: Sequence[str]) -> dict[str, float]:
        """Some of the variables ``names``, derivatives, of the last row at ``point`` by another route."""
        return {}


def precise(problem: P) -> P:
    """The problem in float64 unless it asks for another dtype: for cuts, ridges and paths."""
    return problem if problem.dtype else dataclasses.replace(problem, dtype="float64")  # type: ignore[type-var] # each is a dataclass


def derivatives(coordinates: Sequence[str], order: int) -> list[str]:
    """Variables of a loss: loss, then d_w, d_b and log10_gradient (order 1), then d_w_w, d_w_b, d_b_b (order 2)."""
    first = [f"d_{name}" for name in coordinates] + ["log10_gradient"] if order > 0 else []
    second = [f"d_{coordinates[k]}_{coordinates[l]}" for k, l in pairs(len(coordinates))] if order > 1 else []
    return ["loss", *first, *second]


def checked_order(order: int) -> int:
    """An order of differentiation, or ValueError."""
    if order not in (0, 1, 2) or isinstance(order, bool):
        raise ValueError(f"order must be 0 (loss), 1 (gradient) or 2 (Hessian), given {order!r}")
    return int(order)


def checked_dtype(dtype: object) -> str | None:
    """A dtype to compute in by its name, None if it is left to the use, or ValueError."""
    if dtype is not None and str(dtype) not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64', given {dtype!r}")
    return None if dtype is None else str(dtype)


def checked_lengths(lengths: Iterable[int]) -> Int[np.ndarray, "length"]:
    """Increasing whole numbers from 1 up, or ValueError."""
    given = list(lengths) if isinstance(lengths, Iterable) else []
    array = np.asarray(given)
    if (
        array.ndim != 1
        or array.size == 0
        or array.dtype.kind not in "iu"
        or any(isinstance(length, bool) for length in given)
        or array[0] < 1
        or np.any(np.diff(array) <= 0)
    ):
        raise ValueError(
            f"lengths must be increasing whole numbers from 1 up, such as 1:200 or 10,50,100; "
            f"given {given[:8] or lengths!r}"
        )
    return array.astype(np.int32)


def whole(value: int, name: str, least: int, most: int | None = None) -> int:
    """A whole number from ``least`` up, to ``most`` if there is one, or ValueError."""
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not number or value < least or (most is not None and value > most):
        bound = f"from {least} {'up' if most is None else f'to {most}'}"
        raise ValueError(f"{name} must be a whole number {bound}, given {value!r}")
    return int(value)

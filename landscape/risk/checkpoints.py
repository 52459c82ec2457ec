"""A problem at every checkpoint of a training: the same plane moved along with the model."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from landscape import specs
from landscape.blocks import Json
from landscape.engine.evaluator import cast
from landscape.engine.problem import Problem
from landscape.planes import Affine


@dataclasses.dataclass(frozen=True)
class Moved:
    """The kernel of `Checkpoints`: that of the problem with one origin after the other."""

    kernel: Callable

    def __call__(self, affine: Affine, points: Float[Array, "coordinate point"], data: tuple) -> list[Array]:
        """Rows (step and the problem's own, point)."""
        models, part = data
        at = lambda model: self.kernel(dataclasses.replace(affine, origin=model), points, part)  # noqa: E731
        return [rows.reshape(-1, rows.shape[-1]) for rows in jax.lax.map(at, models)]


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoints(Problem):
    """``problem`` around every one of ``models``: a surface with the leading dimension ``step``, to be drawn as a film.

    ``models`` is a pytree like the model of the plane, which `landscape.span` makes, with an axis of steps in front of
    every array, as a `scan` over training returns it; ``at`` are their numbers, 0, 1, 2, ... unless given. Coordinates
    are displacements from each of them. Raises ValueError unless all fit together.
    """

    problem: Problem
    models: PyTree = None
    at: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.problem, Problem):
            raise TypeError(f"problem must be a Problem such as landscape.Risk(predict, data), given {self.problem!r}")
        counts = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(self.models)}
        if len(counts) != 1 or () in counts:
            raise ValueError(f"models must have one axis of steps in front of every array; first axes are {counts}")
        count = counts.pop()[0]
        numbers = np.arange(count) if self.at is None else np.asarray(self.at)
        if numbers.shape != (count,) or numbers.dtype.kind not in "iu" or np.any(np.diff(numbers) <= 0):
            raise ValueError(f"at must be {count} increasing whole numbers, one for each checkpoint; given {self.at!r}")
        object.__setattr__(self, "at", tuple(numbers.tolist()))
        object.__setattr__(self, "dtype", self.problem.dtype)

    @property
    def kernel(self) -> Moved:
        return Moved(self.problem.kernel)

    @property
    def data(self) -> tuple:
        return jax.tree.map(lambda leaf: cast(leaf, self.precision), self.models), self.problem.data

    def parts(self, data: tuple) -> Iterator[tuple]:
        models, inner = data
        return ((models, part) for part in self.problem.parts(inner))

    def joined(self, parts: Iterable[list], names: Sequence[str]) -> list[Float[np.ndarray, "row point"]]:
        return self.problem.joined(parts, names)

    @property
    def leading(self) -> dict[str, Int[np.ndarray, "step"]]:
        return {"step": np.asarray(self.at, np.int32), **self.problem.leading}

    @property
    def width(self) -> int:
        return self.problem.width

    @property
    def steps(self) -> int:
        return len(self.leading["step"]) * self.problem.steps

    @property
    def least(self) -> int:
        return self.problem.least

    @property
    def settings(self) -> dict[str, Json]:
        models = [specs.digest(leaf) for leaf in jax.tree.leaves(self.models)]
        return {**self.problem.settings, "steps": self.leading["step"].tolist(), "models": models}

    @property
    def name(self) -> str:
        return self.problem.name

    def variables(self, coordinates: Sequence[str]) -> list[str]:
        return self.problem.variables(coordinates)

    def labels(self) -> dict[str, dict[str, str]]:
        return {"step": {"long_name": "updates", "units": "1"}, **self.problem.labels()}

    def admit(self, affine: Affine) -> Affine:
        """Raise unless the models are such as the plane's."""
        ours, theirs = (str(jax.tree.structure(tree)) for tree in (self.models, affine.origin))
        shapes = [[np.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (self._last(), affine.origin)]
        if ours != theirs or shapes[0] != shapes[1]:
            raise ValueError(
                f"models must be pytrees like the plane's, {theirs} of shapes {shapes[1]}, with steps in front; "
                f"given {ours} of shapes {shapes[0]} after the first axis"
            )
        return self.problem.admit(affine)

    def again(self, affine: Affine, point: Float[np.ndarray, "coordinate"]) -> float | None:
        """The other route at the last checkpoint."""
        return self.problem.again(dataclasses.replace(affine, origin=self._last()), point)

    def derived(self, affine: Affine, point: Float[np.ndarray, "coordinate"], names: Sequence[str]) -> dict[str, float]:
        return self.problem.derived(dataclasses.replace(affine, origin=self._last()), point, names)

    def _last(self) -> PyTree:
        return jax.tree.map(lambda leaf: cast(leaf[-1], self.precision), self.models)

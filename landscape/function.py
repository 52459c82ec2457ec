"""The problem of any model: one number, ``loss(model, data)``, with its derivatives along the coordinates."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree, Shaped

from landscape import specs
from landscape.blocks import Json
from landscape.engine.jets import Jet, pairs, push, unscaled
from landscape.engine.problem import Problem, checked_dtype, checked_order, derivatives
from landscape.planes import Affine


@dataclasses.dataclass(frozen=True)
class Pointwise:
    """The kernel of `Function`: point after point, so that memory does not grow with them."""

    loss: Callable[[PyTree, PyTree], Float[Array, ""]]
    order: int

    def __call__(
        self, affine: Affine, points: Float[Array, "coordinate point"], data: PyTree
    ) -> list[Float[Array, "1 point"]]:
        """Loss and derivatives, each (1, point), at ``points`` (coordinate, point), in the order of variables."""
        count = len(points)
        blank = Jet((), ((),) * count * (self.order > 0), dict.fromkeys(pairs(count) * (self.order > 1), ()))
        one = (jnp.ones((), points.dtype),) * count

        def at(point: Float[Array, "coordinate"]) -> Jet:
            found = push(lambda p, _: self.loss(affine.at(p), data), tuple(point), one, blank)
            return jax.tree.map(lambda a: jnp.asarray(a, points.dtype), found)

        jet = jax.tree.map(lambda a: a[None], jax.lax.map(at, points.T))
        return unscaled(jet, (jnp.zeros((1, points.shape[1]), jnp.int32),) * count)


@dataclasses.dataclass(frozen=True, eq=False)
class Function(Problem):
    """``loss(model, data)``, one number of any model, with its derivatives up to ``order``.

    The model is whatever the plane holds: a pytree such as the parameters of a Flax module. ``data`` is a pytree of
    arrays that ``loss`` is given unchanged, outside of the compiled program. ``loss`` must be a pure function; its
    programs are shared as long as it is the same object. A surface of it has no leading dimension.
    """

    loss: Callable[[PyTree, PyTree], Float[Array, ""]]
    data: PyTree[Shaped[ArrayLike, "..."]] = ()
    order: int = 1
    dtype: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.loss):
            raise TypeError(f"loss must be a function of a model and data, given {self.loss!r}")
        object.__setattr__(self, "order", checked_order(self.order))
        object.__setattr__(self, "dtype", checked_dtype(self.dtype))

    @property
    def kernel(self) -> Pointwise:
        return Pointwise(self.loss, self.order)

    @property
    def settings(self) -> dict[str, Json]:
        leaves = [specs.numbers(leaf) for leaf in jax.tree.leaves(self.data)]
        about = {"loss": self.name, "data": leaves, "order": self.order, "dtype": self.precision}
        return {**about, **specs.source("loss", self.loss)}

    @property
    def name(self) -> str:
        return getattr(self.loss, "__name__", type(self.loss).__name__)

    def variables(self, coordinates: Sequence[str]) -> list[str]:
        return derivatives(coordinates, self.order)

    def admit(self, affine: Affine) -> Affine:
        """Raise before anything is compiled unless ``loss`` gives one number."""
        with jax.enable_x64(self.precision == "float64"):
            point = [jnp.zeros((), self.precision)] * len(affine.directions)
            made = jax.eval_shape(lambda affine, data: self.loss(affine.at(point), data), affine, self.data)
        if getattr(made, "shape", None) != ():
            given = jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", made)
            raise TypeError(f"{self.name} must return one number, it returns {given}; take a mean over examples")
        if self.order > 0 and not jnp.issubdtype(made.dtype, jnp.floating):
            raise TypeError(f"{self.name} returns {made.dtype}, which has no derivative; ask for order=0")
        return affine

    def again(self, affine: Affine, point: Float[np.ndarray, "coordinate"]) -> float:
        """The loss itself, called outside of the compiled program."""
        return float(self.loss(affine.at(list(point)), self.data))

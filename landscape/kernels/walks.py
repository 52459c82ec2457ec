"""All updates of an optimiser as one kernel: what `landscape.descent.paths` scans, traced on lanes of points.

A thread goes its own way: place and what the optimiser keeps never leave registers, and every look at the loss is the
course of a surface's kernel at one length.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree, Shaped

from landscape.blocks import Json
from landscape.descent.paths import Walk, descent, path, seen
from landscape.engine.jets import unscaled
from landscape.kernels.lanes import Ref, Unfusable, boxed, is_box, lanes
from landscape.kernels.surfaces import POINTS, STRICT, Program, hindrance
from landscape.planes import Affine
from landscape.tree import pytree, static


def fused(walk: Walk, affine: Affine, data: tuple, interpret: bool) -> Callable:
    """``walk`` as one launch, or one whose every look is a launch where the episodes do not fit into registers."""
    walk = dataclasses.replace(walk, kernel=dataclasses.replace(walk.kernel, each=0))  # type: ignore[type-var]
    whole = Launched(walk, interpret)
    return walk if hindrance(whole, affine, data) else whole


@dataclasses.dataclass(frozen=True)
class Launched:
    """``walk`` over a `landscape.kernels.surfaces.Fused`, as one launch with the same arguments and results."""

    walk: Walk
    interpret: bool = False

    @property
    def options(self) -> dict[str, Json]:
        """What `jax.jit` compiles with."""
        return {} if self.interpret else STRICT

    @property
    def lighter(self) -> Walk:
        """What to compile instead of a kernel that spills: every look is a launch."""
        return self.walk

    def __call__(self, affine: Affine, points: jax.Array, data: tuple) -> list[jax.Array]:
        _, *traced = data
        program = Updates(self.walk, affine, points, data)
        return program.launch(points, self.interpret, [jnp.reshape(value, 1) for value in traced])


@pytree
class Kept:
    """A box as a loop carries it: its lane arrays, and its shape."""

    numbers: tuple[Shaped[Array, "point"], ...]
    shape: tuple[int, ...] = static()


def _each(f: Callable) -> Callable:
    """``f`` of one point over a block of them."""
    wide = lambda number: jnp.broadcast_to(number, (POINTS,))  # noqa: E731
    keep = lambda leaf: Kept(numbers=tuple(map(wide, leaf.flat)), shape=leaf.shape) if is_box(leaf) else wide(leaf)  # noqa: E731
    take = lambda leaf: boxed(leaf.numbers, leaf.shape) if isinstance(leaf, Kept) else leaf  # noqa: E731
    opened = lambda args: jax.tree.map(take, args, is_leaf=lambda leaf: isinstance(leaf, Kept))  # noqa: E731
    return lambda *args: jax.tree.map(keep, lanes(f)(*opened(args)))


class Updates(Program):
    """What of a walk is known when it is traced."""

    def __init__(self, walk: Walk, affine: Affine, points: jax.Array, data: tuple) -> None:
        scan = walk.kernel.scan  # type: ignore[attr-defined]
        super().__init__(scan, affine, len(points), data[0])
        if self.passes > 1:
            raise Unfusable(f"{self.batch} episodes are more than the {self.each} that a walk holds in registers")
        self.walk = walk
        plain = dataclasses.replace(walk, kernel=scan)
        self.made = jax.eval_shape(plain, affine, jax.ShapeDtypeStruct(points.shape, points.dtype), data)

    def _out(self, points: jax.Array) -> list[jax.ShapeDtypeStruct]:
        return [jax.ShapeDtypeStruct((len(out), points.shape[1]), out.dtype) for out in self.made]

    def body(self, point_ref: Ref, held_ref: Ref, stops_ref: Ref, *refs: Ref) -> None:
        """One block of starts, after all updates or at each."""
        start = [point_ref[k, :] for k in range(self.coordinates)]
        given = refs[len(self.series.shapes) + len(self.answers.shapes) :]
        traced, outs = given[: -len(self.made)], given[-len(self.made) :]

        def look(point: list[jax.Array]) -> list[jax.Array]:
            course = self._course(self._placed(held_ref, tuple(point)), tuple(point))
            begin, until, _ = self._along(course, stops_ref, refs)
            return unscaled(*until(0, begin())[1])

        down = descent(self.walk.names, look, self.walk.optimiser, _each)
        if self.walk.of is not path:
            values = self.walk.of(down, start, *self.walk.static, *(ref[0] for ref in traced))
            for out, value in zip(outs, values, strict=True):
                out[0, :] = value[0]
            return

        def walked(n: Int[Array, ""], state: PyTree) -> PyTree:
            here, state = down.step(state)
            for out, value in zip(outs, seen(down.names, here), strict=True):
                out[n, :] = value
            return state

        jax.lax.fori_loop(0, len(self.made[0]), walked, down.begin(start))

"""The evaluator: a problem at any points of a plane, computed tile by tile by one compiled program."""

import dataclasses
import functools
import itertools
import math
import warnings
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PyTree, Real, Shaped

from landscape import devices
from landscape.blocks import Json
from landscape.engine import routes
from landscape.engine.problem import Problem
from landscape.planes import Affine, Plane, named_leaves


@functools.lru_cache(maxsize=256)  # not for ever: kernels may hold an optimiser, and every optax.sgd(0.1) is a new one
def _program(kernel: Callable) -> jax.stages.Wrapped:
    """``(affine, points (tile, coordinate, point), used, data) -> [(row, tile * point)]`` on one device.

    Only the first ``used`` tiles are computed: 0 compiles and computes nothing. One tile alone is no loop, whose end a
    GPU would ask its host for. A kernel may have ``options`` of the compiler.
    """

    once = jax.jit(kernel, inline=True)  # traced once, for its shapes and for the loop

    def block(
        affine: Affine, points: Float[Array, "tile coordinate point"], used: Int[Array, ""], data: PyTree
    ) -> list[Float[Array, "row points"]]:
        size = points.shape[-1]

        def put(i: Int[Array, ""], out: list[Float[Array, "row points"]]) -> list[Float[Array, "row points"]]:
            results = once(affine, points[i], data)
            where = (jnp.zeros_like(i), i * size)
            return [jax.lax.dynamic_update_slice(o, r, where) for o, r in zip(out, results, strict=True)]

        shapes = jax.eval_shape(once, affine, points[0], data)
        blank = [jnp.zeros((s.shape[0], len(points) * size), s.dtype) for s in shapes]
        if len(points) == 1:
            return jax.lax.cond(used > 0, lambda: once(affine, points[0], data), lambda: blank)
        return jax.lax.fori_loop(0, used, put, blank)

    return jax.jit(block, compiler_options=routes.Route(kernel).options)


def cast(leaf: Shaped[ArrayLike, "*shape"], dtype: str) -> Shaped[Array | np.ndarray, "*shape"]:
    """A leaf of a model as it is computed with: numbers in ``dtype``; integer, key and half-precision arrays as are."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf
    array = np.asarray(leaf)
    number = array.dtype.kind in "iuf" and not isinstance(leaf, jax.Array | np.ndarray)
    return np.asarray(array, dtype) if number or array.dtype in (np.float32, np.float64) else array


class Evaluator:
    """A problem at any points of a plane: static choices here, points in the call.

    ``evaluator(points (point, coordinate)) -> {name: (*leading, point)}``. A grid is one choice of points; a ridge, an
    optimiser's path or a refined mesh are others. Points are computed ``size`` at a time, always by one program, so
    that a point's value does not depend on what is asked beside it.
    """

    def __init__(self, plane: Plane, problem: Problem) -> None:
        if not isinstance(plane, Plane):
            raise TypeError(f"plane must be what landscape.plane or landscape.span makes, given {_kind(plane)}")
        if not isinstance(problem, Problem):
            raise TypeError(f"problem must be a Problem such as landscape.Recurrence(task, lengths), given {problem!r}")
        self.plane, self.problem, self.dtype = plane, problem, problem.precision
        devices.refuse(self.dtype)
        devices.keep_freed()
        self.leading = problem.leading
        self.names = problem.variables(tuple(plane.axes))
        self._refuse_clashes()
        self._refuse_steps()
        origin = jax.tree.map(lambda leaf: cast(leaf, self.dtype), plane.affine.origin)
        self._refuse_fixed(origin)
        along = jax.tree.map(lambda leaf: np.asarray(leaf, self.dtype), plane.affine.directions)
        self._affine = dataclasses.replace(plane.affine, origin=origin, directions=along)
        self._affine = problem.admit(self._affine)
        self._there: dict[tuple[int, bool], Affine] = {}
        self._data = problem.data
        self.route = routes.choose(problem, self._affine)
        self.resize(1)

    def _refuse_clashes(self) -> None:
        taken = {**dict.fromkeys(self.leading, "a dimension"), **dict.fromkeys(self.names, "a variable")}
        for name in self.plane.axes:
            if name in taken:
                raise ValueError(f"a coordinate cannot be called {name!r}, {taken[name]} of the result; rename it")
        if twice := [name for name in self.names if self.names.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} would be the name of two derivatives; rename a coordinate")

    def _refuse_steps(self) -> None:
        """ValueError for an axis whose values the dtype does not tell apart: its surface would be a staircase."""
        for name, axis in self.plane.axes.items():
            if np.any(np.diff(axis.astype(self.dtype)) <= 0):
                wider = "; ask for dtype='float64'" if self.dtype == "float32" else "; take fewer or a wider range"
                raise ValueError(f"values of {name} are nearer to each other than {self.dtype} tells apart{wider}")

    def _refuse_fixed(self, origin: PyTree) -> None:
        """TypeError for a leaf that is no number, or that a coordinate moves though it has no derivative."""
        names = {index: name for name, index in named_leaves(origin).items()}
        for i, leaf in enumerate(jax.tree.leaves(origin)):
            name = names.get(i, f"leaf {i}")
            if leaf.dtype == object:
                raise TypeError(f"{name} of the model is no number; keep it out of the model, and in what is computed")
            for axis, direction in zip(self.plane.axes, self.plane.affine.directions, strict=True):
                if direction[i] is not None and not jnp.issubdtype(leaf.dtype, jnp.floating):
                    raise TypeError(
                        f"{axis} moves {name}, an array of {leaf.dtype}, which has no derivative; "
                        f"a direction must be 0 there"
                    )

    def resize(self, points: int) -> "Evaluator":
        """Compute at least ``points`` points by one call of the program: whole tiles.

        A power of two of them where that does, so that one program serves many sizes; those beyond are not computed.
        """
        self.tile = self._tile(max(points, 1))
        tiles = -(-max(points, 1) // self.tile)
        more = devices.power_of_two(tiles) * self.tile
        self.size = more if self._tile(more) == self.tile else tiles * self.tile
        return self

    def _tile(self, points: int) -> int:
        """Points computed side by side; one where the problem goes from point to point."""
        return devices.tile_points(self.problem.width, points) if self.problem.width else 1

    def __call__(
        self, points: Real[ArrayLike, "point coordinate"] | Sequence[Sequence[float]]
    ) -> dict[str, Float[np.ndarray, "*leading point"]]:
        points = np.asarray(points, self.dtype)
        points = points if points.size else points.reshape(0, len(self.plane.axes))
        if points.ndim != 2 or points.shape[1] != len(self.plane.axes):
            names = ", ".join(self.plane.axes)
            raise ValueError(f"points must be (point, coordinate), a column for each of {names}; given {points.shape}")
        parts = [self.rows(points[i : i + self.size]) for i in range(0, max(len(points), 1), self.size)]
        joined = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
        shape = tuple(len(values) for values in self.leading.values())
        return {name: rows.reshape(*shape, -1) for name, rows in zip(self.names, joined, strict=True)}

    def rows(
        self, points: Float[np.ndarray, "point coordinate"], device: int = 0
    ) -> list[Float[np.ndarray, "row point"]]:
        """Calls of the program, (row, point) each; a short block is filled up, and no point at all only compiles.

        Every device runs the same program on its own, so that the number of devices changes no bit.
        """
        size, route = self.size, self.route
        parts = [points[i : i + size] for i in range(0, max(len(points), 1), size)]
        try:
            made = [self._part(part, size, route.kernel, device) for part in parts]
        except Exception as error:
            self._give_way(error, size, route)
            return self.rows(points, device)
        return [np.concatenate(row, axis=-1) for row in zip(*made, strict=True)] if len(made) > 1 else made[0]

    def _part(
        self, points: Float[np.ndarray, "point coordinate"], size: int, kernel: Callable, device: int
    ) -> list[Float[np.ndarray, "row point"]]:
        """One call of the program for ``size`` points, of which the first are wanted."""
        count, coordinates = points.shape
        tile = self._tile(size)
        tiles = np.moveaxis(np.resize(points, (size, coordinates)).reshape(-1, tile, coordinates), 2, 1)
        with jax.enable_x64(self.dtype == "float64"), jax.default_device(devices.local(device)):
            program, used, affine = _program(kernel), np.int32(-(-count // tile)), self._on(device)
            parts = itertools.islice(self.problem.parts(self._data), None if count else 1)
            made = (devices.fetched(program(affine, tiles, used, part)) for part in parts)
            out = self.problem.joined(made, self.names)
        return [o[:, :count] for o in out]

    def _on(self, device: int) -> Affine:
        """The plane's map on a device, put there once and not for every block."""
        where = devices.local(device)
        if where not in self._there:
            self._there[where] = jax.block_until_ready(jax.device_put(self._affine, where))
        return self._there[where]

    def _give_way(self, error: Exception, size: int, route: routes.Route) -> None:
        """Compute by what keeps to registers that were too few, by smaller calls where memory was short, by the scan if
        its kernel failed; raise if none of these is left.
        """
        short = devices.short(error)
        if (self.size, self.route) != (size, route):
            return  # another thread has given way already
        if route.options and devices.spilt(error):
            self.route = routes.lighter(route, self._affine, self._data)
        elif short and size > devices.SMALLEST_TILE:
            self.resize(size // 2)
            words = f"{size} points did not fit into the memory of the device; {self.size} are computed at a time"
            warnings.warn(words, RuntimeWarning, stacklevel=3)
        elif route.fused and not short:
            self.route = routes.failed(self.problem, error)
        else:
            raise error

    def origin(self) -> dict[str, Json]:
        """The loss of the model that the plane was made from, by this route and by the problem's other one."""
        center = self.plane.center
        if not np.all(np.isfinite(center)):
            return {"origin": "tied parameters of different values: no one point is the origin"}
        other = self.again(center)
        if other is None:
            return {}
        here = self(np.asarray([center]))
        loss = float(here["loss"].ravel()[-1])
        place = dict(zip(self.plane.axes, center, strict=True))
        checked = {"origin": place, "origin_loss": loss, "origin_loss_by_another_route": other}
        with jax.enable_x64(self.dtype == "float64"):
            derived = self.problem.derived(self._affine, np.asarray(center, self.dtype), self.names)
        if derived:
            ours = {name: float(here[name].ravel()[-1]) for name in derived}
            checked |= {"origin_derivatives": ours, "origin_derivatives_by_another_route": derived}
        return checked

    def again(self, point: Sequence[float] | Float[np.ndarray, "coordinate"]) -> float | None:
        """The loss of the last row at ``point`` by the problem's other route; None if it has none."""
        with jax.enable_x64(self.dtype == "float64"):
            return self.problem.again(self._affine, np.asarray(point, self.dtype))

    @property
    def moment(self) -> int:
        """Points that take one core a moment, 0 if nobody can tell."""
        return self.problem.moment(self._affine)

    @property
    def width(self) -> int:
        """Bytes that one point takes in the result."""
        rows = math.prod(len(values) for values in self.leading.values())
        return rows * len(self.names) * np.dtype(self.dtype).itemsize


def _kind(value: object) -> str:
    """What was given, for a sentence: a class by its name, anything else by its type."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"{type(value).__name__} {value!r:.60}"

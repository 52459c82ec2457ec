"""A block of a surface as one kernel: the course of `landscape.recurrence.Scan`, traced on lanes of (episode, point).

Points lie across threads and episodes inside a thread, so that the sum over episodes needs no barrier. Registers decide
how many episodes run side by side: as many as the compiler keeps in them, who is asked for twice what a rule says and
then for halves. The rest are computed in passes, side by side in the grid, and joined.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jaxtyping import Array, ArrayLike, Float, Int, PyTree, PyTreeDef, Shaped

from landscape import devices
from landscape.blocks import Json
from landscape.engine.jets import Jet, pairs, power, unscaled
from landscape.kernels.lanes import Box, Ref, Unfusable, boxed, lanes
from landscape.kernels.models import Model, state_of
from landscape.planes import Affine, Placed
from landscape.recurrence import Course, Data, Layout, Scan, weighed
from landscape.tree import outline, pytree, static

POINTS = 128  # a block: four warps of 32
REGISTERS = 96  # of 32 bits that the jets of a thread may take; what a step needs beside them leaves no more
NUMBERS = 256  # of a model and its directions, each read by itself
STRICT: dict[str, Json] = {
    "xla_gpu_fail_ptx_compilation_on_register_spilling": True
}  # an error instead of a slow kernel


@pytree
class Flat:
    """`Placed`, whose models carry their state as a tuple of numbers: what cells stack, `lanes` takes apart."""

    placed: Placed
    shape: tuple = static()  # of the state, a pytree of shapes; hashable, as leaves and structure

    def at(self, point: Sequence) -> Model:
        return Model(self.placed.at(point), *self.shape)


def fused(scan: Scan, affine: Affine, data: Data, interpret: bool = False) -> "Fused":
    """``scan`` as one launch; raises `Unfusable`, in one sentence, where models, task or data cannot be written so."""
    kernel = Fused(scan, interpret)
    if why := hindrance(kernel, affine, data):
        raise Unfusable(why)
    return kernel if interpret else dataclasses.replace(kernel, each=_most(kernel, *outline((affine, data))))


def hindrance(kernel: Callable, affine: Affine, data: PyTree[Shaped[ArrayLike, "..."]]) -> str:
    """Why a kernel cannot be traced for arguments of these shapes, nothing if it can."""
    return _hindrance(kernel, *outline((affine, data)))


def _traced(f: Callable, tree: PyTreeDef, shapes: tuple) -> None:
    """Trace ``f(affine, points, data)`` for arguments of this outline."""
    affine, data = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*shape) for shape in shapes])
    dtype = next(np.dtype(each) for _, each in shapes if np.issubdtype(each, np.floating))
    with jax.enable_x64(dtype == np.float64):
        jax.eval_shape(f, affine, jax.ShapeDtypeStruct((len(affine.directions), POINTS), dtype), data)


@functools.lru_cache(maxsize=256)
def _hindrance(kernel: Callable, tree: PyTreeDef, shapes: tuple) -> str:
    """What `hindrance` says, found once for each kind."""
    try:
        _traced(kernel, tree, shapes)
    except Unfusable as reason:
        return str(reason)
    return ""


@functools.lru_cache(maxsize=256)
def _most(kernel: "Fused", tree: PyTreeDef, shapes: tuple) -> int:
    """Episodes of the largest pass that is tried: twice what `Program.room` says, if there are as many."""
    found: list[int] = []

    def sizes(affine: Affine, points: jax.Array, data: Data) -> None:
        program = Program(kernel.scan, affine, len(points), data)
        found.append(min(devices.power_of_two(program.batch), 2 * program.room()))

    _traced(sizes, tree, shapes)
    return found[0]


@dataclasses.dataclass(frozen=True)
class Fused:
    """``scan`` as one launch, with the same arguments and results; ``interpret`` computes it without an accelerator.

    A pass has ``each`` episodes, a power of two, and the compiler refuses what does not stay in registers; 0 leaves
    their number to `Program.room`, and then whatever is spilled is spilled.
    """

    scan: Scan
    interpret: bool = False
    each: int = 0

    @property
    def options(self) -> dict[str, Json]:
        """What `jax.jit` compiles with."""
        return STRICT if self.each else {}

    @property
    def lighter(self) -> "Fused":
        """What to compile instead of a kernel that spills: passes of half as many episodes, at last as they are."""
        return dataclasses.replace(self, each=self.each // 2)

    def __call__(
        self, affine: Affine, points: Float[Array, "coordinate point"], data: Data
    ) -> list[Float[Array, "length point"]]:
        """Loss and derivatives, each (length, point), as `Scan` returns them."""
        return Program(self.scan, affine, len(points), data, self.each).launch(points, self.interpret)


class Held(NamedTuple):
    """Arrays of episodes as a kernel reads them, (*lead, number, episode) each: their tree, and one's own shape."""

    tree: PyTreeDef
    shapes: list[tuple[int, ...]]
    arrays: list[Shaped[Array, "*lead number episode"]]

    @property
    def numbers(self) -> int:
        """Numbers of one episode."""
        return sum(map(math.prod, self.shapes))


def held(tree: PyTree, lead: int) -> Held:
    """Arrays (*lead, episode, ...) with the axes of one episode, as one, in front of that of all episodes."""
    leaves, structure = jax.tree.flatten(tree)
    flat = [jnp.moveaxis(jnp.reshape(leaf, (*leaf.shape[: lead + 1], -1)), -1, lead) for leaf in leaves]
    return Held(structure, [leaf.shape[lead + 1 :] for leaf in leaves], flat)


class Program:
    """What of a kernel is known when it is traced: shapes, how many episodes a pass holds, and how many passes."""

    def __init__(self, scan: Scan, affine: Affine, coordinates: int, data: Data, each: int = 0) -> None:
        episodes, self.lengths = data
        self.scan, self.coordinates, self.rows = scan, coordinates, len(self.lengths)
        self.leaves, self.tree = jax.tree.flatten(affine)
        self.dtype = np.dtype(jnp.result_type(*self.leaves))
        alone, self.masked = not scan.task.nested, episodes.mask is not None
        self.series = held((episodes.x, episodes.target, episodes.mask) if self.masked else episodes.x, 1 + alone)
        weights = weighed(scan.task, episodes, self.lengths) if self.masked else None
        self.apart = self.masked or alone  # an answer for every length
        self.answers = held(weights if self.masked else episodes.target, int(self.apart))
        self.batch = episodes.x.shape[1 + alone]
        self._refuse()
        self.shape = state_of(jax.eval_shape(lambda a: a.at((0.0,) * coordinates), affine), scan.task.start)
        self.each = min(devices.power_of_two(self.batch), each or self.room())
        self.passes = -(-self.batch // self.each)

    def _refuse(self) -> None:
        """Unfusable for parameters that are not of the dtype computed in, or too many, or inputs of several axes."""
        kinds = {str(jnp.result_type(leaf)) for leaf in self.leaves}
        if kinds - {str(self.dtype)}:
            raise Unfusable(f"parameters of {', '.join(sorted(kinds))} do not go into a kernel of {self.dtype}")
        if (count := sum(math.prod(np.shape(leaf)) for leaf in self.leaves)) > NUMBERS:
            raise Unfusable(f"{count} parameters are more than the {NUMBERS} that a kernel reads one by one")

    def room(self) -> int:
        """About how many episodes the registers of a thread hold: states, tangents, inputs of more than one channel."""
        parts = 1 + (self.scan.order > 0) * self.coordinates + (self.scan.order > 1) * len(pairs(self.coordinates))
        held = parts * (sum(map(math.prod, self.shape[1])) + self.masked) + self.series.numbers - 1
        return 1 << max(0, (REGISTERS * 4 // (held * self.dtype.itemsize)).bit_length() - 1)

    def launch(
        self, given: Float[Array, "coordinate point"], interpret: bool, more: Sequence[Shaped[Array, "..."]] = ()
    ) -> list[Float[Array, "row point"]]:
        """Variables, each (row, point), at ``given`` points; ``more`` small arrays are read after the answers."""
        count = given.shape[1]
        points = jnp.pad(given, ((0, 0), (0, -count % POINTS)), mode="edge")
        numbers = jnp.concatenate([jnp.ravel(leaf) for leaf in self.leaves])
        episodes = [self._filled(a) for a in (*self.series.arrays, *self.answers.arrays)]
        whole = lambda a: pl.BlockSpec(a.shape, lambda i, g: (0,) * a.ndim)  # noqa: E731
        own = lambda a: pl.BlockSpec((*a.shape[:-1], self.each), lambda i, g: (*(0,) * (a.ndim - 1), g))  # noqa: E731
        out = self._out(points)
        rows = lambda o: pl.BlockSpec((len(o) // self.passes, POINTS), lambda i, g: (g, i))  # noqa: E731
        made = pl.pallas_call(
            self.body,
            grid=(points.shape[1] // POINTS, self.passes),
            in_specs=[
                pl.BlockSpec((len(points), POINTS), lambda i, g: (0, i)),
                *map(whole, (numbers, self.lengths)),
                *map(own, episodes),
                *map(whole, more),
            ],
            out_specs=[*map(rows, out)],
            out_shape=out,
            interpret=interpret,
            compiler_params=None if interpret else _triton(),
        )(points, numbers, self.lengths, *episodes, *more)
        return [row[:, :count] for row in (made if self.passes == 1 else unscaled(*self._joined(made)))]

    def _filled(self, a: jax.Array) -> jax.Array:
        """An array of episodes, with the first ones again where the last pass has room."""
        count = self.passes * self.each
        return a if count == self.batch else jnp.take(a, np.arange(count) % self.batch, -1)

    def _out(self, points: jax.Array) -> list[jax.ShapeDtypeStruct]:
        """What the kernel writes: variables, or the parts of `Jet` and exponents of each pass."""
        value = jax.ShapeDtypeStruct((self.passes * self.rows, points.shape[1]), points.dtype)
        first, second = self.scan.order > 0, self.scan.order > 1
        whole = 1 + first * self.coordinates + second * len(pairs(self.coordinates))
        if self.passes == 1:
            return [value] * (whole + first)
        power = jax.ShapeDtypeStruct(value.shape, jnp.int32)
        return [value] * whole + [power] * self.coordinates

    def body(self, point_ref: Ref, held_ref: Ref, stops_ref: Ref, *refs: Ref) -> None:
        """One block of points by one pass of episodes, after every length."""
        point = tuple(point_ref[k, :] for k in range(self.coordinates))
        course = self._course(self._placed(held_ref, point), point)
        begin, until, rest = self._along(course, stops_ref, refs)

        def row(n: Int[Array, ""], carry: PyTree) -> PyTree:
            carry, (jet, exponents) = until(n, carry if self.scan.task.nested else begin())
            values = unscaled(jet, exponents) if self.passes == 1 else [*jax.tree.leaves(jet), *exponents]
            for out, value in zip(rest, values, strict=True):
                out[n, :] = value
            return carry if self.scan.task.nested else ()

        jax.lax.fori_loop(0, self.rows, row, begin() if self.scan.task.nested else ())

    def _along(self, course: Course, stops_ref: Ref, refs: Sequence[Ref]) -> tuple[Callable, Callable, Sequence[Ref]]:
        """``begin() -> carry``, ``until(row, carry) -> (carry, what is seen there)``, and the references left over."""
        read, ask = len(self.series.shapes), len(self.answers.shapes)
        series, answers, rest = refs[:read], refs[read : read + ask], refs[read + ask :]
        nested = self.scan.task.nested

        def until(n: Int[Array, ""], carry: PyTree) -> PyTree:
            def step(t: Int[Array, ""], carry: PyTree) -> PyTree:
                return course.step(t, carry, self._read(self.series, series, (t,) if nested else (n, t)))

            if self.scan.every:
                carry = step(n, carry)
            else:
                since = jnp.where(n == 0, 0, stops_ref[jnp.maximum(n - 1, 0)]) if nested else 0
                carry = jax.lax.fori_loop(since, stops_ref[n], step, carry)
            return carry, course.observe(carry, self._read(self.answers, answers, (n,) * self.apart))

        return course.start, until, rest

    def _placed(self, held_ref: Ref, point: tuple) -> Flat:
        """The models at a block of points."""
        sizes = [math.prod(leaf.shape) for leaf in self.leaves]
        at = np.cumsum([0, *sizes])
        boxes = [
            boxed([held_ref[i] for i in range(since, since + n)], leaf.shape)
            for since, n, leaf in zip(at[:-1].tolist(), sizes, self.leaves, strict=True)
        ]
        affine = jax.tree.unflatten(self.tree, boxes)
        every = lanes(lambda affine, p: tuple(jax.tree.leaves(affine.at(p))))(affine, point)
        every = tuple(0.0 if i in affine.zeros else leaf for i, leaf in enumerate(every))
        tree = jax.tree.structure(affine.origin)
        return Flat(placed=Placed(leaves=every, directions=affine.directions, tree=tree), shape=self.shape)

    def _course(self, model: Flat, point: tuple) -> Course:
        """The course of the scan, on lanes of (episode, point)."""
        shape = (self.each, POINTS)
        full = lambda tree: jax.tree.map(lambda a: jnp.broadcast_to(a, shape).astype(self.dtype), tree)  # noqa: E731
        whole = self.batch % self.each == 0
        since = pl.program_id(1) * self.each if self.passes > 1 else 0
        episode = since + jax.lax.broadcasted_iota(jnp.int32, shape, 0)

        def fold(op: Callable, a: jax.Array) -> jax.Array:
            if op is not jnp.add:
                return jnp.max(a, 0)
            return jnp.sum(a if whole else jnp.where(episode < self.batch, a, jnp.zeros_like(a)), 0)

        layout = Layout(
            begin=lambda f: lambda m: full(lanes(f)(m)),
            both=lambda f: lambda *args: full(lanes(f)(*args)),
            fold=fold,
            # Mosaic does not join a constant with what a conditional computes ("Invalid relayout").
            ones=lambda here: (here == here).astype(self.dtype),
        )
        return self.scan.course(model, point, self.batch, layout, self.masked)

    def _read(self, held: Held, refs: Sequence[Ref], at: tuple) -> PyTree:
        """Numbers of a pass of episodes, (episode, 1) each: lane arrays, or boxes of the shapes of an episode's."""
        return jax.tree.unflatten(
            held.tree, [_numbers(ref, at, shape) for ref, shape in zip(refs, held.shapes, strict=True)]
        )

    def _joined(self, made: list[jax.Array]) -> tuple[Jet, tuple]:
        """The jet (length, point) of all passes, each of which has exponents of its own."""
        count = self.coordinates
        parts = [a.reshape(self.passes, self.rows, -1) for a in made]
        exponents = tuple(jnp.max(e, 0) for e in parts[-count:])
        shift = [power(e - top[None], parts[0].dtype) for e, top in zip(parts[-count:], exponents, strict=True)]
        blank = Jet(0, (0,) * count * (self.scan.order > 0), dict.fromkeys(pairs(count) * (self.scan.order > 1), 0))
        jet = jax.tree.unflatten(jax.tree.structure(blank), parts[:-count])
        add = lambda a, by: jnp.sum(jnp.where(jnp.isfinite(a), a * by, a), 0)  # noqa: E731  # not inf * 0
        first = tuple(add(a, shift[k]) for k, a in enumerate(jet.first))
        second = {(k, l): add(a, shift[k] * shift[l]) for (k, l), a in jet.second.items()}
        return Jet(jnp.sum(jet.value, 0), first, second), exponents


def _numbers(ref: Ref, at: tuple, shape: tuple[int, ...]) -> Array | Box:
    each = [ref[(*at, n, slice(None))][:, None] for n in range(math.prod(shape))]
    return boxed(each, shape) if shape else each[0]


def _triton() -> Any:
    from jax.experimental.pallas import triton

    return triton.CompilerParams(num_warps=POINTS // 32, num_stages=1)

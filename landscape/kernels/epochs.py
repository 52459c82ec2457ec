"""An epoch of training as one kernel: every update of every run, of the functions that a scan computes it with.

Lanes are (episode, run). Parameters, tangents and the optimiser's state never leave registers; inputs are read by the
index of their episode from the data, which stay where they are. A TPU has no such reads (Mosaic of jax 0.10.2: "Only
take_along_axis-like gathers supported"), so that there an epoch stays a scan.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import pallas as pl
from jaxtyping import Array, ArrayLike, DTypeLike, Int, PyTree, PyTreeDef, Shaped

from landscape import devices
from landscape.engine.jets import Jet
from landscape.kernels.lanes import Box, Lane, Ref, Unfusable, boxed, lanes, numbers
from landscape.kernels.models import Model, state_of
from landscape.losses import Objective
from landscape.models import RNN
from landscape.tasks import Episode
from landscape.training.scores import Score, scorer
from landscape.training.steps import Seen, State, moved
from landscape.training.tangents import advancing, scoring

WARP = 32  # lanes of a block: episodes of a minibatch x runs
NUMBERS = 256  # of a run, parameters and what the optimiser keeps of them


class Asked(NamedTuple):
    """What a launch computes: the objective, h before the first step, and how a gradient moves the state of a run."""

    objective: Objective
    start: float
    update: Callable
    interpret: bool


def epoch(
    objective: Objective, start: float, optimiser: optax.GradientTransformation, interpret: bool = False
) -> Callable[..., tuple[State, Seen]]:
    """``(state, episodes, batches (update, batch), length) -> (state, seen (update,))``: a scan of updates, launched.

    For one run; mapped by `jax.vmap` it is one launch for all runs. Raises `Unfusable` for what cannot be so.
    """

    def run(
        state: State, episodes: Episode, batches: Int[Array, "update batch"], length: Int[ArrayLike, ""]
    ) -> tuple[State, Seen]:
        slope = jax.tree.map(jnp.zeros_like, state.model)
        update, held = jax.closure_convert(functools.partial(moved, optimiser), state, slope)
        asked = Asked(objective, start, update, interpret)

        @jax.custom_batching.custom_vmap
        def one(*args: PyTree) -> PyTree:
            own = [jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], arg) for arg in args[:3]]
            return jax.tree.map(lambda leaf: leaf[0], launch(asked, 1, *own, *args[3:], own=(False, False)))

        @one.def_vmap
        def runs(size: int, batched: Sequence[PyTree], *args: PyTree) -> tuple:
            along = lambda leaf, has: leaf if has else jnp.broadcast_to(leaf, (size, *jnp.shape(leaf)))  # noqa: E731
            own = [i < 3 or any(jax.tree.leaves(has)) for i, has in enumerate(batched)]
            args = tuple(jax.tree.map(along, a, b) if o else a for a, b, o in zip(args, batched, own, strict=True))
            out = launch(asked, size, *args, own=(own[3], own[4]))
            return out, jax.tree.map(lambda _: True, out)

        return one(state, held, batches, episodes, jnp.asarray(length, jnp.int32))

    return run


def launch(
    asked: Asked,
    runs: int,
    state: State,
    held: Sequence[Shaped[Array, "run ..."]],
    batches: Int[Array, "run update batch"],
    episodes: Episode,
    length: Int[Array, "*run"],
    *,
    own: tuple[bool, bool],
) -> tuple[State, Seen]:
    """The states (run, ...) after the updates ``batches`` (run, update, batch), and what they saw (run, update).

    ``held`` (run, ...) is what the optimiser closes over; ``own``: whether each run has data, and a length, of its own.
    """
    kernel = Kernel(asked, runs, (state, held), batches.shape[1:], episodes, own)
    filled = np.arange(kernel.blocks * kernel.width) % runs
    order = jnp.moveaxis(batches, 0, -1)[:, np.arange(kernel.lanes) % kernel.batch][..., filled]
    packed = [rows[:, filled] for rows in kernel.pack((state, held))]
    lengths = length[filled] if own[1] else jnp.reshape(length, 1)
    data = [*kernel.series.arrays, *kernel.answers.arrays]
    whole = lambda a: pl.BlockSpec(a.shape, lambda i: (0,) * a.ndim)  # noqa: E731
    rows = lambda a: pl.BlockSpec((*a.shape[:-1], kernel.width), lambda i: (*(0,) * (a.ndim - 1), i))  # noqa: E731
    shape = lambda count, dtype: jax.ShapeDtypeStruct((count, len(filled)), dtype)  # noqa: E731
    series = [shape(kernel.updates, kernel.dtype)] * 3
    out = [*(shape(len(p), p.dtype) for p in packed), *series]
    *after, loss, right, norm = pl.pallas_call(
        kernel.body,
        grid=(kernel.blocks,),
        in_specs=[
            rows(lengths) if own[1] else whole(lengths),
            rows(order),
            *map(rows, packed),
            *map(whole, data),
        ],
        out_specs=[*map(rows, out)],
        out_shape=out,
        interpret=asked.interpret,
        compiler_params=None if asked.interpret else _triton(),
    )(lengths, order, *packed, *data)
    loss, right, norm = (each[:, :runs].T for each in (loss, right, norm))
    return kernel.unpack([rows[:, :runs] for rows in after], runs)[0], Seen(Score(loss, right), norm)


class Held(NamedTuple):
    """Data as a kernel reads them, (number, *lead, episode) each: their tree, and the shape of one."""

    tree: PyTreeDef
    shapes: list[tuple[int, ...]]
    arrays: list[Shaped[Array, "number *lead episode"]]


def held_in_front(tree: PyTree, lead: int) -> Held:
    """Arrays (*lead, episode, ...) with the axes of one episode, as one, in front."""
    leaves, structure = jax.tree.flatten(tree)
    flat = [jnp.moveaxis(jnp.reshape(leaf, (*leaf.shape[: lead + 1], -1)), -1, 0) for leaf in leaves]
    return Held(structure, [leaf.shape[lead + 1 :] for leaf in leaves], flat)


class Kernel:
    """What of an epoch is known when it is traced: shapes, and how many runs a block holds."""

    def __init__(
        self,
        asked: Asked,
        runs: int,
        carried: PyTree,
        batches: tuple[int, ...],
        episodes: Episode,
        own: tuple[bool, bool],
    ) -> None:
        self.asked, self.runs, (self.updates, self.batch), self.own = asked, runs, batches, own
        self.lanes = devices.power_of_two(self.batch)
        self.width = max(1, WARP // self.lanes)
        self.blocks = -(-runs // self.width)
        leaves, self.tree = jax.tree.flatten(carried)
        self.shapes = [leaf.shape[1:] for leaf in leaves]
        self.dtype = np.dtype(jnp.result_type(*jax.tree.leaves(carried[0].model)))
        self.whole = [leaf.dtype == np.int32 for leaf in leaves]
        self._refuse(leaves)
        model = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), carried[0].model)
        self.state = state_of(model, asked.start)
        self.masked = episodes.mask is not None
        read = (episodes.x, episodes.target, episodes.mask) if self.masked else episodes.x
        self.series = held_in_front(read, 1 + own[0])
        self.answers = held_in_front(() if self.masked else episodes.target, int(own[0]))

    def _refuse(self, leaves: list[Array]) -> None:
        strange = {str(leaf.dtype) for leaf in leaves} - {str(self.dtype), "int32"}
        if strange:
            raise Unfusable(f"training that carries numbers of {', '.join(sorted(strange))} is no kernel")
        if (count := sum(map(math.prod, self.shapes))) > NUMBERS:
            raise Unfusable(f"{count} numbers of a run are more than the {NUMBERS} that a kernel carries")

    def pack(self, carried: PyTree[Shaped[Array, "run ..."]]) -> list[Shaped[Array, "number run"]]:
        """All numbers of all runs: those of the dtype (number, run), and whole ones."""
        rows: tuple[list, list] = ([], [])
        for leaf, kind in zip(jax.tree.leaves(carried), self.whole, strict=True):
            rows[kind].append(leaf.reshape(self.runs, -1).T)
        return [jnp.concatenate(each) for each in rows]

    def unpack(self, packed: Sequence, runs: int | None = None) -> PyTree:
        """What was packed: arrays (run, ...), or boxes of the lane arrays that ``packed[kind][number]`` are."""
        at, leaves = [0, 0], []
        for shape, kind in zip(self.shapes, self.whole, strict=True):
            since, size = at[kind], math.prod(shape)
            at[kind] += size
            own = packed[kind][since : since + size]
            leaves.append(boxed(own, shape) if runs is None else own.T.reshape(runs, *shape))
        return jax.tree.unflatten(self.tree, leaves)

    def body(self, length_ref: Ref, order_ref: Ref, floats_ref: Ref, wholes_ref: Ref, *refs: Ref) -> None:
        """All updates of one block of runs."""
        timed = len(self.series.shapes)
        read, ask, outs, series = refs[:timed], refs[timed:-5], refs[-5:-3], refs[-3:]
        carried = [[ref[i, :] for i in range(ref.shape[0])] for ref in (floats_ref, wholes_ref)]
        _, held = self.unpack(carried)
        length = length_ref[...] if self.own[1] else length_ref[0]
        runs = self._runs()

        def update(n: Int[Array, ""], packed: PyTree) -> PyTree:
            state, _ = self.unpack(packed)
            index = order_ref[n]
            inputs = lambda t: _read(self.series, read, (*runs, t, index))  # noqa: E731
            target = _read(self.answers, ask, (*runs, index))
            score, slope = self._gradient(state.model, inputs, target, length)
            state, norm = lanes(self.asked.update)(state, slope, *held)
            for ref, value in zip(series, (*score, norm), strict=True):
                ref[n, :] = self._each(value, self.dtype)
            return self._packed(state, packed)

        packed = jax.lax.fori_loop(0, self.updates, update, carried)
        for ref, rows in zip(outs, packed, strict=True):
            for i, row in enumerate(rows):
                ref[i, :] = row

    def _each(self, value: Lane, dtype: DTypeLike) -> Shaped[Array, "run"]:
        """A number of every run."""
        return jnp.broadcast_to(jnp.asarray(value, dtype), (self.width,))

    def _packed(self, state: State, before: list) -> list:
        """The numbers of a state beside those that are held, which stay."""
        rows: tuple[list, list] = ([], [])
        for leaf, kind in zip(jax.tree.leaves(state), self.whole, strict=False):
            rows[kind].extend(self._each(n, np.int32 if kind else self.dtype) for n in numbers(leaf))
        return [[*row, *old[len(row) :]] for row, old in zip(rows, before, strict=True)]

    def _runs(self) -> tuple:
        """Where in the data the runs of this block are, (episode, run); nowhere if all runs share them."""
        if not self.own[0]:
            return ()
        run = pl.program_id(0) * self.width + jax.lax.broadcasted_iota(jnp.int32, (self.lanes, self.width), 1)
        return (jnp.minimum(run, self.runs - 1),)

    def _gradient(self, model: RNN, inputs: Callable, target: PyTree, length: Int[Array, "*run"]) -> tuple[Score, RNN]:
        """Score and slope of each run on a minibatch with ``inputs(t)`` and ``target``: tangents jet along.

        With an answer at every step the score is summed beside the state, and tangents by the readout jet along too.
        """
        column = jax.tree.map(lambda box: boxed([n[None, :] for n in box.flat], box.shape), model)
        leaves, tree = jax.tree.flatten(column if self.masked else column.cell)
        point = tuple(number for box in leaves for number in box.flat)
        back = lambda given: jax.tree.unflatten(tree, _shaped(given, leaves, jnp.stack))  # noqa: E731
        cell = lambda given: Model(back(given).cell if self.masked else back(given), *self.state)  # noqa: E731
        whole = lambda given: RNN(cell=cell(given), readout=back(given).readout)  # type: ignore[arg-type] # noqa: E731

        def begun(point: tuple) -> tuple:
            state = cell(point).initial(self.asked.start)
            return (state, *(jnp.zeros((), self.dtype),) * 3) if self.masked else state

        shape = (self.lanes, self.width)
        full = lambda tree: jax.tree.map(lambda a: jnp.broadcast_to(a, shape).astype(self.dtype), tree)  # noqa: E731
        begin = full(lanes(begun)(point))
        zero = jax.tree.map(jnp.zeros_like, begin)
        advance = lanes(scoring(whole, self._score) if self.masked else advancing(cell))

        def step(t: Int[Array, ""], jet: Jet) -> Jet:
            new = full(advance(point, jet, inputs(t)))
            going = lambda new, old: jnp.where((t < length)[None], new, old) if self.own[1] else new  # noqa: E731
            return jax.tree.map(going, new, jet)

        jet = jax.lax.fori_loop(0, jnp.max(length), step, Jet(begin, (zero,) * len(point), {}))
        mean = lambda tree: jax.tree.map(lambda leaf: self._mean(leaf, shape), tree)  # noqa: E731
        if self.masked:
            _, loss, right, weight = jet.value
            through = [tangent[1] / weight for tangent in jet.first]
            return Score(*mean((loss / weight, right / weight))), back_of(tree, leaves, mean(through))
        loss, right, readout, through = lanes(self._scored)(column.readout, jet.value, target, jet.first)
        slope = RNN(cell=back_of(tree, leaves, mean(through)), readout=mean(readout))
        return Score(mean(loss), mean(right)), slope

    def _score(self, readout: PyTree, state: tuple, target: PyTree) -> tuple:
        """Loss and correctness of one answer."""
        return scorer(self.asked.objective)(readout, Model(None, *self.state).join(state), target)

    def _scored(self, readout: PyTree, state: tuple, target: PyTree, tangents: tuple) -> tuple:
        """Loss and correctness of one answer, the slope by its readout, and by every parameter through the state."""
        score = lambda readout, state: self._score(readout, state, target)  # noqa: E731
        (loss, right), (own, pull) = jax.value_and_grad(score, (0, 1), has_aux=True)(readout, state)
        return loss, right, own, [sum(map(jnp.multiply, pull, tangent)) for tangent in tangents]

    def _mean(self, leaf: Lane | Box, shape: tuple[int, ...]) -> Array | Box:
        """The mean over the episodes of a minibatch: of lanes, or of every number of a box."""
        if isinstance(leaf, np.ndarray):
            return boxed([self._mean(n, shape) for n in leaf.flat], leaf.shape)
        every = jnp.broadcast_to(leaf, shape).astype(self.dtype)
        live = jax.lax.broadcasted_iota(jnp.int32, shape, 0) < self.batch
        return jnp.sum(every if self.lanes == self.batch else jnp.where(live, every, 0), 0) / self.batch


def _read(held: Held, refs: Sequence[Ref], at: tuple) -> PyTree:
    """The numbers of the episodes in a minibatch: lanes, or boxes of the shapes of one."""
    each = [[ref[(n, *at)] for n in range(math.prod(shape))] for ref, shape in zip(refs, held.shapes, strict=True)]
    boxes = [boxed(own, shape) if shape else own[0] for own, shape in zip(each, held.shapes, strict=True)]
    return jax.tree.unflatten(held.tree, boxes)


def back_of(tree: PyTreeDef, like: Sequence[Box], numbers: Sequence[Shaped[Array, "..."]]) -> PyTree:
    """Numbers, one after the other, as the pytree of boxes that they were taken from."""
    return jax.tree.unflatten(tree, _shaped(numbers, like, boxed))


def _shaped(given: Sequence, like: Sequence[Box], stack: Callable) -> list:
    """Numbers, one after the other, in the shapes of boxes."""
    rest = iter(given)
    parts = [[next(rest) for _ in range(box.size)] for box in like]
    return [
        (boxed(p, b.shape) if stack is boxed else stack(p).reshape(b.shape)) if b.shape else p[0]
        for p, b in zip(parts, like, strict=True)
    ]


def _triton() -> Any:
    from jax.experimental.pallas import triton

    return triton.CompilerParams(num_warps=1, num_stages=1)

"""Gradients forward in time, for one unit: tangents of its few numbers jet along, and nothing is kept of the way."""

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jaxtyping import Array, Float, Int, PyTree, Real

from landscape.devices import turn
from landscape.engine.jets import Jet, push
from landscape.kernels.lanes import Unfusable, alike, boxed, evaluate
from landscape.losses import Objective
from landscape.models import RNN
from landscape.tasks import Episode
from landscape.training.scores import Route, Score, blockwise, scorer


def one_kernel(f: Callable) -> Callable:
    """``f`` compiled on a CPU into one function without dispatch between its operations; ``f`` itself elsewhere.

    XLA would hand each of the few dozen operations of a step, each a microsecond long, to its thread pool (jaxlib 0.10
    to 0.11: four times the processor time; https://github.com/jax-ml/jax/issues/26145). Only for loops over `scalar`
    steps and gathers: XLA does not compile sorts, scatters, concatenations and library calls this way.
    """
    if jax.default_backend() != "cpu":
        return f
    from jax.experimental.xla_metadata import set_xla_metadata

    def called(*args: PyTree) -> PyTree:
        with set_xla_metadata(xla_cpu_small_call="true", inlineable="false"):
            return jax.jit(f)(*jax.lax.optimization_barrier(args))

    return called


def scalar(program: Any) -> bool:
    """Whether a jaxpr computes with single numbers only, at every depth: mapped over lanes, it is elementwise."""
    inner = [getattr(p, "jaxpr", p) for eqn in program.eqns for p in jax.tree.leaves(eqn.params)]
    flat = all(var.aval.shape == () for eqn in program.eqns for var in eqn.outvars)
    return flat and all(scalar(sub) for sub in inner if hasattr(sub, "eqns"))


def on_lanes(f: Callable, *shapes: PyTree[jax.ShapeDtypeStruct]) -> tuple[Callable, bool]:
    """``f(point, jet, read)`` of points (run,) and all else (batch, run, ...), traced once, and if it is `scalar`.

    Then each of its operations is one on whole arrays, which takes half of the time of mapping it over two axes.
    """
    leaves, given = jax.tree.flatten(shapes)
    program, out = _traced(f, given, tuple(leaves), jnp.result_type(float))
    flat, tree, single = jaxpr_as_fun(program), jax.tree.structure(out), scalar(program.jaxpr)
    mapped = jax.vmap(jax.vmap(lambda *args: jax.tree.unflatten(tree, flat(*jax.tree.leaves(args)))), (None, 0, 0))

    def across(*args: PyTree) -> PyTree:
        given = alike(*jax.tree.leaves(args))
        made = evaluate(program.jaxpr, program.consts, [boxed([leaf]) for leaf in given])
        return jax.tree.unflatten(tree, [jnp.broadcast_to(box[()], given[0].shape) for box in made])

    def called(*args: PyTree) -> PyTree:
        with contextlib.suppress(Unfusable):  # a branch or a loop inside of a step
            return across(*args) if single else mapped(*args)
        return mapped(*args)

    return called, single


@functools.lru_cache(maxsize=64)
def _traced(f: Callable, tree: jax.tree_util.PyTreeDef, shapes: tuple, number: np.dtype) -> tuple:
    """The jaxpr of ``f`` of arguments of a tree of shapes, and the shapes of what it returns.

    ``number`` is what JAX makes of a Python number here and now. JAX would trace it anew under every other `jax.vmap`,
    of which it knows nothing: ``f`` is mapped as a jaxpr.
    """
    return jax.make_jaxpr(f, return_shape=True)(*jax.tree.unflatten(tree, shapes))


@functools.lru_cache(maxsize=64)
def advancing(cell: Callable) -> Callable:
    """``(point, jet, x) -> jet`` after one step."""

    def advance(point: tuple, jet: Jet, x: Real[Array, "*input"]) -> Jet:
        scale = tuple(jnp.ones((), number.dtype) for number in point)
        return push(lambda numbers, state: cell(numbers).step(state, x), point, scale, jet)

    return advance


def scoring(model: Callable, score: Callable) -> Callable:
    """`advancing` of (state, weighted loss, weighted right answers, weight) so far; ``read`` is (x, target, weight)."""

    def advance(point: tuple, jet: Jet, read: tuple) -> Jet:
        x, target, weight = read
        weighed = lambda each: jnp.where(weight > 0, weight * each, 0)  # noqa: E731

        def after(numbers: tuple, sums: tuple) -> tuple:
            rnn = model(numbers)
            state = rnn.step(sums[0], x)
            loss, right = score(rnn.readout, state, target)
            return state, sums[1] + weighed(loss), sums[2] + weighed(right), sums[3] + weight

        return push(after, point, tuple(jnp.ones((), number.dtype) for number in point), jet)

    return advance


def _of_sums(jet: Jet, model: RNN) -> Score | tuple[Score, RNN]:
    """Score (run,) from the sums of `scoring` (batch, run), and the gradient if their tangents have come along."""
    mean = lambda total: jnp.mean(total / jet.value[3], 0)  # noqa: E731
    score = Score(mean(jet.value[1]), mean(jet.value[2]))
    return (score, _assemble(model, [mean(tangent[1]) for tangent in jet.first])) if jet.first else score


def forward(objective: Objective, start: float = 0.0) -> Route:
    """The route of one-unit cells: tangents of the state with respect to every parameter jet along.

    Mapped over runs by `jax.vmap`, it computes (batch, run) lanes with the runs contiguous, wherever mapped axes are.
    """

    def mapped(differentiate: bool) -> Callable:
        def called(
            model: RNN, data: Episode, index: Int[Array, "batch"], length: Int[Array, ""]
        ) -> Score | tuple[Score, RNN]:
            known = isinstance(length, int)  # an argument of what is mapped would be traced

            @jax.custom_batching.custom_vmap
            def one(model: RNN, data: Episode, index: Array, *until: Array) -> Score | tuple[Score, RNN]:
                model, last = jax.tree.map(_lift, model), length if known else until[0]
                out = _lanes(objective, start, differentiate, 1, model, data, index[:, None], last)
                return jax.tree.map(lambda leaf: leaf[0], out)

            @one.def_vmap
            def runs(
                size: int, batched: Sequence[PyTree], model: RNN, data: Episode, index: Array, *until: Array
            ) -> tuple:
                along = lambda leaf, has: leaf if has else jnp.broadcast_to(leaf, (size, *leaf.shape))  # noqa: E731
                model = jax.tree.map(along, model, batched[0])
                own = any(jax.tree.leaves(batched[1]))
                data = jax.tree.map(along, data, batched[1]) if own else data
                index, last = index.T if batched[2] else index[:, None], length if known else until[0]
                out = _lanes(objective, start, differentiate, size, model, data, index, last, own)
                return out, jax.tree.map(lambda _: True, out)

            return one(model, data, index, *(() if known else (length,)))

        return called

    gradient, score = mapped(True), mapped(False)

    def evaluate(model: RNN, data: Episode, index: Int[Array, "batch"], length: Int[Array, ""]) -> Score:
        return blockwise(lambda block: score(model, data, block, length), index)

    return Route(gradient, evaluate)


def _lift(leaf: jax.Array) -> jax.Array:
    return leaf[None]


def _coordinates(cell: PyTree) -> tuple[tuple, Callable]:
    """Every number of a cell (run, ...) as a tuple of (run,), and the way back from a tuple of scalars."""
    leaves, tree = jax.tree.flatten(cell)
    point = tuple(number for leaf in leaves for number in leaf.reshape(len(leaf), -1).T)
    return point, _back(tree, tuple(leaf.shape[1:] for leaf in leaves))


@functools.lru_cache(maxsize=64)
def _back(tree: jax.tree_util.PyTreeDef, shapes: tuple[tuple[int, ...], ...]) -> Callable:
    """A cell from the tuple of its numbers: one function for all cells alike, so that a step is traced once."""

    def back(numbers: tuple) -> PyTree:
        rest, rebuilt = list(numbers), []
        for shape in shapes:
            own = [rest.pop(0) for _ in range(math.prod(shape))]
            rebuilt.append(jnp.stack(own).reshape(shape) if shape else own[0])
        return jax.tree.unflatten(tree, rebuilt)

    return back


def _lanes(
    objective: Objective,
    start: float,
    differentiate: bool,
    runs: int,
    model: RNN,
    data: Episode,
    index: jax.Array,
    length: Int[Array, "*run"],
    own: bool = False,
) -> Score | tuple[Score, RNN]:
    """Score (run,) of models (run, ...) on episodes ``index`` (batch, run or 1), and its gradient.

    ``own``: data has a leading axis of runs. A length (run,) holds each run still at its own end. With a mask the
    score is summed beside the state, so that its tangents, with respect to the readout too, are the gradient.
    """
    masked = data.mask is not None
    point, back = _coordinates(model if masked else model.cell)
    shape = (len(index), runs)
    begin = lambda *numbers: back(numbers).initial(start)  # noqa: E731

    def take(x: jax.Array, index: jax.Array) -> jax.Array:
        taken = jax.vmap(lambda x, i: x[i], (0, 1), 1)(x, jnp.broadcast_to(index, shape)) if own else x[index]
        return jnp.broadcast_to(taken, (*shape, *taken.shape[2:]))

    def read(x: jax.Array, t: Int[Array, ""], index: jax.Array) -> jax.Array:
        # One gather: data of all runs with time in front would be copied anew for every update.
        return x[jnp.arange(runs), t, jnp.broadcast_to(index, shape)] if own else take(x[t], index)

    def loop(point: tuple, jet: Jet, series: PyTree, index: Array, *until: Array) -> Jet:
        end = until[0] if until else length

        def step(t: Int[Array, ""], jet: Jet) -> Jet:
            new = advance(point, jet, jax.tree.map(lambda x: read(x, t, index), series))
            if jnp.ndim(end) == 0:
                return new
            return jax.tree.map(lambda new, old: jnp.where((t < end)[None], new, old), new, jet)

        last = end if isinstance(end, int) else jnp.max(end)
        return jax.lax.fori_loop(0, last, step, jet, unroll=turn(length))

    state = jax.vmap(begin)(*point)
    state = (state, *(jnp.zeros(runs, point[0].dtype),) * 3) if masked else state
    state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape).astype(point[0].dtype), state)
    zero = jax.tree.map(jnp.zeros_like, state)
    jet = Jet(state, (zero,) * len(point) if differentiate else (), {})
    lane = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((), leaf.dtype), (point, jet))
    series = (data.x, data.target, data.mask) if masked else data.x
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[3 if own else 2 :], x.dtype), series)
    score = scorer(objective)
    advance, single = on_lanes(scoring(back, score) if masked else advancing(back), *lane, one)
    until = () if isinstance(length, int) else (length,)  # what is known stays known
    jet = (one_kernel(loop) if single else loop)(point, jet, series, index, *until)
    if masked:
        return _of_sums(jet, model)

    targets = jax.tree.map(lambda target: take(target, index), data.target)
    if not differentiate:
        across = jax.vmap(jax.vmap(score), (None, 0, 0))
        return Score(*(jnp.mean(s, 0) for s in across(model.readout, jet.value, targets)))
    across = jax.vmap(jax.vmap(jax.value_and_grad(score, (0, 1), has_aux=True)), (None, 0, 0))
    (loss, right), (readout, pull) = across(model.readout, jet.value, targets)
    mean = lambda leaf: jnp.mean(leaf, 0)  # noqa: E731
    chain = lambda tangent: sum(jax.tree.leaves(jax.tree.map(jnp.multiply, pull, tangent)))  # noqa: E731
    gradient = RNN(cell=_assemble(model.cell, [mean(chain(t)) for t in jet.first]), readout=jax.tree.map(mean, readout))
    return Score(mean(loss), mean(right)), gradient


def _assemble(cell: PyTree, numbers: list[Float[Array, "run"]]) -> PyTree:
    """Numbers (run,) in the order of `_coordinates`, back in the leaves (run, ...) of a cell."""
    leaves, tree = jax.tree.flatten(cell)
    rest = iter(numbers)
    own = [jnp.stack([next(rest) for _ in range(math.prod(leaf.shape[1:]))], -1).reshape(leaf.shape) for leaf in leaves]
    return jax.tree.unflatten(tree, own)

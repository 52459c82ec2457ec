"""Scores of a minibatch and their gradients: forward in time for one unit, backward for layers.

Both compute ``length`` steps of arrays that may be longer; ``length`` may be traced, so one program serves all lengths.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from landscape.engine.jets import Jet, push
from landscape.losses import Objective
from landscape.models import RNN
from landscape.tasks import Episode
from landscape.training.penalties import Penalty

LANES = 64  # episodes scored together without gradient: with 32 runs their state stays in cache


class Score(NamedTuple):
    """Mean loss and share of right answers."""

    loss: Any
    accuracy: Any


class Route(NamedTuple):
    """``gradient(model, data, index, length) -> (Score, gradient)`` of episodes ``index`` (batch,); ``evaluate`` alone.

    ``data`` holds x (time, episode, ...) and target (episode, ...).
    """

    gradient: Callable
    evaluate: Callable


def one_unit(model: RNN) -> bool:
    """Whether every number that the model carries from step to step is a scalar."""
    return all(leaf.ndim == 0 for leaf in jax.tree.leaves(jax.eval_shape(model.initial)))


def default(model: RNN) -> Callable[..., Route]:
    """`forward` for one unit, `reverse` for a layer."""
    return forward if one_unit(model) else reverse


def one_kernel(f: Callable) -> Callable:
    """``f`` compiled on a CPU into one function without dispatch between its operations; ``f`` itself elsewhere.

    XLA would hand each of the few dozen operations of a step, each a microsecond long, to its thread pool (jaxlib 0.10
    to 0.11: four times the processor time; https://github.com/jax-ml/jax/issues/26145). Only for loops over `scalar`
    steps and gathers: XLA does not compile sorts, scatters, concatenations and library calls this way.
    """
    if jax.default_backend() != "cpu":
        return f
    from jax.experimental.xla_metadata import set_xla_metadata

    def called(*args: Any) -> Any:
        with set_xla_metadata(xla_cpu_small_call="true", inlineable="false"):
            return jax.jit(f)(*jax.lax.optimization_barrier(args))

    return called


def scalar(program: Any) -> bool:
    """Whether a jaxpr computes with single numbers only, at every depth: mapped over lanes, it is elementwise."""
    inner = [getattr(p, "jaxpr", p) for eqn in program.eqns for p in jax.tree.leaves(eqn.params)]
    flat = all(var.aval.shape == () for eqn in program.eqns for var in eqn.outvars)
    return flat and all(scalar(sub) for sub in inner if hasattr(sub, "eqns"))


def scorer(objective: Objective) -> Callable:
    """``(readout, state, target) -> (loss, right)`` of one episode."""

    def score(readout: Any, state: Any, target: Any) -> tuple[Any, Any]:
        y = state.h if readout is None else readout(state.h)
        return objective.loss(y, target), objective.correct(y, target).astype(state.h.dtype)

    return score


def forward(objective: Objective, start: float = 0.0) -> Route:
    """The route of one-unit cells: tangents of the state with respect to every parameter ride along.

    Mapped over runs by `jax.vmap`, it computes (batch, run) lanes with the runs contiguous, wherever mapped axes are.
    """

    def mapped(differentiate: bool) -> Callable:
        @jax.custom_batching.custom_vmap
        def one(model: RNN, data: Episode, index: jax.Array, length: Any) -> Any:
            out = _lanes(objective, start, differentiate, 1, jax.tree.map(_lift, model), data, index[:, None], length)
            return jax.tree.map(lambda leaf: leaf[0], out)

        @one.def_vmap
        def runs(size: int, batched: Any, model: RNN, data: Episode, index: jax.Array, length: Any) -> Any:
            along = lambda leaf, has: leaf if has else jnp.broadcast_to(leaf, (size, *leaf.shape))  # noqa: E731
            model = jax.tree.map(along, model, batched[0])
            own = any(jax.tree.leaves(batched[1]))
            data = jax.tree.map(along, data, batched[1]) if own else data
            index = index.T if batched[2] else index[:, None]
            out = _lanes(objective, start, differentiate, size, model, data, index, length, own)
            return out, jax.tree.map(lambda _: True, out)

        return one

    gradient, score = mapped(True), mapped(False)

    def evaluate(model: RNN, data: Episode, index: jax.Array, length: Any) -> Score:
        return _blockwise(lambda block: score(model, data, block, length), index)

    return Route(gradient, evaluate)


def _lift(leaf: jax.Array) -> jax.Array:
    return leaf[None]


def _blockwise(score: Callable, index: jax.Array) -> Score:
    """The mean of ``score`` over blocks of ``index`` of equal size, at most `LANES`."""
    count = len(index)
    size = max(size for size in range(1, min(LANES, count) + 1) if count % size == 0)
    blocks = index.reshape(-1, size if 4 * size > min(LANES, count) else count)  # not one by one if count is prime
    return jax.tree.map(lambda leaf: jnp.mean(leaf, 0), jax.lax.map(score, blocks))


def _coordinates(cell: Any) -> tuple[tuple, Callable]:
    """Every number of a cell (run, ...) as a tuple of (run,), and the way back from a tuple of scalars."""
    leaves, tree = jax.tree.flatten(cell)
    point = tuple(number for leaf in leaves for number in leaf.reshape(len(leaf), -1).T)

    def back(numbers: tuple) -> Any:
        rest, rebuilt = list(numbers), []
        for leaf in leaves:
            shape = leaf.shape[1:]
            own = [rest.pop(0) for _ in range(leaf[0].size)]
            rebuilt.append(jnp.stack(own).reshape(shape) if shape else own[0])
        return jax.tree.unflatten(tree, rebuilt)

    return point, back


def _lanes(
    objective: Objective,
    start: float,
    differentiate: bool,
    runs: int,
    model: RNN,
    data: Episode,
    index: jax.Array,
    length: Any,
    own: bool = False,
) -> Any:
    """Score (run,) of models (run, ...) on episodes ``index`` (batch, run or 1), and its gradient.

    ``own``: data has a leading axis of runs. A length (run,) holds each run still at its own end.
    """
    point, cell = _coordinates(model.cell)
    scale = tuple(jnp.ones((), number.dtype) for number in point)
    shape = (len(index), runs)

    def take(x: jax.Array, index: jax.Array) -> jax.Array:
        taken = jax.vmap(lambda x, i: x[i], (0, 1), 1)(x, jnp.broadcast_to(index, shape)) if own else x[index]
        return jnp.broadcast_to(taken, (*shape, *taken.shape[2:]))

    def advance(point: tuple, jet: Jet, x: Any) -> Jet:
        return push(lambda numbers, state: cell(numbers).step(state, x), point, scale, jet)

    def loop(length: Any, point: tuple, jet: Jet, x: jax.Array, index: jax.Array) -> Jet:
        across = jax.vmap(jax.vmap(advance), (None, 0, 0))

        def step(t: Any, jet: Jet) -> Jet:
            new = across(point, jet, take(x[t], index))
            if jnp.ndim(length) == 0:
                return new
            return jax.tree.map(lambda new, old: jnp.where((t < length)[None], new, old), new, jet)

        return jax.lax.fori_loop(0, jnp.max(length), step, jet)

    state = jax.vmap(lambda *numbers: cell(numbers).initial(start))(*point)
    state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape).astype(point[0].dtype), state)
    zero = jax.tree.map(jnp.zeros_like, state)
    x = jnp.moveaxis(data.x, 0, 1) if own else data.x
    jet = Jet(state, (zero,) * len(point) if differentiate else (), {})
    lane = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((), leaf.dtype), (point, jet))
    example = jax.ShapeDtypeStruct(x.shape[3 if own else 2 :], x.dtype)
    if scalar(jax.make_jaxpr(advance)(*lane, example).jaxpr):
        loop = one_kernel(loop)
    jet = loop(length, point, jet, x, index)

    score, targets = scorer(objective), jax.tree.map(lambda target: take(target, index), data.target)
    if not differentiate:
        across = jax.vmap(jax.vmap(score), (None, 0, 0))
        return Score(*(jnp.mean(s, 0) for s in across(model.readout, jet.value, targets)))
    across = jax.vmap(jax.vmap(jax.value_and_grad(score, (0, 1), has_aux=True)), (None, 0, 0))
    (loss, right), (readout, pull) = across(model.readout, jet.value, targets)
    mean = lambda leaf: jnp.mean(leaf, 0)  # noqa: E731
    chain = lambda tangent: sum(jax.tree.leaves(jax.tree.map(jnp.multiply, pull, tangent)))  # noqa: E731
    gradient = RNN(cell=_assemble(model.cell, [mean(chain(t)) for t in jet.first]), readout=jax.tree.map(mean, readout))
    return Score(mean(loss), mean(right)), gradient


def _assemble(cell: Any, numbers: list[jax.Array]) -> Any:
    """Numbers (run,) in the order of `_coordinates`, back in the leaves (run, ...) of a cell."""
    leaves, tree = jax.tree.flatten(cell)
    rest = iter(numbers)
    own = [jnp.stack([next(rest) for _ in range(leaf[0].size)], -1).reshape(leaf.shape) for leaf in leaves]
    return jax.tree.unflatten(tree, own)


def reverse(objective: Objective, start: float = 0.0, penalty: Penalty | None = None) -> Route:
    """The route of layers: back-propagation through ``length`` steps, from the states kept on the way.

    ``penalty`` adds its own gradient, term by term as the error passes each step (`landscape.training.penalties`).
    """
    score = scorer(objective)

    def onward(cell: Any, state: Any, x: Any) -> Any:
        return jax.vmap(lambda state, x: cell.step(state, x))(state, x)

    def initial(model: RNN, batch: int, dtype: Any) -> Any:
        spread = lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape)).astype(dtype)  # noqa: E731
        return jax.tree.map(spread, model.initial(start))

    def gradient(model: RNN, data: Episode, index: jax.Array, length: Any) -> tuple[Score, RNN]:
        x, target = data.x[:, index], jax.tree.map(lambda leaf: leaf[index], data.target)
        state = initial(model, len(index), x.dtype)
        empty = jax.tree.map(lambda leaf: jnp.zeros((len(x), *leaf.shape), leaf.dtype), state)

        def ahead(t: Any, carry: tuple) -> tuple:
            state, kept = carry
            kept = jax.tree.map(lambda all, one: all.at[t].set(one), kept, state)
            return onward(model.cell, state, x[t]), kept

        state, kept = jax.lax.fori_loop(0, length, ahead, (state, empty))
        across = jax.vmap(jax.value_and_grad(score, (0, 1), has_aux=True), (None, 0, 0))
        (loss, right), (readout, error) = across(model.readout, state, target)

        def behind(k: Any, carry: tuple) -> tuple:
            error, total, extra = carry
            t = length - 1 - k
            before = jax.tree.map(lambda all: all[t], kept)
            _, pull = jax.vjp(lambda cell, state: onward(cell, state, x[t]), model.cell, before)
            own, earlier = pull(error)
            if penalty is not None:
                extra = jax.tree.map(jnp.add, extra, penalty.gradient(model.cell, before, x[t], error))
            return earlier, jax.tree.map(jnp.add, total, own), extra

        nothing = jax.tree.map(jnp.zeros_like, model.cell)
        extra = None if penalty is None else penalty.nothing(model.cell)
        _, total, extra = jax.lax.fori_loop(0, length, behind, (error, nothing, extra))
        total = jax.tree.map(lambda leaf: leaf / len(index), total)
        if penalty is not None:
            total = jax.tree.map(jnp.add, total, penalty.scaled(extra))
        mean = lambda leaf: jnp.mean(leaf, 0)  # noqa: E731
        return Score(mean(loss), mean(right)), RNN(cell=total, readout=jax.tree.map(mean, readout))

    def evaluate(model: RNN, data: Episode, index: jax.Array, length: Any) -> Score:
        def block(index: jax.Array) -> Score:
            x, target = data.x[:, index], jax.tree.map(lambda leaf: leaf[index], data.target)
            step = lambda t, state: onward(model.cell, state, x[t])  # noqa: E731
            state = jax.lax.fori_loop(0, length, step, initial(model, len(index), x.dtype))
            return Score(*(jnp.mean(s) for s in jax.vmap(score, (None, 0, 0))(model.readout, state, target)))

        return _blockwise(block, index)

    return Route(gradient, evaluate)

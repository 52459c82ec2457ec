"""A model is a cell, or several of them, and what reads it out; `run` is the scan of the package."""

import bisect
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PyTree, Real

from landscape.cells import Cell, State
from landscape.tree import Parameter, dot, param, pytree, static


@pytree
class Dense:
    """``y = w h + b``: one unit with 0-d or (output,) parameters, a layer with ``w`` (unit, output)."""

    w: Parameter = param("unit", "output", default=1.0)
    b: Parameter = param("output")

    def __call__(self, h: Float[ArrayLike, "*unit"]) -> Float[Array, "*output"]:
        return dot(h, self.w) + self.b


class StackState(NamedTuple):
    """The states of all layers of a `Stack`; others see the h of the uppermost."""

    layers: tuple

    @property
    def h(self) -> Float[Array, "*unit"]:
        return self.layers[-1].h


@pytree
class Stack(Cell):
    """Cells on top of each other: layer k reads the ``h`` that layer k - 1 has after the same step.

    A cell itself: ``training.begin(Stack(layers=(LSTM(), LSTM())), key, units=32, inputs=8)``. Its parameters are
    called ``layers.0.w_f``; `landscape.training.dropout` silences units between its layers. Raises ValueError for no
    layer at all, TypeError for what is no cell.
    """

    layers: tuple = ()

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> StackState:
        if not self.layers:
            raise ValueError("a Stack needs a layer or more, such as Stack(layers=(LSTM(), LSTM()))")
        return StackState(tuple(layer.initial(h) for layer in self.layers))

    def step(self, state: StackState, x: Real[ArrayLike, "*input"]) -> StackState:
        after: list[State] = []
        for layer, before in zip(self.layers, state.layers, strict=True):
            after.append(layer.step(before, after[-1].h if after else x))
        return StackState(tuple(after))


@pytree
class Around(Cell):
    """A cell round another one, ``cell``, whose parameters it has; called ``cell.w_f`` on a plane."""

    cell: PyTree = None  # a Cell

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> PyTree[Float[Array, "..."]]:
        return self.cell.initial(h)

    def step(self, state: PyTree[Float[Array, "..."]], x: Real[ArrayLike, "*input"]) -> PyTree[Float[Array, "..."]]:
        return self.cell.step(state, x)


@pytree
class Truncated(Around):
    """``step(stop(h), x)``: errors go back along what a cell carries beside h, its c, alone (HS97, app. A.1).

    States and losses are those of the cell itself; the gradient is no longer theirs. A cell with no other state than h
    learns from its last step alone. Errors through peepholes, which read c, still pass.
    """

    def step(self, state: PyTree[Float[Array, "..."]], x: Real[ArrayLike, "*input"]) -> PyTree[Float[Array, "..."]]:
        return self.cell.step(_held(state), x)


def _held(state: PyTree) -> PyTree:
    """A state whose h is a constant, in every layer, and so are gates that are remembered."""
    if isinstance(state, StackState):
        return StackState(tuple(map(_held, state.layers)))
    kept = {name: jax.lax.stop_gradient(getattr(state, name)) for name in ("h", "gates") if hasattr(state, name)}
    return state._replace(**kept)


@pytree
class Sized(Around):
    """The first ``size`` units of a layer; all others are held at 0, in every state. ``size`` may be traced.

    So one compiled program serves all sizes: answers, gradients and updates are those of the small layer, whose
    matrices are the upper left corners of these, and gradients of all else are 0. Raises ValueError for a size
    that the layer does not have.
    """

    size: Real[Array, ""] | float = param()

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> PyTree[Float[Array, "..."]]:
        state = self.cell.initial(h)
        units = jnp.shape(state.h)[-1] if jnp.ndim(state.h) else 0
        if not isinstance(self.size, jax.core.Tracer) and not 1 <= self.size <= units:
            raise ValueError(f"size must be 1 to {units}, the units of the layer; given {self.size}")
        return self._masked(state)

    def step(self, state: PyTree[Float[Array, "..."]], x: Real[ArrayLike, "*input"]) -> PyTree[Float[Array, "..."]]:
        return self._masked(self.cell.step(state, x))

    def _masked(self, state: PyTree) -> PyTree:
        size = jnp.asarray(self.size)
        here = lambda leaf: jnp.where(jnp.arange(leaf.shape[-1], dtype=size.dtype) < size, leaf, 0)  # noqa: E731
        return jax.tree.map(here, state)


@pytree
class Embedding(Cell):
    """``h' = row x of w``: a symbol as a vector of numbers that are trained; no memory.

    The lowest layer of a `Stack`: ``Stack(layers=(Embedding(size=50), LSTM()))`` reads symbols, and its LSTM vectors of
    ``size`` numbers (as many as there are units if None). A vector x it multiplies: x w.
    """

    w: Parameter = param("input", "unit", default=1.0)
    size: int | None = static(None)

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> State:
        row = 0.0 * jnp.asarray(self.w)
        return State((row[0] if row.ndim == 2 else row) + h)

    def step(self, state: State, x: Real[ArrayLike, "*input"]) -> State:
        return State(dot(x, self.w))


class TwoWayState(NamedTuple):
    """The states of the two cells of a `TwoWay`; ``h`` is that of both, (2 unit,)."""

    h: Float[Array, "*unit"]
    ahead: PyTree[Float[Array, "..."]]
    back: PyTree[Float[Array, "..."]]


@pytree
class TwoWay(Cell):
    """Two cells that read an episode from its two ends; ``h_t`` is (ahead after x_0 .. x_t, back after x_T-1 .. x_t).

    Schuster & Paliwal (1997). Either may be a `Stack`. A model of it answers at every step once the whole episode is
    there: `run` and `landscape.training.fit` take it, with a mask. It is not nested, since a step more changes all
    answers: so it has no ``step``, and asking for one, as surfaces over lengths do, raises TypeError. `landscape.Risk`
    draws its surface at one length.
    """

    ahead: PyTree = None  # a Cell
    back: PyTree = None  # a Cell

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> TwoWayState:
        both = self.ahead.initial(h), self.back.initial(h)
        return TwoWayState(jnp.concatenate([jnp.atleast_1d(state.h) for state in both]), *both)

    def step(self, state: TwoWayState, x: Real[ArrayLike, "*input"]) -> TwoWayState:
        raise TypeError(
            "a TwoWay model reads an episode from both ends, so it has no single step and a short episode is no prefix "
            "of a long one: run and fit take it whole, and landscape.Risk draws its surface at one length"
        )

    def along(
        self,
        x: Real[Array, "time *input"],
        start: Float[ArrayLike, "*unit"] = 0.0,
        length: Int[ArrayLike, ""] | None = None,
    ) -> Float[Array, "time unit"]:
        """``h`` of both after every step of inputs (time, ...) of which the first ``length`` (all if None) count."""
        time = len(x)
        turned = ((time if length is None else length) - 1 - jnp.arange(time)) % time  # what counts, from its end
        both = run(self.ahead, x, start), run(self.back, x[turned], start)[turned]
        return jnp.concatenate([h.reshape(time, -1) for h in both], 1)


def innermost(cell: Cell) -> Cell:
    """The cell that reads the input: below all layers and wrappers, and of two ways that ahead."""
    while isinstance(cell, Stack | Around | TwoWay):
        cell = cell.layers[0] if isinstance(cell, Stack) else cell.cell if isinstance(cell, Around) else cell.ahead
    return cell


@pytree
class RNN:
    """A recurrent cell with a readout; without one the answer is the cell's own ``h``."""

    cell: Cell
    readout: PyTree = None  # a function of h such as a Dense

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> PyTree[Float[Array, "..."]]:
        return self.cell.initial(h)

    def step(self, state: PyTree[Float[Array, "..."]], x: Real[ArrayLike, "*input"]) -> PyTree[Float[Array, "..."]]:
        return self.cell.step(state, x)

    def output(self, state: PyTree[Float[Array, "..."]]) -> Float[Array, "*output"]:
        return self.read(state.h)

    def read(self, h: Float[Array, "*unit"]) -> Float[Array, "*output"]:
        return h if self.readout is None else self.readout(h)


def as_rnn(model: PyTree) -> PyTree:
    """The model itself, or a bare cell read out by its own ``h``."""
    return RNN(cell=model) if isinstance(model, Cell) else model


def run(
    model: Cell | RNN, x: Real[ArrayLike, "time *input"], start: Float[ArrayLike, "*unit"] = 0.0
) -> Float[Array, "time *output"]:
    """Answers after every step, (time,) or (time, output), to inputs (time,) or (time, input) from ``h = start``.

    Raises TypeError where a step changes the dtype of the state: parameters and inputs must be of one.
    """
    rnn, inputs = as_rnn(model), jnp.asarray(x)
    if isinstance(rnn.cell, TwoWay):
        return jax.vmap(rnn.read)(rnn.cell.along(inputs, start))
    begin = rnn.initial(start)

    def step(state: PyTree, x: Real[ArrayLike, "*input"]) -> tuple[PyTree, Float[Array, "*output"]]:
        state = rnn.step(state, x)
        return state, rnn.output(state)

    try:
        return jax.lax.scan(step, begin, inputs)[1]
    except TypeError as error:
        _refuse_mixture(rnn, begin, inputs, error)
        raise


def size(make: Callable[[], PyTree]) -> int:
    """How many numbers the model that ``make()`` makes has; it is traced, and nothing is computed."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(jax.eval_shape(make)))


def matched(make: Callable[[int], PyTree], budget: int, most: int = 1024) -> int:
    """The number of units, 1 to ``most``, with which ``make(units)`` comes nearest to a ``budget`` of parameters.

    Models must grow with their units. Raises ValueError unless the budget is a number of parameters above 0.
    """
    if budget < 1:
        raise ValueError(f"a budget is a number of parameters, 1 or more, given {budget}")
    count = lambda units: size(lambda: make(units))  # noqa: E731
    above = bisect.bisect_left(range(most + 1), budget, lo=2, hi=most, key=count)
    return min(above - 1, above, key=lambda units: abs(count(units) - budget))


def _refuse_mixture(model: RNN, begin: PyTree, x: jax.Array, error: TypeError) -> None:
    """Raise, in one sentence, if ``error`` came of a step that changes the dtype of the state."""
    before, after = (_dtypes(state) for state in (begin, jax.eval_shape(model.step, begin, x[0])))
    if before != after:
        raise TypeError(
            f"one step makes a state of {after} from one of {before}: parameters are {_dtypes(model)} and inputs "
            f"{x.dtype}; give all of them one dtype, such as x.astype({before.split(' and ')[0]!r})"
        ) from error


def _dtypes(tree: PyTree) -> str:
    """The dtypes in a pytree, in words."""
    return " and ".join(sorted({str(jnp.result_type(leaf)) for leaf in jax.tree.leaves(tree)}))

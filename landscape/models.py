"""A model is a cell, or a stack of them, and what reads it out; `run` is the scan of the package."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree

from landscape.cells import Cell, State
from landscape.tree import dot, param, pytree


@pytree
class Dense:
    """``y = w h + b``: one unit with 0-d or (output,) parameters, a layer with ``w`` (unit, output)."""

    w: Any = param("unit", "output", default=1.0)
    b: Any = param("output")

    def __call__(self, h: Float[ArrayLike, "*unit"]) -> Float[Array, "*output"]:
        return dot(h, self.w) + self.b


class StackState(NamedTuple):
    """The states of all layers of a `Stack`; others see the h of the uppermost."""

    layers: tuple

    @property
    def h(self) -> Any:
        return self.layers[-1].h


@pytree
class Stack(Cell):
    """Cells on top of each other: layer k reads the ``h`` that layer k - 1 has after the same step.

    A cell itself: ``training.begin(Stack(layers=(LSTM(), LSTM())), key, units=32, inputs=8)``. Its parameters are
    called ``layers.0.w_f``. Raises ValueError for no layer at all, TypeError for what is no cell.
    """

    layers: tuple = ()

    def initial(self, h: Any = 0.0) -> StackState:
        if not self.layers:
            raise ValueError("a Stack needs a layer or more, such as Stack(layers=(LSTM(), LSTM()))")
        return StackState(tuple(layer.initial(h) for layer in self.layers))

    def step(self, state: StackState, x: Any) -> StackState:
        after: list[Any] = []
        for layer, before in zip(self.layers, state.layers, strict=True):
            after.append(layer.step(before, after[-1].h if after else x))
        return StackState(tuple(after))


@pytree
class RNN:
    """A recurrent cell with a readout; without one the answer is the cell's own ``h``."""

    cell: Any
    readout: Any = None

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> State:
        return self.cell.initial(h)

    def step(self, state: State, x: Float[ArrayLike, "*input"]) -> State:
        return self.cell.step(state, x)

    def output(self, state: State) -> Float[Array, "*output"]:
        return state.h if self.readout is None else self.readout(state.h)


def as_rnn(model: PyTree) -> RNN:
    """The model itself, or a bare cell read out by its own ``h``."""
    return RNN(cell=model) if isinstance(model, Cell) else model


def run(
    model: Cell | RNN, x: Float[ArrayLike, "time *input"], start: Float[ArrayLike, "*unit"] = 0.0
) -> Float[Array, "time *output"]:
    """Answers after every step, (time,) or (time, output), to inputs (time,) or (time, input) from ``h = start``.

    Raises TypeError where a step changes the dtype of the state: parameters and inputs must be of one.
    """
    rnn, inputs = as_rnn(model), jnp.asarray(x)
    begin = rnn.initial(start)

    def step(state: State, x: Any) -> tuple[State, Float[Array, "*output"]]:
        state = rnn.step(state, x)
        return state, rnn.output(state)

    try:
        return jax.lax.scan(step, begin, inputs)[1]
    except TypeError as error:
        _refuse_mixture(rnn, begin, inputs, error)
        raise


def _refuse_mixture(model: RNN, begin: State, x: jax.Array, error: TypeError) -> None:
    """Raise, in one sentence, if ``error`` came of a step that changes the dtype of the state."""
    before, after = (_dtypes(state) for state in (begin, jax.eval_shape(model.step, begin, x[0])))
    if before != after:
        raise TypeError(
            f"one step makes a state of {after} from one of {before}: parameters are {_dtypes(model)} and inputs "
            f"{x.dtype}; give all of them one dtype, such as x.astype({before.split(' and ')[0]!r})"
        ) from error


def _dtypes(tree: Any) -> str:
    """The dtypes in a pytree, in words."""
    return " and ".join(sorted({str(jnp.result_type(leaf)) for leaf in jax.tree.leaves(tree)}))

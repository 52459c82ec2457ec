"""A model is a cell and what reads it out; `run` is the scan of the package."""

from typing import Any

import jax

from landscape.cells import Cell
from landscape.tree import dot, param, pytree


@pytree
class Dense:
    """``y = w h + b``: one unit with 0-d or (output,) parameters, a layer with ``w`` (unit, output)."""

    w: Any = param("unit", "output", default=1.0)
    b: Any = param("output")

    def __call__(self, h: Any) -> jax.Array:
        return dot(h, self.w) + self.b


@pytree
class RNN:
    """A recurrent cell with a readout; without one the answer is the cell's own ``h``."""

    cell: Any
    readout: Any = None

    def initial(self, h: Any = 0.0) -> Any:
        return self.cell.initial(h)

    def step(self, state: Any, x: Any) -> Any:
        return self.cell.step(state, x)

    def output(self, state: Any) -> Any:
        return state.h if self.readout is None else self.readout(state.h)


def as_rnn(model: Any) -> RNN:
    """The model itself, or a bare cell read out by its own ``h``."""
    return RNN(cell=model) if isinstance(model, Cell) else model


def run(model: Any, x: Any, start: Any = 0.0) -> jax.Array:
    """Answers after every step, (time,) or (time, output), to inputs (time,) or (time, input) from ``h = start``."""
    model = as_rnn(model)

    def step(state: Any, x: Any) -> tuple[Any, Any]:
        state = model.step(state, x)
        return state, model.output(state)

    return jax.lax.scan(step, model.initial(start), x)[1]

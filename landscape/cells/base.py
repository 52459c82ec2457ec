"""What a recurrent cell is, which cells there are, and whether a step is sound."""

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree, Real

from landscape.activations import LOGISTIC, mixed, sigmoid
from landscape.tree import dot, params

logistic = sigmoid


def identity(x: Float[ArrayLike, "..."]) -> Float[ArrayLike, "..."]:
    """``x``."""
    return x


def hard_sigmoid(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """``clip(0.2 x + 0.5, 0, 1)``: the gate of Keras 2 (not `jax.nn.hard_sigmoid`, whose slope is 1/6)."""
    return jnp.clip(0.2 * x + 0.5, 0.0, 1.0)


def between(
    gate: Callable, a: Float[ArrayLike, "..."], one: Float[ArrayLike, "..."], other: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """``z one + (1 - z) other``, z = gate(a), by `mixed` where the gate is logistic."""
    if gate in LOGISTIC:
        return mixed(a, one, other)
    z = gate(a)
    return z * one + (1 - z) * other


class State(NamedTuple):
    """What a cell carries from step to step; ``h`` is what others see."""

    h: Float[Array, "*unit"]


class Cell:
    """A recurrent cell: a pytree of parameters with ``step(state, x) -> state``.

    Write your own by subclassing, in any file::

        @pytree
        class Mine(Cell):
            "h' = sin(w h + u x + b)"
            w: Parameter = param("unit", "unit", default=1.0)
            u: Parameter = param("input", "unit", default=1.0)
            b: Parameter = param("unit")

            def step(self, state, x):
                return State(jnp.sin(dot(state.h, self.w) + dot(x, self.u) + self.b))
    """

    gates: tuple[str, ...] = ("",)  # the gates in the order in which frameworks concatenate them

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> PyTree[Float[Array, "..."]]:
        """The state before the first step: every unit at ``h``, all else zero."""
        return State(zeros(self) + h)

    def step(self, state: PyTree[Float[Array, "..."]], x: Real[ArrayLike, "*input"]) -> PyTree[Float[Array, "..."]]:
        """The state after reading ``x``: one input () or (input,), one unit () or (unit,)."""
        raise NotImplementedError(f"{type(self).__name__} must define step(state, x) -> state")


def zeros(cell: Cell) -> Float[Array, "*unit"]:
    """Zero for every unit of ``cell``, () or (unit,), as its first parameter with a leading unit axis tells."""
    for name, field in params(cell).items():
        if field.metadata["axes"][:1] == ("unit",) and (value := getattr(cell, name)) is not None:
            zero = 0.0 + jnp.zeros_like(value)
            return zero[0] if jnp.ndim(zero) == 2 else zero
    raise TypeError(
        f"{type(cell).__name__} has no parameter declared as param('unit', ...); declare one or define initial"
    )


def drive(
    cell: Cell, gate: str, h: Float[ArrayLike, "*unit"], x: Real[ArrayLike, "*input"]
) -> Float[ArrayLike, "*unit"]:
    """``w h + u x + b`` of one gate: what reaches its nonlinearity."""
    w, u, b = (getattr(cell, f"{kind}_{gate}") for kind in "wub")
    return dot(h, w) + dot(x, u) + b


def known(module: ModuleType | None = None) -> dict[str, Callable[..., Cell]]:
    """Every cell defined in a module or package, `landscape.cells` unless given, by name in the order of definition.

    A cell is a public subclass of `Cell`, or a public function annotated to return one; called without arguments it
    makes one unit.
    """
    module = module or sys.modules[__package__]
    return {name: value for name, value in vars(module).items() if _makes_cell(value, module.__name__)}


def _makes_cell(value: object, home: str) -> bool:
    """Whether ``value`` is a public cell class or constructor defined in the module ``home`` or below it."""
    where, name = getattr(value, "__module__", None) or "", getattr(value, "__name__", "_")
    if name.startswith("_") or not f"{where}.".startswith(f"{home}."):
        return False
    made = typing.get_type_hints(value).get("return") if inspect.isfunction(value) else value
    return isinstance(made, type) and issubclass(made, Cell) and made is not Cell


def check(cell: Cell, input_shape: tuple[int, ...] = (), symbols: bool = False) -> None:
    """Raise TypeError or ValueError, before anything is compiled, unless ``step`` returns a state like the one given.

    ``input_shape`` is that of one input: () or (input,); with ``symbols`` it is a whole number. Looks at shapes and
    dtypes alone; no numbers are computed.
    """
    name = type(cell).__name__
    if not dataclasses.is_dataclass(cell):
        raise TypeError(f"{name} is not a pytree of parameters; write @pytree above its class")
    try:
        before = jax.eval_shape(lambda cell: cell.initial(), cell)
        if not hasattr(before, "h"):
            raise TypeError(f"initial() returns {_format(before)}, which has no h; return State(h)")
        x = jax.ShapeDtypeStruct(input_shape, jnp.int32 if symbols else before.h.dtype)
        after = jax.eval_shape(lambda cell, state, x: cell.step(state, x), cell, before, x)
    except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        what = "a symbol" if symbols else f"an input of shape {input_shape}"
        raise TypeError(f"{name} cannot step on {what}: {reason}") from error
    complaint = f"{name}.step returns {_format(after)}; it must return a state like initial(): {_format(before)}"
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise TypeError(complaint)
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        if old.shape != new.shape:
            raise ValueError(complaint)
        if old.dtype != new.dtype:
            raise TypeError(complaint)


def _format(state: PyTree) -> str:
    """A state in words: ``State(h=float32[3])``."""
    return repr(jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", state)).replace("'", "")

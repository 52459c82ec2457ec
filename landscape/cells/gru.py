"""Gated recurrent units: the GRU with its conventions, and the three mutants of an architecture search."""

from collections.abc import Callable
from typing import Any

from jaxtyping import ArrayLike, Real

from landscape.activations import mixed, tanh
from landscape.cells.base import Cell, State, between, drive, hard_sigmoid, logistic
from landscape.tree import Parameter, dot, param, pytree, static


@pytree
class _Gated(Cell):
    """The parameters of an update gate z, a reset gate r and a candidate h that all read the state and the input."""

    w_z: Parameter = param("unit", "unit")
    u_z: Parameter = param("input", "unit")
    b_z: Parameter = param("unit")
    w_r: Parameter = param("unit", "unit")
    u_r: Parameter = param("input", "unit")
    b_r: Parameter = param("unit")
    w_h: Parameter = param("unit", "unit", default=1.0)
    u_h: Parameter = param("input", "unit", default=1.0)
    b_h: Parameter = param("unit")

    gates = ("z", "r", "h")


@pytree
class GRU(_Gated):
    """``h' = z h + (1 - z) g``, g = tanh(w_h (r h) + u_h x + b_h): gated recurrent unit (Cho et al. 2014).

    ``z = gate(w_z h + u_z x + b_z)``, ``r = gate(w_r h + u_r x + b_r)``, gate = s. With ``reset_after`` the reset gate
    acts on the product, ``g = tanh(r (w_h h + c_h) + u_h x + b_h)``; unless ``z_keeps`` the update gate lets the new
    value in, ``h' = (1 - z) h + z g``. Keras, PyTorch and Flax keep with z, as here.
    """

    c_h: Parameter | None = param("unit", default=None)
    gate: Callable = static(logistic)
    reset_after: bool = static(False)
    z_keeps: bool = static(True)

    def step(self, state: State, x: Real[ArrayLike, "*input"]) -> State:
        (h,) = state
        z = drive(self, "z", h, x)
        r = self.gate(drive(self, "r", h, x))
        if self.reset_after:
            kept = r * (dot(h, self.w_h) + (0.0 if self.c_h is None else self.c_h))
        else:
            kept = dot(r * h, self.w_h)
        g = tanh(kept + dot(x, self.u_h) + self.b_h)
        return State(between(self.gate, z, *((h, g) if self.z_keeps else (g, h))))


def GRUResetAfter(**values: Any) -> GRU:
    """``h' = z h + (1 - z) tanh(r (w_h h + c_h) + u_h x + b_h)``: `GRU` of cuDNN, PyTorch, Flax, Keras 3."""
    return GRU(reset_after=True, **{"c_h": 0.0, **values})


def GRUChung(**values: Any) -> GRU:
    """``h' = (1 - z) h + z tanh(w_h (r h) + u_h x + b_h)``: `GRU` whose z lets the new value in (Chung et al. 2014)."""
    return GRU(z_keeps=False, **values)


def HardGRU(**values: Any) -> GRU:
    """``h' = z h + (1 - z) tanh(w_h (r h) + u_h x + b_h)``: `GRU`, gates clip(.2 x + .5, 0, 1) (Keras 2.1)."""
    return GRU(gate=hard_sigmoid, **values)


@pytree
class MUT1(Cell):
    """``h' = z tanh(w_h (r h) + tanh(x) + b_h) + (1 - z) h``, z = s(u_z x + b_z): MUT1 (Jozefowicz et al. 2015).

    ``r = s(u_r x + w_r h + b_r)``. As printed, tanh(x) needs an input of the unit's size; a projection ``p``
    (input, unit), if given, makes it tanh(p x).
    """

    u_z: Parameter = param("input", "unit")
    b_z: Parameter = param("unit")
    w_r: Parameter = param("unit", "unit")
    u_r: Parameter = param("input", "unit")
    b_r: Parameter = param("unit")
    w_h: Parameter = param("unit", "unit", default=1.0)
    b_h: Parameter = param("unit")
    p: Parameter | None = param("input", "unit", default=None)

    gates = ("z", "r", "h")

    def step(self, state: State, x: Real[ArrayLike, "*input"]) -> State:
        z = dot(x, self.u_z) + self.b_z
        r = logistic(drive(self, "r", state.h, x))
        shown = tanh(x if self.p is None else dot(x, self.p))
        return State(mixed(z, tanh(dot(r * state.h, self.w_h) + shown + self.b_h), state.h))


@pytree
class MUT2(Cell):
    """``h' = z tanh(w_h (r h) + u_h x + b_h) + (1 - z) h``, r = s(x + w_r h + b_r): MUT2 (Jozefowicz et al. 2015).

    ``z = s(u_z x + w_z h + b_z)``. As printed, the bare x in r needs an input of the unit's size; a projection ``p``
    (input, unit), if given, makes it p x.
    """

    w_z: Parameter = param("unit", "unit")
    u_z: Parameter = param("input", "unit")
    b_z: Parameter = param("unit")
    w_r: Parameter = param("unit", "unit")
    b_r: Parameter = param("unit")
    w_h: Parameter = param("unit", "unit", default=1.0)
    u_h: Parameter = param("input", "unit", default=1.0)
    b_h: Parameter = param("unit")
    p: Parameter | None = param("input", "unit", default=None)

    gates = ("z", "r", "h")

    def step(self, state: State, x: Real[ArrayLike, "*input"]) -> State:
        z = drive(self, "z", state.h, x)
        r = logistic((x if self.p is None else dot(x, self.p)) + dot(state.h, self.w_r) + self.b_r)
        return State(mixed(z, tanh(drive(self, "h", r * state.h, x)), state.h))


@pytree
class MUT3(_Gated):
    """``h' = z tanh(w_h (r h) + u_h x + b_h) + (1 - z) h``, z = s(w_z tanh(h) + u_z x + b_z) (Jozefowicz et al. 2015).

    ``r = s(u_r x + w_r h + b_r)``.
    """

    def step(self, state: State, x: Real[ArrayLike, "*input"]) -> State:
        z = drive(self, "z", tanh(state.h), x)
        r = logistic(drive(self, "r", state.h, x))
        return State(mixed(z, tanh(drive(self, "h", r * state.h, x)), state.h))

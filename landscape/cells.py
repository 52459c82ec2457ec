"""Recurrent cells. Each class is its equation: fields are the parameters, `step` maps (state, input) to the next state.

Parameters are named as in the papers: recurrent ``w``, input ``u``, bias ``b``, with the gate as suffix (``w_f``).
With 0-d parameters a cell is one unit; with matrices, made by the initialisers of `landscape.models`, the same class is
a layer. A parameter that is ``None`` is absent, and so is the gate it belongs to.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from landscape.tree import dot, param, pytree, static

logistic = jax.nn.sigmoid


def identity(x: Any) -> Any:
    """``x``."""
    return x


def hard_sigmoid(x: Any) -> jax.Array:
    """``clip(0.2 x + 0.5, 0, 1)``: the gate of Keras 2 (not `jax.nn.hard_sigmoid`, whose slope is 1/6)."""
    return jnp.clip(0.2 * x + 0.5, 0.0, 1.0)


class State(NamedTuple):
    """What a cell carries from step to step; ``h`` is what others see."""

    h: Any


class LSTMState(NamedTuple):
    """``h``, the cell state ``c`` and, with full gate recurrence only, the last gates (i, f, o)."""

    h: Any
    c: Any
    gates: tuple = ()


class Cell:
    """A recurrent cell: a pytree of parameters with ``step(state, x) -> state``.

    Write your own by subclassing, in any file::

        @pytree
        class Mine(Cell):
            "h' = sin(w h + u x + b)"
            w: Any = param("unit", "unit", default=1.0)
            u: Any = param("input", "unit", default=1.0)
            b: Any = param("unit")

            def step(self, state, x):
                return State(jnp.sin(dot(state.h, self.w) + dot(x, self.u) + self.b))
    """

    gates: tuple[str, ...] = ("",)  # the gates in the order in which frameworks concatenate them

    def initial(self, h: Any = 0.0) -> Any:
        """The state before the first step: every unit at ``h``, all else zero."""
        return State(h + jnp.zeros_like(self.b))  # type: ignore[attr-defined]

    def step(self, state: Any, x: Any) -> Any:
        """The state after reading ``x``: one input () or (input,), one unit () or (unit,)."""
        raise NotImplementedError


def drive(cell: Cell, gate: str, h: Any, x: Any) -> jax.Array:
    """``w h + u x + b`` of one gate: what reaches its nonlinearity."""
    w, u, b = (getattr(cell, f"{kind}_{gate}") for kind in "wub")
    return dot(h, w) + dot(x, u) + b


@pytree
class SRNN(Cell):
    """Simple (Elman 1990) recurrent unit: ``h' = act(w h + u x + b)``."""

    w: Any = param("unit", "unit", default=1.0)
    u: Any = param("input", "unit", default=1.0)
    b: Any = param("unit")
    act: Callable = static(jnp.tanh)

    def step(self, state: State, x: Any) -> State:
        return State(self.act(dot(state.h, self.w) + dot(x, self.u) + self.b))


def LogisticRNN(**values: Any) -> SRNN:
    """`SRNN` with the logistic function: ``h' = 1 / (1 + exp(-(w h + u x + b)))``."""
    return SRNN(act=logistic, **values)


def IRNN(**values: Any) -> SRNN:
    """`SRNN` with ReLU, ``h' = max(0, w h + u x + b)``, which starts at w = 1 (Le, Jaitly & Hinton 2015)."""
    return SRNN(act=jax.nn.relu, **values)


def SoftsignRNN(**values: Any) -> SRNN:
    """`SRNN` with softsign: ``h' = a / (1 + |a|)``, a = w h + u x + b; for b = 0 a Moebius map, solved for every T."""
    return SRNN(act=jax.nn.soft_sign, **values)


def LinearRNN(**values: Any) -> SRNN:
    """`SRNN` without nonlinearity: ``h' = w h + u x + b``."""
    return SRNN(act=identity, **values)


@pytree
class LeakyRNN(Cell):
    """Leaky integrator: ``h' = (1 - a) h + a tanh(w h + u x + b)`` (Jaeger et al. 2007, eq. 2)."""

    a: Any = param("unit", default=0.5)
    w: Any = param("unit", "unit", default=1.0)
    u: Any = param("input", "unit", default=1.0)
    b: Any = param("unit")

    def step(self, state: State, x: Any) -> State:
        new = jnp.tanh(dot(state.h, self.w) + dot(x, self.u) + self.b)
        return State((1 - self.a) * state.h + self.a * new)


@pytree
class Pascanu(Cell):
    """The map of Pascanu et al. (2013), eq. 2: ``h' = w f(h) + u x + b``, f logistic; h is what enters f, not what leaves it."""

    w: Any = param("unit", "unit", default=5.0)
    u: Any = param("input", "unit", default=1.0)
    b: Any = param("unit", default=-2.5)
    f: Callable = static(logistic)

    def step(self, state: State, x: Any) -> State:
        return State(dot(self.f(state.h), self.w) + dot(x, self.u) + self.b)


def TanhMap(**values: Any) -> Pascanu:
    """The map ``h' = w tanh(h) + u x + b`` of Bengio et al. (1994) and Doya (1993)."""
    return Pascanu(f=jnp.tanh, **{"w": 1.5, "b": 0.0, **values})


@pytree
class BengioLatch(Cell):
    """Bengio, Simard & Frasconi (1994), fig. 1a: ``h' = tanh(w h + e . x[:-1] + x[-1])``.

    No input weight and no bias: the evidence ``e`` of each class and early step is itself trained. ``x[:-1]`` is one-hot
    over (class, step) while evidence lasts and zero after, ``x[-1]`` is the noise (`landscape.tasks.bengio`).
    ``e`` is one number shared with alternating sign by the two classes, or one number for each (class, step).
    """

    w: Any = param("unit", "unit", default=1.25)
    e: Any = param("input", "unit", default=0.1)

    def initial(self, h: Any = 0.0) -> State:
        return State(h + jnp.zeros_like(self.w))

    def step(self, state: State, x: Any) -> State:
        shown = x[:-1]
        half = shown.shape[0] // 2
        sign = jnp.where(jnp.arange(2 * half) < half, -1, 1).astype(shown.dtype)
        evidence = jnp.sum(shown * (self.e if jnp.ndim(self.e) else self.e * sign))
        return State(jnp.tanh(dot(state.h, self.w) + evidence + x[-1]))


@pytree
class GRU(Cell):
    """Gated recurrent unit (Cho et al. 2014).

    ``z = gate(w_z h + u_z x + b_z)``, ``r = gate(w_r h + u_r x + b_r)``,
    ``g = tanh(u_h x + b_h + w_h (r h))``, or with ``reset_after`` ``g = tanh(u_h x + b_h + r (w_h h + c_h))``,
    ``h' = z h + (1 - z) g`` (Keras, PyTorch, Flax), or ``h' = (1 - z) h + z g`` unless ``z_keeps`` (the 2014 paper's text).
    """

    w_z: Any = param("unit", "unit")
    u_z: Any = param("input", "unit")
    b_z: Any = param("unit")
    w_r: Any = param("unit", "unit")
    u_r: Any = param("input", "unit")
    b_r: Any = param("unit")
    w_h: Any = param("unit", "unit", default=1.0)
    u_h: Any = param("input", "unit", default=1.0)
    b_h: Any = param("unit")
    c_h: Any = param("unit", default=None)
    gate: Callable = static(logistic)
    reset_after: bool = static(False)
    z_keeps: bool = static(True)

    gates = ("z", "r", "h")

    def initial(self, h: Any = 0.0) -> State:
        return State(h + jnp.zeros_like(self.b_h))

    def step(self, state: State, x: Any) -> State:
        (h,) = state
        z, r = self.gate(drive(self, "z", h, x)), self.gate(drive(self, "r", h, x))
        if self.reset_after:
            kept = r * (dot(h, self.w_h) + (0.0 if self.c_h is None else self.c_h))
        else:
            kept = dot(r * h, self.w_h)
        g = jnp.tanh(kept + dot(x, self.u_h) + self.b_h)
        old, new = (z, 1 - z) if self.z_keeps else (1 - z, z)
        return State(old * h + new * g)


def GRUResetAfter(**values: Any) -> GRU:
    """`GRU` as in cuDNN, PyTorch, Flax and Keras since 2.3: the reset gate acts after the recurrent product."""
    return GRU(reset_after=True, **{"c_h": 0.0, **values})


@pytree
class LSTM(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000; Greff et al. 2017, sec. II).

    ``i = gate(w_i h + u_i x + b_i + p_i c)``, ``f = gate(w_f h + u_f x + b_f + p_f c)``,
    ``g = g_act(w_g h + u_g x + b_g)``, ``c' = f c + i g``,
    ``o = gate(w_o h + u_o x + b_o + p_o c')``, ``h' = o h_act(c')``.

    A gate whose weights are ``None`` stays open (1). Peepholes ``p`` are absent by default. With ``coupled``,
    f = 1 - i. With full gate recurrence every gate also sees the last gates: gate a adds ``r_ba b`` for b in i, f, o.
    Defaults are one unit with gates at rest, forget bias 1, and a candidate that reads h and x with weight 1.
    """

    w_i: Any = param("unit", "unit")
    u_i: Any = param("input", "unit")
    b_i: Any = param("unit")
    w_f: Any = param("unit", "unit")
    u_f: Any = param("input", "unit")
    b_f: Any = param("unit", default=1.0)
    w_g: Any = param("unit", "unit", default=1.0)
    u_g: Any = param("input", "unit", default=1.0)
    b_g: Any = param("unit")
    w_o: Any = param("unit", "unit")
    u_o: Any = param("input", "unit")
    b_o: Any = param("unit")
    p_i: Any = param("unit", default=None)
    p_f: Any = param("unit", default=None)
    p_o: Any = param("unit", default=None)
    r_ii: Any = param("unit", "unit", default=None)
    r_fi: Any = param("unit", "unit", default=None)
    r_oi: Any = param("unit", "unit", default=None)
    r_if: Any = param("unit", "unit", default=None)
    r_ff: Any = param("unit", "unit", default=None)
    r_of: Any = param("unit", "unit", default=None)
    r_io: Any = param("unit", "unit", default=None)
    r_fo: Any = param("unit", "unit", default=None)
    r_oo: Any = param("unit", "unit", default=None)
    gate: Callable = static(logistic)
    g_act: Callable = static(jnp.tanh)
    h_act: Callable = static(jnp.tanh)
    coupled: bool = static(False)

    gates = ("i", "f", "g", "o")

    def initial(self, h: Any = 0.0) -> LSTMState:
        zero = jnp.zeros_like(self.b_g)
        return LSTMState(h + zero, zero, () if self.r_ii is None else (zero, zero, zero))

    def _gate(self, name: str, state: LSTMState, x: Any, c: Any) -> Any:
        if getattr(self, f"w_{name}") is None:
            return 1.0
        total = drive(self, name, state.h, x)
        if (peephole := getattr(self, f"p_{name}")) is not None:
            total = total + peephole * c
        for source, last in zip("ifo", state.gates, strict=False):
            total = total + dot(last, getattr(self, f"r_{source}{name}"))
        return self.gate(total)

    def step(self, state: LSTMState, x: Any) -> LSTMState:
        i = self._gate("i", state, x, state.c)
        f = 1 - i if self.coupled else self._gate("f", state, x, state.c)
        c = f * state.c + i * self.g_act(drive(self, "g", state.h, x))
        o = self._gate("o", state, x, c)
        return LSTMState(o * self.h_act(c), c, (i, f, o) if state.gates else ())

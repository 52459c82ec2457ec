"""Long short-term memory: one class, and its variants as named constructors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, ArrayLike, Float, Real

from landscape.activations import tanh
from landscape.cells.base import Cell, drive, hard_sigmoid, identity, logistic, zeros
from landscape.tree import Parameter, dot, param, pytree, static


class LSTMState(NamedTuple):
    """``h``, the cell state ``c`` and, with full gate recurrence only, the last gates (i, f, o)."""

    h: Float[Array, "*unit"]
    c: Float[Array, "*unit"]
    gates: tuple = ()


@pytree
class LSTM(Cell):
    """``c' = f c + i tanh(w_g h + u_g x + b_g)``, h' = o tanh(c'): long short-term memory (Gers et al. 2000).

    In full, with the parts that variants add or leave out (Greff et al. 2017, sec. II), gate = s, g_act = h_act = tanh:

    ``i = gate(w_i h + u_i x + b_i + p_i c)``, ``f = gate(w_f h + u_f x + b_f + p_f c)``,
    ``g = g_act(w_g h + u_g x + b_g)``, ``c' = f c + i g``,
    ``o = gate(w_o h + u_o x + b_o + p_o c')``, ``h' = o h_act(c')``.

    A gate whose weights are ``None`` stays open (1). Peepholes ``p`` are absent by default. With ``coupled``,
    f = 1 - i. With full gate recurrence every gate also sees the last gates: gate a adds ``r_ba b`` for b in i, f, o.
    Defaults are one unit with gates at rest, forget bias 1, and a candidate that reads h and x with weight 1.
    """

    w_i: Parameter | None = param("unit", "unit")
    u_i: Parameter | None = param("input", "unit")
    b_i: Parameter | None = param("unit")
    w_f: Parameter | None = param("unit", "unit")
    u_f: Parameter | None = param("input", "unit")
    b_f: Parameter | None = param("unit", default=1.0)
    w_g: Parameter = param("unit", "unit", default=1.0)
    u_g: Parameter = param("input", "unit", default=1.0)
    b_g: Parameter = param("unit")
    w_o: Parameter | None = param("unit", "unit")
    u_o: Parameter | None = param("input", "unit")
    b_o: Parameter | None = param("unit")
    p_i: Parameter | None = param("unit", default=None)
    p_f: Parameter | None = param("unit", default=None)
    p_o: Parameter | None = param("unit", default=None)
    r_ii: Parameter | None = param("unit", "unit", default=None)
    r_fi: Parameter | None = param("unit", "unit", default=None)
    r_oi: Parameter | None = param("unit", "unit", default=None)
    r_if: Parameter | None = param("unit", "unit", default=None)
    r_ff: Parameter | None = param("unit", "unit", default=None)
    r_of: Parameter | None = param("unit", "unit", default=None)
    r_io: Parameter | None = param("unit", "unit", default=None)
    r_fo: Parameter | None = param("unit", "unit", default=None)
    r_oo: Parameter | None = param("unit", "unit", default=None)
    gate: Callable = static(logistic)
    g_act: Callable = static(tanh)
    h_act: Callable = static(tanh)
    coupled: bool = static(False)

    gates = ("i", "f", "g", "o")

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> LSTMState:
        zero = zeros(self)
        return LSTMState(zero + h, zero, () if self.r_ii is None else (zero, zero, zero))

    def _gate(self, name: str, state: LSTMState, x: ArrayLike, c: Array) -> Array | float:
        if getattr(self, f"w_{name}") is None:
            return 1.0
        total = drive(self, name, state.h, x)
        if (peephole := getattr(self, f"p_{name}")) is not None:
            total = total + peephole * c
        for source, last in zip("ifo", state.gates, strict=False):
            total = total + dot(last, getattr(self, f"r_{source}{name}"))
        return self.gate(total)

    def step(self, state: LSTMState, x: Real[ArrayLike, "*input"]) -> LSTMState:
        i = self._gate("i", state, x, state.c)
        f = 1 - i if self.coupled else self._gate("f", state, x, state.c)
        c = f * state.c + i * self.g_act(drive(self, "g", state.h, x))
        o = self._gate("o", state, x, c)
        return LSTMState(o * self.h_act(c), c, (i, f, o) if state.gates else ())


def HardLSTM(**values: Any) -> LSTM:
    """``c' = f c + i tanh(w_g h + u_g x + b_g)``, h' = o tanh(c'): `LSTM`, gates clip(.2 x + .5, 0, 1) (Keras 2.1)."""
    return LSTM(gate=hard_sigmoid, **values)


def FrozenLSTM(**values: Any) -> LSTM:
    """``c' = b_f c + b_i tanh(u_g x + b_g)``, h' = b_o tanh(c'): `LSTM` of constant gates, solved for every length.

    The biases *are* the gates. While ``w_g`` is 0, c_T = b_f^T c_0 + sum_t b_f^(T-t) b_i tanh(u_g x_t + b_g).
    """
    return LSTM(gate=identity, **{"b_i": 0.5, "b_f": 0.9, "w_g": 0.0, "b_o": 1.0, **values})


def _squash2(x: ArrayLike) -> jax.Array:  # 4 s(x) - 2, with all digits near 0
    return 2 * tanh(x / 2)


def _squash1(x: ArrayLike) -> jax.Array:  # 2 s(x) - 1
    return tanh(x / 2)


def _without(gate: str) -> dict[str, Any]:
    """The parameters of a gate that stays open."""
    return dict.fromkeys(f"{kind}_{gate}" for kind in "wubp")


def LSTM1997(**values: Any) -> LSTM:
    """``c' = c + i (4 s(w_g h + u_g x + b_g) - 2)``, h' = o (2 s(c') - 1) (Hochreiter & Schmidhuber 1997)."""
    return LSTM(g_act=_squash2, h_act=_squash1, **_without("f"), **values)


def LSTMPeephole(**values: Any) -> LSTM:
    """``i = s(w_i h + u_i x + b_i + p_i c)``, f likewise, o with c': `LSTM` with peepholes, "V" (Greff et al. 2017)."""
    return LSTM(**{"p_i": 0.0, "p_f": 0.0, "p_o": 0.0, **values})


def NIG(**values: Any) -> LSTM:
    """``i = 1``: `LSTMPeephole` with no input gate (Greff et al. 2017)."""
    return LSTMPeephole(**_without("i"), **values)


def NFG(**values: Any) -> LSTM:
    """``f = 1``: `LSTMPeephole` with no forget gate (Greff et al. 2017)."""
    return LSTMPeephole(**_without("f"), **values)


def NOG(**values: Any) -> LSTM:
    """``o = 1``: `LSTMPeephole` with no output gate (Greff et al. 2017)."""
    return LSTMPeephole(**_without("o"), **values)


def NIAF(**values: Any) -> LSTM:
    """``c' = f c + i (w_g h + u_g x + b_g)``: `LSTMPeephole` with no input activation function (Greff et al. 2017)."""
    return LSTMPeephole(g_act=identity, **values)


def NOAF(**values: Any) -> LSTM:
    """``h' = o c'``: `LSTMPeephole` with no output activation function (Greff et al. 2017)."""
    return LSTMPeephole(h_act=identity, **values)


def CIFG(**values: Any) -> LSTM:
    """``f = 1 - i``: `LSTMPeephole` with coupled input and forget gate (Greff et al. 2017)."""
    return LSTMPeephole(coupled=True, **_without("f"), **values)


def NP(**values: Any) -> LSTM:
    """``p_i = p_f = p_o = 0``: no peepholes, the plain `LSTM` (Greff et al. 2017)."""
    return LSTM(**values)


def FGR(**values: Any) -> LSTM:
    """``i = s(w_i h + u_i x + b_i + p_i c + r_ii i + r_fi f + r_oi o)``: full gate recurrence (Greff et al. 2017).

    So for f and o; the gates on the right are those of the step before, which the state carries.
    """
    return LSTMPeephole(**{**{f"r_{a}{b}": 0.0 for b in "ifo" for a in "ifo"}, **values})

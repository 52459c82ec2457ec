"""The memory cell of 1997 in full: blocks of units that share their gates, and gates that hear gates."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real

from landscape.activations import tanh
from landscape.cells.base import Cell, logistic
from landscape.cells.lstm import LSTMState
from landscape.tree import Parameter, dot, param, pytree, static


@pytree
class MemoryBlocks(Cell):
    """``c' = c + i (4 s(a_g) - 2)``, h' = o (2 s(c') - 1): blocks of the cell of 1997 (Hochreiter & Schmidhuber 1997).

    ``i = s(a_i)`` and ``o = s(a_o)`` are shared by the ``size`` units of a block. All three hear what the units and the
    gates were a step ago, ``a_k = w_k h + r_ik i + r_ok o + u_k x + b_k`` for k in g, i, o. Weights that are ``None``
    are absent, and a gate without ``u`` is open (1). Along c alone nothing is lost: d c' / d c = 1 while h, i, o are
    held. A layer of n units has n / size gates of each kind. `LSTM1997` has blocks of one unit and deaf gates.
    """

    w_g: Parameter | None = param("unit", "unit", default=1.0)
    u_g: Parameter | None = param("input", "unit", default=1.0)
    b_g: Parameter | None = param("unit")
    r_ig: Parameter | None = param("block", "unit")
    r_og: Parameter | None = param("block", "unit")
    w_i: Parameter | None = param("unit", "block")
    u_i: Parameter | None = param("input", "block")
    b_i: Parameter | None = param("block")
    r_ii: Parameter | None = param("block", "block")
    r_oi: Parameter | None = param("block", "block")
    w_o: Parameter | None = param("unit", "block")
    u_o: Parameter | None = param("input", "block")
    b_o: Parameter | None = param("block")
    r_io: Parameter | None = param("block", "block")
    r_oo: Parameter | None = param("block", "block")
    size: int = static(1)

    gates = ("g", "i", "o")

    @property
    def present(self) -> str:
        """The gates that are not open for good."""
        return "".join(gate for gate in "io" if getattr(self, f"u_{gate}") is not None)

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> LSTMState:
        zero = self._zero("g")
        return LSTMState(zero + h, zero, tuple(self._zero(gate) for gate in self.present))

    def _zero(self, gate: str) -> jax.Array:
        """0 for every unit of a gate, told by its bias or else by a column of its matrices."""
        kind = next(kind for kind in "bwu" if getattr(self, f"{kind}_{gate}") is not None)
        zero = 0.0 + jnp.zeros_like(getattr(self, f"{kind}_{gate}"))
        return zero if kind == "b" or zero.ndim == 0 else zero[0]

    def _drive(self, gate: str, state: LSTMState, x: ArrayLike) -> ArrayLike:
        """What reaches a gate: everything that it has weights for."""
        heard = {"w": state.h, "u": x} | {f"r_{k}": g for k, g in zip(self.present, state.gates, strict=True)}
        names = {kind: kind + gate if kind[0] == "r" else f"{kind}_{gate}" for kind in heard}
        total = 0.0 if (bias := getattr(self, f"b_{gate}")) is None else bias
        for kind, name in names.items():
            if (weight := getattr(self, name)) is not None:
                total = total + dot(heard[kind], weight)
        return total

    def _spread(self, gate: Array) -> Array:
        """A gate of each block for each of its units."""
        return gate if self.size == 1 else jnp.repeat(gate, self.size)

    def step(self, state: LSTMState, x: Real[ArrayLike, "*input"]) -> LSTMState:
        gates = {gate: logistic(self._drive(gate, state, x)) for gate in self.present}
        i, o = (self._spread(gates[k]) if k in gates else 1.0 for k in "io")
        c = state.c + i * 2 * tanh(self._drive("g", state, x) / 2)
        return LSTMState(o * tanh(c / 2), c, tuple(gates.values()))

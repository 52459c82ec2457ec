"""Cells as expressions: sums, products and activations of h, c and x that are a `Cell` and print their own equation.

``z = s(linear("z", h) + read("z"))`` is the gate s(w_z h + b_z + u_z x); ``expression(z * h + (one - z) * g)`` is the
cell h' = z h + (1 - z) g. Parts that are equal are one part, computed once; a part with parameters has its own.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree, Real

from landscape.activations import tanh as _tanh
from landscape.cells.base import Cell, State, logistic
from landscape.cells.lstm import LSTMState
from landscape.tree import dot, param, params, pytree, static

ACTIVATIONS: dict[str, Callable] = {"tanh": _tanh, "s": logistic, "relu": jax.nn.relu}
OPERATORS: dict[str, Callable] = {"+": jnp.add, "-": jnp.subtract, "*": jnp.multiply}


@dataclasses.dataclass(frozen=True)
class Node:
    """One part of an expression: what is done, ``op``, to which parts, ``of``.

    ``op`` is an activation, an operator, "linear" (``add v + w v + b``), "read" (``u x``), "bias" (``b``), "h", "c" or
    "1"; ``name`` is that of its parameters, the suffix of w, u and b.
    """

    op: str
    of: tuple["Node", ...] = ()
    name: str = ""
    add: float = 0.0

    @functools.cached_property
    def _hash(self) -> int:
        return hash((self.op, self.of, self.name, self.add))

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: "Node") -> "Node":
        return Node("+", (self, other))

    def __sub__(self, other: "Node") -> "Node":
        return Node("-", (self, other))

    def __mul__(self, other: "Node") -> "Node":
        return Node("*", (self, other))


h, c, one = Node("h"), Node("c"), Node("1")


def linear(name: str, node: Node, add: float = 0.0) -> Node:
    """``add v + w v + b`` of a part v: the source's Linear, whose matrix starts as noise round ``add`` times one."""
    return Node("linear", (node,), name, add)


def read(name: str) -> Node:
    """``u x``: the input, read by a matrix of its own."""
    return Node("read", (), name)


def bias(name: str) -> Node:
    """``b``: a bias on its own; `linear` has one already."""
    return Node("bias", (), name)


def tanh(node: Node) -> Node:
    """``tanh(v)``."""
    return Node("tanh", (node,))


def s(node: Node) -> Node:
    """``s(v)``, the logistic function."""
    return Node("s", (node,))


def relu(node: Node) -> Node:
    """``max(0, v)``."""
    return Node("relu", (node,))


class Tree(NamedTuple):
    """What the state becomes: ``h'``, and ``c'`` where there is one."""

    h: Node
    c: Node | None = None

    @property
    def roots(self) -> tuple[Node, ...]:
        return (self.h,) if self.c is None else (self.h, self.c)

    def __str__(self) -> str:
        return equation(self)

    def nodes(self) -> list[Node]:
        """Every part once, before all that it is made of: h' first."""
        seen: dict[Node, None] = {}

        def visit(node: Node) -> None:
            if node not in seen:
                for part in node.of:
                    visit(part)
                seen[node] = None

        for root in self.roots:
            visit(root)
        return list(seen)[::-1]

    def mapped(self, change: Callable[[Node], Node | None]) -> "Tree":
        """The tree in which ``change(part)`` stands for a part wherever it is not None; what it gives is left alone."""

        @functools.cache
        def new(node: Node) -> Node:
            if (other := change(node)) is not None:
                return other
            return dataclasses.replace(node, of=tuple(map(new, node.of)))

        return Tree(*map(new, self.roots))


def parameters(node: Node) -> tuple[str, ...]:
    """The parameters of one part, without those of what it is made of."""
    kinds = {"linear": ("w", "b"), "read": ("u",), "bias": ("b",)}.get(node.op, ())
    return tuple(f"{kind}_{node.name}" for kind in kinds)


def within(node: Node) -> set[Node]:
    """All that a part depends on, without itself."""
    return set(Tree(node).nodes()) - {node}


AXES = {"w": ("unit", "unit"), "u": ("input", "unit"), "b": ("unit",)}


def hindrance(tree: Tree) -> str | None:
    """Why a tree is no cell, in words; None if it is one: over the steps h' depends on x, and on what came before."""
    now = dict(zip("hc", ({node.op for node in Tree(root).nodes()} for root in tree.roots), strict=False))
    over = {name: ops.union(*(now[other] for other in ops & now.keys())) for name, ops in now.items()}  # two steps
    if "c" in now["h"] and tree.c is None:
        return "h' depends on c, and there is no c'; give what c becomes as well"
    if "read" not in over["h"]:
        return "there is no path from x to h'; let h' depend on read(...)"
    if not any(name in over[name] for name in over["h"] & now.keys()):
        carried = "h" if tree.c is None else "h or c"
        return f"there is no path from {carried} to h', so that nothing is remembered; let h' depend on it"
    return None


class Expression(Cell):
    """A cell that is an expression: ``tree``, static, says what its state becomes; its class has the parameters.

    Made by `expression`; prints its equation, by which stores know it.
    """

    tree: Tree

    def initial(self, h: Float[ArrayLike, "*unit"] = 0.0) -> State | LSTMState:
        first = next(getattr(self, name) for name in params(self) if getattr(self, name) is not None)
        zero = jnp.zeros_like(first[0] if jnp.ndim(first) == 2 else first, jnp.result_type(first, 0.0))
        return State(zero + h) if self.tree.c is None else LSTMState(zero + h, zero)

    def step(self, state: PyTree[Float[Array, "..."]], x: Real[ArrayLike, "*input"]) -> State | LSTMState:
        known = {"h": state.h, "1": jnp.ones_like(state.h)} | ({} if self.tree.c is None else {"c": state.c})
        values: dict[Node, PyTree] = {}
        for node in reversed(self.tree.nodes()):
            values[node] = known[node.op] if node.op in known else self._value(node, [values[v] for v in node.of], x)
        after = [values[root] for root in self.tree.roots]
        return State(*after) if self.tree.c is None else LSTMState(*after)

    def _value(self, node: Node, of: list[Array], x: ArrayLike) -> Array:
        """The value of one part from those of what it is made of."""
        own = [getattr(self, name) for name in parameters(node)]
        if node.op == "read":
            return dot(x, *own)
        if node.op == "bias":
            return own[0]
        if node.op == "linear":
            v, (w, b) = of[0], own
            return dot(v, w) + b + (node.add * v if node.add else 0.0)
        return {**ACTIVATIONS, **OPERATORS}[node.op](*of)

    def __str__(self) -> str:
        return str(self.tree)


def expression(h: Node, c: Node | None = None, **values: Any) -> Cell:
    """The cell whose state becomes ``h``, and ``c`` if given; parameters have ``values``, else 0: a unit, or a layer.

    Raises ValueError, in one sentence, where h' depends on no input, or on nothing that the cell carries.
    """
    tree = Tree(h, c)
    if why := hindrance(tree):
        raise ValueError(f"an expression is no cell: {why}; given {equation(tree)}")
    return _class(tuple(name for node in reversed(tree.nodes()) for name in parameters(node)))(tree=tree, **values)


@functools.cache
def _class(names: tuple[str, ...]) -> type:
    """The class of expressions with these parameters."""
    fields = {**{name: param(*AXES[name[0]]) for name in names}, "tree": static(None)}
    about = {"__doc__": Expression.__doc__, "__module__": __name__, "__annotations__": dict.fromkeys(fields, Any)}
    return pytree(type("Expression", (Expression,), about | fields))


def equation(tree: Tree) -> str:
    """A tree in words, ``h' = a h + (1 - a) tanh(...), a = s(...)``: letters stand for what is used more than once."""
    uses: dict[Node, int] = {}
    for node in tree.nodes():
        for part in node.of:
            uses[part] = uses.get(part, 0) + 1
    often = [node for node in tree.nodes() if node.of and node not in tree.roots and uses.get(node, 0) > 1]
    letters = {**dict(zip(often, _letters(), strict=False)), **({tree.c: "c'"} if tree.c else {})}
    lines = [f"h' = {_text(tree.h, letters, 0)}"]
    lines += [
        f"{letter} = {_text(node, {**letters, node: ''}, 0)}" for node, letter in letters.items() if node != tree.h
    ]
    return ", ".join(lines)


def _letters() -> Iterator[str]:
    yield from "adefgijklmnopqrtvyz"
    yield from (f"a{k}" for k in range(1, 1000))


def _text(node: Node, letters: dict[Node, str], level: int) -> str:
    """One part in words, in brackets where it stands in a product (``level`` 1) or behind a matrix (2)."""
    if letters.get(node):
        return letters[node]
    own, inner = 2, functools.partial(_text, letters={k: v for k, v in letters.items() if v})
    if node.op in ACTIVATIONS:
        text = f"{node.op}({inner(node.of[0], level=0)})"
    elif node.op == "linear":
        v = inner(node.of[0], level=2)
        own, text = (
            0,
            f"{node.add:g} {v} + ".removeprefix("1 ") * (node.add != 0) + f"w_{node.name} {v} + b_{node.name}",
        )
    elif node.op in ("read", "bias"):
        own, text = (1, f"u_{node.name} x") if node.op == "read" else (2, f"b_{node.name}")
    elif node.op == "*":
        own, text = 1, " ".join(inner(v, level=2 if v.op == "read" else 1) for v in node.of)
    elif node.op in OPERATORS:
        one, other = node.of
        own, text = 0, f"{inner(one, level=0)} {node.op} {inner(other, level=0 if node.op == '+' else 1)}"
    else:
        text = node.op
    return f"({text})" if own < level else text


def LSTM() -> Tree:
    """``c' = f c + i g, h' = o tanh(c')``: `landscape.cells.LSTM`."""
    i, f, o = (s(linear(gate, h) + read(gate)) for gate in "ifo")
    kept = f * c + i * tanh(linear("g", h) + read("g"))
    return Tree(o * tanh(kept), kept)


def _updated(z: Node, r: Node, shown: Node, keeps: bool = False) -> Tree:
    """``z g + (1 - z) h``, or z and 1 - z the other way, g = tanh(w_h (r h) + b_h + shown)."""
    new = tanh(linear("h", r * h) + shown)
    return Tree(z * h + (one - z) * new) if keeps else Tree(z * new + (one - z) * h)


def GRU() -> Tree:
    """``h' = z h + (1 - z) tanh(w_h (r h) + u_h x + b_h)``: `landscape.cells.GRU`."""
    z, r = (s(linear(gate, h) + read(gate)) for gate in "zr")
    return _updated(z, r, read("h"), keeps=True)


def MUT1() -> Tree:
    """``z = s(u_z x + b_z)``, g = tanh(w_h (r h) + tanh(u_p x) + b_h): `landscape.cells.MUT1`, its p called u_p."""
    return _updated(s(read("z") + bias("z")), s(linear("r", h) + read("r")), tanh(read("p")))


def MUT2() -> Tree:
    """``r = s(u_p x + w_r h + b_r)``: `landscape.cells.MUT2`, its p called u_p."""
    return _updated(s(linear("z", h) + read("z")), s(linear("r", h) + read("p")), read("h"))


def MUT3() -> Tree:
    """``z = s(w_z tanh(h) + u_z x + b_z)``: `landscape.cells.MUT3`."""
    return _updated(s(linear("z", tanh(h)) + read("z")), s(linear("r", h) + read("r")), read("h"))

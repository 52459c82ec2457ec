"""Mutations of cells as expressions: the search of Jozefowicz, Zaremba & Sutskever (2015, sec. 3.2), part by part.

A mutation looks at one part of a tree and gives what is to stand there instead, or None where it does not apply. What a
part depends on, down to h, c and x, are its ancestors. Six are the source's; the seventh joins a part with an ancestor
of its own, as the sixth is retold elsewhere.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from landscape.cells.expressions import ACTIVATIONS, OPERATORS, Node, Tree, hindrance, linear, parameters, within

LINEAR = (0.0, 0.9, 1.0, 1.1)  # what is added to the diagonal of a matrix that a mutation brings in
UNARY = (*ACTIVATIONS, "linear")


class Place(NamedTuple):
    """Where a mutation acts: the tree, and the part."""

    tree: Tree
    node: Node


Mutation = Callable[[np.random.Generator, Place], Node | None]


def _one(rng: np.random.Generator, many: list) -> Node:
    return many[rng.integers(len(many))]


def _activation(rng: np.random.Generator, tree: Tree, node: Node) -> Node:
    """One of seven activations of a part, all alike: tanh, s, relu, and four matrices."""
    k, names = rng.integers(len(ACTIVATIONS) + len(LINEAR)), list(ACTIVATIONS)
    return Node(names[k], (node,)) if k < len(names) else linear(_fresh(tree), node, LINEAR[k - len(names)])


def _fresh(tree: Tree) -> str:
    """A name that no parameter of the tree has."""
    taken = {node.name for node in tree.nodes()}
    return next(str(k) for k in range(1, len(taken) + 2) if str(k) not in taken)


def _joined(rng: np.random.Generator, one: Node, other: Node) -> Node:
    return Node(list(OPERATORS)[rng.integers(len(OPERATORS))], (one, other))


def _ancestors(tree: Tree, node: Node) -> list[Node]:
    """What a part depends on, in an order that is the same in every process."""
    below = within(node)
    return [other for other in tree.nodes() if other in below]


def swap_activation(rng: np.random.Generator, at: Place) -> Node | None:
    """Another activation, drawn from seven, in place of an activation."""
    return _activation(rng, at.tree, at.node.of[0]) if at.node.op in UNARY else None


def swap_operator(rng: np.random.Generator, at: Place) -> Node | None:
    """Another of sum, difference and product in place of one of them."""
    others = [op for op in OPERATORS if op != at.node.op]
    return dataclasses.replace(at.node, op=others[rng.integers(2)]) if at.node.op in OPERATORS else None


def insert_activation(rng: np.random.Generator, at: Place) -> Node | None:
    """An activation between a part and one of those that it is made of."""
    if not at.node.of:
        return None
    k, of = rng.integers(len(at.node.of)), list(at.node.of)
    of[k] = _activation(rng, at.tree, of[k])
    return dataclasses.replace(at.node, of=tuple(of))


def remove(rng: np.random.Generator, at: Place) -> Node | None:
    """A part with one input and one output is taken out."""
    uses = sum(node.of.count(at.node) for node in at.tree.nodes()) + at.tree.roots.count(at.node)
    return at.node.of[0] if at.node.op in UNARY and uses == 1 else None


def take_ancestor(rng: np.random.Generator, at: Place) -> Node | None:
    """One of its ancestors in place of a part: the tree gets smaller."""
    known = _ancestors(at.tree, at.node)
    return _one(rng, known) if known else None


def join_ancestors(rng: np.random.Generator, at: Place) -> Node | None:
    """Sum, product or difference of one of its ancestors and one of those of any part, in place of a part."""
    other = _one(rng, at.tree.nodes())
    both = [_ancestors(at.tree, node) for node in (at.node, other)]
    return _joined(rng, *(_one(rng, known) for known in both)) if all(both) else None


def join_ancestor(rng: np.random.Generator, at: Place) -> Node | None:
    """Sum, product or difference of a part and one of its ancestors in its place."""
    known = _ancestors(at.tree, at.node)
    return _joined(rng, at.node, _one(rng, known)) if known else None


MUTATIONS: dict[Mutation, float] = {  # each with how often it is drawn
    swap_activation: 1,
    swap_operator: 1,
    insert_activation: 1,
    remove: 1,
    take_ancestor: 1,
    join_ancestors: 1,
    join_ancestor: 1,
}


def draw(rng: np.random.Generator, often: Mapping[Mutation, float] = MUTATIONS) -> Mutation:
    """One mutation, as often as its weight among all says."""
    weights = np.array(list(often.values()), float)
    return list(often)[rng.choice(len(weights), p=weights / weights.sum())]


def mutated(tree: Tree, rng: np.random.Generator, often: Mapping[Mutation, float] = MUTATIONS) -> Tree:
    """A tree each part of which has been mutated with probability p, p uniform on [0, 1]; those nearest h' first.

    The mutation of a part is drawn by `draw`; where it does not apply the part stays. Always a tree, whose parameters
    each have one place, without a c' that h' does not hear of; whether it is a cell is for `hindrance` to say.
    """
    share = rng.random()
    for node in tree.nodes():
        chosen = rng.random() < share
        if chosen and node in tree.nodes() and (new := draw(rng, often)(rng, Place(tree, node))) is not None:
            tree = renamed(replaced(tree, node, new))
    heard = any(node.op == "c" or node == tree.c for node in Tree(tree.h).nodes())
    return tree if heard else Tree(tree.h)


def replaced(tree: Tree, node: Node, new: Node) -> Tree:
    """The tree with another part wherever a part was."""
    return tree.mapped(lambda part: new if part == node else None)


def renamed(tree: Tree) -> Tree:
    """The tree with a new name for parts that share a parameter with another one: each has its own."""
    owner: dict[str, Node] = {}
    for node in reversed(tree.nodes()):
        if any(owner.setdefault(name, node) != node for name in parameters(node)):
            return renamed(replaced(tree, node, dataclasses.replace(node, name=_fresh(tree))))
    return tree


def sound(tree: Tree, most: int) -> str | None:
    """Why a tree is not worth a try, before anything is computed; None if it is: a cell of at most so many parts."""
    if why := hindrance(tree):
        return "no path from x" if "from x" in why else "no path from h"
    return "too large" if len(tree.nodes()) > most else None

"""Laws of cells as expressions, and of their mutations."""

import dataclasses
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape import cells, specs
from landscape.cells import expressions as ex
from landscape.cells import mutations as mu
from landscape.cells.expressions import Tree, c, expression, h, linear, one, read, relu, s, tanh
from landscape.tree import params

KNOWN = {"LSTM": cells.LSTM, "GRU": cells.GRU, "MUT1": lambda: cells.MUT1(p=0.0), "MUT2": lambda: cells.MUT2(p=0.0),
         "MUT3": cells.MUT3}  # fmt: skip
EPS = np.finfo(np.float64).eps


def filled(cell, units, inputs, seed):
    """A cell with random numbers for its parameters, by name: u_p of an expression is p of a class."""

    def draw(name, field):
        rng = np.random.default_rng([seed, zlib.crc32({"u_p": "p"}.get(name, name).encode())])
        return jnp.asarray(
            rng.normal(size=[{"unit": units, "input": inputs}[a] for a in field.metadata["axes"] if units])
        )

    there = {n: field for n, field in params(cell).items() if getattr(cell, n) is not None}
    return dataclasses.replace(cell, **{name: draw(name, field) for name, field in there.items()})


@pytest.mark.parametrize("units", [None, 3], ids=["one unit", "layer"])
@pytest.mark.parametrize("name", KNOWN)
def test_known_cells_written_as_expressions_equal_their_classes(name, units):
    with jax.enable_x64(True):
        ours, theirs = (filled(cell, units, 2, 0) for cell in (expression(*getattr(ex, name)()), KNOWN[name]()))
        assert {"p" if n == "u_p" else n for n in params(ours)} == {
            n for n in params(theirs) if getattr(theirs, n) is not None
        }
        rng = np.random.default_rng(1)
        state = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), theirs.initial(0.0))
        x = jnp.asarray(rng.normal(size=() if units is None else 2))
        both = [jax.tree.leaves(cell.step(state, x)) for cell in (ours, theirs)]
        np.testing.assert_array_equal(ours.initial(0.5).h, theirs.initial(0.5).h)
    for got, want in zip(*both, strict=True):
        np.testing.assert_allclose(got, want, rtol=40 * EPS, atol=40 * EPS)  # some twenty numbers of order one


def test_an_expression_prints_its_equation():
    gru = expression(*ex.GRU())
    assert str(gru) == (
        "h' = a h + (1 - a) tanh(w_h (s(w_r h + b_r + u_r x) h) + b_h + u_h x), a = s(w_z h + b_z + u_z x)"
    )
    assert str(ex.GRU()) == str(gru)
    assert ex.equation(ex.LSTM()) == (
        "h' = s(w_o h + b_o + u_o x) tanh(c'), c' = s(w_f h + b_f + u_f x) c + s(w_i h + b_i + u_i x) "
        "tanh(w_g h + b_g + u_g x)"
    )
    inner = linear("2", linear("1", relu(h), add=1.0) - (h - read("z")), add=0.9)
    part = "relu(h) + w_1 relu(h) + b_1 - (h - u_z x)"
    assert ex.equation(Tree(inner * read("z"))) == f"h' = (0.9 ({part}) + w_2 ({part}) + b_2) (u_z x)"


def test_a_matrix_with_a_diagonal_is_the_sum_of_both():
    cell = expression(linear("1", h, add=0.9) + read("1"), w_1=0.5, b_1=0.25, u_1=2.0)
    assert float(cell.step(cells.State(1.0), 3.0).h) == pytest.approx(0.9 + 0.5 + 0.25 + 6.0)


def test_parts_that_are_equal_are_one_part():
    again = s(linear("z", h) + read("z"))
    tree = Tree(again * h + (one - s(linear("z", h) + read("z"))) * tanh(read("h")))
    assert len(tree.nodes()) == len(set(tree.nodes())) == 12
    assert jax.tree.structure(expression(*tree)) == jax.tree.structure(expression(*Tree(*tree)))


def test_a_store_knows_an_expression_by_its_equation():
    one_way, other = (expression(f(linear("a", h) + read("a"))) for f in (tanh, s))
    assert type(one_way) is type(other)
    assert jax.tree.structure(one_way) != jax.tree.structure(other)
    assert specs.text(specs.of_cell(one_way)) == "Expression(tree=h' = tanh(w_a h + b_a + u_a x))"
    assert specs.of_cell(one_way) != specs.of_cell(other)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ((tanh(read("g")),), "there is no path from h to h', so that nothing is remembered"),
        ((tanh(c), read("g")), "there is no path from h or c to h', so that nothing is remembered"),
        ((tanh(linear("g", h)),), "there is no path from x to h'; let h' depend on read"),
        ((tanh(c + read("g")),), "h' depends on c, and there is no c'"),
    ],
)
def test_what_is_no_cell_is_refused_in_one_sentence(given, why):
    with pytest.raises(ValueError, match="an expression is no cell: " + why.replace("(", r"\(")):
        expression(*given)


@pytest.mark.parametrize(
    "given", [(tanh(h + read("g")),), (tanh(c), c + read("g")), (tanh(c), h + read("g")), (h * c + read("g"), h)]
)
def test_memory_is_a_path_from_h_or_c_back_to_it(given):
    assert ex.hindrance(Tree(*given)) is None


def test_an_expression_is_a_cell_like_any_other():
    from landscape import initialisers, planes

    cell = initialisers.flax(expression(*ex.GRU()), jax.random.key(0), 3, 2)
    cells.check(cell, (2,))
    assert cell.w_z.shape == (3, 3)
    assert cell.u_z.shape == (2, 3)
    assert planes.plane(expression(*ex.GRU()), w_h=[0.0, 1.0], b_z=[0.0, 1.0]).shape == (2, 2)


PARENTS = (ex.LSTM(), ex.GRU())
SIZES = {
    "tanh": 1,
    "s": 1,
    "relu": 1,
    "linear": 1,
    "+": 2,
    "-": 2,
    "*": 2,
    "h": 0,
    "c": 0,
    "1": 0,
    "read": 0,
    "bias": 0,
}


def valid(tree):
    """Every part has as many parts as its kind takes, and no two parts share a parameter."""
    nodes = tree.nodes()
    owned = [name for node in nodes for name in ex.parameters(node)]
    return all(len(node.of) == SIZES[node.op] for node in nodes) and len(owned) == len(set(owned))


@pytest.mark.parametrize("mutation", mu.MUTATIONS, ids=lambda m: m.__name__)
def test_each_mutation_changes_trees_and_keeps_them_valid(mutation):
    rng = np.random.default_rng(0)
    made = [mu.mutated(PARENTS[k % 2], rng, {mutation: 1}) for k in range(40)]
    assert all(map(valid, made))
    assert len(set(made) - set(PARENTS)) > 20


def test_mutants_of_mutants_stay_valid_and_are_those_of_their_seed():
    made = []
    for _ in range(2):
        rng, tree = np.random.default_rng(3), ex.LSTM()
        for _ in range(6):
            tree = mu.mutated(tree, rng)
            assert valid(tree)
            if len(tree.nodes()) > 60:
                tree = ex.LSTM()
        made.append(tree)
    assert made[0] == made[1]


def test_mutations_are_drawn_as_often_as_asked():
    from scipy.stats import chisquare

    often = {mutation: k for k, mutation in enumerate(mu.MUTATIONS)}
    rng = np.random.default_rng(0)
    drawn = [mu.draw(rng, often) for _ in range(2000)]
    counts = np.array([drawn.count(mutation) for mutation in often])
    assert counts[0] == 0
    assert chisquare(counts[1:], 2000 * np.arange(1, 7) / 21).pvalue > 0.01
    even = [mu.draw(rng) for _ in range(1400)]
    assert chisquare([even.count(mutation) for mutation in mu.MUTATIONS]).pvalue > 0.01


class Fixed:
    """A generator that draws what it is told."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def integers(self, below):
        assert self.numbers[0] < below
        return self.numbers.pop(0)


A, B = linear("a", h), read("b")


@pytest.mark.parametrize(
    ("mutation", "node", "numbers", "new"),
    [
        (mu.swap_activation, tanh(A), [1], s(A)),
        (mu.swap_activation, tanh(A), [4], linear("1", A, add=0.9)),
        (mu.swap_activation, A, [2], relu(h)),
        (mu.swap_activation, A + B, [], None),
        (mu.swap_operator, A + B, [1], A * B),
        (mu.swap_operator, tanh(A), [], None),
        (mu.insert_activation, A + B, [1, 0], A + tanh(B)),
        (mu.insert_activation, B, [], None),
        (mu.remove, tanh(A), [], A),
        (mu.remove, A * B, [], None),
        (mu.take_ancestor, tanh(A), [1], h),
        (mu.take_ancestor, B, [], None),
        (mu.join_ancestors, tanh(A), [1, 0, 1, 2], A * B),
        (mu.join_ancestor, tanh(A), [0, 1], tanh(A) - A),
    ],
)
def test_a_mutation_does_what_it_says(mutation, node, numbers, new):
    tree = Tree(tanh(A) + (A + B) * B)
    tree = tree if node in tree.nodes() else Tree(tree.h + node)
    assert mutation(Fixed(*numbers), mu.Place(tree, node)) == new


def test_a_part_with_two_uses_is_not_removed():
    both = tanh(h)
    assert mu.remove(Fixed(), mu.Place(Tree(both + read("a") * both), both)) is None


def test_a_part_is_replaced_wherever_it_stands_and_parameters_have_one_place():
    tree = mu.replaced(ex.LSTM(), c, tanh(c))
    assert tree.c in Tree(tree.h).nodes()  # h' hears of the new c'
    twice = Tree(linear("a", h) + linear("a", tanh(h)) + read("a"))
    assert [node.name for node in mu.renamed(twice).nodes() if node.op == "linear"] in (["1", "a"], ["a", "1"])


def test_what_is_not_worth_a_try_is_told_by_its_reason():
    assert mu.sound(ex.GRU(), 40) is None
    assert mu.sound(ex.GRU(), 10) == "too large"
    assert mu.sound(Tree(read("a")), 40) == "no path from h"
    assert mu.sound(Tree(h), 40) == "no path from x"


def test_a_state_that_h_does_not_hear_of_is_left_out():
    deaf = Tree(h + read("a"), c + h)
    assert mu.mutated(deaf, np.random.default_rng(0), {mu.swap_operator: 1}).c is None
    assert mu.mutated(ex.LSTM(), np.random.default_rng(0), {mu.swap_operator: 1}).c is not None

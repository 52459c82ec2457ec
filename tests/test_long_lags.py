"""Laws of the sequences, the cell and the criteria of Hochreiter & Schmidhuber (1997)."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape import cells, initialisers, tasks
from landscape.tasks import long_lags

COUNT = 400
TASKS = {
    "regular": (tasks.lag_1997(9), 9),
    "random": (tasks.lag_1997(9, regular=False), 9),
    "trigger": (tasks.trigger_1997(4, 6), 60),
    "beginning": (tasks.beginning_1997(3, shown=0.2), 22),
    "blurred": (tasks.beginning_1997(1, blur=0.1), 22),
    "multiplication": (tasks.multiplication_1997(), 22),
    "order": (tasks.order_1997(3), 66),
}


@functools.cache
def drawn(name):
    """Episodes of a task as NumPy arrays."""
    task, length = TASKS[name]
    return jax.tree.map(np.asarray, jax.jit(lambda: tasks.episodes(task, jax.random.key(1), COUNT, length, length))())


def ends(one):
    """The last step of each episode, the only one that is asked."""
    assert np.all(one.mask.sum(1) == 1)
    return one.mask.argmax(1)


def mean(values, expected):
    """Whether the mean of independent values is what it should be, to five standard errors."""
    return abs(np.mean(values) - expected) < 5 * np.std(values) / math.sqrt(len(values))


def test_a_lag_is_framed_by_the_symbol_that_must_be_remembered():
    for name in ("regular", "random"):
        one = drawn(name)
        text = np.column_stack([one.x, one.target[:, -1]])
        np.testing.assert_array_equal(text[:, 1:], one.target)
        np.testing.assert_array_equal(text[:, 0], 8 + np.arange(COUNT) % 2)
        np.testing.assert_array_equal(text[:, 0], text[:, -1])
        middle = text[:, 1:-1]
        if name == "regular":
            np.testing.assert_array_equal(middle, np.tile(np.arange(8), (COUNT, 1)))
        else:
            assert all(mean(middle == symbol, 1 / 8) for symbol in range(8))


@pytest.mark.parametrize("name", ["regular", "random"])
def test_losses_of_a_lag_are_those_of_its_law_counted(name):
    task, p = TASKS[name][0], 9
    symbols = drawn(name).target
    law = np.bincount(symbols.ravel(), minlength=p + 1) / symbols.size
    entropy = -np.sum(law[law > 0] * np.log(law[law > 0]))
    assert entropy == pytest.approx(task.chance, abs=0.02)  # of 3,600 symbols, for a regular lag exactly
    known = 0 if name == "regular" else (p - 1) * math.log(p - 1)
    assert task.floor == pytest.approx(known / p, rel=1e-12)
    assert task.memoryless == pytest.approx((known + math.log(2)) / p, rel=1e-12)


def test_a_trigger_ends_what_began_with_x_or_y():
    one, p, q = drawn("trigger"), 4, 6
    last, rows = ends(one), np.arange(COUNT)
    assert np.all(one.x[:, 0] == p + 1)
    np.testing.assert_array_equal(one.x[:, 1], p + 2 + one.target[rows, last])
    np.testing.assert_array_equal(one.target[rows, last], rows % 2)
    for x, end in zip(one.x, last, strict=True):
        assert np.all(x[2:end] < p)
        assert np.all(x[end:] == p)
    assert last.min() == q + 2
    assert mean(np.minimum(last, 40) == q + 2, 0.1 / (1 - 0.9**52))  # one in ten has no further distractor
    assert mean(last - q - 2, np.average(np.arange(52), weights=0.9 ** np.arange(52)))
    assert all(mean(one.x[:, 2 + k] == symbol, 1 / p) for k in (0, q - 1) for symbol in range(p))


def test_a_beginning_is_asked_at_the_end_and_noise_has_its_variance():
    one = drawn("beginning")
    last, rows = ends(one), np.arange(COUNT)
    assert set(last) == {19, 20, 21}
    np.testing.assert_array_equal(one.target[rows, last], 1 - rows % 2)
    signs = np.where(rows % 2, -1.0, 1.0)
    assert mean((one.x[:, :3].mean(1) - signs) ** 2, 0.2 / 3)
    assert mean((one.x[:, 3:20] ** 2).mean(1), 0.2)
    clear = drawn("blurred")
    np.testing.assert_array_equal(clear.x[:, 0], signs)
    goal = clear.target[rows, ends(clear)]
    assert mean(goal[::2], 0.8)
    assert mean((goal - 0.5 - 0.3 * signs) ** 2, 0.1)


@pytest.mark.parametrize("evidence", [1, 3])
def test_the_floor_of_noisy_evidence_is_that_of_a_bayesian(evidence):
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], 200_000)
    total = evidence * signs + rng.normal(0, math.sqrt(0.2 * evidence), signs.size)
    error = (1 / (1 + np.exp(-2 * total / 0.2)) - (signs > 0)) ** 2
    assert mean(error, tasks.beginning_1997(evidence, shown=0.2).floor)
    assert long_lags.doubt(evidence, 0.0) == 0
    assert tasks.beginning_1997(evidence, blur=0.1).floor == pytest.approx(0.1)


def test_products_of_1997_are_those_of_the_marked_values():
    one = drawn("multiplication")
    last, rows = ends(one), np.arange(COUNT)
    value, mark = one.x[..., 0], one.x[..., 1]
    pairs = value[mark == 1].reshape(COUNT, 2)
    np.testing.assert_allclose(one.target[rows, last], pairs.prod(1), rtol=1e-6)
    assert (value.min(), value.max() < 1) == (0, True)
    task = TASKS["multiplication"][0]
    assert mean((pairs.prod(1) - 1 / 4) ** 2, task.chance)
    assert mean((pairs.prod(1) - pairs[:, 1] / 2) ** 2, task.memoryless)


def test_three_marks_stand_in_their_windows_and_make_eight_classes():
    one = drawn("order")
    last, rows = ends(one), np.arange(COUNT)
    marked = one.x < 2
    assert np.all(marked.sum(1) == 3)
    first, second, third = one.x[marked].reshape(COUNT, 3).T
    np.testing.assert_array_equal(4 * first + 2 * second + third, one.target[rows, last])
    assert np.unique(one.target[rows, last], return_counts=True)[1].tolist() == [COUNT // 8] * 8
    where = np.nonzero(marked)[1].reshape(COUNT, 3)
    assert (where.min(0).tolist(), where.max(0).tolist()) == ([6, 20, 40], [11, 25, 45])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tasks.lag_1997(1), "symbols must be 2 or more; given 1"),
        (lambda: tasks.trigger_1997(0), "1 distractor or more, and a delay of 0 or more; given 0, 50"),
        (lambda: tasks.beginning_1997(shown=-1.0), "shown must be a finite number, at least 0"),
        (lambda: tasks.order_1997(4), "marks must be 2 .* or 3 .*; given 4"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def numbers(tree):
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def layer(size, units, inputs, key=0):
    """A layer of blocks, weights of order one half."""
    draw = initialisers.gaussian(0.5)
    return draw(cells.MemoryBlocks(size=size), jax.random.key(key), units, inputs)


def states(cell, x):
    """The last state after inputs (time, input)."""
    return jax.lax.scan(lambda s, x: (cell.step(s, x), None), cell.initial(), x)[0]


X = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)


def test_deaf_blocks_of_one_are_the_cell_of_1997():
    made = layer(1, 3, 2)
    deaf = dataclasses.replace(made, **{f"r_{a}{b}": None for a in "io" for b in "gio"})
    shared = {f"{kind}_{gate}": getattr(made, f"{kind}_{gate}") for kind in "wub" for gate in "igo"}
    both = [states(cell, X) for cell in (deaf, cells.LSTM1997(**shared))]
    np.testing.assert_allclose(both[0].h, both[1].h, rtol=1e-6)
    assert not np.allclose(states(made, X).h, both[0].h, rtol=1e-3)


def test_blocks_share_their_gates():
    shared = layer(2, 4, 2)
    apart = {"size": 1}  # the same with a gate of its own for every unit, whose weights are its block's
    for gate in "io":
        for kind in "wu":
            apart[f"{kind}_{gate}"] = jnp.repeat(getattr(shared, f"{kind}_{gate}"), 2, 1)
        apart[f"b_{gate}"] = jnp.repeat(getattr(shared, f"b_{gate}"), 2)
        for to in "gio":  # two gates that are one are heard by halves
            halves = jnp.repeat(getattr(shared, f"r_{gate}{to}"), 2, 0) / 2
            apart[f"r_{gate}{to}"] = halves if to == "g" else jnp.repeat(halves, 2, 1)
    one, other = (states(cell, X) for cell in (shared, dataclasses.replace(shared, **apart)))
    np.testing.assert_allclose(one.c, other.c, rtol=1e-5)
    np.testing.assert_allclose(jnp.repeat(one.gates[0], 2), other.gates[0], rtol=1e-5)


@pytest.mark.parametrize("start", [initialisers.keras3, initialisers.pytorch, initialisers.gaussian(0.1)])
def test_a_block_has_one_gate_of_each_kind_wherever_it_starts(start):
    made = jax.eval_shape(lambda key: start(cells.MemoryBlocks(size=2), key, 4, 3), jax.random.key(0))
    assert (made.w_g.shape, made.w_i.shape, made.r_io.shape, made.r_og.shape) == ((4, 4), (4, 2), (2, 2), (2, 4))
    assert (made.u_g.shape, made.u_o.shape, made.b_g.shape, made.b_o.shape) == ((3, 4), (3, 2), (4,), (2,))


def test_blocks_that_do_not_fill_a_layer_are_refused():
    with pytest.raises(ValueError, match="blocks of 2 units make no layer of 3; give units, a multiple of 2"):
        layer(2, 3, 2)


def test_along_c_a_truncated_error_never_decays():
    from landscape.models import Truncated

    cell = Truncated(cell=layer(2, 4, 2))

    def after(c):
        begun = cell.initial()._replace(c=c)
        return jax.lax.scan(lambda s, x: (cell.step(s, x), None), begun, X)[0].c

    np.testing.assert_array_equal(jax.jacobian(after)(jnp.full(4, 0.3)), np.eye(4))

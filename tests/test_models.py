"""Laws of two ways, tables of symbols, noise on a model, and data in three parts."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import landscape as ls
from landscape import initialisers, losses, models, specs, tasks
from landscape.cells import SRNN
from landscape.models import Embedding, Stack, Truncated, TwoWay
from landscape.planes import named_leaves
from landscape.tasks import Episode, time_first
from landscape.training import Stop, at_random, backward, begin, curves, dropout, fit, last, reverse, stream
from landscape.training.gradients import whole
from landscape.training.noise import noisy

KEY = jax.random.key(3)
COUNT, TIME, SYMBOLS, UNITS = 8, 5, 4, 3
EPS = float(np.finfo(np.float32).eps)
ALL = jnp.arange(COUNT)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def spoken():
    x = jax.random.randint(KEY, (COUNT, TIME), 0, SYMBOLS)
    return Episode(x=x, target=jnp.roll(x, 1, 1), mask=jnp.ones(x.shape))


def made(cell, units=UNITS, outputs=SYMBOLS):
    return begin(cell, KEY, units=units, inputs=SYMBOLS, outputs=outputs)


def plain(model, episodes, length):
    """The mean loss over the first ``length`` steps of episodes cut there."""
    answers = jax.vmap(lambda x: ls.run(model, x[:length]))(episodes.x)
    return jnp.mean(jax.vmap(jax.vmap(losses.cross_entropy))(answers, episodes.target[:, :length]))


sloped = jax.jit(jax.value_and_grad(plain), static_argnums=2)


@pytest.fixture(scope="module")
def ways():
    return made(TwoWay(ahead=ls.SRNN(), back=ls.SRNN()))


@pytest.fixture(scope="module")
def stack():
    return made(Stack(layers=(Embedding(size=2), ls.SRNN(), ls.SRNN())))


def test_two_ways_are_one_cell_from_each_end(ways):
    x, cell = spoken().x[0], ways.cell
    h = ls.run(cell, x)
    np.testing.assert_array_equal(h[:, :UNITS], ls.run(cell.ahead, x))
    np.testing.assert_array_equal(h[:, UNITS:], ls.run(cell.back, x[::-1])[::-1])
    np.testing.assert_allclose(ls.run(ways, x), jax.vmap(ways.readout)(h), atol=4 * EPS)


def test_on_reversed_input_two_ways_with_their_cells_exchanged_answer_with_halves_exchanged(ways):
    x, cell = spoken().x[0], ways.cell
    turned = ls.run(TwoWay(ahead=cell.back, back=cell.ahead), x[::-1])[::-1]
    np.testing.assert_array_equal(jnp.roll(turned, UNITS, 1), ls.run(cell, x))
    assert np.any(turned != ls.run(cell, x))


def test_training_two_ways_sees_the_episode_cut_at_its_length_and_nothing_after(ways):
    episodes, length = spoken(), 3
    loss, slope = sloped(ways, episodes, length)
    route = jax.jit(whole(losses.classes).gradient)
    for x in (episodes.x, episodes.x.at[:, length:].set(0)):
        data = time_first(dataclasses.replace(episodes, x=x))
        score, found = route(ways, data, ALL, jnp.int32(length))
        np.testing.assert_allclose(score.loss, loss, rtol=20 * EPS)
        np.testing.assert_allclose(flat(found), flat(slope), atol=20 * EPS)
    assert float(score.loss) != pytest.approx(float(route(ways, data, ALL, jnp.int32(TIME))[0].loss))


def test_one_unit_each_way_has_a_readout_of_two():
    model = begin(TwoWay(ahead=ls.SRNN(), back=ls.SRNN()), KEY, outputs=None)
    assert model.readout.w.shape == (2,)
    assert ls.run(model, jnp.ones(TIME)).shape == (TIME,)
    assert {"ahead.w", "back.u"} <= set(named_leaves(model))


@pytest.mark.slow
def test_two_ways_learn_what_is_still_to_come_and_one_way_does_not():
    task = tasks.echo(-2)
    ends = {}
    for name, cell in (("one", ls.GRU()), ("two", TwoWay(ahead=ls.GRU(), back=ls.GRU()))):
        setup = lambda key, cell=cell: (begin(cell, key, units=6, outputs=None), optax.chain(optax.sgd(0.3)))  # noqa: E731
        found = curves(setup, task, [6], seeds=2, count=240, objective=losses.raw, epochs=60)
        ends[name] = float(found.accuracy.min())
    assert ends["two"] > 0.95
    assert ends["one"] < 0.7


@pytest.mark.slow
def test_the_surface_of_two_ways_is_drawn_by_risk_at_one_length(ways):
    x, target = np.asarray(spoken().x), np.asarray(spoken().target)
    answers = lambda model, x: jax.vmap(functools.partial(ls.run, model))(x)  # noqa: E731
    risk = ls.Risk(answers, (x, target), losses.at_every_step(losses.classes), order=0)
    plane = ls.span(ways, {"a": jax.tree.map(jnp.ones_like, ways)}, a=np.array([-0.1, 0.0, 0.1]))
    found = ls.surface(plane, risk).loss
    np.testing.assert_allclose(found.sel(a=0), plain(ways, spoken(), TIME), rtol=20 * EPS)
    assert np.ptp(found.values) > 1e-4


def test_two_ways_where_steps_are_taken_one_by_one_are_refused_in_a_sentence(ways):
    plane = ls.span(ways, {"a": ways}, a=np.array([0.0, 1.0]))
    with pytest.raises(TypeError, match="so it has no single step and a short episode is no prefix of a long one"):
        ls.surface(plane, tasks.echo(-1), [3])
    with pytest.raises(TypeError, match=r"run and fit take it whole, and landscape\.Risk draws its surface"):
        stream(ways, spoken(), optax.sgd(0.1), steps=2, validation=spoken())
    at_the_end = Episode(x=spoken().x, target=spoken().target[:, 0])
    with pytest.raises(ValueError, match="a TwoWay model answers at every step: give a target for each"):
        fit(KEY, ways, at_the_end, optax.sgd(0.1), losses.classes, batch=2)


def test_a_table_that_is_the_identity_is_no_table(stack):
    cell, x = stack.cell.layers[2], jax.random.randint(KEY, (TIME,), 0, UNITS)
    tabled = Stack(layers=(Embedding(w=jnp.eye(UNITS)), cell))
    np.testing.assert_array_equal(ls.run(tabled, x), ls.run(cell, x))
    other = Stack(layers=(Embedding(w=jnp.eye(UNITS)[::-1]), cell))
    assert np.any(ls.run(other, x) != ls.run(cell, x))


def test_a_table_maps_symbols_to_vectors_of_its_size_and_vectors_by_a_product(stack):
    table, low, _ = stack.cell.layers
    assert (table.w.shape, low.u.shape) == ((SYMBOLS, 2), (2, UNITS))
    x = spoken().x[0]
    np.testing.assert_array_equal(ls.run(table, x), table.w[x])
    np.testing.assert_array_equal(ls.run(table, jax.nn.one_hot(x, SYMBOLS)), table.w[x])


@pytest.mark.parametrize("rows", [backward.ROWS, 0])
def test_the_gradient_of_a_table_is_that_of_the_plain_scan_by_products_and_by_rows(rows, stack, monkeypatch):
    monkeypatch.setattr(backward, "ROWS", rows)
    slope = sloped(stack, spoken(), TIME)[1]
    found = jax.jit(reverse(losses.classes).gradient)(stack, time_first(spoken()), ALL, jnp.int32(TIME))[1]
    np.testing.assert_allclose(flat(found), flat(slope), atol=20 * EPS)


def test_the_model_of_the_slides_has_20_223_927_parameters():
    """A table of 400,001 words x 50, two LSTM layers of 128, 5 classes; shapes alone, no numbers."""
    cell = Stack(layers=(Embedding(size=50), ls.LSTM(), ls.LSTM()))
    model = jax.eval_shape(lambda: begin(cell, KEY, units=128, inputs=400_001, outputs=5))
    count = lambda part: sum(leaf.size for leaf in jax.tree.leaves(part))  # noqa: E731
    assert [count(layer) for layer in (*model.cell.layers, model.readout)] == [20_000_050, 91_648, 131_584, 645]
    assert count(model) == 20_223_927


@pytest.mark.parametrize(
    ("start", "low", "high"),
    [(initialisers.keras3, 0.02, 0.05), (initialisers.pytorch, 2, 6), (initialisers.flax, 0.5, 1.5)],
)
def test_frameworks_draw_tables_each_in_its_size(start, low, high):
    """256 numbers from U[-.05, .05], from N(0, 1) and from N(0, 1 / 16): their largest, six deviations at most."""
    table = start(Embedding(size=16), KEY, None, 16).w
    assert low < np.abs(table).max() < high


def test_tables_without_symbols_or_size_are_refused_and_told_apart_in_stores():
    with pytest.raises(ValueError, match="an Embedding is a table: give inputs, the number of symbols, and its size"):
        begin(Stack(layers=(Embedding(), ls.SRNN())), KEY, inputs=SYMBOLS)
    assert specs.of_cell(Embedding(size=7)) == {"name": "Embedding", "options": {"size": "7"}}


def test_a_rate_of_0_is_no_dropout_bit_for_bit(stack):
    assert dropout(0.0)(KEY, stack) is stack
    gradient = lambda model: (0, model)  # noqa: E731
    one, two = (noisy(gradient, noise, KEY)(stack, 5)[1] for noise in (None, dropout(0.0)))
    np.testing.assert_array_equal(flat(one), flat(two))


@pytest.mark.slow
def test_a_unit_that_is_dropped_is_heard_by_nobody_above_and_the_others_are_heard_louder(stack):
    """Rows of the upper layer's inputs and of the readout; not of the table's vectors, nor of recurrent weights."""
    rate = 0.25
    seen = jax.vmap(lambda key: dropout(rate)(key, stack))(jax.random.split(KEY, 400))
    held = lambda model: (model.cell.layers[0], model.cell.layers[1], model.cell.layers[2].w)  # noqa: E731
    np.testing.assert_array_equal(flat(jax.tree.map(lambda leaf: leaf[7], held(seen))), flat(held(stack)))
    for many, one in ((seen.cell.layers[2].u, stack.cell.layers[2].u), (seen.readout.w, stack.readout.w)):
        ratio = np.asarray(many) / np.asarray(one)
        loud = np.isclose(ratio, 1 / (1 - rate))
        assert np.all(loud | (ratio == 0))
        assert np.all(loud == loud[:, :, :1])  # a unit, not a weight
        np.testing.assert_allclose(loud[:, :, 0].mean(0), 1 - rate, atol=0.09)  # 4 deviations of 400 coins
    assert np.any(loud[1:] != loud[:-1])


def test_dropout_reaches_what_is_wrapped(stack):
    bare = dropout(0.5)(KEY, stack)
    around = dropout(0.5)(KEY, dataclasses.replace(stack, cell=Truncated(cell=stack.cell)))
    for one, other in zip(jax.tree.leaves(bare.cell), jax.tree.leaves(around.cell), strict=True):
        np.testing.assert_array_equal(one, other)
    first, *rest = stack.cell.layers  # an embedding is heard whole
    layers = Stack(layers=(first, *(Truncated(cell=layer) for layer in rest)))
    within = dropout(0.5)(KEY, dataclasses.replace(stack, cell=layers))
    for one, other in zip(jax.tree.leaves(bare.cell), jax.tree.leaves(within.cell), strict=True):
        np.testing.assert_array_equal(one, other)


def test_all_outputs_hear_the_one_unit_or_none_does():
    one = begin(SRNN(), KEY)
    heard = jax.vmap(lambda key: dropout(0.5)(key, one))(jax.random.split(KEY, 64)).readout.w != 0
    assert np.all(heard[:, 0] == heard[:, 1])
    assert 16 < heard[:, 0].sum() < 48


def test_units_of_a_layer_with_one_output_are_silent_each_on_its_own():
    layer = begin(SRNN(), KEY, units=8, outputs=None)
    heard = jax.vmap(lambda key: dropout(0.5)(key, layer))(jax.random.split(KEY, 64)).readout.w != 0
    assert np.any(heard[:, 1:] != heard[:, :1], 0).all()


def test_a_table_inside_a_wrapper_is_heard_whole():
    model = made(Stack(layers=(Truncated(cell=Embedding()), SRNN())))
    np.testing.assert_array_equal(flat(dropout(0.5)(KEY, model).cell), flat(model.cell))


def test_dropout_silences_units_of_each_way_on_its_own():
    deep = Stack(layers=(ls.SRNN(), ls.SRNN()))
    model = made(TwoWay(ahead=deep, back=deep), units=16)
    seen = dropout(0.5)(KEY, model)
    ways = [np.asarray(way.layers[1].u == 0).all(1) for way in (seen.cell.ahead, seen.cell.back)]
    assert 0 < ways[0].sum() < 16
    assert np.any(ways[0] != ways[1])
    np.testing.assert_array_equal(seen.cell.ahead.layers[0].u, model.cell.ahead.layers[0].u)
    silent = np.asarray(seen.readout.w == 0).all(1)
    assert silent[:16].any()
    assert silent[16:].any()


def test_the_gradient_under_noise_is_that_of_the_model_and_each_update_has_its_own(stack):
    drop, square = dropout(0.5), lambda model: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(model))
    through = jax.jit(noisy(lambda model: (0, jax.grad(square)(model)), drop, KEY))
    found = [flat(through(stack, jnp.int32(n))[1]) for n in (0, 4)]
    slope = jax.jit(jax.grad(lambda model: square(drop(jax.random.fold_in(KEY, 4), model))))(stack)
    np.testing.assert_allclose(found[1], flat(slope), rtol=4 * EPS)
    assert np.any(found[0] != found[1])


@pytest.mark.slow
def test_training_under_dropout_is_another_and_validates_the_whole_model(stack):
    train = functools.partial(fit, KEY, stack, spoken(), optax.sgd(0.0), losses.classes, epochs=2, batch=2)
    still, shaken = train(), train(noise=dropout(0.5))
    assert np.all(still.record.loss != shaken.record.loss)
    np.testing.assert_array_equal(still.record.val_loss, shaken.record.val_loss)
    assert shaken.record.loss[0] != shaken.record.loss[1]


def test_a_rate_of_1_is_refused():
    with pytest.raises(ValueError, match="a dropout rate is a share of units, from 0 to less than 1, given 1"):
        dropout(1.0)


@pytest.mark.parametrize("split", [last(0.25, 0.125), at_random(0.25, 0.125), last(), at_random()])
def test_the_parts_of_a_split_are_disjoint_and_together_all(split):
    parts = split(KEY, jnp.zeros(16))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(16))
    assert [len(part) for part in parts] in ([10, 4, 2], [13, 3])


@pytest.mark.slow
def test_a_third_part_moves_nothing_and_is_judged_after_every_epoch():
    """Training with a test part is that without those episodes; the best model judged by hand gives the record."""
    data = tasks.episodes(ls.latch(), KEY, 24, 4)
    less = jax.tree.map(lambda leaf: leaf[:20], data)
    model, rule = jax.tree.map(jnp.asarray, begin(ls.SRNN(), KEY, outputs=None)), optax.sgd(0.3)
    stop = Stop(9, restore=True)
    train = functools.partial(fit, KEY, model, optimiser=rule, objective=losses.raw, epochs=4, batch=4, stop=stop)
    three, two = train(data, split=last(4 / 24, 4 / 24)), train(less, split=last(4 / 20))
    np.testing.assert_array_equal(three.record.val_loss, two.record.val_loss)
    np.testing.assert_array_equal(flat(three.model), flat(two.model))
    assert two.record.test_loss == ()
    assert int(three.best) == int(np.argmin(three.record.val_loss))
    answers = jax.vmap(lambda x: ls.run(three.model, x)[-1])(data.x[20:])
    loss = np.mean((np.asarray(answers) - np.asarray(data.target[20:])) ** 2)
    assert float(three.record.test_loss[three.best]) == pytest.approx(loss, rel=20 * EPS)


def test_parts_that_cannot_be_are_refused():
    data = tasks.episodes(ls.latch(), KEY, 24, 4)
    train = functools.partial(fit, KEY, ls.SRNN(), data, optax.sgd(0.1), losses.raw, batch=4)
    with pytest.raises(ValueError, match=r"shares to validate and to test on are 0 to 1 together, given 0\.9 and 0\.4"):
        train(split=last(0.9, 0.4))
    with pytest.raises(ValueError, match="the split leaves no episode to test on"):
        train(split=at_random(0.2, 0.001))


@pytest.mark.slow
def test_curves_report_the_test_at_the_best_epoch_and_the_seconds_of_one():
    setup = lambda key: (begin(ls.SRNN(), key), optax.sgd(0.3))  # noqa: E731
    found = curves(setup, ls.latch(), [5], seeds=3, count=100, epochs=4, split=last(0.2, 0.2))
    assert (found.best == found.val_loss.argmin("epoch") + 1).all()
    assert found.test_accuracy.dims == ("length", "seed")
    assert 0 < found.attrs["seconds_per_epoch"] < found.attrs["seconds"]
    assert found.attrs["processor_seconds"] > 0
    assert "test_accuracy" not in curves(setup, ls.latch(), [5], seeds=3, count=100, epochs=4)


def test_units_are_matched_to_a_budget_of_parameters():
    make = lambda units: begin(ls.SRNN(), KEY, units=units, inputs=3, outputs=2)  # noqa: E731
    assert models.size(lambda: make(5)) == 5 * 5 + 3 * 5 + 5 + 5 * 2 + 2
    for units in (1, 2, 7):
        assert models.matched(make, models.size(lambda units=units: make(units))) == units
    assert models.matched(make, models.size(lambda: make(7)) + 5) == 7
    assert models.matched(make, 10**9, most=9) == 9
    with pytest.raises(ValueError, match="a budget is a number of parameters, 1 or more, given 0"):
        models.matched(make, 0)

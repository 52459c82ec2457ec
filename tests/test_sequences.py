"""Laws of answers at every step, of symbols and of stacks: each is another way to write what was there before."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import landscape as ls
from landscape import devices, initialisers, losses, specs, tasks
from landscape.models import Stack
from landscape.planes import named_leaves
from landscape.tasks import Episode, Task, time_first
from landscape.training import (
    backward,
    begin,
    curves,
    fit,
    forward,
    guess,
    keras_adam,
    reverse,
    signal_and_blind,
    stream,
)

KEY = jax.random.key(7)
COUNT, TIME, SYMBOLS = 8, 6, 5
EPS = float(np.finfo(np.float32).eps)
ALL = jnp.arange(COUNT)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def plain(model, episodes, objective, length):
    """Mean over episodes of the weighted mean loss of the first ``length`` steps: the definition, step by step."""

    def one(e):
        each = jax.vmap(objective.loss)(ls.run(model, e.x[:length]), e.target[:length])
        return jnp.sum(each * e.mask[:length]) / jnp.sum(e.mask[:length])

    return jnp.mean(jax.vmap(one)(episodes))


def echoed(lag=1):
    return jax.jit(lambda: tasks.episodes(tasks.echo(lag), KEY, COUNT, TIME))()


def spoken():
    """Symbols, the next one of which is asked for."""
    x = np.random.default_rng(7).integers(0, SYMBOLS, (COUNT, TIME), np.int32)
    return jax.tree.map(jnp.asarray, Episode(x=x, target=np.roll(x, -1, 1), mask=np.ones(x.shape, np.float32)))


def hot(episodes):
    return dataclasses.replace(episodes, x=jax.nn.one_hot(episodes.x, SYMBOLS))


def jitted(route):
    """Gradient and evaluation of a route, compiled."""
    return map(jax.jit, route)


@pytest.fixture(scope="module")
def unit():
    return jax.tree.map(jnp.asarray, begin(ls.GRU(), KEY, outputs=None))


@pytest.fixture(scope="module")
def layer():
    return begin(ls.GRU(), KEY, units=3, inputs=SYMBOLS, outputs=SYMBOLS)


@pytest.mark.parametrize("lag", [0, 2, -2])
def test_an_echo_is_what_came_lag_steps_ago_and_asks_only_where_there_is_one(lag):
    drawn = echoed(lag)
    x, target, mask = (np.asarray(leaf) for leaf in (drawn.x, drawn.target, drawn.mask))
    known = [t for t in range(TIME) if 0 <= t - lag < TIME]
    np.testing.assert_array_equal(np.flatnonzero(mask[0]), known)
    np.testing.assert_array_equal(target[:, known], x[:, [t - lag for t in known]])


def test_a_lag_is_a_whole_number():
    with pytest.raises(ValueError, match=r"lag must be a whole number; given 1\.5"):
        tasks.echo(1.5)


@pytest.mark.parametrize("lag", [1, -1])
def test_entry_l_of_a_surface_is_the_weighted_mean_of_the_first_l_steps_with_its_derivatives(lag):
    """Against reverse mode through the plain scan, length by length; nested, and drawn for each length."""
    task, lengths = tasks.echo(lag), (3, 5)
    axes = {"w": np.array([-0.5, 0.8]), "b": np.array([0.1, 0.4])}
    plane = ls.plane(ls.SRNN(), **axes)
    made = ls.surface(plane, task, lengths, order=2, episodes=4)
    for k, length in enumerate(lengths):

        def loss(p, length=length):
            drawn = tasks.episodes(task, jax.random.key(0), 4, length)
            return plain(plane.affine.at(p), drawn, losses.raw, length)

        point = np.array([axes["w"][1], axes["b"][0]], np.float32)
        at = made.isel(w=1, b=0, length=k)
        both = jax.jit(lambda p, loss=loss: (jax.value_and_grad(loss)(p), jax.hessian(loss)(p)))
        (mean, (dw, db)), hessian = both(point)
        want = [mean, dw, db, hessian[0, 0], hessian[0, 1], hessian[1, 1]]
        got = [at[name].item() for name in ("loss", "d_w", "d_b", "d_w_w", "d_w_b", "d_b_b")]
        np.testing.assert_allclose(got, want, rtol=50 * EPS, atol=50 * EPS)  # some 5 steps of 3 operations each
    assert made.attrs["origin_loss"] == pytest.approx(made.attrs["origin_loss_by_another_route"], rel=10 * EPS)


def test_a_target_at_the_last_step_alone_is_the_task_without_a_mask():
    latch, length = ls.latch(), 5

    def sample(key, length, index):
        plain = latch.sample(key, length, index)
        last = (jnp.arange(length) == length - 1).astype(plain.x.dtype)
        return Episode(x=plain.x, target=jnp.full(length, plain.target), mask=last)

    plane = ls.plane(ls.SRNN(), w=np.linspace(-2, 2, 4), b=np.linspace(-1, 1, 3))
    one = ls.surface(plane, latch, [length], order=1, episodes=4)
    two = ls.surface(plane, Task(sample, classes=2), [length], order=1, episodes=4)
    for name in one.data_vars:  # one program adds up its steps, the other has one
        np.testing.assert_allclose(one[name], two[name], rtol=16 * EPS, atol=4 * EPS)


def test_before_any_answer_is_asked_for_the_loss_is_nan():
    plane = ls.plane(ls.SRNN(), w=np.array([0.0, 1.0]))
    loss = ls.surface(plane, tasks.echo(3), [3, 4], order=0, episodes=2).loss
    assert np.isnan(loss.sel(length=3)).all()
    assert np.isfinite(loss.sel(length=4)).all()


@pytest.mark.parametrize("route", [forward, pytest.param(reverse, marks=pytest.mark.slow)])
def test_gradients_of_answers_at_every_step_are_those_of_the_plain_scan(route, unit, layer):
    length = 4
    model, episodes, objective = (unit, echoed(), losses.raw) if route is forward else (layer, spoken(), losses.classes)
    gradient, evaluate = jitted(route(objective))
    loss, slope = jax.jit(jax.value_and_grad(lambda model: plain(model, episodes, objective, length)))(model)
    data = time_first(episodes)
    score, found = gradient(model, data, ALL, jnp.int32(length))
    np.testing.assert_allclose(score.loss, loss, rtol=20 * EPS)
    np.testing.assert_allclose(flat(found), flat(slope), atol=20 * EPS)  # gradients of order 1
    again = evaluate(model, data, ALL, jnp.int32(length))
    np.testing.assert_allclose(again, score, rtol=20 * EPS)


@pytest.mark.parametrize("route", [forward, reverse])
def test_what_a_mask_hides_changes_nothing_even_if_it_is_not_finite(route, unit, layer):
    model, episodes, objective = (unit, echoed(), losses.raw) if route is forward else (layer, spoken(), losses.classes)
    mask = episodes.mask.at[:, 2].set(0)
    hidden = episodes.target.at[:, 2].set(jnp.inf if route is forward else 0)
    one, two = (dataclasses.replace(episodes, mask=mask, target=t) for t in (episodes.target, hidden))
    gradient = jax.jit(route(objective).gradient)
    first, second = (gradient(model, time_first(e), ALL, jnp.int32(TIME)) for e in (one, two))
    np.testing.assert_array_equal(flat(first), flat(second))
    seen = gradient(model, time_first(episodes), ALL, jnp.int32(TIME))
    assert np.any(flat(seen) != flat(first))


def test_symbols_are_one_hot_vectors_without_the_vector(layer):
    gradient, evaluate = jitted(reverse(losses.classes))
    one, two = (time_first(e) for e in (spoken(), hot(spoken())))
    length = jnp.int32(TIME)
    np.testing.assert_allclose(
        flat(gradient(layer, one, ALL, length)), flat(gradient(layer, two, ALL, length)), atol=4 * EPS
    )
    np.testing.assert_allclose(evaluate(layer, one, ALL, length), evaluate(layer, two, ALL, length), rtol=4 * EPS)
    answers = jax.jit(ls.run)
    np.testing.assert_allclose(answers(layer, spoken().x[0]), answers(layer, hot(spoken()).x[0]), atol=4 * EPS)


def test_a_surface_reads_symbols_and_its_origin_is_the_models_own_loss(layer):
    def sample(key, length, index):
        x = jax.random.randint(key, (length + 1,), 0, SYMBOLS)
        return Episode(x=x[:-1], target=x[1:], mask=jnp.ones(length))

    def as_vectors(key, length, index):
        return hot(sample(key, length, index))

    along = jax.tree.map(jnp.ones_like, layer)
    plane = ls.span(layer, {"a": along}, a=np.array([-0.1, 0.0, 0.1]))
    made, other = (
        ls.surface(plane, Task(s, losses.cross_entropy, nested=True), [4], episodes=3) for s in (sample, as_vectors)
    )
    np.testing.assert_allclose(made.loss, other.loss, rtol=8 * EPS)
    np.testing.assert_allclose(made.d_a, other.d_a, atol=40 * EPS)  # sums of some fifty parameters' slopes
    assert made.attrs["origin_loss"] == pytest.approx(made.attrs["origin_loss_by_another_route"], rel=8 * EPS)


@pytest.mark.slow
def test_whole_numbers_stay_numbers_to_one_unit_and_as_vectors(unit):
    x = np.array([[1, 0, 2, 1]] * COUNT)
    for model, shape in ((unit, x), (begin(ls.GRU(), KEY, units=2, inputs=1, outputs=None), x[..., None])):
        whole, broken = (Episode(x=kind(shape), target=np.ones(COUNT)) for kind in (np.int64, np.float32))
        ends = [fit(KEY, model, e, optax.sgd(0.1), losses.raw, epochs=1, batch=2).model for e in (whole, broken)]
        np.testing.assert_array_equal(flat(ends[0]), flat(ends[1]))


@pytest.mark.slow
def test_training_learns_symbols_and_echoes(layer):
    """The next of five symbols in a fixed circle is known from this one: the loss falls below the blind ln 5."""
    x = (np.arange(32)[:, None] + np.arange(TIME)) % SYMBOLS
    data = Episode(x=x, target=(x + 1) % SYMBOLS, mask=np.ones(x.shape))
    record = fit(KEY, layer, data, keras_adam(0.05), losses.classes, epochs=8, batch=4).record
    assert record.val_loss[-1] < 0.5 * np.log(SYMBOLS)
    assert record.val_accuracy[-1] > 0.9
    setup = lambda key: (begin(ls.SRNN(), key, outputs=None), keras_adam(0.05))  # noqa: E731
    found = curves(setup, tasks.echo(0), [3], seeds=2, count=80, objective=losses.raw, epochs=30)
    assert (found.accuracy > 0.99).all()  # of weights that sum to 1 but for rounding


def test_a_stack_of_one_is_its_cell(layer):
    one = begin(Stack(layers=(ls.GRU(),)), KEY, units=3, inputs=SYMBOLS, outputs=SYMBOLS)
    np.testing.assert_array_equal(flat(one), flat(layer))
    route, data = jax.jit(reverse(losses.classes).gradient), time_first(spoken())
    np.testing.assert_array_equal(
        flat(route(one, data, ALL, jnp.int32(TIME))), flat(route(layer, data, ALL, jnp.int32(TIME)))
    )
    axes = np.linspace(-1, 1, 3), np.linspace(-1, 1, 2)
    plain = ls.surface(ls.plane(ls.SRNN(), w=axes[0], b=axes[1]), ls.latch(), [4], episodes=2)
    names = {"layers.0.w": axes[0], "layers.0.b": axes[1]}
    stacked = ls.surface(ls.plane(Stack(layers=(ls.SRNN(),)), **names), ls.latch(), [4], episodes=2)
    np.testing.assert_array_equal(plain.loss, stacked.loss)
    np.testing.assert_array_equal(plain.d_w, stacked["d_layers.0.w"])
    assert stacked.attrs["cell"] == "Stack(layers=SRNN)"


@pytest.mark.slow
def test_each_layer_of_a_stack_reads_the_one_below():
    cells = (ls.LSTM(), ls.SRNN())
    model = begin(Stack(layers=cells), KEY, units=3, inputs=SYMBOLS, outputs=SYMBOLS)
    low, high = model.cell.layers
    assert (low.u_g.shape, high.u.shape) == ((SYMBOLS, 3), (3, 3))
    x = spoken().x[0]
    heard = ls.run(low, x)
    np.testing.assert_allclose(ls.run(model.cell, x), ls.run(high, heard), atol=4 * EPS)
    gradient = reverse(losses.classes).gradient(model, time_first(spoken()), ALL, jnp.int32(TIME))[1]
    slope = jax.grad(plain)(model, spoken(), losses.classes, TIME)
    np.testing.assert_allclose(flat(gradient), flat(slope), atol=20 * EPS)


@pytest.mark.parametrize(("make", "kinds"), [(ls.LSTM, 1), (ls.IRNN, 2)])
def test_what_a_step_keeps_has_the_same_gradient_as_one_array(make, kinds, monkeypatch):
    """As on accelerators; what a ReLU keeps are truths too, an array of their own."""
    cell, sizes = Stack(layers=(ls.GRU(), make())), []
    model = begin(cell, KEY, units=3, inputs=SYMBOLS, outputs=SYMBOLS)
    ask = lambda: jax.jit(reverse(losses.classes).gradient)(model, time_first(spoken()), ALL, jnp.int32(TIME))  # noqa: E731
    plain = ask()
    packing = backward._packing

    def seen(like):
        join, apart = packing(like)
        sizes.append([len(jax.tree.leaves(like)), len(join(like))])
        return join, apart

    monkeypatch.setattr(devices, "packs", lambda: True)
    monkeypatch.setattr(backward, "_packing", seen)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=4 * EPS), ask(), plain)
    ((many, few),) = sizes
    assert few == kinds
    assert many > 2 * few


@pytest.mark.parametrize("start", [initialisers.keras2, initialisers.pytorch, initialisers.flax])
def test_layers_of_a_stack_start_each_on_its_own_the_lowest_as_alone(start):
    stack = start(Stack(layers=(ls.SRNN(), ls.SRNN(), ls.SRNN())), KEY, 4, 4)
    alone = start(ls.SRNN(), KEY, 4, 4)
    low, middle, high = (flat(layer.w) for layer in stack.layers)
    np.testing.assert_array_equal(low, flat(alone.w))
    assert np.any(low != middle)
    assert np.any(middle != high)


def test_the_parameters_of_a_stack_are_named_by_layer_and_stored_as_data():
    stack = Stack(layers=(ls.LSTM(), ls.SRNN()))
    assert {"layers.0.w_f", "layers.1.u"} <= set(named_leaves(stack))
    assert specs.of_cell(stack)["options"]["layers"] == [specs.of_cell(ls.LSTM()), specs.of_cell(ls.SRNN())]


@pytest.mark.slow
def test_random_guesses_count_if_they_are_right_at_every_step_asked_for():
    episodes = tasks.episodes(tasks.echo(0), KEY, COUNT, 3)
    assert guess(KEY, ls.SRNN(), episodes, tried=64).solved > 0
    blinded = dataclasses.replace(episodes, target=episodes.target.at[0, 1].set(-episodes.target[0, 1]))
    assert guess(KEY, ls.SRNN(), blinded, tried=64).solved < guess(KEY, ls.SRNN(), episodes, tried=64).solved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": np.zeros((COUNT, TIME))}, "the mask of episode 0 weighs no step"),
        ({"mask": np.where(np.arange(TIME) == 0, -1.0, 1.0) * np.ones((COUNT, 1))}, "a mask holds weights, 0 or more"),
        (
            {"target": np.full((COUNT, TIME), SYMBOLS)},
            "the model has 5 outputs, for labels 0 to 4, and targets are 5 to 5",
        ),
        ({"mask": np.ones((COUNT, 2))}, r"mask must be \(8, 6\) and target .* given \(8, 2\)"),
        ({"target": np.zeros(COUNT, int)}, r"with a mask every step has a target: .* given \(8,\)"),
        ({"x": np.full((COUNT, TIME), SYMBOLS)}, "the cell reads symbols 0 to 4, and x holds 5 to 5"),
        ({"mask": None}, "and with a target at every step a mask"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(change, message, layer):
    with pytest.raises(ValueError, match=message):
        fit(KEY, layer, dataclasses.replace(spoken(), **change), optax.sgd(0.1), losses.classes, batch=2)


def test_a_stack_without_layers_and_a_bit_at_every_step_are_refused(unit):
    with pytest.raises(ValueError, match="a Stack needs a layer or more"):
        Stack().initial()
    with pytest.raises(ValueError, match="one bit asked for at the end; episodes have a mask"):
        signal_and_blind(unit, echoed())


def test_a_task_whose_mask_has_no_axis_of_time_is_refused():
    sample = lambda key, length, index: Episode(x=jnp.zeros(length), target=jnp.zeros(()), mask=jnp.ones(()))  # noqa: E731
    with pytest.raises(TypeError, match=r"mask must be \(time,\) and target \(time, ...\); for 3 steps"):
        ls.surface(ls.plane(ls.SRNN(), w=np.array([0.0, 1.0])), Task(sample), [2])


@pytest.mark.parametrize("masked", [pytest.param(False, marks=pytest.mark.slow), True])
def test_back_propagation_cut_after_k_steps_is_that_with_the_state_there_given(masked, layer):
    """Against reverse mode through the plain scan with `stop_gradient` k and 2k steps before the end; k = T is none."""
    episodes = spoken() if masked else Episode(x=spoken().x, target=spoken().target[:, -1])
    data, whole = time_first(episodes), jnp.int32(TIME)

    def cut(model, k):
        def one(e):
            state, losses_ = model.initial(), []
            for t in range(TIME):
                state = jax.lax.stop_gradient(state) if t > 0 and (TIME - t) % k == 0 else state
                state = model.step(state, e.x[t])
                losses_.append(losses.cross_entropy(model.output(state), e.target[t] if masked else e.target))
            return sum(losses_) / TIME if masked else losses_[-1]

        return jnp.mean(jax.vmap(one)(episodes))

    def slope(k):
        return flat(jax.jit(reverse(losses.classes, truncate=k).gradient)(layer, data, ALL, whole)[1])

    full = slope(None)
    for k in (2, 4):
        found = slope(k)
        np.testing.assert_allclose(found, flat(jax.jit(jax.grad(cut), static_argnums=1)(layer, k)), atol=20 * EPS)
        assert np.abs(found - full).max() > 1e-3
    np.testing.assert_array_equal(slope(TIME), full)


def test_where_errors_stop_may_be_traced(layer):
    data = time_first(Episode(x=spoken().x, target=spoken().target[:, -1]))
    cut = jax.jit(lambda k: reverse(losses.classes, truncate=k).gradient(layer, data, ALL, jnp.int32(TIME))[1])
    known = jax.jit(reverse(losses.classes, truncate=2).gradient)(layer, data, ALL, jnp.int32(TIME))[1]
    np.testing.assert_allclose(flat(cut(2)), flat(known), atol=20 * EPS)
    np.testing.assert_array_equal(flat(cut(TIME)), flat(cut(2 * TIME)))
    assert np.abs(flat(cut(2)) - flat(cut(TIME))).max() > 1e-3


def test_truncation_after_no_step_is_refused():
    with pytest.raises(ValueError, match="truncate must be a whole number of steps from 1 up, or None"):
        reverse(losses.classes, truncate=0)


@pytest.mark.slow
def test_a_carried_state_is_one_long_episode(layer):
    """With a rate of 0 the losses of slices average to that of the whole; one slice of all is one update of fit."""
    data = spoken()
    whole = reverse(losses.classes).evaluate(layer, time_first(data), ALL, jnp.int32(TIME))
    for steps in (2, 3):
        still = stream(layer, data, optax.sgd(0.0), steps=steps, validation=data).record
        np.testing.assert_allclose([still.loss[0], still.accuracy[0]], whole, rtol=20 * EPS)
        np.testing.assert_allclose([still.val_loss[0], still.val_accuracy[0]], whole, rtol=20 * EPS)
    one = stream(layer, data, optax.sgd(0.1), steps=TIME, validation=data)
    other = fit(KEY, layer, data, optax.sgd(0.1), losses.classes, validation=data, epochs=1, batch=COUNT)
    np.testing.assert_allclose(flat(one.model), flat(other.model), atol=20 * EPS)  # in another order of episodes


@pytest.mark.slow
@pytest.mark.optimised
def test_a_stream_learns_begins_each_epoch_anew_shows_its_states_and_goes_on_where_it_ended(layer):
    read = jnp.asarray((np.arange(3)[:, None] + np.arange(41)) % SYMBOLS)
    data = Episode(x=read[:, :-1], target=read[:, 1:], mask=jnp.ones((3, 40)))
    done = stream(layer, data, keras_adam(0.05), steps=5, validation=data, epochs=6, watch=lambda state: state.step)
    assert done.record.val_loss[-1] < 0.5 * np.log(SYMBOLS)
    np.testing.assert_array_equal(done.watched.ravel(), np.arange(1, 49))
    half = stream(layer, data, keras_adam(0.05), steps=5, validation=data, epochs=3)
    rest = stream(layer, data, keras_adam(0.05), steps=5, validation=data, epochs=3, resume=half)
    np.testing.assert_array_equal(flat(rest.model), flat(done.model))
    np.testing.assert_array_equal(np.concatenate([half.record.loss, rest.record.loss]), done.record.loss)


def test_a_stream_goes_on_with_its_own_optimiser_and_model_alone_and_takes_sizes_of_numpy(layer):
    rest = {"steps": 3, "validation": spoken()}
    done = stream(layer, spoken(), optax.sgd(0.1), **rest)
    again = stream(layer, spoken(), optax.sgd(0.1), **{**rest, "steps": np.int64(3)})
    np.testing.assert_array_equal(flat(again.model), flat(done.model))
    larger = begin(ls.GRU(), KEY, units=4, inputs=SYMBOLS, outputs=SYMBOLS)
    for model, optimiser in ((layer, optax.adam(0.1)), (larger, optax.sgd(0.1))):
        with pytest.raises(ValueError, match="what is resumed is of another model or optimiser; give what its stream"):
            stream(model, spoken(), optimiser, resume=done, **rest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 7}, "the sequences have 6 steps, too few for one slice of 7"),
        ({"data": Episode(x=jnp.zeros((2, 4)), target=jnp.zeros(2))}, "and those to validate on, need a mask"),
        ({"validation": Episode(x=jnp.zeros((2, 4)), target=jnp.zeros(2))}, "and those to validate on, need a mask"),
        ({"epochs": 0}, "training needs 1 epoch or more, given 0"),
        ({"resume": "results.npz"}, "resume takes what stream has returned"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(change, message, layer):
    given = {"data": spoken(), "steps": 2, "validation": spoken(), **change}
    with pytest.raises(ValueError, match=message):
        stream(layer, given.pop("data"), optax.sgd(0.1), **given)

"""Laws of training: gradients by two routes, published update rules, equality of ways to run the same thing."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from landscape import losses, tasks, training
from landscape.cells import (
    GRU,
    LSTM,
    SRNN,
    BengioLatch,
    Cell,
    GRUResetAfter,
    LeakyRNN,
    LinearRNN,
    Pascanu,
    State,
)
from landscape.initialisers import keras3
from landscape.models import RNN, Dense, Embedding, Stack, run
from landscape.tasks import Episode
from landscape.training import gradients, products, residuals, runs, splits
from landscape.tree import dot, param, pytree

TIME, COUNT, BATCH = 12, 60, 8
KEY = jax.random.key(3)
EPS = float(jnp.finfo(jnp.float32).eps)
UNITS = {
    "SRNN": SRNN(),
    "Pascanu": Pascanu(w=3.0, b=-1.5),
    "LeakyRNN": LeakyRNN(),
    "GRU": GRU(),
    "GRUResetAfter": GRUResetAfter(),
    "LSTM": LSTM(),
    "LSTM with everything": LSTM(p_i=0.1, p_f=-0.2, p_o=0.3, **{f"r_{a}{b}": 0.2 for a in "ifo" for b in "ifo"}),
    "BengioLatch": BengioLatch(e=jnp.asarray([-0.2, -0.1, 0.3, 0.2, 0.1, 0.4])),
}


AS_OTHERS = ("Pascanu", "LeakyRNN", "GRUResetAfter", "LSTM")  # nothing but what another unit has, too


def seldom(*values):
    """A case that is stated by its neighbours, too."""
    return pytest.param(*values, marks=pytest.mark.slow)


def floats(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


def shaken(model, key, size=0.3):
    """The model with every number moved by a random amount, so that no gate sits at a special point."""
    leaves, tree = jax.tree.flatten(floats(model))
    keys = jax.random.split(key, len(leaves))
    moved = [leaf + size * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, moved)


def model_of(name):
    return shaken(RNN(cell=UNITS[name], readout=Dense(w=jnp.asarray([-1.0, 1.0]), b=jnp.zeros(2))), KEY)


def latching(task, count=COUNT, time=TIME):
    drawn = jax.jit(lambda: tasks.episodes(task, jax.random.key(1), count, time))()
    return drawn, Episode(x=jnp.moveaxis(drawn.x, 0, 1), target=drawn.target)


@pytest.mark.parametrize(
    ("objective", "outputs", "target", "sentence"),
    [
        (losses.softmax, None, [1.0, -1.0], r"compares two logits to a sign, and the answer has shape \(\); make two"),
        (losses.softmax, 1, [1.0, -1.0], r"compares two logits to a sign, and the answer has shape \(1,\); make two"),
        (losses.softmax, 3, [1.0, -1.0], r"compares two logits to a sign, and the answer has shape \(3,\); make two"),
        (losses.classes, 3, [0.7, 2.0], "labels are whole numbers, and there are fractions or NaN"),
        (losses.classes, 3, [np.nan, 2.0], "labels are whole numbers, and there are fractions or NaN"),
    ],
)
def test_answers_and_labels_that_an_objective_does_not_mean_are_refused(objective, outputs, target, sentence):
    data = Episode(x=np.ones((2, 3), "f4"), target=np.float32(target))
    model, sizes = training.begin(SRNN(), KEY, outputs=outputs), {"batch": 1, "split": training.last(0.5)}
    with jax.numpy_dtype_promotion("standard"), pytest.raises(ValueError, match=sentence):
        training.fit(KEY, model, data, optax.sgd(0.1), objective, **sizes)


def test_a_guess_is_right_where_each_step_with_a_weight_is():
    x = np.float32([[1, 1], [-1, -1]])
    ask = lambda mask: Episode(x=x, target=-x * np.float32([1, -1]), mask=np.float32([mask] * 2))  # noqa: E731
    even, uneven = (training.guess(KEY, SRNN(), ask(mask), tried=512).solved for mask in ([1, 1], [0.1, 1]))
    assert 0 < even == uneven
    with pytest.raises(ValueError, match="guessing needs a guess or more, given 0"):
        training.guess(KEY, SRNN(), ask([1, 1]), tried=0)
    with pytest.raises(ValueError, match="x holds 2 episodes, so target needs a leading axis of 2"):
        training.guess(KEY, SRNN(), Episode(x=x, target=np.ones(3, "f4")))


def test_a_guess_takes_the_episodes_that_a_fit_takes():
    x, target = np.array([[1, 3], [0, 1]]), np.array([0, 1])
    ask = lambda x, target: training.guess(KEY, model, Episode(x=x, target=target), losses.classes, tried=4)  # noqa: E731
    model = training.begin(SRNN(), KEY, units=2, inputs=4, outputs=4)
    assert ask(x, target) == ask(jnp.asarray(x), jnp.asarray(target))
    with pytest.raises(ValueError, match="the cell reads symbols 0 to 3, and x holds 0 to 9"):
        ask(3 * x, target)
    with pytest.raises(ValueError, match="the model has 4 outputs, for labels 0 to 3, and targets are 0 to 9"):
        ask(x, 9 * target)


@pytest.mark.parametrize("name", ["key", "length", "seed", "epoch", "parameter", "loss", "final"])
def test_a_setting_has_a_name_that_results_leave_free(name):
    with pytest.raises(ValueError, match=f"a setting cannot be called '{name}', which the results have"):
        training.curves(None, tasks.latch(), [3], settings={name: [0.1]})


@pytest.mark.parametrize("values", [0.1, [], [[0.1, 0.2]]])
def test_a_setting_has_values_in_a_row(values):
    with pytest.raises(ValueError, match="settings 'rate' needs a value or more in a row"):
        training.curves(None, tasks.latch(), [3], settings={"rate": values})


def test_what_curves_return_is_what_no_setting_is_called():
    setup = lambda key: (SRNN(w=jax.random.normal(key)), optax.sgd(0.1))  # noqa: E731  a bare cell
    sizes = {"seeds": 1, "count": 12, "epochs": 1, "batch": 4, "objective": losses.raw}
    found = training.curves(setup, tasks.latch(), [3], split=training.last(0.25, 0.25), **sizes)
    assert set(found.data_vars) == set(runs.VARIABLES)


def test_curves_are_of_tables_of_symbols_too():
    deep = Stack(layers=(Embedding(size=2), SRNN()))
    setup = lambda key: (training.begin(deep, key, units=2, inputs=7, outputs=7), optax.sgd(0.1))  # noqa: E731
    sizes = {"seeds": 1, "count": 10, "epochs": 1, "batch": 4, "objective": losses.classes}
    found = training.curves(setup, tasks.reber(9), [3], **sizes)
    assert np.isfinite(found.loss).all()
    assert (found.initial != found.final).any()


@pytest.fixture(scope="module")
def data():
    """Latching with little time, as `fit` takes it and time first, for scalar inputs and for `BengioLatch`."""
    return {"scalar": latching(tasks.latch()), "vector": latching(tasks.bengio())}


def of(name, data):
    return data["vector" if name == "BengioLatch" else "scalar"]


def close(one, two, rtol=200 * EPS):
    """Equal to the rounding of a sum over steps and episodes, relative to the whole gradient."""
    one, two = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (one, two))
    assert one.shape == two.shape
    np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol * np.abs(two).max())


def answers(model, x):
    """The last answer to every one of x (time, episode)."""
    return jax.vmap(lambda x: run(model, x)[-1], 1)(x)


def plain_loss(model, data, index, length, objective=losses.softmax):
    x, target = data.x[:length, index], data.target[index]
    return jnp.mean(jax.vmap(objective.loss)(answers(model, x), target))


# Gradients


@pytest.mark.parametrize("name", [seldom(name) if name in AS_OTHERS else name for name in UNITS])
def test_forward_and_reverse_gradients_equal_those_of_autodiff_at_a_traced_length(name, data):
    model, (_, episodes), index = model_of(name), of(name, data), jnp.arange(BATCH) * 3
    loss, expected = jax.jit(jax.value_and_grad(lambda model: plain_loss(model, episodes, index, 7)))(model)
    assert gradients.one_unit(model)
    for route in (training.forward, training.reverse):
        score, slope = jax.jit(route(losses.softmax).gradient)(model, episodes, index, jnp.int32(7))
        assert float(score.loss) == pytest.approx(float(loss), rel=20 * EPS)
        close(slope, expected)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere the compiler joins them by itself")
@pytest.mark.parametrize("way", ["gradient", "evaluate"])
@pytest.mark.parametrize("name", ["SRNN", "LSTM", "GRU"])
def test_the_loop_of_a_unit_is_handed_to_the_compiler_as_one_function_whatever_is_mapped(name, way, data):
    models = jax.vmap(lambda key: shaken(model_of(name), key))(jax.random.split(KEY, 3))
    called = getattr(training.forward(losses.softmax), way)
    over = lambda length: jax.jit(  # noqa: E731
        jax.vmap(lambda model: called(model, of(name, data)[1], jnp.arange(BATCH), length))
    )
    assert "xla_cpu_small_call" in over(jnp.int32(7)).lower(models).as_text()
    assert "xla_cpu_small_call" in over(7).lower(models).as_text()


@pytree
class Branching(Cell):
    """``h' = tanh(w h + u x + b)`` where h >= 0, else ``tanh(u x + b)``: a branch inside of a step."""

    w: Any = param("unit", "unit")
    u: Any = param("input", "unit")
    b: Any = param("unit")

    def step(self, state, x):
        kept = jax.lax.cond(state.h >= 0, lambda h: h * self.w, jnp.zeros_like, state.h)
        return State(jnp.tanh(kept + x * self.u + self.b))


def test_a_branch_inside_of_a_step_has_gradients_too(data):
    model = shaken(RNN(cell=Branching(w=1.5, u=1.0, b=-0.2), readout=Dense(w=jnp.ones(2), b=jnp.zeros(2))), KEY)
    episodes, index = data["scalar"][1], jnp.arange(BATCH)
    expected = jax.jit(jax.grad(lambda model: plain_loss(model, episodes, index, 7)))(model)
    close(jax.jit(training.forward(losses.softmax).gradient)(model, episodes, index, jnp.int32(7))[1], expected)


@pytest.mark.parametrize("cell", [SRNN(), seldom(LSTM()), seldom(GRU()), LSTM(coupled=True, w_o=None)])
def test_reverse_gradients_of_layers_equal_those_of_autodiff(cell, data):
    model = shaken(training.begin(cell, KEY, units=3), KEY, 0.1)
    assert not gradients.one_unit(model)
    assert gradients.default(model) is training.reverse
    (_, episodes), index = data["scalar"], jnp.arange(BATCH)
    expected = jax.jit(jax.grad(lambda model: plain_loss(model, episodes, index, 7)))(model)
    close(jax.jit(training.reverse(losses.softmax).gradient)(model, episodes, index, jnp.int32(7))[1], expected)


@pytree
class Twice(Cell):
    """``h' = tanh(w (w h) + v h + u x + b)``, a matrix used twice: its products cannot be taken out of a step."""

    w: Any = param("unit", "unit")
    v: Any = param("unit", "unit")
    u: Any = param("input", "unit")
    b: Any = param("unit")

    def step(self, state, x):
        return State(jnp.tanh(dot(dot(state.h, self.w), self.w) + dot(state.h, self.v) + dot(x, self.u) + self.b))


@pytest.mark.parametrize(
    ("cell", "groups"), [(LSTM(), [4, 4]), (GRU(), [2, 1, 3]), seldom(GRUResetAfter(), [3, 3]), (Twice(), [])]
)
def test_products_with_one_factor_are_computed_as_one_and_gradients_stay_those_of_autodiff(cell, groups):
    """Inputs of two numbers, whose products are known before the first step."""
    drawn, episodes = latching(tasks.bengio(), COUNT, TIME)
    model = shaken(training.begin(cell, KEY, units=3, inputs=drawn.x.shape[2]), KEY, 0.1)
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), model.cell.initial())
    found = products.plan(model.cell, one, jax.ShapeDtypeStruct(drawn.x.shape[2:], drawn.x.dtype))
    assert sorted(map(len, found.groups)) == sorted(groups)
    index = jnp.arange(BATCH)
    expected = jax.jit(jax.grad(lambda model: plain_loss(model, episodes, index, 7)))(model)
    close(jax.jit(training.reverse(losses.softmax).gradient)(model, episodes, index, jnp.int32(7))[1], expected)


def kept(cell, units):
    """Shapes of what the two loops of a traced gradient keep at every step, ahead and behind."""
    model = jax.eval_shape(lambda: training.begin(cell, KEY, units=units, inputs=1))
    episodes = Episode(x=np.zeros((TIME, COUNT, 1), "float32"), target=np.zeros(COUNT, "float32"))
    program = jax.make_jaxpr(training.reverse(losses.softmax).gradient)(model, episodes, np.arange(BATCH), 7)
    loops = [equation for equation in program.eqns if equation.primitive.name == "while"]
    return [[v.aval.shape for v in loop.outvars if v.aval.shape[:1] == (TIME,)] for loop in loops]


@pytest.mark.parametrize("cell", [LSTM(p_i=0.0, p_f=0.0, p_o=0.0), GRU(), Twice()])
def test_what_the_way_back_needs_of_a_step_is_kept_and_weights_are_not(cell):
    """All that is kept is of one episode or another, even where no product can be taken out of the step."""
    ahead, _ = kept(cell, 5)
    assert {shape[1] for shape in ahead} == {BATCH}


@pytest.mark.parametrize(("cell", "series"), [(LSTM(), 1), (GRUResetAfter(), 2)])
def test_slopes_of_products_that_are_added_are_kept_once(cell, series):
    """``w h`` and ``u x`` of an LSTM have the same; the reset gate of Keras 3 stands between those of its candidate."""
    _, behind = kept(cell, 5)
    assert behind == [(TIME, BATCH, 5 * len(cell.gates))] * series


def test_what_depends_on_no_argument_is_computed_once_and_the_two_parts_make_the_whole():
    w = jnp.asarray([[2.0, 1.0], [0.0, 3.0]])
    f = lambda x, y: {"fixed": 3 * w, "own": jax.jit(jnp.sin)(x), "both": (x @ w, y), "given": w}  # noqa: E731
    x, y = jnp.asarray([1.0, 2.0]), jnp.int32(4)
    moving, whole = residuals.parted(f, x, y)
    assert [leaf.shape for leaf in moving(x, y)] == [(2,), (), (2,)]
    later = whole(moving(2 * x, y + 1))
    for found, expected in zip(jax.tree.leaves(later), jax.tree.leaves(f(2 * x, y + 1)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=EPS)


def test_accuracy_and_evaluation_count_right_answers(data):
    model, (_, episodes) = model_of("SRNN"), data["scalar"]
    for count in (1, 13, 60):  # one block, a prime number, several blocks
        index = jnp.arange(count)
        y, loss = jax.jit(
            lambda index: (answers(model, episodes.x[:, index]), plain_loss(model, episodes, index, TIME))
        )(index)
        right = np.asarray(y.argmax(-1)) == (np.asarray(episodes.target[index]) > 0)
        for route in (training.forward, training.reverse):
            score = jax.jit(route(losses.softmax).evaluate)(model, episodes, index, jnp.int32(TIME))
            assert float(score.accuracy) == pytest.approx(right.mean(), abs=EPS)
            assert float(score.loss) == pytest.approx(float(loss), rel=50 * EPS)


def test_runs_mapped_over_models_minibatches_data_and_lengths_equal_runs_alone(data):
    (_, episodes), route = data["scalar"], training.forward(losses.softmax)
    models = [model_of("GRU"), shaken(model_of("GRU"), jax.random.key(9))]
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    index = jnp.stack([jnp.arange(BATCH), jnp.arange(BATCH) + 20])
    noisier = Episode(x=jnp.stack([episodes.x, 2 * episodes.x]), target=jnp.stack([episodes.target, -episodes.target]))
    lengths = jnp.asarray([5, 9])
    own = lambda i: Episode(x=noisier.x[i], target=noisier.target[i])  # noqa: E731
    alone = jax.jit(route.gradient)
    cases = {
        (0, None, 0, None): lambda i: alone(models[i], episodes, index[i], lengths[0]),
        (0, None, None, None): lambda i: alone(models[i], episodes, index[0], lengths[0]),
        (0, 0, None, None): lambda i: alone(models[i], own(i), index[0], lengths[0]),
        (None, 0, 0, None): lambda i: alone(models[0], own(i), index[i], lengths[0]),
        (0, None, 0, 0): lambda i: alone(models[i], episodes, index[i], lengths[i]),
    }
    for axes, expected in cases.items():
        given = (both, noisier, index, lengths)
        single = (models[0], episodes, index[0], lengths[0])
        arguments = [many if axis == 0 else one for many, one, axis in zip(given, single, axes, strict=True)]
        mapped = jax.jit(jax.vmap(route.gradient, axes))(*arguments)
        for i in range(2):
            close(jax.tree.map(lambda leaf, i=i: leaf[i], mapped), expected(i))


@pytest.mark.parametrize("name", ["SRNN", "GRU", "LSTM", "BengioLatch"])
def test_constants_of_a_program_are_as_good_as_its_arguments(name, data):
    """Weights, data and minibatch known when compiling: the compiler may fold them into the loop."""
    model, (_, episodes), index = jax.tree.map(jnp.zeros_like, model_of(name)), of(name, data), jnp.arange(BATCH)
    route = training.forward(losses.softmax)
    for part in route:
        close(jax.jit(lambda f=part: f(model, episodes, index, 5))(), jax.jit(part)(model, episodes, index, 5))
    still = jax.jit(jax.vmap(lambda shift: route.gradient(model, episodes, index + shift, 5)))(jnp.arange(2))
    close(jax.tree.map(lambda leaf: leaf[0], still), jax.jit(route.gradient)(model, episodes, index, 5))


def test_nested_maps_equal_one(data):
    (_, episodes), route = data["scalar"], training.forward(losses.softmax)
    scale = jnp.asarray([0.5, 1.0, 1.5])
    scaled = lambda s: jax.tree.map(lambda leaf: s * leaf, model_of("SRNN"))  # noqa: E731
    value = lambda s, i: route.gradient(scaled(s), episodes, i + jnp.arange(BATCH), jnp.int32(6))  # noqa: E731
    grid = jax.jit(jax.vmap(jax.vmap(value, (None, 0)), (0, None)))(scale, jnp.arange(2))
    for a in range(3):
        for b in range(2):
            close(jax.tree.map(lambda leaf, a=a, b=b: leaf[a, b], grid), jax.jit(value)(scale[a], b))


# Optimisers


def numpy_adam(parameters, slopes, rate, eps, inside):
    """Adam on a vector in plain NumPy, float64; epsilon in or out of the bias correction; slopes are functions."""
    m = v = np.zeros_like(parameters)
    for t, gradient in enumerate(slopes, 1):
        slope = gradient(parameters)
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        if inside:
            parameters = parameters - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + eps)
        else:
            parameters = parameters - rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + eps)
    return parameters


def numpy_srnn(p, x, target):
    """Gradient of the softmax loss of one tanh unit in plain NumPy float64: p = (w, u, b, v0, v1, c0, c1)."""
    w, u, b, v, c = p[0], p[1], p[2], p[3:5], p[5:7]
    states = [np.zeros(x.shape[1])]
    for step in x:
        states.append(np.tanh(w * states[-1] + u * step + b))
    logits = states[-1][:, None] * v + c
    q = np.exp(logits - logits.max(1, keepdims=True))
    error = q / q.sum(1, keepdims=True) - np.stack([target < 0, target > 0], 1)
    out = np.zeros(7)
    out[3:5], out[5:7] = (states[-1][:, None] * error).mean(0), error.mean(0)
    back = error @ v
    for t in range(len(x) - 1, -1, -1):
        back = back * (1 - states[t + 1] ** 2)
        out[:3] += [(back * states[t]).mean(), (back * x[t]).mean(), back.mean()]
        back = back * w
    return out


@pytest.fixture
def lenient():
    """optax.adam mixes float32 with its int32 count."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("inside", [False, seldom(True)])
def test_a_hundred_updates_equal_those_of_plain_numpy(inside, data):
    """One pass over 1600 episodes in minibatches of 16, from equal weights and in equal order."""
    rate, eps = 1e-2, 1e-3  # an epsilon large enough to tell the two conventions apart
    optimiser = optax.adam(rate, eps=eps) if inside else training.keras_adam(rate, eps=eps)
    drawn, episodes = latching(tasks.latch(0.5), 1616, 5)
    model, key = model_of("SRNN"), jax.random.key(7)
    result = jax.jit(lambda: training.fit(key, model, drawn, optimiser, split=training.last(0.01), epochs=1))()
    order = np.asarray(splits.permutation(jax.random.fold_in(key, 3), 1600))
    x, target = np.asarray(episodes.x, np.float64), np.asarray(episodes.target)
    parameters = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(model)]).astype(np.float64)
    slopes = (lambda p, i=index: numpy_srnn(p, x[:, i], target[i]) for index in order.reshape(100, 16))
    parameters = numpy_adam(parameters, slopes, rate, eps, inside)
    ours = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(result.model)])
    assert np.abs(parameters - np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(model)])).max() > 0.1
    # Each update rounds to half an ulp of the parameter and carries the rounding of the gradient, 100 times.
    np.testing.assert_allclose(ours, parameters, atol=100 * 4 * EPS)
    assert int(result.nonfinite) == -1


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("inside", [False, True])
def test_the_epsilon_of_keras_stands_outside_the_bias_correction(inside):
    rng = np.random.default_rng(0)
    slopes, parameters = rng.normal(size=(100, 5)) * 1e-3, rng.normal(size=5)
    given = [lambda _, slope=slope: slope for slope in slopes]
    optimiser = optax.adam(1e-2, eps=1e-3) if inside else training.keras_adam(1e-2, eps=1e-3)
    ours, state = jnp.asarray(parameters, jnp.float32), optimiser.init(jnp.asarray(parameters, jnp.float32))
    update = jax.jit(optimiser.update)
    for slope in slopes:
        change, state = update(jnp.asarray(slope, jnp.float32), state)
        ours = optax.apply_updates(ours, change)
    np.testing.assert_allclose(ours, numpy_adam(parameters, given, 1e-2, 1e-3, inside), atol=100 * EPS)
    other = numpy_adam(parameters, given, 1e-2, 1e-3, not inside)
    assert np.abs(np.asarray(ours) - other).max() > 0.01


def test_clipping_by_norm_keeps_the_direction_and_bounds_the_norm_and_is_what_fit_applies(data):
    drawn, _ = data["scalar"]
    model, key, bound = model_of("SRNN"), jax.random.key(7), 0.05

    def moved(optimiser):
        fitted = jax.jit(lambda: training.fit(key, model, drawn, optimiser, epochs=1, batch=48))()
        difference = jax.tree.map(jnp.subtract, fitted.model, model)
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(difference)]), fitted

    free, fitted = moved(optax.sgd(1.0))
    norm = np.linalg.norm(free)
    assert norm > 2 * bound  # the test needs a gradient that is clipped
    assert float(fitted.record.gradient_norm[0]) == pytest.approx(norm, rel=100 * EPS)
    clipped, _ = moved(optax.chain(optax.clip_by_global_norm(bound), optax.sgd(1.0)))
    np.testing.assert_allclose(clipped, free * bound / norm, atol=100 * EPS)
    loose, _ = moved(optax.chain(optax.clip_by_global_norm(2 * norm), optax.sgd(1.0)))
    np.testing.assert_allclose(loose, free, atol=10 * EPS)
    values, _ = moved(optax.chain(optax.clip(bound), optax.sgd(1.0)))
    np.testing.assert_allclose(values, np.clip(free, -bound, bound), atol=10 * EPS)


# Fit


def latch_fit(key, rate=1e-2, data=None, length=None, **options):
    model = training.begin(SRNN(), key)
    return training.fit(key, model, data, training.keras_adam(rate), epochs=2, batch=8, length=length, **options)


def test_seeds_and_rates_in_one_program_equal_separate_runs(data):
    drawn, _ = data["scalar"]
    keys, rates = jax.random.split(KEY, 3), jnp.asarray([1e-3, 3e-2])
    together = jax.jit(
        jax.vmap(jax.vmap(lambda k, r: latch_fit(k, r, drawn), (0, None)), (None, 0)),
    )(keys, rates)
    alone = jax.jit(lambda k, r: latch_fit(k, r, drawn))
    for i, rate in enumerate(rates):
        for j, key in enumerate(keys):
            one, of_many = alone(key, rate), jax.tree.map(lambda leaf, i=i, j=j: leaf[i, j], together)
            close(of_many.model, one.model, 1000 * EPS)
            close(of_many.record, one.record, 1000 * EPS)
    assert len(np.unique(np.asarray(together.record.loss))) == together.record.loss.size


def test_a_traced_length_in_a_longer_array_equals_a_static_one(data):
    drawn, _ = data["scalar"]
    cut = Episode(x=drawn.x[:, :7], target=drawn.target)
    fitted = jax.jit(lambda length: latch_fit(KEY, data=drawn, length=length))
    traced, other = fitted(7), fitted(9)
    close(traced, jax.jit(lambda: latch_fit(KEY, data=cut))(), 1000 * EPS)
    assert np.abs(np.asarray(other.record.loss) - np.asarray(traced.record.loss)).max() > 1e-3


def test_every_epoch_uses_every_training_episode_once_in_another_order(data):
    """A model that cannot learn reports the mean loss over the training set in each epoch, whatever the order."""
    drawn, episodes = data["scalar"]
    model = model_of("SRNN")
    result = jax.jit(lambda: training.fit(KEY, model, drawn, optax.sgd(0.0), epochs=3, batch=16))()
    mean = jax.jit(lambda index: plain_loss(model, episodes, index, TIME))
    expected = mean(np.arange(48))
    np.testing.assert_allclose(result.record.loss, np.full(3, expected), rtol=50 * EPS)
    after = mean(np.arange(48, 60))
    np.testing.assert_allclose(result.record.val_loss, np.full(3, after), rtol=50 * EPS)
    assert len(set(np.asarray(result.record.gradient_norm).tolist())) == 3  # other minibatches every time


@pytest.mark.parametrize("count", [1000, 2**14 + 1])
def test_permutation_holds_every_index_once_and_no_memory_of_order(count):
    keys = jax.random.split(KEY, 20)
    orders = np.asarray(jax.jit(jax.vmap(lambda key: splits.permutation(key, count)))(keys))
    assert np.all(np.sort(orders, 1) == np.arange(count))
    ranks = (orders - (count - 1) / 2) / (count * math.sqrt(1 / 12))
    # Correlation of position and index, and between draws: standard error 1 / sqrt(count).
    position = np.linspace(-math.sqrt(3), math.sqrt(3), count)
    assert np.abs(np.mean(ranks * position, axis=1)).max() < 5 / math.sqrt(count)
    assert np.abs(np.mean(ranks[1:] * ranks[:-1], axis=1)).max() < 5 / math.sqrt(count)


def test_splits_are_disjoint_and_complete_and_the_published_one_validates_one_class():
    targets = tasks.sign(jnp.arange(50)).astype(jnp.float32)
    for split in (training.last(), training.last_by_class(), training.at_random()):
        train, validation = (np.asarray(part) for part in split(KEY, targets))
        assert (len(train), len(validation)) == (40, 10)
        assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(50))
    assert float(jnp.mean(targets[training.last()(KEY, targets)[1]])) == 0
    with pytest.raises(ValueError, match="last_by_class sorts episodes by one target each"):
        training.last_by_class()(KEY, np.zeros((4, 3)))
    train, validation = training.last_by_class()(KEY, targets)
    assert np.all(targets[validation] == -1)
    assert float(jnp.mean(targets[train] > 0)) == 5 / 8
    random = [np.asarray(training.at_random()(key, targets)[1]) for key in jax.random.split(KEY)]
    assert set(random[0]) != set(random[1])


@pytest.mark.parametrize(
    ("objective", "loss", "val_loss"),
    [(losses.sigmoid, 0.66156, 0.98083), (losses.probability, 0.234375, 0.390625)],
)
def test_a_unit_that_sees_nothing_ends_at_the_constant_of_the_published_split(objective, loss, val_loss):
    """With h = 0 only the readout's bias learns: training and validation loss are known in closed form."""
    drawn = Episode(x=jnp.zeros((100, 2)), target=tasks.sign(jnp.arange(100)).astype(jnp.float32))
    model = RNN(cell=SRNN(), readout=Dense())
    result = jax.jit(
        lambda: training.fit(
            KEY, model, drawn, optax.sgd(4.0), objective, split=training.last_by_class(), epochs=60, batch=80
        )
    )()
    assert float(result.record.loss[-1]) == pytest.approx(loss, abs=6e-6)
    assert float(result.record.val_loss[-1]) == pytest.approx(val_loss, abs=6e-6)
    assert float(result.record.val_accuracy[-1]) == 0
    assert float(result.record.accuracy[-1]) == 0.625


def test_an_early_stop_ends_as_a_run_of_that_many_epochs(data):
    drawn, _ = data["scalar"]
    models = {"learns": model_of("SRNN"), "rests": jax.tree.map(jnp.zeros_like, model_of("SRNN"))}
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models.values())
    rates = jnp.asarray([1e-2, 0.0])

    def fitted(model, rate, epochs, stop=None):
        return training.fit(KEY, model, drawn, optax.sgd(rate), epochs=epochs, stop=stop)

    stop = training.Stop(patience=2, min_delta=1e-4)
    stopped = jax.jit(jax.vmap(lambda m, r: fitted(m, r, 6, stop)))(both, rates)
    epochs = np.asarray(stopped.epochs)
    assert epochs[1] == 3  # one epoch to set the mark, two that do not beat it
    assert epochs[0] > 3
    alone = jax.jit(lambda m: fitted(m, 1e-2, int(epochs[0])))(models["learns"])
    close(jax.tree.map(lambda leaf: leaf[0], stopped.model), alone.model)
    close(stopped.record.val_loss[0, : epochs[0]], alone.record.val_loss)
    for i in range(2):
        assert np.all(np.isnan(stopped.record.val_loss[i, epochs[i] :]))


def test_data_from_a_function_are_drawn_anew_each_epoch():
    draw = lambda key: tasks.episodes(tasks.latch(), key, 40, 5)  # noqa: E731
    still = model_of("SRNN")
    result = jax.jit(lambda: training.fit(KEY, still, draw, optax.sgd(0.0), epochs=3, batch=16))()
    assert len(set(np.asarray(result.record.val_loss).tolist())) == 3


def test_the_first_update_that_is_not_finite_is_recorded_and_nothing_is_repaired():
    """h' = w h with h_0 = 1 overflows in the first epoch at w = 10 and never at w = 1."""

    drawn = Episode(x=jnp.zeros((20, 60)), target=jnp.ones(20))
    fitted = jax.jit(
        jax.vmap(
            lambda w: training.fit(
                KEY, LinearRNN(w=w), drawn, optax.sgd(1e-6), losses.raw, epochs=2, batch=8, start=1.0
            )
        )
    )(jnp.asarray([10.0, 1.0]))
    assert fitted.nonfinite.tolist() == [0, -1]
    assert not np.isfinite(fitted.model.cell.w[0])
    assert np.isfinite(fitted.model.cell.w[1])
    assert not np.isfinite(fitted.record.gradient_norm[0, 0])


@pytest.mark.parametrize(("options", "given"), [({"batch": 100}, "batch 100"), ({"epochs": 0}, "0 epochs")])
def test_sizes_that_cannot_be_are_refused(options, given, data):
    with pytest.raises(ValueError, match=given):
        training.fit(KEY, SRNN(), data["scalar"][0], optax.sgd(0.1), losses.raw, **options)


# Penalty


@pytest.mark.parametrize(
    ("penalty", "expected", "slope"),
    [
        (training.omega(1.0), 0.04, 4 * 2 * (0.9 - 1)),
        (training.omega_squared(1.0), 0.1444, 4 * 2 * (0.81 - 1) * 1.8),
    ],
)
def test_omega_of_a_linear_net_of_five_states(penalty, expected, slope):
    """w = .9: four terms of (.9 - 1)² by norms, of (.81 - 1)² by their squares; d/dw through w alone."""
    cell = floats(LinearRNN(w=0.9, u=1.0, b=0.0))
    gradient = penalty.nothing(cell)
    state, error = cell.initial(), jnp.ones(3)
    batch = jax.tree.map(lambda leaf: jnp.full(3, leaf + 0.5), state)
    terms = []
    for _ in range(4):
        term = penalty.terms(cell, batch, jnp.zeros(3), type(state)(error))
        slopes = penalty.gradient(cell, batch, jnp.zeros(3), type(state)(error))
        gradient = jax.tree.map(jnp.add, gradient, slopes)
        terms.append(term)
        error = 0.9 * error
    assert sum(float(term.total) for term in terms) == pytest.approx(expected, rel=200 * EPS)
    assert sum(float(term.kept) for term in terms) == 4
    scaled = penalty.scaled(gradient)
    assert float(scaled.w) == pytest.approx(slope / (4 if penalty.per_step else 1), rel=200 * EPS)
    assert (float(scaled.u), float(scaled.b)) == (0, 0)


def test_a_penalty_adds_its_gradient_and_acts_through_the_jacobian_alone(data):
    """In Pascanu's coordinates x' = w f(x) + u x + b the penalty moves the recurrent weight only."""
    model, (_, episodes), index = model_of("Pascanu"), data["scalar"], jnp.arange(BATCH)
    weight = 3.0

    def gradient(**options):
        route = training.reverse(losses.softmax, **options)
        return jax.jit(route.gradient)(model, episodes, index, jnp.int32(6))

    free, bound = gradient(), gradient(penalty=training.omega(weight))
    added = jax.tree.map(jnp.subtract, bound[1], free[1])
    assert float(bound[0].loss) == float(free[0].loss)
    assert max(abs(float(leaf)) for leaf in (added.cell.u, added.cell.b, *added.readout.w)) < 100 * EPS
    # Independently: ratio_k = |w f'(x_k)| for one unit, so d Omega / dw = 2 sum (|w| f' - 1) f' sign(w).
    w = float(model.cell.w)
    expected = 0.0
    for i in range(BATCH):
        x = 0.0
        for t in range(6):
            s = 1 / (1 + math.exp(-x))
            expected += 2 * (abs(w) * s * (1 - s) - 1) * s * (1 - s) * math.copysign(1, w) / BATCH
            x = w * s + float(model.cell.u) * float(episodes.x[t, i]) + float(model.cell.b)
    assert float(added.cell.w) == pytest.approx(weight * expected, rel=1e-4)  # a difference of two gradients


def test_errors_that_are_gone_count_as_ratio_one():
    cell, state = floats(SRNN()), SRNN().initial()
    batch, error = (
        jax.tree.map(lambda leaf: jnp.zeros(2), state),
        jax.tree.map(lambda leaf: jnp.asarray([1.0, 1e-12]), state),
    )
    for penalty in (training.omega(1.0), training.omega_squared(1.0)):
        term = penalty.terms(dataclasses.replace(cell, w=jnp.asarray(0.5)), batch, jnp.zeros(2), error)
        assert float(term.kept) == 0.5
        assert float(term.total) == pytest.approx((0.25 if not penalty.per_step else 0.75**2) / 2, rel=20 * EPS)


# Diagnostics


def test_signal_and_blind_parts_add_up_to_the_gradient(data):
    """Exact on any balanced set: sigmoid or two logits."""
    drawn, episodes = data["scalar"]
    index = jnp.arange(COUNT)
    for readout, objective in ((Dense(w=1.5, b=0.3), losses.sigmoid), (model_of("SRNN").readout, losses.softmax)):
        model = floats(RNN(cell=model_of("LSTM").cell, readout=readout))
        whole = jax.jit(jax.grad(lambda m, o=objective: plain_loss(m, episodes, index, TIME, o)))(model)
        signal, blind = jax.jit(training.signal_and_blind)(model, drawn)
        close(jax.tree.map(jnp.add, signal, blind), whole)
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(signal)) > 1e-4


def test_the_blind_part_closes_lstm_gates_opens_gru_memory_and_shrinks_the_srnn():
    """Descent on the label-blind loss, from 50 starts of Keras: b_i, b_f, b_o fall, b_z rises, |w| falls in each.

    At T = 20 the input has been forgotten; at T = 5 what is left of it decides, and b_z rises in a third only.
    """
    drawn = jax.jit(lambda: tasks.episodes(tasks.latch(), jax.random.key(2), 200, 20))()

    def downhill(cell):
        def one(key):
            model = training.begin(cell, key, outputs=None)
            return model, jax.tree.map(jnp.negative, training.signal_and_blind(model, drawn)[1])

        return jax.jit(jax.vmap(one))(jax.random.split(KEY, 50))

    _, lstm = downhill(LSTM())
    for name in ("b_i", "b_f", "b_o"):
        assert np.all(getattr(lstm.cell, name) < 0)
    _, gru = downhill(GRU())
    assert np.all(gru.cell.b_z > 0)
    model, srnn = downhill(SRNN())
    assert np.all(srnn.cell.w * jnp.sign(model.cell.w) < 0)


def test_random_guessing_solves_the_latch_in_the_published_number_of_trials():
    """Published: 6 trials on the latch with trained inputs, 22 on the unit with input and bias weights, T >= 500.

    The number of guesses to success is geometric; its standard error here is 3 % and 11 %. The second depends on the
    size of the training set, which is not published: more episodes, more trials.
    """
    first = tasks.episodes(tasks.bengio(noise=0.2**0.5, evidence=1), jax.random.key(0), 16, 500)
    latch = training.guess(KEY, BengioLatch(e=jnp.zeros(2)), first)
    assert 3 < latch.trials < 6.5
    second = tasks.episodes(tasks.two_sequence(evidence=1), jax.random.key(0), 16, 500)
    unit = training.guess(KEY, SRNN(), second)
    assert 22 < unit.trials < 88
    assert unit.volume * unit.trials == pytest.approx(1)
    assert math.isinf(training.guess(KEY, SRNN(), second, tried=8, draw=lambda key, shape: jnp.zeros(shape)).trials)


# Curves


def test_curves_are_the_runs_that_fit_makes_whatever_is_asked_beside_them():
    def setup(key, rate=1e-2):
        return training.begin(SRNN(), key), training.keras_adam(rate)

    options = {"count": 100, "epochs": 2, "split": training.last()}
    both = training.curves(setup, tasks.relay(), [3, 9], seeds=3, settings={"rate": [1e-2, 1e-1]}, **options)
    assert both.accuracy.dims == ("length", "rate", "seed")
    assert dict(both.sizes) == {"length": 2, "rate": 2, "seed": 3, "epoch": 2, "parameter": 7}
    # The same runs, more of them (two slabs), one length, one rate: nothing changes but what is left out.
    more = training.curves(setup, tasks.relay(), [9], seeds=runs.RUNS + 3, **options)
    same = more.isel(length=0, seed=slice(3))
    for name in ("accuracy", "loss", "final", "gradient_norm"):
        np.testing.assert_allclose(
            same[name], both[name].sel(length=9).isel(rate=0), rtol=1000 * EPS, atol=1000 * EPS, err_msg=name
        )
    root = jax.random.key(0)
    data = tasks.episodes(tasks.relay(), jax.random.fold_in(jax.random.fold_in(root, 0), 9), 100, 9)
    first, rest = jax.random.split(jax.random.fold_in(jax.random.fold_in(root, 1), 2))
    model, optimiser = setup(first)
    alone = jax.jit(lambda: training.fit(rest, model, data, optimiser, epochs=2))()
    np.testing.assert_allclose(same.val_loss[2], alone.record.val_loss, rtol=1000 * EPS)
    assert list(both.parameter.values) == [
        "w",
        "u",
        "b",
        "readout.w[0]",
        "readout.w[1]",
        "readout.b[0]",
        "readout.b[1]",
    ]
    assert np.array_equal(both.initial.isel(rate=0), both.initial.isel(rate=1))
    assert float(np.abs(both.loss.isel(rate=0) - both.loss.isel(rate=1)).min()) > 0
    np.testing.assert_allclose(both.initial.sel(parameter="w").values, np.sign(both.initial.sel(parameter="w")))


def test_curves_of_layers_and_unknown_lengths():
    def setup(key):
        return training.begin(GRU(), key, keras3, units=2), training.keras_adam(1e-2)

    layer = training.curves(setup, tasks.latch(), [4], seeds=2, count=40, epochs=1)
    assert layer.final.sizes["parameter"] == 3 * (4 + 2 + 2) + 6
    with pytest.raises(ValueError, match="lengths from 1 up"):
        training.curves(setup, tasks.latch(), [0], seeds=2)


@pytest.mark.slow
def test_a_run_with_its_own_data_is_the_fit_of_episodes_that_no_other_run_has():
    """Runs that share a data set are not independent; with ``own_data`` each is, and any other run leaves it alone."""

    def setup(key):
        return training.begin(SRNN(), key), training.keras_adam(1e-2)

    options = {"count": 80, "epochs": 2, "own_data": True}
    own = training.curves(setup, tasks.latch(), [3, 6], seeds=3, **options)
    keys = jax.random.split(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 1), 2), 3)
    data = tasks.episodes(tasks.latch(), jax.random.fold_in(keys[2], 6), 80, 6)
    model, optimiser = setup(keys[0])
    alone = jax.jit(lambda: training.fit(keys[1], model, data, optimiser, epochs=2))()
    np.testing.assert_allclose(own.train_loss.sel(length=6, seed=2), alone.record.loss, rtol=1e-5)
    shared = training.curves(setup, tasks.latch(), [3, 6], seeds=3, **options | {"own_data": False})
    np.testing.assert_array_equal(own.initial, shared.initial)
    assert (own.train_loss != shared.train_loss).all()

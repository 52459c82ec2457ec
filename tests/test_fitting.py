"""Laws of a fit: cut, resumed, watched or stopped it is the same training; what cannot be trained is refused."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from landscape import losses, tasks, training
from landscape.cells import GRU, SRNN
from landscape.tasks import Episode
from landscape.training import runs, steps

optimised = pytest.mark.optimised  # laws of bits

ROOT = Path(__file__).parents[1]
KEY = jax.random.key(3)
SIZES = {"epochs": 4, "batch": 8}
EPS = float(jnp.finfo(jnp.float32).eps)


@pytest.fixture(scope="module")
def data():
    return jax.jit(lambda: tasks.episodes(tasks.latch(), jax.random.key(1), 40, 5))()


@pytest.fixture(scope="module")
def model():
    return training.begin(SRNN(), KEY)


def equal(one, two):
    """The same tree of the same bits, NaN included."""
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert a.dtype == b.dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def weights(state):
    return state.model.cell.w


# Cut and resumed


@optimised
@pytest.mark.parametrize(
    "kind", ["plain", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("stopped", "drawn anew"))]
)
def test_a_fit_cut_anywhere_and_resumed_equals_the_uncut_one_bit_for_bit(kind, data, model):
    options = {"epochs": 6, "batch": 8, "watch": weights}
    if kind == "stopped":
        options["stop"] = training.Stop(patience=2, min_delta=1e-2, restore=True)
    drawn = (lambda key: tasks.episodes(tasks.latch(), key, 20, 5)) if kind == "drawn anew" else data
    optimiser = training.keras_adam(0.1)
    until = jax.jit(lambda until: training.fit(KEY, model, drawn, optimiser, until=until, **options))
    on = jax.jit(lambda so_far: training.fit(KEY, model, drawn, optimiser, resume=so_far, **options))
    whole = until(6)
    if kind == "stopped":
        assert 2 < int(whole.epochs) < 6
    for cut in range(7):
        part = until(cut)
        assert int(part.epochs) == min(cut, int(whole.epochs))
        equal(on(part), whole)
    equal(jax.jit(lambda: training.fit(KEY, model, drawn, optimiser, **options))(), whole)


@optimised
@pytest.mark.slow
def test_a_fit_of_fewer_epochs_goes_on_as_one_of_all_bit_for_bit(data, model):
    given = (KEY, model, data, training.keras_adam(0.1))
    short, whole = (jax.jit(lambda n=n: training.fit(*given, epochs=n, batch=8))() for n in (2, 6))
    equal(jax.jit(lambda so_far: training.fit(*given, resume=so_far, epochs=6, batch=8))(short), whole)


def test_what_is_resumed_must_be_of_the_same_training(data, model):
    fitted = jax.jit(lambda: training.fit(KEY, model, data, optax.sgd(0.1), **SIZES))()
    with pytest.raises(ValueError, match="another model, optimiser, stop, split, batch or watch"):
        training.fit(KEY, model, data, training.keras_adam(), resume=fitted, **SIZES)
    other = {"split": training.last(0.2, 0.2)}, {"watch": weights}
    for changed in other:
        with pytest.raises(ValueError, match="another model, optimiser, stop, split, batch or watch"):
            training.fit(KEY, model, data, optax.sgd(0.1), resume=fitted, **SIZES, **changed)
    once = {"epochs": 4, "batch": 32}  # one update an epoch, which would broadcast to four
    watched = jax.jit(lambda: training.fit(KEY, model, data, optax.sgd(0.1), watch=weights, **once))()
    for changed in (once, {**SIZES, "watch": weights}):
        with pytest.raises(ValueError, match="another model, optimiser, stop, split, batch or watch"):
            training.fit(KEY, model, data, optax.sgd(0.1), resume=watched, **changed)
    with pytest.raises(ValueError, match=r"more than these 2 epochs \(4\)"):
        training.fit(KEY, model, data, optax.sgd(0.1), resume=fitted, epochs=2, batch=8)
    with pytest.raises(ValueError, match="what fit has returned"):
        training.fit(KEY, model, data, optax.sgd(0.1), resume=model, **SIZES)


def test_a_file_is_of_the_units_functions_too_and_not_of_more_epochs(data, model, tmp_path):
    path, rest = tmp_path / "c.npz", (data, optax.sgd(0.1))
    once = training.checkpointed(path, KEY, model, *rest, epochs=2, batch=16)
    equal(training.checkpointed(path, KEY, model, *rest, epochs=2, batch=16), once)
    relu = dataclasses.replace(model, cell=dataclasses.replace(model.cell, act=jax.nn.relu))
    with pytest.raises(ValueError, match="another key, model or data"):
        training.checkpointed(path, KEY, relu, *rest, epochs=3, batch=16)
    with pytest.raises(ValueError, match=r"c\.npz has 2 epochs already, and 1 are asked for; ask for as many or more"):
        training.checkpointed(path, KEY, model, *rest, epochs=1, batch=16)


PROGRAM = """
import os, signal, sys
import jax
from landscape import tasks, training
from landscape.cells import SRNN

key = jax.random.key(3)
data = jax.jit(lambda: tasks.episodes(tasks.latch(), jax.random.key(1), 40, 5))()
def report(fit):
    if int(fit.epochs) == 2 and "die" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
training.checkpointed(sys.argv[1], key, training.begin(SRNN(), key), data, training.keras_adam(0.1), epochs=4, batch=8,
                      report=report)
"""


@optimised
@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_from_its_file_bit_for_bit(data, model, tmp_path):
    path = tmp_path / "deep" / "latch.npz"
    killed = subprocess.run([sys.executable, "-c", PROGRAM, path, "die"], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert killed.returncode == -9
    given, seen = (KEY, model, data, training.keras_adam(0.1)), []
    resumed = training.checkpointed(path, *given, report=lambda fit: seen.append(int(fit.epochs)), **SIZES)
    assert seen == [3, 4]
    equal(resumed, jax.jit(lambda: training.fit(*given, **SIZES))())
    assert [file.name for file in path.parent.iterdir()] == ["latch.npz"]
    with pytest.raises(ValueError, match="another key, model or data"):
        training.checkpointed(path, jax.random.key(4), *given[1:], **SIZES)
    with pytest.raises(ValueError, match="another optimiser, stop or watch"):
        training.checkpointed(path, *given[:3], optax.sgd(0.1), **SIZES)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="no checkpoint that can be read"):
        training.checkpointed(path, *given, **SIZES)


@pytest.mark.slow
@optimised
def test_a_fit_followed_from_outside_is_the_same_fit_and_ends_where_it_stops(data, model):
    options = {"epochs": 6, "batch": 8, "stop": training.Stop(patience=2, min_delta=1e-2)}
    given, seen = (KEY, model, data, training.keras_adam(0.1)), []
    followed = training.checkpointed(None, *given, every=2, report=seen.append, **options)
    whole = jax.jit(lambda: training.fit(*given, **options))()
    equal(followed, whole)
    assert [int(fit.epochs) for fit in seen] == [2, 4, int(whole.epochs)][: len(seen)]
    assert np.isnan(seen[0].record.val_loss[2:]).all()
    np.testing.assert_array_equal(seen[0].record.val_loss[:2], whole.record.val_loss[:2])
    with pytest.raises(ValueError, match="every must be 1 epoch or more"):
        training.checkpointed(None, *given, every=0, **options)


# Watched and stopped


def test_what_is_watched_is_the_state_after_every_update_and_moves_nothing(data, model):
    watch = lambda state: {"w": state.model.cell.w, "step": state.step}  # noqa: E731
    given = (KEY, model, data, training.keras_adam(0.1))
    seen, free = jax.jit(lambda: (training.fit(*given, watch=watch, **SIZES), training.fit(*given, **SIZES)))()
    assert seen.watched["w"].shape == (4, 4)  # 32 episodes in minibatches of 8
    np.testing.assert_array_equal(seen.watched["step"].ravel(), np.arange(1, 17))
    assert seen.watched["w"][-1, -1] == seen.model.cell.w
    assert free.watched == ()
    np.testing.assert_allclose(free.record.loss, seen.record.loss, rtol=100 * EPS)


def test_the_best_weights_are_restored_after_an_early_stop_if_asked(data, model):
    def fitted(restore):
        stop = training.Stop(patience=2, monitor=lambda record: -record.gradient_norm, restore=restore)
        optimiser = optax.chain(optax.scale(-0.3), optax.scale_by_schedule(lambda step: jnp.where(step < 6, 1.0, 0.2)))
        return training.fit(KEY, model, data, optimiser, stop=stop, watch=weights, epochs=8, batch=8)

    best, final = jax.jit(lambda: (fitted(True), fitted(False)))()
    mark = int(np.nanargmax(best.record.gradient_norm))
    assert int(best.epochs) == mark + 3 < 8
    assert best.model.cell.w == best.watched[mark, -1]
    assert final.model.cell.w == final.watched[mark + 2, -1]
    assert abs(float(best.model.cell.w - final.model.cell.w)) > 1e-3
    np.testing.assert_array_equal(best.watched, final.watched)
    assert best.pause.state.model.cell.w == final.model.cell.w  # it goes on from the last weights, not the best


# Data


def test_a_validation_set_of_ones_own_is_what_is_validated_on_and_nothing_is_set_aside(data, model):
    cut = lambda a, b: Episode(x=data.x[a:b], target=data.target[a:b])  # noqa: E731
    given = training.keras_adam(0.1)
    one, two, other = jax.jit(
        lambda: (
            training.fit(KEY, model, data, given, **SIZES),
            training.fit(KEY, model, cut(0, 32), given, validation=cut(32, 40), **SIZES),
            training.fit(KEY, model, cut(0, 32), given, validation=cut(0, 3), **SIZES),
        )
    )()
    for name in one.record._fields:
        np.testing.assert_allclose(getattr(one.record, name), getattr(two.record, name), rtol=200 * EPS, err_msg=name)
    np.testing.assert_allclose(other.record.loss, two.record.loss, rtol=200 * EPS)
    assert np.abs(other.record.val_loss - two.record.val_loss).min() > 1e-3
    with pytest.raises(ValueError, match=r"either split, .* or validation"):
        training.fit(KEY, model, data, given, split=training.last(), validation=data, **SIZES)
    with pytest.raises(ValueError, match=r"of validation has float32\[4\], float32\[\], one of data float32\[5\]"):
        training.fit(KEY, model, data, given, validation=Episode(x=data.x[:, :4], target=data.target), **SIZES)


def test_numpy_arrays_and_whole_numbers_are_data_like_any_other(model):
    x = np.random.default_rng(0).integers(-2, 3, (40, 5))
    sign = np.where(x[:, 0] > 0, 1, -1)
    given = [Episode(x=x, target=sign), Episode(x=x.astype(np.float32), target=sign.astype(np.float32))]
    given.append(Episode(x=jnp.asarray(x.astype(np.int8)), target=jnp.asarray(sign)))
    fitted = [jax.jit(lambda d=d: training.fit(KEY, model, d, optax.sgd(0.1), **SIZES))() for d in given]
    assert fitted[0].model.cell.w.dtype == jnp.float32
    for other in fitted[1:]:
        equal(fitted[0].model, other.model)
    equal(fitted[0].record, training.fit(KEY, model, given[0], optax.sgd(0.1), **SIZES).record)  # not jitted


def test_a_target_may_be_a_tree_and_its_episodes_are_counted(data, model):
    objective = losses.Objective(
        lambda y, target: target["weight"] * losses.softmax.loss(y, target["sign"]),
        lambda y, target: losses.softmax.correct(y, target["sign"]),
    )
    tree = Episode(x=data.x, target={"sign": data.target, "weight": jnp.ones(40)})
    whole, plain = jax.jit(
        lambda: (
            training.fit(KEY, model, tree, optax.sgd(0.1), objective, **SIZES),
            training.fit(KEY, model, data, optax.sgd(0.1), **SIZES),
        )
    )()
    np.testing.assert_allclose(whole.record.val_loss, plain.record.val_loss, rtol=200 * EPS)


X, SIGN = jnp.zeros((40, 5)), jnp.ones(40)
WRONG = {
    "x has too few axes": ({"x": X[0]}, {}, "x must be .episode, time."),
    "x has too many axes": ({"x": X[..., None, None]}, {}, "x must be .episode, time."),
    "no steps": ({"x": X[:, :0]}, {}, "one of each or more"),
    "targets of other episodes": ({"target": SIGN[1:]}, {}, r"leading axis of 40, given \(39,\)"),
    "one target for all": ({"target": jnp.ones(())}, {}, "leading axis of 40"),
    "a target a step": ({"target": jnp.ones((40, 5, 1))}, {}, r"one answer, of shape \(2,\).*target of shape \(5, 1\)"),
    "a column of targets": ({"target": SIGN[:, None]}, {}, r"targets \(episode,\)"),
    "vectors for a scalar cell": ({"x": jnp.zeros((40, 5, 3))}, {}, r"begin\(..., inputs=3\)"),
    "a batch too large": ({}, {"batch": 33}, "batch of 1 to 32"),
    "lengths of episodes": ({}, {"length": np.full(40, 5)}, "one whole number for all episodes"),
    "too long": ({}, {"length": 6}, "length must be 1 to 5"),
    "frames of another size": (
        {"target": X[:, :3]},
        {"objective": losses.mixture(1, 2)},
        r"shape \(2,\), given \(3,\)",
    ),
    "parts of another number": (
        {"target": X[:, :2]},
        {"objective": losses.mixture(1, 2)},
        r"told by 5 numbers.*\(2,\)",
    ),
    "another objective": ({}, {"objective": losses.sigmoid}, r"one loss and one verdict.*outputs="),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_shape_is_refused_in_a_sentence_before_anything_is_traced(case, model):
    fields, options, words = WRONG[case]
    options = {**SIZES, **options}
    objective = options.pop("objective", losses.softmax)
    with pytest.raises(ValueError, match=words) as caught:
        training.fit(KEY, model, Episode(**{"x": X, "target": SIGN, **fields}), optax.sgd(0.1), objective, **options)
    assert "\n" not in str(caught.value)


def test_what_is_no_key_model_data_or_optimiser_is_named(data, model):
    for place, wrong, words in [
        (0, 0, r"key must be a key of JAX"),
        (1, SRNN, r"model must be a cell such as SRNN\(\)"),
        (2, None, r"data must be an Episode.*given NoneType"),
        (2, (data.x, data.target), r"given tuple"),
        (3, 0.1, r"optimiser must be one of optax"),
    ]:
        given = [KEY, model, data, optax.sgd(0.1)]
        given[place] = wrong
        with pytest.raises(TypeError, match=words):
            training.fit(*given, **SIZES)
    with pytest.raises(ValueError, match="units must be 1 or more"):
        training.begin(SRNN(), KEY, units=0)
    with pytest.raises(TypeError, match="inputs must be a whole number"):
        training.begin(SRNN(), KEY, inputs=1.5)


# The step


def test_a_step_moves_as_its_optimiser_says_and_tells_what_it_saw_before():
    gradient = jax.value_and_grad(lambda p, centre: jnp.sum((p["a"] - centre) ** 2))
    step = training.step(gradient, optax.sgd(0.25))
    state = step.init({"a": jnp.asarray([1.0, 2.0])})
    update = jax.jit(step.update)
    state, seen = update(state, 0.0)
    np.testing.assert_allclose(state.model["a"], [0.5, 1.0])
    assert (float(seen.score), float(seen.gradient_norm)) == (5.0, pytest.approx(20**0.5))
    assert (int(state.step), int(state.nonfinite)) == (1, -1)
    for _ in range(2):
        state, _ = update(state, np.inf)
    assert (int(state.step), int(state.nonfinite)) == (3, 1)


def test_an_update_by_a_known_gradient_maps_over_points():
    """As `landscape.descent` needs it, whose gradients of many points come from one program."""
    optimiser = training.keras_adam(0.1)
    places = {"b": np.float32([0.5, -1.0, 2.0]), "w": np.float32([1.0, 2.0, 3.0])}
    moved = lambda place: steps.moved(optimiser, steps.begun(optimiser, place), place)  # noqa: E731
    after, norm = jax.jit(jax.vmap(moved))(places)
    np.testing.assert_allclose(norm, np.hypot(places["b"], places["w"]), rtol=4 * EPS)
    last = jax.tree.map(lambda leaf: leaf[2], places)
    alone, _ = jax.jit(moved)(last)
    np.testing.assert_allclose(after.model["w"][2], alone.model["w"], rtol=4 * EPS)


# Many runs


def test_a_trainer_of_ones_own_stands_where_fit_stands():
    def trainer(key, model, data, optimiser, *, epochs, **options):
        """Guesses: nothing is trained, and each epoch says how many steps there were."""
        record = training.Record(*(jnp.full(epochs, options["length"], jnp.float32) for _ in training.Record._fields))
        return training.Fit(model, record, jnp.asarray(epochs), jnp.asarray(-1))

    setup = lambda key: (training.begin(SRNN(), key), optax.sgd(0.1))  # noqa: E731
    made = training.curves(setup, tasks.latch(), [3, 7], seeds=2, count=10, epochs=3, trainer=trainer)
    np.testing.assert_array_equal(made.accuracy, [[3, 3], [7, 7]])
    np.testing.assert_array_equal(made.initial, made.final)


def test_runs_computed_together_fit_in_memory(monkeypatch):
    setup = lambda key, rate: (training.begin(GRU(), key, units=64, inputs=8), optax.sgd(rate))  # noqa: E731
    need = runs._bytes(setup, {"rate": np.ones(1, np.float32)}, tasks.latch(), 1000, 100, 16)
    states = 16 * 1000 * 64 * 4
    assert 5 * states < need < 50 * states  # states, products of three gates and of inputs, and their slopes
    assert runs.slab(30, lambda: runs.SLAB_BYTES // 5) == 5
    assert runs.slab(30, lambda: 2 * runs.SLAB_BYTES) == 1
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert runs.slab(10_000, lambda: 1000) == 10_000
    assert runs.slab(10_000, lambda: runs.SLAB_BYTES // 300) == 300


DEVICES = """
import sys
import jax, numpy as np
from landscape import tasks, training
from landscape.cells import LSTM
from landscape.training import runs

setup = lambda key, rate: (training.begin(LSTM(), key), training.keras_adam(rate))
settings = {"rate": [0.01, 0.1, 0.3]}
made = training.curves(setup, tasks.latch(), [3, 6], seeds=7, settings=settings, count=40, epochs=2, batch=8)
print(jax.device_count(), runs.slab(21))
np.savez(sys.argv[1], **{name: made[name].values for name in ("accuracy", "loss", "initial", "final", "train_loss")})
"""


@optimised
@pytest.mark.slow
def test_runs_on_several_devices_are_those_of_one_also_where_their_number_does_not_divide(tmp_path):
    found = {}
    for count in (1, 2, 4):
        flags = f"--xla_force_host_platform_device_count={count}"
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags}
        words = [sys.executable, "-c", DEVICES, tmp_path / f"{count}.npz"]
        told = subprocess.run(words, env=env, check=True, capture_output=True, text=True).stdout
        assert told.split() == [str(count), "32"]
        found[count] = np.load(tmp_path / f"{count}.npz")
    for name in found[1]:
        for several in (2, 4):  # programs for 8, 16 and 32 runs round differently, 1e-7 a step of each update
            np.testing.assert_allclose(found[several][name], found[1][name], rtol=1e-4, atol=1e-5, err_msg=name)

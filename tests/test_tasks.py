"""Laws of the tasks: prefixes, chance, balance, noise, and what each target is a function of."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape import tasks

STRINGS = {
    "adding_1997",
    "order_1997",
    "reber",
    "arithmetic",
    "xml",
    "memorise",
    "lag_1997",
    "trigger_1997",
    "beginning_1997",
    "multiplication_1997",
}  # tests/test_strings.py
MADE = {name: make() for name, make in tasks.known().items() if name not in STRINGS}
LENGTH = 21
KEY = jax.random.key(5)


episodes = jax.jit(tasks.episodes, static_argnums=(0, 2, 3, 4))


@pytest.fixture(scope="module")
def drawn():
    """Episodes of every task by name: 4096 of the same length."""
    return {name: episodes(task, KEY, 4096, LENGTH) for name, task in MADE.items()}


@pytest.fixture(scope="module")
def cut():
    """The first 64 of them, asked for at 14 steps."""
    return {name: episodes(task, KEY, 64, 14) for name, task in MADE.items()}


def until(drawn, time):
    """What episodes ask for in their first ``time`` steps."""
    return drawn.target if drawn.mask is None else jnp.where(drawn.mask > 0, drawn.target, 0)[:, :time]


def asked(drawn):
    """All targets that are asked for."""
    return np.asarray(drawn.target if drawn.mask is None else drawn.target[drawn.mask > 0])


def test_all_tasks_are_found():
    assert {"latch", "relay", "pascanu", "reach", "bengio", "adding", "temporal_order", "parity"} <= set(MADE)
    assert set(tasks.known()) > STRINGS


@pytest.mark.parametrize("name", MADE)
def test_nested_says_whether_the_short_episode_is_a_prefix_of_the_long_one(name, drawn, cut):
    short, long = cut[name], drawn[name]
    same = np.allclose(short.x, long.x[:64, :14], atol=1e-6)
    assert (same and np.array_equal(until(short, 14), until(long, 14)[:64])) == MADE[name].nested


@pytest.mark.parametrize("name", MADE)
def test_fewer_episodes_a_longer_array_and_a_traced_length_leave_an_episode_as_it_is(name, cut):
    padded = jax.jit(lambda length: tasks.episodes(MADE[name], KEY, 16, length, LENGTH))(14)
    assert padded.x.shape[:2] == (16, LENGTH)
    np.testing.assert_allclose(padded.x[:, :14], cut[name].x[:16], atol=1e-6)  # two programs: normals an ulp apart
    np.testing.assert_allclose(until(padded, 14), until(cut[name], 14)[:16], atol=1e-6)


@pytest.mark.parametrize("name", [name for name, task in MADE.items() if task.classes > 1])
def test_classes_balance_exactly(name, drawn):
    assert 4096 % MADE[name].classes == 0
    values, counts = np.unique(np.asarray(drawn[name].target), return_counts=True)
    assert np.all(counts == 4096 // len(values))
    assert len(values) == (4 if name == "temporal_order" else 2)


@pytest.mark.parametrize("name", [name for name, task in MADE.items() if task.chance > 0 and name != "temporal_order"])
def test_chance_is_the_loss_of_the_best_constant(name, drawn):
    task, target = MADE[name], asked(drawn[name])
    best = np.mean(np.vectorize(lambda goal: float(task.loss(target.mean(), goal)))(np.unique(target)))
    if task.classes == 1:
        losses = (target - target.mean()) ** 2
        # The sample variance of 4096 targets differs from the population's by 4 standard errors at most; of signs,
        # whose squares are 1, by the square of their mean, which is chi-square: 16 of 4 standard errors.
        assert abs(losses.mean() - task.chance) < 4 * losses.std() / 64 + 16 * task.chance / losses.size
    else:
        assert best == pytest.approx(task.chance, rel=1e-6)


def test_chance_of_temporal_order_is_that_of_four_equal_logits(drawn):
    task = MADE["temporal_order"]
    assert float(task.loss(jnp.zeros(4), drawn["temporal_order"].target[0])) == pytest.approx(math.log(4), rel=1e-6)
    assert task.chance == math.log(4)


@pytest.mark.parametrize("name", ["pascanu", "reach"])
def test_a_task_without_chance_can_be_solved_without_input(name, drawn):
    task, target = MADE[name], float(drawn[name].target[0])
    answer = math.log(target / (1 - target)) if name == "pascanu" else target
    assert float(task.loss(answer, target)) == pytest.approx(0, abs=1e-12)
    assert task.chance == 0
    assert not np.any(drawn[name].x)


@pytest.mark.parametrize(
    ("task", "sd", "quiet"),
    [
        (tasks.latch(0.3), 0.3, lambda x: x[:, 1:]),
        (tasks.relay(0.3), 0.3, lambda x: np.delete(x, [0, LENGTH // 2], axis=1)),
        (tasks.bengio(0.3), 0.3, lambda x: x[:, 3:, -1]),
        (tasks.two_sequence(noise=0.3), 0.3, lambda x: x[:, 3:]),
    ],
)
def test_noise_is_a_standard_deviation(task, sd, quiet):
    noise = quiet(np.asarray(episodes(task, KEY, 1024, LENGTH).x))
    # Standard error of a sample SD is sd / sqrt(2 n); 5 of them.
    assert abs(noise.std() - sd) < 5 * sd / math.sqrt(2 * noise.size)
    assert abs(noise.mean()) < 5 * sd / math.sqrt(noise.size)


def test_noise_of_steps_and_of_episodes_is_independent(drawn):
    noise = np.asarray(drawn["latch"].x)[:, 1:]
    for other in (np.roll(noise, 1, axis=1), np.roll(noise, 1, axis=0)):
        assert abs(np.mean(noise * other)) / 0.1**2 < 5 / math.sqrt(noise.size)


def test_latch_asks_for_the_sign_of_its_first_input(drawn):
    x, target = np.asarray(drawn["latch"].x), np.asarray(drawn["latch"].target)
    assert np.array_equal(np.sign(x[:, 0]), target)  # 10 standard deviations away


def test_relay_asks_for_the_product_of_first_and_middle(drawn):
    x, target = np.asarray(drawn["relay"].x), np.asarray(drawn["relay"].target)
    assert np.array_equal(x[:, 0] * x[:, LENGTH // 2], target)
    assert set(map(tuple, x[:4, [0, LENGTH // 2]])) == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


def test_bengio_shows_its_class_one_step_at_a_time(drawn):
    x, target = np.asarray(drawn["bengio"].x), np.asarray(drawn["bengio"].target)
    evidence = np.where(target[:, None, None] < 0, np.eye(3, 6), np.eye(3, 6, 3))
    assert np.array_equal(x[:, :3, :6], evidence)
    assert not np.any(x[:, 3:, :6])
    assert not np.any(x[:, :3, 6])
    assert set(np.unique(np.abs(target))) == {np.float32(0.8)}


@pytest.mark.parametrize(("name", "combine"), [("adding", np.add), ("multiplication", np.multiply)])
def test_two_marks_one_in_each_half_make_the_target(name, combine, drawn):
    x, target = np.asarray(drawn[name].x), np.asarray(drawn[name].target)
    value, mark = x[..., 0], x[..., 1]
    half = LENGTH // 2
    assert np.all(mark[:, :half].sum(1) == 1)
    assert np.all(mark[:, half:].sum(1) == 1)
    marked = value[mark == 1].reshape(-1, 2)
    np.testing.assert_allclose(combine(marked[:, 0], marked[:, 1]), target, rtol=1e-6)
    assert (value.min() >= 0) & (value.max() < 1)
    assert abs(value.mean() - 0.5) < 5 * math.sqrt(1 / 12 / value.size)
    assert np.all(mark.sum(0) > 0)  # every step is marked in some episode


def test_temporal_order_shows_two_symbols_in_their_windows(drawn):
    x, target = np.asarray(drawn["temporal_order"].x), np.asarray(drawn["temporal_order"].target)
    assert np.all(x.sum(-1) == 1)
    symbol = x.argmax(-1)
    informative = symbol < 2
    assert np.all(informative.sum(1) == 2)
    where = np.nonzero(informative)[1].reshape(-1, 2)
    tenth = LENGTH // 10
    assert set(where[:, 0]) == set(range(tenth, 2 * tenth))
    assert set(where[:, 1]) == set(range(LENGTH // 2, LENGTH // 2 + tenth))
    first, second = (symbol[np.arange(len(symbol)), w] for w in where.T)
    assert np.array_equal(2 * first + second, target)


def test_parity_counts_positive_inputs():
    for jitter in (0.0, 0.2):
        drawn = episodes(tasks.parity(jitter), KEY, 512, LENGTH)
        x, target = np.asarray(drawn.x), np.asarray(drawn.target)
        assert np.array_equal(np.where((x > 0).sum(1) % 2 == 1, 1, -1), target)
        assert np.abs(np.abs(x) - 1).max() <= jitter
        assert (np.ptp(x[x > 0]) > 0) == (jitter > 0)
        # Fair coins: every step, the last included, is positive in half of the episodes.
        assert np.all(np.abs((x > 0).mean(0) - 0.5) < 5 * 0.5 / math.sqrt(512))


def test_two_sequence_shows_its_class_first():
    drawn = episodes(tasks.two_sequence(evidence=2), KEY, 64, LENGTH)
    x, target = np.asarray(drawn.x), np.asarray(drawn.target)
    assert np.array_equal(x[:, :2], np.repeat(target[:, None], 2, axis=1))
    assert x[:, 2:].std() == pytest.approx(math.sqrt(0.2), rel=0.1)
    assert not np.array_equal(np.sign(x[:, 2]), target)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("latch", {"noise": float("nan")}, "noise must be a finite number, at least 0; given nan"),
        ("latch", {"noise": -1.0}, "noise must be a finite number, at least 0; given -1.0"),
        ("relay", {"noise": float("inf")}, "noise must be a finite number, at least 0; given inf"),
        ("pascanu", {"start": float("-inf")}, "start must be a finite number; given -inf"),
        ("bengio", {"evidence": 0}, "evidence must be a finite number, at least 1; given 0"),
        ("parity", {"jitter": -0.5}, "jitter must be a finite number, at least 0"),
        ("two_sequence", {"noise": -0.5}, "noise must be a finite number, at least 0"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        tasks.known()[name](**options)

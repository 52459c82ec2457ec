"""Losses and objectives against their formulas in plain NumPy."""

import functools
import math
from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from landscape import losses

LOGITS = jnp.asarray([0.3, -1.2, 2.0])


def test_cross_entropy_is_minus_log_softmax():
    p = np.exp(LOGITS) / np.exp(LOGITS).sum()
    for label in range(3):
        assert float(losses.cross_entropy(LOGITS, label)) == pytest.approx(-math.log(p[label]), rel=1e-6)
        assert float(losses.classes.loss(LOGITS, label)) == float(losses.cross_entropy(LOGITS, label))
        assert bool(losses.classes.correct(LOGITS, label)) == (label == 2)


def test_squared_error_averages_outputs():
    assert float(losses.squared_error(jnp.asarray([1.0, 4.0]), 2.0)) == 2.5


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("logit", [-40.0, -0.7, 0.2, 40.0])
def test_one_logit_and_two_agree(logit, sign):
    one, target = jnp.asarray(logit), jnp.asarray(sign)
    two = jnp.stack([jnp.zeros(()), one])
    expected = math.log1p(math.exp(-logit * sign)) if logit * sign > -30 else -logit * sign
    for objective, answer in ((losses.sigmoid, one), (losses.softmax, two)):
        assert float(objective.loss(answer, target)) == pytest.approx(
            expected, rel=1e-5, abs=1e-16
        )  # e^-40 is lost beside 40
        assert bool(objective.correct(answer, target)) == (logit * sign > 0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_probability_is_the_squared_error_of_the_logistic(sign):
    p = 1 / (1 + math.exp(-0.7))
    expected = (p - (sign > 0)) ** 2
    assert float(losses.probability.loss(jnp.asarray(0.7), jnp.asarray(sign))) == pytest.approx(expected, rel=1e-6)
    assert bool(losses.probability.correct(jnp.asarray(0.7), jnp.asarray(sign))) == (sign > 0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_raw_scores_the_state_itself(sign):
    assert float(losses.raw.loss(jnp.asarray(0.5), jnp.asarray(sign))) == (0.5 - sign) ** 2
    assert bool(losses.raw.correct(jnp.asarray(0.5), jnp.asarray(sign))) == (sign > 0)


def test_within_counts_near_answers_as_right():
    objective = losses.within(0.04)
    assert bool(objective.correct(jnp.asarray(0.53), jnp.asarray(0.5)))
    for far in (0.55, 0.45, -3.0):
        assert not bool(objective.correct(jnp.asarray(far), jnp.asarray(0.5)))
    assert float(objective.loss(jnp.asarray(0.75), jnp.asarray(0.5))) == 0.0625


# The published split of latching: 5000 labels of class 1 and 3000 of class 0 to train on, 2000 of class 0 to validate.
TRAIN, VALIDATION = np.repeat([1.0, -1.0], [5000, 3000]), np.full(2000, -1.0)


@pytest.mark.parametrize(
    ("objective", "train", "validation"), [("sigmoid", 0.66156, 0.98083), ("probability", 0.234375, 0.390625)]
)
def test_the_best_constant_under_the_published_split(objective, train, validation):
    """A constant answers with the training frequency 5/8: its losses are known in closed form, its accuracy is 0."""
    logit, objective = jnp.asarray(math.log(5 / 3)), getattr(losses, objective)
    for targets, expected in ((TRAIN, train), (VALIDATION, validation)):
        loss = jnp.mean(jax.vmap(objective.loss, (None, 0))(logit, jnp.asarray(targets, jnp.float32)))
        assert float(loss) == pytest.approx(expected, abs=6e-6)  # half a digit of the published value
    assert not bool(objective.correct(logit, jnp.asarray(-1.0)))


@pytest.mark.parametrize("label", [-1, 3, 100])
def test_a_label_that_no_output_stands_for_has_no_loss(label):
    assert np.isnan(losses.cross_entropy(LOGITS[:3], label))
    assert np.isnan(jax.jit(losses.cross_entropy)(LOGITS[:3], label))


def test_a_label_is_one_number():
    assert losses.cross_entropy(LOGITS, np.array([1])) == losses.cross_entropy(LOGITS, 1)
    with pytest.raises(
        ValueError, match=r"a label is one whole number, given \(2,\); argmax makes it of one-hot targets"
    ):
        losses.cross_entropy(LOGITS, np.array([0.0, 1.0]))


def exact_cross_entropy(logits, label):
    """-log softmax, gradient and Hessian by 40 digits, without a difference of close numbers."""
    with localcontext() as context:
        context.prec = 40
        weights = [Decimal(float(logit)).exp() for logit in logits]
        p = [weight / sum(weights) for weight in weights]
        rest = [sum(q for j, q in enumerate(p) if j != i) for i in range(len(p))]
        loss = (1 + sum(w for j, w in enumerate(weights) if j != label) / weights[label]).ln()
        first = [-rest[i] if i == label else p[i] for i in range(len(p))]
        second = [[p[i] * rest[i] if i == j else -p[i] * p[j] for j in range(len(p))] for i in range(len(p))]
        return float(loss), np.array(first, float), np.array(second, float)


@functools.cache
def derivatives(loss):
    """``answers (draw, ...), labels (draw,) -> loss``, gradient, and Hessian forward over reverse, forward twice."""
    every = lambda y, k: (loss(y, k), jax.grad(loss)(y, k), jax.jacfwd(jax.grad(loss))(y, k), jax.hessian(loss)(y, k))  # noqa: E731
    return jax.jit(jax.vmap(every))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_confident_answer_keeps_its_loss_gradient_and_hessian(dtype, classes):
    """The difference of two logits of up to 30 rounds to 15 eps of 1, and so much is lost in its exponential: 30 eps.

    By p - 1 the gradient of a right answer is 0 in float32 from a difference of 17 on, where it is 4e-8.
    """
    rng, eps = np.random.default_rng(0), float(np.finfo(dtype).eps)
    logits, labels = rng.uniform(-30, 30, (100, classes)).astype(dtype), rng.integers(0, classes, 100)
    with jax.enable_x64(dtype == "float64"):
        found = [np.asarray(each, float) for each in derivatives(losses.cross_entropy)(logits, labels)]
    for got, (loss, first, second) in zip(
        zip(*found, strict=True), map(exact_cross_entropy, logits, labels), strict=True
    ):
        assert got[0] == pytest.approx(loss, rel=30 * eps)
        np.testing.assert_allclose(got[1], first, rtol=30 * eps)
        for hessian in got[2:]:
            assert np.max(np.abs(hessian - second)) < 30 * eps * np.max(np.abs(second))


@pytest.mark.parametrize("name", ["binary", "probability", "scaled"])
def test_a_confident_logit_keeps_its_loss_and_derivatives(name):
    """Against float64, where differences of up to 30 leave three digits to p - 1: its own law is the one above."""
    loss = {
        "binary": losses.binary_cross_entropy,
        "probability": lambda y, k: losses.probability.loss(y, 2 * k - 1),
        "scaled": lambda y, k: losses.blind_scaled(1.0).loss(jnp.stack([jnp.zeros_like(y), y]), 2 * k - 1),
    }[name]
    logits, labels = np.linspace(-20, 20, 81, dtype=np.float32), np.arange(81) % 2
    found = derivatives(loss)(logits, labels.astype(np.float32))
    for y, k, *got in zip(logits, labels, *map(np.asarray, found), strict=True):
        value, first, second = exact_cross_entropy([0.0, y], int(k))
        first, second = first[1], second[1, 1]
        if name == "probability":  # w = s(-y) for label 1: loss w², slope 2 w w'
            wrong = abs(first)
            value, first, second = wrong**2, 2 * wrong * first * (1 - wrong), 2 * second * wrong * (2 - 3 * wrong)
        np.testing.assert_allclose(got, [value, first, second, second], rtol=3e-6, atol=1e-35)


def test_cross_entropy_of_an_infinite_logit_is_0_or_infinite():
    logits = jnp.array([0.0, jnp.inf])
    assert float(losses.cross_entropy(jnp.array([0.0, -jnp.inf]), 0)) == 0
    assert float(losses.cross_entropy(jnp.array([0.0, -jnp.inf]), 1)) == math.inf
    assert not float(losses.cross_entropy(logits, 1)) > 0


def test_cross_entropy_in_double_precision_mixes_no_integers() -> None:
    with jax.enable_x64(True):
        logits = jnp.asarray([0.5, -1.0, 2.0])
        value, slope = jax.value_and_grad(losses.cross_entropy)(logits, jnp.asarray(1))
    assert value.dtype == np.float64
    p = np.exp([0.5, -1.0, 2.0]) / np.exp([0.5, -1.0, 2.0]).sum()
    np.testing.assert_allclose(slope, p - [0, 1, 0], rtol=1e-14)


def test_keys_are_bernoulli_and_summed():
    logits, held = np.array([-2.0, 0.3, 30.0, -30.0]), np.array([0.0, 1.0, 1.0, 1.0])
    loss, right = jax.jit(lambda y, x: (losses.keys.loss(y, x), losses.keys.correct(y, x)))(logits, held)
    assert float(loss) == pytest.approx(-stats.bernoulli.logpmf(held[:3], 1 / (1 + np.exp(-logits[:3]))).sum() + 30)
    assert not bool(right)
    assert bool(losses.keys.correct(jnp.asarray([-1.0, 2.0]), jnp.asarray([0, 1])))


def spoken(parts, samples):
    """An answer of a mixture as weights, means and deviations, and the answer itself."""
    rng = np.random.default_rng(0)
    answer = rng.normal(size=parts * (1 + 2 * samples)).astype(np.float32)
    means, spread = answer[parts:].reshape(2, parts, samples).astype(float)
    weights = np.exp(answer[:parts].astype(float))
    return answer, weights / weights.sum(), means, losses.NARROWEST + np.exp(spread)


def test_a_mixture_is_the_density_of_its_gaussians():
    answer, weights, means, deviations = spoken(3, 4)
    frame = np.array([0.3, -1.0, 2.0, 0.1], np.float32)
    density = sum(w * stats.norm.pdf(frame, m, s).prod() for w, m, s in zip(weights, means, deviations, strict=True))
    objective = losses.mixture(3, 4)
    assert objective.target == (4,)
    assert float(jax.jit(objective.loss)(answer, frame)) == pytest.approx(-np.log(density), rel=1e-5)
    middle = (weights @ means).astype(np.float32)
    right = jax.jit(jax.vmap(objective.correct, (None, 0)))(answer, np.stack([middle, -middle]))
    assert right.tolist() == [True, False]


@pytest.mark.parametrize("samples", [1, 2])
def test_a_mixture_integrates_to_one(samples):
    answer, *_ = spoken(3, samples)
    axis = np.linspace(-30, 30, 601, dtype=np.float32)  # deviations are 0.3 to 3 here: steps of .1 are fine enough
    points = np.stack(np.meshgrid(*[axis] * samples), -1).reshape(-1, samples)
    loss = jax.jit(jax.vmap(losses.mixture(3, samples).loss, (None, 0)))(answer, points)
    assert np.exp(-np.asarray(loss, float)).sum() * 0.1**samples == pytest.approx(1, abs=1e-4)


def test_a_mixture_refuses_what_it_cannot_score():
    with pytest.raises(ValueError, match="1 part or more of frames of 1 sample or more, given 0 and 3"):
        losses.mixture(0, 3)
    with pytest.raises(ValueError, match=r"2 Gaussians of 3 samples are told by 14 numbers, given \(5,\)"):
        losses.mixture(2, 3).loss(jnp.zeros(5), jnp.zeros(3))

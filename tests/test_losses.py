"""Losses and objectives against their formulas in plain NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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

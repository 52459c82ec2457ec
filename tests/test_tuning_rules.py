"""The rules of thumb: their verdicts follow the runs, in planted worlds that flip them, and their measures laws."""

import numpy as np
import pytest
import xarray

from landscape import names, success, verdicts

ROOT = names.shipped("experiments").parent
rules, figure = (names.module(str(ROOT / f"{room}/tuning_rules.py")) for room in ("experiments", "figures"))


def world(**planted):
    """Effects of all rules at twice their bound and .1 more, but those that are ``planted``, with some noise."""
    rng = np.random.default_rng(0)
    means = {name: 2 * max(bound, 0) + 0.1 for name, (_, _, bound) in rules.RULES.items()} | planted
    return {name: mean + rng.normal(0, 0.01, 8) for name, mean in means.items()}


@pytest.mark.parametrize("name", list(rules.RULES))
def test_each_rule_holds_fails_or_is_open_as_its_effect_is_planted(name):
    bound = rules.RULES[name][2]
    words = []
    for planted in (bound + 0.2, bound - 0.2, bound):
        found = rules.judge(world(**{name: planted}))
        words.append(found.verdict.sel(rule=name).item())
        assert (found.verdict.drop_sel(rule=name) == verdicts.HOLDS).all()
    assert words == [verdicts.HOLDS, verdicts.FAILS, verdicts.UNKNOWN]


def test_the_mean_of_few_runs_has_students_interval_and_of_one_or_of_an_infinite_one_no_end():
    found = success.mean([1.0, 2.0, 3.0])
    half = 4.302652729911275 / 3**0.5  # t of 2 degrees of freedom at .975; deviation 1
    np.testing.assert_allclose(found, (2, 2 - half, 2 + half), rtol=1e-9)
    assert np.ptp(success.mean([1.0, 2.0, 3.0], 0.5)[1:]) < 2 * half
    for values in ([1.0], [1.0, np.inf], []):
        assert success.mean(values)[1:] == (-np.inf, np.inf)


def test_an_effect_that_is_not_finite_is_not_told():
    found = rules.judge(world() | {"clip": np.array([1.0, np.inf])})
    assert found.verdict.sel(rule="clip").item() == verdicts.UNKNOWN


def test_more_rules_make_wider_intervals():
    effect = np.random.default_rng(1).normal(0.25, 0.3, 12)
    one, many = (verdicts.judged([verdicts.Rule("a", "b", effect)] * n)[0] for n in (1, 20))
    assert many.mean.low < one.mean.low < one.mean.value == many.mean.value
    assert many.mean[1:] == success.mean(effect, 1 - 0.05 / 20)[1:]


def test_temperature_never_lowers_entropy():
    logits = np.random.default_rng(2).normal(0, 4, (5, 100, 7))
    found = rules.entropies(logits)
    assert (np.diff(found, axis=0) >= 0).all()
    assert found[0].min() >= 0
    np.testing.assert_allclose(rules.entropies(np.zeros(7)), np.log(7), rtol=1e-12)


def test_the_slope_of_softsign_at_its_attractor_is_1_over_w():
    """Against an orbit of softsign itself; that of tanh at w = 2 is 2 (1 - x²), x = tanh(2 x) = .95750402."""
    x = 1.0
    for _ in range(500):
        x = 2 * x / (1 + 2 * x)
    assert 2 / (1 + 2 * x) ** 2 == pytest.approx(1 / 2)
    want = np.log10(0.5) - np.log10(2 * (1 - 0.95750402**2))
    np.testing.assert_allclose(rules.slopes(np.array([2.0])), want, rtol=1e-6)


def test_equal_singular_values_stretch_a_linear_network_by_their_power():
    rng = np.random.default_rng(3)
    assert rules.spread(rng, 1.1, "linear", 8, 20) == pytest.approx(20 * np.log10(1.1))
    assert rules.spread(rng, 1.1, "tanh", 8, 20) < 20 * np.log10(1.1)


def test_the_text_is_letters_and_its_parts_share_no_episode():
    task = rules.prose()
    assert task.options[0] == ("episodes", rules.EPISODES)
    assert task.chance == pytest.approx(np.log(27))


def invented():
    """A result of invented numbers, with what the figure reads."""
    rng = np.random.default_rng(4)
    shown = {
        "by_rate": (("line", "axis", "rate"), rng.uniform(1, 3, (len(rules.BY_RATE), 2, 3))),
        "val": (("net", "epoch"), rng.uniform(1, 2, (3, 9))),
        "norms": (("singular", "act"), rng.normal(size=(3, 2))),
        "variance": ("layer", rng.uniform(size=9)),
    }
    axes = {"line": list(rules.BY_RATE), "net": list(rules.BY_EPOCH), "singular": [0.9, 1.0, 1.1], "act": ["a", "b"]}
    found = rules.judge(world(stack=-1.0, dropout=0.0)).assign(shown).assign_coords(axes)
    return found.assign_attrs(seeds=8, epochs=15, blind=rules.BLIND)


def test_the_figure_counts_the_verdicts_and_shows_each():
    found = invented()
    assert figure.title(found).endswith("19 hold, 1 do not, 1 cannot be told")
    said = [text.get_text() for text in figure.page(found).axes[-1].texts]
    assert said.count("holds") == 19
    assert {"does not hold", "cannot tell"} <= set(said)
    assert "Two layers beat one of the same size: does not hold (nats one - two" in rules.sentence(found)


@pytest.mark.slow
def test_the_rules_are_asked_and_drawn():
    found = rules.run(quick=True)
    assert isinstance(found, xarray.Dataset)
    assert found.verdict.sel(rule="explode").item() == verdicts.HOLDS
    assert figure.page(found).axes

"""Importances judged from random trials agree with the exact ones, within the error that they state."""

import sys

import numpy as np
import pytest
import xarray

from landscape.sweeps import anova, draw, even, forest, log

RANGES = {"rate": log(1e-3, 1), "size": even(2, 40, whole=True), "noise": even(0, 1)}
MIDDLES = (np.arange(39) + 0.5) / 39


def share_of_range(name, value):
    """Which share of the draws of a setting lies below a value."""
    range_ = RANGES[name]
    low, high, value = (np.log(v) if range_.log else np.asarray(v, float) for v in (range_.low, range_.high, value))
    return (value - low) / (high - low)


def planted(rate, size):
    return rate + 0.65 * size + 0.5 * (rate - 0.5) * (size - 0.5)


def trials(count, seed, score=planted):
    drawn = {name: ("trial", values) for name, values in draw(RANGES, count, seed).items()}
    settings = [share_of_range(name, drawn[name][1]) for name in ("rate", "size")]
    return xarray.DataArray(score(*settings), drawn, ("trial",))


@pytest.mark.parametrize(
    ("count", "seed"), [(50, 0), *(pytest.param(200, seed, marks=pytest.mark.slow) for seed in range(3))]
)
def test_shares_of_random_trials_are_the_exact_ones_within_their_error(count, seed):
    values = planted(MIDDLES[:, None], MIDDLES)[..., None] + np.zeros(2)
    exact = anova(xarray.DataArray(values, dims=("rate", "size", "noise"))).sel(effect=list(RANGES))
    found = forest(trials(count, seed), RANGES, seed)
    assert found.effect.values.tolist() == list(RANGES)
    # three errors, and what a forest of so many trials smooths away: its trees split where there are trials
    np.testing.assert_array_less(abs(found.share - exact), 3 * found.error + 1 / count)
    assert found.error.max() < 2 / np.sqrt(count)


def test_a_logarithm_is_weighed_as_it_was_drawn():
    found = forest(trials(20, 0, lambda rate, size: rate), RANGES)
    assert found.share.sel(effect="rate") > 0.9


@pytest.mark.slow
def test_another_seed_is_another_forest():
    first, second = (forest(trials(20, 0), RANGES, seed).share for seed in (1, 2))
    assert np.any(first != second)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1.0], r"four trials or more; given one of shape \(1,\)"),
        ([1.0] * 6, "scores that differ; all 6 are 1"),
        ([1.0, np.nan, 2, np.inf], "2 of 4 trials have no finite score"),
    ],
)
def test_importance_of_nothing_is_refused(values, sentence):
    score = xarray.DataArray(values, {"rate": ("trial", np.ones(len(values)))}, ("trial",))
    with pytest.raises(ValueError, match=sentence):
        forest(score, {"rate": RANGES["rate"]})


@pytest.mark.parametrize("library", ["optuna", "sklearn"])
def test_a_missing_library_is_one_sentence(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        ModuleNotFoundError, match=rf"by {library}, which is missing: pip install 'rnn-landscape\[search\]'"
    ):
        forest(trials(8, 0), RANGES)

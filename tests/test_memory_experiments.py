"""What the experiments after Bengio et al. (1994) and Pascanu et al. (2013) hold fixed, and what they change."""

from pathlib import Path

import numpy as np
import pytest
import xarray

from landscape import names, plots, store

ROOT = Path(__file__).parents[1]
bengio = names.module(str(ROOT / "experiments/bengio_1994.py"))
clipping = names.module(str(ROOT / "experiments/clipping_and_omega.py"))


@pytest.fixture(scope="module")
def descent():
    """Right signs, final w and squared error (length, point, run) of 60 updates from w = 1.25."""
    return bengio.trained([(1.25, 0.0, 1.0), (1.25, 0.0, 0.0), (1.25, 3.0, 1.0)], (4, 6), runs=2, updates=60)


def test_without_noise_a_few_steps_are_learned_and_under_heavy_noise_they_are_not(descent):
    right = descent[0]
    assert right.shape == (2, 3, 2)
    assert (right[:, :2] >= bengio.CONVERGED).all()
    assert (right[:, 2] < 0.9).all()


def test_a_weight_that_is_kept_stays_and_a_trained_one_moves(descent):
    w = descent[1]
    assert (w[:, 1] == np.float32(1.25)).all()
    assert (np.abs(w[:, 0] - 1.25) > 1e-3).all()


def test_the_share_that_converged_is_told_with_wilsons_interval():

    assert bengio.describe(xarray.DataArray([1.0, 0.99, 0.5, 0.2])) == "0.50 (0.15 to 0.85)"


@pytest.fixture(scope="module")
def rules():
    """The three rules on a few episodes, with a clip that binds and large weights."""
    options = {"lengths": (12,), "seeds": 2, "units": 4, "sd": 0.6, "epochs": 2, "count": 200, "out": None}
    return clipping.run(clip=0.01, **options)


@pytest.mark.slow
def test_all_rules_begin_alike_and_each_learns_otherwise(rules):
    assert list(rules.rule.values) == ["SGD", "SGD, clipped", "SGD, clipped, Omega"]
    assert np.isfinite(rules.accuracy).all()
    largest = rules.largest.isel(length=0).values  # before clipping, and after weights have gone different ways
    assert (largest[0] != largest[1]).all()
    assert (largest[1] != largest[2]).all()


@pytest.mark.slow
def test_success_is_told_for_every_rule_and_length(rules):
    text = clipping.sentence(rules.assign(accuracy=rules.accuracy * 0 + 1))
    assert text.count("T = 12 1.00 (0.34 to 1.00)") == 3
    assert "temporal_order" in text


@pytest.mark.slow
def test_the_rules_are_kept_by_task_and_drawn_from_what_is_kept(rules, tmp_path, monkeypatch):
    options = {"lengths": (12,), "seeds": 2, "units": 4, "sd": 0.6, "epochs": 2, "count": 200, "out": str(tmp_path)}
    xarray.testing.assert_allclose(clipping.run(clip=0.01, **options), rules)
    monkeypatch.setattr(clipping, "train", lambda *_, **options: pytest.fail("computed again"))
    xarray.testing.assert_equal(clipping.run(clip=0.01, **options).load(), rules)
    with pytest.raises(store.StoreError, match=r"clip: 0\.01 there, 0\.02 asked"):
        clipping.run(clip=0.02, **options)
    shown, save = {}, plots.save
    monkeypatch.setattr(plots, "save", lambda figure, *files: save(shown.setdefault(files, figure), *files))
    names.module(str(ROOT / "figures" / "clipping_and_omega.py")).draw(
        tmp_path / "temporal_order" / "rules.zarr", tmp_path
    )
    (figure,) = shown.values()
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    for rule, name in zip(rules.rule.values, ("SGD", "clipped", "clipped + Omega"), strict=True):
        assert lines[name] == float((rules.accuracy.sel(rule=rule) >= 0.99).mean())

"""Laws of a search: what is drawn, what it resumes to, whose variance it is, and whether groups differ. NumPy alone."""

import itertools
import math
import time

import numpy as np
import pytest
import scipy.stats
import xarray

from landscape import comparisons, sweeps
from landscape.sweeps import Range, anova, draw, even, log, ranked, search

RANGES = {"rate": log(1e-6, 1e-2), "size": log(4, 24, whole=True), "noise": even(0, 1)}


def test_draws_lie_in_their_range_and_are_uniform_there():
    found = draw(RANGES, 4000)
    for name, share in (
        ("rate", (np.log(found["rate"]) - math.log(1e-6)) / math.log(1e4)),
        ("noise", np.asarray(found["noise"])),
    ):
        assert scipy.stats.kstest(share, "uniform").pvalue > 1e-3, name
    assert set(found["size"]) == set(range(4, 25))
    assert all(isinstance(size, int) for size in found["size"])
    assert abs(np.corrcoef(np.log(found["rate"]), found["noise"])[0, 1]) < 5 / math.sqrt(4000)


def test_more_trials_and_other_settings_never_change_what_was_drawn():
    few, other = draw(RANGES, 5), draw({"noise": even(0, 1)}, 5)
    assert {name: values[:5] for name, values in draw(RANGES, 9).items()} == few
    assert few["noise"] == other["noise"]
    assert draw(RANGES, 5, seed=1) != few


def planted(rate: float, noise: float, size: int, shift: float = 0.0) -> xarray.Dataset:
    """What a run of a search returns."""
    return xarray.Dataset({"score": np.log10(rate) ** 2 + noise + shift, "seen": size})


class Enough(Exception):
    pass


def test_a_search_is_one_dataset_by_trial_and_resumes_to_the_same_bits(tmp_path):
    whole = search(planted, RANGES, 6, {"shift": 2.0}, out=tmp_path / "whole.zarr")
    assert whole.score.dims == ("trial",)
    found = draw(RANGES, 6)
    np.testing.assert_array_equal(whole.seen, found["size"])
    np.testing.assert_array_equal(whole.score, np.log10(found["rate"]) ** 2 + found["noise"] + 2)
    assert whole.attrs["ranges"].startswith(
        "rate: 1e-06 to 0.01, uniform in the logarithm; size: whole numbers 4 to 24"
    )

    def stop(state):
        if state.done == 3:
            raise Enough("three are done")

    with pytest.raises(Enough, match="three are done"):
        search(planted, RANGES, 6, {"shift": 2.0}, out=tmp_path / "killed.zarr", progress=stop)
    again = search(planted, RANGES, 6, {"shift": 2.0}, out=tmp_path / "killed.zarr")
    np.testing.assert_array_equal(again.score, whole.score)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: log(-1, 1),
            "a range on a log scale must not touch zero; given -1 to 1: begin above 0, or draw evenly",
        ),
        (lambda: log(0, 1), "must not touch zero"),
        (lambda: even(1, 1), "a range needs two finite ends, the lower one first; given 1 to 1"),
        (lambda: Range(0, math.inf), "two finite ends"),
        (lambda: draw({}, 3), "a search needs a range and a trial or more; given 0 ranges, 3 trials"),
        (lambda: draw(RANGES, 0), "given 3 ranges, 0 trials"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_diverged_is_ranked_last_and_never_dropped():
    assert ranked(np.array([2.0, np.nan, 1.0, np.inf])).tolist() == [2, 0, 1, 3]


def grid(f, **axes):
    """A function on a grid, as a DataArray."""
    mesh = np.meshgrid(*axes.values(), indexing="ij")
    return xarray.DataArray(f(*mesh), axes, tuple(axes))


MIDDLES = (np.arange(9) * 2 + 1) / 9 - 1  # midpoints of nine cells of [-1, 1]


def test_shares_of_a_planted_polynomial_are_those_of_its_closed_form_and_sum_to_one():
    found = anova(grid(lambda a, b, c: 3 * a**2 + b + a * b / 2 + 0 * c, a=MIDDLES, b=MIDDLES, c=MIDDLES))
    second, fourth = (MIDDLES**2).mean(), (MIDDLES**4).mean()
    parts = {"a": 9 * (fourth - second**2), "b": second, "a x b": second**2 / 4}
    whole = sum(parts.values())
    assert found.effect.values.tolist() == ["a", "b", "c", "a x b", "a x c", "b x c", "a x b x c"]
    for name in found.effect.values:
        assert found.sel(effect=name).item() == pytest.approx(parts.get(name, 0) / whole, abs=1e-12)
    assert found.sum().item() == pytest.approx(1, rel=1e-12)


def test_where_values_lie_matters_and_finer_grids_tend_to_the_integral():
    polynomial = lambda a, b: 3 * a**2 + b + a * b / 2  # noqa: E731
    exact = (9 * 4 / 45) / (9 * 4 / 45 + 1 / 3 + 1 / 36)
    shares = {}
    for name, axis in {
        "ends": np.linspace(-1, 1, 9),
        "middles": MIDDLES,
        "fine": (np.arange(999) * 2 + 1) / 999 - 1,
    }.items():
        shares[name] = anova(grid(polynomial, a=axis, b=axis)).sel(effect="a").item()
    assert [round(shares[name], 3) for name in ("ends", "middles")] == [0.723, 0.678]
    assert shares["fine"] == pytest.approx(exact, abs=1e-5)


def test_768_points_take_less_than_ten_milliseconds():
    score = grid(lambda a, b, c, d: a * b + c - d**2, a=np.arange(12), b=np.arange(4), c=np.arange(4), d=np.arange(4))
    anova(score)
    took = []
    for _ in range(5):
        began = time.process_time()
        anova(score)
        took.append(time.process_time() - began)
    assert min(took) < 0.01


def test_a_grid_with_holes_is_refused_with_the_points_that_are_missing():
    score = grid(lambda a, b: a + b, rate=np.array([0.1, 0.2]), size=np.array([4.0, 8.0]))
    score[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"it is missing at \(rate=0.2, size=4.0\): compute them"):
        anova(score)
    with pytest.raises(ValueError, match=r"\(rate=0.2, size=8.0\) and 1 more|missing at"):
        anova(score.where(score > 99))


@pytest.mark.parametrize("score", [np.ones((2, 2)), np.ones((1, 1))])
def test_importance_of_a_constant_or_of_one_trial_is_refused(score):
    with pytest.raises(ValueError, match="importance needs scores that differ; given"):
        anova(xarray.DataArray(score, {"a": range(len(score)), "b": range(len(score))}, ("a", "b")))


GROUPS = {
    "V": np.array([0.50, 0.51, 0.49, 0.52, 0.50]),
    "NFG": np.array([0.44, 0.49, 0.41, 0.47, 0.45, 0.46]),
    "NOG": np.array([0.51, 0.50, 0.52, 0.50]),
}


def test_welch_is_that_of_scipy_and_its_interval_that_of_the_formula():
    found = comparisons.welch(GROUPS, "V")
    assert found.group.values.tolist() == ["NFG", "NOG"]
    for name in ("NFG", "NOG"):
        one, base, row = GROUPS[name], GROUPS["V"], found.sel(group=name)
        assert row.p.item() == pytest.approx(scipy.stats.ttest_ind(one, base, equal_var=False).pvalue, rel=1e-12)
        parts = [np.var(g, ddof=1) / len(g) for g in (one, base)]
        freedom = sum(parts) ** 2 / sum(v**2 / (len(g) - 1) for v, g in zip(parts, (one, base), strict=True))
        half = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
        assert row.difference.item() == pytest.approx(one.mean() - base.mean(), rel=1e-12)
        assert (row.high - row.low).item() / 2 == pytest.approx(half, rel=1e-9)
        assert row.effect_size.item() == pytest.approx(
            (one.mean() - base.mean()) / math.sqrt((np.var(one, ddof=1) + np.var(base, ddof=1)) / 2), rel=1e-12
        )
    assert found.holm.sel(group="NFG") == min(1, 2 * found.p.sel(group="NFG"))


def test_holm_raises_p_step_by_step():
    np.testing.assert_allclose(comparisons.holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])  # 3, 2, 1 times
    np.testing.assert_allclose(comparisons.holm(np.array([0.9, 0.6])), [1, 1])
    rng = np.random.default_rng(0)
    families = [comparisons.holm(rng.random(8)).min() < 0.05 for _ in range(2000)]
    assert abs(np.mean(families) - 0.05) < 5 * math.sqrt(0.05 * 0.95 / 2000)  # one false alarm in twenty families


def test_rank_correlation_is_spearmans_with_the_p_of_all_orders():
    x, y = np.array([1.0, 5.0, 2.0, 2.0, 9.0, 7.0]), np.array([0.1, 0.4, 0.2, 0.5, 0.9, 0.4])
    r, p = comparisons.rank_correlation(x, y)
    assert r == pytest.approx(scipy.stats.spearmanr(x, y).statistic, rel=1e-12)
    orders = [scipy.stats.spearmanr(x[list(order)], y).statistic for order in itertools.permutations(range(6))]
    every = np.mean(np.abs(orders) >= abs(r) - 1e-12)
    assert abs(p - every) < 5 * math.sqrt(every / 9999)  # of all 720 orders
    assert comparisons.rank_correlation(np.ones(6), y)[1] == 1
    for lost in (np.nan, np.inf):  # a run that diverged has no rank
        spoilt = np.r_[lost, x[1:]]
        assert comparisons.rank_correlation(spoilt, y)[1] == comparisons.rank_correlation(y, spoilt)[1] == 1
        assert comparisons.rank_interval(spoilt, y) == (-1, 1)


def test_the_interval_of_a_rank_correlation_is_the_bootstraps():
    rng = np.random.default_rng(1)
    x = rng.normal(size=60)
    y = x + rng.normal(size=60)
    low, high = comparisons.rank_interval(x, y)
    assert low < comparisons.rank_correlation(x, y)[0] < high
    theirs = scipy.stats.bootstrap(
        (x, y), lambda a, b: scipy.stats.spearmanr(a, b).statistic, paired=True, vectorized=False, n_resamples=999,
        method="percentile",
    ).confidence_interval  # fmt: skip
    np.testing.assert_allclose((low, high), (theirs.low, theirs.high), atol=0.04)  # a quantile of 999 draws
    assert comparisons.rank_interval(x, np.exp(x)) == (1, 1)
    few, none = comparisons.rank_interval(x[:6], y[:6]), comparisons.rank_interval(np.ones(6), x[:6])
    assert few[1] - few[0] > high - low
    assert none == (-1, 1)


def test_groups_that_do_not_vary_are_compared_by_their_means():
    same, other = np.full(3, 0.5), np.full(3, 0.7)
    found = comparisons.welch({"V": same, "equal": same, "apart": other}, "V")
    assert found.p.values.tolist() == [1, 0]
    assert found.effect_size.values.tolist() == [0, np.inf]


@pytest.mark.parametrize(
    ("groups", "to", "message"),
    [
        ({"V": [1.0, 2.0], "A": [1.0]}, "V", "two finite scores or more of each group; A has 1, of which 1 are finite"),
        ({"V": [1.0, np.inf], "A": [1.0, 2.0]}, "V", "V has 2, of which 1 are finite"),
        ({"V": [1.0, 2.0]}, "V", "there is no group 'V' beside others to compare with"),
        ({"A": [1.0, 2.0]}, "V", "there is no group 'V'"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused(groups, to, message):
    with pytest.raises(ValueError, match=message):
        comparisons.welch(groups, to)


def test_the_names_of_a_search_are_those_of_sweeps():
    assert {"anova", "draw", "even", "log", "search"} <= set(sweeps.__all__)

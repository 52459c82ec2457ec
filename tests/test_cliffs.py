"""Cliffs measured on surfaces and cuts, against their closed forms and against made-up surfaces with known ridges."""

import math

import jax
import numpy as np
import pytest
import xarray

from landscape import cliffs, dynamics
from landscape.cells import GRU, LSTM, SRNN, Pascanu, logistic
from landscape.engine import Evaluator
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.surfaces import surface, values
from landscape.tasks import latch, pascanu, reach

FREE = plane(Pascanu(), w=(-10.0, 10.0), b=(-10.0, 10.0))
LENGTHS = (20, 40, 50, 70, 100)


@pytest.fixture(scope="module")
def basin():
    return cliffs.cut(FREE, Recurrence(pascanu(), LENGTHS), {"w": 5.0, "b": -3.0}, {"w": 5.0, "b": -2.0})


@pytest.fixture(scope="module")
def fold():
    return cliffs.cut(FREE, Recurrence(pascanu(), (1000, 2000, 4000, 8000)), (4.1, -2.2), (4.1, -2.0))


@pytest.fixture(scope="module")
def coarse():
    window = plane(Pascanu(), w=np.linspace(4.6, 6.6, 9), b=np.linspace(-4.0, -1.0, 1001))
    return surface(window, pascanu(), (2, 50, 100), order=2, dtype="float64")


def line(w):
    with jax.enable_x64(True):
        cliff = dynamics.cliff_line(logistic, w, 0.5)
        return np.asarray(cliff.b), np.asarray(cliff.multiplier)


def drawn(loss, shape=(31, 41)):
    """A surface made of a formula, with the derivatives that autodiff gives."""
    w, b = np.linspace(-1, 1, shape[0]), np.linspace(-2, 2, shape[1])
    with jax.enable_x64(True):
        across = lambda f: np.asarray(jax.vmap(jax.vmap(f, (None, 0)), (0, None))(w, b))[None]  # noqa: E731
        found = {"loss": across(loss)}
        for a, k in (("w", 0), ("b", 1)):
            found[f"d_{a}"] = across(jax.grad(loss, k))
        for a, k, l in (("w_w", 0, 0), ("w_b", 0, 1), ("b_b", 1, 1)):
            found[f"d_{a}"] = across(jax.grad(jax.grad(loss, k), l))
    dims = ("length", "w", "b")
    return xarray.Dataset({name: (dims, v) for name, v in found.items()}, coords={"length": [7], "w": w, "b": b})


# Cuts


def test_a_cut_finds_the_true_maximum_at_any_length(basin):
    assert np.all(basin["resolved"])
    assert float(basin["slope"].sel(length=50)) == pytest.approx(5751.099, abs=6e-4)
    # From T = 100 on the maximum is the limit c m**T / (m - 1), c = .3183.
    _, m = line(5.0)
    assert float(basin["slope"].sel(length=100)) == pytest.approx(0.3183 * m**100 / (m - 1), rel=2e-4)
    six = cliffs.cut(FREE, Recurrence(pascanu(), LENGTHS), (6.0, -4.0), (6.0, -2.5))
    assert float(six["slope"].sel(length=50)) == pytest.approx(1.663034e7, rel=1e-6)
    assert float(six["height"].sel(length=50)) == pytest.approx(0.384279804115, rel=3e-3)


def test_the_ridge_of_a_basin_cliff_stays_at_its_place_in_the_scaled_coordinate(basin):
    b, m = line(5.0)
    z = (basin["b"] - b) * m ** basin["length"] / (m - 1)
    np.testing.assert_allclose(z[2:], -0.810, atol=2e-3)
    np.testing.assert_array_equal(basin["w"], 5.0)


def test_height_is_the_jump_between_plateaus_and_width_is_height_over_slope(basin, fold):
    # 20 widths from the ridge the loss has come within a thousandth of the plateau, which it nears as a power.
    np.testing.assert_allclose(basin["height"][2:], 0.331182375795, rtol=2e-3)
    for cliff in (basin, fold):
        np.testing.assert_allclose(cliff["width"], cliff["height"] / cliff["slope"])


def test_a_cut_along_the_other_coordinate_or_a_slant_meets_the_same_cliff():
    b, _ = line(5.0)
    slope = {}
    for name, shift in (("w", (0.4, 0.0)), ("b", (0.0, 0.4)), ("both", (0.3, 0.4))):
        ends = [(5 + sign * shift[0], float(b) + sign * shift[1]) for sign in (-1, 1)]
        found = cliffs.cut(FREE, Recurrence(pascanu(), LENGTHS), *ends).sel(length=100)
        np.testing.assert_allclose((found["w"], found["b"]), (5, b), atol=1e-5)
        slope[name] = float(found["slope"])
    assert slope["w"] / slope["b"] == pytest.approx(float(logistic(0.5)), rel=1e-3)
    assert slope["both"] == pytest.approx(0.6 * slope["w"] + 0.8 * slope["b"], rel=1e-3)


def test_the_number_of_samples_changes_nothing_but_the_way_there(basin):
    other = cliffs.cut(FREE, Recurrence(pascanu(), LENGTHS), (5.0, -3.0), (5.0, -2.0), points=21)
    np.testing.assert_allclose(other["slope"], basin["slope"], rtol=1e-6)
    assert not np.array_equal(other["b"], basin["b"])


def test_where_the_dtype_ends_first_the_slope_is_a_lower_bound_and_says_so(basin):
    single = cliffs.cut(FREE, Recurrence(pascanu(), LENGTHS, dtype="float32"), (5.0, -3.0), (5.0, -2.0))
    assert list(single["resolved"].values) == [True, False, False, False, False]
    assert float(single["slope"][0]) == pytest.approx(float(basin["slope"][0]), rel=1e-3)
    assert np.all(single["slope"][1:] < basin["slope"][1:])
    assert np.all(single["slope"][1:] > 100)
    np.testing.assert_allclose(single["height"][-1], 0.3312, atol=2e-3)


def test_a_cut_needs_two_points():
    with pytest.raises(ValueError, match="two different points"):
        cliffs.cut(FREE, Recurrence(pascanu(), LENGTHS), (5.0, -3.0), (5.0, -3.0))


# Growth


def test_a_basin_cliff_steepens_by_the_multiplier_of_the_unstable_state(basin):
    grown = cliffs.growth(basin.isel(length=slice(1, None)))
    assert grown.kind == "basin"
    assert grown.evidence > 10
    late = cliffs.cut(FREE, Recurrence(pascanu(), (70, 85, 100, 120, 140)), (5.0, -3.0), (5.0, -2.0))
    m = float(line(5.0)[1])
    grown = cliffs.growth(late, m)
    assert math.log(grown.multiplier) == pytest.approx(math.log(m), abs=1e-4)
    assert (grown.kind, grown.expected) == ("basin", m)


def test_a_fold_cliff_steepens_as_the_cube_and_creeps_as_the_inverse_square(fold):
    grown = cliffs.growth(fold)
    assert grown.kind == "fold"
    assert grown.evidence > 10
    assert grown.power == pytest.approx(3, abs=0.02)
    assert grown.shift < -30  # the fold is passed at T plus some tens of steps
    assert cliffs.growth(fold, 1.0).expected == 3
    assert math.isnan(grown.expected)
    T = fold["length"].values + 36.6
    np.testing.assert_allclose(fold["slope"][1:] / T[1:] ** 3, float(fold["slope"][-1]) / T[-1] ** 3, rtol=0.03)
    with jax.enable_x64(True):
        edge, constant = float(dynamics.folds(logistic, 4.1)[0]), float(dynamics.passage_constant(logistic, 4.1))
    error = 1 - (edge - fold["b"].values) * T**2 * constant / math.pi**2
    assert np.all(np.diff(error) < 0)
    assert abs(error[-1]) < 5e-3


def test_a_slope_that_settles_is_no_cliff():
    smooth = cliffs.cut(FREE, Recurrence(pascanu(), LENGTHS), (2.0, -4.0), (2.0, -2.5))
    grown = cliffs.growth(smooth)
    assert grown.kind == "none"
    assert str(grown) == "no cliff, it does not steepen with length"


@pytest.mark.parametrize(("multiplier", "power"), [(1.3, 0.0), (1.0, 3.0), (1.0, 2.0)])
def test_planted_laws_are_found(multiplier, power):
    T = np.array([100, 150, 220, 330, 500])
    slope = multiplier**T * (T + 25.0) ** power
    grown = cliffs.growth(xarray.Dataset({"slope": ("length", slope)}, {"length": T}))
    assert grown.kind == ("basin" if multiplier > 1 else "fold")
    fitted = grown.multiplier if multiplier > 1 else grown.power
    assert fitted == pytest.approx(max(multiplier, power), rel=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 12])
def test_a_law_pays_two_for_each_number_that_it_fits(seed):
    """AIC = n ln(residual) + 2 k. At seed 12 the power law fits better, by its one number more and by less than 2."""
    T, rng = np.arange(20, 100, 10), np.random.default_rng(seed)
    target = 0.05 * T + 0.15 * rng.normal(size=8)
    residual = lambda x: np.polyfit(x, target, 1, full=True)[1][0]  # noqa: E731
    powers = [residual(np.log(T - shift)) for shift in 20 * np.linspace(-0.9, 0.9, 181)]
    lead = 2 - 8 * np.log(residual(T) / min(powers))
    grown = cliffs.growth(xarray.Dataset({"slope": ("length", np.exp(target))}, {"length": T}))
    assert grown.evidence == pytest.approx(abs(lead), rel=1e-6)
    assert grown.kind == ("basin" if lead > 0 else "fold")
    if seed == 12:
        assert 0 < lead < 2


def test_growth_needs_enough_lengths(basin):
    with pytest.raises(ValueError, match="at least 4 lengths, given 3"):
        cliffs.growth(basin.isel(length=slice(3)))
    with pytest.raises(ValueError, match="given 0 that are resolved"):
        cliffs.growth(basin.assign(resolved=basin["resolved"] & False))


# Jumps


def test_the_largest_sampled_gradient_falls_while_the_cliff_steepens(basin):
    window = plane(Pascanu(), w=np.linspace(3.5, 7, 400), b=np.linspace(-4, -1.8, 400))
    sampled = np.abs(surface(window, pascanu(), (50, 100, 1000), dtype="float64")["d_b"]).max(("w", "b"))
    # The largest lies in a cell of the cliff, where rounding is amplified: three digits, not fifteen.
    np.testing.assert_allclose(sampled, (2357, 1203, 23), rtol=0.01)
    assert float(basin["slope"].sel(length=100)) > 1e7


def test_a_line_of_100001_points_sees_the_peak_at_50_steps_and_misses_it_ten_million_times_at_100(basin):
    across = np.stack([np.full(100_001, 5.0), np.linspace(-3, -2, 100_001)], axis=1)
    seen = np.abs(values(FREE, Recurrence(pascanu(), (50, 100), dtype="float64"), across)["d_b"]).max(1)
    missed = basin["slope"].sel(length=[50, 100]).values / seen
    assert 1 <= missed[0] < 1.01
    assert missed[1] > 1e7


def test_cells_that_hide_a_cliff_are_those_that_its_line_crosses(coarse):
    found = cliffs.jumps(coarse)
    hidden = found["hidden"].sel(length=100)
    w = coarse["w"].values
    for k, middle in enumerate(hidden["w"].values):
        ends = np.sort(line(w[k : k + 2])[0])
        crossed = hidden["b"].values[hidden.sel(w=middle).values]
        step = 0.003
        assert np.all((crossed > ends[0] - step) & (crossed < ends[1] + step))
        assert len(crossed) >= 0.9 * (ends[1] - ends[0]) / step
    assert not np.any(found["hidden"].sel(length=2))
    jump = found["jump"].sel(length=100).where(hidden)
    assert 0.25 < float(jump.min()) < float(jump.max()) < 0.45


def test_jump_is_the_range_over_the_corners_and_aliasing_compares_it_to_the_gradient():
    made = drawn(lambda w, b: 3 * w - 2 * b)
    found = cliffs.jumps(made)
    step = {name: float(made[name][1] - made[name][0]) for name in "wb"}
    assert found["jump"].shape == (1, 30, 40)
    np.testing.assert_allclose(found["jump"], 3 * step["w"] + 2 * step["b"])
    np.testing.assert_allclose(found["aliasing"], 1)
    np.testing.assert_allclose(found["b"], (made["b"].values[1:] + made["b"].values[:-1]) / 2)
    flat = cliffs.jumps(drawn(lambda w, b: 0 * w * b))
    assert np.all(flat["aliasing"] == 0)
    step_function = made.copy(data={**made.data_vars, "d_w": 0 * made["d_w"], "d_b": 0 * made["d_b"]})
    assert np.all(np.isposinf(cliffs.jumps(step_function)["aliasing"]))


def test_both_thresholds_of_hidden_cells_act(coarse):
    count = lambda **options: int(cliffs.jumps(coarse, **options)["hidden"].sum())  # noqa: E731
    assert count(ratio=1e9) < count() < count(ratio=0.5)
    assert count(least=0.5) < count(least=0.35) < count()


def test_measures_ask_for_the_derivatives_they_need(coarse):
    with pytest.raises(ValueError, match="no d_w; compute it with order=1"):
        cliffs.jumps(coarse[["loss"]])
    first = coarse[["loss", "d_w", "d_b"]]
    for measure in (cliffs.curvature, cliffs.ridge):
        with pytest.raises(ValueError, match="no d_w_w; compute it with order=2"):
            measure(first)


# Curvature


def test_curvature_of_a_quadratic_is_its_matrix():
    matrix = np.array([[3.0, 1.0], [1.0, -1.0]])
    made = drawn(lambda w, b: 1.5 * w**2 + w * b - 0.5 * b**2)
    found = cliffs.curvature(made)
    low, high = np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose(found["smallest"], low)
    np.testing.assert_allclose(found["largest"], high)
    np.testing.assert_allclose(found["critical_rate"], 2 / high)
    point = np.array([made["w"].values[3], made["b"].values[5]])
    g = matrix @ point
    radius = np.linalg.norm(g) / np.linalg.norm(matrix @ g / np.linalg.norm(g))
    assert float(found["radius"][0, 3, 5]) == pytest.approx(radius, rel=1e-12)


def test_gradient_descent_on_a_quadratic_turns_at_the_critical_rate():
    rate = float(cliffs.curvature(drawn(lambda w, b: w**2 + 4 * b**2))["critical_rate"][0, 0, 0])
    for factor, grows in ((0.99, False), (1.01, True)):
        w, b = 1.0, 1.0
        for _ in range(100):
            w, b = w - factor * rate * 2 * w, b - factor * rate * 8 * b
        assert (abs(b) > 1) is grows


def test_clipped_to_the_suggested_norm_no_step_is_longer_than_the_radius():
    made = drawn(lambda w, b: w**2 + 4 * b**2)
    assert "clip" not in cliffs.curvature(made)
    found = cliffs.curvature(made, rate=0.5)
    np.testing.assert_allclose(0.5 * found["clip"], found["radius"])


def test_where_nothing_curves_up_no_rate_is_too_large_and_nan_stays_nan():
    down = drawn(lambda w, b: -(w**2) - b**2)
    assert np.all(np.isposinf(cliffs.curvature(down)["critical_rate"]))
    down = down.copy(deep=True)
    down["d_w_w"][0, 2, 3] = np.inf
    found = cliffs.curvature(down)
    for name in ("largest", "smallest", "critical_rate"):
        assert np.isnan(found[name][0, 2, 3])
        assert int(np.isnan(found[name]).sum()) == 1


def test_curvature_of_the_valley_on_a_surface():
    target = math.log(0.7 / 0.3)
    w = np.array([2.0, 3.0])
    valley = surface(plane(Pascanu(), w=w, b=target - 0.7 * w[::-1]), pascanu(), (60,), order=2, dtype="float64")
    largest = cliffs.curvature(valley)["largest"].values[0]
    np.testing.assert_allclose([largest[0, 1], largest[1, 0]], [0.390659928656, 0.959956172389], rtol=1e-10)


# Ridges


def test_a_straight_ridge_is_one_line_below_the_size_of_a_cell():
    tilt, offset, width = 0.3, 0.123, 0.25
    made = drawn(lambda w, b: jax.numpy.tanh((b - tilt * w - offset) / width))
    found = cliffs.ridge(made)
    assert set(found["line"].values) == {0}
    assert set(found["length"].values) == {7}
    assert np.all(np.abs(np.diff(found["w"])) > 0)  # in order, from one side of the window to the other
    assert (found["w"].min(), found["w"].max()) == (-1, 1)
    # The quintic through six values, a step of 0.4 widths apart, is good to a two hundredth of a cell there.
    np.testing.assert_allclose(found["b"], tilt * found["w"] + offset, atol=5e-4)
    np.testing.assert_allclose(found["slope"], math.hypot(1, tilt) / width, rtol=0.05)
    np.testing.assert_allclose(found["direction"], math.atan2(1, -tilt), atol=1e-3)
    assert np.all(found["resolved"])
    falling = cliffs.ridge(drawn(lambda w, b: -jax.numpy.tanh((b - tilt * w - offset) / width)))
    np.testing.assert_allclose(falling["b"], tilt * falling["w"] + offset, atol=5e-4)
    np.testing.assert_allclose(falling["direction"], math.atan2(-1, tilt), atol=1e-3)


def test_a_finer_grid_places_a_ridge_within_a_thousandth_of_its_cells():
    # The quintic leaves an error of sixth order, in cells of fifth: 32 times less for half the step.
    errors = []
    for n in (41, 81):
        made = drawn(lambda w, b: jax.numpy.tanh((b - 0.3 * w - 0.123) / 0.25), (n, n))
        found = cliffs.ridge(made)
        errors.append(float(np.abs(found["b"] - 0.3 * found["w"] - 0.123).max()) * (n - 1) / 4)
    assert errors[1] < errors[0] / 16
    assert errors[1] < 1e-3


def test_nine_cells_a_width_place_a_ridge_within_a_thousandth_of_a_cell_of_where_it_is_evaluated():
    window = plane(Pascanu(), w=np.linspace(4.9, 5.1, 100), b=np.linspace(-3.0, -2.4, 201))
    found = cliffs.ridge(surface(window, pascanu(), (10,), order=2, dtype="float64"))
    found = found.isel(point=(found["line"] == 0).values)
    assert float(found["width"].min()) > 9 * 0.003
    snapped = cliffs.snap(window, Recurrence(pascanu(), [1]), found).sortby("w")
    between = (found["w"] > snapped["w"].min()) & (found["w"] < snapped["w"].max())
    apart = np.abs(found["b"] - np.interp(found["w"], snapped["w"], snapped["b"]))[between.values]
    assert apart.size > 100
    assert float(apart.max()) < 1e-3 * 0.003


def test_a_curved_ridge_is_a_closed_line():
    made = drawn(lambda w, b: jax.numpy.tanh((jax.numpy.hypot(w, b) - 0.7) / 0.15), (61, 81))
    found = cliffs.ridge(made)
    assert set(found["line"].values) == {0}
    for name in "wb":
        assert found[name][0] == found[name][-1]
    np.testing.assert_allclose(np.hypot(found["w"], found["b"]), 0.7, atol=1e-3)  # a fiftieth of a cell
    np.testing.assert_allclose(found["direction"], np.arctan2(found["b"], found["w"]), atol=0.02)


def test_crossing_ridges_are_both_found():
    made = drawn(lambda w, b: jax.numpy.tanh(w / 0.1) + 0.7 * jax.numpy.tanh((b - 0.1) / 0.1), (61, 81))
    found = cliffs.ridge(made)
    away = (np.abs(found["w"]) > 0.3) | (np.abs(found["b"] - 0.1) > 0.3)
    far = found.isel(point=away.values)
    one, other = np.abs(far["w"]) < 5e-3, np.abs(far["b"] - 0.1) < 5e-3
    assert np.all(one | other)
    np.testing.assert_allclose(far["height"][(one & (np.abs(far["b"]) < 1.2)).values], 2, rtol=0.03)
    np.testing.assert_allclose(far["height"][(other & (np.abs(far["w"]) < 0.6)).values], 1.4, rtol=0.03)


def test_height_is_that_of_one_ridge_where_another_stands_beside_it():
    made = drawn(lambda w, b: jax.numpy.tanh((b - 1) * 8) + 0.3 * jax.numpy.tanh((b + 1) * 8))
    found = cliffs.ridge(made)
    assert set(found["line"].values) == {0, 1}
    for number, height in ((0, 2.0), (1, 0.6)):
        np.testing.assert_allclose(found["height"][(found["line"] == number).values], height, rtol=0.03)
    np.testing.assert_allclose(found["width"], found["height"] / found["slope"])


def test_a_trough_of_the_gradient_is_not_a_ridge():
    # Here the gradient is smallest at b = 0, where R changes sign the other way round.
    found = cliffs.ridge(drawn(lambda w, b: b**3 + b + 0.01 * w))
    assert found.sizes["point"] == 0


def test_low_ridges_are_left_out_or_kept_as_asked():
    made = drawn(lambda w, b: jax.numpy.tanh((b - 1) * 8) + 0.05 * jax.numpy.tanh((b + 1) * 8))
    strong, all_of_them = cliffs.ridge(made, least=0.1), cliffs.ridge(made, least=0.01)
    np.testing.assert_allclose(strong["b"], 1, atol=2e-3)
    assert np.sum(np.abs(all_of_them["b"] + 1) < 0.05) == 31


def test_a_cliff_thinner_than_the_grid_is_one_line_within_a_cell(coarse):
    found = cliffs.ridge(coarse)
    last = found.isel(point=((found["length"] == 100) & (found["line"] == 0)).values)
    assert not np.any(last["resolved"])
    assert (last["w"].min(), last["w"].max()) == pytest.approx((4.6, 6.6), abs=0.26)
    b, _ = line(last["w"].values)
    assert float(np.abs(last["b"] - b).max()) < 0.62 * 0.25 + 0.003  # a cell across, of w and of b
    assert np.all(last["slope"] < 100)


def test_lines_need_two_coordinates(coarse):
    with pytest.raises(ValueError, match="hold all but two of b by isel"):
        cliffs.ridge(coarse.isel(w=0))


@pytest.fixture(scope="module")
def traced():
    window = plane(Pascanu(), w=np.linspace(4.0, 6.0, 21), b=np.linspace(-3.5, -1.5, 41))
    return window, cliffs.trace(window, Recurrence(pascanu(), (40, 50, 60, 70, 100)))


def main_line(lines, length):
    return lines.isel(point=((lines["length"] == length) & (lines["line"] == 0)).values)


def profile(w):
    """Where the loss of the profile Phi(z) of all lengths is steepest: the map from x0 + z m**-n, in plain NumPy."""
    m = w * 0.23500371220159449
    steps = int(9 * math.log(10) / math.log(m))  # z m**-n is then 1e-9: Phi is right to that
    s = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    z = np.linspace(-2, 0.2, 20_001)
    x, x_z, b = 0.5 + 0 * z, 0 * z, 0.5 - w * s(0.5) + z * (m - 1) * m**-steps
    for _ in range(steps):
        x, x_z = w * s(x) + b, w * s(x) * (1 - s(x)) * x_z + (m - 1) * m**-steps
    return z[np.argmax(np.abs(2 * (s(x) - 0.7) * s(x) * (1 - s(x)) * x_z))]


def test_a_traced_ridge_of_a_basin_cliff_lies_where_the_profile_of_all_lengths_is_steepest(traced):
    _, lines = traced
    found = main_line(lines, 100)
    found = found.isel(point=((found["w"] > 4.9) & (found["w"] < 5.3)).values)
    assert found.sizes["point"] > 5
    b, m = line(found["w"].values)
    z = (found["b"].values - b) * m**100 / (m - 1)
    # Corrections are of the order T m**-T, 1e-5; the profile is sampled every 1.1e-4.
    np.testing.assert_allclose(z, [profile(w) for w in found["w"].values], atol=3e-4)
    # On this grid of .05 that is the closed form itself, to far below a thousandth of a cell.
    assert np.abs(found["b"].values - b).max() < 1e-3 * 0.05


def test_curvature_over_squared_slope_tends_to_its_limit_on_the_line():
    s, w = float(logistic(0.5)), 5.0
    b, m = line(w)
    with jax.enable_x64(True):
        # From the state itself: E has a factor of its own. E = x here.
        found = values(FREE, Recurrence(reach(0.5, 0.0), (100,), order=2, dtype="float64"), [(w, float(b))])
    x, e_b, e_bb = 0.5, found["d_b"][0, 0], found["d_b_b"][0, 0]
    x_b = e_b / (2 * x)
    x_bb = (e_bb - 2 * x_b**2) / (2 * x)
    bend = w * s * (1 - s) * (1 - 2 * s)
    assert x_bb / x_b**2 == pytest.approx(bend / (float(m) * (float(m) - 1)), rel=1e-5)


def independent_slope(window, task, length, point):
    """|gradient| by central differences in the plainest route there is: `Evaluator.again`."""
    evaluator = Evaluator(window, Recurrence(task, (length,), order=0, dtype="float64"))

    def slope(at, step):
        each = [(evaluator.again(at + e) - evaluator.again(at - e)) / (2 * step) for e in step * np.eye(2)]
        return float(np.hypot(*each))

    return slope


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "w", "b"),
    [(GRU(), "w_h", "b_h"), (LSTM(), "w_g", "b_g")],
    ids=["GRU", "LSTM"],
)
def test_on_a_gated_cell_every_vertex_is_steeper_than_both_sides(cell, w, b):
    window = plane(cell, **{w: np.linspace(3.0, 7.0, 9), b: np.linspace(0.0, 1.2, 25)})
    lines = cliffs.trace(window, Recurrence(latch(0.0), (20,)))
    found = main_line(lines, 20)
    assert np.ptp(found[w].values) > 3.5
    assert np.all(found["height"] > 0.5)
    for k in range(0, found.sizes["point"], 5):
        here = found.isel(point=k)
        point, width = np.array([float(here[w]), float(here[b])]), float(here["width"])
        normal = np.array([math.cos(float(here["direction"])), math.sin(float(here["direction"]))])
        slope = independent_slope(window, latch(0.0), 20, point)
        top = slope(point, width / 100)
        assert top == pytest.approx(float(here["slope"]), rel=1e-2)
        for side in (-0.1, 0.1):
            assert slope(point + side * width * normal, width / 100) < top


@pytest.mark.slow
def test_followed_to_its_root_a_basin_cliff_lies_on_its_line_to_rounding(traced):
    window, lines = traced
    basin = main_line(lines, 50)
    basin = basin.isel(point=(basin["w"] > 4.45).values)
    found = cliffs.limit(window, Recurrence(pascanu(), [1]), basin, length=1500)
    exact = cliffs.closed_form(window, pascanu())(found["w"].values)
    np.testing.assert_allclose(found["b"], exact.b, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["multiplier"], exact.multiplier, rtol=1e-12)
    assert float(found["error"].max()) < 1e-12


def test_a_cliff_of_an_lstm_steepens_by_the_multiplier_of_the_state_its_orbits_linger_at():
    """No closed form: the unstable state is found by its own equation, the growth by refined cuts."""
    over, task = plane(LSTM(w_g=4.0), w_g=(2.0, 5.0), b_g=(-1.0, 1.0)), reach(start=0.3, target=1.0)
    across = cliffs.cut(over, Recurrence(task, (20, 25, 30, 35)), (4.0, -1.0), (4.0, 1.0))
    (found,) = cliffs.multipliers(over, task, np.array([[4.0, float(across["b_g"][-1])]]))
    law = cliffs.growth(across, found)
    assert law.kind == "basin"
    assert math.log(law.multiplier) == pytest.approx(math.log(found), abs=1e-3)


def test_a_closed_form_is_claimed_only_where_there_is_one():
    axes = {"w": (0.0, 1.0), "b": (0.0, 1.0)}
    assert cliffs.closed_form(plane(SRNN(), **axes), pascanu()) is not None
    assert cliffs.closed_form(plane(SRNN(), **axes), latch(0.0)) is None
    assert cliffs.closed_form(plane(SRNN(), w=(0.0, 1.0), u=(0.0, 1.0)), pascanu()) is None
    assert cliffs.closed_form(plane(GRU(), w_h=(0.0, 1.0), b_h=(0.0, 1.0)), pascanu()) is None


# In words


def test_each_line_is_described_by_place_and_kind_beside_theory(traced):
    window, lines = traced
    found = cliffs.describe(lines, window, Recurrence(pascanu(), [1])).sel(line=0)
    assert list(found["kind"].values) == ["basin", "basin", "fold"] or list(found["kind"].values) == [
        "fold",
        "basin",
        "basin",
    ]
    basin = found.isel(station=1)
    assert basin["theory"] == "closed form"
    assert float(basin["multiplier"]) == pytest.approx(float(basin["expected"]), rel=5e-3)
    text = cliffs.words(cliffs.describe(lines, window, Recurrence(pascanu(), [1])), {"w": 0.1, "b": 0.05})
    assert "hidden below the grid" in text
    assert "closed form" in text


def test_a_plane_without_a_cliff_gets_none():
    window = plane(Pascanu(), w=np.linspace(0, 3, 31), b=np.linspace(-1, 1, 31))
    smooth = surface(window, pascanu(), (10, 30, 40, 60, 80), order=2, dtype="float64")
    text = cliffs.words(cliffs.describe(cliffs.ridge(smooth)), {"w": 0.1, "b": 0.06})
    assert "no cliffs" in text
    assert "basin cliff" not in text
    assert "fold cliff" not in text
    flat = cliffs.ridge(drawn(lambda w, b: w + b))
    assert cliffs.words(cliffs.describe(flat), {"w": 0.1, "b": 0.1}).startswith("No cliff:")


@pytest.mark.slow
def test_a_stored_surface_is_described_afresh_if_its_cell_can_be_made_again(tmp_path, capsys):
    from landscape import cli

    window = plane(Pascanu(), w=np.linspace(4.8, 5.2, 9), b=np.linspace(-3, -2, 41))
    surface(window, pascanu(), (20, 30, 40, 50), order=2, dtype="float64", out=tmp_path / "wall.zarr")
    assert cli.main(["cliffs", str(tmp_path / "wall.zarr")]) == 0
    said = capsys.readouterr().out
    assert "measured afresh" in said
    assert "basin cliff" in said
    assert cli.main(["cliffs", str(tmp_path / "wall.zarr"), "--least", "2"]) == 0
    assert "No cliff" in capsys.readouterr().out
    surface(window, pascanu(), (20,), out=tmp_path / "first.zarr")
    assert cli.main(["cliffs", str(tmp_path / "first.zarr")]) == 2
    assert "compute it with order=2" in capsys.readouterr().err


# Refinement


@pytest.fixture(scope="module")
def refined():
    window = plane(Pascanu(), w=np.linspace(3, 7, 129), b=np.linspace(-4, -1.5, 129))
    return cliffs.refine(window, Recurrence(pascanu(), (50, 100))), surface(window, pascanu(), (50, 100))


@pytest.mark.optimised
def test_refined_and_dense_surfaces_agree_bit_for_bit_where_both_are_computed(refined):
    sparse, whole = refined
    full = cliffs.dense(sparse)
    computed = full["computed"].values
    assert computed.sum() == sparse.attrs["evaluations"] < 0.15 * computed.size
    for name in whole.data_vars:
        np.testing.assert_array_equal(full[name].values[:, computed], whole[name].values[:, computed])
        assert full[name].dims == whole[name].dims
    for name in whole.coords:
        np.testing.assert_array_equal(full[name], whole[name])
    assert float(np.abs(full["loss"] - whole["loss"]).max()) < 0.05


def test_refinement_misses_no_cell_of_the_dense_grid_that_a_cliff_crosses(refined):
    sparse, whole = refined
    jump = cliffs.jumps(whole)["jump"].values.max(0)
    computed = cliffs.dense(sparse)["computed"].values
    corners = computed[1:, 1:] & computed[:-1, 1:] & computed[1:, :-1] & computed[:-1, :-1]
    assert np.sum(jump > 0.05) > 100
    assert np.all(corners[jump > 0.05])


def test_the_cells_of_a_refined_surface_tile_the_plane(refined):
    sparse, _ = refined
    covered = np.zeros((128, 128), int)
    for i, j, size in zip(*(sparse[f"cell_{part}"].values for part in ("i", "j", "size")), strict=True):
        covered[i : i + size, j : j + size] += 1
    assert np.all(covered == 1)


def test_a_higher_threshold_computes_less():
    window = plane(Pascanu(), w=np.linspace(3, 7, 129), b=np.linspace(-4, -1.5, 129))
    count = lambda threshold: cliffs.refine(window, Recurrence(pascanu(), (50, 100)), threshold).attrs["evaluations"]  # noqa: E731
    assert count(0.5) < count(0.2) < count(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("length", [50, 100, 1000])
def test_fig_6_at_4096_by_4096_takes_no_more_than_30000_evaluations_at_any_length(length):
    for w, b in (((3, 7), (-4, -1.5)), ((4.5, 5.4), (-3, -1))):
        window = plane(Pascanu(), w=np.linspace(*w, 4097), b=np.linspace(*b, 4097))
        sparse = cliffs.refine(window, Recurrence(pascanu(), (length,), order=0))
        assert sparse.attrs["evaluations"] <= 30_000
        assert int(sparse["cell_size"].min()) == 1


def test_refinement_needs_a_grid_that_halves_and_two_coordinates():
    with pytest.raises(ValueError, match="such as 1025 or 4097"):
        cliffs.refine(plane(Pascanu(), w=np.linspace(0, 1, 300), b=np.linspace(0, 1, 300)), Recurrence(pascanu(), (5,)))
    three = plane(Pascanu(), w=np.linspace(0, 1, 5), b=np.linspace(0, 1, 5), u=np.linspace(0, 1, 5))
    with pytest.raises(ValueError, match="this plane has 3"):
        cliffs.refine(three, Recurrence(pascanu(), (5,)))


def test_the_ridge_on_a_surface_is_where_the_cut_finds_it(basin):
    window = plane(Pascanu(), w=np.linspace(4.99, 5.01, 5), b=np.linspace(-2.75, -2.5, 126))
    found = cliffs.ridge(surface(window, pascanu(), (20,), order=2, dtype="float64"), least=0.1)
    at = np.isclose(found["w"], 5.0)
    assert np.sum(at) == 1
    # The cut goes along b, the ridge is steepest along its own normal: they differ by a part of the width .0095.
    assert found["b"][at].item() == pytest.approx(float(basin["b"][0]), abs=5e-4)

"""Cliffs measured on surfaces and cuts, against their closed forms and against made-up surfaces with known ridges."""

import math

import jax
import numpy as np
import pytest
import xarray

from landscape import cliffs, dynamics
from landscape.cells import Pascanu, logistic
from landscape.planes import plane
from landscape.surfaces import surface
from landscape.tasks import pascanu

FREE = plane(Pascanu(), w=(-10.0, 10.0), b=(-10.0, 10.0))
LENGTHS = (20, 40, 50, 70, 100)


@pytest.fixture(scope="module")
def basin():
    return cliffs.cut(FREE, pascanu(), LENGTHS, {"w": 5.0, "b": -3.0}, {"w": 5.0, "b": -2.0})


@pytest.fixture(scope="module")
def fold():
    return cliffs.cut(FREE, pascanu(), (1000, 2000, 4000, 8000), (4.1, -2.2), (4.1, -2.0))


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
    six = cliffs.cut(FREE, pascanu(), LENGTHS, (6.0, -4.0), (6.0, -2.5))
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
        found = cliffs.cut(FREE, pascanu(), LENGTHS, *ends).sel(length=100)
        np.testing.assert_allclose((found["w"], found["b"]), (5, b), atol=1e-5)
        slope[name] = float(found["slope"])
    assert slope["w"] / slope["b"] == pytest.approx(float(logistic(0.5)), rel=1e-3)
    assert slope["both"] == pytest.approx(0.6 * slope["w"] + 0.8 * slope["b"], rel=1e-3)


def test_the_number_of_samples_changes_nothing_but_the_way_there(basin):
    other = cliffs.cut(FREE, pascanu(), LENGTHS, (5.0, -3.0), (5.0, -2.0), points=21)
    np.testing.assert_allclose(other["slope"], basin["slope"], rtol=1e-6)
    assert not np.array_equal(other["b"], basin["b"])


def test_where_the_dtype_ends_first_the_slope_is_a_lower_bound_and_says_so(basin):
    single = cliffs.cut(FREE, pascanu(), LENGTHS, (5.0, -3.0), (5.0, -2.0), dtype="float32")
    assert list(single["resolved"].values) == [True, False, False, False, False]
    assert float(single["slope"][0]) == pytest.approx(float(basin["slope"][0]), rel=1e-3)
    assert np.all(single["slope"][1:] < basin["slope"][1:])
    assert np.all(single["slope"][1:] > 100)
    np.testing.assert_allclose(single["height"][-1], 0.3312, atol=2e-3)


def test_a_cut_needs_two_points():
    with pytest.raises(ValueError, match="two different points"):
        cliffs.cut(FREE, pascanu(), LENGTHS, (5.0, -3.0), (5.0, -3.0))


# Growth


def test_a_basin_cliff_steepens_by_the_multiplier_of_the_unstable_state(basin):
    grown = cliffs.growth(basin.isel(length=slice(1, None)))
    assert grown.kind == "basin"
    assert grown.evidence > 10
    assert grown.multiplier == pytest.approx(float(line(5.0)[1]), rel=2e-3)


def test_a_fold_cliff_steepens_as_the_cube_and_creeps_as_the_inverse_square(fold):
    grown = cliffs.growth(fold)
    assert grown.kind == "fold"
    assert grown.evidence > 10
    assert grown.power == pytest.approx(3, abs=0.1)  # 3 T / (T + 37) between T = 1000 and 8000
    T = fold["length"].values + 36.6
    np.testing.assert_allclose(fold["slope"][1:] / T[1:] ** 3, float(fold["slope"][-1]) / T[-1] ** 3, rtol=0.03)
    with jax.enable_x64(True):
        edge, constant = float(dynamics.folds(logistic, 4.1)[0]), float(dynamics.passage_constant(logistic, 4.1))
    error = 1 - (edge - fold["b"].values) * T**2 * constant / math.pi**2
    assert np.all(np.diff(error) < 0)
    assert abs(error[-1]) < 5e-3


def test_growth_needs_enough_lengths(basin):
    with pytest.raises(ValueError, match="at least 4 lengths, given 3"):
        cliffs.growth(basin.isel(length=slice(3)))


# Jumps


def test_the_largest_sampled_gradient_falls_while_the_cliff_steepens(basin):
    window = plane(Pascanu(), w=np.linspace(3.5, 7, 400), b=np.linspace(-4, -1.8, 400))
    sampled = np.abs(surface(window, pascanu(), (50, 100, 1000), dtype="float64")["d_b"]).max(("w", "b"))
    # The largest lies in a cell of the cliff, where rounding is amplified: three digits, not fifteen.
    np.testing.assert_allclose(sampled, (2357, 1203, 23), rtol=0.01)
    assert float(basin["slope"].sel(length=100)) > 1e7


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


def test_a_ridge_is_found_below_the_size_of_a_cell():
    tilt, offset, width = 0.3, 0.123, 0.25
    made = drawn(lambda w, b: jax.numpy.tanh((b - tilt * w - offset) / width))
    found = cliffs.ridge(made)
    assert len(found["w"]) >= 31
    np.testing.assert_allclose(found["b"], tilt * found["w"] + offset, atol=2.5e-3)  # a fortieth of a cell
    np.testing.assert_allclose(found["gradient"], math.hypot(1, tilt) / width, rtol=0.05)
    assert set(found["length"].values) == {7}
    falling = cliffs.ridge(drawn(lambda w, b: -jax.numpy.tanh((b - tilt * w - offset) / width)))
    np.testing.assert_allclose(np.sort(falling["b"]), np.sort(found["b"]), atol=1e-12)


def test_a_trough_of_the_gradient_is_not_a_ridge():
    # Here the gradient is smallest at b = 0, where R changes sign the other way round.
    found = cliffs.ridge(drawn(lambda w, b: b**3 + b + 0.01 * w))
    assert found.sizes["point"] == 0


def test_weak_ridges_are_left_out_or_kept_as_asked():
    made = drawn(lambda w, b: jax.numpy.tanh((b - 1) * 6) + 0.05 * jax.numpy.tanh((b + 1) * 6))
    strong, all_of_them = cliffs.ridge(made), cliffs.ridge(made, steepest=0.01)
    np.testing.assert_allclose(strong["b"], 1, atol=2e-3)
    assert np.sum(np.abs(all_of_them["b"] + 1) < 0.05) == 31


def test_the_ridge_on_a_surface_is_where_the_cut_finds_it(basin):
    window = plane(Pascanu(), w=np.linspace(4.9, 5.1, 5), b=np.linspace(-2.75, -2.5, 126))
    found = cliffs.ridge(surface(window, pascanu(), (20,), order=2, dtype="float64"), steepest=0.3)
    at = np.isclose(found["w"], 5.0)
    assert np.sum(at) == 1
    # The cut goes along b, the ridge is steepest along its own normal: they differ by a part of the width .0095.
    assert found["b"][at].item() == pytest.approx(float(basin["b"][0]), abs=5e-4)

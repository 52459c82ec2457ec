"""Cliffs measured on surfaces and cuts, against their closed forms and against made-up surfaces with known ridges."""

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from landscape import cli, cliffs, dynamics, names
from landscape.cells import GRU, LSTM, SRNN, Cell, Pascanu, State, logistic
from landscape.engine import Evaluator
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.surfaces import surface, values
from landscape.tasks import latch, pascanu, reach
from landscape.tree import param, pytree

FREE = plane(Pascanu(), w=(-10.0, 10.0), b=(-10.0, 10.0))
LENGTHS = (20, 40, 50, 70, 100)


@pytest.fixture(scope="module")
def basin():
    return cliffs.cut(FREE, Recurrence(pascanu(), LENGTHS), {"w": 5.0, "b": -3.0}, {"w": 5.0, "b": -2.0})


def test_a_cut_finds_its_cliff_beside_where_the_loss_is_nan():
    @pytree
    class Holed(Pascanu):
        def step(self, state, x):
            after = super().step(state, x)
            return after._replace(h=after.h + 0 * jax.numpy.sqrt(-2.2 - self.b))  # NaN above b = -2.2

    free = plane(Holed(), w=(-10.0, 10.0), b=(-10.0, 10.0))
    ask = lambda top: cliffs.cut(free, Recurrence(pascanu(), (20, 40)), (5.0, -3.0), (5.0, top))  # noqa: E731
    whole, holed, lost = ask(-2.25), ask(-2.0), cliffs.cut(free, Recurrence(pascanu(), (20,)), (5.0, -2.0), (5.0, -1.0))
    np.testing.assert_allclose(holed["slope"], whole["slope"], rtol=1e-3)
    np.testing.assert_allclose(holed["b"], whole["b"], rtol=1e-6)
    assert not lost["resolved"].any()


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
        across = lambda f: np.asarray(jax.jit(jax.vmap(jax.vmap(f, (None, 0)), (0, None)))(w, b))[None]  # noqa: E731
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


@pytest.mark.parametrize("points", [pytest.param(33, marks=pytest.mark.slow), 129])
def test_a_cut_finds_the_maximum_that_forty_digits_give(points):
    """Zeros of E_bb by bisection, and E_b there, of the map's own recursion in mpmath 1.4.1 at 60 digits."""
    truth = {(5, 50): 5751.0988009578643577, (5, 100): 18372886.861675746508, (6, 50): 16630337.265110402787}
    truth |= {(7, 50): 21512662397.466782642, (4.1, 1000): 6798.5274007287921648}
    for w in (4.1, 5, 6, 7):
        middle = float(line(w)[0])
        lengths = [length for at, length in truth if at == w]
        found = cliffs.cut(FREE, Recurrence(pascanu(), lengths), (w, middle - 0.4), (w, middle + 0.3), points=points)
        assert np.all(found["resolved"])
        np.testing.assert_allclose(found["slope"], [truth[w, length] for length in lengths], rtol=1e-6)


@pytree
class Wall(Cell):
    """A planted cliff, the same at every length: ``h = tanh(k (b - c))``."""

    k: Any = param("unit", default=1.0)
    c: Any = param("unit", default=0.0)
    b: Any = param("unit", default=0.0)

    def step(self, state, x):
        return State(jnp.tanh(self.k * (self.b - self.c)) + 0 * state.h)


@pytest.mark.parametrize("k", [1.0, 30.0, 1e4, 3e7, 1e10])
@pytest.mark.parametrize("c", [-0.37, 0.61])
def test_a_cut_of_a_planted_cliff_has_the_slope_and_place_of_its_formula(k, c):
    """Of (tanh z - 1.5)², z = k (b - c), the slope is largest where 3 y² - 3 y - 1 = 0, y = tanh z: y = (3 - 21½)/6."""
    y = (3 - math.sqrt(21)) / 6
    window = plane(Wall(k=k), b=(-3.0, 3.0), c=(-1.0, 1.0))
    found = cliffs.cut(window, Recurrence(reach(0.0, 1.5), (1,)), {"b": -2.9, "c": c}, {"b": 2.7, "c": c})
    assert found["resolved"].item()
    assert found["slope"].item() == pytest.approx(2 * k * (1.5 - y) * (1 - y**2), rel=1e-6)
    assert k * (found["b"].item() - c) == pytest.approx(math.atanh(y), abs=1e-3)


def test_where_the_loss_is_steepest_at_the_end_of_a_cut_that_is_its_place():
    found = cliffs.cut(plane(Wall(), b=(-3.0, 3.0), c=(-1.0, 1.0)), Recurrence(reach(0.0, 1.5), (1,)), (-2, 0), (-1, 0))
    assert found["b"].item() == -1
    y = math.tanh(-1)
    assert found["slope"].item() == pytest.approx(2 * (1.5 - y) * (1 - y**2), rel=1e-12)


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
    window = plane(Pascanu(), w=np.linspace(3.5, 7, 200), b=np.linspace(-4, -1.8, 200))
    sampled = np.abs(surface(window, pascanu(), (50, 100, 400), dtype="float64")["d_b"]).max(("w", "b"))
    # The largest lies in a cell of the cliff, where rounding is amplified: three digits, not fifteen.
    np.testing.assert_allclose(sampled, (184.2, 69.2, 18.5), rtol=0.01)
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
    polished = cliffs.polish(window, Recurrence(pascanu(), [1]), found).sortby("w")
    between = (found["w"] > polished["w"].min()) & (found["w"] < polished["w"].max())
    apart = np.abs(found["b"] - np.interp(found["w"], polished["w"], polished["b"]))[between.values]
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


@pytest.mark.slow
def test_a_slope_without_a_jump_has_no_limit_and_a_pitchfork_has_its_own():
    """h' = tanh(w h + b) from 0: for w > 1 the state 0 is unstable at b = 0, for w < 1 the loss stays a slope."""
    window = plane(SRNN(), w=np.linspace(0.55, 1.45, 10), b=np.linspace(-0.52, 0.5, 31))
    lines = cliffs.trace(window, Recurrence(reach(0.0, 1.0), (30,)))
    found = cliffs.limit(window, Recurrence(reach(0.0, 1.0), [1]), lines, length=1000)
    slope = lines["w"].values < 1
    assert np.sum(slope) > 4 < np.sum(~slope)
    assert np.all(np.isnan(found["b"][slope]))
    assert np.all(np.isnan(found["error"][slope]))
    np.testing.assert_allclose(found["b"][~slope], 0, atol=1e-15)
    np.testing.assert_allclose(found["error"][~slope], 0, atol=1e-15)


@pytest.mark.parametrize("k", [1.0, 30.0, 1e4, 1e8])
def test_a_planted_slope_has_no_limit_however_steep_it_is(k):
    window = plane(Wall(k=k), b=np.linspace(-3 / k, 2.9 / k, 41), c=np.linspace(-1 / k, 1 / k, 5))
    lines = cliffs.trace(window, Recurrence(reach(0.0, 1.5), (1,)))
    assert lines.sizes["point"] >= 5
    assert np.all(np.isnan(cliffs.limit(window, Recurrence(reach(0.0, 1.5), [1]), lines, length=2)["b"]))


@pytest.mark.slow
def test_the_limit_of_an_early_ridge_is_the_cliff_line_or_nan():
    """At T = 20 some vertices lead to the slope beside the jump; bisection of a level once put them .024 off."""
    window = plane(Pascanu(), w=np.linspace(4.4, 6, 41), b=np.linspace(-3.4, -2.1, 41))
    lines = cliffs.trace(window, Recurrence(pascanu(), (20,)))
    found = cliffs.limit(window, Recurrence(pascanu(), [1]), lines, length=800)
    exact = line(found["w"].values)[0]
    assert np.isnan(found["b"]).mean() < 0.05
    np.testing.assert_allclose(found["b"], np.where(np.isnan(found["b"]), np.nan, exact), rtol=0, atol=1e-12)


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


# Joined, described, in words


def drawn_lines(*curves, direction=0.0, cells=(0.1, 0.1)):
    """Lines (w, b) of one length as `ridge` gives them."""
    point = {"w": np.concatenate([c[0] for c in curves]), "b": np.concatenate([c[1] for c in curves])}
    directions = np.broadcast_to(direction, len(curves))
    sizes = [len(c[0]) for c in curves]
    point |= {"direction": np.repeat(directions, sizes), "slope": np.ones(sum(sizes)), "height": np.ones(sum(sizes))}
    point |= {"width": np.ones(sum(sizes)), "resolved": np.ones(sum(sizes), bool), "length": np.full(sum(sizes), 9)}
    point["line"] = np.repeat(np.arange(len(curves)), sizes)
    told = {"coordinates": ["w", "b"], "cells": list(cells), "window": [0.0, 4.0, 0.0, 4.0]}
    return xarray.Dataset({name: ("point", values) for name, values in point.items()}, attrs=told)


def straight(start, stop, at=1.0, count=9):
    return np.full(count, at), np.linspace(start, stop, count)


def test_pieces_whose_ends_meet_are_one_line_in_order_whichever_way_they_were_drawn():
    found = cliffs.join(drawn_lines(straight(1.0, 0.2), straight(1.3, 2.0), straight(3.9, 2.1)))
    assert set(found["line"].values) == {0}
    steps = np.diff(found["b"])
    assert np.all(steps > 0) or np.all(steps < 0)
    assert found.sizes["point"] == 27


def test_lines_are_kept_apart_that_are_far_beside_each_other_or_ascend_otherwise():
    far = cliffs.join(drawn_lines(straight(0.2, 1.0), straight(1.5, 2.0)))
    beside = cliffs.join(drawn_lines(straight(0.2, 1.0), straight(0.2, 1.0, at=1.15)))
    other = cliffs.join(drawn_lines(straight(0.2, 1.0), straight(1.1, 2.0), direction=[0.0, math.pi]))
    for found in (far, beside, other):
        assert set(found["line"].values) == {0, 1}


def test_a_ring_drawn_in_three_pieces_is_one_line():
    angles = [np.linspace(a + 0.03, a + 2 * math.pi / 3 - 0.03, 20) for a in np.arange(3) * 2 * math.pi / 3]
    drawn_ = drawn_lines(*[(2 + np.cos(a), 2 + np.sin(a)) for a in angles])
    drawn_["direction"] = ("point", np.concatenate(angles))
    found = cliffs.join(drawn_)
    assert set(found["line"].values) == {0}
    apart = np.hypot(np.diff(found["w"]), np.diff(found["b"]))
    assert apart.max() < 0.2


def test_joined_lines_are_numbered_by_extent_and_height():
    found = cliffs.join(drawn_lines(straight(0.2, 0.5), straight(0.5, 1.5, at=2.0), straight(1.6, 3.0, at=2.0)))
    assert float(found["w"][(found["line"] == 0).values][0]) == 2.0


def test_a_ridge_cut_in_two_by_a_gap_is_described_as_one():
    made = drawn(lambda w, b: jnp.tanh((b - 0.3 * w - 0.123) / 0.25))
    found = cliffs.ridge(made)
    gap = np.abs(found["w"] - 0.2) > 0.04  # a cell is .067 wide, and its ends are within four
    pieces = found.isel(point=gap.values)
    pieces["line"] = ("point", (pieces["w"].values > 0.2).astype(int))
    described = cliffs.describe(pieces)
    assert described.sizes["line"] == 1
    np.testing.assert_allclose(described["w_range"], [[-1, 1]])


def test_each_cliff_is_described_by_place_and_kind_beside_theory(traced):
    window, lines = traced
    asked = window, Recurrence(pascanu(), [1])
    found = cliffs.describe(lines, *asked)
    first = found.isel(line=0)
    assert (str(first["kind"].item()), str(first["theory"].item())) == ("basin", "closed form")
    assert first["multiplier"].item() == pytest.approx(first["expected"].item(), rel=5e-3)
    assert first["afresh"].item()
    text = cliffs.table(found)
    assert "1 cliff at length 100: 1 basin" in text.replace(
        "2 cliffs at length 100: 1 basin, 1", "1 cliff at length 100: 1 basin"
    )
    assert f"({first['expected'].item():.4g})" in text
    told = []
    cliffs.describe(lines, *asked, progress=lambda done, of: told.append((done, of)))
    assert told[-1][0] == told[-1][1] > 0


def test_short_pieces_are_counted_unless_asked_for(traced):
    _, lines = traced
    few, all_of_them = cliffs.describe(lines, short=1e9), cliffs.describe(lines, short=0.0)
    assert few.sizes["line"] == 0
    assert few.attrs["short"] == all_of_them.sizes["line"] > 0
    assert "too short to follow" in cliffs.table(few)


@pytest.mark.parametrize(
    ("growth", "kind"),
    [
        (lambda T: 1.2**T, "basin"),
        (lambda T: (T + 20.0) ** 3, "fold"),
        (lambda T: 5 + 0 * T, "none"),
        (lambda T: (T + 20.0) ** 9, "unknown"),
        (lambda T: np.where(T % 20 == 0, 1.0, 1e6), "unknown"),
    ],
    ids=["exponential", "cubic", "constant", "a power that no theory has", "up and down"],
)
def test_a_kind_is_claimed_only_where_its_law_fits(growth, kind):
    lengths = np.arange(30, 100, 10)
    lines = xarray.concat([drawn_lines(straight(0.2, 3.0)) for _ in lengths], "point", combine_attrs="override")
    lines["length"] = ("point", np.repeat(lengths, 9))
    lines["slope"] = ("point", growth(lines["length"].values))
    found = cliffs.describe(lines)
    assert list(found["kind"].values) == [kind]
    assert ("no law fits" in cliffs.table(found)) is (kind == "unknown")
    assert ("1 ridge whose slope does not grow" in cliffs.table(found)) is (kind == "none")
    hidden = lines.assign(resolved=lines["resolved"] & (lines["length"] > 70))
    assert (cliffs.describe(hidden)["kind"].item() == "unknown") is (kind != "none")


def test_a_ridge_that_ends_as_a_cliff_is_one_though_its_middle_is_a_slope():
    lengths, vertex = np.arange(30, 100, 10), np.arange(9)
    lines = xarray.concat([drawn_lines(straight(0.2, 3.0)) for _ in lengths], "point", combine_attrs="override")
    lines["length"] = ("point", np.repeat(lengths, 9))
    wall = np.tile(vertex < 4, len(lengths))
    steep = np.where(lines["length"] % 20 == 0, 10.0, 1e6)  # of no law
    lines["slope"] = ("point", np.where(wall, steep, 5.0))
    lines["resolved"] = ("point", ~(wall & (lines["length"] == 90).values))
    found = cliffs.describe(lines).isel(line=0)
    assert found["kind"].item() == "unknown"
    assert found["slope"].item() > 5
    assert cliffs.describe(lines.assign(resolved=lines["resolved"] | True))["kind"].item() == "none"


def test_a_curve_is_not_measured_where_a_gap_was_bridged():
    curve = drawn_lines(straight(0.2, 3.0))
    assert cliffs.describe(curve)["w"].item() == curve["w"][4]
    curve["height"][4] = 0.0
    found = cliffs.describe(curve)
    assert found["whole"].item() > 0
    assert found["w"].item() in curve["w"].values[[3, 5]]


def test_a_cliff_hidden_at_the_end_shows_its_law_before():
    lengths = np.array([10, 13, 16, 20, 26, 32, 40, 50])
    lines = xarray.concat([drawn_lines(straight(0.2, 3.0)) for _ in lengths], "point", combine_attrs="override")
    lines["length"] = ("point", np.repeat(lengths, 9))
    lines["slope"], lines["resolved"] = ("point", 1.3 ** lines["length"].values), lines["length"] < 30
    found = cliffs.describe(lines).isel(line=0)
    assert (found["kind"], found["first"], found["last"], found["resolved"]) == ("basin", 10, 26, False)
    assert found["multiplier"].item() == pytest.approx(1.3)


def test_what_does_not_steepen_is_counted_or_listed(traced):
    window = plane(Pascanu(), w=np.linspace(0, 3, 31), b=np.linspace(-1, 1, 31))
    smooth = surface(window, pascanu(), (10, 30, 40, 60, 80), order=2, dtype="float64")
    found = cliffs.describe(cliffs.ridge(smooth))
    few, every = cliffs.table(found), cliffs.table(found, every=True)
    assert few.startswith("No cliff at length 80")
    assert "slope" not in few.replace("whose slope does not grow with length (slopes, no cliffs)", "")
    assert len(every.splitlines()) > len(few.splitlines())
    many = xarray.concat([found.isel(line=[0]).assign(kind=("line", ["fold"]))] * 25, "line", combine_attrs="override")
    assert "5 smaller cliffs" in cliffs.table(many)
    assert len(cliffs.table(many, every=True).splitlines()) == len(cliffs.table(many).splitlines()) + 5 - 1
    named = found.rename(w="u", w_range="u_range").assign_attrs(coordinates=["u", "b"])
    assert "measured at u, b;" in cliffs.table(named, every=True)
    flat = cliffs.ridge(drawn(lambda w, b: w + b))
    assert cliffs.table(cliffs.describe(flat)).startswith("No cliff:")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store of Pascanu's wall, and one of the same map as a cell of one's own."""
    folder = tmp_path_factory.mktemp("cliffs")
    (folder / "mine.py").write_text(MINE)
    own = names.module(str(folder / "mine.py")).Own()
    for name, cell in (("wall", Pascanu()), ("own", own)):
        window = plane(cell, w=np.linspace(4.8, 5.2, 9), b=np.linspace(-3, -2, 41))
        surface(window, pascanu(), (20, 30, 40, 50), order=2, dtype="float64", out=folder / f"{name}.zarr")
    surface(window, pascanu(), (20,), out=folder / "first.zarr")
    return folder


MINE = """
from typing import Any
import jax.numpy as jnp
from landscape.cells import Cell, State, logistic
from landscape.tree import dot, param, pytree


@pytree
class Own(Cell):
    \"\"\"Pascanu's map.\"\"\"

    w: Any = param("unit", "unit", default=5.0)
    b: Any = param("unit", default=-2.5)

    def step(self, state: State, x: Any) -> State:
        return State(dot(logistic(state.h), self.w) + self.b + 0 * x)
"""


@pytest.mark.slow
def test_a_stored_surface_is_described_afresh_if_its_cell_can_be_made_again(stored, capsys):
    wall, own = str(stored / "wall.zarr"), str(stored / "own.zarr")
    assert cli.main(["cliffs", wall]) == 0
    said = capsys.readouterr().out
    assert "Measured afresh in float64, at lengths 20, 30, 40, 50" in said
    assert "1 cliff at length 50: 1 basin" in said
    assert re.search(r"x 1\.1\d* a step \(1\.1\d*\), 20 to 50", said)
    assert cli.main(["cliffs", wall, "--least", "0.999"]) == 0
    assert "No cliff" in capsys.readouterr().out
    assert cli.main(["cliffs", str(stored / "first.zarr")]) == 2
    assert "compute it with order=2" in capsys.readouterr().err
    assert cli.main(["cliffs", own]) == 0
    assert "on the stored grid alone" in capsys.readouterr().out
    assert cli.main(["cliffs", own, "--file", str(stored / "mine.py")]) == 0
    said = capsys.readouterr().out
    assert "Measured afresh" in said
    assert "1 basin" in said
    (stored / "other.py").write_text(MINE.replace("0 * x", "x"))
    assert cli.main(["cliffs", own, "--file", str(stored / "other.py")]) == 2
    assert "does not make the surface in" in capsys.readouterr().err


def test_lengths_of_a_store_are_chosen_by_a_quarter_or_as_asked(stored, capsys):
    from landscape.cliffs.surveys import _chosen

    every = xarray.Dataset(coords={"length": np.arange(1, 301)})
    lengths = np.array(_chosen(every, None))
    assert len(lengths) == 16
    assert lengths[-1] == 300
    assert np.all(lengths % 2 == 0)
    np.testing.assert_allclose(lengths[1:] / lengths[:-1], 1.25, rtol=0.2)
    assert _chosen(every, [7, 3]) == [3, 7]
    assert cli.main(["cliffs", str(stored / "wall.zarr"), "--lengths", "20,40"]) == 0
    assert "at lengths 20, 40.\n1 cliff at length 40: 1 of unknown kind" in capsys.readouterr().out
    assert cli.main(["cliffs", str(stored / "wall.zarr"), "--lengths", "20,41"]) == 2
    assert "the surface has no length 41; it has 4 from 20 to 50" in capsys.readouterr().err


def test_a_store_read_a_length_at_a_time_has_the_same_cliffs(stored, monkeypatch):
    at_once = cliffs.survey(stored / "own.zarr")
    monkeypatch.setattr("landscape.cliffs.surveys.BYTES", 1)
    read = []
    assert cliffs.survey(stored / "own.zarr", progress=read.append).found.identical(at_once.found)
    assert [(state.done, state.blocks, state.what) for state in read] == [(k, 4, "lengths") for k in range(5)]


def test_a_picture_shows_every_cliff_in_the_colour_of_its_kind(stored, capsys):
    from landscape import plots

    found = cliffs.survey(stored / "own.zarr")
    table = cliffs.ranked(found.found, every=True).assign(kind=("line", ["basin"]), multiplier=("line", [2.0]))
    figure = plots.cliffs(found.loss, found.curves, table)
    (shown,) = [line for line in figure.axes[0].lines if line.get_gid() == "basin cliff"]
    curve = found.curves.isel(point=(found.curves["line"] == table["line"].values[0]).values)
    np.testing.assert_array_equal(shown.get_xdata(), curve["w"])
    assert shown.get_linewidth() == 4
    slow = plots.cliffs(found.loss, found.curves, table.assign(multiplier=("line", [1.1])))
    assert 1 < next(line for line in slow.axes[0].lines if line.get_gid()).get_linewidth() < 2
    other = plots.cliffs(found.loss, found.curves, table.assign(kind=("line", ["fold"])))
    assert next(line for line in other.axes[0].lines if line.get_gid()).get_color() != shown.get_color()
    picture = stored / "own-cliffs.png"
    assert not picture.exists()
    assert cli.main(["cliffs", str(stored / "own.zarr"), "--plot"]) == 0
    assert picture.stat().st_size > 10_000
    assert f"Drawn: {picture}" in capsys.readouterr().out
    assert cli.main(["cliffs", str(stored / "own.zarr"), "--out", str(stored / "c.svg"), "--all"]) == 0
    assert (stored / "c.svg").exists()


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

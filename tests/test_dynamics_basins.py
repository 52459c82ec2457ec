"""What becomes of an orbit: labels that hold against closed forms, and never a fixed point that is not there."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape import dynamics
from landscape.cells import GRU, IRNN, LSTM, SRNN, LinearRNN, Pascanu, logistic
from landscape.cells.lstm import LSTMState
from landscape.planes import plane


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


FIXED, CYCLE, OTHER, SLOW, INFINITE = 1, 2, 3, 0, -1
# h = -.567598, .111346, .996679 are stable
THREE = LSTM(w_i=-3.974, w_f=19.608, w_g=10.89, w_o=0.525, b_i=-1.628, b_f=-7.639, b_g=2.835, b_o=5.181)
CHAOTIC_GRU = GRU(w_z=9.481, w_r=10.621, w_h=-7.833, b_z=-1.296, b_r=3.684, b_h=-0.954)
CHAOTIC_LSTM = LSTM(w_i=11.214, w_f=-0.959, w_g=-10.447, w_o=8.857, b_i=-0.301, b_f=5.472, b_g=4.361, b_o=4.193)


@jax.jit
def simple(w, b, start):
    return jax.vmap(lambda w, b, start: dynamics.attractor(SRNN(w=w, b=b), start=start))(w, b, start)


@jax.jit
def gated(cells, starts):
    return jax.vmap(lambda cell, start: dynamics.attractor(cell, start=start))(cells, starts)


def stacked(*cells):
    return jax.tree.map(lambda *leaves: jnp.asarray(leaves, float), *cells)


FOLD = math.sqrt(0.75) - math.atanh(math.sqrt(1 / 3))  # of w = 1.5
CASES = {  # w, b, start: label
    (2.0, 0.0, 0.3): FIXED,
    (2.0, 0.0, 0.0): FIXED,  # rests on the unstable state
    (-2.0, 0.0, 0.3): CYCLE,
    (1.0, 0.0, 0.3): SLOW,  # h ~ sqrt(3/2T), though it moves by less than 1e-6 a step in the end
    (-1.0, 0.0, 0.3): SLOW,
    (-0.9999, 0.0, 0.3): SLOW,
    (1.5, FOLD + 1e-4, -0.9): FIXED,  # passes the ghost and arrives above
    (1.5, FOLD - 1e-4, -0.9): FIXED,
    (1.5, FOLD + 1e-8, -0.9): SLOW,  # lingers where the fold has just lost its states
    (1.5, FOLD + 1e-12, -0.9): SLOW,
    (-1.5, 0.1, 0.9): CYCLE,
    (0.5, 1.0, -1.0): FIXED,
}


def test_orbits_of_a_simple_unit_are_called_what_they_are():
    ends = simple(*np.array(list(CASES)).T)
    assert ends.label.tolist() == list(CASES.values())
    h, multiplier = np.asarray(ends.state.h), np.asarray(ends.multiplier)
    w, b, _ = np.array(list(CASES)).T
    settled = np.isin(ends.label, (FIXED, CYCLE))
    turned = np.where(ends.label == CYCLE, np.tanh(w * np.tanh(w * h + b) + b), np.tanh(w * h + b))
    np.testing.assert_allclose(turned[settled], h[settled], rtol=0, atol=1e-15)
    at_rest = ends.label == FIXED
    np.testing.assert_allclose(multiplier[at_rest], (w * (1 - h**2))[at_rest], rtol=1e-12)
    assert np.array_equal(np.isnan(multiplier), ~settled)
    assert (multiplier[1], h[1]) == (2, 0)
    np.testing.assert_array_equal(h[6:8] > 0, (True, False))  # above the ghost, and below the fold
    # the middle two-cycle at b = 0 is ±h with h = tanh(2 h)
    assert abs(h[2]) == pytest.approx(0.9575040241, abs=6e-11)


def test_a_two_cycle_is_claimed_only_where_the_two_phases_part():
    # Just past period doubling the cycle is born as sqrt; before it both phases close in on one point too slowly.
    w = np.array([-1.01, -1.001, -0.99, -0.98])
    ends = simple(w, 0 * w, 0.3 + 0 * w)
    assert ends.label.tolist() == [CYCLE, CYCLE, FIXED, FIXED]
    h = np.asarray(ends.state.h)[:2]  # at b = 0 the cycle is h and -h, |h| = tanh|w h|
    np.testing.assert_allclose(np.tanh(w[:2] * h), -h, rtol=1e-12)
    assert np.all(np.abs(h) > 0.04)


def test_steps_to_converge_is_the_first_time_from_which_a_step_is_short():
    cases = np.array([(2.0, 0.0, 0.3), (0.9, 0.1, -0.5), (-2.0, 0.0, 0.3)])
    ends = simple(*cases.T)
    for (w, b, h), label, steps in zip(cases, ends.label.tolist(), ends.steps, strict=True):
        orbit = [h]
        for _ in range(400):
            orbit.append(np.tanh(w * orbit[-1] + b))
        far = np.abs(np.diff(orbit)) if label == FIXED else np.abs(np.array(orbit[2:]) - orbit[:-2])
        assert int(steps) == np.nonzero(far >= 1e-6)[0].max() + 1
    assert simple(np.array([1.0]), np.zeros(1), np.full(1, 0.3)).steps[0] == -1


def test_chaotic_and_saturated_units_get_no_fixed_point():
    # With f = 1 to rounding the cell state grows for ever, whether h already stands still (3rd) or the step is tiny.
    cells = stacked(CHAOTIC_LSTM, THREE, LSTM(b_f=50.0, b_g=1.0), LSTM(b_f=50.0, b_g=1.0, b_i=-20.0))
    ends = gated(cells, LSTMState(h=jnp.array([0.1, 0.9, 0.1, 0.1]), c=jnp.zeros(4)))
    assert ends.label.tolist() == [OTHER, FIXED, SLOW, SLOW]
    assert ends.state.h[1] == pytest.approx(0.111346, abs=6e-7)


@pytest.mark.slow
def test_a_chaotic_gru_gets_no_fixed_point_either_and_a_saturated_lstm_has_none():
    np.testing.assert_array_equal(np.isfinite(dynamics.fixed_points(LSTM(b_f=50.0, b_g=1.0)).state.h), False)
    assert dynamics.attractor(CHAOTIC_GRU, start=0.1).label == OTHER


def test_a_whole_state_can_be_the_start():
    # h and c both matter: from h = .9 and c = 0 the orbit goes to the middle, from a full cell to the top.
    starts = LSTMState(h=jnp.array([0.9, 0.9, -0.5, -0.5]), c=jnp.array([0.0, 50.0, -1.0, -1.0]))
    ends = gated(stacked(THREE, THREE, THREE, THREE), starts)
    assert ends.label.tolist()[0] == FIXED
    assert ends.state.h[0] == pytest.approx(0.111346, abs=6e-7)
    np.testing.assert_allclose(ends.state.h[1:3], (0.996679, -0.567598), atol=1e-3)


@pytest.mark.slow
def test_an_orbit_that_leaves_every_bound_is_not_finite():
    assert dynamics.attractor(IRNN(w=1.2), start=0.5).label == INFINITE
    ends = dynamics.attractor(LinearRNN(w=1.0), x=1.0)
    assert ends.label == SLOW  # grows by 1 a step: neither at rest nor beyond numbers yet
    assert dynamics.attractor(LinearRNN(w=-1.0), start=0.5).label != FIXED


@pytest.mark.slow
def test_an_orbit_frozen_by_float32_is_not_at_rest():
    """Just past a fold increments fall below half a unit in the last place: F(h) == h, yet there is no fixed point."""
    w = np.linspace(4.02, 4.3, 400).astype(np.float32)
    fold = np.asarray(dynamics.folds(logistic, w.astype(float))[0])
    b = fold.astype(np.float32)
    b = np.where(b < fold, b, np.nextafter(b, np.float32(-10)))  # the largest below: the upper state is gone
    assert np.all(b.astype(float) < fold)
    bend = np.asarray(dynamics.bend(logistic, w.astype(float)))
    with jax.enable_x64(False):
        run = jax.jit(jax.vmap(lambda w, b, h: dynamics.attractor(Pascanu(w=w, b=b), start=h, steps=20_000)))
        ends = run(w, b, (bend + 3e-3).astype(np.float32))
        stuck = np.asarray(run(w, b, ends.state.h).state.h == ends.state.h)
    upper = np.asarray(ends.state.h) > 0.5 * bend
    assert np.sum(stuck & upper) > 5
    assert not np.any(upper & (np.asarray(ends.label) == FIXED))


@pytest.mark.slow
def test_attractors_agree_with_all_fixed_points_of_random_units():
    values = 2.0 * jax.random.normal(jax.random.key(5), (8, 300))
    names = ("w_i", "w_f", "w_g", "w_o", "b_i", "b_f", "b_g", "b_o")
    cells = jax.vmap(lambda v: LSTM(**dict(zip(names, v, strict=True))))(values.T)
    ends, all_ = gated(cells, LSTMState(h=jnp.zeros(300), c=jnp.zeros(300))), jax.vmap(dynamics.fixed_points)(cells)
    away = np.nanmin(np.abs(np.asarray(all_.state.h) - np.asarray(ends.state.h)[:, None]), 1)
    fixed = np.asarray(ends.label) == FIXED
    assert fixed.mean() > 0.9
    assert away[fixed].max() < 1e-9
    assert np.all(np.abs(ends.multiplier)[fixed] < 1)


# Maps over planes


@pytest.fixture(scope="module")
def region():
    with jax.enable_x64(True):
        return dynamics.multistability(plane(THREE, w_g=np.linspace(0, 20, 11), b_f=np.linspace(-15, 0, 13)))


def test_the_three_stable_states_of_an_lstm_lie_in_a_region_that_a_plane_shows(region):
    assert region["stable"].dims == ("w_g", "b_f")
    assert sorted(np.unique(region["stable"])) == [1, 2, 3]
    assert sorted(np.unique(region["fixed_points"])) == [1, 3, 5]
    # Between two stable states of one equation lies an unstable one.
    np.testing.assert_array_equal(region["fixed_points"], 2 * region["stable"] - 1)
    near = region.sel(w_g=10.89, b_f=-7.639, method="nearest")
    np.testing.assert_allclose(near["h"][:5:2], (-0.567598, 0.111346, 0.996679), atol=0.05)
    assert near["stable"] == 3


def test_a_map_holds_what_each_point_says_alone(region):
    at = {"w_g": 4, "b_f": 7}
    cell = plane(THREE, w_g=np.linspace(0, 20, 11), b_f=np.linspace(-15, 0, 13)).at([8.0, -6.25]).cell
    count = int(region["fixed_points"][at])
    states = [LSTMState(*pair) for pair in zip(*(region[name][at].values[:count] for name in "hc"), strict=True)]
    eigenvalues = []
    for state, multiplier in zip(states, region["multiplier"][at].values, strict=False):
        after = cell.step(state, 0.0)
        np.testing.assert_allclose((after.h, after.c), (state.h, state.c), rtol=1e-9)
        eigenvalues.append(np.linalg.eigvals(dynamics.jacobian(cell, state)))
        assert np.abs(eigenvalues[-1]).max() == pytest.approx(abs(multiplier), rel=1e-9)
    assert count > 1
    assert region["margin"][at] == pytest.approx(np.min(np.abs(1 - np.array(eigenvalues))), rel=1e-6)


@pytest.mark.slow
def test_traced_folds_of_an_lstm_part_the_regions_of_its_map(region):
    at = plane(THREE, w_g=np.linspace(0, 20, 11), b_f=np.linspace(-15, 0, 13))
    folds = dynamics.bifurcations(at, cells=10)
    np.testing.assert_allclose(folds["multiplier"], 1, atol=1e-13)
    assert folds["residual"].max() < 1e-13
    assert set(folds["ends"].values.ravel()) == {"edge"}
    # Along each row of the map the number of fixed points changes by two for every fold curve crossed.
    for k, w in enumerate(region["w_g"].values[1:-1], 1):
        before, after, same = folds["w_g"][:-1].values, folds["w_g"][1:].values, np.diff(folds["curve"]) == 0
        cut = np.nonzero(same & ((before - w) * (after - w) < 0))[0]
        share = (w - before[cut]) / (after[cut] - before[cut])
        crossed = folds["b_f"].values[cut] + share * np.diff(folds["b_f"].values)[cut]
        between = np.histogram(crossed, region["b_f"].values)[0]
        changes = np.abs(np.diff(region["fixed_points"].values[k]))
        assert np.all((changes <= 2 * between) & ((changes - 2 * between) % 4 == 0))


@pytest.mark.slow
def test_the_map_of_a_scalar_unit_counts_as_its_fold_curve_says():
    at = plane(Pascanu(), w=np.linspace(3, 7, 21), b=np.linspace(-5, -1.02, 23))
    found, (w, b) = dynamics.multistability(at), np.meshgrid(*at.axes.values(), indexing="ij")
    low, high = dynamics.folds(logistic, w)
    np.testing.assert_array_equal(found["fixed_points"] == 3, (b > low) & (b < high))
    assert found["margin"].min() < 0.05
    assert dynamics.multistability(at, most=2)["fixed_points"].max() == 2
    single = dynamics.multistability(at, dtype="float32")
    assert single["h"].dtype == np.float32
    np.testing.assert_array_equal(single["stable"], found["stable"])


@pytest.mark.slow
def test_the_basins_of_pascanus_start_part_at_the_cliff():
    w, b = np.linspace(4.3, 7, 28), np.linspace(-4.5, -2, 26)
    found = dynamics.attractors(plane(Pascanu(), w=w, b=b), start=0.5)
    assert found["label"].attrs["flag_meanings"].startswith("fixed point, two-cycle")
    cliff = np.asarray(dynamics.cliff_line(logistic, w, 0.5).b)[:, None]
    decided = np.abs(b[None] - cliff) > 1e-3
    assert np.all((found["label"].values == FIXED) | ~decided)
    assert np.all(((found["h"].values > 0.5) == (b[None] > cliff)) | ~decided)
    quick = dynamics.attractors(plane(Pascanu(), w=w, b=b), start=0.5, tol=1e-2)
    assert np.all(quick["steps"] <= found["steps"])
    assert np.any(quick["steps"] < found["steps"])
    other = dynamics.attractors(plane(Pascanu(), w=w, b=b), start=-3.0)
    assert np.any(other["h"] < found["h"] - 1)


# Exponents under noise


def test_noise_makes_no_simple_unit_chaotic_and_flipping_its_weight_flips_every_other_input():
    # k_t = (-1)**t h_t turns w into -w and x_t into (-1)**t x_t: the two exponents are one number.
    w = jnp.array([0.5, 1.5, 3.0, 8.0])
    x = 0.5 * jax.random.normal(jax.random.key(2), (4000,))
    flipped = x * jnp.where(jnp.arange(4000) % 2 == 0, -1.0, 1.0)
    exponent = jax.jit(jax.vmap(lambda w, x: dynamics.lyapunov_exponent(SRNN(w=w), x, 0.0), (0, None)))
    driven = exponent(w, x)
    assert np.all(driven < 0)
    np.testing.assert_allclose(exponent(-w, flipped), driven, rtol=1e-12)
    # Noise keeps a bistable unit near its barrier at times, where neighbours part: it is less stable than left alone.
    assert driven[1] > exponent(w, 0 * x + 1e-3)[1] + 0.05


def test_the_exponent_on_a_two_cycle_is_half_the_log_of_its_multiplier():
    w, b = -1.5, 0.1
    measured = dynamics.lyapunov_exponent(SRNN(w=w, b=b), jnp.zeros(400), 0.3, discard=200)
    assert measured == pytest.approx(np.log(float(simple(*np.array([[w], [b], [0.3]])).multiplier[0])) / 2, rel=1e-9)


@pytest.mark.slow
def test_exponents_of_the_chaotic_units_over_long_runs():
    """Runs from eight starts scatter by .002 (GRU) and .001 (LSTM): four standard errors of their mean."""
    silence, starts = jnp.zeros(200_000), jnp.linspace(0.05, 0.6, 8)
    for cell, expected, near in ((CHAOTIC_GRU, 0.854, 0.003), (CHAOTIC_LSTM, 0.6575, 0.0015)):
        exponents = jax.vmap(functools.partial(dynamics.lyapunov_exponent, cell, silence, discard=100))(starts)
        assert float(jnp.mean(exponents)) == pytest.approx(expected, abs=near)

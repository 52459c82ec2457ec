"""Orbits of small maps against closed forms, tables computed in high precision, and plain iteration of the step."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape import dynamics
from landscape.cells import GRU, LSTM, SRNN, LinearRNN, LSTMPeephole, Pascanu, logistic
from landscape.models import run
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.surfaces import values
from landscape.tasks import latch


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def real(orbits):
    """The states and multipliers that are there."""
    h, multiplier = np.asarray(orbits.state.h), np.asarray(orbits.multiplier)
    return h[np.isfinite(h)], multiplier[np.isfinite(h)]


def iterated(step, a, steps):
    return jax.lax.fori_loop(0, steps, lambda _, a: step(a), a)


TABLE = 6e-11  # the tables have ten decimals

FOLDS_TANH = {
    1.1: (0.3015113446, 0.02048122718),
    1.25: (0.4472135955, 0.07780516932),
    1.5: (0.5773502692, 0.2075464553),
    2: (0.7071067812, 0.5328399754),
    3: (0.8164965809, 1.3032739080),
    5: (0.8944271910, 3.0285004798),
}
FOLDS_LOGISTIC = {
    4.1: (0.3149247566, -2.0552314553, -2.0447685447),
    4.2: (0.4435682544, -2.1146893151, -2.0853106849),
    4.5: (0.6931471806, -2.3068528194, -2.1931471806),
    5: (0.9624236501, -2.6556103386, -2.3443896614),
    6: (1.3169578969, -3.4150929106, -2.5849070894),
    7: (1.5667992370, -4.2244886105, -2.7755113895),
}


def test_folds_of_tanh_are_those_of_the_table():
    for w, (h, bias) in FOLDS_TANH.items():
        low, high = dynamics.folds(jnp.tanh, w)
        assert abs(jnp.tanh(dynamics.bend(jnp.tanh, w)) - h) < TABLE
        assert abs(high - bias) < TABLE
        assert low == -high


def test_folds_of_the_logistic_are_those_of_the_table():
    for w, (a, upper, lower) in FOLDS_LOGISTIC.items():
        np.testing.assert_allclose(dynamics.folds(logistic, w), (upper, lower), rtol=0, atol=TABLE)
        assert abs(dynamics.bend(logistic, w) - a) < TABLE


def test_period_doublings_are_those_of_the_table():
    for w, h, b in ((-1.5, 0.5773502692, 1.5245043522), (-2.0, 0.7071067812, 2.2955871494)):
        assert abs(jnp.tanh(dynamics.bend(jnp.tanh, w)) - h) < TABLE
        np.testing.assert_allclose(dynamics.flips(jnp.tanh, w), (-b, b), rtol=0, atol=TABLE)
    np.testing.assert_allclose(dynamics.flips(logistic, -5.0), (0.4195423611, 4.5804576389), rtol=0, atol=TABLE)


def test_outside_the_cusp_nothing_bifurcates():
    for f, cusp in ((jnp.tanh, 1.0), (logistic, 4.0)):
        assert np.all(np.isnan(dynamics.folds(f, np.array([-3 * cusp, 0.0, 0.9 * cusp]))))
        assert np.all(np.isnan(dynamics.flips(f, np.array([3 * cusp, 0.0, -0.9 * cusp]))))
        corner = dynamics.fixed_point_line(f, 0.0, cusp)
        np.testing.assert_allclose(dynamics.folds(f, cusp), (corner, corner), atol=1e-12)
        np.testing.assert_allclose(dynamics.fold_curve(f, 0.0), (cusp, corner), atol=1e-12)


def test_logistic_folds_are_the_tanh_folds_of_the_conjugate_map():
    w = np.linspace(4.1, 12, 30)  # a = 2y: W = w/4, B = w/4 + b/2
    for tanh, sigma in zip(dynamics.folds(jnp.tanh, w / 4), dynamics.folds(logistic, w), strict=True):
        np.testing.assert_allclose(tanh, w / 4 + sigma / 2, atol=1e-12)


def test_curves_along_the_state_pass_through_the_closed_forms():
    for f in (jnp.tanh, logistic):
        a = np.linspace(-2, 2, 9)
        w, b = dynamics.fold_curve(f, a)
        low, high = dynamics.folds(f, w)
        np.testing.assert_allclose(b, np.where(a > 0, low, high), atol=1e-12)
        w, b = dynamics.flip_curve(f, a)
        low, high = dynamics.flips(f, w)
        np.testing.assert_allclose(b, np.where(a > 0, high, low), atol=1e-12)


def test_curves_along_the_state_need_no_closed_form():
    w, b = dynamics.fold_curve(jax.nn.soft_sign, 0.5)
    np.testing.assert_allclose((w, b), (1.5**2, 0.5 - 1.5**2 / 3), rtol=1e-15)
    with pytest.raises(ValueError, match="tanh or logistic"):
        dynamics.folds(jax.nn.soft_sign, 2.0)


@pytest.mark.parametrize("cell", [SRNN, lambda w, b: Pascanu(w=4 * w, b=2 * (b - w))], ids=["SRNN", "Pascanu"])
def test_three_fixed_points_between_the_folds_and_one_outside(cell):
    for w in (1.1, 2.0, 5.0):
        fold = float(dynamics.folds(jnp.tanh, w)[1])
        for inside, outside in (
            (0.999, 1.001),
            (1 - 1e-9, 1 + 1e-9),
        ):  # a pair 1e-5 apart lies within one step of the grid
            for sign in (-1, 1):
                h, multiplier = real(dynamics.fixed_points(cell(w=w, b=sign * inside * fold)))
                assert len(h) == 3
                assert list(abs(multiplier) < 1) == [True, False, True]
                assert len(real(dynamics.fixed_points(cell(w=w, b=sign * outside * fold)))[0]) == 1


def test_the_fixed_points_of_tanh_have_the_tabled_state_multiplier_and_exponent():
    table = {
        1.1: (0.5029405749, 0.8217558559, -0.1963119404),
        1.5: (0.8585596366, 0.3943130255, -0.9306102042),
        2.0: (0.9575040241, 0.1663720878, -1.7935285065),
        3.0: (0.9949015285, 0.0305128460, -3.4896075021),
    }
    for w, (h, multiplier, exponent) in table.items():
        cell = SRNN(w=w)
        states, multipliers = real(dynamics.fixed_points(cell))
        np.testing.assert_allclose(states, (-h, 0, h), atol=TABLE)
        np.testing.assert_allclose(multipliers, (multiplier, w, multiplier), atol=TABLE)
        measured = dynamics.lyapunov_exponent(cell, jnp.zeros(400), start=0.3, discard=300)
        assert abs(measured - exponent) < 2e-10


def test_stored_states_of_bengios_neuron():
    table = {1.05: (0.3707, 0.9057), 1.25: (0.7104, 0.6191), 1.75: (0.9243, 0.2551), 4.0: (0.9993, 0.0054)}
    orbits = jax.vmap(lambda w: dynamics.fixed_points(SRNN(w=w), most=3))(jnp.array(list(table)))
    np.testing.assert_allclose(orbits.state.h[:, 2], [h for h, _ in table.values()], atol=6e-5)
    np.testing.assert_allclose(orbits.multiplier[:, 2], [m for _, m in table.values()], atol=6e-5)
    assert np.array_equal(orbits.stable, [[True, False, True]] * len(table))


def test_a_fixed_point_of_pascanus_map_lies_on_its_line():
    for a, w in ((0.5, 6.0), (-1.3, 2.0), (3.0, 5.0)):
        b = float(dynamics.fixed_point_line(logistic, a, w))
        h, multiplier = real(dynamics.fixed_points(Pascanu(w=w, b=b)))
        at = np.argmin(abs(h - a))
        assert abs(h[at] - a) < 1e-14 / abs(1 - multiplier[at])
        s = float(logistic(a))
        assert abs(multiplier[at] - w * s * (1 - s)) < 1e-12


def test_saturated_fixed_points_are_found_beyond_the_grid():
    h, multiplier = real(dynamics.fixed_points(GRU(w_h=80.0)))  # 1 - h = 2 exp(-80): 1 to rounding
    np.testing.assert_array_equal(h, (-1, 0, 1))
    np.testing.assert_allclose(multiplier, (0.5, 0.5 + 0.25 * 80, 0.5), rtol=1e-12)


def test_fixed_points_of_a_gru_do_not_depend_on_its_update_gate():
    rest = {"w_r": 1.3, "b_r": 0.2, "w_h": 4.0, "b_h": -0.1}
    points = [real(dynamics.fixed_points(GRU(**rest, w_z=w, b_z=b)))[0] for w, b in ((0.0, 0.0), (2.0, -1.0))]
    assert len(points[0]) == 3
    np.testing.assert_allclose(*points, atol=1e-14)


def test_an_lstm_with_three_stable_states():
    cell = LSTM(w_i=-3.974, w_f=19.608, w_g=10.89, w_o=0.525, b_i=-1.628, b_f=-7.639, b_g=2.835, b_o=5.181)
    orbits = dynamics.fixed_points(cell)
    h, multiplier = real(orbits)
    assert len(h) == 5
    np.testing.assert_allclose(h[::2], (-0.567598, 0.111346, 0.996679), atol=6e-7)
    np.testing.assert_allclose(abs(multiplier[::2]), (0.622, 0.373, 0.999993), atol=6e-4)
    assert list(orbits.stable) == [True, False, True, False, True, False, False, False]
    stepped = jax.vmap(lambda s: cell.step(s, 0.0))(orbits.state)
    np.testing.assert_allclose(stepped.h[:5], h, atol=1e-13)
    np.testing.assert_allclose(stepped.c[:5], orbits.state.c[:5], rtol=1e-13)
    starts = jax.random.uniform(jax.random.key(0), (500, 2), minval=-1.0)
    begin = [cell.initial()._replace(h=h, c=10 * c) for h, c in (starts[k] for k in (0, 1, 2))]
    for state in begin:
        end = iterated(lambda s: cell.step(s, 0.0), state, 100_000)
        assert np.min(abs(np.asarray(end.h) - h[::2])) < 1e-4


def test_constant_input_acts_as_a_bias():
    with_input = dynamics.fixed_points(SRNN(w=2.0, u=0.5, b=0.1), x=0.4)
    as_bias = dynamics.fixed_points(SRNN(w=2.0, u=0.5, b=0.1 + 0.5 * 0.4))
    np.testing.assert_array_equal(with_input.state.h, as_bias.state.h)
    assert np.max(np.abs(with_input.state.h - dynamics.fixed_points(SRNN(w=2.0, b=0.1)).state.h)[:3]) > 1e-2


def test_no_more_points_than_asked_for():
    assert dynamics.fixed_points(SRNN(w=2.0), most=2).state.h.shape == (2,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_makes_no_orbits(dtype):
    with jax.enable_x64(dtype == "float64"):
        unit = lambda w, b: SRNN(w=jnp.asarray(w, dtype), u=jnp.ones((), dtype), b=jnp.asarray(b, dtype))  # noqa: E731
        assert np.isfinite(dynamics.fixed_points(unit(3.2, 3.6)).state.h).sum() == 1  # saturated, and no other
        for w, b in ((5.084944, -2.0879526), (3.0, 0.0), (0.5, 0.2)):  # a step that increases has no cycle of two
            assert not np.isfinite(dynamics.two_cycles(unit(w, b)).state.h).any()
        assert np.isfinite(dynamics.two_cycles(unit(-3.0, 0.0)).state.h).sum() == 2


def test_a_two_cycle_exists_between_the_period_doublings_and_only_there():
    for w in (-1.5, -3.0):
        flip = float(dynamics.flips(jnp.tanh, w)[1])
        for b in (0.0, 0.9 * flip, -0.9 * flip):
            cell = SRNN(w=w, b=b)
            h, multiplier = real(dynamics.two_cycles(cell))
            assert len(h) == 2
            assert multiplier[0] == pytest.approx(multiplier[1], rel=1e-9)
            assert abs(multiplier[0]) < 1
            np.testing.assert_allclose(np.tanh(w * h + b), h[::-1], atol=1e-14)
            np.testing.assert_allclose(np.sort(run(cell, jnp.zeros(2000), 0.3)[-2:]), h, atol=1e-9)
            assert len(real(dynamics.fixed_points(cell))[0]) == 1
        assert len(real(dynamics.two_cycles(SRNN(w=w, b=1.1 * flip)))[0]) == 0


def test_the_flip_flop_that_a_simple_unit_learned():
    # The published one-unit network for T = 10 stores its bit in the phase of a 2-cycle.
    h, multiplier = real(dynamics.two_cycles(SRNN(w=-1.7851336, b=-0.0005210159)))
    np.testing.assert_allclose(h, (-0.9303, 0.9303), atol=3e-4)
    assert np.sqrt(multiplier[0]) == pytest.approx(0.240, abs=6e-4)


def test_what_cannot_be_reduced_to_h_is_refused():
    with pytest.raises(ValueError, match="p_i, p_f, p_o; use search"):
        dynamics.fixed_points(LSTMPeephole())
    with pytest.raises(ValueError, match="LSTM carries more"):
        dynamics.two_cycles(LSTM())
    with pytest.raises(ValueError, match=r"h of shape \(\)"):
        dynamics.fixed_points(SRNN(w=jnp.eye(2), u=jnp.ones((1, 2)), b=jnp.zeros(2)), x=jnp.zeros(1))


def test_origin_multipliers_of_the_gated_cells():
    w = jnp.array([-1.2, 0.4, 1.3])
    for values_ in ({"b_i": 0.3, "b_f": 1.0, "b_o": -0.7}, {"b_i": -1.0, "b_f": 2.0, "b_o": 1.0}):
        i, f, o = (float(logistic(values_[name])) for name in ("b_i", "b_f", "b_o"))
        # The other gates' recurrent weights do not enter: at the origin their product with a zero candidate vanishes.
        cells = jax.vmap(lambda w, v=values_: LSTM(w_g=w, w_i=2.0, w_f=-3.0, w_o=1.0, **v))(w)
        np.testing.assert_allclose(jax.vmap(dynamics.origin_multiplier)(cells), f + i * o * w, atol=1e-14)
    z, r = float(logistic(0.5)), float(logistic(-0.2))
    cells = jax.vmap(lambda w: GRU(w_h=w, b_z=0.5, b_r=-0.2, w_z=3.0, w_r=-2.0))(w)
    np.testing.assert_allclose(jax.vmap(dynamics.origin_multiplier)(cells), z + (1 - z) * r * w, atol=1e-15)
    np.testing.assert_allclose(dynamics.origin_multiplier(SRNN(w=-0.7)), -0.7)


def test_the_lstm_splits_in_two_where_its_origin_multiplier_passes_one():
    pitchfork = 1.0757656854
    assert dynamics.origin_multiplier(LSTM(w_g=pitchfork)) == pytest.approx(1, abs=TABLE)
    assert len(real(dynamics.fixed_points(LSTM(w_g=pitchfork - 1e-3)))[0]) == 1
    assert len(real(dynamics.fixed_points(LSTM(w_g=pitchfork + 1e-3)))[0]) == 3


def test_the_multiplier_is_the_eigenvalue_of_largest_modulus():
    key = jax.random.key(0)
    for size in (1, 2, 3):
        for matrix in np.asarray(jax.random.normal(key, (50, size, size))):
            eigenvalues = np.linalg.eigvals(matrix)
            largest = eigenvalues[np.argmax(abs(eigenvalues))]
            expected = largest.real if largest.imag == 0 else abs(largest)
            assert dynamics.multiplier(jnp.asarray(matrix)) == pytest.approx(expected, rel=1e-9)


def test_a_simple_unit_is_never_chaotic_and_a_gated_one_can_be():
    silence = jnp.zeros(20_000)
    gru = GRU(w_z=9.481, w_r=10.621, w_h=-7.833, b_z=-1.296, b_r=3.684, b_h=-0.954)
    lstm = LSTM(w_i=11.214, w_f=-0.959, w_g=-10.447, w_o=8.857, b_i=-0.301, b_f=5.472, b_g=4.361, b_o=4.193)
    # One run of 2e4 steps has a standard error of about .003, by blocks of 2,000 steps.
    assert dynamics.lyapunov_exponent(gru, silence, 0.1, discard=100) == pytest.approx(0.86, abs=0.015)
    assert dynamics.lyapunov_exponent(lstm, silence, 0.1, discard=100) == pytest.approx(0.659, abs=0.015)
    w, b = 6 * jax.random.normal(jax.random.key(1), (2, 300))
    exponents = jax.vmap(lambda w, b: dynamics.lyapunov_exponent(SRNN(w=w, b=b), silence[:2000], 0.1, 1000))(w, b)
    assert np.max(exponents) < 1e-3


def test_the_exponent_of_a_linear_cell_is_the_log_of_its_weight_with_or_without_noise():
    noise = jax.random.normal(jax.random.key(0), (100,))
    for x in (0 * noise, noise):
        assert dynamics.lyapunov_exponent(LinearRNN(w=-0.8), x) == pytest.approx(math.log(0.8), rel=1e-13)
    assert dynamics.lyapunov_exponent(LinearRNN(w=0.0), noise) == -np.inf


def test_the_first_steps_of_an_orbit_are_left_out_when_asked():
    whole, late = (dynamics.lyapunov_exponent(SRNN(w=2.0), jnp.zeros(60), 0.01, discard=n) for n in (0, 50))
    assert whole > late + 0.1


def test_sensitivity_of_a_linear_cell_to_its_weight_under_white_noise():
    weight = 0.9  # E[(dh/dw)²] = (1 + w²)/(1 - w²)³ (Zucchet & Orvieto 2024)
    noise = jax.random.normal(jax.random.key(3), (20_000, 300))
    derivative = jax.vmap(jax.grad(lambda w, x: run(LinearRNN(w=w), x)[-1]), (None, 0))(weight, noise)
    exact = (1 + weight**2) / (1 - weight**2) ** 3
    error = exact * math.sqrt(2 / len(noise))  # dh/dw is Gaussian
    assert abs(float(jnp.mean(derivative**2)) - exact) < 4 * error


# The cliff of Pascanu's map


def test_the_cliff_is_where_the_tables_say():
    table = {4.5: (-2.3011, 1.0575), 4.8: (-2.4878, 1.1280), 5.0: (-2.6123, 1.1750), 5.4: (-2.8613, 1.2690)}
    w = np.array(list(table))
    line = dynamics.cliff_line(logistic, w, 0.5)
    np.testing.assert_allclose(line.b, [b for b, _ in table.values()], atol=6e-5)
    np.testing.assert_allclose(line.multiplier, [m for _, m in table.values()], atol=6e-5)
    np.testing.assert_allclose(dynamics.cliff_line(logistic, w, 0.0).b, -w / 2, atol=1e-14)


def test_there_is_no_cliff_where_no_state_is_unstable():
    w = np.array([-4.0, 0.0, 3.9, 4.0 - 1e-9])
    for part in dynamics.cliff_line(logistic, w, 0.5):
        assert np.all(np.isnan(part))
    assert np.isnan(dynamics.cliff_line(logistic, 3.999, 0.0).b)


def test_fold_arc_and_basin_line_join_as_tangents():
    w, b = dynamics.fold_curve(logistic, 0.5)
    np.testing.assert_allclose((w, b), (4.2552519304, -2.1487212707), atol=TABLE)
    step = 1e-5  # the arc leaves the line quadratically
    below, above = (dynamics.cliff_line(logistic, w + s, 0.5) for s in (-step, step))
    slope = -float(logistic(0.5))
    assert below.b - b == pytest.approx(-slope * step, rel=1e-3)
    assert above.b - b == pytest.approx(slope * step, rel=1e-3)
    assert below.multiplier == 1 < above.multiplier
    assert slope == pytest.approx(-0.6224593312, abs=TABLE)


def test_the_valley_runs_into_the_cliff():
    target = math.log(0.7 / 0.3)
    w, b = dynamics.crossing(logistic, target, 0.5)
    np.testing.assert_allclose((w, b), (4.4789123665, -2.2879407962), atol=TABLE)
    np.testing.assert_allclose(dynamics.fixed_point_line(logistic, target, w), b, rtol=1e-14)
    np.testing.assert_allclose(dynamics.cliff_line(logistic, w, 0.5).b, b, rtol=1e-14)
    states, multipliers = real(dynamics.fixed_points(Pascanu(w=w, b=b)))
    np.testing.assert_allclose(multipliers[1:], (1.0525610328, 0.9405715970), atol=1e-9)
    np.testing.assert_allclose(states[1:], (0.5, target), atol=1e-12)


@pytest.mark.parametrize("start", [0.5, -0.8])
def test_orbits_part_on_the_two_sides_of_the_cliff(start):
    w = jnp.array([4.05, 4.2, 4.5, 5.0, 7.0])
    b = dynamics.cliff_line(logistic, w, start).b
    ends = [iterated(lambda a, b=b + s: w * logistic(a) + b, start + 0 * w, 10_000) for s in (-1e-4, 1e-4)]
    assert np.all(ends[1] - ends[0] > 0.5)
    # Off the cliff the same step of bias changes little.
    for away in (-0.05, 0.05):
        ends = [iterated(lambda a, b=b + away + s: w * logistic(a) + b, start + 0 * w, 10_000) for s in (-1e-4, 1e-4)]
        assert np.all(abs(ends[1] - ends[0]) < 0.1)


def test_beyond_period_doubling_the_jump_changes_sign_with_parity():
    w, b = -6.0, 4.2347559872
    assert dynamics.cliff_line(logistic, w, 0.5).b == pytest.approx(b, abs=TABLE)
    assert dynamics.cliff_line(logistic, w, 0.5).multiplier < -1
    at = lambda b, steps: float(iterated(lambda a: w * logistic(a) + b, 0.5, steps))  # noqa: E731
    np.testing.assert_allclose([at(b - 1e-3, 50), at(b + 1e-3, 50)], [3.1585, -1.5198], atol=6e-5)
    np.testing.assert_allclose([at(b - 1e-3, 51), at(b + 1e-3, 51)], [-1.5217, 3.1588], atol=6e-5)


def test_past_a_fold_an_orbit_lingers_for_pi_over_the_root_of_a_beta():
    w = 4.1
    constant = float(dynamics.passage_constant(logistic, w))
    assert constant == pytest.approx(0.0780868809, abs=TABLE)
    assert math.pi**2 / constant == pytest.approx(126.3926063, abs=6e-8)
    fold = float(dynamics.folds(logistic, w)[0])

    @jax.jit
    def bias(length):  # at which the state reaches -.5 after `length` steps, by bisection
        end = lambda b: iterated(lambda a: w * logistic(a) + b, 0.5, length)  # noqa: E731
        halve = lambda _, e: jnp.where(end(e.mean()) > -0.5, jnp.array([e[0], e.mean()]), jnp.array([e.mean(), e[1]]))  # noqa: E731
        return jax.lax.fori_loop(0, 50, halve, jnp.array([fold - 0.2, fold])).mean()

    lengths = np.array([100, 500, 2000, 10_000])
    measured = np.array([float(bias(length)) for length in lengths])
    np.testing.assert_allclose(measured, (-2.0614217502, -2.0556635069, -2.0552618913, -2.0552327100), atol=TABLE)
    # T - c0 = pi/sqrt(A beta): the offset c0 is fitted, the constant is not.
    passage = math.pi / np.sqrt(constant * (fold - measured[2:]))
    offset = np.mean(lengths[2:] - passage)
    assert offset == pytest.approx(-36.6, abs=1)
    np.testing.assert_allclose((fold - measured[2:]) * (lengths[2:] - offset) ** 2, math.pi**2 / constant, rtol=1e-2)


# The stored bit


def test_latching_bound_is_that_of_the_table():
    table = {
        (1.5, 0.5): 0.15342640972,
        (1.5, 1): 0.20754645532,
        (2, 0.5): 0.24458718812,
        (2, 1): 0.45069385567,
        (2, 2): 0.53283997535,
        (3, 1): 0.65342640972,
    }
    for (w, u), bound in table.items():
        for sign in (-1, 1):
            assert abs(dynamics.latching_bound(w, sign * u) - bound) < 6e-12
    assert dynamics.latching_bound(1.0, 1.0) == 0


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_bit_is_kept_inside_the_bound_and_lost_outside(noise):
    # The worst noise of bounded modulus always pushes against the bit; monotone maps turn every other into less.
    w, u, b = jax.random.uniform(jax.random.key(0), (3, 10_000), minval=jnp.array([[0.5], [-3.0], [-2.0]]), maxval=3.0)
    kept = jnp.ones(w.shape, bool)
    for bit in (-1, 1):
        push = -bit * noise * u
        a = iterated(lambda a, push=push: w * jnp.tanh(a) + b + push, u * bit + b + push, 5000)
        kept &= jnp.sign(a) == jnp.sign(u) * bit
    margin = jnp.abs(b) + jnp.abs(u) * noise - dynamics.latching_bound(w, u)
    decided = jnp.abs(margin) > 1e-4  # closer to the edge than this, 5000 steps do not decide
    assert np.mean(decided) > 0.99
    wrong = (dynamics.latches(w, u, b, noise) != kept) & decided
    assert not np.any(wrong)
    assert 0.02 < np.mean(kept) < 0.9


MEMORY = {
    1.0: {10: (0.9563049491, 0.6329565402), 50: (0.5515885203, 0.0647049731), 200: (0.5000109302, 0.0000137092)},
    1.2: {10: (0.9999296831, 1.2791597550), 50: (0.9955100765, 1.2527493234), 200: (0.9776678072, 1.2076397003)},
    0.73: {10: (0.5926620405, 0.0647466216), 50: (0.5000001469, 0.0000001022)},
}


def test_what_noise_leaves_of_a_bit_is_that_of_the_table():
    for w, rows in MEMORY.items():
        kept = dynamics.stored_bit(w, 1.0, 0.0, 0.1, list(rows))
        np.testing.assert_allclose(kept.correct, [p for p, _ in rows.values()], rtol=0, atol=TABLE)
        np.testing.assert_allclose(kept.signal, [d for _, d in rows.values()], rtol=0, atol=TABLE)


def test_what_noise_leaves_of_a_bit_agrees_with_sampled_episodes():
    w, u, b, noise, length, count = 1.1, 0.8, 0.05, 0.3, 20, 40_000
    key = jax.random.key(7)
    x = noise * jax.random.normal(key, (2, count, length))
    x = x.at[..., 0].add(jnp.array([[1.0], [-1.0]]))
    h = np.asarray(jax.vmap(jax.vmap(lambda x: run(SRNN(w=w, u=u, b=b), x)[-1]))(x))
    kept = dynamics.stored_bit(w, u, b, noise, [length])
    right = np.array([h[0] > 0, h[1] < 0])
    assert abs(right.mean() - kept.correct[0]) < 4 * right.std() / math.sqrt(2 * count)
    assert abs((h[0] - h[1]).mean() - kept.signal[0]) < 4 * (h[0] - h[1]).std() / math.sqrt(count)


def test_the_population_loss_is_what_a_latching_surface_estimates():
    w, lengths, count = 1.2, [1, 2, 10], 8192
    at = plane(SRNN(), w=[0.0, 1.0], b=[0.0, 1.0])
    sampled = values(at, Recurrence(latch(0.2), lengths, order=0, episodes=count, dtype="float64"), [[w, 0.0]])["loss"][
        :, 0
    ]
    exact = dynamics.stored_bit(w, 1.0, 0.0, 0.2, lengths).loss
    # A squared error of mean m that lies in [0, 4] has variance at most 4 m.
    assert np.all(np.abs(sampled - exact) < 4 * np.sqrt(4 * exact / count))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    assert exact[0] == pytest.approx(np.average((np.tanh(1 + 0.2 * nodes) - 1) ** 2, weights=weights), rel=1e-10)


def test_noise_dresses_the_multiplier():
    table = {
        0.73: 0.716081621991,
        0.9: 0.870085166609,
        1.0: 0.945164002842,
        1.05: 0.972567897636,
        1.1: 0.990059472940,
        1.2: 0.999755548328,
        1.3: 0.999999645429,
    }
    for w, expected in table.items():
        assert dynamics.noise_multiplier(w, 1.0, 0.1) == pytest.approx(expected, abs=2e-12)
    assert dynamics.noise_multiplier(-0.9, 2.0, 0.05) == pytest.approx(-table[0.9], abs=2e-12)


def test_the_signal_dies_by_the_noise_dressed_multiplier():
    kept = dynamics.stored_bit(1.05, 1.0, 0.0, 0.1, [400, 401])
    assert kept.signal[1] / kept.signal[0] == pytest.approx(dynamics.noise_multiplier(1.05, 1.0, 0.1), rel=1e-10)


def test_at_the_edge_of_bistability_memory_is_set_by_the_noise():
    assert -math.log(dynamics.noise_multiplier(1.0, 1.0, 0.1)) / 0.1 == pytest.approx(0.5640, abs=6e-5)
    assert -math.log(dynamics.noise_multiplier(1.0, 1.0, 0.02)) / 0.02 == pytest.approx(0.559, abs=2e-3)


def test_kramers_rate_is_that_of_the_table_and_near_the_exact_rate_for_small_w():
    table = {(1.1, 0.05): 5.90e-5, (1.2, 0.1): 1.240e-4, (1.3, 0.2): 2.34e-3, (1.5, 0.2): 1.55e-5, (2.0, 0.3): 7.2e-8}
    for (w, sigma), rate in table.items():
        assert dynamics.kramers_rate(w, sigma) == pytest.approx(rate, rel=8e-3)
    for w, sigma, close in ((1.1, 0.05, 0.05), (1.2, 0.1, 0.02), (1.3, 0.2, 0.025)):
        exact = (1 - dynamics.noise_multiplier(w, 1.0, sigma)) / 2
        assert dynamics.kramers_rate(w, sigma) == pytest.approx(exact, rel=close)


def test_without_noise_there_is_no_average_over_it():
    with pytest.raises(ValueError, match="must be positive"):
        dynamics.noise_multiplier(1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="must be positive"):
        dynamics.stored_bit(1.0, 0.0, 0.0, 0.1, [1])

"""Bifurcation curves traced numerically against closed forms, and what refuses to have a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape import dynamics
from landscape.cells import GRU, LSTM, SRNN, LinearRNN, LSTMPeephole, Pascanu, logistic
from landscape.planes import plane, span


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


EXACT = 1e-12  # Newton's method ends at rounding; at the plane's corners values are near 5


def nearer(curves, b):
    """The distance to the nearer of two closed-form curves at the same w."""
    return np.nanmin(np.abs(np.stack([np.asarray(curve) for curve in curves]) - np.asarray(b)), 0)


@pytest.fixture(scope="module")
def simple():
    return plane(SRNN(), w=np.linspace(-3, 3, 9), b=np.linspace(-2, 2, 9))


def test_traced_folds_and_cusp_of_tanh_are_the_closed_form(simple):
    found = dynamics.bifurcations(simple)
    assert found["ends"].values.tolist() == [["edge", "edge"]]
    assert nearer(dynamics.folds(jnp.tanh, found["w"].values), found["b"]).max() < EXACT
    np.testing.assert_allclose(np.abs(found["h"]), np.sqrt(1 - 1 / found["w"]), atol=1e-7)  # a square root near 0
    np.testing.assert_allclose(found["multiplier"], 1, atol=1e-14)
    assert found["residual"].max() < 1e-14
    np.testing.assert_allclose((found["cusp_w"], found["cusp_b"], found["cusp_h"]), [[1], [0], [0]], atol=1e-12)
    ends = found.isel(point=[0, -1])
    np.testing.assert_array_equal(ends["w"], 3.0)  # on the edge to the last digit
    np.testing.assert_allclose(np.sort(ends["b"]), (-1.3032739080, 1.3032739080), atol=6e-11)
    assert found.attrs["method"].startswith("numerical")


@pytest.mark.slow
def test_traced_flips_of_tanh_are_the_closed_form(simple):
    found = dynamics.bifurcations(simple, dynamics.minus_one)
    # Near the apex the closed form takes acosh(sqrt|w|) of nearly 1, and has lost digits itself.
    assert nearer(dynamics.flips(jnp.tanh, found["w"].values), found["b"]).max() < 1e-10
    np.testing.assert_allclose(found["multiplier"], -1, atol=1e-14)
    assert found["w"].max() == pytest.approx(-1, abs=2e-4)  # the apex; steps are .02 long
    assert found.sizes["cusp"] == 0


@pytest.mark.slow
def test_traced_folds_and_cusp_of_pascanus_map_are_the_closed_form():
    at = plane(Pascanu(), w=np.linspace(0, 8, 5), b=np.linspace(-5, 1, 5))
    found = dynamics.bifurcations(at)
    assert nearer(dynamics.folds(logistic, found["w"].values), found["b"]).max() < EXACT
    np.testing.assert_allclose((found["cusp_w"], found["cusp_b"]), [[4], [-2]], atol=1e-12)
    # A finer step draws more points on the same curve, a shorter list stops before the edge.
    assert dynamics.bifurcations(at, step=0.005).sizes["point"] > 3 * found.sizes["point"]
    assert "unfinished" in dynamics.bifurcations(at, most=10)["ends"]
    # An input acts as a bias.
    shifted = dynamics.bifurcations(at, x=0.5)
    np.testing.assert_allclose((shifted["cusp_w"], shifted["cusp_b"]), [[4], [-2.5]], atol=1e-12)


@pytest.mark.slow
def test_the_fold_curve_of_an_lstm_has_its_cusp_where_the_origin_splits():
    found = dynamics.bifurcations(plane(LSTM(), w_g=np.linspace(0, 4, 5), b_g=np.linspace(-1, 1, 5)))
    np.testing.assert_allclose(found["multiplier"], 1, atol=1e-13)
    # f + i o w_g = 1 at b_g = 0
    np.testing.assert_allclose((found["cusp_w_g"], found["cusp_b_g"]), [[1.07576568547998048], [0]], atol=1e-12)
    assert found["residual"].max() < 1e-13
    assert found["other"].max() < 1
    # At each point two fixed points meet: a step of b_g to one side has two more than a step to the other.
    for k in (3, len(found["point"]) // 3):
        w, b = float(found["w_g"][k]), float(found["b_g"][k])
        cells = jax.vmap(lambda b: LSTM(w_g=w, b_g=b))(b + jnp.array([-1e-6, 1e-6]))  # noqa: B023
        counts = np.isfinite(jax.vmap(dynamics.fixed_points)(cells).state.h).sum(1)
        assert sorted(counts) == [1, 3]


@pytest.mark.slow
def test_the_pitchfork_of_an_lstm_without_biases_is_followed():
    found = dynamics.bifurcations(plane(LSTM(), w_g=np.linspace(0, 4, 9), b_f=np.linspace(-3, 3, 9)))
    f = np.asarray(logistic(found["b_f"].values))
    np.testing.assert_allclose(found["w_g"], (1 - f) / 0.25, rtol=1e-13)
    np.testing.assert_allclose(found["h"], 0, atol=1e-14)
    assert found["ends"].values.tolist() == [["edge", "edge"]]
    assert found.sizes["cusp"] == 0


@pytest.mark.slow
def test_folds_of_a_gru_bound_its_regions():
    at = plane(GRU(b_r=0.3, w_r=-0.5), w_h=np.linspace(0.5, 5, 24), b_h=np.linspace(-1, 1, 22))
    found, regions = dynamics.bifurcations(at), dynamics.multistability(at)
    np.testing.assert_allclose(found["multiplier"], 1, atol=1e-12)
    assert sorted(np.unique(regions["fixed_points"])) == [1, 3]
    # At the w of each column the curve's biases lie where the count changes.
    for k in range(8, 24):
        w, before, after = float(found_w := regions["w_h"][k]), found["w_h"].values[:-1], found["w_h"].values[1:]
        cut = np.nonzero((before - w) * (after - w) <= 0)[0]
        share = (w - before[cut]) / (after[cut] - before[cut])
        crossed = found["b_h"].values[cut] + share * np.diff(found["b_h"].values)[cut]
        between = np.histogram(crossed, regions["b_h"].values)[0]
        np.testing.assert_array_equal(np.diff(regions["fixed_points"].sel(w_h=found_w)) != 0, between == 1)
        np.testing.assert_array_less(between, 2)


@pytest.mark.slow
def test_a_curve_does_not_depend_on_how_its_plane_is_spanned():
    model = SRNN(w=1.0, b=0.0)
    turned = span(model, {"p": SRNN(w=1.0, u=0.0, b=1.0), "q": SRNN(w=1.0, u=0.0, b=-1.0)}, p=[-1, 1], q=[-1, 1])
    found = dynamics.bifurcations(turned)
    w, b = 1 + found["p"] + found["q"], found["p"] - found["q"]
    assert nearer(dynamics.folds(jnp.tanh, w.values), b).max() < EXACT
    np.testing.assert_allclose((found["cusp_p"], found["cusp_q"]), 0, atol=1e-12)


@pytest.mark.slow
def test_where_nothing_bifurcates_no_curve_is_invented():
    for cell in (SRNN(), LinearRNN()):
        found = dynamics.bifurcations(plane(cell, w=[-0.5, 0.5], b=[-1, 1]), cells=8)
        assert dict(found.sizes) == {"point": 0, "cusp": 0, "curve_number": 0, "end": 2}


def test_curves_need_a_plane_of_two_coordinates_and_a_state_that_reduces_to_h():
    with pytest.raises(ValueError, match="two coordinates, given w, u, b"):
        dynamics.bifurcations(plane(SRNN(), w=[0, 1], u=[0, 1], b=[0, 1]))
    with pytest.raises(ValueError, match="p_i, p_f, p_o; use search"):
        dynamics.bifurcations(plane(LSTMPeephole(), w_g=[0, 1], b_f=[0, 1]))


def test_a_cell_without_closed_form_is_sent_to_continuation():
    for ask in (dynamics.folds, dynamics.flips, dynamics.bend, dynamics.fold_curve, dynamics.passage_constant):
        with pytest.raises(ValueError, match=r"LSTM has none: trace its curves numerically with bifurcations"):
            ask(LSTM(), 1.0)
    with pytest.raises(ValueError, match="GRU has none"):
        dynamics.cliff_line(GRU(), 2.0, 0.5)


# The picture of tangent lines


def test_through_a_point_of_the_plane_pass_as_many_tangents_as_it_has_fixed_points():
    for w, b, count in ((5.0, -2.4, 3), (5.0, -1.0, 1), (-2.0, 0.3, 1)):
        lines = dynamics.tangents(logistic, w, b)
        there = np.isfinite(lines.a)
        assert there.sum() == count
        a, f = np.asarray(lines.a)[there], np.asarray(logistic(lines.a))[there]
        np.testing.assert_allclose(a - w * f, b, atol=1e-13)  # the line passes through the point
        np.testing.assert_allclose(np.asarray(lines.b)[there], (a - lines.w[there] * f), atol=1e-13)
        # and lies along the fold curve where it touches it: dF/dw = f there, so the curve's slope is -f
        ahead, behind = (dynamics.fold_curve(logistic, a + d) for d in (1e-6, -1e-6))
        np.testing.assert_allclose((ahead[1] - behind[1]) / (ahead[0] - behind[0]), -f, rtol=1e-5)
        np.testing.assert_allclose(lines.multiplier[there], w * f * (1 - f), rtol=1e-12)

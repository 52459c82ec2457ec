"""Fixed points of layers: products of units, a linear system, and what a search may and may not claim."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape import dynamics
from landscape.cells import LSTM, SRNN, LinearRNN, LSTMPeephole, LSTMState, State
from landscape.dynamics import layers

pytest.importorskip("optimistix", reason="the extra 'layers' is not installed")


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def layer(kind, w, b):
    return kind(w=jnp.asarray(w, float), u=jnp.ones((1, len(b))), b=jnp.asarray(b, float))


def starts(count, units, reach=1.0):
    return jax.random.uniform(jax.random.key(0), (count, units), minval=-reach, maxval=reach)


@pytest.mark.slow
def test_a_layer_of_independent_units_rests_wherever_all_its_units_rest():
    w, b = (2.0, 1.5, 0.7), (0.1, 0.0, 0.2)
    alone = [dynamics.fixed_points(SRNN(w=v, b=c), most=3) for v, c in zip(w, b, strict=True)]
    found = dynamics.search(layer(SRNN, np.diag(w), b), starts(200, 3), jnp.zeros(1))
    h, multipliers = (
        np.stack(
            [
                m.ravel()
                for m in np.meshgrid(
                    *(np.asarray(part)[:n] for part, n in zip(parts, (3, 3, 1), strict=True)), indexing="ij"
                )
            ],
            -1,
        )
        for parts in ([o.state.h for o in alone], [o.multiplier for o in alone])
    )
    order = np.lexsort(np.asarray(found.state.h).T[::-1].round(6))
    np.testing.assert_allclose(np.asarray(found.state.h)[order], h, atol=1e-12)
    np.testing.assert_allclose(np.sort(found.spectrum[order].real, 1), np.sort(multipliers, 1), atol=1e-11)
    np.testing.assert_array_equal(found.stable[order], np.all(multipliers < 1, 1))
    assert found.stable.sum() == 4
    assert found.residual.max() < 1e-14
    assert found.starts.sum() == found.converged.sum()
    # Fewer starts may find fewer, and say so by nothing but their number.
    assert len(dynamics.search(layer(SRNN, np.diag(w), b), starts(3, 3), jnp.zeros(1)).residual) <= 3


def test_a_linear_layer_rests_where_its_linear_system_says():
    w = np.array(jax.random.normal(jax.random.key(1), (4, 4))) / 2
    b = np.array([1.0, -2.0, 0.5, 0.0])
    found = dynamics.search(layer(LinearRNN, w, b), starts(5, 4), jnp.full(1, 0.3))
    np.testing.assert_allclose(found.state.h, np.linalg.solve(np.eye(4) - w.T, b + 0.3)[None], rtol=1e-12)
    np.testing.assert_array_equal(found.starts, 5)
    eigenvalues = np.linalg.eigvals(w)
    np.testing.assert_allclose(np.sort_complex(found.spectrum[0]), np.sort_complex(eigenvalues), atol=1e-12)
    assert np.abs(found.spectrum[0, 0]) == pytest.approx(np.abs(eigenvalues).max())


def test_where_nothing_rests_no_start_converges():
    nowhere = layer(LinearRNN, np.eye(4), (1.0, 0.0, 0.0, 0.0))  # h' = h + (1, 0, 0, 0)
    found = dynamics.search(nowhere, starts(5, 4), jnp.zeros(1))
    assert not found.converged.any()
    assert found.residual.shape == (0,)
    assert found.spectrum.shape == (0, 4)
    np.testing.assert_allclose(found.distance, 1, atol=1e-6)
    assert dynamics.search(nowhere, starts(5, 4), jnp.zeros(1), tol=2.0).converged.all()


@pytest.mark.slow
def test_cycles_of_an_lstm_return_after_their_period_and_not_before():
    cell = LSTM(w_i=11.214, w_f=-0.959, w_g=-10.447, w_o=8.857, b_i=-0.301, b_f=5.472, b_g=4.361, b_o=4.193)
    found = dynamics.search(cell, starts(100, 1)[:, 0], period=2)
    assert len(found.residual) == 2
    after = jax.vmap(lambda s: cell.step(s, 0.0))(found.state)
    np.testing.assert_allclose(after.h, found.state.h[::-1], atol=1e-12)
    np.testing.assert_allclose(after.c, found.state.c[::-1], atol=1e-12)
    np.testing.assert_allclose(found.spectrum[0], found.spectrum[1], rtol=1e-6, atol=1e-9)
    assert not found.converged.all()  # from some starts the solver ends where no root is
    assert found.distance[~found.converged].min() > 1e-3
    few = dynamics.search(cell, starts(100, 1)[:, 0], period=2, steps=4)
    assert few.converged.sum() < found.converged.sum()


@pytest.mark.slow
def test_a_two_cycle_of_a_simple_unit_and_peepholes_of_zero_agree_with_the_complete_routes():
    cycles = dynamics.search(SRNN(w=-1.5, b=0.1), starts(50, 1)[:, 0], period=2)
    known = dynamics.two_cycles(SRNN(w=-1.5, b=0.1))
    np.testing.assert_allclose(cycles.state.h, known.state.h[:2], atol=1e-12)
    np.testing.assert_allclose(cycles.spectrum[:, 0].real, known.multiplier[:2], rtol=1e-10)
    peephole = dynamics.search(LSTMPeephole(w_g=2.0), LSTMState(*starts(50, 2).T))
    plain = dynamics.fixed_points(LSTM(w_g=2.0))
    np.testing.assert_allclose(peephole.state.h, plain.state.h[:3], atol=1e-12)
    states = jax.tree.map(lambda leaf: leaf[:3], plain.state)
    np.testing.assert_allclose(dynamics.search(LSTM(w_g=2.0), states).state.c, plain.state.c[:3], atol=1e-12)


def test_bad_input_and_a_missing_package_are_told_in_one_sentence(monkeypatch):
    cell = layer(SRNN, np.eye(2), (0.0, 0.0))
    with pytest.raises(ValueError, match="period must be at least 1, given 0"):
        dynamics.search(cell, starts(5, 2), jnp.zeros(1), period=0)
    with pytest.raises(TypeError, match=r"SRNN cannot step on an input of shape \(\)"):
        dynamics.search(cell, starts(5, 2))
    monkeypatch.setitem(sys.modules, "optimistix", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'rnn-landscape\[layers\]'"):
        dynamics.search(cell, starts(5, 2), jnp.zeros(1))


def test_a_search_compiles_one_step_whatever_the_period():
    cell = layer(SRNN, [[-2.0]], [0.0])
    sizes = [
        len(
            jax.make_jaxpr(lambda s, n=n: layers._turn(cell, jnp.zeros(1), lambda v: State(v), n, s))(jnp.zeros(1)).eqns
        )
        for n in (1, 27)
    ]
    assert sizes[0] == sizes[1]

"""Laws of planes: the coordinate of a point is the displacement applied, and wrong names are answered."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape.cells import GRU, LSTM, SRNN
from landscape.models import RNN, Dense
from landscape.planes import named_leaves, plane, span
from landscape.tree import param, pytree


def test_coordinates_of_a_named_plane_are_the_values_of_the_parameters() -> None:
    made = plane(SRNN(w=0.3, u=0.7), w=[-1, 1], b=[0, 2])
    model = made.at({"b": 1.25, "w": -0.5})
    assert (float(model.cell.w), float(model.cell.u), float(model.cell.b)) == (-0.5, 0.7, 1.25)
    assert made.shape == (2, 2)
    assert made.center == (0.3, 0.0)


def test_displacement_in_a_span_is_coordinate_times_direction() -> None:
    model = SRNN(w=np.float64(0.5), u=np.float64(1.0), b=np.float64(-0.25))
    one, two = SRNN(w=np.float64(3.0), u=np.float64(-4.0), b=np.float64(0.0)), SRNN(w=0.0, u=0.0, b=np.float64(2.0))
    made = span(model, {"p": one, "q": two}, p=[-1, 0, 1], q=[-1, 1])
    for p, q in [(0.0, 0.0), (1.0, -2.0), (-0.5, 4.0)]:
        moved = np.array(jax.tree.leaves(made.at([p, q]))) - np.array(jax.tree.leaves(model))
        np.testing.assert_allclose(moved, p * np.array([3.0, -4.0, 0.0]) + q * np.array([0.0, 0.0, 2.0]), rtol=1e-15)


def test_a_model_in_half_precision_is_rounded_once_after_all_coordinates() -> None:
    model, one, two = {"w": jnp.ones(1, jnp.bfloat16)}, {"w": np.float32([1])}, {"w": np.float32([2])}
    both = span(model, {"x": one, "y": one}, x=[0, 0.003], y=[0, 0.003]).at([0.003, 0.003])
    whole = span(model, {"z": two}, z=[0, 0.003]).at([0.003])
    assert both["w"].dtype == jnp.bfloat16
    assert float(both["w"][0]) == float(whole["w"][0]) == 1.0078125  # each alone would round to 1


def test_parameters_of_one_name_are_told_apart_or_refused() -> None:
    model = {"cell": {"w": 1.0, "b": 2.0}, "w": 3.0}
    assert named_leaves(model) == {"b": 0, "cell.w": 1, "w": 2}
    assert plane(model, w=[0, 1]).at([5.0])["cell"]["w"] == 1.0
    with pytest.raises(ValueError, match=r"two parameters of the model are both called 'a\.b'; rename one"):
        named_leaves({"a.b": 1.0, "a": {"b": 2.0}})
    with pytest.raises(ValueError, match="cannot be called 'x/y'"):
        span(SRNN(), {"x/y": SRNN()}, **{"x/y": [0, 1]})


def test_directions_keep_their_sign_and_their_angle() -> None:
    rng = np.random.default_rng(0)
    drawn = [SRNN(w=rng.normal(size=(20, 20)), u=rng.normal(size=(1, 20)), b=rng.normal(size=20)) for _ in range(2)]
    made = span(
        SRNN(w=np.zeros((20, 20)), u=np.zeros((1, 20)), b=np.zeros(20)),
        dict(zip("pq", drawn, strict=True)),
        p=[0, 1],
        q=[0, 1],
    )
    flat = lambda tree: np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])  # noqa: E731
    for point, direction in (([1.0, 0.0], drawn[0]), ([0.0, 1.0], drawn[1])):
        np.testing.assert_array_equal(flat(made.at(point)), flat(direction))


def test_absent_parameters_and_readouts_have_their_own_names() -> None:
    assert "p_i" not in named_leaves(RNN(cell=LSTM()))
    assert list(named_leaves(RNN(cell=SRNN(), readout=Dense()))) == ["w", "u", "b", "readout.w", "readout.b"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plane(GRU(), w_g=[0, 1], b_z=[0, 1]), "GRU has no parameter 'w_g'; it has w_z, .*did you mean"),
        (lambda: plane(SRNN(), w=[1, 0], b=[0, 1]), "axis 'w' needs at least two finite values in increasing order"),
        (lambda: plane(SRNN(), w=[0, 1, 1], b=[0, 1]), "axis 'w' needs at least two finite values in increasing order"),
        (lambda: plane(SRNN(), {"log10_gradient": ["w"]}, log10_gradient=[0, 1]), "cannot be called 'log10_gradient'"),
        (lambda: plane(SRNN(), w=[1], b=[0, 1]), "axis 'w' needs at least two finite values"),
        (lambda: plane(SRNN(), w=[0, np.inf], b=[0, 1]), "axis 'w' needs at least two finite values"),
        (
            lambda: plane(SRNN(w=np.eye(2), u=np.ones((1, 2)), b=np.zeros(2)), w=[0, 1], b=[0, 1]),
            "moves one number, use span",
        ),
        (lambda: plane(LSTM(), ties={"g": ("b_i", "b_f")}, b_i=[0, 1], b_o=[0, 1]), "tied coordinate 'g' has no axis"),
        (lambda: plane(LSTM(), ties={"g": ("b_i", "b_f")}, b_i=[0, 1], g=[0, 1]), "moved by both 'b_i' and 'g'"),
        (lambda: span(SRNN(), {"p": SRNN()}, q=[0, 1]), "must have the same names"),
        (
            lambda: span(SRNN(), {"p": GRU(), "q": SRNN()}, p=[0, 1], q=[0, 1]),
            "direction 'p' must be a pytree like the model",
        ),
    ],
)
def test_wrong_names_and_axes_are_answered(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytree
class Odd(SRNN):
    """A cell whose parameters are called as arguments of `plane` are."""

    model: Any = param("unit")
    ties: Any = param("unit")


def test_a_parameter_may_be_called_as_the_first_argument_is_and_a_tie_names_the_second() -> None:
    made = plane(Odd(model=0.0, ties=0.0), {"t": ["ties"]}, model=[0, 1], t=[0, 1])
    cell = made.at({"model": 0.25, "t": 0.75}).cell
    assert (float(cell.model), float(cell.ties)) == (0.25, 0.75)
    with pytest.raises(TypeError, match="a parameter called ties is moved as ties="):
        plane(Odd(model=0.0, ties=0.0), model=[0, 1], ties=[0, 1])


def test_tied_parameters_that_start_apart_have_no_common_value() -> None:
    assert np.isnan(plane(LSTM(b_i=0.0, b_f=1.0), {"g": ("b_i", "b_f")}, g=[0, 1], b_o=[0, 1]).center[0])
    assert plane(LSTM(b_i=0.5, b_f=0.5), {"g": ("b_i", "b_f")}, g=[0, 1], b_o=[0, 1]).center[0] == 0.5

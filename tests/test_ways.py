"""Laws of the way that a gradient goes: both give the same, and a kernel takes the one that its module says."""

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import landscape as ls
from landscape.risk import score

EPS = float(np.finfo(np.float32).eps)
SHAPES = {"k": (3, 3, 1, 4), "l": (3, 3, 4, 5), "v": (5, 3)}
X, Y = np.random.default_rng(7).normal(size=(30, 6, 6, 1)).astype("f4"), np.random.default_rng(8).integers(0, 3, 30)


def convolved(x: Any, kernel: Any, groups: int = 1) -> jax.Array:
    how = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": groups}
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", **how)


def conv_net(params: dict, x: Any) -> jax.Array:
    hidden = jax.nn.relu(convolved(jnp.tanh(convolved(x, params["k"])), params["l"]))
    return jnp.mean(hidden, (1, 2)) @ params["v"]


def looped(params: dict, x: Any) -> jax.Array:
    return jax.lax.fori_loop(0, 2, lambda _, y: y, conv_net(params, x))


def in_groups(params: dict, x: Any) -> jax.Array:
    return conv_net(params, convolved(jnp.tile(x, 2), jnp.ones((3, 3, 1, 2)), 2)[..., :1])


def dense(params: dict, x: Any) -> jax.Array:
    return jnp.tanh(jnp.mean(x, (1, 2)) * params["k"][0, 0, 0][None, :]) @ params["l"][0, 0] @ params["v"]


@jax.custom_vjp
def alone(x: Any) -> Any:
    """Itself, with a derivative backward alone."""
    return x


alone.defvjp(lambda x: (x, None), lambda _, g: (g,))


def parameters(seed: int) -> dict:
    draw = np.random.default_rng(seed).normal
    return {name: draw(size=shape).astype("f4") for name, shape in SHAPES.items()}


def plane(coordinates: str = "ab") -> ls.Plane:
    along = {name: parameters(1 + k) for k, name in enumerate(coordinates)}
    return ls.span(parameters(0), along, **dict.fromkeys(coordinates, np.linspace(-1, 1, 3)))


def goes_back(predict: Any, coordinates: str = "ab", **settings: Any) -> bool:
    risk = ls.Risk(predict, (X, Y), **settings)
    return risk.kernel.backward(plane(coordinates).affine, risk.data.first)


def test_gradients_go_backward_through_convolutions_of_two_coordinates_and_forward_elsewhere() -> None:
    assert goes_back(conv_net)
    assert goes_back(conv_net, "abc")
    assert not goes_back(conv_net, "a")
    assert not goes_back(conv_net, order=0)
    assert not goes_back(conv_net, order=2)
    assert not goes_back(dense)
    assert not goes_back(looped)
    assert not goes_back(in_groups)
    timed = lambda params, x: jnp.tile(conv_net(params, x)[:, None], (1, 2, 1))  # noqa: E731
    assert not goes_back(timed, lengths=[1, 2])


def test_on_an_accelerator_what_stays_a_convolution_goes_backward_too(monkeypatch: Any) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert goes_back(in_groups)


@pytest.mark.optimised
def test_both_ways_lead_to_the_same_gradient() -> None:
    risk, at = ls.Risk(conv_net, (X, Y), batch=30), np.float32([0.3, -0.6])
    there, back = (jax.jit(functools.partial(way, risk.score, 1)) for way in (score.ahead, score.behind))
    ahead, behind = (np.ravel(way(plane().affine, at, risk.data.first)) for way in (there, back))
    assert ahead[0] == behind[0]
    np.testing.assert_allclose(behind[1:], ahead[1:], rtol=0, atol=32 * EPS * np.abs(ahead).max())


@pytest.mark.optimised
@pytest.mark.parametrize("batch", [8, pytest.param(30, marks=pytest.mark.slow)])
def test_the_centre_of_what_goes_backward_is_the_loss_of_the_model_bit_for_bit(batch: int) -> None:
    risk = ls.Risk(conv_net, (X, Y), batch=batch)
    assert float(ls.surface(plane(), risk)["loss"].sel(a=0, b=0)) == risk(parameters(0))


@pytest.mark.slow
@pytest.mark.optimised
def test_gradients_backward_do_not_depend_on_the_batch() -> None:
    one, other = (ls.surface(plane(), ls.Risk(conv_net, (X, Y), batch=batch)) for batch in (30, 7))
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=4 * EPS)
    for name in ("d_a", "d_b"):
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=16 * EPS * float(np.abs(one[name]).max()))


@pytest.mark.parametrize("planted", [False, True])
def test_the_derivatives_that_a_store_holds_by_another_route_came_the_other_way(
    planted: bool, monkeypatch: Any
) -> None:
    if planted:
        dot = score._dot
        monkeypatch.setattr(score, "_dot", lambda *args: 1.5 * dot(*args))
    net = lambda params, x: conv_net(params, x)  # noqa: E731  a program of its own
    found = ls.surface(plane(), ls.Risk(net, (X, Y)))
    ours, other = (json.loads(found.attrs[f"origin_derivatives{by}"]) for by in ("", "_by_another_route"))
    assert list(ours) == list(other) == ["d_a", "d_b"]
    for name, value in other.items():
        assert ours[name] == pytest.approx(
            1.5 * value if planted else value, abs=64 * EPS * max(map(abs, ours.values()))
        )


@pytest.mark.parametrize("coordinates", ["a", "ab"])
def test_a_part_with_a_derivative_in_reverse_mode_alone_has_a_gradient(coordinates: str) -> None:
    straight = ls.surface(plane(coordinates), ls.Risk(dense, (X, Y)))
    found = ls.surface(plane(coordinates), ls.Risk(lambda p, x: alone(dense(p, x)), (X, Y)))
    for name in straight.data_vars:
        size = float(np.abs(straight[name]).max())
        np.testing.assert_allclose(found[name], straight[name], rtol=0, atol=32 * EPS * size)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"order": 2}, "Hessians need it forward: .* or ask for order=1"),
     ({"lengths": [1]}, "every length needs it forward: .* or ask for order=0")],
)  # fmt: skip
def test_such_a_part_has_neither_hessians_nor_every_length(settings: dict, sentence: str) -> None:
    net = lambda p, x: jnp.expand_dims(alone(dense(p, x)), 1) if "lengths" in settings else alone(dense(p, x))  # noqa: E731
    with pytest.raises(TypeError, match=sentence):
        ls.surface(plane(), ls.Risk(net, (X, Y), **settings))

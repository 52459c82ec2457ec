"""Laws of the pytrees that models are made of, and of their one product."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape.tree import dot, param, params, pytree, static


@pytree
class Pair:
    w: Any = param("unit", "unit", default=2.0)
    b: Any = param("unit")
    p: Any = param("unit", default=None)
    extra: Any = dataclasses.field(default=7.0)
    act: Any = static(jnp.tanh)


def test_leaves_are_all_fields_but_the_static_and_the_absent():
    assert jax.tree.leaves(Pair()) == [2.0, 0.0, 7.0]
    assert jax.tree.leaves(Pair(p=3.0)) == [2.0, 0.0, 3.0, 7.0]
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(Pair(p=3.0))]
    assert paths == [".w", ".b", ".p", ".extra"]


def test_parameters_are_the_fields_with_named_axes_in_order():
    assert {name: field.metadata["axes"] for name, field in params(Pair).items()} == {
        "w": ("unit", "unit"),
        "b": ("unit",),
        "p": ("unit",),
    }
    assert list(params(Pair())) == list(params(Pair))


def test_flattening_and_building_again_is_the_identity():
    pair = Pair(w=jnp.ones((2, 2)), b=jnp.zeros(2))
    leaves, tree = jax.tree.flatten(pair)
    again = jax.tree.unflatten(tree, leaves)
    assert all(getattr(again, f.name) is getattr(pair, f.name) for f in dataclasses.fields(Pair))


def test_a_static_field_makes_another_program_and_a_parameter_does_not():
    traced = []

    @jax.jit
    def apply(pair):
        traced.append(pair.act)
        return pair.act(pair.w + pair.b)

    assert apply(Pair()) == jnp.tanh(2.0)
    assert apply(Pair(w=3.0)) == jnp.tanh(3.0)
    assert len(traced) == 1
    assert apply(Pair(act=jnp.sin)) == jnp.sin(2.0)
    assert traced == [jnp.tanh, jnp.sin]


def test_fields_are_frozen_and_given_by_name():
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'w'"):
        Pair().w = 1.0
    with pytest.raises(TypeError, match="positional argument"):
        Pair(1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'v'"):
        Pair(v=1.0)


@pytest.mark.parametrize(
    ("x", "w"), [((), ()), ((), (3,)), ((3,), ()), ((3,), (3,)), ((3,), (3, 2)), ((), (3, 2))], ids=str
)
def test_dot_is_a_matrix_product_and_a_plain_one_where_a_factor_is_a_number(x, w):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=x).astype(np.float32), rng.normal(size=w).astype(np.float32)
    expected = np.dot(np.float64(x), np.float64(w))
    got = dot(jnp.asarray(x), jnp.asarray(w))
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=16 * np.finfo(np.float32).eps)


def test_dot_asks_for_every_digit_on_every_backend():
    jaxpr = jax.make_jaxpr(dot)(jnp.ones(3), jnp.ones((3, 2)))
    precisions = [eqn.params["precision"] for eqn in jaxpr.jaxpr.eqns if eqn.primitive.name == "dot_general"]
    assert precisions == [(jax.lax.Precision.HIGHEST,) * 2]


def test_dot_of_numbers_makes_no_matrix_product():
    assert "dot_general" not in str(jax.make_jaxpr(dot)(1.0, 2.0))


def test_a_function_may_stand_where_a_matrix_does():
    w = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(dot(jnp.ones(2), lambda x: 2 * (x @ w)), 2 * w.sum(0))

"""Laws of the risk for models of every make: one surface by any library, batch norm, noise, dtypes, bad input."""

import dataclasses
import functools
import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import landscape as ls
from landscape import descent, losses
from landscape.losses import Objective, classes, raw, squared_error
from landscape.risk.convolutions import unrolled

EPS = float(np.finfo(np.float32).eps)
AXES = {"a": np.linspace(-1, 1, 3), "b": np.linspace(-1, 1, 2)}
rng = np.random.default_rng
X, Y = rng(7).normal(size=(23, 4)).astype("f4"), rng(8).integers(0, 3, 23)


def weights(seed: int) -> list:
    draw = rng(seed).normal
    return [draw(size=shape).astype("f4") for shape in ((4, 5), (5,), (5, 3), (3,))]


def plain(params: list, x: Any) -> jax.Array:
    w, b, v, c = params
    return jnp.tanh(x @ w + b[None]) @ v + c[None]


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = jnp.tanh(nn.Dense(5)(x))
        return nn.Dense(3)(x)


def linen() -> tuple:
    def tree(seed: int) -> dict:
        w, b, v, c = weights(seed)
        return {"params": {"Dense_0": {"kernel": w, "bias": b}, "Dense_1": {"kernel": v, "bias": c}}}

    return Linen().apply, tree


def of_nnx() -> tuple:
    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first, self.second = nnx.Linear(4, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.second(jnp.tanh(self.first(x)))

    graph, state = nnx.split(Net(nnx.Rngs(0)))

    def tree(seed: int) -> Any:
        w, b, v, c = weights(seed)
        made = jax.tree.map(lambda leaf: leaf, state)
        for layer, (kernel, bias) in {"first": (w, b), "second": (v, c)}.items():
            made[layer]["kernel"].set_value(jnp.asarray(kernel))
            made[layer]["bias"].set_value(jnp.asarray(bias))
        return made

    return lambda state, x: nnx.merge(graph, state)(x), tree


def equinox() -> tuple:
    eqx = pytest.importorskip("equinox")
    net = eqx.nn.MLP(4, 3, 5, 1, activation=jnp.tanh, key=jax.random.key(0))
    arrays, static = eqx.partition(net, eqx.is_inexact_array)

    def tree(seed: int) -> Any:
        w, b, v, c = weights(seed)
        places = lambda m: [part for layer in m.layers for part in (layer.weight, layer.bias)]  # noqa: E731
        return eqx.tree_at(places, arrays, [w.T, b, v.T, c])

    return lambda params, x: jax.vmap(eqx.combine(params, static))(x), tree


def drawn(predict: Any, tree: Any, **settings: Any) -> Any:
    plane = ls.span(tree(0), {"a": tree(1), "b": tree(2)}, **AXES)
    return ls.surface(plane, ls.Risk(predict, (X, Y), batch=8, order=2, **settings))


@pytest.fixture(scope="module")
def expected() -> Any:
    return drawn(plain, weights)


@pytest.mark.parametrize("library", [linen, of_nnx, equinox])
def test_one_mlp_has_one_surface_whatever_library_it_is_written_in(library: Any, expected: Any) -> None:
    found = drawn(*library())
    size = float(np.abs(expected["d_a_a"]).max())
    for name in expected.data_vars:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=32 * EPS * size)


class Normed(nn.Module):
    """A convolution before batch norm; ``frozen`` takes the running statistics."""

    frozen: bool

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(2, (3,))(x)
        x = nn.BatchNorm(use_running_average=self.frozen, momentum=0.0)(x)
        return nn.Dense(3)(jnp.mean(nn.relu(x), 1))


IMAGES = rng(5).normal(size=(23, 6, 1)).astype("f4")


@pytest.fixture(scope="module")
def normed() -> tuple:
    """Variables of a batch-norm net whose running statistics are not those of the data."""
    variables = Normed(True).init(jax.random.key(0), IMAGES[:1])
    moved = jax.tree.map(lambda leaf: rng(3).normal(size=leaf.shape).astype("f4"), variables["params"])
    return variables["params"], variables["batch_stats"], moved


def frozen(params: Any, x: Any, stats: Any) -> jax.Array:
    return Normed(True).apply({"params": params, "batch_stats": stats}, x)


def of_batch(params: Any, x: Any, stats: Any) -> jax.Array:
    return Normed(False).apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])[0]


def recomputed(params: Any, x: Any, stats: Any) -> jax.Array:
    """Statistics of all images at the very same parameters, with momentum 0, then frozen."""
    variables = {"params": params, "batch_stats": stats}
    fresh = Normed(False).apply(variables, IMAGES, mutable=["batch_stats"])[1]
    return frozen(params, x, fresh["batch_stats"])


def at_norm(predict: Any, normed: tuple, **settings: Any) -> Any:
    params, stats, moved = normed
    plane = ls.span(params, {"a": moved}, a=(0.0, 1.0))
    return ls.surface(plane, ls.Risk(functools.partial(predict, stats=stats), (IMAGES, Y), **settings))


@pytest.mark.slow
def test_the_policy_of_batch_norm_is_the_picture(normed: tuple) -> None:
    still = at_norm(frozen, normed, batch=8)
    batch = at_norm(of_batch, normed, batch=8, policy="batch statistics")
    whole = at_norm(of_batch, normed, batch=23, policy="statistics of all data, recomputed at each point")
    again = at_norm(recomputed, normed, batch=8)
    assert len({float(made["loss"][1]) for made in (still, batch, whole)}) == 3
    np.testing.assert_allclose(again["loss"], whole["loss"], rtol=64 * EPS)
    np.testing.assert_allclose(again["d_a"], whole["d_a"], rtol=0, atol=256 * EPS * float(np.abs(whole["d_a"]).max()))


@pytest.mark.slow
def test_the_policy_is_stored_and_leaves_no_filler_in_the_statistics(normed: tuple) -> None:
    made = at_norm(of_batch, normed, batch=8, policy="batch statistics")
    assert '"policy": "batch statistics"' in made.attrs["settings"]
    params, stats, _ = normed
    parts = [slice(0, 8), slice(8, 16), slice(16, 23)]
    each = [jax.vmap(classes.loss)(of_batch(params, IMAGES[part], stats), Y[part]) for part in parts]
    assert float(made["loss"][0]) == pytest.approx(float(np.mean(np.concatenate(each))), rel=16 * EPS)


def test_a_store_knows_what_predict_closes_over_its_fields_and_the_objective(normed: tuple) -> None:
    _, stats, _ = normed
    data = (IMAGES, Y)
    other = jax.tree.map(lambda leaf: leaf + 1, stats)
    risks = [ls.Risk(functools.partial(frozen, stats=s), data) for s in (stats, other)]
    risks += [ls.Risk(Normed(flag).apply, data) for flag in (True, False)]
    risks += [ls.Risk(plain, data, objective) for objective in (losses.softmax, losses.sigmoid, losses.within(0.1))]
    told = [str(risk.settings) for risk in risks]
    assert len(set(told)) == len(told)
    assert str(ls.Risk(Normed(True).apply, data).settings) == told[2]


def test_losses_that_depend_on_the_batch_need_a_policy(normed: tuple) -> None:
    with pytest.raises(ValueError, match="depend on which other examples are in the batch, as batch norm"):
        at_norm(of_batch, normed, batch=8)


def test_noise_by_a_key_is_equal_at_every_point() -> None:
    def noisy(params: Any, x: Any) -> jax.Array:
        kept = jax.random.bernoulli(jax.random.key(3), 0.5, (x.shape[0], 4))
        return x * kept.astype(x.dtype) + params["w"][None]

    x, y = np.ones((7, 4), "f4"), np.zeros((7, 4), "f4")
    plane = ls.span({"w": np.zeros(4, "f4")}, {"a": {"w": np.ones(4, "f4")}}, a=np.linspace(-1, 1, 9))
    made = ls.surface(plane, ls.Risk(noisy, (x, y), raw, batch=7, order=2))
    # (kept + a)²: were noise drawn anew at every point, it would not be one parabola
    np.testing.assert_allclose(made["d_a_a"], 2.0, rtol=8 * EPS)
    np.testing.assert_allclose(np.diff(made["loss"], 3), 0, atol=32 * EPS)


def test_integers_keys_and_half_precision_keep_their_dtype_in_model_and_data() -> None:
    seen: dict = {}

    def predict(model: dict, x: dict) -> jax.Array:
        seen.update({name: leaf.dtype for name, leaf in (model | x).items()})
        return x["image"].astype("f4") * model["w"] + model["half"].astype("f4")[None] * 0

    model = {"n": jnp.arange(3), "count": jnp.uint32(4), "key": jax.random.key(0), "half": jnp.ones(1, jnp.bfloat16)}
    model |= {"w": 1.0}
    along = {**jax.tree.map(lambda _: np.float32(0), model), "w": np.float32(1)}
    data = {"image": np.ones((5, 1), np.uint8), "wide": np.ones((5, 1), np.float64), "flag": np.ones(5, bool)}
    found = ls.surface(ls.span(model, {"a": along}, a=(0.0, 1.0)), ls.Risk(predict, (data, np.zeros((5, 1))), raw))
    assert {name: str(kind) for name, kind in seen.items()} == {
        "n": "int32",
        "count": "uint32",
        "key": "key<fry>",
        "half": "bfloat16",
        "w": "float32",
        "image": "uint8",
        "wide": "float32",
        "flag": "bool",
    }
    np.testing.assert_allclose(found["loss"], [1.0, 4.0])


def test_the_dtype_is_that_of_coordinates_sums_and_data() -> None:
    narrow, wide = (drawn(plain, weights, dtype=dtype) for dtype in (None, "float64"))
    assert (narrow["loss"].dtype, wide["loss"].dtype) == (np.float32, np.float64)
    assert not np.array_equal(narrow["loss"], wide["loss"])
    np.testing.assert_allclose(narrow["loss"], wide["loss"], rtol=32 * EPS)


CONVOLUTIONS = [
    ({"padding": "SAME", "dimension_numbers": ("NHWC", "HWIO", "NHWC")}, (5, 8, 9, 3), (3, 3, 3, 4), (1, 1)),
    ({"padding": "VALID", "rhs_dilation": (2, 1)}, (5, 3, 12, 11), (4, 3, 3, 2), (2, 3)),
    ({"padding": [(2, -1)], "dimension_numbers": ("NHC", "HIO", "NCH")}, (5, 12, 3), (4, 3, 7), (2,)),
]


@pytest.mark.parametrize(("how", "image", "kernel", "strides"), CONVOLUTIONS)
def test_convolutions_as_matrix_products_are_convolutions(how: dict, image: tuple, kernel: tuple, strides: Any) -> None:
    x, w = rng(1).normal(size=image).astype("f4"), rng(2).normal(size=kernel).astype("f4")

    @jax.checkpoint
    def f(x: Any, w: Any) -> jax.Array:
        return jax.nn.relu(jax.lax.conv_general_dilated(x, w, strides, **how))

    g = unrolled(f)
    assert "conv_general_dilated" not in str(jax.make_jaxpr(g)(x, w))
    (value, slope), (ours, tangent) = (jax.jvp(h, (x, w), (w.sum() + 0 * x, w)) for h in (f, g))
    np.testing.assert_allclose(ours, value, rtol=0, atol=32 * EPS * float(np.abs(value).max()))
    np.testing.assert_allclose(tangent, slope, rtol=0, atol=32 * EPS * float(np.abs(slope).max()))


def test_convolutions_in_groups_and_large_ones_stay_what_they_are(monkeypatch: Any) -> None:
    def f(x: Any, w: Any, groups: int = 1) -> jax.Array:
        return jax.lax.conv_general_dilated(x, w, (1,), "SAME", feature_group_count=groups)

    x, w = np.ones((2, 3, 8), "f4"), np.ones((3, 1, 3), "f4")
    assert "conv_general_dilated" in str(jax.make_jaxpr(unrolled(functools.partial(f, groups=3)))(x, w))
    wide = np.ones((3, 3, 3), "f4")
    assert "conv_general_dilated" not in str(jax.make_jaxpr(unrolled(f))(x, wide))
    monkeypatch.setattr("landscape.risk.convolutions.MOST_BYTES", 4 * 2 * 8 * 9 - 1)
    assert "conv_general_dilated" in str(jax.make_jaxpr(unrolled(f))(x, wide))


@jax.custom_vjp
def backwards(x: Any) -> Any:
    return x


backwards.defvjp(lambda x: (x, None), lambda _, g: (g,))

PLANE = ls.span(weights(0), {"a": weights(1)}, a=(0.0, 1.0))
COUNTED = {"w": np.ones((4, 3), "f4"), "n": np.arange(3)}
PAIRS = itertools.repeat((X, Y), 1)
TIMED = np.ones((23, 3, 4), "f4")


def changing() -> Any:
    """A stream of other data every time."""
    times = itertools.count()
    return lambda: iter([(X + np.float32(next(times)), Y)])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: ls.Risk("net", (X, Y)), "predict must be a function of parameters and inputs, given 'net'"),
        (lambda: ls.Risk(plain, (X, Y), squared_error), "objective must be a landscape.losses.Objective such as"),
        (lambda: ls.Risk(plain), r"data must be \(inputs, targets\), .*; given NoneType"),
        (lambda: ls.Risk(plain, (X, Y[:5])), r"the arrays given have shapes \(23, 4\), \(5,\)"),
        (lambda: ls.Risk(plain, (pair for pair in [(X, Y)])), "a generator, which can be read once; give the function"),
        (lambda: ls.Risk(plain, (X, Y), batch=0), "batch must be a whole number from 1 up, given 0"),
        (lambda: ls.Risk(plain, (X, Y), order=3), "order must be 0"),
        (lambda: ls.Risk(plain, (X, Y), lengths=[2, 1]), "lengths must be increasing whole numbers"),
        (lambda: ls.Risk(plain, (X, Y), dtype="f2"), "dtype must be 'float32' or 'float64'"),
        (lambda: ls.Risk(plain, (X, Y), policy=3), "policy must be words that say how examples depend on each other"),
        (lambda: ls.surface(PLANE, ls.Risk(plain, lambda: X)), r"a function that yields such pairs; given ndarray"),
        (lambda: ls.surface(PLANE, ls.Risk(plain, lambda: [])), "the data hold no example; a stream must begin anew"),
        (lambda: ls.surface(PLANE, ls.Risk(plain, lambda: PAIRS)), r"other data .*\(0 examples now, 23 then\)"),
        (lambda: ls.surface(PLANE, ls.Risk(plain, changing())), "the stream yields other data than when it was first"),
        (lambda: ls.surface(PLANE, ls.Risk(lambda p, x: plain(p, x).mean(), (X, Y))), r"an answer to every example"),
        (lambda: ls.surface(PLANE, ls.Risk(lambda p, x: plain(p, x).mean(0), (X, Y))), r"returns \(3,\): leave means"),
        (lambda: ls.surface(PLANE, ls.Risk(plain, (X, Y), lengths=[4])), "need answers after as many steps"),
        (lambda: ls.surface(PLANE, ls.Risk(plain, (X, Y), Objective(lambda a, t: a, None))), "must make one number of"),
        (lambda: descent.paths(PLANE, ls.Risk(plain, (X, Y)), optax.sgd(0.1), [(0,)], 3), "give landscape.Function"),
        (lambda: ls.span(COUNTED, {"a": {"w": COUNTED["w"], "n": np.ones(3, "f4")}}, a=(0.0, 1.0)), "array of int64"),
        (lambda: ls.surface(ls.span({"w": COUNTED["w"], "f": jnp.tanh}, {"a": {"w": COUNTED["w"], "f": 0.0}}, a=(0, 1)),
                            ls.Risk(lambda p, x: x @ p["w"], (X, Y))), "f of the model is no number"),
    ],
)  # fmt: skip
def test_a_wrong_call_gets_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


def test_a_part_with_a_derivative_in_reverse_mode_alone_still_has_a_loss() -> None:
    straight = ls.surface(PLANE, ls.Risk(plain, (X, Y), order=0))
    found = ls.surface(PLANE, ls.Risk(lambda p, x: backwards(plain(p, x)), (X, Y), order=0))
    np.testing.assert_allclose(found["loss"], straight["loss"], rtol=8 * EPS)


def test_a_risk_that_asks_for_more_of_the_same_does_not_read_its_data_again() -> None:
    calls = []

    def stream() -> Any:
        calls.append(1)
        return iter([(X, Y)])

    risk = ls.Risk(plain, stream)
    assert risk.data.examples == 23
    assert dataclasses.replace(risk, order=2).data.digest == risk.data.digest
    assert len(calls) == 1

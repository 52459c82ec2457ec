"""Laws of directions: filter norms and angles, what rescaling changes, principal directions, and where models lie."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import landscape as ls
from landscape import directions, specs
from landscape.cli.report import show

EPS32, EPS = float(np.finfo(np.float32).eps), float(np.finfo(np.float64).eps)
RULES = (directions.last, directions.first, directions.layer, directions.every)
KEY = jax.random.key(0)


def network(seed: int = 0, dtype: str = "f4") -> dict:
    """A convolution, HWIO, and two dense layers, (in, out)."""
    draw = np.random.default_rng(seed).normal
    shapes = {"conv": (3, 3, 2, 5), "dense": (12, 8), "head": (8, 4)}
    return {
        name: {"kernel": draw(size=shape).astype(dtype), "bias": draw(size=shape[-1]).astype(dtype)}
        for name, shape in shapes.items()
    }


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])


# Random directions


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_filter_of_a_direction_is_as_long_as_the_filter_it_moves(rule: Any) -> None:
    params = network()
    around = directions.random(params, KEY, ("a", "b", "c"), rule)
    for name in around:
        for layer, parts in params.items():
            for part, leaf in parts.items():
                d, axes = around[name][layer][part], rule(part, leaf)
                assert (d.shape, d.dtype) == (leaf.shape, leaf.dtype)
                rest = tuple(i for i in range(leaf.ndim) if i not in (axes or ()))
                expected = 0 if axes is None else np.linalg.norm(leaf.astype("f8").reshape(leaf.shape), axis=None)
                if axes is not None:
                    expected = np.sqrt(np.sum(np.square(leaf, dtype="f8"), axis=rest))
                found = np.sqrt(np.sum(np.square(d, dtype="f8"), axis=rest if axes is not None else None))
                # each weight is rounded once to float32: the norm moves by at most eps/2 of itself
                np.testing.assert_allclose(found, expected, rtol=EPS32)


def test_directions_are_orthogonal_filter_by_filter_wherever_filters_have_enough_weights() -> None:
    params = network()
    around = directions.random(params, KEY, ("a", "b", "c"))
    for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
        for layer, parts in params.items():
            x, y = (np.asarray(around[name][layer]["kernel"], "f8") for name in (one, other))
            rest = tuple(range(x.ndim - 1))
            norms = np.sum(np.square(parts["kernel"], dtype="f8"), axis=rest)
            assert np.abs(np.sum(x * y, axis=rest) / norms).max() < 2 * EPS32
    assert np.abs(np.asarray(around.about["cosines"]) - np.eye(3)).max() < EPS32


def test_filters_of_fewer_weights_than_directions_keep_their_norm_and_the_cosines_tell() -> None:
    around = directions.random({"w": np.float32([[3, -4]])}, KEY, ("a", "b"), directions.every)
    np.testing.assert_array_equal(np.abs([around["a"]["w"], around["b"]["w"]]), [[[3, 4]]] * 2)
    assert abs(around.about["cosines"][0][1]) in (1.0, pytest.approx(7 / 25))


def test_directions_depend_on_key_and_name_and_nothing_else() -> None:
    one, same = (directions.random(network(), KEY, ("a", "b")) for _ in range(2))
    np.testing.assert_array_equal(flat(one["a"]), flat(same["a"]))
    other = directions.random(network(), jax.random.key(1), ("a", "b"))
    assert np.abs(flat(one["a"]) - flat(other["a"])).max() > 1
    assert np.abs(flat(one["a"]) - flat(one["b"])).max() > 1


def test_leaves_that_are_no_numbers_of_floating_point_stay_and_half_precision_gets_directions_in_float32() -> None:
    params = {"n": np.arange(6).reshape(2, 3), "key": jax.random.key(3), "w": jnp.ones((4, 2), jnp.bfloat16)}
    around = directions.random(params, KEY, ("a",), directions.every)
    assert not np.any(around["a"]["n"])
    assert around["a"]["w"].dtype == np.float32
    made = ls.span(params, around, a=(0.0, 1.0))
    moved = made.at([np.float32(1)])
    assert (moved["n"] is params["n"], moved["w"].dtype) == (True, jnp.bfloat16)


def test_a_store_keeps_rule_filters_norms_angles_key_and_digests_and_no_parameters() -> None:
    params = network()
    around = directions.random(params, KEY, ("a", "b"), directions.last)
    told = json.loads(json.dumps(specs.of_plane(ls.span(params, around, a=(0, 1), b=(0, 1)))))
    made = told["made"]
    assert (made["made"], made["rule"], made["key"]) == ("random", "last", [0, 0])
    assert made["filters"] == {"conv.kernel": 5, "dense.kernel": 8, "head.kernel": 4}
    assert made["norms"]["a"] == pytest.approx(np.linalg.norm(flat(around["a"])), rel=4 * EPS)
    assert len(made["cosines"]) == 2
    assert told["origin_sha256"] == [specs.digest(leaf) for leaf in jax.tree.leaves(params)]
    assert str(float(params["head"]["bias"][0])) not in json.dumps(told)
    plain = specs.of_plane(ls.span(params, dict(around), a=(0, 1), b=(0, 1)))
    assert "made" not in plain
    own = directions.random(params, KEY, ("a",), lambda name, leaf: (0,)).about
    assert (own["rule"], len(own["rule_source"])) == ("<lambda>", 16)


# Rescaling a network without changing its function (Dinh et al. 2017)

X = np.random.default_rng(5).normal(size=(20, 6))
Y = np.random.default_rng(6).normal(size=(20, 3))


def relu_net(factor: Any = 1.0) -> dict:
    """One function, whatever ``factor`` (a number, or one for each of 7 hidden units) its units are scaled by."""
    draw = np.random.default_rng(7).normal
    w, b, v, c = draw(size=(6, 7)), draw(size=7), draw(size=(7, 3)), draw(size=3)
    factor = np.broadcast_to(factor, 7)
    return {"w": w * factor, "b": b * factor, "v": v / factor[:, None], "c": c}


def loss(p: dict, data: tuple) -> jax.Array:
    hidden = jax.nn.relu(data[0] @ p["w"] + p["b"][None])
    return jnp.mean((hidden @ p["v"] + p["c"][None] - data[1]) ** 2)


RISK = ls.Function(loss, (X, Y), order=0, dtype="float64")


def drawn(params: dict, rule: Any) -> np.ndarray:
    around = directions.random(params, KEY, ("a", "b"), rule)
    axis = np.linspace(-1, 1, 5)
    return ls.surface(ls.span(params, around, a=axis, b=axis), RISK)["loss"].values


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_one_factor_for_a_whole_layer_changes_no_surface(rule: Any) -> None:
    plain, scaled = drawn(relu_net(), rule), drawn(relu_net(7.3), rule)
    assert np.abs(plain - scaled).max() < 20 * EPS * np.ptp(plain)  # a few roundings of sums over 20 examples


def test_a_factor_for_each_unit_changes_every_surface_but_that_of_every_weight() -> None:
    factors = np.geomspace(0.05, 20, 7)
    off = {}
    for rule in RULES:
        plain, scaled = drawn(relu_net(), rule), drawn(relu_net(factors), rule)
        off[rule.__name__] = np.abs(plain - scaled).max() / np.ptp(plain)
    assert off.pop("every") < 20 * EPS
    assert all(value > 0.5 for value in off.values()), off


def normed(p: dict, x: Any) -> jax.Array:
    """A layer before batch norm whose statistics are those of the batch."""
    h = x @ p["w"]
    h = (h - jnp.mean(h, axis=0, keepdims=True)) / jnp.std(h, axis=0, keepdims=True)
    return jax.nn.relu(h + p["b"][None]) @ p["v"]


def test_before_batch_norm_factors_of_filters_change_nothing_under_last_with_recomputed_statistics() -> None:
    risk = ls.Risk(normed, (X, Y), ls.losses.raw, batch=20, order=0, policy="batch statistics", dtype="float64")
    axis, plain = np.linspace(-1, 1, 5), relu_net()
    scaled = {**plain, "w": plain["w"] * np.geomspace(0.05, 20, 7)}
    made = []
    for params in (plain, scaled):
        around = directions.random(params, KEY, ("a", "b"), directions.last)
        made.append(ls.surface(ls.span(params, around, a=axis, b=axis), risk)["loss"].values)
    assert np.abs(made[0] - made[1]).max() < 100 * EPS * np.ptp(made[0])  # sums, a variance and a root more
    assert np.ptp(made[0]) > 1


@pytest.mark.parametrize("library", ["equinox", "nnx"])
def test_filters_are_normalised_where_a_library_lays_them_out(library: str) -> None:
    params, rule = equinox_mlp() if library == "equinox" else nnx_mlp()
    around = directions.random(params, KEY, ("a", "b"), rule)
    axis = int(rule is directions.last)
    weights = [(w, d) for w, d in zip(jax.tree.leaves(params), jax.tree.leaves(around["a"]), strict=True) if w.ndim > 1]
    assert len(weights) == 2
    for w, d in weights:
        lengths = [np.linalg.norm(np.asarray(leaf, "f8"), axis=1 - axis) for leaf in (w, d)]
        np.testing.assert_allclose(*lengths, rtol=EPS32)
    assert list(around.about["filters"].values()) == [4, 2]


def equinox_mlp() -> tuple[Any, Any]:
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(3, 2, 4, 1, key=KEY)
    return eqx.partition(model, eqx.is_array)[0], directions.first


def nnx_mlp() -> tuple[Any, Any]:
    from flax import nnx

    model = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), nnx.Linear(4, 2, rngs=nnx.Rngs(1)))
    return nnx.split(model)[1], directions.last


# Through given models


def steps(count: int = 12) -> dict:
    """A trajectory of ``count`` models: leaves (step, ...)."""
    models = [network(seed, "f8") for seed in range(count)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *models)


def test_principal_directions_are_those_of_the_singular_value_decomposition() -> None:
    walk, anchor = steps(), network(11, "f8")
    around = directions.principal(walk, anchor, ("p", "q"))
    moved = np.stack([flat(network(seed, "f8")) for seed in range(12)]) - flat(anchor)
    values, rows = np.linalg.svd(moved, full_matrices=False)[1:]
    for name, row, value in zip(around, rows, values, strict=False):
        assert abs(abs(flat(around[name]) @ row) - 1) < 1e-12
        assert around.about["explained"][name] == pytest.approx(value**2 / np.sum(values**2), rel=1e-12)
        assert moved[0] @ flat(around[name]) >= 0
    assert around.about["cosines"][0][1] == pytest.approx(0, abs=1e-12)


def test_off_plane_distance_and_coordinates_make_up_the_distance_from_the_anchor() -> None:
    walk, anchor = steps(), network(11, "f8")
    around = directions.principal(walk, anchor, ("p", "q"))
    coordinates, off, far = directions.place(around, anchor, walk)
    distance = [np.linalg.norm(flat(network(seed, "f8")) - flat(anchor)) for seed in range(12)]
    np.testing.assert_allclose(off**2 + np.sum(coordinates**2, axis=1), np.square(distance), rtol=1e-12, atol=1e-20)
    np.testing.assert_allclose(far, distance, rtol=1e-13)
    assert off[:-1].min() > 1
    assert (off[-1], np.abs(coordinates[-1]).max()) == (0, 0)  # the anchor itself
    share = np.sum(coordinates**2, axis=0) / np.sum(np.square(distance))
    np.testing.assert_allclose(share, list(around.about["explained"].values()), rtol=1e-12)


def test_places_are_least_squares_whatever_length_and_angle_the_directions_have() -> None:
    anchor, walk = network(0, "f8"), steps(4)
    around = {"a": network(20, "f8"), "b": jax.tree.map(lambda x, y: x + 0.1 * y, network(20, "f8"), network(21, "f8"))}
    coordinates, off, _ = directions.place(around, anchor, walk)
    basis = np.stack([flat(d) for d in around.values()], axis=1)
    for i in range(4):
        expected, square, *_ = np.linalg.lstsq(basis, flat(network(i, "f8")) - flat(anchor))
        np.testing.assert_allclose(coordinates[i], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(off[i] ** 2, square, rtol=1e-10, atol=1e-20)


def test_the_plane_between_models_goes_through_them() -> None:
    models = [network(seed, "f8") for seed in range(3)]
    around = directions.between(models, ("along", "across"))
    made = ls.span(models[0], around, along=(0, 1), across=(0, 1))
    for model, place in zip(models, around.about["coordinates"], strict=True):
        np.testing.assert_allclose(flat(made.at(place)), flat(model), rtol=0, atol=1e-11)
    assert around.about["coordinates"][:2] == [[0, 0], [1, 0]]
    assert around.about["cosines"][0][1] == pytest.approx(0, abs=1e-14)
    assert around.about["norms"]["along"] == pytest.approx(around.about["norms"]["across"], rel=1e-14)
    line = directions.between(models[:2], ("t",))
    np.testing.assert_allclose(flat(line["t"]), flat(models[1]) - flat(models[0]), rtol=1e-15)


def test_named_directions_move_one_number_each() -> None:
    around = directions.named(network(), a=("dense.kernel", 3, 2), b=("head.bias", -1))
    for name, (layer, part, index) in {"a": ("dense", "kernel", (3, 2)), "b": ("head", "bias", (3,))}.items():
        assert np.sum(np.abs(flat(around[name]))) == around[name][layer][part][index] == 1
    assert directions.named({"scale": np.float32(2)}, s="scale")["s"]["scale"] == 1
    assert around.about["parameters"] == {"a": ["dense.kernel", 3, 2], "b": ["head.bias", -1]}


# Sentences


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda p: directions.random(p, KEY, ("a",), lambda n, l: (2,)),
            r"\(2,\) as filter axes of 'conv.bias', whose",
        ),
        (lambda p: directions.random(p, KEY, ("a",), lambda n, l: 0), "gives 0 as filter axes of 'conv.bias'"),
        (lambda p: directions.random(p, KEY, ("a",), lambda n, l: {}[n]), "says nothing of 'conv.bias'; it must give"),
        (lambda p: directions.random(p["conv"]["bias"], KEY, ("a",)), "the rule last moves none of .*every does"),
        (lambda p: directions.random(p, KEY, ("a", "a")), r"names that differ, .* given \('a', 'a'\)"),
        (lambda p: directions.random(p, KEY, "ab"), "names that differ, .* given 'ab'"),
        (lambda p: directions.named(p, a=("dense.kernl", 0, 0)), "no parameter 'dense.kernl'; .*mean 'dense.kernel'"),
        (lambda p: directions.named(p, a="dense.kernel"), "'dense.kernel' is not one number of 'dense.kernel', whose"),
        (lambda p: directions.named(p, a=("dense.kernel", 99, 0)), "is not one number of 'dense.kernel', whose shape"),
        (lambda p: directions.between([p, p], ("t",)), "the models lie on one line or are equal"),
        (lambda p: directions.between([p, line(p, 1), line(p, 3)], ("t", "u")), "the models lie on one line"),
        (lambda p: directions.between([p, p], ("t", "u")), r"2 models span 1 directions, given the names \('t', 'u'\)"),
        (lambda p: directions.between([p, p["conv"]], ("t",)), "pytrees of the same structure and shapes"),
        (lambda p: directions.principal(one_step(p), line(p, 1), ("p", "q")), "1 steps about its anchor spans 1 dir"),
        (lambda p: directions.principal(one_step(p), p, ("p",)), "1 steps about its anchor spans 0 directions"),
        (lambda p: directions.principal(p, p, ("p",)), r"each leaf with a leading axis \(step,\)"),
        (lambda p: directions.place({"a": p, "b": p}, p, one_step(p)), "directions a, b lie on one line"),
    ],
)
def test_what_makes_no_direction_is_said_in_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call(network())


def line(params: dict, t: float) -> dict:
    return jax.tree.map(lambda leaf: leaf + np.float32(t), params)


def one_step(params: dict) -> dict:
    return jax.tree.map(lambda leaf: leaf[None], params)


def test_a_rule_is_a_function() -> None:
    with pytest.raises(TypeError, match=r"a function such as landscape\.directions\.last, given 'last'"):
        directions.random(network(), KEY, ("a",), "last")  # type: ignore[arg-type]


def test_directions_of_other_shapes_are_refused() -> None:
    params = {"w": np.ones((2, 3), "f4")}
    with pytest.raises(ValueError, match=r"'a' has a leaf \(3,\) where the model has \(2, 3\)"):
        ls.span(params, {"a": {"w": np.ones(3, "f4")}}, a=(0, 1))


def test_an_array_of_integers_cannot_be_moved() -> None:
    params = {"n": np.arange(3)}
    with pytest.raises(ValueError, match="'a' moves an array of int64, which is no line; make it float32"):
        ls.span(params, {"a": {"n": np.ones(3, "f4")}}, a=(0, 1))


def test_the_words_of_a_store_tell_how_its_directions_were_made(tmp_path: Any) -> None:
    around = directions.random(relu_net(), KEY, ("a", "b"))
    ls.surface(ls.span(relu_net(), around, a=[-1, 1], b=[-1, 1]), RISK, out=tmp_path / "net.zarr")
    norm = around.about["norms"]["a"]
    assert f"random, rule last, key [0, 0]; lengths a {norm:.6g}, b {norm:.6g}; largest cosine" in show(
        tmp_path / "net.zarr"
    )

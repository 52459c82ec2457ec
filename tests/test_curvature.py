"""Laws of curvature: closed forms, dense matrices, certificates, intervals that cover, balls that rescaling leaves."""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import landscape as ls
from landscape import cli, curvature, plots, store
from landscape.curvature import Matrix, spectra
from landscape.losses import classes, raw

pytest.importorskip("matfree", reason="the extra 'curvature' is not installed")

EPS32 = float(np.finfo(np.float32).eps)
KEY = jax.random.key(0)
rng = np.random.default_rng
X = rng(1).normal(size=(50, 4))
LABELS = rng(2).integers(0, 3, 50).astype("i4")


def linear(params: dict, x: Any) -> jax.Array:
    return x @ params["w"]


def mlp(params: dict, x: Any) -> jax.Array:
    hidden = jnp.tanh(x @ params["hidden"]["kernel"] + params["hidden"]["bias"][None])
    return hidden @ params["out"]["kernel"] + params["out"]["bias"][None]


def layers(inputs: int = 4, units: int = 5, outputs: int = 3) -> dict:
    draw = rng(3).normal
    return {
        "hidden": {"kernel": draw(size=(inputs, units)), "bias": draw(size=units)},
        "out": {"kernel": draw(size=(units, outputs)), "bias": draw(size=outputs)},
    }


MLP = ls.Risk(mlp, (X, LABELS), classes, batch=16, dtype="float64")


def dense(matrix: Matrix) -> np.ndarray:
    return np.stack([matrix(row) for row in np.eye(matrix.size)], axis=1)


def rotated(values: Any, seed: int = 0) -> tuple[Matrix, np.ndarray]:
    """A matrix of these eigenvalues, and itself."""
    q = np.linalg.qr(rng(seed).normal(size=(len(values),) * 2))[0]
    whole = (q * np.asarray(values)) @ q.T
    return Matrix(lambda v: whole @ v, len(values), {"matrix": "rotated"}), whole


# Closed forms


def test_the_hessian_of_linear_regression_is_twice_the_mean_of_x_x() -> None:
    risk = ls.Risk(lambda p, x: x @ p["w"], (X, rng(4).normal(size=50)), raw, batch=16, dtype="float64")
    params = {"w": rng(5).normal(size=4)}
    for make in (curvature.hessian, curvature.gauss_newton):
        np.testing.assert_allclose(dense(make(risk, params)), 2 / 50 * X.T @ X, rtol=0, atol=1e-14)


def test_the_hessian_of_softmax_is_that_of_its_probabilities_and_equal_to_gauss_newton() -> None:
    """``1/N sum_i x_i x_i' (x) (diag(p_i) - p_i p_i')``, the inputs outside as w (input, class) is laid out."""
    params = {"w": rng(6).normal(size=(4, 3))}
    p = np.exp(X @ params["w"]) / np.exp(X @ params["w"]).sum(1, keepdims=True)
    expected = sum(np.kron(np.outer(x, x), np.diag(q) - np.outer(q, q)) for x, q in zip(X, p, strict=True)) / len(X)
    risk = ls.Risk(linear, (X, LABELS), classes, batch=16, dtype="float64")
    for make in (curvature.hessian, curvature.gauss_newton):
        np.testing.assert_allclose(dense(make(risk, params)), expected, rtol=0, atol=1e-14)


def test_the_hessian_of_logistic_regression_weighs_examples_by_p_times_one_minus_p() -> None:
    risk = ls.Risk(lambda p, x: x @ p["w"], (X, rng(8).choice([-1.0, 1.0], 50)), ls.losses.sigmoid, dtype="float64")
    params = {"w": rng(7).normal(size=4)}
    p = 1 / (1 + np.exp(-X @ params["w"]))
    np.testing.assert_allclose(dense(curvature.hessian(risk, params)), (X.T * p * (1 - p)) @ X / 50, atol=1e-14, rtol=0)


@pytest.fixture(scope="module")
def whole() -> dict[str, np.ndarray]:
    """Dense matrices of the MLP by JAX's own routes."""
    with jax.enable_x64(True):
        flat, back = ravel_pytree(jax.tree.map(jnp.asarray, layers()))
        x, labels = jnp.asarray(X), jnp.asarray(LABELS)

        def each(v: jax.Array) -> jax.Array:
            return jax.vmap(classes.loss)(mlp(back(v), x), labels)

        answers = lambda v: mlp(back(v), x)  # noqa: E731
        bent = jax.vmap(jax.hessian(classes.loss))
        every = lambda v: (jax.jacfwd(each)(v), jax.jacfwd(answers)(v), bent(answers(v), labels))  # noqa: E731
        h = jax.hessian(lambda v: jnp.mean(each(v)))
        slopes, jacobian, bend, hessian = map(np.asarray, jax.jit(lambda v: (*every(v), h(v)))(flat))
    return {
        "hessian": hessian,
        "gauss newton": np.einsum("ica,icd,idb->ab", jacobian, bend, jacobian) / 50,
        "empirical fisher": slopes.T @ slopes / 50,
        "gradient": slopes.mean(0),
    }


@pytest.mark.parametrize("make", [curvature.hessian, curvature.gauss_newton, curvature.empirical_fisher])
def test_products_are_those_of_the_dense_matrix_however_the_data_are_cut(make: Any, whole: Any) -> None:
    matrix = make(MLP, layers())
    np.testing.assert_allclose(dense(matrix), whole[matrix.about["matrix"]], rtol=0, atol=1e-13)
    stream = lambda: iter([(X[:7], LABELS[:7]), (X[7:], LABELS[7:])])  # noqa: E731
    other = make(ls.Risk(mlp, stream, classes, batch=9, dtype="float64"), layers())
    v = rng(9).normal(size=matrix.size)
    np.testing.assert_allclose(other(v), matrix(v), rtol=0, atol=1e-13)


def test_blocks_are_those_of_the_dense_matrix(whole: Any) -> None:
    matrix = curvature.hessian(MLP, layers())
    h = whole["hessian"]
    for name, where in {"hidden": slice(0, 25), "hidden.kernel": slice(5, 25), "out.bias": slice(25, 28)}.items():
        part = curvature.block(matrix, name)
        np.testing.assert_allclose(dense(part), h[where, where], rtol=0, atol=1e-13)
        assert all(full.startswith(name) for full in part.about["block"])
    two = np.r_[0:5, 25:28]
    np.testing.assert_allclose(
        dense(curvature.block(matrix, "hidden.bias", "out.bias")), h[np.ix_(two, two)], atol=1e-13
    )
    with pytest.raises(ValueError, match=r"no parameter 'hiden'; it has hidden\.bias, .*did you mean 'hidden\.bias'"):
        curvature.block(matrix, "hiden")


def test_leaves_that_cannot_move_have_no_part_in_a_matrix() -> None:
    params = {"w": np.ones(4), "n": np.arange(2), "key": jax.random.key(1)}
    risk = ls.Risk(lambda p, x: x @ p["w"], (X, rng(4).normal(size=50)), raw, dtype="float64")
    np.testing.assert_allclose(dense(curvature.hessian(risk, params)), 2 / 50 * X.T @ X, rtol=0, atol=1e-14)


# Spectra


@pytest.mark.slow
def test_lanczos_finds_the_top_of_a_dense_matrix_of_610_parameters_and_certifies_it() -> None:
    params = layers(13, 25, 10)
    assert sum(np.size(leaf) for leaf in jax.tree.leaves(params)) == 610
    x = rng(10).normal(size=(40, 13))
    risk = ls.Risk(mlp, (x, rng(11).integers(0, 10, 40).astype("i4")), classes, batch=40, dtype="float64")
    with jax.enable_x64(True):
        flat, back = ravel_pytree(jax.tree.map(jnp.asarray, params))
        h = np.asarray(jax.jit(jax.hessian(lambda v: risk.score.total(back(v), risk.data.first)))(flat)) / 40
    true = np.linalg.eigvalsh(h)
    found = curvature.top(curvature.hessian(risk, params), 5, KEY, steps=60)
    np.testing.assert_allclose(found["value"], true[np.argsort(-np.abs(true))[:5]], rtol=1e-9)
    for value, residual in zip(found["value"].values, found["residual"].values, strict=True):
        assert np.abs(true - value).min() <= residual + 1e-13  # the rounding of |Av - λv|
    coarse = curvature.top(curvature.hessian(risk, params), 5, KEY, steps=12)
    assert coarse["residual"].max() > 1e-3
    for value, residual in zip(coarse["value"].values, coarse["residual"].values, strict=True):
        assert np.abs(true - value).min() <= residual + 1e-13


def test_eigenvalues_are_ordered_by_magnitude_and_vectors_have_length_1() -> None:
    found = curvature.top(rotated(np.r_[-5.0, 4.0, -3.0, np.linspace(-1, 1, 40)])[0], 3, KEY, steps=30)
    np.testing.assert_allclose(found["value"], [-5, 4, -3], rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found["vector"], axis=1), 1, rtol=1e-12)
    assert found["residual"].max() < 1e-6
    assert found.attrs["matrix"] == "rotated"


def test_a_space_that_ends_gives_what_it_holds() -> None:
    found = curvature.top(Matrix(lambda v: 3 * v, 7), 2, KEY)
    np.testing.assert_allclose(found["value"], [3.0])
    assert found["residual"].values[0] < 1e-14


@pytest.mark.slow
def test_spikes_on_noise_stand_where_theory_puts_them_and_the_bulk_ends_at_4() -> None:
    """Papyan's spikes 5, 4, 3 among ones, n = N: eigenvalues l + l/(l - 1) (Baik & Silverstein 2006)."""
    n = 1000
    x = rng(12).normal(size=(n, n)) * np.sqrt(np.r_[5, 4, 3, np.ones(n - 3)])
    matrix = Matrix(lambda v: x.T @ (x @ v) / n, n)
    found = curvature.top(matrix, 4, KEY, steps=60)
    spikes = np.array([5.0, 4.0, 3.0])
    # standard deviations of the three, l sqrt(2 (1 - 1/(l - 1)²) / n)
    spread = spikes * np.sqrt(2 * (1 - 1 / (spikes - 1) ** 2) / n)
    assert np.all(np.abs(found["value"].values[:3] - [6.25, 5.3333, 4.5]) < 3 * spread)
    assert abs(found["value"].values[3] - 4) < 0.1  # the edge fluctuates as n^(-2/3)
    shape = curvature.density(matrix, KEY, probes=2, steps=60)
    beyond = shape["weight"].where(shape["node"] > 4.2).sum("rank")
    np.testing.assert_allclose(beyond.mean(), 3 / n, atol=4e-3)  # three of a thousand, as far as two probes tell


@pytest.mark.slow
def test_weights_of_a_density_sum_to_1_and_its_moments_are_those_of_the_matrix() -> None:
    values = np.r_[rng(13).normal(size=150), 8.0, 9.0]
    matrix, whole = rotated(values)
    found = curvature.density(matrix, KEY, probes=8, steps=25)
    np.testing.assert_allclose(found["weight"].sum("rank"), 1, rtol=1e-12)
    for k in (1, 2):
        each = (found["weight"] * found["node"] ** k).sum("rank").values
        error = each.std(ddof=1) / np.sqrt(len(each))
        assert abs(each.mean() - np.trace(np.linalg.matrix_power(whole, k)) / len(values)) < 3 * error
    area = np.trapezoid(found["density"], found["eigenvalue"])
    assert area == pytest.approx(1, abs=1e-3)  # four standard deviations at each end are drawn
    assert bool(((found["density_low"] <= found["density"]) & (found["density"] <= found["density_high"])).all())
    assert curvature.density(matrix, KEY, probes=2, steps=5, width=0.5).attrs["width"] == 0.5


# Traces

COVERED = {
    "1/(i+1)": 1 / np.arange(1, 81),
    "1/i²": 1 / np.arange(1.0, 201) ** 2,
    "indefinite": np.r_[10, 5, 3, rng(14).normal(size=100) * 0.1],
    "flat": np.ones(80),
}


@pytest.mark.slow
def test_the_trace_of_a_rotated_diagonal_is_found_within_its_errors() -> None:
    matrix, _ = rotated(1 / np.arange(1, 81))
    found = curvature.trace(matrix, KEY)
    assert abs(float(found["trace"]) - 4.965479278946) < 3 * float(found["error"])
    assert float(found["error"]) < 0.06
    more = curvature.trace(matrix, KEY, probes=120)
    assert float(more["error"]) < float(found["error"])


@pytest.mark.parametrize("name", COVERED)
def test_intervals_of_the_trace_cover_it_as_often_as_they_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least 95 of 100; of 120 repeats with a share of 0.95, fewer than 108 are covered once in 60."""
    matrix, whole = rotated(COVERED[name])
    draws = rng(15)
    # the same by NumPy: eager JAX takes a hundred times as long
    monkeypatch.setattr("landscape.curvature.traces.krylov", numpy_krylov)
    monkeypatch.setattr("landscape.curvature.traces.signs", lambda key, size: draws.choice([-1.0, 1.0], size))
    covered = 0
    for _ in range(120):
        found = curvature.trace(matrix, KEY, probes=24)
        slack = 1e-12 * abs(np.trace(whole))
        covered += float(found["low"]) - slack <= np.trace(whole) <= float(found["high"]) + slack
    assert covered >= 108


@pytest.mark.parametrize("values", [np.full(30, 3.0), np.repeat([1.0, 2.0], 15)], ids=["one", "two"])
def test_a_krylov_space_that_ends_early_is_cut_there(values: np.ndarray) -> None:
    """What leads out of it is rounding: made a vector, it is none of a basis, and values would come of it."""
    matrix = Matrix(lambda v: values * v, len(values))
    basis, small = spectra.krylov(matrix, rng(2).choice([-1.0, 1.0], len(values)), 10)
    assert len(small) == len(np.unique(values))
    np.testing.assert_allclose(basis.T @ basis, np.eye(len(small)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(small), np.unique(values), rtol=1e-12)
    found = curvature.trace(matrix, KEY, probes=8)
    assert float(found["low"]) <= values.sum() + 1e-9
    assert float(found["high"]) >= values.sum() - 1e-9
    assert abs(float(found["trace"]) - values.sum()) < 5


def numpy_krylov(matrix: Matrix, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    basis = [start / np.linalg.norm(start)]
    for _ in range(steps - 1):
        v = matrix(basis[-1])
        for _ in range(2):
            v = v - np.stack(basis, 1) @ (np.stack(basis) @ v)
        if np.linalg.norm(v) < 1e-12:
            break
        basis.append(v / np.linalg.norm(v))
    q = np.stack(basis, axis=1)
    return q, q.T @ np.stack([matrix(v) for v in q.T], axis=1)


def test_the_krylov_space_of_matfree_is_that_of_numpy() -> None:
    matrix, _ = rotated(COVERED["indefinite"])
    start = rng(16).normal(size=matrix.size)
    ours, other = curvature.spectra.krylov(matrix, start, 12), numpy_krylov(matrix, start, 12)
    np.testing.assert_allclose(np.abs(ours[0]), np.abs(other[0]), rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.eigvalsh(ours[1]), np.linalg.eigvalsh(other[1]), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_the_noise_scale_is_that_of_the_examples_gradients(whole: Any) -> None:
    found = curvature.noise_scale(MLP, layers(), KEY, probes=200)  # the whole space: exact
    square = np.sum(whole["gradient"] ** 2)
    expected = (np.trace(whole["empirical fisher"]) - square) / square
    assert float(found["gradient"]) == pytest.approx(np.sqrt(square), rel=1e-12)
    assert float(found["scale"]) == pytest.approx(expected, rel=1e-9)
    few = curvature.noise_scale(MLP, layers(), KEY, probes=16)
    assert float(few["low"]) < expected < float(few["high"])


# Sharpness


def test_sam_on_a_quadratic_is_the_answer_of_the_trust_region() -> None:
    """``max g'e + e'He/2, |e| = r`` is where (m - H) e = g with m > λ_max and |e| = r (Nocedal & Wright, 4.1)."""
    y = rng(4).normal(size=50)
    risk = ls.Risk(lambda p, x: x @ p["w"], (X, y), raw, batch=16, dtype="float64")
    params = {"w": rng(5).normal(size=4)}
    h, g = 2 / 50 * X.T @ X, 2 / 50 * X.T @ (X @ params["w"] - y)
    values, vectors = np.linalg.eigh(h)
    size = lambda m: np.linalg.norm((vectors.T @ g) / (m - values))  # noqa: E731
    low, high = values[-1] + 1e-12, values[-1] + 100
    for _ in range(200):
        low, high = ((low + high) / 2, high) if size((low + high) / 2) > 0.5 else (low, (low + high) / 2)
    e = vectors @ ((vectors.T @ g) / (high - values))
    found = curvature.sharpness(risk, params, 0.5, KEY, steps=60)
    assert float(found["lower_bound"]) == pytest.approx(g @ e + e @ h @ e / 2, rel=1e-10)
    rises = found["rise"].values
    assert np.all(np.diff(rises) >= 0)
    assert rises[0] < rises[-1]


def relu(params: dict, x: Any) -> jax.Array:
    return jax.nn.relu(x @ params["w"] + params["b"][None]) @ params["v"]


def test_an_ascent_that_meets_no_slope_keeps_the_rise_it_has() -> None:
    x, y = np.ones((4, 1)), np.zeros(4)
    flat = ls.Risk(lambda w, x: jnp.minimum(w, 1.0) * x[:, 0], (x, y), raw, batch=4, dtype="float64")
    found = curvature.sharpness(flat, np.float64(0.9), 1.0, KEY, steps=3)
    np.testing.assert_allclose(found["rise"], [1 - 0.9**2] * 3, rtol=1e-12)
    still = curvature.sharpness(flat, np.float64(0.0), 1.0, KEY, steps=3, adaptive=True)  # a ball of no size
    np.testing.assert_array_equal(still["rise"], [0, 0, 0])


@pytest.mark.slow
def test_rescaling_units_changes_the_largest_eigenvalue_and_sam_and_not_asam() -> None:
    draw, factor = rng(17).normal, np.geomspace(0.2, 5, 5)
    plain = {"w": draw(size=(4, 5)), "b": draw(size=5), "v": draw(size=(5, 3))}
    scaled = {"w": plain["w"] * factor, "b": plain["b"] * factor, "v": plain["v"] / factor[:, None]}
    risk = ls.Risk(relu, (X, LABELS), classes, batch=50, dtype="float64")
    ask = lambda p, **how: float(curvature.sharpness(risk, p, 0.1, KEY, steps=5, **how)["lower_bound"])  # noqa: E731
    largest = lambda p: float(curvature.top(curvature.hessian(risk, p), 1, KEY)["value"][0])  # noqa: E731
    assert ask(scaled, adaptive=True) == pytest.approx(ask(plain, adaptive=True), rel=1e-12)
    assert abs(ask(scaled) / ask(plain) - 1) > 0.5
    assert abs(largest(scaled) / largest(plain) - 1) > 0.5


def test_where_the_gradient_is_0_the_ascent_begins_anywhere() -> None:
    risk = ls.Risk(lambda p, x: x @ p["w"], (np.eye(4), np.zeros(4)), raw, dtype="float64")
    found = curvature.sharpness(risk, {"w": np.zeros(4)}, 0.5, KEY, steps=3)
    assert float(found["lower_bound"]) == pytest.approx(0.25 / 4, rel=1e-12)  # |e|² / 4, whatever e


# Directions


@pytest.mark.slow
def test_eigenvectors_are_directions_along_which_a_surface_has_their_curvature() -> None:
    params = layers()
    found = curvature.top(curvature.hessian(MLP, params), 2, KEY)
    around = curvature.directions(found, params, ("a", "b"))
    ds = ls.surface(ls.span(params, around, a=[-1, 0, 1], b=[-1, 0, 1]), MLP, order=2)
    bends = ds.sel(a=0, b=0)
    np.testing.assert_allclose([bends["d_a_a"], bends["d_b_b"]], found["value"], rtol=1e-6)
    assert abs(float(bends["d_a_b"])) < 1e-6
    assert around.about["made"] == "eigenvectors"
    with pytest.raises(ValueError, match="2 eigenvectors of 43 numbers were found, and 3 are asked for"):
        curvature.directions(found, params, ("a", "b", "c"))


# Single precision, sentences


@pytest.mark.slow
def test_in_single_precision_the_residual_tells_how_the_product_is_rounded() -> None:
    risk = ls.Risk(mlp, (X.astype("f4"), LABELS), classes, batch=16)
    params = jax.tree.map(lambda leaf: leaf.astype("f4"), layers())
    found = curvature.top(curvature.hessian(risk, params), 2, KEY, steps=43)
    exact = curvature.top(curvature.hessian(MLP, layers()), 2, KEY, steps=43)
    largest = float(exact["value"][0])
    np.testing.assert_allclose(found["value"], exact["value"], rtol=0, atol=20 * EPS32 * largest)
    assert 0 < float(found["residual"].max()) < 100 * EPS32 * largest


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: curvature.hessian(ls.Function(lambda m, d: 0.0), {}),
            "curvature is that of a landscape.Risk, given F",
        ),
        (lambda: curvature.hessian(MLP, {"w": np.arange(3)}), "integers have no derivatives; give it in float32"),
        (lambda: curvature.top(Matrix(lambda v: v, 3), 4, KEY), "count must be a whole number from 1 to 3, given 4"),
        (lambda: curvature.trace(Matrix(lambda v: v, 3), KEY, probes=3), "probes must be a whole number from 8 up"),
        (lambda: curvature.density(Matrix(lambda v: v, 3), KEY, probes=1), "probes must be a whole number from 2 up"),
        (lambda: curvature.sharpness(MLP, layers(), 0.0, KEY), "the radius of a ball must be positive, given 0.0"),
    ],
)
def test_what_has_no_curvature_is_said_in_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()


def test_a_missing_matfree_is_asked_for_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matfree.decomp", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"by matfree, which is missing: pip install 'rnn-landscape\[curvature"
    ):
        curvature.top(Matrix(lambda v: v, 3), 1, KEY)


# On the command line

MINE = """
import jax, jax.numpy as jnp, numpy as np
import landscape as ls

def predict(params, x):
    return jnp.tanh(x @ params["one"]["w"]) @ params["two"]["w"]

def net():
    draw = np.random.default_rng(0).normal
    params = {"one": {"w": draw(size=(2, 4)).astype("f4")}, "two": {"w": draw(size=(4, 2)).astype("f4")}}
    risk = ls.Risk(predict, (draw(size=(20, 2)).astype("f4"), np.arange(20) % 2), batch=20)
    return params, ls.directions.random(params, jax.random.key(0), ("a", "b")), risk

def line():
    return {"x": np.float32(1)}, {}, ls.Function(lambda p, data: p["x"])
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def spectrum(*words: str) -> int:
    return cli.main(["spectrum", *words])


@pytest.mark.slow
def test_a_command_finds_a_spectrum_keeps_it_and_draws_it(mine: Path, capsys: Any) -> None:
    words = ("mine.py:net", "--top", "2", "--density", "--trace", "--steps", "8", "--probes", "8", "--out", "s.zarr")
    assert spectrum(*words) == 0
    said = capsys.readouterr().out
    ds = store.open_surface("s.zarr")
    assert said.startswith("s.zarr: hessian of mine.py:net, 16 parameters\n")
    for value in ds["value"].values:
        assert f"{value:.8g}" in said
    assert {"density", "density_low", "residual", "trace", "low", "high"} < set(ds)
    assert "vector" not in ds
    assert spectrum(*words) == 0  # the same again is read
    assert capsys.readouterr().out == said
    assert cli.main(["plot", "s.zarr", "--title", "mine"]) == 0
    assert (mine / "s.png").exists()
    assert spectrum("mine.py:net", "--top", "1", "--steps", "8", "--out", "s.zarr") == 2
    assert "top: 2 there, 1 asked" in capsys.readouterr().err


def test_a_block_of_another_matrix_is_found_where_it_is_asked_for(mine: Path) -> None:
    assert spectrum("mine.py:net", "--top", "1", "--matrix", "gauss_newton", "--block", "two", "--steps", "8") == 0
    ds = store.open_surface("net-spectrum.zarr")
    params, _, risk = cli.names.model("mine.py:net")
    true = np.linalg.eigvalsh(dense(curvature.block(curvature.gauss_newton(risk, params), "two")))
    assert float(ds["value"][0]) == pytest.approx(true[-1], rel=1e-5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("mine.py:net --top -1", "numbers from 0 up"),
        ("mine.py:net --top 0", "nothing to find; ask for --top 10, --density or --trace"),
        ("mine.py:net --top 99", "count must be a whole number from 1 to 16, given 99"),
        ("mine.py:line", "curvature is that of a landscape.Risk, given Function"),
        ("mine.py:nte", "no model 'nte'"),
    ],
)
def test_a_spectrum_that_cannot_be_found_is_said_in_one_sentence(
    words: str, sentence: str, mine: Path, capsys: Any
) -> None:
    assert spectrum(*words.split()) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_the_figure_of_a_spectrum_draws_the_density_and_marks_the_eigenvalues() -> None:
    matrix, _ = rotated(np.r_[rng(13).normal(size=150), 8.0, 9.0])
    both = curvature.density(matrix, KEY, probes=2, steps=25).merge(
        curvature.top(matrix, 2, KEY, steps=25), combine_attrs="override"
    )
    line, mark = plots.spectrum(both).axes[0].get_lines()[:2]
    np.testing.assert_array_equal(line.get_xdata(), both["eigenvalue"])
    np.testing.assert_array_equal(mark.get_xdata(), both["value"])
    assert len(plots.spectrum(both.drop_vars("density")).axes[0].get_lines()) < 3
    with pytest.raises(ValueError, match="a spectrum has a density or eigenvalues; given trace"):
        plots.spectrum(curvature.trace(Matrix(lambda v: v, 20), KEY, probes=8)[["trace"]])

"""Experiments on any model: what they say follows what they found, in planted worlds that flip it."""

import numpy as np
import pytest
import xarray

from landscape import names
from landscape.success import Share

ROOT = names.shipped("experiments").parent
NAMES = ("edge_of_stability", "spectrum", "two_minima", "rescaled_twin", "filter_normalised", "recurrent_net")
asked, drawn = (
    {name: names.module(str(ROOT / f"{folder}/{name}.py")) for name in NAMES} for folder in ("experiments", "figures")
)
rng = np.random.default_rng


# The edge of stability


def descents(power: float, residual: float = 0.0) -> xarray.Dataset:
    """Invented descents whose λ ends at ``20 (2 / rate / 20)^power``: power 1 is the edge, 0 no word of the rate."""
    rate, step = np.array([0.1, 0.2, 0.4, 0.8]), np.arange(0, 101, 10)
    end = 20 * (2 / rate / 20) ** power
    sharp = np.broadcast_to(end[:, None, None], (4, 2, len(step))) * (1 + 0.01 * rng(0).normal(size=(4, 2, 1)))
    dims = ("rate", "seed", "step")
    columns = {"sharpness": sharp, "residual": np.full(sharp.shape, residual)}
    columns |= {"loss": np.broadcast_to(1 / (1 + step), sharp.shape), "rise": np.full(sharp.shape, -0.1)}
    where = {"rate": rate, "seed": [0, 1], "step": step}
    return xarray.Dataset({n: (dims, v) for n, v in columns.items()}, where, {"units": 4, "examples": 9})


@pytest.mark.parametrize(
    ("power", "said"), [(1.0, "8 at the edge"), (0.0, "2 at the edge, 6 beyond the edge"), (2.0, "6 below the edge")]
)
def test_the_verdict_on_the_edge_follows_the_curvatures(power, said):
    module, found = asked["edge_of_stability"], descents(power)
    assert said in module.sentence(found)
    rate = module.slope(found)
    assert rate.low < power < rate.high
    assert rate.high - rate.low < 0.1
    assert drawn["edge_of_stability"].title(found).startswith(f"At {4 if power == 1 else 1} of 4 rates")


def test_what_a_residual_leaves_open_and_what_diverged_is_not_called_the_edge():
    module, found = asked["edge_of_stability"], descents(1.0, residual=5.0)
    assert set(module.verdicts(found).sel(rate=0.8).values) == {"not told"}
    found = descents(1.0)
    gone = found.where(found.rate < 0.5).transpose("rate", "seed", "step").assign_attrs(found.attrs)
    assert set(module.verdicts(gone).sel(rate=0.8).values) == {"diverged"}
    assert "6 at the edge, 2 diverged" in module.sentence(gone)
    assert drawn["edge_of_stability"].page(gone).axes


# The spectrum


def spectra(outliers: int, classes: int = 4) -> xarray.Dataset:
    """Invented eigenvalues of which so many are ten times the rest, after training; none before."""
    where = {"classes": [classes], "seed": range(5), "step": [0, 100], "pair": np.arange(1, 15)}
    values = 0.9 ** np.arange(14.0) * np.exp(0.01 * rng(1).normal(size=(1, 5, 2, 14)))
    values = -np.sort(-values, axis=-1)
    values[:, :, 1, :outliers] *= 10
    one = ("classes", "seed", "step")
    place = {
        n: (("step", "place"), np.tile(np.linspace(0.1, 1, 8), (2, 1)))
        for n in ("eigenvalue", "density", "low", "high")
    }
    columns = {"value": ((*one, "pair"), values), "residual": ((*one, "pair"), values * 1e-6), **place}
    made = xarray.Dataset(columns | {"loss": (one, np.ones((1, 5, 2)))}, where, {"units": 4})
    made["share"] = (
        (*one, "pair"),
        np.where(np.arange(14) < outliers, 0.9, 0.1) * np.array([0, 1])[:, None] + 0 * values,
    )
    made["wider"] = one, asked["spectrum"].wider(made.value, classes)[None]
    made["drop"] = one, asked["spectrum"].drop(made.share, classes)[None]
    return made


@pytest.mark.parametrize(("outliers", "when", "count"), [(3, "100", 5), (2, "no number of", 0), (5, "no number of", 0)])
def test_the_count_of_outliers_follows_the_gap(outliers, when, count):
    module, found = asked["spectrum"], spectra(outliers)
    assert f"With 4 classes 3 eigenvalues stand apart after {when} updates" in module.sentence(found)
    assert f"and in {count} after 100" in module.sentence(found)
    assert (module.counted(found, 4).sel(step=100) == outliers).all()
    assert (module.within(found, 4).sel(step=100) == outliers).all()
    assert module.sentence(found).endswith(f"in {count} after 100.")


def test_the_class_means_of_a_linear_classifier_are_those_of_papyan():
    """``m_c = 1/N sum_i p_ic x_i (p_i - e_c)'`` over the images of class c, here summed."""
    x, y, w = rng(3).normal(size=(9, 2)), np.arange(9) % 3, rng(4).normal(size=(2, 3))
    found = asked["spectrum"].class_means(lambda params, x: x @ params["w"], {"w": w}, x, y, 3)["w"]
    p = np.exp(x @ w) / np.exp(x @ w).sum(1, keepdims=True)
    each = np.einsum("i,ij,ik->ijk", p[range(9), y], x, p - np.eye(3)[y])
    np.testing.assert_allclose(found, [each[y == c].sum(0) for c in range(3)], rtol=1e-4)


def test_two_classes_have_one_outlier_with_neighbours_on_one_side():
    module = asked["spectrum"]
    assert [module.verdict(one) for one in module.apart(spectra(1, 2), 2)][1] == "stand apart"


# Two minima


def ways(aligned: float, bend: float) -> xarray.Dataset:
    """Invented barriers of four pairs: 1 on the line, parts of it on the other ways."""
    part = np.array([1.0, aligned, bend]) * np.exp(0.05 * rng(2).normal(size=(1, 4, 1)))
    part[..., 0] = 1.0
    barrier = np.stack([part, part], -1)
    t = np.linspace(0, 1, 5)
    loss = 0.01 + barrier[..., None] * 4 * t * (1 - t)
    axes = {"along": np.linspace(-0.3, 1.3, 4), "across": np.linspace(-0.2, 0.5, 3)}
    plane = {
        "plane": (("along", "across"), np.geomspace(0.01, 1, 12).reshape(4, 3)),
        "x": ("t", t),
        "y": ("t", t * (1 - t)),
    }
    before = ("units", "pair", "path", "images")
    where = {"units": [8], "path": ["line", "aligned", "bend"], "images": ["train", "test"], "t": t, **axes}
    columns = {"loss": ((*before, "t"), loss), "barrier": (before, barrier), **plane}
    return xarray.Dataset(columns, where, {"drawn": 8, "updates": 9})


@pytest.mark.parametrize(
    ("part", "word"), [(0.01, "removes"), (0.3, "lowers"), (2.0, "raises"), (1.01, "is not told from the line")]
)
def test_what_became_of_a_barrier_follows_the_barriers(part, word):
    module = asked["two_minima"]
    assert f"aligning {word}" in module.sentence(ways(part, 0.0))
    assert f"the bend {word}" in module.sentence(ways(0.5, part))
    assert f"{asked['two_minima'].left(ways(part, 0.0), 8, 'aligned').value:.1%}" in drawn["two_minima"].title(
        ways(part, 0.0)
    )


# A rescaled twin


def twins(**changes: float) -> xarray.Dataset:
    """Invented surfaces that twins move by so much, by rule."""
    module, axis = asked["rescaled_twin"], np.linspace(-1, 1, 5)
    bowl = 0.1 + axis[:, None] ** 2 + axis[None, :] ** 2
    loss = np.stack([[[bowl + k * changes.get(rule, 0.0) for rule in module.RULES] for k in (0, 1, 1)]] * 2)
    where = {"seed": [0, 1], "twin": list(module.TWINS), "rule": list(module.RULES), "a": axis, "b": axis}
    made = xarray.Dataset({"loss": (tuple(where), loss)}, where, {"units": 4, "examples": 9})
    made["change"] = module.change(made)
    curved = {name: (("seed", "twin"), np.array([[1.0, 2.0, 4.0]] * 2)) for name in ("eigenvalue", "sam", "asam")}
    return made.assign(curved)


def test_which_rule_leaves_a_picture_alone_follows_the_surfaces():
    module, found = asked["rescaled_twin"], twins(same=1.0, layer=2.0, last=2.0)
    assert float(found.change.sel(twin="one factor", rule="layer")[0]) == pytest.approx(1.0)
    assert "every 0 (0 to 0), leaves the picture alone" in module.sentence(found)
    assert "same 0.5 (0.5 to 0.5), changes it" in module.sentence(found)
    assert "only by the rule every do" in drawn["rescaled_twin"].title(found)
    assert "by no rule do" in drawn["rescaled_twin"].title(twins(same=1.0, layer=2.0, last=2.0, every=1.0))


def answers(model: dict, x: np.ndarray) -> np.ndarray:
    """Those of the experiment's network, in NumPy."""
    for name, layer in model["params"].items():
        x = x @ layer["kernel"] + layer["bias"]
        x = x if name == "Dense_2" else np.maximum(x, 0)
    return x


def test_a_rescaled_twin_has_the_answers_of_its_network_bit_for_bit():
    module, draw = asked["rescaled_twin"], rng(3).normal
    shapes = {"Dense_0": (64, 8), "Dense_1": (8, 8), "Dense_2": (8, 10)}
    layers = {k: {"kernel": draw(size=s).astype("f4"), "bias": draw(size=s[1]).astype("f4")} for k, s in shapes.items()}
    first, *others = module.family({"params": layers}, 8, 0).values()
    x = draw(size=(3, 64))
    for one in others:
        assert np.any(one["params"]["Dense_0"]["kernel"] != layers["Dense_0"]["kernel"])
        np.testing.assert_array_equal(answers(one, x), answers(first, x))


# Batch norm


def policies(**away: float) -> xarray.Dataset:
    """Invented losses a step away."""
    order, axis = ("none", "frozen", "batch", "recomputed"), np.linspace(-1, 1, 3)
    noise = np.exp(0.02 * rng(4).normal(size=(4, 5)))
    columns = {"loss": (("policy", "a", "b"), np.geomspace(0.1, 9, 36).reshape(4, 3, 3))}
    columns |= {"away": (("policy", "seed"), np.array([[away[name]] for name in order]) * noise)}
    where = {"policy": list(order), "seed": range(5), "a": axis, "b": axis}
    return xarray.Dataset(columns, where, {"examples": 9, "updates": 9})


@pytest.mark.parametrize(("frozen", "word"), [(9.0, "higher than"), (2.0, "not told from"), (0.5, "lower than")])
def test_what_a_policy_does_follows_the_losses(frozen, word):
    found = policies(none=2.0, frozen=frozen, batch=2.0, recomputed=2.0)
    assert f"frozen is {word} recomputed" in asked["filter_normalised"].sentence(found)
    assert "none is not told from recomputed" in asked["filter_normalised"].sentence(found)
    mean = found["away"].sel(policy="frozen").values.mean()
    assert f"a step away is {mean:.1f} by frozen" in drawn["filter_normalised"].title(found)


# A recurrent network


def lengths(rate: float) -> xarray.Dataset:
    """Invented surfaces whose largest gradient grows by ``rate`` in ln a step."""
    length, axis = np.arange(1, 65), np.linspace(-1, 1, 3)
    steep = rate * length / np.log(10) + 0.05 * rng(5).normal(size=(1, 4, 64))
    columns = {
        "steep": (("cell", "seed", "length"), steep),
        "middle": (("cell", "seed", "length"), np.full((1, 4, 64), 2.0)),
    }
    columns |= {"loss": (("cell", "length", "a", "b"), np.geomspace(0.1, 9, 576).reshape(1, 64, 3, 3))}
    where = {"cell": ["tanh"], "seed": range(4), "length": length, "a": axis, "b": axis}
    return xarray.Dataset(columns, where, {"units": 4, "examples": 9, "updates": 9})


@pytest.mark.parametrize(("rate", "word"), [(0.1, "grows steeper"), (-0.1, "grows flatter")])
def test_whether_a_surface_grows_steep_follows_its_gradients(rate, word):
    found = lengths(rate)
    assert word in asked["recurrent_net"].sentence(found)
    assert asked["recurrent_net"].growth(found, "tanh").value == pytest.approx(rate, abs=0.01)
    assert asked["recurrent_net"].verdict(Share(0.0, -1.0, 1.0)) == "is not told to grow steeper"


# Figures and runs

WORLDS = {
    "edge_of_stability": lambda: descents(1.0),
    "spectrum": lambda: spectra(3),
    "two_minima": lambda: ways(0.1, 0.01),
    "rescaled_twin": lambda: twins(last=1.0),
    "filter_normalised": lambda: policies(none=3.0, frozen=9.0, batch=2.0, recomputed=2.0),
    "recurrent_net": lambda: lengths(0.1),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_figure_is_drawn_of_its_store_alone(name):
    assert drawn[name].page(WORLDS[name]()).axes


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_its_figure_is_drawn(name):
    pytest.importorskip("sklearn", reason="the extra 'data' is not installed")
    pytest.importorskip("matfree", reason="the extra 'curvature' is not installed")
    found = asked[name].run(quick=True)
    assert found.attrs["finding"] == asked[name].sentence(found)
    assert drawn[name].page(found).axes

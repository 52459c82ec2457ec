"""The latching experiments train as published, error included, and their figures hold the runs."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from matplotlib.collections import FillBetweenPolyCollection
from PIL import Image

from landscape import losses, names, plots, training
from landscape.cells import GRU, SRNN, HardGRU, HardLSTM
from landscape.initialisers import keras2
from landscape.success import describe, horizon, successes, wilson
from landscape.tasks import episodes, latch, relay

ROOT = Path(__file__).parents[1]
KEY = jax.random.key(2)


def load(path):
    """The module of an experiment's or a figure's file."""
    return names.module(str(ROOT / path))


latching, bit_relay, learning_rates, units, guessing = (
    load(f"experiments/{name}.py") for name in ("latching", "bit_relay", "learning_rates", "units", "guessing")
)


# Intervals


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_of_newcombe_1998_table_1(k, n, low, high):
    np.testing.assert_allclose(wilson(k, n), (low, high), atol=5e-5)


def test_ends_of_a_wilson_interval_solve_its_equation_and_stay_in_0_1():
    k, n, z = np.arange(31), 30, 1.6448536269514722  # 90 %
    for p in wilson(k, n, 0.9):
        inside = (k > 0) & (k < n)
        np.testing.assert_allclose((p - k / n)[inside] ** 2, (z**2 * p * (1 - p) / n)[inside], rtol=1e-9)
    low, high = wilson(k, n)
    assert low[0] == 0
    assert high[-1] == 1
    assert np.all((low >= 0) & (low <= k / n) & (k / n <= high) & (high <= 1))
    np.testing.assert_allclose(low, 1 - high[::-1], atol=1e-15)


def test_counts_are_whole_to_rounding():
    np.testing.assert_array_equal(wilson(0.29 * 100, 100), wilson(29, 100))
    np.testing.assert_array_equal(wilson(0.1 * 3 * 10, 3), wilson(3, 3))  # 3.0000000000000004
    with pytest.raises(ValueError, match=r"successes and trials are whole numbers, given 2\.5 of 10"):
        wilson(2.5, 10)


@pytest.mark.parametrize(("k", "n", "level"), [(3, 2, 0.95), (-1, 2, 0.95), (0, 0, 0.95), (1, 2, 1.0)])
def test_an_interval_of_no_such_experiment_is_refused(k, n, level):
    with pytest.raises(ValueError, match="0 <= successes <= trials"):
        wilson(k, n, level)


def test_the_interval_of_a_horizon_is_as_wide_as_horizons_of_new_runs_scatter():
    """Runs succeed with a chance that falls over x = 5: the bootstrap's width is that of 100 experiments, to a half."""
    rng = np.random.default_rng(4)
    x = np.linspace(0, 10, 200)
    samples = rng.random((100, 200)) < 1 / (1 + np.exp(2 * (x - 5)))
    low, high = np.quantile([horizon(x, solved, 1).value for solved in samples], [0.025, 0.975])
    found = [horizon(x, solved, 100) for solved in samples[:10]]
    assert low > 4
    assert high < 6
    widths = np.array([one.high - one.low for one in found])
    assert 0.5 < np.median(widths) / (high - low) < 2
    assert sum(one.low <= 5 <= one.high for one in found) >= 8  # of 10 intervals of 95 %


def test_success_counts_runs_above_the_threshold_and_nan_is_none():
    runs = xarray.DataArray([[1.0, 0.5, np.nan, 0.995], [0.99, 0.5, 0.5, 0.5]], dims=("length", "seed"))
    found = successes(runs)
    np.testing.assert_array_equal(found.share, [0.5, 0.0])
    np.testing.assert_array_equal(successes(runs, above=0.4).share, [0.75, 1.0])
    np.testing.assert_allclose(found.high, wilson([2, 0], 4)[1])
    assert float(found["mean"][1]) == pytest.approx(0.6225)
    assert float(found.sd[1]) == pytest.approx(np.std([0.99, 0.5, 0.5, 0.5]))


# Protocols


@pytest.fixture(scope="module")
def data():
    """The data of one length as the experiment draws it."""
    return jax.jit(lambda: episodes(latch(0.1), jax.random.key(0), 10_000, 5))()


def test_the_data_are_as_published(data):
    x, sign = np.asarray(data.x), np.asarray(data.target)
    assert sorted(set(sign)) == [-1, 1]
    assert (sign == 1).sum() == 5000
    assert np.std(x[:, 1:]) == pytest.approx(0.1, rel=0.02)  # four standard errors of 40,000 numbers: .014
    assert np.std(x[:, 0] - sign) == pytest.approx(0.1, rel=0.04)  # noise on the first step too
    assert abs(np.mean(x[:, 0] - sign)) < 0.004
    assert latching.LENGTHS[-1] == 200
    assert len(latching.LENGTHS) == 25


def test_the_published_split_validates_on_negatives_alone_and_the_corrected_one_on_both(data):
    for protocol, positives in {"published": (5000, 0), "corrected": (4000, 1000)}.items():
        parts = latching.SPLITS[protocol](0.2)(jax.random.key(0), data.target)
        assert [len(part) for part in parts] == [8000, 2000]
        assert tuple(int((data.target[part] > 0).sum()) for part in parts) == positives
        assert len(np.unique(np.concatenate(parts))) == 10_000


def test_a_constant_answer_has_the_published_losses_on_either_part(data):
    train, validation = latching.SPLITS["published"](0.2)(jax.random.key(0), data.target)
    logit = np.float32(np.log(5 / 3))  # the best constant for 5,000 of 8,000
    both = np.stack([np.float32(0), logit])
    expected = {  # mean loss in training and in validation
        losses.softmax: (both, 0.66156, 0.98083),
        losses.probability: (logit, 0.234375, 0.390625),
    }
    for objective, (y, seen, unseen) in expected.items():
        each, right = (
            np.asarray(jax.jit(jax.vmap(lambda target, y=y, f=f: f(y, target)))(data.target))
            for f in (objective.loss, objective.correct)
        )
        for part, loss in ((train, seen), (validation, unseen)):
            assert each[part].mean() == pytest.approx(loss, abs=5e-6)
        assert not right[validation].any()


def test_published_points_stand_at_their_length_and_cell_and_nowhere_else():
    lengths = np.array([2, 30, 70, 110, 200])
    np.testing.assert_array_equal(latching.published(SRNN(), "published", lengths), [0.9, 0.57, 0.27, np.nan, 0])
    np.testing.assert_array_equal(latching.published(HardLSTM(), "published", lengths), [1, 0.3, 0, np.nan, 0])
    assert np.all(np.isnan(latching.published(HardGRU(), "published", lengths)))
    assert np.all(np.isnan(latching.published(SRNN(), "corrected", lengths)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Both protocols at small size, and where they are stored."""
    out = tmp_path_factory.mktemp("latching") / "latching.zarr"
    settings = {"lengths": (2, 40), "repeats": 8, "count": 1000, "cells": ("HardLSTM",), "out": str(out)}
    return out, latching.run(**settings)


def test_under_the_published_split_accuracy_is_0_or_1_and_under_the_corrected_one_a_failure_is_one_half(trained):
    wrong, right = (trained[1].sel(protocol=p, cell="HardLSTM") for p in ("published", "corrected"))
    assert float(((wrong.accuracy < 0.01) | (wrong.accuracy > 0.99)).mean()) > 0.8
    # 1,000 sequences teach the LSTM next to nothing at length 40: a constant, right on half of both classes or on none
    # of one; that it favours the other class costs more than a coin
    wrong, right = (runs.sel(length=40) for runs in (wrong, right))
    failed, missed = wrong.accuracy < 0.01, abs(right.accuracy - 0.5) < 0.15  # of 200: four standard errors
    assert failed.sum() >= 6
    assert missed.sum() >= 6
    assert np.all(wrong.loss.values[failed] > np.log(2))
    np.testing.assert_allclose(right.loss.values[missed], np.log(2), atol=0.03)


@pytest.mark.parametrize("module", [latching, bit_relay, learning_rates, units])
def test_every_setting_of_an_experiment_reaches_the_training(module, monkeypatch):
    given = {"repeats": 7, "count": 90, "epochs": 3, "batch": 11, "seed": 13}
    own = {
        latching: {"protocol": "corrected", "lengths": (3, 4), "noise": 0.25},
        bit_relay: {"lengths": (3, 4), "noise": 0.25, "units": 5},
        learning_rates: {"task": relay(0.25), "lengths": (3, 4), "rates": (0.5, 0.125), "units": 5},
        units: {"task": relay(0.25), "length": 3, "units": 5},
    }[module]
    own |= {} if module is learning_rates else {"rate": 0.5}

    class Told(Exception):
        pass

    def listen(setup, task, lengths, **options):
        raise Told(setup, task, lengths, options)

    monkeypatch.setattr(training, "curves", listen)
    with pytest.raises(Told, match=r"noise=0\.25") as told:
        module.train(SRNN(), **given, **own)
    setup, task, lengths, options = told.value.args
    assert [options[name] for name in ("seeds", "count", "epochs", "batch", "seed")] == list(given.values())
    assert "noise=0.25" in str(task)
    assert list(lengths) == ([3] if module is units else [3, 4])
    if module is learning_rates:
        assert options["settings"] == {"rate": (0.5, 0.125)}
    model, optimiser = setup(KEY, **({"rate": 0.5} if module is learning_rates else {}))
    assert np.shape(model.readout.w) == ((2,) if module is latching else (5, 2))
    step, _ = optimiser.update(model, optimiser.init(model))
    # the first step of Adam is the rate, but for epsilon / (.03 |w|)
    np.testing.assert_allclose(step.readout.w, -0.5 * np.sign(model.readout.w), rtol=1e-2)


def test_a_baseline_is_the_number_of_random_models_that_guess_counts():
    model, task = training.begin(SRNN(), jax.random.key(0)), latch(0.1)
    found = training.baseline(model, task, [3, 7], tried=300, count=16, seed=5)
    root = jax.random.key(5)
    data = episodes(task, jax.random.fold_in(jax.random.fold_in(root, 0), 3), 16, 3)
    alone = training.guess(jax.random.fold_in(root, 1), model, data, losses.softmax, tried=300)
    assert int(found.solved.sel(length=3)) == alone.solved > 0
    assert float(found.guessed.sel(length=3)) == alone.volume
    assert found.attrs["draw"] == "uniform"


def test_a_baseline_of_layers_and_of_other_draws():
    model = training.begin(GRU(), jax.random.key(0), units=2)
    none = training.baseline(model, relay(), [4], tried=10, draw=lambda key, shape: jnp.zeros(shape))
    assert float(none.guessed[0]) == 0  # silent models give one answer to all
    with pytest.raises(ValueError, match="lengths from 1 up"):
        training.baseline(model, relay(), [])


# The other experiments


def test_the_rates_of_a_sweep_differ_and_are_told_by_rate():
    made = learning_rates.train(SRNN(), latch(), None, rates=(1e-3, 1e-1), lengths=(4,), repeats=3, count=200, epochs=1)
    assert made.accuracy.dims == ("length", "rate", "seed")
    assert np.all(made.loss.isel(rate=0) != made.loss.isel(rate=1))
    shares = successes(made.accuracy).share.values[0]
    assert describe(made, "rate").startswith(f"4: success at rate 0.001: {shares[0]:.2f} [")


@pytest.mark.slow
def test_the_relay_and_the_sizes_are_one_experiment_where_their_settings_are_the_same():
    small = {"repeats": 2, "count": 100, "epochs": 1, "rate": 0.01}
    one, other = units.train(SRNN(), relay(), 2, length=4, **small), bit_relay.train(SRNN(), (4,), units=2, **small)
    assert one.accuracy.dims == ("seed",)
    np.testing.assert_allclose(one.loss, other.loss.isel(length=0), rtol=1e-5)
    assert float(one.guessed) >= 0


@pytest.mark.slow
def test_runs_of_many_lengths_that_start_from_an_svd_come_to_an_end():
    """Two batched SVDs at once wait for each other in the CPU pool of jaxlib 0.10, so starts are drawn one by one."""
    code = """
from landscape import tasks, training
from landscape.cells import GRU
from landscape.initialisers import keras2

def setup(key):
    return training.begin(GRU(), key, keras2, units=8), training.keras_adam()

training.curves(setup, tasks.latch(), range(1, 25), seeds=32, count=20, epochs=1)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)  # 10 seconds if it ends at all


def test_random_units_keep_a_bit_as_often_as_in_plain_numpy():
    tried, time, count = 2048, 30, 16
    data = episodes(latch(0.1), jax.random.key(0), count, time)
    program = jax.jit(guessing.keeps, static_argnums=(0, 3))
    solved = np.asarray(program(guessing.normal(2.0), SRNN(), data, tried, KEY)) / tried
    rng = np.random.default_rng(0)
    w, u, b = 2 * rng.standard_normal((3, tried, 1))
    h, expected = np.zeros((tried, count)), []
    for x in np.asarray(data.x).T:
        h = np.tanh(w * h + u * x + b)
        high, low = h[:, data.target > 0], h[:, data.target < 0]
        expected.append(np.mean((high.min(1) > low.max(1)) | (low.min(1) > high.max(1))))
    error = np.sqrt(2 * solved * (1 - solved) / tried)
    assert np.all(np.abs(solved - expected)[1:] < 4 * error[1:])
    assert solved[0] > solved[9] > solved[29] > 0.1
    start = np.asarray(program(lambda key, cell: keras2(cell, key), SRNN(), data, 64, KEY))
    assert start[29] < start[0] == 64  # |w| = 1 and b = 0: every start shows the bit, and none holds it


# Figures


def runs(lines=("SRNN", "LSTM"), published=True):
    """Runs in the form of an experiment, of a known share of successes."""
    rng = np.random.default_rng(0)
    lengths, seeds = [2, 10, 50], np.arange(20)
    accuracy = np.where(rng.random((len(lines), 3, 20)) < 0.5, 1.0, 0.5)
    ds = xarray.Dataset(
        {"accuracy": (("cell", "length", "seed"), accuracy), "guessed": (("cell", "length"), rng.random((2, 3)))},
        {"cell": list(lines), "length": lengths, "seed": seeds},
    )
    return ds.assign(published=(("cell", "length"), np.full((2, 3), 0.25))) if published else ds


def test_curves_hold_rates_intervals_means_baselines_and_published_points():
    ds = runs()
    figure = plots.training({"one": ds, "two": ds})
    top, _, below, _ = figure.axes
    found = successes(ds.accuracy)
    for i in range(2):
        curve, chance, marks = top.get_lines()[3 * i : 3 * i + 3]
        np.testing.assert_array_equal(curve.get_xydata().T, [ds.length, found.share[i]])
        np.testing.assert_array_equal(chance.get_ydata(), ds.guessed[i])
        np.testing.assert_array_equal(marks.get_ydata(), ds.published[i])
        band = [c for c in top.collections if isinstance(c, FillBetweenPolyCollection)][i]
        (path,) = band.get_paths()
        for edge in (found.low[i], found.high[i]):
            for point in zip(ds.length.values, edge.values, strict=True):
                assert np.isclose(path.vertices, point).all(1).any()
        bars = below.containers[i]
        np.testing.assert_array_equal(bars.lines[0].get_ydata(), found["mean"][i])
        ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])
        mean, sd = found["mean"][i].values, found.sd[i].values
        np.testing.assert_allclose(ends.T, np.clip([mean - sd, mean + sd], 0, 1))


def test_a_figure_of_training_says_what_its_marks_are_and_what_is_absent_is_not_named():
    text = figure_text(plots.training({"one": runs()}, note="what was trained"))
    for part in ("sequence length (steps)", "Wilson", "20 runs", "Dotted", "Open marks", "what was trained", "SRNN"):
        assert part in text
    assert "mean ± SD" in text
    bare = runs(published=False).drop_vars("guessed")
    text = figure_text(plots.training({"one": bare}, above=0.9))
    assert "Dotted" not in text
    assert "Open marks" not in text
    assert "accuracy > 0.9" in text


def figure_text(figure):
    """Every text of a figure, without line breaks."""
    from matplotlib.text import Text

    return " ".join(t.get_text() for t in figure.findobj(Text)).replace("\n", " ")


def test_points_of_a_sweep_that_are_not_computed_yet_are_not_drawn_as_failures():
    ds = runs()
    ds.accuracy[0, 2] = ds.accuracy[1] = np.nan
    top, below = plots.training({"one": ds}).axes
    (curve,) = (line for line in top.get_lines() if line.get_label() in ("SRNN", "LSTM"))
    np.testing.assert_array_equal(curve.get_xdata(), ds.length[:2])
    assert len(below.containers[0].lines[0].get_xdata()) == 2


def test_scale_and_lines_of_curves_can_be_chosen():
    ds = runs().rename(cell="task")
    figure = plots.training({"one": ds}, lines="task", scale="log")
    assert figure.axes[0].get_xscale() == "log"
    assert {t.get_text() for t in figure.legends[0].get_texts()} == {"SRNN", "LSTM"}


def stored(path, group, **coordinates):
    """A store in the form of a sweep, of known accuracies."""
    cells = {"cell": np.array(["SRNN", "HardLSTM", "HardGRU"], object)}
    coordinates = {k: np.array(v, object) if isinstance(v[0], str) else v for k, v in coordinates.items()} | cells
    shape = tuple(len(v) for v in coordinates.values())
    rng = np.random.default_rng(1)
    accuracy = rng.choice([0.5, 1.0], (*shape, 6))
    variables = {name: (tuple(coordinates), rng.random(shape)) for name in ("guessed", "volume", "low", "high")}
    ds = xarray.Dataset({"accuracy": ((*coordinates, "seed"), accuracy)} | variables, coordinates)
    ds.attrs["settings"] = '{"tried": 100, "count": 9, "noise": 0.1}'
    ds.to_zarr(path, group=group, zarr_format=3, consolidated=False)
    return ds


@pytest.mark.parametrize(
    ("name", "coordinates", "panels"),
    [
        ("bit_relay", {"length": [5, 10]}, ["relay a bit, 8 units"]),
        ("units", {"task": ["latch", "relay"], "units": [1, 100]}, ["keep a bit", "relay a bit"]),
        (
            "learning_rates",
            {"task": ["latch", "relay"], "length": [20], "rate": [1e-3, 1e-1]},
            ["keep a bit, 1 unit, length 20", "relay a bit, 8 units, length 20"],
        ),
        (
            "guessing",
            {"draw": ["N(0, 1)", "Keras start"], "length": [2, 5]},
            ["weights: N(0, 1)", "weights: Keras start"],
        ),
    ],
)
def test_figures_of_experiments_hold_their_store_panel_by_panel(name, coordinates, panels, tmp_path, monkeypatch):
    ds = stored(tmp_path / "s.zarr", None if name == "guessing" else "results", **coordinates)
    kept = []
    monkeypatch.setattr(plots, "save", lambda figure, *files: kept.append(figure))
    monkeypatch.setattr(plots, "indexed", lambda file: None)  # nothing is written
    shown = load(f"figures/{name}.py").draw(tmp_path / "s.zarr", tmp_path)
    assert {file.suffix for files in shown.values() for file in files} == {".png", ".pdf"}
    top = [ax for ax in kept[0].axes if ax.get_title()]
    assert [ax.get_title().replace("\n", " ") for ax in top] == panels
    dim = next(iter(coordinates))
    values = ds.volume if name == "guessing" else successes(ds.accuracy).share
    for i, ax in enumerate(top):
        one = (values.isel({dim: i}) if len(top) > 1 else values).squeeze()
        lines = [line for line in ax.get_lines() if not line.get_label().startswith("_")]
        assert [line.get_label() for line in lines] == ["SRNN", "LSTM", "GRU"]
        np.testing.assert_array_equal([line.get_ydata() for line in lines], one.transpose("cell", ...))


def test_the_figure_of_latching_is_drawn_from_its_store(trained, tmp_path):
    shown = load("figures/latching.py").draw(trained[0], tmp_path)
    files = [file for group in shown.values() for file in group]
    assert sorted(files) == sorted(tmp_path.iterdir())
    with Image.open(tmp_path / "latching.png") as image:
        assert len(image.convert("RGB").getcolors(10**6)) > 20

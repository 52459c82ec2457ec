"""Experiments on surfaces find the numbers that they expect, and say what their data say."""

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from PIL import Image

from landscape import names
from landscape.dynamics import latching_bound

ROOT = Path(__file__).parents[1]
FORGET = 1 / (1 + np.exp(-1))


def load(path):
    """The module of an experiment's or a figure's file."""
    return names.module(str(ROOT / path))


pascanu_fig6, cliff_formation, demo = (load(f"experiments/{n}.py") for n in ("pascanu_fig6", "cliff_formation", "demo"))


@pytest.fixture(scope="module")
def wall(tmp_path_factory):
    """Pascanu's figure on a coarse grid, and where it is stored."""
    folder = tmp_path_factory.mktemp("wall")
    return folder, pascanu_fig6.run(points=21, lengths=(10, 50), out=str(folder))


@pytest.fixture(scope="module")
def latching(tmp_path_factory):
    """Cliff formation on a coarse grid, and where it is stored."""
    folder = tmp_path_factory.mktemp("latching")
    return folder, cliff_formation.run(points=21, lengths=(1, 20), episodes=2, noise=0.0, out=str(folder))


def test_the_wall_of_pascanu_stands_on_the_line_of_its_start_state(wall):
    _, found = wall
    np.testing.assert_allclose(found["cliff"].b, 0.5 - found["cliff"].w / (1 + np.exp(-0.5)), rtol=1e-6)
    after = found["surface"].sel(length=50)
    low = (after.b < found["cliff"].b - 0.05).transpose("w", "b").values
    high = (after.b > found["cliff"].b + 0.05).transpose("w", "b").values
    assert after.loss.values[low].min() > 0.2
    assert after.loss.values[high].max() < 0.1


def test_at_w_5_loss_and_gradient_across_the_wall_are_the_known_numbers(wall):
    cut = wall[1]["cut"]
    assert cut.attrs["b"] == pytest.approx(-2.612296656, abs=1e-6)
    # loss on either side, and peaks of |gradient|: along b 5751.099, times the norm of (logistic(.5), 1) at length 50
    np.testing.assert_allclose(cut.loss.sel(length=50)[[0, -1]], [0.353, 0.017], atol=5e-4)
    peak = 10 ** cut.log10_gradient.max("offset")
    np.testing.assert_allclose(peak, [5.54, 5751.099 * np.hypot(1, 0.6224593312)], rtol=2e-3)


def test_the_sentence_on_the_wall_says_what_the_data_say(wall):
    text = pascanu_fig6.sentence(wall[1])
    for part in ("from 0.353 to 0.017", "b = -2.6123", "from 5.5 at length 10 to 6,77"):
        assert part in text
    column = wall[1]["surface"].log10_gradient.sel(length=50, w=5.0, method="nearest")
    assert f"sees at most {10 ** float(column.max()):.2g}." in text


def kept(name, w, b, steps=20_000):
    """Whether a noise-free unit keeps both bits, by running it in float64."""
    kept = []
    for bit in (1.0, -1.0):
        h, c = np.zeros_like(w), np.zeros_like(w)
        for t in range(steps):
            x = bit if t == 0 else 0.0
            if name == "SRNN":
                h = np.tanh(w * h + x + b)
            elif name == "GRU":
                h = h / 2 + np.tanh(w * h / 2 + x + b) / 2
            else:
                c = FORGET * c + np.tanh(w * h + x + b) / 2
                h = np.tanh(c) / 2
        kept.append(h * bit > 0.01)
    return kept[0] & kept[1]


@pytest.mark.parametrize("name", ["SRNN", "GRU", "LSTM"])
def test_a_unit_keeps_both_bits_just_inside_the_closed_form_curve_and_loses_one_just_outside(name, latching):
    curve = latching[1][f"{name}_boundary"]
    seen = (curve.w < 8) & (abs(curve.b) > 0.02)
    w, b = (curve[k].values[seen.values].astype(float) for k in ("w", "b"))
    assert len(w) > 50
    assert np.all(kept(name, w, 0.99 * b))
    assert not np.any(kept(name, w, 1.01 * b))


def test_the_curve_of_the_simple_unit_is_the_latching_bound(latching):
    curve = latching[1]["SRNN_boundary"]
    near = curve.w.values < 8  # float32: both sides are differences of numbers of size w
    bound = latching_bound(jnp.asarray(curve.w.values[near]), 1.0)
    np.testing.assert_allclose(abs(curve.b.values[near]), bound, atol=1e-5)


@pytest.mark.parametrize(("name", "w"), [("SRNN", 1.0), ("GRU", 2.0), ("LSTM", 4 * (1 - FORGET))])
def test_the_curve_begins_where_the_silent_state_loses_its_stability(name, w, latching):
    curve = latching[1][f"{name}_boundary"]
    assert float(curve.w.min()) == pytest.approx(w, rel=1e-4)
    assert float(abs(curve.b).min()) < 1e-4


@pytest.mark.parametrize("name", ["SRNN", "GRU", "LSTM"])
def test_without_noise_the_basin_of_low_loss_is_the_inside_of_the_curve(name, latching):
    ds, curve = latching[1][name], latching[1][f"{name}_boundary"]
    up = curve.b.values >= 0
    order = np.argsort(curve.w.values[up])
    bound = np.interp(ds.loss[0, :, 0][ds.loss.dims[1]], curve.w.values[up][order], curve.b.values[up][order], left=0)
    depth = bound[:, None] - abs(ds[ds.loss.dims[2]].values)
    loss = ds.loss.sel(length=20).values
    assert loss[depth > 0.1].max() < 0.95 < 1.05 < loss[(depth < -0.1) & (bound[:, None] > 0)].min()


def test_the_sentence_on_cliffs_says_what_the_data_say(latching):
    text = cliff_formation.sentence(latching[1])
    said = [float(number) for number in re.findall(r"\d+\.\d\d", text)]
    steps = []
    for name in ("SRNN", "GRU", "LSTM"):
        loss = latching[1][name].loss.values
        both = np.maximum(abs(np.diff(loss, axis=1)).max((1, 2)), abs(np.diff(loss, axis=2)).max((1, 2)))
        steps += both.tolist()
    np.testing.assert_allclose(said, steps, atol=0.00501)
    assert steps[1] > 3 * steps[0]


def test_settings_of_an_experiment_change_what_it_finds(latching, tmp_path):
    noisy = cliff_formation.run(points=21, lengths=(1, 20), episodes=2, noise=0.5, out=None)["SRNN"]
    assert float(abs(noisy.loss - latching[1]["SRNN"].loss).max()) > 0.1
    assert noisy.attrs["episodes"] == 2


@pytest.mark.parametrize("name", ["pascanu_fig6", "cliff_formation"])
def test_stores_hold_what_run_returned_and_figures_are_drawn_from_them_alone(name, wall, latching, tmp_path):
    folder, found = {"pascanu_fig6": wall, "cliff_formation": latching}[name]
    for key, ds in found.items():
        stored = xarray.open_zarr(folder / f"{key}.zarr", consolidated=False, chunks=None)
        for variable in ds.data_vars:
            np.testing.assert_array_equal(stored[variable], ds[variable])
    shown = load(f"figures/{name}.py").draw(folder, tmp_path)
    files = [file for group in shown.values() for file in group]
    assert sorted(files) == sorted(tmp_path.iterdir())
    assert {file.suffix for file in files} == {".png", ".pdf", ".gif", ".webp", ".html"}
    for file in files:
        if file.suffix in (".png", ".gif", ".webp"):
            with Image.open(file) as image:
                assert len(image.convert("RGB").getcolors(10**6)) > 20  # drawn, not blank
                assert getattr(image, "n_frames", 1) == (1 if file.suffix == ".png" else 2)


@pytest.mark.slow
def test_the_demo_says_where_every_file_is_and_what_each_figure_shows(tmp_path, capfd):
    found = demo.run(str(tmp_path))
    said = capfd.readouterr().out
    for file in (*tmp_path.glob("*.*"), *tmp_path.glob("*/*.zarr")):
        assert str(file) in said
    for name, experiment in (("pascanu_fig6", pascanu_fig6), ("cliff_formation", cliff_formation)):
        part = {key.removeprefix(f"{name} "): ds for key, ds in found.items() if key.startswith(name)}
        assert experiment.sentence(part) in said

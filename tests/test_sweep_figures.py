"""Figures of sweeps: what is drawn is the mean or share of what was computed, with its interval, and says so."""

import subprocess
import sys

import numpy as np
import pytest
import xarray
from matplotlib.figure import Figure
from scipy import stats

from landscape import cli, plots, sweeps

RATES, SEEDS = [0.01, 0.1, 1.0], list(range(6))


@pytest.fixture(scope="module")
def ds():
    """Three rates, two cells, six seeds; a success, a loss along lengths, and text; one point not computed."""
    rng = np.random.default_rng(1)
    shape, dims = (3, 2, 6), ("rate", "cell", "seed")
    state = np.ones(shape, int)
    state[0, 0, 0] = 0
    made = xarray.Dataset(
        {
            "loss": ((*dims, "length"), rng.normal(size=(*shape, 4)), {"long_name": "validation loss"}),
            "solved": (dims, rng.integers(0, 2, shape)),
            "word": (dims, np.full(shape, "a", object)),
        },
        {"rate": RATES, "cell": ["SRNN", "GRU"], "seed": SEEDS, "length": [1, 2, 5, 9]},
        {"title": "toy over rate, cell, seed"},
    )
    made["loss"][1, 1, 1, :] = np.inf
    return made.assign_coords(sweep_state=(dims, state)).where(lambda ds: ds.sweep_state == 1)


def curves(figure):
    """Label -> x, y, low, high of every curve with bars."""
    found = {}
    for box in figure.axes[0].containers:
        x, y = box.lines[0].get_data()
        ends = np.array([segment[:, 1] for segment in box.lines[2][0].get_segments()]).T
        found[box.get_label()] = (x, y, *ends)
    return found


def small_print(figure):
    return figure.get_supxlabel().replace("\n", " ")


def test_a_share_has_the_wilson_interval_of_scipy(ds):
    figure = plots.sweep(ds, "solved", along="rate")
    found = curves(figure)
    assert list(found) == ["cell = SRNN", "cell = GRU"]
    for cell in ("SRNN", "GRU"):
        x, y, low, high = found[f"cell = {cell}"]
        np.testing.assert_array_equal(x, RATES)
        for i, rate in enumerate(RATES):
            runs = ds.solved.sel(rate=rate, cell=cell).dropna("seed")
            interval = stats.binomtest(int(runs.sum()), runs.size).proportion_ci(0.95, "wilson")
            np.testing.assert_allclose([y[i], low[i], high[i]], [runs.mean(), *interval], atol=1e-12)
    assert figure.axes[0].get_ylabel() == "share with solved = 1"
    assert "Bars: Wilson's intervals of 95 % of the share over seed (6)." in small_print(figure)
    assert "Not finished: drawn from 35 of 36 points." in small_print(figure)


def test_a_mean_has_the_student_interval_of_scipy_and_counts_what_it_leaves_out(ds):
    figure = plots.sweep(ds, "loss", along="rate", lines="cell")
    for cell in ("SRNN", "GRU"):
        _, y, low, high = curves(figure)[f"cell = {cell}"]
        for i, rate in enumerate(RATES):
            runs = ds.loss.sel(rate=rate, cell=cell, length=9).values
            runs = runs[np.isfinite(runs)]
            interval = stats.t.interval(0.95, len(runs) - 1, runs.mean(), stats.sem(runs))
            np.testing.assert_allclose([y[i], low[i], high[i]], [runs.mean(), *interval], rtol=1e-12)
    said = small_print(figure)
    assert "Bars: Student's intervals of 95 % of the mean over seed (6)." in said
    assert "Held: length = 9." in said
    assert "1 values are inf or NaN, and left out." in said
    assert figure.axes[0].get_ylabel() == "mean validation loss"


def test_every_setting_of_the_figure_changes_it(ds):
    x, y, *_ = curves(plots.sweep(ds, "loss", along="length", lines="cell", at={"rate": 0.1}))["cell = SRNN"]
    np.testing.assert_array_equal(x, [1, 2, 5, 9])
    np.testing.assert_allclose(y, ds.loss.sel(rate=0.1, cell="SRNN").mean("seed"))
    names = plots.sweep(ds, "loss", along="cell", lines="length")
    assert list(curves(names)) == [f"length = {n}" for n in (1, 2, 5, 9)]
    assert [label.get_text() for label in names.axes[0].get_xticklabels()] == ["SRNN", "GRU"]
    assert plots.sweep(ds).axes[0].get_xscale() == "log"
    assert plots.sweep(ds, title="mine").get_suptitle().startswith("mine")
    assert plots.sweep(ds, xlabel="mine").axes[0].get_xlabel() == "mine"
    mine = Figure().add_subplot()
    assert plots.sweep(ds, ax=mine).axes == [mine]
    assert plots.sweep(ds, colors=["red"], figsize=(2, 2)).axes[0].containers[0].lines[0].get_color() == "red"
    alone = plots.sweep(ds, "loss", along="seed", lines="cell", at={"rate": 1.0})
    assert "Nothing is averaged: no bars." in small_print(alone)


def test_a_sweep_is_held_at_words_and_not_drawn_along_what_is_held(ds):
    held = plots.sweep(ds, "loss", at={"cell": "GRU", "rate": 1.0})
    assert "cell = GRU" in small_print(held)
    assert "rate" not in held.axes[0].get_xlabel()
    with pytest.raises(ValueError, match="the sweep has no cell 'LSTM'; it has SRNN, GRU"):
        plots.sweep(ds, "loss", at={"cell": "LSTM"})
    with pytest.raises(ValueError, match="a curve for each rate has no axis left; give lines another than along"):
        plots.sweep(ds, "loss", along="rate", lines="rate")
    with pytest.raises(ValueError, match="rate is held, and nothing is drawn along it; give along another axis"):
        plots.sweep(ds, "loss", along="rate", at={"rate": 1.0})


def test_settings_that_move_together_are_an_axis_each(ds):
    zipped = ds.isel(rate=0, drop=True).rename(seed="start")
    zipped = zipped.assign_coords(start=np.arange(6), noise=("start", np.linspace(1, 2, 6)))
    x, *_ = curves(plots.sweep(zipped, "solved", along="noise", lines="cell"))["cell = GRU"]
    np.testing.assert_array_equal(x, np.linspace(1, 2, 6))
    assert plots.sweep(zipped, "solved", at={"noise": 1.2}).axes[0].get_xlabel() == "cell"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"variable": "acc"}, "the sweep has no 'acc'; it has loss, solved, word"),
        ({"variable": "word"}, "word is not a number"),
        ({"along": "size"}, "the sweep has no axis 'size'; it has rate, cell, seed, length"),
        ({"lines": "size"}, "the sweep has no axis 'size'"),
        ({"variable": "solved", "along": "length"}, "the sweep has no axis 'length'; it has rate, cell, seed"),
    ],
)
def test_a_name_that_is_not_there_is_one_sentence(ds, words, message):
    with pytest.raises(ValueError, match=message):
        plots.sweep(ds, **words)


def grown(*, cell: str, rate: float):
    return xarray.Dataset({"x": ((), len(cell) * rate)})


def test_the_command_line_holds_a_sweep_at_words_and_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sweeps.fill(sweeps.plan(grown, {"cell": ["GRU", "SRNN"], "rate": [0.5, 1.0]}), "s.zarr")
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, file: drawn.append(small_print(figure)))
    for held, told in (("cell=SRNN", "Held: cell = SRNN."), ("rate=1", "Held: rate = 1.")):
        assert cli.main(["plot", "s.zarr", "--at", held]) == 0
        assert told in drawn[-1]
    for words, sentence in (
        (["--at", "cell=0"], "the sweep has no cell '0'; it has GRU, SRNN"),
        (["--at", "rate=fast"], "rate must be a number, given 'fast'"),
        (["--along", "rate", "--lines", "rate"], "give lines another than along, 'rate'"),
    ):
        assert cli.main(["plot", "s.zarr", *words]) == 2
        assert sentence in capsys.readouterr().err


def run(*, rate: float, seed: int):
    return xarray.Dataset({"x": ((), rate * seed), "hit": ((), seed % 2)})


def test_the_command_line_shows_and_draws_a_sweep_finished_or_not(tmp_path, capsys):
    made, path = sweeps.plan(run, {"rate": [0.5, 1.0], "seed": [0, 1, 2]}), tmp_path / "s.zarr"
    sweeps.fill(made, path, shard=(0, 2))
    assert cli.main(["show", str(path)]) == 0
    told = capsys.readouterr().out
    assert "not complete, the same command goes on with it: 3 of 6 chunks done" in told
    assert "rate = 0.5, 1.0 (2 values)" in told
    assert "0 to 1, 0 of 3 inf or NaN" in told
    files = [tmp_path / "s-sweep.png", tmp_path / "other.png"]
    assert cli.main(["plot", str(path)]) == 0
    sweeps.fill(made, path)
    assert cli.main(["show", str(path)]) == 0
    assert "a sweep of 6 points, complete: 6 of 6 chunks done" in capsys.readouterr().out
    words = ["--variable", "hit", "--along", "seed", "--lines", "rate", "--out", str(files[1])]
    assert cli.main(["plot", str(path), *words]) == 0
    assert files[0].read_bytes() != files[1].read_bytes()
    assert cli.main(["plot", str(path), "--along", "nothing"]) == 2
    assert "the sweep has no axis 'nothing'; it has rate, seed" in capsys.readouterr().err


def test_drawing_a_sweep_imports_no_jax():
    code = "import sys; from landscape.plots import sweep; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

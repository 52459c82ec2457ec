"""Laws of sweeps: nothing finished is ever lost, and the bits do not depend on how a result came about."""

import contextlib
import functools
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import dask.config
import numpy as np
import optax
import pandas
import pytest
import xarray
from hypothesis import given
from hypothesis import strategies as st

from landscape import cli, devices, names, provenance, store, sweeps
from landscape.cells import GRU, SRNN, Cell
from landscape.store import BlockWriter, StoreError, writer
from landscape.sweeps.chunks import Chunks
from landscape.sweeps.engines import Row
from landscape.sweeps.estimate import Estimate
from landscape.sweeps.plan import Grid
from landscape.sweeps.reading import summary
from landscape.sweeps.settings import fit, function, label
from landscape.tasks import Task, latch

pytestmark = pytest.mark.optimised  # laws of bits

ROOT = Path(__file__).parents[1]
EXPERIMENT = '''
"""A stand-in for an experiment: values that depend on every setting, and a log of the calls."""
import os, signal, time
import numpy as np, xarray

def fill_the_disk():
    from landscape.store import records
    def full(*_, true=records.register):
        records.register = true
        raise OSError(28, "No space left on device")
    records.register = full

def run(*, rate: float, seed: int = 0, name: str = "a", size: int = 3, pause: float = 0.0, log: str = ""):
    if log:
        with open(log, "a") as stream:
            stream.write(f"{rate} {seed}\\n")
    time.sleep(pause)
    if name == "raise":
        raise RuntimeError("no such orbit")
    if name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "full":
        fill_the_disk()
    x = rate * np.random.default_rng([seed, len(name)]).normal(size=size + (name == "long"))
    x[0] = {0: np.inf, 1: np.nan}.get(seed, x[0])
    length = np.arange(1, len(x) + 1)
    variables = {"x": ("length", x.astype("float32"), {"units": "1"}), "count": ((), 7 * seed), "word": ((), name * 2)}
    return xarray.Dataset(variables, {"length": length, "rate": rate})
'''
AXES = {"rate": [0.1, 0.2, 0.3], "start": {"seed": [0, 1, 2, 3, 4], "name": list("abbcc")}}
POINTS = [(rate, seed, name) for rate in AXES["rate"] for seed, name in zip(*AXES["start"].values(), strict=True)]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    path = tmp_path_factory.mktemp("experiment") / "toy.py"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture(scope="module")
def whole(experiment, tmp_path_factory):
    """The sweep of AXES made in one go, as every other way of making it must give it."""
    return sweeps.sweep(str(experiment), AXES, {"size": 4}, out=tmp_path_factory.mktemp("whole") / "s.zarr").load()


def bits(dataset):
    """Everything in a Dataset down to the sign of a NaN."""
    arrays = {name: variable.values for name, variable in dataset.variables.items()}
    return {
        name: (dataset[name].dims, a.tolist() if a.dtype.kind not in "iuf" else (a.dtype, a.shape, a.tobytes()))
        for name, a in arrays.items()
    }


def toy(cell: Cell = GRU(), task: Task | None = None, optimiser=optax.sgd, units: int = 1, rate: float = 0.1, **others):  # noqa: B008
    """Settings of every kind."""


# What a plan refuses, before anything runs


@pytest.mark.parametrize(
    ("axes", "fixed", "chunk", "message"),
    [
        ({}, {}, {}, "axes is empty; give at least one setting"),
        ({"rate": []}, {}, {}, "axes.rate is empty; give at least one value"),
        ({"rate": 0.1}, {}, {}, "axes.rate must be a list of values, given 0.1"),
        (
            {"rates": [0.1]},
            {},
            {},
            r"there is no setting 'rates' .*did you mean rate\?.*at axes.rates.*known: rate, seed",
        ),
        ({"rate": [0.1]}, {"sede": 1}, {}, r"there is no setting 'sede' .*did you mean seed\?.*at fixed.sede"),
        ({"rate": [0.1, "x"]}, {}, {}, r"axes.rate\[1\] = 'x' must be float"),
        ({"rate": [0.1], "seed": [1, 1.5]}, {}, {}, r"axes.seed\[1\] = 1.5 must be int"),
        ({"rate": [0.1], "seed": [True]}, {}, {}, r"axes.seed\[0\] = True must be int"),
        ({"rate": [0.1]}, {"name": 3}, {}, "fixed.name = 3 must be str"),
        ({"rate": [0.1, 0.2, 0.1]}, {}, {}, r"axes.rate has 0.1 twice, at \[0\] and \[2\]"),
        ({"rate": [1, 1.0]}, {}, {}, r"axes.rate has 1.0 twice"),
        ({"rate": [0.1]}, {"rate": 0.2}, {}, "setting rate is given twice: at axes.rate and fixed.rate"),
        ({"p": {"rate": [0.1], "seed": [1, 2]}}, {}, {}, "axes.p moves settings .* given 1 for rate, 2 for seed"),
        ({"p": {"rate": [0.1], "sede": [1]}}, {}, {}, r"no setting 'sede' .*at axes.p.sede"),
        ({"p": {}}, {}, {}, "axes is empty"),
        ({"size": {"rate": [0.1]}}, {"size": 2}, {}, "axes.size is the name of a setting that does not move along it"),
        ({"seed": [1]}, {}, {}, "rate must be given, in axes or in fixed"),
        ({"rate": [0.1]}, {}, {"seed": 2}, r"there is no axis 'seed' \(at chunk.seed\); known: rate"),
        ({"rate": [0.1]}, {}, {"rate": 0}, "chunk.rate = 0 must be a whole number of points, at least 1"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_path_of_the_setting(experiment, axes, fixed, chunk, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        sweeps.plan(str(experiment), axes, fixed, chunk=chunk)
    assert "\n" not in str(caught.value)


def test_a_run_that_is_not_there_is_named_with_the_places_looked_in(tmp_path):
    with pytest.raises(
        ValueError, match=rf"run = 'gone': there is no such file; tried {re.escape(str(tmp_path))}/gone.py"
    ):
        sweeps.plan("gone", {"rate": [1.0]}, base=tmp_path)
    with pytest.raises(TypeError, match=r"run must be a function run\(\*\*settings\)"):
        sweeps.plan(3, {"rate": [1.0]})


def test_names_stand_for_what_the_setting_wants(tmp_path):
    own = tmp_path / "own.py"
    own.write_text("from landscape.cells import SRNN\nclass Mine(SRNN):\n    pass\n")
    assert isinstance(fit("SRNN", Cell, "cell"), SRNN)
    assert label(fit("latch", Task | None, "task")) == "latch(noise=0.1)"
    assert type(fit(f"{own}:Mine", Cell, "cell")).__name__ == "Mine"
    made = sweeps.plan(toy, {"cell": ["SRNN", "GRU"], "optimiser": ["adam", optax.sgd]}, {"anything": 1})
    assert made.grid.axes == {"cell": {"cell": ["SRNN", "GRU"]}, "optimiser": {"optimiser": ["adam", "sgd"]}}
    with pytest.raises(ValueError, match=r"axes.cell\[0\] = 'SRN': there is no name 'SRN'.*did you mean SRNN\?"):
        sweeps.plan(toy, {"cell": ["SRN"]})
    with pytest.raises(TypeError, match=r"axes.cell\[0\] = 'latch' must be Cell"):
        sweeps.plan(toy, {"cell": ["latch"]})


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, float, 1.0),
        (np.float32(0.5), float, 0.5),
        ([1, 2], tuple[float, ...], (1.0, 2.0)),
        ((1, 2), list[int], [1, 2]),
        ([1, 2.5], tuple[int, float], (1, 2.5)),
        (None, int | None, None),
        (3, float | int, 3),
        ("SRNN", str | type, "SRNN"),
        (["a", "b"], Literal["c"] | tuple[str, str], ("a", "b")),
        ("b", Literal["a", "b"], "b"),
    ],
)
def test_a_value_becomes_what_the_annotation_says(value, hint, expected):
    got = fit(value, hint, "here")
    assert got == expected
    assert type(got) is type(expected)


def test_whole_numbers_among_fractions_are_fractions():
    def run(rates=(1, 2.5), seeds=(1, 2)):
        """A setting without annotation is like its default."""

    found = sweeps.plan(run, {"rates": [[0.5, 2], [3, 4]]}).grid.axes["rates"]["rates"]
    assert found == [[0.5, 2.0], [3.0, 4.0]]
    assert {type(value) for values in found for value in values} == {float}
    with pytest.raises(TypeError, match=r"axes.seeds\[0\] = \[0.5, 2\] must be"):
        sweeps.plan(run, {"seeds": [[0.5, 2]]})


def test_an_axis_of_whole_numbers_and_fractions_keeps_them(tmp_path):
    def run(w=0.5):
        return xarray.Dataset({"x": ((), w)})

    made = sweeps.sweep(run, {"w": [1.5, 2]}, out=tmp_path / "s.zarr")
    assert made.w.values.tolist() == made.x.values.tolist() == [1.5, 2.0]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("ab", list[str]),
        ("ab", tuple[str, str]),
        (["ab"], list[list[str]]),
        ([1, 2, 3], tuple[int, int]),
        ([1, "a"], list[int]),
        (1.5, int | None),
        (True, float),
        ("c", Literal["a", "b"]),
    ],
)
def test_a_value_of_another_type_is_refused(value, hint):
    with pytest.raises(TypeError, match=re.escape(f"here = {value!r} must be ")):
        fit(value, hint, "here")


def test_a_label_is_the_same_tomorrow_or_refused():
    assert label(functools.partial(optax.sgd, 0.1, momentum=0.9)) == "sgd(0.1, momentum=0.9)"
    assert label([SRNN, np.float64(2)]) == ["SRNN", 2.0]
    assert label(latch(noise=0.1)) == "latch(noise=0.1)" != label(latch(noise=0.10000001))
    assert label(SRNN(w=0.5)) == label(SRNN(w=0.5)) != label(SRNN(w=0.6))
    with pytest.raises(TypeError, match="has no name that a later run could know it by"):
        label(lambda: 0)
    with pytest.raises(TypeError, match="has no name that a later run could know it by"):
        label(object())


# Grids and files


@given(st.lists(st.integers(1, 7), min_size=1, max_size=3), st.data())
def test_chunks_partition_the_points(shape, data):
    chunk = tuple(data.draw(st.integers(1, n)) for n in shape)
    grid = Grid({f"a{i}": {f"a{i}": list(range(n))} for i, n in enumerate(shape)}, chunk)
    points = [point for index in range(grid.chunks) for point in grid.within(index)]
    assert sorted(points) == list(np.ndindex(*shape))
    assert grid.points == math.prod(shape)
    assert max(len(grid.within(i)) for i in range(grid.chunks)) <= math.prod(chunk)


def test_a_plan_counts_points_chunks_and_programs():
    made = sweeps.plan(
        toy, {"cell": ["SRNN", "GRU"], "units": [1, 2, 4], "rate": [0.1, 0.2]}, {"optimiser": "adam"}, chunk={"rate": 2}
    )
    assert (made.grid.points, made.grid.chunks, made.programs()) == (12, 6, (2, 6, 12))
    assert str(made) == (
        "test_sweeps:toy: cell (2) x units (3) x rate (2) = 12 points in 6 chunks; "
        "2 programs to compile, 6 if whole numbers shape them, 12 if all numbers do"
    )


def test_a_file_means_the_plan_it_spells_out(experiment, tmp_path):
    file = experiment.parent / "sweep.toml"
    file.write_text("""
        run = "toy.py"
        out = "here.zarr"
        [axes]
        rate = {log = [1e-4, 1], count = 5}
        size = {linear = [2, 8], count = 4}
        start.zip = {seed = {linear = [0, 2], count = 3}, pause = {linear = [0, 1], count = 3}, name = ["a", "b", "c"]}
        [chunk]
        start = 2
    """)
    made, out = sweeps.read(file)
    np.testing.assert_allclose(made.values["rate"]["rate"], [1e-4, 1e-3, 1e-2, 1e-1, 1], rtol=1e-15)
    start = {"seed": [0, 1, 2], "pause": [0.0, 0.5, 1.0], "name": ["a", "b", "c"]}
    by_hand = sweeps.plan(
        f"{experiment}:run",
        {"rate": made.values["rate"]["rate"], "size": [2, 4, 6, 8], "start": start},
        chunk={"start": 2},
    )
    assert (made.run, made.settings, out) == (by_hand.run, by_hand.settings, Path("here.zarr"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run = 'toy.py'\naxis.rate = [1]", "a value is missing at axes; there is no key 'axis' .*did you mean axes"),
        ("axes.rate = [1]", "a value is missing at run"),
        ("run = 3\naxes.rate = [1]", "3 must be str at run"),
        ("run = 'toy.py'\naxes.rate = 3", "axes.rate must be a list, {linear"),
        (
            "run = 'toy.py'\naxes.rate = {linear = [0, 1], cuont = 3}",
            "missing at axes.rate.count; there is no key 'cuont'.*did you mean count",
        ),
        ("run = 'toy.py'\naxes.rate = {linear = [0, 1], count = 2.5}", "2.5 must be int at axes.rate.count"),
        ("run = 'toy.py'\naxes.rate = {linear = [0, 1, 2], count = 2}", "at axes.rate.linear"),
        (
            "run = 'toy.py'\naxes.rate = {log = [0, 1], count = 2}",
            r"axes.rate.log = \[0, 1\] must have both ends above 0",
        ),
        ("run = 'toy.py'\naxes.rate = {log = [1, 2], count = 0}", "axes.rate.count = 0 must be at least 1"),
        (
            "run = 'toy.py'\naxes.rate = [1]\naxes.seed = {linear = [0, 1], count = 3}",
            r"axes.seed\[0\] = 0.0 must be int",
        ),
        ("run = 'toy.py'\naxes.rate = [1]\nchunk.rate = 'x'", "'x' must be int at chunk"),
        ("run = 'toy.py'\naxes.rate = = 1", "sweep.toml: .*line 2"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_the_file_and_the_key(experiment, text, message):
    file = experiment.parent / "sweep.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        sweeps.read(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(ValueError, match=r"none\.toml cannot be read: No such file"):
        sweeps.read(tmp_path / "none.toml")


# Results


def test_threads_make_the_same_bits_and_a_failure_costs_one_chunk(experiment, whole, tmp_path):
    made = sweeps.sweep(str(experiment), AXES, {"size": 4}, out=tmp_path / "s.zarr", engine=sweeps.threads)
    assert bits(made.load()) == bits(whole)
    axes = {"rate": [0.1], "name": ["a", "raise", "b"]}
    some = sweeps.sweep(str(experiment), axes, out=tmp_path / "t.zarr", engine=sweeps.threads)
    assert some.sweep_state.values.tolist() == [[1, 2, 1]]
    with pytest.raises(StoreError, match="1 of 3 cases are left or failed; the same command again tries them"):
        sweeps.whole(some)
    assert sweeps.whole(some.isel(**{some.sweep_state.dims[1]: [0, 2]})).sizes[some.sweep_state.dims[1]] == 2


def test_a_sweep_holds_what_its_run_returns_at_every_point(experiment, whole):
    run = function(f"{experiment}:run")
    assert whole.x.dims == ("rate", "start", "length")
    for rate, seed, name in POINTS:
        alone = run(rate=rate, seed=seed, name=name, size=4)
        there = whole.sel(rate=rate).isel(start=seed)
        assert (int(there.seed), str(there.name.values), int(there.sweep_state)) == (seed, name, 1)
        assert there.x.values.tobytes() == alone.x.values.tobytes()
        assert (int(there["count"]), str(there.word.values)) == (7 * seed, 2 * name)
    assert np.isinf(whole.x).sum() == np.isnan(whole.x).sum() == len(AXES["rate"])
    assert whole.x.attrs["units"] == "1"
    assert whole.x.dtype == "float32"


def test_the_store_is_plain_zarr(experiment, tmp_path):
    sweeps.sweep(str(experiment), {"rate": [0.5]}, out=tmp_path / "s.zarr")
    # No warning, which would be an error here; and no Dask, which would ask whatever cluster another test has open.
    there = xarray.open_zarr(tmp_path / "s.zarr", group="results", chunks=None)
    assert there.x.sel(rate=0.5, length=3) == sweeps.open_sweep(tmp_path / "s.zarr").x.sel(rate=0.5, length=3)


@pytest.mark.parametrize("chunk", [{"rate": 2}, {"start": 3}, {"rate": 3, "start": 5}])
def test_chunking_changes_no_bit(experiment, whole, tmp_path, chunk):
    made = sweeps.sweep(str(experiment), AXES, {"size": 4}, out=tmp_path / "s.zarr", chunk=chunk)
    assert bits(made) == bits(whole)


def test_shards_that_know_nothing_of_each_other_complete_the_sweep(experiment, whole, tmp_path):
    made = sweeps.plan(str(experiment), AXES, {"size": 4})
    done = [sweeps.fill(made, tmp_path / "s.zarr", shard=(i, 3)).done for i in (2, 0, 1)]
    assert done == [5, 10, 15]
    assert bits(sweeps.open_sweep(tmp_path / "s.zarr")) == bits(whole)
    with pytest.raises(ValueError, match="shard 3/3 does not exist; the shards of 3 are 0/3 to 2/3"):
        sweeps.fill(made, tmp_path / "s.zarr", shard=(3, 3))


def test_the_table_holds_the_dataset(whole, tmp_path):
    sweeps.to_csv(whole, tmp_path / "s.csv")
    table = pandas.read_csv(tmp_path / "s.csv", dtype={"x": "float32"})
    assert list(table) == ["rate", "start", "length", "name", "seed", "x", "count", "word"]
    back = table.set_index(["rate", "start", "length"]).to_xarray()
    np.testing.assert_array_equal(back.x, whole.x)
    np.testing.assert_array_equal(back.word.isel(length=0), whole.word)
    np.testing.assert_array_equal(back.seed.isel(length=0, rate=0), whole.seed)
    partial = whole.assign_coords(sweep_state=whole.sweep_state.where(whole.rate != 0.2, 0))
    sweeps.to_csv(partial, tmp_path / "p.csv")
    assert set(pandas.read_csv(tmp_path / "p.csv").rate) == {0.1, 0.3}


# Resuming


def test_resuming_computes_only_what_is_not_done(experiment, tmp_path):
    log, out = tmp_path / "log", tmp_path / "s.zarr"
    axes, fixed = {"rate": [0.1, 0.2], "seed": [2, 3, 4]}, {"log": str(log)}

    class Stop(Exception):
        pass

    def stop(state):
        if state.done == 2:
            raise Stop("enough")

    with pytest.raises(Stop, match="enough"):
        sweeps.sweep(str(experiment), axes, fixed, out=out, progress=stop)
    assert sweeps.status(out).left == 4
    partial = sweeps.open_sweep(out)
    assert partial.sweep_state.values.tolist() == [[1, 1, 0], [0, 0, 0]]
    assert np.isnan(partial["count"].values).tolist() == [[False, False, True], [True, True, True]]  # absent is not 0
    sweeps.sweep(str(experiment), axes, fixed, out=out)
    sweeps.sweep(str(experiment), axes, fixed, out=out)
    assert log.read_text().split("\n")[:-1] == [f"{rate} {seed}" for rate in axes["rate"] for seed in axes["seed"]]
    assert sweeps.status(out).left == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axes": {"rate": [0.1, 0.3]}}, r"axes.rate.rate: \[0.1, 0.2\] there, \[0.1, 0.3\] asked"),
        ({"fixed": {"size": 5}}, "fixed.size: 4 there, 5 asked"),
        ({"chunk": {"rate": 2}}, "chunk.rate: 1 there, 2 asked"),
    ],
)
def test_a_store_of_other_settings_is_refused_with_what_differs(experiment, tmp_path, change, message):
    same = {"axes": {"rate": [0.1, 0.2]}, "fixed": {"size": 4}, "chunk": {}}
    sweeps.fill(sweeps.plan(str(experiment), **same), tmp_path / "s.zarr")
    with pytest.raises(StoreError, match=message):
        sweeps.fill(sweeps.plan(str(experiment), **(same | change)), tmp_path / "s.zarr")


def test_functions_that_hold_numbers_are_told_apart_by_them_and_methods_are_refused():
    def study(scale):
        def run(a: float = 1.0):
            return scale * a

        return run

    labels = [label(study(scale)) for scale in (2.0, 2.0, 3.0)]
    assert labels[0] == labels[1] != labels[2]
    assert labels[0].startswith("run ")
    assert label(label) == "label"
    with pytest.raises(TypeError, match="has no name that a later run could know it by"):
        label([1.0].count)


def test_results_of_two_versions_of_an_experiment_are_not_mixed(experiment, tmp_path):
    new = tmp_path / "toy.py"
    sweeps.fill(sweeps.plan(str(experiment), {"rate": [0.1]}), tmp_path / "s.zarr")
    new.write_text(EXPERIMENT)
    sweeps.fill(sweeps.plan(str(new), {"rate": [0.1]}), tmp_path / "s.zarr")  # moved, but the same
    new.write_text(EXPERIMENT.replace("rate * ", "2 * rate * "))
    with pytest.raises(StoreError, match=r"holds a sweep of other settings .*source.run: "):
        sweeps.fill(sweeps.plan(str(new), {"rate": [0.1]}), tmp_path / "s.zarr")


def test_a_cell_in_a_file_is_found_beside_the_sweep_and_its_versions_are_not_mixed(tmp_path):
    own, run = tmp_path / "own.py", tmp_path / "size.py"
    own.write_text("from landscape.cells import SRNN\ndef Mine():\n    return SRNN(w=0.25)\n")
    run.write_text(
        "import xarray\nfrom landscape.cells import Cell\n\n"
        "def run(cell: Cell, seed: int):\n    return xarray.Dataset({'w': float(cell.w)})\n"
    )
    (tmp_path / "sweep.toml").write_text("run = 'size.py'\naxes = {cell = ['SRNN', 'own.py:Mine'], seed = [0]}")
    made, _ = sweeps.read(tmp_path / "sweep.toml")
    sweeps.fill(made, tmp_path / "s.zarr")
    found = sweeps.open_sweep(tmp_path / "s.zarr")
    assert found.w.sel(cell=["SRNN", "own.py:Mine"], seed=0).values.tolist() == [1.0, 0.25]
    own.write_text(own.read_text().replace("0.25", "0.5"))
    with pytest.raises(StoreError, match=r"source.own.py: "):
        sweeps.fill(sweeps.read(tmp_path / "sweep.toml")[0], tmp_path / "s.zarr")


def test_what_is_no_store_of_a_sweep_is_said_so(tmp_path, experiment):
    with pytest.raises(StoreError, match="does not exist; give the path of a store"):
        sweeps.status(tmp_path / "gone.zarr")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file, not a store"):
        sweeps.status(tmp_path / "file")
    sweeps.fill(sweeps.plan(str(experiment), {"rate": [0.1]}, {"name": "raise"}), tmp_path / "s.zarr")
    with pytest.raises(StoreError, match="has no finished chunk yet"):
        sweeps.open_sweep(tmp_path / "s.zarr")


# Several processes


def test_a_second_plain_process_is_refused_and_no_point_is_computed_twice(experiment, tmp_path):
    log, out = tmp_path / "log", tmp_path / "s.zarr"
    made, refused = sweeps.plan(str(experiment), {"rate": [0.1, 0.2], "seed": [2, 3, 4]}, {"log": str(log)}), []

    def again(state):
        with pytest.raises(StoreError, match="is being written by another process") as caught:
            sweeps.fill(made, out)
        refused.append(caught)

    assert sweeps.fill(made, out, progress=again).done == len(refused) == calls(log) == 6


def test_shards_that_overlap_share_the_work(experiment, tmp_path):
    log, out, states = tmp_path / "log", tmp_path / "s.zarr", []
    made = sweeps.plan(str(experiment), {"seed": list(range(12))}, {"rate": 1.0, "log": str(log)})

    def other(state):
        if not states:
            states.append(sweeps.fill(made, out, shard=(1, 3)))

    state = sweeps.fill(made, out, shard=(1, 2), progress=other)
    assert states[0].done == 4  # 1, the first of the other shard, then 4, 7, 10
    assert state.done == calls(log) == len({1, 3, 5, 7, 9, 11} | {1, 4, 7, 10})


def test_a_chunk_that_another_shard_is_at_is_left_to_it(experiment, tmp_path):
    made, out = sweeps.plan(str(experiment), {"seed": [2, 3, 4, 5]}, {"rate": 1.0}), tmp_path / "s.zarr"
    made_empty(made, out)
    with BlockWriter(out, shared=True) as other, other.claim(2) as mine:
        assert mine
        state = sweeps.fill(made, out, shard=(0, 2))
    assert (state.done, state.left, state.failed) == (1, 3, {})


def test_every_run_that_added_chunks_is_written_down(experiment, tmp_path, monkeypatch):
    made, out = sweeps.plan(str(experiment), {"seed": [2, 3, 4, 5]}, {"rate": 1.0}), tmp_path / "s.zarr"
    for part, place in enumerate(["one", "two"]):
        sweeps.engines._opened.cache_clear()
        monkeypatch.setattr(provenance, "here", lambda place=place: {"device": place})
        sweeps.fill(made, out, shard=(part, 2))
    both = [{"device": "one", "blocks": 2}, {"device": "two", "blocks": 2}]
    assert store.runs_of(out) == json.loads(sweeps.open_sweep(out).attrs["runs"]) == both


# Failure


def test_a_chunk_that_fails_says_why_and_the_others_finish(experiment, tmp_path):
    axes = {"rate": [0.1, 0.2], "name": ["raise", "a", "long", "b"]}
    made = sweeps.sweep(str(experiment), axes, {"seed": 2}, out=tmp_path / "s.zarr")
    state = sweeps.status(tmp_path / "s.zarr")
    assert (state.chunks, state.done, state.left, len(state.failed)) == (8, 4, 0, 4)
    assert made.sweep_state.values.tolist() == [[2, 1, 2, 1]] * 2
    assert np.isnan(made.x.sel(name=["raise", "long"])).all()
    assert np.isfinite(made.x.sel(name=["a", "b"])).all()
    raised, long = (state.failed[f"rate=0.1, name={name}"] for name in ("raise", "long"))
    assert raised.startswith("RuntimeError: no such orbit\nTraceback")
    assert 'in run\n    raise RuntimeError("no such orbit")' in raised
    assert re.search(r"differs .* from the first one .*: x is float32 \(length 4\), was float32 \(length 3\)", long)
    assert "  failed: rate=0.2, name=raise: RuntimeError: no such orbit" in str(state).split("\n")


def test_failed_chunks_are_tried_again(tmp_path):
    flag = tmp_path / "flag"

    def run(seed: int):
        if seed == 1 and not flag.exists():
            raise OSError("the disk is away")
        return xarray.Dataset({"x": ((), seed)})

    first = sweeps.sweep(run, {"seed": [0, 1]}, out=tmp_path / "s.zarr")
    flag.touch()
    second = sweeps.sweep(run, {"seed": [0, 1]}, out=tmp_path / "s.zarr")
    assert (first.sweep_state.values.tolist(), second.sweep_state.values.tolist()) == ([1, 2], [1, 1])
    assert second.x.values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (3.0, "run must return an xarray.Dataset with variables, it returned float"),
        (
            xarray.Dataset({"seed": ((), 1)}),
            "run returned seed, which names an axis or setting of the sweep; rename it",
        ),
        (xarray.Dataset({"x": ("seed", [1])}), "run returned seed, which names an axis"),
    ],
)
def test_a_sweep_of_which_nothing_can_be_stored_says_why(tmp_path, result, reason):
    def run(seed: int):
        return result

    with pytest.raises(RuntimeError, match=f"every chunk failed; the first: .*{reason}"):
        sweeps.sweep(run, {"seed": [0]}, out=tmp_path / "s.zarr")


def test_the_estimate_comes_from_the_first_two_chunks(experiment, tmp_path):
    told, states = [], []
    made = sweeps.plan(str(experiment), {"rate": [0.1, 0.2, 0.3]}, {"pause": 0.05})
    sweeps.fill(made, tmp_path / "s.zarr", report=told.append, progress=states.append)
    assert told[0].startswith(
        "toy.py:run: rate (3) = 3 points in 3 chunks; 1 program to compile, 3 if all numbers do; 0 done, 3 to do"
    )
    assert re.match(
        r"the first chunk took 0\.[1-9] s, the next 0\.1 s: about \d\.\d s for the 1 left, and .* on disk", told[1]
    )
    assert [state.done for state in states] == [1, 2, 3]
    assert states[1].time_left >= 0.05
    assert states[2].seconds >= 0.05
    assert math.isnan(sweeps.status(made_empty(made, tmp_path / "e.zarr")).time_left)


def row(started, finished, run="one"):
    return Row(1, started, finished, run=run)


def test_the_estimate_does_not_take_every_chunk_for_the_first(experiment):
    """Four names are four programs: 17 s to start up and compile, then 1 s to compile, then 0.5 s a chunk."""
    made = sweeps.plan(str(experiment), {"name": list("abcd"), "rate": [float(i) for i in range(25)]})
    estimate = Estimate(made)
    estimate.add(0, row(0.0, 17.0))
    assert not estimate.ready(99)
    estimate.add(1, row(17.0, 17.5))
    assert estimate.ready(98)
    assert estimate.seconds(98) == pytest.approx(98 * 0.5)
    assert "about 49 s for the 98 left, beside compiling 3 more programs, and 1.0 kB on disk" in estimate.describe(
        98, 1e3
    )
    estimate.add(25, row(17.5, 19.0))
    assert estimate.seconds(97) == pytest.approx(97 * 0.5 + 2 * (1.5 - 0.5))


def test_the_estimate_knows_that_every_process_starts_up_and_that_they_work_at_one_time(experiment):
    estimate = Estimate(sweeps.plan(str(experiment), {"rate": [float(i) for i in range(100)]}))
    for index, (started, finished, run) in enumerate([(0, 9, "a"), (0, 9, "b"), (9, 10, "a"), (9, 10, "b")]):
        estimate.add(index, row(started, finished, run))
    assert estimate.seconds(96) == pytest.approx(96 * 1 / 2)


def test_the_estimate_waits_for_no_second_chunk_of_a_program_where_there_is_none(experiment):
    estimate = Estimate(sweeps.plan(str(experiment), {"name": list("abcd")}, {"rate": 1.0}))
    estimate.add(0, row(0.0, 9.0))
    estimate.add(1, row(9.0, 11.0))
    assert estimate.ready(2)
    assert estimate.seconds(2) == pytest.approx(4.0)


def test_the_time_left_is_that_of_the_recent_pace():
    """A hundred chunks of 10 s, then fifty, the recent ones, of 1 s."""
    ends = np.cumsum([10.0] * 100 + [1.0] * 50)
    took = np.diff(ends, prepend=0.0)
    record = np.zeros((200, 4))
    record[:150] = np.stack([np.ones(150), ends - took, ends, np.full(150, 7e13)], axis=1)
    record = np.random.default_rng(0).permutation(record)  # chunks may end in any order
    state = summary(Grid({"a": {"a": list(range(200))}}, (1,)), record, {})
    assert state.time_left == pytest.approx(50 * 1.0)
    assert state.seconds == pytest.approx(7.0)


def made_empty(plan, path):
    """A store in which nothing is done yet."""
    sweeps.fill(plan, path, engine=lambda jobs: (job for job in ()))
    return path


# The command line

SWEEP = """
run = "toy.py"
fixed = {seed = 2}
[axes]
rate = [0.1, 0.2]
name = ["a", "%s"]
"""


def test_the_command_line_makes_a_sweep_and_tells_how_it_stands(experiment, tmp_path, capsys):
    file, out, table = experiment.parent / "cli.toml", str(tmp_path / "s.zarr"), tmp_path / "s.csv"
    file.write_text(SWEEP % "b")
    assert cli.main(["sweep", str(file), "--out", out, "--dry"]) == 0
    assert not Path(out).exists()
    assert "rate (2) x name (2) = 4 points in 4 chunks" in capsys.readouterr().out
    assert cli.main(["sweep", str(file), "--out", out, "--shard", "1/2"]) == 0
    assert "2 of 4 chunks done, 0 failed, 2 left" in capsys.readouterr().out
    assert cli.main(["sweep", str(file), "--out", out]) == 0
    assert cli.main(["status", out, "--csv", str(table)]) == 0
    assert "4 of 4 chunks done, 0 failed, 0 left" in capsys.readouterr().out
    assert len(pandas.read_csv(table)) == 4 * 3


def test_the_command_line_exits_with_1_if_a_chunk_failed_and_with_2_if_nothing_can_be_done(
    experiment, tmp_path, capsys
):
    file, out = experiment.parent / "cli.toml", str(tmp_path / "s.zarr")
    file.write_text(SWEEP % "raise")
    assert cli.main(["sweep", str(file), "--out", out]) == 1
    assert "failed: rate=0.2, name=raise: RuntimeError: no such orbit" in capsys.readouterr().out
    file.write_text(SWEEP.replace("rate", "rates") % "b")
    for words, message in [
        (["sweep", str(file)], "no setting 'rates'"),
        (["sweep", str(file), "--shard", "1"], "--shard must be I/N"),
        (["sweep", str(file), "--workers", "2", "--scheduler", "tcp://x:1"], "not both"),
        (["status", str(tmp_path / "gone")], "does not exist"),
    ]:
        assert cli.main(words) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(("workers", "says"), [({}, True), ({"tcp://127.0.0.1:1": {}}, False)])
def test_a_scheduler_without_workers_says_that_it_waits(experiment, tmp_path, capsys, monkeypatch, workers, says):
    file = experiment.parent / "cli.toml"
    file.write_text(SWEEP % "b")
    client = contextlib.nullcontext(SimpleNamespace(scheduler_info=lambda: {"workers": workers}))
    monkeypatch.setattr(sweeps, "cluster", lambda workers, scheduler: client)
    monkeypatch.setattr(sweeps, "dask", lambda client: sweeps.serial)
    assert cli.main(["sweep", str(file), "--scheduler", "tcp://x:1", "--out", str(tmp_path / "s.zarr")]) == 0
    assert ("tcp://x:1 has no worker yet" in capsys.readouterr().out) == says


def test_a_ticker_is_silent_in_between(experiment, tmp_path):
    often, seldom = [], []
    made = sweeps.plan(str(experiment), {"rate": [0.1, 0.2]})
    sweeps.fill(made, tmp_path / "a.zarr", progress=sweeps.ticker(often.append, 0.0))
    sweeps.fill(made, tmp_path / "b.zarr", progress=sweeps.ticker(seldom.append, 100.0))
    assert [line.partition(" chunks")[0] for line in often] == ["1 of 2", "2 of 2"]
    assert seldom == []


# The example


def test_the_example_is_a_sweep_and_its_experiment_finds_the_room_that_plain_iteration_finds():
    """Without noise: h' = tanh(w h + b) after a first step tanh(b ± 1), both signs kept within the loss."""
    made, _ = sweeps.read(ROOT / "experiments" / "example_sweep.toml")
    assert (made.grid.points, made.grid.chunks) == (40, 10)
    found = names.module(made.run.removesuffix(":run")).run(noise=0.0, points=11, lengths=(1, 20), episodes=2)
    w, b = np.meshgrid(np.linspace(0, 4, 11), np.linspace(-1.5, 1.5, 11), indexing="ij")
    bits = np.array([1.0, -1.0]).reshape(2, 1, 1)
    h = np.tanh(b + bits)
    for length in range(1, 21):
        if length > 1:
            h = np.tanh(w * h + b)
        if length in (1, 20):
            loss = ((h - bits) ** 2).mean(0)
            there = found.sel(length=length)
            assert there.room == pytest.approx((loss < 0.5).mean(), abs=1e-12)
            close = 2 * np.sqrt(loss.min()) * np.finfo(np.float32).eps  # h is near 1 and rounded
            assert float(there.best) == pytest.approx(loss.min(), rel=1e-6, abs=close)


# Killing


def start(experiment, out, axes, fixed):
    """A process that makes a sweep."""
    code = f"from landscape import sweeps; sweeps.sweep({str(experiment)!r}, {axes!r}, {fixed!r}, out={str(out)!r})"
    return subprocess.Popen([sys.executable, "-c", code])


def calls(log):
    return log.read_text().count("\n") if log.exists() else 0


def until(condition, seconds=60.0):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


@pytest.mark.slow
def test_a_process_killed_twenty_times_loses_no_finished_chunk(experiment, tmp_path):
    """The quick test of this law is that of the block store, see test_store.py."""
    kills, seed = 20, 2
    axes, fixed = {"rate": [0.1, 0.2, 0.3], "seed": list(range(10 * kills))}, {"size": 50, "pause": 0.002}
    draw, log, out = random.Random(seed), tmp_path / "log", tmp_path / "s.zarr"
    finished: dict[str, bytes] = {}
    for _ in range(kills):
        process = start(experiment, out, axes, {**fixed, "log": str(log)})
        before, wait = calls(log), draw.randint(1, 20)
        until(lambda before=before, wait=wait: calls(log) >= before + wait)
        time.sleep(0.02 * draw.random())
        process.kill()
        process.wait()
        if sweeps.status(out).done:
            partial = sweeps.open_sweep(out)
            now = {
                k: partial.x.values[k].tobytes() for k in zip(*np.nonzero(partial.sweep_state.values == 1), strict=True)
            }
            assert {k: now[k] for k in finished} == finished, "a finished chunk was lost or changed"
            finished = now
    assert finished
    assert start(experiment, out, axes, {**fixed, "log": str(log)}).wait() == 0
    again = sweeps.sweep(str(experiment), axes, {**fixed, "log": str(tmp_path / "other")}, out=tmp_path / "t.zarr")
    assert bits(sweeps.open_sweep(out)) == bits(again)
    assert calls(log) <= 30 * kills + kills, "more was recomputed than the chunks that were being computed"


def test_a_chunk_killed_between_its_data_and_its_record_is_made_again(experiment, whole, tmp_path):
    out = tmp_path / "s.zarr"
    sweeps.sweep(str(experiment), AXES, {"size": 4}, out=out)
    for index in (0, 7):
        (out / "blocks" / "record" / f"c.{index}.0").unlink()
    assert sweeps.status(out).left == 2
    assert bits(sweeps.sweep(str(experiment), AXES, {"size": 4}, out=out)) == bits(whole)


def test_a_chunk_is_done_only_after_all_its_data(experiment, tmp_path, monkeypatch):
    def away(array, region, file, values):
        if file.parts[-3] == "word":  # the last of the variables
            raise OSError("the disk is away")
        return put(array, region, file, values)

    made, out = sweeps.plan(str(experiment), {"rate": [0.1, 0.2]}), tmp_path / "s.zarr"
    sweeps.fill(made, out, shard=(0, 2))
    chunks = Chunks(BlockWriter(out))
    put = writer.put
    monkeypatch.setattr(writer, "put", away)
    with pytest.raises(OSError, match="the disk is away"):
        chunks.write(1, 0.0, 0.0, [function(made.run)(rate=0.2)])
    assert sweeps.status(out).done == 1
    assert sweeps.open_sweep(out).x.isnull().all("length").values.tolist() == [False, True]


@pytest.mark.parametrize("rival", ["store", "results"])
def test_two_writers_that_begin_at_once_share_one_store(experiment, whole, tmp_path, monkeypatch, rival):
    """The other one makes the store, or its results, just before this one moves its own into place."""
    made, out = sweeps.plan(str(experiment), AXES, {"size": 4}), tmp_path / "s.zarr"
    move, raced = os.replace, []

    def late(source, target):
        if Path(target).name == {"store": "s.zarr", "results": "results"}[rival] and not raced:
            raced.append(target)
            sweeps.fill(made, out, shard=(1, 2))
        move(source, target)

    monkeypatch.setattr(os, "replace", late)
    state = sweeps.fill(made, out, shard=(0, 2))
    assert raced
    assert state.done == state.chunks
    assert bits(sweeps.open_sweep(out)) == bits(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]


# Workers


@pytest.fixture(scope="module")
def client():
    with sweeps.cluster(workers=2) as client:
        yield client


def test_workers_listen_here_alone_and_share_the_cores(client):
    info = client.scheduler_info(n_workers=-1)
    assert info["address"].startswith("tcp://127.0.0.1:")
    assert all(address.startswith("tcp://127.0.0.1:") for address in info["workers"])
    assert [worker["nthreads"] for worker in info["workers"].values()] == [1, 1]
    cores = str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert set(client.run(os.getenv, "NPROC").values()) == {cores}
    assert set(client.run(devices.threads).values()) == {int(cores)}


def test_workers_change_no_bit(experiment, whole, tmp_path, client):
    made = sweeps.sweep(str(experiment), AXES, {"size": 4}, out=tmp_path / "s.zarr", engine=sweeps.dask(client))
    assert bits(made) == bits(whole)


def test_a_worker_killed_at_a_random_moment_loses_nothing(experiment, tmp_path, client):
    axes, fixed = {"rate": [0.1, 0.2], "seed": list(range(10))}, {"size": 50, "pause": 0.02}
    draw, log, killed = random.Random(3), tmp_path / "log", []

    def kill(state):
        if state.done == 6 and not killed:
            killed.append(state.done)
            time.sleep(0.02 * draw.random())
            os.kill(draw.choice(list(client.run(os.getpid).values())), signal.SIGKILL)

    made = sweeps.sweep(
        str(experiment),
        axes,
        fixed | {"log": str(log)},
        out=tmp_path / "s.zarr",
        engine=sweeps.dask(client),
        progress=kill,
    )
    alone = sweeps.sweep(str(experiment), axes, fixed, out=tmp_path / "t.zarr")
    assert killed == [6]
    assert bits(made) == bits(alone)
    assert calls(log) <= 20 + 2


def test_a_chunk_that_always_kills_its_worker_is_reported_and_the_others_finish(experiment, tmp_path, client):
    axes = {"start": {"seed": [2, 3, 4, 5], "name": ["a", "kill", "a", "a"]}}
    made = sweeps.sweep(str(experiment), axes, {"rate": 1.0}, out=tmp_path / "s.zarr", engine=sweeps.dask(client))
    state = sweeps.status(tmp_path / "s.zarr")
    assert made.sweep_state.values.tolist() == [1, 2, 1, 1]
    assert list(state.failed) == ["seed=3, name=kill"]
    assert state.failed["seed=3, name=kill"].startswith("KilledWorker: ")


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_with_workers_too(experiment, tmp_path, client):
    made = sweeps.plan(str(experiment), {"seed": [2, 3, 4, 5]}, {"rate": 1.0, "name": "full"})
    with pytest.raises(
        StoreError, match=r"s\.zarr cannot be written: No space left on device; \d of 4 blocks are safe in"
    ):
        sweeps.fill(made, tmp_path / "s.zarr", engine=sweeps.dask(client))
    assert sweeps.status(tmp_path / "s.zarr").failed == {}


def test_workers_that_do_not_start_are_one_sentence_and_not_a_failed_chunk(experiment, tmp_path, capfd, monkeypatch):
    import distributed

    def dead(*_, **__):
        raise RuntimeError("Nanny failed to start.\nTraceback")

    monkeypatch.setattr(distributed, "LocalCluster", dead)
    file = experiment.parent / "cli.toml"
    file.write_text(SWEEP % "b")
    assert cli.main(["sweep", str(file), "--out", str(tmp_path / "s.zarr"), "--workers", "2"]) == 2
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert "the 2 workers could not be started (RuntimeError: Nanny failed to start.); try again" in told


def test_an_address_without_a_scheduler_is_one_sentence(experiment, capfd):
    file = experiment.parent / "cli.toml"
    file.write_text(SWEEP % "b")
    with dask.config.set(scheduler="threads"):
        assert cli.main(["sweep", str(file), "--scheduler", "not an address"]) == 2
        assert dask.config.get("scheduler") == "threads"  # else no lazy array could be read after it
    assert re.search(r"there is no scheduler at 'not an address' \(.*\); give tcp://HOST:PORT", capfd.readouterr().err)


@pytest.mark.slow
def test_ctrl_c_with_workers_is_one_line(experiment, tmp_path):
    file, log = experiment.parent / "slow.toml", tmp_path / "log"
    file.write_text(
        f"run = 'toy.py'\nfixed = {{rate = 1.0, pause = 0.2, log = '{log}'}}\naxes.seed = {list(range(99))}"
    )
    command = [
        sys.executable,
        "-m",
        "landscape",
        "sweep",
        str(file),
        "--out",
        str(tmp_path / "s.zarr"),
        "--workers",
        "1",
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    )
    until(lambda: calls(log) > 1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all processes hear it
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.fullmatch(r"stopped: \d+ of 99 chunks done, .* left.*; the same command resumes\n", told)


@pytest.mark.slow
def test_a_whole_node_killed_at_a_random_moment_loses_nothing(experiment, tmp_path):
    """Scheduler and two nodes, a nanny with a worker each, know each other by one file alone, as under Slurm."""
    file, log, nodes = tmp_path / "scheduler.json", tmp_path / "log", []
    axes, fixed = {"rate": [0.1, 0.2], "seed": list(range(30))}, {"size": 50, "pause": 0.05}

    def node(name, *options):
        command = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--scheduler-file", str(file), *options]
        nodes.append(subprocess.Popen([*command, "--no-dashboard"], start_new_session=True, stderr=subprocess.DEVNULL))

    def kill(state):
        if state.done == 20:
            time.sleep(0.05 * random.Random(4).random())
            os.killpg(nodes[1].pid, signal.SIGKILL)

    try:
        node("scheduler", "--host", "127.0.0.1", "--port", "0")
        for _ in range(2):
            node("worker", "--host", "127.0.0.1", "--nthreads", "1")
        until(file.exists)
        with sweeps.cluster(scheduler=str(file)) as client:
            client.wait_for_workers(2)
            made = sweeps.sweep(
                str(experiment),
                axes,
                {**fixed, "log": str(log)},
                out=tmp_path / "s.zarr",
                engine=sweeps.dask(client),
                progress=kill,
            )
            assert len(client.scheduler_info(n_workers=-1)["workers"]) == 1
    finally:
        for process in nodes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert bits(made) == bits(sweeps.sweep(str(experiment), axes, fixed, out=tmp_path / "t.zarr"))
    assert calls(log) <= 60 + 2

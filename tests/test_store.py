"""Stores: what is on disk equals what was computed, whoever reads it, and whatever killed the writer."""

import contextlib
import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray
import zarr

from landscape import devices, provenance, store
from landscape.blocks import Blocking, Memory
from landscape.cells import LSTM, SRNN
from landscape.engine import Evaluator
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.store import arrays, folders, reading, records
from landscape.surfaces import labels, surface
from landscape.tasks import latch

pytestmark = pytest.mark.optimised  # laws of bits

LENGTHS, SETTINGS = (1, 2, 5), {"episodes": 2, "seed": 3}


def square(points: int = 40):
    return plane(SRNN(), w=np.linspace(-3, 3, points), b=np.linspace(-2, 2, points + 1))


@pytest.fixture(scope="module")
def memory():
    """A surface of two blocks in memory."""
    return surface(square(), latch(), LENGTHS, **SETTINGS)


@pytest.fixture
def stored(tmp_path, memory):
    """The same surface on disk."""
    surface(square(), latch(), LENGTHS, **SETTINGS, out=tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def same(a, b):
    """Bit for bit, NaN included."""
    assert list(a.data_vars) == list(b.data_vars)
    for name in a.variables:
        assert a[name].dims == b[name].dims
        assert a[name].dtype == b[name].dtype
        assert a[name].values.tobytes() == b[name].values.tobytes(), name


def small(path, blocks=5, settings=None, shared=False):
    """A writer of ``blocks`` blocks of 3 x 4 points at 2 lengths."""
    leading, coordinates = {"length": np.arange(1, 3)}, {"w": np.arange(3.0 * blocks), "b": np.arange(4.0)}
    variables = {"loss": "float32", "d_w": "float32"}
    return store.create(path, leading, coordinates, variables, (3, 4), settings or {"seed": 0}, shared)


def block(index):
    """What block ``index`` of `small` holds, some of it not finite."""
    loss = np.full((2, 3, 4), index, np.float32)
    loss[0, 0, 0] = np.inf
    return {"loss": loss, "d_w": np.full_like(loss, np.nan)}


class Stop(Exception):
    pass


def test_a_stored_surface_equals_the_one_in_memory(memory, stored):
    disk = store.open_surface(stored)
    same(memory, disk)
    varying = {"created", "seconds", "git_commit"}
    assert set(memory.attrs) == set(disk.attrs)
    assert {k: v for k, v in memory.attrs.items() if k not in varying} == {
        k: v for k, v in disk.attrs.items() if k not in varying
    }
    for name in memory.variables:
        assert memory[name].attrs == disk[name].attrs


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("index", [0, 3])  # a whole chunk, and one that the ends of both axes cut
def test_a_chunk_is_byte_for_byte_what_zarr_writes(tmp_path, dtype, index):
    """Numbers are written without it, which takes a tenth of the time."""
    values = np.random.default_rng(0).normal(size=(2, 50, 40)).cumsum(1).astype(dtype)
    blocking = Blocking((50, 40), (32, 24))
    region = (slice(None), *blocking.region(index))
    found = []
    with zarr.config.set({"array.write_empty_chunks": True}):
        for side in ("ours", "zarr"):
            group = zarr.create_group(tmp_path / side, zarr_format=3)
            array = arrays.empty_array(group, "x", ["length", "w", "b"], values.shape, (2, 32, 24), dtype)
            (file,) = reading.files(tmp_path / side, {"x": array}, 1, blocking, index)
            if side == "zarr":
                array[region] = values[region]
            else:
                size = arrays.put(array, region, file, values[region])
                assert size == file.stat().st_size
            np.testing.assert_array_equal(array[region], values[region])
            found.append(file.read_bytes())
    assert found[0] == found[1]


def test_a_record_is_byte_for_byte_what_zarr_writes(tmp_path):
    with small(tmp_path / "s.zarr") as writer:
        writer.write(2, block(2))
        file = tmp_path / "s.zarr" / records.FOLDER / "c.2.0"
        ours, row = file.read_bytes(), writer.row(2)
        np.testing.assert_array_equal(writer.table[2], row)
        file.unlink()
        writer.table[2] = row
    assert file.read_bytes() == ours


def test_labels_are_byte_for_byte_what_zarr_writes(tmp_path):
    about, found = {"long_name": "mean loss, \u00e4", "nonfinite": 3}, []
    for side in ("ours", "zarr"):
        group = zarr.create_group(tmp_path / side, zarr_format=3)
        array = arrays.empty_array(group, "x", ["w"], (3,), (2,), "float32", {"nonfinite": 0, "units": "1"})
        if side == "zarr":
            array.update_attributes(about)
        else:
            arrays.relabel(tmp_path / side / "x", about)
        assert dict(zarr.open_group(tmp_path / side)["x"].attrs) == {"units": "1", **about}
        found.append((tmp_path / side / "x" / "zarr.json").read_bytes())
    assert found[0] == found[1]


def test_a_reader_without_this_package_sees_labels_units_and_provenance_and_no_warning(stored, memory):
    code = """
import json, sys, warnings
warnings.simplefilter("error")
import xarray
ds = xarray.open_zarr(sys.argv[1])
assert "landscape" not in sys.modules
words = {name: [list(v.dims), v.attrs["units"], v.attrs["long_name"]] for name, v in ds.variables.items()}
print(json.dumps([words, json.loads(ds.attrs["settings"]), ds.attrs, float(ds.loss.sel(length=5).sum())]))
"""
    done = subprocess.run([sys.executable, "-c", code, stored], capture_output=True, text=True, check=True)
    words, settings, attrs, total = json.loads(done.stdout)
    assert words["loss"] == [["length", "w", "b"], "1", "mean loss"]
    assert words["length"] == [["length"], "steps", "sequence length"]
    assert words["d_w"][2] == "derivative of the mean loss along w"
    assert set(words) == {"length", "w", "b", "loss", "d_w", "d_b", "log10_gradient"}
    assert settings["cell"] == {"name": "SRNN", "options": {}}
    assert settings["held"] == {"u": 1.0}
    assert settings["axes"]["b"]["count"] == 41
    assert {"git_commit", "version_jax", "version_rnn_landscape", "device", "dtype", "seconds", "nonfinite"} <= set(
        attrs
    )
    assert attrs["origin_loss"] == pytest.approx(attrs["origin_loss_by_another_route"], rel=1e-6)
    assert total == float(memory.loss.sel(length=5).sum())


def test_every_metadata_file_is_strict_json(tmp_path):
    with small(tmp_path / "s.zarr") as writer:
        for index in writer.todo():
            writer.write(index, block(index))
        writer.finish({"origin_loss": float("nan"), "origin": {"w": 1.0}}, {"loss": {"units": "1"}})

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    for file in (tmp_path / "s.zarr").rglob("zarr.json"):
        json.loads(file.read_text(), parse_constant=refuse)


def test_what_is_not_finite_stays_and_is_counted(tmp_path):
    with small(tmp_path / "s.zarr") as writer:
        for index in writer.todo():
            writer.write(index, block(index))
        ds = writer.finish({}, {})
    assert ds.loss.attrs["nonfinite"] == 5 == int((~np.isfinite(ds.loss)).sum())
    assert ds.d_w.attrs["nonfinite"] == ds.d_w.size
    assert np.isposinf(ds.loss.values[0, ::3, 0]).all()


def test_a_stopped_surface_is_completed_by_its_missing_blocks_alone(tmp_path, memory, monkeypatch):
    def stop(state):
        raise Stop("enough")

    monkeypatch.setenv("NPROC", "1")  # with more cores more blocks are under way
    path = tmp_path / "s.zarr"
    with pytest.raises(Stop, match="enough"):
        surface(square(), latch(), LENGTHS, **SETTINGS, out=path, progress=stop)
    assert store.blocks_done(path) == (1, 2)
    with pytest.raises(store.StoreError, match="1 of 2 blocks are done; run the command that began it again"):
        store.open_surface(path)
    states = []
    finished = surface(square(), latch(), LENGTHS, **SETTINGS, out=path, progress=states.append)
    assert [(s.fresh, s.done, s.blocks) for s in states] == [(1, 2, 2)]
    assert finished.attrs["resumed_blocks"] == 1
    same(finished, memory)
    again = []
    same(surface(square(), latch(), LENGTHS, **SETTINGS, out=path, progress=again.append), memory)
    assert again == []


def test_a_store_of_other_settings_is_left_alone_and_the_difference_is_said(stored):
    before = {f: f.read_bytes() for f in stored.rglob("*") if f.is_file()}
    with pytest.raises(store.StoreError, match=r"\(seed: 3 there, 4 asked\); give another path"):
        surface(square(), latch(), LENGTHS, episodes=2, seed=4, out=stored)
    with pytest.raises(store.StoreError, match=r"axes\.w\.count: 40 there, 20 asked"):
        surface(square(20), latch(), LENGTHS, **SETTINGS, out=stored)
    other = plane(SRNN(u=2.0), w=np.linspace(-3, 3, 40), b=np.linspace(-2, 2, 41))
    with pytest.raises(store.StoreError, match=r"held\.u: 1\.0 there, 2\.0 asked"):
        surface(other, latch(), LENGTHS, **SETTINGS, out=stored)
    assert before == {f: f.read_bytes() for f in stored.rglob("*") if f.is_file()}


def test_a_lost_file_is_noticed_and_computed_again_alone(stored, memory):
    (stored / "d_w" / "c" / "0" / "1" / "0").unlink()
    with pytest.raises(store.StoreError, match="lacks files of 1 of its blocks"):
        store.open_surface(stored)
    states = []
    surface(square(), latch(), LENGTHS, **SETTINGS, out=stored, progress=states.append)
    assert [state.fresh for state in states] == [1]
    same(store.open_surface(stored), memory)


def test_a_flipped_byte_is_an_error_and_not_a_value(stored):
    chunk = stored / "loss" / "c" / "0" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(store.StoreError, match=r"damaged \(.*loss/c/0/0/0 cannot be read\)"), store.damage(stored):
        store.open_surface(stored).loss.values  # noqa: B018


def test_damage_passes_on_the_mistakes_of_others(stored):
    with pytest.raises(KeyError, match="nothing"), store.damage(stored):
        store.open_surface(stored)["nothing"]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text("x"), "is a file"),
        (lambda path: (path / "sub").mkdir(parents=True), "without a zarr.json"),
        (lambda path: xarray.Dataset({"a": 1}).to_zarr(path, consolidated=False), "landscape did not write"),
    ],
)
def test_what_is_not_a_store_is_said_and_left_alone(tmp_path, make, match):
    path = tmp_path / "s.zarr"
    make(path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(store.StoreError, match=match):
        store.open_surface(path)
    if path.exists():
        with pytest.raises(store.StoreError, match=match):
            small(path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("file", ["zarr.json", "loss/zarr.json", "blocks/record/zarr.json"])
def test_cut_off_metadata_are_named(stored, file):
    (stored / file).write_bytes((stored / file).read_bytes()[:30])
    with pytest.raises(store.StoreError, match=f"{file} is damaged"):
        store.open_surface(stored)


def test_an_empty_folder_is_a_place_for_a_store(tmp_path):
    (tmp_path / "s.zarr").mkdir()
    with small(tmp_path / "s.zarr") as writer:
        assert writer.todo() == [0, 1, 2, 3, 4]


def test_a_second_writer_is_kept_out_until_the_first_has_left(tmp_path):
    with small(tmp_path / "s.zarr"), pytest.raises(store.StoreError, match="is being written by another process"):
        small(tmp_path / "s.zarr")
    with small(tmp_path / "s.zarr") as writer:
        assert len(writer.todo()) == 5


def test_a_failed_creation_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(store.StoreError, match=r"s\.zarr cannot be written: No space left on device; nothing of it is"):
        small(tmp_path / "s.zarr")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_builders_are_swept_and_of_living_ones_are_not(tmp_path):
    dead = tmp_path / ".s.zarr.1.1.partial"
    dead.mkdir()
    (dead / "zarr.json").touch()
    alive = tmp_path / ".s.zarr.2.2.partial"
    alive.mkdir()
    with folders.lock(alive), small(tmp_path / "s.zarr"):
        assert not dead.exists()
        assert alive.exists()


def test_the_size_of_blocks_changes_no_value(tmp_path, memory, monkeypatch):
    monkeypatch.setattr(devices, "block_shape", lambda *_: (7, 41))
    ds = surface(square(), latch(), LENGTHS, **SETTINGS, out=tmp_path / "s.zarr")
    assert store.blocks_done(tmp_path / "s.zarr") == (6, 6)
    same(ds, memory)


def test_a_store_keeps_its_own_blocks_when_it_is_resumed_elsewhere(tmp_path, memory, monkeypatch):
    def stop(state):
        raise Stop("enough")

    path = tmp_path / "s.zarr"
    with pytest.raises(Stop, match="enough"):
        surface(square(), latch(), LENGTHS, **SETTINGS, out=path, progress=stop)
    monkeypatch.setattr(devices, "block_shape", lambda *_: (7, 41))
    same(surface(square(), latch(), LENGTHS, **SETTINGS, out=path), memory)
    assert store.blocks_done(path) == (2, 2)


def test_a_result_made_in_two_places_says_which_made_how_much(tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    for place, blocks in [("one", (0, 3)), ("two", (1,)), ("none", ()), ("one", (2, 4))]:
        monkeypatch.setattr(provenance, "here", lambda place=place: {"device": place})
        with small(path) as writer:
            for index in blocks:
                writer.write(index, block(index))
    both = [{"device": "one", "blocks": 4}, {"device": "two", "blocks": 1}]
    assert store.runs_of(path) == both
    with small(path) as writer:
        assert json.loads(writer.finish({}, {}).attrs["runs"]) == both


def test_text_in_a_result_is_stored_as_zarr_specifies_it(tmp_path):
    ds = xarray.Dataset({"loss": ("cell", [0.25, 0.5]), "word": ("cell", ["a", "bc"])}, {"cell": ["SRNN", "GRU"]})
    store.save(ds, tmp_path / "r.zarr", {})  # else a warning that is an error here
    found = store.find(tmp_path / "r.zarr", {})
    assert float(found.loss.sel(cell="GRU")) == 0.5
    assert list(found.word.values) == ["a", "bc"]


def test_a_saved_result_is_found_by_its_settings_alone(tmp_path):
    path, ds = tmp_path / "r.zarr", xarray.Dataset({"rate": ("seed", np.arange(3.0))}, attrs={"title": "t"})
    assert store.find(path, {"seeds": 3}) is None
    store.save(ds, path, {"seeds": 3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(store.find(path, {"seeds": 3}), ds)
    assert store.attributes(path)["title"] == "t"
    with pytest.raises(store.StoreError, match="seeds: 3 there, 4 asked"):
        store.find(path, {"seeds": 4})
    with pytest.raises(store.StoreError, match=r"r\.zarr is there already, and is not overwritten; give another path"):
        store.save(ds + 1, path, {"seeds": 3})
    for seeds in (3, 5):  # kept where nothing is, and left as it is where it is
        there = tmp_path / ("r.zarr" if seeds == 3 else "new.zarr")
        same(store.keep(ds + seeds, there, {"seeds": seeds}), ds + seeds)
    same(store.find(path, {"seeds": 3}), ds)
    assert store.find(tmp_path / "new.zarr", {"seeds": 5}).rate[0] == 5


def test_derivatives_are_labelled_by_whole_names_of_coordinates():
    made = plane(LSTM(), {"w": ("w_i",), "b": ("b_i",)}, w=(0, 1), w_f=(0, 1), b=(0, 1))
    every = labels(Evaluator(made, Recurrence(latch(), [1], order=2)))
    words = {name: every[name] for name in ("d_w", "d_w_f", "d_w_w_f", "d_w_f_b")}
    said = [
        words[name]["long_name"].removeprefix("derivative of the mean loss along ") for name in words if "d_" in name
    ]
    assert said == ["w", "w_f", "w and w_f", "w_f and b"]


def test_the_time_left_is_the_pace_since_compiling():
    state = store.Progress(4, 10, 2, 14.0, 10.0, 1, 1, 0, None)
    assert state.left == (14 - 10) / 2 * 6
    assert np.isnan(store.Progress(1, 9, 0, 10.0, 10.0, 1, 1, 0, None).left)
    assert store.Progress(9, 9, 9, 10.0, 1.0, 1, 1, 0, None).left == 0


# Where a store can stand, and who may write it


def test_a_store_that_is_removed_while_it_is_written_stops_the_writer(tmp_path):
    path = tmp_path / "s.zarr"
    with small(path) as writer:
        writer.write(0, block(0))
        path.rename(tmp_path / "elsewhere")
        with pytest.raises(store.StoreError, match="was removed or replaced while it was being written"):
            writer.write(1, block(1))
        assert not path.exists()
        small(path).__exit__()
        with pytest.raises(store.StoreError, match="was removed or replaced while it was being written"):
            writer.write(1, block(1))
    assert store.blocks_done(path) == (0, 5)


def test_links_lead_to_where_a_store_is_made(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, target in [("full", "empty"), ("dangling", "new")]:
        (tmp_path / name).symlink_to(tmp_path / target)
        with small(tmp_path / name) as writer:
            writer.write(0, block(0))
        assert store.blocks_done(tmp_path / name) == store.blocks_done(tmp_path / target) == (1, 5)


def test_the_root_of_the_file_system_is_no_place_for_a_store():
    with pytest.raises(store.StoreError, match="/ is the root of the file system; give the path of a folder"):
        small("/")


def test_writers_that_share_a_store_take_each_block_once_and_keep_others_out(tmp_path):
    path = tmp_path / "s.zarr"
    with small(path, shared=True) as one, small(path, shared=True) as other:
        with pytest.raises(store.StoreError, match="is being written by another process"):
            small(path)
        with one.claim(0) as mine, other.claim(0) as its, other.claim(1) as another:
            assert (mine, its, another) == (True, False, True)
            one.write(0, block(0))
        with other.claim(0) as again, other.claim(1) as left:
            assert (again, left) == (False, True)
    with small(path) as alone:
        assert alone.todo() == [1, 2, 3, 4]
        with pytest.raises(store.StoreError, match="is being written by another process"):
            small(path, shared=True)


CLAIMER = """
import sys, time
from tests.test_store import block, small
with small(sys.argv[1], shared=True) as writer, writer.claim(2) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_the_claim_of_a_killed_process_is_free(tmp_path):
    command = [sys.executable, "-c", CLAIMER, tmp_path / "s.zarr"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        with small(tmp_path / "s.zarr", shared=True) as writer:
            with writer.claim(2) as mine:
                assert not mine
            process.kill()
            process.wait()
            with writer.claim(2) as mine:
                assert mine


def test_partial_files_of_killed_writers_are_swept_by_the_next(tmp_path):
    path = tmp_path / "s.zarr"
    small(path).__exit__()
    left = [path / "loss" / "c.1.partial", path / "blocks" / "record" / "c.0.0.2.partial"]
    for file in left:
        file.touch()
    small(path, shared=True).__exit__()
    assert all(file.exists() for file in left)  # another shard may be writing them
    small(path).__exit__()
    assert not any(file.exists() for file in left)


# Room on the disk


def disk(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))


def test_a_store_that_cannot_fit_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    disk(monkeypatch, 20)
    with pytest.raises(
        store.StoreError, match=r"needs about .* MB for the 5 blocks left, and 0\.0 MB are free; .*0 of 5"
    ):
        small(tmp_path / "s.zarr")


def test_the_first_blocks_tell_what_the_others_need(tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    with small(path) as writer:
        writer.write(0, block(0))
        assert writer.need(4) == 4 * sum(512 * file.stat().st_blocks for file in writer.files(0)) > 0
    disk(monkeypatch, writer.need(4) - 1)
    with pytest.raises(store.StoreError, match=r"for the 4 blocks left.*1 of 5 blocks are safe in .*s\.zarr"):
        small(path)
    disk(monkeypatch, writer.need(4))
    small(path).__exit__()


def test_a_full_disk_is_one_sentence_that_says_what_is_safe(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with small(tmp_path / "s.zarr") as writer:
        writer.write(0, block(0))
        monkeypatch.setattr(records, "put", full)
        with pytest.raises(
            store.StoreError, match=r"s\.zarr cannot be written: No space left on device; 1 of 5 blocks"
        ):
            writer.write(1, block(1))
    assert store.blocks_done(tmp_path / "s.zarr") == (1, 5)


# Dimensions


@pytest.mark.parametrize("leading", [{}, {"epoch": [1, 5]}, {"epoch": [1, 5], "step": np.arange(3)}])
@pytest.mark.parametrize("out", [None, "s.zarr"])
def test_there_may_be_none_one_or_several_leading_dimensions(tmp_path, leading, out):
    leading = {name: np.asarray(values) for name, values in leading.items()}
    coordinates, first = {"w": np.arange(5.0), "b": np.arange(3.0)}, tuple(map(len, leading.values()))
    whole = np.random.default_rng(0).normal(size=(*first, 5, 3))
    layout = (leading, coordinates, {"f": "float64"}, (2, 2))
    with Memory(*layout) if out is None else store.create(tmp_path / out, *layout, {"any": 1}) as target:
        for index in target.todo():
            target.write(index, {"f": whole[(..., *target.region(index))]})
        ds = target.finish({"title": "t"}, {"f": {"units": "m"}})
    assert ds.f.dims == (*leading, "w", "b")
    np.testing.assert_array_equal(ds.f, whole)
    assert (ds.f.attrs, ds.attrs["title"]) == ({"units": "m", "nonfinite": 0}, "t")


@pytest.mark.slow
def test_a_surface_in_memory_needs_nothing_of_the_disk_room():
    code = """
import sys
import numpy as np
from landscape import cells, planes, surfaces, tasks
square = planes.plane(cells.SRNN(), w=np.linspace(-3, 3, 3), b=np.linspace(-2, 2, 3))
surfaces.surface(square, tasks.latch(), [1, 2], order=0, episodes=1)
assert not {"zarr", "landscape.store"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_opening_a_store_needs_no_jax(stored):
    code = "import sys; from landscape import store; store.open_surface(sys.argv[1]); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, stored], check=True)


def test_a_store_of_other_coordinates_is_left_alone(tmp_path):
    layout = ({}, {"w": np.arange(3.0)}, {"f": "float64"}, (2,), {"any": 1})
    store.create(tmp_path / "s.zarr", *layout).__exit__()
    with pytest.raises(store.StoreError, match="holds other values of w; give another path"):
        store.create(tmp_path / "s.zarr", {}, {"w": np.arange(3.0) + 1}, *layout[2:])


# Growing


def recorder(path, settings=None):
    return store.Recorder(path, "step", {"w": np.arange(3.0)}, {"loss": "float32"}, settings or {"seed": 0})


def test_what_is_appended_is_read_by_anyone_and_gone_on_with(tmp_path):
    path = tmp_path / "r.zarr"
    with recorder(path) as record:
        record.append(0, {"loss": np.zeros(3)})
        record.append(10, {"loss": np.full(3, np.nan)})
        with pytest.raises(ValueError, match="step = 10 does not come after 10; append whole numbers in order"):
            record.append(10, {"loss": np.zeros(3)})
        with pytest.raises(store.StoreError, match="is being written by another process"):
            recorder(path)
    with pytest.raises(store.StoreError, match="seed: 0 there, 1 asked"):
        recorder(path, {"seed": 1})
    with recorder(path) as record:
        assert record.values == [0, 10]
        record.append(20, {"loss": np.ones(3)})
    for ds in (xarray.open_zarr(path, chunks=None), store.open_surface(path)):
        assert ds.loss.dims == ("step", "w")
        assert ds.step.values.tolist() == [0, 10, 20]
        np.testing.assert_array_equal(ds.loss, [[0.0] * 3, [np.nan] * 3, [1.0] * 3])


@pytest.mark.parametrize("writes", range(6))
def test_an_append_that_is_killed_at_any_write_leaves_what_was_there(tmp_path, monkeypatch, writes):
    from zarr.storage import LocalStore

    path, true, count = tmp_path / "r.zarr", LocalStore.set, itertools.count()

    async def dying(self, key, value):
        if next(count) >= writes:
            raise Stop("killed")
        await true(self, key, value)

    with recorder(path) as record:
        record.append(0, {"loss": np.zeros(3)})
        with monkeypatch.context() as patch:
            patch.setattr(LocalStore, "set", dying)
            with contextlib.suppress(Stop):
                record.append(7, {"loss": np.ones(3)})
    whole = writes > 4  # the last of five writes is the one that counts
    for ds in (xarray.open_zarr(path, chunks=None), store.open_surface(path)):
        assert ds.step.values.tolist() == ([0, 7] if whole else [0])
        np.testing.assert_array_equal(ds.loss[0], np.zeros(3))
    with recorder(path) as record:
        record.append(8, {"loss": np.full(3, 8.0)})
    assert float(store.open_surface(path).loss.sel(step=8, w=1)) == 8.0


def test_a_lost_place_of_a_growing_store_is_damage(tmp_path):
    with recorder(tmp_path / "r.zarr") as record:
        for step in (0, 1):
            record.append(step, {"loss": np.zeros(3)})
    (tmp_path / "r.zarr" / "step" / "c" / "0").unlink()
    with pytest.raises(store.StoreError, match="step is not what was written"):
        store.open_surface(tmp_path / "r.zarr")


# Kills


WRITER = """
import sys
from tests.test_store import block, small
small(sys.argv[1] + ".warm", 1)
print("go", flush=True)
with small(sys.argv[1], int(sys.argv[2])) as writer:
    for index in writer.todo():
        writer.write(index, block(index))
"""


def kill_a_writer(path, blocks, delay):
    """Start a writer of `small` and kill it ``delay`` seconds after it has begun."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", WRITER, path, str(blocks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "go\n"
        time.sleep(delay)
        writer.kill()


@pytest.mark.parametrize(("times", "blocks"), [(2, 300), pytest.param(25, 1000, marks=pytest.mark.slow)])
def test_a_killed_writer_loses_no_finished_block(tmp_path, times, blocks):
    path, rng, known, interrupted = tmp_path / "s.zarr", np.random.default_rng(times), [], 0
    for _ in range(times):
        kill_a_writer(path, blocks, rng.uniform(0, 0.6))
        if not path.exists():  # killed while it made the store
            continue
        with small(path, blocks) as writer:
            done = sorted(set(range(blocks)) - set(writer.todo()))
            assert set(known) <= set(done)
            for index in sorted(set(done) - set(known)):
                for name, values in block(index).items():
                    region = (slice(None), *writer.region(index))
                    np.testing.assert_array_equal(writer.arrays[name][region], values)
        interrupted += known != done
        known = done
        if len(done) == blocks:
            shutil.rmtree(path)
            known = []
    assert interrupted
    with small(path, blocks) as writer:
        assert writer.todo() == sorted(set(range(blocks)) - set(known))
        for index in writer.todo():
            writer.write(index, block(index))
        ds = writer.finish({}, {})
    for name in ("loss", "d_w"):
        whole = np.concatenate([block(index)[name] for index in range(blocks)], axis=1)
        np.testing.assert_array_equal(ds[name].values, whole)
    assert [p for p in tmp_path.iterdir() if p.name.endswith(".partial")] == []


# Results of several parts


def test_what_a_folder_keeps_of_the_same_settings_is_read_and_anything_else_is_left_alone(tmp_path):
    made = []

    def compute():
        made.append(1)
        words = np.array(["yes", "no"], object)
        return {"a": xarray.Dataset({"x": ("k", [1.0, np.nan])}), "b": xarray.Dataset({"y": ("k", words)})}

    path, settings = tmp_path / "kept", {"seeds": (1, 2), "quick": True}
    first, second = (store.kept(path, settings, compute) for _ in range(2))
    assert len(made) == 1
    assert list(second) == ["a", "b"]
    for name in first:
        xarray.testing.assert_equal(first[name], second[name].load().drop_attrs())
    with pytest.raises(store.StoreError, match="quick: true there, false asked"):
        store.kept(path, settings | {"quick": False}, compute)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(store.StoreError, match=r"notes\.txt is a file, not a store"):
        store.kept(tmp_path / "mine", settings, compute)
    assert len(made) == 1
    store.kept(None, settings, compute)
    assert len(made) == 2


def test_a_folder_whose_results_fail_does_not_appear(tmp_path):
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        store.kept(tmp_path / "kept", {}, lambda: {"a": xarray.Dataset({"x": 1 / 0})})
    assert list(tmp_path.iterdir()) == []

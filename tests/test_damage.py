"""A damaged or foreign store is one sentence, from whatever reads it: never a traceback, never other numbers."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray

from landscape import cli, store, sweeps
from landscape.cells import SRNN
from landscape.planes import plane
from landscape.surfaces import surface
from landscape.tasks import latch

WORDS = ["surface", "SRNN", "latch", "w=-3:3:5", "b=-2:2:4", "--lengths", "1,2,5", "--episodes", "2", "--out"]


def run(*, rate: float, seed: int = 0):
    """A result of every kind: numbers along a dimension of their own, a truth value, text."""
    variables = {"x": ("length", rate * np.arange(3.0) + seed), "hit": ((), seed % 2), "word": ((), "ab")}
    return xarray.Dataset(variables, {"length": [1, 2, 3]})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny store of every kind, and one that is not finished."""
    folder = tmp_path_factory.mktemp("made")
    square = plane(SRNN(), w=np.linspace(-3, 3, 5), b=np.linspace(-2, 2, 4))
    surface(square, latch(), (1, 2, 5), episodes=2, out=folder / "surface.zarr")
    sweeps.sweep(run, {"rate": [0.1, 0.2], "seed": [0, 1]}, out=folder / "sweep.zarr")
    store.save(xarray.Dataset({"r": ("seed", np.arange(3.0))}, {"seed": [1, 2, 3]}), folder / "result.zarr", {"n": 3})
    return folder


@pytest.fixture
def copy(made, tmp_path):
    """A copy of one of them to damage."""

    def copied(kind):
        return Path(shutil.copytree(made / f"{kind}.zarr", tmp_path / f"{kind}.zarr"))

    return copied


def says(capsys, words, match):
    """The command exits with 2 and one sentence that holds ``match``."""
    assert cli.main([*map(str, words)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1, told
    assert told.startswith("landscape: ")
    assert match in told


def flip(file, at=0.5):
    data = bytearray(file.read_bytes())
    data[int(at * len(data))] ^= 1
    file.write_bytes(data)


def halve(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


# Attributes and metadata


def attributes(change, file="zarr.json"):
    """A damage: ``change`` the attributes in a metadata file."""

    def damage(path):
        content = json.loads((path / file).read_text())
        change(content["attributes"])
        (path / file).write_text(json.dumps(content))

    return damage


def without(*keys, file="zarr.json"):
    return attributes(lambda attrs: [attrs.pop(key) for key in keys], file)


def wrong(file="zarr.json", **values):
    return attributes(lambda attrs: attrs.update(values), file)


def settings(change):
    def damage(attrs):
        about = json.loads(attrs["settings"])
        change(about)
        attrs["settings"] = json.dumps(about)

    return attributes(damage)


def metadata(file, **values):
    def damage(path):
        (path / file).write_text(json.dumps(json.loads((path / file).read_text()) | values))

    return damage


def content(file, data):
    return lambda path: (path / file).write_bytes(data)


def gone(*names):
    return lambda path: [
        shutil.rmtree(path / name) if (path / name).is_dir() else (path / name).unlink() for name in names
    ]


BLOCKS = "blocks/zarr.json"
SURFACES = {
    "no format": without("format"),
    "a format of another version": wrong(format="landscape surface 99"),
    "a format that only begins like ours": wrong(format="landscape "),
    "a format that is a number": wrong(format=5),
    "no settings": without("settings"),
    "settings that are a number": wrong(settings=3),
    "settings that are no JSON": wrong(settings="{"),
    "settings that are a list": wrong(settings="[1]"),
    "settings without axes": settings(lambda about: about.pop("axes")),
    "settings with axes that are a list": settings(lambda about: about.update(axes=[1])),
    "settings without what is held": settings(lambda about: about.pop("held")),
    "settings whose chance is text": settings(lambda about: about.update(chance="high")),
    "settings with no lengths": settings(lambda about: about.update(lengths=[])),
    "no word on completeness": without("complete"),
    "completeness in words": wrong(complete="yes"),
    "seconds in words": wrong(seconds="many"),
    "an origin that is no JSON": wrong(origin="{"),
    "runs that are no JSON": wrong(runs="["),
    "runs that are a number": wrong(runs="7"),
    "no layout": without("arrays"),
    "no marks": without("marks"),
    "no shape": without("shape", file=BLOCKS),
    "a shape in words": wrong(BLOCKS, shape="big"),
    "another shape": wrong(BLOCKS, shape=[50, 4]),
    "blocks of no points": wrong(BLOCKS, block=[0, 0]),
    "no variables": without("variables", file=BLOCKS),
    "variables that are not there": wrong(BLOCKS, variables=["gone"]),
    "leading dimensions in words": wrong(BLOCKS, leading="one"),
    "attributes that are a list": metadata("zarr.json", attributes=[]),
    "an array where the group was": metadata("zarr.json", node_type="array"),
    "an array of another shape": metadata("loss/zarr.json", shape=[3, 5, 5]),
    "an array of another type": metadata("loss/zarr.json", data_type="int32", fill_value=0),
    "an array of other chunks": metadata(
        "loss/zarr.json", chunk_grid={"name": "regular", "configuration": {"chunk_shape": [3, 2, 4]}}
    ),
    "an array of other dimensions": metadata("loss/zarr.json", dimension_names=["length", "b", "w"]),
    "an array without codecs": metadata("loss/zarr.json", codecs=[]),
    "records of another shape": metadata("blocks/record/zarr.json", shape=[7, 8]),
    "a metadata file cut off": content("zarr.json", b'{"zarr_format": 3, "att'),
    "an empty metadata file": content("zarr.json", b""),
    "a metadata file that is a list": content("loss/zarr.json", b"[]"),
    "a metadata file that is no text": content("blocks/record/zarr.json", b"\xff\xfe\x00"),
    "no variable": gone("loss"),
    "no coordinate": gone("w"),
    "no metadata of a variable": gone("d_w/zarr.json"),
    "no blocks": gone("blocks"),
    "no records": gone("blocks/record"),
    "a file of a variable": lambda path: (gone("loss")(path), (path / "loss").touch()),
}
SWEEPS = {
    "no grid": settings(lambda about: about.pop("axes")),
    "chunks in words": settings(lambda about: about.update(chunk="all")),
    "no name of the run": settings(lambda about: about.pop("run")),
    "no fixed settings": settings(lambda about: about.pop("fixed")),
    "no layout": without("arrays", file="results/zarr.json"),
    "no layout of a result": without("layout", file="results/zarr.json"),
    "no variable": gone("results/x"),
    "no coordinate": gone("results/rate"),
    "no reasons": gone("blocks/reason"),
    "results that are an array": metadata("results/zarr.json", node_type="array"),
}
RESULTS = {
    "no variable": gone("r"),
    "no coordinate": gone("seed"),
    "settings that are no JSON": wrong(settings="nothing"),
    "an array of another shape": metadata("r/zarr.json", shape=[2]),
}
CASES = [
    pytest.param(kind, damage, id=f"{kind}: {name}")
    for kind, cases in (("surface", SURFACES), ("sweep", SWEEPS), ("result", RESULTS))
    for name, damage in cases.items()
]


@pytest.mark.parametrize(("kind", "damage"), CASES)
def test_damaged_metadata_are_one_sentence_from_every_verb(copy, capsys, monkeypatch, kind, damage):
    monkeypatch.setattr(cli.surfaces, "plot_sweep", lambda *words: sweeps.open_sweep(words[0]))
    path = copy(kind)
    damage(path)
    says(capsys, ["show", path], str(path))
    for verb in ("status", "plot", "cliffs"):
        code = cli.main([verb, str(path), *(["--kind", "profile"] if verb == "plot" else [])])
        told = capsys.readouterr().err
        assert (code, told.count("\n")) in ((0, 0), (2, 1)), (verb, told)


def test_what_is_undamaged_is_shown(made, capsys):
    for kind in ("surface", "sweep", "result"):
        assert cli.main(["show", str(made / f"{kind}.zarr")]) == 0
        assert "complete" in capsys.readouterr().out


# Chunks


@pytest.mark.parametrize("harm", [flip, halve, Path.unlink])
@pytest.mark.parametrize("name", ["w", "length"])
def test_a_damaged_coordinate_is_never_read_as_other_numbers(copy, capsys, harm, name):
    path = copy("surface")
    harm(path / name / "c" / "0")
    for words in (["show", path], ["plot", path], [*WORDS, path]):
        says(capsys, words, f"damaged ({name} is not what was written)")


@pytest.mark.parametrize("harm", [flip, halve, Path.unlink])
def test_a_damaged_coordinate_of_a_sweep_is_never_read_as_other_numbers(copy, capsys, harm):
    path = copy("sweep")
    harm(path / "results" / "rate" / "c" / "0")
    for words in (["show", path], ["plot", path], ["status", path, "--csv", path.with_suffix(".csv")]):
        says(capsys, words, "damaged (rate is not what was written)")
    with pytest.raises(store.StoreError, match="rate is not what was written"):
        sweeps.sweep(run, {"rate": [0.1, 0.2], "seed": [0, 1]}, out=path)


@pytest.mark.parametrize("harm", [flip, halve, Path.unlink])
@pytest.mark.parametrize("unfinished", [False, True])
def test_the_same_command_mends_a_damaged_chunk_of_a_surface(made, copy, capsys, harm, unfinished):
    path = copy("surface")
    harm(path / "d_w" / "c" / "0" / "0" / "0")
    if unfinished:  # a store may be cut off after the damage
        wrong(complete=False)(path)
    else:
        says(capsys, ["show", path], "the command that made it again")
    assert cli.main([*WORDS, str(path)]) == 0
    xarray.testing.assert_identical(
        store.open_surface(path).load().drop_attrs(), store.open_surface(made / "surface.zarr").load().drop_attrs()
    )


@pytest.mark.parametrize("harm", [flip, halve, Path.unlink])
def test_the_same_command_mends_a_damaged_chunk_of_a_sweep(made, copy, harm):
    path = copy("sweep")
    harm(path / "results" / "x" / "c" / "1" / "0" / "0")
    with pytest.raises(store.StoreError, match="again"), store.damage(path, "results"):
        sweeps.open_sweep(path).load()
    again = sweeps.sweep(run, {"rate": [0.1, 0.2], "seed": [0, 1]}, out=path)
    xarray.testing.assert_identical(
        again.load().drop_attrs(), sweeps.open_sweep(made / "sweep.zarr").load().drop_attrs()
    )


def test_a_damaged_record_is_a_block_that_is_not_done(copy):
    path = copy("surface")
    flip(path / "blocks" / "record" / "c.0.0")
    assert store.blocks_done(path) == (0, 1)


# The first format


@pytest.fixture
def first(tmp_path):
    """Stores that the first version wrote: two surfaces (one begun), two sweeps (one with failures), a result."""
    with zipfile.ZipFile(Path(__file__).parent / "data" / "stores_of_format_1.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_stores_of_the_first_format_open_show_and_plot(first, capsys):
    ds = store.open_surface(first / "surface.zarr")
    assert list(ds.loss.dims) == ["length", "w", "b"]
    assert float(ds.loss.max()) == pytest.approx(3.77288, rel=1e-5)
    assert sweeps.open_sweep(first / "whole.zarr").x.sel(rate=0.2, seed=1, length=3) == pytest.approx(1.6)
    assert sweeps.status(first / "sweep.zarr").failed["rate=0.1, seed=2"].startswith("RuntimeError: no such orbit")
    assert store.blocks_done(first / "begun.zarr") == (2, 3)
    for name in ("surface", "begun", "whole", "sweep", "result"):
        assert cli.main(["show", str(first / f"{name}.zarr")]) == 0
    for name in ("surface", "sweep"):
        assert cli.main(["plot", str(first / f"{name}.zarr")]) == 0
    capsys.readouterr()


def test_stores_of_the_first_format_are_not_added_to(first, capsys):
    words = [*WORDS, str(first / "surface.zarr"), "--order", "2"]
    says(capsys, words, "was begun in an earlier format, which is read and not added to")


@pytest.mark.parametrize("harm", [flip, halve, Path.unlink])
def test_a_damaged_coordinate_of_the_first_format_is_found_by_its_settings(first, capsys, harm):
    harm(first / "surface.zarr" / "w" / "c" / "0")
    says(capsys, ["show", first / "surface.zarr"], "surface.zarr is damaged")

"""The command line: what right words do, and what wrong ones are answered: one sentence, exit code 2, no traceback."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray

import landscape
from landscape import cli, devices, names, plots, progress, store, sweeps
from landscape.cells import LSTM, SRNN
from landscape.cli import guide
from landscape.planes import plane
from landscape.surfaces import surface
from landscape.tasks import latch, relay

optimised = pytest.mark.optimised  # laws of bits

PLANE = ("w=-3:3:40", "b=-2:2:41", "--episodes", "2")
SMALL = ("surface", "SRNN", "latch", *PLANE, "--lengths", "1,2,5")

MINE = '''
"""Cells and tasks of a user."""
import jax.numpy as jnp
from landscape import Cell, Episode, State, Task, dot, latch, param, pytree

@pytree
class Sine(Cell):
    """h' = sin(w h + u x + b)"""
    w: float = param("unit", "unit", default=1.0)
    u: float = param("input", "unit", default=1.0)
    b: float = param("unit")
    def step(self, state, x):
        return State(jnp.sin(dot(state.h, self.w) + dot(x, self.u) + self.b))

@pytree
class Wide(Sine):
    def step(self, state, x):
        return State(jnp.stack([state.h, x]))

@pytree
class Whole(Sine):
    def step(self, state, x):
        return State(jnp.asarray(1))

@pytree
class Broken(Sine):
    def step(self, state, x):
        return State(state.c)

class Bare(Cell):
    pass

number = 3

def quiet(noise: float = 0.0) -> Task:
    return latch(noise)

def three():
    return 3

def pair() -> Task:
    return Task(lambda key, length, index: (jnp.zeros(length), jnp.zeros(())))

def short() -> Task:
    return Task(lambda key, length, index: Episode(x=jnp.zeros(5), target=jnp.zeros(())))

def many() -> Task:
    return Task(lambda key, length, index: Episode(x=jnp.zeros(length), target=jnp.zeros(2)), jnp.subtract)

def deaf() -> Task:
    return Task(lambda key, length: Episode(x=jnp.zeros(length), target=jnp.zeros(())))
'''

EXPERIMENT = '''
"""How many? A question.

    landscape run counting
"""
import numpy as np
import xarray

def run(seeds: int = 3, noise: float = 0.1, lengths: tuple[int, ...] = (1, 2), quick: bool = False):
    """Counts up to seeds."""
    print(f"running {seeds} {noise} {lengths} {quick}")
    return xarray.Dataset({"count": ("seed", np.arange(seeds))})

def sentence(result):
    return f"There are {result.sizes['seed']}."
'''


FOUR = """
import numpy as np
import landscape as ls

def net():
    x = np.random.default_rng(0).normal(size=(20, 4)).astype("f4")
    risk = ls.Risk(lambda params, x: x @ params["w"] @ np.array([[1, -1]], "f4"), (x, np.arange(20) % 2), batch=20)
    return {"w": np.full((4, 1), 0.1, "f4")}, {}, risk
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test runs in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A stored surface, and what the command said while it made it."""
    path = tmp_path_factory.mktemp("made") / "s.zarr"
    done = subprocess.run(
        [sys.executable, "-m", "landscape", *SMALL, "--out", path], capture_output=True, text=True, check=True
    )
    return path, done.stdout


@pytest.fixture(scope="module")
def unadorned(finished, tmp_path_factory):
    """The bytes of its figure with no options."""
    path = tmp_path_factory.mktemp("drawn") / "plain.png"
    plots.save(plots.formation(xarray.open_zarr(finished[0], consolidated=False)), path)
    return path.read_bytes()


def refused(capsys, *words):
    """The sentence with which the command line refuses ``words``."""
    assert cli.main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def same(a, b):
    for name in a.variables:
        assert a[name].values.tobytes() == b[name].values.tobytes(), name


# Right words


@optimised
def test_the_command_computes_what_the_library_does(finished):
    path, said = finished
    expected = surface(
        plane(SRNN(), w=np.linspace(-3, 3, 40), b=np.linspace(-2, 2, 41)), latch(), (1, 2, 5), episodes=2
    )
    same(store.open_surface(path), expected)
    assert f"landscape plot {path}" in said
    assert "inf or NaN: none of 4,920" in said


@optimised
def test_held_parameters_options_ties_seed_order_and_dtype_reach_the_computation(capsys):
    words = "surface LSTM relay gates=-1:1:3 w_g=0:2:4 --lengths 3 --order 0 --seed 5 --episodes 4 --dtype float64"
    more = "--set u_g=2 --set b_o=.5 --task-option noise=.3 --tie gates=b_i,b_f --out s.zarr"
    assert cli.main([*words.split(), *more.split()]) == 0
    ties = {"gates": ("b_i", "b_f")}
    made = plane(LSTM(u_g=2.0, b_o=0.5), ties, gates=np.linspace(-1, 1, 3), w_g=np.linspace(0, 2, 4))
    expected = surface(made, relay(0.3), [3], order=0, seed=5, episodes=4, dtype="float64")
    same(store.open_surface("s.zarr"), expected)


def test_without_out_the_store_is_called_after_cell_and_task(folder):
    assert cli.main([*SMALL[:3], "w=0:1:2", "b=0:1:2", "--lengths", "2", "--episodes", "2"]) == 0
    assert store.blocks_done(folder / "SRNN-latch.zarr") == (1, 1)


def test_a_cell_and_a_task_may_stand_in_a_file_of_the_users_own(folder):
    (folder / "mine.py").write_text(MINE)
    assert (
        cli.main(["surface", "mine.py:Sine", "mine.py:quiet", *PLANE, "--lengths", "2", "--task-option", "noise=.5"])
        == 0
    )
    ds = store.open_surface("Sine-quiet.zarr")
    assert ds.attrs["cell"] == "Sine"
    assert ds.attrs["task"] == "latch(noise=0.5)"


def test_an_edited_cell_does_not_go_on_with_the_results_of_the_old_one(folder, capsys):
    (folder / "mine.py").write_text(MINE)
    words = ["surface", "mine.py:Sine", "latch", *PLANE, "--lengths", "2"]
    assert cli.main(words) == 0
    (folder / "mine.py").write_text(MINE.replace("jnp.sin", "jnp.cos"))
    assert "cell_source" in refused(capsys, *words)


def test_show_says_what_a_store_holds(finished, capsys):
    assert cli.main(["show", str(finished[0])]) == 0
    said = capsys.readouterr().out
    for words in (
        "complete",
        "u = 1.0",
        "latch(noise=0.1), 2 episodes from seed 0, chance 1",
        "w from -3 to 3, 40 values",
        "1, 2, 5",
        "0 of 4,920 inf or NaN",
        "by another route",
        "jax 0.",
    ):
        assert words in said
    ds = store.open_surface(finished[0])
    assert f"{float(ds.loss.min()):.6g} to {float(ds.loss.max()):.6g}" in said


def test_show_reads_a_store_that_is_not_complete(folder, capsys, monkeypatch):
    half(folder / "s.zarr", monkeypatch)
    assert cli.main(["show", "s.zarr"]) == 0
    said = capsys.readouterr().out
    assert "not complete, 1 of 2 blocks are done" in said
    assert "w from -3 to 3" in said


@pytest.mark.parametrize(
    ("options", "file", "start"),
    [
        ((), "s-formation.png", b"\x89PNG"),
        (("--kind", "gradient", "--lengths", "1,5", "--out", "g.pdf"), "g.pdf", b"%PDF"),
        (("--kind", "surface3d", "--lengths", "5"), "s-surface3d.png", b"\x89PNG"),
        (("--kind", "profile", "--along", "b", "--at", "w=1", "--out", "p.svg"), "p.svg", b"<?xml"),
        (("--kind", "animation", "--out", "a.webp"), "a.webp", b"RIFF"),
        (("--kind", "interactive", "--out", "i.html"), "i.html", b"<"),
    ],
)
def test_plot_draws_every_kind(finished, folder, options, file, start):
    made = finished[0].parent if not any("--out" in option for option in options) else folder
    assert cli.main(["plot", str(finished[0]), *options]) == 0
    assert (made / file).read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("options", "keyword"),
    [
        (("--cmap", "magma"), {"cmap": "magma"}),
        (("--figsize", "3.4x2.6"), {"figsize": (3.4, 2.6)}),
        (("--title", "none"), {"title": None}),
        (("--title", "My wall"), {"title": "My wall"}),
        (("--lengths", "1,5"), {"lengths": [1, 5]}),
    ],
)
def test_options_of_plot_are_the_keywords_of_the_figure(finished, unadorned, folder, options, keyword):
    assert cli.main(["plot", str(finished[0]), *options, "--out", "one.png"]) == 0
    ds = xarray.open_zarr(finished[0], consolidated=False)
    plots.save(plots.formation(ds, **keyword), "two.png")
    one, two = (Path(f"{name}.png").read_bytes() for name in ("one", "two"))
    assert one == two != unadorned


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (("--kind", "profile", "--out", "x.html"), "x.html is no figure; its name must end in ."),
        (("--kind", "interactive", "--out", "x.png"), "a page is written as .html; given 'x.png'"),
        (("--kind", "interactive", "--figsize", "3x3"), "a page takes cmap, title, caption"),
        (("--figsize", "wide"), "--figsize is a width and a height in inches between 0.5 and 100"),
        (("--figsize", "0x3"), "such as 3.4x2.6; given 0x3"),
        (("--cmap", "virids"), "there is no colormap 'virids' (did you mean viridis?)"),
    ],
)
def test_what_plot_cannot_draw_is_said_in_one_sentence_and_leaves_no_file(finished, folder, capsys, options, answer):
    before = set(folder.rglob("*"))
    assert answer in refused(capsys, "plot", str(finished[0]), *options)
    assert set(folder.rglob("*")) == before


def test_list_names_every_cell_task_and_experiment(folder, capsys):
    (folder / "experiments").mkdir()
    (folder / "experiments" / "counting.py").write_text(EXPERIMENT)
    assert cli.main(["list"]) == 0
    said = capsys.readouterr().out
    for words in ("SRNN", "h' = act(w h + u x + b)", "w=1, u=1, b=0", "latch", "noise=0.1", "counting", "How many?"):
        assert words in said


@pytest.mark.parametrize(
    ("word", "flags"),
    [
        ("--quick=true", ["--quick"]),
        ("--quick=False", []),
        ("--keep-all=false", ["--no-keep-all"]),
        ("--keep-all=true", []),
        ("--quick", ["--quick"]),
        ("--quick=maybe", ["--quick=maybe"]),
        ("--seeds=4", ["--seeds=4"]),
    ],
)
def test_a_switch_can_be_set_like_any_setting(word, flags):
    assert cli.experiments._flags(word, {"quick": False, "keep_all": True}) == flags


def test_experiments_of_the_package_are_found_from_any_folder_and_ones_own_come_before_them(folder, capsys):
    assert cli.main(["list"]) == 0
    assert "cliff_formation         How do cliffs form" in capsys.readouterr().out
    assert cli.main(["run", "pascanu_fig6", "--help"]) == 0
    assert "--points INT" in capsys.readouterr().out
    (folder / "experiments").mkdir()
    (folder / "experiments" / "pascanu_fig6.py").write_text(EXPERIMENT)
    assert cli.main(["list"]) == 0
    assert "pascanu_fig6            How many?" in capsys.readouterr().out
    assert cli.main(["run", "pascanu_fig6", "--help"]) == 0
    assert "--seeds INT" in capsys.readouterr().out


def test_the_wheel_holds_experiments_and_figures_where_they_are_looked_for(folder, monkeypatch):
    root = names.shipped("experiments").parent
    build = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert {"landscape", *build["wheel"]["sources"]} == set(build["wheel"]["only-include"])
    monkeypatch.setattr(names, "__file__", str(folder / "landscape" / "names.py"))
    for kind, target in build["wheel"]["sources"].items():
        assert (root / kind / "demo.py").exists() or (root / kind / "cliff_formation.py").exists()
        (folder / target).mkdir(parents=True)
        assert names.shipped(kind) == folder / target
    asked = {"/pyproject.toml", "/.gitignore", *build["sdist"]["include"]}  # hatchling adds the first two
    assert {f"/{file}" for file in ("CONTRIBUTING.md", "README.md", "Makefile", "tests", "experiments")} <= asked


def test_a_missing_extra_is_said_before_anything_is_computed(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    (folder / "s.toml").write_text("run = 'room'\naxes = {noise = [0.1]}")
    said = refused(capsys, "sweep", "s.toml", "--workers", "2")
    assert re.search(r"by distributed, which is missing: pip install 'rnn-landscape\[cluster\]'", said)
    assert [path.name for path in folder.iterdir()] == ["s.toml"]


def test_a_scheduler_that_is_no_address_is_said(folder, capsys):
    (folder / "s.toml").write_text("run = 'room'\naxes = {noise = [0.1]}")
    for text in ("not an address", "foo://x:1"):
        said = refused(capsys, "sweep", "s.toml", "--scheduler", text)
        assert f"there is no scheduler at '{text}'" in said
        assert "give tcp://HOST:PORT" in said


def test_run_turns_keywords_into_settings_and_stores_the_result(folder, capsys):
    (folder / "experiments").mkdir()
    (folder / "experiments" / "counting.py").write_text(EXPERIMENT)
    words = ["run", "counting", "--seeds=4", "--lengths", "3", "5", "--quick"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "running 4 0.1 (3, 5) True" in said
    assert "There are 4." in said
    assert store.open_surface("results/counting.zarr").sizes == {"seed": 4}
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "holds this already" in said
    assert "running" not in said
    assert "There are 4." in said
    assert "seeds: 4 there, 3 asked" in refused(capsys, "run", "experiments/counting.py")
    assert cli.main(["run", "counting", "--help"]) == 0
    said = capsys.readouterr().out
    assert "How many? A question." in said
    assert "--noise FLOAT" in said


def test_a_cell_among_the_settings_of_an_experiment_is_given_by_name(folder, capsys):
    (folder / "mine.py").write_text(
        '''"""Which?"""
import xarray
from landscape.cells import SRNN, Cell

def run(cell: Cell = SRNN()):
    return xarray.Dataset({"bias": ("at", [float(cell.b_f) if hasattr(cell, "b_f") else 0.0])})
'''
    )
    assert cli.main(["run", "mine.py", "--help"]) == 0
    assert "(default: SRNN)" in capsys.readouterr().out
    assert cli.main(["run", "mine.py", "--cell", "LSTM"]) == 0
    assert store.open_surface("results/mine.zarr").bias.item() == LSTM().b_f == 1
    assert 'cell: "LSTM" there, "SRNN" asked' in refused(capsys, "run", "mine.py")
    assert "there is no name 'SRN' (did you mean SRNN?)" in refused(capsys, "run", "mine.py", "--cell", "SRN")


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_is_a_manual_with_examples(verb, capsys):
    assert cli.main([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"landscape {verb}" in said
    assert "examples:" in said


def test_help_and_version_need_no_jax():
    code = "import sys; from landscape.cli import main; main(['--help']); main(['--version']); main(['surface', '-h']);"
    check = "assert not {'jax', 'numpy', 'xarray', 'zarr', 'matplotlib', 'rich.progress'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"landscape \d+\.\d+", done.stdout)


def test_every_public_name_is_listed_and_there_and_an_unknown_one_answers_with_the_list():
    assert {"SRNN", "surface", "cliffs", "sweeps", "training"} <= set(dir(landscape)) == set(landscape.__all__)
    for name in landscape.__all__:
        assert getattr(landscape, name) is not None
    with pytest.raises(AttributeError, match=r"'landscape' has no attribute 'surfaec'; it has .*GRU, .*surface, "):
        landscape.surfaec  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'surfaec'"):
        from landscape import surfaec  # noqa: F401


def test_type_checkers_are_told_that_there_are_types():
    assert names.shipped("landscape").joinpath("py.typed").exists()


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, landscape; assert not {'jax', 'xarray', 'zarr', 'flax', 'matplotlib'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code + "; landscape.SRNN()"]).returncode == 0


# Wrong words


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("surfaces", r"no verb 'surfaces' \(did you mean surface\?\); known: surface, plot, show"),
        ("surface SRN latch w=0:1:2", r"no cell 'SRN' \(did you mean SRNN\?\).*known: SRNN, .*LSTM"),
        ("surface srnn latch w=0:1:2", r"did you mean SRNN\?"),
        ("surface SRNN lach w=0:1:2", r"no task 'lach' \(did you mean latch\?\).*known: latch, relay"),
        ("surface SRNN latch W=0:1:2", "SRNN has no parameter 'W'; it has w, u, b"),
        ("surface SRNN latch w=0:1:2 --set v=1", "no parameter 'v'.* of cell SRNN; known: w, u, b"),
        ("surface SRNN latch w=0:1:2 --set u=1e300", "u = 1e.300 is beyond float32, .* or --dtype float64"),
        ("surface SRNN latch w=0:1:2 --set u=1e-300", "u = 1e-300 is beyond float32"),
        ("surface SRNN latch w=0:1:2 --set u=x", "u must be a number, given 'x'"),
        ("surface SRNN latch w=0:1:2 --set u=nan", "u must be finite"),
        ("surface SRNN latch w=0:1:2 --set u", "'u' is not of the form --set NAME=VALUE"),
        ("surface SRNN latch w=0:1:2 --task-option sd=1", "no option 'sd'.* of task latch; known: noise"),
        ("surface SRNN latch w=0:1:2 --task-option noise=-1", "noise must be a finite number, at least 0; given -1"),
        ("surface SRNN bengio w=0:1:2 --task-option evidence=0", "evidence must be a finite number, at least 1"),
        ("surface SRNN bengio w=0:1:2 --task-option evidence=1.5", "evidence of task bengio must be a whole number"),
        ("surface SRNN latch", "nothing to vary"),
        ("surface SRNN latch w", "'w' is not of the form NAME=FROM:TO:COUNT"),
        ("surface SRNN latch w=0:1:2 w=0:2:2", "w is given twice"),
        ("surface SRNN latch w=0:1", "w=0:1 is not a range; write w=FROM:TO:COUNT"),
        ("surface SRNN latch w=3:-3:20", r"w runs backwards, from 3 down to -3; write w=-3:3:20"),
        ("surface SRNN latch w=1:1:20", "w=1:1:20 has one point"),
        ("surface SRNN latch w=0:1:1", "w=0:1:1 has one point"),
        ("surface SRNN latch w=0:1e300:3", "w = 1e.300 is beyond float32"),
        ("surface SRNN latch w=0:1e-37:99", "float32 cannot tell the 99 values of w from 0 to 1e-37 apart; .* float64"),
        ("surface SRNN latch w=1:1.000001:101", "float32 cannot tell the 101 values of w from 1 to 1.000001 apart"),
        (
            "surface SRNN latch w=1:1.000000000000001:101 --dtype float64",
            "float64 cannot tell .*; give a wider range .landscape help ranges.$",
        ),
        ("explore SRNN latch w=0:1:2 b=1:1.000001:101", "float32 cannot tell the 101 values of b"),
        ("explore SRNN latch w=0:1:2 b=0:1:2 --set u=1e300", "u = 1e.300 is beyond float32"),
        ("explore SRNN latch w=0:1:2 b=0:1:2 --lengths 1:99999999999", "need .* TB of memory; ask for fewer points"),
        ("surface SRNN latch w=0:1:0", "w=0:1:0 has no point"),
        ("surface SRNN latch w=a:1:3", "the start of w must be a number, given 'a'"),
        ("surface SRNN latch w=0:inf:3", "the end of w must be finite"),
        ("surface SRNN latch w=0:1:2.5", "the number of values of w must be a whole number"),
        ("surface SRNN latch w=0:1:-5", "the number of values of w must be a whole number"),
        ("surface SRNN latch w=0:1:2 --lengths 0:5", "lengths start at 1"),
        ("surface SRNN latch w=0:1:2 --lengths 0", "lengths start at 1"),
        ("surface SRNN latch w=0:1:2 --lengths 9:5", "there are no lengths in 9:5"),
        ("surface SRNN latch w=0:1:2 --lengths 1:9:0", "there are no lengths in 1:9:0"),
        ("surface SRNN latch w=0:1:2 --lengths 5,3", "lengths must increase, given 5 before 3"),
        ("surface SRNN latch w=0:1:2 --lengths ten", "lengths must be whole numbers such as 1:200"),
        ("surface SRNN latch w=0:1:2 --lengths 2 5", "--lengths is one word, such as 2,5 or 1:100; given 2 5"),
        ("surface SRNN latch w=0:1:2 --lengths=-3", "lengths must be whole numbers such as 1:200"),
        ("surface SRNN latch w=0:1:2 --order 3", "invalid choice .3. .*--order.*one of .*0.*1.*2"),
        ("surface SRNN latch w=0:1:2 --dtype float16", "invalid choice .float16.*--dtype.*float32"),
        ("surface SRNN latch w=0:1:2 --seed 18446744073709551616", "a seed is a whole number from 0 to 4294967295"),
        ("surface SRNN latch w=0:1:2 --seed=-1", "a seed is a whole number from 0 to 4294967295, given -1"),
        (
            "surface SRNN latch w=0:1:2 --lengths 2 --out /",
            "/ is the root of the file system; give the path of a folder",
        ),
        ("surface SRNN latch w=0:1:2 --episodes=-1", "--episodes must not be negative"),
        ("surface SRNN latch w=0:1:2 --lenghts 5", "--lenghts.*--lengths"),
        ("surface LSTM latch g=0:1:2 --tie h=b_i,b_f", "tied coordinate 'h' has no axis"),
        ("surface LSTM latch g=0:1:2 --tie g=b_i,b_x", "LSTM has no parameter 'b_x'.*did you mean"),
        ("surface LSTM latch length=0:1:2 --tie length=b_i,b_f", "a coordinate cannot be called 'length'"),
        ("surface SRNN adding w=0:1:2 --lengths 3", "SRNN.*State"),
        ("surface nowhere.py:Mine latch w=0:1:2", "there is no file nowhere.py"),
        ("show nowhere.zarr", "nowhere.zarr does not exist"),
        ("plot nowhere.zarr", "nowhere.zarr does not exist"),
        ("run nothing", "no experiment 'nothing'.*; one of your own is .*; known: .*aliasing, .*why_lstm"),
        ("run room --seed=4294967296", "a seed is a whole number from 0 to 4294967295"),
        ("run nothing.py", "there is no file nothing.py"),
    ],
)
def test_wrong_words_are_answered_in_one_sentence(words, sentence, capsys, folder):
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", refused(capsys, *words.split())).split())
    assert re.search(sentence, said), said
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "mine.py:Wide",
            r"Wide.step returns State\(h=float32\[2\]\); it must return a state like .*State\(h=float32\[\]\)",
        ),
        ("mine.py:Whole", r"Whole.step returns State\(h=int32\[\]\)"),
        ("mine.py:Broken", "Broken cannot step on an input of shape .*has no attribute 'c'"),
        ("mine.py:Bare", "Bare is not a pytree of parameters; write @pytree above"),
        ("mine.py:number", "number in mine.py is of type int, not a cell"),
        ("mine.py:three", "makes int, not a landscape.cells.Cell"),
        ("mine.py:Sin", r"no cell 'Sin' \(did you mean Sine\?\) in mine.py"),
        ("syntax.py:Sine", "syntax.py cannot be imported, line 2: SyntaxError"),
        ("fails.py:Sine", "fails.py cannot be imported, line 3: ZeroDivisionError"),
    ],
)
def test_a_users_cell_that_will_not_do_is_told_why(words, sentence, capsys, folder):
    (folder / "mine.py").write_text(MINE)
    (folder / "syntax.py").write_text("\ndef f(:\n")
    (folder / "fails.py").write_text("def f():\n    return 1\nx = f() / 0\n")
    assert re.search(sentence, refused(capsys, "surface", words, "latch", *PLANE, "--lengths", "2"))
    assert not list(folder.glob("*.zarr"))


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("pair", "task draws tuple; its sample must return an Episode"),
        ("short", r"task draws x of shape \(5,\) for 3 steps; it must be \(time,\) or \(time, input\)"),
        ("many", r"the loss of task must be one number, and is of shape \(2,\)"),
        ("deaf", "task cannot draw an episode: TypeError: .* takes 2 positional arguments but 3 were given"),
    ],
)
@pytest.mark.parametrize("verb", ["surface", "explore"])
def test_a_users_task_that_will_not_do_is_told_why(verb, word, sentence, capsys, folder):
    (folder / "mine.py").write_text(MINE)
    assert re.search(sentence, refused(capsys, verb, "SRNN", f"mine.py:{word}", *PLANE[:2], "--lengths", "2"))


def test_lengths_without_commas_are_not_run_together(capsys):
    words = ("surface", "SRNN", "latch", "w=0:1:2", "--lengths")
    assert "with commas between them; given '10 20 30'" in refused(capsys, *words, "10 20 30")
    assert [list(part) for part in names.lengths("10, 20 : 40 : 10")] == [[10], [20, 30, 40]]


@pytest.mark.parametrize(
    ("code", "sentence"), [("sys.exit(3)", r"mine.py, line 2, called sys.exit\(3\)"), ("sys.exit('no')", "exit.'no'.")]
)
@pytest.mark.parametrize("words", [("run", "mine.py"), ("surface", "mine.py:Mine", "latch", "w=0:1:2")])
def test_a_users_file_that_leaves_is_said_to(code, sentence, words, capsys, folder):
    (folder / "mine.py").write_text(f"import sys\n{code}\n")
    assert re.search(sentence, refused(capsys, *words))
    (folder / "mine.py").write_text(f"import sys\ndef run(): {code}\n")
    assert re.search(sentence, refused(capsys, "run", "mine.py"))


def test_ctrl_c_before_anything_is_computed_says_stopped(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.VERBS, "list", interrupted)
    assert cli.main(["list"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_commands_that_are_suggested_can_be_typed(folder, capsys):
    assert (
        cli.main([*SMALL[:3], "w=0:1:2", "b=0:1:2", "--lengths", "2", "--episodes", "2", "--out", "my store.zarr"]) == 0
    )
    said = capsys.readouterr().out
    assert "landscape plot 'my store.zarr'" in said
    assert "landscape explore 'my store.zarr'" in said


def test_a_cell_of_ones_own_may_be_an_expression(folder, capsys):
    code = "from landscape.cells.expressions import expression, h, linear, read, tanh\n"
    (folder / "mine.py").write_text(code + 'Mine = expression(tanh(linear("h", h) + read("h")))\n')
    given = ["surface", "mine.py:Mine", "latch", "w_h=-1:1:2", "b_h=0:1:2", "--lengths", "2", "--order", "0"]
    assert cli.main([*given, "--out", "s.zarr"]) == 0
    assert "no parameter 'w_q'" in refused(capsys, *given, "--set", "w_q=1")


def test_an_experiment_of_the_package_refuses_in_one_sentence(folder, capsys):
    said = refused(capsys, "run", "odyssey", "--task", "foo")
    assert said.startswith("landscape: there is no task 'foo' that odyssey can train on; known: reber, adding")
    assert "every chunk failed; the first: ValueError: training needs" in refused(
        capsys, "run", "learning_rates", "--repeats", "0"
    )


@pytest.mark.parametrize(
    ("code", "words", "sentence"),
    [
        ('"""No run."""', "mine.py", "mine.py has no function run"),
        ("import nothing_of_that_name", "mine.py", "mine.py cannot be imported, line 1: ModuleNotFoundError"),
        (
            EXPERIMENT,
            "mine.py --sedes=3",
            r"no setting 'sedes' \(did you mean seeds\?\) of mine.py; known: seeds, noise",
        ),
        (EXPERIMENT, "mine.py --seeds=many", "seeds.*invalid literal.*many"),
    ],
)
def test_an_experiment_that_will_not_do_is_told_why(code, words, sentence, capsys, folder):
    (folder / "mine.py").write_text(code)
    said = " ".join(refused(capsys, "run", *words.split()).split())
    assert re.search(sentence, said), said
    assert not (folder / "results").exists()


def test_a_result_that_is_no_surface_is_shown_and_not_plotted(folder, capsys):
    store.save(xarray.Dataset({"rate": ("seed", np.array([0.5, np.inf]))}), folder / "r.zarr", {"seeds": 2})
    assert cli.main(["show", "r.zarr"]) == 0
    said = capsys.readouterr().out
    assert "seeds = 2" in said
    assert "0.5 to 0.5, 1 of 2 inf or NaN" in said
    assert "r.zarr is not a surface: it holds rate" in refused(capsys, "plot", "r.zarr")


def test_a_bug_keeps_its_traceback(folder):
    (folder / "mine.py").write_text('"""Fails."""\ndef run():\n    raise ValueError("inside")\n')
    with pytest.raises(ValueError, match="inside"):
        cli.main(["run", "mine.py"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("w=0:1:1000000000 b=0:1:1000000000", r"1000000000 x 1000000000 points .* are up to .* TB.*--yes"),
        ("w=0:1:20000 b=0:1:20000 --lengths 1:10", r"up to 64 GB on disk.*--yes"),
        ("w=0:1:10 b=0:1:10 --lengths 1:1000000000", r"TB on disk.*--yes"),
        ("w=0:1:10 b=0:1:10 --lengths 1000000000", r"128 GB of memory for the inputs.*--yes"),
    ],
)
def test_what_is_huge_is_refused_before_anything_is_allocated(words, sentence, capsys, folder):
    assert re.search(sentence, refused(capsys, "surface", "SRNN", "latch", *words.split()))
    assert list(folder.iterdir()) == []


def test_too_little_room_on_the_disk_is_said_before_anything_is_computed(capsys, folder, monkeypatch):
    monkeypatch.setattr(progress.shutil, "disk_usage", lambda path: SimpleNamespace(free=70_000))
    assert re.search(r"79 kB on disk, 70 kB are free in .*--yes", refused(capsys, *SMALL, "--out", "s.zarr"))
    assert list(folder.iterdir()) == []
    assert cli.main([*SMALL, "--out", "s.zarr", "--yes"]) == 0


def test_a_long_job_waits_for_yes_and_keeps_its_blocks(capsys, folder, monkeypatch):
    monkeypatch.setattr(devices, "block_shape", lambda *_: (5, 41))
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    said = refused(capsys, *SMALL, "--out", "s.zarr")
    assert re.search(r"this would take about .*; add --yes to go on; \d of 8 blocks are safe in s.zarr", said)
    assert store.blocks_done("s.zarr")[0] > devices.threads()
    assert cli.main([*SMALL, "--out", "s.zarr", "--yes"]) == 0
    store.open_surface("s.zarr")


# Bad places


def half(path, monkeypatch):
    """A surface of which one block of two is done."""

    class Stop(Exception):
        pass

    def stop(state):
        raise Stop("enough")

    made = plane(SRNN(), w=np.linspace(-3, 3, 40), b=np.linspace(-2, 2, 41))
    monkeypatch.setenv("NPROC", "1")  # with more cores more blocks are under way
    with pytest.raises(Stop, match="enough"):
        surface(made, latch(), (1, 2, 5), episodes=2, out=path, progress=stop)


def test_a_store_of_other_settings_is_never_touched(finished, capsys):
    before = {f: f.read_bytes() for f in finished[0].rglob("*") if f.is_file()}
    said = refused(capsys, *SMALL, "--out", finished[0], "--seed", "1", "--set", "u=2")
    assert "held.u: 1.0 there, 2.0 asked" in said
    assert "seed: 0 there, 1 asked" in said
    assert before == {f: f.read_bytes() for f in finished[0].rglob("*") if f.is_file()}


def test_an_incomplete_store_is_not_drawn(capsys, folder, monkeypatch):
    half(folder / "s.zarr", monkeypatch)
    assert "1 of 2 blocks are done; run the command that began it" in refused(capsys, "plot", "s.zarr")


@pytest.mark.parametrize("verb", [("show",), ("plot",), (*SMALL, "--out")])
def test_what_is_not_a_store_is_said_and_left_alone(verb, capsys, folder):
    (folder / "file").write_text("mine")
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("mine")
    xarray.Dataset({"a": 1}).to_zarr(folder / "foreign.zarr", consolidated=False)
    assert "file is a file, not a store" in refused(capsys, *verb, "file")
    assert "without a zarr.json" in refused(capsys, *verb, "full")
    assert "landscape did not write" in refused(capsys, *verb, "foreign.zarr")
    assert (folder / "file").read_text() == (folder / "full" / "mine.txt").read_text() == "mine"


@optimised
def test_damage_is_named_and_mended_by_the_same_command(capsys, folder, finished):
    assert cli.main([*SMALL, "--out", "s.zarr"]) == 0
    chunk = folder / "s.zarr" / "loss" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    for verb in ("show", "plot"):
        assert "s.zarr/loss/c/0/0/0 cannot be read" in refused(capsys, verb, "s.zarr")
    chunk.unlink()
    assert "lacks files of 1 of its blocks" in refused(capsys, "show", "s.zarr")
    assert cli.main([*SMALL, "--out", "s.zarr"]) == 0
    same(store.open_surface("s.zarr"), store.open_surface(finished[0]))


def test_a_folder_that_cannot_be_made_is_said(capsys, folder):
    (folder / "file").write_text("mine")
    assert "file/s.zarr cannot be written" in refused(capsys, *SMALL, "--out", "file/s.zarr")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said(capsys, folder):
    folder.chmod(0o555)
    try:
        assert "s.zarr cannot be written: Permission denied" in refused(capsys, *SMALL, "--out", "s.zarr")
    finally:
        folder.chmod(0o755)


@optimised
def test_a_disk_that_fills_up_keeps_what_is_done(capsys, folder, monkeypatch, finished):
    write = store.BlockWriter.write

    def full(self, index, results):
        if self.fresh == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, index, results)

    monkeypatch.setattr(store.BlockWriter, "write", full)
    monkeypatch.setenv("NPROC", "1")
    said = refused(capsys, *SMALL, "--out", "s.zarr")
    assert re.search("No space left on device; 1 of 2 blocks are safe in s.zarr, and the same command resumes", said)
    monkeypatch.setattr(store.BlockWriter, "write", write)
    assert cli.main([*SMALL, "--out", "s.zarr"]) == 0
    same(store.open_surface("s.zarr"), store.open_surface(finished[0]))


# Interruptions: processes of their own, on a job of 16 blocks


SIXTEEN = ("surface", "SRNN", "latch", "w=-3:3:128", "b=-2:2:128")


# A job in the background ignores interrupts; this one is to hear them.
HEARD = """
import signal, sys
from landscape.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


def start(path):
    command = [sys.executable, "-c", HEARD, *SIXTEEN, "--lengths", "500,2000", "--out", path]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def await_blocks(path, process):
    """Wait until a block is done."""
    while process.poll() is None and not any((path / "blocks" / "record").glob("c.*.0")):
        time.sleep(0.02)


@optimised
def test_ctrl_c_says_what_is_safe_and_the_same_command_resumes(folder):
    path = folder / "s.zarr"
    process = start(path)
    await_blocks(path, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    found = re.search(r"stopped: (\d+) of (16) blocks are safe in .*, and the same command resumes", said)
    assert found, said
    assert "Traceback" not in said
    assert store.blocks_done(path) == (int(found[1]), int(found[2]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The long job, uninterrupted."""
    path = tmp_path_factory.mktemp("whole") / "s.zarr"
    start(path).communicate()
    return store.open_surface(path).load()


@optimised
@pytest.mark.slow
@pytest.mark.parametrize("times", [3, 20])
def test_a_killed_command_resumes_to_the_same_bits(folder, whole, times):
    path, rng, left = folder / "s.zarr", np.random.default_rng(times), 0
    for k in range(times):
        process = start(path)
        if k % 2:  # else at any moment: while it compiles, makes the store, or computes
            await_blocks(path, process)
        time.sleep(rng.uniform(0, 0.3 if k % 2 else 4))
        process.kill()
        process.communicate()
        done = store.blocks_done(path)[0] if path.exists() else 0
        assert done >= left
        left = done if done < 16 else 0
        if done == 16:
            path.rename(folder / f"{k}.zarr")
    process = start(path)
    _, said = process.communicate()
    assert process.returncode == 0, said
    same(store.open_surface(path), whole)


@optimised
def test_the_number_of_devices_changes_no_value(folder):
    """Two devices, gates and second derivatives: `test_surfaces`. These three get blocks in turn."""
    words = *SIXTEEN, "--lengths", "5,20", "--order", "0"
    assert cli.main([*words, "--out", "one.zarr"]) == 0
    flags = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=3"}
    subprocess.run([sys.executable, "-m", "landscape", *words, "--out", "s.zarr"], env=os.environ | flags, check=True)
    ds = store.open_surface("s.zarr")
    assert ds.attrs["device"].startswith("3 x")
    assert store.blocks_done("s.zarr") == (16, 16)
    same(ds, store.open_surface("one.zarr"))


@optimised
def test_compiled_programs_are_kept_between_commands_where_the_user_keeps_caches(folder, finished):
    kept = []
    ours = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    for name in ("one", "two"):
        command = [sys.executable, "-m", "landscape", *SMALL, "--out", f"{name}.zarr"]
        subprocess.run(command, env={**ours, "XDG_CACHE_HOME": str(folder / "cache")}, check=True)
        same(store.open_surface(folder / f"{name}.zarr"), store.open_surface(finished[0]))
        kept.append({file.name for file in (folder / "cache" / "landscape").rglob("*-cache")})
    assert kept[0] == kept[1]
    assert kept[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--at", "length=999"), "the surface has no length 999; it has 1 to 5"),
        (("--at", "figsize=1"), "--at holds a dimension of the surface, and 'figsize' is none; it has length, w, b"),
    ],
)
def test_what_is_held_is_a_dimension_that_the_surface_has(finished, folder, capsys, words, sentence):
    assert cli.main(["plot", str(finished[0]), *words, "--out", "a.png"]) == 2
    assert sentence in capsys.readouterr().err
    assert not (folder / "a.png").exists()


@pytest.mark.parametrize("least", ["-1", "1", "nan"])
def test_a_share_of_the_range_is_one(finished, folder, capsys, least):
    assert cli.main(["cliffs", str(finished[0]), "--least", least]) == 2
    assert "--least is a share of the range of the loss, from 0 up to 1" in capsys.readouterr().err


def test_commands_that_are_named_next_can_be_given(folder, capsys):
    line = "surface", "SRNN", "latch", "w=-1:1:3", "--lengths", "1:4", "--order", "2", "--out", "line.zarr"
    for verb in (line, ("show", "line.zarr"), ("status", "line.zarr")):
        assert cli.main([*verb]) == 0
        assert capsys.readouterr().out.endswith("Next: landscape plot line.zarr --kind profile\n")
    store.save(xarray.Dataset({"rate": ("seed", np.array([0.5]))}), "r.zarr", {})
    assert cli.main(["show", "r.zarr"]) == 0
    assert "Next" not in capsys.readouterr().out


def test_a_sweep_without_a_finished_chunk_is_not_offered_as_a_figure(folder, capsys):
    sweeps.fill(sweeps.plan(told, {"seed": [0, 1]}), "s.zarr", shard=(0, 2))
    assert cli.main(["show", "s.zarr"]) == cli.main([]) == 0
    assert capsys.readouterr().out.count("landscape plot s.zarr") == 2
    Path("s.zarr/results").rename("elsewhere")  # as it is before the first chunk
    assert [command[0] for command in guide.now("s.zarr")] == ["status"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("plot SWEEP --kind animation", "--kind is not for a sweep, which takes --at, --along, --variable, --lines"),
        ("plot SWEEP --lengths 5", "--lengths is not for a sweep"),
        ("plot SURFACE --along w", "--along is not for a surface drawn as formation, which takes --kind, --lengths"),
        ("plot SURFACE --kind surface3d --along w", "--along is not for a surface drawn as surface3d"),
        ("plot SURFACE --lines w", "--lines is not for a surface drawn as formation"),
        ("plot SPECTRUM --at w=1", "--at is not for a spectrum, which takes none of --kind, --lengths, --at, --along"),
        ("plot SPECTRUM --kind profile", "--kind is not for a spectrum"),
        ("plot SPECTRUM --lengths 2", "--lengths is not for a spectrum"),
        ("plot SPECTRUM --along w", "--along is not for a spectrum"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(finished, folder, capsys, words, sentence):
    sweeps.fill(sweeps.plan(told, {"seed": [0]}), "SWEEP")
    (folder / "SURFACE").symlink_to(finished[0], target_is_directory=True)
    store.save(xarray.Dataset({"residual": ("rank", np.zeros(1))}, attrs={"title": "mine"}), "SPECTRUM", {})
    before = set(folder.iterdir())
    assert sentence in refused(capsys, *words.split())
    assert set(folder.iterdir()) == before


def told(*, seed: int):
    return xarray.Dataset({"x": ((), float(seed))})


def test_a_result_of_other_settings_is_moved_or_removed_since_an_experiment_is_given_no_path(folder, capsys):
    store.save(xarray.Dataset({"x": 1.0}), "results/room.zarr", {"seed": 1})
    said = refused(capsys, "run", "room", "--seed", "2")
    assert "seed: 1 there, 2 asked" in said
    assert "move or remove that one" in said
    assert "another path" not in said


def test_a_spectrum_of_a_small_model_is_whole_unless_told_otherwise(folder, capsys):
    pytest.importorskip("matfree", reason="the extra 'curvature' is not installed")
    (folder / "mine.py").write_text(FOUR)
    assert cli.main(["spectrum", "mine.py:net"]) == 0
    assert store.open_surface("net-spectrum.zarr")["value"].shape == (4,)


def test_too_few_processes_are_not_said_to_be_too_many_answers(folder, capsys):
    (folder / "s.toml").write_text("run = 'room'\naxes = {noise = [0.1]}")
    said = refused(capsys, "sweep", "s.toml", "--workers=-1")
    assert "--workers is a number of processes, from 0 up; given -1" in said


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("net", "cell mine.py:net cannot be made, line 2: TypeError: inside"),
        ("other", "cell mine.py:other cannot be made, line 4: KeyError: 'inside'"),
        ("needy", "missing 1 required positional argument: 'x'; give each of its parameters a default"),
    ],
)
def test_an_error_inside_of_a_users_function_is_told_with_its_line(folder, capsys, name, sentence):
    bodies = {"net()": "raise TypeError('inside')", "other()": "raise KeyError('inside')", "needy(x)": "return x"}
    (folder / "mine.py").write_text("".join(f"def {head}:\n    {body}\n" for head, body in bodies.items()))
    assert sentence in refused(capsys, "surface", f"mine.py:{name}", "latch", "a=0:1:2", "--lengths", "2")


def test_one_thing_is_not_told_as_several(folder, capsys):
    words = "surface", "SRNN", "latch", "w=0:1:2", "b=0:1:2", "--lengths", "2", "--order", "0", "--out", "s.zarr"
    assert cli.main([*words]) == cli.main(["status", "s.zarr"]) == 0
    said = capsys.readouterr().out
    assert "2 x 2 points at 1 length: " in said
    assert ", 1 length over w, b" in said
    assert "1 of 1 block is done" in said


def test_ctrl_c_while_jax_is_imported_leaves_at_once_and_is_an_exception_otherwise(monkeypatch, capsys):
    left = []
    monkeypatch.setattr(cli.os, "_exit", left.append)
    with pytest.raises(KeyboardInterrupt):
        cli.stopped(signal.SIGINT, None)
    assert left == []
    spec = types.SimpleNamespace(_initializing=True)  # as importlib says it
    monkeypatch.setitem(sys.modules, "jax", types.SimpleNamespace(__spec__=spec))
    with pytest.raises(KeyboardInterrupt):  # here nothing leaves
        cli.stopped(signal.SIGINT, None)
    assert left == [130]
    assert capsys.readouterr().err == "stopped\n"


def test_a_command_looks_for_cycles_seldom_and_not_at_its_end_and_what_imports_it_as_before(monkeypatch):
    changed = []
    monkeypatch.setattr(cli.gc, "set_threshold", lambda *given: changed.append(given))
    monkeypatch.setattr(cli.atexit, "register", changed.append)
    monkeypatch.setattr(cli, "keep_programs", lambda: None)
    cli.main(["list"])
    assert changed == []
    monkeypatch.setattr(sys, "argv", ["landscape", "list"])
    cli.main()
    assert changed == [(100_000,), cli.gc.freeze]

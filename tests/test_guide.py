"""The first minute: what a folder offers, what comes next, and pages that explain."""

import importlib
import inspect
import json
import re
import shlex

import pytest
from test_examples import commands, parsed

from landscape import cli, plane, store
from landscape.cells import SRNN
from landscape.cli import guide
from landscape.surfaces import surface
from landscape.tasks import latch

PLANE = {"w": (0.0, 1.0, 2.0), "b": (-1.0, 0.0, 1.0)}
SWEEP = 'run = "room"\nseeds = 2\n[axes]\nnoise = [0.1, 0.2]\n'
MINE = """
import landscape, sys
open("ran", "w").close()

class Sine(landscape.Cell):
    w: float = 1.0
    b: float = 0.0

def digits():
    return 1, {}, 3

def helper(x):
    return x

def run(seeds=3):
    return None
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small surface, in a store."""
    path = tmp_path_factory.mktemp("made") / "my wall.zarr"
    surface(plane(SRNN(), **PLANE), latch(), [1, 4], order=0, episodes=2, out=path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def suggested(text):
    """The commands that an output ends with."""
    last = text.rstrip("\n").split("\nNext: ")[-1] if "\nNext: " in text else text.removeprefix("Next: ")
    return [line.strip() for line in last.split("\n")]


def test_an_empty_folder_is_told_how_to_begin(folder, capsys):
    assert cli.main([]) == 0
    said = capsys.readouterr().out
    first, second = commands(said)
    assert (first, second.split()[1]) == ("landscape explore", "surface")
    assert "landscape help" in said
    assert list(folder.iterdir()) == []


def test_a_folder_is_told_what_can_be_done_with_what_lies_in_it_and_none_of_it_is_run(folder, made, capsys):
    (folder / "results").symlink_to(made.parent, target_is_directory=True)
    (folder / "mine.py").write_text(MINE)
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "rates.toml").write_text(SWEEP)
    (folder / "other.toml").write_text("[project]\nname = 'x'\n")
    (folder / "foreign.zarr").mkdir()
    assert cli.main([]) == 0
    said = commands(capsys.readouterr().out)
    word = "'results/my wall.zarr'"
    assert said[:-2] == [
        f"landscape explore {word}",
        f"landscape plot {word}",
        "landscape sweep rates.toml --dry",
        "landscape sweep rates.toml",
        "landscape surface mine.py:Sine latch w=-3:3:101 b=-2:2:101",
        "landscape surface mine.py:digits a=-1:1:51 b=-1:1:51 --order 2",
        "landscape run mine.py --help",
    ]
    for line in said:
        if "mine.py --help" not in line:
            parsed(line)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("kind", "about", "verbs"),
    [
        ("surface", {"axes": {"w": {}, "b": {}}, "order": 2, "lengths": [1, 2]}, ["explore", "cliffs"]),
        ("surface", {"axes": {"w": {}, "b": {}}, "order": 1, "lengths": [1, 2]}, ["explore", "plot"]),
        ("surface", {"axes": {"w": {}}, "order": 2, "lengths": [1]}, ["plot"]),  # a cliff is a line
        ("surface", {"axes": {"a": {}, "b": {}}, "order": 2}, ["explore", "plot"]),  # of a risk without lengths
        ("sweep", {}, ["plot", "status"]),
        ("result", {}, ["show"]),
    ],
)
def test_what_is_of_use_on_a_store_follows_from_what_it_holds(kind, about, verbs, monkeypatch):
    monkeypatch.setattr(store, "kind", lambda path: kind)
    monkeypatch.setattr(store, "attributes", lambda path: {"complete": True, "settings": json.dumps(about)})
    assert [command[0] for command in guide.after("s.zarr")] == verbs
    monkeypatch.setattr(store, "attributes", lambda path: {"complete": False, "settings": json.dumps(about)})
    if kind == "surface":
        assert guide.after("s.zarr") == [("status", "s.zarr")]


def test_of_many_things_the_newest_stores_are_spoken_of(folder, capsys):
    for k in range(9):
        (folder / f"sweep{k}.toml").write_text(SWEEP)
    cli.main([])
    said = capsys.readouterr().out
    assert "... and 3 more here" in said
    assert len(commands(said)) == 2 * 6 + 2


@pytest.mark.parametrize("name", sorted(set(cli.VERBS) - {"completion"}))  # whose output is a script for a shell
def test_every_verb_says_what_is_of_use_next(name):
    """By its text: what it says is seen below for those that take a second."""
    verb = cli.VERBS[name]
    assert "then(" in inspect.getsource(verb)


@pytest.mark.parametrize(
    "words",
    [
        "plot STORE --out wall.png --lengths 4",
        "show STORE",
        "status STORE",
        "basins STORE --at length=4",
        "explore STORE --no-open",
        "list",
        "devices",
    ],
)
def test_the_last_line_of_a_command_is_one_that_can_be_typed(words, made, folder, capsys):
    assert cli.main([str(made) if word == "STORE" else word for word in words.split()]) == 0
    said = capsys.readouterr().out
    assert "\nNext: landscape " in said
    for line in suggested(said):
        parsed(line)
        assert shlex.split(line)[1] != words.split()[0]


def test_every_page_has_a_title_commands_that_parse_and_explains_what_there_is():
    for topic, page in guide.pages().items():
        assert len(page.title) > 3
        assert page.explains, topic
        for name in page.explains:
            assert found(name) is not None
        for line in commands(page.text):
            parsed(line)
        assert max(map(len, page.text.splitlines())) <= 130, topic


def found(name):
    """The module, class or function of a dotted name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, last = name.rpartition(".")
        return getattr(found(module), last)


def test_help_prints_the_page_of_a_topic_the_manual_of_a_verb_and_a_list_for_others(capsys):
    for topic, page in guide.pages().items():
        assert cli.main(["help", topic]) == 0
        assert capsys.readouterr().out.startswith(f"{page.title}\n====")
    assert cli.main(["help", "plot"]) == 0
    assert "usage: landscape plot" in capsys.readouterr().out
    assert cli.main(["help"]) == 0
    manual = capsys.readouterr().out
    assert all(re.search(rf"^  {word} ", manual, re.M) for word in (*cli.VERBS, *guide.pages()))
    assert cli.main(["help", "lenghts"]) == 2
    assert "there is no topic 'lenghts' (did you mean lengths?); known: cells" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "topic"),
    [
        ("surface SRNN latch w=0:1:2 --lengths 5,3", "lengths"),
        ("surface SRN latch w=0:1:2", "cells"),
        ("surface SRNN lach w=0:1:2", "tasks"),
        ("surface SRNN latch w=3:1:2", "ranges"),
        ("show nowhere.zarr", "stores"),
        ("run nothing", "sweeps"),
        ("surface nowhere:x a=0:1:2 b=0:1:2", "models"),
        ("surface SRNN latch w=0:1:999 b=0:1:99999 --lengths 1:9999", "limits"),
    ],
)
def test_an_error_names_the_page_that_explains(words, topic, folder, capsys):
    assert cli.main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.endswith(f" (landscape help {topic})\n")
    assert said.count("\n") == 1


def test_an_error_that_no_page_explains_names_none(folder, capsys):
    assert cli.main(["surfaces"]) == 2
    assert "landscape help" not in capsys.readouterr().err

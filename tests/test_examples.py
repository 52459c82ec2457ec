"""What is shown works: every block of README and CONTRIBUTING, every example in a manual or a docstring.

Commands run in the order shown, in one folder that holds the files that the two texts spell out. Lines for clusters and
those with names to be filled in are parsed alone.
"""

import contextlib
import doctest
import functools
import importlib
import inspect
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import landscape
from landscape import cli, names
from landscape.cli import guide
from landscape.cli.arguments import parse
from landscape.cli.experiments import run, settings_of

ROOT = names.shipped("experiments").parent
TEXTS = {name: (ROOT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md")}
LONG = (
    "cliffs",
    "explore",
    "run",
    "status",
    "sweep",
    "verify",
)  # verbs whose examples take more than 5 s, or follow one


def blocks(kind: str, text: str = "README.md") -> list[str]:
    """The blocks of a text between fences that are marked as ``kind``."""
    return [code for mark, code in re.findall(r"^```(\w*)\n(.*?)^```$", TEXTS[text], re.M | re.S) if mark == kind]


def commands(text: str) -> list[str]:
    """Every line that is a command of ours, without what explains it."""
    found = re.findall(r"^ *((?:landscape|make) .*?)(?: {2,}.*| *\||$)", text, re.M)
    return [line.partition(" #")[0].strip() for line in found]


SHOWN = [line for block in blocks("") for line in commands(block) if line.startswith("landscape")]
OTHERS = {line for block in blocks("sh") for line in (*commands(block), *re.findall(r"landscape sweep [^'\n]+", block))}
INLINE = {
    line for text in TEXTS.values() for line in re.findall(r"`(landscape [a-z][^`]*)`", text) if "NAME" not in line
}
MANUALS = {line for verb in cli.VERBS.values() for line in commands(inspect.getdoc(verb) or "")}
QUESTIONS = {line for file in names.experiments().values() for line in commands(file.read_text("utf-8"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the texts show: a cell of one's own, and a sweep."""
    made = tmp_path_factory.mktemp("shown")
    (made / "mine.py").write_text(blocks("python", "CONTRIBUTING.md")[0])
    for block in blocks("toml"):
        (made / re.findall(r"# (\w+\.toml)", block)[0]).write_text(block)
    return made


@functools.cache
def done(line: str) -> int:
    """The exit code of a command; each runs once."""
    return cli.main(shlex.split(line)[1:])


def long(line: str) -> bool:
    """Whether a command takes more than 5 s, or needs what such a one leaves in results/."""
    return line.split()[1] in LONG or "results/" in line


@pytest.mark.parametrize("line", [pytest.param(x, marks=[pytest.mark.slow] * long(x)) for x in SHOWN])
def test_every_command_of_the_readme_runs_in_the_order_shown(line, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    for earlier in SHOWN[: SHOWN.index(line)]:
        assert long(earlier) or done(earlier) == 0
    assert done(line) == 0


@pytest.mark.parametrize(
    "code", [pytest.param(x, marks=[pytest.mark.slow] * ("curves" in x or "Risk" in x)) for x in blocks("python")]
)
def test_every_block_of_python_in_the_readme_runs_alone(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "shown"})


def parsed(line: str) -> None:
    """Raise, or exit, unless the words of a command make sense."""
    verb, *words = shlex.split(line)[1:]
    if verb == "help":
        guide.page(words[0])
        return
    known = cli.VERBS[verb]
    if known is run:
        settings_of(names.experiment(words[0]), words[0], words[1:])
    else:
        parse(functools.wraps(known)(lambda *_, **__: None), line, "", words)


@pytest.mark.parametrize("line", sorted({*SHOWN, *OTHERS, *INLINE, *MANUALS, *QUESTIONS}))
def test_every_command_that_is_shown_anywhere_can_be_parsed(line, folder, monkeypatch):
    monkeypatch.chdir(folder)
    if len(line.split()) == 2 or "ideas/mine.py" in line:
        assert line.split()[1] in {"help", *cli.VERBS}  # the name of a verb, or a file that nobody has
        return
    with contextlib.ExitStack() as stack:
        if "--help" in line:
            stack.enter_context(pytest.raises(SystemExit, match="0"))
        parsed(line)


def test_every_command_of_make_is_a_target():
    made = {line.split()[1] for text in TEXTS.values() for line in commands(text) if line.startswith("make")}
    made |= {name for text in TEXTS.values() for name in re.findall(r"`make ([\w-]+)`", text)}
    assert (
        {"demo", "test", "check", "bench"}
        <= made
        <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    )


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(landscape.__path__, "landscape."):
        if not found.name.endswith("__main__") and ".shipped" not in found.name:
            yield found.name


def test_every_example_in_a_docstring_answers_as_it_says():
    tried = [doctest.testmod(importlib.import_module(name)) for name in modules()]
    assert sum(result.failed for result in tried) == 0 < sum(result.attempted for result in tried)


def test_files_that_a_text_names_are_there():
    for text in TEXTS.values():
        for name in re.findall(r"`((?:landscape|experiments|figures|benchmarks|tests)/[\w./]*)`|\]\(([\w./]+)\)", text):
            assert (ROOT / "".join(name)).exists(), name

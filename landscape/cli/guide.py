"""The first minute: what to try in this folder, what to do with a store, and the pages that explain."""

import ast
import functools
import inspect
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from landscape import names

PAGES = Path(__file__).parent / "pages"
MOST = 6  # things of a folder that are spoken of
START = ("explore",), ("surface", "SRNN", "latch", "w=-3:3:101", "b=-2:2:101", "--order", "2", "--out", "cliffs.zarr")

Command = tuple[str, ...]


class Page(NamedTuple):
    """A page that explains a topic: its title, the names in this package whose errors it explains, its text."""

    title: str
    explains: tuple[str, ...]
    text: str


@functools.cache
def pages() -> dict[str, Page]:
    """Pages by topic: one file each, whose first line is a title and whose second says what it explains."""
    found = {}
    for file in sorted(PAGES.glob("*.md")):
        title, explains, text = file.read_text("utf-8").split("\n", 2)
        found[file.stem] = Page(title.removeprefix("# "), tuple(explains.strip("<!-> ").split()[1:]), text.strip())
    return found


def page(topic: str) -> str:
    """The page of a topic. Raises ValueError, with the list, where there is none."""
    if topic not in pages():
        raise names.unknown("topic", topic, pages())
    title, _, text = pages()[topic]
    return f"{title}\n{'=' * len(title)}\n{text}"


def topics() -> str:
    """The topics, one a line."""
    return "\n".join(f"  {topic:<12}{found.title}" for topic, found in pages().items())


def topic_of(trace: TracebackType | None) -> str:
    """The topic that explains an error: that of the innermost function which a page names; empty if none does."""
    found = ""
    while trace is not None:
        frame = trace.tb_frame
        name = f"{frame.f_globals.get('__name__', '')}.{frame.f_code.co_qualname}."
        fitting = [topic for topic, about in pages().items() if any(name.startswith(f"{e}.") for e in about.explains)]
        found = fitting[0] if fitting else found
        trace = trace.tb_next
    return found


def after(path: Path | str) -> list[Command]:
    """Commands that are of use on a store, by what it holds. Raises store.StoreError unless it is one."""
    from landscape import store

    word, kind, about = str(path), store.kind(path), store.attributes(path)
    if kind == "result":
        return [("show", word)]
    if kind == "sweep":
        return [("plot", word), ("status", word)]
    if not about["complete"]:
        return [("status", word)]
    settings = json.loads(about["settings"])
    axes = len(settings["axes"])
    cliffs = axes == 2 and settings.get("order") == 2 and "lengths" in settings  # a cliff grows with the length
    return [("explore", word), ("cliffs", word, "--plot")] if cliffs else pictures(path, axes)


def now(path: Path | str) -> list[Command]:
    """The commands of `after` that can be given already: a sweep has a figure from its first finished chunk on."""
    from landscape import store

    begun = store.kind(path) != "sweep" or (Path(path) / "results").exists()
    return [command for command in after(path) if begun or command[0] != "plot"]


def pictures(path: Path | str, axes: int) -> list[Command]:
    """Commands that draw a surface of so many coordinates: of one there is a profile alone."""
    word = str(path)
    plot = ("plot", word, "--kind", "profile") if axes == 1 else ("plot", word)
    return [*([("explore", word)] * (axes == 2)), plot]


def start(folder: Path) -> str:
    """What to try first: with the stores, sweeps and Python files of a folder, or where there is nothing yet."""
    found = [*_stores(folder), *_sweeps(folder), *_modules(folder)]
    lines = ["Loss landscapes of recurrent cells: exact surfaces at every sequence length.", ""]
    for about, commands in found[:MOST]:
        lines += [about, *(_line(command) for command in commands), ""]
    if len(found) > MOST:
        lines += [f"... and {len(found) - MOST} more here", ""]
    about = (
        "Something new:"
        if found
        else "To begin: Pascanu's wall in seconds, as a page to zoom into; then a surface of your own."
    )
    rest = (
        "`landscape list` shows cells, tasks and experiments, `landscape help` all verbs and the topics of its pages."
    )
    return "\n".join([*lines, about, *(_line(command) for command in START), "", rest])


def _line(command: Command) -> str:
    return f"  landscape {shlex.join(command)}"


def _stores(folder: Path) -> Iterator[tuple[str, list[Command]]]:
    """Stores here and in results/, the newest first."""
    paths = [path for path in (*folder.glob("*.zarr"), *folder.glob("results/*.zarr")) if path.is_dir()]
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        from landscape import store

        word = path.relative_to(folder)
        try:
            yield f"{word}, a {store.kind(path)}:", [(verb, str(word), *rest) for verb, _, *rest in now(path)]
        except ValueError:  # of another program, or damaged: `landscape show` says how
            continue


def _sweeps(folder: Path) -> Iterator[tuple[str, list[Command]]]:
    """Files that describe a sweep."""
    import tomllib

    for path in sorted(folder.glob("*.toml")):
        try:
            about = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            continue
        if "run" in about and "axes" in about:
            yield f"{path.name}, a sweep:", [("sweep", path.name, "--dry"), ("sweep", path.name)]


def _modules(folder: Path) -> Iterator[tuple[str, list[Command]]]:
    """Python files with a cell, an experiment or a model, as far as their text says; none is run."""
    for path in sorted(folder.glob("*.py")):
        try:
            made = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        if commands := [command for node in made.body for command in _offered(path.name, node)]:
            yield f"{path.name}:", commands


def _offered(file: str, node: ast.stmt) -> Iterator[Command]:
    """What can be done with a class or function of a file."""
    if isinstance(node, ast.ClassDef) and any(ast.unparse(base).split(".")[-1] == "Cell" for base in node.bases):
        fields = [ast.unparse(item.target) for item in node.body if isinstance(item, ast.AnnAssign)]
        if len(fields) > 1:
            yield "surface", f"{file}:{node.name}", "latch", f"{fields[0]}=-3:3:101", f"{fields[-1]}=-2:2:101"
    if isinstance(node, ast.FunctionDef) and node.name == "run":
        yield "run", file, "--help"
    if isinstance(node, ast.FunctionDef) and not node.args.args and _triple(node.body[-1]):
        yield "surface", f"{file}:{node.name}", "a=-1:1:51", "b=-1:1:51", "--order", "2"


def _triple(node: ast.stmt) -> bool:
    """Whether a statement returns three things, as a model does: parameters, directions and a risk."""
    return isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3


def manual(verbs: dict) -> str:
    """What the whole command says about itself."""
    lines = [f"  {name:<12}{(inspect.getdoc(verb) or '').splitlines()[0]}" for name, verb in verbs.items()]
    return "\n".join(
        [
            "usage: landscape VERB ...",
            "",
            "Loss landscapes of recurrent cells: exact surfaces at every sequence length.",
            "",
            *lines,
            "",
            "pages, by `landscape help TOPIC`:",
            topics(),
            "",
            "examples:",
            "  landscape surface SRNN latch w=-3:3:201 b=-2:2:201 --lengths 1:200 --out cliffs.zarr",
            "  landscape plot cliffs.zarr",
            "  landscape show cliffs.zarr",
            "",
            "`landscape VERB --help` tells the rest. `landscape --version` prints the version.",
        ]
    )

"""A page for each room of the package: ``.. room:: landscape.cliffs`` with its public names, one a line.

The names stand in the page, in the order in which they are best read, and a test compares them with the package. The
directive makes a table of them, a line each, and then each one in full from its docstring. This needs no Sphinx.
"""

import importlib
import inspect
import re
import types
from collections.abc import Iterable
from pathlib import Path

PAGES = Path(__file__).parents[1] / "reference"


def public(room: str) -> list[str]:
    """The public names of a module: its ``__all__``, or what it and its own modules define."""
    module = importlib.import_module(room)
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and (getattr(value, "__module__", None) or "").startswith(room)
    ]
    return list(getattr(module, "__all__", own))


def listed() -> dict[str, list[str]]:
    """What the pages list: room -> names."""
    found = {}
    for page in sorted(PAGES.glob("*.rst")):
        for room, body in re.findall(r"^\.\. room:: (\S+)\n\n((?: +.*\n)+)", page.read_text("utf-8"), re.M):
            found[room] = body.split()
    return found


def lines(room: str, names: Iterable[str]) -> list[str]:
    """The source of a room's part of a page: a table of its names, a line each, and then each in full."""
    names, module = list(names), importlib.import_module(room)
    made = [f".. currentmodule:: {room}", "", *table((f"`{name}`", brief(getattr(module, name))) for name in names)]
    for name in names:
        value = getattr(module, name)
        made += constant(f"{room}.{name}", value) if plain(value) else [f".. {kind(value)}:: {room}.{name}"]
        made += ["   :no-value:", ""] if kind(value) == "autodata" else [""]
    return made


def table(rows: Iterable[tuple[str, str]]) -> list[str]:
    """A table of names and what they are."""
    made = [".. list-table::", "   :widths: 30 70", "   :header-rows: 1", "", "   * - name", "     - what it is"]
    return made + [line for name, text in rows for line in (f"   * - {name}", f"     - {text}")] + [""]


def brief(value: object) -> str:
    """The first sentence of what a value says about itself."""
    if plain(value):
        return f"A {type(value).__name__}."
    first = " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())
    sentence = re.match(r"(?:``.*?``|`.*?`|.)*?[.:?](?= [A-Z`]|$)", first)
    return escaped((sentence[0] if sentence else first).rstrip(":"))


def escaped(text: str) -> str:
    """Prose in which no sign means anything to reStructuredText but backticks: ``|g|``, ``c * T`` stay as written."""
    parts = re.split(r"(``.+?``|`[^`]+`|(?<![\w*])\*\w+\*(?![\w*]))", text)  # code, names, a stressed word
    return "".join(part if k % 2 else re.sub(r"([*|]|(?<=\w)_(?!\w))", r"\\\1", part) for k, part in enumerate(parts))


def prose(text: Iterable[str]) -> list[str]:
    """The lines of a docstring as they are meant: their signs stay, their lists and examples too."""
    return [line if line.lstrip().startswith(">>>") else _escaped(*re.split(r"^( *[*-] |)", line)[1:]) for line in text]


def _escaped(bullet: str, rest: str) -> str:
    return bullet + escaped(rest)


def constant(name: str, value: object) -> list[str]:
    """The entry of a constant, with its value where that is short."""
    shown = repr(value)
    made = [f".. py:data:: {name}"] + ([f"   :value: {shown}"] if len(shown) < 80 else [])
    return [*made, "", f"   A {type(value).__name__}."]


def plain(value: object) -> bool:
    """Whether a value is a constant without words of its own."""
    return isinstance(value, str | tuple | dict | types.GenericAlias) and not isinstance(value, type)


def kind(value: object) -> str:
    """The directive of autodoc for a value."""
    if inspect.isclass(value) and issubclass(value, BaseException):
        return "autoexception"
    if inspect.isclass(value):
        return "autoclass"
    return "autofunction" if callable(value) and not isinstance(value, types.GenericAlias) else "autodata"


def top() -> list[str]:
    """A table of the names at the top of the package, each a link to the page of its room."""
    import landscape

    named = {name: getattr(landscape, name) for name in landscape.__all__}
    return table(
        (f"`ls.{name} <{home(value)}.{name}>`", brief(value))
        for name, value in named.items()
        if not isinstance(value, types.ModuleType)
    )


def home(value: object) -> str:
    """The room whose page lists a value."""
    module = getattr(value, "__module__", "")
    rooms = [room for room in listed() if module == room or module.startswith(f"{room}.")]
    return max(rooms, key=len, default=module)

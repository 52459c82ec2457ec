"""The directives of the site: ``room``, ``top``, ``commands``, ``thumbnails``; what is made before pages are read."""

import importlib
import inspect
from typing import Any

import commands
import gallery
import rooms
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from landscape import cli
from landscape.cli import guide


class Room(SphinxDirective):
    """``.. room:: landscape.cliffs`` is what the module says, a table of the names below it, and each in full."""

    required_arguments, has_content = 1, True

    def run(self) -> list[nodes.Node]:
        room = self.arguments[0]
        about = (inspect.getdoc(importlib.import_module(room)) or "").splitlines()
        text = [*rooms.prose(about), "", *rooms.lines(room, " ".join(self.content).split())]
        return self.parse_text_to_nodes(StringList(text, source=f"the room {room}"), allow_section_headings=True)


class Top(SphinxDirective):
    """``.. top::`` is a table of the names at the top of the package."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(StringList(rooms.top(), source="the top of the package"))


class Commands(SphinxDirective):
    """``.. commands::`` is a section for each verb, and for each topic of ``landscape help``."""

    def run(self) -> list[nodes.Node]:
        verbs = [section(verb, commands.describe(verb)) for verb in cli.VERBS]
        return verbs + [section(f"help {topic}", guide.page(topic)) for topic in guide.pages()]


def section(words: str, text: str) -> nodes.section:
    """What a command prints, under its own heading."""
    place = nodes.make_id(f"landscape {words}")
    made = nodes.section("", nodes.title("", f"landscape {words}"), ids=[place], names=[words])
    made += nodes.literal_block(text, text, language="text")
    return made


class Thumbnails(SphinxDirective):
    """``thumbnails`` is a list of all pictures, small, each a link to its page."""

    def run(self) -> list[nodes.Node]:
        return [nodes.bullet_list("", *map(card, gallery.entries()), classes=["gallery"])]


def card(entry: gallery.Entry) -> nodes.list_item:
    """A small picture and its title, both one link."""
    picture = nodes.image(uri=f"made/{entry.name}.webp", alt="")
    link = nodes.reference("", "", picture, nodes.inline("", entry.title), refuri=f"made/{entry.name}.html")
    return nodes.list_item("", nodes.paragraph("", "", link))


def meant(app: Sphinx, what: str, name: str, value: Any, options: Any, text: list[str]) -> None:
    """Docstrings as they are meant, see `rooms.prose`."""
    text[:] = rooms.prose(text)


def readable(app: Sphinx, what: str, name: str, value: Any, options: Any, given: str, returned: str) -> tuple | None:
    """Signatures with functions by their names, see `rooms.readable`."""
    return rooms.readable(given), rooms.readable(returned)


def passed_over(app: Sphinx, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Fields of named tuples, of which nothing is said but their number."""
    return True if type(value).__name__ == "_tuplegetter" else None


def at_home(app: Sphinx, env: Any, node: nodes.Element, shown: nodes.Node) -> nodes.Node | None:
    """A name at the top of the package, such as `landscape.Risk`, where the page of its room has it."""
    import landscape

    name = node.get("reftarget", "").removeprefix("landscape.")
    if node.get("refdomain") != "py" or name not in landscape.__all__ or not rooms.home(getattr(landscape, name)):
        return None
    found = f"{rooms.home(getattr(landscape, name))}.{name}"
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", found, node, shown)


def setup(app: Sphinx) -> dict[str, bool]:
    for name, made in {"room": Room, "top": Top, "commands": Commands, "thumbnails": Thumbnails}.items():
        app.add_directive(name, made)
    app.connect("builder-inited", lambda app: gallery.prepare())
    app.connect("autodoc-process-docstring", meant)
    app.connect("autodoc-process-signature", readable)
    app.connect("autodoc-skip-member", passed_over)
    app.connect("missing-reference", at_home)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""What a page loads is what it uses: style sheets without rules for what no page holds.

The theme brings all of Bootstrap and of an icon font; a page of ours uses a tenth. A rule stays if every class that one
of its selectors names occurs as a word in some page or script of the site.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DROPPED = ("_static/vendor", "_static/scripts/fontawesome.js", "_static/webpack-macros.html")
TOKEN = re.compile(r"""[{}]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")  # braces, and strings, whose braces do not count


def rules(sheet: str) -> Iterator[tuple[str, str]]:
    """(what stands before the braces, what stands in them) of each rule; the latter empty for ``@import ...;``."""
    at = 0
    while opening := re.compile(r"[{;]").search(sheet, at):
        head, depth, end = sheet[at : opening.start()], opening[0] == "{", opening.end()
        while depth:
            brace = TOKEN.search(sheet, end)
            if brace is None:
                return
            depth, end = depth + {"{": 1, "}": -1}.get(brace[0], 0), brace.end()
        yield head, sheet[opening.end() : end - 1] if opening[0] == "{" else ""
        at = end


def used(head: str, words: set[str]) -> bool:
    """Whether one selector of a list names only classes that occur."""
    return any(set(re.findall(r"\.(-?[a-zA-Z_][\w-]*)", one)) <= words for one in head.split(","))


def kept(head: str, words: set[str]) -> bool:
    """Whether a rule stays: not a font, not one of the theme's icons, whose place our own take."""
    if head.startswith("@"):
        return not head.startswith("@font-face")
    return ".fa" not in head and used(head, words)


def slimmed(sheet: str, words: set[str]) -> str:
    """A style sheet without the rules that meet no class of ``words``, and without the fonts of icons."""
    made = []
    for head, body in rules(re.sub(r"/\*.*?\*/", "", sheet, flags=re.S)):
        head = head.strip()
        if not body:
            made.append(f"{head};" if head.startswith("@") else "")
        elif head.startswith(("@media", "@supports")):
            inner = slimmed(body, words)
            made.append(f"{head}{{{inner}}}" if inner else "")
        elif kept(head, words):
            made.append(f"{head}{{{body}}}")
    return "".join(made)


def begin(app: "Sphinx") -> None:
    """Forget the slim sheets of the last build, which Sphinx would not replace."""
    shutil.rmtree(Path(app.outdir) / "_static", ignore_errors=True)


def signature(found: re.Match) -> str:
    """The parameters of a signature, a line each, as plain lines: they are a list of definitions of nothing."""
    return re.sub(r"<(/?)d[ld]>", r"<\1div>", found[0])


def finish(app: "Sphinx", error: Exception | None) -> None:
    """Slim the style sheets, drop what no page loads, and write signatures as lines."""
    if error or app.builder.name != "html":
        return
    out = Path(app.outdir)
    for page in (out / "reference").glob("*.html"):
        text = page.read_text("utf-8")
        page.write_text(re.sub(r'<span class="sig-paren">\(.*?<span class="sig-paren">\)', signature, text, flags=re.S))
    pages = [page.read_text("utf-8") for page in [*out.rglob("*.html"), *(out / "_static").rglob("*.js")]]
    words = set(re.findall(r"[\w-]+", "\n".join(pages)))
    for sheet in set((out / "_static").rglob("*.css")) - {out / "_static/site.css"}:
        sheet.write_text(slimmed(sheet.read_text("utf-8"), words), "utf-8")
    for file in [path for name in DROPPED for path in _files(out / name)] + list(out.rglob("*.map")):
        file.unlink()


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def setup(app: "Sphinx") -> dict[str, bool]:
    app.connect("builder-inited", begin, priority=1)
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The gallery, from ``figures/`` and ``experiments/``: a page for each picture, written from the docstrings.

A figure's docstring says what to read in it, its experiment's what is asked, by which commands, and which numbers are
expected. Pages are written into ``gallery/made`` before Sphinx reads them; nothing there is written by hand.
"""

import ast
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

from PIL import Image

HERE = Path(__file__).parents[1]
ROOT = HERE.parent
START = "cliff_formation"  # the picture of the start page


class Entry(NamedTuple):
    """One picture: its name, the docstrings of its figure and of its experiment, and other pictures of its store."""

    name: str
    figure: str
    experiment: str
    source: str
    others: list[Path]

    @property
    def title(self) -> str:
        """What the figure shows, in a line."""
        return re.split(r"[,;]? [Ff]rom (?:the (?:store|result) of )?``", self.figure)[0].splitlines()[0].rstrip(".")


def doc(path: Path) -> str:
    """The docstring of a Python file, which is not run."""
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


def entries() -> list[Entry]:
    """Every figure that has its picture here."""
    found = []
    for file in sorted((ROOT / "figures").glob("*.py")):
        if file.with_suffix(".png").exists():
            about = doc(file)
            source = next(iter(re.findall(r"experiments/(\w+)\.py", about)), file.stem)
            others = [p for p in sorted(file.parent.glob(f"{file.stem}_*")) if p.suffix in (".png", ".webp")]
            others = [p for p in others if not p.with_suffix(".py").exists()]
            found.append(Entry(file.stem, about, doc(ROOT / f"experiments/{source}.py"), source, others))
    return found


def paragraphs(text: str) -> list[str]:
    """A docstring as Markdown: prose with its signs kept, indented lines as they stand."""
    made = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.splitlines()
        for indented, group in _runs(lines):
            part = textwrap.dedent("\n".join(group))
            made.append(f"```text\n{part}\n```" if indented else plain(part))
    return made


def _runs(lines: list[str]) -> list[tuple[bool, list[str]]]:
    """Lines in runs of those that are indented and those that are not."""
    runs: list[tuple[bool, list[str]]] = []
    for line in lines:
        indented = line.startswith("    ")
        if runs and runs[-1][0] == indented:
            runs[-1][1].append(line)
        else:
            runs.append((indented, [line]))
    return runs


def plain(text: str) -> str:
    """Prose in which no sign means anything to Markdown but the backticks of code."""
    parts = re.split(r"(``.+?``|`[^`]+`)", text, flags=re.S)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_\[\]<>#$|{}~])", r"\\\1", part) for part in parts)


def commands(entry: Entry) -> list[str]:
    """The commands that make the store, and the one that draws it."""
    shown = re.findall(r"^ +(landscape run .*?)(?: {2,}.*)?$", entry.experiment, re.M)
    return [*(shown or [f"landscape run {entry.source}"]), f"python figures/{entry.name}.py"]


def reading(entry: Entry) -> list[str]:
    """What to read in the picture: the rest of its figure's docstring."""
    blocks = [b for b in re.split(r"\n\s*\n", entry.figure)[1:] if not b.strip().startswith("python figures/")]
    return paragraphs("\n\n".join(blocks).replace("Caption: ", ""))


def numbers(entry: Entry) -> list[str]:
    """The question and the numbers expected: the experiment's docstring without its commands."""
    text = re.sub(r"^ +(landscape run|python figures/).*\n?", "", entry.experiment, flags=re.M)
    return paragraphs(text)


def page(entry: Entry) -> str:
    """The page of one picture, as Markdown."""
    alt = f"{entry.title}. The text below says what to read in it."
    pictures = [ROOT / f"figures/{entry.name}.png", *entry.others]
    parts = [f"# {plain(entry.title)}"]
    parts += [
        f"```{{image}} /../figures/{p.name}\n:alt: {alt if p.suffix == '.png' else alt[:-1]}, moving.\n```"
        for p in pictures
    ]
    parts += ["## What to read in it", *reading(entry)] if reading(entry) else []
    parts += ["## Command", "```sh\n" + "\n".join(commands(entry)) + "\n```"]
    parts += ["## Question and numbers", *numbers(entry), "## Source"]
    for folder, name in (("experiments", entry.source), ("figures", entry.name)):
        parts.append(
            f'<details class="source"><summary>{folder}/{name}.py</summary>\n\n'
            f"```{{literalinclude}} /../{folder}/{name}.py\n:language: python\n```\n\n</details>"
        )
    return "\n\n".join(parts) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file if it would change: Sphinx then reads again only what is new."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def smaller(source: Path, target: Path, width: int) -> None:
    """A picture at most ``width`` pixels wide, on white, as WebP."""
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        with Image.open(source) as image:
            image = image.convert("RGBA")
            image.thumbnail((width, 4 * width))
            made = Image.new("RGB", image.size, "white")
            made.paste(image, mask=image.getchannel("A"))
            target.parent.mkdir(parents=True, exist_ok=True)
            made.save(target, quality=72, method=6)


def prepare() -> None:
    """Write the pages, the thumbnails, the picture of the start page and the explorer's page."""
    made = HERE / "gallery/made"
    for entry in entries():
        write(made / f"{entry.name}.md", page(entry))
        smaller(ROOT / f"figures/{entry.name}.png", made / f"{entry.name}.webp", 480)
    smaller(ROOT / f"figures/{START}.png", made / f"{START}_start.webp", 900)
    for page_ in set(made.glob("*.md")) - {made / f"{entry.name}.md" for entry in entries()}:
        page_.unlink()
    explore(HERE / "_build/extra/explorer.html")


def explore(path: Path) -> None:
    """The explorer of Pascanu's map, as `landscape explore` writes it."""
    newest = max(file.stat().st_mtime for file in (ROOT / "landscape/explorer").iterdir())
    if not path.exists() or path.stat().st_mtime < newest:
        import numpy as np

        import landscape as ls

        plane = ls.plane(ls.cells.Pascanu(), w=np.linspace(0, 8, 121), b=np.linspace(-4, 0, 121))
        surface = ls.surface(plane, ls.tasks.pascanu(), [1, 2, 5, 10, 20, 50], order=2)
        path.parent.mkdir(parents=True, exist_ok=True)
        ls.explorer.page(surface, path)

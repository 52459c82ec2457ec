"""The site says what is there: every public name has its place, every name on it exists, every command parses."""

import importlib
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
import types
from html.parser import HTMLParser
from pathlib import Path

import pytest

import landscape
from landscape import cli

DOCS = Path(__file__).parents[1] / "docs"
SITE = DOCS / "_build/html"
PAGES = sorted(page for page in DOCS.rglob("*.md") if not {"_build", "made"} & set(page.parts))
sys.path.insert(0, str(DOCS / "_ext"))

import gallery  # noqa: E402
import rooms  # noqa: E402
import slim  # noqa: E402
from links import online  # noqa: E402


def code(kind: str, page: Path) -> list[str]:
    """Blocks of a page between fences that begin with ``kind``."""
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)


# The reference


def test_every_public_room_has_its_page():
    public = [f"landscape.{name}" for name in landscape.__all__ if hasattr(rooms_of(name), "__file__")]
    assert set(public) <= set(rooms.listed())


def rooms_of(name):
    return getattr(landscape, name) if isinstance(getattr(landscape, name), types.ModuleType) else None


@pytest.mark.parametrize("room", sorted(rooms.listed()))
def test_every_public_name_is_documented_and_every_documented_name_exists(room):
    names = rooms.listed()[room]
    assert len(names) == len(set(names))
    assert set(rooms.public(room)) <= set(names)
    for name in names:
        assert hasattr(importlib.import_module(room), name), f"{room}.{name} is on the page and not in the package"


def test_every_name_at_the_top_has_a_page_of_its_room():
    homes = {name: getattr(landscape, name) for name in landscape.__all__}
    listed = rooms.listed()
    for name, value in homes.items():
        if not isinstance(value, types.ModuleType):
            assert name in listed[rooms.home(value)], name


def test_a_name_that_is_missing_from_a_page_is_found():
    names = [name for name in rooms.listed()["landscape.cliffs"] if name != "ridge"]
    assert set(rooms.public("landscape.cliffs")) - set(names) == {"ridge"}


def test_first_sentences_are_whole_and_their_signs_are_kept():
    def brief(about):
        return rooms.brief(types.SimpleNamespace(__doc__=about))

    assert brief("The norm |g| of ``a. B`` and more. Then the rest.") == r"The norm \|g\| of ``a. B`` and more."
    assert brief("By A (app. B). Then.") == "By A (app. B)."
    assert brief("Two\nlines:\n\n* a") == "Two lines"
    assert rooms.escaped("a *stressed* word, a * b") == r"a *stressed* word, a \* b"
    assert rooms.escaped("``sd``², `a`") == r"``sd``\ ², `a`"
    assert rooms.readable("(f=<function last>, g=<a.b.<locals>.c object>) -> jaxlib._jax.Array") == (
        "(f=last, g=...) -> jax.Array"
    )


# What is shown


SHOWN = sorted(
    {line for page in PAGES for block in code("sh", page) for line in re.findall(r"^landscape .*", block, re.M)}
)
INLINE = sorted({line for page in PAGES for line in re.findall(r"`(landscape [a-z][^`\n]*)`", page.read_text("utf-8"))})


@pytest.mark.parametrize("line", SHOWN + INLINE)
def test_every_command_on_the_site_can_be_parsed(line, tmp_path, monkeypatch):
    from test_examples import blocks, parsed

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(blocks("python", "CONTRIBUTING.md")[0])
    line = line.partition(" > ")[0]
    if line.split()[-1] in ("NAME", "VERB", "STORE", "FILE", "SHELL", "--help") or len(line.split()) == 2:
        assert line.split()[1] in (*cli.VERBS, "VERB", "--version"), line
    else:
        parsed(line)


def typed(page: Path) -> list[str]:
    """The commands of ours that a page shows, but for those that need a cluster."""
    lines = [line for block in code("sh", page) for line in re.findall(r"^landscape .*", block, re.M)]
    return [line for line in lines if "--scheduler" not in line and line != "landscape verify"]  # run by its own tests


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if typed(page)], ids=lambda page: page.stem)
def test_every_command_of_a_page_runs_in_the_order_shown(page, tmp_path, monkeypatch):
    """In a folder with the files that the texts spell out; a surface of 401 x 401 points has 41 x 41 here."""
    from test_examples import blocks

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    (tmp_path / "mine.py").write_text(blocks("python", "CONTRIBUTING.md")[0])
    for name, text in re.findall(r"^%%writefile (\S+)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
        (tmp_path / name).write_text(text)
    for line in typed(page):
        words = line.partition(" > ")[0].replace(":401", ":41").split()[1:]
        assert cli.main(words) == 0, line


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if code("python", page)], ids=lambda page: page.stem)
def test_every_block_of_python_on_a_page_that_is_no_notebook_runs_alone(page, tmp_path):
    for block in code("python", page):
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_every_tutorial_is_a_notebook_that_ends_in_a_figure_and_says_what_to_read_in_it():
    for page in set(DOCS.glob("tutorials/*.md")) - {DOCS / "tutorials/index.md"}:
        text = page.read_text("utf-8")
        assert text.startswith("---\njupytext:")
        assert re.search(r"ls\.plots\.\w+\(", code("{code-cell} ipython3", page)[-1])
        assert "What to read in it" in text


def test_every_page_is_named_in_a_table_of_contents():
    listed = set()
    for index in PAGES + sorted(DOCS.rglob("*.rst")):
        for block in re.findall(r"toctree\}?(?:::)?\n(.*?)(?:^```$|\Z)", index.read_text("utf-8"), re.M | re.S):
            listed |= {
                str((index.parent / name).relative_to(DOCS)) for name in re.findall(r"^ *([\w/]+)$", block, re.M)
            }
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in PAGES}
    assert pages - listed == {"index"}


NUMBER = re.compile(r"(?<![\w.])\d[\d,]*\.\d+(?:e-?\d+)?|(?<![\w.])\d{1,3}(?:,\d{3})+|(?<![\w.])\.\d+")


@pytest.mark.parametrize("name", ["cliffs", "grids", "latching"])
def test_every_number_of_an_explanation_stands_in_the_docstring_of_a_command_beside_it(name):
    text = (DOCS / f"explanation/{name}.md").read_text("utf-8")
    said = " ".join(
        gallery.doc(gallery.ROOT / f"experiments/{run}.py") for run in re.findall(r"landscape run (\w+)", text)
    )
    known = {value(number) for number in NUMBER.findall(said)}
    prose = re.sub(r"\$.*?\$|\]\(.*?\)", "", text, flags=re.S)
    missing = [number for number in NUMBER.findall(prose) if value(number) not in known]
    assert missing == []


def value(number):
    return float(number.replace(",", ""))


# The gallery


def test_every_picture_has_a_page_with_its_command_numbers_source_and_alternative_text():
    entries = gallery.entries()
    shown = {f"{entry.name}.png" for entry in entries} | {path.name for entry in entries for path in entry.others}
    kept = {path.name for end in ("png", "webp") for path in (gallery.ROOT / "figures").glob(f"*.{end}")}
    assert shown == {name for name in kept if not name.startswith("explorer")}  # which is there itself
    for entry in entries:
        page = gallery.page(entry)
        assert f"landscape run {entry.source}" in page
        assert f"python figures/{entry.name}.py" in page
        assert f"/../experiments/{entry.source}.py" in page
        assert page.count(":alt: ") == page.count("```{image}") > 0
        assert entry.experiment.partition("\n")[0].split()[0].strip("`") in page


def test_prose_of_a_docstring_keeps_its_signs_in_markdown():
    assert gallery.plain("a_b * c, ``x_y``") == r"a\_b \* c, ``x_y``"
    assert gallery.paragraphs("One.\n\n    table  1\n    more   2\n\nTwo.") == [
        "One.",
        "```text\ntable  1\nmore   2\n```",
        "Two.",
    ]


# How it is built


def test_a_style_sheet_keeps_what_a_page_uses_and_drops_the_rest():
    sheet = ':root{--a:1}.used,.not{x:"}"}.not{y:1}@media print{.not{z:1}.used .a{w:1}}@media x{.not{a:1}}'
    made = ':root{--a:1}.used,.not{x:"}"}@media print{.used .a{w:1}}'
    assert slim.slimmed(sheet, {"used", "a"}) == made


def test_without_a_network_no_other_project_is_linked(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert online({"python": "https://docs.python.org/3/"}) == {}


def test_the_extra_docs_brings_the_builder_and_a_target_runs_it():
    extras = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert {"sphinx", "myst-nb", "pydata-sphinx-theme"} <= {re.split("[>=[]", item)[0] for item in extras["docs"]}
    assert re.search(r"^docs: .*\n\t.*sphinx -q -W ", (DOCS.parent / "Makefile").read_text("utf-8"), re.M)


def test_a_site_without_its_extra_is_refused_in_one_sentence(monkeypatch):
    errors = pytest.importorskip("sphinx.errors", reason="the extra docs is not installed")
    monkeypatch.setitem(sys.modules, "myst_nb", None)
    asked = r"^the site is built by myst_nb, which is missing: pip install 'rnn-landscape\[docs\]'$"
    with pytest.raises(errors.ConfigError, match=asked):
        runpy.run_path(str(DOCS / "conf.py"))


# The site itself: built here unless it has been


@pytest.fixture(scope="module")
def site():
    """The built site: that of `make docs` if it is newer than its sources, else built anew."""
    pytest.importorskip("myst_nb", reason="the extra docs is not installed")
    sources = [*PAGES, *DOCS.rglob("*.rst"), *DOCS.glob("_*/*.*"), DOCS / "conf.py"]
    newest = max(path.stat().st_mtime for path in sources)
    if not (SITE / "index.html").exists() or (SITE / "index.html").stat().st_mtime < newest:
        words = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(DOCS), str(SITE)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return SITE


class Page(HTMLParser):
    """What a page links to and loads, and the places in it that can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.places = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        had = dict(attrs)
        self.places |= {had[key] for key in ("id", "name") if had.get(key)}
        if tag == "a" and had.get("href"):
            self.links.append(had["href"])
        if tag in ("script", "img", "iframe", "source") and had.get("src"):
            self.loads.append(had["src"])
        if tag == "link" and had.get("rel") in ("stylesheet", "preload", "icon"):
            self.loads.append(had["href"])


@pytest.fixture(scope="module")
def parsed_pages(site):
    return {page: Page(page.read_text("utf-8")) for page in site.rglob("*.html")}


@pytest.mark.slow
def test_no_page_loads_anything_from_a_network_and_all_it_loads_is_there(parsed_pages):
    for page, found in parsed_pages.items():
        for load in found.loads:
            assert not re.match(r"(?:\w+:)?//", load), (page, load)
            if not load.startswith("data:"):
                assert (page.parent / load.partition("?")[0].partition("#")[0]).exists(), (page, load)


@pytest.mark.slow
def test_no_link_inside_the_site_is_dead(parsed_pages):
    dead = []
    for page, found in parsed_pages.items():
        for link in found.links:
            if re.match(r"\w+:", link):
                continue
            name, _, place = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (place and target in parsed_pages and place not in parsed_pages[target].places):
                dead.append((str(page.relative_to(SITE)), link))
    assert dead == []


@pytest.mark.slow
def test_the_start_page_and_what_it_loads_are_under_300_kb(site, parsed_pages):
    loads = {load.partition("?")[0] for load in parsed_pages[site / "index.html"].loads if not load.startswith("data:")}
    assert sum((site / load).stat().st_size for load in loads) + (site / "index.html").stat().st_size < 300_000


@pytest.mark.slow
def test_a_cell_that_fails_fails_the_build_with_its_page_and_line(tmp_path):
    pytest.importorskip("myst_nb", reason="the extra docs is not installed")
    found = f"import sys; sys.path.insert(0, {str(DOCS / '_ext')!r})\n"
    (tmp_path / "conf.py").write_text(f"{found}extensions = ['myst_nb', 'failures']\nnb_execution_mode = 'force'\n")
    head = (DOCS / "start.md").read_text("utf-8").partition("# Get started")[0]
    (tmp_path / "index.md").write_text(f"{head}# Title\n\nWords.\n\n```{{code-cell}} ipython3\none = 1\none / 0\n```\n")
    line = (tmp_path / "index.md").read_text().splitlines().index("one / 0") + 1
    words = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode != 0
    told = re.search(r"index\.md:(\d+): .*this cell fails: ZeroDivisionError", done.stderr)
    assert told is not None, done.stderr[-2000:]
    assert int(told[1]) == line


AXE = Path(os.environ.get("AXE", DOCS / "_build/node_modules/axe-core/axe.min.js"))
LOOKED_AT = sorted(
    {str(page.relative_to(DOCS).with_suffix(".html")) for page in (*PAGES, *DOCS.rglob("*.rst"))}
    | {f"gallery/made/{entry.name}.html" for entry in gallery.entries()}
    | {"explorer.html", "search.html", "genindex.html"}
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """One browser for all pages."""
    from chromium import CHROMIUM, Browser

    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    made = Browser(tmp_path_factory.mktemp("browser") / "profile")
    yield made
    made.close()


@pytest.fixture
def browser(chromium):
    """The browser with an empty tab: one that has shown a page with a sidebar may not leave it."""
    chromium.tab()
    return chromium


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_no_page_has_a_serious_fault_of_accessibility_or_is_wider_than_the_screen(site, browser, name, width):
    if not AXE.exists():
        pytest.skip(f"there is no {AXE}: npm install --prefix docs/_build axe-core")
    asked, said = browser.open(site / name, width=width)
    assert all(address.startswith(("file:", "data:")) for address in asked)
    assert [words for words in said if words.get("type") == "error" or "exceptionDetails" in words] == []
    browser.call("Runtime.evaluate", expression=AXE.read_text("utf-8"))
    found = json.loads(browser.run("axe.run({resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))"))
    serious = [
        (fault["id"], [node["target"] for node in fault["nodes"]][:3])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert browser.run("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_search_works_from_disk(site, browser):
    browser.open(site / "search.html", words="?q=ridge")
    found = browser.run(
        "new Promise(done => { const look = () => { const n = document.querySelectorAll('#search-results li').length;"
        " n ? done(n) : setTimeout(look, 100) }; look() })"
    )
    assert found > 0

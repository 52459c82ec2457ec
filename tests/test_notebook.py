"""In a notebook: a surface's own verbs, bars that move, figures that are sharp and legible, a page that lives."""

import io
import itertools
import subprocess
import sys
from types import ModuleType

import matplotlib as mpl
import matplotlib.style
import pytest
import xarray
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.text import Text
from PIL import Image
from test_live import wall  # noqa: F401
from test_plots import made
from test_progress import state

from landscape import accessor, explorer, plots, progress


@pytest.mark.parametrize("order", ["landscape, xarray", "xarray, landscape"])
def test_a_surface_has_its_verbs_whichever_is_imported_first(order):
    first, second = order.split(", ")
    code = f"import sys, {first}; early = set(sys.modules); import {second}; verbs = xarray.Dataset().landscape"
    check = "; assert {'plot', 'cliffs', 'explore'} <= set(dir(verbs)); assert 'jax' not in sys.modules"
    lazy = "; assert not {'xarray', 'numpy', 'landscape.accessor'} & early" if first == "landscape" else ""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code + check + lazy], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_plot_is_the_figure_of_formation():
    surface = made()
    figure = surface.landscape.plot([1, 10], title="mine")
    same = plots.formation(surface, [1, 10], title="mine")
    assert [ax.get_title() for ax in figure.axes] == [ax.get_title() for ax in same.axes]
    assert figure._repr_png_() == same._repr_png_()


def test_explore_is_the_page(wall, tmp_path):  # noqa: F811
    page = wall.landscape.explore()
    assert repr(page).endswith('to explore a surface; .save("page.html") writes it')
    assert page.save(tmp_path / "a.html").read_text() == explorer.page(wall, tmp_path / "b.html").read_text()


def test_cliffs_is_the_survey_of_the_surface(monkeypatch):
    asked = []
    monkeypatch.setattr("landscape.cliffs.surveyed", lambda *given, **more: asked.append((given, more)))
    surface = made()
    surface.landscape.cliffs([5, 10], least=0.2)
    assert asked == [((surface, [5, 10]), {"least": 0.2})]


@pytest.mark.slow
def test_cliffs_in_memory_are_those_of_the_store(tmp_path):
    from landscape import plane, surface
    from landscape.cells import Pascanu
    from landscape.cliffs import report
    from landscape.tasks import pascanu

    grid = plane(Pascanu(), w=(4.0, 4.5, 5.0, 5.5, 6.0), b=(-3.5, -3.0, -2.5, -2.0, -1.5))
    kept = surface(grid, pascanu(), range(10, 50, 10), order=2, out=tmp_path / "wall.zarr")
    there = report(tmp_path / "wall.zarr").partition("\n")[2]
    assert repr(kept.load().landscape.cliffs()).partition("\n")[2] == there


def test_how_a_notebook_shows_the_dataset_stays_xarrays_own():
    assert type(made())._repr_html_ is xarray.Dataset._repr_html_
    assert accessor.Accessor.__name__ not in made()._repr_html_()


def test_a_bar_in_a_notebook_changes_in_place(monkeypatch):
    shown = []

    class Handle:
        def update(self, what, raw):
            shown.append(what)

    def display(what, raw, display_id):
        shown.append(what)
        return Handle()

    fake = ModuleType("IPython.display")
    fake.display = display
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    monkeypatch.setattr(progress, "BLINK", 0.0)
    with progress.bar() as show:
        for done in (3, 10):
            show(state(done))
    assert [what["text/plain"] for what in shown] == [
        "compiling, and computing the first block",
        "3 of 10 blocks, 30%, 20 s, about 23 s left",
        "10 of 10 blocks, 100%, 20 s",
    ]
    assert '<progress value="3" max="10"' in shown[1]["text/html"]
    monkeypatch.setattr(progress, "BLINK", 60.0)
    with progress.bar() as show:
        for done in range(1, 11):
            show(state(done))
    assert len(shown) == 3 + 2 + 1, "the first, one of the middle at most, and the last"


FIGURES = {
    "formation": lambda surface: plots.formation(surface),
    "surface3d": lambda surface: plots.surface3d(surface, [10]),
    "profile": lambda surface: plots.profile(surface, "w", at={"b_f": 0.5}),
}


def brightness(colour):
    """Relative luminance (WCAG 2.2)."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(ink, ground):
    """The ratio of WCAG 2.2 between a colour, as it shows on the ground, and the ground."""
    *rgb, alpha = to_rgba(ink)
    seen = [alpha * c + (1 - alpha) * g for c, g in zip(rgb, to_rgb(ground), strict=True)]
    high, low = sorted((brightness(seen), brightness(ground)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("style", "name"), [*itertools.product(["default", "dark_background"], FIGURES)])
def test_all_text_of_a_figure_reads_on_its_ground_in_light_and_in_dark(style, name):
    """At least 4.5 to 1, the level AA of WCAG 2.2 for small text."""
    with matplotlib.style.context(style):
        figure = FIGURES[name](made())
        ground = figure.get_facecolor()
        assert to_rgba(ground) == to_rgba(mpl.rcParams["figure.facecolor"])
        assert ground[3] == 1
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert len(texts) >= 5
    for text in texts:
        assert contrast(text.get_color(), ground) >= 4.5, text.get_text()


def test_a_figure_shows_itself_sharp_and_opaque_without_pyplot():
    figure = FIGURES["formation"](made())
    with mpl.rc_context({"savefig.transparent": True}):
        data, about = figure._repr_png_()
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (2 * about["width"], 2 * about["height"])
        assert image.convert("RGBA").getextrema()[3] == (255, 255)
    assert about["width"] == round(figure.get_size_inches()[0] * figure.dpi)


def test_the_page_lives_in_a_cell_of_a_notebook(browser, wall, tmp_path):  # noqa: F811
    """In a frame without an address of its own, where none can be written."""
    frame = wall.landscape.explore()._repr_html_()
    (tmp_path / "cell.html").write_text(f"<!doctype html><link rel='icon' href='data:,'><title>a</title>{frame}")
    assert browser.open(tmp_path / "cell.html", 1000, 900, live=True)[1] == []
    inside = "document.querySelector('iframe').contentWindow.eval"
    browser.run(f"{inside}('show({{ point: [5, -2.6], index: 1 }})')")
    assert browser.run("new Promise(done => setTimeout(() => done(1), 400))") == 1
    assert browser.run(f"{inside}('element(\"length-text\").textContent')") == "length 20"
    assert browser.seen()[1] == []

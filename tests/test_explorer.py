"""The explorer's page, in a real browser without a network: it shows what Python computes, everywhere it is pointed."""

import dataclasses
import json
import sys
import webbrowser

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from matplotlib import colormaps

from landscape import (
    Cell,
    Dense,
    Evaluator,
    Function,
    State,
    cells,
    cli,
    dot,
    dynamics,
    explorer,
    param,
    plane,
    plots,
    pytree,
    span,
    surface,
    surfaces,
)
from landscape.cells import LSTM, SRNN, BengioLatch, Pascanu
from landscape.dynamics import fixed_points
from landscape.explorer.lines import lines
from landscape.models import RNN
from landscape.names import module
from landscape.plots.parts import scale, spread
from landscape.recurrence import Recurrence
from landscape.specs import of_cell, of_plane, of_task, text
from landscape.store import open_surface
from landscape.surfaces import settings_of
from landscape.tasks import Episode, Task, bengio, latch, pascanu, sign

# ---------------------------------------------------------------------------------------------------------------------


LENGTHS = (1, 5, 20, 50)
COMMAND = ("Pascanu", "pascanu", "w=4:6:21", "b=-3.5:-1.5:17", "--lengths", "1,5,20,50")


@pytest.fixture(scope="module")
def wall():
    """The surface that COMMAND computes."""
    axes = plane(Pascanu(), w=np.linspace(4, 6, 21), b=np.linspace(-3.5, -1.5, 17))
    return surface(axes, pascanu(), LENGTHS, order=2)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "deep" / "wall.html"
    assert cli.main(["explore", *COMMAND, "--out", str(path), "--no-open"]) == 0
    return path


@pytest.fixture
def opened(browser, page):
    browser.open(page)
    return browser


def pixel(browser, w, b):
    """Red, green, blue of the picture at a place of the surface."""
    at = f"surface.X({w}) * ratio, surface.Y({b}) * ratio, 1, 1"
    ratio = "(surface.canvas.width / surface.canvas.clientWidth)"
    return browser.run(f"(ratio => [...surface.context.getImageData({at}).data.slice(0, 3)])({ratio})")


# Whether the picture of the surface is the one that was there when this was asked before.
SAME = "(now => { const old = window.kept; window.kept = now; return old === now; })(surface.canvas.toDataURL())"
BARE = "(view.hidden = new Set(data.lines.map(l => l.name)), show({ point: [4, -1.5] }))"  # nothing over the picture


def test_the_page_opens_without_a_request_and_without_a_complaint(browser, page):
    asked, complaints = browser.open(page)
    assert asked == [page.as_uri()]
    assert complaints == []
    browser.run("show({ point: [5, -2.6] })")
    for index in range(len(LENGTHS)):
        browser.run(f"show({{ index: {index}, field: '{('loss', 'log10_gradient')[index % 2]}' }})")
    assert browser.seen() == ([page.as_uri()], [])
    text = page.read_text()
    assert len(text) < 3e6
    assert "http" not in text.replace("http://www.w3.org", "")


def test_the_complaints_of_a_page_are_heard(browser, tmp_path):
    (tmp_path / "bad.html").write_text(
        "<link rel='icon' href='data:,'><script>nothing.here; </script><img src='x.png'>"
    )
    asked, complaints = browser.open(tmp_path / "bad.html")
    assert (tmp_path / "x.png").as_uri() in asked
    assert "nothing is not defined" in str(complaints)


@pytest.mark.parametrize("field", ["loss", "log10_gradient"])
def test_the_slider_changes_the_picture_to_the_colours_of_that_length(opened, wall, field):
    """A table of 256 colours may be entered one beside, by rounding."""
    opened.run(BARE)
    opened.run(f"document.querySelector('input[value={field}]').click()")
    norm = (scale if field == "loss" else spread)(wall[field])
    table = colormaps["viridis" if field == "loss" else "cividis"](np.arange(256), bytes=True)[:, :3].astype(int)
    opened.run(SAME)
    for index in (0, 2, 1, 3):
        opened.run(
            f"(s => {{ s.value = {index}; s.dispatchEvent(new Event('input')); }})(document.getElementById('length'))"
        )
        assert not opened.run(SAME), "the slider did nothing"
        assert opened.run("document.getElementById('length-text').textContent") == f"length {LENGTHS[index]}"
        for i, j in ((3, 4), (10, 7), (15, 2), (20, 16)):
            z = wall[field][index, i, j]
            entry = int(np.clip(float(norm(z)) * 256, 0, 255))
            near = table[max(entry - 1, 0) : entry + 2]
            assert np.abs(near - pixel(opened, float(z.w), float(z.b))).max(1).min() == 0


def test_points_that_are_not_finite_have_their_own_colour_and_are_counted(browser, wall, tmp_path):
    broken = wall.copy(deep=True)
    broken["loss"][3, 10, 7], broken["loss"][3, 11, 7] = np.inf, np.nan
    broken["log10_gradient"][3, 2, 2] = -np.inf  # a gradient of zero, which is a number
    browser.open(explorer.page(broken, tmp_path / "broken.html"))
    browser.run(BARE)
    pink = [0xFF, 0x2E, 0x88]
    assert [pixel(browser, float(wall.w[i]), float(wall.b[7])) == pink for i in (9, 10, 11)] == [False, True, True]
    assert "inf or NaN: 2 of 357 points" in browser.run("document.getElementById('bad').innerText")
    browser.run("show({ field: 'log10_gradient' })")
    assert pixel(browser, float(wall.w[2]), float(wall.b[2])) == [0, 34, 77]  # the first of cividis
    assert browser.run("document.getElementById('bad').hidden")


def test_a_surface_of_one_picture_tells_gradient_and_curvatures_where_one_points(browser, tmp_path):
    """x² + 3 x y - y²/2 has the curvatures (1 ± sqrt(45)) / 2 everywhere, and the gradient (3.5, 2.5) at (1, 0.5)."""
    number = lambda a, b: {"a": np.float32(a), "b": np.float32(b)}  # noqa: E731
    along = {"x": number(1, 0), "y": number(0, 1)}
    saddle = Function(lambda m, _: m["a"] ** 2 + 3 * m["a"] * m["b"] - m["b"] ** 2 / 2, np.zeros(1), order=2)
    made = surface(span(number(0, 0), along, x=np.linspace(-2, 2, 9), y=np.linspace(-1, 1, 9)), saddle)
    browser.open(explorer.page(made, tmp_path / "saddle.html"))
    browser.run("show({ point: [1, 0.5] })")
    said = browser.run("document.getElementById('grid-value').textContent")
    assert "gradient (3.5, 2.5), curvatures 3.854 and −2.854" in said
    browser.run(SAME)
    browser.run("(data.slopes = [], show({ point: [1, 0.5] }))")
    assert not browser.run(SAME), "no arrow is drawn"


def test_every_line_can_be_switched_off(opened):
    opened.run("show({ point: [5, -2.6] })")
    names = opened.run("data.lines.map(line => line.name)")
    assert names == ["fold", "cliff line", "zero-loss valley", "ridge"]
    opened.run(SAME)
    for name in names:
        opened.run(f"document.querySelector('input[value=\"{name}\"]').click()")
        assert not opened.run(SAME), f"{name} is not drawn"
        opened.run(f"document.querySelector('input[value=\"{name}\"]').click()")
        opened.run(SAME)


def test_pointing_moves_the_unit_a_click_holds_it_and_escape_lets_go(opened):
    def mouse(kind, w, b, **more):
        x, y = opened.run(
            f"(box => [box.left + surface.X({w}), box.top + surface.Y({b})])(surface.canvas.getBoundingClientRect())"
        )
        opened.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
        return opened.run("view.point")

    assert mouse("mouseMoved", 5.2, -2.4) == pytest.approx([5.2, -2.4], abs=0.01)  # a pixel
    orbit = "document.getElementById('facts').innerText"
    first = opened.run(orbit)
    assert mouse("mouseMoved", 5.2, -3.2) == pytest.approx([5.2, -3.2], abs=0.01)
    assert opened.run(orbit) != first
    w, b = opened.run("view.point")
    h = [0.5]
    for _ in range(LENGTHS[-1]):
        h.append(w / (1 + np.exp(-h[-1])) + b)
    assert opened.run("unit.run(view.point).h[0]") == pytest.approx(h, rel=1e-6)
    assert f"{h[-1]:.6g}".replace("-", "−") in opened.run(orbit)
    mouse("mousePressed", 5.2, -3.2, button="left", clickCount=1)
    mouse("mouseReleased", 5.2, -3.2, button="left", clickCount=1)
    assert opened.run("view.pinned")
    assert mouse("mouseMoved", 4.5, -2) == pytest.approx([5.2, -3.2], abs=0.01)
    opened.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    assert mouse("mouseMoved", 4.5, -2) == pytest.approx([4.5, -2], abs=0.01)


def test_the_address_and_the_keys_name_the_place(browser, page):
    browser.open(page, words="#w=5.25&b=-2.75&length=20&show=log10_gradient")
    assert browser.run("[view.point, data.lengths[view.index], view.field]") == [[5.25, -2.75], 20, "log10_gradient"]
    browser.run("surface.canvas.focus()")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowUp", modifiers=8)
    assert browser.run("view.point") == pytest.approx([5.35, -2.7375])
    browser.run(
        "(input => { input.value = 4.5; input.dispatchEvent(new Event('input')); })(document.getElementById('at-w'))"
    )
    assert (
        browser.run("new Promise(done => setTimeout(() => done(location.hash), 300))")
        == "#cell=Pascanu&length=20&show=log10_gradient&w=4.5&b=-2.7375"
    )
    assert browser.run(
        "new Promise(done => { location.hash = 'w=4.75'; setTimeout(() => done(view.point), 50); })"
    ) == pytest.approx([4.75, -2.7375])


def test_play_walks_through_the_lengths(opened):
    opened.run("show({ index: 0 })")
    opened.run("document.getElementById('play').click()")
    assert opened.run("new Promise(done => setTimeout(() => done(view.index), 700))") == 1
    opened.run("document.getElementById('play').click()")
    assert opened.run("new Promise(done => setTimeout(() => done(view.index), 600))") == 1


def test_the_page_of_a_narrow_window_does_not_scroll_sideways(browser, page):
    for width in (900, 600, 390, 320):
        browser.open(page, width, 700, words="#w=5&b=-2.6")
        assert browser.run("document.documentElement.scrollWidth") <= width


TARGETS = """[...document.querySelectorAll("button, input, label")].filter(one => one.getClientRects().length)
    .map(one => [one.id || one.value || one.textContent, one.getBoundingClientRect()])
    .filter(([, box]) => box.width < 24 || box.height < 24).map(([name]) => name)"""


def test_what_a_finger_is_to_touch_is_24_pixels_wide_and_high(browser, page):
    browser.open(page, 390, 700)
    assert browser.run(TARGETS) == []


def test_the_slider_tells_a_screen_reader_the_length_and_not_its_index(opened):
    said = "document.getElementById('length').getAttribute('aria-valuetext')"
    for index, length in enumerate(LENGTHS):
        opened.run(f"show({{ index: {index} }})")
        assert opened.run(said) == f"length {length}"


def test_the_page_says_why_the_place_and_the_nearest_grid_point_differ(opened):
    opened.run("show({ point: [5.04, -2.63], index: 3 })")
    seen = opened.run("document.getElementById('grid-value').textContent")
    assert seen.startswith("nearest grid point, w = 5, b = −2.625: mean loss 0.")
    assert "computed at the very place you point at" in opened.run("document.getElementById('why').innerText")
    assert opened.run("document.getElementById('facts').innerText").startswith("Here, length 50")


def test_the_pascanu_page_shows_loss_and_gradient_of_the_surface_in_float64(opened):
    """The wall at w = 5 and T = 50: dE/db = -661.68280..., by closed form, on the line, where E is 0.0060125..."""
    b = 0.5 - 5 * 0.622459331201854
    past = opened.run(
        f"(past => [past.loss.at(-1), past.gradient.at(-1), past.log10.at(-1)])(unit.history([5, {b!r}]))"
    )
    amplified = 50 * np.finfo(float).eps * 1.175018561**50  # rounding grows with the orbit's multiplier
    assert past[0] == pytest.approx(0.006012555317664, rel=1e-9)
    assert past[1] == pytest.approx([-411.8706339791, -661.6828013227], rel=max(1e-9, amplified))
    assert past[2] == pytest.approx(np.log10(np.hypot(*past[1])), rel=1e-12)


def test_the_gradient_is_right_by_its_logarithm_where_it_overflows(opened):
    """h' = w tanh(h) on its unstable point 0 with w = 2: d h_T / d b = 2^T - 1, which no float64 holds at T = 3000."""
    T = 3000
    live = {"cell": "Pascanu(f=tanh)", "parameters": {"w": [0, 1, 0], "u": [1, 0, 0], "b": [0, 0, 1]}, "start": 0}
    rest = f"squash: false, nested: true, missing: 0, times: [{T}], inputs: [new Float32Array({T})], targets: [[1]]"
    script = f"new Unit({{...{json.dumps(live)}, {rest}}}).history([2, 0])"
    slope, log10 = opened.run(f"(past => [String(past.gradient.at(-1)[1]), past.log10.at(-1)])({script})")
    assert slope == "-Infinity"
    assert log10 == pytest.approx(T * np.log10(2) + np.log10(2), rel=1e-12)  # |dE/db| = 2 |h - 1| 2^T


# One unit of every kind that the page can step, over two of its parameters.
UNITS = {
    "SRNN": ("w", "b", {"u": 0.8}),
    "LogisticRNN": ("w", "b", {"u": 1.2}),
    "IRNN": ("w", "b", {"u": 1.0}),
    "SoftsignRNN": ("w", "b", {"u": 1.0}),
    "LinearRNN": ("w", "b", {"u": 1.0}),
    "LeakyRNN": ("w", "a", {"b": 0.1}),
    "Pascanu": ("w", "b", {"u": 0.5}),
    "TanhMap": ("w", "b", {"u": 0.5}),
    "GRU": ("w_h", "b_z", {"w_r": 0.7, "w_z": -0.4, "u_z": 0.3, "b_r": 0.2, "b_h": 0.1}),
    "GRUChung": ("w_h", "b_z", {"w_r": 0.7, "w_z": -0.4, "u_z": 0.3, "b_r": 0.2}),
    "GRUResetAfter": ("w_h", "b_z", {"w_r": 0.7, "w_z": -0.4, "u_z": 0.3, "c_h": 0.2}),
    "LSTM": ("w_g", "b_i", {"w_f": 0.6, "w_o": 1.5, "u_f": 0.2, "w_i": -0.5, "b_o": 0.3}),
}
BISTABLE = {"SRNN": (2, 0.1), "TanhMap": (2, 0.1), "Pascanu": (5, -2.5), "LSTM": (5, 2), "GRU": (3, 0.5)}
FEW = ("Pascanu", "LSTM")
STEPS = 25


def unit_of(name):
    """Plane and evaluator over random places, and what the page is told about them."""
    p, q, held = UNITS[name]
    low, high = (0.05, 0.95) if q == "a" else (-3, 3)
    axes = plane(cells.known()[name](**held), **{p: np.linspace(-3, 3, 5), q: np.linspace(low, high, 5)})
    rng = np.random.default_rng(sorted(UNITS).index(name))
    points = np.stack([rng.uniform(-3, 3, 6), rng.uniform(low, high, 6)], -1)
    evaluator = Evaluator(axes, Recurrence(latch(0.3), range(1, STEPS + 1), episodes=4, seed=7, dtype="float64"))
    return axes, evaluator, points


def plain(evaluator):
    """A script that makes the page's unit from what Python writes into a page."""
    live = explorer.live(settings_of(evaluator), [STEPS])
    return f"(live => {{ live.inputs = live.inputs.map(floats); return new Unit(live); }})({json.dumps(live)})"


def test_the_page_steps_the_units_it_is_tested_for(opened):
    described = {text(of_cell(cells.known()[name]())) for name in UNITS}
    assert set(opened.run("Object.keys(CELLS)")) == described


@pytest.mark.parametrize("name", UNITS)
def test_the_orbit_in_the_page_is_the_orbit_in_python(opened, name):
    axes, evaluator, points = unit_of(name)
    theirs = opened.run(f"(unit => {json.dumps(points.tolist())}.map(at => unit.run(at).h))({plain(evaluator)})")
    with jax.enable_x64(True):
        for point, orbits in zip(points, theirs, strict=True):
            cell = axes.at(list(point)).cell
            for episode, orbit in enumerate(orbits):
                state, ours = cell.initial(np.float64(0)), [0.0]
                for x in evaluator.problem.data[0].x[:, episode]:
                    state = cell.step(state, x)
                    ours.append(float(state.h))
                np.testing.assert_allclose(orbit, ours, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in UNITS])
def test_loss_and_gradient_in_the_page_are_those_of_the_evaluator(opened, name):
    """Gradients below 1e-12 are differences of rounding errors in both."""
    axes, evaluator, points = unit_of(name)
    ours = evaluator.resize(len(points))(points)
    script = f"(unit => {json.dumps(points.tolist())}.map(at => unit.history(at)))({plain(evaluator)})"
    theirs = opened.run(f"{script}.map(past => ({{ ...past, log10: past.log10.map(String) }}))")  # JSON has no -inf
    for k, past in enumerate(theirs):
        np.testing.assert_allclose(past["loss"], ours["loss"][:, k], rtol=1e-6)
        for i, coordinate in enumerate(axes.axes):
            mine = [gradient[i] for gradient in past["gradient"]]
            np.testing.assert_allclose(mine, ours[f"d_{coordinate}"][:, k], rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose([float(v) for v in past["log10"]], ours["log10_gradient"][:, k], atol=1e-6)


@pytest.mark.parametrize("name", [n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in UNITS])
def test_the_fixed_points_in_the_page_are_those_of_dynamics(opened, name):
    """At random places, and for the bounded cells at one with three fixed points."""
    axes, evaluator, points = unit_of(name)
    points = np.concatenate([points, np.reshape(BISTABLE.get(name, ()), (-1, 2))])
    theirs = opened.run(f"(unit => {json.dumps(points.tolist())}.map(at => unit.fixedPoints(at)))({plain(evaluator)})")
    counts = set()
    with jax.enable_x64(True):
        for point, found in zip(points, theirs, strict=True):
            ours = fixed_points(jax.tree.map(np.float64, axes.at(list(point)).cell), np.float64(0))
            real = np.isfinite(ours.multiplier)
            counts.add(int(real.sum()))
            mine = np.stack([ours.state.h[real], ours.multiplier[real]], -1)
            np.testing.assert_allclose(np.reshape(found, (-1, 2)), mine, rtol=1e-6, atol=1e-6)
    assert max(counts) >= (3 if name in BISTABLE else 1)


def test_a_task_whose_short_episode_is_no_prefix_has_a_run_for_each_length(opened):
    def sample(key, length, index, time):
        x = 2 * jnp.arange(time, dtype=jnp.float32) / jnp.asarray(length - 1, jnp.float32) - 1
        return Episode(x=x, target=sign(index))

    ramp = Task(sample, name="ramp", classes=2, nested=False)
    lengths = [4, 9]
    axes = plane(SRNN(), w=np.linspace(-3, 3, 5), b=np.linspace(-1, 1, 5))
    settings = of_plane(axes) | of_task(ramp) | {"episodes": 4, "seed": 0}
    live = json.dumps(explorer.live(settings, lengths, ramp))
    unit = f"(live => {{ live.inputs = live.inputs.map(floats); return new Unit(live); }})({live})"
    past = opened.run(f"{unit}.history([1.7, 0.2])")
    assert past["lengths"] == lengths
    for k, length in enumerate(lengths):
        h = 0.0
        for x in np.linspace(-1, 1, length, dtype=np.float32):
            h = np.tanh(1.7 * h + x + 0.2)
        assert past["loss"][k] == pytest.approx(h**2 + 1, rel=1e-6)  # targets +1, -1, +1, -1


@pytree
class Sine(Cell):
    """``h' = sin(w h + u x + b)``."""

    w: float = param("unit", "unit", default=1.0)
    u: float = param("input", "unit", default=1.0)
    b: float = param("unit")

    def step(self, state, x):
        return State(jnp.sin(dot(state.h, self.w) + dot(x, self.u) + self.b))


def reason(cell, task, **axes):
    axes = axes or {"w": np.linspace(4, 6, 21), "b": np.linspace(-3.5, -1.5, 17)}
    settings = of_plane(plane(cell, **axes)) | of_task(task) | {"episodes": 1, "seed": 0}
    return explorer.live(settings, list(LENGTHS)).get("reason", "")


def test_the_page_of_a_unit_it_does_not_know_says_so_and_still_shows_the_surface(browser, wall, tmp_path):
    axes = plane(Sine(), w=np.linspace(4, 6, 21), b=np.linspace(-3.5, -1.5, 17))
    theirs = wall.assign_attrs(settings=json.dumps(settings_of(Evaluator(axes, Recurrence(pascanu(), LENGTHS)))))
    _, complaints = browser.open(explorer.page(theirs, tmp_path / "sine.html"))
    assert complaints == []
    said = browser.run("document.getElementById('unknown').innerText")
    assert "cannot step the unit itself, because the cell Sine is not one of this package" in said
    assert browser.run("[document.getElementById('unit').hidden, unit]") == [True, None]
    browser.run(SAME)
    browser.run("show({ index: 0 })")
    assert not browser.run(SAME)


def test_a_page_whose_unit_disagrees_with_its_surface_trusts_the_surface(browser, wall, tmp_path):
    changed = wall.copy(deep=True)
    changed["loss"] = changed["loss"] + 0.01
    browser.open(explorer.page(changed, tmp_path / "changed.html"))
    said = browser.run("document.getElementById('unknown').innerText")
    assert "its own step gives another loss than the surface" in said


def test_what_a_page_cannot_step_is_said_in_words(opened):
    assert reason(SRNN(), latch()) == reason(Pascanu(), pascanu()) == ""
    assert "Sine is not one of this package" in reason(Sine(), latch())
    assert "bengio(noise=0.2, evidence=3, target=0.8) is not a squared error" in reason(
        BengioLatch(), bengio(), w=np.linspace(0, 1, 3), e=np.linspace(0, 1, 3)
    )
    mine = dataclasses.replace(latch(), name="mine")
    assert "task mine(noise=0.1) is not one of this package" in reason(SRNN(), mine)
    assert "layer with a readout" in reason(RNN(cell=SRNN(), readout=Dense()), latch())
    known = opened.run("Object.keys(CELLS)")
    assert text(of_cell(cells.MUT1())) not in known
    assert text(of_cell(cells.LSTMPeephole())) not in known


def test_lines_lie_where_the_closed_forms_put_them(wall):
    """Tables of folds, tangent point and crossing at w = 5; the ridge of a long length lies on the cliff."""
    drawn = {line["name"]: line for line in explorer.contents(wall)["lines"]}

    def at(name, w):
        parts = [np.array(part) for part in drawn[name]["points"]]
        return [float(np.interp(w, *part[:, np.argsort(part[0])])) for part in parts]

    assert at("cliff line", 5) == pytest.approx([-2.612296656], abs=1e-5)
    assert at("cliff line", 4.2) == pytest.approx([-2.1146893151], abs=1e-5)  # the fold, before the tangent point
    assert at("zero-loss valley", 4.4789123665) == pytest.approx([-2.2879407962], abs=1e-5)
    w, b = np.array(drawn["fold"]["points"][0])
    for side, there in ((1, -2.6556103386), (-1, -2.3443896614)):
        branch = (b < -2 - (w - 4) / 2) if side > 0 else (b >= -2 - (w - 4) / 2)
        order = np.argsort(w[branch])
        assert np.interp(5, w[branch][order], b[branch][order]) == pytest.approx(
            there, abs=1e-3
        )  # a chord of the curve
    ridges = drawn["ridge"]["by_length"]
    assert len(ridges) == len(LENGTHS)
    x, y = (np.concatenate([part[k] for part in ridges[-1]]) for k in (0, 1))
    upper = x > 4.8
    assert upper.any()
    assert np.abs(y[upper] - (0.5 - 0.622459331 * x[upper])).max() < 0.125  # a cell


@pytest.mark.slow
def test_folds_of_a_gated_unit_are_followed_numerically_and_say_so():
    lengths, ranges = [1, 2], {"w_g": np.linspace(0, 4, 5), "b_g": np.linspace(-1, 1, 5)}
    settings = settings_of(Evaluator(plane(LSTM(), **ranges), Recurrence(latch(), lengths)))
    flat = xarray.Dataset({"loss": (("length", *ranges), np.zeros((2, 5, 5)))}, {"length": lengths, **ranges})
    drawn = {line["name"]: line for line in lines(flat, settings, lengths)}
    assert list(drawn) == ["fold"]
    assert "numerical" in drawn["fold"]["about"]
    traced = dynamics.bifurcations(plane(LSTM(), **ranges))
    x, y = (np.concatenate([part[k] for part in drawn["fold"]["points"]]) for k in (0, 1))
    np.testing.assert_allclose(x, traced["w_g"], rtol=1e-6)
    np.testing.assert_allclose(y, traced["b_g"], rtol=1e-6, atol=1e-9)
    assert x.min() == pytest.approx(1.0757656855, abs=1e-2)  # the cusp


def test_latching_cliffs_stand_at_the_bound_and_axes_may_be_swapped():
    lengths = [1, 2]
    for names in (("w", "b"), ("b", "w")):
        ranges = {"w": np.linspace(0.5, 3, 3), "b": np.linspace(-1, 1, 3)}
        settings = settings_of(Evaluator(plane(SRNN(), **{n: ranges[n] for n in names}), Recurrence(latch(), lengths)))
        flat = xarray.Dataset({"loss": (("length", *names), np.zeros((2, 3, 3)))}, {"length": lengths, **ranges})
        found = {line["name"]: line["points"] for line in lines(flat, settings, lengths)}
        lower_upper = sorted(
            float(np.interp(2, *(part if names[0] == "w" else part[::-1]))) for part in found["cliffs"]
        )
        assert lower_upper == pytest.approx([-0.45069385567, 0.45069385567], abs=1e-4)
        assert "fold" in found


def test_the_page_states_the_equation_of_its_cell(wall):
    assert explorer.contents(wall)["settings"].startswith(
        "h' = w f(h) + u x + b, f = logistic; u = 1, one episode, float32"
    )


def test_large_surfaces_are_thinned_and_the_page_says_so():
    ranges = {"w": np.linspace(4, 6, 300), "b": np.linspace(-3, -1, 250)}
    lengths = list(range(1, 41))
    settings = settings_of(Evaluator(plane(Pascanu(), **ranges), Recurrence(pascanu(), lengths)))
    big = xarray.Dataset(
        {"loss": (("length", "w", "b"), np.zeros((40, 300, 250), "f4"))}, {"length": lengths, **ranges}
    )
    data = explorer.contents(big.assign_attrs(settings=json.dumps(settings), cell="Pascanu", task="pascanu()"))
    assert data["note"].startswith("lengths shown: ")
    assert "one in 2 along w, one in 2 along b" in data["note"]
    assert len(json.dumps(data)) < 3e6
    assert data["lengths"][0], data["lengths"][-1] == (1, 40)


def test_names_of_coordinates_cannot_become_part_of_the_page(browser, wall, tmp_path):
    name = '<img src="x" onerror="document.title=1">'
    settings = json.loads(wall.attrs["settings"])
    settings["axes"] = {name: settings["axes"]["w"], "b": settings["axes"]["b"]}
    theirs = wall[["loss"]].rename(w=name).assign_attrs(settings=json.dumps(settings), cell="</script>" + name)
    asked, complaints = browser.open(explorer.page(theirs, tmp_path / "names.html"))
    assert (asked, complaints) == ([(tmp_path / "names.html").as_uri()], [])
    assert browser.run("document.getElementById('place').innerText").startswith(name)
    assert browser.run("document.title").startswith("Loss of </script><img")


def test_other_things_than_surfaces_over_two_coordinates_are_refused(wall):
    with pytest.raises(ValueError, match="shows a surface, with its loss; this holds log10_gradient"):
        explorer.contents(wall[["log10_gradient"]])
    with pytest.raises(ValueError, match="does not say how it was made"):
        explorer.contents(wall.drop_attrs())
    three = plane(SRNN(), **dict.fromkeys("wub", np.linspace(0, 1, 2)))
    settings = json.dumps(settings_of(Evaluator(three, Recurrence(latch(), [1]))))
    with pytest.raises(ValueError, match="over two coordinates, and this one has 3: w, u, b"):
        explorer.contents(wall.assign_attrs(settings=settings))


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["nothing.zarr"], "nothing.zarr does not exist"),
        (["Foo", "latch", "w=1:2:3", "b=1:2:3"], "there is no cell 'Foo'"),
        (["SRNN", "latch"], "give a store, or a cell, a task and two ranges"),
        (["SRNN", "latch", "w=1:2:3", "u=1:2:3", "b=1:2:3"], "give a store, or a cell, a task and two ranges"),
        (["some.zarr", "--lengths", "3"], "--lengths is for a surface to compute"),
    ],
)
def test_wrong_words_are_answered_in_one_sentence(words, answer, tmp_path, capsys):
    assert cli.main(["explore", *words, "--out", str(tmp_path / "x.html")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"landscape: {answer}") or answer in said
    assert said.count("\n") == 1
    assert not (tmp_path / "x.html").exists()


def test_a_stored_surface_opens_in_the_browser_where_there_is_a_screen(wall, tmp_path, monkeypatch, capsys):
    store = tmp_path / "wall.zarr"
    axes = plane(Pascanu(), w=np.linspace(4, 6, 21), b=np.linspace(-3.5, -1.5, 17))
    surface(axes, pascanu(), LENGTHS, order=2, out=store)
    shown = []
    monkeypatch.setattr(webbrowser, "open", lambda url: shown.append(url) or True)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    path = tmp_path / "wall.html"
    for display, words, opens in (("", [], 0), (":0", ["--no-open"], 0), (":0", [], 1)):
        monkeypatch.setenv("DISPLAY", display)
        assert cli.main(["explore", str(store), "--out", str(path), *words]) == 0
        assert len(shown) == opens
        assert ("No browser here" in capsys.readouterr().out) == (not display)
    assert shown == [path.as_uri()]


def test_each_option_reaches_the_surface_and_the_command_that_keeps_it(wall, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        surfaces, "surface", lambda plane, task, *rest, **more: asked.append((plane, task, *rest)) or wall
    )
    words = ["explore", "SRNN", "latch", "w=4:6:21", "b=-3.5:-1.5:17", "--out", str(tmp_path / "x.html"), "--no-open"]
    assert cli.main([*words, "--set", "u=2", "--task-option", "noise=.3", "--lengths", "2:4"]) == 0
    ((plane, task, lengths),) = asked
    assert (plane.at([5, -2]).cell.u, str(task), lengths) == (2, "latch(noise=0.3)", [2, 3, 4])
    kept = "w=4:6:21 b=-3.5:-1.5:17 --lengths 2:4 --set u=2 --task-option noise=.3 --order 2"
    assert f"\nNext: landscape surface SRNN latch {kept}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_without_words_the_page_is_pascanus(browser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["explore", "--no-open"]) == 0
    asked, complaints = browser.open(tmp_path / "explorer.html")
    assert (asked, complaints) == ([(tmp_path / "explorer.html").as_uri()], [])
    assert browser.run("[data.live.cell, data.lengths.length]") == ["Pascanu", 20]
    assert (tmp_path / "explorer.html").stat().st_size < 3e6


# The page of `landscape.plots.interactive` --------------------------------------------------------------------------


@pytest.fixture
def slider(browser, wall, tmp_path):
    broken = wall.copy(deep=True)
    broken["loss"][3, 2, 2] = np.inf
    plots.interactive(broken, tmp_path / "slider.html")
    seen = browser.open(tmp_path / "slider.html")
    assert seen == ([(tmp_path / "slider.html").as_uri()], [])
    return browser


def test_a_slider_page_is_drawn_in_time_at_every_length_and_says_which(slider):
    pictures = set()
    for index, length in enumerate(LENGTHS):
        slider.run(
            f"(s => {{ s.value = {index}; s.dispatchEvent(new Event('input')); }})(document.getElementById('length'))"
        )
        said = "[element('length-text').textContent, element('length').getAttribute('aria-valuetext')]"
        assert slider.run(said) == [f"length {length}"] * 2
        pictures.add(slider.run("canvas.toDataURL()"))
    assert len(pictures) == len(LENGTHS)
    assert slider.run("(now => (draw(), performance.now() - now))(performance.now())") < 3000
    assert slider.run("[document.title, document.documentElement.lang]") == [
        "Loss of Pascanu on pascanu(start=0.5, target=0.7)",
        "en",
    ]


def test_a_slider_page_has_the_colour_of_the_loss_at_its_place_and_reads_it(slider, wall):
    """From above; a pixel may lie half of one beside its grid point, so only places without a cliff are asked."""
    slider.run("show({ ...ABOVE, index: 3 })")
    table = colormaps["viridis"](np.linspace(0, 1, 256), bytes=True)[:, :3].astype(int)
    top = float(wall.loss.max())
    for i, j in ((5, 14), (15, 13), (18, 2)):
        x, y = slider.run(f"camera(canvas.clientWidth, canvas.clientHeight)(us[{i}], vs[{j}], 0.5).slice(0, 2)")
        pixel = slider.run(f"[...canvas.getContext('2d').getImageData({x}, {y}, 1, 1).data.slice(0, 3)]")
        loss = float(wall.loss[3, i, j])
        entry = round(255 * loss / top)
        assert np.abs(table[max(entry - 3, 0) : entry + 4] - pixel).max(1).min() <= 2
        event = f"{{ clientX: {x} + box.left, clientY: {y} + box.top }}"
        slider.run(f"(box => read({event}))(canvas.getBoundingClientRect())")
        said = slider.run("element('place').textContent")
        assert said.startswith(f"w = {float(wall.w[i]):.4g}, b = {float(wall.b[j]):.4g}".replace("-", "−"))
        assert float(said.rpartition(" ")[2]) == pytest.approx(loss, rel=1e-3, abs=1e-4)


def test_a_slider_page_turns_comes_nearer_and_counts_what_is_not_finite(slider):
    slider.run("show({ index: 3 })")
    pictures = [slider.run("canvas.toDataURL()")]
    slider.run("canvas.focus()")
    for key in ("ArrowLeft", "ArrowUp", "+"):
        slider.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        slider.run("1")  # it is drawn in the next frame
        pictures.append(slider.run("canvas.toDataURL()"))
    box = slider.run("(box => [box.left + box.width / 2, box.top + box.height / 2])(canvas.getBoundingClientRect())")
    for kind, dx in (("mousePressed", 0), ("mouseMoved", 60), ("mouseReleased", 60)):
        slider.call(
            "Input.dispatchMouseEvent", type=kind, x=box[0] + dx, y=box[1], button="left", buttons=1, clickCount=1
        )
    slider.run("1")
    pictures.append(slider.run("canvas.toDataURL()"))
    assert len(set(pictures)) == 5
    assert slider.run("element('bad').innerText") == "● inf or NaN: 1 of 357 points"
    slider.run("show({ index: 0 })")
    assert slider.run("element('bad').hidden")


def test_a_slider_page_fits_a_narrow_window_and_a_finger(browser, slider, tmp_path):
    browser.open(tmp_path / "slider.html", 390, 700)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    assert browser.run(TARGETS) == []


MINE = """
import dataclasses
from landscape.tasks import Task, latch

def quiet() -> Task:
    return dataclasses.replace(latch(0.25), name="quiet", options=())
"""


def test_a_stored_task_of_the_users_own_is_computed_only_if_its_file_is_given_again(tmp_path):
    (tmp_path / "mine.py").write_text(MINE + f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    mine = module(str(tmp_path / "mine.py"))
    axes = plane(SRNN(), w=np.linspace(0, 2, 5), b=np.linspace(-1, 1, 5))
    surface(axes, mine.quiet(), [1, 3], order=0, episodes=2, out=tmp_path / "s.zarr")
    (tmp_path / "ran").unlink()
    stored = open_surface(tmp_path / "s.zarr")
    assert "the task quiet is not one of this package" in explorer.contents(stored)["live"]["reason"]
    assert not (tmp_path / "ran").exists()
    assert "parameters" in explorer.contents(stored, mine=mine)["live"]


def test_what_a_stranger_wrote_in_a_store_runs_no_file(tmp_path):
    (tmp_path / "payload.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n" + MINE)
    axes = plane(SRNN(), w=np.linspace(0, 2, 5), b=np.linspace(-1, 1, 5))
    made = surface(axes, latch(), [1, 3, 5, 7], order=2, episodes=2)
    settings = json.loads(made.attrs["settings"])
    for task in (f"{tmp_path}/payload.py:quiet", {"name": f"{tmp_path}/payload.py:quiet", "options": {}}):
        theirs = made.assign_attrs(settings=json.dumps({**settings, "task": task}))
        assert "is not one of this package" in explorer.contents(theirs)["live"]["reason"]
    assert not (tmp_path / "ran").exists()

"""The surface that a page computes at every pixel is ours, at every zoom; and the page says what it can and cannot."""

import functools
import json
import re

import numpy as np
import pytest
import xarray
from matplotlib import colormaps
from matplotlib.colors import to_rgb, to_rgba

from landscape import Evaluator, cells, explorer, latch, plane
from landscape.recurrence import Recurrence
from landscape.surfaces import settings_of
from landscape.tasks import pascanu

LENGTHS = (5, 20)
SIZE = (390, 480)  # of the window
PLANES = {
    "SRNN": ({"w": (-3, 3), "b": (-2, 2)}, {}, (1.75, 0.3)),
    "GRU": ({"w_h": (-4, 6), "b_z": (-3, 3)}, {"w_r": 0.7, "u_h": 1.5}, (3.1, 0.4)),
    "LSTM": ({"w_g": (-4, 6), "b_i": (-3, 3)}, {"b_f": 2.0, "u_g": 1.0}, (0.9, -0.7)),
}


@functools.cache
def ours(name):
    """The evaluator in float64, and the surface of its own numbers on a grid of 9 x 9 points."""
    ranges, held, _ = PLANES[name]
    grid = {axis: np.linspace(*ends, 9) for axis, ends in ranges.items()}
    problem = Recurrence(latch(0.1), LENGTHS, episodes=4, dtype="float64")
    evaluator = Evaluator(plane(cells.known()[name](**held), **grid), problem).resize(1000)
    values = evaluator(np.stack(np.meshgrid(*grid.values(), indexing="ij"), -1).reshape(-1, 2))
    variables = {v: (("length", *grid), values[v].reshape(-1, 9, 9)) for v in ("loss", "log10_gradient")}
    attrs = {"settings": json.dumps(settings_of(evaluator)), "cell": name, "task": "latch(noise=0.1)", "episodes": 4}
    made = xarray.Dataset(variables, {"length": list(LENGTHS), **grid}, attrs | {"seed": 0, "dtype": "float64"})
    return evaluator, made


def whole(browser):
    """Places and values of every pixel, from below, once they are all computed."""
    browser.run("(() => { while (live.work()); drawSurface(); })()")
    picture = browser.run("(({ xs, ys, values }) => [[...xs], [...ys], [...values].map(String)])(live.read())")
    xs, ys, values = (np.array(part, float) for part in picture)
    return xs, ys, values.reshape(len(ys), len(xs))


def gap(name, picture, field, rng):
    """Largest difference from ours at 1,000 random pixels that no cliff crosses, as a share of the field's range.

    A cliff crosses a pixel if the loss changes by more than 1 % of its range from one side of it to the other.
    """
    evaluator, made = ours(name)
    xs, ys, values = picture
    i, j = rng.integers(len(xs), size=2000), rng.integers(len(ys), size=2000)
    there = {v: a[-1] for v, a in evaluator(np.stack([xs[i], ys[j]], -1)).items()}
    slopes = np.abs([there[f"d_{axis}"] for axis in evaluator.plane.axes])
    across = slopes[0] * (xs[1] - xs[0]) + slopes[1] * (ys[1] - ys[0])
    calm = np.flatnonzero(across < 0.01 * np.ptp(made["loss"][-1].values))[:1000]
    assert len(calm) == 1000, "too many of the pixels lie on cliffs"
    return np.abs(values[j, i] - there[field])[calm].max() / np.ptp(made[field][-1].values)


@pytest.mark.parametrize("name", ["SRNN", *(pytest.param(n, marks=pytest.mark.slow) for n in ("GRU", "LSTM"))])
def test_the_live_surface_is_ours_at_every_zoom_and_after_a_resize(browser, tmp_path, name):
    """In float32 against float64: seen are 1e-7 to 5e-7 of the range, of log10 of the gradient up to 7e-6."""
    rng = np.random.default_rng(0)
    place = PLANES[name][2]
    assert browser.open(explorer.page(ours(name)[1], tmp_path / "live.html"), *SIZE, live=True)[1] == []
    for factor in (1, 16, 256):
        browser.run(f"show({{ window: null }}), show(zoom(1 / {factor}, {list(place)}))")
        before = whole(browser)
        assert before[0].min() <= place[0] <= before[0].max()
        assert gap(name, before, "loss", rng) < 1e-5
    browser.call("Emulation.setDeviceMetricsOverride", width=290, height=480, deviceScaleFactor=1, mobile=False)
    browser.run("show({})")
    after = whole(browser)
    assert after[2].shape != before[2].shape
    assert gap(name, after, "loss", rng) < 1e-5
    browser.run("show({ field: 'log10_gradient', window: null })")
    assert gap(name, whole(browser), "log10_gradient", rng) < 1e-5


# A page that costs nothing to make: Pascanu's map, by NumPy. --------------------------------------------------------


@pytest.fixture(scope="module")
def wall():
    lengths, grid = [5, 20, 50], {"w": np.linspace(4, 6, 21), "b": np.linspace(-3.5, -1.5, 17)}
    h, losses = np.full((21, 17), 0.5), []
    for t in range(1, 51):
        h = grid["w"][:, None] / (1 + np.exp(-h)) + grid["b"]
        losses += [(1 / (1 + np.exp(-h)) - 0.7) ** 2] if t in lengths else []
    settings = settings_of(Evaluator(plane(cells.Pascanu(), **grid), Recurrence(pascanu(), lengths)))
    attrs = {
        "settings": json.dumps(settings),
        "cell": "Pascanu",
        "task": "pascanu()",
        "episodes": 1,
        "dtype": "float32",
    }
    loss = np.asarray(losses, np.float32)
    slope = np.log10(np.abs(np.gradient(loss, axis=1)) + 1e-9)
    both = {"loss": (("length", "w", "b"), loss), "log10_gradient": (("length", "w", "b"), slope)}
    return xarray.Dataset(both, {"length": lengths, **grid}, attrs)


@pytest.fixture(scope="module")
def page(wall, tmp_path_factory):
    return explorer.page(wall, tmp_path_factory.mktemp("live") / "wall.html")


@pytest.fixture
def opened(browser, page):
    assert browser.open(page, *SIZE, words="#w=5&b=-2.6", live=True) == ([page.as_uri()], [])
    return browser


def text(browser, name):
    return browser.run(f"element('{name}').textContent")


def window(browser):
    return np.array(browser.run("seen()"))


def at(browser, w, b):
    """The pixel of the window at a place."""
    box = "(box => [box.left + surface.X({}), box.top + surface.Y({})])(surface.canvas.getBoundingClientRect())"
    x, y = browser.run(box.format(w, b))
    return {"x": x, "y": y}


@pytest.mark.slow
def test_the_page_says_how_fast_it_is_and_what_it_computes(opened):
    opened.run("(() => { while (live.work()); drawSurface(); })()")
    assert "live: " in text(opened, "rate")
    assert "frames a second at every pixel" in text(opened, "rate")
    opened.run("new Promise(done => setTimeout(done, 600))")
    agreed = re.search(r"; ([\d.]+) digits agree with float64$", text(opened, "rate"))
    assert 5.5 < float(agreed[1]) <= 7.2
    opened.run("(() => { Object.assign(live, { key: '', rates: { loss: 1e-3 }, work: () => false }); draw(); })()")
    assert text(opened, "rate").endswith(" frames a second at 1 of 1024 pixels")
    assert opened.run("live.read().values.length") < 500


def test_a_graphics_card_that_computes_something_else_is_not_believed(opened):
    whole(opened)
    opened.run(
        "(() => { const read = live.read(); live.read = () => ({ ...read, values: read.values.map(v => 2 * v) }); })()"
    )
    opened.run("compare()")
    assert opened.run("view.live") is False
    assert text(opened, "rate") == "as stored: this graphics card gives other numbers"


def test_a_graphics_card_that_refuses_a_program_leaves_the_stored_picture(opened):
    opened.run(
        "(() => { live.program = () => { throw new Error('too long'); }; show({ field: 'log10_gradient' }); })()"
    )
    assert opened.run("[view.live, view.field]") == [False, "log10_gradient"]
    assert text(opened, "rate") == "as stored: too long"
    assert opened.seen()[1] == []


def test_a_live_pixel_has_the_colour_of_its_value(opened):
    """A table of 256 colours may be entered one beside, by rounding."""
    _, ys, values = whole(opened)
    table = colormaps["viridis"](np.arange(256), bytes=True)[:, :3].astype(int)
    low, high = opened.run("[data.fields.loss.low, data.fields.loss.high]")
    opened.run("(() => { data.lines.length = 0; show({ point: [4, -1.5] }); })()")
    ratio = "(surface.canvas.width / surface.canvas.clientWidth)"
    for i, j in ((20, 30), (60, 100), (10, 150), (100, 40)):
        place = f"(surface.frame[0] + {i}) * {ratio}, (surface.frame[1] + {len(ys) - 1 - j}) * {ratio}, 1, 1"
        pixel = opened.run(f"[...surface.context.getImageData({place}).data.slice(0, 3)]")
        entry = int(np.clip(256 * (values[j, i] - low) / (high - low), 0, 255))
        assert np.abs(table[max(entry - 1, 0) : entry + 2] - pixel).max(1).min() == 0


def test_the_length_is_slid_live(opened):
    for index, length in enumerate((5, 20, 50)):
        opened.run(f"show({{ index: {index} }})")
        xs, ys, values = whole(opened)
        i, j, h = 50, 60, 0.5
        for _ in range(length):
            h = xs[i] / (1 + np.exp(-h)) + ys[j]
        assert values[j, i] == pytest.approx((1 / (1 + np.exp(-h)) - 0.7) ** 2, abs=1e-5)


def test_a_wheel_zooms_about_the_place_under_it_and_a_drag_moves_it(opened):
    before = window(opened)
    opened.call("Input.dispatchMouseEvent", type="mouseWheel", **at(opened, 5.2, -2.4), deltaX=0, deltaY=-240)
    after = window(opened)
    assert np.ptp(after, axis=1) == pytest.approx(np.ptp(before, axis=1) * np.exp(-0.48), rel=1e-6)
    share = (np.array([5.2, -2.4]) - after[:, 0]) / np.ptp(after, axis=1)
    assert share == pytest.approx((np.array([5.2, -2.4]) - before[:, 0]) / np.ptp(before, axis=1), abs=0.01)
    place, start = opened.run("[view.point, view.pinned]"), at(opened, 5, -2.5)
    for kind, by in (("mousePressed", 0), ("mouseMoved", 10), ("mouseMoved", 30), ("mouseReleased", 30)):
        where = {"x": start["x"] + by, "y": start["y"] - by}
        opened.call("Input.dispatchMouseEvent", type=kind, **where, button="left", buttons=1, clickCount=1)
    moved = window(opened) - after
    perpixel = np.ptp(after, axis=1) / opened.run("surface.frame.slice(2)")
    assert moved == pytest.approx(np.outer(perpixel * [-30, -30], [1, 1]), rel=1e-3)
    assert opened.run("[view.point, view.pinned]") == place, "a drag is no click"
    for _ in range(3):
        opened.call("Input.dispatchMouseEvent", type="mouseWheel", **at(opened, 5.2, -2.4), deltaX=0, deltaY=900)
    assert opened.run("view.window") is None


def test_two_fingers_zoom_and_move_the_plane_under_them(opened):
    middle = at(opened, 5, -2.5)

    def touch(kind, *spread):
        points = [{"x": middle["x"] + s, "y": middle["y"], "id": k} for k, s in enumerate(spread)]
        opened.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        opened.run("1")

    before = window(opened)
    touch("touchStart", -20, 20)
    for spread in (30, 45, 60):
        touch("touchMove", -spread, spread)
    touch("touchEnd")
    assert np.ptp(window(opened), axis=1) == pytest.approx(np.ptp(before, axis=1) / 3, rel=1e-6)
    assert window(opened).mean(1) == pytest.approx([5, -2.5], abs=0.1)


@pytest.mark.slow
def test_keys_and_buttons_zoom_about_the_place_and_keep_it_in_sight(opened):
    def press(key):
        opened.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        opened.run("1")

    opened.run("surface.canvas.focus()")
    whole_, width = window(opened), np.ptp(window(opened)[0])
    press("+")
    assert np.ptp(window(opened)[0]) == pytest.approx(width / 1.5)
    opened.run("element('nearer').click()")
    assert np.ptp(window(opened)[0]) == pytest.approx(width / 3)
    assert "zoom 3" in text(opened, "depth")
    for _ in range(14):
        press("ArrowRight")
    low, high = window(opened)[0]
    assert low <= opened.run("view.point[0]") <= high
    assert opened.run("view.point[0]") == pytest.approx(5 + 14 * 0.1 / 3)
    opened.run("element('farther').click()")
    assert np.ptp(window(opened)[0]) == pytest.approx(width / 1.5)
    press("0")
    assert window(opened) == pytest.approx(whole_)
    assert opened.run("[element('farther').disabled, element('whole').disabled, element('nearer').disabled]") == [
        True,
        True,
        False,
    ]


@pytest.mark.slow
def test_the_zoom_ends_where_float32_cannot_tell_two_pixels_apart(opened):
    for _ in range(40):
        opened.run("show(zoom(1 / 4))")
    xs, ys, _ = whole(opened)
    assert len(set(xs)) == len(xs)
    assert len(set(ys)) == len(ys)
    assert min(np.diff(axis).min() / np.spacing(np.float32(abs(axis).max())) for axis in (xs, ys)) < 2.5
    assert "no deeper: neighbouring pixels are neighbouring float32 numbers" in text(opened, "depth")
    assert opened.run("element('nearer').disabled")
    said = float(text(opened, "depth").partition("float32 has ")[2].split()[0])
    numbers = [(b - a) / float(np.spacing(np.float32(max(abs(a), abs(b))))) for a, b in window(opened)]
    assert said == pytest.approx(np.log10(min(numbers)), abs=0.06)
    assert opened.run("document.documentElement.scrollWidth") <= SIZE[0]


@pytest.mark.slow
def test_a_link_keeps_place_length_cell_window_and_what_is_drawn(browser, opened, page):
    opened.run("show({ ...zoom(1 / 50), index: 1, field: 'log10_gradient', fit: true })")
    seen = window(opened)
    link = opened.run("new Promise(done => setTimeout(() => done(location.hash), 300))")
    assert link.startswith("#cell=Pascanu&length=20&show=log10_gradient&w=5&b=-2.6&window=")
    browser.open(page, *SIZE, words=link, live=True)
    assert window(browser) == pytest.approx(seen, rel=1e-9)
    assert browser.run("[view.point, data.lengths[view.index], view.field, view.live, view.fit]") == [
        [5, -2.6],
        20,
        "log10_gradient",
        True,
        True,
    ]
    assert browser.run("element('other').hidden")
    browser.open(page, *SIZE, words="#cell=LSTM&picture=stored&window=9_1_x", live=True)
    assert text(browser, "other").startswith("The link is to a page of LSTM, and this page holds Pascanu")
    assert browser.run("[view.live, view.window]") == [False, None]


def test_without_webgl2_the_stored_picture_stays_and_zooms_to_points_of_the_grid(browser, page, wall):
    assert browser.open(page, *SIZE, words="#w=5&b=-2.6")[1] == []
    assert text(browser, "rate") == "as stored: this browser has no WebGL2"
    assert browser.run("element('as').hidden")
    for _ in range(10):
        browser.run("show(zoom(1 / 4))")
    assert text(browser, "depth").endswith("no deeper: these are points of the grid")
    assert np.ptp(window(browser), axis=1).min() == pytest.approx(4 * 2 / 17, rel=0.1)


def test_the_live_picture_can_be_switched_off_and_coloured_by_what_is_seen(opened):
    same = "(now => { const old = window.kept; window.kept = now; return old === now; })(surface.canvas.toDataURL())"
    opened.run("show(zoom(1 / 30))")
    whole(opened)
    opened.run(same)
    opened.run("element('fit').click()")
    assert not opened.run(same)
    low, high = opened.run("(({ low, high }) => [low, high])(scale('loss'))")
    values = whole(opened)[2]
    assert (low, high) == pytest.approx((values.min(), values.max()))
    opened.run("element('live').click()")
    assert not opened.run(same)
    assert text(opened, "rate") == "as stored"
    assert "at the nearest grid point" in text(opened, "why")


def test_what_a_finger_is_to_touch_is_24_pixels_wide_and_high_where_the_page_is_live(opened):
    targets = """[...document.querySelectorAll("button, input, label")].filter(one => one.getClientRects().length)
        .map(one => one.getBoundingClientRect()).filter(box => box.width < 24 || box.height < 24).length"""
    assert opened.run(targets) == 0
    assert opened.run("document.documentElement.scrollWidth") <= SIZE[0]
    named = "[...document.querySelectorAll('button')].every(one => one.getAttribute('aria-label') || one.innerText)"
    assert opened.run(named)


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


def test_the_words_of_the_page_read_on_their_ground_in_light_and_in_dark(opened):
    """At least 4.5 to 1, the level AA of WCAG 2.2 for small text."""
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        opened.call("Emulation.setEmulatedMedia", features=features)
        ground, *inks = opened.run("['--ground', '--ink', '--soft', '--one', '--two'].map(css)")
        assert [contrast(ink, ground) >= 4.5 for ink in inks] == [True] * 4, scheme
    opened.call("Emulation.setEmulatedMedia", features=[])


# The equations are written once. ------------------------------------------------------------------------------------

UNIT = """(cell => {
    const kinds = ["w", "u", "b", "c"], gates = ["", "_i", "_f", "_g", "_o", "_z", "_r", "_h"];
    const names = [...gates.flatMap(gate => kinds.map(kind => kind + gate)), "a"], at = k => 0.5 * Math.sin(k + 1);
    const [p, q] = cell.startsWith("LSTM") ? ["w_g", "b_i"] : cell.startsWith("GRU") ? ["w_h", "b_z"] : ["w", "b"];
    const held = Object.fromEntries(names.map((name, k) => [name, [at(k), 0, 0]])), [T, E] = [12, 3];
    const parameters = { ...held, a: [0.3, 0, 0], [p]: [0, 1, 0], [q]: [0, 0, 1] };
    const inputs = [0, 1].map(k => Float32Array.from({ length: T * E }, (_, t) => Math.sin(7 * t + k)));
    const rest = { start: 0.2, squash: cell === "Pascanu", nested: false, missing: 0, times: [T, T], inputs };
    return new Unit({ cell, parameters, ...rest, targets: [[1, -1, 1], [0.5, 1, -1]] });
})"""


def test_every_cell_in_the_shader_is_the_cell_in_the_page(opened):
    """At 64 places, in float32, on the second of two sets of episodes; its gradient by its logarithm."""
    script = f"""Object.keys(CELLS).map(cell => {{
        const unit = {UNIT}(cell), made = new Live(unit), off = {{ loss: 0, log10_gradient: 0 }};
        for (const field of Object.keys(off)) {{
            made.ask({{ x: [-1, 1.5], y: [-1, 1], width: 8, height: 8, field, steps: 12, set: 1 }});
            while (made.work());
            const {{ xs, ys, values }} = made.read();
            ys.forEach((y, j) => xs.forEach((x, i) => {{
                const run = unit.run([x, y], 1), theirs = (field === "loss" ? run.loss : run.log10).at(-1);
                const gap = theirs === values[8 * j + i] ? 0 : Math.abs(theirs - values[8 * j + i]);
                off[field] = Math.max(off[field], gap / (1 + Math.abs(theirs)));
            }}));
        }}
        made.gl.getExtension("WEBGL_lose_context").loseContext();
        return [cell, off.loss, off.log10_gradient];
    }})"""
    found = opened.run(script)
    assert len(found) == 12
    for cell, loss, gradient in found:
        assert loss < 2e-6, cell
        assert gradient < 2e-5, cell


def test_a_state_beyond_float32_is_live_as_infinity(opened):
    """h' = relu(5 h + 1) is beyond 5^59 after 60 steps, whose square no float32 holds; pink is the colour of no map."""
    live = {"cell": "SRNN(act=relu)", "parameters": {"w": [0, 1, 0], "u": [1, 0, 0], "b": [0, 0, 1]}, "start": 0}
    rest = "squash: false, nested: true, missing: 0, times: [60], inputs: [new Float32Array(60)], targets: [[1]]"
    ask = "x: [0.2, 0.2], y: [1, 1], width: 1, height: 1, set: 0, field: 'loss', steps: 60"
    script = f"""((made, ask) => [0.2, 5].map(w => {{
        made.ask({{ ...ask, x: [w, w] }});
        made.paint({{ low: 0, high: 1, log: false, table: Array(768).fill(0) }});
        const colour = new Uint8Array(4);
        made.gl.readPixels(0, 0, 1, 1, made.gl.RGBA, made.gl.UNSIGNED_BYTE, colour);
        return [String(made.read().values[0]), ...colour.slice(0, 3)];
    }}))(new Live(new Unit({{ ...{json.dumps(live)}, {rest} }})), {{ {ask} }})"""
    fine, beyond = opened.run(script)
    assert float(fine[0]) == pytest.approx((1 / 0.8 - 1) ** 2, rel=1e-5)
    assert fine[1:] == [0, 0, 0]
    assert beyond == ["Infinity", 0xFF, 0x2E, 0x88]


def test_a_dot_of_a_sharp_screen_is_a_pixel_of_the_surface(opened):
    before = opened.run("[live.picture.width, live.picture.height]")
    opened.call("Emulation.setDeviceMetricsOverride", width=390, height=480, deviceScaleFactor=2, mobile=False)
    opened.run("show({})")
    assert opened.run("[live.picture.width, live.picture.height]") == pytest.approx(2 * np.array(before), abs=1)


def test_a_gradient_that_float32_cannot_hold_is_live_by_its_logarithm(opened):
    """h' = w tanh(h) on its unstable point 0 with w = 2: d h_T / d b = 2^T - 1."""
    T = 900
    live = {"cell": "Pascanu(f=tanh)", "parameters": {"w": [0, 1, 0], "u": [1, 0, 0], "b": [0, 0, 1]}, "start": 0}
    rest = f"squash: false, nested: true, missing: 0, times: [{T}], inputs: [new Float32Array({T})], targets: [[1]]"
    ask = "x: [2, 2], y: [0, 0], width: 1, height: 1, field: 'log10_gradient', set: 0"
    script = f"""(made => {{
        made.ask({{ {ask}, steps: {T} }});
        return made.read().values[0];
    }})(new Live(new Unit({{ ...{json.dumps(live)}, {rest} }})))"""
    assert opened.run(script) == pytest.approx(T * np.log10(2) + np.log10(2), rel=1e-6)

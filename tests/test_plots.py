"""Figures contain the arrays they claim, name what they show, and hide nothing."""

import ast
import base64
import errno
import inspect
import itertools
import json
import os
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray
from matplotlib.cm import ScalarMappable
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from PIL import Image

from landscape import plots
from landscape.plots import moving
from landscape.plots.curves import LINES
from landscape.plots.facets import facets
from landscape.plots.files import whole
from landscape.plots.parts import bounds, scale, spread

LENGTHS = [1, 2, 5, 10]


def made(shape=(9, 7), **more):
    """A surface in the form that `landscape.surfaces.surface` makes, of a known function."""
    axes = {"w": np.linspace(-1, 2, shape[0]), "b_f": np.linspace(0, 1, shape[1])}
    axes |= {name: np.asarray(values) for name, values in more.items()}
    grid = np.meshgrid(LENGTHS, *axes.values(), indexing="ij")
    loss = (np.tanh(grid[0] * (grid[1] - grid[2])) + 1.1 + sum(grid[3:])).astype(np.float32)
    dims = ("length", *axes)
    attrs = {"cell": "LSTM", "task": "latch(noise=0.1)", "episodes": 32, "seed": 7, "dtype": "float32"}
    attrs["settings"] = json.dumps({"held": {"u_g": 1.0, "b_i": 0.0}})
    coords = {"length": LENGTHS} | {n: (n, v, {"long_name": n, "units": "1"}) for n, v in axes.items()}
    return xarray.Dataset({"loss": (dims, loss), "log10_gradient": (dims, np.log10(loss) - 3)}, coords, attrs)


def words(figure):
    """Every text of a figure, of its parts and of its legends."""
    return "\n".join(text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text())


def meshes(figure):
    """The panels' meshes, in order."""
    return [
        mesh
        for ax in figure.findobj(mpl.axes.Axes)
        for mesh in ax.collections
        if ax.get_title() and isinstance(mesh, QuadMesh)
    ]


@pytest.mark.parametrize(("draw", "variable"), [(plots.formation, "loss"), (plots.gradient, "log10_gradient")])
def test_panels_hold_the_surface_at_their_length_on_one_scale(draw, variable):
    ds = made()
    panels = meshes(draw(ds))
    assert [panel.axes.get_title() for panel in panels] == [f"length {length}" for length in LENGTHS]
    for panel, length in zip(panels, LENGTHS, strict=True):
        np.testing.assert_array_equal(panel.get_array().reshape(7, 9), ds[variable].sel(length=length).T)
        assert panel.get_clim() == panels[0].get_clim()
        # every sample is the middle of its cell: the axes are the coordinates, not shifted by half a step
        np.testing.assert_allclose(panel.axes.get_xlim(), (-1 - 3 / 16, 2 + 3 / 16))
        np.testing.assert_allclose(panel.axes.get_ylim(), (-1 / 12, 1 + 1 / 12))


@pytest.mark.parametrize("draw", [plots.formation, plots.gradient, plots.surface3d, lambda ds: plots.profile(ds, "w")])
def test_every_figure_names_axes_units_cell_task_length_episodes_and_dtype(draw):
    text = words(draw(made())).replace("\n", " ")
    for part in (
        "recurrent weight $w$ (dimensionless)",
        "LSTM on latch(noise=0.1)",
        "10",
        "32 episodes, seed 7",
        "float32",
    ):
        assert part in text
    assert "u_g = 1, other parameters 0" in text


@pytest.mark.parametrize("draw", [plots.formation, plots.surface3d, lambda ds, **at: plots.profile(ds, "w", at=at)])
def test_a_length_that_is_held_is_told_and_is_one_of_the_surface(draw):
    assert "length = 5 (nearest sample)" in words(draw(made(), length=5)).replace("\n", " ")
    for length in (0, 11):
        with pytest.raises(ValueError, match=f"the surface has no length {length}; it has 1 to 10"):
            draw(made(), length=length)


def test_axes_are_named_by_what_the_plane_says_else_by_the_convention_of_names():
    ds = made()
    assert "forget-gate bias $b_{f}$ (dimensionless)" in words(plots.formation(ds)).replace("\n", " ")
    ds["b_f"].attrs |= {"long_name": "displacement along b_f", "units": "mV"}
    assert "displacement along $b_{f}$ (mV)" in words(plots.formation(ds)).replace("\n", " ")


def test_surfaces_by_name_share_one_scale_and_stand_side_by_side_at_one_length():
    low, high = made(), made()
    high["loss"] = 5 * high["loss"]
    for lengths in (None, 10):
        figure = plots.formation({"SRNN": low, "wide": high}, lengths)
        panels = meshes(figure)
        assert len(panels) == 2 * (4 if lengths is None else 1)
        assert {panel.get_clim() for panel in panels} == {(0.0, float(high.loss.sel(length=lengths or LENGTHS).max()))}
        np.testing.assert_array_equal(panels[-1].get_array().reshape(7, 9), high.loss.sel(length=10).T)
        assert "wide: LSTM on latch" in words(figure)


def test_points_that_are_not_finite_have_a_colour_of_their_own_and_are_counted():
    ds = made()
    for k, value in enumerate([np.nan, np.inf, -np.inf]):
        ds["loss"][1, k, 3] = value
    figure = plots.formation(ds)
    colours = meshes(figure)[1].to_rgba(meshes(figure)[1].get_array())[..., :3].reshape(7, 9, 3)
    lost = np.all(colours == to_rgb(plots.NONFINITE), axis=-1)
    np.testing.assert_array_equal(lost, ~np.isfinite(ds.loss.values[1].T))
    assert "inf or NaN: 3 of 252 points" in words(figure)
    assert "inf or NaN: 3 of 63 points" in words(plots.surface3d(ds, 2))
    assert "inf or NaN" not in words(plots.formation(ds, 10))
    cut = plots.profile(ds, "w", at={"b_f": 0.5})
    crosses = [line for line in cut.axes[0].lines if line.get_marker() == "x" and len(line.get_xdata())]
    np.testing.assert_array_equal(crosses[0].get_xdata(), ds.w[:3])


@pytest.mark.parametrize("name", ["viridis", "cividis"])
def test_the_colour_of_what_is_not_finite_is_far_from_every_colour_of_the_maps(name):
    apart = np.linalg.norm(mpl.colormaps[name](np.arange(256))[:, :3] - to_rgb(plots.NONFINITE), axis=1)
    assert apart.min() > 0.4


def test_a_gradient_of_zero_is_the_lowest_colour_and_no_missing_value_and_the_grid_is_no_maximum():
    ds = made()
    ds["log10_gradient"][0, 0, 0] = -np.inf
    figure = plots.gradient(ds)
    mesh = meshes(figure)[0]
    np.testing.assert_array_equal(mesh.to_rgba(mesh.get_array()).reshape(7, 9, 4)[0, 0], mpl.colormaps["cividis"](0.0))
    assert "inf or NaN" not in words(figure)
    assert "the largest value seen here is not the maximum" in words(figure).replace("\n", " ")


def wall_of(figure, ds, length):
    """The facets of a 3-D figure: as drawn, their corners (facet, 5, 3), and the value that colours each."""
    (wall,) = figure.findobj(Poly3DCollection)
    loss = ds.loss.sel(length=length)
    top = float(loss.where(np.isfinite(loss)).max())
    corners = facets(ds.w.values, ds.b_f.values, loss.values, top / 64)
    assert len(wall.get_array()) == len(corners)
    return wall, corners, wall.get_array()


def test_the_3d_wall_goes_through_every_point_of_the_surface_and_colour_is_height():
    ds = made()
    figure = plots.surface3d(ds, 5)
    _, corners, colours = wall_of(figure, ds, 5)
    loss = ds.loss.sel(length=5).values
    points = np.stack([*np.meshgrid(ds.w, ds.b_f, indexing="ij"), loss], -1).reshape(-1, 1, 3)
    assert np.abs(points - corners.reshape(1, -1, 3)).max(-1).min(1).max() < 1e-6  # float32
    step = float(loss.max()) / 64  # of the scale, which begins at 0
    assert np.ptp(corners[..., 2], axis=1).max() <= step * 1.0001
    assert np.abs(corners[..., 2] - colours[:, None]).max() <= step / 2 * 1.0001
    assert "length 5" in words(figure)


def test_the_3d_wall_is_seen_from_where_is_asked_also_on_axes_of_ones_own():
    ax = Figure().add_subplot(projection="3d", elev=1, azim=2)
    for view, expected in ((None, (1, 2)), ((80, 10), (80, 10))):
        plots.surface3d(made(), 5, ax=ax, view=view)
        assert (ax.elev, ax.azim) == expected
    alone = plots.surface3d(made(), 5).axes[0]
    assert (alone.elev, alone.azim) == (30, 50)


def test_the_3d_wall_is_drawn_beside_points_that_are_not_finite(tmp_path):
    ds = made()
    ds["loss"][0, :4, :3] = np.inf  # every cell with such a corner is left out
    figure = plots.surface3d(ds, 1)
    plots.save(figure, tmp_path / "a.png")
    wall, corners, colours = wall_of(figure, ds, 1)
    assert np.isfinite(corners).all()
    assert len(wall.get_facecolor()) == len(colours) == len(corners)
    assert not ((corners[..., 0] < ds.w.values[4] - 1e-9) & (corners[..., 1] < ds.b_f.values[3] - 1e-9)).all(1).any()
    assert colours.max() == pytest.approx(ds.loss.values[0][np.isfinite(ds.loss.values[0])].max(), rel=0.02)  # a step


@pytest.mark.parametrize("step", [0.01, 0.3, 10.0])
def test_facets_cover_the_plane_once_and_lie_on_its_cells(step):
    """Seen from above their areas add up to the plane's; a cell cut or not is the same two triangles' heights."""
    rng = np.random.default_rng(0)
    x, y, z = np.array([0.0, 1.0, 3.0]), np.array([0.0, 0.5, 1.0, 2.0]), rng.normal(size=(3, 4))
    made = facets(x, y, z, step)
    a, b = made[..., 0], made[..., 1]
    areas = np.abs((a * np.roll(b, -1, 1) - b * np.roll(a, -1, 1)).sum(1)) / 2
    assert areas.sum() == pytest.approx(3 * 2, rel=1e-12)
    assert (len(made) == 6) == (step == 10.0)
    assert (z.min(), z.max()) == (made[..., 2].min(), made[..., 2].max())


def test_a_cut_holds_the_surface_at_the_nearest_sample_and_says_which():
    ds = made()
    figure = plots.profile(ds, "w", at={"b_f": 0.3})
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == "-"]
    for line, length in zip(lines, LENGTHS, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), ds.w)
        np.testing.assert_array_equal(line.get_ydata(), ds.loss.sel(length=length, b_f=1 / 3, method="nearest"))
    assert "b_f = 0.3333 (nearest sample)" in words(figure)


def test_lines_over_a_surface_are_those_given_and_do_not_move_the_axes():
    ds, line = made(), (np.array([-9.0, 9.0]), np.array([0.2, 0.4]))
    figure = plots.formation(ds, overlays={"theory": line})
    for panel in meshes(figure):
        np.testing.assert_array_equal(panel.axes.lines[0].get_xydata(), np.stack(line, -1))
        assert panel.axes.get_xlim() == meshes(plots.formation(ds))[0].axes.get_xlim()
    assert "theory" in words(figure)
    with pytest.raises(ValueError, match="overlays for 'B', which is not drawn; surfaces are A"):
        plots.formation({"A": ds}, overlays={"B": {}})


def test_a_shallow_surface_has_all_colours_and_a_flat_one_its_height():
    assert bounds(scale([2.4, 2.6, 3.4])) == (2.4, 3.4)
    assert bounds(scale([1.6, 2.0, 3.4])) == (0.0, 3.4)
    assert bounds(scale([2.5, 2.5])) == (0.0, 2.5)


def test_colours_are_logarithmic_where_values_span_decades_and_start_at_zero_elsewhere():
    linear, log = scale([0.1, 0.2, 3.0, np.nan]), scale([1e-3, 1e-3, 1e-2, 50.0, np.inf])
    assert not isinstance(linear, LogNorm)
    assert (linear.vmin, linear.vmax) == (0.0, 3.0)
    assert isinstance(log, LogNorm)
    assert (log.vmin, log.vmax) == (pytest.approx(1e-3), 50.0)
    assert (scale([-2.0, 1.0]).vmin, scale([np.nan]).vmax, scale([0.0, 0.0]).vmax) == (-2.0, 1, 1.0)


def test_a_loss_of_zero_on_a_logarithmic_scale_is_the_lowest_colour_and_no_missing_value():
    ds = made()
    ds["loss"] = ds["loss"] ** 8
    ds["loss"][2, 0, 0] = 0.0
    figure = plots.formation(ds)
    mesh = meshes(figure)[2]
    assert isinstance(mesh.norm, LogNorm)
    np.testing.assert_array_equal(mesh.to_rgba(mesh.get_array()).reshape(7, 9, 4)[0, 0], mpl.colormaps["viridis"](0.0))
    np.testing.assert_array_equal(mesh.get_array().reshape(7, 9)[1:], ds.loss.values[2].T[1:])
    assert "inf or NaN" not in words(figure)


def test_other_coordinates_are_held_where_asked_else_in_the_middle_and_the_value_is_shown():
    ds = made(c=[0.0, 1.0, 4.0])
    for at, index, value in (({}, 1, "c = 1 "), ({"c": 3.5}, 2, "c = 4 ")):
        figure = plots.formation(ds, 5, **at)
        np.testing.assert_array_equal(
            meshes(figure)[0].get_array().reshape(7, 9), ds.loss.sel(length=5).isel(c=index).T
        )
        assert value in words(figure)
    swapped = plots.formation(ds, 5, w=0.5)
    np.testing.assert_array_equal(meshes(swapped)[0].get_array().reshape(3, 7), ds.loss.sel(length=5, w=0.5).T)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ds: plots.formation(ds, 3), "the surface has no length 3; it has 1, 2, 5, 10"),
        (lambda ds: plots.formation(ds, q=1), "the surface has no coordinate 'q'; it has w, b_f"),
        (lambda ds: plots.formation(ds, w=9), "w = 9 is off the surface; it spans -1 to 2"),
        (lambda ds: plots.formation(ds, w=0), "drawn over 2 coordinates, and b_f is left"),
        (lambda ds: plots.formation({}), "there is nothing to draw; give a surface"),
        (lambda ds: plots.gradient(ds.drop_vars("log10_gradient")), "no log10_gradient; compute it with order=1"),
        (lambda ds: plots.surface3d(ds, [1, 5]), "drawn at one length, given 1, 5"),
        (lambda ds: plots.profile(ds, "w", at={"w": 0}), "'w' is the axis of this figure"),
        (lambda ds: plots.profile(ds, "q"), "the surface has no coordinate 'q'; it has w, b_f"),
        (lambda ds: plots.animation(ds, "film.mp4"), "written as .gif or .webp; given 'film.mp4'"),
    ],
)
def test_what_a_surface_does_not_have_is_said_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(made())


def test_a_film_has_one_frame_for_each_length(tmp_path):
    ds = made()
    plots.animation(ds, tmp_path / "a.gif", tmp_path / "a.webp", draw=plots.formation, seconds=0.1)
    for name in ("a.gif", "a.webp"):
        with Image.open(tmp_path / name) as film:
            assert film.n_frames == len(LENGTHS)
            frames = []
            for k in range(film.n_frames):
                film.seek(k)
                frames.append(np.asarray(film.convert("RGB"), int))
        assert all(np.any(one != two) for one, two in itertools.pairwise(frames))
    plots.animation(renamed(ds, "step"), tmp_path / "b.gif", lengths=[1, 10], draw=plots.surface3d)  # of a training
    with Image.open(tmp_path / "b.gif") as film:
        assert film.n_frames == 2
    with pytest.raises(ValueError, match="seconds is the time of a frame, above 0; given -1"):
        plots.animation(ds, tmp_path / "c.gif", seconds=-1)


def test_frames_share_the_scale_of_what_they_draw(tmp_path, monkeypatch):
    ds, scales = made(), []

    def watched(draw):
        return lambda *given, norm, **more: (scales.append(norm), draw(*given, norm=norm, **more))[1]

    for name in ("gradient", "formation"):
        monkeypatch.setattr(moving, name, watched(getattr(plots, name)))
    plots.animation(ds, tmp_path / "a.gif", lengths=[1, 5], draw=moving.gradient)
    plots.animation({"a": ds, "b": ds + 1}, tmp_path / "b.gif", lengths=[1, 5])  # by name: side by side
    some = ds.sel(length=[1, 5])
    expected = spread(some.log10_gradient.values), scale(np.stack([some.loss, some.loss + 1]))
    ends = [(norm.vmin, norm.vmax) for norm in expected for _ in range(2)]
    np.testing.assert_allclose([(norm.vmin, norm.vmax) for norm in scales], ends, rtol=1e-6)


def held(path):
    """What a page holds, and the losses (length, x, y) that its steps stand for."""
    data = json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.S)[1])
    shape = (len(data["moments"]), *(len(axis["values"]) for axis in data["axes"]))
    steps = np.frombuffer(base64.b64decode(data["levels"]), "<u2").reshape(shape).astype(float)
    on = np.where(steps == 65535, np.nan, steps / 65534)
    low, high = data["low"], data["high"]
    return data, low * (high / low) ** on if data["log"] else low + on * (high - low)


def test_a_page_holds_the_surface_at_every_length_and_needs_no_network(tmp_path):
    ds = made()
    ds["loss"][2, 0, 0] = np.inf
    plots.interactive(ds, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "http" not in page
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*[\"'](?!data:,)", page)
    for part in ('<html lang="en">', '<meta name="viewport"', "<title>Loss of LSTM on latch(noise=0.1)</title>"):
        assert part in page
    data, losses = held(tmp_path / "page.html")
    assert data["moments"] == [f"length {length}" for length in LENGTHS]
    expected = ds.loss.where(np.isfinite(ds.loss)).values
    step = (data["high"] - data["low"]) / 65534
    np.testing.assert_allclose(losses, expected, rtol=0, atol=step / 2 * 1.001 + 1e-7)  # and float32
    np.testing.assert_array_equal(data["axes"][0]["values"], ds.w)
    assert "mean of 32 episodes" in data["said"]
    assert f"in 65,535 steps from 0 to {np.nanmax(expected):.4g}" in data["said"]
    assert data["axes"][1]["label"] == "forget-gate bias b_f (dimensionless)"


def test_the_largest_page_has_under_two_megabytes_and_says_what_it_leaves_out(tmp_path):
    axes = {"w": np.linspace(-1, 2, 387), "b": np.linspace(0, 1, 129)}
    for count, note in ((32, "points drawn: one in 3 along w; drawn in"), (64, "lengths drawn: 2")):
        loss = np.random.default_rng(0).random((count, 387, 129), np.float32)
        lengths = {"length": np.arange(1, count + 1)}
        ds = xarray.Dataset({"loss": (("length", *axes), loss)}, lengths | axes, made().attrs)
        plots.interactive(ds, tmp_path / "page.html")
        data, losses = held(tmp_path / "page.html")
        assert note in data["said"]
        assert (tmp_path / "page.html").stat().st_size < 2e6
        assert losses.shape[1:] == (129, 129)


def test_a_page_of_losses_over_decades_keeps_their_ratios(tmp_path):
    ds = made()
    ds["loss"] = ds["loss"] ** 8
    ds["loss"][2, 0, 0] = 0.0
    plots.interactive(ds, tmp_path / "page.html")
    data, losses = held(tmp_path / "page.html")
    assert data["log"]
    inside = ds.loss.values >= data["low"]
    assert not inside.all()
    np.testing.assert_allclose(losses[inside], ds.loss.values[inside], rtol=1e-3)
    assert losses[~inside] == pytest.approx(data["low"])


def test_vector_files_carry_their_fonts(tmp_path):
    plots.save(plots.formation(made(), 5), tmp_path / "a.pdf", tmp_path / "a.svg", tmp_path / "deep" / "a.png")
    pdf, svg = (tmp_path / "a.pdf").read_bytes(), (tmp_path / "a.svg").read_text()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert "<text" not in svg
    with Image.open(tmp_path / "deep" / "a.png") as image:
        assert image.width > 800


# A look of one's own


def sizes(figure):
    """The size of every text that is seen, by what it says."""
    figure.draw_without_rendering()
    return {t.get_text(): t.get_fontsize() for t in figure.findobj(mpl.text.Text) if t.get_text() and t.get_visible()}


def test_the_callers_style_lies_over_ours_and_is_not_changed(tmp_path):
    plain = plots.formation(made(), 5)
    assert mpl.rcParams["font.size"] == mpl.rcParamsDefault["font.size"]
    mine = {"font.size": 11, "svg.fonttype": "none", "lines.linewidth": 4, "image.cmap": "gray"}
    with mpl.rc_context(mine):
        before = dict(mpl.rcParams)
        figure, cut = plots.formation(made(), 5), plots.profile(made(), "w")
        plots.save(figure, tmp_path / "a.svg")
        assert dict(mpl.rcParams) == before
    assert "<text" in (tmp_path / "a.svg").read_text()
    assert cut.axes[0].lines[0].get_linewidth() == 4
    ours, theirs = sizes(plain), sizes(figure)
    for text in ("length 5", "mean loss", "0.0"):  # the title of a panel, the name of an axis, a tick
        assert theirs[text] / ours[text] == pytest.approx(11 / 8)
    assert figure.axes[0].spines["left"].get_linewidth() == 0.6  # what the user has not set is ours


@pytest.mark.parametrize("draw", [plots.formation, plots.gradient, plots.surface3d, lambda ds: plots.profile(ds, "w")])
def test_no_text_is_under_six_and_a_half_points(draw):
    assert min(sizes(draw(made())).values()) >= 6.5


def look_of(figure):
    """What the keywords of a figure change: its size, its colours, and every text; nothing is drawn."""
    mapped = {
        artist.get_cmap().name
        for artist in figure.findobj(lambda one: isinstance(one, ScalarMappable))
        if artist.get_array() is not None
    }
    lines = {mpl.colors.to_hex(line.get_color()) for ax in figure.axes for line in ax.lines}
    return figure.get_size_inches().tolist(), mapped | lines, words(figure)


KEYWORDS = {
    "figsize": (4.0, 3.0),
    "cmap": "magma",
    "title": "a title of mine",
    "caption": "a caption of mine",
    "xlabel": "my x",
    "ylabel": "my y",
    "label": "my loss",
}
DRAWN = {
    "formation": lambda ds, **more: plots.formation(ds, [2, 10], **more),
    "formations": lambda ds, **more: plots.formation({"a": ds, "b": ds}, 10, **more),
    "gradient": lambda ds, **more: plots.gradient(ds, [2, 10], **more),
    "surface3d": lambda ds, **more: plots.surface3d(ds, 5, **more),
    "profile": lambda ds, **more: plots.profile(ds, "w", [2, 10], **more),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_keyword_of_a_figure_changes_what_it_says_it_does(name):
    size, colours, text = look_of(DRAWN[name](made()))
    for keyword, value in KEYWORDS.items():
        if (name, keyword) == ("profile", "ylabel"):
            continue  # its y axis is that of the values, named by either
        more = look_of(DRAWN[name](made(), **{keyword: value}))
        assert (more[0] != size) == (keyword == "figsize")
        assert (more[1] != colours) == (keyword == "cmap")
        assert str(value) not in text
        assert (str(value) in more[2]) == (keyword not in ("figsize", "cmap"))
    bare = look_of(DRAWN[name](made(), title=None, caption=None))[2]
    assert "LSTM on latch" not in bare or name == "formations"  # there it names the panels
    assert "episodes" not in bare


def test_colours_of_lines_can_be_chosen():
    inks = ["red", "#00ff00"]
    cut = plots.profile(made(), "w", [1, 2, 5], colors=inks)
    assert [line.get_color() for line in cut.axes[0].lines] == ["red", "#00ff00", "red"]
    lines = {"one": ([0, 1], [0, 1]), "two": ([0, 1], [1, 0])}
    for draw in (plots.formation, plots.surface3d):
        figure = draw(made(), 5, overlays=lines, colors=inks)
        assert [line.get_color() for line in figure.axes[0].lines[:2]] == inks
        assert [line.get_color() for line in figure.legends[0].get_lines()] == inks


@pytest.mark.parametrize("name", ["formation", "gradient", "profile", "surface3d"])
def test_a_figure_of_one_panel_is_drawn_into_the_axes_given_in_the_style_of_their_figure(name):
    figure = Figure(figsize=(6, 2), layout="constrained")
    ax = figure.add_subplot(projection="3d") if name == "surface3d" else figure.add_subplot()
    draw = {"profile": lambda ds, **more: plots.profile(ds, "w", 5, **more)}.get(name, getattr(plots, name))
    lengths = {} if name == "profile" else {"lengths": 5}
    assert draw(made(), ax=ax, title="mine", **lengths) is figure
    figure.draw_without_rendering()
    assert ax.get_title() == "mine"
    assert ax.has_data()
    assert len(figure.axes) == (2 if name in ("formation", "gradient") else 1)  # a bar of colours beside it
    assert "dimensionless" in ax.get_xlabel()
    assert figure.get_size_inches().tolist() == [6, 2]
    assert ax.title.get_fontsize() == mpl.font_manager.FontProperties(size="large").get_size()  # matplotlib's, not ours
    assert "episodes" not in words(figure)


def test_lengths_may_be_a_list_a_range_an_array_or_one_number():
    for lengths in ([2, 5], range(2, 6, 3), np.array([2, 5])):
        titles = [mesh.axes.get_title() for mesh in meshes(plots.formation(made(), lengths))]
        assert titles == ["length 2", "length 5"]
    assert len(meshes(plots.formation(made(), 5))) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ds, ax: plots.formation(ds, ax=ax), "ax= takes one panel and this figure has 4; ask for one"),
        (lambda ds, ax: plots.formation({"a": ds, "b": ds}, 5, ax=ax), "ax= takes one panel and this figure has 2"),
        (lambda ds, ax: plots.formation(ds, 5, ax=ax, figsize=(3, 2)), "figsize= is for a figure of its own"),
        (lambda ds, ax: plots.surface3d(ds, 5, ax=ax), 'three dimensions: figure.add_subplot(projection="3d")'),
        (
            lambda ds, ax: plots.formation(ds, figsiz=(3, 2)),
            "no coordinate 'figsiz'; it has w, b_f, and a figure takes",
        ),
        (lambda ds, ax: plots.profile(ds, "w", figsiz=(3, 2)), "profile takes no 'figsiz'; it takes ds, coordinate,"),
        (lambda ds, ax: plots.formation(ds, cmap="virids"), "there is no colormap 'virids' (did you mean viridis?)"),
        (lambda ds, ax: plots.interactive(ds, "x.html", figsize=(3, 2)), "a page takes cmap, title, caption"),
        (lambda ds, ax: plots.interactive(ds, "x.png"), "a page is written as .html; given 'x.png'"),
        (lambda ds, ax: plots.save(ax.figure, "x.html"), "x.html is no figure; its name must end in ."),
    ],
)
def test_a_wrong_keyword_is_answered_in_one_sentence(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call(made(), Figure().add_subplot())
    assert not list(tmp_path.iterdir())


def test_the_keywords_of_a_figure_are_in_its_signature():
    for draw in (plots.formation, plots.gradient, plots.surface3d, plots.profile, plots.training):
        assert {"ax", "figsize", "cmap", "colors", "title"} <= set(inspect.signature(draw).parameters)


# What comes before the plane


def renamed(ds, name):
    """The surface with another leading dim, as its settings say."""
    settings = json.dumps({"axes": {"w": {}, "b_f": {}}})
    return ds.rename(length=name).assign_attrs(settings=settings)


def test_any_leading_dim_makes_the_panels():
    for name in ("step", "epoch", "temperature"):
        ds = renamed(made(), name)
        titles = [mesh.axes.get_title() for mesh in meshes(plots.formation(ds, [2, 5]))]
        assert titles == [f"{name} 2", f"{name} 5"]
        assert f"{name} 10" in words(plots.surface3d(ds))
        assert plots.profile(ds, "w").legends[0].get_title().get_text() == name
        with pytest.raises(ValueError, match=f"the surface has no {name} 3; it has 1, 2, 5, 10"):
            plots.formation(ds, 3)


def test_a_surface_without_a_leading_dim_is_one_panel(tmp_path):
    ds = made().isel(length=-1, drop=True).assign_attrs(settings=json.dumps({"axes": {"w": {}, "b_f": {}}}))
    ds = ds.drop_attrs(deep=False).assign_attrs(title="a perceptron", settings=ds.attrs["settings"])
    for draw in (plots.formation, plots.gradient):
        (mesh,) = (m for m in draw(ds).findobj(QuadMesh) if m.get_array().size == 63)
        name = "loss" if draw is plots.formation else "log10_gradient"
        np.testing.assert_array_equal(mesh.get_array().reshape(7, 9), ds[name].T)
    assert "Loss of a perceptron" in words(plots.surface3d(ds))
    (line,) = (one for one in plots.profile(ds, "w", at={"b_f": 0.5}).axes[0].lines)
    np.testing.assert_array_equal(line.get_ydata(), ds.loss.sel(b_f=0.5))
    plots.interactive(ds, tmp_path / "page.html")
    assert held(tmp_path / "page.html")[1].shape == (1, 9, 7)
    with pytest.raises(ValueError, match="no length to choose, it is one picture"):
        plots.formation(ds, 5)
    with pytest.raises(ValueError, match="no length to make a film of"):
        plots.animation(ds, tmp_path / "a.gif")


def test_of_several_leading_dims_the_last_makes_panels_and_the_others_are_held_and_said():
    ds = xarray.concat([made(), 2 * made()], "epoch").assign_coords(epoch=[10, 20])
    ds = ds.assign_attrs(made().attrs | {"settings": json.dumps({"axes": {"w": {}, "b_f": {}}})})
    for at, k in (({}, 1), ({"epoch": 10}, 0)):
        figure = plots.formation(ds, [2, 10], **at)
        np.testing.assert_array_equal(meshes(figure)[1].get_array().reshape(7, 9), ds.loss[k, 3].T)
        assert f"epoch = {(k + 1) * 10}" in words(figure)


def test_steps_from_zero_are_spread_evenly():
    ds = renamed(made(), "step").isel(step=[0] * 40).assign_coords(step=np.arange(40))
    shown = [int(mesh.axes.get_title().split()[1]) for mesh in meshes(plots.formation(ds))]
    assert shown[0] == 0
    assert shown[-1] == 39
    assert max(np.diff(shown)) - min(np.diff(shown)) <= 1


def test_an_axis_of_a_new_cell_is_named_by_what_its_letter_or_its_long_name_says():
    ds = made().rename(b_f="b_k")
    ds["b_k"].attrs["long_name"] = "b_k"
    assert "bias $b_{k}$ (dimensionless)" in words(plots.formation(ds)).replace("\n", " ")
    ds["b_k"].attrs["long_name"] = "leak"
    assert "leak $b_{k}$ (dimensionless)" in words(plots.formation(ds)).replace("\n", " ")


def test_a_page_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "page.html"
    with whole(path) as file:
        file.write_text("old")

    def half(file, text):
        original(file, text[:2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    original = Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda file, text, *_: half(file, text))
    with pytest.raises(ValueError, match=r"page\.html could not be written: No space left on device"):
        plots.interactive(made(), path)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_plots_and_figures_import_no_jax():
    root = Path(plots.__file__).parents[2]
    plain = ("landscape.plots", "landscape.success", "landscape.verdicts")
    files = [*(root / "landscape" / "plots").glob("*.py"), *(root / "figures").glob("*.py")]
    assert len(files) > 5
    files += [root / "landscape" / f"{name}.py" for name in ("success", "verdicts")]  # plain NumPy too
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            named = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            named += [f"{node.module}.{a.name}" for a in node.names] if isinstance(node, ast.ImportFrom) else []
            roots = ("jax", "landscape")  # jaxtyping is for type checkers, and does not import JAX for NumPy's arrays
            assert not [n for n in named if n.partition(".")[0] in roots and not n.startswith(plain)]


def test_a_figure_is_one_file_that_runs_no_other_and_ends_in_its_command():
    for file in (Path(plots.__file__).parents[2] / "figures").glob("*.py"):
        text = file.read_text()
        assert text.endswith('\n\nif __name__ == "__main__":\n    plots.command(draw)\n'), file
        assert "with_name" not in text, file


# From the command line


def test_a_figure_says_what_it_drew_and_what_it_lacks(monkeypatch, capsys, tmp_path):
    def draw(store="results/x.zarr", folder="results"):
        if not Path(store).exists():
            raise FileNotFoundError(f"{store} does not exist")
        return {"a cliff": [Path(folder) / "x.png"]}

    monkeypatch.setattr("sys.argv", ["figures/x.py", str(tmp_path), "out"])
    plots.command(draw)
    assert capsys.readouterr().out == "  out/x.png\n    a cliff\n"
    monkeypatch.setattr("sys.argv", ["figures/x.py", "nothere"])
    with pytest.raises(SystemExit, match="2"):
        plots.command(draw)
    said = capsys.readouterr().err
    assert said == "nothere does not exist; `landscape run` makes it, see the first lines of figures/x.py\n"


def test_a_gallery_file_keeps_its_picture_in_fewer_bytes(tmp_path):
    # 200 colours, anywhere: 256 of them or fewer are kept as they are.
    path, values = tmp_path / "x.png", np.random.default_rng(0).integers(0, 200, (64, 64), np.uint8)
    Image.fromarray(np.stack([values, values // 2, 255 - values], -1)).save(path)
    before, size = np.asarray(Image.open(path)), path.stat().st_size
    plots.indexed(path)
    after = Image.open(path)
    assert after.mode == "P"
    assert path.stat().st_size < size
    np.testing.assert_array_equal(np.asarray(after.convert("RGB")), before)
    plots.indexed(path, 4)
    assert len(Image.open(path).convert("RGB").getcolors()) <= 4


def test_a_gallery_file_keeps_the_colours_of_thin_lines(tmp_path):
    """Okabe and Ito's colours, a row of pixels each, over a ramp of many more colours: none is moved by a tenth."""
    ramp = np.stack(np.broadcast_arrays(np.arange(256)[:, None], np.arange(512)[None] // 2, 40), -1).astype(np.uint8)
    inks = [np.array(to_rgb(colour)) * 255 for colour, _ in LINES]
    for k, ink in enumerate(inks):
        ramp[20 * k] = ink
    Image.fromarray(ramp).save(tmp_path / "x.png")
    plots.indexed(tmp_path / "x.png")
    after = np.asarray(Image.open(tmp_path / "x.png").convert("RGB"), float)
    for k, ink in enumerate(inks):
        assert np.abs(after[20 * k] - ink).max() <= 25

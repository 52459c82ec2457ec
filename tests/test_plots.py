"""Figures contain the arrays they claim, name what they show, and hide nothing."""

import ast
import base64
import itertools
import json
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, to_rgb
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D
from PIL import Image

from landscape import plots
from landscape.plots.parts import scale

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


def test_the_3d_wall_is_the_surface_and_stands_on_its_coordinates(monkeypatch):
    given, original = {}, Axes3D.plot_surface

    def spy(self, x, y, z, **look):
        given.update(x=x, y=y, z=z, look=look)
        return original(self, x, y, z, **look)

    monkeypatch.setattr(Axes3D, "plot_surface", spy)
    ds = made()
    figure = plots.surface3d(ds, 5)
    np.testing.assert_array_equal(given["z"], ds.loss.sel(length=5))
    np.testing.assert_array_equal(given["x"][:, 0], ds.w)
    np.testing.assert_array_equal(given["y"][0], ds.b_f)
    (wall,) = figure.axes[0].findobj(Poly3DCollection)
    z = given["z"]
    assert wall.get_array()[0] == max(z[0, 0], z[0, 1], z[1, 0], z[1, 1])  # a facet has the colour of its top
    assert len(wall.get_array()) == 8 * 6
    assert min(given["look"]["rcount"], given["look"]["ccount"]) > 9  # else matplotlib leaves points out
    assert "length 5" in words(figure)


def test_the_3d_wall_is_drawn_and_coloured_beside_points_that_are_not_finite(tmp_path):
    ds = made()
    ds["loss"][0, :4, :3] = np.inf  # leaves out 3 x 2 facets, and a corner or more of others
    figure = plots.surface3d(ds, 1)
    plots.save(figure, tmp_path / "a.png")
    (wall,) = figure.axes[0].findobj(Poly3DCollection)
    assert len(wall.get_paths()) == len(wall.get_array()) == len(wall.get_facecolor()) == 8 * 6 - 3 * 2
    assert sorted(wall.get_array())[-1] == ds.loss.values[0, 4:].max()


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
    plots.animation(ds, tmp_path / "b.gif", lengths=[1, 10], draw=plots.surface3d)
    with Image.open(tmp_path / "b.gif") as film:
        assert film.n_frames == 2


def frames_of(page):
    """The frames that a page hands to plotly."""
    rest = page[page.rindex("Plotly.addFrames(") :]
    return json.JSONDecoder().raw_decode(rest, rest.index("["))[0]


def numbers(stored):
    """Values of an array as plotly writes it."""
    flat = np.frombuffer(base64.b64decode(stored["bdata"]), stored["dtype"])
    return flat.reshape([int(n) for n in stored["shape"].split(",")]) if "shape" in stored else flat


def test_a_page_holds_the_surface_at_every_length_and_needs_no_network(tmp_path):
    ds = made()
    ds["loss"][2, 0, 0] = np.inf
    plots.interactive(ds, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=", page)
    assert len(page) < 10e6
    frames = frames_of(page)
    assert [frame["name"] for frame in frames] == [str(length) for length in LENGTHS]
    for frame, length in zip(frames, LENGTHS, strict=True):
        expected = ds.loss.sel(length=length).T
        np.testing.assert_array_equal(numbers(frame["data"][0]["z"]), expected.where(np.isfinite(expected)))
    np.testing.assert_array_equal(numbers(frames[0]["data"][0]["x"]), ds.w)
    dots = frames[2]["data"][1]
    assert (numbers(dots["x"]), dots["name"]) == ([-1.0], "inf or NaN: 1 of 63 points")
    for part in ("LSTM on latch(noise=0.1)", "mean of 32 episodes", "forget-gate bias b_f (dimensionless)"):
        assert part in page


def test_what_a_page_leaves_out_it_says(tmp_path):
    plots.interactive(made((300, 7)), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "points drawn: one in 3 along w" in page
    assert numbers(frames_of(page)[0]["data"][0]["z"]).shape == (7, 100)


def test_vector_files_carry_their_fonts_and_the_callers_style_is_neither_used_nor_changed(tmp_path):
    with mpl.rc_context({"font.size": 30, "pdf.fonttype": 3, "svg.fonttype": "none"}):
        before = dict(mpl.rcParams)
        plots.save(plots.formation(made(), 5), tmp_path / "a.pdf", tmp_path / "a.svg", tmp_path / "deep" / "a.png")
        assert dict(mpl.rcParams) == before
    pdf, svg = (tmp_path / "a.pdf").read_bytes(), (tmp_path / "a.svg").read_text()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert "<text" not in svg
    with Image.open(tmp_path / "deep" / "a.png") as image:
        assert image.width > 800


def test_plots_and_figures_import_no_jax():
    root = Path(plots.__file__).parents[2]
    plain = ("landscape.plots", "landscape.success", "landscape.names")
    files = [*(root / "landscape" / "plots").glob("*.py"), *(root / "figures").glob("*.py")]
    assert len(files) > 5
    files.append(root / "landscape" / "success.py")
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            named = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            named += [f"{node.module}.{a.name}" for a in node.names] if isinstance(node, ast.ImportFrom) else []
            assert not [n for n in named if n.startswith(("jax", "landscape")) and not n.startswith(plain)]


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

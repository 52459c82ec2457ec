"""Laws of basins: known minima and passes, the merge tree, walls and rims; and grids that ParaView reads."""

import re
import sys
from typing import Any

import numpy as np
import pytest
import xarray

import landscape as ls
from landscape import cli, store, topology

pytest.importorskip("gudhi", reason="the extra 'topology' is not installed")


def over(values: Any, **axes: Any) -> xarray.DataArray:
    return xarray.DataArray(np.asarray(values, float), dims=list(axes), coords=axes)


def wells(**marks: float) -> xarray.DataArray:
    """(x² - 1)² + .3 x + y² over a grid that its stationary points stand on: 4x³ - 4x + .3 = 0, y = 0."""
    roots = np.sort(np.roots([4, 0, -4, 0.3]).real)
    x, y = np.union1d(np.linspace(-1.6, 1.6, 65), roots), np.linspace(-1, 1, 21)
    return over((x[:, None] ** 2 - 1) ** 2 + 0.3 * x[:, None] + y**2, x=x, y=y)


def test_two_wells_have_the_minima_and_the_pass_of_calculus() -> None:
    found = topology.basins(wells())
    np.testing.assert_allclose(found["minimum"], [-0.305428, 0.294147], atol=5e-7)  # the digits that are given
    np.testing.assert_allclose(found["height"], [np.inf, 1.011282], atol=5e-7)
    np.testing.assert_allclose(found["persistence"], [np.inf, 1.011282 - 0.294147], atol=1e-6)
    np.testing.assert_allclose(found["pass_x"], [np.nan, 0.075429], atol=5e-7)
    np.testing.assert_allclose(found["x"], [-1.035579, 0.960150], atol=5e-7)
    np.testing.assert_array_equal(found["y"], [0, 0])
    assert found["parent"].values.tolist() == [-1, 0]
    assert not found["rim"].any()
    assert found.attrs["walls"] == 0


def test_basins_lie_where_their_coordinates_say_whatever_the_order_of_coordinates() -> None:
    plain, turned = topology.basins(wells()), topology.basins(wells().transpose("y", "x"))
    xarray.testing.assert_equal(plain, turned[list(plain.data_vars)])


def test_four_wells_give_the_nested_tree() -> None:
    loss = [9, 0.0, 2, 0.5, 6, 0.2, 3, 0.7, 9]
    found = topology.basins(over(loss, x=np.arange(9)))
    assert found["x"].values.tolist() == [1, 5, 3, 7]
    assert found["parent"].values.tolist() == [-1, 0, 0, 1]
    assert found["height"].values.tolist() == [np.inf, 6, 2, 3]


def test_basins_that_rise_less_than_asked_are_left_out() -> None:
    loss = over([9, 0.0, 2, 0.5, 6, 0.2, 3, 0.7, 9], x=np.arange(9))
    assert topology.basins(loss, above=2.0)["x"].values.tolist() == [1, 5, 7]
    assert topology.basins(loss, above=3.0)["x"].values.tolist() == [1, 5]


def test_of_two_equal_minima_one_lives_on_and_the_other_falls_to_it() -> None:
    found = topology.basins(over([5, 0, 1, 0, 5], x=np.arange(5)))
    assert found["parent"].values.tolist() == [-1, 0]
    assert found["height"].values.tolist() == [np.inf, 1.0]


def test_a_plateau_is_one_basin() -> None:
    found = topology.basins(over(np.zeros((3, 4)), x=np.arange(3), y=np.arange(4)))
    assert found.sizes["basin"] == 1
    assert found["rim"].all()


@pytest.mark.parametrize("wall", [np.nan, np.inf])
def test_what_is_not_finite_is_a_wall_and_counted(wall: float) -> None:
    found = topology.basins(over([[0, wall, 1], [2, wall, 3], [1, wall, 0.5]], x=np.arange(3), y=np.arange(3)))
    assert found.attrs["walls"] == 3
    assert found["minimum"].values.tolist() == [0, 0.5, 1, 1]
    assert found["height"].values.tolist() == [np.inf, np.inf, 3, 2]  # nothing crosses the wall
    assert found["parent"].values.tolist() == [-1, -1, 1, 0]
    assert np.isnan(found["pass_x"].values[:2]).all()


def test_a_loss_without_bottom_is_the_deepest_basin_and_counted() -> None:
    found = topology.basins(over([3, -np.inf, 2, 0, 5], x=np.arange(5)))
    assert (found["minimum"].values[0], found.attrs["walls"]) == (-np.inf, 1)


def test_a_basin_at_the_edge_is_marked() -> None:
    found = topology.basins(over([0, 2, 1, 5], x=np.arange(4)))
    assert found["rim"].values.tolist() == [True, False]


def test_three_coordinates_have_basins_too() -> None:
    axis = np.linspace(-1.5, 1.5, 7)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    found = topology.basins(over((x**2 - 1) ** 2 + y**2 + z**2 + 0.01 * x, x=axis, y=axis, z=axis))
    assert found["x"].values.tolist() == [-1, 1]
    assert found["pass_x"].values[1] == 0


def test_a_surface_of_several_lengths_is_asked_for_one() -> None:
    plane = ls.plane(ls.SRNN(), w=np.linspace(-3, 3, 7), b=np.linspace(-2, 2, 5))
    ds = ls.surface(plane, ls.latch(), [1, 5], order=0)
    with pytest.raises(ValueError, match=r"one picture for each length; choose one, such as surface\.sel\(length=5\)"):
        topology.basins(ds)
    one = topology.basins(ds.sel(length=5))
    assert set(one.data_vars) > {"w", "b", "pass_w", "pass_b"}
    fine = ds.isel(length=-1, drop=True).expand_dims(u=np.linspace(0, 1, 11))  # .3 is .30000000000000004 of it
    assert topology.picture(fine, {"u": 0.3})["loss"].dims == ("w", "b")
    with pytest.raises(ValueError, match=r"the surface has no u = 0.31; of u it has 0, 0.1"):
        topology.picture(fine, {"u": 0.31})
    picked = topology.picture(ds, {"length": 5})
    assert picked["loss"].attrs["title"].endswith("loss over w, b by length, length = 5")
    with pytest.raises(ValueError, match=r"the surface has no length = 4; of length it has 1, 5"):
        topology.picture(ds, {"length": 4})


@pytest.mark.parametrize(
    ("surface", "sentence"),
    [
        (over([np.nan, np.nan], x=[0, 1]), "no finite loss, so there is no basin"),
        (xarray.Dataset({"other": ("x", [0.0, 1.0])}), "not a surface: it holds other, and no loss"),
    ],
)
def test_what_has_no_basins_is_said_in_one_sentence(surface: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        topology.basins(surface)


def test_a_missing_library_is_asked_for_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setitem(sys.modules, "gudhi", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"by gudhi, which is missing: pip install 'rnn-landscape\[topology\]'"
    ):
        topology.basins(wells())
    monkeypatch.setitem(sys.modules, "pyvista", None)
    with pytest.raises(ModuleNotFoundError, match=r"by pyvista, which is missing: pip install 'rnn-landscape\[vtk\]'"):
        topology.export(wells(), tmp_path / "wells.vts")


def test_a_surface_of_another_ending_or_too_many_coordinates_is_refused(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match=r"one to three coordinates becomes a \.vts file; given 2 and wells\.vtk"):
        topology.export(wells(), tmp_path / "wells.vtk")


def test_paraview_reads_every_value_where_it_stands(tmp_path: Any) -> None:
    pyvista = pytest.importorskip("pyvista", reason="the extra 'vtk' is not installed")
    loss = wells()
    loss[3, 4] = np.nan
    ds = loss.to_dataset(name="loss").assign(d_x=loss * 2, attrs_only=("z", [1.0])).assign_attrs(title="wells", seed=3)
    path = topology.export(ds, tmp_path / "wells.vts")
    grid = pyvista.read(path)
    for point, value, slope in zip(grid.points, grid.point_data["loss"], grid.point_data["d_x"], strict=True):
        expected = float(loss.sel(x=point[0], y=point[1], method="nearest"))
        np.testing.assert_array_equal([value, slope], [expected, 2 * expected])
    assert grid.field_data["title"][0] == "wells"
    assert grid.field_data["seed"][0] == 3
    assert sorted(grid.point_data) == ["d_x", "loss"]


# On the command line


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("basins") / "srnn.zarr"
    plane = ls.plane(ls.SRNN(), w=np.linspace(-3, 3, 21), b=np.linspace(-2, 2, 15))
    ls.surface(plane, ls.latch(), [1, 5], order=0, out=path)
    return path


def test_the_table_lists_what_basins_finds_and_out_keeps_it(stored: Any, capsys: Any, tmp_path: Any) -> None:
    found = topology.basins(store.open_surface(stored).sel(length=5))
    assert cli.main(["basins", str(stored), "--at", "length=5", "--out", str(tmp_path / "kept.zarr")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"{found.sizes['basin']} basins, the deepest first")
    assert lines[1].split() == ["basin", "minimum", "w", "b", "rises", "by", "falls", "to", "pass", "w", "pass", "b"]
    assert lines[2].split()[:2] == ["0", "(rim)"]
    assert len(lines) == found.sizes["basin"] + 4
    kept = store.open_surface(tmp_path / "kept.zarr")
    np.testing.assert_array_equal(kept["minimum"], found["minimum"])
    assert cli.main(["basins", str(stored), "--at", "length=5", "--above", "0.02"]) == 0
    assert len(capsys.readouterr().out.splitlines()) < len(lines)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("basins STORE", "one picture for each length; choose one, such as .* --at length=5"),
        ("basins STORE --at length=3", "the surface has no length = 3; of length it has 1, 5"),
        ("basins STORE --at length=5 --above -1", "--above is a rise of the loss, from 0 up; given -1"),
        ("export STORE wall.png --at length=5", r"becomes a \.vts file; given 2 and wall\.png"),
    ],
)
def test_wrong_words_are_answered_in_one_sentence(words: str, sentence: str, stored: Any, capsys: Any) -> None:
    assert cli.main([str(stored) if word == "STORE" else word for word in words.split()]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert re.search(sentence, said)


def test_a_missing_library_is_one_sentence_on_the_command_line(stored: Any, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pyvista", None)
    assert cli.main(["export", str(stored), "wall.vts", "--at", "length=5"]) == 2
    assert capsys.readouterr().err.endswith("missing: pip install 'rnn-landscape[vtk]'\n")

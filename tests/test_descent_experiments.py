"""The experiments on descent find the published numbers, measure what they say, and their figures hold their stores."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from landscape import names, store

ROOT = Path(__file__).parents[1]
paths, trainability = (names.module(str(ROOT / f"experiments/{n}.py")) for n in ("descent_paths", "trainability"))


def test_the_border_lies_between_cells_that_differ_nearest_to_the_middle_first():
    learnt = np.zeros((8, 8), bool)
    learnt[2:, 5:] = True
    found = trainability.border(learnt).tolist()
    assert sorted(found) == [[1, 4], [1, 5], [1, 6], *([i, 4] for i in range(2, 7))]
    assert found[0] in ([4, 4], [3, 4])
    assert trainability.border(np.ones((8, 8), bool)).shape == (0, 2)
    axes = {"w": np.arange(8.0), "b": 10 + np.arange(8.0)}
    np.testing.assert_array_equal(trainability.middle(axes, [1, 4]), [1.5, 14.5])


def test_an_optimiser_without_threshold_is_named_and_made_without_clipping():
    assert trainability.name(0.1, float("inf")) == "rate 0.1, no clip"
    assert trainability.name(1.0, 2.0) == "rate 1, clip 2"
    steps = [trainability.optimiser(0.5, c) for c in (float("inf"), 2.0)]
    long = {"w": np.float32(30.0), "b": np.float32(40.0)}
    plain, clipped = (one.update(long, one.init(long))[0] for one in steps)
    assert (float(plain["w"]), float(plain["b"])) == (-15.0, -20.0)
    assert (float(clipped["w"]), float(clipped["b"])) == pytest.approx((-0.6, -0.8), rel=1e-6)


@pytest.fixture(scope="module")
def walked():
    with jax.numpy_dtype_promotion("standard"):  # optax 0.2.8 raises a float to an integer power in Adam
        return paths.run(points=31, start_w=(5.2, 4.8), start_b=(-2.2, -2.0))


@pytest.mark.slow
def test_descent_leaps_from_the_wall_and_clipped_descent_learns(walked):
    plain, clipped = (walked.isel(start=0, optimiser=k) for k in (0, 1))
    step = int(plain.moved.argmax("step"))
    assert float(plain.moved[step]) == pytest.approx(79.85, abs=0.01)
    assert 10 ** float(plain.log10_gradient[step - 1]) == pytest.approx(1597, abs=0.5)
    assert float(plain.holds[step - 1]) < 1e-4 < 1e-2 < float(plain.holds[0])
    assert (float(plain.at_w[-1]), float(plain.at_b[-1])) == pytest.approx((47.02, 65.29), abs=0.01)
    assert float(plain.loss[-1]) == pytest.approx(0.09)
    assert float(clipped.moved.max()) <= 0.05 * (1 + 1e-12)
    assert float(clipped.loss[-1]) < 1e-5
    assert walked.attrs["finding"] == paths.sentence(walked)
    for part in ("after 103 updates with |g| = 1,597", "79.9 long", "(47.0, 65.3) with E = 0.09", "1 of 2 starts"):
        assert part in walked.attrs["finding"]


@pytest.mark.slow
def test_the_distance_for_which_a_gradient_holds_is_that_of_the_surface(walked):
    """At a grid point the Hessian along a path and that of the surface are one."""
    start = {"start_w": (float(walked.w[7]),), "start_b": (float(walked.b[11]),)}
    with jax.numpy_dtype_promotion("standard"):
        again = paths.run(points=31, steps=1, **start)
    at = float(walked.radius.transpose("w", "b")[7, 11])
    np.testing.assert_allclose(again.holds.isel(start=0, step=0), at, rtol=1e-9)


@pytest.fixture(scope="module")
def charted():
    return trainability.run(points=48, steps=60, longer=120, levels=2, places=2, fine=32, rates=(1.0, 0.1))


@pytest.mark.slow
def test_what_is_told_of_a_map_is_what_the_map_holds(charted):
    learnt = charted.loss < 1e-4
    np.testing.assert_allclose(charted.share.isel(updates=0), learnt.mean(("w", "b")))
    np.testing.assert_array_equal(charted.basin == 0, learnt)
    saturated = charted.loss.where(charted.basin == trainability.BASINS.index("saturated"))
    assert 0.08 < float(saturated.min()) <= float(saturated.max()) < 0.0901  # (1 - .7)²
    assert set(charted.basin.values.ravel()) == {0, 1, 2, 3}
    assert float(abs(charted.share.diff("updates")).max()) > 0.01
    assert charted.attrs["finding"] == trainability.sentence(charted)
    assert (
        f"{100 * float(charted.share[0, 0, 0]):.1f} and {100 * float(charted.share[0, 0, 1]):.1f} %" in charted.finding
    )


@pytest.mark.slow
def test_a_zoom_shrinks_round_the_border_of_the_window_before(charted):
    wide = charted.zoom_w[..., -1] - charted.zoom_w[..., 0]
    np.testing.assert_allclose(wide.isel(level=0), 4e-3, rtol=1e-6)
    np.testing.assert_allclose(wide.isel(level=1), 4e-6, rtol=1e-6)
    for one in charted.transpose("threshold", "place", ...).zoom_w.values.reshape(-1, *charted.zoom_w.shape[2:]):
        assert one[0, 0] <= one[1].mean() <= one[0, -1]
    np.testing.assert_allclose((charted.zoom_loss < 1e-4).mean(("i", "j")), charted.zoom_share)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["descent_paths", "trainability"])
def test_figures_are_drawn_from_the_store_alone_and_say_its_finding(name, walked, charted, tmp_path):
    ds = {"descent_paths": walked, "trainability": charted}[name]
    store.save(ds, tmp_path / "s.zarr", {"points": 1})
    kept = json.loads(store.attributes(tmp_path / "s.zarr")["settings"])
    assert kept == {"points": 1}
    figure = names.module(str(ROOT / f"figures/{name}.py"))
    shown = figure.draw(tmp_path / "s.zarr", tmp_path)
    files = [file for group in shown.values() for file in group]
    assert {file.suffix for file in files} == {".png", ".pdf"}
    with Image.open(tmp_path / f"{name}.png") as image:
        assert len(image.convert("RGB").getcolors(10**6)) > 20
    text = figure.page(ds)._supxlabel.get_text().replace("\n", " ")
    assert ds.attrs["finding"] in text

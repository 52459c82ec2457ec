"""Walks are those of a plain loop, maps are made of walks, and boundaries of known dimension are measured back."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray

from landscape import descent, devices
from landscape.cells import SRNN, LinearRNN, Pascanu
from landscape.descent import box_dimension, paths, trainability
from landscape.models import run
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.surfaces import values
from landscape.tasks import latch, pascanu

pytestmark = pytest.mark.optimised  # laws of bits

RATE, CLIP, LENGTH = 0.05, 0.1, 50
GRID = plane(Pascanu(), w=np.linspace(3.0, 7.0, 9), b=np.linspace(-4.0, -1.5, 7))
SGD = optax.sgd(RATE)
CLIPPED = optax.chain(optax.clip_by_global_norm(CLIP), SGD)
FIRST = {"w": [5.2, 4.0], "b": [-2.2, -2.0]}


@pytest.fixture(scope="module")
def plain():
    return paths(GRID, Recurrence(pascanu(), [LENGTH]), SGD, FIRST, 150)


@pytest.fixture(scope="module")
def clipped():
    return paths(GRID, Recurrence(pascanu(), [LENGTH]), CLIPPED, FIRST, 150)


@pytest.fixture(scope="module")
def charted():
    return trainability(GRID, Recurrence(pascanu(), [10]), CLIPPED, 40, tolerance=1e-3)


def stacked(ds, *names):
    return np.stack([ds[name].values for name in names])


def test_gradients_along_a_path_are_those_of_a_scan_written_anew(plain):
    def loss(w, b):
        x = jax.lax.scan(lambda x, _: (w / (1 + jnp.exp(-x)) + b, None), 0.5, length=LENGTH)[0]
        return (1 / (1 + jnp.exp(-x)) - 0.7) ** 2

    with jax.enable_x64(True):
        at = (jnp.asarray(plain.w.values.ravel()), jnp.asarray(plain.b.values.ravel()))
        found, (w, b) = jax.jit(jax.vmap(jax.value_and_grad(loss, (0, 1))))(*at)
    # on the wall, where |g| reaches 1600, both routes round x a few hundred times larger than eps
    np.testing.assert_allclose(plain.loss.values.ravel(), found, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(stacked(plain, "d_w", "d_b").reshape(2, -1), [w, b], rtol=1e-9, atol=1e-15)
    assert plain.attrs["dtype"] == "float64"


def test_the_gradient_at_the_start_is_the_surfaces(plain):
    points = np.stack([FIRST["w"], FIRST["b"]], -1)
    found = values(GRID, Recurrence(pascanu(), [LENGTH], dtype="float64"), points)
    for name, expected in found.items():
        np.testing.assert_allclose(plain[name][:, 0], expected[0], rtol=1e-13)


def test_each_update_of_gradient_descent_is_minus_the_rate_times_the_gradient(plain):
    place, slope = stacked(plain, "w", "b"), stacked(plain, "d_w", "d_b")
    np.testing.assert_allclose(place[..., 1:], place[..., :-1] - RATE * slope[..., :-1], rtol=1e-15)
    np.testing.assert_allclose(plain.moved[:, 1:], RATE * 10 ** plain.log10_gradient[:, :-1], rtol=1e-9, atol=1e-15)
    assert np.all(plain.moved[:, 0] == 0)


def test_without_clipping_one_step_off_the_wall_is_eighty_long(plain):
    assert float(plain.moved[0].max()) == pytest.approx(79.85, abs=0.01)  # as measured by another program
    assert 10 ** float(plain.log10_gradient[0].max()) == pytest.approx(1597.0, abs=0.5)
    assert float(plain.loss[0, -1]) == pytest.approx(0.09, abs=1e-12)  # logistic(x) = 1


def test_a_clipped_step_is_never_longer_than_rate_times_threshold(clipped):
    assert float(clipped.moved.max()) <= RATE * CLIP * (1 + 1e-12)
    assert 10 ** float(clipped.log10_gradient.max()) > 10 * CLIP  # clipping had work to do


def test_clipping_changes_nothing_before_the_first_gradient_above_the_threshold(plain, clipped):
    above = plain.log10_gradient.values > np.log10(CLIP)
    first = np.argmax(above, 1)
    assert first.max() > 50
    for start, step in enumerate(first):
        for name in ("w", "b", "loss"):
            np.testing.assert_array_equal(plain[name][start, : step + 1], clipped[name][start, : step + 1])
            assert plain[name][start, step + 1] != clipped[name][start, step + 1]


def test_a_linear_cell_on_two_bits_descends_its_parabola_in_closed_form():
    """E = (w^(T-1) u - 1)² + (b (1 - w^T) / (1 - w))²: each error shrinks by 1 - 2 rate slope² an update."""
    w, length, rate, k = 0.9, 4, 0.1, np.arange(31)
    bed = plane(LinearRNN(w=w), u=(-3.0, 3.0), b=(-1.0, 1.0))
    ds = paths(bed, Recurrence(latch(0.0), [length], episodes=2), optax.sgd(rate), [(3.0, 0.5)], 30)
    signal, offset = w ** (length - 1), (1 - w**length) / (1 - w)
    u = (1 + (3.0 * signal - 1) * (1 - 2 * rate * signal**2) ** k) / signal
    b = 0.5 * (1 - 2 * rate * offset**2) ** k
    np.testing.assert_allclose(ds.u[0], u, rtol=1e-12)
    np.testing.assert_allclose(ds.b[0], b, rtol=1e-11)
    np.testing.assert_allclose(ds.loss[0], (signal * u - 1) ** 2 + (offset * b) ** 2, rtol=1e-11)


def test_a_path_of_adam_over_three_coordinates_is_the_plain_loop_of_optax():
    space, adam, steps = plane(SRNN(), w=(0, 2), u=(0, 2), b=(-1, 1)), optax.adam(0.1), 5
    episodes = [latch().sample(jax.random.fold_in(jax.random.key(7), i), 6, i) for i in range(4)]
    drawn = [np.stack([e.x for e in episodes]), np.stack([e.target for e in episodes])]
    first = {"w": 0.5, "u": 0.8, "b": 0.2}
    walk = lambda seed: paths(space, Recurrence(latch(), [6], episodes=4, seed=seed), adam, first, steps)  # noqa: E731
    with jax.numpy_dtype_promotion("standard"):  # optax 0.2.8 raises a float to an integer power
        ds = walk(7)
        assert not np.array_equal(ds.loss, walk(8).loss)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        x, target = (jnp.asarray(part, jnp.float64) for part in drawn)
        answers = lambda p: jax.vmap(lambda x: run(SRNN(**p), x)[-1])(x)  # noqa: E731
        slope = jax.grad(lambda p: jnp.mean((answers(p) - target) ** 2))
        update = jax.jit(lambda p, state: adam.update(slope(p), state, p))
        p = {name: jnp.asarray(value, jnp.float64) for name, value in first.items()}
        state = adam.init(p)
        for _ in range(steps):
            change, state = update(p, state)
            p = optax.apply_updates(p, change)
    for name in p:
        assert float(ds[name][0, -1]) == pytest.approx(float(p[name]), rel=1e-6)  # noise in float32


def test_the_first_step_that_is_not_finite_is_that_of_the_same_iteration_by_hand():
    """A rate of 4.5 on b²: b grows eightfold, exactly, with alternating sign until float32 ends."""
    bed = plane(LinearRNN(w=0.0), u=(-3.0, 3.0), b=(-1.0, 1.0))
    ds = paths(
        bed, Recurrence(latch(0.0), [2], episodes=2, dtype="float32"), optax.sgd(4.5), [(0.0, 1.0), (0.0, 0.0)], 60
    )
    with np.errstate(over="ignore"):
        known = np.float32(-8.0) ** np.arange(61, dtype=np.float32)
        first = int(np.argmax(~np.isfinite(np.square(known))))
    assert ds.b.dtype == ds.moved.dtype == np.float32
    np.testing.assert_array_equal(ds.b[0, : first + 1], known[: first + 1])
    assert ds.nonfinite.values.tolist() == [first, -1]
    assert first == 22  # 8^22 = 2^66, whose square ends float32


def test_a_start_alone_leads_where_the_map_says(charted):
    chosen = [(0, 0), (2, 5), (4, 3), (8, 6), (8, 0)]
    points = [(float(charted.w[i]), float(charted.b[j])) for i, j in chosen]
    ds = paths(GRID, Recurrence(pascanu(), [10], dtype="float32"), CLIPPED, points, 40)
    here = [charted.isel(w=i, b=j) for i, j in chosen]
    below = ds.loss.values < 1e-3
    away = np.hypot(*(stacked(ds, "w", "b") - stacked(ds, "w", "b")[..., :1]))
    close = {"rtol": 2e-5, "atol": 2e-6}  # two programs in float32, whose rounding 40 updates carry on
    np.testing.assert_allclose([one.loss for one in here], ds.loss[:, -1], **close)
    np.testing.assert_allclose([one.end_w for one in here], ds.w[:, -1], **close)
    np.testing.assert_allclose([one.end_b for one in here], ds.b[:, -1], **close)
    np.testing.assert_allclose([one.farthest for one in here], away.max(1), **close)
    assert [int(one.converged) for one in here] == np.where(below.any(1), below.argmax(1), -1).tolist()
    assert {int(one.converged) >= 0 for one in here} == {True, False}


def test_the_fate_is_told_by_where_it_ended(charted):
    learnt = charted.loss.values < 1e-3
    np.testing.assert_array_equal(charted.outcome.values == descent.OUTCOMES.index("learnt"), learnt)
    assert 0 < learnt.sum() < learnt.size
    assert np.all(charted.nonfinite == -1)


def test_a_saturated_unit_is_at_rest():
    """At w = 60, b = 40 the loss is .09 and its gradient is exactly 0 in float32."""
    ds = trainability(plane(Pascanu(), w=(60.0, 61.0), b=(40.0, 41.0)), Recurrence(pascanu(), [10]), CLIPPED, 3)
    assert set(ds.outcome.values.ravel()) == {descent.OUTCOMES.index("at_rest")}
    assert np.all(ds.farthest == 0)


@pytest.mark.parametrize(("starts", "threads"), [(7, 1), (64, 3)])
def test_neither_blocks_nor_threads_change_a_map(starts, threads, charted, monkeypatch):
    monkeypatch.setattr(devices, "BLOCK_POINTS", starts)
    monkeypatch.setattr(devices, "threads", lambda: threads)
    again = trainability(GRID, Recurrence(pascanu(), [10]), CLIPPED, 40, tolerance=1e-3)
    for name in charted.data_vars:
        np.testing.assert_array_equal(charted[name], again[name])


@pytest.mark.slow
def test_the_number_of_devices_changes_no_map(charted, tmp_path):
    code = (
        "import numpy as np, optax; from landscape.descent import trainability; from landscape.cells import Pascanu;"
        "from landscape import Recurrence; from landscape.planes import plane; from landscape.tasks import pascanu;"
        "grid = plane(Pascanu(), w=np.linspace(3.0, 7.0, 9), b=np.linspace(-4.0, -1.5, 7));"
        f"clipped = optax.chain(optax.clip_by_global_norm({CLIP}), optax.sgd({RATE}));"
        "ds = trainability(grid, Recurrence(pascanu(), [10]), clipped, 40, tolerance=1e-3);"
        f"assert ds.attrs['device'].startswith('2 x'); ds.drop_attrs().to_zarr({str(tmp_path / 's.zarr')!r})"
    )
    many = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, env=many)
    found = xarray.open_zarr(tmp_path / "s.zarr")
    for name in charted.data_vars:
        np.testing.assert_array_equal(charted[name], found[name])


def test_optimiser_steps_and_tolerance_each_change_a_map(charted):
    def again(optimiser=CLIPPED, steps=40, tolerance=1e-3):
        return trainability(GRID, Recurrence(pascanu(), [10]), optimiser, steps, tolerance=tolerance)

    assert float(abs(again(optimiser=SGD).end_w - charted.end_w).max()) > 1e-3
    assert float(abs(again(steps=80).end_w - charted.end_w).max()) > 1e-3
    strict = again(tolerance=1e-5)
    np.testing.assert_array_equal(strict.loss, charted.loss)
    assert int((strict.converged >= 0).sum()) < int((charted.converged >= 0).sum())


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"starts": {"w": 5.0, "c": 1.0}}, r"starts name the coordinates \['c', 'w'\], and those of the plane are"),
        ({"starts": [(1.0, 2.0, 3.0)]}, r"starts must be \(start, coordinate\) .* given shape \(1, 3\)"),
        ({"steps": 0}, "steps must be a whole number from 1 up, given 0"),
        ({"steps": 2.5}, "steps must be a whole number from 1 up, given 2.5"),
    ],
)
def test_a_path_that_cannot_be_walked_is_refused_in_one_sentence(given, match):
    asked = {"optimiser": SGD, "starts": [(5.0, -2.0)], "steps": 3} | given
    with pytest.raises(ValueError, match=match):
        paths(GRID, Recurrence(pascanu(), [5]), **asked)


def test_a_learning_rate_is_not_an_optimiser_and_a_tolerance_is_a_loss():
    with pytest.raises(TypeError, match=r"an optax transformation such as optax.sgd\(0.1\), given 0.1"):
        paths(GRID, Recurrence(pascanu(), [5]), 0.1, [(5.0, -2.0)], 3)
    with pytest.raises(ValueError, match="tolerance must be a positive loss, given 0"):
        trainability(GRID, Recurrence(pascanu(), [5]), SGD, 3, tolerance=0)


def test_a_walk_says_what_it_is_and_where_it_comes_from(plain, charted):
    for ds, steps in ((plain, 150), (charted, 40)):
        assert ds.attrs["cell"] == "Pascanu"
        assert ds.attrs["task"] == "pascanu(start=0.5, target=0.7)"
        assert ds.attrs["steps"] == steps
        assert "git_commit" in ds.attrs
    assert int(plain.length) == LENGTH
    assert charted.outcome.attrs["flag_meanings"].split()[1] == "learnt"


def carpet(depth, kept):
    """3^depth cells on edge: those whose every digit pair, base 3, is kept."""
    cells = np.ones((1, 1), bool)
    for _ in range(depth):
        cells = np.kron(cells, kept).astype(bool)
    return cells


def koch_island(depth):
    """The quadratic Koch island of 8 edges for 1, each a quarter as long: dimension 3/2 (Mandelbrot 1982, plate 51)."""
    turns = "F+F+F+F"
    for _ in range(depth):
        turns = turns.replace("F", "F+F-F-FF+F+F-F")
    place, heading, edges = 0, 1, []
    for letter in turns:
        if letter == "F":
            edges.append((place, place + heading))
            place += heading
        else:
            heading *= 1j if letter == "+" else -1j
    ends = np.array(edges)
    upright = ends[:, 0].real == ends[:, 1].real
    x, y = ends[upright, 0].real.astype(int), np.minimum(ends[upright, 0].imag, ends[upright, 1].imag).astype(int)
    crossed = np.zeros((np.ptp(y) + 3, np.ptp(x) + 3), int)
    np.add.at(crossed, (y - y.min() + 1, x - x.min() + 1), 1)
    return np.cumsum(crossed, 1) % 2 == 1


ring, solid = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]]), np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]])
across, up = np.meshgrid(np.linspace(-1, 1, 513), np.linspace(-1, 1, 513))


@pytest.mark.parametrize(
    ("mask", "sizes", "dimension", "within"),
    [
        pytest.param(across > 0.3, None, 1.0, 1e-12, id="line"),
        pytest.param(np.maximum(abs(across), abs(up)) < 0.7, None, 1.0, 0.02, id="square"),
        pytest.param(np.hypot(across, up) < 0.7, None, 1.0, 0.03, id="disc"),
        pytest.param(carpet(6, ring), [3, 9, 27, 81], np.log(8) / np.log(3), 0.03, id="carpet"),
        pytest.param(np.pad(carpet(6, solid), 81), [1, 3, 9, 27, 81], np.log(4) / np.log(3), 1e-12, id="dust"),
        pytest.param(koch_island(4), [4, 16, 64], 1.5, 0.05, id="koch"),
        pytest.param((np.arange(513)[:, None] + np.arange(513)) % 2 == 0, None, 2.0, 0.01, id="chequers"),
    ],
)
def test_boundaries_of_known_dimension_are_measured_back(mask, sizes, dimension, within):
    found = box_dimension(mask, sizes)
    assert found.value == pytest.approx(dimension, abs=within)
    assert found.error < within
    assert found.local.mean() == pytest.approx(found.value, abs=2 * within)


def test_boxes_are_counted_as_by_hand_on_both_sides_of_a_boundary():
    mask = np.zeros((33, 33), bool)
    mask[4:, :] = True  # the boundary is a row of 32 corners
    for one in (mask, ~mask):
        assert box_dimension(one).counts.tolist() == [32, 16, 8]
        assert box_dimension(one).sizes.tolist() == [1, 2, 4]
        assert box_dimension(one).residual == pytest.approx(0, abs=1e-12)


def test_the_error_of_a_dimension_is_that_of_a_line_of_two_unknowns():
    """Residuals are divided by n - 2, as in the covariance of `numpy.polyfit`."""
    found = box_dimension(np.random.default_rng(0).random((65, 65)) < 0.02, [1, 2, 4, 8])
    x, y = np.log2(found.sizes), np.log2(found.counts)
    line, covariance = np.polyfit(x, y, 1, cov=True)
    assert found.error == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-9)
    assert found.residual == pytest.approx((np.sum((y - np.polyval(line, x)) ** 2) / 2) ** 0.5, rel=1e-9)
    assert found.residual > 0.05


def test_a_boundary_across_a_cube_of_starts_is_a_plane():
    mask = np.zeros((33, 33, 33), bool)
    mask[:9] = True
    assert box_dimension(mask).value == pytest.approx(2.0, abs=1e-12)


def test_cells_in_a_set_by_chance_have_a_slope_that_is_no_dimension_and_local_slopes_say_so():
    """Of n² boxes of edge s, 1 - (1 - p)^((s + 1)²) hold such a cell, nearly; the rest is in all cells together."""
    share = 0.01
    found = box_dimension(np.random.default_rng(0).random((1025, 1025)) < share, [2**k for k in range(7)])
    expected = (1024 / found.sizes) ** 2 * (1 - (1 - share) ** ((found.sizes + 1) ** 2))
    np.testing.assert_allclose(found.counts, expected, rtol=0.02)
    assert found.value < 1.75
    assert found.local[0] < 1.2 < 1.99 < found.local[-1] <= 2


def test_a_map_of_one_kind_or_too_coarse_a_map_has_no_dimension():
    with pytest.raises(ValueError, match="a map without boundary has no dimension: all 4096 cells are True"):
        box_dimension(np.ones((64, 64)))
    with pytest.raises(ValueError, match=r"needs 3 sizes of boxes or more, given \[1\] for a map of \(8, 8\)"):
        box_dimension(np.eye(8))

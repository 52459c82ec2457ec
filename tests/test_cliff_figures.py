"""The experiments on where cliffs stand and how they grow obey their laws, and their figures hold what they found."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from landscape import names, store

ROOT = Path(__file__).parents[1]

# Every experiment in small; cuts share seven lengths, and so one compiled program.
SMALL = {
    "limit_lines": {"points": 61, "lengths": (1, 200)},
    "kinds_of_cliff": {"at": (-6.0, 4.1, 6.0), "long": (200, 1000), "points": 401},
    "collapse": {"lengths": (10, 20, 50, 100, 150), "reach": 3.0, "points": 21},
    "cliff_growth": {
        "basins": (5.0,),
        "folds": (4.1,),
        "short": (20, 30, 40, 50, 60, 70, 300),
        "long": (100, 200, 300, 500, 1000, 1500, 2000),
    },
    "aliasing": {"sides": (50, 100), "lengths": (5, 20, 30, 40, 50, 100, 400), "cuts": 2},
    "memory_time": {"w": (0.9, 1.2), "sigma": (0.1, 0.4), "points": (4, 3)},
    "bifurcation": {"starts": (0.0, 0.5), "points": 41},
}


def experiment(name):
    """The module of an experiment."""
    return names.module(str(ROOT / f"experiments/{name}.py"))


@pytest.fixture(scope="module")
def found():
    """Results in small by name, each computed once."""
    done = {}

    def get(name):
        if name not in done:
            done[name] = experiment(name).run(**SMALL[name])
        return done[name]

    return get


def logistic(x):
    return 1 / (1 + np.exp(-x))


# Limit lines


def test_long_sequences_step_on_the_closed_form_cliff_and_short_ones_do_not(found):
    ds = found("limit_lines")
    distances = experiment("limit_lines").distances
    cliff, least = distances(ds)
    assert cliff.max() <= 1.5  # steps of the grid: a cliff of a finite width, half a step from the nearest middle
    assert least.max() <= 1.5
    early, _ = distances(ds.isel(length=[0]))
    assert early.min() > 3


def test_the_places_of_the_plane_are_those_of_the_table(found):
    ds = found("limit_lines")
    known = [(4, -2), (4.2552519304, -2.1487212707), (4.4789123665, -2.2879407962)]
    np.testing.assert_allclose(np.stack([ds.place_w, ds.place_b], -1), known, rtol=0, atol=6e-11)


# Kinds of cliff


def test_measured_growth_is_the_predicted_one_and_names_the_kind(found):
    ds = found("kinds_of_cliff")
    assert list(ds.kind_at.values) == ["period two", "fold", "basin"]
    assert list(ds.law.values) == ["basin", "fold", "basin"]  # a cliff of period two lies on a boundary of basins
    slope = logistic(0.5) * (1 - logistic(0.5))
    np.testing.assert_allclose(ds.predicted, [np.log(6 * slope), 0, np.log(6 * slope)], atol=1e-14)
    np.testing.assert_allclose(ds.rate[[0, 2]], ds.predicted[[0, 2]], atol=1e-3)
    assert float(ds.power[1]) == pytest.approx(3, abs=0.1)  # these lengths are short


def test_kinds_follow_each_other_along_w(found):
    ds = found("kinds_of_cliff")
    w, kind = ds.w.values, ds.kind.values
    edge = 1 / (logistic(0.5) * (1 - logistic(0.5)))
    assert set(kind[w < -edge]) == {"period two"}
    assert set(kind[(w > -edge) & (w < 4)]) == {""}
    assert set(kind[(w > 4) & (w < edge)]) == {"fold"}
    assert set(kind[w > edge]) == {"basin"}


# Collapse


def test_the_limit_curve_is_the_poincare_function_of_the_table(found):
    six = experiment("collapse").run(w=6.0, **SMALL["collapse"])
    tables = [(found("collapse"), (-2.010247257, 0.1307637865, 0.7444434551))]
    for ds, table in [*tables, (six, (-2.571700576, 0.1733299260, 0.7735189417))]:
        curve = ds.curve.sel(z=[-3, -0.3, 0.3], method="nearest")
        np.testing.assert_allclose(curve, logistic(np.array(table)), atol=1e-10)


def test_states_at_finite_lengths_are_those_of_the_table(found):
    ds = found("collapse").sel(z=[-3, -0.3, 0.3], method="nearest")
    table = {
        20: (-2.007252766, 0.1642266231, 0.7456638741),
        50: (-2.009797052, 0.1313349612, 0.7445880731),
        100: (-2.010246771, 0.1307641273, 0.7444435719),
    }
    for length, states in table.items():
        np.testing.assert_allclose(ds.profile.sel(length=length), logistic(np.array(states)), atol=1e-9)


def test_what_is_left_of_the_collapse_falls_as_t_over_lambda_to_the_t(found):
    ds = found("collapse").sel(length=[50, 100, 150])
    share = ds.residual * ds.multiplier**ds.length / ds.length
    np.testing.assert_allclose(share, share[-1], rtol=0.1)


def test_a_bias_in_float64_has_digits_for_so_many_steps_only(found):
    ds = found("collapse")
    np.testing.assert_allclose(ds.plain[:3], ds.profile[:3], atol=1e-10)
    # an ulp of b, 4.4e-16, grows by the multiplier at every step
    assert 1e-7 < float(ds.plain_residual[-1]) < 4.4e-16 * ds.multiplier**150 * 100


def test_without_an_unstable_start_there_is_nothing_to_collapse():
    with pytest.raises(ValueError, match=r"no basin cliff at w = 4: x_0 = 0\.5 has multiplier 1"):
        experiment("collapse").run(w=4.0, lengths=(10,))


# Growth


def test_slopes_are_true_maxima_and_grow_by_their_laws(found):
    ds = found("cliff_growth")
    basin, fold = ds.sel(w=5.0), ds.sel(w=4.1)
    assert float(basin.slope.sel(length=50)) == pytest.approx(5751.099, rel=1e-6)
    assert float(basin.rate) == pytest.approx(np.log(float(basin.multiplier)), abs=1e-3)
    assert float(fold["shift"]) < 0
    assert float(fold.power) == pytest.approx(3, abs=0.05)
    assert float(fold.theory) == pytest.approx(126.3926063, rel=1e-9)
    assert float(fold.constant) == pytest.approx(126.3926063, rel=0.02)


def test_slopes_that_float64_cannot_resolve_are_missing(found):
    ds = found("cliff_growth").sel(w=5.0)
    known = np.isfinite(ds.slope)
    assert not bool(known.sel(length=300))  # thinner than an ulp of b
    assert bool(known.sel(length=[20, 30, 40, 50, 60, 70]).all())


# Aliasing


def test_the_largest_sampled_gradient_falls_while_the_true_one_grows(found):
    ds = found("aliasing")
    late = ds.sel(length=[40, 50, 100, 400])
    for side in ds.side:
        assert float(late.sampled.sel(side=side)[-1]) < float(late.sampled.sel(side=side)[0])
    assert np.all(np.diff(ds["true"].dropna("length")) > 0)
    assert np.all(np.diff(ds.theory) > 0)
    known = np.isfinite(ds["true"])
    assert bool((ds.sampled <= ds["true"] * (1 + 1e-9)).where(known, True).all())
    assert float(ds["true"].sel(length=50)) > 1e6 * float(ds.sampled.sel(length=50).max())


def test_theory_goes_on_where_the_true_maximum_ends(found):
    ds = found("aliasing").sel(length=[30, 40])
    np.testing.assert_allclose(ds.theory, np.log10(ds["true"]), atol=1e-4)


def test_the_jump_from_point_to_point_keeps_the_height_of_the_cliff(found):
    jump = found("aliasing").jump.sel(length=[50, 100, 400])
    assert 0.35 < float(jump.min()) <= float(jump.max()) < 0.5


# Memory


def test_memory_times_are_those_of_the_tabled_multipliers(found):
    ds = found("memory_time").sel(sigma=0.1)
    known = np.array([0.870085166609, 0.945164002842, 0.990059472940, 0.999755548328])
    np.testing.assert_allclose(ds.multiplier, known, rtol=0, atol=6e-13)
    np.testing.assert_allclose(ds.time, -1 / np.log(known), rtol=1e-8)


def test_kramers_time_is_half_of_one_over_the_rate_and_missing_where_nothing_is_stored(found):
    ds = found("memory_time")
    assert float(ds.kramers.sel(w=1.2, sigma=0.1, method="nearest")) == pytest.approx(1 / 2 / 1.240e-4, rel=5e-4)
    assert np.isnan(ds.kramers.sel(w=ds.w[:2])).all()


def test_times_that_float64_cannot_tell_are_infinite():
    ds = experiment("memory_time").run(w=(1.0, 2.0), sigma=(0.15, 0.3), points=SMALL["memory_time"]["points"], u=2.0)
    assert float(ds.bound[-1]) == pytest.approx(0.53283997535, abs=6e-12)  # B(2, 2) of the table
    assert np.isinf(ds.time.values[0, -1])
    assert np.isfinite(ds.time.values[:, 0]).all()
    assert np.isfinite(ds.time.values[-1]).all()


def test_the_worst_bounded_noise_loses_the_bit_just_above_the_bound_and_not_below(found):
    ds = found("memory_time").sel(w=slice(1.05, None))
    for share, kept in ((0.999, True), (1.001, False)):
        e = share * ds.bound.values
        a = 1 - e  # bit +1, and from then on the noise that pulls hardest
        for _ in range(5000):
            a = ds.w.values * np.tanh(a) - e
        assert list(a > 0) == [kept] * 2


# Bifurcation


def test_branches_are_fixed_points_that_lose_their_stability_at_the_folds(found):
    ds = found("bifurcation")
    np.testing.assert_allclose(ds.w * logistic(ds.state) + ds.bias, ds.state, atol=1e-14)
    unstable = ds.state[ds.multiplier > 1]
    upper, lower = ds.fold_state.values
    assert lower <= unstable.min() < lower + 0.02  # samples of the state are .01 apart
    assert upper - 0.02 < unstable.max() <= upper
    np.testing.assert_allclose(ds.fold_b, (-2.6556103386, -2.3443896614), atol=6e-11)


def test_orbits_change_branch_at_their_own_crossing_and_nowhere_else(found):
    ds = found("bifurcation")
    for start in ds.start:
        one = ds.sel(start=start).isel(length=-1)
        step = np.abs(np.diff(one.end))
        where = step.argmax()
        assert one.b[where] <= one.crossing <= one.b[where + 1] + 1e-12
        assert step[where] > 1 or step[where] + step[where - 1] > 1  # one orbit may rest on the boundary itself
        assert np.sort(step)[-3] < 0.2


def test_on_the_boundary_the_derivative_is_a_geometric_sum(found):
    ds = found("bifurcation").sel(start=0.5, length=50)
    at = ds.sel(b=float(ds.crossing), method="nearest")
    assert float(at.slope) == pytest.approx(18155.8081797, rel=1e-9)


def test_folds_are_not_felt_and_the_crossing_is(found):
    cross, fold = experiment("bifurcation").felt(found("bifurcation"), 50, 0.5)
    assert cross > 1e4
    assert fold < 10


# Figures


def claims(name, ds):
    """What the artists of a figure must hold, by their name: (x, y) of a line, the values of a map."""
    if name == "limit_lines":
        lines = ("cliff", "start_line", "upper_fold", "lower_fold", "valley")
        return {line: (ds.w, ds[line] + ds.w / 2) for line in lines} | {"loss": ds.loss[0].transpose("b", "w")}
    if name == "kinds_of_cliff":
        part = {kind: ds.isel(at=np.flatnonzero(ds.kind_at == kind)) for kind in ("basin", "fold", "period two")}
        measured = {kind: (one.predicted, one.rate) for kind, one in part.items()}
        return {
            f"{kind} at": values
            for kind, values in (measured | {"fold": (part["fold"]["at"], part["fold"].power)}).items()
        }
    if name == "collapse":
        profiles = {f"profile {t}": (ds.z, ds.profile.sel(length=t)) for t in (10, 20, 50, 100)}
        lengths = {line: (ds.length, ds[line]) for line in ("residual", "plain_residual")}
        return {"curve": (ds.z, ds.curve)} | profiles | lengths
    if name == "cliff_growth":
        basin, fold = ds.sel(w=5.0).dropna("length", subset=["slope"]), ds.sel(w=4.1).dropna("length", subset=["slope"])
        x = fold.length - fold["shift"]
        return {
            "slope 5": (basin.length, basin.slope),
            "slope 4.1": (x, fold.slope),
            "distance 4.1": (x, fold.distance),
        }
    if name == "aliasing":
        sampled = {
            f"{what} {side}": (ds.length, ds[what].sel(side=side)) for what in ("sampled", "jump") for side in (50, 100)
        }
        return sampled | {"true": (ds.length, ds["true"])}
    if name == "memory_time":
        return {"time": ds.time}
    stable = {"stable": (ds.bias.where(ds.multiplier < 1), ds.state), "folds": (ds.fold_b, ds.fold_state)}
    return stable | {"crossings": (ds.crossing, ds.start), "slope 50": (ds.b, abs(ds.slope.sel(length=50, start=0.5)))}


@pytest.mark.parametrize("name", SMALL)
def test_figures_hold_the_numbers_of_the_run_and_say_what_it_found(name, found):
    ds = found(name)
    figure = names.module(str(ROOT / f"figures/{name}.py")).page(ds)
    artists = {a.get_gid(): a for ax in reversed(figure.axes) for a in (*ax.collections, *ax.lines) if a.get_gid()}
    for gid, held in claims(name, ds).items():
        if isinstance(held, tuple):
            for drawn, values in zip(artists[gid].get_data(), held, strict=True):
                np.testing.assert_array_equal(np.asarray(drawn, float), np.asarray(values, float))
        else:
            np.testing.assert_array_equal(artists[gid].get_array(), held.values)
    text = " ".join(" ".join(t.get_text().split()) for t in figure.findobj(Text))
    assert " ".join(ds.attrs["finding"].split()) in text
    assert ds.attrs["finding"] == experiment(name).sentence(ds)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_figures_are_drawn_from_the_store_alone(name, found, tmp_path):
    settings = {key: one.default for key, one in inspect.signature(experiment(name).run).parameters.items()}
    store.save(found(name), tmp_path / "store.zarr", settings | SMALL[name])
    ((_, files),) = names.module(str(ROOT / f"figures/{name}.py")).draw(tmp_path / "store.zarr", tmp_path).items()
    assert [file.suffix for file in files] == [".png", ".pdf"]
    with Image.open(files[0]) as image:
        assert len(image.convert("RGB").getcolors(10**7)) > 20  # drawn, not blank

"""Experiments on the parts of a cell: what they say follows what they found, in planted worlds that flip it."""

import jax
import numpy as np
import pytest
import xarray

from landscape import names, tasks

ROOT = names.shipped("experiments").parent
FILES = ("odyssey", "ablation", "truncated_gradient", "rate_and_size")
odyssey, ablation, cut, tuned = (names.module(str(ROOT / f"experiments/{name}.py")) for name in FILES)
drawn = {name: names.module(str(ROOT / f"figures/{name}.py")) for name in FILES}
REBER = tasks.reber()
TRIALS = 40


def searched(**losses):
    """Invented trials: each case's losses spread round its level, what a cell keeps at the start beside."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 0.01, TRIALS)
    rows = {case: np.asarray(level) + noise * (1 + 0.01 * k) for k, (case, level) in enumerate(losses.items())}
    every = odyssey.draw(odyssey.ranges(24), TRIALS).items()
    points = {name: (("case", "trial"), np.tile(np.asarray(values, float), (len(rows), 1))) for name, values in every}
    made = {"loss": (("case", "trial", "epoch"), np.stack([*rows.values()])[..., None]), **points}
    made["keeps"] = ("case", np.linspace(0.5, 1, len(rows)))
    return xarray.Dataset(made, {"case": list(rows)})


def judged(done, **about):
    return odyssey.judged(done, REBER, **about).assign_attrs(units=24, trials=TRIALS, epochs=16)


def verdicts(found):
    return {claim.claim: claim.verdict for claim in odyssey.claims(found)}


GOOD, BAD = REBER.floor + 0.005, REBER.memoryless


@pytest.mark.parametrize(
    ("level", "spread", "worse", "alike"),
    [
        (BAD, 0, odyssey.HELD, odyssey.REFUTED),
        (GOOD, 0, odyssey.REFUTED, odyssey.HELD),
        (GOOD, 0.1, odyssey.OPEN, odyssey.OPEN),
    ],
)
def test_verdicts_on_variants_follow_their_trials(level, spread, worse, alike):
    wide = level + spread * (np.arange(TRIALS) % 4)
    wide[4:] = np.maximum(wide[4:], level + 3 * spread)
    found = judged(searched(V=GOOD, NFG=wide, NOAF=wide, CIFG=wide, NP=wide))
    assert {verdicts(found)[f"{case} is worse"] for case in ("NFG", "NOAF")} == {worse}
    assert {verdicts(found)[f"{case} is the same or better"] for case in ("CIFG", "NP")} == {alike}


def test_a_users_cell_is_better_than_the_first_or_not_and_others_make_no_such_claim():
    for level, base, word in ((GOOD, BAD, odyssey.HELD), (BAD, GOOD, odyssey.REFUTED)):
        assert verdicts(judged(searched(LSTM=base, Sine=level)))["Sine is better than LSTM"] == word
    assert not [claim for claim in verdicts(judged(searched(V=BAD, NIG=GOOD))) if "better than" in claim]


def test_full_gate_recurrence_is_of_use_where_it_is_better():
    assert verdicts(judged(searched(V=BAD, FGR=GOOD)))["FGR is the same or worse"] == odyssey.REFUTED
    assert verdicts(judged(searched(V=BAD, FGR=BAD)))["FGR is the same or worse"] == odyssey.HELD


@pytest.mark.parametrize(
    ("plain", "clipped", "verdict"), [(GOOD, BAD, "HELD"), (BAD, GOOD, "REFUTED"), (GOOD, GOOD, "OPEN")]
)
def test_clipping_is_judged_by_the_trials_that_it_changes(plain, clipped, verdict):
    found = judged(searched(**{"V": plain, "V, clipped": clipped}))
    assert verdicts(found)["clipping to 1 hurts"] == getattr(odyssey, verdict)


def test_what_a_start_foretells_is_told_by_rank():
    levels = np.linspace(BAD + 0.1, GOOD, 8)
    climbing = {f"c{k}": np.where(np.arange(TRIALS) < 5 * k, GOOD, BAD) for k in range(len(levels))}
    claim = "what one step keeps at the start foretells who remembers"
    assert verdicts(judged(searched(**climbing)))[claim] == odyssey.HELD
    assert verdicts(judged(searched(**dict(reversed(climbing.items())))))[claim] == odyssey.REFUTED
    assert verdicts(judged(searched(V=GOOD, NP=GOOD)))[claim] == odyssey.OPEN


def test_what_diverged_is_counted_worth_a_blind_guess_and_never_dropped():
    wild = np.full(TRIALS, GOOD)
    wild[:3], wild[3] = np.nan, 1e9
    found = judged(searched(V=GOOD, NFG=wild))
    assert found.diverged.values.tolist() == [0, 3]
    assert found.share.values.tolist() == [1, 36 / 40]
    assert found.lost.sel(case="NFG") == 4
    all_wild = judged(searched(V=GOOD, NFG=np.full(TRIALS, np.inf)))
    assert all_wild.best.sel(case="NFG").item() == pytest.approx(REBER.chance)


def test_importance_is_that_of_the_grid():
    for names_, verdict in ((("rate",), odyssey.HELD), (("damping", "size"), odyssey.REFUTED)):
        axes = {"rate": range(4), "size": range(3), "damping": range(3), "noise": range(3)}
        score = sum(xarray.DataArray(np.asarray(v, float), {k: list(v)}, (k,)) * (k in names_) for k, v in axes.items())
        found = judged(searched(V=GOOD, NFG=GOOD), shares=odyssey.anova(score))
        assert verdicts(found)["the rate explains more than two thirds"] == verdict
        assert verdicts(found)["momentum explains less than .05"] == verdict


def test_the_figure_is_drawn_from_what_was_found():
    found = judged(searched(V=BAD, NFG=GOOD, NP=BAD))
    assert drawn["odyssey"].title(found) == "NFG better than V; 0% to 100% of the trials remember"
    alike = judged(searched(V=GOOD, NFG=GOOD))
    assert drawn["odyssey"].title(alike) == "No variant is told from V; 100% to 100% of the trials remember"
    page = drawn["odyssey"].page(found)
    assert [ax.get_visible() for ax in page.axes] == [True] * 4 + [False]
    assert drawn["odyssey"].colour(found, "NFG") == drawn["odyssey"].BLUE
    assert "NFG: best tenth 0.4" in odyssey.sentence(found)


def test_cases_are_the_cells_and_v_with_its_forget_bias_and_clipped():
    assert odyssey.labels(odyssey.cases(("LSTMPeephole", "mine.py:Sine"))) == [
        "V", "Sine", "V, forget bias 1", "V, forget bias 2", "V, clipped",
    ]  # fmt: skip
    assert odyssey.labels(odyssey.cases(("GRU",))) == ["GRU"]
    with pytest.raises(ValueError, match="there is no task 'latch' that odyssey can train on"):
        odyssey.run(task="latch")


def test_noise_is_a_standard_deviation_on_one_hot_symbols():
    setting, key = odyssey.SETTINGS["reber"], jax.random.key(0)
    still, shaken = (jax.jit(lambda noise: odyssey.episodes(setting, key, 64, noise))(n) for n in (0.0, 0.5))
    assert set(np.unique(still.x)) == {0, 1}
    assert np.std(shaken.x - still.x) == pytest.approx(0.5, rel=0.05)
    np.testing.assert_array_equal(still.target, shaken.target)


@pytest.mark.slow
def test_a_search_of_cells_of_ones_own_runs_resumes_and_is_judged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from landscape.cells import SRNN, Cell\n\n\ndef Sine() -> Cell:\n    return SRNN()\n"
    )
    cells = ("mine.py:Sine", "LSTM")
    found = odyssey.run(cells, trials=4, units=5, epochs=1, grid=False, out="o")
    assert found.case.values.tolist() == ["Sine", "LSTM"]
    assert np.isfinite(found.loss).all()
    again = odyssey.run(cells, trials=4, units=5, epochs=1, grid=False, out="o")
    np.testing.assert_array_equal(again.loss, found.loss)


def ablated(success, **features):
    """Invented variants: ``success`` (case,) of 20 runs at the better of two rates, and what their planes show."""
    count = len(success)
    won = np.arange(20) < np.round(20 * np.asarray(success))[:, None]
    accuracy = np.stack([np.full(won.shape, 0.5), np.where(won, 1.0, 0.5)], 1)[:, None]  # (case, length, rate, seed)
    axis = np.linspace(-1, 1, 5)
    made = {name: ("case", np.asarray(features.get(name, np.zeros(count)), float)) for name in ablation.FEATURES}
    made["loss"] = (("case", "w_g", "b_g"), np.ones((count, 5, 5)))
    made["kind"] = ("case", ["basin"] * count)
    made["accuracy"] = (("case", "length", "rate", "seed"), accuracy)
    coords = {"case": list(ablation.CASES)[:count], "length": [20], "rate": [0.01, 0.1], "w_g": axis, "b_g": axis}
    return ablation.judged(xarray.Dataset(made, coords)).assign_attrs(at=0.5, length=50)


CLIMBING = np.linspace(0, 1, 8)


@pytest.mark.parametrize(
    ("feature", "verdict"),
    [(CLIMBING, "goes with success"), (-CLIMBING, "goes against success"), (np.tile([0, 1], 4), "not decided")],
)
def test_what_goes_with_success_is_read_off_the_variants(feature, verdict):
    found = ablated(CLIMBING, room=feature)
    said = {r.feature: r.verdict for r in ablation.readings(found)}
    assert said == {name: verdict if name == "room" else "not decided" for name in ablation.FEATURES}
    assert found.best_rate.values.ravel()[1:].tolist() == [0.1] * 7  # where anything is learned
    np.testing.assert_allclose(found.share.isel(length=0), np.round(20 * CLIMBING) / 20)
    title = drawn["ablation"].title(found)
    assert title.startswith("V, forget bias 1 learns most often (100%), V least (0%)")
    assert title.endswith(
        "nothing seen from above surely goes with it" if verdict == "not decided" else "its room goes with it"
    )


def test_the_figure_of_ablation_has_a_panel_for_every_variant_and_three_for_what_goes_with_success():
    page = drawn["ablation"].page(ablated(CLIMBING[:4], keeps=CLIMBING[:4]))
    assert sum(ax.get_visible() for ax in page.axes) == 4 + 3 + 1  # and the bar of colours
    assert "V: T = 20 0.00 (0.00 to 0.16); keeps 0.00" in ablation.sentence(ablated(CLIMBING))


def test_a_forget_bias_is_that_of_cells_that_have_one():
    assert ablation.with_bias(names.cell("LSTMPeephole"), 2.0).b_f == 2.0
    for name in ("NFG", "CIFG"):
        assert ablation.with_bias(names.cell(name), 2.0).b_f is None


@pytest.mark.slow
def test_the_cliff_of_an_ablated_unit_stands_where_the_plane_shows_it_and_grows_by_its_multiplier():
    above = {name: ablation.seen(ablation.with_bias(names.cell(cell), bias), 41, 50, 6.0)
             for name, (cell, bias) in ablation.CASES.items() if name in ("V", "CIFG", "NIG")}  # fmt: skip
    assert {one["kind"] for one in above.values()} == {"basin"}
    # At rest f of V and 1 - i of CIFG are both 1/2: one map, and so one cliff. Open gates let it stand further out.
    assert above["V"]["position"] == pytest.approx(above["CIFG"]["position"], rel=1e-9)
    assert above["NIG"]["position"] > above["V"]["position"] > 0.4
    loss = above["V"]["loss"][1][np.searchsorted(above["V"]["w_g"], 6.0)]
    across = above["V"]["b_g"][np.abs(np.diff(loss)).argmax()]
    assert abs(abs(across) - above["V"]["position"]) < 2 * 0.1  # cells of the grid
    # The unstable state of c' = c/2 + tanh(6 tanh(c)/2 + b)/2 where the cliff stands: it steepens by its slope.
    b = above["V"]["position"]
    step = lambda c: c / 2 + np.tanh(3 * np.tanh(c) + b) / 2  # noqa: E731
    low, high = -1.0, 0.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if step(middle) < middle else (low, middle)
    slope = 0.5 + 0.5 * 3 * (1 - np.tanh(low) ** 2) * (1 - np.tanh(3 * np.tanh(low) + b) ** 2)
    assert above["V"]["growth"] == pytest.approx(slope, rel=2e-3)


def led(turned, truncated=0.9):
    """An invented plane of the loss w² + b²: its gradient, and that turned by so many degrees for the truncated one."""
    axis = np.linspace(-1, 1, 9)
    w, b = np.meshgrid(axis, axis, indexing="ij")
    c, s = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    fields = np.array([[2 * w, 2 * b], [c * 2 * w - s * 2 * b, s * 2 * w + c * 2 * b]])[:, :, None]
    learnt = np.zeros((2, 1, 10, 10), bool)
    learnt[0, :, :8], learnt[1, :, : int(10 * truncated)] = True, True
    made = {
        "loss": (("route", "length", "w_g", "b_i"), np.tile(w**2 + b**2, (2, 1, 1, 1))),
        "slope": (("route", "axis", "length", "w_g", "b_i"), fields),
        "learnt": (("route", "length", "start_w_g", "start_b_i"), learnt),
    }
    coords = {"route": list(cut.ROUTES), "length": [10], "axis": list(cut.AXES), "w_g": axis, "b_i": axis}
    coords |= {"start_w_g": range(10), "start_b_i": range(10)}
    about = {"cell": "LSTM1997", "task": "latch", "steps": 1, "rate": 0.1, "clip": 1.0, "episodes": 2}
    return cut.measured(xarray.Dataset(made, coords)).assign_attrs(about)


@pytest.mark.parametrize(("turned", "ascent"), [(0, 0), (60, 0), (120, 80 / 81)])
def test_angle_curl_and_ascent_are_those_of_a_field_that_is_turned(turned, ascent):
    found = led(turned)
    angle = found.angle.isel(length=0).values
    np.testing.assert_allclose(angle[np.isfinite(angle)], turned, atol=1e-5)
    assert np.isnan(angle[4, 4])  # no slope at the bottom
    assert found.ascent.item() == pytest.approx(ascent)
    # Of F = R(2 w, 2 b) the curl is 4 sin, and the four squares sum to 8: none for a gradient.
    wanted = [0, 4 * np.sin(np.radians(turned)) / np.sqrt(8)]
    np.testing.assert_allclose(found.turning.isel(length=0), wanted, atol=1e-6)


@pytest.mark.parametrize(("truncated", "word"), [(0.9, "more starts"), (0.5, "fewer starts"), (0.8, "as many starts")])
def test_the_figure_of_the_truncated_gradient_says_where_it_leads(truncated, word):
    found = led(30, truncated)
    assert f"leads {word} to the memory: {truncated:.0%}, the gradient 80%" in drawn["truncated_gradient"].title(found)
    assert len(drawn["truncated_gradient"].page(found).axes) == 3
    assert f"starts that learn: gradient 80%, truncated {truncated:.0%}" in cut.sentence(found)


@pytest.mark.slow
def test_the_truncated_field_parts_from_the_gradient_where_the_unit_is_recurrent():
    found = cut.run(quick=True)
    still = np.abs(found.w_g.values).argmin()
    angle = found.angle.isel(length=0)
    np.testing.assert_allclose(found.loss.sel(route="true"), found.loss.sel(route="truncated"), rtol=1e-6)
    assert float(angle.isel(w_g=still).max()) < 0.1  # w_g = 0: h is read by nothing
    assert float(angle.sel(w_g=slice(-2, -1)).max()) > 90


def planes(*edges, sharpness=1.0, moved=(2.0, 4 / 3, 1.2)):
    """Invented losses of sizes and momenta over rates from .1 to 10: beyond its edge each fails, from the first update.

    Momenta are 0, .5 and .75, whose edges are foretold as 2, 3/2 and 7/5 if the sharpness is 1.
    """
    rates = np.geomspace(0.1, 10, 21)
    up = rates > np.asarray(edges)[:, None]
    loss = np.stack([np.ones(up.shape), np.where(up, 1.5, 0.8), np.where(up, np.nan, 0.5)], -1)
    dims = ("size", "rate", "update")
    made = {"loss": (dims, loss), "val_loss": (dims, loss), "sharpness": ("size", np.full(len(edges), sharpness))}
    made["moved"] = ("momentum", "rate"), np.where(rates > np.asarray(moved)[:, None], np.inf, 0.5)
    axes = {"size": [4, 8, 16], "momentum": [0.0, 0.5, 0.75], "rate": rates, "update": [1, 2, 3]}
    about = {"cell": "SRNN", "task": "reber", "strings": 2, "chance": 1.0, "floor": 0.4, "memoryless": 0.5}
    return tuned.edges(xarray.Dataset(made, axes, about))


def test_the_edge_of_a_plane_lies_between_the_rates_that_it_parts():
    found = planes(2.0, 2.0, 2.0)
    step = 100 ** (1 / 20)
    for name in ("first", "edge"):
        np.testing.assert_allclose(np.abs(np.log(found[name] / 2.0)), 0, atol=np.log(step) + 1e-9)
    np.testing.assert_allclose(np.log(found.moved_edge / [2, 4 / 3, 1.2]), 0, atol=np.log(step) + 1e-9)
    np.testing.assert_array_equal(found.foretold, 2.0)
    np.testing.assert_allclose(found.moved_foretold, [2, 3 / 2, 7 / 5])
    for nowhere in (99.0, 0.01):
        none = planes(*[nowhere] * 3)
        assert np.isnan(none["first"]).all()
        assert np.isnan(none["edge"]).all()


def test_beyond_the_foretold_rate_nesterovs_momentum_grows_on_a_parabola():
    """The largest modulus of its two multipliers is 1 at ``rate lambda = 2 (1 + m) / (1 + 2 m)``."""
    for m in (0.0, 0.5, 0.9):
        for rate, grows in ((0.999, False), (1.001, True)):
            keep = (1 - rate * 2 * (1 + m) / (1 + 2 * m)) * np.array([1 + m, -m])  # x' = (1 - r l) (x + m (x - old))
            assert (np.abs(np.linalg.eigvals([keep, [1, 0]])).max() > 1) == grows


def test_a_plane_is_traced_where_learning_ends_and_not_where_it_begins():
    rates, edges = np.geomspace(0.1, 100, 24), np.array([14, 12, 9, 8])
    level = np.where(rates < edges[:, None], 1.9 - 1.4 / (1 + (1.5 / rates) ** 2), np.inf)
    loss = xarray.DataArray(level, {"rate": rates}, ("size", "rate"))
    np.testing.assert_allclose(np.log(tuned.traced(loss, np.arange(4), 1.9) / edges), 0, atol=0.3)  # a cell


@pytest.mark.parametrize(
    ("edges", "sharpness", "title"),
    [
        ((2.0, 2.0, 2.0), 1.0, "fails where 2 / λ of the start says, whatever the size and momentum"),
        ((0.5, 0.5, 0.5), 1.0, "says, whatever the momentum; by size at 0.2 to 0.2 of it"),
        ((0.5, 0.5, 0.5), 4.0, "says, whatever the size; by momentum at 3.2 to 4.5 of it"),
        ((99.0, 99.0, 99.0), 1.0, "fails nowhere on part of these planes"),
    ],
)
def test_the_figure_of_rate_and_size_says_whether_the_start_foretells_its_edge(edges, sharpness, title):
    found = planes(*edges, sharpness=sharpness)
    assert title in drawn["rate_and_size"].title(found)
    assert len(drawn["rate_and_size"].page(found).axes) == 3
    assert f"8 units: 2 / lambda {2 / sharpness:.2f}" in tuned.sentence(found)


@pytest.mark.slow
def test_the_sharpness_of_a_start_is_the_largest_eigenvalue_of_its_hessian():
    model = tuned.begin(names.cell("SRNN"), jax.random.key(0), 2, np.float32(2))
    read = jax.jit(lambda: tasks.episodes(REBER, jax.random.key(1), 8, 20))()
    flat, back = jax.flatten_util.ravel_pytree(model)
    loss = lambda v: tuned.loss_of(back(v), tasks.time_first(read))  # noqa: E731
    every = np.linalg.eigvalsh(np.asarray(jax.jit(jax.hessian(loss))(flat), float))
    assert float(jax.jit(tuned.sharpest)(model, read)) == pytest.approx(np.abs(every).max(), rel=1e-3)


@pytest.mark.slow
def test_descent_over_rate_and_size_is_that_of_the_loss_that_the_sharpness_is_of():
    found = tuned.run(cell="SRNN", quick=True)
    read, _ = (jax.jit(lambda k: tasks.episodes(REBER, k, 64, 20))(k) for k in jax.random.split(jax.random.key(0)))
    model = tuned.begin(names.cell("SRNN"), jax.random.fold_in(jax.random.key(0), 7), 8, np.float32(8))
    first = jax.jit(tuned.loss_of)(model, tasks.time_first(read))
    np.testing.assert_allclose(found.loss.sel(size=8).isel(update=0), float(first), rtol=1e-5)

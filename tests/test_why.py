"""The verdicts on why an LSTM unit keeps a bit worse follow from the runs, and the runs from their definitions."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from landscape import losses, names, training, verdicts
from landscape.cells import SRNN, HardLSTM
from landscape.dynamics import origin_multiplier
from landscape.initialisers import keras2, keras3
from landscape.success import wilson
from landscape.tasks import Episode, gaussian
from landscape.training import starts
from landscape.training.signals import at_start, before, decay
from landscape.verdicts import EVEN, RIGHT, Pair, Strata

ROOT = Path(__file__).parents[1]
why = names.module(str(ROOT / "experiments/why_lstm_latches_worse.py"))
HIGH, LOW, RUNS = 0.6, 0.1, 512
NUMBERS = [f"H{i}" for i in range(1, 11)]


def found_out(cases):
    """The verdicts of the experiment on these cases."""
    return verdicts.verdicts(cases, why.GAP, why.SUSPECTS)


def half(rate, right=None, runs=RUNS):
    """Strata in which a case succeeds at ``rate`` in all, and at ``right`` (or the same rate) with a right readout."""
    right = rate if right is None else right
    return Strata((round(runs / 2 * right), round(runs / 2 * (2 * rate - right))), (runs // 2, runs // 2))


def world(runs=RUNS, srnn=HIGH, lstm=LOW, right=None, **after):
    """A world in which no change changes anything, but for the hypotheses in ``after``: what the LSTM then learns.

    ``right`` gives what SRNN and LSTM learn with a right readout, H2's test.
    """
    srnn_right, lstm_right = right or (srnn, lstm)
    cases = {"SRNN, default": half(srnn, srnn_right, runs), "LSTM, default": half(lstm, lstm_right, runs)}
    for suspect in why.SUSPECTS:
        cases.setdefault(suspect.after.more, half(srnn, None, runs))
        cases.setdefault(suspect.after.less, half(after.get(suspect.name, lstm), None, runs))
    return cases


def judged(*args, **rates):
    return {v.suspect.name: v.verdict for v in found_out(world(*args, **rates))}


# Shares and what they close


def test_strata_weighted_as_observed_add_up_to_the_plain_share():
    rng = np.random.default_rng(0)
    solved, right = rng.random(300) < 0.4, rng.random(300) < 0.7
    counted = verdicts.strata(solved, right)
    assert sum(counted.tried) == 300
    observed = (right.mean(), 1 - right.mean())
    assert verdicts.stratified(counted, observed).value == pytest.approx(solved.mean())


def test_luck_in_the_signs_of_readouts_does_not_move_a_stratified_share():
    fair, lucky = Strata((200, 20), (256, 256)), Strata((300, 10), (384, 128))
    assert verdicts.stratified(fair).value == pytest.approx(verdicts.stratified(lucky).value)
    assert sum(lucky.solved) / 512 > sum(fair.solved) / 512 + 0.15


def test_an_intervention_that_is_the_other_cell_closes_all_and_one_that_does_nothing_closes_nothing():
    cases = world()
    gap = Pair("SRNN, default", "LSTM, default")
    assert verdicts.closed(cases, gap, Pair("SRNN, default", "SRNN, default")) == (1, 1, 1)
    assert verdicts.closed(cases, gap, gap) == (0, 0, 0)


def test_shares_closed_by_changes_that_add_up_add_up():
    cases = {"more": half(0.8), "less": half(0.1), "one": half(0.3), "two": half(0.6)}
    gap = Pair("more", "less")
    one, two = (verdicts.closed(cases, gap, Pair("more", name)).value for name in ("one", "two"))
    rest = verdicts.closed(cases, Pair("more", "less"), Pair("one", "less")).value
    assert one == pytest.approx(0.2 / 0.7, abs=0.01)
    assert rest == pytest.approx(1 - one)
    assert two > one


def test_the_interval_of_the_share_closed_holds_the_truth_as_often_as_it_says():
    rng, rates = np.random.default_rng(1), {"more": (0.95, 0.2), "less": (0.15, 0.05), "after": (0.5, 0.1)}
    middle = {name: sum(rate) / 2 for name, rate in rates.items()}
    truth = 1 - (middle["more"] - middle["after"]) / (middle["more"] - middle["less"])
    held = 0
    for _ in range(200):
        cases = {n: Strata(tuple(rng.binomial(128, p) for p in rate), (128, 128)) for n, rate in rates.items()}
        part = verdicts.closed(cases, Pair("more", "less"), Pair("more", "after"))
        held += part.low <= truth <= part.high
    assert 180 <= held <= 199  # 190 +- 3 standard deviations of a binomial of .95


def test_an_interval_at_nothing_or_all_is_not_empty_and_narrows_with_runs():
    for solved in (0, 64):
        few, many = (verdicts.stratified(Strata((solved * n,) * 2, (64 * n,) * 2)) for n in (1, 8))
        assert 0 <= few.low < few.high <= 1
        assert many.high - many.low < few.high - few.low
    wide = verdicts.stratified(Strata((10, 20), (64, 64)), confidence=0.995)
    narrow = verdicts.stratified(Strata((10, 20), (64, 64)))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert verdicts.stratified(Strata((10, 0), (64, 0)), RIGHT).value == 10 / 64
    assert np.isnan(verdicts.stratified(Strata((10, 0), (64, 0)), EVEN).value)


# Planted worlds


def test_where_nothing_changes_anything_no_suspect_is_the_cause():
    assert judged() == dict.fromkeys(NUMBERS, "not the cause")


@pytest.mark.parametrize("name", [n for n in NUMBERS if n != "H2"])
def test_each_suspect_is_the_cause_contributes_or_is_not_in_the_world_where_it_does(name):
    others = {n: "not the cause" for n in NUMBERS if n != name}
    assert judged(**{name: HIGH}) == others | {name: "is the cause"}
    assert judged(**{name: LOW + 0.3 * (HIGH - LOW)}) == others | {name: "contributes"}
    assert judged(**{name: LOW / 4}) == others | {name: "not the cause"}  # reversed: the change makes it worse
    assert judged(runs=16, **{name: 0.35})[name] == "cannot tell"


def test_wrong_signs_are_the_cause_where_the_cells_are_alike_without_them():
    assert judged(srnn=0.6, lstm=0.3, right=(0.6, 0.6))["H2"] == "is the cause"
    assert judged(srnn=0.5, lstm=0.1, right=(0.9, 0.2))["H2"] == "not the cause"  # reversed: the gap is wider without
    assert judged(srnn=0.5, lstm=0.2, right=(0.5, 0.35))["H2"] in ("contributes", "cannot tell")


@pytest.mark.parametrize(("srnn", "lstm"), [(0.4, 0.4), (0.1, 0.6), (0.42, 0.4)])
def test_without_a_gap_or_with_one_of_the_other_sign_there_is_nothing_to_tell(srnn, lstm):
    found = found_out(world(srnn=srnn, lstm=lstm, H5=0.9, H10=0.0))
    assert {v.verdict for v in found} == {"cannot tell"}
    assert all(np.isnan(v.closed.value) for v in found)


def test_the_ten_intervals_are_those_of_bonferroni():
    cases = world(H10=0.3)
    ten = found_out(cases)[-1].closed
    one = verdicts.closed(cases, why.GAP, why.SUSPECTS[-1].after)
    assert ten.low < one.low < one.value == ten.value < one.high < ten.high


def test_every_suspect_says_what_is_removed_or_added_and_its_cases_are_trained():
    trained = {case for program in why.base() for case in program.cases() if program.length == why.AT}
    for suspect in why.SUSPECTS:
        assert suspect.change.startswith(("removed", "added"))
        assert {suspect.after.more, suspect.after.less} <= trained


def test_a_quick_look_trains_few_runs_of_every_case_that_verdicts_need_and_shares_programs():
    quick = why.quickly(why.base(), 16)
    cases = {case for program in quick for case in program.cases()}
    assert {case for suspect in why.SUSPECTS for case in suspect.after[:2]} <= cases
    assert set(why.GAP[:2]) <= cases
    assert not any(program.name.startswith("GRU") for program in quick)
    assert max(program.runs for program in quick) == 16
    assert all(program.length == why.AT for program in quick)
    alike = [(p.name, p.runs, p.epochs) for p in quick]
    assert len(set(alike)) == len(alike) < len([p for p in why.base() if p.length == why.AT])


def test_a_quick_look_is_judged_by_its_own_starts_and_says_nothing_of_what_it_left_out():
    cases = sorted({case for program in why.quickly(why.base(), 16) for case in program.cases()})
    dims, one = ("case", "length", "seed"), np.ones((len(cases), 1, 16))
    kept = np.array([0.7 if case.startswith("LSTM") else 1.0 for case in cases])[:, None, None] * one
    learned = np.array([case.startswith("SRNN") or "mu = 1" in case for case in cases])[:, None, None] * one
    found = {"accuracy": learned, "aligned": np.arange(16) % 2 * one, "decay": one, "multiplier": kept}
    runs = xarray.Dataset({name: (dims, each) for name, each in found.items()})
    runs = runs.assign_coords(case=np.array(cases, object), length=[why.AT], seed=np.arange(16))
    start = why.began(runs)
    np.testing.assert_allclose(start.multiplier.median("draw").sel(cell=["SRNN", "LSTM"]), [1, 0.7])
    text = why.sentence({"runs": runs, "start": start, "verdicts": why.table(runs, start)})
    assert "LSTM: one step keeps 0.70 (0.70 to 0.70) at the start" in text
    assert "H1 is the cause" in text
    assert "H5 not the cause" in text
    assert "GRU" not in text
    assert "models with weights" not in text


def test_the_answer_names_the_start_only_where_it_is_the_cause():
    start = xarray.Dataset(
        {"multiplier": (("cell", "draw"), np.array([[1.0], [0.7], [0.5]]))}, {"cell": list(why.CELLS)}
    )
    for rate, words in ((HIGH, "Because at the start"), (LOW, "not the cause")):
        cases = world(H1=rate)
        text = why.answer(cases, found_out(cases), start)
        assert words in text
        assert "0.70" in text
    assert str(verdicts.stratified(cases["SRNN, default"])) in why.answer(
        world(H1=HIGH), found_out(world(H1=HIGH)), start
    )


# Real runs of planted cells


def keeping(mu, rate, **more):
    """A start whose one step keeps ``mu``, learning with ``rate``."""
    return starts.Start(functools.partial(starts.by_sign, mu=mu), rate, **more)


#: Units that stand for an SRNN and for LSTMs: what one step keeps and the rate say how many learn in two short epochs.
UNITS = {
    "learns": keeping(1.0, 1e-2),
    "forgets": keeping(0.2, 1e-2),
    "forgets, other signs": keeping(0.2, 1e-2, initialise=keras3),
    "keeps more": keeping(0.8, 1e-3),
    "learns late": keeping(0.9, 1e-3),
    "forgets slowly": keeping(0.5, 1e-3),
    "minds its readout": keeping(1.0, 1e-3),
}
MANY = 256


@functools.cache
def trained(seed=0):
    """Whether each of `MANY` runs of every unit learned, by a base seed: the experiment's own code, short and cheap."""
    return why.train(why.Program("unit", SRNN(), UNITS, length=8, runs=MANY, epochs=2), count=800, seed=seed)


def real(lstm, srnn="learns", runs=MANY, **after):
    """Verdicts where ``srnn`` and ``lstm`` name the units that ran, and ``after`` the LSTM's of some hypotheses."""
    cases = why.counted(trained().isel(seed=slice(runs)), 8)
    unit = lambda name: cases[f"unit, {name}"]  # noqa: E731
    made = {"SRNN, default": unit(srnn), "LSTM, default": unit(lstm)}
    for suspect in why.SUSPECTS:
        made.setdefault(suspect.after.more, unit(srnn))
        made.setdefault(suspect.after.less, unit(after.get(suspect.name, lstm)))
    return {v.suspect.name: v.verdict for v in found_out(made)}


@pytest.mark.parametrize("name", [n for n in NUMBERS if n != "H2"])
@pytest.mark.slow
def test_units_built_so_that_a_suspect_is_or_is_not_the_cause_are_found_out(name):
    nothing = dict.fromkeys(NUMBERS, "not the cause")
    assert real("forgets", **{name: "learns"}) == nothing | {name: "is the cause"}
    assert real("forgets", **{name: "keeps more"}) == nothing | {name: "contributes"}
    assert real("forgets", **{name: "forgets, other signs"}) == nothing
    assert real("learns late", **{name: "forgets slowly"})[name] == "not the cause"  # reversed: the change harms
    assert real("forgets", runs=16, **{name: "keeps more"})[name] == "cannot tell"


@pytest.mark.slow
def test_units_that_differ_only_where_the_readout_is_wrong_are_found_out():
    assert real("minds its readout")["H2"] == "is the cause"
    assert real("forgets")["H2"] == "not the cause"


@pytest.mark.parametrize(("lstm", "srnn"), [("learns", "learns"), ("learns", "forgets")])
def test_units_without_a_gap_or_with_one_of_the_other_sign_leave_nothing_to_tell(lstm, srnn):
    assert set(real(lstm, srnn, H1="learns", H5="forgets").values()) == {"cannot tell"}


# Base seeds


def disagreements(solved):
    """How many pairs of base seeds find a share outside of each other's interval; ``solved`` (case, base seed, run)."""
    count, runs = solved.sum(-1), solved.shape[-1]
    low, high = wilson(np.arange(runs + 1), runs)
    outside = lambda a, b: (a / runs < low[b]) | (a / runs > high[b])  # noqa: E731
    return sum(
        (outside(count[:, i], count[:, j]) & outside(count[:, j], count[:, i])).sum()
        for i, j in ((0, 1), (0, 2), (1, 2))
    )


@pytest.mark.slow
def test_rates_of_three_base_seeds_disagree_beyond_their_intervals_no_more_often_than_chance():
    """Each case has runs of its own, so that cases are independent; chance is that of binomials with the pooled rates.

    The most that 999 of 1,000 experiments of independent runs show is allowed. Runs that share a start or data, seven
    to each, are found out: so were the 128 keys that every case once shared.
    """
    accuracy = np.stack([trained(seed).accuracy.isel(length=0).values for seed in (0, 1, 2)], 1)  # (case, base, run)
    each = MANY // len(UNITS)
    solved = np.stack([one[:, each * i : each * (i + 1)] for i, one in enumerate(accuracy > why.SOLVED)])
    pooled = solved.mean((1, 2))[:, None, None]
    chance = np.random.default_rng(0).random((1000, *solved.shape)) < pooled
    allowed = np.quantile([disagreements(world) for world in chance], 0.999)
    assert disagreements(solved) <= allowed
    assert disagreements(np.repeat(solved[..., : each // 7], 7, -1)) > allowed


# Runs and starts


@pytest.mark.parametrize("mu", [0.8, 1.0])
def test_every_route_gives_what_one_step_keeps_and_nothing_else_that_it_need_not(mu):
    for name, ways in why.routes(mu).items():
        for start in ways.values():
            default = starts.Start().model(why.CELLS[name], jax.random.key(5))
            made = start.model(why.CELLS[name], jax.random.key(5))
            assert abs(origin_multiplier(made.cell)) == pytest.approx(mu, abs=2e-3)
            assert made.readout.w.tolist() == default.readout.w.tolist()
    one = why.routes(1.0)["LSTM"]["mu = 1 by f"].model(HardLSTM(), jax.random.key(5)).cell
    assert abs(one.w_g) == abs(starts.Start().model(HardLSTM(), jax.random.key(5)).cell.w_g)


def test_a_start_is_that_of_begin():
    key = jax.random.key(1)
    ours, theirs = starts.Start().model(HardLSTM(), key), training.begin(HardLSTM(), key, keras2)
    assert jax.tree.all(jax.tree.map(lambda a, b: jnp.array_equal(a, b), ours, theirs))


def test_a_cell_with_fewer_gates_starts_with_what_one_step_of_the_lstm_keeps():
    key = jax.random.key(2)
    lstm = starts.Start().model(HardLSTM(), key)
    for cell in (HardLSTM(**why.OPEN), HardLSTM(coupled=True, **why.FREE, **why.OPEN)):
        fewer = starts.Start(initialise=starts.as_keras_lstm).model(cell, key)
        assert origin_multiplier(fewer.cell) == pytest.approx(float(origin_multiplier(lstm.cell)), rel=1e-5)


@pytest.mark.parametrize("target", [1.0, -1.0])
def test_the_scaled_loss_is_the_cross_entropy_at_one_and_its_blind_part_does_not_see_the_label(target):
    logits, target = jnp.array([0.3, -1.1]), jnp.asarray(target)
    plain = losses.softmax.loss(logits, target)
    assert losses.blind_scaled(1.0).loss(logits, target) == pytest.approx(float(plain), rel=1e-6)
    blind = lambda sign: losses.blind_scaled(1.0).loss(logits, sign) - losses.blind_scaled(0.0).loss(logits, sign)  # noqa: E731
    assert blind(1.0) == pytest.approx(float(blind(-1.0)), rel=1e-6)


def test_training_keeps_each_start_apart_and_tells_what_it_began_with(tmp_path):
    program = why.Program("LSTM", HardLSTM(), {"default": starts.Start(), **why.routes(1.0)["LSTM"]}, 3, 2)
    (ds,) = why.kept([program], tmp_path, 0, 160)
    assert list(ds.case.values) == program.cases()
    np.testing.assert_allclose(ds.multiplier.isel(case=slice(1, None)), 1, atol=2e-3)
    assert set(np.unique(ds.aligned)) <= {0.0, 1.0}
    assert np.isfinite(ds.accuracy).all()
    (again,) = why.kept([program], tmp_path, 0, 160)
    xarray.testing.assert_equal(ds, again)
    with pytest.raises(why.store.StoreError, match="seed"):
        why.kept([program], tmp_path, 1, 160)


def test_evidence_that_does_not_exist_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match=r"no evidence 'luck'; choose from law, routes"):
        why.run(evidence=("luck",))


def test_runs_of_one_case_at_different_lengths_stand_side_by_side():
    def one(length, value):
        ds = xarray.Dataset({"accuracy": (("case", "length", "seed"), np.full((1, 1, 2), value))})
        return ds.assign_coords(case=np.array(["SRNN, default"], object), length=[length], seed=[0, 1])

    made = why.combined([one(5, 0.5), one(50, 1.0)])
    np.testing.assert_array_equal(made.accuracy.sel(case="SRNN, default"), [[0.5, 0.5], [1, 1]])


@pytest.mark.slow
def test_default_starts_have_the_multipliers_of_keras_and_the_blind_part_pushes_as_known():
    start = before(why.CELLS, draws=40, pairs=16, length=40)
    mu = start.multiplier
    np.testing.assert_allclose(np.abs(mu.sel(cell="SRNN")), 1, rtol=1e-6)  # weights are drawn in float32
    assert np.abs(mu.sel(cell="LSTM") - 0.7).max() <= 0.25 + 1e-6  # f + i o w_g, |w_g| <= 1
    assert np.abs(mu.sel(cell="GRU") - 0.5).max() <= 0.25 + 1e-6
    assert start.signal.dtype == np.float64
    for name in start.push.values:
        assert ((start.push_blind.sel(push=name) > 0) == name.endswith("b_z")).sum() >= 38


def test_the_signal_part_is_that_of_the_package():
    with jax.enable_x64(True):
        key = jax.random.key(3)
        found = at_start(SRNN(), key, 4, 5)
        first, rest = jax.random.split(key)
        model = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), training.begin(SRNN(), first, keras2))
        noise = jax.vmap(lambda k: gaussian(k, 5, why.NOISE))(jax.random.split(rest, 4))
        x = jnp.concatenate([noise.at[:, 0].add(1.0), noise.at[:, 0].add(-1.0)])
        target = jnp.concatenate([jnp.ones(4), -jnp.ones(4)])
        signal, blind = training.signal_and_blind(model, Episode(x=x, target=target))
        size = jnp.linalg.norm(jnp.stack(jax.tree.leaves(signal.cell)))
        np.testing.assert_allclose(found["slope"][-1], size, rtol=1e-12)
        np.testing.assert_allclose(found["w"], -blind.cell.w * jnp.sign(model.cell.w), rtol=1e-12)


def test_noise_sets_the_pace_of_forgetting_where_the_weight_does_not():
    one = decay(np.array([1.0, -1.0]), np.array([1.0, -1.0]), 0.1)
    np.testing.assert_allclose(one, -np.log(0.945164002842), rtol=2e-2)  # interpolated between computed strengths
    assert decay(np.array([0.5]), None, 0.1)[0] == pytest.approx(np.log(2))


def test_the_horizon_is_where_runs_cease_to_learn():
    x = np.linspace(0, 10, 101)
    assert why.horizon(x, x < 6.01).value == pytest.approx(6.05)
    low, high = why.horizon(x, x < 6.01)[1:]
    assert 5.5 < low <= high < 6.6
    assert why.horizon(x, x < 3.01).value == pytest.approx(3.05)


def test_runs_of_the_same_x_are_all_on_one_side_of_the_horizon():
    x = np.repeat([1.0, 2.0, 3.0], 10)
    solved = np.concatenate([np.arange(10) < each for each in (10, 6, 1)])
    assert why.horizon(x, solved).value == 2.5
    assert why.horizon(x, np.concatenate([np.arange(10) < each for each in (10, 4, 1)])).value == 1.5

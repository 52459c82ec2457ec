"""Laws of the sequences, the cell and the criteria of Hochreiter & Schmidhuber (1997)."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
import xarray

from landscape import cells, initialisers, losses, names, success, tasks, training
from landscape.models import RNN, Dense, Truncated, run
from landscape.tasks import long_lags

ROOT = names.shipped("experiments").parent
lags, drawing = (names.module(str(ROOT / f"{folder}/long_lags_1997.py")) for folder in ("experiments", "figures"))
COUNT = 400
TASKS = {
    "regular": (tasks.lag_1997(9), 9),
    "random": (tasks.lag_1997(9, regular=False), 9),
    "trigger": (tasks.trigger_1997(4, 6), 60),
    "beginning": (tasks.beginning_1997(3, shown=0.2), 22),
    "blurred": (tasks.beginning_1997(1, blur=0.1), 22),
    "multiplication": (tasks.multiplication_1997(), 22),
    "order": (tasks.order_1997(3), 66),
}


@functools.cache
def drawn(name):
    """Episodes of a task as NumPy arrays."""
    task, length = TASKS[name]
    return jax.tree.map(np.asarray, jax.jit(lambda: tasks.episodes(task, jax.random.key(1), COUNT, length, length))())


def ends(one):
    """The last step of each episode, the only one that is asked."""
    assert np.all(one.mask.sum(1) == 1)
    return one.mask.argmax(1)


def mean(values, expected):
    """Whether the mean of independent values is what it should be, to five standard errors."""
    return abs(np.mean(values) - expected) < 5 * np.std(values) / math.sqrt(len(values))


def test_a_lag_is_framed_by_the_symbol_that_must_be_remembered():
    for name in ("regular", "random"):
        one = drawn(name)
        text = np.column_stack([one.x, one.target[:, -1]])
        np.testing.assert_array_equal(text[:, 1:], one.target)
        np.testing.assert_array_equal(text[:, 0], 8 + np.arange(COUNT) % 2)
        np.testing.assert_array_equal(text[:, 0], text[:, -1])
        middle = text[:, 1:-1]
        if name == "regular":
            np.testing.assert_array_equal(middle, np.tile(np.arange(8), (COUNT, 1)))
        else:
            assert all(mean(middle == symbol, 1 / 8) for symbol in range(8))


@pytest.mark.parametrize("name", ["regular", "random"])
def test_losses_of_a_lag_are_those_of_its_law_counted(name):
    task, p = TASKS[name][0], 9
    symbols = drawn(name).target
    law = np.bincount(symbols.ravel(), minlength=p + 1) / symbols.size
    entropy = -np.sum(law[law > 0] * np.log(law[law > 0]))
    assert entropy == pytest.approx(task.chance, abs=0.02)  # of 3,600 symbols, for a regular lag exactly
    known = 0 if name == "regular" else (p - 1) * math.log(p - 1)
    assert task.floor == pytest.approx(known / p, rel=1e-12)
    assert task.memoryless == pytest.approx((known + math.log(2)) / p, rel=1e-12)


def test_a_trigger_ends_what_began_with_x_or_y():
    one, p, q = drawn("trigger"), 4, 6
    last, rows = ends(one), np.arange(COUNT)
    assert np.all(one.x[:, 0] == p + 1)
    np.testing.assert_array_equal(one.x[:, 1], p + 2 + one.target[rows, last])
    np.testing.assert_array_equal(one.target[rows, last], rows % 2)
    for x, end in zip(one.x, last, strict=True):
        assert np.all(x[2:end] < p)
        assert np.all(x[end:] == p)
    assert last.min() == q + 2
    assert mean(np.minimum(last, 40) == q + 2, 0.1 / (1 - 0.9**52))  # one in ten has no further distractor
    assert mean(last - q - 2, np.average(np.arange(52), weights=0.9 ** np.arange(52)))
    assert all(mean(one.x[:, 2 + k] == symbol, 1 / p) for k in (0, q - 1) for symbol in range(p))


def test_a_beginning_is_asked_at_the_end_and_noise_has_its_variance():
    one = drawn("beginning")
    last, rows = ends(one), np.arange(COUNT)
    assert set(last) == {19, 20, 21}
    np.testing.assert_array_equal(one.target[rows, last], 1 - rows % 2)
    signs = np.where(rows % 2, -1.0, 1.0)
    assert mean((one.x[:, :3].mean(1) - signs) ** 2, 0.2 / 3)
    assert mean((one.x[:, 3:20] ** 2).mean(1), 0.2)
    clear = drawn("blurred")
    np.testing.assert_array_equal(clear.x[:, 0], signs)
    goal = clear.target[rows, ends(clear)]
    assert mean(goal[::2], 0.8)
    assert mean((goal - 0.5 - 0.3 * signs) ** 2, 0.1)


@pytest.mark.parametrize("evidence", [1, 3])
def test_the_floor_of_noisy_evidence_is_that_of_a_bayesian(evidence):
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], 200_000)
    total = evidence * signs + rng.normal(0, math.sqrt(0.2 * evidence), signs.size)
    error = (1 / (1 + np.exp(-2 * total / 0.2)) - (signs > 0)) ** 2
    assert mean(error, tasks.beginning_1997(evidence, shown=0.2).floor)
    assert long_lags.doubt(evidence, 0.0) == 0
    assert tasks.beginning_1997(evidence, blur=0.1).floor == pytest.approx(0.1)


def test_products_of_1997_are_those_of_the_marked_values():
    one = drawn("multiplication")
    last, rows = ends(one), np.arange(COUNT)
    value, mark = one.x[..., 0], one.x[..., 1]
    pairs = value[mark == 1].reshape(COUNT, 2)
    np.testing.assert_allclose(one.target[rows, last], pairs.prod(1), rtol=1e-6)
    assert (value.min(), value.max() < 1) == (0, True)
    task = TASKS["multiplication"][0]
    assert mean((pairs.prod(1) - 1 / 4) ** 2, task.chance)
    assert mean((pairs.prod(1) - pairs[:, 1] / 2) ** 2, task.memoryless)


def test_three_marks_stand_in_their_windows_and_make_eight_classes():
    one = drawn("order")
    last, rows = ends(one), np.arange(COUNT)
    marked = one.x < 2
    assert np.all(marked.sum(1) == 3)
    first, second, third = one.x[marked].reshape(COUNT, 3).T
    np.testing.assert_array_equal(4 * first + 2 * second + third, one.target[rows, last])
    assert np.unique(one.target[rows, last], return_counts=True)[1].tolist() == [COUNT // 8] * 8
    where = np.nonzero(marked)[1].reshape(COUNT, 3)
    assert (where.min(0).tolist(), where.max(0).tolist()) == ([6, 20, 40], [11, 25, 45])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tasks.lag_1997(1), "symbols must be 2 or more; given 1"),
        (lambda: tasks.trigger_1997(0), "1 distractor or more, and a delay of 0 or more; given 0, 50"),
        (lambda: tasks.beginning_1997(shown=-1.0), "shown must be a finite number, at least 0"),
        (lambda: tasks.order_1997(4), "marks must be 2 .* or 3 .*; given 4"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def numbers(tree):
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def layer(size, units, inputs, key=0):
    """A layer of blocks, weights of order one half."""
    draw = initialisers.gaussian(0.5)
    return draw(cells.MemoryBlocks(size=size), jax.random.key(key), units, inputs)


def states(cell, x):
    """The last state after inputs (time, input)."""
    return jax.lax.scan(lambda s, x: (cell.step(s, x), None), cell.initial(), x)[0]


X = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)


def test_deaf_blocks_of_one_are_the_cell_of_1997():
    made = layer(1, 3, 2)
    deaf = dataclasses.replace(made, **{f"r_{a}{b}": None for a in "io" for b in "gio"})
    shared = {f"{kind}_{gate}": getattr(made, f"{kind}_{gate}") for kind in "wub" for gate in "igo"}
    both = [states(cell, X) for cell in (deaf, cells.LSTM1997(**shared))]
    np.testing.assert_allclose(both[0].h, both[1].h, rtol=1e-6)
    assert not np.allclose(states(made, X).h, both[0].h, rtol=1e-3)


def test_blocks_share_their_gates():
    shared = layer(2, 4, 2)
    apart = {"size": 1}  # the same with a gate of its own for every unit, whose weights are its block's
    for gate in "io":
        for kind in "wu":
            apart[f"{kind}_{gate}"] = jnp.repeat(getattr(shared, f"{kind}_{gate}"), 2, 1)
        apart[f"b_{gate}"] = jnp.repeat(getattr(shared, f"b_{gate}"), 2)
        for to in "gio":  # two gates that are one are heard by halves
            halves = jnp.repeat(getattr(shared, f"r_{gate}{to}"), 2, 0) / 2
            apart[f"r_{gate}{to}"] = halves if to == "g" else jnp.repeat(halves, 2, 1)
    one, other = (states(cell, X) for cell in (shared, dataclasses.replace(shared, **apart)))
    np.testing.assert_allclose(one.c, other.c, rtol=1e-5)
    np.testing.assert_allclose(jnp.repeat(one.gates[0], 2), other.gates[0], rtol=1e-5)


@pytest.mark.parametrize("start", [initialisers.keras3, initialisers.pytorch, initialisers.gaussian(0.1)])
def test_a_block_has_one_gate_of_each_kind_wherever_it_starts(start):
    made = jax.eval_shape(lambda key: start(cells.MemoryBlocks(size=2), key, 4, 3), jax.random.key(0))
    assert (made.w_g.shape, made.w_i.shape, made.r_io.shape, made.r_og.shape) == ((4, 4), (4, 2), (2, 2), (2, 4))
    assert (made.u_g.shape, made.u_o.shape, made.b_g.shape, made.b_o.shape) == ((3, 4), (3, 2), (4,), (2,))


def test_blocks_that_do_not_fill_a_layer_are_refused():
    with pytest.raises(ValueError, match="blocks of 2 units make no layer of 3; give units, a multiple of 2"):
        layer(2, 3, 2)


def test_along_c_a_truncated_error_never_decays():
    cell = Truncated(cell=layer(2, 4, 2))

    def after(c):
        begun = cell.initial()._replace(c=c)
        return jax.lax.scan(lambda s, x: (cell.step(s, x), None), begun, X)[0].c

    np.testing.assert_array_equal(jax.jacobian(after)(jnp.full(4, 0.3)), np.eye(4))


def appendix(p, v, x, target):
    """The gradient of appendix A.1 in NumPy: ``E = (v h - target)² / 2`` at the end, traces of c carried forward."""
    s = oracles.s
    blocks, units = len(p["b_i"]), len(p["b_g"])
    share = units // blocks
    h, c, i, o = (np.zeros(n) for n in (units, units, blocks, blocks))
    trace = {"g": np.zeros((units, 1)), "i": np.zeros((units, 1))}
    for now in x:
        seen = np.concatenate([h, i, o, now, [1]])
        kinds = lambda k: np.concatenate([p[f"w_{k}"], p[f"r_i{k}"], p[f"r_o{k}"], p[f"u_{k}"], p[f"b_{k}"][None]])  # noqa: E731
        a = {k: seen @ kinds(k) for k in "gio"}
        i, o, g = s(a["i"]), s(a["o"]), 4 * s(a["g"]) - 2
        wide = np.repeat(i, share)
        trace["g"] = trace["g"] + np.outer(wide * 4 * s(a["g"]) * s(-a["g"]), seen)
        trace["i"] = trace["i"] + np.outer(g * np.repeat(i * (1 - i), share), seen)
        c = c + wide * g
        h = np.repeat(o, share) * (2 * s(c) - 1)
    error = (h @ v - target) * v
    along = error * np.repeat(o, share) * 2 * s(c) * s(-c)
    gate = error * (2 * s(c) - 1) * np.repeat(o * (1 - o), share)
    sums = lambda rows: rows.reshape(blocks, share, -1).sum(1)  # noqa: E731
    return {"g": along[:, None] * trace["g"], "i": sums(along[:, None] * trace["i"]), "o": sums(np.outer(gate, seen))}


def test_the_truncated_gradient_of_blocks_is_that_of_the_appendix():
    cell, v = layer(2, 4, 2), np.array([1.0, -0.5, 0.7, 0.2], np.float32)

    def error(cell):
        model = RNN(cell=Truncated(cell=cell), readout=Dense(w=jnp.asarray(v), b=0.0))
        return (run(model, X)[-1] - 0.3) ** 2 / 2

    slope = jax.jit(jax.grad(error))(cell)
    p = {
        name: np.asarray(getattr(cell, name), float)
        for name in cells.MemoryBlocks.__dataclass_fields__
        if name != "size"
    }
    want = appendix(p, v, X, 0.3)
    for k in "gio":
        got = np.concatenate(
            [*(getattr(slope, n) for n in (f"w_{k}", f"r_i{k}", f"r_o{k}", f"u_{k}")), getattr(slope, f"b_{k}")[None]]
        )
        np.testing.assert_allclose(got.T, want[k], rtol=2e-4, atol=1e-7)  # float32, six steps


def test_fit_of_batch_one_is_one_update_a_sequence():
    rng = np.random.default_rng(0)
    data = tasks.Episode(x=rng.normal(size=(5, 4)).astype(np.float32), target=rng.normal(size=5).astype(np.float32))
    one = RNN(cell=cells.LSTM1997(), readout=Dense(w=1.0, b=0.0))
    fit = training.fit(jax.random.key(0), one, data, optax.sgd(0.5), losses.raw, validation=data, epochs=1, batch=1,
                       watch=lambda state: state.model.cell.w_g)  # fmt: skip
    assert fit.watched.shape == (1, 5)
    assert len(np.unique(fit.watched)) == 5


@pytest.mark.parametrize("name", lags.PROBLEMS)
def test_nets_have_as_many_weights_as_the_source_counts(name):
    one = lags.Case(name).problem
    made = jax.eval_shape(lambda key: lags.begin(one, key), jax.random.key(0))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(made)) == one.weights
    assert one.weights == {"1": 264, "1b": 276, "2c": 364, "4": 93, "5": 93, "6a": 156, "6b": 308}.get(
        name, 102 if name[0] == "3" else 10504
    )


def test_ablated_nets_lack_what_they_are_said_to_lack():
    assert lags.Case("1", hears=False, biased=True).problem.weights == 179  # the layer of LSTM1997 with its readout
    for case in lags.ABLATED:
        made = jax.eval_shape(lambda key, case=case: lags.begin(case.problem, key, case.truncated), jax.random.key(0))
        assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(made)) == case.problem.weights
        assert isinstance(made.cell, Truncated) == case.truncated
        assert (made.cell.cell.r_ig is not None) == case.hears
        assert (made.cell.cell.b_g is not None) == case.biased


def test_the_most_recent_sequences_must_all_be_right_and_well_right():
    right, loss = np.ones(2600), np.full(2600, 0.001)
    right[300] = 0
    assert lags.recent(right, loss, 0.01) == 2301
    assert np.isnan(lags.recent(right[:2300], loss[:2300], 0.01))
    assert lags.recent(right, loss, 0.01, spared=1) == 2000
    assert np.isnan(lags.recent(right, loss, 0.0005))
    assert np.isnan(lags.recent(right[:100], loss[:100], 0.01))


def test_all_symbols_that_may_follow_must_be_the_most_active():
    legal = jnp.array([True, False, True, False, False, False, False])
    y = jnp.array([2.0, 0.5, 1.0, 0, 0, 0, 0])
    assert lags.REBER.correct(y, {"legal": legal})
    assert not lags.REBER.correct(y.at[1].set(1.5), {"legal": legal})
    assert lags.near(0.3, 7).correct(30 * jnp.where(jnp.arange(7) == 2, 1.0, -1.0), 2)
    assert not lags.near(0.3, 7).correct(jnp.zeros(7), 2)


def world(pace=1.0, odds=1.0, guessed=0, cured=None, patience=2.0):
    """Invented runs: the share ``odds`` of eight get there, after so many times what is printed; Reber by its arms."""
    rng = np.random.default_rng(0)
    cases = [*lags.ABLATED, lags.Case("4")]
    rows = []
    for case in cases:
        part = odds if case.name == "4" else float(cured is not None and cured(case))
        found = case.problem.printed * pace * rng.uniform(0.9, 1.1, 8)
        rows.append(np.where(np.arange(8) < round(8 * part), found, np.nan))
    fields = {field: [getattr(case, field) for case in cases] for field in ("hears", "biased", "truncated")}
    fields |= {"experiment": [case.name for case in cases], "printed": [case.problem.printed for case in cases]}
    made = {"sequences": (("case", "seed"), np.stack(rows)), "guessed": ("case", np.full(len(cases), guessed))}
    made |= {name: ("case", np.asarray(values)) for name, values in fields.items()}
    made["right"] = made["sequences"][0], np.full((len(cases), 8), 0.5)
    about = {"seeds": 8, "patience": patience, "guesses": 4096, "judged": 64}
    return lags.judged(xarray.Dataset(made, {"case": [str(case) for case in cases]}, about))


def verdicts(ds, about):
    """The verdict of each claim that begins so."""
    rows = zip(ds.claim.values, ds.verdict.values, strict=True)
    return [str(word) for claim, word in rows if str(claim).startswith(about)]


@pytest.mark.parametrize(
    ("options", "solved", "paced", "beaten"),
    [
        ({}, "HELD", "HELD", "OPEN"),
        ({"pace": 0.2}, "HELD", "REFUTED", "OPEN"),
        ({"pace": 0.005}, "HELD", "REFUTED", "HELD"),
        ({"guessed": 2000}, "HELD", "HELD", "REFUTED"),
        ({"odds": 0.0}, "REFUTED", "REFUTED", "OPEN"),
        ({"odds": 0.0, "patience": 1.0}, "REFUTED", "OPEN", "OPEN"),
        ({"odds": 0.5}, "OPEN", "OPEN", "OPEN"),
        ({"odds": 0.5, "guessed": 2000}, "OPEN", "OPEN", "REFUTED"),
    ],
)
def test_verdicts_on_an_experiment_follow_its_runs(options, solved, paced, beaten):
    assert verdicts(world(**options), "4: ") == [getattr(lags, word) for word in (solved, paced, beaten)]


@pytest.mark.parametrize(
    ("cured", "words"),
    [
        (lambda case: case.hears, ["HELD", "REFUTED", "REFUTED"]),
        (lambda case: case.biased, ["REFUTED", "HELD", "REFUTED"]),
        (lambda case: not case.truncated, ["REFUTED", "REFUTED", "HELD"]),
        (lambda case: case.truncated and case.hears and case.biased, ["PART", "PART", "REFUTED"]),
    ],
)
def test_who_is_at_fault_on_reber_follows_the_ablation(cured, words):
    found = world(cured=cured)
    got = [verdicts(found, f"1: at fault: {name}")[0] for name in lags.SUSPECTS]
    assert got == [getattr(lags, word) for word in words]


def test_the_interval_of_a_difference_is_newcombes():
    found = success.difference((56, 70), (48, 80))  # the first example of his table II, method 10
    np.testing.assert_allclose(found, (0.2, 0.0524, 0.3339), atol=5e-5)
    assert success.difference((0, 10), (0, 20)).value == 0


def test_no_suspect_is_named_without_the_ablation():
    few = lags.judged(world().drop_dims("claim").isel(case=[0, 8]))
    assert not [claim for claim in few.claim.values if "fault" in str(claim)]


def test_the_figure_says_what_did_not_succeed():
    ds = world(odds=0.0)
    assert drawing.title(ds) == "Within 2 times the printed sequences most runs learn none and fail on 1, 4"
    mended = drawing.title(world(cured=lambda case: not case.truncated))
    assert mended.endswith("most runs learn 4 and fail on 1; on 1 at fault, at least in part: the truncated gradient")
    drawing.page(ds).draw_without_rendering()
    assert "4: 0 of 8 solved; right at last 0.500 to 0.500; printed 74,000" in lags.sentence(ds)


def test_a_noisy_target_is_judged_by_the_side_that_it_stands_for():
    one = lags.PROBLEMS["3c"]
    assert one.tested.floor == 0
    assert bool(one.objective.correct(jnp.float32(1.3), 1.0))
    assert not one.objective.correct(jnp.float32(-1.3), 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", lags.PROBLEMS)
def test_every_experiment_takes_its_updates(name):
    """Shapes alone: nothing is compiled."""
    case = lags.Case(name)
    one, keys = case.problem, jax.random.split(jax.random.key(0), 2)
    step, go = lags.chunk(one, lags.TESTED, case.route)
    begun = jax.eval_shape(jax.vmap(lambda key: step.init(lags.begin(one, key))), keys)
    test = jax.eval_shape(jax.vmap(lambda key: lags.draw(one, key, lags.TESTED)), keys)
    if one.task.name == "reber":
        rows = jax.ShapeDtypeStruct((*test.x.shape, 7), bool)
        test = dataclasses.replace(test, target={"next": test.target, "legal": rows, "steps": test.mask})
    train = test if one.task.name == "reber" else ()
    _, scores, _ = jax.eval_shape(go, keys, jnp.int32(0), begun, train, test)
    assert scores.loss.shape == (2, lags.TESTED)


@pytest.mark.slow
def test_a_quick_run_tells_what_it_saw():
    ds = lags.run(quick=True)
    assert dict(ds.sizes) == {"case": 2, "seed": 2, "claim": 6}
    assert np.isfinite(ds.right).all()


def test_an_experiment_that_the_source_lacks_is_refused():
    with pytest.raises(ValueError, match="7x"):
        lags.run(experiments=("7x",))


@pytest.mark.parametrize("absent", [(), ("w_g", "w_o", "u_o", "b_o", "b_g", *lags.HEARING)])
def test_the_carousel_is_the_truncated_gradient_without_a_way_back(absent):
    cell = dataclasses.replace(layer(2, 4, 2), **dict.fromkeys(absent))
    model = RNN(cell=Truncated(cell=cell), readout=Dense(w=jnp.array([1.0, -0.5, 0.7, 0.2]), b=jnp.float32(0.1)))
    x = np.random.default_rng(1).normal(size=(9, 3, 2)).astype(np.float32)
    mask = jnp.asarray(np.tile([0, 0, 1, 0, 0, 1, 2, 0, 0], (3, 1)).T, jnp.float32)
    data = tasks.Episode(x=jnp.asarray(x), target=jnp.asarray(x[..., 0]), mask=mask)
    routes = [route(losses.raw) for route in (training.carousel, training.reverse)]
    both = [jax.jit(route.gradient)(model, data, jnp.arange(2), jnp.int32(8)) for route in routes]
    assert jax.tree.structure(both[0]) == jax.tree.structure(both[1])
    for one, other in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)  # float32, sums in another order
    scores = [jax.jit(route.evaluate)(model, data, jnp.arange(3), jnp.int32(8)) for route in routes]
    np.testing.assert_allclose(scores[0].loss, scores[1].loss, rtol=1e-6)


def test_the_carousel_reads_symbols_and_single_numbers():
    for inputs, x in ((3, np.array([[0], [2], [1], [2]])), (None, X[:4, :1])):
        model = RNN(cell=Truncated(cell=layer(1, 2, inputs)), readout=Dense(w=jnp.ones(2), b=jnp.float32(0)))
        target = jnp.ones((4, 1))
        data = tasks.Episode(x=jnp.asarray(x), target=target, mask=jnp.asarray([[0.0], [0], [1], [1]]))
        both = [
            jax.jit(route(losses.raw).gradient)(model, data, jnp.arange(1), jnp.int32(4))[1].cell.cell.u_g
            for route in (training.carousel, training.reverse)
        ]
        np.testing.assert_allclose(*both, rtol=2e-5, atol=1e-7)


def test_the_carousel_refuses_what_decays():
    data = tasks.Episode(x=jnp.zeros((2, 1)), target=jnp.zeros((2, 1)), mask=jnp.ones((2, 1)))
    go = training.carousel(losses.raw).gradient
    with pytest.raises(TypeError, match="given Truncated of LSTM: use training"):
        go(RNN(cell=Truncated(cell=cells.LSTM())), data, jnp.arange(1), 2)
    kind = RNN(cell=Truncated(cell=cells.MemoryBlocks()))
    with pytest.raises(TypeError, match="episodes with a mask"):
        go(kind, dataclasses.replace(data, mask=None), jnp.arange(1), 2)
    with pytest.raises(ValueError, match="begins with all states at 0; given start"):
        training.carousel(losses.raw, 0.5)

"""The figures on why an LSTM unit keeps a bit worse hold the arrays that they claim; the arrows are the gradient."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from matplotlib.quiver import Quiver
from matplotlib.text import Text

from landscape import names
from landscape.dynamics import origin_multiplier
from landscape.models import RNN
from landscape.models import run as answers
from landscape.plots import starts
from landscape.success import Share, share, wilson
from landscape.tasks import episodes, latch
from landscape.training import begin, fit, keras_adam

ROOT = Path(__file__).parents[1]
tug = names.module(str(ROOT / "experiments/tug_of_war.py"))
why = names.module(str(ROOT / "experiments/why_lstm_latches_worse.py"))
survival, law, interventions, war, answer = (
    names.module(str(ROOT / f"figures/{name}.py"))
    for name in ("signal_survival", "law_of_success", "interventions", "tug_of_war", "why_lstm_latches_worse")
)
CELLS = ("SRNN", "LSTM", "GRU")
SEEDS, LENGTHS = 40, (5, 10, 20, 50, 100)


@pytest.fixture(scope="module")
def runs():
    """Runs of which the aligned ones learn up to x = 6, the others up to x = 2; x is T times a number from the seed."""
    cases = [*interventions.STARTS, "GRU, rate .3"]
    shape = (len(cases), len(LENGTHS), SEEDS)
    pace = {"SRNN": 0.03, "LSTM": 0.3, "GRU": 0.7}
    scale = np.array([pace[case[: case.index(",")]] for case in cases])
    decay = np.broadcast_to(scale[:, None, None] * np.linspace(0.3, 1.7, SEEDS), shape)
    aligned = np.broadcast_to(np.arange(SEEDS) % 2, shape)
    x = np.array(LENGTHS)[:, None] * decay
    accuracy = np.where(x < np.where(aligned, 6, 2), 1.0, 0.5)
    accuracy[cases.index("LSTM, chrono")] = 1.0
    dims = ("case", "length", "seed")
    found = {"accuracy": accuracy, "aligned": aligned.astype(float), "decay": decay, "multiplier": -np.exp(-decay)}
    coordinates = {"case": np.array(cases, object), "length": list(LENGTHS), "seed": np.arange(SEEDS)}
    return xarray.Dataset({n: (dims, v) for n, v in found.items()}, coordinates, {"count": 10_000, "seeds": SEEDS})


@pytest.fixture(scope="module")
def start():
    """Starts whose signal and ratio fall as the exponential of the length, a hundred to a cell."""
    length = np.arange(1, 101)
    pace = np.array([0.02, 0.3, 0.7])[:, None, None] * np.linspace(0.5, 1.5, 100)[:, None]
    signal = np.exp(-pace * length)
    found = {"signal": signal, "ratio": 3 * signal}
    ds = xarray.Dataset({n: (("cell", "draw", "length"), v) for n, v in found.items()})
    return ds.assign_coords(cell=np.array(CELLS, object), length=length)


@pytest.fixture(scope="module")
def verdicts():
    return xarray.Dataset(
        {"horizon": (("cell", "end"), np.tile([6.0, 5.5, 6.5], (3, 1)))}, {"cell": np.array(CELLS, object)}
    )


@pytest.fixture(scope="module")
def pulled():
    """The arrows of the tug of war on a small grid, at 32 default starts too."""
    both = zip(*(tug.pulled(cell, 20, 5, 4, 16, 32) for cell in tug.VIEWS), strict=True)
    field, start = (tug.joined(cells).assign_attrs(length=20, count=80, epochs=2) for cells in both)
    return {"field": field, "start": start}


@pytest.fixture(scope="module")
def paths():
    """Paths that begin and end at different places; one of each two learns, but LSTM never at the second rate."""
    place = np.random.default_rng(0).uniform(0.2, 0.8, (2, 2, 4, 6, 2))
    accuracy = np.array([[[1, 0.5, 1, 0.5], [0.5] * 4], [[0.5] * 4, [1, 0.5, 1, 1]]])
    found = {"place": (("cell", "rate", "run", "step", "axis"), place), "accuracy": (("cell", "rate", "run"), accuracy)}
    labels = {"cell": np.array(list(tug.VIEWS), object), "rate": list(tug.RATES), "step": np.arange(6)}
    return xarray.Dataset(found, labels)


def lines(ax):
    """The numbers of the lines of a panel, those of no colour of their own left out."""
    return [np.asarray(line.get_ydata(), float) for line in ax.lines]


def drawn(ax, expected):
    """Whether one of the lines of a panel is this one."""
    return any(len(y) == len(expected) and np.allclose(y, expected, rtol=1e-6) for y in lines(ax))


def test_the_floor_is_what_the_mean_of_all_minibatches_can_tell(runs):
    assert survival.floor(runs) == pytest.approx(1 / np.sqrt(5 * 8000 / 16))
    assert survival.floor(runs.assign_attrs(count=1000)) == pytest.approx(survival.floor(runs) * np.sqrt(10))


def test_the_figure_of_the_signal_draws_medians_the_floor_and_the_share_of_starts_above_it(runs, start):
    state, ratio, success = survival.figure(start, runs).axes
    for cell in CELLS:
        one = start.sel(cell=cell)
        assert drawn(state, np.median(one.signal, axis=0))
        assert drawn(ratio, np.median(one.ratio, axis=0))
        assert drawn(success, (one.ratio > 0.02).mean("draw"))
        learned = (runs.accuracy.sel(case=f"{cell}, default") > 0.95).mean("seed")
        assert drawn(success, learned)
    assert drawn(ratio, [0.02, 0.02])


def test_the_sentence_on_the_signal_counts_starts_and_runs(runs, start):
    text = survival.sentence(start, runs, at=20)
    above = [f"{np.mean(start.ratio.sel(cell=c, length=20).values > 0.02):.0%} of {c}" for c in CELLS]
    assert ", ".join(above) in text
    assert len({share.split("%")[0] for share in above}) > 1


def test_a_step_that_was_planted_is_found_and_tells_all_runs_right(runs):
    x, length, solved = law.pooled(runs, aligned=True)
    assert len(x) == 3 * len(LENGTHS) * SEEDS / 2
    cut, told = law.right(x, solved)
    assert cut.value == pytest.approx(6, abs=0.2)
    assert told == 1
    assert law.right(length, solved)[1] < 0.9
    verdicts = xarray.Dataset({"horizon": (("cell", "end"), np.tile([6.0, 5.5, 6.5], (3, 1)))}, {"cell": list(CELLS)})
    assert "tell 100% of these 300 runs" in law.sentence(runs, verdicts)
    assert "SRNN 6.00 (5.50 to 6.50), LSTM" in law.sentence(runs, verdicts)


@pytest.mark.parametrize(("aligned", "step"), [(True, 6), (False, 2)])
def test_bins_hold_every_run_once_and_the_last_one_all_beyond(runs, aligned, step):
    edges = (0, 2, 6, 9)
    for cell in CELLS:
        one = runs.sel(case=f"{cell}, default")
        x = (one.length * one.decay).transpose("length", "seed").values[:, one.aligned.values[0] == aligned]
        tried = np.array([np.sum((x >= low) & (x < high)) for low, high in ((0, 2), (2, 6), (6, np.inf))])
        middle, p, error = starts.binned(runs, cell, aligned, edges, least=1)
        np.testing.assert_array_equal(middle, np.array([1, 4, 7.5])[tried > 0])
        np.testing.assert_array_equal(p, (np.array([2, 6, 9]) <= step)[tried > 0])
        low, high = wilson((p * tried[tried > 0]).round(), tried[tried > 0])
        np.testing.assert_allclose([p - error[0], p + error[1]], [low, high], atol=1e-12)
    assert len(starts.binned(runs, "SRNN", aligned, edges, least=10**6)[0]) == 0


def test_the_law_draws_both_readouts_apart_and_the_horizon_of_each_cell(runs, verdicts):
    length, good, wrong = law.figure(runs, verdicts).axes
    for panel, aligned in ((good, True), (wrong, False)):
        for cell in CELLS:
            assert drawn(panel, starts.binned(runs, cell, aligned, law.EDGES)[1])
    bars = [line.get_xdata() for line in good.lines if np.ptp(line.get_ydata()) == 0 and np.min(line.get_ydata()) > 1]
    assert [list(bar) for bar in bars if len(bar) == 2] == [[5.5, 6.5]] * 3
    one = runs.sel(case="LSTM, default")
    assert drawn(length, (one.accuracy > 0.95).where(one.aligned == 1).mean("seed"))


def test_interventions_draw_a_dot_for_each_start_and_length_and_the_multiplier_it_has(runs):
    start, success = interventions.figure(runs).axes
    dots = {
        (float(line.get_ydata()[0]), line.get_marker()): float(line.get_xdata()[0])
        for line in success.lines
        if len(line.get_xdata()) == 1
    }
    rows = len(interventions.STARTS)
    assert [t.get_text() for t in start.get_yticklabels()] == list(interventions.STARTS.values())
    for row, case in enumerate(interventions.STARTS):
        for (length, mark), shift in zip(interventions.LENGTHS.items(), (0.13, -0.13), strict=True):
            learned = float((runs.accuracy.sel(case=case, length=length) > 0.95).mean())
            assert dots[rows - 1 - row + shift, mark] == pytest.approx(learned)
        middle = float(np.median(abs(runs.multiplier.sel(case=case))))
        assert any(
            np.allclose(m.get_xdata(), middle) and np.allclose(m.get_ydata(), rows - 1 - row) for m in start.lines
        )
    learn = f"{starts.rate(runs, 'LSTM, mu = 1 by f', 50).value:.0%}"
    assert f"{learn} of LSTM units learn" in interventions.sentence(runs)


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_a_place_in_the_plane_is_where_a_cell_is_put_and_says_its_multiplier(cell):
    view, places = tug.VIEWS[cell], jnp.array([(0.2, 0.3), (0.73, -0.1), (0.9, 2.0)])

    def put(place):
        moved = view.place(begin(view.cell, jax.random.key(0)).cell, *place)
        return view.where(moved), origin_multiplier(moved)

    where, mu = jax.jit(jax.vmap(put))(places)
    np.testing.assert_allclose(where, places, rtol=1e-5)
    np.testing.assert_allclose(mu, tug.multiplier(cell, *places.T), rtol=1e-5)
    np.testing.assert_allclose(war.STEP[cell](*places.T), mu, rtol=1e-5)


@pytest.mark.parametrize("cell", ["LSTM", pytest.param("GRU", marks=pytest.mark.slow)])
def test_both_arrows_add_up_to_the_gradient_of_the_cross_entropy(cell):
    view = tug.VIEWS[cell]

    def logits(model, x):
        return jax.vmap(lambda x: answers(model, x)[-1])(x)

    def loss(model, data):
        right = jax.nn.log_softmax(logits(model, data.x))
        return -jnp.mean(jnp.where(data.target > 0, right[:, 1], right[:, 0]))

    def both():
        data = tug.paired(jax.random.key(1), 4, 6)
        model = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), begin(view.cell, jax.random.key(2)))
        z = jnp.diff(logits(model, data.x))[:, 0]
        turn = jnp.sign(z[:4].mean() - z[4:].mean())  # read out the right way round, and the wrong one
        turned = [jax.tree.map(lambda leaf, s=s: s * turn * leaf, model.readout) for s in (1.0, -1.0)]
        right, wrong = (RNN(cell=model.cell, readout=readout) for readout in turned)
        down = jax.grad(loss)(right, data).cell
        ahead, behind = (jax.tree.map(lambda p, d, s=s: p + s * d, model.cell, down) for s in (-1e-6, 1e-6))
        return tug.pulls(view, right, data), tug.pulls(view, wrong, data), view.where(ahead) - view.where(behind)

    with jax.enable_x64(True):
        right, wrong, moved = jax.jit(both)()
    right, wrong, moved = (np.asarray(each) for each in (right, wrong, moved))
    np.testing.assert_allclose(right.sum(0), moved / 2e-6, rtol=1e-6)
    np.testing.assert_allclose(wrong, right, rtol=1e-9)


def test_the_blind_part_shuts_the_forget_gate_and_opens_the_update_gate_at_every_default_start(pulled):
    keep = pulled["start"].pull.sel(part="blind", axis="keep")
    assert keep.sizes["draw"] == 32
    assert (keep.sel(cell="LSTM") < 0).all()
    assert (keep.sel(cell="GRU") > 0).all()
    assert keep.dtype == np.float64


def test_the_sentences_on_the_tug_of_war_count_starts_and_runs(pulled, paths):
    text = tug.sentence(pulled | {"paths": paths})
    assert "LSTM: the label-blind part opens its gate in 0 of 32" in text
    assert "Of 4 runs learn 2 at a rate of 0.001, 0 at a rate of 0.3" in text
    assert "GRU: the label-blind part opens its gate in 32 of 32" in text
    assert "Of 4 runs learn 0 at a rate of 0.001, 3 at a rate of 0.3" in text
    title = war.title(pulled["start"], paths)
    assert "forget gate (in 100% of starts)" in title
    assert "0 of 4 LSTM and 3 of 4 GRU units learn" in title


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_near_the_line_the_part_that_sees_labels_lengthens_memory_and_the_other_shortens_it(cell, pulled):
    grid = pulled["field"].sel(cell=cell).isel(rate=0)
    keep, loop = (each.ravel() for each in np.meshgrid(grid.keep, grid.loop))
    slope = np.ones((2, 1, 25, 1)) if cell == "LSTM" else np.stack([1 - loop, 1 - keep])[:, None, :, None]
    pull = grid.pull.values.reshape(25, 4, 2, 2)
    gain = pull[..., 0] * slope[0, 0][..., None] + pull[..., 1] * slope[1, 0][..., None]
    near = (abs(tug.multiplier(cell, keep, loop) - 1) < 0.15) & (keep < 0.9)  # a GRU with z near 1 keeps all anyway
    assert near.sum() > 1
    assert (gain[near][..., 0] > 0).all()
    assert (gain[near][..., 1] < 0).all()


def test_the_tug_of_war_draws_mean_directions_above_and_the_runs_below_in_one_window(pulled, paths):
    made = war.page(pulled["field"], pulled["start"], paths)
    above, below = made.axes[:2], made.axes[2:4]  # and the bar of colours
    for top, ax, cell in zip(above, below, ("LSTM", "GRU"), strict=True):
        grid, runs = (ds.sel(cell=cell).isel(rate=-1) for ds in (pulled["field"], paths))
        for window in (top, ax):
            np.testing.assert_allclose(window.get_xlim(), grid.keep[[0, -1]])
            np.testing.assert_allclose(window.get_ylim(), grid.loop[[0, -1]])
        for place in runs.place.values:
            assert drawn(ax, place[:, 1])
        marks = {"o": 0, "x": 0}
        for line in ax.lines:
            if line.get_marker() in marks and len(line.get_xdata()) == 1:
                marks[line.get_marker()] += 1
        learned = int((runs.accuracy > war.SOLVED).sum())
        assert (marks["o"], marks["x"]) == (learned, runs.sizes["run"] - learned)
        pull = grid.pull.values
        with np.errstate(invalid="ignore"):  # no pull at all has no direction
            mean = np.nan_to_num(pull / np.linalg.norm(pull, axis=-1, keepdims=True)).mean(2)[2::3, 2::3]
        arrows = [each for each in top.collections if isinstance(each, Quiver)]
        assert len(arrows) == 2
        for part, each in enumerate(arrows):
            np.testing.assert_allclose(each.U, mean[..., part, 0].ravel())
            np.testing.assert_allclose(each.V, mean[..., part, 1].ravel())


@pytest.mark.slow
def test_the_tug_of_war_is_drawn_from_its_store_alone_and_its_paths_are_runs_of_fit(tmp_path):
    sizes = {"length": 20, "points": 5, "draws": 4, "pairs": 4, "starts": 8, "runs": 3, "count": 80, "epochs": 2}
    found = tug.run(**sizes, out=str(tmp_path))
    for name, ds in found.items():
        xarray.testing.assert_equal(xarray.open_zarr(tmp_path / f"{name}.zarr", consolidated=False).load(), ds)
    (files,) = war.draw(tmp_path, tmp_path / "drawn").values()
    assert sorted(files) == sorted((tmp_path / "drawn").iterdir())
    one, two = jax.random.split(jax.random.key(0))
    data = episodes(latch(0.1), one, 80, 20)
    start, order = jax.random.split(jax.random.split(two, 3)[1])
    for cell, view in tug.VIEWS.items():
        path, begun = found["paths"].sel(cell=cell).isel(rate=-1, run=1), begin(view.cell, start)
        expected = jax.jit(lambda begun: fit(order, begun, data, keras_adam(0.3), epochs=2, batch=16))(begun)
        assert list(path.step.values) == list(range(9))  # two epochs of four updates
        assert path.accuracy == expected.record.val_accuracy[-1]
        np.testing.assert_allclose(path.place[0], view.where(begun.cell), rtol=1e-6)
        np.testing.assert_allclose(path.place[-1], view.where(expected.model.cell), rtol=1e-4)
        assert abs(path.place - path.place[0]).max() > 0.05


@pytest.mark.slow
def test_success_of_trained_units_falls_with_x_and_with_nothing_else():
    default = {"default": why.Start()}
    made = [why.Program(n, c, default, length, 64) for n, c in why.CELLS.items() for length in (5, 20, 50)]
    runs = why.combined([why.train(program) for program in made])
    for cell in CELLS:
        _, p, error = starts.binned(runs, cell, True, (0, 3, 6, 9, 12, 15, 18))
        low, high = p - error[0], p + error[1]
        assert all(
            low[later] <= high[:later].min() for later in range(1, len(p))
        )  # none is surely above an earlier one
    x, _, solved = law.pooled(runs, aligned=True)
    assert solved[x < 4].mean() > 0.95
    assert solved[x > 15].mean() < 0.05


@pytest.fixture(scope="module")
def evidence():
    """Runs of every case of the page, of which the first half of each sign learns; LSTM and GRU do not by default."""
    cases = sorted({c for p in [*why.base(), *why.frameworks(), *why.other_routes()] for c in p.cases()})
    solved = np.tile(np.arange(40) // 2 % 2, (len(cases), 3, 1))
    solved[[cases.index(f"{n}, default") for n in ("LSTM", "GRU")]] = 0
    dims, ones = ("case", "length", "seed"), np.ones(solved.shape)
    found = {"accuracy": 0.5 + 0.5 * solved, "aligned": np.arange(40) % 2 * ones, "decay": ones, "multiplier": ones}
    ds = xarray.Dataset({n: (dims, v) for n, v in found.items()}, attrs={"count": 10_000})
    return ds.assign_coords(case=np.array(cases, object), length=[10, 20, 50], seed=np.arange(40))


def test_rates_weigh_both_readouts_alike_and_are_plain_where_the_sign_is_not_known(evidence):
    lucky = evidence.copy(deep=True)
    lucky["aligned"] = (lucky.accuracy > 0.7).astype(float).where(lucky.seed < 30, 1.0)
    rate = starts.rate(lucky, "SRNN, default", 50)
    one = lucky.sel(case="SRNN, default", length=50)
    halves = [float((one.accuracy > 0.95).values[one.aligned.values == sign].mean()) for sign in (0, 1)]
    assert rate.value == pytest.approx(np.mean(halves))
    unknown = evidence.assign(aligned=evidence.aligned * np.nan)
    assert starts.rate(unknown, "SRNN, default", 50) == share(20, 40)
    assert np.isnan(starts.rate(evidence.assign(accuracy=evidence.accuracy * np.nan), "SRNN, default", 50).value)


def test_the_page_says_every_verdict_with_its_share_and_nothing_smaller_than_8_points(evidence, start):
    one = start.assign(multiplier=(("cell", "draw"), np.tile([[1.0], [0.7], [0.5]], (1, 100))))
    verdicts = why.table(evidence, one)
    page = answer.page(one, evidence, verdicts)
    letters = page.findobj(Text)
    assert min(text.get_fontsize() for text in letters) >= 8
    said = {text.get_text() for text in letters}
    for name in verdicts.hypothesis.values:
        row = verdicts.sel(hypothesis=name)
        assert {f"{name}  {row.claim.item()}", row.change.item(), row.verdict.item()} <= said
        assert str(Share(*row.closed.values)) in said
    heads = [text for text in said if text[:3] in {f"{i}  " for i in range(1, 7)}]
    assert len(heads) == 6
    assert "What one step keeps:" in " ".join(" ".join(said).split())

"""The experiment on mutants: what it drops, promotes and says, in planted worlds that flip it."""

import jax
import numpy as np
import pytest
import xarray

from landscape import initialisers, names, views
from landscape.cells import expressions as ex
from landscape.cells.expressions import Tree, h, linear, one, read, relu

ROOT = names.shipped("experiments").parent
mutants, figure = (names.module(str(ROOT / f"{kind}/mutants.py")) for kind in ("experiments", "figures"))
COUNT = 40


def rung(task, cells, score, features, broken=()):
    """An invented rung: cells that learned a share ``score`` at one rate and nothing at the other."""
    loss = mutants.TASKS[task].chance * np.stack([1 - score, np.full(len(cells), 1.5)], -1)
    made = {"loss": (("cell", "start", "rate"), np.repeat(loss[:, None], 2, 1))}
    made |= {name: ("cell", np.asarray(values, float)) for name, values in features.items()}
    made["broken"] = ("cell", ["deaf" if cell in broken else "" for cell in cells])
    return xarray.Dataset(made, {"cell": cells, "sweep_state": ("cell", np.ones(len(cells), int))})


def world(*signs, broken=(), noise=0.0):
    """Invented mutants, each feature of which goes with what they learn, against it, or is by chance."""
    rng = np.random.default_rng(0)
    cells = [*mutants.PARENTS, *(f"{('LSTM', 'GRU')[k % 2]} {k}" for k in range(COUNT))]
    score, rungs = dict(zip(cells, rng.uniform(0.1, 0.9, len(cells)), strict=True)), {}
    for task in mutants.TASKS:
        own = np.array([score[cell] for cell in cells])
        features = {name: sign * own + (noise + (sign == 0)) * rng.normal(size=len(cells))
                    for name, sign in zip(mutants.FEATURES, signs, strict=True)}  # fmt: skip
        rungs[task] = rung(task, cells, own, features, broken)
        cells = mutants.promoted(rungs[task], mutants.TASKS[task].chance)
    return rungs


def judged(rungs):
    return mutants.judged(rungs).assign_attrs(units=16, updates=600, starts=2, rates=[0.01, 0.03], dropped="{}")


def test_each_verdict_follows_its_world():
    said = {
        signs: [claim.verdict for claim in mutants.claims(judged(world(*signs, noise=0.01)))]
        for signs in ((1, -1, 0), (0, 1, -1), (-1, 0, 1))
    }
    word = {1: mutants.HELD, -1: mutants.REFUTED, 0: mutants.OPEN}
    assert said == {signs: [word[sign] for sign in signs] * 3 for signs in said}


def test_few_mutants_decide_nothing():
    rungs = {task: done.isel(cell=slice(9)) for task, done in world(1, 1, 1, noise=0.5).items()}
    assert {claim.verdict for claim in mutants.claims(judged(rungs))} == {mutants.OPEN}


def test_known_cells_are_in_no_correlation_and_go_on_whatever_they_learn():
    rungs = world(1, 1, 1)
    assert all(set(mutants.PARENTS) <= set(done.cell.values.tolist()) for done in rungs.values())
    sizes = [done.sizes["cell"] - len(mutants.PARENTS) for done in rungs.values()]
    assert sizes == [COUNT, COUNT // 2, COUNT // 4]
    assert judged(rungs)["count"].isel(feature=0).values.tolist() == sizes


def test_what_was_broken_lost_or_learned_nothing_is_counted_and_goes_no_further():
    rungs = world(1, 1, 1, broken=("LSTM 0",))
    first = rungs["memorise"]
    first["sweep_state"].loc[{"cell": "GRU 1"}] = 2
    first["loss"].loc[{"cell": "LSTM 2"}] = np.inf
    found = judged(rungs)
    fate = dict(zip(found.cell.values.tolist(), found.fate.values.tolist(), strict=True))
    assert [fate[name] for name in ("LSTM 0", "GRU 1", "LSTM 2")] == ["deaf", "lost", "fails to memorise"]
    assert found["count"].sel(task="memorise", feature="origin") == COUNT - 2
    assert found.score.sel(task="memorise", cell="LSTM 2") == 0
    nothing = first.assign(loss=first.loss * 0 + np.inf)
    assert mutants.promoted(nothing, 1.0) == list(mutants.PARENTS)


def test_what_is_learned_is_that_of_the_better_rate_over_both_starts():
    loss = xarray.DataArray([[[0.2, 0.0], [0.6, np.nan]]], dims=("cell", "start", "rate"))
    assert mutants.learned(loss, 1.0) == pytest.approx([0.6])  # (.8 + .4) / 2, not (1 + 0) / 2


def test_what_lets_nothing_pass_ranks_below_all():
    rungs = world(1, 1, 1)
    for done in rungs.values():
        worst = done.origin.where(~done.cell.isin(mutants.PARENTS)).argmin("cell")
        done["gradient"][int(worst)] = -np.inf
    np.testing.assert_allclose(judged(rungs)["rank"], 1)


def test_mutants_are_cells_no_two_alike_and_more_of_them_never_change_the_first():
    few, many = mutants.drawn(10, 1, 40), mutants.drawn(20, 1, 40)
    assert list(few.trees.items()) == list(many.trees.items())[: 10 + len(mutants.PARENTS)]
    assert len(set(many.trees.values())) == 20 + len(mutants.PARENTS)
    assert all(ex.hindrance(tree) is None and len(tree.nodes()) <= 40 for tree in many.trees.values())
    assert sum(many.dropped.values()) > 0
    assert mutants.drawn(10, 2, 40).trees != few.trees


def test_vectors_grow_by_the_mean_logarithm_of_what_matrices_do():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(1, 1, 5, 3, 3)))[0] * np.array([0.5, 2, 1, 0.1, 3]).reshape(5, 1, 1)
    assert mutants.growth(np.ones((1, 1, 3)), turn) == pytest.approx(np.log(0.5 * 2 * 0.1 * 3) / 5)
    assert mutants.growth(np.ones((1, 1, 3)), 0 * turn) == -np.inf


SMALL = {"units": 2, "starts": 2, "seed": 0}
DEAF = Tree(h * read("a"))  # 0 for ever
WILD = Tree(linear("a", relu(h + read("a") + one), add=1.1) * (one + one) * (h + one) * (h + one))


@pytest.mark.slow
def test_broken_cells_are_told_before_anything_is_compiled():
    x = mutants.looked("memorise", 0).x
    told = [mutants.broken(mutants.begun(tree, **SMALL), x) for tree in (DEAF, WILD, ex.GRU())]
    assert told == ["deaf", "not finite", ""]


@pytest.mark.slow
def test_what_is_seen_before_training_is_what_the_views_show():
    models = mutants.begun(ex.GRU(), **SMALL)
    found = mutants.before(models, "memorise", 0)
    own = mutants.looked("memorise", 0)
    slopes, growths = [], []
    for k in range(2):
        model = jax.tree.map(lambda leaf, k=k: leaf[k], models)
        for x, target in zip(own.x, own.target, strict=True):
            along = np.asarray(views.turns(model.cell, x), float)
            flow = np.linalg.multi_dot(along[::-1])
            growths.append(np.log(np.linalg.norm(flow @ np.ones(2)) / np.sqrt(2)) / len(x))

            def loss(state, model=model, x=x, target=target):
                for symbol in x:
                    state = model.cell.step(state, symbol)
                return mutants.losses.classes.loss(model.output(state), target)

            first = jax.grad(loss)(model.cell.initial(0.0)).h
            last = views.walking.visited(model.cell, x, 0.0).h[-1]
            late = jax.grad(lambda h, m=model, t=target: mutants.losses.classes.loss(m.read(h), t))(last)
            slopes.append(np.log(np.linalg.norm(first) / np.linalg.norm(late)) / len(x))
    assert found["gradient"] == pytest.approx(np.median(slopes), rel=1e-3)
    assert found["lyapunov"] == pytest.approx(np.median(growths), rel=1e-3)
    moduli = [np.abs(np.linalg.eigvals(0.5 * np.eye(2) + 0.25 * np.asarray(w))).max() for w in models.cell.w_h]
    assert found["origin"] == pytest.approx(np.mean(moduli), rel=1e-4)  # z + (1 - z) r w_h with gates at 1/2


def test_a_search_that_lost_a_cell_ends_as_if_nothing_had_happened_once_it_is_found(tmp_path, monkeypatch):
    whole, kept = mutants.drawn(8, 0, 40), []
    monkeypatch.setattr(mutants, "ranked", lambda found, feature: (0.0, -1.0, 1.0, 1.0, 8.0))  # takes a second each

    def sweep(run, axes, fixed, *, out, lost=(), **others):
        cells, score = axes["cell"]["name"], {name: 0.9 - 0.05 * k for k, name in enumerate(whole.trees)}
        made = rung(
            fixed["task"],
            cells,
            np.array([score[c] for c in cells]),
            dict.fromkeys(mutants.FEATURES, [0.5] * len(cells)),
        )
        made["sweep_state"].loc[{"cell": [name for name in lost if name in cells]}] = 2
        made["loss"].loc[{"cell": [name for name in lost if name in cells]}] = np.nan
        kept.append((out.name, cells))
        return made

    def search(lost, folder):
        kept.clear()
        monkeypatch.setattr(mutants, "sweep", lambda *a, **b: sweep(*a, **b, lost=lost))
        found = mutants.run(mutants=8, out=str(tmp_path / folder))
        return found.drop_vars("fate"), list(kept), sorted(path.name for path in (tmp_path / folder).iterdir())

    _, first, _ = search(["LSTM 2"], "one")
    found, again, files = search([], "one")
    fresh, other, _ = search([], "two")
    assert [cells for _, cells in first] != [cells for _, cells in other] == [cells for _, cells in again]
    assert [name for name, _ in other] == [name for name, _ in again] == [f"{task}.zarr" for task in mutants.TASKS]
    assert {name for name, _ in first} & {name for name, _ in other} == {"memorise.zarr"}
    assert len(files) == 2
    assert "found.zarr" in files
    assert found.identical(fresh)


@pytest.mark.slow
def test_a_search_runs_resumes_and_is_judged(tmp_path, monkeypatch):
    settings = {"mutants": 2, "updates": 8, "units": 2, "rates": (0.03,), "out": str(tmp_path)}
    found = mutants.run(**settings)
    assert found.sizes == {"task": 3, "cell": 7, "feature": 3}
    assert np.isfinite(found.score.sel(cell=["LSTM", "GRU"])).all()
    np.testing.assert_array_equal(mutants.run(**settings).score, found.score)

    def fails(*about, real=initialisers.flax, left=[1]):  # noqa: B006 # the first cell that gets here is lost
        if left:
            raise RuntimeError(f"lost {left.pop()}")
        return real(*about)

    monkeypatch.setattr(initialisers, "flax", fails)
    apart = {**settings, "out": str(tmp_path / "lost")}
    assert (mutants.run(**apart).fate == "lost").sum() == 1
    np.testing.assert_array_equal(mutants.run(**apart).score, found.score)
    assert "2 mutants: " in mutants.sentence(found)
    assert np.isfinite(found.origin.sel(cell="LSTM")).all()


def test_the_figure_is_drawn_from_what_was_found():
    found = judged(world(1, -1, 0, noise=0.01, broken=("LSTM 0",)))
    told = "a large multiplier and a small gradient"
    wanted = f"What foretells learning: on memorisation, {told}; on arithmetic, {told}; on XML, {told}"
    assert figure.title(found) == wanted
    assert figure.verdict(judged(world(0, 0, 0)), "xml") == "on XML, nothing"
    assert figure.fates(found) == (
        "20 trained up to memorisation, 10 trained up to arithmetic, 9 trained up to XML; dropped: deaf 1"
    )
    assert len(figure.page(found).axes) == 9


def test_a_search_in_which_no_mutant_learns_says_so():
    rungs = world(1, 1, 1)
    rungs["memorise"]["broken"] = rungs["memorise"].broken.where(rungs["memorise"].cell.isin(mutants.PARENTS), "deaf")
    known = {task: done.sel(cell=list(mutants.PARENTS)) for task, done in rungs.items() if task != "memorise"}
    found = judged({"memorise": rungs["memorise"], **known})
    said = mutants.sentence(found)
    assert f"{COUNT} mutants: deaf {COUNT}" in said
    assert said.count("mutants none trained") == 3
    assert {claim.verdict for claim in mutants.claims(found)} == {mutants.OPEN}

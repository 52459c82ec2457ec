"""Experiments on architectures: what they say follows what they found, in planted worlds that flip it."""

import jax
import numpy as np
import pytest
import xarray
from scipy.io import wavfile

from landscape import data, models, names

ROOT = names.shipped("experiments").parent
FILES = ("music_and_sound", "architectures")
music, architectures = (names.module(str(ROOT / f"experiments/{name}.py")) for name in FILES)
drawn = {name: names.module(str(ROOT / f"figures/{name}.py")) for name in FILES}
SPREAD = np.linspace(-0.01, 0.01, 4)  # of starts
BLIND, KEY = 10.0, jax.random.key(0)


def played(music_at, sound_at):
    """Invented losses of tanh, GRU, LSTM at two rates on two sets: rows of cells, columns of rates."""
    levels = np.array([music_at, sound_at], float)
    test = levels[..., None] + SPREAD * np.array([1, 1.1, 1.2])[:, None, None]
    epochs = test[..., None] + np.array([0.5, 0])
    dims = ("set", "cell", "rate", "seed")
    made = {"test": (dims, test), "held": ((*dims, "epoch"), epochs), "train": ((*dims, "epoch"), epochs)}
    made |= {name: (dims[:2], np.full((2, 3), value)) for name, value in {"blind": BLIND, "seconds": 2.0}.items()}
    made |= {name: (dims[:2], np.full((2, 3), 24)) for name in ("units", "parameters", "updates")}
    coords = {"set": ["music", "sound"], "cell": ["tanh", "GRU", "LSTM"], "rate": [0.01, 0.1], "epoch": [1, 2]}
    found = music.judged(xarray.Dataset(made, coords))
    about = {"music": "invented", "sound": "invented", "steps": 4, "repeats": 4}
    return found.assign_attrs({**about, "claims": [list(claim) for claim in music.claims(found)]})


def verdicts(found):
    return {claim.claim: claim.verdict for claim in music.claims(found)}


SAME = [[5, 6], [5, 6], [5, 6]]


@pytest.mark.parametrize(("level", "word"), [(4, "HELD"), (6, "REFUTED"), (5, "OPEN")])
def test_gated_units_are_ahead_on_sound_where_their_losses_are_less(level, word):
    found = played(SAME, [[5, 6], [level, 7], [7, level]])
    for cell in ("GRU", "LSTM"):
        assert verdicts(found)[f"{cell} is ahead of tanh on sound"] == getattr(music, word)
    title = drawn["music_and_sound"].title(found)
    assert title.startswith({"HELD": "Gated units are ahead", "REFUTED": "Gated units are behind"}.get(word, "Who is"))
    assert "on music all lie within 0 %" in title


@pytest.mark.parametrize(
    ("level", "word"), [(5.2, "HELD"), (4.8, "HELD"), (4, "REFUTED"), (6, "REFUTED"), (5.5, "OPEN")]
)
def test_a_gap_on_music_is_small_if_all_of_its_interval_is(level, word):
    found = played([[5, 6], [level, 7], [level, 7]], SAME)
    assert verdicts(found)["GRU is within a tenth of tanh on music"] == getattr(music, word)


@pytest.mark.parametrize(
    ("here", "there", "word"), [(4, 6, "HELD"), (6, 4, "HELD"), (4, 4, "REFUTED"), (4, 5, "OPEN"), (5, 5, "OPEN")]
)
def test_which_gated_unit_is_ahead_depends_on_the_data_where_both_orders_are_sure(here, there, word):
    found = played([[5, 6], [here, 7], [5, 7]], [[5, 6], [there, 7], [5, 7]])
    assert verdicts(found)["which of GRU and LSTM is ahead depends on the data"] == getattr(music, word)


@pytest.mark.parametrize(
    ("gru", "word"), [([6, 5], "HELD"), ([6, 7], "OPEN"), ([4, 3], "OPEN"), ([5, 6], "OPEN")]
)  # the LSTM is as tanh: never all sure
def test_a_ranking_is_that_of_the_rate_where_a_pair_turns(gru, word):
    claim = "on music the ranking of cells at one rate is that of the rate"
    assert verdicts(played([[5, 6], gru, [5, 6]], SAME))[claim] == getattr(music, word)


def test_a_ranking_that_is_the_same_at_every_rate_refutes_that_it_is_that_of_the_rate():
    found = played([[5, 6], [4, 5], [3, 4]], SAME)
    assert verdicts(found)["on music the ranking of cells at one rate is that of the rate"] == music.REFUTED


def test_the_best_rate_is_that_of_the_held_out_loss_and_what_diverged_is_worth_a_blind_guess():
    found = played([[np.nan, 6], [5, np.inf], [5, 99]], SAME)
    assert found.best_rate.sel(set="music").values.tolist() == [0.1, 0.01, 0.01]
    np.testing.assert_allclose(found.best.sel(set="music"), [6, 5, 5], atol=1e-6)
    assert float(found.rate_gap.sel(set="music", pair="GRU - LSTM", rate=0.1)) == 0
    everywhere = played([[np.nan, np.nan], [5, 6], [5, 6]], SAME)
    assert float(everywhere.best.sel(set="music", cell="tanh")) == BLIND


def test_the_figure_of_music_and_sound_has_a_row_for_each_and_says_so():
    found = played(SAME, [[5, 6], [4, 7], [7, 4]])
    assert len(drawn["music_and_sound"].page(found).axes) == 6
    lines = music.sentence(found).splitlines()
    assert lines[0].startswith("music, invented, blind 10.00: tanh 5.00 (4.99 to 5.01) at 0.01")
    assert lines[3] == "  at one rate: 0.01 GRU < tanh < LSTM; 0.1 LSTM < tanh < GRU"


def test_sets_are_cut_and_scored_as_they_are_read(tmp_path):
    made = music.music("", 40, 8, 0)
    rolls = data.chorales(40, 9, 0)
    heard = rolls.any((0, 1))
    np.testing.assert_array_equal(made.episodes.x, rolls[:, :-1, heard])
    np.testing.assert_array_equal(made.episodes.target, rolls[:, 1:, heard])
    assert (made.outputs, made.episodes.mask.shape) == (heard.sum(), (40, 8))
    np.savez(tmp_path / "rolls.npz", rolls[0], *[np.concatenate([rolls[0], rolls[1]])] * 30)
    again = music.music(str(tmp_path / "rolls.npz"), 99, 8, 0)
    assert len(again.episodes.x) == 1 + 30 * 2
    assert len(music.music(str(tmp_path / "rolls.npz"), 40, 8, 0).episodes.x) == 40
    sound = music.sound("", 40, 8, 0)
    assert (sound.episodes.x.shape, sound.outputs) == ((40, 8, 10), 5 * 21)
    assert sound.blind == pytest.approx(10 * 0.5 * np.log(2 * np.pi * np.e), abs=0.5)
    wavfile.write(tmp_path / "a.wav", 8000, (1000 * data.plucked(1, 4000)[0]).astype(np.int16))
    recorded = music.sound(str(tmp_path / "a.wav"), 99, 8, 0).episodes.x
    assert recorded.shape == (49, 8, 10)
    assert np.mean(recorded**2) == pytest.approx(1, abs=0.1)
    with pytest.raises(ValueError, match="fewer than 32 episodes of 20 steps"):
        music.run(wave=str(tmp_path / "a.wav"), steps=20)


def test_cells_are_matched_in_parameters_within_three_in_a_hundred():
    for make in music.SETS.values():
        made = make("", 40, 8, 0)
        sizes = [
            models.size(lambda cell=cell, made=made: music.begin(cell, KEY, music.matched(cell, 24, made), made))
            for cell in music.CELLS.values()
        ]
        assert max(sizes) / min(sizes) < 1.03


CELLS = tuple(architectures.CASES)


def raced(ends=1, own=(), **levels):
    """Invented accuracies on two tasks, .5 unless given, of two rates of which the second is worse."""
    cells = [*CELLS, *own]
    level = np.array([[levels.get(c.replace("-", "_").replace(" ", "_"), 0.5) for c in cells]] * 2)
    test = level[..., None, None] + SPREAD * (1 + 0.1 * np.arange(len(cells)))[:, None, None] - [[0], [0.2]]
    dims = ("kind", "cell", "rate", "seed")
    looked = np.full((2, len(cells), len(SPREAD)), np.nan)
    looked[0, [cells.index(c) for c in architectures.LOOKED_AT]] = 1
    seen = dict.fromkeys(architectures.SEEN, looked) | {"ends": looked * ends}
    made = {"accuracy": (dims, test), "chosen_by": (dims, test)}
    made |= {name: ((*dims[:2], "seed"), values) for name, values in seen.items()}
    coords = {"kind": ["arithmetic", "xml"], "cell": cells, "rate": [0.01, 0.1]}
    found = architectures.judged(xarray.Dataset(made, coords))
    about = {"text": "", "units": 24, "rates": [0.01, 0.1], "repeats": 4}
    return found.assign_attrs({**about, "claims": [list(claim) for claim in architectures.claims(found)]})


def told(found, claim):
    return {c.claim: c.verdict for c in architectures.claims(found)}[claim]


@pytest.mark.parametrize(
    ("f", "i", "o", "word"),
    [(0.3, 0.4, 0.5, "HELD"), (0.5, 0.4, 0.3, "REFUTED"), (0.4, 0.3, 0.5, "REFUTED"), (0.3, 0.5, 0.5, "OPEN")],
)
def test_gates_are_ordered_by_what_their_loss_costs(f, i, o, word):
    found = raced(LSTM_f=f, LSTM_i=i, LSTM_o=o)
    for kind in ("arithmetic", "xml"):
        assert told(found, f"gates matter in the order f, i, o on {kind}") == getattr(music, word)


@pytest.mark.parametrize(
    ("gru", "lstm", "biased", "word"),
    [
        (0.8, 0.5, 0.79, "HELD"),
        (0.8, 0.5, 0.9, "HELD"),
        (0.8, 0.5, 0.55, "REFUTED"),
        (0.8, 0.5, 0.65, "OPEN"),
        (0.5, 0.5, 0.5, "OPEN"),  # no gap to close
        (0.5, 0.8, 0.8, "OPEN"),
    ],
)
def test_a_forget_bias_closes_a_gap_that_is_there_by_more_than_half(gru, lstm, biased, word):
    found = raced(GRU=gru, LSTM=lstm, LSTM_b=biased)
    assert told(found, "a forget bias closes the gap to the GRU on xml") == getattr(music, word)


@pytest.mark.parametrize(("without", "word"), [(0.51, "HELD"), (0.3, "HELD"), (0.79, "REFUTED"), (0.65, "OPEN")])
def test_an_lstm_without_forget_gate_is_near_what_it_is_near_to(without, word):
    found = raced(tanh=0.5, LSTM=0.8, LSTM_f=without)
    assert told(found, "LSTM-f is nearer to tanh than to LSTM on arithmetic") == getattr(music, word)


@pytest.mark.parametrize(("one", "rest", "word"), [(0.6, 0.4, "HELD"), (0.4, 0.4, "REFUTED"), (0.5, 0.4, "OPEN")])
def test_a_mutant_is_ahead_of_the_gru_where_one_is(one, rest, word):
    found = raced(MUT1=rest, MUT2=one, MUT3=rest)
    assert told(found, "a mutant is ahead of the GRU on xml") == getattr(music, word)


@pytest.mark.parametrize(("level", "word"), [(0.6, "HELD"), (0.4, "REFUTED"), (0.5, "OPEN")])
def test_a_users_cell_is_compared_with_the_lstm(level, word):
    assert told(raced(own=["Sine"], Sine=level), "Sine is ahead of LSTM on arithmetic") == getattr(music, word)
    assert architectures.asked(["Sine", "GRU"]) == [("Sine", "GRU")]
    assert architectures.asked(["Sine", "Mine"]) == [("Mine", "Sine")]


@pytest.mark.parametrize(
    ("ends", "word", "title"),
    [
        (1, "HELD", "left alone, an LSTM forgets"),
        (3, "REFUTED", "an LSTM latches"),
        (np.array([1, 1, 3, 3]), "OPEN", "whether an LSTM latches is open"),
    ],
)
def test_an_lstm_latches_where_its_networks_have_several_ends(ends, word, title):
    found = raced(ends, GRU=0.9, LSTM_f=0.1)
    assert told(found, "an LSTM's memory is no attractor") == getattr(music, word)
    assert drawn["architectures"].title(found) == f"GRU 90% right on sums, LSTM-f 10%; {title}"


def test_the_figure_of_architectures_has_a_panel_for_each_task_and_two_for_memory():
    found = raced(own=["Sine"], tanh=np.nan)
    assert len(drawn["architectures"].page(found).axes) == 4
    assert drawn["architectures"].style("LSTM-b 2") == drawn["architectures"].style("LSTM")
    assert drawn["architectures"].style("Sine") == drawn["architectures"].OWN
    said = architectures.sentence(found)
    assert "arithmetic, right answers: tanh 0.000 (0.000 to 0.000)" in said
    assert "GRU, arithmetic: radius 1.00 (1.00 to 1.00)" in said
    assert "MUT1, arithmetic:" not in said


def test_means_are_apart_where_some_unit_is_out_of_reach():
    means = np.array([[0, 0], [0.05, 0], [0, 0.2], [0, -0.2], [0.02, 0.21]])
    assert architectures.apart(means) == 3
    assert architectures.apart(means, 1.0) == 1


def test_one_unit_that_latches_has_two_ends_and_one_that_forgets_has_one():
    starts = names.cell("SRNN", {}).initial(np.array([[-0.5], [0.5], [0.6]], np.float32))
    for w, ends in ((2.0, [-0.95750403, 0.95750403, 0.95750403]), (0.5, [0, 0, 0])):  # x = tanh(2 x)
        cell = names.cell("SRNN", {}).__class__(w=np.full((1, 1), w, np.float32), u=np.zeros((1, 1), np.float32),
                                                b=np.zeros(1, np.float32))  # fmt: skip
        end, mean = architectures.read_on(cell, type(starts)(starts.h), np.zeros(1, np.float32), 100)
        np.testing.assert_allclose(end.h[:, 0], ends, atol=1e-5)
        assert architectures.apart(np.asarray(architectures.read_on(cell, end, np.zeros(1, np.float32), 100)[1].h)) == (
            len(set(ends))
        )
        assert mean.h.shape == (3, 1)


def test_what_architectures_cannot_train_is_named_before_any_work():
    with pytest.raises(ValueError, match="there is no task 'reber' that architectures can train on"):
        architectures.run(kinds=("reber",))
    with pytest.raises(ValueError, match=r"there is no text nowhere\.txt"):
        architectures.run(text="nowhere.txt")
    with pytest.raises(ValueError, match="GRUX"):
        architectures.run(cells=("GRUX",))


@pytest.mark.slow
def test_a_users_cell_enters_by_its_file_and_its_networks_are_looked_at(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from landscape.cells import SRNN\ndef Mine(**values) -> SRNN:\n    'h'\n    return SRNN(**values)\n"
    )
    found = architectures.run(cells=(f"{tmp_path}/mine.py:Mine", "tanh"), quick=True, out=str(tmp_path / "out"))
    assert found.cell.values.tolist() == ["Mine", "tanh"]
    np.testing.assert_array_equal(found.accuracy.sel(cell="Mine"), found.accuracy.sel(cell="tanh"))
    assert np.isfinite(found[list(architectures.SEEN)].to_array()).all()
    assert told(found, "Mine is ahead of tanh on arithmetic") == music.OPEN


@pytest.mark.slow
def test_music_and_sound_are_learnt_by_every_cell(tmp_path):
    found = music.run(quick=True, out=str(tmp_path))
    assert (found.best < found.blind).all()
    assert float(found.parameters.max() / found.parameters.min()) < 1.06
    np.testing.assert_array_equal(music.run(quick=True, out=str(tmp_path)).test, found.test)

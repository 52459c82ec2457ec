"""Experiments on architectures: what they say follows what they found, in planted worlds that flip it."""

import jax
import numpy as np
import pytest
import xarray

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
    assert "on music all lie within 0%" in title


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
    again = music.music(str(tmp_path / "rolls.npz"), 0, 8, 0)
    assert len(again.episodes.x) == 1 + 30 * 2
    sound = music.sound("", 40, 8, 0)
    assert (sound.episodes.x.shape, sound.outputs) == ((40, 8, 10), 5 * 21)
    assert sound.blind == pytest.approx(10 * 0.5 * np.log(2 * np.pi * np.e), abs=0.5)
    with pytest.raises(ValueError, match="fewer than 32 episodes of 8 steps"):
        music.music("", 5, 8, 0)


def test_cells_are_matched_in_parameters_within_three_in_a_hundred():
    for make in music.SETS.values():
        made = make("", 40, 8, 0)
        sizes = [
            models.size(lambda cell=cell, made=made: music.begin(cell, KEY, music.matched(cell, 24, made), made))
            for cell in music.CELLS.values()
        ]
        assert max(sizes) / min(sizes) < 1.03

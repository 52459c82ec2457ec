"""Experiments on digits and text: what they say follows what they found, in planted worlds that flip it."""

import numpy as np
import pytest
import xarray

from landscape import names

ROOT = names.shipped("experiments").parent
pixels, characters = (names.module(str(ROOT / f"experiments/{name}.py")) for name in ("pixels", "characters"))
drawn = {name: names.module(str(ROOT / f"figures/{name}.py")) for name in ("pixels", "characters")}


def read(**accuracy):
    """Invented runs of digits: the last accuracy of each cell at its better rate, the other far behind."""
    rng = np.random.default_rng(0)
    last = np.array([[[value - 0.3, value]] for value in accuracy.values()])  # (cell, rule, rate)
    runs = last[..., None, None] + rng.normal(0, 0.01, (len(accuracy), 1, 2, 5, 3))
    lag = ("cell", "rule", "lag")
    return xarray.Dataset(
        {
            "val_accuracy": (("cell", "rule", "rate", "seed", "epoch"), runs),
            "before": (lag, np.full((len(accuracy), 1, 4), 0.5)),
            "after": (lag, np.full((len(accuracy), 1, 4), 0.1)),
        },
        {"cell": list(accuracy), "rule": ["RMSprop"], "rate": [0.001, 0.01], "epoch": [1, 2, 3]},
    )


@pytest.mark.parametrize(
    ("irnn", "lstm", "word"), [(0.9, 0.5, "ahead of"), (0.5, 0.9, "behind"), (0.7, 0.7, "not told apart from")]
)
def test_the_verdict_on_the_irnn_follows_the_runs(irnn, lstm, word):
    found = read(IRNN=irnn, LSTM=lstm)
    assert pixels.verdict(found, "IRNN", "LSTM", "RMSprop") == word
    assert f"The source's IRNN is {word} the LSTM." in pixels.sentence(found)
    assert (pixels.best(found).rate == 0.01).all()


def test_the_figure_of_digits_names_who_reads_best():
    assert drawn["pixels"].title(read(IRNN=0.3, LSTM=0.9), "RMSprop").startswith("LSTM reads 9")
    assert "the IRNN 3" in drawn["pixels"].title(read(IRNN=0.3, LSTM=0.9), "RMSprop")
    assert drawn["pixels"].title(read(IRNN=0.9, LSTM=0.3), "RMSprop").startswith("IRNN reads")
    assert len(drawn["pixels"].page(read(IRNN=0.3, LSTM=0.9)).axes) == 4


def test_digits_are_in_one_order_and_permuted_alike():
    plain, mixed, rows = pixels.read(), pixels.read(order=True), pixels.read(rows=True)
    np.testing.assert_array_equal(plain.target, mixed.target)
    np.testing.assert_array_equal(np.sort(plain.x, 1), np.sort(mixed.x, 1))
    assert np.any(plain.x != mixed.x)
    np.testing.assert_array_equal(rows.x.reshape(plain.x.shape), plain.x)


def spoken(network):
    """Invented losses of networks beside n-grams whose best is 2 nats."""
    return xarray.Dataset(
        {
            "nats": (("cell", "layers"), np.array([[network + 0.5], [network]])),
            "val": (("cell", "layers", "epoch"), np.full((2, 1, 3), network)),
            "ngram_right": (("cell", "layers"), np.array([[0.4], [0.5]])),
            "ngram": ("order", np.array([3.0, 2.0, 2.2])),
            "bracket": (("cell", "layers", "bin"), np.full((2, 1, 2), 0.2)),
            "ngram_bracket": ("bin", [0.1, 0.2]),
            "brackets": ("bin", [9, 4]),
        },
        {"cell": ["tanh", "GRU"], "layers": [1], "epoch": [1, 2, 3], "bin": [1, 5], "order": [1, 2, 3]},
        {"text": "a text", "characters": 1000, "symbols": 5, "parameters": 100},
    )


@pytest.mark.parametrize(("network", "word", "verb"), [(1.5, "ahead of", "better than"), (2.5, "behind", "not yet")])
def test_who_knows_the_text_better_follows_the_losses(network, word, verb):
    found = spoken(network)
    assert f"the networks are {word} it" in characters.sentence(found)
    assert "40% to 50% right" in characters.sentence(found)
    assert verb in drawn["characters"].title(found)
    assert len(drawn["characters"].page(found).axes) == 4


def test_brackets_find_their_mates():
    np.testing.assert_array_equal(characters.distances("(a[b])]"), [-1, -1, -1, -1, 2, 5, -1])


def test_networks_are_matched_in_parameters():
    budget = characters.numbers(characters.CELLS["LSTM"], 1, 64, 96)
    assert budget == 4 * (64 * 64 + 96 * 64 + 64) + 64 * 96 + 96
    for cell in characters.CELLS.values():
        for layers in (1, 2):
            units = characters.matched(cell, layers, 96, budget)
            assert abs(characters.numbers(cell, layers, units, 96) / budget - 1) < 0.02


@pytest.mark.slow
def test_both_run_and_their_figures_are_drawn(tmp_path):
    digits = pixels.run(quick=True, out=str(tmp_path / "digits.zarr"))
    assert digits.val_accuracy.max() > 0.3
    text = characters.run(quick=True)
    assert text.nats.min() < np.log(text.attrs["symbols"])
    assert (text.left_LSTM + text.right_LSTM <= 1 + 1e-6).all()
    for name, found in (("pixels", digits), ("characters", text)):
        assert drawn[name].page(found).axes

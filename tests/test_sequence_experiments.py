"""Experiments on digits and text: what they say follows what they found, in planted worlds that flip it."""

from pathlib import Path

import jax
import numpy as np
import pytest
import xarray

from landscape import names, store

ROOT = names.shipped("experiments").parent
NAMES = ("pixels", "characters", "memory_views", "planes_of_training", "truncation")
pixels, characters, memory_views, planes, truncation = (
    names.module(str(ROOT / f"experiments/{name}.py")) for name in NAMES
)
drawn = {name: names.module(str(ROOT / f"figures/{name}.py")) for name in NAMES}


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


@pytest.mark.parametrize(("irnn", "word"), [(0.9, "upheld (by +0.3"), (0.5, "open (by"), (0.2, "refuted (by -0.3")])
def test_claims_on_digits_are_upheld_refuted_or_open_by_the_runs(irnn, word):
    one, other = read(IRNN=irnn, LSTM=0.5), read(IRNN=irnn, LSTM=0.8).assign_coords(rule=["SGD"])
    said = pixels.claims(xarray.concat([one, other], "rule"))
    assert said[0].startswith(f"the IRNN leads the LSTM: {word}")
    assert [claim.split(":")[0] for claim in said[1:]] == [
        f"SGD is behind RMSprop on the {c}" for c in ("IRNN", "LSTM")
    ]
    assert "refuted" in said[2]
    assert "open" in said[1]
    assert pixels.sentence(read(GRU=0.5)).endswith("GRU 0.50 at 0.01.")  # one cell claims nothing


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


def test_images_of_files_are_read_as_digits_are_and_doubled_pixels_are_four(tmp_path):
    """Two idx files written by hand: 784 steps of MNIST's shape, of 0 to 255 as 0 to 1."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (5, 28, 28), np.uint8), np.array([3, 0, 9, 1, 3], np.uint8)
    files = tuple(str(tmp_path / name) for name in ("images", "labels"))
    for path, array, head in zip(files, (images, labels), ("00000803", "00000801"), strict=True):
        sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
        Path(path).write_bytes(bytes.fromhex(head) + sizes + array.tobytes())
    found = pixels.read(files=files)
    order = [int(np.flatnonzero((images.reshape(5, -1) == np.round(255 * x.T)).all(1))[0]) for x in found.x]
    assert found.x.shape == (5, 784, 1)
    assert sorted(order) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(found.target, labels[order])
    plain, double = pixels.read(), pixels.read(double=True)
    assert double.x.shape == (1797, 256, 1)
    grid = double.x.reshape(-1, 16, 16)
    for row, column in np.ndindex(2, 2):
        np.testing.assert_array_equal(grid[:, row::2, column::2].reshape(plain.x.shape), plain.x)
    with pytest.raises(ValueError, match="files must be two, of images and of their labels, given 1"):
        pixels.run(files=files[:1])
    with pytest.raises(ValueError, match="'RNN' is none of 'IRNN', "):
        pixels.run(cells=("RNN",))
    with pytest.raises(ValueError, match="'Adam' is none of 'RMSprop', "):
        pixels.run(rules=("Adam",))


def spoken(network):
    """Invented losses of networks beside n-grams whose best is 2 nats."""
    dims, one = ("cell", "layers", "size"), np.ones((2, 1, 1))
    kl = np.stack([np.abs(n - np.array([0, 1, 2])) for n in (0, 1, 2)])  # an order more an epoch
    return xarray.Dataset(
        {
            "nats": (dims, np.array([network + 0.5, network])[:, None, None]),
            "val": ((*dims, "epoch"), np.full((2, 1, 1, 3), network)),
            "errors": ((*dims, "kind"), np.array([[0.4, 0.6], [0.5, 0.5]])[:, None, None]),
            "wrong": (dims, 0.3 * one),
            "marker_r": ((*dims, "marker"), np.array([[0.7, 0.2], [0.1, 0.3]])[:, None, None]),
            "moved_r": ((*dims, "marker"), np.full((2, 1, 1, 2), 0.25)),
            "kl": ((*dims, "epoch", "order"), one[..., None, None] * kl),
            "ngram": ("n", np.array([3.0, 2.0, 2.2])),
            "bracket": ((*dims, "bin"), np.full((2, 1, 1, 2), 0.2)),
            "ngram_bracket": ("bin", [0.1, 0.2]),
            "brackets": ("bin", [9, 4]),
            "parameters": ("size", [100]),
        },
        {
            **{"cell": ["tanh", "GRU"], "layers": [1], "size": [4], "epoch": [1, 2, 3], "bin": [1, 5]},
            **{"order": [1, 2, 3], "n": [1, 2, 3], "marker": ["depth", "column"]},
            "kind": ["an n-gram is right", "others"],
        },
        {"text": "a text", "characters": 1000, "symbols": 5},
    )


@pytest.mark.parametrize(("network", "word", "verb"), [(1.5, "ahead of", "better than"), (2.5, "behind", "not yet")])
def test_who_knows_the_text_better_follows_the_losses(network, word, verb):
    found = spoken(network)
    said = characters.sentence(found)
    assert f"the networks are {word} it" in said
    assert "the 1-gram most after one epoch, the 3-gram at the end" in said
    assert "40% to 50% right" in said
    assert "depth 0.70, column 0.30; moved along the text at most 0.25" in said
    assert verb in drawn["characters"].title(found)
    assert len(drawn["characters"].page(found).axes) == 6


def test_markers_are_depth_column_and_quotes_after_each_character():
    text = "f('a(', [x\ny)\n"
    depth, column, quotes = characters.markers(text).T
    np.testing.assert_array_equal(depth, [0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 0, 0, 0])
    np.testing.assert_array_equal(column, [*range(1, 11), 0, 1, 2, 0])
    np.testing.assert_array_equal(quotes, [0, 0, 1, 1, 1, 0, *[0] * 8])


def test_each_error_has_the_first_excuse_that_applies():
    """Planted one by one; what came with P above a half is no error, and of no errors no share is anything."""
    kinds = np.zeros((5, 8), bool)
    kinds[[0, 1, 2, 3, 4], range(5)] = True
    kinds[4, 0] = True  # excused twice: the first counts
    p = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.45, 0.1, 0.9])
    np.testing.assert_allclose(characters.taxonomy(np.log(p), kinds), np.full(7, 1 / 7))
    assert characters.taxonomy(np.zeros(8), kinds).sum() == 0


def test_excuses_are_read_from_the_texts():
    test = "if xyz_1, if xyz_1; if xyz_1"
    grams = np.full((1, len(test) - 1), np.log(0.1))
    grams[0, 0] = np.log(0.6)
    gram, since, rare, begins, points = characters.excuses("if " * 6, test, grams)
    assert gram.tolist() == [True] + [False] * (len(test) - 2)
    came = np.array(list(test))[1:]
    assert "".join(came[since]) == "1"  # after " if xyz_"; after "if xyz_1" another sign came before
    assert "".join(came[rare]) == "xyz_1" * 3
    assert "".join(came[begins]) == "xixix"
    assert "".join(came[points]) == "_,_;_"


def test_brackets_find_their_mates():
    np.testing.assert_array_equal(characters.distances("(a[b])]"), [-1, -1, -1, -1, 2, 5, -1])


def test_a_text_of_ones_own_is_read_and_one_too_short_or_no_text_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("abc " * 600)
    read, test = characters.texts(str(tmp_path / "mine.txt"), 2_000)
    assert read.decode(read.symbols) + test.decode(test.symbols) == "abc " * 500
    (tmp_path / "short.txt").write_text("abc")
    with pytest.raises(ValueError, match=r"short.txt has 3 characters; .* so give 2,000 or more"):
        characters.texts(str(tmp_path / "short.txt"), 2_000)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="bytes is not text in UTF-8"):
        characters.texts(str(tmp_path / "bytes"), 2_000)
    with pytest.raises(ValueError, match="'RNN' is none of tanh, GRU, LSTM"):
        characters.run(cells=("RNN",))


def test_networks_are_matched_in_parameters():
    budget = characters.numbers(characters.CELLS["LSTM"], 1, 64, 96)
    assert budget == 4 * (64 * 64 + 96 * 64 + 64) + 64 * 96 + 96
    for cell in characters.CELLS.values():
        for layers in (1, 2):
            units = characters.matched(cell, layers, 96, budget)
            assert abs(characters.numbers(cell, layers, units, 96) / budget - 1) < 0.02


def test_a_network_is_read_from_the_result_as_it_was_stored():
    units = xarray.DataArray([[[3]]], {"cell": ["GRU"], "layers": [1], "size": [2]}, ("cell", "layers", "size"))
    flat = np.arange(3 * (3 * 3 + 5 * 3 + 3) + 3 * 5 + 5, dtype=np.float32)
    found = characters.network(
        xarray.Dataset({"units": units, "network_GRU_1_2": ("n", flat)}, attrs={"symbols": 5}), "GRU", 1, 2
    )
    assert [np.shape(leaf) for leaf in (found.cell.w_z, found.cell.u_z, found.readout.w)] == [(3, 3), (5, 3), (3, 5)]
    np.testing.assert_array_equal(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)]), flat)


def test_with_lazy_update_an_answer_reads_the_memory_of_the_step_before():
    """Against the definition in NumPy, and unlike the LSTM: nothing has left after the first step."""
    weights = {
        name: np.float64(k / 7) for k, name in enumerate(("w_i", "u_i", "w_f", "u_f", "w_g", "u_g", "w_o", "u_o"), 1)
    }
    cell, h, c = memory_views.LazyLSTM(**weights), 0.0, 0.0
    state = cell.initial()
    gate = lambda kind, x: 1 / (1 + np.exp(-(weights[f"w_{kind}"] * h + weights[f"u_{kind}"] * x + (kind == "f"))))  # noqa: E731
    for x in (1.0, -0.5, 2.0):
        state = cell.step(state, np.float32(x))
        i, f, o = (gate(kind, x) for kind in "ifo")
        new = f * c + i * np.tanh(weights["w_g"] * h + weights["u_g"] * x)
        h, c = o * np.tanh(c), new
        np.testing.assert_allclose([state.h, state.c], [h, c], atol=1e-6)
    assert cell.step(cell.initial(), np.float32(1.0)).h == 0 != characters.CELLS["LSTM"].step(cell.initial(), 1.0).h


def test_a_state_is_back_when_it_stays_near_and_fades_at_the_rate_of_its_distance():
    each = np.array([[0.5, 0.05, 0.2, 0.05, 0.01], [0.05, 0.04, 0.03, 0.02, 0.01], [1, 1, 1, 1, 1.0]])
    np.testing.assert_array_equal(memory_views.steps_back(each), [3, 0, 5])
    assert memory_views.fading(0.5 * np.exp(-np.arange(40) / 4.0)) == pytest.approx(4)
    assert np.isnan(memory_views.fading(np.ones(9)))


def remembered(**steps):
    """Invented views of networks that are back after so many steps."""
    noise = np.random.default_rng(0).normal(0, 0.5, (len(steps), 16))
    cells, one = list(steps), lambda *shape: np.full((len(steps), *shape), 0.1)
    named = {"length": "episode", "turn": "episode", "histogram": "value", "responsive": "share"}
    size = {"episode": 16, "value": 8, "share": 5}
    each = {name: (("cell", dim), one(size[dim])) for name, dim in named.items()}
    each |= {name: ("cell", one()) for name in ("fading", "slow", "growing", "large", "small", "integrators", "nats")}
    each |= {"distance": (("cell", "time"), one(30)), "lyapunov": (("cell", "number"), -one(6))}
    each["steps"] = (("cell", "episode"), np.array(list(steps.values()))[:, None] + noise)
    about = {"parameters": 100, "text": "a text", "characters": 1000, "symbols": 9}
    return xarray.Dataset(each, {"cell": cells, "value": np.arange(8.0), "share": np.linspace(0, 1, 5)}, about)


@pytest.mark.parametrize(
    ("gru", "word"), [(5.0, "sooner than"), (20.0, "later than"), (10.0, "as soon, to the noise, as")]
)
def test_who_comes_back_from_noise_first_follows_the_steps(gru, word):
    found = remembered(**{"GRU": gru, "LSTM": 10.0, "lazy LSTM": 15.0})
    assert f"The GRU is back {word} the LSTM" in memory_views.sentence(found)
    assert "makes the LSTM come back later than it did" in memory_views.sentence(found)
    assert f"GRU {gru:.0f}, LSTM 10, lazy LSTM 15" in drawn["memory_views"].title(found)
    assert len(drawn["memory_views"].page(found).axes) == 6


@pytest.mark.slow
def test_memories_of_networks_are_seen_and_drawn(tmp_path):
    text = characters.run(quick=True)
    store.save(text, tmp_path / "text.zarr", {})
    found = memory_views.run(networks=str(tmp_path / "text.zarr"), quick=True)
    assert found.cell.values.tolist() == ["tanh", "GRU", "LSTM", "lazy LSTM"]
    np.testing.assert_allclose(found.nats[:3], text.val.isel(epoch=-1, layers=0, size=0))
    np.testing.assert_allclose(found.histogram.sum("value"), 1, rtol=1e-6)
    assert (found.sel(cell="GRU").large == 0) & (found.sel(cell="LSTM").large > 0)
    assert drawn["memory_views"].page(found).axes


def test_a_store_without_networks_is_refused_in_a_sentence(tmp_path):
    store.save(spoken(2.0), tmp_path / "old.zarr", {})
    with pytest.raises(
        ValueError, match="holds no networks of one layer; remove it and run `landscape run characters` again"
    ):
        memory_views.run(networks=str(tmp_path / "old.zarr"))


def cut(*means):
    """Invented accuracies of one cell where errors are cut at 2, 4, 8 steps or not."""
    runs = np.array(means)[None, :, None] + np.random.default_rng(0).normal(0, 0.01, (1, 4, 5))
    found = {"accuracy": (("cell", "k", "seed"), runs), "gradient": (("cell", "lag"), 0.5 ** np.arange(8.0)[None])}
    return xarray.Dataset(found, {"cell": ["GRU"], "k": [2, 4, 8, 128], "lag": range(8)}).assign(
        differs=("cell", [0.0])
    )


@pytest.mark.parametrize(
    ("means", "steps"), [((0.5, 0.7, 0.9, 0.9), 8), ((0.9, 0.9, 0.9, 0.9), 2), ((0.5, 0.5, 0.5, 0.9), 128)]
)
def test_how_far_errors_must_go_follows_the_runs(means, steps):
    found = cut(*means)
    assert truncation.needed(found, "GRU") == steps
    said = truncation.sentence(found)
    assert f"0.90 without a cut, which is not told apart from k = {steps} and longer" in said
    assert len(drawn["truncation"].page(found).axes) == 2


def laid(rate, place, fading):
    """Invented planes of two cells: slopes that grow by ``rate`` a step, steepest at ``place`` on average."""
    T, two = np.arange(1, 65), np.ones((1, 2, 2))
    rng = np.random.default_rng(0)
    each = {
        "slope": (("task", "cell", "line", "length"), two[..., None] * np.exp(rate * T + 0.001 * rng.normal(size=64))),
        "resolved": (("task", "cell", "line", "length"), np.ones((1, 2, 2, 64))),
        "place": (("task", "cell", "line", "length"), two[..., None] * place * (T % 2)),
        "gradient": (("task", "cell", "when", "lag"), two[..., None] * np.exp(-np.arange(64) / fading)),
        "exponent": (("task", "cell", "when"), -0.1 * two),
        "loss": (("task", "cell", "length", "along", "across"), rng.random((1, 2, 64, 3, 4))),
        "log10_gradient": (("task", "cell", "length", "along", "across"), rng.random((1, 2, 64, 3, 4))),
    }
    names = ("updates", "at_along", "at_across", "off_plane", "distance", "at_loss")
    each |= {name: (("task", "cell", "threshold", "step"), np.tile(np.arange(1.0, 6), (1, 2, 2, 1))) for name in names}
    axes = {"along": [0.0, 1, 2], "across": [-1.0, 0, 1, 2], "length": T, "lag": np.arange(64), "task": ["digits"]}
    labels = {
        "cell": ["tanh", "LSTM"],
        "line": ["across", "near"],
        "when": ["before", "after"],
        "threshold": [1, np.inf],
    }
    return xarray.Dataset(each, axes | labels)


@pytest.mark.parametrize(("rate", "kind"), [(0.1, "basin cliff, 1.105"), (0.0, "no cliff")])
def test_what_is_said_of_planes_follows_their_numbers(rate, kind):
    found = laid(rate, 0.5, 20.0)
    said = planes.sentence(found)
    assert f"digits, tanh: across: {kind}" in said
    assert f"its place wanders by 0.50; near the end: {kind}" in said
    assert "fades by e in 20 steps, by the exponent 10" in said
    assert "loss 5.00 clipped, 5.00 not, steepest for 10^0." in said
    assert "; off the plane by up to 100% of the way" in said
    page = drawn["planes_of_training"].page(found)
    assert len(page.axes) == 2 + 1 + 4  # maps, their bar, lines
    assert "0 of 2 trainings are lost and 0 end higher" in drawn["planes_of_training"].title(found)
    found["at_loss"][:, :, 1, -1] = [[np.nan, 9.0]]
    assert "1 of 2 trainings are lost and 1 end higher" in drawn["planes_of_training"].title(found)


def test_a_path_is_steepest_where_its_plane_is_there():
    found = laid(0.0, 0.5, 20.0)
    found["at_along"][..., 1, :] = np.linspace(0, 1.9, 5)
    found["at_across"][..., 1, :] = 0.1
    found["log10_gradient"][..., -1, 1, 1] = 7.0  # at along 1, across 0: third of five moments
    updates, along, size = planes.steep(found, "digits", "LSTM", np.inf)
    assert (updates, along, size) == (3, pytest.approx(0.95), 7.0)
    found["at_along"][..., 1, :] = 9.0  # off the picture
    assert planes.steep(found, "digits", "LSTM", np.inf)[0] == -1
    assert "and nowhere on the plane;" in planes.sentence(found)


@pytest.mark.slow
def test_planes_of_training_hold_their_networks_and_are_drawn():
    """The plane at (0, 0) and (1, 0) has the losses of the start and of the clipped network by another route."""
    found = planes.run(tasks=("text",), cells=("tanh",), points=11, epochs=2, text=20_000)
    path = found.isel(task=0, cell=0, threshold=0)
    np.testing.assert_allclose(path[["at_along", "off_plane", "distance"]].isel(step=0).to_array(), 0, atol=1e-6)
    np.testing.assert_allclose(path.at_along[-1], 1, rtol=1e-5)
    np.testing.assert_allclose(path.off_plane[-1], 0, atol=1e-5)
    ends = path.loss.sel(length=64, across=0, along=[0, 1])
    np.testing.assert_allclose(ends, path.at_loss[[0, -1]], rtol=1e-5)
    assert drawn["planes_of_training"].page(found).axes


@pytest.mark.slow
def test_errors_that_are_cut_at_the_start_are_not_cut():
    found = truncation.run(quick=True)
    assert float(found.differs.max()) == 0
    assert (found.accuracy.sel(k=64) == found.accuracy.sel(k=128)).all()
    assert (found.accuracy.sel(k=1) != found.accuracy.sel(k=128)).any()


@pytest.mark.slow
def test_both_run_and_their_figures_are_drawn(tmp_path):
    digits = pixels.run(quick=True, out=str(tmp_path / "digits.zarr"))
    assert digits.val_accuracy.max() > 0.3
    text = characters.run(quick=True)
    assert text.nats.min() < np.log(text.attrs["symbols"])
    assert (text.left_LSTM + text.right_LSTM <= 1 + 1e-6).all()
    for name, found in (("pixels", digits), ("characters", text)):
        assert drawn[name].page(found).axes

"""Laws of files and arrays: what is written by hand is read back, and what is cut short or strange is refused."""

import gzip
import pickle
import struct
import sys
import wave

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import landscape as ls
from landscape import data, losses, specs, tasks
from landscape.data import stand_ins
from landscape.training import begin, fit, keras_adam

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
IDX = b"\0\0\x08\x03" + struct.pack(">3i", 2, 3, 4) + IMAGES.tobytes()


def written(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_idx_file_is_its_array(tmp_path, pack):
    np.testing.assert_array_equal(data.idx(written(tmp_path / "a", pack(IDX))), IMAGES)


def test_idx_numbers_are_big_endian_and_of_their_type(tmp_path):
    found = data.idx(written(tmp_path / "a", b"\0\0\x0d\x01" + struct.pack(">i2f", 2, 0.5, -3)))
    np.testing.assert_array_equal(found, np.float32([0.5, -3]))
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG" + IDX, "is no idx file: it begins with 89 50 4e 47"),
        (b"\0\0\x07\x01", "is no idx file"),
        (IDX[:-1], r"promises \(2, 3, 4\) values of 1 bytes and holds 23 bytes"),
        (IDX + b"\0", "holds 25 bytes"),
        (IDX[:9], r"promises \(2,\)"),
        (b"\0\0\x08\x02" + struct.pack(">2i", -2, -3), r"promises \(4294967294, 4294967293\)"),
        (gzip.compress(IDX, mtime=0)[:12] + bytes(9), "begins as a gzip file and cannot be unpacked"),
        (gzip.compress(IDX, mtime=0)[:-9], "begins as a gzip file and cannot be unpacked"),
        (b"", "is no idx file"),
    ],
)
def test_what_is_no_idx_file_or_cut_short_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        data.idx(written(tmp_path / "a", content))


def test_a_text_is_its_symbols_and_comes_back(tmp_path):
    (tmp_path / "a.txt").write_text("häuser\n", encoding="utf-8")
    read = data.text(tmp_path / "a.txt")
    assert read.decode(read.symbols) == "häuser\n"
    assert read.symbols.max() < len(read.alphabet) == len(set(read.alphabet))
    again = data.text("users", read.alphabet)
    assert again.decode(again.symbols) == "users"


@pytest.mark.parametrize(
    ("words", "message"),
    [("xa", "'x' is not among the 1 characters"), ("xya", "'x' and 1 more characters"), ("", "there is no text")],
)
def test_unseen_characters_and_no_text_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        data.text(words, "a")


def test_a_file_that_is_no_text_and_an_alphabet_with_doubles_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is not text in UTF-8"):
        data.text(written(tmp_path / "a.txt", "é".encode("latin1")))
    with pytest.raises(ValueError, match="the alphabet holds 'a' more than once"):
        data.text("ab", "aab")


def test_what_are_no_symbols_is_refused():
    for symbols in (np.zeros((2, 3), int), np.arange(9) / 2):
        with pytest.raises(ValueError, match=r"symbols must be whole numbers \(time,\), given"):
            data.next_symbols(symbols, 2)
    with pytest.raises(ValueError, match=r"holds no episode of 2\.5 steps"):
        data.next_symbols(np.arange(9), 2.5)


def test_symbols_are_asked_for_the_next_one_and_what_is_left_over_goes():
    episodes = data.next_symbols(np.arange(8), 3)
    np.testing.assert_array_equal(episodes.x, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(episodes.target, [[1, 2, 3], [4, 5, 6]])
    assert episodes.mask.all()
    frames = data.next_frames(np.arange(10.0).reshape(5, 2), 2)
    np.testing.assert_array_equal(frames.target[1, 1], [8, 9])
    with pytest.raises(ValueError, match="a sequence of 3 holds no episode of 3 steps and the one after"):
        data.next_symbols(np.arange(3), 3)


def recorded(path, channels, width, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(samples)
    return path


def test_samples_of_a_wave_lie_between_plus_and_minus_one(tmp_path):
    deep = recorded(tmp_path / "a.wav", 1, 2, struct.pack("<3h", -(2**15), 0, 2**14))
    samples, rate = data.wav(deep)
    np.testing.assert_array_equal(samples, [-1, 0, 0.5])
    assert rate == 8000
    flat = recorded(tmp_path / "b.wav", 1, 1, bytes([0, 128, 192]))
    np.testing.assert_array_equal(data.wav(flat)[0], [-1, 0, 0.5])
    noted = b"fmt " + bytes(5001)  # words in a chunk before the format, as editors write them
    chunk = b"LIST" + struct.pack("<I", len(noted)) + noted + b"\0"
    whole = deep.read_bytes()
    size = struct.pack("<I", len(whole) + len(chunk) - 8)
    late = written(tmp_path / "c.wav", whole[:4] + size + whole[8:12] + chunk + whole[12:])
    np.testing.assert_array_equal(data.wav(late)[0], [-1, 0, 0.5])


@pytest.mark.parametrize(
    ("channels", "width", "message"), [(2, 2, "has 2 channels"), (1, 3, "has 24 bits a sample; write it with 16 or 32")]
)
def test_stereo_and_24_bits_are_refused(tmp_path, channels, width, message):
    with pytest.raises(ValueError, match=message):
        data.wav(recorded(tmp_path / "a.wav", channels, width, bytes(24)))


def test_what_is_no_wave_is_refused(tmp_path):
    whole = recorded(tmp_path / "a.wav", 1, 2, bytes(400)).read_bytes()
    for content in (b"nothing of it", whole[:60]):
        with pytest.raises(ValueError, match="cannot be read as wav"):
            data.wav(written(tmp_path / "b.wav", content))


def test_rolls_of_npz_are_their_arrays_and_128_keys_lose_those_no_piano_has(tmp_path):
    wide = np.zeros((3, 128), np.uint8)
    wide[1, 60] = 1
    np.savez(tmp_path / "a.npz", one=np.eye(4, 88), two=wide)
    one, two = data.rolls(tmp_path / "a.npz")
    np.testing.assert_array_equal(one, np.eye(4, 88))
    assert two.shape == (3, 88)
    assert list(zip(*np.nonzero(two), strict=True)) == [(1, 39)]


def test_objects_pickles_other_shapes_and_broken_archives_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", np.array([{}], object))
    with pytest.raises(ValueError, match="holds objects, which could run code"):
        data.rolls(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", np.full((3, 88), 2))
    with pytest.raises(ValueError, match=r"must be \(time, 88\) or \(time, 128\) of 0 and 1"):
        data.rolls(tmp_path / "b.npz")
    with pytest.raises(ValueError, match="a pickle runs code when it is opened"):
        data.rolls(tmp_path / "c.pickle")
    (tmp_path / "d.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:100])
    with pytest.raises(ValueError, match="cannot be read as npz"):
        data.rolls(tmp_path / "d.npz")


def played(path, *notes):
    """A MIDI file by hand: (key, ticks after the message before, ticks held), 480 ticks a beat."""
    events = b"".join(
        number(wait) + bytes([0x90, key, 64]) + number(held) + bytes([0x80, key, 0]) for key, wait, held in notes
    )
    track = events + b"\0\xff\x2f\0"
    path.write_bytes(b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(track)) + track)
    return path


def number(value):
    return bytes([0x80 | value >> 7, value & 0x7F]) if value > 127 else bytes([value])


def test_a_pickle_of_pieces_becomes_rolls_by_the_lines_that_refuse_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open("pieces.pickle", "wb") as file:
        pickle.dump({"train": [[(60, 64), ()], [(21,)]]}, file)
    with pytest.raises(ValueError, match="a pickle runs code when it is opened") as refused:
        data.rolls("pieces.pickle")
    exec(str(refused.value).split("Convert one that you trust: ")[1].replace("NAME", "pieces.pickle"), {})
    long, short = data.rolls("rolls.npz")
    assert (long.shape, short.shape) == ((2, 88), (1, 88))
    assert np.flatnonzero(long).tolist() == [60 - 21, 64 - 21]


def test_archives_of_nothing_and_frames_of_no_length_are_refused(tmp_path):
    np.savez(tmp_path / "none.npz")
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.zeros((3, 88)))
    for name in ("none.npz", "one.npz"):
        with pytest.raises(ValueError, match="holds no piece"):
            data.rolls(tmp_path / name)
    with pytest.raises(ValueError, match="step must be a number of beats above 0"):
        data.rolls(tmp_path / "none.npz", 0)


def test_a_midi_file_is_heard_frame_by_frame(tmp_path):
    (roll,) = data.rolls(played(tmp_path / "a.mid", (60, 0, 240), (21, 120, 120)))
    held = [(frame, 60 - 21) for frame in (0, 1)] + [(3, 0)]
    assert list(zip(*map(np.ndarray.tolist, np.nonzero(roll)), strict=True)) == held
    assert roll.shape == (4, 88)


def test_midi_without_a_key_of_the_piano_or_cut_short_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no note between 21 and 108"):
        data.rolls(played(tmp_path / "a.mid", (12, 0, 240)))
    whole = played(tmp_path / "b.mid", (60, 0, 240)).read_bytes()
    with pytest.raises(ValueError, match="cannot be read as MIDI"):
        data.rolls(written(tmp_path / "b.mid", whole[:20]))


def test_without_mido_and_scikit_learn_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    for name in ("mido", "sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"which is missing: pip install 'rnn-landscape\[data\]'"):
        data.rolls(played(tmp_path / "a.mid", (60, 0, 240)))
    with pytest.raises(ImportError, match=r"which is missing: pip install 'rnn-landscape\[data\]'"):
        data.digits()


def test_digits_are_1797_images_of_ten_classes():
    images, labels = data.digits()
    assert (images.shape, images.min(), images.max()) == ((1797, 8, 8), 0, 1)
    assert np.bincount(labels).min() == 174


def test_images_become_sequences_of_pixels_or_rows_in_one_order():
    images = np.arange(12.0).reshape(2, 2, 3)
    order = np.array([5, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(data.scan_order(images)[1, :, 0], np.arange(6.0) + 6)
    np.testing.assert_array_equal(data.scan_order(images, rows=True), images)
    np.testing.assert_array_equal(data.scan_order(images, order=order)[1, :, 0], order + 6)
    with pytest.raises(ValueError, match="order must name pixels 0 to 5 of each image"):
        data.scan_order(np.zeros((1, 2, 3)), order=np.arange(7))
    with pytest.raises(ValueError, match=r"images must be \(image, row, column\), given \(2, 6\)"):
        data.scan_order(images.reshape(2, 6))


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 3], "label 3 is not one of the 3 classes"), ([0], "one for each of 2"), ([0.5, 1], "must be whole numbers")],
)
def test_labels_outside_the_classes_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        data.classified(np.zeros((2, 4)), np.array(labels), 3)


def test_a_task_of_arrays_is_those_arrays_and_stores_know_them_by_a_digest():
    x = np.random.default_rng(0).normal(size=(3, 5, 1)).astype(np.float32)
    episodes = data.classified(x, np.array([0, 1, 1]))
    task = data.task(episodes, name="three")
    model = begin(ls.SRNN(), jax.random.key(0), units=2, inputs=1)
    plane = ls.span(model, {"a": jax.tree.map(jnp.ones_like, model)}, a=np.array([0.0, 0.1]))
    made = ls.surface(plane, task, [2, 5], episodes=3)
    for length in (2, 5):
        logits = jax.vmap(lambda one: ls.run(model, one[:length])[-1])(x)  # noqa: B023
        want = np.mean([losses.cross_entropy(y, t) for y, t in zip(logits, episodes.target, strict=True)])
        assert made.loss.sel(length=length, a=0).item() == pytest.approx(want, rel=1e-6)
    other = data.task(data.classified(x + 1, np.array([0, 1, 1])), name="three")
    assert str(task) != str(other)
    with pytest.raises(TypeError, match="the episodes have 2 steps, and 3 are asked for"):
        ls.surface(plane, data.task(data.classified(x[:, :2], np.array([0, 1, 1]))), [2])


@pytest.mark.slow
def test_stores_know_a_task_of_arrays_by_its_mask_and_its_loss_too():
    x = np.ones((2, 3, 4), "f4")
    masks = [None, np.ones((2, 3), "f4"), np.float32([[0, 0, 1]] * 2)]
    asked = [data.task(tasks.Episode(x=x, target=x, mask=mask), losses.squared_error) for mask in masks]
    asked.append(data.task(tasks.Episode(x=x, target=x, mask=None)))
    assert len({str(specs.of_task(task)) for task in asked}) == len(asked)


def test_a_user_trains_on_a_text_of_his_own():
    """A text of period four is learned: its loss falls below that of the characters' frequencies."""
    read = data.text("abca" * 64)
    model = begin(ls.GRU(), jax.random.key(0), units=6, inputs=3, outputs=3)
    episodes = data.next_symbols(read.symbols, 8)
    record = fit(jax.random.key(1), model, episodes, keras_adam(0.03), losses.classes, epochs=12, batch=5).record
    assert record.val_loss[-1] < 1.04 / 2  # entropy of 1/2, 1/4, 1/4 in nats


def counted(train, test, size, order):
    """The same by dictionaries, symbol by symbol."""
    found = []
    p = [1 / size] * (len(test) - 1)
    for n in range(order):
        seen = {}
        for i in range(n, len(train)):
            after = seen.setdefault(tuple(train[i - n : i]), {})
            after[train[i]] = after.get(train[i], 0) + 1
        for i in range(1, len(test)):
            if i >= n and (after := seen.get(tuple(test[i - n : i]))):
                total, kinds = sum(after.values()), len(after)
                p[i - 1] = (after.get(test[i], 0) + kinds * p[i - 1]) / (total + kinds)
        found.append(np.log(p))
    return np.stack(found)


def test_ngrams_are_those_counted_one_by_one():
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 3, 60), rng.integers(0, 4, 25)  # one symbol was never seen
    np.testing.assert_allclose(data.ngrams(train, test, 4, 4), counted(train.tolist(), test.tolist(), 4, 4), rtol=1e-12)


def test_probabilities_of_the_next_symbol_sum_to_one_at_every_order():
    rng = np.random.default_rng(1)
    train, before = rng.integers(0, 4, 80), rng.integers(0, 4, 6)
    for p in data.foretold(train, before, 5, 8):  # longer than the text that is asked for
        assert p.shape == (5, 5)
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)


def test_contexts_of_any_length_are_counted():
    """What came once after 19 symbols that no number of 63 bits can hold is foretold there, and n-grams agree on it."""
    train = np.random.default_rng(2).permutation(np.arange(200) % 100)
    found = data.ngrams(train, train[90:120], 100, 20)
    np.testing.assert_allclose(found[19, -1], np.log((1 + np.exp(found[18, -1])) / 2), rtol=1e-12)
    assert np.exp(found[19, -1]) > 0.99


def test_symbols_beyond_their_number_are_refused_by_ngrams():
    with pytest.raises(ValueError, match="of 3 symbols, 0 to 2, given 0 to 4"):
        data.ngrams(np.arange(5), np.arange(3), 3, 2)
    with pytest.raises(ValueError, match="order must be 1 to 3, the symbols to count, given 4"):
        data.ngrams(np.arange(3), np.arange(3), 3, 4)


def test_chorales_are_four_voices_in_triads_of_a_major_scale():
    rolls = data.chorales(20, 60, seed=3)
    assert rolls.shape == (20, 60, 88)
    assert (rolls.sum(2) == 4).all()
    rising = {k: [stand_ins.SCALE[(k + j) % 7] for j in (0, 2, 4)] for k in range(7)}
    lasted = set()
    for roll in rolls:
        chords = [frozenset((np.flatnonzero(frame) + 21) % 12) for frame in roll]
        keys = [
            tonic
            for tonic in range(12)
            if all(any(c <= {(tonic + t) % 12 for t in tones} for tones in rising.values()) for c in chords)
        ]
        assert keys  # there is a scale in which all are triads
        moved = np.flatnonzero(np.any(np.diff(roll, axis=0), 1))
        lasted |= set(np.diff(moved).tolist())
        assert np.diff(np.sort(np.stack([np.flatnonzero(frame) for frame in roll]), 1), axis=1).min() > 0
    assert {1, 2, 4} <= lasted  # two chords may share the four keys


def test_a_plucked_string_is_foretold_by_its_own_delay_but_for_its_bursts():
    waves = data.plucked(8, 600, seed=1).astype(float)
    np.testing.assert_allclose(np.mean(waves**2, 1), 1, atol=0.05)
    for y in waves:
        foretold = {n: y[70:] - stand_ins.DAMPED * (y[70 - n : -n] + y[70 - n - 1 : -n - 1]) / 2 for n in range(20, 61)}
        quiet = {n: np.median(np.abs(left)) for n, left in foretold.items()}
        assert min(quiet.values()) < 3 * stand_ins.NOISE  # the noise of three samples, over most of the wave


@pytest.mark.parametrize("make", [data.chorales, data.plucked])
def test_stand_ins_follow_their_seed_and_refuse_nothing_at_all(make):
    np.testing.assert_array_equal(make(2, 30, seed=1), make(2, 30, seed=1))
    np.testing.assert_array_equal(make(2, 30, seed=1)[0], make(1, 30, seed=1)[0])
    assert (make(2, 30, seed=1) != make(2, 30, seed=2)).any()
    with pytest.raises(ValueError, match="1 piece or more, of 1 step or more, given 0 and 30"):
        make(0, 30)

"""What long jobs say: durations, sizes, lines, and when they ask."""

import io
import math
import sys

import pytest

from landscape import names, progress
from landscape.store import Progress


def state(done, seconds=20.0, blocks=10, fresh=None, written=0):
    return Progress(done, blocks, fresh or done, seconds, 10.0, 100, 1000, written, None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (48 * 3600, "2 days"),
        (math.nan, "unknown time"),
    ],
)
def test_durations_in_words(seconds, words):
    assert progress.duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9960000.0, "10 MB"),
        (999600000.0, "1.0 GB"),
        (32000000000.0, "32 GB"),
        (6500000000000000.0, "6,500.0 TB"),
        (1e22, "1e+10 TB"),
    ],
)
def test_sizes_in_words(count, words):
    assert progress.size(count) == words


def test_a_line_says_done_and_left():
    assert progress.line(state(3)) == "3 of 10 blocks, 30%, 20 s, about 23 s left"
    assert progress.line(state(1)) == "1 of 10 blocks, 10%, 20 s, about 1 min 30 s left"
    assert progress.line(state(10)) == "10 of 10 blocks, 100%, 20 s"


def test_without_a_terminal_the_bar_is_few_plain_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    said = []
    with progress.bar(said.append) as show:
        for done in range(1, 11):
            show(state(done))
    assert said == ["10 of 10 blocks, 100%, 20 s"]
    monkeypatch.setattr(progress, "QUIET", 0.0)
    with progress.bar() as show:
        show(state(3))
    assert sys.stderr.getvalue() == "3 of 10 blocks, 30%, 20 s, about 23 s left\n"


def test_a_terminal_sees_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.bar() as show:
        show(state(3))
    assert "3 of 10 blocks" in sys.stderr.getvalue()
    assert "━" in sys.stderr.getvalue()


def test_the_estimate_is_said_once_every_thread_has_had_a_block_and_only_once():
    shown, said = [], []
    watch = progress.watch(shown.append, said.append, crew=2, yes=False)
    for done in range(1, 6):
        watch(state(done, written=100 * done))
    assert said == ["about 43 s and 1.0 kB in all, judged by the first 3 blocks"]
    assert len(shown) == 5


@pytest.mark.parametrize(("seconds", "written"), [(1000.0, 3), (20.0, 10**10)])
def test_too_much_time_or_disk_needs_a_yes(seconds, written):
    big = state(3, seconds=seconds, written=written)
    with pytest.raises(progress.Refused, match="add --yes to go on"):
        progress.watch(lambda _: None, lambda _: None, crew=2, yes=False)(big)
    progress.watch(lambda _: None, lambda _: None, crew=2, yes=True)(big)


def test_lengths_are_lists_and_ranges_with_both_ends():
    flat = lambda text: [length for part in names.lengths(text) for length in part]  # noqa: E731
    assert flat("1:4") == [1, 2, 3, 4]
    assert flat("10:30:10") == [10, 20, 30]
    assert flat("10:35:10") == [10, 20, 30]
    assert flat("7") == [7]
    assert flat("1:3, 10,20:40:20") == [1, 2, 3, 10, 20, 40]


def test_an_axis_is_not_an_array_until_its_size_is_known():
    assert names.axis("w", "-3:3:1000000000000") == (-3.0, 3.0, 10**12)
    assert names.axis("w", "-1e-3:.5:2") == (-0.001, 0.5, 2)

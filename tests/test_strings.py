"""Laws of the tasks of strings and of those of 1997: grammar, sums and tags are right, and so are their floors."""

import functools
import math
import re

import jax
import numpy as np
import pytest

from landscape import tasks
from landscape.tasks import grammar, strings

KEY = jax.random.key(3)
# The longest arrays; arithmetic of one digit, for short ones do then.
TASKS = {
    "reber": (tasks.reber(), 20),
    "arithmetic": (tasks.arithmetic(), 21),
    "xml": (tasks.xml(), 120),
    "memorise": (tasks.memorise(), 14),
    "adding_1997": (tasks.adding_1997(), 22),
    "order_1997": (tasks.order_1997(), 33),
}
SHOWN = {"arithmetic": strings.ARITHMETIC, "xml": strings.XML, "reber": grammar.SYMBOLS}


@functools.cache
def program(name):
    """Draws 1,000 episodes of a task from a key, of a length that is traced where the task takes one."""
    task, time = TASKS[name]
    return jax.jit(lambda key, length: tasks.episodes(task, key, 1000, *((time,) if task.nested else (length, time))))


@functools.cache
def drawn(name, length=None, seed=3):
    """1,000 episodes as NumPy arrays."""
    return jax.tree.map(np.asarray, program(name)(jax.random.key(seed), np.int32(length or TASKS[name][1])))


def asked(one):
    """All targets that are asked for, and their weights in the mean over episodes."""
    weight = one.mask / one.mask.sum(1, keepdims=True) / len(one.mask)
    return one.target[one.mask > 0], weight[one.mask > 0]


def sentences(name, seed=3):
    """Episodes as text: what is read, and what is foretold last."""
    one, letters = drawn(name, seed=seed), np.array(list(SHOWN[name]))
    return ["".join(letters[[*x, y[-1]]]) for x, y in zip(one.x, one.target, strict=True)]


@pytest.mark.parametrize("name", [name for name in TASKS if name != "adding_1997"])
def test_chance_is_the_loss_of_the_best_answer_that_is_the_same_at_every_step(name):
    task = TASKS[name][0]
    symbols, weight = asked(drawn(name))
    law = np.bincount(symbols, weight)
    sure = np.log(np.where(law > 0, law, 1))
    each = np.bincount(np.nonzero(drawn(name).mask > 0)[0], weight * 1000 * -sure[symbols], 1000)
    # Five standard errors over episodes, and the bias of an estimated law, (symbols - 1) / 2n of n answers. Tags of
    # xml: a document is cut off after 120 characters, before its last tags are closed.
    cut = 0.02 if name == "xml" else 0
    assert abs(each.mean() - task.chance) < 5 * each.std() / math.sqrt(1000) + len(law) / 2 / 1000 + cut


@pytest.mark.parametrize("name", [name for name, (task, _) in TASKS.items() if task.classes > 1])
def test_classes_balance_exactly(name):
    classes = drawn(name).target[:, 0] if name == "reber" else drawn(name).target.max(1)
    assert (
        np.unique(classes, return_counts=True)[1].tolist() == [1000 // TASKS[name][0].classes] * TASKS[name][0].classes
    )


def test_every_string_parses_and_ends_with_the_symbol_it_began_with():
    one = drawn("reber")
    steps = one.mask.sum(1).astype(int)
    assert (steps.min(), steps.max()) == (8, 20)
    for x, y, n in zip(one.x[:300], one.target[:300], steps[:300], strict=True):
        string = [x[0], *y[:n]]
        rows = grammar.allowed(string)
        assert not rows[-1].any()  # the string is complete
        assert all(row[after] for row, after in zip(rows, string[1:], strict=False))
        assert string[1] == string[-2]


def enumerated(longest):
    """Every string of the grammar with at most so many symbols, and how likely the grammar makes it."""
    found, open_ = [], [("B", 0, 0.5, outer) for outer in "TP"]
    graph = [("T1", "P2"), ("S1", "X3"), ("T2", "V4"), ("X2", "SE"), ("P3", "VE")]
    open_ = [(f"B{outer}B", 0, 0.5, outer) for outer in "TP"]
    while open_:
        text, node, likely, outer = open_.pop()
        for letter, after in graph[node]:
            if after == "E":
                found.append((f"{text}{letter}E{outer}E", likely / 2))
            elif len(text) < longest:
                open_.append((text + letter, int(after), likely / 2, outer))
    return [(text, likely) for text, likely in found if len(text) <= longest]


def foretold(law, weigh, forget=False):
    """The least loss by brute force: who knows how likely every string is, asked at every prefix."""
    begun = {}
    for text, likely in law:
        for k in range(1, len(text)):
            seen = text[:1] + ("?" if forget and k > 1 else text[1:2]) + text[2:k] if k > 1 else text[:1]
            begun.setdefault(seen, {}).setdefault(text[k], []).append(likely * weigh(len(text) - 1) / (len(text) - 1))
    parts = [[sum(each) for each in ways.values()] for ways in begun.values()]
    return -sum(p * math.log(p / sum(ways)) for ways in parts for p in ways) / sum(map(sum, parts))


@pytest.mark.parametrize("weigh", [grammar.each_string, grammar.each_step])
def test_the_floors_are_those_of_all_strings_written_out(weigh):
    law, found = enumerated(14), grammar.losses(14, weigh)
    assert found.known == pytest.approx(foretold(law, weigh), rel=1e-12)
    assert found.forgotten == pytest.approx(foretold(law, weigh, forget=True), rel=1e-12)


def test_the_floors_of_all_steps_alike_are_those_that_20000_strings_gave():
    assert grammar.halves() == pytest.approx((0.434, 0.499), abs=1e-3)
    assert (
        grammar.losses(21, grammar.each_step).known < grammar.halves()[0]
    )  # who knows that strings end gains a little


def test_strings_are_as_likely_as_the_grammar_makes_them():
    law = dict(enumerated(21))
    share = sum(law.values())
    texts = [text for seed in range(3) for text in sentences("reber", seed)]
    for start in ("BTBTXSE", "BPBPVVE", "BTBTSXS", "BPBPTVV"):
        expected = sum(likely for text, likely in law.items() if text.startswith(start)) / share
        got = sum(text.startswith(start) for text in texts) / len(texts)
        assert abs(got - expected) < 5 * math.sqrt(expected / len(texts)) + 1e-9


def test_an_exact_predictor_meets_the_floor_and_one_without_memory_its_own():
    task = TASKS["reber"][0]
    law, one = enumerated(21), drawn("reber")
    begun = {}
    for text, likely in law:
        for k in range(1, len(text)):
            begun.setdefault((k, text[2:k], text[k]), []).append(likely / (len(text) - 1))  # the outer symbol forgotten
    sums = {key: sum(values) for key, values in begun.items()}
    whole = {}
    for (k, before, _), value in sums.items():
        whole[k, before] = whole.get((k, before), 0) + value
    losses = []
    for text, n in zip(sentences("reber"), one.mask.sum(1).astype(int), strict=True):
        text = text[: n + 1]
        losses.append(-np.mean([math.log(sums[k, text[2:k], text[k]] / whole[k, text[2:k]]) for k in range(1, n + 1)]))
    assert abs(np.mean(losses) - task.memoryless) < 5 * np.std(losses) / math.sqrt(1000)
    again = math.log(2) * np.mean(1 / one.mask.sum(1))
    assert abs(np.mean(losses) - again - task.floor) < 5 * np.std(losses) / math.sqrt(1000)


def test_the_grammar_refuses_a_string_that_is_none_with_the_place():
    with pytest.raises(ValueError, match="no string of the grammar goes on with 'T' at place 7"):
        grammar.allowed([grammar.SYMBOLS.index(s) for s in "BPBTXSETE"])


def right(sentence):
    """Whether the answer of a sum among letters is what Python makes of the question."""
    question, answer = sentence.split("=")
    return answer.rstrip(".") == str(eval(re.sub(r"\b0+(?=\d)", "", re.sub("[a-z]", "", question))))


def test_sums_are_right_by_pythons_integers_at_any_length():
    assert all(map(right, sentences("arithmetic")))
    short = drawn("arithmetic", 14)
    letters = np.array(list(strings.ARITHMETIC))
    for x, y in zip(short.x, short.target, strict=True):
        assert right("".join(letters[[*x[:14], y[13]]]))
    assert not drawn("arithmetic", 14).mask[:, 14:].any()


@pytest.mark.slow
def test_sums_are_right_10000_times():
    assert all(right(text) for seed in range(10) for text in sentences("arithmetic", seed))


def test_the_question_of_a_sum_is_spread_among_letters_and_only_its_answer_is_asked():
    one, texts = drawn("arithmetic"), sentences("arithmetic")
    for mask, text in zip(one.mask[:200], texts[:200], strict=True):
        told = "".join(np.array(list(text[1:]))[mask > 0])
        assert told == text.split("=")[1].rstrip(".") + "."
    places = np.mean([[c in "+-" for c in text[:16]] for text in texts], 0)
    assert np.all(places[2:14] > 0)  # the sign stands anywhere but at the very ends
    assert {c for text in texts for c in text} == set(strings.ARITHMETIC)


def test_who_forgot_the_question_pays_what_the_answers_cost():
    law, task = strings._answers(3), TASKS["arithmetic"][0]
    assert sum(law.values()) == pytest.approx(1, rel=1e-12)
    texts = [text.split("=")[1].rstrip(".") + "." for seed in range(3) for text in sentences("arithmetic", seed)]
    ahead = {text: -math.log(sum(p for other, p in law.items() if other.startswith(text))) for text in ("1", "-", "11")}
    for text, nats in ahead.items():
        share = np.mean([answer.startswith(text) for answer in texts])
        assert abs(share - math.exp(-nats)) < 5 * math.sqrt(math.exp(-nats) / len(texts))
    assert task.memoryless < task.chance
    assert strings._forgetful({"ab": 0.5, "cd": 0.5}) == pytest.approx(math.log(2) / 2)  # one bit for two characters


def unclosed(text):
    """The names of tags that a text leaves open; AssertionError if it closes another one than the innermost."""
    open_ = []
    for slash, name in re.findall(r"<(/?)([a-z]+)>", text):
        if not slash:
            open_.append(name)
        else:
            assert open_.pop() == name
    return open_


def test_tags_balance():
    for text in sentences("xml")[:300]:
        assert re.fullmatch(r"(</?[a-z]{2,10}>)*(<?/?[a-z]{0,10})?", text)
        unclosed(text)
    closed = [re.match(r"(</?[a-z]+>)*", text).group() for text in sentences("xml")]
    assert any(not unclosed(text) for text in closed)
    assert max(len(unclosed(text)) for text in closed) > 3


def test_a_document_only_closes_after_its_limit():
    for text in sentences("xml")[:300]:
        begun, opened = 0, 0
        for tag in re.finditer(r"<(/?)[a-z]+>", text):
            assert tag[1] or tag.start() - begun < 50
            opened += -1 if tag[1] else 1
            begun = tag.end() if opened == 0 else begun


def test_symbols_are_repeated_in_their_order():
    one = drawn("memorise")
    np.testing.assert_array_equal(one.target[:, 9:], one.x[:, :5])
    assert np.all(one.mask.sum(1) == 5)
    assert np.all(one.x[:, 9] == 27)
    assert np.all(one.x[:, 5:9] == 26)
    assert np.unique(one.x[:, :5]).tolist() == list(range(26))


def test_marks_of_1997_make_the_target_where_the_episode_ends():
    one = drawn("adding_1997")
    value, mark = one.x[..., 0], one.x[..., 1]
    ends = one.mask.argmax(1)
    assert set(ends) == {19, 20, 21}  # 20 steps to 22
    assert np.all(one.mask.sum(1) == 1)
    assert np.all((mark == 1).sum(1) == 2)
    sums = 0.5 + np.where(mark == 1, value, 0).sum(1) / 4
    np.testing.assert_allclose(one.target[np.arange(1000), ends], sums, rtol=1e-6)
    np.testing.assert_array_equal(mark[np.arange(1000), ends], -1)
    assert np.all((mark[:, 0] == -1) & (mark[:, 10:] < 1).all(1))
    assert abs(sums.var() - 1 / 24) < 5 * np.std((sums - sums.mean()) ** 2) / math.sqrt(1000)


def test_order_of_1997_is_asked_at_the_end_of_each_episode():
    one = drawn("order_1997")
    ends = one.mask.argmax(1)
    assert set(ends) == {29, 30, 31, 32}
    assert np.all(one.x[:, 0] == 2)
    assert np.all(one.x[np.arange(1000), ends] == 3)
    marked = one.x < 2
    assert np.all(marked.sum(1) == 2)
    first, second = one.x[marked].reshape(-1, 2).T
    np.testing.assert_array_equal(2 * first + second, one.target[np.arange(1000), ends])
    where = np.nonzero(marked)[1].reshape(-1, 2)
    assert (where[:, 0].min(), where[:, 0].max(), where[:, 1].min(), where[:, 1].max()) == (3, 5, 15, 17)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_nested_says_whether_the_short_episode_is_a_prefix_of_the_long_one(name):
    task, time = TASKS[name]
    short = jax.jit(lambda: tasks.episodes(task, KEY, 64, time - 3))()
    long = drawn(name)
    cut = [
        np.array_equal(getattr(short, part), getattr(long, part)[:64, : time - 3]) for part in ("x", "target", "mask")
    ]
    assert all(cut) == task.nested


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("reber", {"longest": 8}, "no string has fewer than 9 symbols; given longest=8"),
        ("arithmetic", {"digits": 5}, "digits must be 1 to 4; given 5"),
        ("xml", {"limit": 0}, "limit must be a whole number of characters, 1 or more; given 0"),
        ("memorise", {"count": 0}, "count must be 1 or more; given 0"),
        ("memorise", {"symbols": 2.5}, "symbols must be a whole number; given 2.5"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        tasks.known()[name](**options)

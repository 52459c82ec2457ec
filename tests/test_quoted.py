"""Every number that a text quotes is one that the command named beside it has printed.

`tests/data/said/NAME.txt` is what `landscape run NAME` printed at its defaults, `why_lstm_latches_worse` with all its
evidence: values with their intervals. Timings, sizes of what was run and years are not results.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs/_ext"))

import gallery  # noqa: E402

SAID = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "tests/data/said").glob("*.txt"))}
NUMBER = re.compile(r"(?<![\w.^])(?:\d[\d,]*\d(?:\.\d+)?|\d(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?")
NO_RESULT = re.compile(
    r"^---.*?^---$|^```.*?^```$|\$\$.*?\$\$|\$.*?\$|\]\(.*?\)|`.*?`"  # heads, code, formulas, addresses
    r"|\b(?:19|20)\d\d\b|SE 340898|of 95 %|\d+ binary digits"  # years, a question's number, levels, formats
    r"|\d[\d,]* (?:s|lengths|runs|seconds)\b",  # timings, and what was run
    re.M | re.S,
)


def place(number: str) -> float:
    """One unit in the last place of a number as written."""
    mantissa, _, exponent = number.replace(",", "").partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def value(number: str) -> float:
    return float(number.replace(",", ""))


def unprinted(text: str, said: str) -> list[str]:
    """The numbers of a text that are no rounding of one that was printed; a share may be quoted in per cent."""
    got = [value(number) for number in NUMBER.findall(said)]
    scales = (1, 0.01) if "%" in text else (1,)

    def printed(number: str) -> bool:
        half = 0.5001 * place(number)
        return any(abs(scale * value(number) - one) <= scale * half for scale in scales for one in got)

    return [number for number in NUMBER.findall(NO_RESULT.sub(" ", text)) if not printed(number)]


def runs(text: str) -> list[str]:
    """The experiments whose commands a text names."""
    return sorted(set(re.findall(r"landscape run (\w+)", text)))


@pytest.mark.parametrize("name", ["cliffs", "grids", "latching", "float32", "filters"])
def test_every_number_of_an_explanation_was_printed_by_a_command_beside_it(name):
    text = (ROOT / f"docs/explanation/{name}.md").read_text("utf-8")
    assert unprinted(text, " ".join(SAID[run] for run in runs(text))) == []


PARAGRAPHS = [part for part in (ROOT / "README.md").read_text("utf-8").split("\n\n") if set(runs(part)) & set(SAID)]


@pytest.mark.parametrize("paragraph", PARAGRAPHS, ids=lambda text: "-".join(runs(text)))
def test_every_number_of_a_paragraph_of_the_readme_was_printed_by_the_command_in_it(paragraph):
    assert unprinted(paragraph, " ".join(SAID.get(run, "") for run in runs(paragraph))) == []


def test_a_number_that_no_command_printed_is_found():
    assert unprinted("up to 8.6 in 63 % of 512 runs, .57 at last", "8.61 0.63 (0.60 to 0.66)") == [".57"]
    assert unprinted("grows by 1.18", "1.175") == []  # rounded up
    assert unprinted("grows by 1.19, or 63", "1.175 0.63") == ["1.19", "63"]


CAPTIONS = dict(re.findall(r"!\[\w+\]\(figures/\w+\.png\) `(\w+)`: (.*?) \|", (ROOT / "README.md").read_text("utf-8")))


@pytest.mark.parametrize("entry", gallery.entries(), ids=lambda entry: entry.name)
def test_every_number_below_a_picture_of_the_readme_is_one_that_its_experiment_expects(entry):
    verdicts = re.findall(r"^    .*?\d +(holds|does not hold|cannot tell)", entry.experiment, re.M)
    counts = " ".join(map(str, [len(verdicts), *Counter(verdicts).values()]))
    caption = CAPTIONS.get(entry.name, "")
    assert unprinted(caption.replace("%", ""), f"{entry.experiment} {entry.figure} {counts}") == []


# Two standard errors of a difference between counts of 64 runs, which another rounding moves; the others train nothing.
AGAIN = dict.fromkeys(set(SAID) - {"why_lstm_latches_worse", "latching", "tug_of_war"}, 0) | {"tug_of_war": 10}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(AGAIN))
def test_a_command_prints_again_the_numbers_that_it_is_quoted_with(name, tmp_path):
    """To two units in the last place; counts where something is trained as `AGAIN` says."""
    command = [sys.executable, "-m", "landscape", "run", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    kept = NUMBER.findall(SAID[name])
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("results/", "stored in", "Next: "))]
    again = NUMBER.findall("\n".join(lines))
    assert len(again) == len(kept)
    for old, new in zip(kept, again, strict=True):
        whole = "." not in old and "e" not in old
        assert abs(value(new) - value(old)) <= max(2 * place(old), AGAIN[name] * whole), (old, new)

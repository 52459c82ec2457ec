"""Laws of surfaces of any model on the command line, in stores, and after a kill."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import landscape as ls
from landscape import cli, store

MINE = """
import os
import jax.numpy as jnp, numpy as np
import landscape as ls

def predict(params, x):
    return jnp.tanh(x @ params["w"]) @ params["v"]

def timed(params, x):
    return jnp.cumsum(jnp.tanh(x @ params["w"])[:, :, :3], 1)

def tree(seed):
    draw = np.random.default_rng(seed).normal
    return {"w": draw(size=(4, 6)).astype("f4"), "v": draw(size=(6, 3)).astype("f4")}

def data(*time):
    return np.random.default_rng(9).normal(size=(30, *time, 4)).astype("f4"), np.arange(30) % 3

def digits():
    return tree(0), {"a": tree(1), "b": tree(2)}, ls.Risk(predict, data(), batch=16)

def recurrent():
    return tree(0), {"a": tree(1)}, ls.Risk(timed, data(5), batch=16, lengths=[1, 5])

def broken():
    return tree(3)["u"]

def short():
    return tree(0), 3

deadly, calls = 0, []

def stream():
    calls.append(1)
    if deadly and len(calls) == deadly:
        os.kill(os.getpid(), 9)
    x, y = data()
    for k in range(0, 30, 7):
        yield x[k : k + 7], y[k : k + 7]

def streamed():
    return tree(0), {"a": tree(1), "b": tree(2)}, ls.Risk(predict, stream, batch=16)
"""
RANGES = ("a=-1:1:11", "b=-1:1:12")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of one's own, and the store that a command made of it."""
    folder = tmp_path_factory.mktemp("risk")
    (folder / "mine.py").write_text(MINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["surface", "mine.py:digits", *RANGES, "--order", "2", "--out", "digits.zarr"]) == 0
    return folder


@pytest.fixture(autouse=True)
def _inside(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)


def test_a_command_computes_what_python_does() -> None:
    from landscape import names

    params, directions, risk = names.model("mine.py:digits")
    plane = ls.span(params, directions, a=np.linspace(-1, 1, 11), b=np.linspace(-1, 1, 12))
    expected, found = ls.surface(plane, risk, order=2), store.open_surface("digits.zarr")
    assert list(found.data_vars) == list(expected.data_vars)
    for name in expected.data_vars:
        np.testing.assert_array_equal(found[name], expected[name])
    assert found.attrs["title"] == "predict on 30 examples: loss over a, b"


def test_the_same_command_again_computes_nothing_and_other_settings_are_refused(capsys: Any) -> None:
    before = (store.attributes("digits.zarr")["created"], store.runs_of("digits.zarr"))
    assert cli.main(["surface", "mine.py:digits", *RANGES, "--order", "2", "--out", "digits.zarr"]) == 0
    assert before == (store.attributes("digits.zarr")["created"], store.runs_of("digits.zarr"))
    assert cli.main(["surface", "mine.py:digits", *RANGES, "--order", "1", "--out", "digits.zarr"]) == 2
    assert "order: 2 there, 1 asked" in capsys.readouterr().err


def test_show_tells_the_data_and_both_checks_at_the_origin(capsys: Any) -> None:
    assert cli.main(["show", "digits.zarr"]) == 0
    said = capsys.readouterr().out
    for words in (
        "model           predict",
        "data            30 examples, 16 at most at a time",
        "plane           a (displacement) from -1 to 1, 11 values",
        "by another route, difference",
        "d_a, d_b, d_a_a, d_a_b, d_b_b there by reverse mode, largest difference",
    ):
        assert words in said


def test_status_tells_the_blocks_of_a_surface(capsys: Any) -> None:
    assert cli.main(["status", "digits.zarr"]) == 0
    assert "digits.zarr: 3 of 3 blocks are done; complete" in capsys.readouterr().out
    assert cli.main(["status", "digits.zarr", "--csv", "x.csv"]) == 2


@pytest.mark.slow
def test_plot_and_explore_draw_it() -> None:
    for words in (["plot", "digits.zarr"], ["plot", "digits.zarr", "--kind", "surface3d", "--out", "wall.pdf"]):
        assert cli.main(words) == 0
    assert cli.main(["explore", "digits.zarr", "--no-open", "--out", "page.html"]) == 0
    assert Path("digits-formation.png").stat().st_size > 5000 < Path("wall.pdf").stat().st_size
    page = Path("page.html").read_text("utf-8")
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert data["live"] == {"reason": "predict is a model over data, not one unit"}
    assert data["along"] is False
    slopes = [store.open_surface("digits.zarr")[name] for name in ("d_a", "d_b", "d_a_a", "d_a_b", "d_b_b")]
    for packed, expected in zip(data["slopes"], slopes, strict=True):
        values = np.frombuffer(base64.b64decode(packed), "<f4").reshape(11, 12)
        np.testing.assert_array_equal(values, expected)
    assert [axis["name"] for axis in data["axes"]] == ["a", "b"]


def test_a_risk_with_lengths_has_them_unless_others_are_asked() -> None:
    for extra, lengths in ((), [1, 5]), (("--lengths", "2:4"), [2, 3, 4]):
        out = f"l{len(extra)}.zarr"
        assert cli.main(["surface", "mine.py:recurrent", "a=0:1:3", *extra, "--order", "0", "--out", out]) == 0
        np.testing.assert_array_equal(store.open_surface(out)["length"], lengths)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("SRNN a=0:1:3", "SRNN needs a task before the ranges, such as latch; a model of your own"),
        ("mine.py:digits a=0:1:3", r"directions \['a', 'b'\] and axes \['a'\] must have the same names"),
        ("mine.py:digts a=0:1:3", r"no model 'digts' \(did you mean digits\?\) in mine.py"),
        ("mine.py:broken a=0:1:3", "mine.py:broken cannot be called, line 26: KeyError: 'u'"),
        ("mine.py:short a=0:1:3", r"mine.py:short must return \(parameters, directions, risk\), .* it returns tuple"),
        ("mine.py:digits a=0:1:3 --seed 3", "--seed is for a cell and a task; mine.py:digits brings its own"),
        ("mine.py:digits a=0:1:3 --tie x=a,b", "--tie is for a cell and a task"),
        ("mine.py:digits a=0:1:3 b=0:1:3 --lengths 1:4", "lengths up to 4 need answers after as many steps"),
        ("mine.py:digits a=0:1:3 b=0:1:3 --lengths 1:3", r"the objective cannot judge answers of shape \(3,\) .*time"),
    ],
)
def test_a_wrong_command_gets_one_sentence(words: str, sentence: str, capsys: Any) -> None:
    assert cli.main(["surface", *words.split()]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(sentence, said)


def test_cliffs_of_a_surface_without_lengths_are_refused_in_a_sentence(capsys: Any) -> None:
    assert cli.main(["cliffs", "digits.zarr"]) == 2
    assert "the surface has none: it is one picture" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.optimised
def test_after_a_kill_the_same_command_ends_with_the_same_bits() -> None:
    words = ["surface", "mine.py:streamed", *RANGES, "--order", "1", "--out", "killed.zarr"]
    code = f"import sys; from landscape.cli import main; sys.exit(main({words}))"
    text = Path("mine.py").read_text()
    # once to count, once for the program, three times for the origin, then once for each block, one after the other
    Path("mine.py").write_text(text.replace("deadly, calls = 0", "deadly, calls = 8"))
    killed = subprocess.run([sys.executable, "-c", code], env={**os.environ, "NPROC": "1"})
    Path("mine.py").write_text(text)
    assert killed.returncode == -signal.SIGKILL
    done, blocks = store.blocks_done("killed.zarr")
    assert 0 < done < blocks
    assert cli.main(words) == 0
    assert store.attributes("killed.zarr")["resumed_blocks"] == done
    assert cli.main([*words[:-1], "whole.zarr"]) == 0
    found, expected = store.open_surface("killed.zarr"), store.open_surface("whole.zarr")
    for name in expected.data_vars:
        np.testing.assert_array_equal(found[name], expected[name])


def test_a_stream_that_holds_other_data_when_it_is_resumed_is_refused(tmp_path: Path) -> None:
    x, y = np.ones((9, 2), "f4"), np.arange(9) % 2
    plane = ls.span(np.ones((2, 2), "f4"), {"a": np.ones((2, 2), "f4")}, a=np.linspace(0, 1, 99))
    predict = lambda w, x: jnp.tanh(x @ w)  # noqa: E731
    ls.surface(plane, ls.Risk(predict, lambda: [(x, y)]), out=tmp_path / "s.zarr")
    with pytest.raises(store.StoreError, match=r"other settings .*data"):
        ls.surface(plane, ls.Risk(predict, lambda: [(2 * x, y)]), out=tmp_path / "s.zarr")

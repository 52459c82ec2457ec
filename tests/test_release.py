"""A release says one thing everywhere: its version, the Pythons it supports, what changed, which stores it reads."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from landscape import cli, store

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
KEPT = sorted((ROOT / "tests/data").glob("stores_of_*.zip"))


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_the_version_stands_in_one_place_and_citation_and_changelog_follow_it():
    version = PROJECT["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", version)
    assert f"\nversion: {version}\n" in text("CITATION.cff")
    dated = re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", text("CHANGELOG.md"), re.M)
    assert dated[0][0] == version
    assert f"date-released: {dated[0][1]}" in text("CITATION.cff")
    spelt = [path.name for path in (ROOT / "landscape").rglob("*.py") if f'"{version}"' in path.read_text("utf-8")]
    assert spelt == []


def test_the_changelog_keeps_its_form():
    kinds = re.findall(r"^### (.+)$", text("CHANGELOG.md"), re.M)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert text("CHANGELOG.md").index("## [Unreleased]") < text("CHANGELOG.md").index(f"## [{PROJECT['version']}]")


def test_every_python_that_is_promised_is_tried_by_both_workflows():
    promised = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={promised[0]}"
    for name in ("check", "release"):
        matrix = re.findall(r"python: \[(.*)\]", text(f".github/workflows/{name}.yml"))
        assert re.findall(r"[\d.]+", matrix[0]) == promised
    assert f"Python {promised[0]} to {promised[-1]}" in text("CHANGELOG.md")


def test_nothing_is_published_unless_a_person_has_said_so():
    publish = text(".github/workflows/release.yml").partition("\n  publish:\n")[2]
    assert publish.startswith("    if: vars.PUBLISH == 'yes' && ")
    assert "id-token: write" in publish
    assert "password" not in publish


def test_a_report_is_asked_for_what_verify_prints():
    form = text(".github/ISSUE_TEMPLATE/bug.yml")
    assert re.search(r"`landscape verify` print\?.*?required: true", form, re.S)


@pytest.mark.parametrize("archive", KEPT, ids=lambda path: path.stem)
def test_stores_of_every_version_open_and_show(archive, tmp_path, capsys):
    with zipfile.ZipFile(archive) as kept:
        kept.extractall(tmp_path)
    folders = sorted(tmp_path.glob("*.zarr"))
    assert {"surface.zarr", "sweep.zarr", "result.zarr"} <= {folder.name for folder in folders}
    for folder in folders:
        assert cli.main(["show", str(folder)]) == 0
    assert list(store.open_surface(tmp_path / "surface.zarr").loss.dims) == ["length", "w", "b"]
    capsys.readouterr()


def test_the_version_being_released_has_its_stores_kept():
    assert any(PROJECT["version"] in archive.stem for archive in KEPT)


def test_stores_of_this_version_hold_the_numbers_that_it_wrote(tmp_path):
    with zipfile.ZipFile(ROOT / "tests/data/stores_of_0.1.0.zip") as kept:
        kept.extractall(tmp_path)
    assert float(store.open_surface(tmp_path / "surface.zarr").loss.max()) == pytest.approx(1.9998142719268799, abs=0)
    assert float(store.open_surface(tmp_path / "risk.zarr").loss.max()) == 3.0


@pytest.mark.slow
def test_stores_of_every_version_plot(tmp_path):
    for archive in KEPT:
        with zipfile.ZipFile(archive) as kept:
            kept.extractall(tmp_path / archive.stem)
        for name in ("surface", "sweep"):
            assert cli.main(["plot", str(tmp_path / archive.stem / f"{name}.zarr")]) == 0


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_every_verb_and_the_options_of_each(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"\b{verb}\b", said) for verb in cli.VERBS)
    assert "--lengths" in said
    assert "--scheduler" in said


def test_bash_completes_what_is_typed(tmp_path):
    script = tmp_path / "complete"
    with script.open("w") as file:
        subprocess.run([sys.executable, "-m", "landscape", "completion", "bash"], stdout=file, check=True)
    typed = f"source {script}; COMP_WORDS=(landscape surf); COMP_CWORD=1; _tyro_landscape; echo ${{COMPREPLY[@]}}"
    assert subprocess.run(["bash", "-c", typed], capture_output=True, text=True).stdout.strip() == "surface"

"""Laws of what releases of the compiler get wrong."""

import os

import pytest

from landscape import compiler, verify


@pytest.mark.optimised
def test_sums_of_products_of_many_rows_are_right_as_compiled_here() -> None:
    """By jaxlib 0.10.2 without the flag the last of the rows is off by 1 %."""
    assert all(found.passed for found in verify.compiled_sums())


@pytest.mark.parametrize(
    ("version", "given", "after"),
    [
        ("0.10.1", "", ""),
        ("0.10.2", "", f"{compiler.FLAG}=-reduce"),
        ("0.11.0", "--xla_a=1", f"--xla_a=1 {compiler.FLAG}=-reduce"),
        ("0.11.0", f"{compiler.FLAG}=", f"{compiler.FLAG}="),  # what the user has set stays
        ("0.12.0.1", "--xla_a=1", "--xla_a=1"),
    ],
)
def test_releases_that_sum_wrongly_are_told_not_to(
    version: str, given: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    monkeypatch.setenv("XLA_FLAGS", given)
    compiler.avoid_wrong_sums()
    assert os.environ["XLA_FLAGS"] == after

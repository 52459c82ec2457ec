"""Laws of what releases of the compiler get wrong."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from landscape import compiler, devices, verify


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


def test_what_is_compiled_in_haste_is_the_same_to_rounding() -> None:
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    slope = jax.grad(lambda w: jnp.sum(jnp.tanh(x @ w) ** 2))
    in_haste = jax.jit(slope, compiler_options=devices.hasty())(x[:4])
    np.testing.assert_allclose(in_haste, jax.jit(slope)(x[:4]), rtol=1e-5, atol=1e-5)  # sums of twenty in another order

"""The tests' own settings do what they say."""

import jax
import pytest


@jax.jit
def twice(x):
    return 2 * x


@pytest.mark.parametrize("level", ["quick", pytest.param("full", marks=pytest.mark.optimised)])
def test_a_program_of_one_level_of_the_compiler_is_not_used_at_the_other(level, caplog):
    with jax.log_compiles():
        twice(1.0)
    assert "Finished XLA compilation of jit(twice)" in caplog.text, level

"""Strict promotion everywhere: a silent change of rank or dtype is a bug in a surface."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

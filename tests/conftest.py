"""How the tests run JAX: strictly, with a shelf of compiled programs, and most without the compiler's last effort."""

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CACHE = Path(__file__).parents[1] / ".pytest_cache" / "programs"

# Before JAX is imported, and through the environment, so that workers and commands read the same shelf. A rerun of the
# tests compiles nothing that has not changed: a third of the processor time.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax  # noqa: E402
import pytest  # noqa: E402
from chromium import CHROMIUM, Browser  # noqa: E402
from jax._src import compiler  # noqa: E402
from jax._src.interpreters import mlir  # noqa: E402

# Tracing makes many objects and little garbage: looking for cycles every 700 of them takes a sixth of its time.
gc.set_threshold(100_000)

# A silent change of rank or dtype is a bug in a surface.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


LEVEL: dict[str, bool] = {}  # of the test before

BEFORE = jax.version.__version_info__ < (0, 12)

# jaxlib 0.10.2 spends half of a compilation on the newer of its two ways to emit loops; 0.12 has no such choice.
OLDER = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
QUICK = list(OLDER.items()) if BEFORE else []
compile_options = compiler.get_compile_options  # JAX has no public place for options of every program


def quick_unless_optimised(*args: Any, backend: Any, **kwargs: Any) -> Any:
    options = compile_options(*args, backend=backend, **kwargs)
    if backend.platform == "cpu" and not LEVEL.get("full", True):
        options.env_option_overrides = [*options.env_option_overrides, *QUICK]
    return options


compiler.get_compile_options = quick_unless_optimised

new_context = mlir.make_ir_context
CONTEXTS = threading.local()


def context_used_again() -> Any:
    """A context of MLIR for ten lowerings, as from jax 0.12 on: to make one takes 8 ms."""
    CONTEXTS.left = getattr(CONTEXTS, "left", 0) - 1
    if CONTEXTS.left < 0:
        CONTEXTS.one, CONTEXTS.left = new_context(), 9
    return CONTEXTS.one


if BEFORE:
    mlir.make_ir_context = context_used_again


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Compile with little effort, in two thirds of the time, unless the test is `optimised`.

    A law with a tolerance holds for either program. A law of bits must be seen where the compiler unrolls and
    vectorises, as it does for users. On disk the level is part of the key of a program, but not in memory, where JAX
    would use a program at whichever level it was made: a switch that changes nothing on a CPU and is part of that key
    keeps the two apart.
    """
    full = item.get_closest_marker("optimised") is not None
    if LEVEL.get("full") is not full:
        LEVEL["full"] = full
        jax.config.update("jax_threefry_gpu_kernel_lowering", full)
        jax.config.update("jax_disable_most_optimizations", not full)
        jax.config.update("jax_optimization_level", "UNKNOWN" if full else "O0")


def pytest_collection_finish() -> None:
    """What was imported is no garbage: not to be looked through again and again."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """One look for cycles, which pytest takes twice, at more than a second each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The one browser of the session."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine; Debian's package chromium has one")
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()

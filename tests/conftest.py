"""How the tests run JAX: strictly, with a shelf of compiled programs, and most without the compiler's last effort."""

import gc
import os
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

# Tracing makes many objects and little garbage: looking for cycles every 700 of them takes a sixth of its time.
gc.set_threshold(100_000)

# A silent change of rank or dtype is a bug in a surface.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


LEVEL: dict[str, bool] = {}  # of the test before

# jaxlib 0.10.2 spends half of a compilation on the newer of its two ways to emit loops; 0.12 has no such choice.
OLDER = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
QUICK = list(OLDER.items()) if jax.version.__version_info__ < (0, 12) else []
compile_options = compiler.get_compile_options  # JAX has no public place for options of every program


def quick_unless_optimised(*args: Any, backend: Any, **kwargs: Any) -> Any:
    options = compile_options(*args, backend=backend, **kwargs)
    if backend.platform == "cpu" and not LEVEL.get("full", True):
        options.env_option_overrides = [*options.env_option_overrides, *QUICK]
    return options


compiler.get_compile_options = quick_unless_optimised


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Compile with little effort, in two thirds of the time, unless the test is `optimised`.

    A law with a tolerance holds for either program. A law of bits must be seen where the compiler unrolls and
    vectorises, as it does for users. On disk the level is part of the key of a program; those in memory are
    dropped when it changes, since they are used at whichever level they were made.
    """
    full = item.get_closest_marker("optimised") is not None
    if LEVEL.get("full", full) is not full:
        jax.clear_caches()
    LEVEL["full"] = full
    jax.config.update("jax_disable_most_optimizations", not full)
    jax.config.update("jax_optimization_level", "UNKNOWN" if full else "O0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The `optimised` tests of a file come last, so that programs in memory are dropped once a file."""
    items.sort(key=lambda item: (str(item.path), item.get_closest_marker("optimised") is not None))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The one browser of the session."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine; Debian's package chromium has one")
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()

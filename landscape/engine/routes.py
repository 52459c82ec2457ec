"""The program that computes a problem: one launch where there is a GPU and it can be written so, else a scan."""

import contextlib
import contextvars
import os
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
from jaxtyping import PyTree

from landscape.blocks import Json
from landscape.engine.problem import Problem
from landscape.kernels.lanes import Unfusable
from landscape.planes import Affine
from landscape.tree import outline

ROUTES = ("fused", "scan")
SETTING = "LANDSCAPE_ROUTE"  # an environment variable, so that workers follow the command that started them

_spilt: set[tuple] = set()  # kernels that spill registers, with the outline of what they were compiled for
_here: contextvars.ContextVar[str] = contextvars.ContextVar("route", default="")


class Route(NamedTuple):
    """The kernel that computes a problem, and why it is not the fused one; nothing if it is."""

    kernel: Callable
    why: str = ""

    @property
    def fused(self) -> bool:
        return not self.why

    @property
    def options(self) -> dict[str, Json]:
        """What `jax.jit` compiles the kernel with."""
        return getattr(self.kernel, "options", {})


def interpreted() -> contextlib.AbstractContextManager[None]:
    """Within it kernels are taken on any machine, computed by Pallas' interpreter: slow, and the same arithmetic."""
    return _taken("interpreted")


def scanned() -> contextlib.AbstractContextManager[None]:
    """Within it nothing is fused."""
    return _taken("scan")


@contextlib.contextmanager
def _taken(route: str) -> Iterator[None]:
    token = _here.set(route)
    try:
        yield
    finally:
        _here.reset(token)


def interpreting() -> bool:
    """Whether kernels are computed by Pallas' interpreter."""
    return _here.get() == "interpreted"


def turn(route: str) -> None:
    """Take ``route`` from now on, here and in the processes started from here; ValueError for none of `ROUTES`."""
    if route not in ROUTES:
        raise ValueError(f"a route is one of {', '.join(ROUTES)}; given {route!r}")
    os.environ[SETTING] = route


def hindrance() -> str:
    """Why no problem at all is fused here, in one sentence; nothing if there is no such reason."""
    asked, backend = os.environ.get(SETTING, ROUTES[0]), jax.default_backend()
    if asked not in ROUTES:
        raise ValueError(f"{SETTING} must be one of {', '.join(ROUTES)}; given {asked!r}")
    if "scan" in (asked, _here.get()):
        return "kernels are turned off by --route scan"
    if interpreting() or backend == "gpu":
        return ""
    if backend == "tpu":
        return "kernels have never run on a TPU, where the scan is used"
    return "no accelerator was found, and on a CPU the scan is the fast route"


def choose(problem: Problem, affine: Affine) -> Route:
    """The route of a problem on the models of ``affine``."""
    if why := hindrance():
        return Route(problem.kernel, why)
    try:
        route = Route(problem.fused(affine, interpreting()))
    except Unfusable as reason:
        return Route(problem.kernel, str(reason))
    while route.options and (route.kernel, outline((affine, problem.data))) in _spilt:
        route = Route(route.kernel.lighter)  # type: ignore[attr-defined]
    return route


def lighter(route: Route, affine: Affine, data: PyTree) -> Route:
    """What to compile instead of a kernel that spills registers, from now on for all arguments of these shapes.

    To be refused takes a second or two, so no file remembers it.
    """
    _spilt.add((route.kernel, outline((affine, data))))
    return Route(route.kernel.lighter)  # type: ignore[attr-defined]


def failed(problem: Problem, error: Exception) -> Route:
    """The plain route of a problem whose kernel was refused by the compiler of this machine, with one warning."""
    return Route(problem.kernel, warned(error))


def warned(error: Exception) -> str:
    """Why a kernel failed here, in one sentence, which is said as a warning."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    why = f"the fused kernel failed here: {type(error).__name__}: {lines[0]:.200}"
    warnings.warn(f"{why}; the scan computes instead", RuntimeWarning, stacklevel=3)
    return why

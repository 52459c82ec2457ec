"""Loss landscapes of recurrent cells: exact surfaces of loss, gradient and Hessian at every sequence length.

Names stand in the stub beside this file and are imported when they are first used: ``import landscape`` costs nothing.
"""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import lazy_loader

from landscape.compiler import avoid_wrong_sums

avoid_wrong_sums()
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Waiting:
    """Gives surfaces their accessor once somebody imports xarray: importing it here would take a second."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "xarray":
            return None
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _followed(spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _followed(run: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    """Run a module, and then the accessor, which registers itself with it."""

    def both(module: ModuleType) -> None:
        run(module)
        importlib.import_module("landscape.accessor")

    return both


if "xarray" in sys.modules:
    importlib.import_module("landscape.accessor")
else:
    sys.meta_path.insert(0, _Waiting())  # type: ignore[arg-type]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("rnn-landscape")
    if name not in __all__:
        raise AttributeError(f"module 'landscape' has no attribute {name!r}; it has {', '.join(__all__)}")
    return _load(name)

"""Loss landscapes of recurrent cells: exact surfaces of loss, gradient and Hessian at every sequence length.

Names stand in the stub beside this file and are imported when they are first used: ``import landscape`` costs nothing.
"""

import importlib
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("rnn-landscape")
    if name not in __all__:
        raise AttributeError(f"module 'landscape' has no attribute {name!r}; it has {', '.join(__all__)}")
    return _load(name)

"""Loss landscapes of recurrent cells: exact surfaces of loss, gradient and Hessian at every sequence length.

Names are imported when they are first used, so that ``import landscape`` costs nothing.
"""

import importlib
from typing import Any

_HOMES = {
    "cells": ("Cell", "State", "SRNN", "IRNN", "GRU", "LSTM"),
    "losses": ("squared_error", "cross_entropy"),
    "models": ("RNN", "Dense", "run"),
    "engine": ("Evaluator", "Problem"),
    "function": ("Function",),
    "planes": ("Plane", "plane", "span"),
    "progress": ("bar",),
    "store": ("StoreError", "open_surface"),
    "recurrence": ("Recurrence",),
    "surfaces": ("surface", "values"),
    "tasks": ("Episode", "Task", "latch", "relay", "reach"),
    "tree": ("dot", "param", "pytree", "static"),
}
_NAMES = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_NAMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("rnn-landscape")
    if name in _NAMES:
        return getattr(importlib.import_module(f"landscape.{_NAMES[name]}"), name)
    try:
        return importlib.import_module(f"landscape.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"landscape.{name}":
            raise
    raise AttributeError(f"module 'landscape' has no attribute {name!r}; it has {', '.join(sorted(__all__))}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_HOMES})

"""Libraries that only some uses need, or only the end of all: when they are imported, and what is said without them."""

import importlib
from types import ModuleType


def needed(module: str, extra: str, use: str) -> ModuleType:
    """The module of that name; ModuleNotFoundError says what for, ``use``, and which extra of ours brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        library = module.partition(".")[0]
        raise ModuleNotFoundError(
            f"{use} by {library}, which is missing: pip install 'rnn-landscape[{extra}]'"
        ) from error


def import_xarray() -> None:
    """Import what results come as, and what it imports when first used: half a second, for beside a compiler."""
    importlib.import_module("xarray").Variable("row", [0])

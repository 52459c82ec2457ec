"""Libraries that only some uses need: imported when used, and asked for in one sentence where they are missing."""

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

"""Results of different settings are never mixed."""

import json
from pathlib import Path
from typing import Any

from landscape.store.folders import StoreError


def same_settings(path: Path | str, old: dict[str, Any], new: dict[str, Any], what: str = "result") -> None:
    """StoreError unless what a store holds is a function of the settings asked for."""
    if old != new:
        raise StoreError(
            f"{path} holds a {what} of other settings ({'; '.join(differences(old, new))}); "
            "give another path, or remove that one"
        )


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Settings that differ, as ``seed: 0 there, 1 asked``; of nested settings, only the part that differs."""
    found = []
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += [f"{key}.{inner}" for inner in differences(before, after)]
        elif before != after:
            found.append(f"{key}: {_short(before)} there, {_short(after)} asked")
    return found


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) < 80 else text[:40] + " ... " + text[-20:]

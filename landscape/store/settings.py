"""Results of different settings are never mixed."""

import json
from pathlib import Path

from landscape.blocks import Json
from landscape.store.folders import StoreError


def same_settings(path: Path | str, old: dict[str, Json], new: dict[str, Json], what: str = "result") -> None:
    """StoreError unless what a store holds is a function of the settings asked for."""
    if old != new:
        raise StoreError(
            f"{path} holds a {what} of other settings ({'; '.join(differences(old, new))}); "
            "give another path, or remove that one"
        )


def differences(old: dict[str, Json], new: dict[str, Json]) -> list[str]:
    """Settings that differ, as ``seed: 0 there, 1 asked``; of nested settings, only the part that differs."""
    found = []
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += [f"{key}.{inner}" for inner in differences(before, after)]
        elif before != after:
            found.append(f"{key}: {_short(before)} there, {_short(after)} asked")
    return found


def _short(value: Json) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) < 80 else text[:40] + " ... " + text[-20:]

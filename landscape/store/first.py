"""Stores of the first format: they are read, and not written any more."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.blocks import Blocking, Json
from landscape.store.folders import ZarrGroup

if TYPE_CHECKING:
    from jaxtyping import Float

SURFACE, SWEEP = "landscape surface 1", "landscape sweep 1"


def record(path: Path, group: ZarrGroup) -> "Float[np.ndarray, 'block column']":
    """Records (block, column): state, started, finished; a surface kept the state alone."""
    if group.attrs["format"] == SWEEP:
        return np.asarray(group["chunks/record"][:])
    found, folder = np.zeros((group["blocks/done"].shape[0], 3)), path / "blocks" / "done" / "c"
    if folder.exists():
        with os.scandir(folder) as entries:
            found[[int(e.name) for e in entries if e.name.isdecimal() and e.stat().st_size > 0], 0] = 1
    return found


def lost(path: Path, group: ZarrGroup) -> int:
    """Blocks of a surface that are not done, or lack a file."""
    variables = group["blocks"].attrs["variables"]
    array = group[variables[0]]
    blocking = Blocking(array.shape[1:], array.chunks[1:])
    done = record(path, group)[:, 0] == 1

    def there(index: int) -> bool:
        files = [Path(path, name, "c", "0", *map(str, blocking.where(index))) for name in variables]
        return all(file.exists() and file.stat().st_size > 0 for file in files)

    return sum(not (done[index] and there(index)) for index in range(blocking.number))


def wrong(group: ZarrGroup, settings: dict[str, Json]) -> list[str]:
    """Coordinates of a surface that are not those of its settings; they had no checksum."""
    found = [
        f"{name} is not what was written"
        for name, axis in settings["axes"].items()
        if _digest(group[name][...]) != axis["sha256"]
    ]
    lengths = list(group["length"][...]) == settings["lengths"]
    return found + ([] if lengths else ["length is not what was written"])


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(np.asarray(values, np.float64)).tobytes()).hexdigest()[:16]

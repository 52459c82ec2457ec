"""What a store knows of its blocks: a record for each, written after its data, and the runs that wrote them.

The record of a block is a row of numbers (`COLUMNS`, then how many values of each variable are not finite) in an array
of its own chunk, so that writing it is one step. A run is one process that added blocks; what it ran on stands in a
small file beside the records.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

from landscape.blocks import Json
from landscape.store import folders
from landscape.store.folders import ZarrGroup

if TYPE_CHECKING:
    from jaxtyping import Float

LEFT, DONE, FAILED = 0, 1, 2
COLUMNS = ("state", "started", "finished", "run")
FOLDER = Path("blocks", "record")


def build(blocks: ZarrGroup, count: int, variables: int) -> None:
    """The empty array of records in the zarr group ``blocks``."""
    from zarr.codecs import Crc32cCodec

    width = len(COLUMNS) + variables
    blocks.create_array(
        "record",
        shape=(count, width),
        chunks=(1, width),
        dtype="float64",
        fill_value=0,
        compressors=[Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "."},
        attributes={"columns": [*COLUMNS, *(f"nonfinite {i}" for i in range(variables))]},
    )


def read(path: Path, shape: tuple[int, int]) -> "Float[np.ndarray, 'block column']":
    """Records (block, column) of the store ``path``; a damaged one is 0, since its block is computed again.

    Read without zarr, which takes ten times as long.
    """
    found, folder = np.zeros(shape), path / FOLDER
    if folder.exists():
        with os.scandir(folder) as entries:
            for entry in entries:
                key = entry.name.removeprefix("c.").removesuffix(".0")
                if key.isdecimal() and int(key) < shape[0]:
                    found[int(key)] = row(path, int(key), shape[1])
    return found


def row(path: Path, index: int, width: int) -> "Float[np.ndarray, 'column']":
    """The record of one block."""
    try:
        data = (path / FOLDER / f"c.{index}.0").read_bytes()
    except FileNotFoundError:
        return np.zeros(width)
    return np.frombuffer(data[:-4], "<f8") if len(data) == 8 * width + 4 and checked(data) else np.zeros(width)


def checked(data: bytes) -> bool:
    """Whether the bytes of a chunk end with their checksum, as the codec crc32c of zarr writes it."""
    return len(data) > 4 and google_crc32c.value(data[:-4]) == int.from_bytes(data[-4:], "little")


def put(file: Path, data: bytes) -> int:
    """Write the bytes of a chunk with their checksum, whole or not at all; how many there are then."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sealed = data + google_crc32c.value(data).to_bytes(4, "little")
    folders.put(file, sealed)
    return len(sealed)


def write(path: Path, index: int, values: Sequence[float]) -> None:
    """Write the record of one block of the store ``path``, as zarr would."""
    put(path / FOLDER / f"c.{index}.0", np.asarray(values, "<f8").tobytes())


def intact(files: list[Path]) -> bool:
    """Whether all chunk files are there, each as it was written."""
    try:
        return all(checked(file.read_bytes()) for file in files)
    except OSError:
        return False


def register(path: Path, run: int) -> None:
    """Write down what the process that writes as ``run`` runs on."""
    from landscape import provenance

    folder = path / FOLDER / "runs"
    folder.mkdir(exist_ok=True)
    folders.put(folder / f"{run}.json", json.dumps({**provenance.here(), "began": round(time.time(), 3)}).encode())


def runs(path: Path, record: "Float[np.ndarray, 'block column']") -> list[dict[str, Json]]:
    """Every run that added to the store, with the number of its ``blocks``; equal ones as one, the first first."""
    known = {}
    for file in (path / FOLDER / "runs").glob("*.json"):
        known[int(file.stem)] = json.loads(file.read_text())
    found: dict[str, dict[str, Json]] = {}
    for run in sorted(known, key=lambda run: known[run]["began"]):
        place = {key: text for key, text in known[run].items() if key != "began"}
        blocks = int(np.count_nonzero((record[:, 3] == run) & (record[:, 0] == DONE)))
        entry = found.setdefault(json.dumps(place, sort_keys=True), {**place, "blocks": 0})
        entry["blocks"] += blocks
    return [entry for entry in found.values() if entry["blocks"]]

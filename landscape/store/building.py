"""New stores and old ones taken up again: staged, locked, of the same settings, with room on the disk."""

import contextlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.blocks import SURFACE, Blocking, Json
from landscape.store import groups, reading, records
from landscape.store.arrays import add_array, empty_array, seal
from landscape.store.folders import FRESH, StoreError, ZarrGroup, appearing, lock, real, sweep, sweep_inside
from landscape.store.writer import BlockWriter

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def create(
    path: Path | str,
    leading: "Mapping[str, Shaped[np.ndarray, 'row']]",
    coordinates: "Mapping[str, Float[np.ndarray, 'point']]",
    variables: Mapping[str, str],
    block: Sequence[int],
    settings: Mapping[str, Json],
    shared: bool = False,
) -> BlockWriter:
    """The writer of a store at ``path``: a new one, or the one there if its settings are the same.

    ``leading`` dimensions come first in every variable and are whole inside each chunk; ``coordinates`` are cut into
    blocks of ``block`` points. ``variables`` maps names to dtypes. Raises StoreError as `begin` does.
    """
    dims = {**leading, **coordinates}
    first = tuple(map(len, leading.values()))

    def build(group: ZarrGroup) -> None:
        for name, values in dims.items():
            add_array(group, name, [name], values)
        for name, dtype in variables.items():
            empty_array(group, name, list(dims), tuple(map(len, dims.values())), (*first, *block), dtype)
        seal(group, list(dims))

    blocking = Blocking(tuple(map(len, coordinates.values())), tuple(block))
    about = {"variables": list(variables), "leading": len(first), "under": ""}
    writer = begin(path, blocking, settings, SURFACE, build, about, shared)
    marks = json.loads(writer.group.attrs["marks"])
    if other := [name for name, values in dims.items() if marks[name] != reading.mark(values)]:
        writer.held.close()
        raise StoreError(f"{path} holds other values of {', '.join(other)}; give another path, or remove that one")
    return writer


def begin(
    path: Path | str,
    blocking: Blocking,
    settings: Mapping[str, Json],
    written: str,
    build: Callable[[ZarrGroup], None],
    about: Mapping[str, Json],
    shared: bool = False,
) -> BlockWriter:
    """The writer of a store of the format ``written`` that ``build`` fills with empty arrays, if it is not there yet.

    ``about`` are attributes of its blocks: ``variables`` whose non-finite values are counted, how many dimensions are
    ``leading``, and the group that the arrays are ``under``. Only writers that all are ``shared`` may work on a store
    at one time. Raises StoreError, and leaves what is there alone, for anything else at ``path``, a writer at work on
    it, or too little room.
    """
    where = real(path)
    if not where.exists() or (where.is_dir() and not any(where.iterdir())):
        try:
            _build(where, blocking, settings, written, build, about)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}; nothing of it is there") from error
    sweep(where)
    writer = _locked(where, Path(path), written, shared)
    try:
        writer.check(settings, written)
        writer.check_room()
    except BaseException:
        writer.held.close()
        raise
    return writer


def _build(
    path: Path, blocking: Blocking, settings: Mapping, written: str, build: Callable, about: Mapping[str, Json]
) -> None:
    """An empty store at ``path``, made in memory, where zarr waits for no file, in half of the time."""
    import zarr

    made: dict[str, Any] = {}
    state = {"format": written, "settings": json.dumps(settings), "complete": False, "token": uuid.uuid4().hex}
    group = zarr.create_group(zarr.storage.MemoryStore(made), zarr_format=3, attributes=state)
    shape = {"shape": list(blocking.shape), "block": list(blocking.block)}
    blocks = group.create_group("blocks", attributes={**shape, **about})
    records.build(blocks, blocking.number, len(about["variables"]))
    build(group)
    with appearing(path) as partial:
        for key, data in made.items():
            file = partial / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data.to_bytes())


def _locked(path: Path, given: Path, written: str, shared: bool) -> BlockWriter:
    """The writer of the store at ``path`` with its lock, and nothing in it that killed writers left."""
    here, kind = groups.kind(path), groups.KINDS[written]
    if here != kind:
        raise StoreError(f"{given} holds a {here}, not a {kind}; give another path")
    with contextlib.ExitStack() as guard:
        if not guard.enter_context(lock(path, shared)):
            raise StoreError(f"{given} is being written by another process; wait for it, or give another path")
        sweep_inside(path, FRESH if shared else 0.0)
        writer = BlockWriter(path, shared)
        writer.held = guard.pop_all()
    return writer

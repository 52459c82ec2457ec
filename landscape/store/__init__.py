"""Results on disk: labelled arrays filled block by block, complete or resumable, never mixed, never half read."""

from landscape.blocks import SURFACE, Progress
from landscape.store.building import begin, create
from landscape.store.folders import StoreError
from landscape.store.groups import (
    RESULT,
    SWEEP,
    arrays_of,
    attributes,
    blocks_done,
    kind,
    record_of,
    runs_of,
    sense,
)
from landscape.store.growing import Recorder
from landscape.store.reading import damage, missing, open_arrays, open_surface
from landscape.store.results import find, keep, kept, save
from landscape.store.settings import differences
from landscape.store.writer import BlockWriter

__all__ = [
    "RESULT",
    "SURFACE",
    "SWEEP",
    "BlockWriter",
    "Progress",
    "Recorder",
    "StoreError",
    "arrays_of",
    "attributes",
    "begin",
    "blocks_done",
    "create",
    "damage",
    "differences",
    "find",
    "keep",
    "kept",
    "kind",
    "missing",
    "open_arrays",
    "open_surface",
    "record_of",
    "runs_of",
    "save",
    "sense",
]

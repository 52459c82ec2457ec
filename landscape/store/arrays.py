"""Arrays of a store: labelled, compressed without loss, each chunk with a checksum."""

import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from landscape.blocks import Json
from landscape.store import folders, reading, records
from landscape.store.folders import ZarrArray, ZarrGroup

if TYPE_CHECKING:
    from jaxtyping import Shaped


def codecs(dtype: DTypeLike) -> list:
    """How numbers or text are kept: compressed without loss, then a checksum, which every read compares."""
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

    blosc = BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")
    return [ZstdCodec(level=1) if np.dtype(dtype).kind == "O" else blosc, Crc32cCodec()]


def put(array: ZarrArray, region: tuple, file: Path, values: "Shaped[np.ndarray, '...']") -> int:
    """Write ``values`` into a region of an array that is one chunk, in ``file``; how many bytes that takes on disk.

    Numbers are written as `codecs` has it without zarr, byte for byte what that writes, in a tenth of its time.
    """
    from numcodecs.blosc import SHUFFLE, Blosc

    if array.dtype.kind not in "biufc":
        array[region] = values
        return file.stat().st_size
    chunk = np.full(array.chunks, array.fill_value, array.dtype)
    chunk[tuple(map(slice, values.shape))] = values
    return records.put(file, Blosc("zstd", 1, SHUFFLE).encode(chunk))


def empty_array(
    group: ZarrGroup,
    name: str,
    dims: Sequence[str],
    shape: Sequence[int],
    chunks: Sequence[int],
    dtype: DTypeLike,
    attrs: Mapping[str, Json] | None = None,
    fill: float | None = None,
) -> ZarrArray:
    """A new array of a group in which nothing is written yet, which reads as NaN, empty text or 0, or as ``fill``."""
    dtype = np.dtype(dtype)
    absent = fill if fill is not None else "" if dtype.kind == "O" else math.nan if dtype.kind in "fc" else 0
    return group.create_array(
        name,
        shape=tuple(shape),
        chunks=tuple(max(1, n) for n in chunks),
        dtype=str if dtype.kind == "O" else dtype,
        fill_value=absent,
        dimension_names=list(dims),
        compressors=codecs(dtype),
        attributes=attrs or {},
    )


def add_array(
    group: ZarrGroup,
    name: str,
    dims: Sequence[str],
    values: "Shaped[np.ndarray, '...'] | Sequence[float]",
    attrs: Mapping[str, Json] | None = None,
) -> None:
    """A new array of a group that holds ``values`` in one chunk."""
    values = np.asarray(values)
    array = empty_array(group, name, dims, values.shape, values.shape, values.dtype, attrs)
    if values.size:
        array[...] = values


def relabel(array: Path, attributes: Mapping[str, Json]) -> None:
    """Add attributes to the array in the folder ``array``, as zarr would, in a tenth of its time."""
    file = array / "zarr.json"
    about = json.loads(file.read_bytes())
    about["attributes"] |= attributes
    folders.put(file, json.dumps(about, indent=2, allow_nan=False).encode())


def seal(group: ZarrGroup, coordinates: Iterable[str]) -> None:
    """Write down the layout of every array of a group, and what its coordinates hold, so that damage is noticed."""
    marks = {name: reading.mark(group[name][...]) for name in coordinates}
    group.update_attributes({"arrays": json.dumps(reading.layout(group)), "marks": json.dumps(marks)})


def consolidate(path: Path) -> ZarrGroup:
    """The group at ``path`` with the metadata of its arrays gathered in it, where `xarray.open_zarr` looks first."""
    import zarr

    with warnings.catch_warnings():  # zarr warns that this is not in the specification; readers may ignore it
        warnings.filterwarnings("ignore", "Consolidated metadata", category=UserWarning)
        return zarr.consolidate_metadata(path, zarr_format=3)

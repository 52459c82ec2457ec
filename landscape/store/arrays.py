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
from landscape.store import reading
from landscape.store.folders import ZarrArray, ZarrGroup

if TYPE_CHECKING:
    from jaxtyping import Shaped


def codecs(dtype: DTypeLike) -> list:
    """How numbers or text are kept: compressed without loss, then a checksum, which every read compares."""
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

    blosc = BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")
    return [ZstdCodec(level=1) if np.dtype(dtype).kind == "O" else blosc, Crc32cCodec()]


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

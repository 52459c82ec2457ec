"""Arrays in the idx format of MNIST's files."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

KINDS = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx(path: Path | str) -> Shaped[np.ndarray, "..."]:
    """The array of an idx file, also of one packed by gzip (``.gz``), such as ``train-images-idx3-ubyte.gz``.

    Two zero bytes, a byte for the type, one for the number of axes, the length of each axis as a big-endian 32-bit
    number, then the values, the last axis fastest. Raises ValueError for a file that is none, or is cut short.
    """
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} begins as a gzip file and cannot be unpacked: {error}") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in KINDS:
        raise ValueError(f"{path} is no idx file: it begins with {raw[:4].hex(' ')}, not with 00 00, a type and axes")
    kind, axes = np.dtype(KINDS[raw[2]]), raw[3]
    shape = tuple(np.frombuffer(raw, ">u4", min(axes, (len(raw) - 4) // 4), 4).tolist())
    body = raw[4 + 4 * axes :]
    if len(shape) != axes or len(body) != math.prod(shape) * kind.itemsize:
        raise ValueError(
            f"{path} promises {shape} values of {kind.itemsize} bytes and holds {len(body)} bytes; copy it again"
        )
    return np.frombuffer(body, kind).reshape(shape).astype(kind.newbyteorder("="))

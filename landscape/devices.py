"""What runs where: tiles that stay in cache, blocks that fit in memory, one thread per core, blocks over devices."""

import ctypes
import functools
import math
import os
import platform

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Int, PyTree, Shaped

from landscape.blocks import Json

TILE = 16384  # episodes x points computed together: on a CPU their state and tangents stay in the second-level cache
SMALLEST_TILE = 64
COARSE = 4096  # points up to which rounding up to a power of two costs less than another program
TURN = 4  # steps of a loop in one turn on an accelerator: a quarter of the launches; 8 of an LSTM compile for minutes
BLOCK_BYTES = 2**25  # results of one block in memory at a time, per thread
BLOCK_POINTS = 2**20  # a launch of fewer leaves a GPU idle
FREED_BYTES = 2**28  # what the process keeps of memory that blocks have freed, for the next ones
MOMENT = 10**8  # weights x steps that take a moment: an SRNN's 30 ms of a core, gradient included
BLOCK_STEPS = 2**32  # a block takes seconds, so that an estimate comes early and little is lost when a job stops


def count() -> int:
    """Number of devices that JAX offers here."""
    return jax.local_device_count()


@functools.cache
def mesh() -> jax.sharding.Mesh | None:
    """All devices of this process along one axis, or None where there is only one."""
    if count() == 1:
        return None
    own = jax.local_devices()  # not those of other processes, which may be gone
    return jax.make_mesh((len(own),), ("point",), axis_types=(jax.sharding.AxisType.Auto,), devices=own)


def local(index: int) -> jax.Device:
    """The device that block ``index`` is computed on: each in turn."""
    every = jax.local_devices()
    return every[index % len(every)]


def refuse(dtype: str) -> None:
    """ValueError for a dtype that the devices here do not compute in."""
    if dtype == "float64" and jax.default_backend() == "tpu":
        raise ValueError("a TPU does not compute in float64; ask for float32, or set JAX_PLATFORMS=cpu")


def short(error: Exception) -> bool:
    """Whether an error says that the memory of a device was too small."""
    return "RESOURCE_EXHAUSTED" in str(error)


def spilt(error: Exception) -> bool:
    """Whether an error says that a kernel does not stay in the registers of a GPU, or that nobody can be asked."""
    said = "register spilling", "Register allocation failed", "No such compile option"
    return any(words in str(error) for words in said)


def turn(length: Int[ArrayLike, ""] | int) -> int:
    """Steps in one turn of a loop of ``length``: `TURN` on an accelerator, if that is known when it is compiled.

    For steps of a few numbers, which a compiler joins: compiled for an H200, training of one unit by the scan takes two
    launches a turn, of 1 step or of 4, in 11 and 14 s for an LSTM (of 8: 305 s, and 8 launches). Products of a layer
    stay launches of their own: 13 a step became 12, in twice the time.
    """
    return TURN if isinstance(length, int) and jax.default_backend() != "cpu" else 1


def packs() -> bool:
    """Whether what a step of a layer keeps is one array: on an accelerator each array that it writes is a launch.

    Compiled for an H200, a step of a GRU takes 7 launches ahead and 11 back, where it took 21 and 13. On a CPU numbers
    would be copied once more: an LSTM took 1.2 times as long.
    """
    return jax.default_backend() != "cpu"


def threads() -> int:
    """Blocks in flight on a device: one a core on a CPU, else two, so that one copies while the other computes."""
    return max(1, cores() // count()) if jax.default_backend() == "cpu" else 2


def effort(level: int) -> dict[str, Json]:
    """What `jax.jit` compiles with on a CPU to spend less on it, from 3, its own, to 0; elsewhere as it would."""
    return {"xla_backend_optimization_level": level} if jax.default_backend() == "cpu" else {}


def hasty(level: int = 1) -> dict[str, Json]:
    """What `jax.jit` compiles with on a CPU where each program is used once or twice: in three fifths of the time.

    Layers of 16 units, gradient included: 1.7 s instead of 3.1 for an LSTM, 1.5 instead of 2.5 for a GRU, and runs that
    take a fifth longer (processor time, beside other work, jax 0.10.2). ``level`` is that of `effort`: 0 takes half of
    the time again, for what runs but for a moment. From jax 0.12 on it is `effort` alone.
    """
    older = (
        {"xla_cpu_use_fusion_emitters": False} if jax.version.__version_info__ < (0, 12) else {}
    )  # then only one way
    return effort(level) | older if jax.default_backend() == "cpu" else {}


def cores() -> int:
    """Cores this process may use: NPROC, which XLA reads too, so that workers can share a machine; else all."""
    if os.environ.get("NPROC", "").isdecimal():
        return int(os.environ["NPROC"])
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def keep_freed() -> None:
    """Let glibc keep memory that blocks free, up to `FREED_BYTES`, unless the user's MALLOC_TRIM_THRESHOLD_ says more.

    It would give arrays of a megabyte back at once and ask for them again page by page: 2,300 faults and a tenth of
    the time of a surface of 128 x 128 points.
    """
    if platform.libc_ver()[0] == "glibc" and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        libc, trim, own_pages = ctypes.CDLL(None), -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
        libc.mallopt(trim, FREED_BYTES)
        libc.mallopt(own_pages, BLOCK_BYTES)


def memory() -> int | None:
    """Bytes that one device may hold, None where it does not say, as a CPU."""
    told = jax.local_devices()[0].memory_stats() or {}
    return told.get("bytes_limit")


def fetched(tree: PyTree[Shaped[Array, "..."]]) -> PyTree[Shaped[np.ndarray, "..."]]:
    """Arrays of a device in the memory of its host; those of an accelerator in pages that it writes by itself.

    Into any others its driver copies piece by piece, by way of such pages: never timed here, `landscape bench` does.
    """
    pinned = jax.default_backend() != "cpu" and all("pinned_host" in _kinds(leaf) for leaf in jax.tree.leaves(tree))
    if pinned:
        tree = jax.device_put(tree, jax.tree.map(lambda leaf: leaf.sharding.with_memory_kind("pinned_host"), tree))
    return jax.device_get(tree)


def _kinds(array: Array) -> set[str]:
    """Kinds of memory that the device of an array reaches."""
    return {memory.kind for device in array.devices() for memory in device.addressable_memories()}


def tile_points(episodes: int, points: int) -> int:
    """Points in one of equal tiles that cover ``points``, so that vector lanes are full and programs are shared.

    A power of two up to `COARSE`, beyond that a multiple of a sixteenth of one: little is computed for nothing. On an
    accelerator there is one tile, however many points.
    """
    cpu = jax.default_backend() == "cpu"
    most = max(SMALLEST_TILE, TILE // power_of_two(episodes)) if cpu else points
    each = -(-points // -(-points // most))
    whole = max(SMALLEST_TILE, power_of_two(each))
    unit = whole // 16 if whole > COARSE else whole
    return -(-each // unit) * unit


def power_of_two(number: int) -> int:
    """The least power of two that is not below a number."""
    return 1 << (number - 1).bit_length()


def block_shape(
    shape: tuple[int, ...], bytes_per_point: int, steps_per_point: int = 1, least: int = 1024
) -> tuple[int, ...]:
    """Shape of a block of the grid: whole trailing axes where they fit, about 16 blocks in all, bounded bytes and work.

    A grid of fewer than 16 times ``least`` points has fewer blocks.

    It depends on what is computed alone, not on the machine: a store can be resumed anywhere.
    """
    budget = int(np.clip(BLOCK_BYTES // bytes_per_point, 1, BLOCK_POINTS))
    budget = min(budget, max(least, -(-math.prod(shape) // 16)), max(least, BLOCK_STEPS // steps_per_point))
    block: list[int] = []
    for length in reversed(shape):
        block.append(max(1, min(length, budget)))
        budget //= block[-1]
    return tuple(reversed(block))


def few_blocks(shape: tuple[int, ...], block: tuple[int, ...], bytes_per_point: int, moment: int) -> tuple[int, ...]:
    """Shape of a block of the grid in memory: ``block``, or a larger one that takes a moment, as many for every core.

    ``moment``: points that take a core a moment. Nobody takes up later what is in memory, and each hand-over between
    threads costs up to a millisecond: a surface of 128 x 128 points took 56 ms in 16 blocks and 48 in 2, both medians.
    What takes less than a moment in all keeps to ``block``, and to the program that is compiled for it.
    """
    workers, points = threads() * count(), math.prod(shape)
    most = min(BLOCK_BYTES // bytes_per_point, moment)
    pieces = workers * -(-points // (workers * max(1, most)))
    rows = -(-shape[0] // pieces)
    larger = points >= moment and rows > block[0] and block[1:] == shape[1:]
    return (rows, *block[1:]) if larger else block

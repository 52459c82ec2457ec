"""What runs where: tiles that stay in cache, blocks that fit in memory, one thread per core, blocks over devices."""

import functools
import math
import os
from typing import Any

import jax
import numpy as np

TILE = 16384  # episodes x points computed together: on a CPU their state and tangents stay in the second-level cache
SMALLEST_TILE = 64
BLOCK_BYTES = 2**25  # results of one block in memory at a time, per thread
BLOCK_POINTS = 2**16
BLOCK_STEPS = 2**32  # a block takes seconds, so that an estimate comes early and little is lost when a job stops


def count() -> int:
    """Number of devices that JAX offers here."""
    return jax.local_device_count()


@functools.cache
def mesh() -> Any:
    """All devices along one axis, or None where there is only one."""
    if count() == 1:
        return None
    return jax.make_mesh((count(),), ("point",), axis_types=(jax.sharding.AxisType.Auto,))


def local(index: int) -> Any:
    """The device that block ``index`` is computed on: each in turn."""
    every = jax.local_devices()
    return every[index % len(every)]


def threads() -> int:
    """Blocks in flight on a device: one a core on a CPU, else two, so that one copies while the other computes."""
    return max(1, cores() // count()) if jax.default_backend() == "cpu" else 2


def effort(level: int) -> dict[str, Any]:
    """What `jax.jit` compiles with on a CPU to spend less on it, from 3, its own, to 0; elsewhere as it would."""
    return {"xla_backend_optimization_level": level} if jax.default_backend() == "cpu" else {}


def cores() -> int:
    """Cores this process may use: NPROC, which XLA reads too, so that workers can share a machine; else all."""
    if os.environ.get("NPROC", "").isdecimal():
        return int(os.environ["NPROC"])
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def tile_points(episodes: int, points: int) -> int:
    """Points in one tile: a power of two, so that vector lanes are full and every tile runs the same instructions."""
    most = max(SMALLEST_TILE, TILE // _power_of_two(episodes)) if jax.default_backend() == "cpu" else BLOCK_POINTS
    return min(most, max(SMALLEST_TILE, _power_of_two(points)))


def _power_of_two(number: int) -> int:
    """The least power of two that is not below a number."""
    return 1 << (number - 1).bit_length()


def block_shape(shape: tuple[int, ...], bytes_per_point: int, steps_per_point: int = 1) -> tuple[int, ...]:
    """Shape of a block of the grid: whole trailing axes where they fit, about 16 blocks in all, bounded bytes and work.

    It depends on what is computed alone, not on the machine: a store can be resumed anywhere.
    """
    budget = int(np.clip(BLOCK_BYTES // bytes_per_point, 1, BLOCK_POINTS))
    budget = min(budget, max(1024, -(-math.prod(shape) // 16)), max(1024, BLOCK_STEPS // steps_per_point))
    block: list[int] = []
    for length in reversed(shape):
        block.append(max(1, min(length, budget)))
        budget //= block[-1]
    return tuple(reversed(block))

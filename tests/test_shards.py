"""Laws of parts: processes that know nothing of each other make the store of one, whoever of them is killed."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import landscape as ls
from landscape import cli, devices, store
from landscape.surfaces import share

pytestmark = pytest.mark.optimised  # laws of bits

LENGTHS = [1, 2, 5]
BLOCK = (4, 9)  # 4 x 2 blocks, some of them cut off
# A process that is killed while it computes its second block.
KILLED = f"""
import os, signal
import numpy as np
import landscape as ls
from landscape import devices
from landscape.surfaces import share

devices.block_shape = lambda *_: {BLOCK}
stop = lambda state: os.kill(os.getpid(), signal.SIGKILL) if state.fresh == 2 else None
plane = ls.plane(ls.SRNN(), w=np.linspace(-3, 3, 14), b=np.linspace(-2, 2, 17))
share((1, 2), plane, ls.latch(), {LENGTHS}, out="s.zarr", progress=stop, episodes=4)
"""


# One of several processes of two devices each; they know of each other if there is a port, and one is to be killed.
WORKER = f"""
import os, signal, sys
import jax
rank, count, port, last = map(int, sys.argv[1:])
if port:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{{port}}", count, rank)
import numpy as np
import landscape as ls
from landscape import devices, training
from landscape.surfaces import share

assert (jax.process_count(), jax.local_device_count()) == (count if port else 1, 2)
devices.block_shape = lambda *_: {BLOCK}
stop = lambda state: os.kill(os.getpid(), signal.SIGKILL) if state.fresh == last else None
plane = ls.plane(ls.SRNN(), w=np.linspace(-3, 3, 14), b=np.linspace(-2, 2, 17))
share((rank, count), plane, ls.latch(), {LENGTHS}, out="s.zarr", progress=stop, episodes=4)
if port:  # an odd number of runs, on the devices of this process alone
    setup = lambda key: (training.begin(ls.SRNN(), key), training.keras_adam())
    made = training.curves(setup, ls.latch(), [3], seeds=7, count=32, epochs=1, batch=8)
    np.save(f"{{rank}}.npy", made["final"].values)
"""


def workers(count: int, port: int = 0, killed: int = -1, last: int = 0) -> list[int]:
    """Exit codes of ``count`` processes that run side by side; one of them, ``killed``, after ``last`` blocks."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu", "NPROC": "2"}
    words = [[str(n) for n in (rank, count, port, last if rank == killed else -1)] for rank in range(count)]
    started = [subprocess.Popen([sys.executable, "-c", WORKER, *each], env={**os.environ, **flags}) for each in words]
    return [process.wait(timeout=300) for process in started]


def same_as_one_process() -> None:
    whole, made = ls.surface(plane(), ls.latch(), LENGTHS, episodes=4), store.open_surface("s.zarr")
    for name in whole:
        np.testing.assert_array_equal(made[name], whole[name])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "block_shape", lambda *_: BLOCK)
    return tmp_path


def plane() -> ls.Plane:
    return ls.plane(ls.SRNN(), w=np.linspace(-3, 3, 14), b=np.linspace(-2, 2, 17))


def part(i: int, n: int, **settings: Any) -> bool:
    return share((i, n), plane(), ls.latch(), LENGTHS, out="s.zarr", **{"episodes": 4, **settings})


def test_parts_make_the_store_of_one_process_and_the_last_finishes_it(folder: Path) -> None:
    assert [part(2, 3), part(0, 3)] == [False, False]
    with pytest.raises(store.StoreError, match=r"s\.zarr is not complete, 5 of 8 blocks are done"):
        store.open_surface("s.zarr")
    assert part(1, 3)
    whole = ls.surface(plane(), ls.latch(), LENGTHS, out="one.zarr", episodes=4)
    made = store.open_surface("s.zarr")
    for name in whole:
        np.testing.assert_array_equal(made[name], whole[name])
    assert made.attrs["origin_loss"] == whole.attrs["origin_loss"]
    assert part(0, 3)  # nothing is left to do, and nothing is done again


@pytest.mark.slow  # `test_store` kills the same writer in every run
def test_a_killed_part_holds_nobody_up_and_is_started_again(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=folder, env={**os.environ, "NPROC": "1"})
    assert done.returncode == -signal.SIGKILL
    assert 0 < store.blocks_done("s.zarr")[0] < 4
    assert not part(0, 2)  # the other part neither waits nor finishes
    assert part(1, 2)
    whole = ls.surface(plane(), ls.latch(), LENGTHS, episodes=4)
    made = store.open_surface("s.zarr")
    for name in whole:
        np.testing.assert_array_equal(made[name], whole[name])


def test_parts_that_do_not_exist_or_have_other_settings_are_refused(folder: Path, capsys: Any) -> None:
    with pytest.raises(ValueError, match="shard 5/4 does not exist; the shards of 4 are 0/4 to 3/4"):
        part(5, 4)
    assert not Path("s.zarr").exists()
    assert not part(0, 2)
    with pytest.raises(store.StoreError, match="surface of other settings"):
        part(1, 2, seed=1)


def test_the_command_computes_a_part_and_says_how_far_the_store_is(folder: Path, capsys: Any) -> None:
    words = shlex.split("surface SRNN latch w=-3:3:14 b=-2:2:17 --lengths 1,2,5 --episodes 4 --out c.zarr --shard")
    assert cli.main([*words, "0/2"]) == 0
    assert "shard 0/2 is done: 4 of 8 blocks are in c.zarr; the last shard finishes it" in capsys.readouterr().out
    assert cli.main([*words, "1/2"]) == 0
    assert "Next: landscape " in capsys.readouterr().out
    assert cli.main([*words, "one/2"]) == 2
    assert "--shard must be I/N with I from 0 to N - 1, such as 0/4; given 'one/2'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_processes_that_know_of_each_other_make_the_store_of_one_each_on_its_own_devices(
    folder: Path, count: int
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert workers(count, port) == [0] * count
    same_as_one_process()
    first, *others = (np.load(f"{rank}.npy") for rank in range(count))
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_a_process_killed_at_any_block_keeps_nobody_waiting_and_its_part_is_made_later(
    folder: Path, count: int
) -> None:
    killed, last = count - 1, int(np.random.default_rng(count).integers(1, 8 // count + 1))
    codes = workers(count, killed=killed, last=last)
    assert codes == [0] * killed + [-signal.SIGKILL]
    assert part(killed, count)
    same_as_one_process()

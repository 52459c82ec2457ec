"""Laws of programs for an H200, compiled without one: `pip install -e '.[aot]'` brings NVIDIA's compiler."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
pytest.importorskip("jax_plugins.xla_cuda12", reason="compiling for cuda needs the extra aot")


ALONE = {  # libtpu looks for a machine round it
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def compiled(job: str, folder: Path) -> dict[str, Any]:
    """What `aot.py` prints of a job, in a process of its own: JAX takes the plugin for a GPU when it starts."""
    env = {**os.environ, **ALONE, "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1", "JAX_ENABLE_COMPILATION_CACHE": "0"}
    words = [sys.executable, Path(__file__).with_name("aot.py"), job, folder]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return {"ours": [kernel for kernel in found.get("kernels", []) if kernel[0] == "body"], **found}


@pytest.mark.parametrize("job", [f"{cell} {order}" for cell in ("SRNN", "GRU", "LSTM") for order in (0, 1, 2)])
def test_a_block_of_a_surface_is_one_kernel_that_spills_nothing_in_no_loop_of_the_host(
    job: str, tmp_path: Path
) -> None:
    found = compiled(job, tmp_path)
    assert [spilled for _, _, spilled in found["ours"]] == [0]
    assert found["loops"] == []
    assert found["each"] == 32 or 2 * found["each"] in found["refused"]  # all 32 episodes, or as many as registers hold


@pytest.mark.parametrize(
    "job", [f"{cell} {answers}" for cell in ("SRNN", "GRU", "LSTM") for answers in ("epoch", "echo")]
)
def test_an_epoch_of_training_is_one_kernel_that_spills_nothing(job: str, tmp_path: Path) -> None:
    assert [spilled for _, _, spilled in compiled(job, tmp_path)["ours"]] == [0]


def test_a_map_of_trainability_is_one_kernel_that_spills_nothing_in_no_loop_of_the_host(tmp_path: Path) -> None:
    found = compiled("Pascanu map", tmp_path)
    assert [spilled for _, _, spilled in found["ours"]] == [0]
    assert found["loops"] == []


@pytest.mark.parametrize(("cell", "most"), [("SRNN", 17), ("LSTM", 14)])
def test_a_plain_surface_is_one_loop_of_known_end_with_few_launches(cell: str, most: int, tmp_path: Path) -> None:
    """Lengths of 20, 50 and 100 go by in blocks of ten steps; ten launches a step were made before this was counted."""
    (loop,) = compiled(f"{cell} plain", tmp_path)["loops"]
    assert loop["turns"] == 10
    assert loop["launches"] <= most


@pytest.mark.parametrize("cell", ["SRNN", "GRU", "LSTM"])
def test_training_of_one_unit_by_the_scan_launches_twice_in_a_turn_of_four_steps(cell: str, tmp_path: Path) -> None:
    """Of 100 steps, to validate and to train. XLA joins the steps of a turn, each computed again for what uses it."""
    loops = compiled(f"{cell} scan", tmp_path)["loops"]
    assert [loop["launches"] for loop in loops if loop["turns"] == 25] == [2, 2]


def test_training_of_a_layer_asks_no_host_how_long_it_is_and_rounds_no_product(tmp_path: Path) -> None:
    found = compiled("layer plain", tmp_path)
    assert all(loop["turns"] for loop in found["loops"])
    steps = sorted(loop["launches"] for loop in found["loops"] if loop["turns"] == 100)
    assert all(count <= most for count, most in zip(steps, (5, 7, 11), strict=True))  # validation, ahead, behind
    assert found["loose"] == []  # no product in TF32


@pytest.mark.skipif(not importlib.util.find_spec("libtpu"), reason="compiling for a TPU needs libtpu")
@pytest.mark.parametrize("job", [f"{cell} {order} v5e" for cell in ("SRNN", "GRU", "LSTM") for order in (0, 1, 2)])
def test_a_surface_compiles_for_a_tpu_on_which_it_has_never_run(job: str, tmp_path: Path) -> None:
    assert compiled(job, tmp_path)["ours"] == 1

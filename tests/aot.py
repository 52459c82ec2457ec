"""Compile a job for an H200, or a surface for a TPU, without one, and print what the compiler says of it as JSON.

JAX_SKIP_CUDA_CONSTRAINTS_CHECK=1 python tests/aot.py 'SRNN 1' FOLDER   # a surface of order 1, or
of 'SRNN 1 v5e', 'SRNN plain' by the scan, 'layer plain' and 'SRNN scan' by training, 'SRNN epoch', 'SRNN echo',
'Pascanu map'
"""

import dataclasses
import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

JOB, FOLDER = sys.argv[1:]
os.environ["XLA_FLAGS"] = f"--xla_dump_to={FOLDER}"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from jax.experimental import topologies  # noqa: E402
from jax.experimental.pallas import tpu  # noqa: E402

import landscape as ls  # noqa: E402
from landscape import devices, training  # noqa: E402
from landscape.descent.paths import Ends  # noqa: E402
from landscape.engine import Evaluator, routes  # noqa: E402
from landscape.engine.evaluator import _program  # noqa: E402
from landscape.kernels import surfaces  # noqa: E402
from landscape.training import tangents  # noqa: E402

CARD = (Path(__file__).parent / "data" / "h200.txtpb").read_text()
CELLS = {"SRNN": (ls.SRNN(), "w", "b"), "GRU": (ls.GRU(), "w_h", "b_z"), "LSTM": (ls.LSTM(), "b_f", "w_g")}
CELLS["Pascanu"] = ls.cells.Pascanu(), "w", "b"


def there(tree: Any, place: Any) -> Any:
    """Arrays on a device, by their shapes."""
    on = jax.sharding.SingleDeviceSharding(place.devices[0])
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a), sharding=on), tree)


def card() -> Any:
    return topologies.get_topology_desc(platform="cuda", topology_name="1x1x1", topology="1x1x1", target_config=CARD)


def for_tpu(cell: Any, x: str, y: str, order: int) -> str:
    """The program of a surface for a TPU v5e, on which nothing of this has ever run."""
    surfaces._triton = tpu.CompilerParams  # type: ignore[assignment]
    surfaces.STRICT = {}  # words for a compiler of GPUs
    surfaces.REGISTERS = 2**16  # a TPU has memory beside its registers, and blocks of 8 x 128: one pass
    kernel, args = surface(cell, x, y, order)
    device = jax.sharding.AbstractDevice(device_kind="TPU v5 lite", num_cores=1, platform="tpu")
    args = there(args, topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2"))
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=device)):
        return _program(kernel).trace(*args).lower(lowering_platforms=("tpu",)).compile().as_text()


def surface(cell: Any, x: str, y: str, order: int) -> tuple[Any, tuple]:
    problem = ls.Recurrence(ls.latch(), range(1, 101), order=order, episodes=32)
    evaluator = Evaluator(ls.plane(cell, {}, **{x: (0.0, 1.0), y: (0.0, 1.0)}), problem)
    points = np.zeros((1, 2, 32768), "float32")
    affine = jax.tree.map(np.asarray, evaluator._affine)
    return problem.fused(evaluator._affine), (affine, points, np.asarray(1, "int32"), evaluator._data)


def plain(cell: Any, x: str, y: str) -> tuple[Any, tuple]:
    """A surface of lengths that are far apart by the scan of an accelerator."""
    problem = ls.Recurrence(ls.latch(), [20, 50, 100], episodes=32)
    evaluator = Evaluator(ls.plane(cell, {}, **{x: (0.0, 1.0), y: (0.0, 1.0)}), problem)
    kernel = dataclasses.replace(problem.kernel, known=tuple(problem.lengths))
    affine = jax.tree.map(np.asarray, evaluator._affine)
    return kernel, (affine, np.zeros((1, 2, 4096), "float32"), np.asarray(1, "int32"), evaluator._data)


def descended(cell: Any, x: str, y: str) -> tuple[Any, tuple]:
    """A map of trainability, with momentum and clipping."""
    sys.modules[Ends.__module__]._shared = lambda: False  # type: ignore[attr-defined] # as where there is an accelerator
    down = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.01, momentum=0.9))
    ends = Ends(ls.Recurrence(ls.tasks.pascanu(), [50]), down, 300, (x, y))
    evaluator = Evaluator(ls.plane(cell, {}, **{x: (0.0, 1.0), y: (0.0, 1.0)}), ends)
    points = np.zeros((1, 2, 32768), "float32")
    affine = jax.tree.map(np.asarray, evaluator._affine)
    return ends.fused(evaluator._affine), (affine, points, np.asarray(1, "int32"), evaluator._data)


def epoch(cell: Any, fused: bool = True, masked: bool = False, **sizes: int) -> tuple[Any, tuple]:
    def one(key: Any, rate: Any, data: Any) -> Any:
        optimiser, model = training.keras_adam(rate), training.begin(cell, key, **sizes)
        return training.fit(key, model, data, optimiser, epochs=1, batch=16, validation=data)

    if fused:
        routes.hindrance = lambda: ""
    x = np.zeros((320, 100), "float32")
    data = ls.Episode(x=x, target=x, mask=x) if masked else ls.Episode(x=x, target=x[:, 0])
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 64))
    return jax.jit(jax.vmap(one, (0, 0, None))), (keys, np.zeros(64, "float32"), data)


def taken(kernel: Any, args: tuple) -> tuple[Any, str, list[int]]:
    """The kernel that the compiler takes, as an evaluator gives way, its program, and the passes that were refused."""
    refused = []
    while True:
        for file in Path(FOLDER).glob("*.ptx"):
            file.unlink()
        try:
            return kernel, _program(kernel).lower(*there(args, card())).compile().as_text(), refused
        except jax.errors.JaxRuntimeError as error:
            if not devices.spilt(error):
                raise
            refused.append(kernel.each)
            kernel = kernel.lighter


def kernels() -> list[tuple[str, int, int]]:
    """Name, registers and spilled bytes of every kernel that was dumped."""
    nvcc = importlib.util.find_spec("nvidia.cuda_nvcc")
    ptxas = Path(next(iter(nvcc.submodule_search_locations)), "bin", "ptxas")  # type: ignore[union-attr,arg-type]
    found = []
    for file in Path(FOLDER).glob("*.ptx"):
        if not file.stat().st_size:  # a module of constants alone
            continue
        words = [ptxas, "-v", "-arch=sm_90a", file, "-o", os.devnull]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stderr
        for part in said.split("Compiling entry function '")[1:]:
            registers, spilled = re.search(r"Used (\d+) registers", part), re.search(r"(\d+) bytes spill stores", part)
            found.append((part.split("'")[0], int(registers[1]), int(spilled[1])))  # type: ignore[index]
    return found


def loops(text: str) -> list[dict[str, Any]]:
    """Of every loop of a compiled program: how often it goes round, None if that is not known, and its launches."""
    bodies = dict(re.findall(r"^%?([\w.-]+) \(.*?\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    found = []
    for line in re.findall(r".* while\(.*", text):
        turns = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
        body = bodies[re.search(r"body=%?([\w.-]+)", line)[1]]  # type: ignore[index]
        launches = len(re.findall(r"= .*? (?:fusion|custom-call|copy|reduce|gather|scatter|dot)\(", body))
        found.append({"turns": int(turns[1]) if turns else None, "launches": launches})
    return found


name, what, *place = JOB.split()
if place:
    print(json.dumps({"ours": len(re.findall(r"custom-call\(.*tpu_custom_call", for_tpu(*CELLS[name], int(what))))}))
    sys.exit()
found: dict[str, Any] = {}
if what in ("epoch", "echo", "scan") or name == "layer":
    # as where there is an accelerator
    tangents.turn, tangents.one_kernel, devices.packs = lambda length: devices.TURN, lambda f: f, lambda: True
    if name == "layer":
        program, args = epoch(ls.GRU(), False, units=32)
    else:
        program, args = epoch(CELLS[name][0], what != "scan", masked=what == "echo")
    text = program.lower(*there(args, card())).compile().as_text()
else:
    make: Any = {"plain": plain, "map": descended}.get(what) or functools.partial(surface, order=int(what))
    kernel, text, refused = taken(*make(*CELLS[name]))
    found = {"each": getattr(kernel, "each", 0), "refused": refused}
loose = [line for line in re.findall(r".* dot\(.*", text) if "operand_precision={highest,highest}" not in line]
print(json.dumps({"loops": loops(text), "kernels": kernels(), "loose": loose, **found}))

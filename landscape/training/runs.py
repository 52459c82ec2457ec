"""Many runs: every length, every setting, every seed, by one compiled program, as one Dataset."""

import concurrent.futures
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from landscape import devices, losses
from landscape.initialisers import Initialiser, keras3, readout
from landscape.models import RNN
from landscape.planes import named_leaves
from landscape.provenance import describe_task, here
from landscape.tasks import Task, episodes
from landscape.training.fitting import Fit, Record, fit

if TYPE_CHECKING:
    import xarray

Setup = Callable[..., tuple[Any, Any]]  # (key, **settings) -> (model, optimiser)

RUNS = 32  # runs computed together on a CPU, where 16 x 32 lanes and their tangents stay in cache


def begin(
    cell: Any,
    key: jax.Array,
    initialise: Initialiser = keras3,
    *,
    outputs: int | None = 2,
    units: int | None = None,
    inputs: int | None = None,
) -> RNN:
    """A model to start from: ``cell`` by ``initialise`` and a Glorot readout of ``outputs`` logits (None: one)."""
    one, two = jax.random.split(key)
    return RNN(cell=initialise(cell, one, units, inputs), readout=readout(two, units, outputs))


def curves(
    setup: Setup,
    task: Task,
    lengths: Iterable[int],
    *,
    seeds: int = 30,
    settings: Mapping[str, Any] | None = None,
    count: int = 10_000,
    objective: losses.Objective = losses.softmax,
    seed: int = 0,
    **options: Any,
) -> "xarray.Dataset":
    """Train at every length, setting and seed, and return what came of it.

    ``setup(key, **settings) -> (model, optimiser)`` makes the start of one run; it is traced once. ``settings`` names
    values to run over, such as ``{"rate": [0.003, 0.03]}``. Each length has one data set of ``count`` episodes, shared
    by its runs; the same seed has the same key at every length and setting, so that these can be compared in pairs.
    ``options`` go to `fit`: split, epochs, batch, route, stop.

    The Dataset has dims ("length", *settings, "seed"): ``accuracy`` and ``loss`` of the last validation, ``epochs``
    run, ``nonfinite`` (first update whose gradient was not finite, or -1); with a last dim "epoch", NaN after an early
    stop, ``train_loss``, ``train_accuracy``, ``gradient_norm``, ``val_loss``, ``val_accuracy``; and with a last dim
    "parameter" the models before and after, ``initial`` and ``final``. attrs: task, seconds, seconds_compiling, ....
    """
    lengths = sorted({int(length) for length in lengths})
    if not lengths or lengths[0] < 1 or seeds < 1:
        raise ValueError(f"training needs lengths from 1 up and a seed or more, given {lengths[:8]} and {seeds} seeds")
    values = {name: np.asarray(axis, np.float32) for name, axis in (settings or {}).items()}
    shape = (*(len(axis) for axis in values.values()), seeds)
    longest, root = lengths[-1], jax.random.key(seed)

    def program(length: Any, numbers: jax.Array, points: dict[str, jax.Array]) -> tuple[Any, Fit]:
        data = episodes(task, jax.random.fold_in(jax.random.fold_in(root, 0), length), count, length, longest)

        def one(number: Any, point: dict[str, Any]) -> tuple[Any, Fit]:
            first, rest = jax.random.split(jax.random.fold_in(jax.random.fold_in(root, 1), number))
            model, optimiser = setup(first, **point)
            return model, fit(rest, model, data, optimiser, objective, length=length, start=task.start, **options)

        return jax.vmap(one)(numbers, points)

    grid = np.meshgrid(*values.values(), np.arange(seeds, dtype=np.int32), indexing="ij")
    columns = [column.ravel() for column in grid]
    size = min(RUNS, columns[-1].size) if jax.default_backend() == "cpu" else columns[-1].size

    def arguments(length: int, since: int) -> tuple:
        part = [np.resize(column[since : since + size], size) for column in columns]  # a short one begins again
        return jnp.int32(length), part[-1], dict(zip(values, part, strict=False))

    began = time.perf_counter()
    compiled = jax.jit(program).lower(*arguments(lengths[0], 0)).compile()
    ready = time.perf_counter()

    def job(at: tuple[int, int]) -> Any:
        return jax.device_get(compiled(*arguments(*at)))

    slabs = range(0, columns[-1].size, size)
    jobs = [(length, since) for length in reversed(lengths) for since in slabs]  # the longest first, to end together
    with concurrent.futures.ThreadPoolExecutor(devices.threads()) as pool:
        done = dict(zip(jobs, pool.map(job, jobs), strict=True))

    def joined(*parts: Any) -> np.ndarray:
        return np.concatenate(parts)[: columns[-1].size].reshape(*shape, *parts[0].shape[1:])

    per_length = [jax.tree.map(joined, *(done[length, since] for since in slabs)) for length in lengths]
    start, result = jax.tree.map(lambda *each: np.stack(each), *per_length)
    coordinates = {"length": lengths, **values, "seed": np.arange(seeds)}
    attrs = {**describe_task(task), "count": count, "base_seed": seed, **here()}
    attrs |= {"seconds_compiling": ready - began, "seconds": time.perf_counter() - began}
    return _dataset(start, result, coordinates, attrs)


def _dataset(start: Any, result: Fit, coordinates: Mapping[str, Any], attrs: Mapping[str, Any]) -> "xarray.Dataset":
    import xarray

    dims, depth = tuple(coordinates), len(coordinates)
    last = np.expand_dims(result.epochs - 1, -1)
    record = Record(*(np.asarray(each) for each in result.record))
    end = lambda series: np.take_along_axis(series, last, axis=-1)[..., 0]  # noqa: E731
    names = ("train_loss", "train_accuracy", "gradient_norm", "val_loss", "val_accuracy")
    labels = [
        name if leaf.ndim == depth else f"{name}[{i}]"
        for (name, _), leaf in zip(named_leaves(result.model).items(), jax.tree.leaves(result.model), strict=True)
        for i in range(int(np.prod(leaf.shape[depth:])))
    ]
    variables = {
        "accuracy": (dims, end(record.val_accuracy)),
        "loss": (dims, end(record.val_loss)),
        "epochs": (dims, result.epochs),
        "nonfinite": (dims, result.nonfinite),
        **{name: ((*dims, "epoch"), series) for name, series in zip(names, record, strict=True)},
        "initial": ((*dims, "parameter"), _flat(start, depth)),
        "final": ((*dims, "parameter"), _flat(result.model, depth)),
    }
    epochs = np.arange(1, record.loss.shape[-1] + 1)
    return xarray.Dataset(variables, {**coordinates, "epoch": epochs, "parameter": labels}, dict(attrs))


def _flat(model: Any, depth: int) -> np.ndarray:
    """All numbers of a model along one last axis, behind ``depth`` axes of runs."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(model)]
    return np.concatenate([leaf.reshape(*leaf.shape[:depth], -1) for leaf in leaves], axis=-1)

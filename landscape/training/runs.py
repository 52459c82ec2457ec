"""Many runs: every length, every setting, every seed, by one compiled program, as one Dataset."""

import concurrent.futures
import contextlib
import functools
import gc
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float, Int, Key, PyTree, Real, Shaped

from landscape import devices, extras, losses
from landscape.cells import Cell
from landscape.engine import routes
from landscape.initialisers import Initialiser, keras3, readout
from landscape.models import RNN, TwoWay, as_rnn
from landscape.planes import named_leaves
from landscape.provenance import here
from landscape.tasks import Episode, Task, episodes
from landscape.training import gradients
from landscape.training.fitting import Fit, fit

if TYPE_CHECKING:
    import xarray

Setup = Callable[..., tuple[PyTree, optax.GradientTransformation]]  # (key, **settings) -> (model, optimiser)

#: What `curves` returns, whose names no setting can have.
VARIABLES = (
    *("accuracy", "loss", "epochs", "best", "nonfinite", "initial", "final", "test_accuracy", "test_loss"),
    *("train_loss", "train_accuracy", "gradient_norm", "val_loss", "val_accuracy"),
)
RUNS = 32  # most runs computed together on a CPU, where 16 x 32 lanes and their tangents stay in cache
SLAB_BYTES = 2**31  # what runs computed together may keep in memory


def begin(
    cell: Cell,
    key: Key[Array, ""],
    initialise: Initialiser = keras3,
    *,
    outputs: int | None = 2,
    units: int | None = None,
    inputs: int | None = None,
) -> RNN:
    """A model to start from: ``cell`` by ``initialise`` and a Glorot readout of ``outputs`` logits (None: one).

    ``units`` and ``inputs`` make a layer that reads vectors; None is one unit, and scalar inputs. The readout of a
    `landscape.models.TwoWay` sees twice as many units. Raises ValueError for fewer than one of any, TypeError for a
    number that is not whole.
    """
    for name, number in (("outputs", outputs), ("units", units), ("inputs", inputs)):
        if number is not None and not isinstance(number, int | np.integer):
            raise TypeError(f"{name} must be a whole number or None, given {number!r}")
        if number is not None and number < 1:
            raise ValueError(f"{name} must be 1 or more, or None for none of that axis, given {number}")
    one, two = jax.random.split(key)
    seen = 2 * (units or 1) if isinstance(cell, TwoWay) else units
    return RNN(cell=initialise(cell, one, units, inputs), readout=readout(two, seen, outputs))


def curves(
    setup: Setup,
    task: Task,
    lengths: Iterable[int],
    *,
    seeds: int = 30,
    settings: Mapping[str, Real[ArrayLike, "setting"] | Sequence[float]] | None = None,
    count: int = 10_000,
    objective: losses.Objective = losses.softmax,
    seed: int = 0,
    own_data: bool = False,
    trainer: Callable[..., Fit] = fit,
    **options: Any,
) -> "xarray.Dataset":
    """Train at every length, setting and seed, and return what came of it.

    ``setup(key, **settings) -> (model, optimiser)`` makes the start of one run; it is traced. ``settings`` names
    values to run over, such as ``{"rate": [0.003, 0.03]}``. Each length has one data set of ``count`` episodes, shared
    by its runs, which are then not independent; with ``own_data`` each seed draws its own, and they are. The same seed
    has the same key at every length and setting, so that these can be compared in pairs.
    ``options`` go to ``trainer``, which is `fit` or a function that takes the same and returns a `Fit`: split, epochs,
    batch, route, stop. With several devices each trains its share of the runs.

    The Dataset has dims ("length", *settings, "seed"): ``accuracy`` and ``loss`` of the last validation, ``epochs``
    run, ``best``, the epoch (from 1) of the least validation loss, ``nonfinite`` (first update whose gradient was not
    finite, or -1), and if the split has a third part ``test_accuracy`` and ``test_loss`` at the best epoch; with a last
    dim "epoch", NaN after an early stop, ``train_loss``, ``train_accuracy``, ``gradient_norm``, ``val_loss``,
    ``val_accuracy``; and with a last dim "parameter" the models before and after, ``initial`` and ``final``. attrs:
    task, seconds in all, seconds_compiling, seconds_per_epoch (of one run, compiling apart), processor_seconds (of this
    process, compiling apart), ....
    """
    lengths = sorted({int(length) for length in lengths})
    if not lengths or lengths[0] < 1 or seeds < 1:
        raise ValueError(f"training needs lengths from 1 up and a seed or more, given {lengths[:8]} and {seeds} seeds")
    values = {name: _axis(name, axis) for name, axis in (settings or {}).items()}
    shape = (*(len(axis) for axis in values.values()), seeds)
    grid = np.meshgrid(*values.values(), np.arange(seeds, dtype=np.int32), indexing="ij")
    columns = [column.ravel() for column in grid]
    total = columns[-1].size
    together = trainer is fit and _fused(setup, values, options)
    groups = [lengths[::-1]] if together else [[length] for length in reversed(lengths)]  # the longest first
    about = functools.partial(_bytes, setup, values, task, lengths[-1], count, options.get("batch", 16))
    fitted = functools.partial(trainer, objective=objective, start=task.start, **options)
    programs = functools.partial(_programs, setup, task, count, lengths[-1], seed, own_data, fitted, together)
    # The one function of a unit's loop is compiled sooner in haste and runs as fast; products of a layer would not.
    effort = devices.hasty() if gradients.one_unit(_model(setup, values)) else devices.effort(1)
    compiled = functools.partial(_compiled, effort)
    every = [jnp.asarray(group if together else group[0], jnp.int32) for group in groups]
    known = [] if together or jax.default_backend() == "cpu" else [length for (length,) in groups]

    def computed(size: int) -> tuple[tuple[float, float], list]:
        """Clocks of wall and processor when all was compiled, and for each length its models and what came of them."""

        def part(since: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            *settled, numbers = (np.resize(column[since : since + size], size) for column in columns)  # then again
            return numbers, dict(zip(values, settled, strict=True))

        try:
            draw, begun, train = compiled(programs(), every, known, *part(0))
        except Exception as error:
            if routes.hindrance() or devices.short(error):  # nothing was fused, or that is not why
                raise
            routes.warned(error)
            with routes.scanned():
                draw, begun, train = compiled(programs(), every, known, *part(0))
        ready = time.perf_counter(), time.process_time()
        drawn = functools.lru_cache(devices.threads())(lambda group: draw(every[group]))

        slabs = range(0, total, size)
        # One by one, before the threads: batched LAPACK waits on the CPU pool that it runs in, two of them for ever.
        starts = {since: jax.block_until_ready(begun(*part(since))) for since in slabs}

        def job(at: tuple[int, int]) -> dict[tuple[int, int], tuple[PyTree, Fit]]:
            (group, since), start = at, starts[at[1]]
            begun, result = jax.device_get((start[1], train[group](part(since)[1], start, drawn(group))))
            each = lambda i: jax.tree.map(lambda leaf: leaf[i], result) if together else result  # noqa: E731
            return {(length, since): (begun, each(i)) for i, length in enumerate(groups[group])}

        jobs = [(group, since) for group in range(len(groups)) for since in slabs]  # the longest first, to end together
        with concurrent.futures.ThreadPoolExecutor(devices.threads()) as pool:
            done = {at: made for each in pool.map(job, jobs) for at, made in each.items()}
        return ready, [jax.tree.map(joined, *(done[length, since] for since in slabs)) for length in lengths]

    def joined(*parts: Shaped[np.ndarray, "run ..."]) -> Shaped[np.ndarray, "..."]:
        return np.concatenate(parts)[:total].reshape(*shape, *parts[0].shape[1:])

    began = time.perf_counter()
    (ready, spent), per_length = _in_memory(computed, slab(total, lambda: len(groups[0]) * about()))
    start, result = jax.tree.map(lambda *each: np.stack(each), *per_length)
    attrs = {**{"task": str(task)}, "count": count, "base_seed": seed, **here()}
    compiling, seconds = ready - began, time.perf_counter() - began
    each = (seconds - compiling) / int(result.epochs.sum())
    attrs |= {"seconds_compiling": compiling, "seconds": seconds, "seconds_per_epoch": each}
    attrs["processor_seconds"] = time.process_time() - spent
    return _dataset(start, result, {"length": lengths, **values, "seed": np.arange(seeds)}, attrs)


def _axis(name: str, values: Real[ArrayLike, "setting"] | Sequence[float]) -> Float[np.ndarray, "setting"]:
    """The values of a setting; ValueError unless they are some in a row, under a name that the results leave free."""
    taken = ("key", "length", "seed", "epoch", "parameter", *VARIABLES)
    if name in taken:
        raise ValueError(f"a setting cannot be called {name!r}, which the results have; none of {', '.join(taken)}")
    axis = np.asarray(values, np.float32)
    if axis.ndim != 1 or not axis.size:
        raise ValueError(f"settings {name!r} needs a value or more in a row, such as [0.003, 0.03], given {values!r}")
    return axis


def _in_memory(computed: Callable[[int], Any], size: int) -> Any:
    """``computed(size)``, or with half as many runs at a time, or half of those, until the device has room for it."""
    try:
        return computed(size)
    except Exception as error:
        if not devices.short(error) or size <= devices.count():
            raise
    fewer = devices.count() * max(1, size // devices.count() // 2)
    words = f"{size} runs did not fit into the memory of the device; {fewer} are trained at a time"
    warnings.warn(words, RuntimeWarning, stacklevel=3)
    return _in_memory(computed, fewer)


def slab(total: int, bytes_per_run: Callable[[], int] = lambda: 0) -> int:
    """Runs computed together, as many on every device: all of ``total`` that fit into half of its memory.

    `SLAB_BYTES` is for devices that do not tell what they have.

    On a CPU a power of two, from 8 to `RUNS`, so that vector lanes are full (30 cost twice 32) and stay in cache.
    """
    count = devices.count()
    each = -(-total // count)
    if jax.default_backend() == "cpu":
        each = int(np.clip(devices.power_of_two(each), 8, RUNS))
    room = (devices.memory() or 2 * SLAB_BYTES) // 2
    return count * max(1, min(each, room // max(1, bytes_per_run())))


def _model(setup: Setup, values: Mapping[str, np.ndarray]) -> RNN:
    """The shapes of the model that a setup begins with."""
    point = {name: jax.ShapeDtypeStruct((), axis.dtype) for name, axis in values.items()}
    return jax.eval_shape(lambda point: as_rnn(setup(jax.random.key(0), **point)[0]), point)


def _fused(setup: Setup, values: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> bool:
    """Whether an epoch is one launch: of one unit on a GPU, with nothing between two updates.

    Then all lengths go into it, to fill the device.
    """
    between = [name for name in ("route", "noise", "watch") if options.get(name) is not None]
    return not (routes.hindrance() or between) and gradients.one_unit(_model(setup, values))


def _bytes(setup: Setup, values: Mapping[str, np.ndarray], task: Task, time: int, count: int, batch: int) -> int:
    """About what one run keeps: the order of its episodes, and of a layer states and products at every step, twice."""
    model = _model(setup, values)
    state = jax.eval_shape(lambda model: model.initial(), model)
    numbers = lambda tree: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))  # noqa: E731
    columns = sum(leaf.shape[1] for leaf in jax.tree.leaves(model.cell) if leaf.ndim == 2)
    kept = 1 + numbers(model) if gradients.one_unit(model) else 2 * time
    return 4 * (3 * count + batch * kept * (numbers(state) + columns))


def _programs(
    setup: Setup,
    task: Task,
    count: int,
    longest: int,
    seed: int,
    own_data: bool,
    fitted: Callable[..., Fit],
    together: bool,
) -> tuple:
    """What a slab is made of: the data of a length, the models of runs, and training; runs by number and settings.

    ``together``: of all lengths, an axis in front, instead of one.
    """
    root = jax.random.key(seed)

    def data_of(key: Key[Array, ""], length: Int[Array, ""]) -> Episode:
        return episodes(task, jax.random.fold_in(key, length), count, length, longest)

    def draw(length: Int[Array, ""]) -> Episode | None:
        return None if own_data else data_of(jax.random.fold_in(root, 0), length)

    def begun(numbers: Int[Array, "run"], points: dict[str, Real[Array, "run"]]) -> tuple[Key[Array, "run 3"], PyTree]:
        def one(number: Array, point: dict[str, Array]) -> tuple[Array, PyTree]:
            keys = jax.random.split(jax.random.fold_in(jax.random.fold_in(root, 1), number), 3)
            return keys, as_rnn(setup(keys[0], **point)[0])

        return jax.vmap(one)(numbers, points)

    def train(
        points: dict[str, Real[Array, "run"]],
        begun: tuple[Key[Array, "run 3"], PyTree],
        shared: Episode | None,
        length: Int[Array, ""],
    ) -> Fit:
        def one(point: dict[str, Array], keys: Array, model: PyTree) -> Fit:
            data = data_of(keys[2], length) if own_data else shared
            done = fitted(keys[1], model, data, setup(keys[0], **point)[1], length=length)
            return Fit(done.model, done.record, done.epochs, done.nonfinite)

        return jax.vmap(one)(points, *begun)

    if not together:
        return draw, begun, train
    each = jax.vmap(train, (None, None, None if own_data else 0, 0))
    return jax.vmap(draw) if not own_data else draw, begun, each


def _over_devices(train: Callable, leading: int = 0) -> Callable:
    """``train`` with its runs, behind ``leading`` axes, split over all devices; each computes its share alone."""
    mesh = devices.mesh()
    if mesh is None:
        return train
    everywhere, split = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(mesh.axis_names[0])
    out = jax.sharding.PartitionSpec(*(None,) * leading, *split)

    def share(*args: PyTree) -> Fit:
        specs = split, split, *(everywhere,) * (len(args) - 2)
        return jax.shard_map(train, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False)(*args)

    return share


def _compiled(
    effort: Mapping[str, Any],
    programs: tuple,
    lengths: list,
    known: Sequence[int],
    numbers: np.ndarray,
    points: dict[str, np.ndarray],
) -> tuple[Callable, Callable, list[Callable]]:
    """``draw(length)``, ``begun(numbers, points)``, and for each of ``lengths`` ``train(points, start, data)``.

    Compiled for slabs like this one, side by side; they are traced here, where JAX's settings hold. Training takes
    ``effort``, as little on a CPU as its loops are still as fast with, and models, which are drawn once, still less.
    One program trains all lengths, but if they are ``known``: then each has its own, whose loops end where the compiler
    sees it. An accelerator would ask its host after every step whether there is another one.
    """
    draw, begun, train = programs
    with concurrent.futures.ThreadPoolExecutor(max(3, devices.cores())) as pool:
        compiling = lambda lowered, effort: pool.submit(lowered.compile, compiler_options=effort)  # noqa: E731
        with _uncollected():
            drawn = jax.jit(draw).lower(lengths[0])
            drawing = compiling(drawn, devices.effort(0))
            started = jax.jit(begun).lower(numbers, points)
            starting = compiling(started, devices.hasty(0))
            given = points, started.out_info, drawn.out_info
            each = [jax.jit(_over_devices(functools.partial(train, length=length))).lower(*given) for length in known]
            each = each or [jax.jit(_over_devices(train, lengths[0].ndim)).lower(*given, lengths[0])]
            training = [compiling(lowered, effort) for lowered in each]
            extras.import_xarray()
        made = [future.result() for future in training]
        bound = lambda length: lambda *given: made[0](*given, length)  # noqa: E731
        return drawing.result(), starting.result(), made if known else [bound(length) for length in lengths]


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No look for cycles meanwhile: tracing makes many objects that stay, and takes a quarter longer with it."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _dataset(
    start: PyTree, result: Fit, coordinates: Mapping[str, Any], attrs: Mapping[str, object]
) -> "xarray.Dataset":
    import xarray

    dims, depth = tuple(coordinates), len(coordinates)
    last = np.expand_dims(result.epochs - 1, -1)
    record = jax.tree.map(np.asarray, result.record)
    best = np.expand_dims(np.asarray(result.best), -1)
    end = lambda series, at=last: np.take_along_axis(series, at, axis=-1)[..., 0]  # noqa: E731
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
        "best": (dims, best[..., 0] + 1),
        "nonfinite": (dims, result.nonfinite),
        **{name: ((*dims, "epoch"), series) for name, series in zip(names, record[:5], strict=True)},
        "initial": ((*dims, "parameter"), _flat(start, depth)),
        "final": ((*dims, "parameter"), _flat(result.model, depth)),
    }
    if not isinstance(record.test_loss, tuple):
        variables |= {name: (dims, end(getattr(record, name), best)) for name in ("test_accuracy", "test_loss")}
    epochs = np.arange(1, record.loss.shape[-1] + 1)
    return xarray.Dataset(variables, {**coordinates, "epoch": epochs, "parameter": labels}, dict(attrs))


def _flat(model: PyTree, depth: int) -> np.ndarray:
    """All numbers of a model along one last axis, behind ``depth`` axes of runs."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(model)]
    return np.concatenate([leaf.reshape(*leaf.shape[:depth], -1) for leaf in leaves], axis=-1)

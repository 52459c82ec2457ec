"""Training watched from outside, epoch by epoch, that survives kill -9: a file goes on where it was."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Int, Key, PyTree

from landscape import losses, specs
from landscape.tasks import Episode
from landscape.training.fitting import Fit, fit


def checkpointed(
    path: str | Path | None,
    key: Key[Array, ""],
    model: PyTree,
    data: Episode | Callable[[Key[Array, ""]], Episode],
    optimiser: optax.GradientTransformation,
    objective: losses.Objective = losses.softmax,
    *,
    epochs: int = 5,
    every: int = 1,
    report: Callable[[Fit], object] | None = None,
    **options: Any,
) -> Fit:
    """`fit`, the same numbers bit for bit, in pieces of ``every`` epochs that are written to ``path`` as they end.

    Called again it goes on from there, with more ``epochs`` too; the file is replaced in one step, so that it is whole
    whenever the process dies. ``path`` None writes nothing. ``report(fit)`` is called after each piece: learning curves
    while they grow. ``options`` go to `fit`.

    Raises ValueError if the file is of another key, model or data, of more epochs, or no such file at all.
    """
    if every < 1:
        raise ValueError(f"every must be 1 epoch or more, given {every}")
    changing = callable(data)

    def piece(key: Array, model: PyTree, data_or_none: PyTree, so_far: Fit | None, until: Int[Array, ""] | int) -> Fit:
        given = data if changing else data_or_none
        return fit(key, model, given, optimiser, objective, epochs=epochs, until=until, resume=so_far, **options)

    given = (key, model, None if changing else data)
    so_far = jax.jit(lambda key, model, data: piece(key, model, data, None, 0))(*given)
    mark = f"{_fingerprint(given)} {specs.of_function(model)}"  # units of other functions have the same leaves
    if path is not None and Path(path).exists():
        so_far = load(Path(path), so_far, mark)
        if (ran := int(so_far.epochs)) > epochs:
            raise ValueError(f"{path} has {ran} epochs already, and {epochs} are asked for; ask for as many or more")
    on = jax.jit(piece)
    while (ran := int(so_far.epochs)) < epochs:
        so_far = on(*given, so_far, jnp.int32(ran + every))
        if path is not None:
            save(Path(path), so_far, mark)
        if report is not None:
            report(so_far)
        if int(so_far.epochs) < min(ran + every, epochs):  # stopped early
            break
    return so_far


def _fingerprint(tree: PyTree) -> str:
    """What a training starts from, as a few letters."""
    found = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        found.update(f"{jax.tree_util.keystr(path)}{jnp.shape(leaf)}".encode() + _array(leaf).tobytes())
    return found.hexdigest()[:16]


def _array(leaf: ArrayLike) -> np.ndarray:
    """A leaf as an array of NumPy; a key of JAX by its data."""
    if jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def save(path: Path, fitted: Fit, mark: str) -> None:
    """Write every leaf under its place in the tree, whole or not at all."""
    leaves: dict[str, Any] = {jax.tree_util.keystr(at): _array(leaf) for at, leaf in jax.tree.leaves_with_path(fitted)}
    leaves["mark"] = np.array(mark)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, **leaves)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, like: Fit, mark: str) -> Fit:
    """What `save` wrote, in the shape of ``like``; records may be shorter. Raises ValueError for another training."""
    import zipfile

    try:
        with path.open("rb") as file, np.load(file) as saved:
            found = {name: saved[name] for name in saved.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no checkpoint that can be read ({error}); delete it to begin again") from error
    if str(found.pop("mark", "")) != mark:
        raise ValueError(f"{path} is the checkpoint of another key, model or data; give it another path")
    paths, tree = jax.tree.flatten_with_path(like)
    if sorted(found) != sorted(jax.tree_util.keystr(at) for at, _ in paths):
        raise ValueError(f"{path} is the checkpoint of another optimiser, stop or watch; give it another path")

    def restored(at: tuple, leaf: Array) -> Array:
        array = found[jax.tree_util.keystr(at)]
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
        return jnp.asarray(array if array.dtype == leaf.dtype else array.view(leaf.dtype))  # bfloat16 is read as bytes

    return jax.tree.unflatten(tree, [restored(at, leaf) for at, leaf in paths])

"""The baseline of every curve of success: how often random weights solve the task with no training at all."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from landscape import losses
from landscape.models import RNN
from landscape.tasks import Episode, Task, episodes
from landscape.training import gradients
from landscape.training.diagnostics import GUESSES, uniform

if TYPE_CHECKING:
    import xarray


def baseline(
    model: RNN,
    task: Task,
    lengths: Iterable[int],
    *,
    tried: int = 2048,
    count: int = 64,
    objective: losses.Objective = losses.softmax,
    draw: Callable[[jax.Array, tuple[int, ...]], jax.Array] = uniform,
    seed: int = 0,
) -> "xarray.Dataset":
    """Random weight guessing at every length, by one compiled program: `landscape.training.guess` beside `curves`.

    All weights of ``model``, readout included, are drawn by ``draw(key, shape)`` anew for each of ``tried`` guesses;
    the same guesses serve every length. A guess solves the task if it answers each of ``count`` episodes right.
    The Dataset has dim ("length",): ``guessed``, the share that did, which is the volume of the solutions under
    ``draw``, and ``solved``, their number; attrs: tried, count, draw. Raises ValueError without a length.
    """
    lengths = sorted({int(length) for length in lengths})
    if not lengths or lengths[0] < 1 or tried < 1:
        raise ValueError(f"guessing needs lengths from 1 up and a guess or more, given {lengths[:8]} and {tried}")
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, model))
    _, evaluate = gradients.default(jax.tree.unflatten(tree, leaves))(objective, task.start)
    root, longest, index = jax.random.key(seed), lengths[-1], jnp.arange(count)

    def program(length: Any) -> jax.Array:
        drawn = episodes(task, jax.random.fold_in(jax.random.fold_in(root, 0), length), count, length, longest)
        data = Episode(x=jnp.moveaxis(drawn.x, 0, 1), target=drawn.target)

        def solves(key: jax.Array) -> jax.Array:
            keys = jax.random.split(key, len(leaves))
            weights = [draw(k, jnp.shape(leaf)) for k, leaf in zip(keys, leaves, strict=True)]
            return evaluate(jax.tree.unflatten(tree, weights), data, index, length).accuracy == 1

        keys = jax.random.split(jax.random.fold_in(root, 1), tried)
        return jnp.sum(jax.lax.map(solves, keys, batch_size=min(GUESSES, tried)))

    import xarray

    compiled = jax.jit(program)
    solved = np.asarray([int(compiled(jnp.int32(length))) for length in lengths])
    found = {"guessed": ("length", solved / tried), "solved": ("length", solved)}
    attrs = {"tried": tried, "count": count, "draw": getattr(draw, "__name__", str(draw)), "task": task.name}
    return xarray.Dataset(found, {"length": lengths}, attrs)

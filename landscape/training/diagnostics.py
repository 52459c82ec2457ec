"""What training is up against: the two parts of its gradient, and the chance of guessing the weights instead."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key, PyTree

from landscape import devices, losses, tasks
from landscape.models import RNN, as_rnn, run
from landscape.tasks import Episode, Task, time_first
from landscape.training import checks, gradients

if TYPE_CHECKING:
    import xarray

GUESSES = 256  # models tried together


def signal_and_blind(model: PyTree, episodes: Episode, start: float = 0.0) -> tuple[PyTree, PyTree]:
    """The gradient of the cross entropy of a balanced bit as the sum of what sees the labels and what does not.

    With logit z (the difference of two logits), ``L = -1/4 (E[z|+] - E[z|-]) + L_blind`` exactly, where
    ``L_blind = E[ln(1 + e^z) - z/2]`` is the loss under coin-flip labels. Returns the gradients of both terms, shaped
    like the model. ``episodes`` as `landscape.tasks.episodes` stacks them, as many of sign +1 as of -1.
    """
    if episodes.mask is not None:
        raise ValueError("signal and blind part are those of one bit asked for at the end; episodes have a mask")
    model = as_rnn(model)
    one = episodes.target > 0

    def logits(model: RNN) -> Float[Array, "batch"]:
        y = jax.vmap(lambda x: run(model, x, start)[-1])(episodes.x)
        return y if y.ndim == 1 else y[:, 1] - y[:, 0]

    def signal(model: RNN) -> Float[Array, ""]:
        z = logits(model)
        return -(jnp.mean(z, where=one) - jnp.mean(z, where=~one)) / 4

    def blind(model: RNN) -> Float[Array, ""]:
        z = logits(model)
        return jnp.mean(jax.nn.softplus(z) - z / 2)

    return jax.grad(signal)(model), jax.grad(blind)(model)


class Guess(NamedTuple):
    """How many of ``tried`` random models solved the task."""

    solved: int
    tried: int

    @property
    def volume(self) -> float:
        """Share of random models that solve the task."""
        return self.solved / self.tried

    @property
    def trials(self) -> float:
        """Expected number of guesses until one solves it; inf if none did."""
        return self.tried / self.solved if self.solved else float("inf")


def uniform(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "*shape"]:
    """Weights from U[-100, 100]."""
    return jax.random.uniform(key, shape, minval=-100.0, maxval=100.0)


def guess(
    key: Key[Array, ""],
    model: PyTree,
    episodes: Episode,
    objective: losses.Objective = losses.raw,
    *,
    tried: int = 4096,
    draw: Callable[[Key[Array, ""], tuple[int, ...]], Float[Array, "*shape"]] = uniform,
    start: float = 0.0,
) -> Guess:
    """Random weight guessing (Schmidhuber & Hochreiter 1996): draw all weights of ``model`` until they answer right.

    It measures the volume of the solutions, and belongs beside every curve of training success. ``tried`` models are
    drawn by ``draw(key, shape)``, leaf by leaf; one counts as solved if it answers each of the ``episodes`` right, with
    a mask at every step that has a weight. Raises ValueError for no guess, and for episodes that `fit` would not take.
    """
    if tried < 1:
        raise ValueError(f"guessing needs a guess or more, given {tried}")
    model = as_rnn(model)
    data = time_first(checks.episodes(episodes, model, "episodes"))
    checks.fits(model, data, objective)
    checks.labels(model, data, objective)
    count = jax.jit(lambda key: _solved(key, model, data, len(data.x), objective, tried, draw, start))
    return Guess(int(count(key)), tried)


@functools.lru_cache(32)
def _guessing(
    task: Task, count: int, longest: int, objective: losses.Objective, tried: int, draw: Callable
) -> Callable[..., Int[Array, ""]]:
    """``(root, model, length) -> number solved``: one program for runs of the same model under several protocols."""

    def program(root: Key[Array, ""], model: PyTree, length: Int[Array, ""]) -> Int[Array, ""]:
        drawn = tasks.episodes(task, jax.random.fold_in(jax.random.fold_in(root, 0), length), count, length, longest)
        return _solved(
            jax.random.fold_in(root, 1), model, time_first(drawn), length, objective, tried, draw, task.start
        )

    return jax.jit(program, compiler_options=devices.effort(1))


def _solved(
    key: Key[Array, ""],
    model: PyTree,
    data: Episode,
    length: Int[ArrayLike, ""],
    objective: losses.Objective,
    tried: int,
    draw: Callable,
    start: float,
) -> Int[Array, ""]:
    """How many of ``tried`` draws of all weights answer every episode right; data (time, episode, ...)."""
    model = jax.tree.map(jnp.asarray, as_rnn(model))
    if data.mask is not None:  # every step that has a weight counts alike
        data = dataclasses.replace(data, mask=(data.mask > 0).astype(data.mask.dtype))
    leaves, tree = jax.tree.flatten(model)
    _, evaluate = gradients.default(model)(objective, start)
    index = jnp.arange(data.x.shape[1])

    def solves(key: Key[Array, ""]) -> Bool[Array, ""]:
        keys = jax.random.split(key, len(leaves))
        drawn = [draw(k, jnp.shape(leaf)) for k, leaf in zip(keys, leaves, strict=True)]
        right = evaluate(jax.tree.unflatten(tree, drawn), data, index, jnp.asarray(length, jnp.int32)).accuracy
        return right > 1 - 0.5 / (data.x.shape[0] * data.x.shape[1])  # weights of a mask sum to 1 but for rounding

    together = max(size for size in range(1, min(GUESSES, tried) + 1) if tried % size == 0)  # no rest to compile anew
    size = together if 4 * together > min(GUESSES, tried) else min(GUESSES, tried)
    return jnp.sum(jax.lax.map(solves, jax.random.split(key, tried), batch_size=size))


def baseline(
    model: PyTree,
    task: Task,
    lengths: Iterable[int],
    *,
    tried: int = 2048,
    count: int = 64,
    objective: losses.Objective = losses.softmax,
    draw: Callable[[Key[Array, ""], tuple[int, ...]], Float[Array, "*shape"]] = uniform,
    seed: int = 0,
) -> "xarray.Dataset":
    """`guess` at every length, by one compiled program: the baseline of every curve of success.

    All weights of ``model``, readout included, are drawn by ``draw(key, shape)`` anew for each of ``tried`` guesses;
    the same guesses serve every length. A guess solves the task if it answers each of ``count`` episodes right.
    The Dataset has dim ("length",): ``guessed``, the share that did, which is the volume of the solutions under
    ``draw``, and ``solved``, their number; attrs: tried, count, draw. Raises ValueError without a length.
    """
    lengths = sorted({int(length) for length in lengths})
    if not lengths or lengths[0] < 1 or tried < 1:
        raise ValueError(f"guessing needs lengths from 1 up and a guess or more, given {lengths[:8]} and {tried}")
    program = _guessing(task, count, lengths[-1], objective, tried, draw)

    import xarray

    solved = np.asarray([int(program(jax.random.key(seed), model, jnp.int32(length))) for length in lengths])
    found = {"guessed": ("length", solved / tried), "solved": ("length", solved)}
    attrs = {"tried": tried, "count": count, "draw": getattr(draw, "__name__", str(draw)), "task": str(task)}
    return xarray.Dataset(found, {"length": lengths}, attrs)

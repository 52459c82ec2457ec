"""What training is up against: the two parts of its gradient, and the chance of guessing the weights instead."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from landscape import losses
from landscape.models import as_rnn, run
from landscape.tasks import Episode
from landscape.training import gradients

GUESSES = 256  # models tried together


def signal_and_blind(model: Any, episodes: Episode, start: float = 0.0) -> tuple[Any, Any]:
    """The gradient of the cross entropy of a balanced bit as the sum of what sees the labels and what does not.

    With logit z (the difference of two logits), ``L = -1/4 (E[z|+] - E[z|-]) + L_blind`` exactly, where
    ``L_blind = E[ln(1 + e^z) - z/2]`` is the loss under coin-flip labels. Returns the gradients of both terms, shaped
    like the model. ``episodes`` as `landscape.tasks.episodes` stacks them, as many of sign +1 as of -1.
    """
    model = as_rnn(model)
    one = episodes.target > 0

    def logits(model: Any) -> jax.Array:
        y = jax.vmap(lambda x: run(model, x, start)[-1])(episodes.x)
        return y if y.ndim == 1 else y[:, 1] - y[:, 0]

    def signal(model: Any) -> jax.Array:
        z = logits(model)
        return -(jnp.mean(z, where=one) - jnp.mean(z, where=~one)) / 4

    def blind(model: Any) -> jax.Array:
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


def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Weights from U[-100, 100]."""
    return jax.random.uniform(key, shape, minval=-100.0, maxval=100.0)


def guess(
    key: jax.Array,
    model: Any,
    episodes: Episode,
    objective: losses.Objective = losses.raw,
    *,
    tried: int = 4096,
    draw: Callable[[jax.Array, tuple[int, ...]], jax.Array] = uniform,
    start: float = 0.0,
) -> Guess:
    """Random weight guessing (Schmidhuber & Hochreiter 1996): draw all weights of ``model`` until they answer right.

    It measures the volume of the solutions, and belongs beside every curve of training success. ``tried`` models are
    drawn by ``draw(key, shape)``, leaf by leaf; one counts as solved if it answers each of the ``episodes`` right.
    """
    model = as_rnn(model)
    leaves, tree = jax.tree.flatten(model)
    _, evaluate = gradients.default(jax.tree.map(jnp.asarray, model))(objective, start)
    index, data = jnp.arange(len(episodes.x)), Episode(x=jnp.moveaxis(episodes.x, 0, 1), target=episodes.target)

    def solves(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, len(leaves))
        drawn = [draw(k, jnp.shape(leaf)) for k, leaf in zip(keys, leaves, strict=True)]
        score = evaluate(jax.tree.unflatten(tree, drawn), data, index, jnp.asarray(len(data.x), jnp.int32))
        return score.accuracy == 1

    keys = jax.random.split(key, tried)
    solved = jax.jit(lambda keys: jax.lax.map(solves, keys, batch_size=min(GUESSES, tried)))(keys)
    return Guess(int(jnp.sum(solved)), tried)

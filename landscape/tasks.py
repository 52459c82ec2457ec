"""Synthetic tasks. A task is a frozen record of functions; an episode is one example of it.

Entry L of a surface is the loss of an episode cut after L steps, so every task here asks for its answer at the last step.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from landscape.losses import squared_error
from landscape.tree import param, pytree


@pytree
class Episode:
    """One example: inputs ``x`` (time,) or (time, input), and the ``target`` of the answer given after the last step."""

    x: Any = param("time", "input")
    target: Any = param()


@dataclasses.dataclass(frozen=True)
class Task:
    """``sample(key, length, index) -> Episode``: noise comes from the key, the class is ``index % classes``.

    Consecutive indices therefore give balanced classes; draw the index at random for independent examples.
    ``loss(y, target)`` scores the answer ``y``, by default the cell's ``h`` itself.
    ``nested``: the short episode is a prefix of the long one, so that one pass serves all lengths.
    ``name``: the task with its options, for labels and provenance.
    ``chance``: the expected loss of the best guess that has not seen the input. ``start``: h before the first step.
    """

    sample: Callable[[jax.Array, int, Any], Episode]
    loss: Callable[[Any, Any], Any] = squared_error
    name: str = "task"
    classes: int = 1
    nested: bool = True
    chance: float = 0.0
    start: float = 0.0


def episodes(task: Task, key: jax.Array, count: int, length: int) -> Episode:
    """``count`` episodes with balanced classes, stacked along a leading axis; more of them never change the first ones."""
    index = jnp.arange(count)
    return jax.vmap(lambda k: task.sample(jax.random.fold_in(key, k), length, k))(index)


def gaussian(key: jax.Array, length: int, sd: float) -> jax.Array:
    """White noise (time,) of standard deviation ``sd``, keyed by time so that a shorter draw is a prefix of a longer one."""
    return sd * jax.vmap(lambda t: jax.random.normal(jax.random.fold_in(key, t)))(jnp.arange(length))


def sign(bit: Any) -> jax.Array:
    """+1 for an even number, -1 for an odd one."""
    return 1.0 - 2.0 * (bit % 2)


@functools.cache
def latch(noise: float = 0.1) -> Task:
    """Information latching (stats.SE 340898): ``x_0 = ±1``, then silence, all with Gaussian noise; recall the sign at the end.

    ``noise`` is a standard deviation. The squared error against ±1 makes chance 1.
    """

    def sample(key: jax.Array, length: int, index: Any) -> Episode:
        bit = sign(index)
        return Episode(x=gaussian(key, length, noise).at[0].add(bit), target=bit)

    return Task(sample, name=f"latch(noise={noise:g})", classes=2, chance=1.0)


@functools.cache
def relay(noise: float = 0.1) -> Task:
    """Bit relay (stats.SE 340898, update): signs at step 0 and at step T // 2, else noise; the target is their product.

    The two signs replace the noise at their steps. ``noise`` is a standard deviation. Not nested: the second bit
    moves with the length.
    """

    def sample(key: jax.Array, length: int, index: Any) -> Episode:
        first, second = sign(index), sign(index // 2)
        x = gaussian(key, length, noise).at[0].set(first)
        if length > 1:
            x = x.at[length // 2].set(second)
        return Episode(x=x, target=first * second)

    return Task(sample, name=f"relay(noise={noise:g})", classes=4, nested=False, chance=1.0)


@functools.cache
def pascanu(start: float = 0.5, target: float = 0.7) -> Task:
    """Pascanu et al. (2013), fig. 6: no input, ``h_0 = .5``, ``E = (logistic(h_T) - .7)²``."""

    def sample(key: jax.Array, length: int, index: Any) -> Episode:
        return Episode(x=jnp.zeros(length), target=jnp.asarray(target))

    def loss(y: Any, goal: Any) -> jax.Array:
        return squared_error(jax.nn.sigmoid(y), goal)

    return Task(sample, loss, name=f"pascanu(start={start:g}, target={target:g})", start=start)


@functools.cache
def reach(start: float = 0.0, target: float = 1.0) -> Task:
    """The raw-state variant of Pascanu's figure: no input, ``h_0 = 0``, ``E = (h_T - 1)²``."""

    def sample(key: jax.Array, length: int, index: Any) -> Episode:
        return Episode(x=jnp.zeros(length), target=jnp.asarray(target))

    return Task(sample, name=f"reach(start={start:g}, target={target:g})", start=start)


@functools.cache
def bengio(noise: float = 0.2, evidence: int = 3, target: float = 0.8) -> Task:
    """The reduced latch of Bengio, Simard & Frasconi (1994), for `landscape.cells.BengioLatch`.

    Inputs (time, 2 evidence + 1): for the first ``evidence`` steps one-hot over (class, step), class 0 first; after
    them Gaussian noise of standard deviation ``noise`` in the last channel. ``C = ½ (h_T - d)²`` with d = ±0.8.
    """

    def sample(key: jax.Array, length: int, index: Any) -> Episode:
        label = index % 2
        time = jnp.arange(length)
        shown = time < evidence
        heads = jax.nn.one_hot(jnp.where(shown, label * evidence + time, -1), 2 * evidence)
        tail = jnp.where(shown, 0.0, gaussian(key, length, noise))
        return Episode(x=jnp.column_stack([heads, tail]), target=-target * sign(label))

    def loss(y: Any, goal: Any) -> jax.Array:
        return squared_error(y, goal) / 2

    name = f"bengio(noise={noise:g}, evidence={evidence}, target={target:g})"
    return Task(sample, loss, name=name, classes=2, chance=target**2 / 2)

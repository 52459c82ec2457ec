"""Gradients backward through time, for layers."""

from typing import Any

import jax
import jax.numpy as jnp

from landscape.losses import Objective
from landscape.models import RNN
from landscape.tasks import Episode
from landscape.training.penalties import Penalty
from landscape.training.scores import Route, Score, blockwise, scorer


def reverse(objective: Objective, start: float = 0.0, penalty: Penalty | None = None) -> Route:
    """The route of layers: back-propagation through ``length`` steps, from the states kept on the way.

    ``penalty`` adds its own gradient, term by term as the error passes each step (`landscape.training.penalties`).
    """
    score = scorer(objective)

    def onward(cell: Any, state: Any, x: Any) -> Any:
        return jax.vmap(lambda state, x: cell.step(state, x))(state, x)

    def initial(model: RNN, batch: int, dtype: Any) -> Any:
        spread = lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape)).astype(dtype)  # noqa: E731
        return jax.tree.map(spread, model.initial(start))

    def gradient(model: RNN, data: Episode, index: jax.Array, length: Any) -> tuple[Score, RNN]:
        x, target = data.x[:, index], jax.tree.map(lambda leaf: leaf[index], data.target)
        state = initial(model, len(index), x.dtype)
        empty = jax.tree.map(lambda leaf: jnp.zeros((len(x), *leaf.shape), leaf.dtype), state)

        def ahead(t: Any, carry: tuple) -> tuple:
            state, kept = carry
            kept = jax.tree.map(lambda all, one: all.at[t].set(one), kept, state)
            return onward(model.cell, state, x[t]), kept

        state, kept = jax.lax.fori_loop(0, length, ahead, (state, empty))
        across = jax.vmap(jax.value_and_grad(score, (0, 1), has_aux=True), (None, 0, 0))
        (loss, right), (readout, error) = across(model.readout, state, target)

        def behind(k: Any, carry: tuple) -> tuple:
            error, total, extra = carry
            t = length - 1 - k
            before = jax.tree.map(lambda all: all[t], kept)
            _, pull = jax.vjp(lambda cell, state: onward(cell, state, x[t]), model.cell, before)
            own, earlier = pull(error)
            if penalty is not None:
                extra = jax.tree.map(jnp.add, extra, penalty.gradient(model.cell, before, x[t], error))
            return earlier, jax.tree.map(jnp.add, total, own), extra

        nothing = jax.tree.map(jnp.zeros_like, model.cell)
        extra = None if penalty is None else penalty.nothing(model.cell)
        _, total, extra = jax.lax.fori_loop(0, length, behind, (error, nothing, extra))
        total = jax.tree.map(lambda leaf: leaf / len(index), total)
        if penalty is not None:
            total = jax.tree.map(jnp.add, total, penalty.scaled(extra))
        mean = lambda leaf: jnp.mean(leaf, 0)  # noqa: E731
        return Score(mean(loss), mean(right)), RNN(cell=total, readout=jax.tree.map(mean, readout))

    def evaluate(model: RNN, data: Episode, index: jax.Array, length: Any) -> Score:
        def block(index: jax.Array) -> Score:
            x, target = data.x[:, index], jax.tree.map(lambda leaf: leaf[index], data.target)
            step = lambda t, state: onward(model.cell, state, x[t])  # noqa: E731
            state = jax.lax.fori_loop(0, length, step, initial(model, len(index), x.dtype))
            return Score(*(jnp.mean(s) for s in jax.vmap(score, (None, 0, 0))(model.readout, state, target)))

        return blockwise(block, index)

    return Route(gradient, evaluate)

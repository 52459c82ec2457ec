"""Noise on a model while it is trained: another model for every update, from the update's own key."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from landscape.models import RNN, Around, Dense, Embedding, Stack, TwoWay
from landscape.tree import Parameter, params

Noise = Callable[[Key[Array, ""], PyTree], PyTree]  # (key, model) -> the model that an update sees


def dropout(rate: float) -> Noise:
    """Noise for `fit`: every unit is silent with probability ``rate`` to whoever reads it from above.

    That is the next layer of a `Stack` and the readout, not the layer's own recurrence (Zaremba, Sutskever & Vinyals
    2014); vectors of an `Embedding` are not dropped. What is left is divided by 1 - rate (Srivastava et al. 2014). One
    draw serves all steps of an update (Gal & Ghahramani 2016) and all its episodes: rows of the matrices above become
    0. With rate 0 the model is the very same. Raises ValueError for a rate that is not in [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"a dropout rate is a share of units, from 0 to less than 1, given {rate}")

    def noise(key: Key[Array, ""], model: RNN) -> RNN:
        inner, outer = jax.random.split(key)
        units = jax.eval_shape(lambda cell: cell.initial().h, model.cell).ndim
        cell, readout = _between(rate, inner, model.cell), _read(rate, outer, model.readout, units)
        return dataclasses.replace(model, cell=cell, readout=readout)

    return noise if rate else lambda key, model: model


def noisy(gradient: Callable, noise: Noise | None, key: Key[Array, ""]) -> Callable:
    """``gradient(model, number, *data)`` by the model that update ``number`` sees, with respect to the model itself."""
    if noise is None:
        return lambda model, number, *data: gradient(model, *data)

    def through(model: PyTree, number: Int[Array, ""], *data: PyTree) -> tuple[PyTree, PyTree]:
        seen, back = jax.vjp(lambda model: noise(jax.random.fold_in(key, number), model), model)
        score, slope = gradient(seen, *data)
        return score, back(slope)[0]

    return through


def _between(rate: float, key: Key[Array, ""], cell: PyTree) -> PyTree:
    """A cell whose layers hear a share of the units below."""
    keys = [jax.random.fold_in(key, k) for k in range(len(cell.layers) if isinstance(cell, Stack) else 2)]
    if isinstance(cell, TwoWay):
        return TwoWay(ahead=_between(rate, keys[0], cell.ahead), back=_between(rate, keys[1], cell.back))
    if isinstance(cell, Around):
        return dataclasses.replace(cell, cell=_between(rate, key, cell.cell))
    if not isinstance(cell, Stack):
        return cell
    layers = [_between(rate, key, layer) for key, layer in zip(keys, cell.layers, strict=True)]
    for k in range(1, len(layers)):
        if not isinstance(_uppermost(layers[k - 1]), Embedding):
            layers[k] = _deaf(rate, jax.random.fold_in(key, len(layers) + k), layers[k])
    return Stack(layers=tuple(layers))


def _deaf(rate: float, key: Key[Array, ""], cell: PyTree) -> PyTree:
    """A cell that hears a share of its inputs, the same by all gates; of a stack or two ways who reads them."""
    if isinstance(cell, Stack):
        return Stack(layers=(_deaf(rate, key, cell.layers[0]), *cell.layers[1:]))
    if isinstance(cell, Around):
        return dataclasses.replace(cell, cell=_deaf(rate, key, cell.cell))
    names = [n for n, field in params(cell).items() if field.metadata["axes"][:1] == ("input",)]
    own = {name: value for name in names if (value := getattr(cell, name)) is not None}
    return dataclasses.replace(cell, **{name: _thinned(rate, key, value) for name, value in own.items()})


def _uppermost(cell: PyTree) -> PyTree:
    """The cell whose units are read from above: on top of all layers, inside all wrappers."""
    while isinstance(cell, Stack | Around):
        cell = cell.layers[-1] if isinstance(cell, Stack) else cell.cell
    return cell


def _read(rate: float, key: Key[Array, ""], readout: PyTree, units: int) -> PyTree:
    """A readout that hears a share of the units, an axis of them or (``units`` 0) the one that all outputs hear."""
    if not isinstance(readout, Dense):
        return readout
    return dataclasses.replace(readout, w=_thinned(rate, key, readout.w, units))


def _thinned(rate: float, key: Key[Array, ""], w: Parameter, units: int = 1) -> Float[Array, "..."]:
    """A matrix or number without a share of its rows, along the first ``units`` axes, what is left of it enlarged."""
    heard = jax.random.bernoulli(key, 1 - rate, jnp.shape(w)[:units])
    return jnp.where(heard.reshape(heard.shape + (1,) * (jnp.ndim(w) - heard.ndim)), w / (1 - rate), jnp.zeros_like(w))

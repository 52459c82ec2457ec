"""Weights to and from the layouts of Keras and flax.linen, and cells of this package inside flax.linen.

Layouts are plain lists and dictionaries of arrays: neither framework is imported, save flax by `as_linen`.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key, PyTree, Real

from landscape.cells import GRU, LSTM, SRNN, Cell, check
from landscape.initialisers import Initialiser, flax
from landscape.models import RNN, Dense
from landscape.tree import params


def as_unit(model: PyTree) -> PyTree:
    """A layer of one unit as one unit: every axis of size 1 is dropped, those of inputs and outputs too.

    ``model`` is a cell, a `Dense` or an `RNN`. Raises ValueError for a layer of several units.
    """
    if isinstance(model, RNN):
        return RNN(cell=as_unit(model.cell), readout=model.readout and as_unit(model.readout))
    for name, axes in _axes(model).items():
        sizes = dict(zip(axes, jnp.shape(getattr(model, name)), strict=False))
        if axes[0] == "unit" and sizes.get("unit", 1) > 1:
            raise ValueError(f"{name} is of {sizes['unit']} units; only a layer of one unit can become one unit")
    return jax.tree.map(jnp.squeeze, model)


def as_layer(model: PyTree) -> PyTree:
    """One unit as a layer of one: every parameter with all its axes; what has them already is left as it is."""
    if isinstance(model, RNN):
        return RNN(cell=as_layer(model.cell), readout=model.readout and as_layer(model.readout))
    axes = _axes(model)
    # A vector that should be a matrix lacks its last axis if biases lack theirs, else its first.
    alone = all(jnp.ndim(getattr(model, name)) == 0 for name, named in axes.items() if len(named) == 1)

    def full(name: str) -> jax.Array:
        value, rank = jnp.asarray(getattr(model, name)), len(axes[name])
        if value.ndim == 0:
            return value.reshape((1,) * rank)
        return value if value.ndim == rank else value.reshape((-1, 1) if alone else (1, -1))

    return dataclasses.replace(model, **{name: full(name) for name in axes})


def from_keras(like: PyTree, weights: Sequence[Float[ArrayLike, "..."]]) -> PyTree:
    """``like`` with the weights of a Keras layer or model as ``get_weights()`` lists them; a cell becomes a layer.

    ``like`` is an `SRNN` (Keras' SimpleRNN), `LSTM` or `GRU`, a `Dense`, or an `RNN` of both. Its activations are kept,
    for the weights do not tell them: the gates of Keras 2 are those of `HardLSTM` and `HardGRU`. A cell has a kernel
    (input, gates x unit), a recurrent kernel (unit, gates x unit) and a bias (gates x unit), or (2, gates x unit) if
    ``reset_after``. Raises TypeError for a cell that Keras lacks, ValueError for arrays of other shapes.
    """
    if isinstance(like, RNN):
        count = len(weights) - (0 if like.readout is None else 2)
        return RNN(
            cell=from_keras(like.cell, weights[:count]),
            readout=like.readout and from_keras(like.readout, weights[count:]),
        )
    arrays = [jnp.asarray(array) for array in weights]
    if not _fits_keras(like, [array.shape for array in arrays]):
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(f"arrays of shapes {shapes} are not the weights of the Keras layer like {type(like).__name__}")
    if isinstance(like, Dense):
        return dataclasses.replace(like, w=arrays[0], b=arrays[1])
    parts = [jnp.split(array, len(like.gates), axis=-1) for array in arrays]
    names = _gate_names(like)
    values: dict[str, Array] = {}
    for kind, split in zip("uwb", parts, strict=True):
        values |= dict(zip(names[kind], split, strict=True))
    if _two_biases(like):  # the recurrent biases of z and r do what the input's do
        values |= {"b_z": values["b_z"].sum(0), "b_r": values["b_r"].sum(0)}
        values["b_h"], values["c_h"] = values["b_h"]
    return dataclasses.replace(like, **values)


def to_keras(model: PyTree) -> list[Float[np.ndarray, "..."]]:
    """The weights of a cell, a `Dense` or an `RNN` as ``set_weights()`` of a Keras layer or model takes them."""
    if isinstance(model, RNN):
        return to_keras(model.cell) + ([] if model.readout is None else to_keras(model.readout))
    layer = as_layer(model)
    if isinstance(layer, Dense):
        return [np.asarray(layer.w), np.asarray(layer.b)]
    _require_plain(layer, "Keras")
    names = _gate_names(layer)
    kernel, recurrent, bias = (
        np.concatenate([getattr(layer, name) for name in names[kind]], axis=-1) for kind in "uwb"
    )
    if _two_biases(layer):
        second = np.zeros_like(bias)
        second[-layer.b_h.size :] = 0.0 if layer.c_h is None else layer.c_h
        bias = np.stack([bias, second])
    return [kernel, recurrent, bias]


def from_linen(like: PyTree, weights: Mapping[str, Mapping[str, Float[ArrayLike, "..."]]]) -> PyTree:
    """``like`` with the parameters of a flax.linen cell, ``variables["params"]``.

    ``like`` is an `SRNN` for SimpleCell, an `LSTM` for LSTMCell and OptimizedLSTMCell, a `GRUResetAfter` for GRUCell.
    Raises TypeError for a cell that flax lacks, ValueError for other parameters.
    """
    places = _linen_places(like)
    given = {(module, leaf) for module, leaves in weights.items() for leaf in leaves}
    if given != set(places.values()):
        wanted = sorted(".".join(place) for place in places.values())
        raise ValueError(f"a flax.linen {type(like).__name__} has {wanted}, given {sorted(map('.'.join, given))}")
    return dataclasses.replace(like, **{name: jnp.asarray(weights[at][leaf]) for name, (at, leaf) in places.items()})


def to_linen(cell: PyTree) -> dict[str, dict[str, Float[Array, "..."]]]:
    """The parameters ``variables["params"]`` of the flax.linen cell that computes what ``cell`` does."""
    places, cell = _linen_places(cell), as_layer(cell)
    weights: dict[str, dict[str, jax.Array]] = {}
    for name, (module, leaf) in places.items():
        value = getattr(cell, name)
        weights.setdefault(module, {})[leaf] = jnp.zeros_like(cell.b_h) if value is None else value
    return weights


@functools.cache
def as_linen(cell: Callable[[], Cell], initialise: Initialiser = flax) -> type:
    """A subclass of `flax.linen.RNNCellBase` that steps any of our cells: ``nn.RNN(as_linen(MUT3)(features=8))``.

    ``cell`` is a cell class, a named constructor, or any function of no arguments that makes a cell. The module's
    parameters bear our names and start as ``initialise`` says; its carry is the cell's state, its output is ``h``.
    """
    import flax.linen as nn

    blank: PyTree = cell()

    class LinenCell(nn.RNNCellBase):
        features: int

        def layer(self, key: Key[Array, ""], inputs: int) -> Cell:
            return initialise(blank, key, self.features, inputs)

        @nn.compact
        def __call__(self, carry: PyTree, x: Real[Array, "*batch input"]) -> tuple[PyTree, Float[Array, "*batch unit"]]:
            draw = functools.partial(self.layer, inputs=x.shape[-1])
            drawn = draw(self.make_rng("params")) if self.is_initializing() else jax.eval_shape(draw, jax.random.key(0))
            check(drawn, x.shape[-1:])
            values = {name: self.param(name, lambda _, name=name: getattr(drawn, name)) for name in _axes(blank)}
            step = dataclasses.replace(blank, **values).step
            for _ in x.shape[:-1]:
                step = jax.vmap(step)
            carry = step(carry, x)
            return carry, carry.h

        @nn.nowrap
        def initialize_carry(self, rng: Key[Array, ""], input_shape: tuple[int, ...]) -> PyTree:
            like = jax.eval_shape(functools.partial(self.layer, inputs=input_shape[-1]), rng)
            start = jax.tree.map(jnp.zeros_like, like).initial()
            return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*input_shape[:-1], *leaf.shape)), start)

        @property
        def num_feature_axes(self) -> int:
            return 1

    LinenCell.__name__ = LinenCell.__qualname__ = f"Linen{type(blank).__name__}"
    return LinenCell


def _axes(model: PyTree) -> dict[str, tuple[str, ...]]:
    """The axes, in a layer, of every parameter that is present."""
    return {name: field.metadata["axes"] for name, field in params(model).items() if getattr(model, name) is not None}


def _gate_names(cell: PyTree) -> dict[str, list[str]]:
    """The names of the parameters w, u and b in the order of the gates."""
    return {kind: [f"{kind}_{gate}" if gate else kind for gate in cell.gates] for kind in "wub"}


def _two_biases(model: PyTree) -> bool:
    return isinstance(model, GRU) and model.reset_after


def _require_plain(model: PyTree, framework: str) -> None:
    """Raise TypeError unless ``model`` is a cell with the parameters that frameworks give it."""
    if not isinstance(model, SRNN | LSTM | GRU):
        raise TypeError(f"{framework} has no layer like {type(model).__name__}; convert an SRNN, an LSTM or a GRU")
    theirs = {name for names in _gate_names(model).values() for name in names}
    if odd := (set(_axes(model)) ^ theirs) - {"c_h"}:
        words = ", ".join(("without " if name in theirs else "with ") + name for name in sorted(odd))
        raise TypeError(f"{framework} has no {type(model).__name__} {words}")
    if isinstance(model, GRU) and not model.z_keeps:
        raise TypeError(f"{framework}'s GRU keeps with z; give a GRU with z_keeps=True")


def _fits_keras(like: PyTree, shapes: list[tuple[int, ...]]) -> bool:
    """Whether arrays of these shapes are the weights of a Keras layer."""
    if not isinstance(like, Dense):
        _require_plain(like, "Keras")
    match shapes:
        case [(_, outputs), bias] if isinstance(like, Dense):
            return bias == (outputs,)
        case [(_, wide), (units, again), bias] if not isinstance(like, Dense):
            return wide == again == units * len(like.gates) and bias == ((2, wide) if _two_biases(like) else (wide,))
    return False


def _linen_places(cell: PyTree) -> dict[str, tuple[str, str]]:
    """Where flax.linen keeps each of our parameters: (module, leaf)."""
    _require_plain(cell, "flax.linen")
    if isinstance(cell, GRU) and not cell.reset_after:
        raise TypeError("flax.linen's GRUCell resets after the product; give GRUResetAfter()")
    side = "h" if isinstance(cell, LSTM) else "i"
    places: dict[str, tuple[str, str]] = {}
    for gate, w, u, b in zip(cell.gates, *_gate_names(cell).values(), strict=True):
        theirs = "n" if isinstance(cell, GRU) and gate == "h" else gate
        places |= {w: (f"h{theirs}", "kernel"), u: (f"i{theirs}", "kernel"), b: (f"{side}{theirs}", "bias")}
    return places | ({"c_h": ("hn", "bias")} if isinstance(cell, GRU) else {})

"""Where training starts: the conventions of the frameworks and of the papers, for any cell.

An initialiser is a function ``(cell, key, units=None, inputs=None) -> cell``. ``units=None`` makes one unit with 0-d
parameters, a number makes a layer; ``inputs=None`` reads scalar inputs. It draws every matrix that the cell has: ``w``
and ``u`` of all gates by the convention, any other by the same rule on its own. Biases ``b`` are set, and all that no
convention knows (peepholes, leak, the recurrent bias ``c_h``) keeps the cell's own value. Absent parameters stay so.
All are pure functions of the key, to be mapped over keys.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key, PyTree

from landscape.cells import GRU, LSTM, MUT1, MUT2, MUT3, SRNN, BengioLatch, Cell, LeakyRNN, Pascanu, logistic
from landscape.models import Around, Dense, Embedding, Stack, TwoWay
from landscape.tree import params

Draw = Callable[[Key[Array, ""], tuple[int, int]], Float[Array, "row column"]]  # (key, shape of a matrix) -> matrix
Initialiser = Callable[..., PyTree]  # (cell, key, units=None, inputs=None) -> cell

glorot: Draw = jax.nn.initializers.glorot_uniform()
lecun: Draw = jax.nn.initializers.lecun_normal()


def orthogonal(key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "row column"]:
    """The orthogonal matrix of JAX and Keras 3, by QR with random signs; of one unit without LAPACK, which takes longer
    to import than the unit to compile: a row or column is then a Gaussian vector divided by its length.
    """
    if 1 not in shape:
        return jax.nn.initializers.orthogonal()(key, shape)
    drawn = jax.random.normal(key, (max(shape), 1)).reshape(shape)
    return jnp.sign(drawn) if drawn.size == 1 else drawn / jnp.sqrt(jnp.sum(drawn**2))  # exactly 1, whatever a root is


def svd_orthogonal(key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "row column"]:
    """Singular vectors of a Gaussian matrix, the orthogonal matrix of Keras 2: its signs are LAPACK's, not random."""
    u, _, v = jnp.linalg.svd(jax.random.normal(key, shape), full_matrices=False)
    return u if u.shape == shape else v


def keras_table(key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "row column"]:
    """The vectors of an `Embedding` as Keras draws them, from U[-0.05, 0.05]."""
    return jax.random.uniform(key, shape, minval=-0.05, maxval=0.05)


def layerwise(start: Initialiser, table: Draw = keras_table) -> Initialiser:
    """An initialiser of cells that also starts an `Embedding` by ``table``, layers of a `Stack` or `TwoWay`, and what
    is wrapped.

    The lowest layer, and of two ways that ahead, starts from the very key.
    """

    @functools.wraps(start)
    def initialise(cell: Cell, key: Key[Array, ""], units: int | None = None, inputs: int | None = None) -> Cell:
        if isinstance(cell, Around):
            return dataclasses.replace(cell, cell=initialise(cell.cell, key, units, inputs))
        if isinstance(cell, TwoWay):
            back = initialise(cell.back, jax.random.fold_in(key, 1), units, inputs)
            return TwoWay(ahead=initialise(cell.ahead, key, units, inputs), back=back)
        if isinstance(cell, Embedding):
            size = cell.size or units
            if inputs is None or size is None:
                raise ValueError("an Embedding is a table: give inputs, the number of symbols, and its size or units")
            return dataclasses.replace(cell, w=table(key, (inputs, size)))
        if not isinstance(cell, Stack):
            return start(cell, key, units, inputs)
        layers: list[Cell] = []
        for k, layer in enumerate(cell.layers):
            layers.append(initialise(layer, jax.random.fold_in(key, k) if k else key, units, inputs))
            inputs = layer.size or units if isinstance(layer, Embedding) else units
        return Stack(layers=tuple(layers))

    return initialise


@layerwise
def keras2(cell: Cell, key: Key[Array, ""], units: int | None = None, inputs: int | None = None) -> Cell:
    """``cell`` as Keras 2.1.5 starts it: input weights Glorot uniform, recurrent weights orthogonal by SVD.

    Both are drawn as one matrix over all gates, so |w| = 1 for one `SRNN` unit while an LSTM's four recurrent weights
    form a unit vector. Biases 0, forget bias 1.
    """
    return _initialise(cell, key, units, inputs, glorot, svd_orthogonal, together=True, forget=1.0)


@layerwise
def keras3(cell: Cell, key: Key[Array, ""], units: int | None = None, inputs: int | None = None) -> Cell:
    """``cell`` as Keras 3 starts it: as `keras2`, but orthogonal by QR with random signs."""
    return _initialise(cell, key, units, inputs, glorot, orthogonal, together=True, forget=1.0)


@functools.partial(layerwise, table=lambda key, shape: jax.random.normal(key, shape) / shape[1] ** 0.5)
def flax(cell: Cell, key: Key[Array, ""], units: int | None = None, inputs: int | None = None) -> Cell:
    """``cell`` as flax.linen starts it: LeCun normal, orthogonal, each gate on its own; all biases 0."""
    return _initialise(cell, key, units, inputs, lecun, orthogonal, together=False, forget=0.0)


@functools.partial(layerwise, table=jax.random.normal)
def pytorch(cell: Cell, key: Key[Array, ""], units: int | None = None, inputs: int | None = None) -> Cell:
    """``cell`` as PyTorch starts it: every weight and every bias from U(-1/sqrt(units), 1/sqrt(units)).

    One unit so draws all of them from U(-1, 1). PyTorch adds two biases to every gate, one with the input and one with
    the state: ``b`` is the sum of two draws, or one of them where the cell has the other itself (``c_h``).
    """
    sizes, reach = _sizes(cell, units, inputs), (units or 1) ** -0.5
    values = {}
    for index, (name, field) in enumerate(params(cell).items()):
        kind, _, gate = name.partition("_")
        if getattr(cell, name) is None or kind not in ("w", "u", "b", "c"):
            continue
        draws = 2 if kind == "b" and getattr(cell, f"c_{gate}", None) is None else 1
        shape = (draws, *_shape(field.metadata["axes"], sizes))
        drawn = jax.random.uniform(jax.random.fold_in(key, index), shape, minval=-reach, maxval=reach)
        values[name] = drawn.sum(0)
    rest = {n: f for n, f in params(cell).items() if n not in values and getattr(cell, n) is not None}
    kept = {n: jnp.broadcast_to(getattr(cell, n), _shape(f.metadata["axes"], sizes)) for n, f in rest.items()}
    made: Any = cell
    return dataclasses.replace(made, **kept, **values)


@layerwise
def irnn(cell: Cell, key: Key[Array, ""], units: int | None = None, inputs: int | None = None) -> Cell:
    """Recurrent weights the identity, input weights N(0, 0.001²), biases 0 (Le, Jaitly & Hinton 2015)."""
    small = jax.nn.initializers.normal(1e-3)
    return _initialise(cell, key, units, inputs, small, lambda _, shape: jnp.eye(*shape), together=False, forget=0.0)


def gaussian(sd: float) -> Initialiser:
    """An initialiser that draws every matrix from N(0, ``sd``²), with all biases 0 (Greff et al. 2017: sd .1)."""
    normal = jax.nn.initializers.normal(sd)

    @layerwise
    def initialise(cell: Cell, key: Key[Array, ""], units: int | None = None, inputs: int | None = None) -> Cell:
        return _initialise(cell, key, units, inputs, normal, normal, together=False, forget=0.0)

    return initialise


def chrono(longest: float, start: Initialiser = keras3) -> Initialiser:
    """An initialiser for memories of up to ``longest`` steps: ``b_f = ln U[1, longest - 1]``, ``b_i = -b_f``.

    The same for a GRU's update gate, with the sign that keeps; all else as ``start`` (Tallec & Ollivier 2018).
    Raises ValueError unless ``longest`` exceeds 2, TypeError (when called) for a cell without such gates.
    """
    if not longest > 2:
        raise ValueError(f"chrono needs a longest memory of more than 2 steps, given {longest}")

    @layerwise
    def initialise(cell: Cell, key: Key[Array, ""], units: int | None = None, inputs: int | None = None) -> Cell:
        rest, spread = jax.random.split(key)
        steps = jax.random.uniform(spread, () if units is None else (units,), minval=1.0, maxval=longest - 1)
        keep = (
            {"b_f": 1, "b_i": -1} if isinstance(cell, LSTM) else {"b_z": 1 if getattr(cell, "z_keeps", False) else -1}
        )
        signs = {name: sign for name, sign in keep.items() if getattr(cell, name, None) is not None}
        if not isinstance(cell, LSTM | GRU | MUT1 | MUT2 | MUT3) or not signs:
            raise TypeError(f"chrono sets a forget or update gate; {type(cell).__name__} has none, use an LSTM or GRU")
        return dataclasses.replace(
            start(cell, rest, units, inputs), **{name: sign * jnp.log(steps) for name, sign in signs.items()}
        )

    return initialise


def with_multiplier(cell: Cell, mu: Float[Array, "*unit"] | float) -> PyTree:
    """``cell`` with the recurrent weight of its candidate such that the origin's multiplier is ``mu``.

    With gates at their biases, SRNN ``mu = w``, LSTM ``f + i o w_g``, GRU ``z + (1 - z) r w_h``, leaky ``1 - a + a w``;
    activations count by their slope at 0. True where the candidate's own bias is 0, so that the origin is a fixed
    point. In a layer every unit then sees itself alone. Raises TypeError for other cells, ValueError for an activation
    without a slope through the origin.
    """
    match cell:
        case SRNN():
            return _aim(cell, "w", mu / _slope(cell.act))
        case Pascanu():
            return _aim(cell, "w", mu / _slope(cell.f))
        case BengioLatch():
            return _aim(cell, "w", mu)
        case LeakyRNN():
            return _aim(cell, "w", (mu - (1 - cell.a)) / cell.a)
        case GRU() | MUT1() | MUT2() | MUT3():
            gate = cell.gate if isinstance(cell, GRU) else logistic
            z, r = gate(jnp.asarray(cell.b_z)), gate(jnp.asarray(cell.b_r))
            keep, write = (z, 1 - z) if getattr(cell, "z_keeps", False) else (1 - z, z)
            return _aim(cell, "w_h", (mu - keep) / (write * r))
        case LSTM() if cell.r_ii is None:
            i, o = (_at_rest(cell, gate) for gate in "io")
            f = 1 - i if cell.coupled else _at_rest(cell, "f")
            return _aim(cell, "w_g", (mu - f) / (i * o * _slope(cell.g_act) * _slope(cell.h_act)))
    raise TypeError(
        f"the origin multiplier of {type(cell).__name__} has no formula here; set its recurrent weight yourself"
    )


def linear(key: Key[Array, ""], units: int | None = None, outputs: int | None = None) -> Dense:
    """A `Dense` readout as PyTorch starts it: w and b from U(-1/sqrt(units), 1/sqrt(units))."""
    sizes, reach = {"unit": units, "output": outputs}, (units or 1) ** -0.5

    def draw(key: Key[Array, ""], *axes: str) -> jax.Array:
        return jax.random.uniform(key, _shape(axes, sizes), minval=-reach, maxval=reach)

    one, two = jax.random.split(key)
    return Dense(w=draw(one, "unit", "output"), b=draw(two, "output"))


def readout(key: Key[Array, ""], units: int | None = None, outputs: int | None = None, kernel: Draw = glorot) -> Dense:
    """A `Dense` readout with ``w`` drawn by ``kernel`` and b = 0; one unit or one output, where None, has no axis."""
    sizes = {"unit": units, "output": outputs}
    w = kernel(key, (units or 1, outputs or 1))
    return Dense(w=w.reshape(_shape(("unit", "output"), sizes)), b=jnp.zeros(_shape(("output",), sizes)))


def _sizes(cell: Any, units: int | None, inputs: int | None) -> dict[str, int | None]:
    """How long each axis of a cell's parameters is; blocks are of ``cell.size`` units where gates are shared."""
    size = getattr(cell, "size", 1)
    if (units or 1) % size:
        raise ValueError(f"blocks of {size} units make no layer of {units}; give units, a multiple of {size}")
    return {"unit": units, "input": inputs, "block": units and units // size}


def _shape(axes: tuple[str, ...], sizes: dict[str, int | None]) -> tuple[int, ...]:
    """The shape of a parameter; an axis of size None is left out."""
    return tuple(size for axis in axes if (size := sizes[axis]) is not None)


def _blocks(cell: Cell, together: bool) -> Iterator[tuple[str, ...]]:
    """The cell's matrices, by name, that are drawn as one: side by side over the gates, or each alone."""
    matrices = [
        n for n, field in params(cell).items() if len(field.metadata["axes"]) == 2 and getattr(cell, n) is not None
    ]
    for kind in "wu" if together else "":
        names = [f"{kind}_{gate}" if gate else kind for gate in cell.gates]
        block = tuple(name for name in names if name in matrices)
        matrices = [name for name in matrices if name not in block]
        if block:
            yield block
    yield from ((name,) for name in matrices)


def _initialise(
    cell: PyTree,
    key: Key[Array, ""],
    units: int | None,
    inputs: int | None,
    kernel: Draw,
    recurrent: Draw,
    together: bool,
    forget: float,
) -> PyTree:
    """``cell`` with its matrices drawn block by block, zero biases, and the bias ``b_f = forget``."""
    sizes = _sizes(cell, units, inputs)
    axes = {name: field.metadata["axes"] for name, field in params(cell).items() if getattr(cell, name) is not None}
    values = {}
    for name, named in axes.items():
        if len(named) < 2:
            own = {"b_f": forget}.get(name, 0.0) if name.split("_")[0] == "b" else getattr(cell, name)
            values[name] = jnp.broadcast_to(jnp.asarray(own, float), _shape(named, sizes))
    for index, block in enumerate(_blocks(cell, together)):
        first = axes[block[0]][0]
        widths = [sizes[axes[name][1]] or 1 for name in block]
        draw = recurrent if first == "unit" else kernel
        matrix = draw(jax.random.fold_in(key, index), (sizes[first] or 1, sum(widths)))
        for name, part in zip(block, jnp.split(matrix, np.cumsum(widths)[:-1], axis=1), strict=True):
            values[name] = part.reshape(_shape(axes[name], sizes))
    return dataclasses.replace(cell, **values)


def _slope(act: Callable) -> float:
    """The slope of an activation at the origin."""
    with jax.ensure_compile_time_eval():
        value, slope = (float(number) for number in jax.jit(jax.value_and_grad(act))(0.0))
    if value != 0 or slope == 0:
        name = getattr(act, "__name__", act)
        raise ValueError(
            f"a multiplier at the origin needs an activation that passes through it with a slope, given {name}"
        )
    return slope


def _at_rest(cell: LSTM, gate: str) -> ArrayLike:
    """A gate's value at the origin: its bias alone speaks; an absent gate is open."""
    return 1.0 if getattr(cell, f"w_{gate}") is None else cell.gate(jnp.asarray(getattr(cell, f"b_{gate}")))


def _aim(cell: PyTree, name: str, value: Float[ArrayLike, "*unit"]) -> PyTree:
    """``cell`` with the weight ``name``, diagonal in a layer, set to ``value``."""
    shape = jnp.shape(getattr(cell, name))
    weight = jnp.diag(jnp.broadcast_to(value, shape[:1])) if shape else jnp.asarray(value)
    return dataclasses.replace(cell, **{name: weight})

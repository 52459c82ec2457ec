"""Matrices of a risk at a model, known by their products with vectors: no matrix is ever formed.

A product goes through the data once, batch by batch: one batch is in memory, and sums over batches are in float64. A
batch is a program of its own and not a turn of a compiled loop, in which convolutions crawl on a CPU.
"""

import dataclasses
import difflib
import functools
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from landscape import devices
from landscape.blocks import Json
from landscape.directions.base import floats, opened
from landscape.engine.evaluator import cast
from landscape.planes import named_leaves
from landscape.risk import Batch, Risk, Score

Leaves = list  # of the leaves of a model that can move
Vector = Float[np.ndarray, "number"]


@dataclasses.dataclass(frozen=True, eq=False)
class Matrix:
    """A symmetric matrix by its product with a vector, (number,) -> (number,) in float64.

    ``about`` says in plain values what it is; ``parts`` are the numbers that belong to each parameter by name, the leaf
    laid out row by row.

    >>> Matrix(lambda v: 2 * v, 3)(np.ones(3)).tolist()
    [2.0, 2.0, 2.0]
    """

    product: Callable[[Vector], Vector]
    size: int
    about: dict[str, Json] = dataclasses.field(default_factory=dict)
    parts: dict[str, slice] = dataclasses.field(default_factory=dict)

    def __call__(self, vector: Vector) -> Vector:
        return np.asarray(self.product(np.asarray(vector, np.float64)), np.float64)


def hessian(risk: Risk, params: PyTree) -> Matrix:
    """``v -> H v`` with H the second derivatives of the risk, forward over reverse (Pearlmutter 1994)."""
    return _matrix(_hessian, risk, params)


def gauss_newton(risk: Risk, params: PyTree) -> Matrix:
    """``v -> 1/N sum_i J_i' L_i J_i v``: J the derivatives of an answer, L the Hessian of its loss (Schraudolph 2002).

    It is the Hessian without the curvature of the model, and the Fisher matrix for cross entropy of logits.
    """
    return _matrix(_gauss_newton, risk, params)


def empirical_fisher(risk: Risk, params: PyTree) -> Matrix:
    """``v -> 1/N sum_i g_i g_i' v``, g_i the gradient of one example's loss.

    Not the Fisher matrix, whose targets are the model's own (Kunstner et al. 2019): its trace is the mean square of
    the examples' gradients.
    """
    return _matrix(_empirical_fisher, risk, params)


def block(matrix: Matrix, *names: str) -> Matrix:
    """The block of a matrix that some parameters have with themselves: ``block(H, "Dense_0")`` is that of a layer.

    A name is that of a parameter or begins those of several. Raises ValueError for a name that there is not.
    """
    found = {part: where for part, where in matrix.parts.items() for name in names if f"{part}.".startswith(f"{name}.")}
    for name in names:
        if not any(f"{part}.".startswith(f"{name}.") for part in found):
            near = difflib.get_close_matches(name, matrix.parts, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"the matrix has no parameter {name!r}; it has {', '.join(matrix.parts)}{hint}")
    where = np.concatenate([np.arange(matrix.size)[part] for part in found.values()])
    ends = np.cumsum([0, *(part.stop - part.start for part in found.values())])
    parts = {name: slice(*pair) for name, pair in zip(found, itertools.pairwise(ends), strict=True)}

    def product(vector: Vector) -> Vector:
        whole = np.zeros(matrix.size)
        whole[where] = vector
        return matrix(whole)[where]

    return Matrix(product, len(where), {**matrix.about, "block": list(found)}, parts)


def _matrix(program: Callable, risk: Risk, params: PyTree) -> Matrix:
    """The matrix whose product with a vector a ``program`` adds up over batches."""
    params = checked(risk, params)
    parts = laid(params)

    def product(vector: Vector) -> Vector:
        sums = summed(risk, lambda batch: program(risk.score, params, apart(vector, params), batch))
        return np.concatenate([part.ravel() for part in sums])

    name = program.__name__.strip("_").replace("_", " ")
    about = {"matrix": name, **{key: value for key, value in risk.settings.items() if key != "order"}}
    return Matrix(product, max(part.stop for part in parts.values()), about, parts)


def checked(risk: object, params: PyTree) -> PyTree:
    """The model as the risk computes with it; TypeError or ValueError if it has no curvature."""
    if not isinstance(risk, Risk):
        raise TypeError(f"curvature is that of a landscape.Risk, given {type(risk).__name__}")
    if not laid(params):
        raise ValueError(
            "the model has no parameters of floating point, and integers have no derivatives; give it in float32"
        )
    return jax.tree.map(lambda leaf: cast(leaf, risk.precision), params)


def summed(risk: Risk, program: Callable[[Batch], Leaves]) -> Leaves:
    """The mean over examples of what a program sums over a batch: leaves in float64."""
    sums: Leaves = []
    here, double = jax.default_device(devices.local(0)), jax.enable_x64(risk.precision == "float64")
    with here, double, jax.disable_jit(False):  # whatever the caller is in, see `spectra.krylov`
        for batch in risk.data:
            found = jax.device_get(program(batch))
            sums = [np.add(s, f, dtype=np.float64) for s, f in zip(sums or [0.0] * len(found), found, strict=True)]
    return [s / risk.data.examples for s in sums]


def laid(params: PyTree) -> dict[str, slice]:
    """Which numbers of a vector belong to each parameter that can move."""
    leaves = jax.tree.leaves(params)
    moving = {name: np.size(leaves[i]) for name, i in named_leaves(params).items() if floats(leaves[i])}
    ends = np.cumsum([0, *moving.values()]).tolist()
    return {name: slice(*pair) for name, pair in zip(moving, itertools.pairwise(ends), strict=True)}


def apart(vector: Vector, params: PyTree) -> Leaves:
    """A vector as leaves like those of the model that can move."""
    leaves = [leaf for leaf in jax.tree.leaves(params) if floats(leaf)]
    ends = np.cumsum([np.size(leaf) for leaf in leaves])
    pairs = zip(np.split(vector, ends[:-1]), leaves, strict=True)
    return [part.reshape(np.shape(leaf)).astype(leaf.dtype) for part, leaf in pairs]


def each(score: Score, params: PyTree, batch: Batch) -> Float[Array, "example"]:
    """The loss of every example, at the last length where there are several; 0 of what fills a batch up."""
    losses = score.each(params, batch.inputs, batch.targets).astype(batch.weights.dtype)
    return jnp.where(batch.weights > 0, jnp.reshape(losses, (-1, losses.shape[-1]))[-1], 0)


def last(score: Score, params: PyTree, batch: Batch) -> Float[Array, ""]:
    """The sum of the losses of a batch, at the last length where there are several."""
    return jnp.sum(each(score, params, batch))


@functools.partial(jax.jit, static_argnums=0)
def _hessian(score: Score, params: PyTree, vector: Leaves, batch: Batch) -> Leaves:
    here, model = opened(params)
    slope = jax.grad(lambda some: last(score, model(some), batch))
    return jax.jvp(slope, (here,), (vector,))[1]


@functools.partial(jax.jit, static_argnums=0)
def _gauss_newton(score: Score, params: PyTree, vector: Leaves, batch: Batch) -> Leaves:
    here, model = opened(params)
    judge = dataclasses.replace(score, predict=lambda answers, _: answers)
    answers, pull = jax.vjp(lambda some: score.predict(model(some), batch.inputs), here)
    moved = jax.jvp(lambda some: score.predict(model(some), batch.inputs), (here,), (vector,))[1]
    bent = jax.jvp(jax.grad(lambda y: last(judge, y, batch)), (answers,), (moved,))[1]
    return pull(bent)[0]


@functools.partial(jax.jit, static_argnums=0)
def _empirical_fisher(score: Score, params: PyTree, vector: Leaves, batch: Batch) -> Leaves:
    here, model = opened(params)
    losses = lambda some: each(score, model(some), batch)  # noqa: E731
    moved, pull = jax.jvp(losses, (here,), (vector,))[1], jax.vjp(losses, here)[1]
    return pull(moved)[0]

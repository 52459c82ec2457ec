"""Planes: coordinates -> model. Two or more coordinates span the part of a model's parameters that a surface shows."""

import dataclasses
import difflib
import inspect
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree, PyTreeDef, Real, Shaped

from landscape.blocks import Json
from landscape.models import as_rnn
from landscape.tree import pytree, static

Number = Float[ArrayLike, ""]
RESERVED = ("length", "loss", "log10_gradient")  # what surfaces call something else


@pytree
class Affine:
    """``model(p) = origin + sum_k p_k directions[k]``; a direction is ``None`` at the leaves it leaves alone.

    Leaf by leaf rather than tree by tree, so that a coordinate costs nothing where it does not act. ``zeros`` are the
    leaves known to be exactly zero everywhere, which a program may leave out (`landscape.tree.dot`).
    """

    origin: PyTree
    directions: tuple
    zeros: tuple[int, ...] = static(())

    def at(self, point: Sequence[Number] | Float[Array, "coordinate"]) -> PyTree:
        """The model at coordinates ``point`` (one number per direction)."""
        before, tree = jax.tree.flatten(self.origin)
        leaves = list(before)
        for p, direction in zip(point, self.directions, strict=True):
            leaves = [leaf if d is None else _moved(leaf, p * d) for leaf, d in zip(leaves, direction, strict=True)]
        return jax.tree.unflatten(tree, map(_rounded, leaves, before))


def _half(leaf: Shaped[ArrayLike, "*shape"]) -> bool:
    """Whether a leaf is in half precision, or less."""
    kind = jnp.result_type(leaf)
    return jnp.issubdtype(kind, jnp.floating) and kind.itemsize < 4


def _moved(leaf: Shaped[ArrayLike, "*shape"], step: Float[ArrayLike, "*shape"]) -> Shaped[ArrayLike, "*shape"]:
    """``leaf + step``, in the dtype of the step where the leaf has fewer digits."""
    return (jnp.asarray(leaf, jnp.result_type(step)) if _half(leaf) else leaf) + step


def _rounded(leaf: Shaped[ArrayLike, "*shape"], before: Shaped[ArrayLike, "*shape"]) -> Shaped[ArrayLike, "*shape"]:
    """A leaf that has moved as precise as ``before``: one in half precision stays so, rounded once."""
    return jnp.asarray(leaf, jnp.result_type(before)) if leaf is not before and _half(before) else leaf


@pytree
class Placed:
    """A model that stands at a point of its plane, every leaf computed once: ``at(p)`` is that model, whatever ``p``.

    Only derivatives look at ``p``: along coordinate k they are ``directions[k]``. So a loop over steps need not compute
    the model again for every derivative in every step, nor the compiler see through it that they all are one.
    """

    leaves: tuple
    directions: tuple
    tree: PyTreeDef = static()

    def at(self, point: Sequence[Number]) -> PyTree:
        """The model, with derivatives with respect to ``point``."""
        leaves = list(self.leaves)
        for p, direction in zip(point, self.directions, strict=True):
            leaves = [leaf if d is None else _attached(leaf, p, d) for leaf, d in zip(leaves, direction, strict=True)]
        return jax.tree.unflatten(self.tree, leaves)


@jax.custom_jvp
def _attached(
    leaf: Float[ArrayLike, "*shape"], p: Number, direction: Float[ArrayLike, "*shape"]
) -> Float[ArrayLike, "*shape"]:
    """``leaf``, as a function of the coordinate ``p`` that it already stands at."""
    return leaf


@_attached.defjvp
def _attach(primals: tuple, tangents: tuple) -> tuple:
    return _attached(*primals), tangents[0] + tangents[1] * primals[2]  # itself, so that it can be derived again


@dataclasses.dataclass(frozen=True)
class Plane:
    """An affine family of models and, for each coordinate by name, the 1-D values at which a surface samples it."""

    affine: Affine
    axes: dict[str, Float[np.ndarray, "_"]]
    moves: dict[str, tuple[str, ...]]  # the parameters that each coordinate is the value of; none if a displacement
    center: tuple[float, ...]  # the coordinates of the model the plane was made from
    about: dict[str, Json] = dataclasses.field(default_factory=dict)  # how its directions were made, in plain values

    def at(self, point: Mapping[str, Number] | Sequence[Number]) -> PyTree:
        """The model at a point given by name or in the order of ``axes``."""
        return self.affine.at([point[name] for name in self.axes] if isinstance(point, Mapping) else point)

    def describe(self, name: str) -> str:
        """What a coordinate moves, in words: ``b_i = b_f``."""
        return " = ".join(self.moves[name]) or f"displacement along {name}"

    def points(self, region: Sequence[slice] | None = None) -> Float[np.ndarray, "point coordinate"]:
        """All points of the grid (point, coordinate), or those of a ``region`` of it, the last coordinate fastest."""
        parts = region or (slice(None),) * len(self.axes)
        mesh = np.meshgrid(*(axis[part] for axis, part in zip(self.axes.values(), parts, strict=True)), indexing="ij")
        return np.stack([m.ravel() for m in mesh], axis=-1)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each coordinate."""
        return tuple(len(values) for values in self.axes.values())


def _axis(name: str, values: Real[ArrayLike, "point"] | Sequence[float]) -> Float[np.ndarray, "point"]:
    if name in RESERVED:
        raise ValueError(f"a coordinate cannot be called {name!r}, which a surface has; choose another name")
    if "/" in name:
        raise ValueError(f"a coordinate cannot be called {name!r}: stores keep it in a folder; leave out the /")
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.all(np.isfinite(values)) or not np.all(np.diff(values) > 0):
        raise ValueError(f"axis {name!r} needs at least two finite values in increasing order, given {values}")
    return values


def named_leaves(model: PyTree) -> dict[str, int]:
    """Index of every leaf of a model by name: the field of the cell, or ``readout.w`` of what reads it out.

    Raises ValueError where two have the same, as ``{"a.b": 1.0, "a": {"b": 2.0}}``.
    """
    paths = [path for path, _ in jax.tree.flatten_with_path(model)[0]]
    keys = [[str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path] for path in paths]
    whole = [".".join(each) for each in keys]
    short = [".".join(each[1:]) if each[:1] == ["cell"] else ".".join(each) for each in keys]
    names = [brief if brief == full or brief not in whole else full for brief, full in zip(short, whole, strict=True)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two parameters of the model are both called {twice[0]!r}; rename one")
    return {name: index for index, name in enumerate(names)}


def plane(
    model: PyTree,
    /,
    ties: Mapping[str, Sequence[str]] | None = None,
    **axes: Real[ArrayLike, "_"] | Sequence[float],
) -> Plane:
    """The plane of named parameters: ``plane(SRNN(), w=linspace(-3, 3, 201), b=linspace(-2, 2, 201))``.

    Coordinates are values of the parameters; all others are held at ``model``'s. ``ties={"bias": ("b_i", "b_f")}``
    makes one coordinate, here ``bias``, the value of several parameters. Raises ValueError for a name the model lacks,
    TypeError for what is no model.
    """
    if not isinstance(ties, Mapping | None):
        raise TypeError(
            f"ties must map a coordinate to parameters, ties={{'bias': ('b_i', 'b_f')}}; given {ties!r} (a parameter "
            "called ties is moved as ties={'t': ['ties']}, t=...)"
        )
    ties = dict(ties or {})
    _refuse_maker(model)
    if not axes:
        raise ValueError("a plane needs a coordinate or more, such as w=np.linspace(-3, 3, 201)")
    if unused := set(ties) - set(axes):
        raise ValueError(f"tied coordinate {sorted(unused)[0]!r} has no axis; give {sorted(unused)[0]}=values")
    model = as_rnn(model)
    names = named_leaves(model)
    leaves, tree = jax.tree.flatten(model)
    for name, index in names.items():
        if isinstance(leaves[index], str):
            raise TypeError(f"{name} of {_name(model)} must be a number, given {leaves[index]!r}")
    directions, center = [], []
    moved: dict[str, str] = {}
    for name in axes:
        tied = tuple(ties.get(name, (name,)))
        for target in tied:
            if target not in names:
                near = difflib.get_close_matches(target, names, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"{_name(model)} has no parameter {target!r}; it has {', '.join(names)}{hint}")
            if np.size(leaves[names[target]]) != 1:
                raise ValueError(
                    f"{target!r} has shape {np.shape(leaves[names[target]])}; a named axis moves one number, use span"
                )
            if target in moved:
                raise ValueError(
                    f"parameter {target!r} is moved by both {moved[target]!r} and {name!r}; give it to one"
                )
            moved[target] = name
        held = {float(np.asarray(leaves[names[target]])) for target in tied}
        center.append(held.pop() if len(held) == 1 else float("nan"))
        hit = {names[target] for target in tied}
        directions.append(tuple(1.0 if i in hit else None for i in range(len(leaves))))
        leaves = [0.0 * np.asarray(leaf) if i in hit else leaf for i, leaf in enumerate(leaves)]
    affine = Affine(origin=jax.tree.unflatten(tree, leaves), directions=tuple(directions))
    moves = {name: tuple(ties.get(name, (name,))) for name in axes}
    return Plane(affine, {name: _axis(name, values) for name, values in axes.items()}, moves, tuple(center))


def _name(model: object) -> str:
    """What a model is called in a sentence: the class of its cell, if it has one."""
    return type(getattr(model, "cell", model)).__name__


def _refuse_maker(model: object) -> None:
    """TypeError for a class or function where what it makes is meant."""
    if isinstance(model, type) or inspect.isfunction(model):
        name = model.__name__
        raise TypeError(f"a plane needs a model, given {name} itself; call it: {name}()")


def span(model: PyTree, directions: Mapping[str, PyTree], **axes: Real[ArrayLike, "_"] | Sequence[float]) -> Plane:
    """The plane through ``model`` along arbitrary directions, pytrees like the model: ``model + sum_k p_k d_k``.

    Coordinates are displacements: the model itself lies at the origin, and a step of 1 moves it by the length of the
    direction. Any pytree of parameters will do as a model, such as those of a Flax module. What
    `landscape.directions` makes says how, and a store of the surface keeps it.
    """
    if set(directions) != set(axes):
        raise ValueError(f"directions {sorted(directions)} and axes {sorted(axes)} must have the same names")
    _refuse_maker(model)
    model = as_rnn(model)
    tree: PyTreeDef = jax.tree.structure(model)
    sparse = []
    for name in axes:
        direction = as_rnn(directions[name])
        if jax.tree.structure(direction) != tree:
            raise ValueError(
                f"direction {name!r} must be a pytree like the model, {tree}; given {jax.tree.structure(direction)}"
            )
        sparse.append(tuple(leaf if np.any(leaf) else None for leaf in jax.tree.leaves(direction)))
        for leaf, there in zip(sparse[-1], jax.tree.leaves(model), strict=True):
            if leaf is not None and np.shape(leaf) != np.shape(there):
                raise ValueError(
                    f"direction {name!r} has a leaf {np.shape(leaf)} where the model has {np.shape(there)}"
                )
            if leaf is not None and np.shape(there) and not jnp.issubdtype(there.dtype, jnp.floating):
                raise ValueError(
                    f"direction {name!r} moves an array of {there.dtype}, which is no line; make it float32"
                )
    checked = {name: _axis(name, values) for name, values in axes.items()}
    about = dict(getattr(directions, "about", {}))
    affine = Affine(origin=model, directions=tuple(sparse))
    return Plane(affine, checked, dict.fromkeys(axes, ()), (0.0,) * len(axes), about)

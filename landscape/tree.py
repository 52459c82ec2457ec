"""Frozen dataclasses that JAX can look inside, and the one product every cell is written with."""

import dataclasses
from collections.abc import Callable
from typing import Any, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree, PyTreeDef, Real

Parameter = Float[ArrayLike, "..."]  # of a cell: a number for one unit, in a layer an array with the axes of `param`


def param(*axes: str, default: Parameter | None = 0.0) -> Any:
    """Declare a parameter with its named axes in a layer, such as ``("input", "unit")``; one unit has 0-d parameters.

    A default of ``None`` declares a parameter that the cell does without unless it is given.
    """
    return dataclasses.field(default=default, metadata={"axes": axes})


def static(default: object = dataclasses.MISSING) -> Any:
    """Declare a choice that shapes the program: a function or a flag, never traced."""
    return dataclasses.field(default=default, metadata={"static": True})


@dataclass_transform(frozen_default=True, kw_only_default=True)  # every field has a default
def pytree(cls: type) -> type:
    """Make ``cls`` a frozen keyword dataclass and a JAX pytree: its leaves are all fields that are not `static`."""
    cls = dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(cls)
    names: dict[bool, list[str]] = {True: [], False: []}
    for field in dataclasses.fields(cls):
        names[bool(field.metadata.get("static"))].append(field.name)
    return jax.tree_util.register_dataclass(cls, data_fields=names[False], meta_fields=names[True])


def params(cls: PyTree) -> dict[str, dataclasses.Field]:
    """The declared parameters of a cell class or instance by name, in the order of its equation."""
    return {field.name: field for field in dataclasses.fields(cls) if "axes" in field.metadata}


def outline(tree: PyTree) -> tuple[PyTreeDef, tuple]:
    """All that a program knows of its arguments before it has them: structure, shapes and dtypes, hashable."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple((np.shape(leaf), np.result_type(leaf)) for leaf in leaves)


def dot(x: Real[ArrayLike, "..."], w: Parameter | Callable) -> Float[Array, "..."]:
    """``x w``: a plain product where either factor is 0-d, a full-precision matrix product otherwise.

    Shapes: ``x`` (a,) or (), ``w`` (a, b), (a,) or (). Accelerators round matrix products to fewer digits by
    default; a loss surface must not depend on that. A weight that is the Python number 0.0 leaves the term out. ``w``
    may be any linear map instead, a function of ``x``: so training takes the products of a layer out of its step.

    Whole numbers ``x``, of any shape, are symbols to a matrix: each stands for the row that a one-hot vector would
    pick, without the vector. To a number they are numbers.
    """
    if type(w) is float and w == 0.0:
        return 0.0  # type: ignore[return-value] # adds nothing to an array, and takes no time
    if callable(w):
        return w(x)
    if jnp.issubdtype(jnp.result_type(x), jnp.integer):
        if jnp.ndim(w) == 2:
            return jnp.asarray(w)[x]
        x = jnp.asarray(x, jnp.result_type(w))
    if jnp.ndim(x) == 0 or jnp.ndim(w) == 0:
        return jnp.multiply(x, w)
    return jnp.matmul(x, w, precision=jax.lax.Precision.HIGHEST)

"""Any function of a few numbers, computed on lanes: every number is an array, and only elementwise operations are left.

`lanes(f)` traces ``f`` for one example and evaluates its jaxpr with each small array held as a *box*, a NumPy array of
lane arrays. Reshaping, stacking, indexing and small matrix products are done at trace time by moving references; what
remains is one flat list of elementwise primitives, which a kernel can be made of.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Primitive, Var
from jaxtyping import Array, ArrayLike, PyTree, Shaped

Box = np.ndarray  # of objects: a lane array for each number of a small array
Lane = (
    Array | np.ndarray | np.number | np.bool | float
)  # a number at every lane; one that is known stays a number of NumPy
Ref = Any  # of Pallas: read and written by indices, as an array is; JAX has no public type of it
Equation = Any  # of a jaxpr: the types that JAX gives its variables tell neither shape nor dtype

ELEMENTWISE = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bitcast_convert_type cbrt ceil clamp
    convert_element_type cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt integer_pow is_finite le
    lgamma log log1p logistic lt max min mul ne neg nextafter not or pow rem round rsqrt select_n shift_left
    shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor
"""
MOVING = "broadcast_in_dim reshape squeeze expand_dims transpose slice rev split dynamic_slice gather"
SAME = "copy copy_p optimization_barrier reshard"
REDUCED: dict[str, Callable] = {
    "reduce_sum": jnp.add,
    "reduce_max": jnp.maximum,
    "reduce_min": jnp.minimum,
    "reduce_prod": jnp.multiply,
    "reduce_and": jnp.logical_and,
    "reduce_or": jnp.logical_or,
}


class Unfusable(NotImplementedError):
    """What cannot be written as one kernel, in one sentence; the plain route computes it."""


def boxed(values: Sequence, shape: tuple[int, ...] = ()) -> Box:
    """Lane arrays, the last axis fastest, as a box of ``shape``."""
    box = np.empty(math.prod(shape), object)
    for i, value in enumerate(values):
        box[i] = value
    return box.reshape(shape)


def numbers(tree: PyTree) -> list:
    """The lane arrays of a pytree whose leaves are lane arrays or boxes."""
    return [n for leaf in jax.tree.leaves(tree) for n in (leaf.flat if is_box(leaf) else [leaf])]


def is_box(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def lanes(f: Callable) -> Callable:
    """``f`` on pytrees whose leaves are lane arrays, for one number each, or boxes; it returns such as well.

    Python floats stay what they are for ``f``. Raises `Unfusable`, which names the operation, for what has no
    elementwise form.
    """

    def called(*args: PyTree) -> PyTree:
        flat, tree = jax.tree.flatten(args)
        known = [type(leaf) is float for leaf in flat]
        boxes = [leaf if is_box(leaf) else boxed([leaf]) for leaf, k in zip(flat, known, strict=True) if not k]

        def example(*given: PyTree) -> PyTree:
            rest = iter(given)
            return f(*jax.tree.unflatten(tree, [a if k else next(rest) for a, k in zip(flat, known, strict=True)]))

        shapes = [jax.ShapeDtypeStruct(box.shape, jnp.result_type(box.flat[0])) for box in boxes]
        traced, out = jax.make_jaxpr(example, return_shape=True)(*shapes)
        results = evaluate(traced.jaxpr, traced.consts, boxes)
        return jax.tree.unflatten(jax.tree.structure(out), [r if r.shape else r[()] for r in results])

    return called


def evaluate(jaxpr: Jaxpr, consts: Sequence[Shaped[ArrayLike, "..."]], boxes: Sequence[Box]) -> list[Box]:
    """The outputs of a jaxpr; boxes in and out."""
    env: dict[Var, Box] = dict(zip(jaxpr.constvars, map(_constant, consts), strict=True))
    env.update(zip(jaxpr.invars, boxes, strict=True))
    read = lambda var: _constant(np.asarray(var.val, var.aval.dtype)) if hasattr(var, "val") else env[var]  # noqa: E731
    for eqn in jaxpr.eqns:
        env.update(zip(eqn.outvars, _computed(eqn, [read(var) for var in eqn.invars]), strict=True))
    return [read(var) for var in jaxpr.outvars]


def _constant(value: ArrayLike) -> Box:
    """A constant of a jaxpr as a box of numbers; a traced scalar stays one lane array for all."""
    return boxed([value]) if np.shape(value) == () else boxed(list(np.asarray(value).ravel()), np.shape(value))


def _computed(eqn: Equation, boxes: list[Box]) -> list[Box]:
    """The outputs of one equation."""
    name, params = eqn.primitive.name, eqn.params
    if name not in ("cond", "while", "scan") and (inner := _inner(params)) is not None:
        return evaluate(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), boxes)
    if name in SAME.split():
        return boxes
    scalar = all(var.aval.shape == () for var in [*eqn.invars, *eqn.outvars])  # nothing but elementwise is left to do
    if name in ELEMENTWISE.split() or (scalar and not eqn.primitive.multiple_results and _inner(params) is None):
        return [_elementwise(eqn.primitive, params, boxes)]
    if name in MOVING.split() and all(_known(box) for box in boxes[1:]):
        return _moved(eqn, boxes)
    if name in RULES and (made := RULES[name](eqn, *boxes)) is not None:
        return made
    raise Unfusable(f"{name} on numbers that differ from point to point has no elementwise form")


def _inner(params: dict[str, PyTree]) -> PyTree:
    """The jaxpr that an equation calls, if it calls one."""
    return next(
        (params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr", "cond_jaxpr", "branches") if key in params), None
    )


def _elementwise(primitive: Primitive, params: dict[str, PyTree], boxes: list[Box]) -> Box:
    shape = np.broadcast_shapes(*(box.shape for box in boxes))
    params = {**params, "sharding": None} if primitive.name == "convert_element_type" else params
    columns = zip(*(np.broadcast_to(box, shape).flat for box in boxes), strict=True)
    return boxed([_applied(primitive, params, column) for column in columns], shape)


def _applied(primitive: Primitive, params: dict[str, PyTree], values: tuple) -> Lane:
    """A primitive on lane arrays; on numbers that are known it is done here and now."""
    if all(_number(value) for value in values):
        with jax.ensure_compile_time_eval():
            return np.asarray(primitive.bind(*map(jnp.asarray, values), **params))[()]
    return primitive.bind(*alike(*values), **params)


def alike(*values: Lane) -> list[Shaped[Array, "..."]]:
    """Lane arrays, broadcast to each other."""
    shape = np.broadcast_shapes(*{jnp.shape(value) for value in values})
    whole = lambda value: jnp.broadcast_to(value, shape)  # noqa: E731
    return [v if isinstance(v, jax.Array) and v.shape == shape else whole(v) for v in values]


def _number(value: object) -> bool:
    return isinstance(value, int | float | np.generic | np.ndarray)


def _known(box: Box) -> bool:
    return all(_number(value) for value in box.flat)


def _moved(eqn: Equation, boxes: list[Box]) -> list[Box]:
    """A primitive that moves numbers, applied to their places."""
    (box, *rest) = boxes
    with jax.ensure_compile_time_eval():
        places = jnp.arange(box.size, dtype=jnp.int32).reshape(box.shape)
        out = eqn.primitive.bind(places, *(jnp.asarray(np.array(b.tolist())) for b in rest), **eqn.params)
        each = [np.asarray(o) for o in (out if eqn.primitive.multiple_results else [out])]
    if any((o < 0).any() for o in each):
        raise Unfusable(f"{eqn.primitive.name} reads outside its array, which has no elementwise form")
    return [boxed(list(box.reshape(-1)[o.ravel()]), o.shape) for o in each]


def _iota(eqn: Equation) -> list[Box]:
    with jax.ensure_compile_time_eval():
        made = np.asarray(eqn.primitive.bind(**eqn.params))
    return [boxed(list(made.ravel()), made.shape)]


def _padded(eqn: Equation, box: Box, value: Box) -> list[Box]:
    with jax.ensure_compile_time_eval():
        place = jnp.arange(box.size, dtype=jnp.int32).reshape(box.shape)
        places = np.asarray(jax.lax.pad(place, jnp.int32(-1), eqn.params["padding_config"]))
    every = [*box.flat, value[()]]  # -1 is the last
    return [boxed([every[place] for place in places.ravel()], places.shape)]


def _reduced(eqn: Equation, box: Box) -> list[Box]:
    shape, axes = eqn.outvars[0].aval.shape, eqn.params["axes"]
    columns = np.moveaxis(box, axes, range(len(axes))).reshape(-1, math.prod(shape)).T
    join = lambda a, b: REDUCED[eqn.primitive.name](*alike(a, b))  # noqa: E731
    return [boxed([functools.reduce(join, list(column)) for column in columns], shape)]


def _extreme(eqn: Equation, box: Box) -> list[Box] | None:
    """Where the first largest or smallest number is; a NaN counts as both, as in JAX."""
    if box.ndim != 1:
        return None
    beats = jnp.greater if eqn.primitive.name == "argmax" else jnp.less
    best, *rest = alike(*box)
    at = jnp.zeros(best.shape, eqn.params["index_dtype"])
    for i, value in enumerate(rest, 1):
        better = jnp.logical_or(beats(value, best), jnp.logical_and(value != value, best == best))
        at, best = jnp.where(better, jnp.asarray(i, at.dtype), at), jnp.where(better, value, best)
    return [boxed([at])]


def _product(eqn: Equation, a: Box, b: Box) -> list[Box] | None:
    (left, right), batched = eqn.params["dimension_numbers"]
    if any(batched):
        return None
    a = np.moveaxis(a, left, range(len(left))).reshape(math.prod(a.shape[i] for i in left), -1)
    b = np.moveaxis(b, right, range(len(right))).reshape(len(a), -1)

    def entry(i: int, j: int) -> jax.Array:
        products = [jnp.multiply(*alike(p, q)) for p, q in zip(a[:, i], b[:, j], strict=True)]
        return functools.reduce(lambda p, q: jnp.add(*alike(p, q)), products)

    made = [entry(i, j) for i in range(a.shape[1]) for j in range(b.shape[1])]
    return [boxed(made, eqn.outvars[0].aval.shape)]


def _unstacked(eqn: Equation, box: Box) -> list[Box]:
    parts = np.moveaxis(box, eqn.params["axis"], 0).reshape(len(eqn.outvars), -1)
    return [boxed(list(part), var.aval.shape) for part, var in zip(parts, eqn.outvars, strict=True)]


def _picked(eqn: Equation, box: Box, index: Box) -> list[Box] | None:
    """One number of a row, by an index that differs from lane to lane; outside of it as JAX has it."""
    params, wide = eqn.params, eqn.primitive.name == "gather"
    if box.ndim != 1 or params["slice_sizes"] != (1,) or index.size != 1:
        return None
    at, value = index.flat[0], box[0]
    for i, other in enumerate(list(box)[1:], 1):
        value = _select(at >= i, other, value)
    if wide and "FILL" in str(params["mode"]) and jnp.issubdtype(jnp.result_type(value), jnp.inexact):
        value = _select((at < 0) | (at >= box.size), jnp.asarray(jnp.nan, jnp.result_type(value)), value)
    return [boxed([value], eqn.outvars[0].aval.shape)]


def _placed(eqn: Equation, box: Box, *rest: Box) -> list[Box] | None:
    """A row with one number added, or put in place, by an index that differs from lane to lane."""
    adds = eqn.primitive.name == "scatter-add"
    index, update = rest if adds else rest[::-1]
    if box.ndim != 1 or update.size != 1 or index.size != 1:
        return None
    at, new = index.flat[0], update.flat[0]
    at = at if adds else jnp.clip(at, 0, box.size - 1)
    put = lambda old: jnp.add(*alike(old, new)) if adds else new  # noqa: E731
    return [boxed([_select(at == i, put(old), old) for i, old in enumerate(box)], box.shape)]


def _select(which: Lane, one: Lane, other: Lane) -> Shaped[Array, "..."]:
    which, one, other = alike(which, one, other)
    return jnp.where(which, one, other)


RULES: dict[str, Callable] = {
    "gather": _picked,
    "dynamic_slice": _picked,
    "scatter-add": _placed,
    "dynamic_update_slice": _placed,
    "iota": _iota,
    "pad": _padded,
    "concatenate": lambda eqn, *boxes: [np.concatenate(boxes, eqn.params["dimension"])],
    "stack": lambda eqn, *boxes: [np.stack(boxes, eqn.params["axis"])],
    "unstack": _unstacked,
    **dict.fromkeys(REDUCED, _reduced),
    **dict.fromkeys(("argmax", "argmin"), _extreme),
    "dot_general": _product,
}

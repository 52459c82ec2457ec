"""A function with its convolutions as matrix products of patches, which a CPU computes five times faster in a loop.

XLA's convolution on a CPU reaches a fifth of the speed of its matrix products, and its derivatives in reverse mode a
fifth of that again wherever they stand in a loop; products keep theirs, and so do all their derivatives.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array, DTypeLike, Float, PyTree

MOST_BYTES = 2**26  # of the patches of one convolution; a larger one stays what it is
INLINE = ("jit", "pjit", "closed_call", "checkpoint", "remat", "remat2")  # calls that are evaluated step by step


def unrolled(f: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """``f`` itself where no convolution is found or the backend has good ones, else ``f`` with products of patches."""

    def g(*args: PyTree) -> PyTree:
        if jax.default_backend() != "cpu":
            return f(*args)
        closed, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        if not any(map(_held, closed.jaxpr.eqns)):
            return f(*args)
        return jax.tree.unflatten(
            jax.tree.structure(shape), _evaluate(closed.jaxpr, closed.consts, jax.tree.leaves(args))
        )

    return g


def _inner(equation: core.JaxprEqn) -> tuple[Any, Sequence] | None:
    """The steps of a call and its constants, if it may be evaluated step by step."""
    if equation.primitive.name not in INLINE or "jaxpr" not in equation.params:
        return None
    inner = equation.params["jaxpr"]
    return (inner.jaxpr, inner.consts) if isinstance(inner, core.ClosedJaxpr) else (inner, ())


def _held(equation: core.JaxprEqn) -> bool:
    """Whether a step is a convolution that becomes a product, or a call that holds one."""
    inner = _inner(equation)
    return any(map(_held, inner[0].eqns)) if inner else _fits(equation)


def _fits(equation: Any) -> bool:
    """Whether a step is a plain convolution whose patches are not too large."""
    if equation.primitive.name != "conv_general_dilated":
        return False
    how = equation.params
    out, (image, kernel) = equation.outvars[0].aval, (v.aval for v in equation.invars)
    plain = how["feature_group_count"] == how["batch_group_count"] == 1 and set(how["lhs_dilation"]) <= {1}
    made = kernel.shape[how["dimension_numbers"].rhs_spec[0]]
    patches = math.prod(out.shape) // made * (math.prod(kernel.shape) // made)
    return plain and patches * image.dtype.itemsize <= MOST_BYTES and jnp.issubdtype(image.dtype, jnp.floating)


def _evaluate(jaxpr: core.Jaxpr, consts: Sequence, args: Sequence) -> list:
    """What a program makes of ``args``, convolutions by `product`, as in JAX's own guide to interpreters."""
    known: dict = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def read(variable: core.Var | core.Literal) -> Array:
        return variable.val if isinstance(variable, core.Literal) else known[variable]

    for equation in jaxpr.eqns:
        given = [read(variable) for variable in equation.invars]
        if not _held(equation):
            how = equation.primitive.get_bind_params(equation.params)
            functions, how = how if isinstance(how, tuple) else ((), how)  # JAX has had it either way
            made = equation.primitive.bind(*functions, *given, **how)
            made = made if equation.primitive.multiple_results else [made]
        elif inner := _inner(equation):
            made = _evaluate(*inner, given)
        else:
            made = [product(*given, **equation.params)]
        known.update(zip(equation.outvars, made, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def product(
    image: Float[Array, "..."],
    kernel: Float[Array, "..."],
    *,
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    rhs_dilation: Sequence[int],
    dimension_numbers: jax.lax.ConvDimensionNumbers,
    precision: jax.lax.PrecisionLike,
    preferred_element_type: DTypeLike | None,
    **_: object,
) -> Float[Array, "..."]:
    """`jax.lax.conv_general_dilated` of one group: every patch of the image times the kernel, as one matrix product."""
    (example, channel, *space), (out, depth, *window), (first, last, *place) = dimension_numbers
    image = jnp.transpose(image, (example, *space, channel))
    kernel = jnp.transpose(kernel, (*window, depth, out))
    image = jax.lax.pad(image, jnp.zeros((), image.dtype), [(0, 0, 0), *((*p, 0) for p in padding), (0, 0, 0)])
    sides = kernel.shape[:-2]
    steps = list(zip(image.shape[1:-1], sides, window_strides, rhs_dilation, strict=True))
    shape = [(length - (side - 1) * apart - 1) // stride + 1 for length, side, stride, apart in steps]

    def shifted(offset: tuple[int, ...]) -> Array:
        starts = [k * apart for k, apart in zip(offset, rhs_dilation, strict=True)]
        stops = [k + (n - 1) * stride + 1 for k, n, stride in zip(starts, shape, window_strides, strict=True)]
        ends = (image.shape[0], *stops, image.shape[-1])
        return jax.lax.slice(image, (0, *starts, 0), ends, (1, *window_strides, 1))

    patches = jnp.concatenate([shifted(k) for k in itertools.product(*map(range, sides))], -1)
    wide = jnp.reshape(patches, (-1, patches.shape[-1])), jnp.reshape(kernel, (-1, kernel.shape[-1]))
    found = jnp.matmul(*wide, precision=precision, preferred_element_type=preferred_element_type)
    found = jnp.reshape(found, (*patches.shape[:-1], -1))
    order = {first: 0, last: found.ndim - 1, **{axis: k for k, axis in enumerate(place, 1)}}
    return jnp.transpose(found, [order[axis] for axis in range(found.ndim)])

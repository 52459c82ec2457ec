"""A function in two parts, what changes with its arguments and what does not: a loop then keeps the first part alone.

The way back through a step, `jax.vjp`, is a pytree of the numbers that its gradient needs. Kept at every step of a loop
it need not compute them again, as in JAX's own scans; but it holds the weights too, which are the same at all steps.
"""

from collections.abc import Callable

import jax
from jax.extend.core import Jaxpr, jaxpr_as_fun
from jaxtyping import PyTree


def parted(f: Callable[..., PyTree], *given: PyTree) -> tuple[Callable[..., list], Callable[[list], PyTree]]:
    """``moving(*given)``, the arrays of ``f(*given)`` that depend on what is given, and ``whole(moving)``, all of it.

    Arguments given later have the shapes of these. What depends on none of them is computed here, once.
    """
    program, result = jax.make_jaxpr(f, return_shape=True)(*given)
    run, moves = jaxpr_as_fun(program), _moves(program.jaxpr)

    def some(wanted: bool, given: tuple) -> list[jax.Array]:
        return [leaf for leaf, m in zip(run(*jax.tree.leaves(given)), moves, strict=True) if m == wanted]

    still = some(False, given)

    def whole(moving: list[jax.Array]) -> PyTree:
        parts = iter(still), iter(moving)
        return jax.tree.unflatten(jax.tree.structure(result), [next(parts[m]) for m in moves])

    return lambda *given: some(True, given), whole


def _moves(program: Jaxpr) -> list[bool]:
    """Which results of a program depend on its arguments: those of steps that read what depends on them."""
    seen = set(map(id, program.invars))
    for equation in program.eqns:
        if seen.intersection(map(id, equation.invars)):
            seen.update(map(id, equation.outvars))
    return [id(variable) in seen for variable in program.outvars]

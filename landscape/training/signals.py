"""How long a bit can be seen before training: in the gradient of a unit, and by how fast its state forgets."""

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key, PyTree

from landscape import devices
from landscape.cells import Cell
from landscape.dynamics import noise_multiplier, origin_multiplier
from landscape.initialisers import keras2
from landscape.models import RNN
from landscape.models import run as answers
from landscape.tasks import gaussian
from landscape.training.runs import begin

if TYPE_CHECKING:
    import xarray


def seen(model: RNN, noise: Float[Array, "pair time"], batch: int = 16) -> dict[str, PyTree[Float[Array, "..."]]]:
    """What the gradient of one unit sees of the first bit, at every length; for two logits and ``noise`` (pair, time).

    ``signal``: |E[h | +] - E[h | -]|; ``slope``: norm of the part of the gradient that sees the labels; ``ratio``: that
    over the scatter of a gradient of ``batch`` episodes; ``blind``: the cell's gradient of the other part, at the last
    length. The bits +1 and -1 meet the same noise, which takes its scatter out.

    ``grad L = -1/4 grad(E[z | +] - E[z | -]) + grad L_blind`` (`landscape.training.signal_and_blind`), at all
    lengths in one forward pass.
    """
    x = jnp.stack([noise.at[:, 0].add(bit) for bit in (1.0, -1.0)])  # (bit, pair, time)
    leaves, tree = jax.tree.flatten(model.cell)
    v = model.readout.w[1] - model.readout.w[0]

    def state(numbers: jax.Array, x: jax.Array) -> jax.Array:
        return answers(jax.tree.unflatten(tree, list(numbers)), x)

    each = lambda f: jax.vmap(jax.vmap(f, (None, 0)), (None, 0))(jnp.stack(leaves), x)  # noqa: E731
    h, slope = each(state), v * each(jax.jacfwd(state))  # (bit, pair, time), the same and (parameter,)
    sure = jax.nn.sigmoid(v * h)[..., None]
    signal = -(slope[0] - slope[1]).mean(0) / 4
    blind = ((sure - 0.5) * slope).mean((0, 1))
    scatter = ((sure - jnp.array([1.0, 0.0])[:, None, None, None]) * slope).var((0, 1)).sum(-1) ** 0.5
    size = jnp.linalg.norm(signal, axis=-1)
    lost = jnp.abs((h[0] - h[1]).mean(0))
    ratio = size * batch**0.5 / jnp.where(scatter > 0, scatter, jnp.inf)
    return {"signal": lost, "slope": size, "ratio": ratio, "blind": jax.tree.unflatten(tree, list(blind[-1]))}


def decay(
    multiplier: Float[np.ndarray, "*start"], u: Float[ArrayLike, "*start"] | None, noise: float
) -> Float[np.ndarray, "*start"]:
    """``|ln lambda|``, what a memory loses a step at first: that of the multiplier, or of noise where an SRNN has 1.

    At |w| = 1 noise sets the pace: -ln lambda_2 = .56 |u| noise. Between four computed strengths it is interpolated.
    """
    rate = np.abs(np.log(np.abs(multiplier)))
    if u is None or not noise:
        return rate
    return np.where(rate < 1e-4, np.interp(np.abs(u) * noise, *_paces()), rate)


@functools.cache
def _paces() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Strengths of noise, and what an SRNN of |w| = 1 loses a step under each."""
    strengths = (0.025, 0.05, 0.1, 0.2)
    return (0.0, *strengths), (0.0, *(-math.log(noise_multiplier(1.0, 1.0, s)) for s in strengths))


PUSHED = {"SRNN": ("w",), "LSTM": ("b_i", "b_f", "b_o"), "GRU": ("b_z",)}


def before(
    cells: Mapping[str, Cell], draws: int, pairs: int, length: int, noise: float = 0.1, seed: int = 0
) -> "xarray.Dataset":
    """Keras 2 starts of an SRNN, an LSTM and a GRU, dims (cell, draw, length); in float64: a signal of 1e-15 is one.

    ``multiplier`` at the origin; ``signal``: |E[h | +] - E[h | -]|; ``slope``: norm of the part of the gradient that
    sees the labels; ``ratio``: that norm over the scatter of a minibatch gradient; and (push, draw) ``push_blind``:
    what descent on the label-blind part does to a parameter at the last length, to |w| for a recurrent weight
    """
    import xarray

    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), draws)
        found = {}
        for name, cell in cells.items():
            one = functools.partial(at_start, cell, pairs=pairs, length=length, sd=noise)
            found[name] = jax.device_get(
                jax.jit(lambda keys, one=one: jax.lax.map(one, keys), compiler_options=devices.hasty())(keys)
            )
    stacked = {
        each: (
            ("cell", "draw", "length")[: np.ndim(found["SRNN"][each]) + 1],
            np.stack([f[each] for f in found.values()]),
        )
        for each in ("multiplier", "signal", "slope", "ratio")
    }
    pushes = {f"{n} {'|w|' if p == 'w' else p}": found[n][p] for n, names in PUSHED.items() for p in names}
    stacked["push_blind"] = (("push", "draw"), np.stack(list(pushes.values())))
    return xarray.Dataset(
        stacked,
        {
            "cell": np.array(list(cells), object),
            "length": np.arange(1, length + 1),
            "push": np.array(list(pushes), object),
        },
    )


def at_start(
    cell: Cell, key: Key[Array, ""], pairs: int, length: int, sd: float = 0.1
) -> dict[str, Float[Array, "..."]]:
    """One default start, see `before`."""
    first, rest = jax.random.split(key)
    model = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), begin(cell, first, keras2))
    noise = jax.vmap(lambda k: gaussian(k, length, sd))(jax.random.split(rest, pairs))
    found = seen(model, noise)
    blind = found.pop("blind")
    push = {n: -getattr(blind, n) * (jnp.sign(model.cell.w) if n == "w" else 1) for n in PUSHED[type(cell).__name__]}
    return {"multiplier": origin_multiplier(model.cell), **found, **push}

"""How long a bit can be seen before training: in the gradient of a unit, and by how fast its state forgets."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from landscape.dynamics import noise_multiplier
from landscape.models import run as answers


def seen(model: Any, noise: jax.Array, batch: int = 16) -> dict[str, Any]:
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


def decay(multiplier: np.ndarray, u: Any, noise: float) -> np.ndarray:
    """``|ln lambda|``, what a memory loses a step at first: that of the multiplier, or of noise where an SRNN has 1.

    At |w| = 1 noise sets the pace: -ln lambda_2 = .56 |u| noise. Between four computed strengths it is interpolated.
    """
    rate = np.abs(np.log(np.abs(multiplier)))
    if u is None or not noise:
        return rate
    strengths = (0.025, 0.05, 0.1, 0.2)
    lost = [-np.log(noise_multiplier(1.0, 1.0, s)) for s in strengths]
    return np.where(rate < 1e-4, np.interp(np.abs(u) * noise, (0.0, *strengths), (0.0, *lost)), rate)

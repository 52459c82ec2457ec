"""Which way a gradient goes: forward along the coordinates, or backward through the model."""

from collections.abc import Callable

import jax
from jaxtyping import PyTree

from landscape.planes import Affine
from landscape.risk.convolutions import unrolled

LOOPS = "scan[", "while["  # backward would keep what every turn has computed
CONVOLUTION, ALONE = "conv_general_dilated[", "custom_vjp_call["


def backward(predict: Callable[[PyTree, PyTree], PyTree], affine: Affine, inputs: PyTree) -> bool:
    """Whether a gradient along the coordinates goes backward: from two coordinates on through convolutions, and where a
    part of the model has no other derivative.

    A layer takes one product for its value, two more for each coordinate forward, for its inputs and its weights move,
    and two backward. Where these are convolutions two coordinates take five thirds of the products forward, and of the
    time. Matrix products gain nothing backward (784-512-512-512-512-10: level): tangents of the first ones are the same
    at every point, and computed once. Nor do loops, or on a CPU what has to stay a convolution.
    """
    point = [0.0] * len(affine.directions)
    asked = str(jax.make_jaxpr(predict)(affine.at(point), inputs))
    if ALONE in asked or len(point) < 2 or CONVOLUTION not in asked or any(loop in asked for loop in LOOPS):
        return ALONE in asked
    made = str(jax.make_jaxpr(unrolled(predict))(affine.at(point), inputs))
    return CONVOLUTION not in made or jax.default_backend() != "cpu"

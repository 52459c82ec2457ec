"""Figures of surfaces: a Dataset in, a matplotlib figure or a file out. Nothing here computes a loss, or imports JAX.

Every figure names its axes with units, the cell, the task, the length, the episodes and the dtype. Points that are inf
or NaN are drawn in a colour of their own and counted. Lines over a surface (``overlays``) are given as arrays.
"""

from landscape.plots.cliffs import cliffs
from landscape.plots.command import command
from landscape.plots.curves import means, success, training
from landscape.plots.moving import animation, interactive
from landscape.plots.parts import NONFINITE, STYLE, styled
from landscape.plots.still import formation, gradient, indexed, profile, save, surface3d

__all__ = [
    "NONFINITE",
    "STYLE",
    "animation",
    "cliffs",
    "command",
    "formation",
    "gradient",
    "indexed",
    "interactive",
    "means",
    "profile",
    "save",
    "styled",
    "success",
    "surface3d",
    "training",
]

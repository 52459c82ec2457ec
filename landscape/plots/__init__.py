"""Figures of surfaces: a Dataset in, a matplotlib figure or a file out. Nothing here computes a loss, or imports JAX.

Every figure names its axes with units, the cell, the task, the length, the episodes and the dtype, and takes the
keywords of `Look`: ``ax``, ``figsize``, ``cmap``, ``title`` and more. Its style lies under the user's: rcParams that
you have set are kept. Points that are inf or NaN are drawn in a colour of their own and counted. Lines over a surface
(``overlays``) are given as arrays.
"""

from landscape.plots.cliffs import cliffs
from landscape.plots.command import command, drawing, opened
from landscape.plots.curves import means, short, success, training
from landscape.plots.files import indexed, save
from landscape.plots.look import NONFINITE, STYLE, Look, styled
from landscape.plots.moving import animation, interactive
from landscape.plots.parts import leading
from landscape.plots.spectra import spectrum
from landscape.plots.still import formation, gradient, profile, surface3d
from landscape.plots.sweeps import sweep
from landscape.plots.trajectories import trajectory

__all__ = [
    "NONFINITE",
    "STYLE",
    "Look",
    "animation",
    "cliffs",
    "command",
    "drawing",
    "formation",
    "gradient",
    "indexed",
    "interactive",
    "leading",
    "means",
    "opened",
    "profile",
    "save",
    "short",
    "spectrum",
    "styled",
    "success",
    "surface3d",
    "sweep",
    "training",
    "trajectory",
]

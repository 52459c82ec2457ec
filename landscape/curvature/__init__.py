"""Curvature of a risk at a model, by products with vectors that stream the data; every number with its error."""

from landscape.curvature.matrices import Matrix, block, empirical_fisher, gauss_newton, hessian
from landscape.curvature.sharpness import sharpness
from landscape.curvature.spectra import density, directions, top
from landscape.curvature.traces import noise_scale, trace

__all__ = [
    "Matrix",
    "block",
    "density",
    "directions",
    "empirical_fisher",
    "gauss_newton",
    "hessian",
    "noise_scale",
    "sharpness",
    "top",
    "trace",
]

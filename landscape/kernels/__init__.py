"""Kernels for accelerators: the functions of the package, traced differently.

`lanes` traces a function of one example into elementwise operations on arrays of examples, which Pallas can write as
one kernel; `surfaces` does so with the course of a surface. Nothing here knows a cell, a loss or an optimiser.
"""

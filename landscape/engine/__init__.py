"""The engine: a `Problem` says what is computed at every point of a plane, an `Evaluator` computes it."""

from landscape.engine.evaluator import Evaluator
from landscape.engine.filling import fill
from landscape.engine.problem import Problem, derivatives, precise

__all__ = ["Evaluator", "Problem", "derivatives", "fill", "precise"]

"""What training does on a plane: paths of an optimiser, maps of where it succeeds, the dimension of their boundary."""

from landscape.descent.box_counting import Dimension, box_dimension
from landscape.descent.paths import OUTCOMES, paths, trainability

__all__ = ["OUTCOMES", "Dimension", "box_dimension", "paths", "trainability"]

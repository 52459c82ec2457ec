"""What training does on a plane: paths of an optimiser, maps of where it succeeds, the dimension of their boundary."""

from landscape.descent.boxes import Dimension, box_dimension
from landscape.descent.walks import FATES, paths, trainability

__all__ = ["FATES", "Dimension", "box_dimension", "paths", "trainability"]

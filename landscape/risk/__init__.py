"""Any model and a data set: the mean loss of its answers, where a task would stand."""

from landscape.risk.batches import Batch, Batches
from landscape.risk.checkpoints import Checkpoints
from landscape.risk.problem import Risk
from landscape.risk.score import Score

__all__ = ["Batch", "Batches", "Checkpoints", "Risk", "Score"]

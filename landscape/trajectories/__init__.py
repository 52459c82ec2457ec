"""Trajectories: the models that training went through, kept as they come, and where they lie by a plane."""

from landscape.trajectories.descending import descend
from landscape.trajectories.projecting import project
from landscape.trajectories.recording import Trajectory, read, record

__all__ = ["Trajectory", "descend", "project", "read", "record"]

"""Views of a trained recurrent network: what its gradient, its gates and its states do along episodes, as Datasets.

Every view takes a model (a cell with its readout) and episodes as `landscape.tasks.episodes` stacks them.
"""

from landscape.views.gates import saturation
from landscape.views.gradients import gradient_by_lag
from landscape.views.jacobians import spectra, turns
from landscape.views.memories import recovery, responses, states, traces

__all__ = ["gradient_by_lag", "recovery", "responses", "saturation", "spectra", "states", "traces", "turns"]

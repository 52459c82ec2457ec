"""Training by the thousand: `fit` one run, `curves` over lengths and seeds, and what training is up against."""

from landscape.training.carousel import carousel
from landscape.training.checkpoints import checkpointed
from landscape.training.diagnostics import Guess, baseline, guess, signal_and_blind
from landscape.training.fitting import Fit, Record, Stop, fit
from landscape.training.gradients import Route, Score, forward, reverse
from landscape.training.noise import dropout
from landscape.training.optimisers import keras_adam
from landscape.training.penalties import Penalty, omega, omega_squared
from landscape.training.runs import begin, curves
from landscape.training.splits import at_random, last, last_by_class
from landscape.training.steps import Seen, State, Step, step
from landscape.training.streams import stream

__all__ = [
    "Fit",
    "Guess",
    "Penalty",
    "Record",
    "Route",
    "Score",
    "Seen",
    "State",
    "Step",
    "Stop",
    "at_random",
    "baseline",
    "begin",
    "carousel",
    "checkpointed",
    "curves",
    "dropout",
    "fit",
    "forward",
    "guess",
    "keras_adam",
    "last",
    "last_by_class",
    "omega",
    "omega_squared",
    "reverse",
    "signal_and_blind",
    "step",
    "stream",
]

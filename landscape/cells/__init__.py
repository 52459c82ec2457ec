# ruff: noqa: F401
"""Recurrent cells. Each class is its equation: fields are the parameters, `step` maps (state, input) to the next state.

Parameters are named as in the papers: recurrent ``w``, input ``u``, bias ``b``, with the gate as suffix (``w_f``).
With 0-d parameters a cell is one unit; with matrices, made by `landscape.initialisers`, the same class is a layer.
A parameter that is ``None`` is absent, and so is the gate it belongs to. ``s`` is the logistic function.
"""

# The order in which `known` lists them.
# isort: off
from landscape.activations import tanh
from landscape.cells.base import Cell, State, check, drive, hard_sigmoid, identity, known, logistic, zeros
from landscape.cells.simple import SRNN, LogisticRNN, IRNN, SoftsignRNN, LinearRNN
from landscape.cells.simple import LeakyRNN, Pascanu, TanhMap, BengioLatch
from landscape.cells.gru import GRU, GRUResetAfter, GRUChung, HardGRU, MUT1, MUT2, MUT3
from landscape.cells.lstm import LSTM, LSTMState, HardLSTM, FrozenLSTM, LSTM1997
from landscape.cells.lstm import LSTMPeephole, NIG, NFG, NOG, NIAF, NOAF, CIFG, NP, FGR
from landscape.cells.blocks import MemoryBlocks

# ruff: noqa: F401
"""Synthetic tasks. A task is a frozen record of functions; an episode is one example of it.

Entry L of a surface is the loss of an episode cut after L steps. Some tasks ask for one answer at the end, those with a
mask for one after every step that weighs something.

A task that is not nested takes ``sample(key, length, index, time)``: the episode of ``length`` steps, which may be
traced, in an array of ``time`` steps. What lies after ``length`` is filler that nobody reads, so that one program can
draw every length.
"""

# The order in which `known` lists them.
# isort: off
from landscape.tasks.base import Episode, Index, Length, Task, by_time, check, episodes, gaussian, known, named, sign
from landscape.tasks.base import own_end, time_first
from landscape.tasks.latching import latch, relay, pascanu, reach, bengio, echo, parity, two_sequence
from landscape.tasks.marks import adding, multiplication, temporal_order, adding_1997, multiplication_1997, order_1997
from landscape.tasks.long_lags import lag_1997, trigger_1997, beginning_1997
from landscape.tasks.grammar import reber
from landscape.tasks.strings import arithmetic, xml, memorise

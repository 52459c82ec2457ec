"""Data of your own: files as arrays, arrays as episodes and tasks. Nothing is downloaded, nothing is executed.

``idx`` (MNIST's format), ``text``, ``wav``, ``rolls`` (npz or MIDI), ``digits`` (scikit-learn's 8 x 8 images);
``chorales`` and ``plucked`` generate stand-ins for music and sound; ``classified``, ``next_symbols`` and
``next_frames`` make episodes of them, ``task`` a task for surfaces.
"""

from landscape.data.arrays import classified, digits, next_frames, next_symbols, scan_order, task
from landscape.data.images import idx
from landscape.data.ngrams import foretold, ngrams
from landscape.data.sound import rolls, wav
from landscape.data.stand_ins import chorales, plucked
from landscape.data.symbols import Text, text

__all__ = [
    "Text",
    "chorales",
    "classified",
    "digits",
    "foretold",
    "idx",
    "next_frames",
    "next_symbols",
    "ngrams",
    "plucked",
    "rolls",
    "scan_order",
    "task",
    "text",
    "wav",
]

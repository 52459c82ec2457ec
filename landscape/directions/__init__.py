"""Directions for `landscape.span`: pytrees like the parameters, by name, and how they were made."""

from landscape.directions.base import Directions
from landscape.directions.draws import named, random
from landscape.directions.rules import Rule, every, first, last, layer
from landscape.directions.spans import Place, between, place, principal

__all__ = [
    "Directions",
    "Place",
    "Rule",
    "between",
    "every",
    "first",
    "last",
    "layer",
    "named",
    "place",
    "principal",
    "random",
]

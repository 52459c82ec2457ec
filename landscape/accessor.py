"""What can be asked of a surface itself: ``surface.landscape.plot()``, ``.cliffs()`` and ``.explore()``.

xarray gives every Dataset the attribute ``landscape``, as soon as both it and this package are imported, in any order.
How a notebook shows the Dataset stays xarray's own.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import xarray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from landscape.cliffs import Survey
    from landscape.explorer import Page
    from landscape.tasks import Task


@xarray.register_dataset_accessor("landscape")
class Accessor:
    """A surface of `landscape.surface`, or of a store, and what can be done with it."""

    def __init__(self, surface: xarray.Dataset) -> None:
        self._surface = surface

    def plot(self, lengths: Sequence[int] | None = None, **look: Any) -> "Figure":
        """The loss side by side at several lengths: `landscape.plots.formation`, with its keywords."""
        from landscape import plots

        return plots.formation(self._surface, lengths, **look)

    def cliffs(self, lengths: Sequence[int] | None = None, least: float = 0.05) -> "Survey":
        """How many cliffs there are, and of each where it is, how high and how it grows: `landscape.cliffs.survey`.

        It needs second derivatives. What comes back prints as the table of ``landscape cliffs``.
        """
        from landscape.cliffs import surveyed

        return surveyed(self._surface, lengths, least=least)

    def explore(self, task: "Task | None" = None, mine: ModuleType | None = None) -> "Page":
        """The page to explore a surface over two coordinates: a notebook shows it, ``.save("page.html")`` writes it.

        A ``task`` of your own, or a module with your cells and tasks, is as in `landscape.explorer.page`.
        """
        from landscape import explorer

        return explorer.made(self._surface, task, mine)

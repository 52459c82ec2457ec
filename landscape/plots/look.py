"""What figures look like: our style under the user's, and the keywords that every figure takes."""

import dataclasses
import difflib
import functools
import inspect
import io
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

NONFINITE = "#ff2e88"  # a colour that neither map has
LOSS, GRADIENT = "viridis", "cividis"
WIDTH = 7.2  # inches: two columns of a journal
STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": "medium",  # sizes follow the one above, which the user may set
    "axes.labelsize": "medium",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "figure.titlesize": 9,
    "figure.titleweight": "bold",
    "figure.labelsize": "medium",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "grid.linewidth": 0.4,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType, as journals ask: text stays text
    "ps.fonttype": 42,
    "svg.fonttype": "path",  # glyphs as outlines: the same on a machine without the font
    "svg.hashsalt": "landscape",
}
SIZES = {"xtick.labelsize", "ytick.labelsize", "legend.fontsize", "legend.title_fontsize", "figure.titlesize"}
SMALL = 0.8125  # small print, of the size of the text: 6.5 points of 8
T = TypeVar("T")
OURS: Any = ...  # where the user says nothing


def style() -> Any:
    """Our style under the user's: the rcParams that still have matplotlib's own values, and no others.

    Where the text has a size of the user's, ours of titles and ticks follow it in proportion.
    """
    ratio = 1.0 if "font.size" in (left := _left()) else mpl.rcParams["font.size"] / STYLE["font.size"]
    return {key: STYLE[key] * ratio if key in SIZES else STYLE[key] for key in left}


def _left() -> list[str]:
    """The rcParams of ours that the user has left as matplotlib has them."""
    now: dict[Any, Any]
    plain: dict[Any, Any]
    now, plain = dict(mpl.rcParams), dict(mpl.rcParamsDefault)  # type: ignore[arg-type]
    return [key for key in STYLE if now[key] == plain[key]]


class Shown(Figure):
    """A figure that a notebook shows without pyplot: two dots to each of its pixels, and an opaque ground.

    The ground is the rcParam ``figure.facecolor`` and text has its own colours: a figure reads on a light page and on a
    dark one. A dark style of yours, such as matplotlib's ``dark_background``, makes a dark figure.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        file, (width, height) = io.BytesIO(), (round(size * self.dpi) for size in self.get_size_inches())
        self.savefig(file, format="png", dpi=2 * self.dpi, facecolor=self.get_facecolor(), transparent=False)
        return file.getvalue(), {"width": width, "height": height}


@dataclasses.dataclass(frozen=True)
class Look:
    """The keywords that every figure takes.

    ax:              axes of yours to draw a figure of one panel into; it then has no small print
    figsize:         width and height in inches
    cmap:            a colormap of matplotlib, or its name
    colors:          one for each line
    title, caption:  the title, and the small print below; None for none
    xlabel, ylabel:  the names of the axes
    label:           what the values are, beside the bar of colours or up the axis
    """

    ax: Axes | None = None
    figsize: tuple[float, float] | None = None
    cmap: str | Colormap | None = None
    colors: Sequence[ColorType] | None = None
    title: str | None = OURS
    caption: str | None = OURS
    xlabel: str | None = None
    ylabel: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        given = {"figsize": self.figsize, "caption": None if self.caption is OURS else self.caption}
        for name, value in given.items():
            if self.ax is not None and value is not None:
                raise ValueError(f"{name}= is for a figure of its own, and ax= is in one of yours; give one of the two")

    def figure(self, size: tuple[float, float], panels: int) -> Figure:
        """A new figure for so many panels; ValueError if it was to be drawn into one."""
        if self.ax is not None:
            raise ValueError(f"ax= takes one panel and this figure has {panels}; ask for one, or leave ax out")
        return Shown(figsize=self.figsize or size, layout="constrained")

    def axes(self, size: tuple[float, float], **how: Any) -> Any:
        """The user's axes, or those of a new figure."""
        return self.figure(size, 1).add_subplot(**how) if self.ax is None else self.ax

    def colormap(self, ours: str) -> Colormap:
        """The colormap, in which what is inf or NaN has a colour of its own."""
        return colormap(self.cmap or ours).with_extremes(bad=NONFINITE)

    def color(self, index: int, ours: ColorType) -> ColorType:
        """The colour of the ``index``-th line."""
        return self.colors[index % len(self.colors)] if self.colors else ours

    def titled(self, ours: str) -> str:
        """The title; empty for none."""
        return ours if self.title is OURS else self.title or ""

    def captioned(self, ours: list[str]) -> list[str]:
        """The paragraphs of the small print."""
        return ours if self.caption is OURS else [self.caption or ""]


def colormap(name: str | Colormap) -> Colormap:
    """A colormap by name; ValueError names the nearest where there is none."""
    if isinstance(name, Colormap):
        return name
    if name not in mpl.colormaps:
        near = difflib.get_close_matches(name, list(mpl.colormaps), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(f"there is no colormap {name!r}{hint}; matplotlib.colormaps lists them")
    return mpl.colormaps[name]


FIELDS = [field.name for field in dataclasses.fields(Look)]


def drawn(draw: Callable) -> Callable:
    """``draw(..., look)`` as a function that takes the fields of `Look` as keywords, in our style under the user's.

    In axes of the user it has the user's style alone. It raises TypeError for a keyword that it does not take, and
    names those that it takes.
    """
    own = [p for p in inspect.signature(draw).parameters.values() if p.name != "look"]
    free = any(p.kind is p.VAR_KEYWORD for p in own)
    taken = [p.name for p in own if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]

    @functools.wraps(draw)
    def within(*args: object, **given: Any) -> Figure:
        if not free and (wrong := [name for name in given if name not in (*taken, *FIELDS)]):
            raise TypeError(f"{draw.__name__} takes no {wrong[0]!r}; it takes {', '.join((*taken, *FIELDS))}")
        look = Look(**{name: given.pop(name) for name in FIELDS if name in given})
        if look.ax is not None:
            return draw(*args, look=look, **given)
        with mpl.rc_context(style()):
            return _ticked(draw(*args, look=look, **given))

    shown = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default) for f in dataclasses.fields(Look)
    ]
    rest = [p for p in own if p.kind is p.VAR_KEYWORD]
    within.__signature__ = inspect.Signature([p for p in own if p not in rest] + shown + rest)  # type: ignore[attr-defined]
    return within


def styled(draw: Callable) -> Callable:
    """``draw`` in our style under the user's; the caller's settings of matplotlib stay as they were."""

    @functools.wraps(draw)
    def within(*args: object, **kwargs: object) -> object:
        with mpl.rc_context(style()):
            return _ticked(draw(*args, **kwargs))

    return within


def _ticked(figure: T) -> T:
    """The figure, with its ticks made in the style: matplotlib makes them when it first draws, then in the caller's."""
    for ax in figure.axes if isinstance(figure, Figure) else ():
        for axis in (ax.xaxis, ax.yaxis, *([ax.zaxis] if hasattr(ax, "zaxis") else [])):
            axis.get_major_ticks(1)
    return figure

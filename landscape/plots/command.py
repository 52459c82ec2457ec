"""Figures from the command line."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path


def command(draw: Callable[..., dict[str, list[Path]]]) -> None:
    """``draw(STORE, FOLDER)`` with the words of the command line, saying what each file shows.

    Where there is no store it says which experiments make one, and exits with 2.
    """
    try:
        shown = draw(*sys.argv[1:3])
    except FileNotFoundError as error:
        name = Path(sys.argv[0]).stem
        print(f"{error}; `landscape run` makes it, see the first lines of figures/{name}.py", file=sys.stderr)
        raise SystemExit(2) from None
    for what, files in shown.items():
        if not files:
            continue
        print(f"  {', '.join(map(str, files))}\n    {what}")


def pages() -> bool:
    """Whether web pages can be drawn, which takes plotly; if not, says that they are left out."""
    found = importlib.util.find_spec("plotly") is not None
    if not found:
        print("  pages with a slider are left out: they need plotly, pip install 'rnn-landscape[interactive]'")
    return found

"""Figures from the command line."""

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
        print(f"  {', '.join(map(str, files))}\n    {what}")

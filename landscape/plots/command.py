"""Figures from the command line: a store in, files out, and what each shows in words."""

import sys
from collections.abc import Callable
from pathlib import Path

import xarray
from matplotlib.figure import Figure

Draw = Callable[..., dict[str, list[Path]]]


def opened(store: str | Path) -> xarray.Dataset:
    """The dataset of a store, in memory; of a sweep's store its results."""
    group = "results" if (Path(store) / "results").is_dir() else None
    return xarray.open_zarr(store, group=group, consolidated=False, chunks=None).load()


def drawing(
    file: str, page: Callable[..., Figure], shows: str | Callable[..., str], *parts: str, store: str = ""
) -> Draw:
    """``draw(store, folder)`` of a figure's file: ``page`` of what is stored, as PNG and PDF named after the file.

    ``page`` takes the dataset of the store, by default ``results/NAME.zarr``, or one for each of ``parts`` of the
    folder ``results/NAME``. ``shows`` is what the figure shows, or makes that of the same datasets.
    """
    from landscape import plots

    name = Path(file).stem
    usual = store or f"results/{name}{'' if parts else '.zarr'}"

    def draw(store: str | Path = usual, folder: str | Path = "results") -> dict[str, list[Path]]:
        """Draw the figure into ``folder``: its files, by what they show."""
        sets: list[xarray.Dataset] = [opened(Path(store) / f"{part}.zarr") for part in parts] or [opened(store)]
        files = [Path(folder) / f"{name}{end}" for end in (".png", ".pdf")]
        plots.save(plots.styled(page)(*sets), *files)
        plots.indexed(files[0])
        return {shows if isinstance(shows, str) else shows(*sets): files}

    return draw


def command(draw: Draw) -> None:
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

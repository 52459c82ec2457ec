"""Files of figures: each appears whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from PIL import Image

from landscape.plots.look import styled


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A path to write to, which takes the place of ``path`` when all is written; after an error nothing is left.

    Its folder is made. Raises ValueError, in one sentence, where the system does not let it be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
            yield Path(folder) / path.name
            os.replace(Path(folder) / path.name, path)
    except OSError as error:
        raise ValueError(f"{path} could not be written: {error.strerror or error}; nothing was left there") from error


def save(figure: Figure, *paths: str | Path) -> None:
    """Write a figure, in the formats of the paths' suffixes: PDF with its fonts embedded, SVG with outlined text."""
    known = {f".{name}" for name in figure.canvas.get_supported_filetypes()}
    for path in map(Path, paths):
        if path.suffix.lower() not in known:
            raise ValueError(f"{path.name} is no figure; its name must end in {', '.join(sorted(known))}")
    layout = figure.get_layout_engine()
    for path in map(Path, paths):
        sharp: dict[str, float] = {"dpi": 300} if path.suffix in (".pdf", ".svg", ".eps", ".ps") else {}
        with whole(path) as file:
            styled(figure.savefig)(file, **sharp)
        figure.set_layout_engine("none")  # laid out once for all formats: it takes half of the time
    figure.set_layout_engine(layout)


def indexed(path: str | Path, colours: int = 256) -> None:
    """Rewrite a PNG with so many colours, in a quarter of its bytes.

    An eighth of them is for what the others miss by a tenth of the range: thin lines have colours that few pixels have.
    """
    from PIL import Image

    with Image.open(path) as image:
        whole = image.convert("RGB")
    rare = colours // 8
    most = whole.quantize(colours - rare, dither=Image.Dither.NONE)
    pixels, index = np.asarray(whole), np.array(most)
    missed = np.abs(pixels.astype(int) - np.asarray(most.convert("RGB"))).max(-1) > 25
    palette = np.zeros((colours, 3), np.uint8)
    palette[: index.max() + 1] = _palette(most)[: index.max() + 1]
    if missed.any() and rare:
        rest = Image.fromarray(pixels[missed][None]).quantize(rare)
        index[missed] = colours - rare + np.asarray(rest)[0]
        found = _palette(rest)[:rare]
        palette[colours - rare :][: len(found)] = found
    made = Image.fromarray(index)
    made.putpalette(palette.tobytes())
    made.save(path, optimize=True)


def _palette(image: "Image.Image") -> np.ndarray:
    """The colours (colour, 3) of an indexed image."""
    return np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)

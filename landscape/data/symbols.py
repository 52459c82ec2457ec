"""Text as symbols: whole numbers, and the alphabet that says what they stand for."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Text(NamedTuple):
    """``symbols`` (time,), whole numbers; symbol k stands for the character ``alphabet[k]``."""

    symbols: Int[np.ndarray, "time"]
    alphabet: str

    def decode(self, symbols: Int[np.ndarray, "time"]) -> str:
        """Symbols as text again."""
        return "".join(self.alphabet[k] for k in np.asarray(symbols).tolist())


def text(source: Path | str, alphabet: str | None = None) -> Text:
    """A text as symbols: the content of a file given as a Path, or the very text given as a str.

    ``alphabet`` is that of the text itself, its characters in order, unless given: that of a training text, so that
    another text has the same symbols. Raises ValueError for a character that it lacks or holds twice, and for no text.

    >>> text("banana").symbols.tolist(), text("banana").alphabet
    ([1, 0, 2, 0, 2, 0], 'abn')
    """
    try:
        words = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    except UnicodeDecodeError as error:
        raise ValueError(f"{source} is not text in UTF-8 ({error.reason}); convert it, such as by iconv") from error
    if not words:
        raise ValueError(f"there is no text in {source if isinstance(source, Path) else 'what was given'}")
    known = "".join(sorted(set(words))) if alphabet is None else alphabet
    if len(set(known)) < len(known):
        raise ValueError(f"the alphabet holds {max(known, key=known.count)!r} more than once; give each character once")
    place = {character: k for k, character in enumerate(known)}
    if unseen := sorted(set(words) - set(place)):
        raise ValueError(
            f"{unseen[0]!r} and {len(unseen) - 1} more characters are not among the {len(known)} of the alphabet; "
            "make the alphabet of both texts"
            if len(unseen) > 1
            else f"{unseen[0]!r} is not among the {len(known)} characters of the alphabet; make it of both texts"
        )
    return Text(np.fromiter((place[character] for character in words), np.int32, len(words)), known)

"""What a long computation says: what it will take, how far it is, and what is kept when it stops."""

import contextlib
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from landscape.blocks import Progress

SECONDS, BYTES = 600, 10 * 10**9  # a job beyond either waits for somebody to say yes
QUIET = 10.0  # seconds between plain lines
BLINK = 0.1  # seconds between pictures of a bar in a notebook


class Refused(ValueError):
    """A job that was not begun, or not gone on with, because of what it would take."""


def duration(seconds: float) -> str:
    """Seconds in words: ``0.4 s``, ``42 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 days``."""
    if not math.isfinite(seconds):
        return "unknown time"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def size(count: float) -> str:
    """Bytes in words: ``512 B``, ``1.2 MB``, ``30 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 9.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB" if count < 1e6 else f"{count:.0e} TB"


def line(state: Progress) -> str:
    """One line on how far a computation is."""
    left = f", about {duration(state.left)} left" if math.isfinite(state.left) and state.done < state.blocks else ""
    share = f"{state.done} of {state.blocks} {state.what}, {state.done / state.blocks:.0%}"
    return f"{share}, {duration(state.seconds)}{left}"


@contextlib.contextmanager
def bar(echo: Callable[[str], None] | None = None, width: int = 36) -> Iterator[Callable[[Progress], None]]:
    """A callback for ``progress=`` of `landscape.surfaces.surface` that draws a bar with the time left::

        with bar() as progress:
            surface(plane, task, lengths, progress=progress)

    Without a terminal or a notebook it says plain lines instead, every ten seconds and at the end, by ``echo``.
    """
    if "ipykernel" in sys.modules:
        yield _cell()
        return
    if sys.stderr.isatty():
        with _rich(width) as callback:
            yield callback
        return
    echo = echo or (lambda text: print(text, file=sys.stderr, flush=True))
    last = time.monotonic()

    def tell(state: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if state.done == state.blocks or now - last >= QUIET:
            last = now
            echo(line(state))

    yield tell


@contextlib.contextmanager
def _rich(width: int) -> Iterator[Callable[[Progress], None]]:
    from rich import progress as rich
    from rich.console import Console

    columns: list[Any] = [rich.SpinnerColumn(), rich.BarColumn(width), rich.TextColumn("{task.description}")]
    with rich.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("compiling, and computing the first block", total=None)
        yield lambda state: shown.update(task, total=state.blocks, completed=state.done, description=line(state))


def _cell() -> Callable[[Progress], None]:
    """A bar in the output of a notebook's cell, one line that changes in place: it needs no widgets."""
    from IPython.display import display

    begin = {"text/plain": "compiling, and computing the first block"}
    shown, last = display(begin, raw=True, display_id=True), 0.0

    def tell(state: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if state.done == state.blocks or now - last >= BLINK:
            last = now
            text = line(state)
            bar = f'<progress value="{state.done}" max="{state.blocks}" aria-label="blocks"></progress> {text}'
            shown.update({"text/plain": text, "text/html": bar}, raw=True)

    return tell


def check_size(what: str, stored: int, inputs: int, path: Path) -> None:
    """Raise Refused, before anything is allocated, if ``stored`` bytes on disk or ``inputs`` in memory are too many.

    Blocks that are already in ``path`` do not count.
    """
    from landscape import store

    with contextlib.suppress(ValueError):
        done, blocks = store.blocks_done(path)
        stored = stored * (blocks - done) // blocks
    folder = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if stored > min(BYTES, free):
        room = f"{size(free)} are free in {folder}" if stored > free else f"more than {size(BYTES)}"
        raise Refused(
            f"{what} are up to {size(stored)} on disk, {room}; ask for fewer points or lengths, or add --yes to go on"
        )
    check_memory(
        what, inputs, " for the inputs of the episodes alone", "shorter lengths or fewer --episodes, or add --yes"
    )


def check_memory(what: str, needed: int, of_what: str, less: str) -> None:
    """Raise Refused, before anything is allocated, if ``needed`` bytes are more than may be held in memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf
    if needed > min(BYTES, memory / 2):
        raise Refused(f"{what} need {size(needed)} of memory{of_what}; ask for {less}")


def watch(show: Callable[[Progress], None], echo: Callable[[str], None], crew: int, yes: bool) -> Callable:
    """``show``, and once each of a ``crew`` of threads has had a block, say what the whole job will take.

    Raises Refused, which stops the job and keeps its blocks, if that is too much and nobody said ``yes``.
    """
    estimated = False

    def callback(state: Progress) -> None:
        nonlocal estimated
        show(state)
        if estimated or state.fresh <= crew:
            return
        estimated, whole = True, state.seconds + state.left
        disk = state.written / state.fresh * state.blocks
        if whole > 5:
            echo(f"about {duration(whole)} and {size(disk)} in all, judged by the first {state.fresh} blocks")
        if not yes and (whole > SECONDS or disk > BYTES):
            raise Refused(
                f"this would take about {duration(whole)} and {size(disk)}, and more than {duration(SECONDS)} or "
                f"{size(BYTES)} waits for your word; add --yes to go on"
            )

    return callback


@contextlib.contextmanager
def kept(path: Path) -> Iterator[None]:
    """If a job is stopped, say what of it is safe in ``path``: by Ctrl-C, by Refused, or by a full disk."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped: {_safe(path)}") from None
    except (Refused, OSError) as error:
        reason = str(error) if isinstance(error, Refused) else f"{path} cannot be written: {error.strerror or error}"
        raise Refused(f"{reason}; {_safe(path)}") from error


def _safe(path: Path) -> str:
    from landscape import store

    try:
        done, blocks = store.blocks_done(path)
    except ValueError:
        return f"nothing has been written to {path}"
    return f"{done} of {blocks} blocks are safe in {path}, and the same command resumes"

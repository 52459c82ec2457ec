"""Folders that appear whole or not at all, and have one writer at a time, even if processes are killed."""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether this process may write to the folder ``path``; the system frees it even after a kill.

    True as well where the system or the file system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except BlockingIOError:
        alone = False
    except OSError:
        alone = True
    try:
        yield alone
    finally:
        os.close(handle)


def _sweep(path: Path) -> None:
    """Remove what killed builders of ``path`` left beside it."""
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        with contextlib.suppress(OSError), alone(leftover) as dead:
            if dead:
                shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A folder to fill beside ``path`` that is moved there in one step, so that a half-made store is never found."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    partial.mkdir()
    try:
        with alone(partial):
            yield partial
            try:
                os.replace(partial, path)
            except OSError:
                if not path.exists():  # else another process was faster
                    raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)

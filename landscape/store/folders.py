"""Folders that appear whole or not at all, and whose writers keep out of each other's way, even if they are killed."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# zarr says that what stands in a group may be a group or an array, and an attribute any JSON: who reads one knows.
ZarrGroup = Any  # zarr.Group
ZarrArray = Any  # zarr.Array

FRESH = 60.0  # seconds


class StoreError(ValueError):
    """A path that cannot be used as asked: what is there, and what to do."""


@contextlib.contextmanager
def lock(path: Path, shared: bool = False) -> Iterator[bool]:
    """Whether this process holds the folder or file ``path``, alone or with others that share it.

    The system frees it even after a kill. True as well where the system or the file system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        yield _locked(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    finally:
        os.close(handle)


def _locked(handle: int, how: int) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


@contextlib.contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Whether this process is the one that works on what the file ``path`` stands for, which is gone afterwards.

    Who gets a claim must look whether the work has been done meanwhile.
    """
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with contextlib.ExitStack() as stack:
        try:
            mine = stack.enter_context(lock(path))
        except FileNotFoundError:  # who had it has just finished
            mine = False
        yield mine
        if mine:
            path.unlink(missing_ok=True)


def put(file: Path, data: bytes) -> None:
    """Write a file whole or not at all, in place of one that is there."""
    partial = file.with_name(f"{file.name}.{secrets.token_hex(8)}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(file)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def real(path: Path | str) -> Path:
    """Where ``path`` leads, through links, even if nothing is there yet. Raises StoreError if that has no name."""
    if not isinstance(path, str | os.PathLike):
        raise StoreError(f"a store is given by its path, such as 'cliffs.zarr'; given {path!r}")
    found = Path(os.path.realpath(path))
    if not found.name:
        raise StoreError(f"{path} is the root of the file system; give the path of a folder that need not exist yet")
    return found


def sweep(path: Path) -> None:
    """Remove what killed builders of ``path`` left beside it."""
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        with contextlib.suppress(OSError), lock(leftover) as dead:
            # An empty one may have been made this instant, and not be locked yet.
            if dead and (any(leftover.iterdir()) or time.time() - leftover.stat().st_mtime > FRESH):
                shutil.rmtree(leftover, ignore_errors=True)


def sweep_inside(path: Path, age: float) -> None:
    """Remove what killed writers left inside the store ``path``, if it is ``age`` seconds old."""
    for file in path.rglob("*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime >= age:
                file.unlink()


@contextlib.contextmanager
def appearing(path: Path | str, beside: Path | None = None) -> Iterator[Path]:
    """A folder to fill that is moved to ``path`` in one step, so that a half-made store is never found.

    It stands beside ``path``, or beside the folder ``beside`` if ``path`` lies in that. If another process was faster,
    what that one made stays.
    """
    path = real(path)
    near = beside or path
    near.parent.mkdir(parents=True, exist_ok=True)
    sweep(near)
    partial = near.with_name(f".{near.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    partial.mkdir()
    try:
        with lock(partial):
            yield partial
            try:
                os.replace(partial, path)
            except OSError:
                if not path.exists():  # else another process was faster
                    raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)

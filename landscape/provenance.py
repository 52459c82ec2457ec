"""Where a result comes from: versions, commit, device, time."""

import datetime
import functools
import json
import math
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import jax


def plain(about: dict[str, Any]) -> dict[str, Any]:
    """Values as strict JSON allows them in attributes: text, a finite number, or JSON in text."""
    return {key: _plain(value) for key, value in about.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | float | int) else json.dumps(value)


def made(started: float) -> dict[str, Any]:
    """When a result was made, and how many seconds it took since ``started`` by `time.perf_counter`."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"created": now, "seconds": round(time.perf_counter() - started, 3)}


@functools.cache
def commit() -> str:
    """The git commit of the checkout this package runs from, with ``+`` if files differ from it; else ``unknown``.

    Asked once a process: the code that runs is the code that was imported.
    """
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != here.parent:
            return "unknown"  # installed into the checkout of another project
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@functools.cache
def versions() -> dict[str, str]:
    """Versions of this package, what it computes with, and Python."""
    packages = ("rnn-landscape", "jax", "jaxlib", "numpy")
    found = {f"version_{name.replace('-', '_')}": metadata.version(name) for name in packages}
    return {**found, "version_python": platform.python_version()}


def here() -> dict[str, str]:
    """Versions, commit and device, for the attributes of a result."""
    device = jax.devices()[0]
    kind = f"{jax.local_device_count()} x {device.device_kind} ({device.platform})"
    return {**versions(), "git_commit": commit(), "device": kind}

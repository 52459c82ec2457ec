"""Where a result comes from: versions, commit, device, time."""

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import jax


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
    device = jax.local_devices()[0]
    kind = f"{jax.local_device_count()} x {device.device_kind} ({device.platform})"
    return {**versions(), "git_commit": commit(), "device": kind}

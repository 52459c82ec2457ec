"""The command line: verbs that parse, call and print. What is computed, drawn and said lives elsewhere."""

import atexit
import contextlib
import gc
import importlib.metadata
import inspect
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from landscape import names
from landscape.cli import guide
from landscape.cli.analyses import basins, export, spectrum
from landscape.cli.arguments import echo, one_word, parse
from landscape.cli.completion import completion
from landscape.cli.experiments import list_, run, status, sweep, verify
from landscape.cli.machine import bench, devices
from landscape.cli.surfaces import cliffs, explore, plot, show, surface

VERBS: dict[str, Callable[..., None]] = {
    "surface": surface,
    "plot": plot,
    "show": show,
    "cliffs": cliffs,
    "basins": basins,
    "export": export,
    "spectrum": spectrum,
    "explore": explore,
    "run": run,
    "sweep": sweep,
    "status": status,
    "list": list_,
    "verify": verify,
    "devices": devices,
    "bench": bench,
    "completion": completion,
}


def dispatch(argv: Sequence[str]) -> None:
    """Call the verb that ``argv`` begin with."""
    if not argv:
        return echo(guide.start(Path.cwd()))
    if argv[0] in ("-h", "--help") or argv == ["help"]:
        return echo(guide.manual(VERBS))
    if argv[0] == "help":
        topic = argv[1]
        return dispatch([topic, "--help"]) if topic in VERBS and topic not in guide.pages() else echo(guide.page(topic))
    if argv[0] == "--version":
        return echo(f"landscape {importlib.metadata.version('rnn-landscape')}")
    if argv[0] not in VERBS:
        raise names.unknown("verb", argv[0], VERBS)
    verb, rest = VERBS[argv[0]], argv[1:]
    if verb is run:
        return run(*rest)
    one_word(rest)
    return parse(verb, f"landscape {argv[0]}", inspect.getdoc(verb) or "", rest)


def keep_programs() -> None:
    """Let JAX keep compiled programs between commands, a folder for each host since they fit its processor alone.

    Through the environment, before JAX is imported; what the user has set there stays. The library never does this.
    """
    with contextlib.suppress(OSError, RuntimeError):  # no room, or no home
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "landscape" / platform.node()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def look_seldom() -> None:
    """Let Python look for cycles of objects seldom, and not at its end: of a command they are no garbage to speak of.

    It would look every 700 objects, and twice when it leaves: a quarter of the time of a command that compiles little.
    The library never does this.
    """
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)


def stopped(number: int, frame: FrameType | None) -> None:
    """What Ctrl-C does: raise KeyboardInterrupt, or leave at once while JAX is being imported.

    Nothing has been begun then, and extensions of jaxlib crash where an exception comes in between.
    """
    if getattr(getattr(sys.modules.get("jax"), "__spec__", None), "_initializing", False):
        print("stopped", file=sys.stderr, flush=True)
        os._exit(130)
    signal.default_int_handler(number, frame)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0, 1 for a missed answer, 2 for what cannot be done, 130 for Ctrl-C."""
    if argv is None:
        keep_programs()
        look_seldom()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a job in the background ignores it
            signal.signal(signal.SIGINT, stopped)
    try:
        dispatch(sys.argv[1:] if argv is None else list(argv))
    except SystemExit as left:
        return _left(left)
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not expected(error):
            raise
        topic = guide.topic_of(error.__traceback__)
        print(f"landscape: {error}{f' (landscape help {topic})' if topic else ''}", file=sys.stderr)
        return 2
    return 0


def expected(error: Exception) -> bool:
    """Whether an error is an answer: raised by this package or one of its experiments, or by the system, or a bug."""
    place = _origin(error)
    ours = place.name.partition(".")[0] == "landscape" or Path(place.file).parent == names.shipped("experiments")
    answers = ValueError | TypeError | ImportError | RuntimeError  # of a sweep that could compute nothing
    return (ours and isinstance(error, answers)) or isinstance(error, OSError | MemoryError)


def _left(left: SystemExit) -> int:
    """The exit code of a verb or of the parser of its argv; 2, and a sentence, where a user's file left by itself."""
    place = _origin(left)
    if place.name.partition(".")[0] in ("landscape", "tyro", ""):
        return int(left.code or 0)
    print(f"landscape: {place.file}, line {place.line}, called sys.exit({left.code!r})", file=sys.stderr)
    return 2


class Place(NamedTuple):
    """A line of a module."""

    name: str = ""
    file: str = ""
    line: int = 0


def _origin(error: BaseException) -> Place:
    """Where an error was raised."""
    if not (lines := list(traceback.walk_tb(error.__traceback__))):
        return Place()
    frame, line = lines[-1]
    return Place(frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line)

"""What verbs share: kinds of arguments, how they are parsed, how a line is printed."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from tyro.conf import Positional, UseAppendAction, arg

Many = UseAppendAction[tuple[str, ...]]
Path_ = Annotated[Positional[str], arg(metavar="PATH", help="a store that `landscape surface` or `run` wrote")]
Held = Annotated[Many, arg(metavar="NAME=VALUE", help="hold a parameter of the cell at a value")]
Options = Annotated[Many, arg(metavar="NAME=VALUE", help="set an option of the task, such as noise")]


T = TypeVar("T")


def unless(default: str, metavar: str | None, text: str) -> object:
    """An argument whose default is told in words."""
    return arg(metavar=metavar, help=text, help_behavior_hint=f"(default: {default})")


def parse(function: Callable[..., T], prog: str, about: str, argv: Sequence[str]) -> T:
    """``function`` called with the arguments ``argv``. Exits with 2 and an explanation if they make no sense."""
    return tyro.cli(function, prog=prog, description=about, args=argv, config=(tyro.conf.FlagCreatePairsOff,))


def one_word(argv: Sequence[str]) -> None:
    """ValueError for ``--lengths 2 5``, which experiments take, and of which tyro would call 5 an option."""
    for option, first, more in zip(argv, argv[1:], argv[2:], strict=False):
        if option == "--lengths" and more.isdecimal():
            raise ValueError(f"--lengths is one word, such as {first},{more} or 1:100; given {first} {more}")


def echo(text: str) -> None:
    """Print a line that is seen at once."""
    print(text, flush=True)


def then(*commands: Sequence[str | Path]) -> None:
    """Print the commands that are of use next, each as it can be typed."""
    for k, argv in enumerate(commands):
        echo(f"{'      ' if k else 'Next: '}landscape {shlex.join(map(str, argv))}")


def many(count: int, what: str) -> str:
    """A count and what is counted.

    >>> many(1, "length"), many(2, "length")
    ('1 length', '2 lengths')
    """
    return f"{count} {what}{'s' * (count != 1)}"


def blocks_are(done: int, blocks: int) -> str:
    """How many blocks of a store something is true of: ``1 of 2 blocks are``."""
    return f"{done} of {many(blocks, 'block')} {'is' if blocks == 1 else 'are'}"


def part_of(text: str) -> tuple[int, int]:
    """``1/4`` as a part and the number of parts; ValueError for anything else."""
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal()):
        raise ValueError(f"--shard must be I/N with I from 0 to N - 1, such as 0/4; given {text!r}")
    return int(part), int(parts)

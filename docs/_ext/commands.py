"""The command line's reference, from the parser itself: what ``landscape VERB --help`` prints."""

import contextlib
import inspect
import io
import os
import re
import textwrap

from landscape import cli
from landscape.cli.arguments import parse


def describe(verb: str) -> str:
    """What ``landscape VERB --help`` prints, 80 columns wide and without colours."""
    if verb == "run":  # its settings are those of the experiment
        return inspect.getdoc(cli.VERBS[verb]) or ""
    os.environ["COLUMNS"] = "80"
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        parse(cli.VERBS[verb], f"landscape {verb}", inspect.getdoc(cli.VERBS[verb]) or "", ["--help"])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue()).strip().splitlines()
    return "\n".join(line if line.startswith(" ") else textwrap.fill(line, 80) for line in lines)

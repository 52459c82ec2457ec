"""The verb that prints what completes the command line in a shell, written by the parser of the verbs."""

from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg


def completion(shell: Annotated[Positional[Literal["bash", "zsh"]], arg(help="the shell that is to complete")]) -> None:
    """Print what completes verbs, options and their values in a shell, to be written where that shell looks for it.

    examples:
      landscape completion bash     to be written to ~/.local/share/bash-completion/completions/landscape
      landscape completion zsh      to be written to ~/.zfunc/_landscape, in a folder of fpath
    """
    from landscape.cli import VERBS

    words = ["--tyro-print-completion", shell]
    tyro.extras.subcommand_cli_from_dict(VERBS, prog="landscape", args=words, config=(tyro.conf.FlagCreatePairsOff,))

"""`gristmill completion`: the script by which a shell completes commands and options."""

from enum import StrEnum
from typing import Annotated

from typer import Argument

from gristmill.cli import output

COMPLETION = "_GRISTMILL_COMPLETE"
"""The variable by which a shell asks."""


class Shell(StrEnum):
    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(shell: Annotated[Shell, Argument(show_default=False)]) -> None:
    """Print the script that completes words in a shell.

    bash and zsh: eval "$(gristmill completion bash)" in ~/.bashrc, or zsh in ~/.zshrc
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    output.print_line(get_completion_script(prog_name="gristmill", complete_var=COMPLETION, shell=str(shell)))


def prepare() -> None:
    """Make the answers of typer ready; it does so by itself only with options of its own."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()

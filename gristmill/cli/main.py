"""The command `gristmill`: its commands, and their common beginning and end."""

import io
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gristmill.cli import ask, completion, doctor, jobs, local, models, rows, server, things
from gristmill.cli.completion import COMPLETION
from gristmill.cli.faults import told
from gristmill.cli.signals import Stopped
from gristmill.cli.spread import spread
from gristmill.signals import raise_once


class Commands(TyperGroup):
    """Runs a command with signals and failures as messages and exit codes."""

    def main(self, *words: Any, **named: Any) -> Any:
        """Signs that the outputs do not have are written as escapes, such as those of odd file names."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*words, **named)

    def invoke(self, ctx: Any) -> Any:
        raise_once(Stopped)
        with told():
            return super().invoke(ctx)


class Listing(TyperGroup):
    """A group whose name alone means its `ls`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        listed = not ctx.resilient_parsing and (not args or (args[0].startswith("-") and args[0] != "--help"))
        return super().parse_args(ctx, ["ls", *args] if listed else args)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Turn large files into indexed Postgres tables of exact aggregates.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("gristmill"))
        raise typer.Exit


@app.callback()
def main(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


_COMMANDS: tuple[Callable[..., None], ...] = (
    ask.aggregate,
    ask.plan,
    ask.submit,
    rows.rows,
    rows.download,
    things.bad_rows,
    models.models,
    local.standalone,
    local.demo,
    doctor.doctor,
    completion.completion,
)
_GROUPS: dict[str, tuple[str, dict[str, Callable[..., None]]]] = {
    "jobs": (
        "List, show, follow and change jobs.",
        {
            function.__name__: function
            for function in (
                *(jobs.ls, jobs.show, jobs.watch, jobs.cancel, jobs.pause),
                *(jobs.resume, jobs.retry, jobs.receipt, jobs.rm),
            )
        },
    ),
    "results": ("List and show named results.", {"ls": things.results_ls, "show": things.results_show}),
    "uploads": (
        "List, add and delete uploads.",
        {"ls": things.uploads_ls, "add": things.uploads_add, "rm": things.uploads_rm},
    ),
    "workers": ("List and drain workers.", {"ls": things.workers_ls, "drain": things.workers_drain}),
    "keys": (
        "List, make and revoke API keys.",
        {"ls": things.keys_ls, "add": things.keys_add, "revoke": things.keys_revoke},
    ),
}
if COMPLETION in os.environ:  # a shell asks
    completion.prepare()
for command in _COMMANDS:
    app.command()(spread(command))
for group, (told_as, commands) in _GROUPS.items():
    room = typer.Typer(cls=Listing, help=told_as, rich_markup_mode=None)
    for name, command in commands.items():
        room.command(name)(spread(command))
    app.add_typer(room, name=group)
app.add_typer(server.app, name="server")

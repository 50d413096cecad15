"""`gristmill server`: the programs of a server that has a Postgres and a Redis of its own.

The launcher is imported when a program runs, so that `--help` is quick.
"""

import os
from typing import NoReturn

import typer

PROGRAMS = {
    "serve": "Answer HTTP until SIGTERM.",
    "migrate": "Bring the schema of the database to this version.",
    "keys": "Make, list and revoke API keys.",
    "tenants": "Show and set the limits of tenants.",
    "verify": "Check a database against every invariant.",
    "doctor": "Check settings, rights, versions, clocks, storage and servers.",
}
"""Programs of the gateway: they read their words themselves."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Run a gateway, a worker or a command of the server. Settings are GRISTMILL_ variables.",
)


@app.command()
def worker() -> None:
    """Work on jobs until SIGTERM."""
    become("worker_service")


def _pass_on(context: typer.Context) -> None:
    become("api_service", str(context.info_name), *context.args)


for name, text in PROGRAMS.items():
    app.command(
        name,
        help=text,
        add_help_option=False,
        context_settings={
            "allow_extra_args": True,
            "allow_interspersed_args": False,
            "ignore_unknown_options": True,
        },
    )(_pass_on)


def become(module: str, *words: str) -> NoReturn:
    """Replace this process, so that signals and exit code are those of the program."""
    from gristmill.launcher.extras import need
    from gristmill.launcher.services import service_command, service_environment

    need("server")
    command = service_command(module, *words)
    os.execve(command[0], command, service_environment(os.environ))  # noqa: S606

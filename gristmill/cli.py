"""The command `gristmill`."""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from gristmill import demo as flights
from gristmill.launcher.datafolder import FolderInUse
from gristmill.launcher.processes import LauncherError
from gristmill.launcher.standalone import Options, Stack, running

FAILED, IN_USE, INTERRUPTED = 1, 2, 130
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TEND_SECONDS = 0.2

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn large files into indexed Postgres tables of exact aggregates.",
)
console = Console(soft_wrap=True, highlight=False, markup=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

Port = Annotated[
    int,
    typer.Option(
        min=1, max=65535, help="Port of the HTTP interface on 127.0.0.1; another free one if it is taken."
    ),
]
DataDir = Annotated[
    Path, typer.Option(file_okay=False, help="Folder of the data, the passwords and the logs.")
]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Worker processes; they share the cores.")]


class Stopped(KeyboardInterrupt):
    """A signal asked the launcher to end. Only the first one raises: the launcher then ends in order."""


def _version(wanted: bool) -> None:
    if wanted:
        console.print(version("gristmill"))
        raise typer.Exit


@app.callback()
def main(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def standalone(port: Port = 8080, data_dir: DataDir = Path(".gristmill"), workers: Workers = 1) -> None:
    """Run Gristmill with its own Postgres and Valkey until Ctrl-C."""
    with (
        _exit_codes(),
        running(Options(data_dir=data_dir, port=port, workers=workers), errors.print) as stack,
    ):
        _print_ready(stack)
        _keep_running(stack)


@app.command()
def demo(port: Port = 8080, data_dir: DataDir = Path(".gristmill"), workers: Workers = 1) -> None:
    """Run two jobs over 336,776 real flights and show the answer; on a terminal, stay until Ctrl-C."""
    with (
        _exit_codes(),
        running(Options(data_dir=data_dir, port=port, workers=workers), errors.print) as stack,
    ):
        flights.show(stack, console)
        _print_ready(stack)
        _print_next_steps(stack)
        if sys.stdout.isatty():
            _keep_running(stack)
        else:
            console.print("\nThis is no terminal, so it stops here; the data stays.")


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Make a message and an exit code of failures: 2 for a folder in use, 1 for others, 130 for a signal."""
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)
    try:
        yield
    except Stopped as stopped:
        raise typer.Exit(INTERRUPTED) from stopped
    except (LauncherError, OSError) as error:
        errors.print(str(error))
        raise typer.Exit(IN_USE if isinstance(error, FolderInUse) else FAILED) from error


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def _keep_running(stack: Stack) -> None:
    with suppress(Stopped):
        console.print("Ctrl-C ends it; the data stays.")
        while True:
            stack.tend()
            time.sleep(TEND_SECONDS)
    console.print("Stopping.")


def _print_ready(stack: Stack) -> None:
    lines = {
        "URL": stack.url,
        "Postgres": stack.dsn,
        "data": stack.folder,
        "logs": stack.logs,
        "readable": stack.sources or "uploads only",
    }
    console.print(
        "\nGristmill is ready.", *(f"{name:>10}  {value}" for name, value in lines.items()), sep="\n"
    )


def _print_next_steps(stack: Stack) -> None:
    source = stack.sources.rpartition(",")[2].replace("{tenant}", "default")
    spec = {
        "source": {"uris": [f"{source.rstrip('/')}/*.csv"]},
        "group_by": ["a_column"],
        "aggregates": [{"fn": "count"}],
    }
    by_path = f"curl {stack.url}/v1/jobs -H 'Content-Type: application/json' -d '{json.dumps(spec)}'"
    rows = f"{stack.url}/v1/results/flights_delay/rows"
    query = "SELECT * FROM results.flights_delay ORDER BY mean_arr_delay DESC LIMIT 5"
    steps = {
        "The rows again": f"curl '{rows}?order_by=-mean_arr_delay&limit=5'",
        "In SQL": f"psql '{stack.dsn}' -c '{query}'",
        "Your own files": by_path
        if source
        else f"curl -T FILE.csv -X POST '{stack.url}/v1/uploads?filename=FILE.csv'",
        "Without the demo": f"{sys.argv[0]} standalone",
    }
    console.print(
        "\nHow to go on", *(f"  {name}:\n    {command}" for name, command in steps.items()), sep="\n"
    )


if __name__ == "__main__":
    app()

"""`gristmill standalone` and `gristmill demo`: all of Gristmill on this machine."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gristmill.cli.mistakes import Mistake
from gristmill.cli.signals import Stopped
from gristmill.cli.talk import say

if TYPE_CHECKING:
    from gristmill.launcher.standalone import Stack

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


def standalone(port: Port = 8080, data_dir: DataDir = Path(".gristmill"), workers: Workers = 1) -> None:
    """Run all of Gristmill here until Ctrl-C."""
    with _running(port, data_dir, workers) as stack:
        _print_ready(stack)
        _keep_running(stack)


def demo(port: Port = 8080, data_dir: DataDir = Path(".gristmill"), workers: Workers = 1) -> None:
    """Run two jobs over 336,776 real flights.

    On a terminal, it stays until Ctrl-C.
    """
    from rich.console import Console

    from gristmill import demo as flights

    with _running(port, data_dir, workers, extra="demo") as stack:
        flights.show(stack, Console(soft_wrap=True, highlight=False, markup=False))
        _print_ready(stack)
        _print_next_steps(stack)
        if sys.stdout.isatty():
            _keep_running(stack)
        else:
            _print("\nThis is no terminal, so it stops here; the data stays.")


@contextmanager
def _running(port: int, data_dir: Path, workers: int, extra: str = "standalone") -> "Iterator[Stack]":
    """The stack; a folder in use ends the command with 2."""
    from gristmill.launcher.datafolder import FolderInUse
    from gristmill.launcher.standalone import Options, running

    try:
        with running(Options(data_dir=data_dir, port=port, workers=workers, extra=extra), say) as stack:
            yield stack
    except FolderInUse as error:
        raise Mistake(str(error)) from error


def _keep_running(stack: "Stack") -> None:
    from gristmill.launcher.standalone import TEND_SECONDS

    with suppress(Stopped):
        _print("Ctrl-C ends it; the data stays.")
        while True:
            stack.tend()
            time.sleep(TEND_SECONDS)
    _print("Stopping.")


def _print_ready(stack: "Stack") -> None:
    lines = {
        "URL": stack.url,
        "Postgres": stack.dsn,
        "data": stack.folder,
        "logs": stack.logs,
        "readable": stack.sources or "uploads only",
    }
    _print("\nGristmill is ready.", *(f"{name:>10}  {value}" for name, value in lines.items()))


def _print_next_steps(stack: "Stack") -> None:
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
    _print("\nHow to go on", *(f"  {name}:\n    {command}" for name, command in steps.items()))


def _print(*lines: str, sep: str = "\n") -> None:
    print(*lines, sep=sep, flush=True)  # noqa: T201

"""The command line of a benchmark that runs two sides in turns, in one process."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.options import parser, whole
from worker_service.executors.processes.template import child_environment


def compare(
    description: str | None,
    module: str,
    measure: Callable[[int, int], list[dict[str, Any]]],
    shown: Callable[[list[dict[str, Any]]], list[str]],
    *,
    rows: int = 3_000_000,
    runs: int = 5,
) -> None:
    """Print the figures that *measure* finds of so many rows and runs, unless the caller asks for others.

    Runs *module* again with a child's environment: the allocator's settings decide half of the time.
    """
    environment = child_environment() | {"TMPDIR": tempfile.gettempdir()}
    if not environment.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], environment)
    options = parser(description)
    options.add_argument("--rows", type=whole, default=rows, help=f"of the data (default {rows:.0e})")
    options.add_argument("--runs", type=int, default=runs, help=f"of each side (default {runs})")
    options.add_argument("--json", action="store_true", help="print the figures, not the table")
    asked = options.parse_args()
    found = measure(1_000, 1) if asked.tiny else measure(asked.rows, asked.runs)
    print(json.dumps(found) if asked.json else "\n".join(shown(found)))


def compared(module: str, *, tiny: bool) -> Any:
    """The figures of *module*, which runs in a process of its own."""
    command = [sys.executable, "-m", module, "--json", *(["--tiny"] if tiny else [])]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

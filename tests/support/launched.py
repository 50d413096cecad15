"""A launcher under test as a process of its own: its output, its children, and whether they all end."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.mark import marked, marking, new_mark

ROOT = Path(__file__).parents[2]
END_SECONDS = 100  # a whole run of the demo, on a machine that does other things too


class Launched:
    """`gristmill <words>` in the folder `cwd`.

    `path` comes first on the children's PYTHONPATH: packages there stand in for the services. `program` is
    the command of `gristmill`, where it is not that of the tree.
    """

    def __init__(
        self,
        *words: str,
        cwd: Path,
        path: Path | None = None,
        env: dict[str, str] | None = None,
        terminal: bool = False,
        program: tuple[str, ...] = (sys.executable, "-m", "gristmill.cli"),
    ):
        self.mark = new_mark()
        python_path = os.pathsep.join(
            str(entry) for entry in (path, ROOT, os.environ.get("PYTHONPATH")) if entry
        )
        command = [*program, *words]
        if terminal:
            command = [
                sys.executable,
                "-c",
                "import pty, sys, os; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))",
                *command,
            ]
        with marking(self.mark):
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env=os.environ | {"PYTHONPATH": python_path, "COLUMNS": "200"} | (env or {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.said = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def hear(self, words: str) -> str:
        """Read its output up to the line with these words; return that line."""
        for line in self.process.stdout:
            self.said += line
            if words in line:
                return line
        raise AssertionError(f"it ended without saying {words!r}:\n{self.said}")

    def hears(self, words: str) -> "Launched":
        self.hear(words)
        return self

    def ready(self) -> "Launched":
        return self.hears("Ctrl-C ends it")

    @property
    def url(self) -> str:
        return self._told("URL")

    @property
    def dsn(self) -> str:
        return self._told("Postgres")

    def _told(self, label: str) -> str:
        return next(line.split()[1] for line in self.said.splitlines() if line.split()[:1] == [label])

    def end(self) -> int:
        """Read the rest of its output; return the exit code."""
        self.said += self.process.communicate(timeout=END_SECONDS)[0]
        return self.process.returncode

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def survivors(self, before: Iterable[tuple[int, int]]) -> list[int]:
        """Those of `before` (pid, pidfd) and of all that carry its mark that do not end soon after it."""
        late = watched(process.pid for process in marked(self.mark))
        return [pid for pid, pidfd in (*before, *late) if not _ends(pidfd)]


def any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def watched(pids: Iterable[int]) -> list[tuple[int, int]]:
    """(pid, pidfd) of the living ones: a pidfd stays with its process, even when the pid is used again."""
    pairs = []
    for pid in pids:
        with suppress(ProcessLookupError):
            pairs.append((pid, os.pidfd_open(pid)))
    return pairs


def _ends(pidfd: int) -> bool:
    try:
        return bool(select.select([pidfd], [], [], END_SECONDS)[0])
    finally:
        os.close(pidfd)

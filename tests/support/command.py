"""The command `gristmill` as a process of its own, with its two outputs apart."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from gristmill.signals import STOP_SIGNALS
from tests.support.launched import END_SECONDS, ROOT
from tests.support.mark import marked, marking, new_mark

NOT_INHERITED = ("GRISTMILL_URL", "GRISTMILL_API_KEY", "NO_COLOR")


class Command:
    """`gristmill <words>` in a folder; its temporary files go to `temporary`.

    `path` comes first on the PYTHONPATH: packages there stand in for the services.
    """

    def __init__(self, folder: Path, path: Path | None = None, **env: str) -> None:
        self.folder, self.mark = folder, new_mark()
        self.temporary = folder / "temporary"
        self.temporary.mkdir(exist_ok=True)
        self.temporary.chmod(0o711)  # as /tmp: the servers of root run as another user
        kept = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        places = os.pathsep.join(str(entry) for entry in (path, ROOT) if entry)
        self.env = kept | {"PYTHONPATH": places, "TMPDIR": str(self.temporary), "COLUMNS": "80"} | env

    def run(self, *words: object, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        with self.started(*words, **env) as process:
            said, talk = process.communicate(stdin, timeout=END_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, said, talk)

    @contextmanager
    def started(self, *words: object, **env: str) -> Iterator["subprocess.Popen[str]"]:
        with marking(self.mark):
            process = subprocess.Popen(
                [sys.executable, "-m", "gristmill.cli", *map(str, words)],
                cwd=self.folder,
                env=self.env | env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)

    def left(self) -> list[object]:
        """The processes that it has started and that run, and the files in its temporary folder."""
        return [*marked(self.mark), *self.temporary.iterdir()]


class Within(Command):
    """The same within this process, which saves the start of Python; for commands that no signal meets."""

    def run(self, *words: object, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        from gristmill.cli import app

        said, talk = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
        handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        given = io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")
        with (
            mock.patch.dict(os.environ, self.env | env, clear=True),
            mock.patch.object(sys, "stdin", given),
            contextlib.chdir(self.folder),
            redirect_stdout(said),
            redirect_stderr(talk),
        ):
            try:
                app([*map(str, words)], prog_name="gristmill")
            except SystemExit as end:
                code = end.code
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        texts = []
        for stream in (said, talk):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode().replace("\r\n", "\n"))
        return subprocess.CompletedProcess([*words], int(code or 0), *texts)

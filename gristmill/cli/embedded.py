"""A Gristmill for one command: started where no service is named, and ended with the command."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gristmill.launcher.embedded import Ready


class NotStarted(Exception):
    """The embedded Gristmill did not start, or ended before its time; the text says why."""


@contextmanager
def embedded(sources: Sequence[str], kept: Path | None) -> "Iterator[Ready]":
    """The `Ready` of a stack (gristmill/launcher/embedded.py).

    One with the folder *kept* stays in it and goes on running. Any other one is gone at the end, with its
    folder. Raises NotStarted.
    """
    wanted = {
        "folder": str(kept.absolute()) if kept else None,
        "sources": list(sources),
        "parent": os.getpid(),
    }
    # A session of its own: Ctrl-C reaches this process alone, which then ends the stack. -P: a module of the
    # user's own in the current folder, such as json.py, is not ours.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "gristmill.launcher.embedded", json.dumps(wanted)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None  # it is a pipe

    def ended(*_: object) -> None:
        if process.poll() is not None:
            raise NotStarted(_last_words(process))

    stays = False
    try:
        import gristmill.client.sync  # noqa: F401  # it takes as long as the first step of the start

        answer = process.stdout.readline()
        if not answer:
            head = "No service is named by --url or GRISTMILL_URL, and none could be started here."
            raise NotStarted(f"{head}\n{_last_words(process)}")
        stays = kept is not None
        signal.signal(signal.SIGCHLD, ended)  # else the client would wait for it to come back
        yield json.loads(answer)
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if not stays:
            process.terminate()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            pipe.close()  # type: ignore[union-attr]


def _last_words(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    code = process.wait()
    return process.stderr.read().strip() or f"The embedded Gristmill ended with the code {code}."

"""A stack for one command, as a process of its own: `python -m gristmill.launcher.embedded OPTIONS`.

OPTIONS is a `Wanted` in JSON. It prints a `Ready` in JSON once requests are answered. It ends on a signal.
A temporary one also ends when its parent is gone, and leaves nothing behind.
"""

import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from gristmill.launcher.datafolder import FolderInUse
from gristmill.launcher.processes import LauncherError, adopt_orphans, reap
from gristmill.launcher.servers import free_port
from gristmill.launcher.standalone import TEND_SECONDS, Options, Stack, running
from gristmill.signals import raise_once

FAILED, IN_USE = 1, 2
END_SECONDS = 10.0
HOPELESS_DEATHS = 3


class Wanted(TypedDict):
    """`folder` is None for a temporary one; `sources` are folders that jobs may read, as URLs."""

    folder: str | None
    sources: list[str]
    parent: int


class Ready(TypedDict):
    """`dsn` is a login of Postgres that reads results."""

    url: str
    api_key: str
    dsn: str
    folder: str
    pid: int


def main(wanted: Wanted) -> None:
    raise_once(SystemExit)
    kept = wanted["folder"]
    with _folder(kept) as folder:
        key = secrets.token_urlsafe(32)
        options = Options(
            data_dir=folder,
            port=8080 if kept else free_port(),
            workers=1,
            durable=bool(kept),
            api_key=key,
            sources=wanted["sources"],
        )
        with running(options, _say) as stack:
            ready = Ready(
                url=stack.url, api_key=key, dsn=stack.dsn, folder=str(stack.folder), pid=os.getpid()
            )
            print(json.dumps(ready), flush=True)  # noqa: T201  # the answer to its parent
            if kept:
                _talk_to(stack.logs / "launcher.log")
            try:
                _tend(stack, None if kept else wanted["parent"])
            finally:
                if not kept:
                    stack.abandon()


@contextmanager
def _folder(kept: str | None) -> Iterator[Path]:
    if kept:
        yield Path(kept)
        return
    adopt_orphans()
    folder = Path(tempfile.mkdtemp(prefix="gristmill-"))
    try:
        yield folder
    finally:
        reap(END_SECONDS)  # one that was killed half way, such as initdb, may have one that still writes
        shutil.rmtree(folder, ignore_errors=True)


def _tend(stack: Stack, parent: int | None) -> None:
    while parent is None or os.getppid() == parent:
        stack.tend()
        if parent is not None and stack.deaths() >= HOPELESS_DEATHS:
            raise LauncherError("A part of the embedded Gristmill died again and again.")
        time.sleep(TEND_SECONDS)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _talk_to(log: Path) -> None:
    """Send later words to a file: the pipes to the parent end with it."""
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except (LauncherError, OSError) as error:
        _say(str(error))
        sys.exit(IN_USE if isinstance(error, FolderInUse) else FAILED)

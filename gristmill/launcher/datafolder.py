"""The data folder of a standalone Gristmill: one launcher at a time, and nothing left running from the one before."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gristmill.launcher.processes import POLL, Child, LauncherError, birth

STOP_SECONDS = 20.0


class FolderInUse(LauncherError):
    pass


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make the folder if need be and hold its lock, which ends with this process however it dies."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / "lock").open("a+")
    except PermissionError as error:
        raise FolderInUse(
            f"{error.filename} belongs to another user: give --data-dir another folder"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise FolderInUse(
                f"{folder} is in use by another Gristmill (process {file.read()}): stop that one, or give --data-dir another folder"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def remember(folder: Path, children: Iterable[Child]) -> None:
    """Write down who runs, for `stop_leftovers` of the next launcher."""
    entries = [
        {
            "pid": child.process.pid,
            "birth": birth(child.process.pid),
            "signal": int(child.command.stop_signal),
        }
        for child in children
    ]
    new = folder / "processes.json.new"
    new.write_text(json.dumps(entries))
    new.replace(folder / "processes.json")


def stop_leftovers(folder: Path) -> None:
    """Stop what the last launcher of this folder started and could not stop.

    The kernel has told them to end already, if it is Linux.
    """
    file = folder / "processes.json"
    leftovers = json.loads(file.read_text()) if file.exists() else []
    for entry in leftovers:
        for number in (entry["signal"], signal.SIGKILL):
            if _is(entry):
                with suppress(ProcessLookupError):
                    os.kill(entry["pid"], number)
                _wait_for_end(entry)
    file.unlink(missing_ok=True)


def _is(entry: dict[str, object]) -> bool:
    return entry["birth"] is not None and birth(int(str(entry["pid"]))) == entry["birth"]


def _wait_for_end(entry: dict[str, object]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _is(entry) and time.monotonic() < deadline:
        time.sleep(POLL)

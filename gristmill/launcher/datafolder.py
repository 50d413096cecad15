"""The data folder of a standalone Gristmill.

One launcher has it at a time, and first stops the processes that the launcher before has left running.
"""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict

from gristmill.launcher.processes import POLL_SECONDS, Child, LauncherError, birth

STOP_SECONDS = 20.0


class FolderInUse(LauncherError):
    pass


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder if need be and hold its lock, which the kernel drops however this process ends."""
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
                f"{folder} is in use by another Gristmill (process {file.read()}): "
                "stop that one, or give --data-dir another folder"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class Running(TypedDict):
    """A process in processes.json; `signal` asks it to stop."""

    pid: int
    birth: str | None
    signal: int


def record_running(folder: Path, children: Iterable[Child]) -> None:
    """Write the running children to processes.json, for `stop_leftovers` of the next launcher."""
    entries = [
        Running(pid=pid, birth=birth(pid), signal=int(child.command.stop_signal))
        for child in children
        for pid in [child.process.pid]
    ]
    new = folder / "processes.json.new"
    new.write_text(json.dumps(entries))
    new.replace(folder / "processes.json")


def stop_leftovers(folder: Path) -> None:
    """Stop the processes that the last launcher of this folder has started and could not stop.

    On Linux the kernel has already sent them their death signal.
    """
    file = folder / "processes.json"
    leftovers: list[Running] = json.loads(file.read_text()) if file.exists() else []
    for entry in leftovers:
        for number in (entry["signal"], signal.SIGKILL):
            if _is_running(entry):
                with suppress(ProcessLookupError):
                    os.kill(entry["pid"], number)
                _wait_for_end(entry)
    file.unlink(missing_ok=True)


def _is_running(entry: Running) -> bool:
    """False also when another process has got its pid."""
    return entry["birth"] is not None and birth(entry["pid"]) == entry["birth"]


def _wait_for_end(entry: Running) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _is_running(entry) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)

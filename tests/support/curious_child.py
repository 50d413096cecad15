"""A real child process that tells about itself: no other process may read what it holds."""

import json
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from shared.core.plan import MergeStats
from worker_service.child import __main__ as child
from worker_service.child import tasks
from worker_service.messages import MergeResult, MergeTask

LOADED_AT_START: set[str] = set()


def look(task: MergeTask, _: Any) -> tasks.Answer:
    """Instead of a merge: tells what it has, and whether two steps of the spec succeed.

    It connects to `port` of this machine and opens the files of `paths`.
    """
    asked = msgspec.json.decode(task.spec)
    found = {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "environment": dict(os.environ),
        "loaded_at_start": sorted(LOADED_AT_START),
        "connected": _tried(lambda: socket.create_connection(("127.0.0.1", asked["port"]), 10)),
        "opened": {path: _tried(partial(Path(path).open, "rb")) for path in asked["paths"]},
    }
    return MergeResult(0, 0, MergeStats()), [json.dumps(found).encode()]


def _tried(step: Any) -> str:
    try:
        with step():
            return "done"
    except OSError as error:
        return error.strerror


def run_child(*arguments: Any) -> None:
    LOADED_AT_START.update(sys.modules)
    honest(*arguments)


if __name__ == "__main__":
    honest, child.run_child = child.run_child, run_child
    tasks.TASKS[MergeTask] = look
    child.main()

"""A real child process that does what the job's labels say.

`fault: segfault` with `marks: <folder>` is a segmentation fault for each file in the folder, once.
"""

import ctypes
import itertools
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import msgspec

from worker_service.child import __main__ as child
from worker_service.child import tasks
from worker_service.messages import ChunkTask, MergeTask, PlanTask
from worker_service.readers.parquet import file as parquet_file


def _fill() -> None:
    """Touch memory until there is no more."""
    held = []
    while True:
        held.append(bytearray(1 << 20))


def _fill_and_abort() -> None:
    """What pyarrow may do."""
    held = []
    try:
        while True:
            held.append(bytearray(1 << 20))
    except MemoryError:
        os.abort()


def _spin() -> None:
    while True:
        pass


def _abort_in_parquet() -> None:
    """What Arrow may do with a crafted file: the next Parquet file that is opened ends the process."""
    parquet_file.pq.ParquetFile = lambda *_, **__: os.abort()


FAULTS = {
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(3),
    "abort": os.abort,
    "abort_in_parquet": _abort_in_parquet,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "loop": _spin,
    "c_loop": lambda: sum(itertools.repeat(0)),  # never comes back to the interpreter, and keeps its lock
    "sleep": lambda: time.sleep(3600),
    "fill": _fill,
    "fill_and_abort": _fill_and_abort,
}


def _spend(folder: str) -> bool:
    """Take one of the marks, if any is left."""
    for mark in Path(folder).iterdir():
        try:
            mark.unlink()
        except FileNotFoundError:
            continue
        return True
    return False


KINDS = {"plan": PlanTask, "chunk": ChunkTask, "merge": MergeTask}


def wicked(honest: Any) -> Any:
    def run(task: Any, attachment: Any) -> tasks.Answer:
        labels = msgspec.json.decode(task.spec).get("labels", {})
        if isinstance(task, KINDS[labels.get("task", "chunk")]):
            if isinstance(task, ChunkTask) and task.batch_bytes > int(labels.get("fits", 1 << 60)):
                _fill()
            if "fault" in labels and _spend(labels["marks"]):
                FAULTS[labels["fault"]]()
            time.sleep(float(labels.get("seconds", 0)))
        return honest(task, attachment)

    return run


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tasks.TASKS.update({kind: wicked(honest) for kind, honest in tasks.TASKS.items()})
    child.main()

"""A real worker that has one thread to open files with, and whose thread hangs, as in a file system that does not answer.

It hangs until the file `answers` is in the folder of the sources' settings; a test that removes nothing leaves it hanging for good.
"""

import concurrent.futures
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

concurrent.futures.ThreadPoolExecutor = partial(ThreadPoolExecutor, 1)  # type: ignore[misc,assignment]  # before the event loop takes it

from shared import log
from shared.settings import Settings
from worker_service import worker
from worker_service.executor import Executor
from worker_service.units import files

ANSWERS = "GRISTMILL_TEST_ANSWERS"
_open_all = files._open_all


def _open_some_day(locations: Any) -> list[int]:
    while not Path(os.environ[ANSWERS]).exists():
        time.sleep(0.05)
    return _open_all(locations)


def main() -> None:
    settings = Settings()
    log.configure(settings)
    files._open_all = _open_some_day
    worker.run(settings, Executor(settings.slots, settings.slot_memory_bytes))


if __name__ == "__main__":
    main()

"""A real worker with one thread to open files, which hangs as in a file system that does not answer, until a file appears."""

import concurrent.futures
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ANSWERS = "GRISTMILL_TEST_ANSWERS"
"""The variable that names this file."""


def main() -> None:
    concurrent.futures.ThreadPoolExecutor = partial(ThreadPoolExecutor, 1)  # before uvloop takes it
    from shared import log
    from shared.settings import Settings
    from worker_service import worker
    from worker_service.executor import Executor
    from worker_service.units import files

    open_all = files._open_all

    def open_some_day(locations):
        while not Path(os.environ[ANSWERS]).exists():
            time.sleep(0.05)
        return open_all(locations)

    settings = Settings()
    log.configure(settings)
    files._open_all = open_some_day
    worker.run(settings, Executor(settings.slots, settings.slot_memory_bytes))


if __name__ == "__main__":
    main()

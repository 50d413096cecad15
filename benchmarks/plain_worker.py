"""`python -m benchmarks.plain_worker MODULE`: a worker whose child processes run MODULE, not the product's."""

import sys

from shared import log
from shared.settings import Settings
from worker_service.executors.processes.pool import ProcessExecutor
from worker_service.worker import run

RUN_BY = ("exact_cost",)


def main() -> None:
    settings = Settings()
    log.configure(settings)
    run(settings, ProcessExecutor(settings.slots, settings.slot_memory_bytes, sys.argv[1]))


if __name__ == "__main__":
    main()

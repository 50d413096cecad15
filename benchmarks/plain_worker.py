"""A worker whose child processes run another module than the product's.

`python -m benchmarks.plain_worker MODULE` runs one.
"""

import sys

from shared import log
from shared.settings import Settings
from worker_service.executor import Executor
from worker_service.worker import run

RUN_BY = ("exact_cost",)


def main() -> None:
    settings = Settings()
    log.configure(settings)
    run(settings, Executor(settings.slots, settings.slot_memory_bytes, sys.argv[1]))


if __name__ == "__main__":
    main()

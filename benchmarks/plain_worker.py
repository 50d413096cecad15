"""`python -m benchmarks.plain_worker MODULE`: a worker whose child processes run MODULE in the place of the product's."""

import asyncio
import sys

import uvloop

from shared import log
from shared.settings import Settings
from worker_service.executor import Executor
from worker_service.worker import serve

RUN_BY = ("exact_cost",)


def main() -> None:
    settings = Settings()
    log.configure(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, Executor(settings.slots, settings.slot_memory_bytes, sys.argv[1])))


if __name__ == "__main__":
    main()

"""`python -m worker_service`: one worker, until SIGTERM."""

import asyncio
import sys

import uvloop
from pydantic import ValidationError

from shared import log
from shared.process import harden
from shared.settings import Settings
from worker_service.executor import Executor


def main() -> int:
    harden()  # at once; the log tells of it later
    try:
        settings = Settings()
    except ValidationError as error:
        print(f"worker_service: {error}", file=sys.stderr)  # noqa: T201  # there is no logger yet
        return 2
    log.configure(settings)
    executor = Executor(settings.slots, settings.slot_memory_bytes)
    executor.prepare()
    from worker_service.worker import serve  # noqa: PLC0415  # it takes as long as the template, which loads meanwhile

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, executor))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m worker_service`: one worker, until SIGTERM."""

import sys

from pydantic import ValidationError

from shared import log
from shared.settings import Settings
from worker_service.executor import Executor


def main() -> int:
    try:
        settings = Settings()
    except ValidationError as error:
        print(f"worker_service: {error}", file=sys.stderr)  # noqa: T201  # there is no logger yet
        return 2
    log.configure(settings)
    executor = Executor(settings.slots, settings.slot_memory_bytes)
    executor.prepare()
    from worker_service.worker import run  # noqa: PLC0415  # it takes as long as the template, which loads meanwhile

    return run(settings, executor)


if __name__ == "__main__":
    sys.exit(main())

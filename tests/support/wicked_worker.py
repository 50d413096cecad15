"""A real worker whose children do what a job's labels say (`wicked_child`).

Its units have a minute, which is six seconds at a tenth of the time scale.
"""

from datetime import timedelta
from functools import partial

from shared import log
from shared.core.timings import Timings
from shared.settings import Settings
from worker_service import worker
from worker_service.executors.processes.pool import ProcessExecutor

SLOT_BYTES = 600 * 1024**2


def main() -> None:
    settings = Settings()
    log.configure(settings)
    worker.Timings = partial(Timings, unit_deadline=timedelta(seconds=60))
    executor = ProcessExecutor(settings.slots, SLOT_BYTES, "tests.support.wicked_child")
    worker.run(settings, executor)


if __name__ == "__main__":
    main()

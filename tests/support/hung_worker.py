"""A real worker one of whose threads hangs, as in a file system that does not answer."""

import os
import threading
from pathlib import Path

HANGS = "GRISTMILL_TEST_HANGS"
"""The variable that names a file, which appears when the thread hangs."""


def main() -> None:
    from shared import log
    from shared.settings import Settings
    from shared.storage.uploads import UploadFiles
    from worker_service import worker
    from worker_service.executors.processes.pool import ProcessExecutor

    def hang(_):
        Path(os.environ[HANGS]).touch()
        threading.Event().wait()

    UploadFiles.remove_abandoned = hang
    settings = Settings()
    log.configure(settings)
    worker.run(settings, ProcessExecutor(settings.slots, settings.slot_memory_bytes))


if __name__ == "__main__":
    main()

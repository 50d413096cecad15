"""`python -m worker_service`: one worker, until SIGTERM."""

import resource
import sys

import structlog
from pydantic import ValidationError

from shared import log, tracing
from shared.errors import InternalError
from shared.process import harden
from shared.settings import Settings, wrong
from worker_service.executors.processes.pool import ProcessExecutor
from worker_service.native import variant

SOME_FILES = 256
FILES_A_SLOT = 12
"""Open files: a child has some 100 at most; its parent a few for each, and two connections to Postgres."""


def main() -> int:
    harden()  # at once; the log tells of it later
    try:
        settings = Settings()
    except ValidationError as error:
        # There is no logger yet.
        print(f"gristmill server worker: {wrong(error)}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        variant()
    except InternalError as error:
        print(f"worker_service: {error}", file=sys.stderr)  # noqa: T201
        return 2
    log.configure(settings)
    tracing.configure("worker")
    _allow_many_files(settings.slots)
    executor = ProcessExecutor(settings.slots, settings.slot_memory_bytes)
    executor.prepare()
    # The import takes as long as the template, which loads meanwhile.
    from worker_service.worker import run  # noqa: PLC0415

    return run(settings, executor)


def _allow_many_files(slots: int) -> None:
    """Before the template starts, so that children inherit it. The usual soft limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < (needed := max(SOME_FILES, slots * FILES_A_SLOT)):
        structlog.get_logger().warning(
            "files.few", limit=most, needed=needed, cure="raise the hard limit of `ulimit -n`"
        )


if __name__ == "__main__":
    sys.exit(main())

"""Processes that carry a number: their limit of POSIX message queues.

None of them uses such queues, and the processes that they start inherit the limit. Any user may read the
limits of any process, but not the environment of the services.
"""

import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


def new_mark() -> int:
    return random.SystemRandom().randrange(1, 800_000)


@contextmanager
def marking(number: int) -> Iterator[None]:
    """What this process starts inside the block carries the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (soft, hard))


def marked(number: int) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _carries(process.pid, number)]


def _carries(pid: int, number: int) -> bool:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
        return any(line.split()[:4] == ["Max", "msgqueue", "size", str(number)] for line in lines)
    return False

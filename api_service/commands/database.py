"""One connection to Postgres for a command that needs nothing else."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from shared.db.pool import Pool, connect, unavailable
from shared.errors import TransientError
from shared.settings import DatabaseSettings


def with_pool(settings: DatabaseSettings, name: str, work: Callable[[Pool], Awaitable[None]]) -> None:
    """Do *work* as the application *name*. Exits with the reason where Postgres is away."""

    async def done() -> None:
        pool = connect(settings.database_url, name=name, size=1)
        try:
            await work(pool)
        finally:
            await pool.close()

    try:
        asyncio.run(done())
    except TransientError as error:
        sys.exit(unavailable(error))

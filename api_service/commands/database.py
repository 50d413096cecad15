"""One connection to Postgres for a command that needs nothing else."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.db.pool import Pool, connect, unavailable
from shared.errors import TransientError
from shared.settings import DatabaseSettings

Answer = TypeVar("Answer")


def with_pool(
    settings: DatabaseSettings,
    name: str,
    work: Callable[[Pool], Awaitable[Answer]],
    *,
    away: int = 1,
) -> Answer:
    """The answer of *work*, done as the application *name*.

    Exits with the code *away* where Postgres is away, and tells the reason.
    """

    async def done() -> Answer:
        pool = connect(settings.database_url, name=name, size=1)
        try:
            return await work(pool)
        finally:
            await pool.close()

    try:
        return asyncio.run(done())
    except TransientError as error:
        print(unavailable(error), file=sys.stderr)  # noqa: T201  # as sys.exit does with a text
        sys.exit(away)

"""The gateway's pool: whatever happens to Postgres, a request hears of it within the deadline."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.db.pool import Connection, Pool, translated


class PromptPool(Pool):
    """Bounds, in seconds, the whole time that a connection is borrowed, the statements on it included.

    A server that is gone refuses at once, but one that is frozen, or behind a network that swallows packets, would keep
    a request waiting for minutes.
    """

    def __init__(self, inner: Pool, *, seconds: float) -> None:  # the inner pool has what the class above would set up
        self._inner = inner
        self._seconds = self._patience = seconds

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        with translated():
            async with asyncio.timeout(self._seconds), self._inner.connection() as connection:
                yield connection

    async def close(self) -> None:
        await self._inner.close()

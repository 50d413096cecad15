"""The sessions table: the digests of the ids that browsers hold, never the ids."""

from datetime import timedelta

from shared.db.pool import Pool
from shared.db.statements import SESSIONS


class SessionStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def insert(self, sha256: bytes, key_sha256: bytes, *, lasts: timedelta, most: int) -> None:
        """Begin a session of a key, which keeps its newest *most* ones."""
        async with self._pool.connection() as connection:
            await SESSIONS.insert.execute(
                connection, sha256=sha256, key_sha256=key_sha256, lasts=lasts, most=most
            )

    async def key(self, sha256: bytes) -> bytes | None:
        """The digest of the session's key; None where the session has ended."""
        async with self._pool.connection() as connection:
            found: bytes | None = await SESSIONS.key.fetchval(connection, sha256=sha256)
        return found

    async def delete(self, sha256: bytes) -> None:
        async with self._pool.connection() as connection:
            await SESSIONS.delete.execute(connection, sha256=sha256)

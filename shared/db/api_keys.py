"""The api_keys table: the digests of the keys, never the keys."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from shared.db.pool import Pool, Record
from shared.db.records import read_row
from shared.db.statements import Statements
from shared.ids import new_id

SQL = Statements("api_keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One row of gristmill.api_keys, without the digest."""

    id: str
    tenant: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: Record) -> Self:
        return read_row(cls, row)


class ApiKeyStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def insert(self, tenant: str, name: str, sha256: bytes) -> str:
        """The new row's id."""
        key_id = new_id("key")
        async with self._pool.connection() as connection:
            await connection.execute(SQL.insert, key_id, tenant, name, sha256)
        return key_id

    async def any(self) -> bool:
        """Whether a key was ever made: revoking the last one does not open the gateway to everybody."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(SQL.any))

    async def use(self, sha256: bytes) -> str | None:
        """The tenant of the key with this digest, unless it is revoked; notes the time."""
        async with self._pool.connection() as connection:
            tenant: str | None = await connection.fetchval(SQL.use, sha256)
        return tenant

    async def all(self) -> list[ApiKey]:
        async with self._pool.connection() as connection:
            return [ApiKey.of(row) for row in await connection.fetch(SQL.all)]

    async def revoke(self, key_id: str) -> bool:
        """False when there is no such key."""
        async with self._pool.connection() as connection:
            return await connection.fetchval(SQL.revoke, key_id) is not None

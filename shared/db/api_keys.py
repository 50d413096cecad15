"""The api_keys table: the digests of the keys, never the keys."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from shared.db.pool import Pool, Record
from shared.db.records import read_row
from shared.db.statements import API_KEYS
from shared.ids import new_id


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
            await API_KEYS.insert.execute(connection, id=key_id, tenant=tenant, name=name, sha256=sha256)
        return key_id

    async def any(self) -> bool:
        """Whether a key was ever made: to revoke the last one does not open the gateway."""
        async with self._pool.connection() as connection:
            return bool(await API_KEYS.any.fetchval(connection))

    async def use(self, sha256: bytes) -> str | None:
        """The tenant of the key with this digest, unless it is revoked; notes the time."""
        async with self._pool.connection() as connection:
            tenant: str | None = await API_KEYS.use.fetchval(connection, sha256=sha256)
        return tenant

    async def all(self) -> list[ApiKey]:
        async with self._pool.connection() as connection:
            return [ApiKey.of(row) for row in await API_KEYS.all.fetch(connection)]

    async def revoke(self, key_id: str) -> bool:
        """False when there is no such key."""
        async with self._pool.connection() as connection:
            return await API_KEYS.revoke.fetchval(connection, id=key_id) is not None

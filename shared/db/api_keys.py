"""The api_keys table: the digests of the keys, never the keys."""

from collections.abc import Collection
from datetime import datetime, timedelta

from shared.core.entities import ApiKey
from shared.db.pool import Pool, Record
from shared.db.records import read_row
from shared.db.statements import API_KEYS
from shared.ids import new_id


def _key(row: Record) -> ApiKey:
    return read_row(ApiKey, row, scopes=tuple(row["scopes"]), parents=tuple(row["parents"]))


class ApiKeyStore:
    """With *maker*, a method sees only the keys that this key has made."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def insert(
        self,
        tenant: str,
        name: str,
        sha256: bytes,
        *,
        scopes: Collection[str],
        job: str | None = None,
        parents: Collection[str] = (),
        lasts: timedelta | None = None,
        latest: datetime | None = None,
    ) -> ApiKey:
        """The key ends after *lasts* or at *latest*, whichever is earlier."""
        async with self._pool.connection() as connection:
            row = await API_KEYS.insert.fetchrow(
                connection,
                id=new_id("key"),
                tenant=tenant,
                name=name,
                sha256=sha256,
                scopes=list(scopes),
                job=job,
                parents=list(parents),
                lasts=lasts,
                latest=latest,
            )
        assert row is not None
        return _key(row)

    async def any(self) -> bool:
        """Whether a key was ever made: to revoke the last one does not open the gateway."""
        async with self._pool.connection() as connection:
            return bool(await API_KEYS.any.fetchval(connection))

    async def use(self, sha256: bytes) -> tuple[ApiKey, timedelta | None] | None:
        """The key with this digest and the time that it has left, unless it has ended; notes the time."""
        async with self._pool.connection() as connection:
            row = await API_KEYS.use.fetchrow(connection, sha256=sha256)
        return (_key(row), row["time_left"]) if row else None

    async def all(self) -> list[ApiKey]:
        async with self._pool.connection() as connection:
            return [_key(row) for row in await API_KEYS.all.fetch(connection)]

    async def page(
        self, tenant: str, maker: str | None, *, after: str | None, limit: int
    ) -> tuple[list[ApiKey], bool]:
        """Newest first; the flag says whether others follow."""
        async with self._pool.connection() as connection:
            rows = await API_KEYS.page.fetch(
                connection, tenant=tenant, maker=maker, after=after, most=limit + 1
            )
        return [_key(row) for row in rows[:limit]], len(rows) > limit

    async def get(self, tenant: str, key_id: str, maker: str | None) -> ApiKey | None:
        async with self._pool.connection() as connection:
            row = await API_KEYS.get.fetchrow(connection, tenant=tenant, id=key_id, maker=maker)
        return _key(row) if row else None

    async def revoke(self, key_id: str) -> str | None:
        """End a key and the keys that it made; its tenant, None when there is no such key."""
        async with self._pool.connection() as connection:
            tenant: str | None = await API_KEYS.revoke.fetchval(connection, id=key_id)
        return tenant

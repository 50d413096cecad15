"""The results and versions tables: which table is which version of which name."""

from typing import Any

from shared.core.entities import Version
from shared.db.pool import LIST_BYTES, Pool
from shared.db.records import read_row
from shared.db.statements import VERSIONS, Statement


class VersionStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _one(self, statement: Statement, **named: Any) -> Version | None:
        async with self._pool.connection() as connection:
            row = await statement.fetchrow(connection, **named)
        return read_row(Version, row) if row else None

    async def get(self, tenant: str, job_id: str) -> Version | None:
        return await self._one(VERSIONS.get, tenant=tenant, job_id=job_id)

    async def current(self, tenant: str, name: str) -> Version | None:
        return await self._one(VERSIONS.current, tenant=tenant, name=name)

    async def by_number(self, tenant: str, name: str, version: int) -> Version | None:
        return await self._one(VERSIONS.by_number, tenant=tenant, name=name, version=version)

    async def published(self, tenant: str, *, after: str | None, limit: int) -> tuple[list[Version], bool]:
        """The current version of every published name that comes after *after*, about LIST_BYTES of them.

        And whether others follow.
        """
        async with self._pool.connection() as connection:
            rows = await VERSIONS.published.fetch(
                connection, tenant=tenant, after=after, most=limit, bytes=LIST_BYTES
            )
        return [read_row(Version, row) for row in rows], bool(rows) and rows[-1]["further"]

    async def shown(self, job_ids: list[str]) -> set[str]:
        """Those of the jobs whose version is the one that its name shows."""
        async with self._pool.connection() as connection:
            return {row["job_id"] for row in await VERSIONS.shown.fetch(connection, job_ids=job_ids)}

"""The results and versions tables: which table is which version of which name."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from shared.db.pool import LIST_BYTES, Pool, Record
from shared.db.records import read_row
from shared.db.statements import VERSIONS, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One published table; `relation` lies in schema gristmill_results, its first column is `_id`."""

    job_id: str
    tenant: str
    name: str | None
    version: int | None
    relation: str
    rows: int
    digest: str
    columns: list[dict[str, Any]]
    key_columns: int
    published_at: datetime
    current: bool

    @classmethod
    def of(cls, row: Record) -> Self:
        return read_row(cls, row)


class VersionStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _one(self, statement: Statement, **named: Any) -> Version | None:
        async with self._pool.connection() as connection:
            row = await statement.fetchrow(connection, **named)
        return Version.of(row) if row else None

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
        return [Version.of(row) for row in rows], bool(rows) and rows[-1]["further"]

    async def shown(self, job_ids: list[str]) -> set[str]:
        """Those of the jobs whose version is the one that its name shows."""
        async with self._pool.connection() as connection:
            return {row["job_id"] for row in await VERSIONS.shown.fetch(connection, job_ids=job_ids)}

"""The results and versions tables: which table is which version of which name."""

from collections.abc import Iterable
from typing import Any

from shared.core.entities import Job, Kept, Version
from shared.db.pool import LIST_BYTES, Pool, Record
from shared.db.records import read_page, read_row
from shared.db.statements import VERSIONS, Statement


class VersionStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _one(self, statement: Statement, **named: Any) -> Version | None:
        async with self._pool.connection() as connection:
            row = await statement.fetchrow(connection, **named)
        return _version(row) if row else None

    async def get(self, tenant: str, job_id: str) -> Version | None:
        return await self._one(VERSIONS.get, tenant=tenant, job_id=job_id)

    async def current(self, tenant: str, name: str) -> Version | None:
        return await self._one(VERSIONS.current, tenant=tenant, name=name)

    async def by_number(self, tenant: str, name: str, version: int) -> Version | None:
        return await self._one(VERSIONS.by_number, tenant=tenant, name=name, version=version)

    async def published(
        self, tenant: str, *, after: str | None, limit: int, part: str | None = None
    ) -> tuple[list[Version], bool]:
        """The current version of every published name that comes after *after*, about LIST_BYTES of them.

        With *part*, of names that contain it.

        And whether others follow.
        """
        async with self._pool.connection() as connection:
            rows = await VERSIONS.published.fetch(
                connection, tenant=tenant, after=after, part=part, most=limit, bytes=LIST_BYTES
            )
        return read_page(rows, _version)

    async def of_name(
        self, tenant: str, name: str, *, after: int | None, limit: int
    ) -> tuple[list[Version], bool]:
        """The versions of a name with lower numbers than *after*, newest first, about LIST_BYTES of them.

        And whether others follow.
        """
        async with self._pool.connection() as connection:
            rows = await VERSIONS.of_name.fetch(
                connection, tenant=tenant, name=name, after=after, most=limit, bytes=LIST_BYTES
            )
        return read_page(rows, _version)

    async def kept(self, jobs: Iterable[Job]) -> dict[str, Kept]:
        """Whether the rows are there, of each of the jobs that has made some, by its id."""
        made = [job.id for job in jobs if job.result]
        if not made:
            return {}
        async with self._pool.connection() as connection:
            rows = await VERSIONS.kept.fetch(connection, job_ids=made)
        there = {row["job_id"]: Kept.CURRENT if row["current"] else Kept.REPLACED for row in rows}
        return {job_id: there.get(job_id, Kept.DELETED) for job_id in made}


def _version(row: Record) -> Version:
    return read_row(Version, row)

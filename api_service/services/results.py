"""Results: which version a URL means, and its rows."""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from api_service.services.turns import Turns
from api_service.wire.cursors import Cursor, encode_cursor, fingerprint
from shared.core.entities import Version
from shared.db.jobs import JobStore
from shared.db.rows import RowQuery, RowStore
from shared.db.versions import VersionStore
from shared.errors import CursorExpired, InvalidCursor, NoResult, NotFound, NotReady, ResultExpired


@dataclass(frozen=True, slots=True)
class Page:
    items: list[dict[str, Any]]
    next: str | None


class ResultService:
    """*pages* and *exports* bound how many answers with rows are made and sent at once, and with it the memory that they take."""

    def __init__(
        self, jobs: JobStore, versions: VersionStore, rows: RowStore, *, pages: Turns, exports: Turns
    ) -> None:
        self._jobs = jobs
        self._versions = versions
        self._rows = rows
        self._pages = pages
        self._exports = exports

    async def all(self, tenant: str, *, after: str | None, limit: int) -> tuple[list[Version], bool]:
        """By name; and whether others follow."""
        return await self._versions.published(tenant, after=after, limit=limit)

    async def current(self, tenant: str, name: str) -> Version:
        version = await self._versions.current(tenant, name)
        if version is None:
            raise NotFound(f"There is no result {name}")
        return version

    async def of_job(self, tenant: str, job_id: str, cursor: Cursor | None) -> Version:
        """The rows that a job made; raises NotReady, NoResult or ResultExpired by the job's state."""
        job = await self._jobs.get(tenant, job_id)
        if job is None:
            raise NotFound(f"There is no job {job_id}")
        if cursor is not None and cursor.job_id != job_id:
            raise InvalidCursor("This cursor belongs to another job")
        version = await self._versions.get(tenant, job_id) if job.state == "succeeded" else None
        if version is not None:
            return version
        if not job.done:
            raise NotReady(f"Job {job_id} is {job.state}; its rows can be read once it has succeeded")
        if job.state != "succeeded":
            raise NoResult(
                f"Job {job_id} {'was ' if job.state == 'cancelled' else ''}{job.state}, so it has no rows"
            )
        raise ResultExpired(f"The rows of job {job_id} are kept no longer")

    async def of_name(self, tenant: str, name: str, number: int | None, cursor: Cursor | None) -> Version:
        """The version that the cursor walks, or the one of that number, or else the current one."""
        if cursor is None:
            return (
                await self.current(tenant, name)
                if number is None
                else await self._numbered(tenant, name, number)
            )
        await self.current(tenant, name)
        version = await self._versions.get(tenant, cursor.job_id)
        if version is None:
            raise CursorExpired(
                "The version that this cursor walks is kept no longer; begin again without `after`"
            )
        if version.name != name or number not in {None, version.version}:
            raise InvalidCursor("This cursor belongs to another result or version")
        return version

    async def _numbered(self, tenant: str, name: str, number: int) -> Version:
        version = await self._versions.by_number(tenant, name, number)
        if version is None:
            raise NotFound(f"Result {name} has no version {number}")
        return version

    @asynccontextmanager
    async def page(self, version: Version, query: RowQuery) -> AsyncIterator[Page]:
        """Lend a page; its turn ends with the block, in which it is sent."""
        async with self._pages.turn(version.tenant):
            try:
                rows = await self._rows.page(version, query)
            except ResultExpired as error:
                if query.after is not None:
                    raise CursorExpired(
                        "The version that this cursor walks is kept no longer; begin again without `after`"
                    ) from error
                raise
            items = [dict(zip(query.columns, map(_plain, row), strict=True)) for row in rows.values]
            yield Page(items, None if rows.last is None else _next(version, query, rows.last))

    async def csv(self, version: Version, query: RowQuery) -> AsyncGenerator[bytes]:
        """A line of names, then the rows; nothing comes before the database has answered."""
        names = csv_line(query.columns).encode()
        async with self._exports.turn(version.tenant), aclosing(self._rows.csv(version, query)) as blocks:
            async for block in blocks:
                yield names + block
                names = b""
        if names:
            yield names


def csv_line(cells: tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _plain(value: Any) -> Any:
    """A decimal as all its digits: its own text may be `1E+4`, which is no number to many a client."""
    if isinstance(value, list):
        return [_plain(element) for element in value]
    return format(value, "f") if isinstance(value, Decimal) else value


def _next(version: Version, query: RowQuery, row_id: int) -> str:
    return encode_cursor(Cursor(version.job_id, fingerprint(query.filters, query.order), row_id))

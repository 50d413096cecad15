"""The bad rows that a job keeps aside: a page of them, or all."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from api_service.services.limiter import ConcurrencyLimiter
from shared.core.entities import KeptRow
from shared.db.quarantine import QuarantineStore
from shared.errors import CursorExpired, NotFound


class QuarantineService:
    """*pages* and *exports* limit how many answers with rows are made and sent at once."""

    def __init__(
        self, rows: QuarantineStore, *, pages: ConcurrencyLimiter, exports: ConcurrencyLimiter
    ) -> None:
        self._rows = rows
        self._pages = pages
        self._exports = exports

    async def job(self, tenant: str, job_id: str, walked: int | None) -> tuple[int, bool]:
        """The job's epoch, and whether its bad rows are final. *walked* is the epoch of a cursor.

        Raises NotFound, and CursorExpired if the job has begun anew since.
        """
        found = await self._rows.job(tenant, job_id)
        if found is None and walked is not None:
            raise CursorExpired("The job that this cursor walks is gone")
        if found is None:
            raise NotFound(f"There is no job {job_id}")
        if walked not in {None, found[0]}:
            raise CursorExpired("The job has read its data anew since this page; begin again without `after`")
        return found

    @asynccontextmanager
    async def page(
        self, tenant: str, job_id: str, epoch: int, after: tuple[int, int], limit: int
    ) -> AsyncIterator[tuple[list[KeptRow], bool]]:
        """Lend a page, and whether others follow; its permit ends with the block, in which it is sent."""
        async with self._pages.permit(tenant):
            yield await self._rows.page(job_id, epoch, after, limit)

    async def all(self, tenant: str, job_id: str, epoch: int) -> AsyncGenerator[list[KeptRow]]:
        """Every row, some at a time."""
        async with self._exports.permit(tenant), aclosing(self._rows.all(job_id, epoch)) as blocks:
            async for block in blocks:
                yield block

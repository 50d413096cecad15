"""Cancelling and retrying many jobs, each in a transaction of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from api_service.services.jobs import JobView
from shared.core.job_filter import JobFilter, Outcome
from shared.db.jobs import JobStore
from shared.errors import GristmillError, UnexpectedCount
from shared.spec.bulk import MOST_JOBS, BulkRequest

AT_ONCE = 4
"""Jobs that one request changes at the same time."""
Change = Callable[[str, str, str], Awaitable[JobView]]
"""Of JobService: a change of the job of a tenant by an actor."""


class BulkService:
    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs

    async def apply(self, tenant: str, request: BulkRequest, change: Change, actor: str) -> Sequence[Outcome]:
        """Apply *change* to each job that fits the filter, the oldest first.

        Raises UnexpectedCount, and changes nothing, if there are not as many as expected.
        """
        found = await self._expected(tenant, request.filter.wanted(), request.expected)
        room = asyncio.Semaphore(AT_ONCE)

        async def one(job_id: str) -> Outcome:
            async with room:
                try:
                    return Outcome(job_id, (await change(tenant, job_id, actor)).job.state, None)
                except GristmillError as error:
                    return Outcome(job_id, None, error.problem())

        return await asyncio.gather(*map(one, found))

    async def _expected(self, tenant: str, wanted: JobFilter, expected: int) -> list[str]:
        found = await self._jobs.matching(tenant, wanted, MOST_JOBS + 1)
        if len(found) > MOST_JOBS:
            raise UnexpectedCount(
                f"The filter matches more than {MOST_JOBS:,} jobs, the most that one request changes, and "
                f"{expected:,} were expected; nothing was changed: narrow it, by created_before for example"
            )
        if len(found) != expected:
            raise UnexpectedCount(
                f"The filter matches {len(found):,} jobs, and {expected:,} were expected; nothing was changed"
            )
        return found

"""Cancelling and retrying many jobs, each in a transaction of its own."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from api_service.services.jobs import Change, JobService
from shared.core.job_filter import JobFilter, Outcome
from shared.core.lifecycle import JobState
from shared.db.jobs import JobStore
from shared.errors import GristmillError, UnexpectedCount
from shared.spec.bulk import MOST_JOBS, BulkRequest

AT_ONCE = 4
"""Jobs that one request changes at the same time."""


class BulkService:
    """Each change is applied to every job that fits the filter, the oldest first.

    It raises UnexpectedCount, and changes nothing, if there are not as many as expected.
    """

    def __init__(self, service: JobService, jobs: JobStore) -> None:
        self._service, self._jobs = service, jobs

    async def count(self, tenant: str, wanted: JobFilter) -> int:
        """How many jobs fit; MOST_JOBS + 1 stands for any number above MOST_JOBS."""
        return len(await self._jobs.matching(tenant, wanted, MOST_JOBS + 1))

    async def cancel(self, tenant: str, request: BulkRequest, actor: str) -> Sequence[Outcome]:
        return await self._apply(self._jobs.cancel, tenant, request, actor)

    async def retry(self, tenant: str, request: BulkRequest, actor: str) -> Sequence[Outcome]:
        return await self._apply(self._jobs.retry, tenant, request, actor)

    async def _apply(
        self, change: Change, tenant: str, request: BulkRequest, actor: str
    ) -> Sequence[Outcome]:
        found = await self._expected(tenant, request.filter.wanted(), request.expected)
        room = asyncio.Semaphore(AT_ONCE)

        async def one(job_id: str) -> Outcome:
            async with room:
                try:
                    changed = await self._service.apply(change, tenant, job_id, actor)
                    return Outcome(job_id=job_id, changed=changed)
                except GristmillError as error:
                    return Outcome(job_id=job_id, changed=False, error=error.problem())

        outcomes = await asyncio.gather(*map(one, found))
        standing = await self._jobs.standing([each.job_id for each in outcomes if each.error is None])
        return [
            replace(each, state=JobState(standing[each.job_id][0])) if each.job_id in standing else each
            for each in outcomes
        ]

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

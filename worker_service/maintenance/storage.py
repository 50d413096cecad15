"""Keeps tenants within their limits of stored bytes: the youngest job of one that stores too much fails."""

from dataclasses import dataclass

from shared.db.jobs import JobStore
from shared.db.limits import LimitStore
from shared.loops import Report


@dataclass(frozen=True, slots=True)
class Stopped(Report):
    """Jobs that failed."""

    jobs: int = 0


class StorageKeeper:
    """A job is stopped within a period of the time at which its tenant has reached its limit.

    Its table goes once its last unit stops, its states when the pruner passes. Until then no other job of the
    tenant is stopped.
    """

    def __init__(self, limits: LimitStore, jobs: JobStore) -> None:
        self._limits, self._jobs = limits, jobs

    async def run_once(self) -> Stopped:
        looked: set[str] = set()
        stopped = 0
        for job in await self._limits.writing():
            if job.tenant in looked:
                continue
            looked.add(job.tenant)
            stored = await self._limits.stored(job.tenant)
            if stored is not None and stored > job.most:
                stopped += await self._jobs.fail_overfull(job)
        return Stopped(stopped)

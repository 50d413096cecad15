"""Keeps tenants within their limits of stored bytes: the youngest job of one that stores too much fails."""

from dataclasses import dataclass

from shared.db.jobs import JobStore
from shared.db.limits import LimitStore
from shared.errors import StorageLimitExceeded
from shared.loops import Report


@dataclass(frozen=True, slots=True)
class Stopped(Report):
    """Jobs that failed."""

    jobs: int = 0


class StorageKeeper:
    """A job is stopped within a period of the time at which its tenant has reached its limit.

    Its states and its table go, so that the other jobs of the tenant may go on.
    """

    def __init__(self, limits: LimitStore, jobs: JobStore) -> None:
        self._limits, self._jobs = limits, jobs

    async def run_once(self) -> Stopped:
        stored: dict[str, int] = {}
        stopped = 0
        for job_id, tenant, most in await self._limits.writing():
            if tenant in stored:
                continue
            stored[tenant] = await self._limits.stored(tenant)
            if stored[tenant] > most:
                await self._jobs.fail(job_id, _too_much(stored[tenant], most).problem())
                await self._limits.forget_states(job_id)
                stopped += 1
        return Stopped(stopped)


def _too_much(stored: int, most: int) -> StorageLimitExceeded:
    return StorageLimitExceeded(
        f"The states and results of this tenant take {stored:,} bytes in Postgres, and may take {most:,} "
        "(its limit stored_bytes). This job was its youngest under way; delete results, or ask for fewer "
        "groups, then submit it again"
    )

"""The work of a tenant as a whole, with its newest jobs and the health of the service."""

import time
from dataclasses import dataclass
from datetime import timedelta

from api_service.auth.authenticator import DEFAULT_TENANT
from api_service.services.cache import TtlCache
from api_service.services.jobs import JobService, JobView
from api_service.services.readiness import Readiness, Ready
from shared.core.job_filter import JobFilter
from shared.core.overview import Overview
from shared.db.overview import OverviewStore
from shared.errors import TransientError

NEWEST_JOBS = 10
_SECONDS, ERROR_SECONDS = 2.0, 5.0
_TIMES = 20
"""At most a twentieth of the time one gateway has Postgres count for a tenant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`seconds` is the time that Postgres took for the overview.

    `newest` is None if the jobs were not read in time.
    """

    overview: Overview
    seconds: float
    newest: list[JobView] | None
    ready: Ready


class OverviewService:
    def __init__(
        self, overviews: OverviewStore, jobs: JobService, readiness: Readiness, lease: timedelta
    ) -> None:
        """A worker that was not seen within *lease* counts as dead."""
        self._overviews, self._jobs, self._readiness, self._lease = overviews, jobs, readiness, lease
        self._cache = TtlCache[Standing](_SECONDS, _TIMES, ERROR_SECONDS)

    async def read(self, tenant: str) -> Standing:
        """However many pages ask, Postgres answers once in two seconds. An error is kept for a while too.

        Workers serve all tenants, so only the first tenant sees them. Raises the errors of Readiness.check.
        """
        return await self._cache.get((tenant, ""), lambda: self._load(tenant))

    async def _load(self, tenant: str) -> Standing:
        ready = await self._readiness.check()
        began = time.monotonic()
        overview = await self._overviews.read(tenant, lease=self._lease, with_slots=tenant == DEFAULT_TENANT)
        seconds = time.monotonic() - began
        return Standing(overview=overview, seconds=seconds, newest=await self._newest(tenant), ready=ready)

    async def _newest(self, tenant: str) -> list[JobView] | None:
        try:
            newest, _ = await self._jobs.newest(tenant, JobFilter(), after=None, limit=NEWEST_JOBS)
        except TransientError:
            return None
        return newest

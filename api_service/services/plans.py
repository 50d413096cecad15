"""Dry runs: asking for one, reading it, and beginning a job with its plan."""

import time
from collections.abc import Callable
from datetime import timedelta

import msgspec

from api_service.services.cache import TtlCache
from api_service.services.jobs import PRESENT_SECONDS, JobService
from api_service.services.spec_check import Checked
from shared.core.entities import Job
from shared.core.lifecycle import JobState
from shared.core.retention import Retention
from shared.db.jobs import JobStore
from shared.db.plans import DryRun, PlanStore
from shared.errors import InvalidSpec, InvalidState, NotFound, NotReady, PlanExpired
from shared.ids import made_at

KEPT = Retention().plans
DEADLINE = timedelta(minutes=10)
"""The longest that a dry run may take, with the wait for a worker."""
_ROW_SECONDS = 0.05
"""How old a plan may be that is read: many clients that poll cost as much as one."""
PRIORITY = 9
"""A person waits for it."""


class PlanService:
    def __init__(self, service: JobService, jobs: JobStore, plans: PlanStore) -> None:
        self._service, self._jobs, self._plans = service, jobs, plans
        self._rows = TtlCache[DryRun | None](_ROW_SECONDS)

    async def submit(
        self, tenant: str, spec: Checked, idempotency_key: str | None, actor: str
    ) -> tuple[str, bool]:
        """Commit the dry run of a spec, and give its id.

        The flag says that an earlier request with this key has made it.
        """
        asked = msgspec.structs.replace(
            spec,
            digest=f"plan:{spec.digest}",
            earlier_digests=tuple(f"plan:{digest}" for digest in spec.earlier_digests),
            priority=PRIORITY,
            result_name=None,
            deadline=DEADLINE,
        )
        job, replayed = await self._service.submit(tenant, asked, idempotency_key, actor)
        return job.id, replayed

    async def get(self, tenant: str, plan_id: str) -> DryRun:
        """Raises NotFound, and PlanExpired for one that was kept long enough."""
        found = await self._rows.get((tenant, plan_id), lambda: self._plans.get(tenant, plan_id, KEPT))
        made = made_at("plan", plan_id)
        if found is None and (made is None or made > time.time() - KEPT.total_seconds()):
            raise NotFound(f"There is no plan {plan_id}")
        if found is None or found.expired:
            raise PlanExpired(f"{plan_id} has expired: a plan is kept for an hour; make a new one")
        return found

    async def delete(self, tenant: str, plan_id: str) -> None:
        """Also one under way, whose worker stops at its next heartbeat. Raises NotFound."""
        deleted = await self._plans.delete(tenant, plan_id)
        self._rows.forget((tenant, plan_id))
        if not deleted:
            raise NotFound(f"There is no plan {plan_id}")

    async def wait(self, tenant: str, plan_id: str, seconds: float, gone: Callable[[], bool]) -> DryRun:
        """The dry run as soon as it is done, or as it stands after *seconds*.

        Returns early when the gateway stops, or soon after *gone* holds.
        """
        watcher, deadline = self._service.watcher, time.monotonic() + seconds
        found = await self.get(tenant, plan_id)
        while (
            not (found.job.done or gone() or watcher.stopping) and (left := deadline - time.monotonic()) > 0
        ):
            seen = found.job.state, found.job.phase
            await watcher.changed((tenant, plan_id), seen, min(left, PRESENT_SECONDS))
            found = await self.get(tenant, plan_id)
        return found

    async def replayed(self, tenant: str, plan_id: str, idempotency_key: str) -> Job | None:
        """The job that a request with this key has begun with the plan, which may have expired since."""
        known = await self._jobs.by_key(tenant, idempotency_key)
        return known if known is not None and known.from_plan == plan_id else None

    async def spec_of(self, tenant: str, plan_id: str) -> bytes:
        """The spec of a plan that a job can begin with, as JSON."""
        found = await self.get(tenant, plan_id)
        job = found.job
        if not job.done:
            told = f"{plan_id} is not done yet; read /v1/plans/{plan_id} with Prefer: wait=30, then try again"
            raise NotReady(told)
        if job.error is not None or job.state != JobState.SUCCEEDED:
            why = job.error["detail"] if job.error else job.state
            raise InvalidState(f"{plan_id} failed: {why}; correct the spec, and make a new plan")
        if found.source_only:
            told = f"{plan_id} is of a source without aggregates: submit a spec with group_by and aggregates"
            raise InvalidSpec(told, pointer="#/plan")
        return msgspec.json.encode(job.spec)

    async def begin(
        self, tenant: str, plan_id: str, spec: Checked, idempotency_key: str | None, actor: str
    ) -> tuple[Job, bool]:
        """Commit a job of *spec*, the plan's, that begins with the plan; see `JobService.submit`."""
        return await self._service.submit(tenant, spec, idempotency_key, actor, from_plan=plan_id)

"""Everything a worker's parent process holds, made once in the composition root."""

from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from shared.core.entities import JobRow
from shared.core.plan import Plan, schema_of
from shared.core.timings import Timings
from shared.db.fan_in import FanInStore
from shared.db.jobs import JobStore
from shared.db.partials import PartialStore
from shared.db.plans import PlanStore
from shared.db.pool import Pool
from shared.db.publishing import PublishingStore
from shared.db.units import Lease, UnitStore
from shared.doorbell import Doorbell
from shared.errors import LeaseLost
from shared.ids import new_id
from shared.settings import Settings
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.query import Query
from shared.spec.types import Schema
from worker_service.executors.protocol import Executor

KEPT_JOBS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplanned:
    """A job in one epoch, as its plan unit needs it. *spec_json* is the spec as tasks carry it.

    The state and phase of *row* are as old as it is.
    """

    row: JobRow
    spec: JobSpec
    spec_json: Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Unplanned):
    """A job in one epoch, as its other units need it. *query* is the spec, bound to *schema*."""

    plan: Plan
    schema: Schema
    query: Query


@dataclass(slots=True, kw_only=True)
class Context:
    settings: Settings
    timings: Timings
    pool: Pool
    jobs: JobStore
    units: UnitStore
    partials: PartialStore
    fan_in: FanInStore
    publishing: PublishingStore
    plans: PlanStore
    doorbell: Doorbell
    executor: Executor
    worker_id: str = field(default_factory=lambda: new_id("wrk"))
    _planned: OrderedDict[tuple[str, int], Planned] = field(default_factory=OrderedDict)

    async def unplanned(self, lease: Lease) -> Unplanned:
        """The job of a plan unit. Raises LeaseLost if the job was deleted, or is in another epoch."""
        row = await self._row(lease)
        return Unplanned(row=row, spec=JobSpec.model_validate(row.spec), spec_json=_json(row))

    async def planned(self, lease: Lease) -> Planned:
        """The job of any other unit; raises as `unplanned`.

        Kept, since a spec takes time to bind, a plan of many files is large, and a job's chunks are many.
        """
        kept = self._planned.get((lease.job_id, lease.epoch))
        return kept or self.planned_from(await self._row(lease))

    def planned_from(self, row: JobRow) -> Planned:
        """Raises LeaseLost if the job has no plan: it is being planned anew."""
        if (kept := self._planned.get((row.id, row.epoch))) is not None:
            return kept
        if row.plan is None:
            raise LeaseLost(f"Job {row.id} is being planned anew")
        unplanned = Unplanned(row=row, spec=JobSpec.model_validate(row.spec), spec_json=_json(row))
        return self.keep(unplanned, row.plan, bind(unplanned.spec, schema_of(row.plan.schema)))

    def keep(self, job: Unplanned, plan: Plan, query: Query) -> Planned:
        """Keep a job whose plan is committed, for its next units. *query* is its spec, bound to the plan."""
        planned = Planned(
            row=job.row,
            spec=job.spec,
            spec_json=job.spec_json,
            plan=plan,
            schema=schema_of(plan.schema),
            query=query,
        )
        self._planned[job.row.id, job.row.epoch] = planned
        while len(self._planned) > KEPT_JOBS:
            self._planned.popitem(last=False)
        return planned

    async def _row(self, lease: Lease) -> JobRow:
        row = await self.jobs.work(lease.job_id)
        if row is None:
            raise LeaseLost(f"Job {lease.job_id} was deleted")
        if row.epoch != lease.epoch:
            raise LeaseLost("The job has moved to another epoch")
        return row


def _json(row: JobRow) -> Raw:
    return Raw(msgspec.json.encode(row.spec))

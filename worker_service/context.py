"""Everything a worker's parent process holds, made once in the composition root."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from shared.core.plan import Plan
from shared.core.timings import Timings
from shared.db.fan_in import FanInStore
from shared.db.jobs import JobStore
from shared.db.partials import PartialStore
from shared.db.pool import Pool
from shared.db.publishing import PublishingStore
from shared.db.units import Lease, UnitStore
from shared.db.workers import WorkerStore
from shared.doorbell import Doorbell
from shared.errors import LeaseLost
from shared.ids import new_id
from shared.settings import Settings
from worker_service.executor import Executor

REMEMBERED_JOBS = 32


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
    workers: WorkerStore
    doorbell: Doorbell
    executor: Executor
    worker_id: str = field(default_factory=lambda: new_id("wrk"))
    draining: bool = False
    _works: OrderedDict[tuple[str, int], "Work"] = field(default_factory=OrderedDict)

    async def work(self, lease: Lease) -> "Work":
        """What the lease's job is about.

        Remembered, since a plan of many files is large and its chunks are many.
        """
        known = self._works.get((lease.job_id, lease.epoch))
        if known is not None:
            return known
        row = await self.jobs.work(lease.job_id)
        if row.epoch != lease.epoch:
            raise LeaseLost("The job has moved to another epoch")
        known_of = {name: getattr(row, name) for name in Work.__slots__ if name != "job_id"}
        work = Work(job_id=row.id, **known_of)
        if work.plan is not None:
            self._works[lease.job_id, lease.epoch] = work
            while len(self._works) > REMEMBERED_JOBS:
                self._works.popitem(last=False)
        return work


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The part of a job that its units need, of one epoch."""

    job_id: str
    tenant: str
    epoch: int
    spec: dict[str, Any]
    plan: Plan | None
    result_name: str | None
    version: int | None

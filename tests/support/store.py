"""The stores on one database, without any process around them: jobs and units that are driven by hand."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from shared.core.entities import Job, NewVersion
from shared.core.plan import ChunkPayload, Plan, PlannedColumn
from shared.core.timings import Timings
from shared.db.fan_in import FanInStore
from shared.db.jobs import JobStore
from shared.db.partials import Partial, PartialStore
from shared.db.pool import QUEUE, Connection, Record, connect
from shared.db.publishing import PublishingStore
from shared.db.units import Done, Lease, NewUnit, UnitStore
from shared.db.workers import WorkerStore
from shared.spec.values import parse_duration
from shared.spec.version import STATE_VERSION

PROBLEM = {"code": "bad_row", "category": "source", "retryable": False, "detail": "x", "errors": []}
COLUMNS = [{"name": "k", "type": "string"}]
PLAN = Plan(files=(), format="csv", schema=(PlannedColumn("k", "int64"),), bytes=0)
WIDER = Plan(files=(), format="csv", schema=(PlannedColumn("k", "string"),), bytes=0)


def chunks(count: int) -> list[NewUnit]:
    return [NewUnit(no=no, payload=ChunkPayload(extents=()), bytes=10) for no in range(count)]


class World:
    def __init__(self, url: str) -> None:
        self.url = url
        self.pool = connect(url, name="test", settings=QUEUE)
        self.jobs = JobStore(self.pool)
        minute = timedelta(minutes=1)  # a fold is open for longer than any test reads chunks
        self.timings = Timings(grace=timedelta(), fold=minute, fold_few=minute)
        self.units = UnitStore(self.pool, self.timings, STATE_VERSION)
        self.partials = PartialStore(self.pool, self.units)
        self.fan_in = FanInStore(self.pool)
        self.publishing = PublishingStore(self.pool, self.units)
        self.workers = WorkerStore(self.pool)

    async def submit(
        self,
        key: str | None = None,
        digest: str = "d",
        name: str | None = None,
        tenant: str = "default",
        priority: int = 5,
        deadline: str | None = None,
        state_version: int = STATE_VERSION,
        max_parallel: int | None = None,
    ) -> tuple[Job, bool]:
        return await self.jobs.submit(
            tenant,
            {"options": {"deadline": deadline}},
            digest,
            idempotency_key=key,
            priority=priority,
            labels={},
            result_name=name,
            kept_versions=3,
            uploads=[],
            deadline=parse_duration(deadline) if deadline else None,
            state_version=state_version,
            max_parallel=max_parallel,
        )

    async def beat(self, worker: str = "w1", slots: int = 2) -> dict[tuple[int, int], bool]:
        heard = await self.workers.beat(
            worker, host="h", pid=1, version="0", slots=slots, able=slots, draining=False
        )
        return heard.held

    async def leased(self, worker: str = "w1", **options: Any) -> Lease:
        """The plan unit of a new job."""
        await self.beat(worker)
        job, _ = await self.submit(**options)
        return await self.claimed(worker, job_id=job.id)

    async def claimed(
        self, worker: str = "w1", *, job_id: str | None = None, after: str | None = None
    ) -> Lease:
        """The next unit of that job, or the fairest of all."""
        if job_id is None:
            lease = await self.units.claim_fairest(worker, after=after)
        else:
            lease = await self.units.claim_of_job(worker, job_id)
        assert lease is not None
        return lease

    async def planned(self, count: int, **options: Any) -> str:
        """A job that has its plan and nothing else."""
        plan = await self.leased(**options)
        await self.units.complete_plan(plan, PLAN, chunks(count))
        return plan.job_id

    async def commit(
        self, lease: Lease, write: Callable[[Connection], Awaitable[None]] | None = None
    ) -> None:
        """Commit a unit of any kind but a plan, with one state to a chunk."""

        async def write_states(tx: Connection) -> None:
            if lease.kind == "chunk":
                await self.partials.save(tx, lease, [Partial(0, 0, 1, b"state", 5)])
            if write is not None:
                await write(tx)

        if lease.kind == "publish":
            version = NewVersion(
                name=None, version=None, rows=0, digest="sha256:0", columns=COLUMNS, key_columns=1
            )
            await self.publishing.publish(lease, version, lambda _: {}, "default")
        else:
            await self.units.complete(lease, Done(rows_out=1), write_states)

    async def advance(self, job_id: str, most_bad_rows: int | None = 0) -> bool:
        return await self.fan_in.advance(job_id, COLUMNS, 2**40, most_bad_rows=most_bad_rows)

    async def finish(self, job_id: str) -> None:
        """Run what is left of a job, unit by unit, to its end."""
        while True:
            if (lease := await self.units.claim_of_job("w1", job_id)) is not None:
                await self.commit(lease)
            elif not await self.advance(job_id):
                return

    async def state(self, job_id: str) -> str:
        return await self.value("SELECT state FROM gristmill.jobs WHERE id = $1", job_id)

    async def states(self, job_id: str, kind: str = "chunk") -> list[str]:
        return [unit["state"] for unit in await self.units_of(job_id) if unit["kind"] == kind]

    async def units_of(self, job_id: str) -> list[Record]:
        async with self.pool.connection() as connection:
            return await connection.fetch(
                "SELECT * FROM gristmill.units WHERE job_id = $1 ORDER BY id", job_id
            )

    async def value(self, sql: str, *args: Any) -> Any:
        async with self.pool.connection() as connection:
            return await connection.fetchval(sql, *args)

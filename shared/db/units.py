"""The units table: the one protocol that plan, chunk, merge and publish obey (docs/reliability.md)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any, NamedTuple, Self

import msgspec

from shared.core.bad_rows import TOLD
from shared.core.fairness import SMALL_JOB_UNITS
from shared.core.fan_in import BUCKETS
from shared.core.history import Event
from shared.core.lifecycle import JobState, UnitKind
from shared.core.limits import UNLIMITED, Limits
from shared.core.look import Look
from shared.core.plan import ChunkStats, MergePayload, MergeStats, Payload, Plan, PlanPayload, payload_of
from shared.core.retry import Charge
from shared.core.row_counts import RowCounts
from shared.core.timings import BYTE_DEADLINE, Timings
from shared.db.ending import begin_ending, finish_ending
from shared.db.history import note, said
from shared.db.limits import refuse_plan
from shared.db.pool import Connection, Pool, Record
from shared.db.records import count_columns, read_row
from shared.db.statements import JOBS, PARTIALS, PLANS, QUARANTINE, UNITS, Statement
from shared.errors import DatabaseUnavailable, LeaseLost, Problem
from shared.fault_points import reached
from shared.metrics import job_ended

INSERT_BATCH = 1000
"""To encode 100,000 units at once would delay the heartbeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedUnit:
    """A unit in some worker's hands; (id, attempt, worker) is the fence.

    Enough to give it back or to fail it: a worker of another version may have written its payload.
    """

    id: int
    job_id: str
    kind: UnitKind
    no: int
    epoch: int
    attempt: int
    worker: str
    deaths: int
    crashes: int
    errors: int
    ooms: int

    @classmethod
    def of(cls, row: Record) -> Self:
        return read_row(cls, row, kind=UnitKind(row["kind"]))

    @property
    def fence(self) -> dict[str, int | str]:
        return {"unit": self.id, "attempt": self.attempt, "worker": self.worker}

    @property
    def counts(self) -> dict[Charge, int]:
        """How many leases of the unit ended before this one, by charge; all, where a charge has no count."""
        return {
            Charge.DEATH: self.deaths,
            Charge.CRASH: self.crashes,
            Charge.ERROR: self.errors,
            Charge.MEMORY: self.ooms,
            Charge.PREEMPTION: self.attempt - 1,
            Charge.NOTHING: self.attempt - 1,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease(LeasedUnit):
    """A unit in this worker's hands; it may take `allowed`, and has `bytes` of input."""

    allowed: timedelta
    bytes: int
    payload: Payload = field(repr=False)

    @property
    def alone(self) -> bool:
        """Whether its phase surely has no other unit."""
        one_merge = (
            isinstance(self.payload, MergePayload) and self.payload.end - self.payload.first == BUCKETS
        )
        return one_merge or self.kind is UnitKind.PUBLISH

    @classmethod
    def of(cls, row: Record) -> Self:
        kind = UnitKind(row["kind"])
        return read_row(cls, row, kind=kind, payload=payload_of(kind, row["payload"]))


class Expired(NamedTuple):
    """A lease that ended without its worker: the worker died, or else the deadline of the unit passed.

    *held*: its chunk was read, and the slot went on to another chunk of the fold.
    """

    lease: LeasedUnit
    worker_died: bool
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The report of a finished unit; rows_out are groups for a chunk, result rows for a merge."""

    counts: RowCounts = field(default_factory=RowCounts)
    rows_out: int = 0
    stats: MergeStats | ChunkStats | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUnit:
    no: int
    payload: Payload
    bytes: int = 0


async def insert_units(
    tx: Connection, job_id: str, kind: UnitKind, epoch: int, units: Iterable[NewUnit]
) -> int:
    """Make units of a job whose row the caller holds, in batches; how many there are."""
    left, made = iter(units), 0
    while batch := list(islice(left, INSERT_BATCH)):
        await UNITS.insert.execute(
            tx,
            job_id=job_id,
            kind=kind,
            epoch=epoch,
            numbers=[unit.no for unit in batch],
            payloads=[unit.payload for unit in batch],
            bytes=[unit.bytes for unit in batch],
        )
        made += len(batch)
    return made


class UnitStore:
    """*defaults* are the limits of a tenant that has none of its own."""

    def __init__(
        self, pool: Pool, timings: Timings, state_version: int, defaults: Limits | None = None
    ) -> None:
        self._pool, self._defaults = pool, defaults or Limits()
        self._timings = timings
        self._state_version = state_version
        self._next = {
            "state_version": state_version,
            "lease": timings.lease,
            "unit_deadline": timings.unit_deadline,
            "byte_deadline": BYTE_DEADLINE,
        }
        self._any = self._next | {"plan_deadline": timings.plan_deadline}

    async def claim_fairest(self, worker: str, *, after: str | None = None) -> Lease | None:
        """Lease the fairest of all units: of the tenant with the fewest leases, by priority, then by age.

        And not of job *after* again if there is another. None when there is nothing to do, or when this
        worker counts as dead.
        """
        async with self._pool.connection() as connection:
            row = await UNITS.claim_fairest.fetchrow(
                connection, worker=worker, after=after or "", fold=None, **self._any
            )
        return _leased(row)

    async def claim_of_job(self, worker: str, job_id: str, *, fold: int | None = None) -> Lease | None:
        """Lease the next unit of a job, while it is the job's turn; None as for `claim_fairest`.

        *fold*: the first unit of the fold that it is to join, in a slot that holds others already.
        """
        asked = {"worker": worker, "job_id": job_id, "fold": fold}
        async with self._pool.connection() as connection:
            row = await UNITS.claim_next.fetchrow(connection, **asked, **self._next)
            if row is None:
                row = await UNITS.claim_of_job.fetchrow(
                    connection, **asked, small=SMALL_JOB_UNITS, **self._any
                )
        return _leased(row)

    @asynccontextmanager
    async def fenced(self, lease: Lease, *, at_once: bool = False) -> AsyncIterator[Connection]:
        """A transaction, or *at_once* a single statement, that ends with *lease*'s unit done.

        Or it raises LeaseLost and leaves no trace. An answer that was lost is read back: done by this very
        lease is success, now or at the next try.
        """
        try:
            async with self._pool.connection() if at_once else self._pool.transaction() as tx:
                yield tx
        except (DatabaseUnavailable, LeaseLost):
            if not await self._committed(lease):
                raise
        reached("commit.after")

    async def _committed(self, lease: Lease) -> bool:
        async with self._pool.connection() as connection:
            return bool(await UNITS.completed_by.fetchval(connection, **lease.fence))

    async def mark_done(self, tx: Connection, lease: Lease, done: Done) -> None:
        """The fence: the first statement about the unit in its commit."""
        await self._fence(tx, lease, done, UNITS.complete)
        reached("commit.fenced")

    async def _fence(
        self, connection: Connection, lease: Lease, done: Done, statement: Statement, **more: Any
    ) -> None:
        reported = {**count_columns(done.counts), "rows_out": done.rows_out, "stats": done.stats}
        if await statement.fetchval(connection, **lease.fence, **reported, **more) is None:
            raise LeaseLost(f"Unit {lease.id} belongs to another attempt now")

    async def lock_wanted(self, tx: Connection, lease: Lease) -> str:
        """Hold the job's row, which must be in the lease's epoch, and running; returns its tenant.

        Or paused, since leased units may still be finished.
        """
        job = await JOBS.lock.fetchrow(tx, id=lease.job_id)
        if (
            job is None
            or job["state"] not in {JobState.RUNNING, JobState.PAUSED}
            or job["epoch"] != lease.epoch
        ):
            raise LeaseLost(f"Job {lease.job_id} no longer wants this {lease.kind}")
        return str(job["tenant"])

    async def complete(
        self,
        lease: Lease,
        done: Done,
        write: Callable[[Connection], Awaitable[None]],
        earlier: Sequence[tuple[Lease, Done]] = (),
    ) -> None:
        """Commit the unit, the *earlier* units of its fold and the writes of *write* in one transaction.

        The fences go by the ids of the units, as `lock_chunks` does: no two transactions wait in a circle.
        """
        async with self.fenced(lease) as tx:
            for one, report in sorted([*earlier, (lease, done)], key=lambda unit: unit[0].id):
                await self.mark_done(tx, one, report)
            await write(tx)

    async def complete_at_once(
        self, lease: Lease, done: Done, statement: Statement = UNITS.complete, **more: Any
    ) -> None:
        """Commit the unit in one statement, which writes *more* if the fence holds."""
        async with self.fenced(lease, at_once=True) as connection:
            await self._fence(connection, lease, done, statement, **more)

    async def told_before(self, lease: Lease) -> bool:
        """Whether the finished chunks before *lease*'s have all the bad rows that an error would show."""
        async with self._pool.connection() as connection:
            asked = {"job_id": lease.job_id, "no": lease.no, "most": TOLD}
            return bool(await UNITS.told_before.fetchval(connection, **asked))

    async def complete_plan(self, lease: Lease, plan: Plan, chunks: Iterable[NewUnit]) -> None:
        """The plan's commit: the plan is stored and its chunks are made, under the job's lock.

        Raises ScanLimitExceeded if its tenant may not scan so many bytes today.
        """
        async with self.fenced(lease) as tx:
            tenant = await self.lock_wanted(tx, lease)
            await self.mark_done(tx, lease, Done())
            made = await insert_units(tx, lease.job_id, UnitKind.CHUNK, lease.epoch, chunks)
            reached("plan.mid_insert")
            found = said(files=len(plan.files), bytes=plan.bytes, chunks=made)
            stored = await JOBS.set_planned.fetchval(
                tx,
                id=lease.job_id,
                plan=plan,
                said=found,
                bytes=plan.bytes,
                scan_bytes=self._defaults.scan_bytes_per_day,
                unlimited=UNLIMITED,
            )
            if stored is None:
                await refuse_plan(tx, tenant, plan.bytes, self._defaults)
            await PLANS.delete.execute(tx, job_id=lease.job_id)
            reached("plan.before_commit")

    async def complete_look(
        self, lease: Lease, plan: Plan, chunks: Sequence[msgspec.Raw] | None, look: Look
    ) -> None:
        """The commit of a dry run: the plan and the findings are stored, and the job ends."""
        ended = None
        async with self.fenced(lease) as tx:
            await self.lock_wanted(tx, lease)
            await self.mark_done(tx, lease, Done())
            await PLANS.insert.execute(
                tx,
                job_id=lease.job_id,
                state_version=self._state_version,
                plan=plan,
                chunks=chunks,
                look=look,
            )
            ended = await PLANS.set_looked.fetchrow(tx, id=lease.job_id)
        if ended is not None:
            job_ended(*ended)

    @asynccontextmanager
    async def _beginning_anew(self, lease: Lease, event: Event) -> AsyncIterator[Connection]:
        """A transaction, under the job's lock, in which a good *lease* changes the job and its units.

        It waits for the commits under way, which hold their own units. The partials and the bad rows go last,
        since the deletes must see the writes of these commits.
        """
        async with self._pool.transaction() as tx:
            await self.lock_wanted(tx, lease)
            if not await UNITS.held_by.fetchval(tx, **lease.fence):
                raise LeaseLost(f"Unit {lease.id} belongs to another attempt now")
            await UNITS.lock_chunks.execute(tx, job_id=lease.job_id)
            yield tx
            about = said(kind=lease.kind, no=lease.no, attempt=lease.attempt, worker=lease.worker)
            await note(tx, lease.job_id, event, **about)
            await PARTIALS.delete.execute(tx, job_id=lease.job_id)
            await QUARANTINE.delete.execute(tx, job_id=lease.job_id)

    async def widen(self, lease: Lease, plan: Plan) -> None:
        """Raise the job's epoch: store the wider plan and return every chunk to pending.

        Raises LeaseLost if another unit has raised it already.
        """
        async with self._beginning_anew(lease, Event.WIDENED) as tx:
            await JOBS.set_widened.execute(tx, id=lease.job_id, plan=plan)
            reached("widen.mid")
            await UNITS.reset_chunks.execute(tx, job_id=lease.job_id, epoch=lease.epoch + 1)
            await UNITS.rebase.execute(tx, job_id=lease.job_id, epoch=lease.epoch + 1)

    async def plan_again(self, lease: Lease, payload: PlanPayload) -> None:
        """Raise the job's epoch and begin it anew with a plan unit of *payload*: its plan proved wrong.

        Raises LeaseLost if another unit has raised it already.
        """
        async with self._beginning_anew(lease, Event.PLANNED_AGAIN) as tx:
            await JOBS.set_planning.execute(tx, id=lease.job_id)
            reached("plan_again.mid")
            await UNITS.forget_chunks.execute(tx, job_id=lease.job_id)
            await UNITS.reset_plan.execute(tx, job_id=lease.job_id, epoch=lease.epoch + 1, payload=payload)

    async def give_back(
        self,
        lease: LeasedUnit,
        charge: Charge,
        *,
        delay: timedelta = timedelta(),
        problem: Problem | None = None,
    ) -> bool:
        """Return a leased unit to pending, charged to the cause that ended the lease.

        Does nothing, and returns False, if the lease is lost.
        """
        async with self._pool.transaction() as tx:
            await JOBS.lock.fetchrow(tx, id=lease.job_id)
            held = await UNITS.held_by.fetchval(tx, **lease.fence)
            await UNITS.give_back.execute(tx, **lease.fence, delay=delay, error=problem, charge=charge)
            reached("give_back.before_commit")
        await finish_ending(self._pool, lease.job_id)
        return bool(held)

    async def give_back_stray(self, unit: int, attempt: int, worker: str) -> None:
        """Return a lease that its worker never heard of: the answer to the claim was lost."""
        fence = {"unit": unit, "attempt": attempt, "worker": worker}
        async with self._pool.transaction() as tx:
            job_id = await JOBS.lock_of_unit.fetchval(tx, unit=unit)
            await UNITS.give_back.execute(tx, **fence, delay=timedelta(), error=None, charge=Charge.NOTHING)
        if job_id is not None:
            await finish_ending(self._pool, job_id)

    async def fail(self, lease: LeasedUnit, problem: Problem) -> None:
        """The unit and its job fail; does nothing if the lease is lost."""
        async with self._pool.transaction() as tx:
            await JOBS.lock.fetchrow(tx, id=lease.job_id)
            if await UNITS.fail.fetchval(tx, **lease.fence, error=problem) is not None:
                await begin_ending(tx, lease.job_id, error=problem)
        await finish_ending(self._pool, lease.job_id)

    async def due(self, queued: int = 0) -> list[tuple[int, int]]:
        """Units to ring for, as (id, number of the ring), now marked as rung.

        *queued* messages wait in Redis.
        """
        timings = self._timings
        async with self._pool.connection() as connection:
            rows = await UNITS.due.fetch(
                connection,
                queued=queued,
                state_version=self._state_version,
                lease=timings.lease,
                dispatch=timings.dispatch,
                ring_again=timings.ring_again,
                ring_limit=timings.ring_limit,
            )
        return [(row["id"], row["rings"]) for row in rows]

    async def expired(self) -> list[Expired]:
        """Leases whose worker is gone or whose deadline passed; of a fold, the one at work last."""
        timings = self._timings
        async with self._pool.connection() as connection:
            rows = await UNITS.expired.fetch(connection, lease=timings.lease, grace=timings.grace)
        return [Expired(LeasedUnit.of(row), row["worker_died"], row["held"]) for row in rows]


def _leased(row: Record | None) -> Lease | None:
    if row is None:
        return None
    reached("claim.after_commit")
    return Lease.of(row)

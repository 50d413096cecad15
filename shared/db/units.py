"""The units table: the one protocol that plan, chunk, merge and publish obey (docs/reliability.md)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any, Self

from shared.core.lifecycle import UnitKind
from shared.core.plan import MergeStats, Payload, Plan, PlanPayload, payload_of
from shared.core.retry import Charge
from shared.core.row_counts import RowCounts
from shared.core.timings import Timings
from shared.db.jobs import PARTIALS, end, finish_ending
from shared.db.jobs import SQL as JOBS
from shared.db.jobs import UNITS as SQL
from shared.db.pool import Connection, Pool, Record
from shared.db.records import count_columns, read_row
from shared.errors import DatabaseUnavailable, LeaseLost, Problem
from shared.fault_points import reached

INSERT_BATCH = 1000


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
    def fence(self) -> tuple[int, int, str]:
        return self.id, self.attempt, self.worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease(LeasedUnit):
    """A unit in this worker's hands; `allowed` is the time that it may take."""

    allowed: timedelta
    payload: Payload = field(repr=False)

    @classmethod
    def of(cls, row: Record) -> Self:
        kind = UnitKind(row["kind"])
        return read_row(cls, row, kind=kind, payload=payload_of(kind, row["payload"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a finished unit reports; rows_out are groups for a chunk, result rows for a merge."""

    counts: RowCounts = field(default_factory=RowCounts)
    rows_out: int = 0
    stats: MergeStats | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUnit:
    no: int
    payload: Payload
    bytes: int = 0


class UnitStore:
    def __init__(self, pool: Pool, timings: Timings, state_version: int) -> None:
        self._pool = pool
        self._timings = timings
        self._state_version = state_version

    async def claim(
        self, worker: str, *, unit_id: int | None = None, job_id: str | None = None, after: str | None = None
    ) -> Lease | None:
        """Lease that unit; or the next one of that job, while it is this job's turn.

        Or, with neither, the fairest of all units.

        The fairest: tenants with the fewest leases first, then priority, then age; and not of job *after*
        again if there is another. None when there is nothing to do or this worker counts as dead.
        """
        known = worker, [self._state_version], self._timings.unit_deadline, self._timings.lease
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(SQL.claim_next, *known, job_id) if job_id else None
            row = row or await connection.fetchrow(SQL.claim, *known, unit_id, job_id, after)
        if row is None:
            return None
        reached("claim.after_commit")
        return Lease.of(row)

    @asynccontextmanager
    async def fenced(self, lease: Lease, *, at_once: bool = False) -> AsyncIterator[Connection]:
        """A transaction, or *at_once* a single statement, that ends with *lease*'s unit done, or raises LeaseLost and leaves no trace.

        An answer that was lost is read back: done by this very lease is success, now or at the next try.
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
            return bool(await connection.fetchval(SQL.completed_by, *lease.fence))

    async def finish(self, tx: Connection, lease: Lease, done: Done) -> None:
        """The fence: the first statement about the unit in its commit."""
        await self._fence(tx, lease, done, SQL.complete)
        reached("commit.fenced")

    async def _fence(self, connection: Connection, lease: Lease, done: Done, sql: str, *more: Any) -> None:
        counts = count_columns(done.counts).values()
        if await connection.fetchval(sql, *lease.fence, *counts, done.rows_out, done.stats, *more) is None:
            raise LeaseLost(f"Unit {lease.id} belongs to another attempt now")

    async def lock_wanted(self, tx: Connection, lease: Lease) -> None:
        """Hold the job's row, which must be in the lease's epoch, and running.

        Or paused, since what is leased may still be finished.
        """
        job = await tx.fetchrow(JOBS.lock, lease.job_id)
        if job is None or job["state"] not in {"running", "paused"} or job["epoch"] != lease.epoch:
            raise LeaseLost(f"Job {lease.job_id} no longer wants this {lease.kind}")

    async def complete(
        self, lease: Lease, done: Done, write: Callable[[Connection], Awaitable[None]]
    ) -> None:
        """Commit the unit and what *write* writes in one transaction."""
        async with self.fenced(lease) as tx:
            await self.finish(tx, lease, done)
            await write(tx)

    async def complete_at_once(self, lease: Lease, done: Done, sql: str = SQL.complete, *more: Any) -> None:
        """Commit the unit in one statement: *sql* is `complete`, or contains it and writes *more* if the fence holds."""
        async with self.fenced(lease, at_once=True) as connection:
            await self._fence(connection, lease, done, sql, *more)

    async def complete_plan(self, lease: Lease, plan: Plan, chunks: Iterable[NewUnit]) -> None:
        """The plan's commit: the plan is stored and its chunks are made, under the job's lock."""
        async with self.fenced(lease) as tx:
            await self.lock_wanted(tx, lease)
            await self.finish(tx, lease, Done())
            await self.insert(tx, lease.job_id, UnitKind.CHUNK, lease.epoch, chunks)
            reached("plan.mid_insert")
            await tx.execute(JOBS.set_planned, lease.job_id, plan)
            reached("plan.before_commit")

    @asynccontextmanager
    async def _beginning_anew(self, lease: Lease) -> AsyncIterator[Connection]:
        """A transaction, under the job's lock, in which *lease*, if it is still good, changes the job and its units; the partials go last.

        First the units: a commit under way holds its own, and the partial that it writes has to be seen by
        the delete.
        """
        async with self._pool.transaction() as tx:
            await self.lock_wanted(tx, lease)
            if not await tx.fetchval(SQL.held_by, *lease.fence):
                raise LeaseLost(f"Unit {lease.id} belongs to another attempt now")
            yield tx
            await tx.execute(PARTIALS.delete, lease.job_id)

    async def widen(self, lease: Lease, plan: Plan) -> None:
        """Raise the job's epoch: store the wider plan and return every chunk to pending, unless somebody else did already."""
        async with self._beginning_anew(lease) as tx:
            await tx.execute(JOBS.set_widened, lease.job_id, plan)
            reached("widen.mid")
            await tx.execute(SQL.reset_chunks, lease.job_id, lease.epoch + 1)
            await tx.execute(SQL.rebase, lease.job_id, lease.epoch + 1)

    async def plan_again(self, lease: Lease, payload: PlanPayload) -> None:
        """Raise the job's epoch and begin it anew with a plan unit of *payload*, unless somebody else did already: a chunk found its plan wrong."""
        async with self._beginning_anew(lease) as tx:
            await tx.execute(JOBS.set_planning, lease.job_id)
            reached("plan_again.mid")
            await tx.execute(SQL.forget_chunks, lease.job_id)
            await tx.execute(SQL.reset_plan, lease.job_id, lease.epoch + 1, payload)

    async def insert(
        self, tx: Connection, job_id: str, kind: UnitKind, epoch: int, units: Iterable[NewUnit]
    ) -> None:
        """The caller holds the job's row.

        In batches: to encode 100,000 units at once would delay the heartbeat.
        """
        left = iter(units)
        while batch := list(islice(left, INSERT_BATCH)):
            columns = [u.no for u in batch], [u.payload for u in batch], [u.bytes for u in batch]
            await tx.execute(SQL.insert, job_id, kind, epoch, *columns)

    async def give_back(
        self,
        lease: LeasedUnit,
        charge: Charge,
        *,
        delay: timedelta = timedelta(),
        problem: Problem | None = None,
    ) -> None:
        """Return a leased unit to pending, charged to what ended the lease.

        Does nothing if the lease is lost.
        """
        async with self._pool.transaction() as tx:
            await tx.fetchrow(JOBS.lock, lease.job_id)
            await tx.execute(SQL.give_back, *lease.fence, delay, problem, charge)
            reached("give_back.before_commit")
        await finish_ending(self._pool, lease.job_id)

    async def give_back_stray(self, unit: int, attempt: int, worker: str) -> None:
        """Return a lease that its worker never heard of: the answer to the claim was lost."""
        async with self._pool.transaction() as tx:
            job_id = await tx.fetchval(JOBS.lock_of_unit, unit)
            await tx.execute(SQL.give_back, unit, attempt, worker, timedelta(), None, Charge.NOTHING)
        if job_id is not None:
            await finish_ending(self._pool, job_id)

    async def fail(self, lease: LeasedUnit, problem: Problem) -> None:
        """The unit and its job fail; does nothing if the lease is lost."""
        async with self._pool.transaction() as tx:
            await tx.fetchrow(JOBS.lock, lease.job_id)
            if await tx.fetchval(SQL.fail, *lease.fence, problem) is not None:
                await end(tx, lease.job_id, error=problem)
        await finish_ending(self._pool, lease.job_id)

    async def due(self, queued: int = 0) -> list[tuple[int, int]]:
        """Units to ring for, as (id, number of the ring), now marked as rung.

        *queued* messages wait in Redis.
        """
        timings = self._timings
        periods = timings.ring_again, timings.ring_limit, timings.lease
        async with self._pool.connection() as connection:
            rows = await connection.fetch(SQL.due, *periods, [self._state_version], queued, timings.dispatch)
        return [(row["id"], row["rings"]) for row in rows]

    async def expired(self) -> list[tuple[LeasedUnit, bool]]:
        """Leases whose worker is gone (True) or whose deadline passed (False)."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(SQL.expired, self._timings.lease, self._timings.grace)
        return [(LeasedUnit.of(row), row["worker_died"]) for row in rows]

    async def of_job(self, job_id: str) -> list[Record]:
        async with self._pool.connection() as connection:
            return await connection.fetch(SQL.of_job, job_id)

"""The jobs table: submit, read, list, cancel, and the steps of a job's life that touch only its own row."""

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from shared.db.pool import Connection, Pool, Record
from shared.db.result_tables import drop_table
from shared.db.statements import Statements
from shared.errors import AlreadyDone, DatabaseUnavailable, IdempotencyKeyReused, Problem
from shared.ids import new_id

SQL = Statements("jobs")
UNITS = Statements("units")
PARTIALS = Statements("partials")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of gristmill.jobs; `spec` and `plan` are None in a list."""

    id: str
    tenant: str
    state: str
    phase: str
    revision: int
    spec: dict[str, Any] | None
    spec_digest: str
    labels: dict[str, str]
    result_name: str | None
    version: int | None
    plan: dict[str, Any] | None
    error: Problem | None
    result: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    planned_at: datetime | None
    scanned_at: datetime | None
    merged_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Record) -> Self:
        return cls(**{name: row[name] for name in cls.__slots__})

    @property
    def done(self) -> bool:
        return self.finished_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Counts over a job's units; bytes are of input."""

    chunks_total: int = 0
    chunks_done: int = 0
    chunks_leased: int = 0
    chunks_failed: int = 0
    merges_total: int = 0
    merges_done: int = 0
    rows_read: int = 0
    rows_dropped: int = 0
    bytes_total: int = 0
    bytes_done: int = 0

    @classmethod
    def of(cls, row: Record) -> Self:
        return cls(**{name: row[name] for name in cls.__slots__})


class JobStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def submit(
        self,
        tenant: str,
        spec: dict[str, Any],
        digest: str,
        *,
        idempotency_key: str | None,
        priority: int,
        labels: dict[str, str],
        result_name: str | None,
        state_version: int,
    ) -> tuple[Job, bool]:
        """Commit a job with its plan unit; the flag says that the key was known and the job is the one it made."""
        if idempotency_key is not None and (known := await self._replayed(tenant, idempotency_key, digest)):
            return known, True
        async with self._pool.transaction() as tx:
            version = await tx.fetchval(SQL.next_version, tenant, result_name) if result_name else None
            row = await tx.fetchrow(
                SQL.insert, new_id("job"), tenant, spec, digest, idempotency_key, priority, labels, result_name, version
            )
            if row is not None:
                await tx.execute(SQL.insert_plan_unit, row["id"], state_version)
                return Job.of(row), False
        assert idempotency_key is not None
        known = await self._replayed(tenant, idempotency_key, digest)
        assert known is not None
        return known, True

    async def _replayed(self, tenant: str, idempotency_key: str, digest: str) -> Job | None:
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(SQL.by_idempotency_key, tenant, idempotency_key)
        if row is not None and row["spec_digest"] != digest:
            raise IdempotencyKeyReused("This Idempotency-Key was used with another spec; use a new key for a new job")
        return Job.of(row) if row else None

    async def get(self, tenant: str, job_id: str) -> Job | None:
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(SQL.get, tenant, job_id)
        return Job.of(row) if row else None

    async def newest(
        self, tenant: str, *, state: str | None = None, labels: dict[str, str] | None = None, after: str | None = None, limit: int = 100
    ) -> list[Job]:
        """Newest first, older than the job id *after*, without specs and plans."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(SQL.newest, tenant, state, labels, after, limit)
        return [Job.of(row) for row in rows]

    async def progress(self, job_ids: list[str]) -> dict[str, Progress]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(SQL.progress, job_ids)
        return {row["job_id"]: Progress.of(row) for row in rows}

    async def cancel(self, tenant: str, job_id: str) -> Job | None:
        """Stop wanting a job: its pending units end now, the leased ones as soon as their workers hear of it."""
        async with self._pool.transaction() as tx:
            job = await tx.fetchrow(SQL.lock_of_tenant, tenant, job_id)
            if job is None:
                return None
            if job["state"] in {"succeeded", "failed"}:
                raise AlreadyDone(f"Job {job_id} has already {job['state']}; it cannot be cancelled")
            await end(tx, job_id, error=None)
        with contextlib.suppress(DatabaseUnavailable):  # a big job's end takes its time; the sweeper makes it
            await self.finish_ending(job_id)
        return await self.get(tenant, job_id)

    async def fail(self, job_id: str, error: Problem) -> None:
        """Fail a job for a cause that belongs to none of its units."""
        async with self._pool.transaction() as tx:
            await tx.fetchrow(SQL.lock, job_id)
            await end(tx, job_id, error=error)
        await self.finish_ending(job_id)

    async def stalled(self) -> list[str]:
        async with self._pool.connection() as connection:
            return [row["id"] for row in await connection.fetch(SQL.stalled)]

    async def finish_ending(self, job_id: str) -> bool:
        return await finish_ending(self._pool, job_id)


async def end(tx: Connection, job_id: str, *, error: Problem | None) -> None:
    """Begin the end of a live job whose row *tx* has locked: cancelled, or failed with *error*; its pending units are cancelled."""
    await tx.execute(SQL.set_ending, job_id, error)
    await tx.execute(UNITS.cancel_pending, job_id)


async def finish_ending(pool: Pool, job_id: str) -> bool:
    """Make an ending job terminal once none of its units is pending or leased, and remove what it made."""
    async with pool.transaction() as tx:
        await tx.fetchrow(SQL.lock, job_id)
        if await tx.fetchval(SQL.finish_ending, job_id) is None:
            return False
        await tx.execute(PARTIALS.delete, job_id)
        await tx.execute(drop_table(job_id))
        return True

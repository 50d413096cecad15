"""The jobs table: submit, read and list jobs, and change their states."""

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec

from shared.core.entities import Document, Job, JobRow, Progress
from shared.core.fan_in import STATE_MERGE_BYTES, STATE_SCAN_BYTES
from shared.core.lifecycle import JOB as LIFECYCLE
from shared.core.lifecycle import JobState, Phase, sources
from shared.core.plan import Plan
from shared.db.ending import begin_ending, finish_ending
from shared.db.pool import LIST_BYTES, Connection, Pool, Record
from shared.db.records import read_counts, read_row
from shared.db.statements import JOBS, QUARANTINE, UNITS
from shared.errors import (
    AlreadyDone,
    DatabaseUnavailable,
    DeadlineExceeded,
    IdempotencyKeyReused,
    InvalidState,
    Problem,
    RetryExpired,
)
from shared.fault_points import reached
from shared.ids import new_id

CHANGE_SECONDS = 60.0
"""The longest that a change may take that touches each unit of a job, once the job's row is locked.

100,000 units take some seconds.
"""


class JobStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def submit(
        self,
        tenant: str,
        spec: Document,
        digest: str,
        *,
        idempotency_key: str | None,
        priority: int,
        labels: dict[str, str],
        result_name: str | None,
        kept_versions: int,
        uploads: Sequence[str],
        deadline: timedelta | None,
        state_version: int,
        earlier_digests: Collection[str] = (),
    ) -> tuple[Job, bool]:
        """Commit a job with its plan unit.

        *kept_versions*, *uploads* (their ids) and *deadline* are those that the spec names: SQL does not read
        the spec. The flag says that the key was known, and the job is the one that it made.
        """
        digests = {digest, *earlier_digests}
        if idempotency_key is not None and (known := await self.replayed(tenant, idempotency_key, digests)):
            return known, True
        async with self._pool.transaction() as tx:
            version = (
                await JOBS.next_version.fetchval(tx, tenant=tenant, name=result_name) if result_name else None
            )
            row = await JOBS.insert.fetchrow(
                tx,
                id=new_id("job"),
                tenant=tenant,
                spec=spec,
                spec_digest=digest,
                idempotency_key=idempotency_key,
                priority=priority,
                labels=labels,
                result_name=result_name,
                version=version,
                kept_versions=kept_versions,
                uploads=uploads,
                deadline=deadline,
            )
            if row is not None:
                await UNITS.insert_plan.execute(tx, job_id=row["id"], state_version=state_version)
                reached("submit.before_commit")
        if row is not None:
            reached("submit.after_commit")
            return _job(row), False
        assert idempotency_key is not None
        known = await self.replayed(tenant, idempotency_key, digests)
        assert known is not None
        return known, True

    async def replayed(self, tenant: str, idempotency_key: str, digests: Collection[str]) -> Job | None:
        """The job that the key has made before.

        Raises IdempotencyKeyReused if the digest of its spec is not one of *digests*.
        """
        async with self._pool.connection() as connection:
            row = await JOBS.by_idempotency_key.fetchrow(
                connection, tenant=tenant, idempotency_key=idempotency_key
            )
        if row is not None and row["spec_digest"] not in digests:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used with another spec; use a new key for a new job"
            )
        return _job(row) if row else None

    async def get(self, tenant: str, job_id: str) -> Job | None:
        async with self._pool.connection() as connection:
            row = await JOBS.get.fetchrow(connection, tenant=tenant, id=job_id)
        return _job(row) if row else None

    async def standing(self, job_ids: list[str]) -> dict[str, tuple[str, str]]:
        """The state and the phase of each of the jobs that there are."""
        async with self._pool.connection() as connection:
            rows = await JOBS.standing.fetch(connection, ids=job_ids)
        return {row["id"]: (row["state"], row["phase"]) for row in rows}

    async def newest(
        self,
        tenant: str,
        *,
        state: str | None = None,
        labels: dict[str, str] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> tuple[list[Job], bool]:
        """Newest first, older than the job id *after*, without specs and plans, about LIST_BYTES of them.

        And whether others follow.
        """
        async with self._pool.connection() as connection:
            rows = await JOBS.newest.fetch(
                connection,
                tenant=tenant,
                state=state,
                labels=labels,
                after=after,
                most=limit,
                bytes=LIST_BYTES,
            )
        return [_job(row) for row in rows], bool(rows) and rows[-1]["further"]

    async def progress(self, job_ids: list[str]) -> dict[str, Progress]:
        async with self._pool.connection() as connection:
            rows = await UNITS.progress.fetch(
                connection, job_ids=job_ids, scan_bytes=STATE_SCAN_BYTES, merge_bytes=STATE_MERGE_BYTES
            )
        return {row["job_id"]: read_row(Progress, row, rows=read_counts(row)) for row in rows}

    async def work(self, job_id: str) -> JobRow:
        """The part of a job that its units need."""
        async with self._pool.connection() as connection:
            row = await JOBS.work.fetchrow(connection, id=job_id)
        assert row is not None
        return read_row(JobRow, row, **_standing(row), plan=_plan(row))

    async def cancel(self, tenant: str, job_id: str) -> Job | None:
        """Want a job no more.

        Its pending units end now, the leased ones as soon as their workers hear of it.
        """
        async with self._changing(
            tenant, job_id, "cancel", "cancelled", since={JobState.CANCELLING, JobState.CANCELLED}
        ) as (tx, job):
            if job is not None:
                await begin_ending(tx, job_id, error=None)
                reached("cancel.ending")
        with contextlib.suppress(DatabaseUnavailable):  # a big job's end takes its time; the sweeper makes it
            await self.finish_ending(job_id)
        return await self.get(tenant, job_id)

    async def pause(self, tenant: str, job_id: str) -> Job | None:
        """Hand out none of a job's units; those that are leased finish and commit."""
        async with self._changing(tenant, job_id, "pause", "paused", since={JobState.PAUSED}) as (tx, job):
            if job is not None:
                await JOBS.pause.execute(tx, id=job_id)
        return await self.get(tenant, job_id)

    async def resume(self, tenant: str, job_id: str) -> Job | None:
        """Hand out the units of a paused job again."""
        async with self._changing(
            tenant, job_id, "resume", "resumed", since={JobState.QUEUED, JobState.RUNNING}
        ) as (
            tx,
            job,
        ):
            if job is not None:
                await JOBS.resume.execute(tx, id=job_id)
        return await self.get(tenant, job_id)

    async def retry(self, tenant: str, job_id: str) -> Job | None:
        """Try the failed and cancelled units again with fresh counts, and the merge from its start.

        Finished chunks stay finished: no row is written twice.
        """
        async with self._changing(tenant, job_id, "retry", "tried again", since=set()) as (tx, job):
            if job is not None:
                await _check_retry(tx, job)
                await JOBS.retry.execute(tx, id=job_id)
                await UNITS.forget_merging.execute(tx, job_id=job_id)
                await UNITS.retry.execute(tx, job_id=job_id, epoch=job["epoch"] + 1)
                await UNITS.rebase.execute(tx, job_id=job_id, epoch=job["epoch"] + 1)
                await QUARANTINE.rebase.execute(tx, job_id=job_id, epoch=job["epoch"] + 1)
                reached("retry.before_commit")
        return await self.get(tenant, job_id)

    @asynccontextmanager
    async def _changing(
        self, tenant: str, job_id: str, event: str, asked: str, *, since: set[str]
    ) -> AsyncIterator[tuple[Connection, Record | None]]:
        """Lend the locked row of a job to which *event* can happen.

        None if there is no such job, or its state is among *since* already.
        """
        async with self._pool.transaction() as tx:
            job = await JOBS.lock_of_tenant.fetchrow(tx, tenant=tenant, id=job_id)
            if job is None or job["state"] in since:
                yield tx, None
            elif job["state"] in sources(LIFECYCLE, event):
                await self._pool.extend(tx, CHANGE_SECONDS)
                yield tx, job
            elif job["state"] in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}:
                been = "been " if job["state"] == JobState.CANCELLED else ""
                raise AlreadyDone(f"Job {job_id} has already {been}{job['state']}; it cannot be {asked}")
            else:
                raise InvalidState(f"Job {job_id} is {job['state']}; it cannot be {asked} now")

    async def fail(self, job_id: str, error: Problem) -> None:
        """Fail a job for a cause that belongs to none of its units."""
        async with self._pool.transaction() as tx:
            await JOBS.lock.fetchrow(tx, id=job_id)
            await begin_ending(tx, job_id, error=error)
        await self.finish_ending(job_id)

    async def fail_overdue(self) -> None:
        """Fail the live jobs whose deadline has passed.

        A job that another session holds is left to the next pass.
        """
        async with self._pool.connection() as connection:
            found = [row["id"] for row in await JOBS.overdue.fetch(connection)]
        for job_id in found:
            async with self._pool.transaction() as tx:
                if (row := await JOBS.lock_overdue.fetchrow(tx, id=job_id)) is None:
                    continue
                await begin_ending(tx, job_id, error=_overdue(row).problem())
            await self.finish_ending(job_id)

    async def stalled(self) -> list[str]:
        """Jobs without work whose fan-in or end was lost between two transactions."""
        async with self._pool.connection() as connection:
            return [row["id"] for row in await JOBS.stalled.fetch(connection)]

    async def finish_ending(self, job_id: str) -> bool:
        return await finish_ending(self._pool, job_id)


def _overdue(row: Record) -> DeadlineExceeded:
    asked = row["spec"]["options"]["deadline"]
    return DeadlineExceeded(
        f"The job did not end within its options.deadline of {asked}, "
        f"by {row['deadline_at']:%Y-%m-%dT%H:%M:%SZ}"
    )


async def _check_retry(tx: Connection, job: Record) -> None:
    """By the stored job: a gateway may not see the source."""
    if job["error"] is not None and job["error"]["code"] == "source_changed":
        raise RetryExpired("A file of the source is not the one that was planned; submit the job again")
    if job["phase"] != Phase.PLANNING and await UNITS.pruned.fetchval(tx, job_id=job["id"]):
        raise RetryExpired(
            "The finished chunks of the job were kept for a day and are gone; submit the job again"
        )


def _job(row: Record) -> Job:
    return read_row(Job, row, **_standing(row), plan=_plan(row))


def _standing(row: Record) -> dict[str, JobState | Phase]:
    return {"state": JobState(row["state"]), "phase": Phase(row["phase"])}


def _plan(row: Record) -> Plan | None:
    return msgspec.convert(row["plan"], Plan | None)

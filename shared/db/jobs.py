"""The jobs table: submit, read and list jobs, and change their states."""

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from shared.core.entities import Document, Job, JobRow, Progress
from shared.core.fan_in import STATE_MERGE_BYTES, STATE_SCAN_BYTES
from shared.core.history import Event
from shared.core.job_filter import JobFilter
from shared.core.lifecycle import JOB as LIFECYCLE
from shared.core.lifecycle import JobState, Phase, UnitKind, UnitState, sources
from shared.core.limits import Limits
from shared.core.look import JobKind
from shared.core.plan import Plan, PlanPayload
from shared.core.workers import FailedAttempt, UnitRow
from shared.db.ending import begin_ending, finish_ending
from shared.db.history import note, said
from shared.db.limits import Writing, admit, of_tenant, overfull
from shared.db.plans import copy_plan
from shared.db.pool import LIST_BYTES, Connection, Pool, Record
from shared.db.records import read_counts, read_page, read_row
from shared.db.statements import JOBS, QUARANTINE, UNITS
from shared.errors import (
    AlreadyDone,
    DatabaseUnavailable,
    DeadlineExceeded,
    IdempotencyKeyReused,
    InvalidState,
    NotFound,
    Problem,
    RetryExpired,
)
from shared.fault_points import reached
from shared.ids import new_id
from shared.metrics import JOBS_SUBMITTED
from shared.spec.values import parse_duration

CHANGE_SECONDS = 60.0
"""The longest that a change may take that touches each unit of a job, once the job's row is locked.

100,000 units take some seconds.
"""


class _KeyIsKnownError(Exception):
    """The idempotency key has made a job before; rolls back, so that no version number is lost."""


class Look(NamedTuple):
    revision: int
    progress: Progress


class JobStore:
    """*defaults* are the limits of a tenant that has none of its own."""

    def __init__(self, pool: Pool, defaults: Limits | None = None) -> None:
        self._pool, self._defaults = pool, defaults or Limits()

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
        sources: Sequence[str] = (),
        expires: timedelta | None = None,
        max_parallel: int | None = None,
        earlier_digests: Collection[str] = (),
        actor: str | None = None,
        kind: JobKind = "job",
        from_plan: str | None = None,
        traceparent: str | None = None,
    ) -> tuple[Job, bool]:
        """Commit a job with its plan unit, submitted by *actor*.

        Of *kind* `plan` or `look` it is a dry run. A job *from_plan* begins with the plan of a dry run: it
        raises PlanExpired if there is none of this *state_version*. Raises TooManyJobs, ScanLimitExceeded and
        StorageLimitExceeded for a tenant that has reached its limit.

        *kept_versions*, *uploads* (their ids), *deadline*, *sources* (URIs), *expires* and *max_parallel*
        (chunks) are those that the spec names: SQL does not read the spec. The flag says that the key was
        known, and the job is the one that it made.
        """
        try:
            async with self._pool.transaction() as tx:
                row = await _insert(
                    tx,
                    id=new_id("job" if kind == "job" else "plan"),
                    tenant=tenant,
                    kind=kind,
                    spec=spec,
                    spec_digest=digest,
                    idempotency_key=idempotency_key,
                    priority=priority,
                    labels=labels,
                    result_name=result_name,
                    kept_versions=kept_versions,
                    uploads=uploads,
                    sources="\n".join(sources),
                    expires=expires,
                    max_parallel=max_parallel,
                    deadline=deadline,
                    from_plan=from_plan,
                    traceparent=traceparent,
                    state_version=state_version,
                    payload=PlanPayload(look=kind != "job", stored=from_plan is not None),
                    said=said(actor=actor),
                )
                if from_plan is not None:
                    await copy_plan(tx, tenant, from_plan, row["id"], state_version)
                waits = await admit(
                    tx, tenant, row["id"], self._defaults.overridden(row["limits"]), dry=kind != "job"
                )
                reached("submit.before_commit")
        except _KeyIsKnownError:
            assert idempotency_key is not None
            known = await self.replayed(tenant, idempotency_key, {digest, *earlier_digests})
            assert known is not None
            return known, True
        reached("submit.after_commit")
        JOBS_SUBMITTED.labels(kind).inc()
        return replace(_job(row), waits=waits), False

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

    async def by_key(self, tenant: str, idempotency_key: str) -> Job | None:
        """The job or dry run that the key has made."""
        async with self._pool.connection() as connection:
            row = await JOBS.by_idempotency_key.fetchrow(
                connection, tenant=tenant, idempotency_key=idempotency_key
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

    async def look(self, job_ids: list[str]) -> dict[str, Look]:
        """The revision of each of the jobs that there are, and the counts over its units, of one snapshot."""
        async with self._pool.connection() as connection:
            rows = await UNITS.look.fetch(
                connection, job_ids=job_ids, scan_bytes=STATE_SCAN_BYTES, merge_bytes=STATE_MERGE_BYTES
            )
        return {row["job_id"]: Look(row["revision"], _progress(row)) for row in rows}

    async def units(
        self, job_id: str, kinds: Sequence[UnitKind], *, state: UnitState | None, after: int, limit: int
    ) -> tuple[list[UnitRow], bool]:
        """Units by *kinds* in their order, then by number; of the first kind those behind *after*.

        About LIST_BYTES of them, and whether others follow.
        """
        async with self._pool.connection() as connection:
            rows = await UNITS.page.fetch(
                connection,
                job_id=job_id,
                kinds=list(kinds),
                state=state,
                after=after,
                most=limit,
                bytes=LIST_BYTES,
            )
        return read_page(rows, _unit)

    async def newest(
        self,
        tenant: str,
        wanted: JobFilter | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
    ) -> tuple[list[Job], bool]:
        """Those that are *wanted*, newest first, older than the job id *after*, about LIST_BYTES of them.

        They come without specs and plans. And whether others follow.
        """
        async with self._pool.connection() as connection:
            rows = await JOBS.newest.fetch(
                connection,
                tenant=tenant,
                after=after,
                most=limit,
                bytes=LIST_BYTES,
                **asdict(wanted or JobFilter()),
            )
        return read_page(rows, _job)

    async def matching(self, tenant: str, wanted: JobFilter, most: int) -> list[str]:
        """The ids of jobs that are *wanted*, oldest first, *most* at most."""
        async with self._pool.connection() as connection:
            rows = await JOBS.matching.fetch(connection, tenant=tenant, most=most, **asdict(wanted))
        return [row["id"] for row in rows]

    async def progress(self, job_ids: list[str]) -> dict[str, Progress]:
        async with self._pool.connection() as connection:
            rows = await UNITS.progress.fetch(
                connection, job_ids=job_ids, scan_bytes=STATE_SCAN_BYTES, merge_bytes=STATE_MERGE_BYTES
            )
        return {row["job_id"]: _progress(row) for row in rows}

    async def work(self, job_id: str) -> JobRow | None:
        """The part of a job that its units need; None if it was deleted."""
        async with self._pool.connection() as connection:
            row = await JOBS.work.fetchrow(connection, id=job_id)
        return read_row(JobRow, row, **_standing(row), plan=_plan(row)) if row else None

    async def cancel(self, tenant: str, job_id: str, actor: str | None = None) -> bool:
        """Want a job no more; see `_changing`.

        Its pending units end now, the leased ones as soon as their workers hear of it.
        """
        async with self._changing(
            tenant, job_id, "cancel", "cancelled", since={JobState.CANCELLING, JobState.CANCELLED}
        ) as (tx, job):
            if job is not None:
                await begin_ending(tx, job_id, error=None)
                await note(tx, job_id, Event.CANCEL_REQUESTED, actor=actor)
                reached("cancel.ending")
        with contextlib.suppress(DatabaseUnavailable):  # a big job's end takes its time; the sweeper makes it
            await self.finish_ending(job_id)
        return job is not None

    async def pause(self, tenant: str, job_id: str, actor: str | None = None) -> bool:
        """Hand out none of a job's units; those that are leased finish and commit. See `_changing`."""
        async with self._changing(tenant, job_id, "pause", "paused", since={JobState.PAUSED}) as (tx, job):
            if job is not None:
                await JOBS.pause.execute(tx, id=job_id)
                await note(tx, job_id, Event.PAUSED, actor=actor)
        return job is not None

    async def resume(self, tenant: str, job_id: str, actor: str | None = None) -> bool:
        """Hand out the units of a paused job again; see `_changing`."""
        going = {JobState.QUEUED, JobState.RUNNING}
        async with self._changing(tenant, job_id, "resume", "resumed", since=going) as (tx, job):
            if job is not None:
                await JOBS.resume.execute(tx, id=job_id)
                await note(tx, job_id, Event.RESUMED, actor=actor)
        return job is not None

    async def retry(self, tenant: str, job_id: str, actor: str | None = None) -> bool:
        """Try the failed and cancelled units again with fresh counts, and the merge from its start.

        Finished chunks stay finished: no row is written twice. See `_changing`; raises RetryExpired, and the
        errors of a tenant's limits as `submit` does.
        """
        async with self._changing(tenant, job_id, "retry", "tried again", since=set()) as (tx, job):
            if job is not None:
                await _check_retry(tx, job)
                await JOBS.retry.execute(tx, id=job_id)
                await UNITS.forget_merging.execute(tx, job_id=job_id)
                await UNITS.retry.execute(tx, job_id=job_id, epoch=job["epoch"] + 1)
                await UNITS.rebase.execute(tx, job_id=job_id, epoch=job["epoch"] + 1)
                await QUARANTINE.rebase.execute(tx, job_id=job_id, epoch=job["epoch"] + 1)
                await note(tx, job_id, Event.RETRIED, actor=actor)
                limits = await of_tenant(tx, tenant, self._defaults)
                await admit(tx, tenant, job_id, limits, charged=job["charged_bytes"] > 0)
                reached("retry.before_commit")
        return job is not None

    @asynccontextmanager
    async def _changing(
        self, tenant: str, job_id: str, event: str, asked: str, *, since: Collection[str]
    ) -> AsyncIterator[tuple[Connection, Record | None]]:
        """Lend the locked row of a job to which *event* can happen.

        None if its state is among *since* already: then the change is not made, and says so. Raises NotFound,
        AlreadyDone and InvalidState.
        """
        async with self._pool.transaction() as tx:
            job = await JOBS.lock_of_tenant.fetchrow(tx, tenant=tenant, id=job_id)
            if job is None:
                raise NotFound(f"There is no job {job_id}")
            if job["state"] in since:
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

    async def fail_overfull(self, job: Writing) -> bool:
        """Fail a running job if its tenant stores too much; False if it goes on, or ends already."""
        async with self._pool.transaction() as tx:
            locked = await JOBS.lock.fetchrow(tx, id=job.job_id)
            if locked is None or locked["state"] != JobState.RUNNING:
                return False
            if (error := await overfull(tx, job)) is None:
                return False
            await begin_ending(tx, job.job_id, error=error.problem())
        await self.finish_ending(job.job_id)
        return True

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
                await note(tx, job_id, Event.DEADLINE_PASSED, deadline_at=row["deadline_at"])
            await self.finish_ending(job_id)

    async def stalled(self) -> list[str]:
        """Jobs without work whose fan-in or end was lost between two transactions."""
        async with self._pool.connection() as connection:
            return [row["id"] for row in await JOBS.stalled.fetch(connection)]

    async def finish_ending(self, job_id: str) -> bool:
        return await finish_ending(self._pool, job_id)


async def _insert(tx: Connection, **values: Any) -> Record:
    """The row of a new job; raises _KeyIsKnownError."""
    row = await JOBS.insert.fetchrow(tx, **values)
    if row is None:
        raise _KeyIsKnownError
    return row


def _overdue(row: Record) -> DeadlineExceeded:
    if row["kind"] != "job":
        return DeadlineExceeded(
            f"The dry run did not end within {row['deadline']}: no worker was free, or its files answer "
            "slowly; see /readyz for the workers, then ask again"
        )
    asked, by = row["spec"]["options"]["deadline"], f"{row['deadline_at']:%Y-%m-%dT%H:%M:%SZ}"
    if row["deadline"] not in {None, parse_duration(asked) if asked else None}:
        return DeadlineExceeded(f"The job did not end by {by}, the deadline that it was given later")
    return DeadlineExceeded(f"The job did not end within its options.deadline of {asked}, by {by}")


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


def _unit(row: Record) -> UnitRow:
    return read_row(
        UnitRow,
        row,
        kind=UnitKind(row["kind"]),
        state=UnitState(row["state"]),
        rows=read_counts(row),
        failures=msgspec.convert(row["failures"], tuple[FailedAttempt, ...]),
    )


def _progress(row: Record) -> Progress:
    return read_row(Progress, row, rows=read_counts(row))


def _standing(row: Record) -> dict[str, JobState | Phase]:
    return {"state": JobState(row["state"]), "phase": Phase(row["phase"])}


def _plan(row: Record) -> Plan | None:
    return msgspec.convert(row["plan"], Plan | None)

"""Changing a job that was submitted: its priority, its labels, its deadline."""

from collections.abc import Set

from shared.core.history import Event
from shared.core.lifecycle import JobState
from shared.db.history import note
from shared.db.pool import Pool, Record
from shared.db.statements import JOBS
from shared.errors import AlreadyDone, InvalidState, PreconditionFailed
from shared.spec.changes import Changes, merged_labels
from shared.spec.values import parse_duration

LIVE = {JobState.QUEUED, JobState.RUNNING, JobState.PAUSED}


class ChangeStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def change(
        self, tenant: str, job_id: str, changes: Changes, revisions: Set[int] | None, actor: str | None
    ) -> bool:
        """Apply *changes* to a job; False if the tenant has no such job.

        Raises PreconditionFailed if its revision is not one of *revisions*. Raises AlreadyDone or
        InvalidState for a job that is ending, of which only labels change. Raises InvalidBody for too
        many labels.
        """
        async with self._pool.transaction() as tx:
            job = await JOBS.lock_to_change.fetchrow(tx, tenant=tenant, id=job_id)
            if job is None:
                return False
            _check(job, job_id, changes, revisions)
            labels = merged_labels(job["labels"], changes.labels) if changes.asks("labels") else job["labels"]
            priority = changes.priority if changes.asks("priority") else job["priority"]
            move = changes.asks("deadline")
            if (labels, priority, move) == (job["labels"], job["priority"], False):
                return True
            deadline_at = await JOBS.change.fetchval(
                tx,
                id=job_id,
                priority=priority,
                labels=labels,
                move=move,
                deadline=parse_duration(changes.deadline) if changes.deadline else None,
            )
            moved = {"from": job["deadline_at"], "to": deadline_at}
            risen = {"from": job["priority"], "to": priority}
            await note(
                tx,
                job_id,
                Event.CHANGED,
                actor=actor,
                priority=risen if priority != job["priority"] else None,
                labels=(changes.labels or {}) if labels != job["labels"] else None,
                deadline_at=moved if move else None,
            )
        return True


def _check(job: Record, job_id: str, changes: Changes, revisions: Set[int] | None) -> None:
    if revisions is not None and job["revision"] not in revisions:
        raise PreconditionFailed(
            f"Job {job_id} has revision {job['revision']}, and If-Match asks for another; read it again"
        )
    if job["state"] in LIVE or not (changes.asks("priority") or changes.asks("deadline")):
        return
    if job["done"]:
        raise AlreadyDone(f"Job {job_id} has ended as {job['state']}; only its labels can be changed")
    raise InvalidState(f"Job {job_id} is {job['state']}; only its labels can be changed now")

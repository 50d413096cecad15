"""Jobs: submitting them, reading them, and changing them."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from api_service.services.cache import TtlCache
from api_service.services.spec_check import Checked
from api_service.services.watching import JobWatcher
from shared.core.entities import Job, Progress
from shared.core.lifecycle import JobState, Phase
from shared.db.jobs import JobStore
from shared.db.uploads import UploadStore
from shared.db.versions import VersionStore
from shared.errors import Detail, NotFound, SourceNotFound, from_problem
from shared.spec.faults import MAX_FAULTS
from shared.spec.version import STATE_VERSION

_ROW_SECONDS, _COUNTS_SECONDS = 0.05, 0.25
"""How old a job's row may be, and the counts over its units: 10,000 clients that poll cost as much as one."""
_COUNTS_TIMES = 10
"""At most a tenth of the time one gateway has Postgres count the units of a job."""
PRESENT_SECONDS = 5.0
"""How often a request that waits looks whether its client is still there."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job's row, the counts over its units, and whether its version is the current one of its name."""

    job: Job
    progress: Progress
    current: bool


class JobService:
    """*nudge* asks a worker to look for due units now."""

    def __init__(
        self, jobs: JobStore, versions: VersionStore, uploads: UploadStore, nudge: Callable[[], None]
    ) -> None:
        self._jobs = jobs
        self._versions = versions
        self._uploads = uploads
        self._nudge = nudge
        self._rows = TtlCache[Job | None](_ROW_SECONDS)
        self._views = TtlCache[JobView](_COUNTS_SECONDS, _COUNTS_TIMES)
        self.watcher = JobWatcher(jobs.standing, self._rows.forget)

    async def submit(self, tenant: str, spec: Checked, idempotency_key: str | None) -> tuple[Job, bool]:
        """Commit the job of a spec; the flag says that an earlier submit with this key has made it."""
        if idempotency_key is not None and (
            known := await self._jobs.replayed(tenant, idempotency_key, {spec.digest, *spec.earlier_digests})
        ):
            return known, True  # its upload may be gone by now, or its limits above today's
        if spec.refusal is not None:
            raise from_problem(spec.refusal)
        await self._check_uploads(tenant, spec.uploads)
        job, replayed = await self._jobs.submit(
            tenant,
            msgspec.json.decode(spec.canonical),
            spec.digest,
            idempotency_key=idempotency_key,
            priority=spec.priority,
            labels=spec.labels,
            result_name=spec.result_name,
            kept_versions=spec.kept_versions,
            uploads=list(spec.uploads.values()),
            deadline=spec.deadline,
            state_version=STATE_VERSION,
            earlier_digests=spec.earlier_digests,
        )
        self._nudge()
        return job, replayed

    async def _check_uploads(self, tenant: str, uploads: dict[int, str]) -> None:
        known = await self._uploads.use(tenant, list(uploads.values())) if uploads else set()
        missing: list[Detail] = [
            {"pointer": f"#/source/uris/{no}", "detail": f"there is no upload {upload_id}"}
            for no, upload_id in uploads.items()
            if upload_id not in known
        ]
        if missing:
            raise SourceNotFound("The source names uploads that do not exist", errors=missing[:MAX_FAULTS])

    async def get(self, tenant: str, job_id: str) -> Job:
        job = await self._rows.get((tenant, job_id), lambda: self._jobs.get(tenant, job_id))
        if job is not None and job.state in {JobState.FAILED, JobState.CANCELLED}:
            # Another gateway may retry it, and a client that polls stops at `done`.
            self._rows.forget((tenant, job_id))
        return _found(job, job_id)

    async def view(self, job: Job) -> JobView:
        """Counts are kept by the job's revision, so that none is older than the state it is shown with."""
        if job.phase == Phase.PLANNING:
            return JobView(job, Progress(), current=False)
        return await self._views.get((job.id, str(job.revision)), lambda: self._load_view(job))

    async def _load_view(self, job: Job) -> JobView:
        progress = await self._jobs.progress([job.id])
        version = await self._versions.get(job.tenant, job.id) if job.result else None
        return JobView(job, progress.get(job.id, Progress()), version is not None and version.current)

    async def newest(
        self,
        tenant: str,
        *,
        state: JobState | None,
        labels: dict[str, str] | None,
        after: str | None,
        limit: int,
    ) -> tuple[list[JobView], bool]:
        """Newest first; the flag says whether others follow."""
        jobs, further = await self._jobs.newest(tenant, state=state, labels=labels, after=after, limit=limit)
        progress = await self._jobs.progress([job.id for job in jobs])
        named = [job.id for job in jobs if job.result and job.result_name]
        current = await self._versions.shown(named) if named else set()
        return [
            JobView(job, progress.get(job.id, Progress()), not job.result_name or job.id in current)
            for job in jobs
        ], further

    async def cancel(self, tenant: str, job_id: str) -> Job:
        return await self._change(self._jobs.cancel, tenant, job_id)

    async def pause(self, tenant: str, job_id: str) -> Job:
        return await self._change(self._jobs.pause, tenant, job_id)

    async def resume(self, tenant: str, job_id: str) -> Job:
        return await self._change(self._jobs.resume, tenant, job_id)

    async def retry(self, tenant: str, job_id: str) -> Job:
        return await self._change(self._jobs.retry, tenant, job_id)

    async def _change(
        self, change: Callable[[str, str], Awaitable[Job | None]], tenant: str, job_id: str
    ) -> Job:
        try:
            job = _found(await change(tenant, job_id), job_id)
        finally:
            self._rows.forget((tenant, job_id))  # its next reader must not see the job from before
        self._nudge()  # a resumed or retried job has due units; for the others a nudge costs nothing
        return job

    async def wait(
        self, job: Job, seconds: float, until: Callable[[Job], bool], gone: Callable[[], bool]
    ) -> Job:
        """The job as soon as *until* holds, or as it stands after *seconds*.

        Returns early when the gateway stops, or soon after *gone* holds.
        """
        deadline = time.monotonic() + seconds
        while (
            not (until(job) or gone() or self.watcher.stopping) and (left := deadline - time.monotonic()) > 0
        ):
            changed = await self.watcher.changed(
                (job.tenant, job.id), (job.state, job.phase), min(left, PRESENT_SECONDS)
            )
            if changed or time.monotonic() >= deadline:  # a last read: the watcher may reach no Postgres
                job = await self.get(job.tenant, job.id)
        return job


def _found(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise NotFound(f"There is no job {job_id}")
    return job

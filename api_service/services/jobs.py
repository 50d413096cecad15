"""Jobs: submitting, watching, and what may be done to them."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from api_service.services.checking import SpecChecker
from api_service.services.watching import LookOut, Remembered
from shared.db.jobs import Job, JobStore, Progress
from shared.db.uploads import UploadStore
from shared.db.versions import VersionStore
from shared.errors import Detail, NotFound, SourceNotFound
from shared.spec.faults import MAX_FAULTS
from shared.spec.values import parse_duration
from shared.spec.version import STATE_VERSION
from shared.storage.sources import UPLOAD

_ROW_SECONDS, _COUNTS_SECONDS = 0.05, 0.25
"""How old may be what a job's row says, and what is counted over its units: 10,000 clients that poll cost as much as one."""
_COUNTS_TIMES = 10
"""At most a tenth of the time one gateway has Postgres count the units of a job."""
PRESENT_SECONDS = 5.0
"""How often it is looked whether a client that waits is still there."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A job as it stands, with what its row does not say."""

    job: Job
    progress: Progress
    current: bool


class JobService:
    def __init__(
        self,
        jobs: JobStore,
        versions: VersionStore,
        uploads: UploadStore,
        checker: SpecChecker,
        nudge: Callable[[], None],
    ) -> None:
        self._jobs = jobs
        self._versions = versions
        self._uploads = uploads
        self._checker = checker
        self._nudge = nudge
        self._rows = Remembered[Job | None](_ROW_SECONDS)
        self._counts = Remembered[Watched](_COUNTS_SECONDS, _COUNTS_TIMES)
        self.lookout = LookOut(jobs.standing, self._rows.forget)

    async def submit(self, tenant: str, body: bytes, idempotency_key: str | None) -> tuple[Job, bool]:
        """Commit the job of a spec; the flag says that the key was known and the job is the one it made."""
        checked = await self._checker.check(tenant, body)
        if idempotency_key is not None and (
            known := await self._jobs.replayed(tenant, idempotency_key, checked.digest)
        ):
            return known, True  # its upload may be gone by now, or its limits above today's
        if checked.refusal is not None:
            raise checked.refusal
        spec: dict[str, Any] = msgspec.json.decode(checked.canonical)
        uris, deadline = spec["source"]["uris"], spec["options"]["deadline"]
        await self._check_uploads(tenant, uris)
        job, replayed = await self._jobs.submit(
            tenant,
            spec,
            checked.digest,
            idempotency_key=idempotency_key,
            priority=spec["options"]["priority"],
            labels=spec["labels"],
            result_name=spec["output"]["name"],
            kept_versions=spec["output"]["versions"],
            uploads=[uri.removeprefix(UPLOAD) for uri in uris if uri.startswith(UPLOAD)],
            deadline=parse_duration(deadline) if deadline else None,
            state_version=STATE_VERSION,
        )
        self._nudge()
        return job, replayed

    async def _check_uploads(self, tenant: str, uris: list[str]) -> None:
        ids = {no: uri.removeprefix(UPLOAD) for no, uri in enumerate(uris) if uri.startswith(UPLOAD)}
        known = await self._uploads.use(tenant, list(ids.values())) if ids else set()
        missing: list[Detail] = [
            {"pointer": f"#/source/uris/{no}", "detail": f"there is no upload {i}"}
            for no, i in ids.items()
            if i not in known
        ]
        if missing:
            raise SourceNotFound("The source names uploads that do not exist", errors=missing[:MAX_FAULTS])

    async def get(self, tenant: str, job_id: str) -> Job:
        job = await self._rows.get((tenant, job_id), lambda: self._jobs.get(tenant, job_id))
        if job is not None and job.state in {"failed", "cancelled"}:
            self._rows.forget(
                (tenant, job_id)
            )  # another gateway may retry it, and a client that polls takes `done` for the end
        return _found(job, job_id)

    async def watched(self, job: Job) -> Watched:
        """What is counted belongs to the job's revision, so that no count is older than the state it is shown with."""
        if job.phase == "planning":
            return Watched(job, Progress(), current=False)
        return await self._counts.get((job.id, str(job.revision)), lambda: self._watch(job))

    async def _watch(self, job: Job) -> Watched:
        progress = await self._jobs.progress([job.id])
        version = await self._versions.get(job.tenant, job.id) if job.result else None
        return Watched(job, progress.get(job.id, Progress()), version is not None and version.current)

    async def newest(
        self, tenant: str, *, state: str | None, labels: dict[str, str] | None, after: str | None, limit: int
    ) -> tuple[list[Watched], bool]:
        """And whether others follow."""
        jobs, further = await self._jobs.newest(tenant, state=state, labels=labels, after=after, limit=limit)
        progress = await self._jobs.progress([job.id for job in jobs])
        named = [job.id for job in jobs if job.result and job.result_name]
        current = await self._versions.shown(named) if named else set()
        return [
            Watched(job, progress.get(job.id, Progress()), not job.result_name or job.id in current)
            for job in jobs
        ], further

    async def cancel(self, tenant: str, job_id: str) -> Job:
        return await self._changed(self._jobs.cancel, tenant, job_id)

    async def pause(self, tenant: str, job_id: str) -> Job:
        return await self._changed(self._jobs.pause, tenant, job_id)

    async def resume(self, tenant: str, job_id: str) -> Job:
        return await self._changed(self._jobs.resume, tenant, job_id)

    async def retry(self, tenant: str, job_id: str) -> Job:
        return await self._changed(self._jobs.retry, tenant, job_id)

    async def _changed(
        self, change: Callable[[str, str], Awaitable[Job | None]], tenant: str, job_id: str
    ) -> Job:
        try:
            job = _found(await change(tenant, job_id), job_id)
        finally:
            self._rows.forget((tenant, job_id))  # who changed a job must not read what it was
        self._nudge()  # a job that is resumed or tried again has work to do; for the others this costs nothing
        return job

    async def wait(
        self, job: Job, seconds: float, until: Callable[[Job], bool], gone: Callable[[], bool]
    ) -> Job:
        """The job as soon as *until* holds, or as it stands after *seconds*, when the gateway stops, or soon after *gone* holds."""
        deadline = time.monotonic() + seconds
        while (
            not (until(job) or gone() or self.lookout.stopping) and (left := deadline - time.monotonic()) > 0
        ):
            moved = await self.lookout.moved(
                (job.tenant, job.id), (job.state, job.phase), min(left, PRESENT_SECONDS)
            )
            if moved or time.monotonic() >= deadline:  # a last look for itself: the look-out may be blind
                job = await self.get(job.tenant, job.id)
        return job


def _found(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise NotFound(f"There is no job {job_id}")
    return job

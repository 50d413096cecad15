"""Jobs: submitting, watching, cancelling."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from shared.db.jobs import Job, JobStore, Progress
from shared.db.uploads import UploadStore
from shared.db.versions import VersionStore
from shared.errors import Detail, NotFound, SourceNotFound
from shared.settings import Settings
from shared.spec.canonical import canonical_json, spec_digest
from shared.spec.models import JobSpec
from shared.spec.parse import parse_spec
from shared.spec.version import STATE_VERSION
from shared.storage.sources import check_uri

_FIRST_LOOK, _LAST_LOOK, _SLOWER = 0.01, 0.25, 1.2
"""Seconds between two looks at a job that someone waits for: short at first, because small jobs take that long."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A job as it stands, with what its row does not say."""

    job: Job
    progress: Progress
    current: bool


class JobService:
    def __init__(self, jobs: JobStore, versions: VersionStore, uploads: UploadStore, settings: Settings, nudge: Callable[[], None]) -> None:
        self._jobs = jobs
        self._versions = versions
        self._uploads = uploads
        self._settings = settings
        self._nudge = nudge
        self.stopping = asyncio.Event()
        """Set when the gateway stops: whoever waits for a job is answered at once."""

    async def submit(self, tenant: str, body: bytes, idempotency_key: str | None) -> tuple[Job, bool]:
        """Commit the job of a spec; the flag says that the key was known and the job is the one it made."""
        spec = parse_spec(body)
        await self._check_sources(tenant, spec)
        job, replayed = await self._jobs.submit(
            tenant,
            msgspec.json.decode(canonical_json(spec)),
            spec_digest(spec),
            idempotency_key=idempotency_key,
            priority=spec.options.priority,
            labels=dict(spec.labels),
            result_name=spec.output.name,
            state_version=STATE_VERSION,
        )
        self._nudge()
        return job, replayed

    async def _check_sources(self, tenant: str, spec: JobSpec) -> None:
        for no, uri in enumerate(spec.source.uris):
            check_uri(uri, f"#/source/uris/{no}", self._settings.sources, tenant)
        ids = {no: uri.removeprefix("upload:") for no, uri in enumerate(spec.source.uris) if uri.startswith("upload:")}
        known = await self._uploads.known(tenant, list(ids.values())) if ids else set()
        missing: list[Detail] = [
            {"pointer": f"#/source/uris/{no}", "detail": f"there is no upload {i}"} for no, i in ids.items() if i not in known
        ]
        if missing:
            raise SourceNotFound("The source names uploads that do not exist", errors=missing)

    async def get(self, tenant: str, job_id: str) -> Job:
        job = await self._jobs.get(tenant, job_id)
        if job is None:
            raise NotFound(f"There is no job {job_id}")
        return job

    async def watched(self, job: Job) -> Watched:
        progress = await self._jobs.progress([job.id])
        version = await self._versions.get(job.id) if job.result else None
        return Watched(job, progress.get(job.id, Progress()), version is not None and version.current)

    async def newest(
        self, tenant: str, *, state: str | None, labels: dict[str, str] | None, after: str | None, limit: int
    ) -> list[Watched]:
        jobs = await self._jobs.newest(tenant, state=state, labels=labels, after=after, limit=limit)
        progress = await self._jobs.progress([job.id for job in jobs])
        named = any(job.result and job.result_name for job in jobs)
        current = {version.job_id for version in await self._versions.published(tenant)} if named else set()
        return [Watched(job, progress.get(job.id, Progress()), not job.result_name or job.id in current) for job in jobs]

    async def cancel(self, tenant: str, job_id: str) -> Job:
        job = await self._jobs.cancel(tenant, job_id)
        if job is None:
            raise NotFound(f"There is no job {job_id}")
        return job

    async def wait(self, job: Job, seconds: float, until: Callable[[Job], bool]) -> Job:
        """The job as soon as *until* holds, or as it stands after *seconds*, or when the gateway stops."""
        deadline = time.monotonic() + seconds
        pause = _FIRST_LOOK
        while not until(job) and not self.stopping.is_set() and (left := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(pause, left)):
                    await self.stopping.wait()
            except TimeoutError:
                pause = min(pause * _SLOWER, _LAST_LOOK)
            job = await self.get(job.tenant, job.id)
        return job

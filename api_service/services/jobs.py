"""Jobs: submitting them, reading them, and changing them."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from api_service.services.cache import Key, Together, TtlCache
from api_service.services.spec_check import Checked
from api_service.services.watching import JobWatcher, Standing, pause
from shared import tracing
from shared.core.entities import Job, Kept, Progress
from shared.core.job_filter import JobFilter
from shared.core.lifecycle import JobState, Phase, UnitKind, UnitState
from shared.core.workers import UnitRow
from shared.db.jobs import JobStore
from shared.db.uploads import UploadStore
from shared.db.versions import VersionStore
from shared.errors import Detail, NotFound, SourceNotFound, from_problem
from shared.spec.faults import pointer, refuse
from shared.spec.version import STATE_VERSION

_FRESH_SECONDS = 0.05
"""How old a view may be at least: 10,000 clients that poll cost as much as one."""
_COUNTS_TIMES = 10
"""At most a tenth of the time one gateway has Postgres count the units of a job."""
_COUNTS_SECONDS = 0.25
OLD_SECONDS = 5.0
"""How old the counts of a page may be beyond that: its stream tells those of now."""
_LAST_VIEWS = 64
"""So many views are kept, for their rows: a row is good as long as its revision is the newest."""
_DONE_SECONDS, _MOST_COUNTED = 60.0, 2000
"""How long lists use the counts of a job that is done, and of how many jobs they are kept."""
_LOOKS = 3
PRESENT_SECONDS = 5.0
"""How often a request that waits looks whether its client is still there."""
Change = Callable[[str, str, str], Awaitable[bool]]
"""Of JobStore: changes the job of a tenant for an actor, and says whether it was changed."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class JobView:
    """A job's row, the counts over its units, and whether its rows are there; None: it has made none.

    As they were at one time, `at`.
    """

    job: Job
    progress: Progress
    rows: Kept | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def standing(self) -> Standing:
        return self.job.state, self.job.phase

    @property
    def age(self) -> float:
        """Seconds since the job's last stamp, by the clock of this machine."""
        job = self.job
        stamps = job.finished_at, job.merged_at, job.scanned_at, job.planned_at, job.started_at
        return (self.at - next((stamp for stamp in stamps if stamp), job.created_at)).total_seconds()

    @property
    def seconds_old(self) -> float:
        return (datetime.now(UTC) - self.at).total_seconds()


class _Counted(NamedTuple):
    """The counts over the units of a job in a revision, for lists, until a time of `time.monotonic`."""

    revision: int
    progress: Progress
    until: float


class JobService:
    """*nudge* asks a worker to look for due units now."""

    def __init__(
        self, jobs: JobStore, versions: VersionStore, uploads: UploadStore, nudge: Callable[[], None]
    ) -> None:
        self._jobs = jobs
        self._versions = versions
        self._uploads = uploads
        self._nudge = nudge
        self._last: OrderedDict[Key, JobView] = OrderedDict()
        self._counted: OrderedDict[str, _Counted] = OrderedDict()
        self._looks = Together(jobs.look)
        self._views = TtlCache[JobView](
            lambda view: pause(view.age, _FRESH_SECONDS), _COUNTS_TIMES, old_seconds=OLD_SECONDS
        )
        self.watcher = JobWatcher[JobView](
            jobs.standing, self._views.forget, lambda key: self.read(*key), lambda view: view.standing
        )

    async def submit(
        self,
        tenant: str,
        spec: Checked,
        idempotency_key: str | None,
        actor: str,
        *,
        from_plan: str | None = None,
    ) -> tuple[Job, bool]:
        """Commit the job of a spec, or its dry run.

        The flag says that an earlier submit with this key has made it. A job *from_plan* begins with the plan
        of a dry run. Raises PlanExpired, and the errors of the stores.
        """
        if idempotency_key is not None and (
            known := await self._jobs.replayed(tenant, idempotency_key, {spec.digest, *spec.earlier_digests})
        ):
            return known, True  # its upload may be gone by now, or its limits above today's
        if spec.refusal is not None:
            raise from_problem(spec.refusal)
        await self._check_uploads(tenant, spec.uploads)
        document = msgspec.json.decode(spec.canonical)
        job, replayed = await self._jobs.submit(
            tenant,
            document,
            spec.digest,
            idempotency_key=idempotency_key,
            priority=spec.priority,
            labels=spec.labels,
            result_name=spec.result_name,
            kept_versions=spec.kept_versions,
            uploads=list(spec.uploads.values()),
            deadline=spec.deadline,
            sources=document["source"]["uris"],
            expires=spec.expires,
            max_parallel=spec.max_parallel,
            state_version=STATE_VERSION,
            earlier_digests=spec.earlier_digests,
            actor=actor,
            kind=spec.kind,
            from_plan=from_plan,
            traceparent=tracing.current(),
        )
        self._nudge()
        return job, replayed

    async def _check_uploads(self, tenant: str, uploads: dict[int, str]) -> None:
        known = await self._uploads.use(tenant, list(uploads.values())) if uploads else set()
        missing = {no: upload_id for no, upload_id in uploads.items() if upload_id not in known}
        if missing:
            lacking = await self._uploads.lacking(tenant, list(missing.values()))
            faults = (
                Detail(pointer=pointer("source", "uris", no), detail=_absence(found, lacking.get(found)))
                for no, found in missing.items()
            )
            refuse(SourceNotFound, faults)

    async def read(self, tenant: str, job_id: str) -> JobView:
        """The present view of a job; raises NotFound.

        However many clients ask, Postgres answers one query for it in a quarter of a second. There are some
        more in the second after a change.
        """
        key = tenant, job_id
        view = await self._views.get(key, lambda: self._load(key))
        if view.job.done and view.job.state != JobState.SUCCEEDED:
            # Another gateway may retry it, and a client that polls stops at `done`.
            self._views.forget(key)
        return view

    async def recent(self, tenant: str, job_id: str, revision: int) -> JobView:
        """As `read`, but the counts of a job under way may be OLD_SECONDS older.

        The view is of *revision* or a later one. New counts are read meanwhile.
        """
        key = tenant, job_id
        view = await self._views.recent(key, lambda: self._load(key))
        if view.job.revision < revision:
            self._views.forget(key)
        elif not view.job.done:
            return view
        return await self.read(tenant, job_id)

    def forget(self, tenant: str, job_id: str) -> None:
        """Read a job anew when it is asked for next."""
        self._views.forget((tenant, job_id))
        self._last.pop((tenant, job_id), None)

    async def _load(self, key: Key) -> JobView:
        """The row is fetched only when its revision is new. So no count is older than the row."""
        job_id = key[1]
        last = self._last.get(key)
        job = last.job if last else await self._fetch(key)
        look = await self._looks.get(job_id)
        for _ in range(_LOOKS):
            if look is None or look.revision == job.revision:
                break
            job = await self._fetch(key)
            look = await self._looks.get(job_id)
        if look is None:
            self._last.pop(key, None)
            raise NotFound(f"There is no job {job_id}")
        if last and last.job is job and last.seconds_old < _COUNTS_SECONDS:
            return last
        kept = await self._versions.kept([job])
        return self._keep(JobView(job, look.progress, kept.get(job_id)))

    async def _fetch(self, key: Key) -> Job:
        """Without the files of the plan, which no view shows."""
        job = _found(await self._jobs.get(*key), key[1])
        return replace(job, plan=msgspec.structs.replace(job.plan, files=())) if job.plan else job

    def _keep(self, view: JobView) -> JobView:
        key = view.job.tenant, view.job.id
        self._last[key] = view
        self._last.move_to_end(key)
        while len(self._last) > _LAST_VIEWS:
            self._last.popitem(last=False)
        return view

    async def submitted(self, job: Job) -> JobView:
        """The view of a job that was just submitted; a new one costs no query."""
        if job.phase == Phase.PLANNING and job.state == JobState.QUEUED:
            return JobView(job, Progress())
        return await self.read(job.tenant, job.id)

    async def units(
        self,
        tenant: str,
        job_id: str,
        kinds: Sequence[UnitKind],
        *,
        state: UnitState | None,
        after: int,
        limit: int,
    ) -> tuple[list[UnitRow], bool]:
        """In the order of *kinds*, then by number; the flag says whether others follow. Raises NotFound."""
        await self.read(tenant, job_id)
        return await self._jobs.units(job_id, kinds, state=state, after=after, limit=limit)

    async def newest(
        self, tenant: str, wanted: JobFilter, *, after: str | None, limit: int
    ) -> tuple[list[JobView], bool]:
        """Newest first; the flag says whether others follow."""
        jobs, further = await self._jobs.newest(tenant, wanted, after=after, limit=limit)
        progress = await self._progress(jobs)
        kept = await self._versions.kept(jobs)
        return [JobView(job, progress[job.id], kept.get(job.id)) for job in jobs], further

    async def _progress(self, jobs: Sequence[Job]) -> dict[str, Progress]:
        """The counts of each job; however many clients list a large job, its units are counted as for one."""
        began = time.monotonic()
        found = {
            job.id: known.progress
            for job in jobs
            if (known := self._counted.get(job.id)) and known.revision == job.revision and began < known.until
        }
        counted = await self._jobs.progress([job.id for job in jobs if job.id not in found])
        now = time.monotonic()
        for job in jobs:
            if job.id in found:
                continue
            found[job.id] = counted.get(job.id, Progress())
            kept = _DONE_SECONDS if job.done else (now - began) * _COUNTS_TIMES
            self._counted[job.id] = _Counted(job.revision, found[job.id], now + kept)
            self._counted.move_to_end(job.id)
        while len(self._counted) > _MOST_COUNTED:
            self._counted.popitem(last=False)
        return found

    async def cancel(self, tenant: str, job_id: str, actor: str) -> JobView:
        return await self._change(self._jobs.cancel, tenant, job_id, actor)

    async def pause(self, tenant: str, job_id: str, actor: str) -> JobView:
        return await self._change(self._jobs.pause, tenant, job_id, actor)

    async def resume(self, tenant: str, job_id: str, actor: str) -> JobView:
        return await self._change(self._jobs.resume, tenant, job_id, actor)

    async def retry(self, tenant: str, job_id: str, actor: str) -> JobView:
        return await self._change(self._jobs.retry, tenant, job_id, actor)

    async def _change(self, change: Change, tenant: str, job_id: str, actor: str) -> JobView:
        await self.apply(change, tenant, job_id, actor)
        return await self.read(tenant, job_id)

    async def apply(self, change: Change, tenant: str, job_id: str, actor: str) -> bool:
        """Whether *change* has changed the job; its next reader sees it. Raises as the store does."""
        try:
            changed = await change(tenant, job_id, actor)
        finally:
            self.forget(tenant, job_id)
        self._nudge()  # a resumed or retried job has due units; for the others a nudge costs nothing
        return changed

    async def wait(
        self,
        job: Job,
        seconds: float,
        until: Callable[[Standing], bool],
        gone: Callable[[], bool],
    ) -> None:
        """Return as soon as *until* holds of the job, or after *seconds*.

        Returns early when the gateway stops, soon after *gone* holds, and when Postgres does not answer.
        """
        deadline = time.monotonic() + seconds
        standing: Standing | None = (job.state, job.phase)
        while (
            standing is not None
            and not (until(standing) or gone() or self.watcher.stopping)
            and (left := deadline - time.monotonic()) > 0
        ):
            changed, now = await self.watcher.changed(
                (job.tenant, job.id), standing, min(left, PRESENT_SECONDS)
            )
            standing = now if changed else standing


def _absence(upload_id: str, lacking: tuple[int, int] | None) -> str:
    if lacking is None:
        return f"there is no upload {upload_id}"
    return f"upload {upload_id} is not finished: {lacking[0]} of its {lacking[1]} bytes are stored"


def _found(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise NotFound(f"There is no job {job_id}")
    return job

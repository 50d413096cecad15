"""The documents of uploads, jobs and results: pure functions of rows and of the time.

The fields of each document stand in the order in which they are sent.
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from shared.core.entities import Document, Job, Progress, Upload, Version
from shared.core.lifecycle import JobState, Phase
from shared.core.plan import Plan, Warned, schema_of
from shared.core.relations import relation_name
from shared.core.row_counts import RowCounts
from shared.errors import Problem

_SCANNING, _MERGING = 0.98, 0.65
"""The most that scanning can be of a job, and the share of merging in the rest; publishing has the other."""


class UploadDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`sha256` is in hex."""

    id: str
    uri: str
    filename: str | None
    bytes: int
    sha256: str
    created_at: datetime


def upload_document(upload: Upload) -> UploadDocument:
    return UploadDocument(
        id=upload.id,
        uri=f"upload:{upload.id}",
        filename=upload.filename,
        bytes=upload.bytes,
        sha256=upload.sha256,
        created_at=upload.created_at,
    )


class ColumnDocument(msgspec.Struct, frozen=True):
    name: str
    type: str


class FieldDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """A column of the dataset as it is read. A *key* is read for its spelling."""

    name: str
    type: str
    key: bool = False


class ResultDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`relation` is the name by which SQL reads the version."""

    name: str | None
    version: int | None
    current: bool
    relation: str
    rows: int
    digest: str
    columns: list[ColumnDocument]
    job_id: str
    published_at: datetime
    links: dict[str, str]


def result_document(version: Version) -> ResultDocument:
    name = version.name if version.current else None
    return ResultDocument(
        name=version.name,
        version=version.version,
        current=version.current,
        relation=relation_name(version.tenant, name, version.relation),
        rows=version.rows,
        digest=version.digest,
        columns=[ColumnDocument(column["name"], column["type"]) for column in version.columns],
        job_id=version.job_id,
        published_at=version.published_at,
        links={
            "self": f"/v1/results/{version.name}",
            "rows": f"/v1/results/{version.name}/rows",
            "job": f"/v1/jobs/{version.job_id}",
        },
    )


class ChunkCounts(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    done: int
    leased: int
    failed: int


class ByteCounts(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    done: int


class ProgressDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`fraction` is of the whole job, from 0 to 1; `bytes` are of its files."""

    fraction: float
    chunks: ChunkCounts
    rows: dict[str, int]
    bytes: ByteCounts
    rows_per_second: int | None
    eta_seconds: int | None


class TimingDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Each stage lasts from its stamp to the next one, the stage under way until now."""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    queue_ms: int
    plan_ms: int
    scan_ms: int
    merge_ms: int
    publish_ms: int


class JobDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A job; in a list it comes without its spec and the findings of its plan."""

    id: str
    state: JobState
    phase: str
    done: bool
    revision: int
    progress: ProgressDocument
    timing: TimingDocument
    schema: list[FieldDocument] | UnsetType | None
    delimiter: str | UnsetType | None
    warnings: tuple[Warned, ...] | UnsetType
    result: Document | None
    error: Problem | None
    labels: dict[str, str]
    spec: Document | UnsetType | None
    links: dict[str, str]


def job_document(job: Job, progress: Progress, now: datetime, *, current: bool) -> JobDocument:
    """*current*: whether the job's version is the one that its name shows."""
    return JobDocument(
        id=job.id,
        state=job.state,
        phase="done" if job.state == JobState.SUCCEEDED else job.phase,
        done=job.done,
        revision=job.revision,
        progress=_progress(job, progress, now),
        timing=_timing(job, now),
        schema=_fields(job.plan) if job.plan else None,
        delimiter=job.plan.delimiter if job.plan else None,
        warnings=job.plan.warnings if job.plan else (),
        result={**job.result, "current": current} if job.result else None,
        error=job.error,
        labels=job.labels,
        spec=job.spec,
        links={"self": f"/v1/jobs/{job.id}"}
        | {link: f"/v1/jobs/{job.id}/{link}" for link in ("rows", "receipt", "quarantine", "cancel")},
    )


def _fields(plan: Plan) -> list[FieldDocument]:
    return [FieldDocument(f.column, str(f.type), f.key) for f in schema_of(plan.schema).fields]


def job_summary(job: Job, progress: Progress, now: datetime, *, current: bool) -> JobDocument:
    whole = job_document(job, progress, now, current=current)
    return replace(whole, spec=UNSET, schema=UNSET, delimiter=UNSET, warnings=UNSET)


def etag(job: Job, progress: Progress, *, current: bool) -> str:
    """Weak: rates and estimates change while the job stands still."""
    seen = repr((job.revision, progress, current))
    return f'W/"{job.revision}-{hashlib.sha256(seen.encode()).hexdigest()[:12]}"'


def _progress(job: Job, progress: Progress, now: datetime) -> ProgressDocument:
    seconds = _scan_seconds(job, now)
    stage = _stage(job, progress)
    return ProgressDocument(
        fraction=round(stage.fraction, 4),
        chunks=ChunkCounts(
            total=progress.chunks_total,
            done=progress.chunks_done,
            leased=progress.chunks_leased,
            failed=progress.chunks_failed,
        ),
        rows=_row_counts(progress.rows),
        bytes=ByteCounts(total=progress.bytes_total, done=progress.bytes_done),
        rows_per_second=int(progress.rows.read / seconds) if seconds > 0 else None,
        eta_seconds=_seconds_left(job, stage, now) if job.state == JobState.RUNNING else None,
    )


def _row_counts(counts: RowCounts) -> dict[str, int]:
    """Without `aggregated`: the receipt says it, once it is checked against the result."""
    return {name: count for name, count in asdict(counts).items() if name != "aggregated"}


@dataclass(frozen=True, slots=True)
class _Stage:
    """A phase as part of a job: the fraction *before* it, its *width*, the *share* of it that is done.

    *since* is its beginning.
    """

    before: float
    width: float
    share: float
    since: datetime | None

    @property
    def fraction(self) -> float:
        return self.before + self.width * self.share


def _stage(job: Job, progress: Progress) -> _Stage:
    """The fraction is 1 only when the job has succeeded, and falls only when the job begins again.

    The cost of merging and publishing a chunk is known when the chunk is done: by its states. So a done chunk
    counts for the share that scanning has of its whole cost, and no later finding takes that away again.
    """
    if job.state == JobState.SUCCEEDED:
        return _Stage(1.0, 0.0, 0.0, None)
    scanned = _SCANNING * _share(progress.bytes_weighed, progress.bytes_total)
    merging = _MERGING * (1 - scanned)
    match job.phase:
        case Phase.SCANNING:
            return _Stage(0.0, scanned, 1.0, job.planned_at)
        case Phase.MERGING:
            merged = _share(progress.merges_done, progress.merges_total)
            return _Stage(scanned, merging, merged, job.scanned_at)
        case Phase.PUBLISHING:
            return _Stage(scanned + merging, 1 - scanned - merging, 0.0, job.merged_at)
        case Phase.PLANNING:
            return _Stage(0.0, 0.0, 0.0, None)


def _seconds_left(job: Job, stage: _Stage, now: datetime) -> int | None:
    """An estimate by the pace of the phase; until a part of it is done, by the pace of all before it.

    None while neither is known. A phase that lasts longer than estimated is thought to last half as long
    again.
    """
    if job.planned_at is None or stage.since is None or stage.fraction == 0:
        return None
    lasted = (now - stage.since).total_seconds()
    if stage.width * stage.share > 0:
        left = lasted / (stage.width * stage.share) * (1 - stage.fraction)
    else:
        expected = (stage.since - job.planned_at).total_seconds() / stage.before * (1 - stage.before)
        left = max(expected - lasted, lasted / 2)
    return max(1, math.ceil(left))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _scan_seconds(job: Job, now: datetime) -> float:
    end = job.scanned_at or job.finished_at or now
    return max(0.0, (end - job.planned_at).total_seconds()) if job.planned_at else 0.0


def _timing(job: Job, now: datetime) -> TimingDocument:
    stamps = [job.created_at, job.started_at, job.planned_at, job.scanned_at, job.merged_at]
    until = job.finished_at or now
    queue, plan, scan, merge, publish = (
        max(0, round(((end or until) - start).total_seconds() * 1000)) if start else 0
        for start, end in zip(stamps, [*stamps[1:], None], strict=True)
    )
    return TimingDocument(
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        deadline_at=job.deadline_at,
        queue_ms=queue,
        plan_ms=plan,
        scan_ms=scan,
        merge_ms=merge,
        publish_ms=publish,
    )

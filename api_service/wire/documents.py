"""The documents of uploads, jobs and results: pure functions of rows and of the time.

The fields of each document stand in the order in which they are sent.
"""

import hashlib
from datetime import datetime
from typing import Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from api_service.wire.links import Links
from api_service.wire.progress import eta, fraction
from shared.core.entities import Document, Job, Kept, Progress, UnfinishedUpload, Upload, Version
from shared.core.lifecycle import JobState
from shared.core.plan import Plan, Warned, schema_of
from shared.core.relations import relation_name
from shared.core.row_counts import RowCounts
from shared.errors import Problem

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """A part of a list; `next` is the `after` of the next part, None at the end."""

    items: list[Item]
    next: str | None


_PARTS = (
    *("rows", "receipt", "quarantine", "events", "units", "history"),
    *("cancel", "pause", "resume", "retry"),
)
"""The paths below a job that its document links to."""


class UploadDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`sha256` is in hex, and null until all `bytes` are here.

    Until then `offset` is the number of those that are, and `expires_at` the end of the wait for others.
    """

    id: str
    uri: str
    filename: str | None
    bytes: int
    sha256: str | None
    created_at: datetime
    offset: int | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET


def upload_document(upload: Upload | UnfinishedUpload) -> UploadDocument:
    document = UploadDocument(
        id=upload.id,
        uri=f"upload:{upload.id}",
        filename=upload.filename,
        bytes=upload.bytes,
        sha256=upload.sha256 if isinstance(upload, Upload) else None,
        created_at=upload.created_at,
    )
    if isinstance(upload, Upload):
        return document
    return replace(document, offset=upload.received, expires_at=upload.expires_at)


class ColumnDocument(msgspec.Struct, frozen=True):
    name: str
    type: str


class FieldDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """A column of the dataset as it is read. A *key* is read for its spelling."""

    name: str
    type: str
    key: bool = False


class ResultDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`relation` is the name by which SQL reads the version, which is deleted soon after `expires_at`."""

    name: str | None
    version: int | None
    current: bool
    relation: str
    rows: int
    digest: str
    columns: list[ColumnDocument]
    job_id: str
    published_at: datetime
    expires_at: datetime | None
    links: dict[str, str]


def result_document(version: Version, link: Links) -> ResultDocument:
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
        expires_at=version.expires_at,
        links={
            "self": link(f"/v1/results/{version.name}"),
            "rows": link(f"/v1/results/{version.name}/rows"),
            "job": link(f"/v1/jobs/{version.job_id}"),
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
    """`fraction` is of the whole job, from 0 to 1; `bytes` are of its files.

    `eta_range` has the least and the most that `eta_seconds` may be.
    """

    fraction: float
    chunks: ChunkCounts
    rows: dict[str, int]
    bytes: ByteCounts
    rows_per_second: int | None
    eta_seconds: int | None
    eta_range: tuple[int, int] | None


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
    """A job; in a list it comes without its spec and the findings of its plan.

    `waiting_for` is the limit of its tenant that keeps it from running now.
    """

    id: str
    state: JobState
    phase: str
    waiting_for: Literal["running_jobs"] | None
    done: bool
    revision: int
    progress: ProgressDocument
    timing: TimingDocument
    schema: list[FieldDocument] | UnsetType | None = UNSET
    delimiter: str | UnsetType | None = UNSET
    warnings: tuple[Warned, ...] | UnsetType = UNSET
    result: Document | None
    error: Problem | None
    priority: int
    labels: dict[str, str]
    spec: Document | UnsetType | None = UNSET
    links: dict[str, str]


def job_document(job: Job, progress: Progress, now: datetime, link: Links, rows: Kept | None) -> JobDocument:
    """*rows*: whether the rows of the job are there. Without them there is no link to them."""
    return JobDocument(
        id=job.id,
        state=job.state,
        phase="done" if job.state == JobState.SUCCEEDED else job.phase,
        waiting_for=job.waiting_for,
        done=job.done,
        revision=job.revision,
        progress=_progress(job, progress, now),
        timing=_timing(job, now),
        schema=_fields(job.plan) if job.plan else None,
        delimiter=job.plan.delimiter if job.plan else None,
        warnings=job.plan.warnings if job.plan else (),
        result=_result(job, rows),
        error=job.error,
        priority=job.priority,
        labels=job.labels,
        spec=job.spec,
        links={"self": link(f"/v1/jobs/{job.id}")}
        | {
            part: link(f"/v1/jobs/{job.id}/{part}")
            for part in _PARTS
            if part != "rows" or rows != Kept.DELETED
        },
    )


def _result(job: Job, rows: Kept | None) -> Document | None:
    """A version is published when its job ends, and expires from then on."""
    if job.result is None:
        return None
    expires = job.finished_at + job.expires if job.finished_at and job.expires else None
    return {
        **job.result,
        "current": rows == Kept.CURRENT,
        "deleted": rows == Kept.DELETED,
        "expires_at": expires,
    }


def _fields(plan: Plan) -> list[FieldDocument]:
    return [FieldDocument(f.column, str(f.type), f.key) for f in schema_of(plan.schema).fields]


def job_summary(job: Job, progress: Progress, now: datetime, link: Links, rows: Kept | None) -> JobDocument:
    whole = job_document(job, progress, now, link, rows)
    return replace(whole, spec=UNSET, schema=UNSET, delimiter=UNSET, warnings=UNSET)


def etag(job: Job, progress: Progress, rows: Kept | None) -> str:
    """Weak: rates and estimates change while the job stands still."""
    seen = repr((job.revision, progress, rows))
    return f'W/"{job.revision}-{hashlib.sha256(seen.encode()).hexdigest()[:12]}"'


def _progress(job: Job, progress: Progress, now: datetime) -> ProgressDocument:
    seconds = _scan_seconds(job, now)
    eta_seconds, eta_range = eta(job, progress, now)
    return ProgressDocument(
        fraction=round(fraction(job, progress, now), 6),
        chunks=ChunkCounts(
            total=progress.chunks_total,
            done=progress.chunks_done,
            leased=progress.chunks_leased,
            failed=progress.chunks_failed,
        ),
        rows=_row_counts(progress.rows),
        bytes=ByteCounts(total=progress.bytes_total, done=progress.bytes_done),
        rows_per_second=int(progress.rows.read / seconds) if seconds > 0 else None,
        eta_seconds=eta_seconds,
        eta_range=eta_range,
    )


def _row_counts(counts: RowCounts) -> dict[str, int]:
    """Without `aggregated`: the receipt says it, once it is checked against the result."""
    return {name: count for name, count in asdict(counts).items() if name != "aggregated"}


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

"""The documents that the gateway answers with; `now` is passed in, and every figure is derived from rows."""

import hashlib
import math
from datetime import datetime
from typing import Any

from shared.db.jobs import Job, Progress
from shared.db.result_tables import relation_name
from shared.db.uploads import Upload
from shared.db.versions import Version

_SCANNED, _MERGED = 0.90, 0.98
"""The share of a job that is behind it when its last chunk, its last merge is done."""


def upload_document(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "uri": f"upload:{upload.id}",
        "filename": upload.filename,
        "bytes": upload.bytes,
        "sha256": upload.sha256,
        "created_at": upload.created_at,
    }


def result_document(version: Version) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "current": version.current,
        "relation": relation_name(version.tenant, version.name if version.current else None, version.relation),
        "rows": version.rows,
        "digest": version.digest,
        "columns": columns_document(version.columns),
        "job_id": version.job_id,
        "published_at": version.published_at,
        "links": {"self": f"/v1/results/{version.name}", "rows": f"/v1/results/{version.name}/rows", "job": f"/v1/jobs/{version.job_id}"},
    }


def columns_document(columns: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"name": column["name"], "type": column["type"]} for column in columns]


def job_document(job: Job, progress: Progress, now: datetime, *, current: bool) -> dict[str, Any]:
    """*current*: whether the job's version is the one that its name shows."""
    return {
        "id": job.id,
        "state": job.state,
        "phase": job.phase,
        "done": job.done,
        "revision": job.revision,
        "progress": _progress(job, progress, now),
        "timing": _timing(job, now),
        "schema": columns_document(job.plan["schema"]) if job.plan else None,
        "warnings": job.plan.get("warnings", []) if job.plan else [],
        "result": {**job.result, "current": current} if job.result else None,
        "error": job.error,
        "labels": job.labels,
        "spec": job.spec,
        "links": {"self": f"/v1/jobs/{job.id}"} | {link: f"/v1/jobs/{job.id}/{link}" for link in ("rows", "receipt", "cancel")},
    }


def job_summary(job: Job, progress: Progress, now: datetime, *, current: bool) -> dict[str, Any]:
    """A job in a list: without its spec, and without what its plan says."""
    whole = job_document(job, progress, now, current=current)
    return {key: value for key, value in whole.items() if key not in {"spec", "schema", "warnings"}}


def etag(job: Job, progress: Progress, *, current: bool) -> str:
    """Weak: rates and estimates move on while nothing happens."""
    seen = repr((job.revision, progress, current))
    return f'W/"{job.revision}-{hashlib.sha256(seen.encode()).hexdigest()[:12]}"'


def _progress(job: Job, progress: Progress, now: datetime) -> dict[str, Any]:
    seconds = _scan_seconds(job, now)
    is_scanning = job.state == "running" and job.phase == "scanning" and progress.bytes_done > 0
    left = (progress.bytes_total - progress.bytes_done) * seconds / progress.bytes_done if is_scanning else None
    return {
        "fraction": round(_fraction(job, progress), 4),
        "chunks": {
            "total": progress.chunks_total,
            "done": progress.chunks_done,
            "leased": progress.chunks_leased,
            "failed": progress.chunks_failed,
        },
        "rows": {"read": progress.rows_read, "filtered": 0, "dropped_null_key": progress.rows_dropped, "quarantined": 0, "skipped": 0},
        "bytes": {"total": progress.bytes_total, "done": progress.bytes_done},
        "rows_per_second": int(progress.rows_read / seconds) if seconds > 0 else None,
        "eta_seconds": None if left is None else math.ceil(left),
    }


def _fraction(job: Job, progress: Progress) -> float:
    """Falls only when a job begins anew, and is 1 only when it succeeded."""
    if job.state == "succeeded":
        return 1.0
    match job.phase:
        case "scanning":
            return _SCANNED * _share(progress.bytes_done, progress.bytes_total)
        case "merging":
            return _SCANNED + (_MERGED - _SCANNED) * _share(progress.merges_done, progress.merges_total)
        case "publishing":
            return _MERGED
        case _:
            return 0.0


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _scan_seconds(job: Job, now: datetime) -> float:
    end = job.scanned_at or job.finished_at or now
    return max(0.0, (end - job.planned_at).total_seconds()) if job.planned_at else 0.0


def _timing(job: Job, now: datetime) -> dict[str, Any]:
    """Each stage lasts from its stamp to the next one; the stage under way lasts until *now*."""
    stamps = [job.created_at, job.started_at, job.planned_at, job.scanned_at, job.merged_at]
    until = job.finished_at or now
    lasted = {}
    for name, start, end in zip(("queue", "plan", "scan", "merge", "publish"), stamps, [*stamps[1:], None], strict=True):
        seconds = ((end or until) - start).total_seconds() if start else 0.0
        lasted[f"{name}_ms"] = max(0, round(seconds * 1000))
    moments = {"created_at": job.created_at, "started_at": job.started_at, "finished_at": job.finished_at, "deadline_at": job.deadline_at}
    return moments | lasted

"""The documents that the gateway answers with; `now` is passed in, and every figure is derived from rows."""

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec.structs import asdict

from shared.db.jobs import Job, Progress
from shared.db.result_tables import relation_name
from shared.db.uploads import Upload
from shared.db.versions import Version

_MOST, _MERGING = 0.98, 0.65
"""The most that scanning has of a job, and what merging has of the rest; publishing has the rest of that."""


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
        "relation": relation_name(
            version.tenant, version.name if version.current else None, version.relation
        ),
        "rows": version.rows,
        "digest": version.digest,
        "columns": columns_document(version.columns),
        "job_id": version.job_id,
        "published_at": version.published_at,
        "links": {
            "self": f"/v1/results/{version.name}",
            "rows": f"/v1/results/{version.name}/rows",
            "job": f"/v1/jobs/{version.job_id}",
        },
    }


def columns_document(columns: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"name": column["name"], "type": column["type"]} for column in columns]


def job_document(job: Job, progress: Progress, now: datetime, *, current: bool) -> dict[str, Any]:
    """*current*: whether the job's version is the one that its name shows."""
    return {
        "id": job.id,
        "state": job.state,
        "phase": "done" if job.state == "succeeded" else job.phase,
        "done": job.done,
        "revision": job.revision,
        "progress": _progress(job, progress, now),
        "timing": _timing(job, now),
        "schema": [{"name": c.name, "type": c.type} for c in job.plan.schema] if job.plan else None,
        "warnings": [asdict(warned) for warned in job.plan.warnings] if job.plan else [],
        "result": {**job.result, "current": current} if job.result else None,
        "error": job.error,
        "labels": job.labels,
        "spec": job.spec,
        "links": {"self": f"/v1/jobs/{job.id}"}
        | {link: f"/v1/jobs/{job.id}/{link}" for link in ("rows", "receipt", "cancel")},
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
    stage = _stage(job, progress)
    return {
        "fraction": round(stage.fraction, 4),
        "chunks": {
            "total": progress.chunks_total,
            "done": progress.chunks_done,
            "leased": progress.chunks_leased,
            "failed": progress.chunks_failed,
        },
        "rows": {name: count for name, count in asdict(progress.rows).items() if name != "aggregated"},
        "bytes": {"total": progress.bytes_total, "done": progress.bytes_done},
        "rows_per_second": int(progress.rows.read / seconds) if seconds > 0 else None,
        "eta_seconds": _seconds_left(job, stage, now) if job.state == "running" else None,
    }


@dataclass(frozen=True, slots=True)
class _Stage:
    """A phase as part of a job: what fraction lies before it, how much it has, which share of that is done, and since when it lasts."""

    before: float
    width: float
    share: float
    since: datetime | None

    @property
    def fraction(self) -> float:
        return self.before + self.width * self.share


def _stage(job: Job, progress: Progress) -> _Stage:
    """The fraction is 1 only when the job succeeded, and falls only when it begins anew.

    What merging and publishing will cost is known of a chunk when it is done: by its states. So each chunk
    adds the share that scanning has of its own cost, and nothing that is found later takes it away again.
    """
    if job.state == "succeeded":
        return _Stage(1.0, 0.0, 0.0, None)
    scanned = _MOST * _share(progress.bytes_weighed, progress.bytes_total)
    merging = _MERGING * (1 - scanned)
    match job.phase:
        case "scanning":
            return _Stage(0.0, scanned, 1.0, job.planned_at)
        case "merging":
            return _Stage(
                scanned, merging, _share(progress.merges_done, progress.merges_total), job.scanned_at
            )
        case "publishing":
            return _Stage(scanned + merging, 1 - scanned - merging, 0.0, job.merged_at)
        case _:
            return _Stage(0.0, 0.0, 0.0, None)


def _seconds_left(job: Job, stage: _Stage, now: datetime) -> int | None:
    """By the pace of the phase, or while nothing of it is done by that of all before it.

    None while neither is known.

    A phase that lasts longer than that is thought to last half as long again.
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


def _timing(job: Job, now: datetime) -> dict[str, Any]:
    """Each stage lasts from its stamp to the next one; the stage under way lasts until *now*."""
    stamps = [job.created_at, job.started_at, job.planned_at, job.scanned_at, job.merged_at]
    until = job.finished_at or now
    lasted = {}
    for name, start, end in zip(
        ("queue", "plan", "scan", "merge", "publish"), stamps, [*stamps[1:], None], strict=True
    ):
        seconds = ((end or until) - start).total_seconds() if start else 0.0
        lasted[f"{name}_ms"] = max(0, round(seconds * 1000))
    moments = {
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "deadline_at": job.deadline_at,
    }
    return moments | lasted

"""The job document's derived figures, with the time passed in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from api_service.wire.documents import etag, job_document, job_summary, result_document
from shared.db.jobs import Job, Progress
from shared.db.versions import Version

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


QUEUED = Job(
    id="job_1",
    tenant="default",
    state="queued",
    phase="planning",
    revision=1,
    spec={"a": 1},
    spec_digest="sha256:0",
    labels={},
    result_name=None,
    version=None,
    plan=None,
    error=None,
    result=None,
    created_at=START,
    deadline_at=None,
    started_at=None,
    planned_at=None,
    scanned_at=None,
    merged_at=None,
    finished_at=None,
)
PLAN = {"schema": [{"name": "k", "type": "string", "declared": False}]}
SCANNING = replace(QUEUED, state="running", phase="scanning", started_at=at(1), planned_at=at(3), plan=PLAN)
MERGING = replace(SCANNING, phase="merging", scanned_at=at(13))
SUCCEEDED = replace(MERGING, state="succeeded", phase="publishing", merged_at=at(14), finished_at=at(14.25), result={"rows": 3})
HALF = Progress(chunks_total=4, chunks_done=2, chunks_leased=1, rows_read=1000, rows_dropped=7, bytes_total=400, bytes_done=200)


def shown(job: Job, progress: Progress, seconds: float) -> dict:
    return job_document(job, progress, at(seconds), current=True)


def test_a_scanning_job_tells_its_rate_and_when_it_may_end():
    progress = shown(SCANNING, HALF, 8)["progress"]

    assert progress == {
        "fraction": 0.45,
        "chunks": {"total": 4, "done": 2, "leased": 1, "failed": 0},
        "rows": {"read": 1000, "filtered": 0, "dropped_null_key": 7, "quarantined": 0, "skipped": 0},
        "bytes": {"total": 400, "done": 200},
        "rows_per_second": 200,
        "eta_seconds": 5,
    }


def test_each_stage_lasts_to_the_next_stamp_and_the_stage_under_way_to_now():
    def stages(job: Job, seconds: float) -> list[int]:
        timing = shown(job, HALF, seconds)["timing"]
        return [timing[f"{name}_ms"] for name in ("queue", "plan", "scan", "merge", "publish")]

    assert stages(QUEUED, 0.5) == [500, 0, 0, 0, 0]
    assert stages(SCANNING, 8) == [1000, 2000, 5000, 0, 0]
    assert stages(MERGING, 13.5) == [1000, 2000, 10000, 500, 0]
    assert stages(SUCCEEDED, 99) == [1000, 2000, 10000, 1000, 250]
    assert stages(replace(SCANNING, state="cancelled", finished_at=at(4)), 99) == [1000, 2000, 1000, 0, 0]


def test_the_fraction_never_falls_and_is_one_only_at_success():
    done = replace(HALF, bytes_done=400)
    steps = [
        (QUEUED, Progress()),
        (SCANNING, Progress(bytes_total=400)),
        (SCANNING, HALF),
        (SCANNING, done),
        (MERGING, replace(done, merges_total=2)),
        (MERGING, replace(done, merges_total=2, merges_done=1)),
        (replace(MERGING, phase="publishing"), done),
    ]
    fractions = [shown(job, progress, 8)["progress"]["fraction"] for job, progress in steps]

    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] < 1
    assert shown(SUCCEEDED, done, 20)["progress"]["fraction"] == 1
    assert shown(replace(SUCCEEDED, state="failed"), done, 20)["progress"]["fraction"] < 1


def test_a_clock_behind_postgres_makes_no_negative_figures():
    document = shown(replace(SCANNING, created_at=at(5), started_at=at(6), planned_at=at(7)), HALF, 2)

    assert all(value >= 0 for key, value in document["timing"].items() if key.endswith("_ms"))
    assert document["progress"]["rows_per_second"] is None


def test_a_list_shows_jobs_without_spec_and_schema():
    whole, listed = shown(SUCCEEDED, HALF, 20), job_summary(SUCCEEDED, HALF, at(20), current=True)

    assert set(whole) - set(listed) == {"spec", "schema", "warnings"}
    assert whole["schema"] == [{"name": "k", "type": "string"}]
    assert whole["result"] == {"rows": 3, "current": True}


def test_the_tag_changes_with_what_happens_and_not_with_time():
    tags = {
        etag(SCANNING, HALF, current=False),
        etag(replace(SCANNING, revision=2), HALF, current=False),
        etag(SCANNING, replace(HALF, rows_read=1001), current=False),
        etag(SCANNING, HALF, current=True),
    }

    assert len(tags) == 4
    assert etag(SCANNING, HALF, current=False) in tags
    assert all(tag.startswith('W/"') and tag.endswith('"') for tag in tags)


def test_a_superseded_version_is_named_by_its_own_table():
    version = Version(
        job_id="job_1",
        tenant="default",
        name="sales",
        version=1,
        relation="job_1",
        rows=1,
        digest="sha256:0",
        columns=[{"name": "k", "type": "string"}],
        key_columns=1,
        published_at=START,
        current=True,
    )

    assert result_document(version)["relation"] == "results.sales"
    assert result_document(replace(version, current=False))["relation"] == "gristmill_results.job_1"

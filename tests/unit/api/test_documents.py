"""The job document's derived figures, with the time passed in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_service.wire import progress as progress_of
from api_service.wire.documents import etag, job_document, job_summary, result_document
from api_service.wire.links import Links
from shared.core.entities import Job, Kept, Progress, Version
from shared.core.lifecycle import JobState
from shared.core.plan import Plan, PlannedColumn
from shared.core.row_counts import RowCounts

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
    priority=5,
    expires=None,
    deadline_at=None,
    started_at=None,
    planned_at=None,
    scanned_at=None,
    merged_at=None,
    finished_at=None,
)
PLAN = Plan(files=(), schema=(PlannedColumn("k", "string"),), bytes=0)
SCANNING = replace(QUEUED, state="running", phase="scanning", started_at=at(1), planned_at=at(3), plan=PLAN)
MERGING = replace(SCANNING, phase="merging", scanned_at=at(13))
SUCCEEDED = replace(
    MERGING,
    state="succeeded",
    phase="publishing",
    merged_at=at(14),
    finished_at=at(14.25),
    result={"rows": 3},
)
HALF = Progress(
    chunks_total=4,
    chunks_done=2,
    chunk_commits=2,
    chunks_leased=1,
    rows=RowCounts(read=1000, aggregated=993, dropped_null_key=7),
    bytes_total=400,
    bytes_done=200,
    bytes_weighed=200,
)


def shown(job: Job, progress: Progress, seconds: float) -> dict:
    return sent(job_document(job, progress, at(seconds), Links(), Kept.CURRENT))


def sent(document: msgspec.Struct) -> dict:
    return msgspec.json.decode(msgspec.json.encode(document))


def test_a_scanning_job_tells_its_rate_and_when_it_may_end():
    progress = shown(SCANNING, HALF, 8)["progress"]

    assert progress == {
        "fraction": 0.495,
        "chunks": {"total": 4, "done": 2, "leased": 1, "failed": 0},
        "rows": {"read": 1000, "filtered": 0, "dropped_null_key": 7, "quarantined": 0, "skipped": 0},
        "bytes": {"total": 400, "done": 200},
        "rows_per_second": 200,
        "eta_seconds": 6,
        "eta_range": [2, 13],
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


PUBLISHING = replace(MERGING, phase="publishing", merged_at=at(25))
FEW = Progress(
    chunks_total=4,
    chunks_done=4,
    chunk_commits=4,
    bytes_total=400,
    bytes_done=400,
    bytes_weighed=400,
    merges_total=2,
)
MANY = replace(FEW, bytes_weighed=100)

STAGES = [
    # job, progress, seconds since submit; fraction, seconds left, their range
    (QUEUED, Progress(), 0.5, 0.0, None, None),
    (replace(QUEUED, state="running", started_at=at(1)), Progress(), 1, 0.0, None, None),
    (replace(QUEUED, state="running", started_at=at(1)), Progress(), 1.05, 0.004, None, None),
    (SCANNING, Progress(bytes_total=10**9), 4, 0.01, 49, (4, 490)),  # by the bytes
    (
        SCANNING,
        replace(FEW, chunks_done=2, chunk_commits=2, bytes_weighed=200),
        8,
        0.495,
        6,
        (2, 13),
    ),  # 5 s for 0.485
    (
        SCANNING,
        replace(FEW, chunks_done=2, chunk_commits=1, bytes_weighed=200),
        8,
        0.495,
        6,
        (1, 16),
    ),  # a fold
    (SCANNING, replace(FEW, chunks_done=1, chunk_commits=1, bytes_weighed=50), 8, 0.1313, 36, (11, 108)),
    (SCANNING, FEW, 13, 0.98, 1, (0, 1)),
    (MERGING, FEW, 13, 0.98, 1, (0, 1)),
    (MERGING, MANY, 13, 0.2525, 30, (9, 89)),  # 10 s for 0.2525, so 29.6 for the rest
    (MERGING, MANY, 20, 0.3939, 23, (7, 68)),  # 9.6 s are expected for a merge; 7 of them are 0.58 of it
    (MERGING, MANY, 99, 0.494, 43, (14, 129)),  # longer than thought
    (MERGING, replace(MANY, merges_done=1, stepped_at=at(19)), 19, 0.4954, 13, (4, 38)),  # 6 s for 0.243
    (MERGING, replace(MANY, merges_done=2, stepped_at=at(25)), 25, 0.7384, 7, (2, 16)),
    (PUBLISHING, replace(MANY, merges_done=2), 25, 0.7384, 8, (2, 24)),  # 22 s for 0.7384
    (PUBLISHING, replace(MANY, merges_done=2), 30, 0.8726, 3, (0, 9)),
    (replace(PUBLISHING, state="paused"), replace(MANY, merges_done=2), 30, 0.8726, None, None),
    (
        replace(PUBLISHING, state="failed", finished_at=at(30)),
        replace(MANY, merges_done=2),
        99,
        0.8726,
        None,
        None,
    ),
    (SUCCEEDED, replace(MANY, merges_done=2), 40, 1.0, None, None),
    (MERGING, Progress(merges_total=1), 13, 0.01, 990, (330, 2970)),  # of files without a byte
]


@pytest.mark.parametrize(("job", "progress", "seconds", "fraction", "left", "between"), STAGES)
def test_each_phase_has_its_share_by_its_cost_and_an_estimate_of_its_end(
    job, progress, seconds, fraction, left, between
):
    found = shown(job, progress, seconds)["progress"]

    assert (found["fraction"], found["eta_seconds"]) == (pytest.approx(fraction, abs=6e-5), left)
    assert found["eta_range"] == (list(between) if between else None)


SECONDS = st.floats(0.001, 1000)


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.floats(0.32, 1), SECONDS), min_size=1, max_size=20),
    st.lists(SECONDS, min_size=1, max_size=8),
    SECONDS,
    SECONDS,
)
def test_the_fraction_always_rises_and_is_one_only_at_success(chunks, merges, planned, published):
    """Chunks of any size and cost, in any order, with any time for each unit."""
    moments: list[tuple[Job, Progress, float]] = []
    now = 1.0

    def work(job: Job, progress: Progress, seconds: float) -> None:
        nonlocal now
        moments.extend((job, progress, now + seconds * part / 4) for part in range(4))
        now += seconds

    running = replace(QUEUED, state="running", started_at=at(now))
    work(running, Progress(), planned)
    scanning = replace(SCANNING, planned_at=at(now))
    left = [size for size, *_ in chunks]
    progress = Progress(bytes_total=sum(left), chunks_total=len(left), bytes_least_left=min(left))
    for size, share, seconds in chunks:
        work(scanning, progress, seconds)
        left = left[1:]
        progress = replace(
            progress,
            chunks_done=progress.chunks_done + 1,
            bytes_weighed=progress.bytes_weighed + size * share,
            bytes_least_left=min(left, default=0),
            stepped_at=at(now),
        )
    merging = replace(scanning, phase="merging", scanned_at=at(now))
    for done, seconds in enumerate(merges):
        work(merging, replace(progress, merges_total=len(merges), merges_done=done), seconds)
        progress = replace(progress, stepped_at=at(now))
    progress = replace(progress, merges_total=len(merges), merges_done=len(merges))
    work(replace(merging, phase="publishing", merged_at=at(now)), progress, published)
    fractions = [progress_of.fraction(job, counts, at(seconds)) for job, counts, seconds in moments]

    assert all(later > earlier - 1e-9 for earlier, later in pairwise(fractions))
    assert fractions[0] == 0
    assert fractions[-1] < 1
    for start in range(0, len(fractions), 4):  # within a unit, a quarter of its time makes a difference
        assert fractions[start + 3] > fractions[start]
    assert shown(SUCCEEDED, progress, now)["progress"]["fraction"] == 1


def test_a_job_that_succeeded_is_in_phase_done_and_another_in_the_one_in_which_it_ended():
    assert [
        shown(replace(SUCCEEDED, state=state), HALF, 20)["phase"]
        for state in ("succeeded", "failed", "cancelled")
    ] == [
        "done",
        "publishing",
        "publishing",
    ]
    assert job_summary(SUCCEEDED, HALF, at(20), Links(), Kept.CURRENT).phase == "done"


def test_a_clock_behind_postgres_makes_no_negative_figures():
    document = shown(replace(SCANNING, created_at=at(5), started_at=at(6), planned_at=at(7)), HALF, 2)

    assert all(value >= 0 for key, value in document["timing"].items() if key.endswith("_ms"))
    assert document["progress"]["rows_per_second"] is None


def test_a_job_is_sent_with_its_fields_in_this_order():
    document = shown(SUCCEEDED, HALF, 20)

    assert list(document) == [
        *(
            "id",
            "state",
            "phase",
            "waiting_for",
            "done",
            "revision",
            "progress",
            "timing",
            "schema",
            "delimiter",
            "warnings",
        ),
        *("result", "error", "priority", "labels", "spec", "links"),
    ]
    assert list(document["progress"]) == [
        *("fraction", "chunks", "rows", "bytes", "rows_per_second", "eta_seconds", "eta_range"),
    ]
    assert list(document["timing"]) == [
        *("created_at", "started_at", "finished_at", "deadline_at"),
        *("queue_ms", "plan_ms", "scan_ms", "merge_ms", "publish_ms"),
    ]


@pytest.mark.parametrize(
    ("state", "limit"),
    [
        *((state, "running_jobs") for state in (JobState.QUEUED, JobState.RUNNING)),
        *((state, None) for state in JobState if state not in {JobState.QUEUED, JobState.RUNNING}),
    ],
)
def test_a_job_says_for_which_limit_it_waits_as_long_as_units_of_it_would_be_leased(state, limit):
    assert shown(replace(SUCCEEDED, state=state, waits=True), HALF, 20)["waiting_for"] == limit
    assert shown(replace(SUCCEEDED, state=state), HALF, 20)["waiting_for"] is None


def test_a_list_shows_jobs_without_spec_and_schema():
    whole = shown(SUCCEEDED, HALF, 20)
    listed = sent(job_summary(SUCCEEDED, HALF, at(20), Links(), Kept.CURRENT))

    assert set(whole) - set(listed) == {"spec", "schema", "delimiter", "warnings"}
    assert whole["schema"] == [{"name": "k", "type": "string"}]
    assert whole["result"] == {"rows": 3, "current": True, "deleted": False, "expires_at": None}


def test_the_tag_changes_with_what_happens_and_not_with_time():
    tags = {
        etag(SCANNING, HALF, None),
        etag(replace(SCANNING, revision=2), HALF, None),
        etag(SCANNING, replace(HALF, rows=RowCounts(read=1001)), None),
        etag(SCANNING, HALF, Kept.CURRENT),
        etag(SCANNING, HALF, Kept.DELETED),
    }

    assert len(tags) == 5
    assert etag(SCANNING, HALF, None) in tags
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
        expires_at=None,
        current=True,
    )

    assert result_document(version, Links()).relation == "results.sales"
    assert result_document(replace(version, current=False), Links()).relation == "gristmill_results.job_1"

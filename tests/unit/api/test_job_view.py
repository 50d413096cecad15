"""The parts of a job's page."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from api_service.dashboard import job_view
from api_service.dashboard.job_filters import fields_of, filters_of, kept_of
from api_service.wire.documents import job_document
from api_service.wire.links import Links
from shared.core.entities import Progress
from shared.core.lifecycle import JobState, Phase
from shared.core.strip import MOST_CELLS, Cell, chunks_per_cell
from shared.errors import Category
from tests.unit.api.test_documents import QUEUED

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def cell(first: int, last: int, **changes) -> Cell:
    nothing = dict.fromkeys(("done", "leased", "failed", "cancelled", "attempt"), 0)
    return Cell(first=first, last=last, **({"worker": None, "ran": None} | nothing | changes))


@pytest.mark.parametrize("chunks", [*range(1, 30), 999, 1000, 1001, 2000, 2001, 5001, 100_000, 123_456_789])
def test_a_strip_has_room_for_any_number_of_chunks_and_wastes_little(chunks):
    per = chunks_per_cell(chunks)
    assert chunks <= per * MOST_CELLS
    assert per == 1 or chunks > per * MOST_CELLS / 2.5


def test_the_state_of_a_cell_is_the_one_to_look_at_first():
    whole = {"done": 10, "leased": 0, "failed": 0, "cancelled": 0}
    assert job_view.cell_state(cell(0, 9, **whole)) == "done"
    assert job_view.cell_state(cell(0, 9, **whole | {"done": 9})) == "partly"
    assert job_view.cell_state(cell(0, 9, **whole | {"done": 9, "leased": 1})) == "leased"
    assert job_view.cell_state(cell(0, 9, **whole | {"done": 0, "leased": 9, "failed": 1})) == "failed"
    assert job_view.cell_state(cell(0, 9, **whole | {"done": 0, "cancelled": 10})) == "cancelled"
    assert job_view.cell_state(cell(0, 9)) == "pending"


def test_a_cell_tells_its_state_attempt_worker_and_time():
    one = cell(7, 7, done=1, attempt=2, worker="wrk_0123456789ab", ran=timedelta(milliseconds=120))
    assert job_view.cell_text(one) == "chunk 7: done, attempt 2, …456789ab, 120 ms"
    assert job_view.cell_text(cell(1000, 1009, done=9, failed=1)) == "chunks 1,000–1,009, 9 done, 1 failed"
    assert job_view.cell_text(cell(3, 3)) == "chunk 3: pending"


def test_the_phases_fill_the_bar():
    stamps = {
        "created_at": NOW,
        "started_at": NOW + timedelta(seconds=1),
        "planned_at": NOW + timedelta(seconds=2),
        "scanned_at": NOW + timedelta(seconds=8),
        "merged_at": NOW + timedelta(seconds=9),
        "finished_at": NOW + timedelta(seconds=10),
    }
    document = job_document(
        replace(QUEUED, state=JobState.SUCCEEDED, **stamps), Progress(), NOW, Links(), None
    )
    found = job_view.phases(document)
    assert [each.name for each in found] == ["queued", *Phase]
    assert [each.ms for each in found] == [1000, 1000, 6000, 1000, 1000]
    assert [each.width for each in found] == [100, 100, 600, 100, 100]
    assert not any(each.now for each in found)


def test_the_buttons_are_those_that_the_state_allows():
    allowed = {
        state: job_view.changes(job_document(replace(QUEUED, state=state), Progress(), NOW, Links(), None))
        for state in JobState
    }
    assert allowed == {
        "queued": ["cancel", "pause"],
        "running": ["cancel", "pause"],
        "paused": ["cancel", "resume"],
        "cancelling": [],
        "succeeded": [],
        "failed": ["retry"],
        "cancelled": ["retry"],
    }


def test_each_category_of_problems_has_a_next_step():
    told = [
        job_view.cure({"code": code, "category": category, "retryable": False, "detail": "", "errors": []})
        for category, code in itertools.product(get_args(Category), ("bad_row", "x"))
    ]
    assert len(set(told)) == 8
    assert all(told)


def test_times_of_the_form_are_utc_and_come_back_as_they_were():
    filters = filters_of([("created_after", "2026-01-31T12:00"), ("state", ""), ("after", "job_x")])
    assert dict(filters) == {"created_after": "2026-01-31T12:00:00Z"}
    assert fields_of(filters)["created_after"] == "2026-01-31T12:00"


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-01-31T12:00:00+01:00", "2026-01-31T11:00"),
        ("2026-01-31T12:00:00 01:00", "2026-01-31T11:00"),
        ("2026-01-31T12:00:05Z", "2026-01-31T12:00:05"),
        ("2026-01-31T12:00:00.5Z", ""),
        ("0001-01-01T00:00:00+01:00", ""),
        ("yesterday", ""),
    ],
)
def test_a_time_stands_in_its_field_in_utc_or_is_kept_beside_it(time, shown):
    filters = filters_of([("created_before", time)])
    assert fields_of(filters)["created_before"] == shown
    assert kept_of(filters) == ({} if shown else {"created_before": time})
    again = filters_of([("created_before", shown), *kept_of(filters).items()])
    assert job_filter_time(again) == job_filter_time(filters)


def job_filter_time(filters) -> datetime | str:
    try:
        return datetime.fromisoformat(filters["created_before"].replace(" ", "+"))
    except ValueError:
        return filters["created_before"]


def test_a_time_that_is_written_counts_before_the_one_that_was_kept():
    sent = [("created_after", "2026-01-31T12:00:05"), ("created_after", "2026-01-31T12:00:00.5Z")]
    assert filters_of(sent).getall("created_after") == ["2026-01-31T12:00:05Z"]

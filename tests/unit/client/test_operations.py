"""Requests that have the words of their methods in a query or in a body."""

from datetime import UTC, datetime

import httpx2
import pytest

from gristmill import JobFailed, Unreachable
from gristmill.client.operations import body_filter, change_many, plan, request
from tests.support.steps import answer, played

LOST = httpx2.ReadError("reset")
PLAN = {"id": "plan_1", "state": "running", "done": False, "waiting_for": None, "error": None}


def test_the_filters_of_a_list_become_those_of_a_body():
    since = datetime(2026, 1, 31, 12, tzinfo=UTC)
    filters = {"state": "queued", "label": ["team:growth", "run:a:b"], "created_after": since, "name": None}

    assert body_filter(filters) == {
        "state": "queued",
        "labels": {"team": "growth", "run": "a:b"},
        "created_after": "2026-01-31T12:00:00+00:00",
    }
    assert body_filter({}) == {}


def test_a_label_without_a_value_is_refused():
    with pytest.raises(ValueError, match=r"label='team': write KEY:VALUE, such as 'team:growth'"):
        body_filter({"label": "team"})


def test_a_change_of_many_jobs_is_sent_once():
    made = played(change_many("cancel", 2, {"name": "sales"}), answer(changed=2, items=[]))

    assert made.value == {"changed": 2, "items": []}
    assert made.steps[0].request.json == {"filter": {"name": "sales"}, "expected": 2}
    with pytest.raises(Unreachable):
        played(change_many("cancel", 2, {}), LOST)


@pytest.mark.parametrize(
    ("method", "headers", "again"),
    [
        ("get", None, True),
        ("DELETE", None, True),
        ("POST", None, False),
        ("patch", None, False),
        ("POST", {"idempotency-key": "k"}, True),
    ],
)
def test_any_request_is_sent_again_where_twice_is_as_once(method, headers, again):
    steps = request(method, "/v1/x", {"kind": ["a", "b"], "limit": 5, "no": None}, {"a": 1}, headers)
    if not again:
        with pytest.raises(Unreachable):
            played(steps, LOST)
        return
    asked = played(steps, LOST, answer(ok=True))

    assert asked.value.json() == {"ok": True}
    assert asked.steps[0].request.query == [("kind", "a"), ("kind", "b"), ("limit", "5")]
    assert asked.steps[0].request.method == method.upper()


def test_the_bar_of_a_dry_run_ends_with_it():
    seen = []
    done = PLAN | {"state": "succeeded", "done": True}
    assert played(plan(["file:///a.csv"], {}, seen.append), answer(**PLAN), answer(**done)).value == done
    assert [(moment.fraction, moment.done) for moment in seen] == [(None, False), (1.0, True)]


def test_a_dry_run_that_fails_ends_its_bar_where_it_is():
    seen = []
    error = {"code": "source_empty", "category": "data", "retryable": False, "detail": "empty", "errors": []}
    failed = PLAN | {"state": "failed", "done": True, "error": error}
    with pytest.raises(JobFailed):
        played(plan(["file:///a.csv"], {}, seen.append), answer(**PLAN), answer(**failed))
    assert (seen[-1].fraction, seen[-1].done, seen[-1].note) == (None, True, "failed")


def test_a_dry_run_that_is_done_at_once_has_no_bar():
    seen = []
    played(plan(["file:///a.csv"], {}, seen.append), answer(**PLAN | {"state": "succeeded", "done": True}))
    assert seen == []

"""Which failures make a request be sent again, after how long, and the exceptions of the others."""

import logging
import re

import httpx2
import pytest

from gristmill import (
    Busy,
    Conflict,
    Forbidden,
    Gone,
    InvalidRequest,
    NotFound,
    ProblemError,
    ServiceError,
    Unauthorized,
    Unreachable,
)
from gristmill.client.asking import FIRST_PAUSE, LONGEST_PAUSE, RETRIES, ask, pause
from gristmill.client.steps import Request
from tests.support.steps import answer, played

READ = Request(method="GET", path="/v1/jobs")
UNSAFE = Request(method="POST", path="/v1/keys", safe=False)
REFUSED, LOST = httpx2.ConnectError("refused"), httpx2.ReadError("reset")
PROBLEM = {
    "title": "Invalid spec", "detail": "bad", "code": "invalid_spec", "category": "user", "retryable": False,
    "request_id": "req_1", "errors": [{"pointer": "#/where", "detail": "no such column"}],
}  # fmt: skip


@pytest.mark.parametrize("failure", [REFUSED, LOST, answer(503), answer(502, content=b"<html>"), answer(429)])
def test_a_safe_request_is_sent_again(failure):
    asked = played(ask(READ), failure, answer(200, id=1))

    assert asked.value.json() == {"id": 1}
    assert [step.request for step in asked.steps] == [READ, READ]
    assert FIRST_PAUSE / 2 <= asked.pauses[0] <= FIRST_PAUSE


@pytest.mark.parametrize(("failure", "raised"), [(LOST, Unreachable), (answer(503), ServiceError)])
def test_one_that_is_not_safe_is_sent_once(failure, raised):
    with pytest.raises(raised):
        played(ask(UNSAFE), failure)


def test_one_that_was_never_sent_is_always_sent_again():
    assert played(ask(UNSAFE), REFUSED, answer(201)).value.status_code == 201


def test_retry_after_is_obeyed():
    assert played(ask(READ), answer(429, headers={"Retry-After": "7"}), answer()).pauses == [7.0]


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"Retry-After": "3600"}, PROBLEM | {"code": "scan_limit_exceeded", "retryable": True}),
        ({}, PROBLEM | {"code": "upload_limit_exceeded", "retryable": False}),
    ],
)
def test_a_limit_that_a_short_wait_does_not_help_with_is_raised_at_once(headers, problem):
    with pytest.raises(Busy) as raised:
        played(ask(READ), answer(429, headers=headers, **problem))

    assert raised.value.code == problem["code"]


def test_a_limit_that_passes_is_waited_for():
    problem = PROBLEM | {"code": "too_many_jobs", "retryable": True}

    assert played(ask(READ), answer(429, headers={"Retry-After": "5"}, **problem), answer()).pauses == [5.0]


def test_a_long_pause_is_told_with_its_cause_and_a_short_one_is_not(caplog):
    caplog.set_level(logging.WARNING, "gristmill")
    problem = PROBLEM | {
        "code": "too_many_jobs",
        "detail": "9 jobs are queued",
        "retryable": True,
        "errors": [],
    }
    played(ask(READ), answer(429, headers={"Retry-After": "5"}, **problem), answer())
    played(ask(READ), *[LOST] * RETRIES, answer())

    first, *others = caplog.messages
    assert first == "429 too_many_jobs: 9 jobs are queued. Trying again in 5 s (1 of 4)"
    assert all(line.startswith("GET /v1/jobs: reset. Is the service there?") for line in others)
    assert re.search(r"Trying again in [12] s \(4 of 4\)$", others[-1])
    assert len(others) < RETRIES
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_in_the_end_it_gives_up_and_says_how_to_reach_the_service():
    with pytest.raises(Unreachable, match=r"GET /v1/jobs: refused. .*`gristmill standalone` starts one"):
        played(ask(READ), *[REFUSED] * (RETRIES + 1))


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
def test_an_answer_that_stays_the_same_is_not_asked_for_again(status):
    with pytest.raises(ProblemError):
        played(ask(READ), answer(status))


def test_a_deletion_whose_answer_was_lost_may_find_nothing():
    delete = Request(method="DELETE", path="/v1/jobs/job_1")

    assert played(ask(delete), LOST, answer(404)).value.status_code == 404
    with pytest.raises(NotFound):
        played(ask(delete), answer(404))


def test_pauses_grow_and_stay_within_a_bound():
    assert [round(max(pause(n) for _ in range(500)), 1) for n in (0, 1, 2)] == pytest.approx(
        [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE], rel=0.3
    )
    assert all(LONGEST_PAUSE / 2 <= pause(99) <= LONGEST_PAUSE for _ in range(100))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest), (401, Unauthorized), (403, Forbidden), (404, NotFound), (405, ProblemError),
        (409, Conflict), (410, Gone), (412, Conflict), (413, InvalidRequest), (415, InvalidRequest),
        (422, InvalidRequest), (423, Conflict), (429, Busy), (460, ProblemError), (500, ServiceError),
        (503, ServiceError),
    ],
)  # fmt: skip
def test_each_status_has_its_exception(status, kind):
    with pytest.raises(ProblemError) as raised:
        played(ask(UNSAFE), answer(status, **PROBLEM))

    assert type(raised.value) is kind
    assert (raised.value.status, raised.value.code, raised.value.request_id) == (
        status,
        "invalid_spec",
        "req_1",
    )
    assert raised.value.pointers == ["#/where"]
    assert str(raised.value) == f"{status} invalid_spec: bad\n  #/where: no such column\n(request req_1)"


def test_a_detail_that_names_the_place_is_not_said_twice():
    told = PROBLEM | {"detail": "#/where: no such column"}
    with pytest.raises(InvalidRequest) as raised:
        played(ask(READ), answer(422, **told))

    assert str(raised.value) == "422 invalid_spec: #/where: no such column\n(request req_1)"


def test_the_text_of_a_proxy_becomes_the_detail():
    with pytest.raises(ProblemError) as raised:
        played(ask(READ), answer(405, content=b"<h1>no</h1>", headers={"X-Request-Id": "r"}))

    assert str(raised.value) == "405 Method Not Allowed: <h1>no</h1>\n(request r)"

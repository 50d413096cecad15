"""A watcher takes events, reads again where there are none, outlives an outage, and keeps its deadline."""

import json

import httpx2
import pytest

from gristmill import NotFound, Unreachable
from gristmill.client.asking import RETRIES
from gristmill.client.steps import NextEvent, Open, Send
from gristmill.client.watching import OUTAGE_SECONDS, follow
from tests.support.steps import Played, answer, played

STREAM = answer(headers={"Content-Type": "text/event-stream"}, content=b"")
END = None


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def job(state: str = "running", **changes) -> dict:
    return {"id": "job_1", "state": state, "done": state in {"succeeded", "failed", "cancelled"}} | changes


def event(name: str, data) -> httpx2.ServerSentEvent:
    return httpx2.ServerSentEvent(event=name, data=json.dumps(data))


def names(watch) -> list[str]:
    return [each["name"] for each in watch.emitted]


def test_events_are_merged_into_the_job():
    warning = {"code": "empty_file", "detail": "…"}
    watch = played(
        follow("job_1"),
        STREAM,
        httpx2.ServerSentEvent(event="message", retry=2000),
        event("state", job(progress=0)),
        event("progress", {"id": "job_1", "progress": 1}),
        event("warning", warning),
        event("done", job("succeeded")),
    )

    assert names(watch) == ["state", "progress", "warning", "done"]
    assert [each["data"] for each in watch.emitted[1:3]] == [job(progress=1), warning]
    assert watch.value == job("succeeded")


@pytest.mark.parametrize("broken", [END, httpx2.ReadError("reset"), httpx2.RemoteProtocolError("cut")])
def test_a_stream_that_ends_before_the_job_is_opened_again(broken):
    watch = played(
        follow("job_1"), STREAM, event("state", job()), broken, STREAM, event("done", job("failed"))
    )

    assert watch.value == job("failed")
    assert len(watch.pauses) == 1


@pytest.mark.parametrize("silence", [END, httpx2.ReadTimeout("")])
def test_where_no_events_come_through_the_job_is_read_again(silence):
    watch = played(follow("job_1"), STREAM, silence, answer(**job()), answer(**job("succeeded")))

    assert [type(step) for step in watch.steps] == [Open, NextEvent, Send, Send]
    assert [step.request.headers.get("Prefer") for step in watch.steps[2:]] == [None, "wait=2"]
    assert names(watch) == ["state", "done"]


def test_a_proxy_that_answers_with_a_page_has_no_events():
    page = answer(headers={"Content-Type": "text/html"}, content=b"<html>")

    assert played(follow("job_1"), page, answer(**job("cancelled"))).value == job("cancelled")


def test_an_outage_is_waited_for():
    clock = Clock()
    away = [httpx2.ConnectError("refused")] * 3 * (RETRIES + 1)
    watch = played(
        follow("job_1", None, clock), *away, STREAM, event("done", job("succeeded")), slept=clock.sleep
    )

    assert watch.value == job("succeeded")


def test_a_service_that_stays_away_is_given_up():
    clock = Clock()
    away = [httpx2.ConnectError("refused")] * 1000
    with pytest.raises(Unreachable):
        played(follow("job_1", None, clock), *away, slept=clock.sleep)

    assert OUTAGE_SECONDS < clock.now - 100 < OUTAGE_SECONDS + 60


def test_a_job_that_is_gone_ends_the_watch():
    with pytest.raises(NotFound):
        played(follow("job_1"), STREAM, event("state", job()), END, answer(404))


def test_with_little_time_the_job_is_read_until_the_end_of_it():
    clock = Clock()
    watch = played(follow("job_1", 0.5, clock), answer(**job()), answer(**job()), slept=clock.sleep)

    assert watch.value == job()
    assert sum(watch.pauses) == pytest.approx(0.5)


def test_no_time_is_one_look():
    assert played(follow("job_1", 0.0, Clock()), answer(**job())).value == job()


def test_a_long_watch_ends_with_its_last_stretch():
    clock = Clock()

    def late():
        yield STREAM
        yield event("state", job())
        clock.now += 56
        yield event("progress", {"progress": 1})
        while True:
            clock.now += 2
            yield answer(**job())

    assert Played(follow("job_1", 75.0, clock), late(), clock.sleep).value == job()

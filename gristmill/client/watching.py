"""Following a job to its end: by its events, or by reading it again where no stream gets through."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx2

from gristmill.client.asking import PASSING, ask, opened, pause
from gristmill.client.documents import JobDocument
from gristmill.client.errors import ProblemError, Unreachable
from gristmill.client.steps import Emit, NextEvent, Request, Sleep, Steps

SILENCE_SECONDS = 35.0
"""A stream sends at least a comment every 15 seconds. After this long a proxy holds it back."""
LAST_STRETCH = 20.0
"""With less time left the job is read again and again: a silent stream cannot keep a deadline."""
LONGEST_WAIT = 2
"""Seconds that a reading waits for a change: progress is to move where there are no events."""
OUTAGE_SECONDS = 300.0
"""How long the service may be away before a watcher gives up."""
MOST_PATIENT = 2
"""Pauses of an outage grow no more from this failure on: the job may be done when the service is back."""
EVENTS = ("state", "progress", "warning", "done")
Clock = Callable[[], float]


class _NoStream(Exception):  # it is caught at once
    """No events come through."""


def follow(job_id: str, seconds: float | None = None, clock: Clock = time.monotonic) -> Steps[JobDocument]:
    """Emit an Event for each change, and return the job: done, or as it is after *seconds*.

    A service that goes away meanwhile is waited for. Raises Unreachable when it stays away for five minutes.
    """
    path = f"/v1/jobs/{job_id}"
    end = None if seconds is None else clock() + seconds
    seen: JobDocument | None = None
    streams, failures, away_since = True, 0, clock()
    while True:
        left = None if end is None else end - clock()
        try:
            if streams and (left is None or left > LAST_STRETCH):
                seen = yield from _streamed(path, end, clock)
                if not seen["done"]:  # the service may be stopping
                    yield Sleep(pause(0))
            else:
                seen = yield from _read_again(path, left, seen)
            failures, away_since = 0, clock()
        except (_NoStream, httpx2.ReadTimeout):
            streams = False
        except (Unreachable, ProblemError, httpx2.TransportError) as error:
            if isinstance(error, ProblemError) and error.status not in PASSING:
                raise
            if clock() - away_since > OUTAGE_SECONDS or (end is not None and clock() >= end):
                raise
            failures += 1
            yield Sleep(pause(min(failures, MOST_PATIENT)))
        if seen is not None and (seen["done"] or (end is not None and clock() >= end)):
            return seen


def _streamed(path: str, end: float | None, clock: Clock) -> Steps[JobDocument]:
    """The newest job of a stream that ended, or whose last stretch has come."""
    answer = yield from opened(
        Request(
            method="GET",
            path=f"{path}/events",
            headers={"Accept": "text/event-stream", "Cache-Control": "no-store"},
            read_seconds=SILENCE_SECONDS,
        )
    )
    if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
        raise _NoStream
    seen: Any = None
    while (event := (yield NextEvent())) is not None:
        if event.event not in EVENTS:  # it only sets the pause before a new connection
            continue
        data: Any = json.loads(event.data)
        if event.event != "warning":
            seen = {**seen, **data} if event.event == "progress" else data
        yield Emit({"name": event.event, "data": data if event.event == "warning" else seen})
        if event.event == "done" or (end is not None and end - clock() < LAST_STRETCH):
            break
    if seen is None:
        raise _NoStream
    document: JobDocument = seen
    return document


def _read_again(path: str, left: float | None, seen: JobDocument | None) -> Steps[JobDocument]:
    """The job: at once the first time, then as soon as its state or phase has changed or the time is over."""
    wait = 0 if seen is None else LONGEST_WAIT if left is None else max(0, min(LONGEST_WAIT, int(left)))
    if seen is not None and wait == 0:
        yield Sleep(max(0.0, left or 0.0))
    request = Request(
        method="GET",
        path=path,
        headers={"Prefer": f"wait={wait}"} if wait else {},
        read_seconds=wait + SILENCE_SECONDS,
    )
    document: JobDocument = (yield from ask(request)).json()
    if document != seen:
        yield Emit({"name": "done" if document["done"] else "state", "data": document})
    return document

"""Performs steps with an httpx2.Client."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import httpx2

from gristmill.client import progress, transport
from gristmill.client.errors import GristmillError
from gristmill.client.moments import Show
from gristmill.client.progress import Progress
from gristmill.client.steps import Emit, NextBytes, NextEvent, Open, Request, Send, Sleep, Step, Steps, Walk
from gristmill.client.sync.futures import Watcher

T = TypeVar("T")


class Driver:
    """All that the objects of one client share."""

    def __init__(self, http: httpx2.Client, shows: Progress) -> None:
        self.http = http
        self.watcher = Watcher()
        self._shows = shows

    def show(self, asked: Progress | None) -> AbstractContextManager[Show]:
        return progress.shown(self._shows if asked is None else asked)

    def run(self, steps: Steps[T]) -> T:
        """The value of the steps; emitted items are dropped."""
        walk = Walk(steps)
        for _ in self._emitted(walk):
            pass
        return walk.value

    def items(self, steps: Steps[Any]) -> Iterator[Any]:
        """The emitted items."""
        return self._emitted(Walk(steps))

    def _emitted(self, walk: Walk[Any]) -> Iterator[Any]:
        stream = _Stream()
        try:
            step = walk.next()
            while step is not None:
                if isinstance(step, Emit):
                    yield step.item
                    step = walk.next()
                    continue
                try:
                    outcome = self._perform(step, stream)
                except BaseException as error:  # noqa: BLE001  # the steps decide
                    step = walk.failed(error)
                else:
                    step = walk.next(outcome)
        except GristmillError as error:
            # Its message says all. The steps below would fill a page of a notebook.
            raise error.with_traceback(None) from error.__cause__
        finally:
            stream.close()
            walk.close()

    def _perform(self, step: Step, stream: "_Stream") -> Any:
        match step:
            case Send(request):
                return self.http.send(self._built(request))
            case Open(request):
                return stream.open(self.http.send(self._built(request), stream=True))
            case NextBytes():
                return stream.next_bytes()
            case NextEvent():
                return stream.next_event()
            case Sleep(seconds):
                time.sleep(seconds)
            case Emit():
                pass
        return None

    def _built(self, request: Request) -> httpx2.Request:
        return transport.built(self.http, request, request.blocks and _told(request))


def _told(request: Request) -> Iterator[bytes]:
    for block in request.blocks() if request.blocks else ():
        yield block
        request.sent(len(block))


class _Stream:
    """The streamed answer that is open, if there is one."""

    def __init__(self) -> None:
        self._answer: httpx2.Response | None = None
        self._parts: Iterator[Any] | None = None

    def open(self, answer: httpx2.Response) -> httpx2.Response:
        self.close()
        self._answer, self._parts = answer, None
        if answer.is_error:
            answer.read()
        return answer

    def next_bytes(self) -> bytes | None:
        assert self._answer is not None  # it was opened
        self._parts = self._parts or self._answer.iter_bytes()
        return next(self._parts, None)

    def next_event(self) -> httpx2.ServerSentEvent | None:
        assert self._answer is not None  # it was opened
        self._parts = self._parts or iter(httpx2.EventSource(self._answer))
        return next(self._parts, None)

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()

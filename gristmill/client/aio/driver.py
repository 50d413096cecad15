"""Performs steps with an httpx2.AsyncClient."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import httpx2

from gristmill.client import progress, transport
from gristmill.client.errors import GristmillError
from gristmill.client.moments import Show
from gristmill.client.progress import Progress
from gristmill.client.steps import Emit, NextBytes, NextEvent, Open, Request, Send, Sleep, Step, Steps, Walk

T = TypeVar("T")


class AsyncDriver:
    """All that the objects of one client share."""

    def __init__(self, http: httpx2.AsyncClient, shows: Progress) -> None:
        self.http = http
        self._shows = shows

    def show(self, asked: Progress | None) -> AbstractContextManager[Show]:
        return progress.shown(self._shows if asked is None else asked)

    async def run(self, steps: Steps[T]) -> T:
        """The value of the steps; emitted items are dropped."""
        walk = Walk(steps)
        async for _ in self._emitted(walk):
            pass
        return walk.value

    def items(self, steps: Steps[Any]) -> AsyncIterator[Any]:
        """The emitted items."""
        return self._emitted(Walk(steps))

    async def _emitted(self, walk: Walk[Any]) -> AsyncIterator[Any]:
        stream = _Stream()
        try:
            step = walk.next()
            while step is not None:
                if isinstance(step, Emit):
                    yield step.item
                    step = walk.next()
                    continue
                try:
                    outcome = await self._perform(step, stream)
                except BaseException as error:  # noqa: BLE001  # the steps decide
                    step = walk.failed(error)
                else:
                    step = walk.next(outcome)
        except GristmillError as error:
            # Its message says all. The steps below would fill a page of a notebook.
            raise error.with_traceback(None) from error.__cause__
        finally:
            await stream.close()
            walk.close()

    async def _perform(self, step: Step, stream: "_Stream") -> Any:
        match step:
            case Send(request):
                return await self.http.send(self._built(request))
            case Open(request):
                return await stream.open(await self.http.send(self._built(request), stream=True))
            case NextBytes():
                return await stream.next_bytes()
            case NextEvent():
                return await stream.next_event()
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case Emit():
                pass
        return None

    def _built(self, request: Request) -> httpx2.Request:
        return transport.built(self.http, request, request.blocks and _told(request))


async def _told(request: Request) -> AsyncIterator[bytes]:
    """The blocks, read in a thread: a disk may be slow."""
    blocks = request.blocks() if request.blocks else iter(())
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block
        request.sent(len(block))


class _Stream:
    """The streamed answer that is open, if there is one."""

    def __init__(self) -> None:
        self._answer: httpx2.Response | None = None
        self._parts: AsyncIterator[Any] | None = None

    async def open(self, answer: httpx2.Response) -> httpx2.Response:
        await self.close()
        self._answer, self._parts = answer, None
        if answer.is_error:
            await answer.aread()
        return answer

    async def next_bytes(self) -> bytes | None:
        assert self._answer is not None  # it was opened
        self._parts = self._parts or self._answer.aiter_bytes()
        return await anext(self._parts, None)

    async def next_event(self) -> httpx2.ServerSentEvent | None:
        assert self._answer is not None  # it was opened
        self._parts = self._parts or aiter(httpx2.EventSource(self._answer))
        return await anext(self._parts, None)

    async def close(self) -> None:
        if self._answer is not None:
            await self._answer.aclose()

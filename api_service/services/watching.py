"""Looking at jobs for everybody at once: however many ask or wait, Postgres hears one question."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from shared.errors import TransientError

Value = TypeVar("Value")
Key = tuple[str, str]
Standing = tuple[str, str]
"""State and phase."""
_TICK, _FIRST_LOOK, _LAST_LOOK, _SLOWER = 0.01, 0.01, 0.25, 1.2
"""Seconds between two looks at a job that someone waits for: short at first, because small jobs take that long."""


class Remembered(Generic[Value]):
    """Answers that are good for some seconds, or for *times* as long as it took to find them.

    A question meanwhile gets the same answer, also while it is on its way; errors are not kept.
    """

    def __init__(self, seconds: float, times: float = 0) -> None:
        self._seconds, self._times = seconds, times
        self._answers: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key, ask: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = asyncio.create_task(ask())
            answer.add_done_callback(partial(self._answered, key, time.monotonic()))
        return await asyncio.shield(answer)

    def forget(self, key: Key) -> None:
        self._answers.pop(key, None)

    def _answered(self, key: Key, asked: float, answer: asyncio.Task[Value]) -> None:
        if answer.cancelled() or answer.exception():
            self._drop(key, answer)
        else:
            good = max(self._seconds, self._times * (time.monotonic() - asked))
            asyncio.get_running_loop().call_later(good, self._drop, key, answer)

    def _drop(self, key: Key, answer: asyncio.Task[Value]) -> None:
        if self._answers.get(key) is answer:
            self.forget(key)


@dataclass(slots=True)
class _Watch:
    """A job that someone waits for: when to look at it next, and what each of those who wait has seen."""

    due: float = 0.0
    pause: float = _FIRST_LOOK
    waiting: dict["asyncio.Future[None]", Standing] = field(default_factory=dict)

    def wake(self, now: Standing | None) -> bool:
        """Those who have seen something else; all of them when nothing can be said about the job.

        False: nobody.
        """
        others = [future for future, seen in self.waiting.items() if seen != now and not future.done()]
        for future in others:
            future.set_result(None)
        return bool(others)


class LookOut:
    """Wakes those who wait for a change of a job's state or phase: one query for all jobs that are due, whoever waits for them.

    Jobs are (tenant, id); *on_move* is called before anybody is woken.
    """

    def __init__(
        self, look: Callable[[list[str]], Awaitable[dict[str, Standing]]], on_move: Callable[[Key], None]
    ) -> None:
        self._look, self._on_move = look, on_move
        self._watches: dict[Key, _Watch] = {}
        self._wanted = asyncio.Event()
        self.stopping = False

    async def moved(self, job: Key, seen: Standing, seconds: float) -> bool:
        """True as soon as the job may stand otherwise than *seen*, False after *seconds*.

        At once when the gateway stops.
        """
        if self.stopping:
            return False
        watch = self._watches.setdefault(job, _Watch(time.monotonic() + _FIRST_LOOK))
        future = asyncio.get_running_loop().create_future()
        watch.waiting[future] = seen
        self._wanted.set()
        try:
            await asyncio.wait({future}, timeout=seconds)
            return future.done()
        finally:
            del watch.waiting[future]
            if not watch.waiting:
                self._watches.pop(job, None)

    def stop(self) -> None:
        self.stopping = True
        for watch in self._watches.values():
            watch.wake(None)

    async def run(self) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            if due := {job: watch for job, watch in self._watches.items() if watch.due <= now}:
                await self._look_at(due)
            if not self._watches:
                self._wanted.clear()

    async def _look_at(self, due: dict[Key, _Watch]) -> None:
        standing: dict[str, Standing] = {}
        with suppress(TransientError):  # those who wait look for themselves, and are told
            standing = await self._look([job_id for _, job_id in due])
        for job, watch in due.items():
            if watch.wake(standing.get(job[1])):
                self._on_move(job)
            watch.pause = min(watch.pause * _SLOWER, _LAST_LOOK)
            watch.due = time.monotonic() + watch.pause

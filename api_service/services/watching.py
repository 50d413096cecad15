"""Waiting for jobs to change: one query serves all jobs and all clients that wait for them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from api_service.services.cache import Key
from shared.errors import TransientError

Standing = tuple[str, str]
"""A job's state and phase."""
_TICK, _FIRST_LOOK, _LAST_LOOK, _SLOWER = 0.01, 0.01, 0.25, 1.2
"""Seconds between two looks at a job: short at first, since a small job takes that long, then growing."""


@dataclass(slots=True)
class _Watch:
    """A job that requests wait for: when to look at it next, and the standing that each request has seen."""

    due: float = 0.0
    pause: float = _FIRST_LOOK
    waiting: dict["asyncio.Future[None]", Standing] = field(default_factory=dict)

    def wake(self, now: Standing | None) -> bool:
        """Wake the requests that have seen another standing than *now*; all of them when that is unknown.

        False when none was woken.
        """
        woken = [future for future, seen in self.waiting.items() if seen != now and not future.done()]
        for future in woken:
            future.set_result(None)
        return bool(woken)


class JobWatcher:
    """Wakes the requests that wait for a job as soon as its state or phase changes.

    Jobs are (tenant, id). *on_change* is called before a request is woken.
    """

    def __init__(
        self, look: Callable[[list[str]], Awaitable[dict[str, Standing]]], on_change: Callable[[Key], None]
    ) -> None:
        self._look, self._on_change = look, on_change
        self._watches: dict[Key, _Watch] = {}
        self._wanted = asyncio.Event()
        self.stopping = False

    async def changed(self, job: Key, seen: Standing, seconds: float) -> bool:
        """Wait until the job may stand otherwise than *seen*; False after *seconds*.

        Returns at once when the gateway stops.
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
        found: dict[str, Standing] = {}
        with suppress(TransientError):  # each request then reads the job itself, and gets the error
            found = await self._look([job_id for _, job_id in due])
        for job, watch in due.items():
            if watch.wake(found.get(job[1])):
                self._on_change(job)
            watch.pause = min(watch.pause * _SLOWER, _LAST_LOOK)
            watch.due = time.monotonic() + watch.pause

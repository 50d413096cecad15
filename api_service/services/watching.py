"""Waiting for jobs to change: one query serves all jobs and all clients that wait for them.

A request waits for another state or phase. A stream follows a job: it shares the job's feed with all other
streams. A feed is refreshed at each change of the state or phase, and every quarter of a second.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

import structlog

from api_service.services.cache import Key
from shared.errors import NotFound, TransientError
from shared.loops import wait

Standing = tuple[str, str]
"""A job's state and phase."""
TICK, _FIRST_LOOK, _LAST_LOOK, _OF_AGE = 0.005, 0.005, 0.25, 0.2
"""Seconds between two looks at a job: a fifth of the time since it changed, within these bounds.

A small job takes that long, so the looks are short at first.
"""
_TIMES = 10
"""A job's feed is refreshed at most a tenth of the time: to count 100,000 units takes its time."""
_AT_ONCE = 50
_UNWATCHED = 60.0
"""Seconds of rest while no job is watched; a new watch ends it."""
View = TypeVar("View")
log = structlog.get_logger()


def pause(age: float, least: float = _FIRST_LOOK) -> float:
    """Seconds until the next look at a job that changed *age* seconds ago."""
    return min(max(least, age * _OF_AGE), _LAST_LOOK)


class Feed(Generic[View]):
    """The newest view of a job, for all streams that follow it.

    It keeps no other: a slow stream skips some. A stream is told of each view by a plain call: to wake a task
    for each of a thousand takes thrice as long.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.ended = False
        """There will be no other view: the job is gone, or the gateway stops."""
        self._streams: dict[Callable[[], None], None] = {}

    @contextmanager
    def telling(self, stream: Callable[[], None]) -> Iterator[None]:
        """Call *stream* at each new view and at the end of the feed, until the block ends."""
        self._streams[stream] = None
        try:
            yield
        finally:
            del self._streams[stream]

    async def publish(self, view: View) -> None:
        """Other requests have their turn after each _AT_ONCE streams."""
        self.view = view
        for no, stream in enumerate(list(self._streams), 1):
            if stream in self._streams:
                stream()
            if no % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def end(self) -> None:
        self.ended = True
        for stream in list(self._streams):
            stream()


@dataclass(slots=True)
class _Watch(Generic[View]):
    """A job that requests wait for or streams follow.

    When to look at it, and the standing that each request has seen.
    """

    since: float
    due: float = 0.0
    waiting: dict["asyncio.Future[Standing | None]", Standing] = field(default_factory=dict)
    feed: Feed[View] | None = None
    streams: int = 0
    standing: Standing | None = None
    """That of the last look."""
    refreshed: float = 0.0
    """When the last refresh began. So it is due with the next look, which then asks for nothing else."""
    refreshing: asyncio.Task[None] | None = None
    again: bool = False
    """The job changed while the feed was being refreshed."""
    rest: float = _LAST_LOOK
    """Seconds between two refreshes; the job's standing alone is asked for meanwhile."""

    def wants_refresh(self, now: float) -> bool:
        return self.feed is not None and self.refreshing is None and self.refreshed + self.rest <= now

    def next_look(self, now: float) -> float:
        """When to look at the job again: with the next refresh, if that is due soon after."""
        usual = pause(now - self.since)
        refresh = self.refreshed + self.rest
        alone = self.feed is not None and not self.waiting and usual == _LAST_LOOK
        return refresh if alone and now + usual < refresh < now + 2 * usual else now + usual

    def wake(self, now: Standing | None) -> bool:
        """Wake the requests that have seen another standing than *now*; all of them when that is unknown.

        False when none was woken.
        """
        woken = [future for future, seen in self.waiting.items() if seen != now and not future.done()]
        for future in woken:
            future.set_result(now)
        return bool(woken)


class JobWatcher(Generic[View]):
    """Wakes the requests that wait for a job as soon as its state or phase changes, and refreshes feeds.

    Jobs are (tenant, id). *on_change* is called before a request is woken or a feed refreshed. *read* gives
    the view of a job for its feed; it raises NotFound for one that is gone.
    """

    def __init__(
        self,
        look: Callable[[list[str]], Awaitable[dict[str, Standing]]],
        on_change: Callable[[Key], None],
        read: Callable[[Key], Awaitable[View]],
        standing_of: Callable[[View], Standing],
    ) -> None:
        self._look, self._on_change = look, on_change
        self._read, self._standing_of = read, standing_of
        self._watches: dict[Key, _Watch[View]] = {}
        self._wanted = asyncio.Event()
        self.stopping = False

    def _watch(self, job: Key) -> _Watch[View]:
        now = time.monotonic()
        self._wanted.set()
        return self._watches.setdefault(job, _Watch(since=now, due=now + _FIRST_LOOK))

    def _leave(self, job: Key, watch: _Watch[View]) -> None:
        if not watch.waiting and not watch.streams and self._watches.get(job) is watch:
            del self._watches[job]

    async def changed(self, job: Key, seen: Standing, seconds: float) -> tuple[bool, Standing | None]:
        """Wait until the job may stand otherwise than *seen*: whether it may, and how, if that is known.

        Returns after *seconds*, and at once when the gateway stops.
        """
        if self.stopping:
            return False, None
        watch = self._watch(job)
        future: asyncio.Future[Standing | None] = asyncio.get_running_loop().create_future()
        watch.waiting[future] = seen
        try:
            await asyncio.wait({future}, timeout=seconds)
            return future.done(), future.result() if future.done() else None
        finally:
            del watch.waiting[future]
            self._leave(job, watch)

    @contextmanager
    def following(self, job: Key, view: View) -> Iterator[Feed[View]]:
        """The feed of a job, for one stream; *view* is a present one."""
        watch = self._watch(job)
        if watch.feed is None:
            watch.feed, watch.refreshed = Feed(view), time.monotonic()
            watch.standing = self._standing_of(view)
        watch.streams += 1
        if self.stopping:
            watch.feed.end()
        try:
            yield watch.feed
        finally:
            watch.streams -= 1
            if not watch.streams:
                watch.feed = None
            self._leave(job, watch)

    def stop(self) -> None:
        self.stopping = True
        for watch in self._watches.values():
            watch.wake(None)
            if watch.feed is not None:
                watch.feed.end()

    async def run(self) -> None:
        while True:
            await self._rest()
            now = time.monotonic()
            if due := {job: watch for job, watch in self._watches.items() if watch.due <= now}:
                await self._look_at(due)

    async def _rest(self) -> None:
        """Until a look is due; for a TICK at least, so that looks at many jobs are one."""
        now = time.monotonic()
        due = min((watch.due for watch in self._watches.values()), default=now + _UNWATCHED)
        if due - now > TICK:
            await wait(self._wanted, timedelta(seconds=due - now - TICK))
        self._wanted.clear()
        await asyncio.sleep(TICK)

    async def _look_at(self, due: dict[Key, _Watch[View]]) -> None:
        """A feed that is due is read, which tells the standing too: so a job is asked for once in a look."""
        began = time.monotonic()
        reads = {job for job, watch in due.items() if watch.wants_refresh(began)}
        asked = [job for job in due if job not in reads]
        found: dict[str, Standing] = {}
        with suppress(TransientError):  # each request then reads the job itself, and gets the error
            found = await self._look([job_id for _, job_id in asked]) if asked else {}
        for job in asked:
            self._stands(job, due[job], found.get(job[1]))
        now = time.monotonic()
        for job, watch in due.items():
            if job in reads:
                self._refresh(job, watch)
            watch.due = watch.next_look(now)

    def _stands(self, job: Key, watch: _Watch[View], standing: Standing | None) -> None:
        """Wake the requests and streams that the job's *standing* concerns; None: it is unknown."""
        changed = standing is not None and watch.standing not in {None, standing}
        if watch.wake(standing) or changed:
            self._on_change(job)
        if changed:
            watch.since = time.monotonic()
            self._refresh(job, watch)
        watch.standing = standing or watch.standing

    def _refresh(self, job: Key, watch: _Watch[View]) -> None:
        """Beside the looks: to count 100,000 units takes its time."""
        if watch.feed is not None:
            watch.again = watch.refreshing is not None
            watch.refreshing = watch.refreshing or asyncio.create_task(
                self._refreshed(job, watch, watch.feed)
            )

    async def _refreshed(self, job: Key, watch: _Watch[View], feed: Feed[View]) -> None:
        began = time.monotonic()
        try:
            view = await self._read(job)
            await feed.publish(view)
            standing = self._standing_of(view)
            if watch.standing not in {None, standing}:
                watch.since = time.monotonic()
            watch.standing = standing
            watch.wake(standing)
        except NotFound:
            feed.end()
        except TransientError:
            pass  # the streams go on with the view that they have
        except Exception:
            log.exception("feed.bug", job=job[1])
        finally:
            now = time.monotonic()
            watch.rest = max(_LAST_LOOK, (now - began) * _TIMES)
            watch.refreshed, watch.refreshing = (0.0 if watch.again else began), None
            watch.due = watch.next_look(now)
            self._wanted.set()

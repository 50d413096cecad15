"""The cache, the job watcher and the limiter: pure asyncio, without a server."""

import asyncio
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from api_service.services.cache import Together, TtlCache
from api_service.services.limiter import ConcurrencyLimiter
from api_service.services.watching import TICK, Feed, JobWatcher, _Watch
from shared.errors import DatabaseUnavailable, TooManyExports
from shared.loops import end

JOB = ("default", "job_1")


def watcher_of(look, on_change=lambda _: None, read=None) -> JobWatcher:
    """A view is the standing itself."""

    async def looking(job):
        return (await look([job[1]]))[job[1]]

    return JobWatcher(look, on_change, read or looking, lambda view: view)


async def news(feed: Feed) -> None:
    """Wait until the feed tells something."""
    told = asyncio.Event()
    with feed.telling(told.set):
        await told.wait()


class Question:
    """Answers with how often it was asked; while `wrong` it fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.wrong = False

    async def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        await asyncio.sleep(0)
        if self.wrong:
            raise DatabaseUnavailable("away")
        return number


async def test_a_recent_value_may_be_old_while_a_new_one_is_loaded():
    cache, question = TtlCache[int](0.05, old_seconds=30.0), Question()

    assert await cache.recent(JOB, question) == 1
    await asyncio.sleep(0.1)
    assert await cache.recent(JOB, question) == 1
    await asyncio.sleep(0.01)
    assert question.asked == 2, "the old value has begun the load of a new one"
    assert await cache.recent(JOB, question) == 2
    await asyncio.sleep(0.1)
    assert await cache.get(JOB, question) == 3, "others get no old value"
    question.wrong = True
    await asyncio.sleep(0.1)
    assert await cache.recent(JOB, question) == 3
    cache.forget(JOB)
    with pytest.raises(DatabaseUnavailable):
        await cache.recent(JOB, question)


async def test_an_old_value_has_its_end():
    cache, question = TtlCache[int](0.01, old_seconds=0.01), Question()
    assert await cache.recent(JOB, question) == 1
    await asyncio.sleep(0.1)
    assert await cache.recent(JOB, question) == 2


async def test_concurrent_reads_share_one_value_until_it_is_too_old():
    cache, question = TtlCache[int](0.05), Question()

    assert await asyncio.gather(*(cache.get(JOB, question) for _ in range(50))) == [1] * 50
    assert await cache.get(JOB, question) == 1
    assert await cache.get(("other", "job_1"), question) == 2
    async with asyncio.timeout(5):
        while await cache.get(JOB, question) == 1:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("took", "good"), [(0.001, 0.25), (3.0, 30.0)])
async def test_a_value_that_takes_long_to_load_is_kept_for_longer(monkeypatch, took, good):
    kept, clock = [], iter([100.0, 100.0 + took])
    loop = asyncio.get_running_loop()
    cache = TtlCache[int](0.25, 10)
    monkeypatch.setattr("api_service.services.cache.time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(loop, "call_later", lambda seconds, *_: kept.append(seconds))
    await cache.get(JOB, Question())
    monkeypatch.undo()

    assert kept == [pytest.approx(good)]


async def test_a_forgotten_value_is_loaded_again_even_while_an_older_one_is_loading():
    cache, question = TtlCache[int](60), Question()
    older = asyncio.create_task(cache.get(JOB, question))
    await asyncio.sleep(0)
    cache.forget(JOB)

    assert (await cache.get(JOB, question), await older) == (2, 1)
    assert await cache.get(JOB, question) == 2


async def test_an_error_reaches_all_readers_and_is_not_kept():
    cache, question = TtlCache[int](60), Question()
    question.wrong = True
    errors = await asyncio.gather(*(cache.get(JOB, question) for _ in range(3)), return_exceptions=True)
    question.wrong = False

    assert [type(error) for error in errors] == [DatabaseUnavailable] * 3
    assert await cache.get(JOB, question) == 2


async def test_a_reader_that_gives_up_takes_the_value_from_no_other():
    cache, question = TtlCache[int](60), Question()
    first = asyncio.create_task(cache.get(JOB, question))
    second = asyncio.create_task(cache.get(JOB, question))
    await asyncio.sleep(0)
    first.cancel()

    assert await second == 1
    assert first.cancelled()


async def test_the_watcher_asks_once_for_all_jobs_and_wakes_those_whose_job_has_changed():
    standing = {"job_1": ("running", "scanning"), "job_2": ("running", "scanning")}
    looks, moved = [], []

    async def look(ids: list[str]) -> dict[str, tuple[str, str]]:
        looks.append(ids)
        return {job_id: standing[job_id] for job_id in ids}

    watcher = watcher_of(look, moved.append)
    running = asyncio.create_task(watcher.run())
    seen = ("running", "scanning")
    ones = [asyncio.create_task(watcher.changed(("t", "job_1"), seen, 30)) for _ in range(100)]
    two = asyncio.create_task(watcher.changed(("t", "job_2"), seen, 0.2))
    while not looks:
        await asyncio.sleep(0)
    standing["job_1"] = ("running", "merging")
    async with asyncio.timeout(5):
        assert await asyncio.gather(*ones) == [(True, ("running", "merging"))] * 100
        assert await two == (False, None)
    await end([running], 5)

    assert moved == [("t", "job_1")]
    assert all(len(ids) == len(set(ids)) <= 2 for ids in looks)


async def test_waiting_requests_are_woken_when_postgres_is_away_and_when_the_gateway_stops():
    async def away(_: list[str]) -> dict[str, tuple[str, str]]:
        raise DatabaseUnavailable("away")

    watcher = watcher_of(away)
    running = asyncio.create_task(watcher.run())
    async with asyncio.timeout(5):
        assert await watcher.changed(JOB, ("running", "scanning"), 30) == (True, None)
        await end([running], 5)
        waiting = asyncio.create_task(watcher.changed(JOB, ("running", "scanning"), 30))
        await asyncio.sleep(0)
        watcher.stop()
        await waiting
        assert await watcher.changed(JOB, ("running", "scanning"), 30) == (False, None)


async def test_a_tenant_of_slow_readers_leaves_permits_for_the_others():
    limiter = ConcurrencyLimiter(3, 2, patience=0.05, refusal=TooManyExports("x"))
    async with limiter.permit("slow"), limiter.permit("slow"):
        with pytest.raises(TooManyExports):
            async with limiter.permit("slow"):
                pass
        async with limiter.permit("other"):
            with pytest.raises(TooManyExports):
                async with limiter.permit("third"):
                    pass
    async with limiter.permit("slow"), limiter.permit("slow"), limiter.permit("third"):
        pass


async def test_a_permit_that_is_given_back_goes_to_a_request_that_waits():
    limiter = ConcurrencyLimiter(1, 1, patience=5, refusal=TooManyExports("x"))
    async with limiter.permit("a"):
        waiting = asyncio.create_task(limiter.permit("b").__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
    async with asyncio.timeout(2):
        await waiting


async def test_keys_that_are_asked_for_in_one_turn_are_loaded_together_and_later_ones_anew():
    loads = []

    async def load(keys: list[str]) -> dict[str, int]:
        loads.append(keys)
        return {key: len(loads) for key in keys if key != "none"}

    together = Together[int](load)
    asked = [together.get(key) for key in ("b", "a", "b", "none")]
    assert await asyncio.gather(*asked) == [1, 1, 1, None]
    assert await together.get("a") == 2
    assert loads == [["a", "b", "none"], ["a"]]


async def test_a_feed_is_shared_refreshed_four_times_a_second_and_tells_its_waiting_requests():
    standing, looks, reads = {"job_1": ("running", "scanning")}, [], []

    async def look(ids: list[str]) -> dict[str, tuple[str, str]]:
        looks.append(time.monotonic())
        return {job_id: standing[job_id] for job_id in ids}

    async def read(job: tuple[str, str]) -> tuple[str, str]:
        reads.append(time.monotonic())
        return standing[job[1]]

    watcher = watcher_of(look, read=read)
    running = asyncio.create_task(watcher.run())
    job, view = ("t", "job_1"), standing["job_1"]
    async with asyncio.timeout(20):
        with watcher.following(job, view) as feed, watcher.following(job, view) as other:
            assert feed is other
            await asyncio.sleep(2.7)  # from here on it looks every quarter of a second
            before = len(looks) + len(reads)
            await asyncio.sleep(1)
            assert 2 <= len(looks) + len(reads) - before <= 5
            waiting = asyncio.create_task(watcher.changed(job, view, 30))
            await asyncio.sleep(0)
            standing["job_1"] = ("running", "merging")
            await news(feed)
            assert await waiting == (True, ("running", "merging"))
            while feed.view != ("running", "merging"):
                await news(feed)
            watcher.stop()
            assert feed.ended
        while watcher._watches:
            await asyncio.sleep(0)
    await end([running], 5)


async def test_a_feed_that_takes_long_is_read_seldom_and_its_job_is_asked_for_between():
    looks, reads = [], []

    async def look(ids: list[str]) -> dict[str, tuple[str, str]]:
        looks.append(ids)
        return dict.fromkeys(ids, ("running", "scanning"))

    async def read(job: tuple[str, str]) -> tuple[str, str]:
        reads.append(job)
        await asyncio.sleep(0.06)
        return "running", "scanning"

    watcher = watcher_of(look, read=read)
    running = asyncio.create_task(watcher.run())
    with watcher.following(JOB, ("running", "scanning")):
        await asyncio.sleep(2.7)  # from here on it looks every quarter of a second
        looks.clear(), reads.clear()
        await asyncio.sleep(2)
    await end([running], 5)

    assert 1 <= len(reads) <= 4
    assert 4 <= len(looks) + len(reads) <= 9


def test_a_feed_that_is_due_soon_after_a_look_is_read_instead():
    """Its view tells the standing too, so the job is asked for once in a quarter of a second."""
    watch = _Watch(since=0.0, feed=Feed("view"), refreshed=100.0, rest=0.3)
    assert watch.next_look(100.0) == 100.3
    watch.rest = 0.6
    assert watch.next_look(100.0) == 100.25, "a read that takes long is not waited for"
    watch.rest, watch.since = 0.3, 99.9
    assert watch.next_look(100.0) < 100.1, "a job that has just changed is looked at soon"
    watch.since = 0.0
    watch.waiting = {object(): ("running", "scanning")}
    assert watch.next_look(100.0) == 100.25, "a request waits for the standing"


async def test_a_change_during_a_refresh_is_read_after_it():
    standing, gate, reads = {"job_1": ("running", "scanning")}, asyncio.Event(), []

    async def look(ids: list[str]) -> dict[str, tuple[str, str]]:
        return {job_id: standing[job_id] for job_id in ids}

    async def read(job: tuple[str, str]) -> tuple[str, str]:
        found = standing[job[1]]
        reads.append(found)
        await gate.wait()
        return found

    watcher = watcher_of(look, read=read)
    running = asyncio.create_task(watcher.run())
    async with asyncio.timeout(20):
        with watcher.following(("t", "job_1"), ("queued", "planning")) as feed:
            while len(reads) < 1:
                await asyncio.sleep(0.001)
            standing["job_1"] = ("succeeded", "publishing")
            await asyncio.sleep(0.05)
            began = time.monotonic()
            gate.set()
            while feed.view[0] != "succeeded":
                await news(feed)
            assert time.monotonic() - began < 0.2
    await end([running], 5)


async def test_a_feed_tells_each_stream_once_and_none_that_has_left():
    feed, told, others = Feed("a"), [], []
    with ExitStack() as streams:
        for no in range(120):
            leaving = streams.enter_context(ExitStack())
            leaving.enter_context(feed.telling(lambda no=no: told.append((no, feed.view))))
        publishing = asyncio.create_task(feed.publish("b"))
        while len(told) < 50:
            await asyncio.sleep(0)
        leaving.close()
        others.append(len(told))
        await publishing
    await feed.publish("c")
    assert told == [(no, "b") for no in range(119)]
    assert others == [50], "other tasks have their turn meanwhile"


async def test_a_watcher_rests_until_a_look_is_due(monkeypatch):
    """Each time that it wakes, it looks: a request that waits for a job takes little of the processor."""
    looks, wakes, sleep = 0, 0, asyncio.sleep

    async def look(_):
        nonlocal looks
        looks += 1
        return {"job_1": ("running", "scanning")}

    async def counted(seconds, *result):
        nonlocal wakes
        wakes += seconds == TICK
        return await sleep(seconds, *result)

    monkeypatch.setattr(asyncio, "sleep", counted)
    watcher = watcher_of(look)
    running = asyncio.create_task(watcher.run())
    assert await watcher.changed(JOB, ("running", "scanning"), 0.5) == (False, None)
    await end([running], 5)

    assert looks > 3
    assert wakes <= looks + 2

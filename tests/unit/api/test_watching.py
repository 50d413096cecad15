"""The cache, the job watcher and the limiter: pure asyncio, without a server."""

import asyncio
from types import SimpleNamespace

import pytest

from api_service.services.cache import TtlCache
from api_service.services.limiter import ConcurrencyLimiter
from api_service.services.watching import JobWatcher
from shared.errors import DatabaseUnavailable, TooManyExports
from shared.loops import end

JOB = ("default", "job_1")


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

    watcher = JobWatcher(look, moved.append)
    running = asyncio.create_task(watcher.run())
    seen = ("running", "scanning")
    ones = [asyncio.create_task(watcher.changed(("t", "job_1"), seen, 30)) for _ in range(100)]
    two = asyncio.create_task(watcher.changed(("t", "job_2"), seen, 0.2))
    while not looks:
        await asyncio.sleep(0)
    standing["job_1"] = ("running", "merging")
    async with asyncio.timeout(5):
        assert await asyncio.gather(*ones) == [True] * 100
        assert await two is False
    await end([running], 5)

    assert moved == [("t", "job_1")]
    assert all(len(ids) == len(set(ids)) <= 2 for ids in looks)


async def test_waiting_requests_are_woken_when_postgres_is_away_and_when_the_gateway_stops():
    async def away(_: list[str]) -> dict[str, tuple[str, str]]:
        raise DatabaseUnavailable("away")

    watcher = JobWatcher(away, lambda _: None)
    running = asyncio.create_task(watcher.run())
    async with asyncio.timeout(5):
        assert await watcher.changed(JOB, ("running", "scanning"), 30)
        await end([running], 5)
        waiting = asyncio.create_task(watcher.changed(JOB, ("running", "scanning"), 30))
        await asyncio.sleep(0)
        watcher.stop()
        await waiting
        assert await watcher.changed(JOB, ("running", "scanning"), 30) is False


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

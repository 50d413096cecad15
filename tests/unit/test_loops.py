import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import pytest
from structlog.testing import capture_logs

from shared.errors import DatabaseUnavailable
from shared.loops import Report, Service, end, forever, wait


async def test_a_task_that_loses_its_first_cancellation_is_ended_by_the_next():
    """As redis-py's are on Python 3.11: a gateway that was just ringing its doorbell never stopped."""
    lost = []

    async def deaf_once():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append(1)

    task = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)

    assert await end([task], 5) == set()
    assert (task.cancelled(), lost) == (True, [1])


async def test_a_task_that_will_not_end_is_handed_back_in_time():
    stop = asyncio.Event()

    async def deaf():
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)

    assert await end([task], 0.15) == {task}
    stop.set()
    await task


async def test_nothing_to_end_is_fine():
    assert await end([], 1) == set()


@pytest.mark.parametrize("error", [RuntimeError("a bug of a driver"), asyncio.CancelledError()])
async def test_what_runs_for_ever_goes_on_after_any_error_and_ends_when_it_is_cancelled(error):
    runs, again = [], asyncio.Event()

    async def run():
        runs.append(1)
        if len(runs) == 1:
            raise error
        again.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(forever(Service("test", run, timedelta())))
    async with asyncio.timeout(5):
        await again.wait()
        assert await end([task], 5) == set()
    assert task.cancelled()


async def test_a_cancellation_that_meets_the_event_is_not_lost():
    event = asyncio.Event()
    task = asyncio.create_task(wait(event, timedelta(hours=1)))
    await asyncio.sleep(0)
    event.set()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_service_that_is_woken_runs_before_its_period_is_over():
    runs, wake, twice = [], asyncio.Event(), asyncio.Event()

    async def run():
        runs.append(1)
        (twice if len(runs) == 2 else wake).set()

    task = asyncio.create_task(forever(Service("test", run, timedelta(hours=1), wake=wake)))
    async with asyncio.timeout(5):
        await twice.wait()
        assert await end([task], 5) == set()


@dataclass(frozen=True, slots=True)
class Found(Report):
    units: int = 0
    jobs: int = 0


@dataclass(frozen=True, slots=True)
class Usual(Found):
    routine: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("report", "logged"),
    [
        (Found(units=2), [("test.report", "info", 2, 0)]),
        (Usual(jobs=1), [("test.report", "debug", 0, 1)]),
        (Found(), []),
        (Report(), []),
        (None, []),
    ],
)
async def test_a_report_is_logged_if_it_has_a_count_and_as_a_detail_if_it_is_routine(report, logged):
    done = asyncio.Event()

    async def run():
        if done.is_set():
            await asyncio.Event().wait()
        done.set()
        return report

    with capture_logs() as lines:
        task = asyncio.create_task(forever(Service("test", run, timedelta())))
        async with asyncio.timeout(5):
            await done.wait()
            assert await end([task], 5) == set()

    assert [(line["event"], line["log_level"], line["units"], line["jobs"]) for line in lines] == logged


async def test_a_server_that_is_away_is_a_warning_and_no_bug():
    again = asyncio.Event()
    errors = iter([DatabaseUnavailable("gone"), RuntimeError("a bug")])

    async def run():
        for error in errors:
            raise error
        again.set()

    with capture_logs() as lines:
        task = asyncio.create_task(forever(Service("test", run, timedelta())))
        async with asyncio.timeout(5):
            await again.wait()
            assert await end([task], 5) == set()

    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("loop.away", "warning"),
        ("loop.bug", "error"),
    ]

"""The loops beside the units outlive whatever their drivers do."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.core.timings import Timings
from shared.errors import DatabaseUnavailable
from worker_service.maintenance.loop import every, wait
from worker_service.worker import keep

FAST = SimpleNamespace(draining=False, timings=Timings().scaled(0.001))


# fault matrix: 50
@pytest.mark.parametrize(
    "error", [RedisConnectionError("gone"), OSError("gone"), RuntimeError("a bug of a driver"), asyncio.CancelledError()]
)
async def test_a_doorbell_loop_goes_on_after_any_error(error):
    runs = []
    again = asyncio.Event()

    async def run():
        runs.append(1)
        if len(runs) == 1:
            raise error
        again.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(keep(FAST, "test", run))
    await again.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# fault matrix: 50
@pytest.mark.parametrize("error", [DatabaseUnavailable("gone"), RuntimeError("a bug")])
async def test_a_maintenance_loop_goes_on_after_any_error(error):
    runs = []
    again = asyncio.Event()

    async def run():
        runs.append(1)
        if len(runs) == 1:
            raise error
        again.set()

    task = asyncio.create_task(every("test", timedelta(microseconds=1), run))
    await again.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_that_meets_the_event_is_not_lost():
    event = asyncio.Event()
    task = asyncio.create_task(wait(event, timedelta(hours=1)))
    await asyncio.sleep(0)
    event.set()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

"""The loops beside the units outlive whatever their drivers do."""

import asyncio
import contextlib
from datetime import timedelta
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.core.timings import Timings
from shared.errors import DatabaseUnavailable
from worker_service.maintenance.loop import every, wait
from worker_service.runner import Runner
from worker_service.worker import dispatch, keep

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


# fault matrix: 8, 10, 11
@pytest.mark.parametrize(("queued", "taken"), [(None, 3), (0, 0)])
async def test_each_free_slot_looks_for_work_itself_while_redis_takes_no_messages(queued, taken):
    async def turn(_):
        return queued

    async def due(_):
        return []

    slots = []
    ctx = SimpleNamespace(timings=FAST.timings, doorbell=SimpleNamespace(turn=turn), units=SimpleNamespace(due=due))
    await dispatch(ctx, SimpleNamespace(free=3, take=lambda: slots.append(1)))

    assert len(slots) == taken


class Slot:
    """An executor of one slot, whose child never matters."""

    slots = ready = 1
    child_ready = asyncio.Event()

    @contextlib.asynccontextmanager
    async def child(self):
        yield SimpleNamespace(alive=True)


# fault matrix: 19
async def test_a_slot_whose_claim_got_no_answer_looks_again_though_nobody_rings():
    asked = []
    again = asyncio.Event()

    async def claim(worker):
        asked.append(worker)
        if len(asked) == 1:
            raise DatabaseUnavailable("the answer was lost")
        again.set()

    runner = Runner(SimpleNamespace(**vars(FAST), worker_id="w1", executor=Slot(), units=SimpleNamespace(claim=claim)))
    runner.take()

    await asyncio.wait_for(again.wait(), 5)
    assert asked == ["w1", "w1"]


async def test_a_slot_that_is_stopped_has_others_told_of_what_waits():
    running = asyncio.Event()

    async def claim(_):
        running.set()
        await asyncio.Event().wait()

    runner = Runner(SimpleNamespace(**vars(FAST), worker_id="w1", executor=Slot(), units=SimpleNamespace(claim=claim)))
    runner.take()
    await running.wait()
    runner.stop()

    await asyncio.wait_for(runner.new_units.wait(), 5)

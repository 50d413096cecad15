"""The loops beside the units outlive whatever their drivers do."""

import asyncio
import contextlib
from datetime import timedelta
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from shared.core.timings import Timings
from shared.errors import DatabaseUnavailable
from worker_service.maintenance.fitness import Fitness
from worker_service.maintenance.loop import every, wait
from worker_service.runner import Runner
from worker_service.worker import dispatch, keep

FAST = SimpleNamespace(draining=False, timings=Timings().scaled(0.001))


# fault matrix: 50
@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("gone"),
        OSError("gone"),
        RuntimeError("a bug of a driver"),
        asyncio.CancelledError(),
    ],
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
    ctx = SimpleNamespace(
        timings=FAST.timings, doorbell=SimpleNamespace(turn=turn), units=SimpleNamespace(due=due)
    )
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

    async def claim(worker, **_):
        asked.append(worker)
        if len(asked) == 1:
            raise DatabaseUnavailable("the answer was lost")
        again.set()

    runner = Runner(
        SimpleNamespace(
            **vars(FAST), worker_id="w1", executor=Slot(), units=SimpleNamespace(claim_fairest=claim)
        )
    )
    runner.take()

    await asyncio.wait_for(again.wait(), 5)
    assert asked == ["w1", "w1"]


async def test_a_slot_that_is_stopped_has_others_told_of_what_waits():
    running = asyncio.Event()

    async def claim(*_, **__):
        running.set()
        await asyncio.Event().wait()

    runner = Runner(
        SimpleNamespace(
            **vars(FAST), worker_id="w1", executor=Slot(), units=SimpleNamespace(claim_fairest=claim)
        )
    )
    runner.take()
    await running.wait()
    runner.stop()

    await asyncio.wait_for(runner.new_units.wait(), 5)


# fault matrix: 58
async def test_a_worker_that_cannot_take_work_says_why_once_and_takes_none(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        "worker_service.maintenance.fitness.time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    slot = Slot()
    timings = Timings()
    ctx = SimpleNamespace(draining=False, timings=timings, executor=slot)
    runner = Runner(ctx)
    fitness = Fitness(ctx, runner)
    slot.ready = 0
    with capture_logs() as logged:
        for _ in range(8):
            await fitness.run_once()
            clock.now += timings.heartbeat.total_seconds()
        assert (runner.able, runner.free) == (0, 0)
        slot.ready = 1
        await fitness.run_once()

    assert runner.free == runner.able == 1
    said = [(line["event"], line.get("reason")) for line in logged]
    assert said == [("worker.cannot_work", "no child process starts"), ("worker.can_work", None)]


async def test_a_worker_whose_event_loop_stood_still_says_so(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        "worker_service.maintenance.fitness.time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    ctx = SimpleNamespace(draining=False, timings=Timings(), executor=Slot())
    fitness = Fitness(ctx, Runner(ctx))
    clock.now = 42.0
    with capture_logs() as logged:
        await fitness.run_once()

    assert [(line["event"], line["reason"]) for line in logged] == [
        ("worker.cannot_work", "its event loop stood still")
    ]


async def test_a_slot_begins_with_the_tenant_after_the_one_that_was_served_last():
    """Or the tenant whose unit has just made room would have its slot back."""
    asked = []
    runner = Runner(
        SimpleNamespace(
            **vars(FAST),
            worker_id="w1",
            executor=Slot(),
            units=SimpleNamespace(claim_fairest=claim_of(asked)),
        )
    )
    runner._served = "job_1"
    runner.take()
    await asyncio.wait(runner._tasks)

    assert asked == ["job_1"]


def claim_of(asked):
    async def claim(_, after=None):
        asked.append(after)

    return claim

"""What runs beside the units outlives whatever its drivers do; the slots look for work again."""

import asyncio
import contextlib
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from shared.core.timings import Timings
from shared.doorbell import REDIS_AWAY
from shared.errors import DatabaseUnavailable, StorageUnavailable
from shared.loops import Service, forever
from worker_service.dispatch.ring import Dispatcher, Rung
from worker_service.maintenance.fitness import Fitness
from worker_service.slots import Slots

FAST = Timings().scaled(0.001)


async def runs_again_after(error, **service):
    runs = []
    again = asyncio.Event()

    async def run():
        runs.append(1)
        if len(runs) == 1:
            raise error
        again.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(forever(Service("test", run, timedelta(microseconds=1), **service)))
    async with asyncio.timeout(5):
        await again.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


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
    await runs_again_after(error, away=REDIS_AWAY)


# fault matrix: 50
@pytest.mark.parametrize("error", [DatabaseUnavailable("gone"), RuntimeError("a bug")])
async def test_a_maintenance_loop_goes_on_after_any_error(error):
    await runs_again_after(error)


class Doorbell:
    """*waiting* messages, None if Redis takes none; *free* if no other dispatcher is at work."""

    def __init__(self, waiting=0, *, free=True):
        self.waiting, self.free, self.rung, self.given_up = waiting, free, [], 0

    async def begin_turn(self, _):
        return self.waiting

    async def turn_is_free(self):
        return self.free

    async def ring(self, due):
        self.rung += due

    async def give_up_turn(self):
        self.given_up += 1


def dispatcher(doorbell, due, *, looks=None):
    async def find(waiting):
        if isinstance(due, Exception):
            raise due
        return due

    slots = SimpleNamespace(free=3, start_one=lambda: looks.append(1))
    return Dispatcher(doorbell, SimpleNamespace(due=find), slots, FAST.dispatch)


# fault matrix: 8, 10, 11
@pytest.mark.parametrize(("queued", "taken"), [(None, 3), (0, 0)])
async def test_each_free_slot_looks_for_work_itself_while_redis_takes_no_messages(queued, taken):
    looks = []
    report = await dispatcher(Doorbell(queued), [], looks=looks).run_once()

    assert (len(looks), report) == (taken, Rung(slots=taken))


@pytest.mark.parametrize(("free", "rung"), [(True, [(7, 1)]), (False, [])])
async def test_a_dispatcher_rings_in_its_turn_unless_another_one_is_at_work(free, rung):
    doorbell = Doorbell(free=free)
    report = await dispatcher(doorbell, [(7, 1)]).run_in_turn()

    assert (doorbell.rung, report) == (rung, Rung(units=len(rung)))


async def test_a_dispatcher_without_postgres_leaves_its_turn_to_others():
    doorbell = Doorbell()
    with pytest.raises(StorageUnavailable):
        await dispatcher(doorbell, StorageUnavailable("away")).run_once()

    assert (doorbell.rung, doorbell.given_up) == ([], 1)


class Executor:
    """Of one slot, whose child never matters."""

    slots = ready = 1

    def __init__(self):
        self.child_ready = asyncio.Event()

    @contextlib.asynccontextmanager
    async def child(self):
        yield SimpleNamespace(alive=True)


def slots_of(claim=None, executor=None):
    units = SimpleNamespace(claim_fairest=claim)
    return Slots(SimpleNamespace(timings=FAST, worker_id="w1", executor=executor or Executor(), units=units))


# fault matrix: 19
async def test_a_slot_whose_claim_got_no_answer_looks_again_though_nobody_rings():
    asked = []
    again = asyncio.Event()

    async def claim(worker, **_):
        asked.append(worker)
        if len(asked) == 1:
            raise DatabaseUnavailable("the answer was lost")
        again.set()

    slots_of(claim).start_one()

    await asyncio.wait_for(again.wait(), 5)
    assert asked == ["w1", "w1"]


async def test_a_free_slot_that_hears_of_new_units_claims_one_before_the_dispatcher_looks():
    asked, answer = asyncio.Event(), asyncio.Event()

    async def claim(*_, **__):
        asked.set()
        await answer.wait()

    slots = slots_of(claim)
    slots.look()
    await asyncio.wait_for(asked.wait(), 5)
    assert not slots.new_units.is_set()
    slots.look()  # with no free slot the dispatcher looks at once
    assert slots.new_units.is_set()
    slots.new_units.clear()
    answer.set()

    await asyncio.wait_for(slots.new_units.wait(), 5)


async def test_the_dispatcher_looks_though_the_claim_of_the_free_slot_failed():
    async def claim(*_, **__):
        raise DatabaseUnavailable("gone")

    slots = slots_of(claim)
    slots.look()

    await asyncio.wait_for(slots.new_units.wait(), 5)
    slots.draining = True


async def test_a_slot_that_is_stopped_has_others_told_of_what_waits():
    running = asyncio.Event()

    async def claim(*_, **__):
        running.set()
        await asyncio.Event().wait()

    slots = slots_of(claim)
    slots.start_one()
    await running.wait()
    slots.stop()

    await asyncio.wait_for(slots.new_units.wait(), 5)


async def test_a_wait_for_a_free_slot_ends_when_a_busy_one_has_ended_its_work():
    busy, done = asyncio.Event(), asyncio.Event()

    async def claim(*_, **__):
        busy.set()
        await done.wait()

    slots = slots_of(claim)
    assert await slots.until_free() == 1
    slots.start_one()
    await busy.wait()
    waiting = asyncio.create_task(slots.until_free())
    await asyncio.sleep(0)
    assert not waiting.done()
    done.set()

    assert await asyncio.wait_for(waiting, 5) == 1


# fault matrix: 58
async def test_a_worker_that_cannot_take_work_says_why_once_and_takes_none():
    clock, executor, timings = SimpleNamespace(now=0.0), Executor(), Timings()
    slots = slots_of(executor=executor)
    fitness = Fitness(slots, timings.lease, lambda: clock.now)
    executor.ready = 0
    with capture_logs() as logged:
        for _ in range(8):
            await fitness.run_once()
            clock.now += timings.heartbeat.total_seconds()
        assert (slots.able, slots.free) == (0, 0)
        executor.ready = 1
        await fitness.run_once()

    assert slots.free == slots.able == 1
    said = [(line["event"], line.get("error")) for line in logged]
    assert said == [("worker.cannot_work", "no child process starts"), ("worker.can_work", None)]


async def test_a_worker_whose_event_loop_stood_still_says_so():
    clock = SimpleNamespace(now=0.0)
    fitness = Fitness(slots_of(), Timings().lease, lambda: clock.now)
    clock.now = 42.0
    with capture_logs() as logged:
        await fitness.run_once()

    assert [(line["event"], line["error"]) for line in logged] == [
        ("worker.cannot_work", "its event loop stood still")
    ]


async def test_a_slot_begins_with_the_tenant_after_the_one_that_was_served_last():
    """Or the tenant whose unit has just made room would have its slot back."""
    asked = []

    async def claim(_, after=None):
        asked.append(after)

    slots = slots_of(claim)
    slots._last_job = "job_1"
    slots.start_one()
    await asyncio.wait(slots._tasks)

    assert asked == ["job_1"]


def lease(key):
    """Of a slot that is at work; what is cancelled is noted."""
    cancelled = []
    task = Mock(cancel=lambda: cancelled.append(key))
    return (task, SimpleNamespace(preempt=lambda: True)), cancelled


async def test_a_unit_is_stopped_once_and_only_if_it_was_at_work_before_and_is_not_wanted_now():
    slots = slots_of()
    running = {key: lease(key) for key in [(1, 1), (2, 1), (3, 1)]}
    slots._running = {key: pair for key, (pair, _) in running.items()}

    assert slots.stop_unwanted({(1, 1), (2, 1), (9, 9)}, {(2, 1)}) == 1
    assert slots.stop_unwanted({(1, 1), (2, 1)}, {(2, 1)}) == 0
    assert [cancelled for _, cancelled in running.values()] == [[(1, 1)], [], []]


async def test_a_fold_is_stopped_once_and_whole_if_one_of_its_leases_is_lost():
    slots = slots_of()
    pair, cancelled = lease((1, 1))
    slots._running = dict.fromkeys([(1, 1), (2, 1), (3, 1)], pair)

    assert slots.stop_unwanted({(1, 1), (2, 1)}, {(1, 1)}) == 3
    assert slots.stop_unwanted({(1, 1), (2, 1), (3, 1)}, set()) == 0
    assert (cancelled, slots.leases) == ([(1, 1)], set())


async def test_a_lease_that_no_slot_works_on_is_unheard_of_at_the_second_heartbeat():
    slots = slots_of()
    slots._running = {(2, 1): None}
    held = {(1, 1), (2, 1)}

    assert [slots.unheard({(2, 1)}, held) for _ in range(2)] == [set(), {(1, 1)}]

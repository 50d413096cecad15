"""The doorbell against a real server: what it refuses, what it leaves behind, and which worker it wakes."""

import asyncio
import pickle
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.core.timings import Timings
from shared.doorbell import MAX_QUEUED, QUEUE, REQUEST, Doorbell, redis_pool, serialize
from shared.loops import end
from worker_service.dispatch.pull import Puller
from worker_service.dispatch.ring import Dispatcher

SOON = 20.0


class Bomb:
    """A pickle whose code arq's default would run."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


class Slots:
    """In place of the worker's slots: *free* of them, always; counts how many had to look for work."""

    def __init__(self, free: int = 4) -> None:
        self.free, self.taken = free, 0

    async def until_free(self) -> int:
        if self.free == 0:
            await asyncio.Event().wait()
        return self.free

    def start_one(self) -> None:
        self.taken += 1


@pytest.fixture
async def doorbell(redis_url):
    doorbell = Doorbell(redis_pool(redis_url))
    yield doorbell
    await doorbell.close()


@asynccontextmanager
async def pulling(doorbell, slots):
    task = asyncio.create_task(Puller(doorbell, slots).main())
    yield task
    alive = not task.done()
    assert not await end([task], 5)
    assert alive, task


async def until(look):
    async with asyncio.timeout(SOON):
        while not look():
            await asyncio.sleep(0.01)


async def put(doorbell, message_id, data, score=0.0):
    if data is not None:
        await doorbell.redis.set(b"arq:job:" + message_id, data)
    await doorbell.redis.zadd(QUEUE, {message_id: score})


def message(**changes):
    return serialize({"f": "work", "a": [1], "k": {}, "t": None, "et": 0} | changes)


FORGED = {
    "a pickle": (b"u1.1", pickle.dumps({"t": None, "f": "work", "a": (Bomb(),), "k": {}, "et": 0})),
    "garbage": (b"u1.1", b"\xff\x00{"),
    "oversized": (b"u1.1", b"[" + b" " * 5_000_000 + b"]"),
    "deep": (b"u1.1", b"[" * 4000),
    "another function": (b"u1.1", message(f="os.system")),
    "the stand-in itself": (b"u1.1", message(f="refused", a=["x"])),
    "an argument of another type": (b"u1.1", message(a=["1"])),
    "an argument too large": (b"u1.1", message(a=[2**63])),
    "a negative argument": (b"u1.1", message(a=[-1])),
    "no argument": (b"u1.1", message(a=[])),
    "too many arguments": (b"u1.1", message(a=[1, 2])),
    "keywords": (b"u1.1", message(k={"x": 1})),
    "a try": (b"u1.1", message(t=5)),
    "an id that is no text": (b"\xff\xfe", message()),
    "an id of another queue": (b"cron:5", message()),
}


# fault matrix: 14
@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("score", [0.0, float("-inf"), float("inf")])
async def test_what_no_dispatcher_sent_is_refused_counted_and_gone(doorbell, name, score):
    slots = Slots()
    await put(doorbell, *FORGED[name], score=score)
    async with pulling(doorbell, slots):
        await until(lambda: doorbell.refused == 1)
        await doorbell.ring([(7, 1)])
        await until(lambda: slots.taken == 1)

    assert await doorbell.redis.keys("arq:*") == []
    assert await doorbell.redis.zcard(QUEUE) == 0


# fault matrix: 14
@pytest.mark.parametrize("prefix", ["arq:job:", "arq:retry:"])
async def test_a_key_of_another_type_is_refused_and_gone(doorbell, prefix):
    slots = Slots()
    await doorbell.redis.set("arq:job:u1.1", message())
    await doorbell.redis.delete(f"{prefix}u1.1")
    await doorbell.redis.lpush(f"{prefix}u1.1", "x")
    await doorbell.redis.zadd(QUEUE, {"u1.1": 0})
    async with pulling(doorbell, slots):
        await until(lambda: doorbell.refused == 1)
        await doorbell.ring([(7, 1)])
        await until(lambda: slots.taken == 1)

    assert await doorbell.redis.keys("arq:*") == []


# fault matrix: 14
@pytest.mark.parametrize("key", [QUEUE, REQUEST])
async def test_a_queue_of_another_type_is_thrown_away(doorbell, key):
    await doorbell.redis.set(key, "x")
    with pytest.raises(Exception, match="WRONGTYPE"):
        await (doorbell.take(1) if key == QUEUE else doorbell.dispatch_requested())

    assert await doorbell.redis.type(key) == b"none"
    assert doorbell.refused == 1


# fault matrix: 16, 46
async def test_a_message_that_was_taken_back_or_has_expired_is_dropped_quietly(doorbell):
    slots = Slots()
    await put(doorbell, b"u1.1", None)
    await doorbell.ring([(7, 1)])
    async with pulling(doorbell, slots):
        await until(lambda: slots.taken == 1)

    assert doorbell.refused == 0
    assert await doorbell.redis.keys("*") == []


async def test_nothing_is_left_in_redis_of_a_message_that_was_heard(doorbell):
    slots = Slots()
    async with pulling(doorbell, slots):
        await doorbell.ring([(unit, 1) for unit in range(1, 101)])
        await until(lambda: slots.taken == 100)

    assert await doorbell.redis.keys("*") == []


async def test_a_ring_again_replaces_the_message_before(doorbell):
    for ring in range(1, 50):
        await doorbell.ring([(unit, ring) for unit in range(1, 11)])

    assert await doorbell.redis.zcard(QUEUE) == 10
    lives = [await doorbell.redis.pttl(key) for key in await doorbell.redis.keys("arq:*")]
    assert len(lives) == 10
    assert all(0 < life <= 600_000 for life in lives)


# fault matrix: 15, 45
async def test_a_message_wakes_one_of_many_workers_and_none_asks_twice(doorbell, redis_url):
    """arq's own workers would all read the same ids, again and again."""
    others = [Doorbell(redis_pool(redis_url)) for _ in range(5)]
    fleet = [(other, Slots(free=1)) for other in others]
    tasks = [asyncio.create_task(Puller(other, slots).main()) for other, slots in fleet]
    before = (await doorbell.redis.info("commandstats")).get("cmdstat_get", {"calls": 0})["calls"]
    await doorbell.ring([(unit, 1) for unit in range(1, 51)])
    await until(lambda: sum(slots.taken for _, slots in fleet) == 50)
    fetched = (await doorbell.redis.info("commandstats"))["cmdstat_get"]["calls"] - before
    assert not await end(tasks, 5)
    for other in others:
        await other.close()

    assert fetched == 50


async def test_a_worker_without_a_free_slot_leaves_the_messages_to_others(doorbell):
    busy = Slots(free=0)
    async with pulling(doorbell, busy):
        await doorbell.ring([(1, 1)])
        idle = Slots()
        async with pulling(doorbell, idle):
            await until(lambda: idle.taken == 1)
        assert busy.taken == 0


async def blocked(doorbell, clients):
    """Wait until so many *clients* wait inside Redis."""
    async with asyncio.timeout(SOON):
        while (await doorbell.redis.info("clients"))["blocked_clients"] < clients:
            await asyncio.sleep(0.01)


async def test_a_message_for_a_slot_that_a_request_took_meanwhile_wakes_another_worker(doorbell, redis_url):
    """Redis gives it to the worker that has waited longest, which may have begun to work long ago."""
    other = Doorbell(redis_pool(redis_url))
    was_free, idle = Slots(), Slots()
    async with pulling(doorbell, was_free):
        await blocked(doorbell, 1)
        async with pulling(other, idle):
            await blocked(doorbell, 2)
            was_free.free = 0
            await doorbell.ring([(1, 7)])
            await until(lambda: idle.taken == 1)
    await other.close()

    assert was_free.taken == 0
    assert await doorbell.redis.keys("*") == []


async def test_many_nudges_before_one_looks_are_one_look(doorbell):
    for _ in range(100):
        await doorbell.request_dispatch()

    assert await doorbell.dispatch_requested()
    assert await doorbell.redis.zcard(REQUEST) == 0


# fault matrix: 11
@pytest.mark.parametrize("trouble", ["full", "replica"])
async def test_a_redis_that_takes_no_writes_gets_no_ring(doorbell, trouble):
    """No unit then counts as rung, and all are rung for as soon as Redis takes writes again."""
    server = doorbell.redis
    if trouble == "full":
        await server.config_set("maxmemory", "1")
    else:
        await server.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        assert await doorbell.begin_turn(timedelta(seconds=1)) is None
    finally:
        await server.config_set("maxmemory", "0")
        await server.execute_command("REPLICAOF", "NO", "ONE")
    assert await doorbell.begin_turn(timedelta(seconds=1)) == 0


async def test_a_redis_that_goes_away_while_a_queue_is_mended_is_away_and_no_error(doorbell, monkeypatch):
    async def gone(_):
        raise RedisConnectionError("gone")

    await doorbell.redis.set(QUEUE, b"no sorted set")
    monkeypatch.setattr(doorbell.redis, "type", gone)

    assert await doorbell.begin_turn(timedelta(seconds=1)) is None


async def orphans(doorbell, count, *, key=QUEUE, score=0.0):
    """Ids without a message behind them."""
    for start in range(0, count, 10_000):
        ids = range(start, min(start + 10_000, count))
        await doorbell.redis.zadd(key, {f"u{unit}.1": score for unit in ids})


# fault matrix: 14
@pytest.mark.parametrize("score", [0.0, float("inf")])
async def test_a_queue_full_of_orphans_is_thrown_away_by_one_command_and_the_slots_look_for_themselves(
    doorbell, monkeypatch, score
):
    await orphans(doorbell, 300_000, score=score)
    slots, sent = Slots(), []
    send = AbstractConnection.send_packed_command
    monkeypatch.setattr(
        AbstractConnection,
        "send_packed_command",
        lambda connection, *command, **options: sent.append(command) or send(connection, *command, **options),
    )

    async def due(_):
        pytest.fail("with so many messages there is no telling what is rung for")

    report = await Dispatcher(doorbell, SimpleNamespace(due=due), slots, Timings().dispatch).run_once()

    assert 0 < len(sent) <= 6
    assert slots.taken == report.slots == slots.free
    assert await doorbell.redis.zcard(QUEUE) == 0
    assert await doorbell.begin_turn(timedelta(seconds=1)) == 0, "and from then on it is of use again"


async def test_a_queue_that_is_no_longer_than_a_clusters_slots_is_let_alone(doorbell):
    await orphans(doorbell, MAX_QUEUED)

    assert await doorbell.begin_turn(timedelta(seconds=1)) == MAX_QUEUED


# fault matrix: 14
async def test_a_pass_reads_no_more_ids_than_there_are_free_slots(doorbell):
    await orphans(doorbell, 5000)

    assert await doorbell.take(3) == []
    assert await doorbell.redis.zcard(QUEUE) == 4997


# fault matrix: 14
async def test_nudges_without_number_are_answered_by_one_turn(doorbell):
    await orphans(doorbell, 300_000, key=REQUEST)
    await doorbell.begin_turn(timedelta(seconds=1))

    assert await doorbell.redis.exists(REQUEST) == 0


# fault matrix: 14
async def test_an_id_of_megabytes_is_refused_and_the_next_message_is_heard(doorbell):
    slots = Slots()
    await put(doorbell, b"u1.1" * 2_000_000, message())
    async with pulling(doorbell, slots):
        await until(lambda: doorbell.refused == 1)
        await doorbell.ring([(7, 1)])
        await until(lambda: slots.taken == 1)


async def test_a_write_on_a_connection_that_uvloop_has_closed_is_tried_again(doorbell, monkeypatch):
    send, failures = AbstractConnection._send_packed_command, [RuntimeError("the handler is closed")]

    async def once_closed(connection, command):
        if failures:
            raise failures.pop()
        await send(connection, command)

    assert await doorbell.redis.ping()
    monkeypatch.setattr(AbstractConnection, "_send_packed_command", once_closed)

    assert await doorbell.redis.ping()
    assert not failures
